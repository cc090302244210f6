"""
What may be written to a file for a bug report: how the account answers, and nothing that says whose it is.

Nothing is taken over as it came. Numbers are counts, ages and durations; texts are words of the API, at the places
where it has its own words, and names of fields. A word or name that this version does not know is kept, that is what
the file is for, unless it does not look like one, or is among the account's own texts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import Any

from hevo_provider import __version__
from hevo_provider.client.responses import milliseconds_of
from hevo_provider.doctor.assumptions.answers import unit_of_durations
from hevo_provider.doctor.assumptions.lists import order_of
from hevo_provider.doctor.exchange import Call, Observations
from hevo_provider.doctor.fields import (
    JOB,
    OBJECT_STATUSES,
    PIPELINE,
    PIPELINE_WORDS,
    REPLICATION_STATUSES,
    SHAPES,
    Shape,
)
from hevo_provider.doctor.reading import (
    fields_of,
    in_seconds,
    is_filled,
    is_number,
    items,
    kind_of,
    pages,
    text_of,
    unit_of,
)
from hevo_provider.doctor.report import Row
from hevo_provider.models.enums import JobStatus, JobType, PipelineStatus

FORM = 1  # of the file
LARGEST = 64 * 1024  # bytes
MOST_FIELDS = 100  # of one thing
MOST_PIPELINES = 100
TELLING = 4  # letters from which on a part of a name says something
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_PLAIN_WORDS = (
    "a accepted again allowed and api are been bad calls conflict exceeded for forbidden has have in internal is job "
    "later limit made many max maximum minute minutes not of over per please progress queued quota rate reached "
    "request requests retry running seconds server started successfully sync synced the throttled too "
    "triggered try unavailable user wait was you your"
)
_PLAIN = frozenset(_PLAIN_WORDS.split())


class Veil:
    """
    Tells words of the API from the account's own.

    :param seen: all that was seen: whatever stands where the API has no words of its own is the account's.
    :param host: where it was seen.
    """

    def __init__(self, seen: Observations, host: str) -> None:
        self._known = {*JobStatus, *JobType, *PipelineStatus, *OBJECT_STATUSES, *REPLICATION_STATUSES}
        self._known |= {word for words in PIPELINE_WORDS.values() for word in words}
        self._own = {text.lower() for text in _own_texts(seen)} | set(host.lower().split("."))
        fields = {name for shape in SHAPES.values() for name in shape.fields}
        self._common = {part for text in (*self._known, *fields) for part in _parts_of(text)}
        self._given: dict[str, str] = {}

    def word(self, text: str) -> str:
        """Return a word of the API; for one that may be the account's, another that stands for it."""
        if text in self._known or (_WORD.fullmatch(text) and self._is_nobodys(text)):
            return text
        return self._given.setdefault(text, f"WORD_{len(self._given) + 1}")

    def word_or_none(self, text: str | None) -> str | None:
        """Return a word of the API as :meth:`word` does, and None as None."""
        return None if text is None else self.word(text)

    def name(self, text: str) -> str:
        """Return the name of a field, which may have an outer one before a dot."""
        parts = text.split(".")
        if all(_NAME.fullmatch(part) and part.lower() not in self._own for part in parts):
            return text
        return self._given.setdefault(text, f"field_{len(self._given) + 1}")

    def words(self, text: str) -> str:
        """Return what an error says, with only the plainest of its words."""
        return " ".join(word if word.lower().strip(".:,") in _PLAIN else "…" for word in text.split())

    def _is_nobodys(self, text: str) -> bool:
        if text.lower() in self._own:
            return False
        # Part of a name is a name too, unless the API has that part in words of its own.
        return not any(part in self._own and part not in self._common for part in _parts_of(text))


def _parts_of(text: str) -> list[str]:
    """Return the parts of a word that are long enough to say something, in lower case."""
    parts = re.split(r"[^a-z0-9]+", re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", text).lower())
    return [part for part in parts if len(part) >= TELLING]


def anonymous(seen: Observations, rows: Sequence[Row], veil: Veil) -> str:
    """Return the file's text: at most 64 KiB of JSON."""
    told = {
        "form": FORM,
        "provider": __version__,
        "rows": {row.name: row.finding.verdict.value for row in rows},
        "reached": _reached(seen),
        "statuses": {call.value: statuses for call in Call if (statuses := _statuses(seen, call))},
        "limit": _limit(seen, veil),
        "lists": _lists(seen, veil),
        "order": order_of(seen),
        "units": _units(seen),
        "fields": {name: _fields(seen, shape, veil) for name, shape in SHAPES.items()},
        "pipelines": list(_pipelines(seen, veil)),
        "sync": _sync(seen, veil),
    }
    most = max((len(pipeline["jobs"]) for pipeline in told["pipelines"]), default=0)  # type: ignore[attr-defined]
    while len(text := _laid_out(told)) > LARGEST:
        most = most * 3 // 4
        _shorten(told, most)
    return text


def _laid_out(told: Mapping[str, Any]) -> str:
    """Return the JSON with a line for each subject and each pipeline: short, and a person can read it."""
    parts = {name: json.dumps(value) for name, value in told.items()}
    parts["pipelines"] = "[\n" + ",\n".join(json.dumps(each) for each in told["pipelines"]) + "\n]"
    return "{\n" + ",\n".join(f"{json.dumps(name)}: {part}" for name, part in parts.items()) + "\n}\n"


def _shorten(told: dict[str, Any], most: int) -> None:
    """Leave the older jobs out; once there are none left, pipelines; then what is said of fields."""
    if most:
        for pipeline in told["pipelines"]:
            del pipeline["jobs"][most:], pipeline["objects"][most:]
    elif told["pipelines"]:
        del told["pipelines"][len(told["pipelines"]) // 2 :]
    else:
        told["fields"] = {}


def _reached(seen: Observations) -> dict[str, Any]:
    answered = [each for each in seen.exchanges if each.status is not None and each.call not in _PAGES]
    dates = [(milliseconds_of(each.headers.get("date")), each) for each in answered]
    told = [(date / 1000, each) for date, each in dates if date is not None]
    skews = [date + 0.5 - each.at for date, each in told]
    return {
        "tls": next((each.tls for each in answered if each.tls), None),
        "median_ms": round(median(each.seconds for each in answered) * 1000) if answered else None,
        "slowest_ms": round(max(each.seconds for each in answered) * 1000) if answered else None,
        "date": "always" if len(told) == len(answered) else "sometimes" if told else "never",
        "skew_s": round(median(skews)) if skews else None,
    }


_PAGES = (Call.PAGE, Call.MISSING_PAGE)


def _statuses(seen: Observations, call: Call) -> list[int]:
    return sorted({each.status for each in seen.of(call) if each.status is not None})


def _limit(seen: Observations, veil: Veil) -> dict[str, Any] | None:
    met = next((each for each in seen.exchanges if each.is_over_the_limit), None)
    if met is None:
        return None
    told = met.headers.get("retry-after", "")
    return {
        "status": met.status,
        "after": met.sent_before,
        "retry_after": told if told.isascii() and told.isdigit() and len(told) < 6 else None,  # noqa: PLR2004
        "words": veil.words(met.words),
    }


def _lists(seen: Observations, veil: Veil) -> dict[str, Any]:
    lists = {}
    for call in (Call.PIPELINES, Call.JOBS, Call.JOB_OBJECTS, Call.OBJECTS):
        found = pages(seen, call)
        if not found:
            continue
        # The page that says most: one that is not the last has words for all three.
        page = max(found, key=lambda page: (page.cursor is not None, sum(map(bool, page.names))))
        full = [len(p.items) for p in found if p.cursor is not None and p.exchange.question.limit == _FULL]
        lists[call.value] = {
            "names": [veil.name(name) if name else "" for name in page.names],
            "default": next((len(p.items) for p in found if p.exchange.question.limit is None), None),
            "most": max(full, default=None),
        }
    return lists


_FULL = 100


def _units(seen: Observations) -> dict[str, str | None]:
    moments = [item.get("created_ts") for _, item in items(seen, *JOB.calls, *PIPELINE.calls)]
    units = [unit_of(moment) for moment in moments if is_number(moment) and moment is not None]
    known = [unit for unit in units if unit is not None]
    return {"moments": max(set(known), key=known.count) if known else None, "durations": unit_of_durations(seen)}


def _fields(seen: Observations, shape: Shape, veil: Veil) -> dict[str, list[str]]:
    """Return the kinds of value that each field was seen with; ``missing`` where one thing or more had none."""
    told = [dict(fields_of(item, shape.inside)) for _, item in items(seen, *shape.calls)]
    names = dict.fromkeys(name for there in told for name in (*shape.fields, *there))
    fields: dict[str, list[str]] = {}
    for name in list(names)[:MOST_FIELDS]:
        outer = name.rpartition(".")[0]
        where = [there for there in told if not outer or is_filled(there.get(outer))]
        if where:
            known = name if name in shape.fields else veil.name(name)
            fields[known] = sorted({kind_of(there[name]) if name in there else "missing" for there in where})
    return fields


def _pipelines(seen: Observations, veil: Veil) -> Iterator[dict[str, Any]]:
    found = {item.get("id"): item for _, item in items(seen, *PIPELINE.calls) if isinstance(item.get("id"), int | str)}
    for pipeline_id, item in list(found.items())[:MOST_PIPELINES]:
        fields = dict(fields_of(item, PIPELINE.inside))
        words = {
            name: veil.word(word) for name in sorted(PIPELINE.words) if (word := text_of(fields, name)) is not None
        }
        yield {"words": words, "jobs": _jobs(seen, pipeline_id, veil), "objects": _objects(seen, pipeline_id, veil)}


def _jobs(seen: Observations, pipeline_id: object, veil: Veil) -> list[dict[str, Any]]:
    """Return the jobs of a pipeline, newest first: type, status, and in seconds their age and what they took."""
    found: dict[Any, dict[str, Any]] = {}
    for exchange, job in items(seen, Call.JOBS):
        if str(exchange.question.pipeline_id) != str(pipeline_id) or not isinstance(job.get("job_id"), str | int):
            continue
        created, updated = in_seconds(job.get("created_ts")), in_seconds(job.get("updated_ts"))
        found[job["job_id"]] = {
            "type": veil.word_or_none(text_of(job, "type")),
            "status": veil.word_or_none(text_of(job, "status")),
            "age_s": None if created is None else round(exchange.at - created, 1),
            "took_s": None if created is None or updated is None else round(updated - created, 1),
        }
    return sorted(found.values(), key=lambda job: float("inf") if job["age_s"] is None else job["age_s"])


def _objects(seen: Observations, pipeline_id: object, veil: Veil) -> list[dict[str, str | None]]:
    told = (item for each, item in items(seen, Call.OBJECTS) if str(each.question.pipeline_id) == str(pipeline_id))
    words = ("status", "replication_status")
    return [{name: veil.word_or_none(text_of(item, name)) for name in words} for item in told]


def _sync(seen: Observations, veil: Veil) -> dict[str, Any] | None:
    sync = seen.sync
    if sync is None or sync.answer is None:
        return None
    return {
        "status": sync.answer.status,
        "words": veil.words(sync.answer.words),
        "unseen_until_s": round(sync.unseen_until, 1),
        "shown_after_s": None if sync.shown_after is None else round(sync.shown_after, 1),
        "jobs": [
            {
                "type": veil.word_or_none(job.type),
                "states": [[round(after, 1), veil.word(state)] for after, state in job.states],
            }
            for job in sync.jobs
        ],
    }


def _own_texts(seen: Observations) -> Iterator[str]:
    """Yield the account's own texts: all that answers hold where the API has no words of its own."""
    for shape in SHAPES.values():
        for _, item in items(seen, *shape.calls):
            for name, value in item.items():
                yield from _texts(value, name, shape)


def _texts(value: Any, name: str, shape: Shape, depth: int = 0) -> Iterator[str]:
    if name in shape.words:
        return
    if isinstance(value, str):
        yield value
        yield from re.split(r"[^A-Za-z0-9_-]+", value)
        yield from re.split(r"[^A-Za-z0-9]+", value)
    elif depth < 8:  # noqa: PLR2004 - deeper than anything that the API tells of
        if isinstance(value, Mapping):
            for inner, each in value.items():
                if name not in shape.inside:
                    yield inner
                yield from _texts(each, f"{name}.{inner}", shape, depth + 1)
        elif isinstance(value, list):
            for each in value:
                yield from _texts(each, name, shape, depth + 1)
