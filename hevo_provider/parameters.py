"""Checks of what a DAG's author wrote: literals when the DAG is parsed, templates once they are rendered."""

from __future__ import annotations

import ast
import json
import math
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, TypeVar

from hevo_provider import codes
from hevo_provider.exceptions import HevoConfigError

E = TypeVar("E", bound=StrEnum)

EARLIEST_YEAR = 2000  # of a moment; what is earlier was no date, but a number that reads as one
CONNECTION_ELSEWHERE = {"hevo_conn_id": "connection_id", "conn_id": "connection_id", "http_conn_id": "connection_id"}
DEFAULT_CONNECTION_ID = "hevo_airflow_conn_id"
LONGEST_TIMEOUT = 7 * 24 * 3600.0  # seconds


def is_unrendered(value: object) -> bool:
    """Return whether the value is only known when the task runs: a template, or another task's output."""
    if isinstance(value, str):
        return "{{" in value or "{%" in value
    if isinstance(value, list | tuple | set | frozenset):
        return any(is_unrendered(item) for item in value)
    return hasattr(value, "resolve")  # XComArg and the like


def moment_of(name: str, value: object) -> datetime:
    """
    Return a moment with its time zone; without one, UTC is meant.

    :param name: of the parameter, for the message.
    :param value: a datetime, or its text by ISO 8601.
    :raises HevoConfigError: it is neither, or None.
    """
    if value is None or (isinstance(value, str) and value.strip() in {"", "None"}):
        raise HevoConfigError(
            f"{name} rendered to {value!r}: this DAG run has no such time. A run that was started by hand or by an "
            "asset may have no data interval.",
            code=codes.NO_SUCH_TIME,
        )
    try:
        moment = datetime.fromisoformat(value.strip()) if isinstance(value, str) else value
        if isinstance(moment, datetime) and moment.year >= EARLIEST_YEAR:
            moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise HevoConfigError(f"{name} must be a datetime or a time such as 2026-01-31T06:00:00+00:00, not {value!r}.")


def several_of(name: str, value: object) -> tuple[str, ...]:
    """
    Return names or ids, each once.

    :param value: a sequence of them, or one; also the text of a list, which is what a template may render to.
    :raises HevoConfigError: there is none, or one is no text, empty, or the text "None".
    """
    items = _list_in(value) if isinstance(value, str) else value
    if not isinstance(items, Sequence | AbstractSet) or isinstance(items, bytes | bytearray):
        raise HevoConfigError(f"{name} must be a list of names or ids, not {value!r}.")
    if not items:
        raise HevoConfigError(f"{name} is empty: there is nothing to resync.", code=codes.NO_OBJECTS)
    texts = [str(item) if isinstance(item, int) and not isinstance(item, bool) else item for item in items]
    for text in texts:
        if not isinstance(text, str) or text.strip() in {"", "None"}:
            raise HevoConfigError(f"{name} must hold names or ids, not {text!r}.")
    names = dict.fromkeys(text.strip() for text in texts)
    return tuple(sorted(names) if isinstance(items, AbstractSet) else names)


def in_one_order(value: Any) -> Any:
    """Return a set as a list, always in the same order: what a DAG serializes to must not differ between two parses."""
    return sorted(value, key=str) if isinstance(value, AbstractSet) else value


def value_in(text: str) -> object:
    """Return what a text shows as JSON or as Python writes it; the text itself if it shows nothing."""
    for read in (json.loads, ast.literal_eval):
        with suppress(ValueError, SyntaxError, MemoryError, RecursionError):
            return read(text)
    return text


def _list_in(text: str) -> list[object]:
    """Return the list that a text shows; one that shows none is the only item."""
    shown = value_in(text.strip()) if text.strip().startswith("[") else text
    return shown if isinstance(shown, list) else [text]


def connection_id_of(value: object) -> str:
    """
    Return the id of an Airflow connection.

    :raises HevoConfigError: it is empty or no text.
    """
    if not isinstance(value, str) or not value.strip():
        raise HevoConfigError(f"connection_id must name an Airflow connection, not {value!r}.")
    return value


def refuse_mix_ups(kind: str, given: Mapping[str, Any], names: Mapping[str, str]) -> None:
    """
    Refuse parameters that are called otherwise here, before Airflow says no more than that they are invalid.

    :param kind: of task, for the message.
    :param given: parameters that the kind does not have.
    :param names: what they are called here.
    :raises HevoConfigError: one of these was given.
    """
    for name, here in names.items():
        if name in given:
            raise HevoConfigError(f"{name} is no parameter of {kind}: it is called {here} there.", code=codes.MIXED_UP)


def member_of(kind: type[E], name: str, value: object) -> E:
    """
    Return the member for a member or its name.

    :param name: of the parameter, for the message.
    :raises HevoConfigError: there is no such member.
    """
    if isinstance(value, str):
        for member in kind:
            if value.strip().upper() == member.value.upper():
                return member
    raise HevoConfigError(f"{name} must be one of {', '.join(kind)}, not {value!r}.")


def flag_of(name: str, value: object) -> bool:
    """
    Return the flag. A text is none: "False" would count as true.

    :raises HevoConfigError: it is neither True nor False.
    """
    if not isinstance(value, bool):
        raise HevoConfigError(f"{name} must be True or False, not {value!r}.")
    return value


def seconds_of(name: str, value: Any, *, least: float = 0.0, above: bool = False) -> float:
    """
    Return a duration in seconds.

    :param least: the smallest that is allowed, or with ``above`` the largest that is not.
    :raises HevoConfigError: it is no number, or too small.
    """
    number = value.total_seconds() if isinstance(value, timedelta) else value
    if not isinstance(number, int | float) or isinstance(number, bool) or not math.isfinite(number):
        raise HevoConfigError(f"{name} must be a number of seconds, not {value!r}.")
    if number < least or (above and number == least):
        raise HevoConfigError(f"{name} must be {'above' if above else 'at least'} {least:g} s, not {value!r}.")
    return float(number)


def count_of(name: str, value: object) -> int:
    """
    Return a number of attempts.

    :raises HevoConfigError: it is no whole number above 0.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise HevoConfigError(f"{name} must be a whole number above 0, not {value!r}.")
    return value
