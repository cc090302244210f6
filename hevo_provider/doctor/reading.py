"""What an answer holds, also where its words are not the ones that were expected."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hevo_provider.doctor.exchange import Call, Exchange, Observations

LISTS = (Call.PIPELINES, Call.JOBS, Call.JOB_OBJECTS, Call.OBJECTS)
NAMED = ("data", "has_more", "next_cursor")
_SECONDS, _MILLISECONDS, _MICROSECONDS = 1e8, 1e11, 1e14  # the least that a moment of our days is in each unit


@dataclass(frozen=True, slots=True)
class Page:
    """
    One page of a list.

    :param exchange: what it came with.
    :param items: its items, those that are objects.
    :param names: the names under which the items, whether there are more, and the cursor were found; empty where none
        was. A dot leads into an inner object.
    :param has_more: whether it says that there are more; None if it does not say.
    :param cursor: of the next page.
    """

    exchange: Exchange
    items: tuple[Mapping[str, Any], ...]
    names: tuple[str, str, str]
    has_more: bool | None
    cursor: str | None


def page_of(exchange: Exchange) -> Page | None:
    """Return the list in an answer; None if it holds none."""
    value = exchange.value
    if not exchange.is_well or not isinstance(value, dict | list):
        return None
    flat: dict[str, Any] = dict(_flat(value)) if isinstance(value, dict) else {"": value}
    data = _first_named("data", flat, list)
    if data is None:
        return None
    more = _first_named("has_more", flat, bool)
    cursor = _first_named("next_cursor", flat, str) or _like_a_cursor(flat)
    return Page(
        exchange,
        tuple(item for item in flat[data] if isinstance(item, dict)),
        (data, _or_null(more, "has_more", flat), _or_null(cursor, "next_cursor", flat)),
        flat[more] if more is not None else None,
        flat[cursor] or None if cursor is not None else None,
    )


def pages(seen: Observations, *calls: Call) -> list[Page]:
    """Return the lists that came of these calls, of all lists by default."""
    found = (page_of(exchange) for exchange in seen.well(*(calls or LISTS)))
    return [page for page in found if page is not None]


def items(seen: Observations, *calls: Call) -> list[tuple[Exchange, Mapping[str, Any]]]:
    """Return what these calls told of, each with the answer it came in: items of lists, and what came alone."""
    found: list[tuple[Exchange, Mapping[str, Any]]] = []
    for exchange in seen.well(*calls):
        if exchange.call in LISTS:
            page = page_of(exchange)
            found += [(exchange, item) for item in (page.items if page else ())]
        elif isinstance(exchange.value, dict):
            found.append((exchange, exchange.value))
    return found


def fields_of(item: Mapping[str, Any], inside: frozenset[str]) -> Iterator[tuple[str, Any]]:
    """
    Yield the fields of an item, those of inner objects as ``outer.name``.

    :param inside: the inner objects, and lists of them, that are gone into: the others may hold anybody's words.
    """
    for name, value in item.items():
        yield name, value
        if name in inside:
            inner = value if isinstance(value, list) else [value]
            told = (each.items() for each in inner if isinstance(each, dict))
            yield from ((f"{name}.{deeper}", each) for fields in told for deeper, each in fields)


def is_filled(value: object) -> bool:
    """Return whether it is an object, or a list of them, so that it has fields of its own."""
    return isinstance(value, dict) or (isinstance(value, list) and any(isinstance(each, dict) for each in value))


def text_of(item: Mapping[str, Any], name: str) -> str | None:
    """Return a field that is a text; None if it is missing or anything else."""
    value = item.get(name)
    return value if isinstance(value, str) else None


def kind_of(value: object) -> str:
    """Return what JSON calls the value."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    kinds: dict[type, str] = {str: "text", int: "number", float: "number", list: "list", dict: "object"}
    return kinds.get(type(value), "something else")


def is_number(value: object) -> bool:
    """Return whether it is a number, which a truth value is not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def unit_of(moment: float) -> str | None:
    """Return the unit of a number that should be a moment of our days; None if it is none in any unit."""
    size = abs(moment)
    if size < _SECONDS or size >= _MICROSECONDS * 1000:
        return None
    return "seconds" if size < _MILLISECONDS else "milliseconds" if size < _MICROSECONDS else "microseconds"


def in_seconds(moment: object) -> float | None:
    """Return a moment as seconds since the epoch, whatever its unit; None if it is no moment."""
    if not isinstance(moment, int | float) or isinstance(moment, bool):
        return None
    parts = {"seconds": 1.0, "milliseconds": 1e3, "microseconds": 1e6}
    unit = unit_of(moment)
    return None if unit is None else moment / parts[unit]


def _flat(value: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, each in value.items():
        yield name, each
        if isinstance(each, dict):
            yield from ((f"{name}.{inner}", deeper) for inner, deeper in each.items())


def _first_named(name: str, flat: Mapping[str, Any], kind: type) -> str | None:
    """Return the expected name if there is such a value under it, else the first that has one."""
    if isinstance(flat.get(name), kind):
        return name
    others = [other for other, value in flat.items() if isinstance(value, kind)]
    if kind is str:  # any text might be a cursor: the name must say so
        return None
    return others[0] if others else None


def _like_a_cursor(flat: Mapping[str, Any]) -> str | None:
    told = ("cursor", "next", "token", "continuation")
    names = (name for name, value in flat.items() if isinstance(value, str) and any(t in name.lower() for t in told))
    return next(names, None)


def _or_null(found: str | None, expected: str, flat: Mapping[str, Any]) -> str:
    """A field that is there and null was found too, for its name."""
    return found if found is not None else expected if expected in flat else ""
