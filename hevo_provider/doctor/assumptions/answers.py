"""What is in an answer: ids, units of time, fields that are missing, of another type, or new."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable

from hevo_provider.doctor.assumptions.finding import (
    Assumption,
    Finding,
    assumption,
    counted,
    differs,
    holds,
    named,
    unseen,
)
from hevo_provider.doctor.exchange import Observations
from hevo_provider.doctor.fields import JOB, JOB_OBJECT, LISTED_OBJECT, OBJECT_ALONE, PIPELINE, SHAPES, Shape
from hevo_provider.doctor.reading import fields_of, in_seconds, is_filled, is_number, items, kind_of, text_of, unit_of
from hevo_provider.models.enums import TERMINAL_STATUSES
from hevo_provider.models.ids import ID_PATTERN

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_MOMENT = "_ts"
_CLOSE = 0.2  # part by which a duration may differ from the time between creation and last change
_LEAST = 2.0  # seconds of a job from which its duration tells the unit


@assumption(
    "ids",
    claims="a positive number, a job's `job_id` a UUID",
    otherwise="An id that is missing or cannot stand in a path makes the answer unreadable.",
)
def ids(seen: Observations) -> Finding:
    """Whether ids are what they are expected to be."""
    pipelines = [item.get("id") for _, item in items(seen, *PIPELINE.calls)]
    jobs = [item.get("job_id") for _, item in items(seen, *JOB.calls)]
    objects = [item.get("object_id") for _, item in items(seen, *LISTED_OBJECT.calls, *OBJECT_ALONE.calls)]
    if not pipelines:
        return unseen("there are no pipelines")
    odd = {
        f"id of a pipeline ({kind_of(each)})"
        for each in pipelines
        if not isinstance(each, int) or isinstance(each, bool) or each <= 0
    }
    odd |= {f"job_id ({kind_of(each)})" for each in jobs if not isinstance(each, str) or not _UUID.fullmatch(each)}
    odd |= {
        f"object_id ({kind_of(each)})"
        for each in objects
        if not isinstance(each, str) or not re.fullmatch(ID_PATTERN, each)
    }
    if odd:
        return differs(f"of another form: {named(odd)}")
    return holds(
        f"{counted(len(pipelines), 'pipeline')}, {counted(len(jobs), 'job')}, {counted(len(objects), 'object')}"
    )


@assumption(
    "time-units",
    claims="is milliseconds since the epoch",
    otherwise="It could not tell a task's own job from an earlier one, and completed_after would find the wrong jobs.",
)
def time_units(seen: Observations) -> Finding:
    """In which unit moments are told."""
    units: dict[str, set[str]] = defaultdict(set)
    for shape in SHAPES.values():
        for _, item in items(seen, *shape.calls):
            for name, value in fields_of(item, shape.inside):
                if name.endswith(_MOMENT) and value is not None:
                    units[unit_of(value) or "no time of our days" if is_number(value) else kind_of(value)].add(name)
    if not units:
        return unseen("no answer has a time")
    if set(units) == {"milliseconds"}:
        return holds(f"milliseconds, in {named(units['milliseconds'])}")
    return differs(
        "; ".join(f"{unit} in {named(names)}" for unit, names in sorted(units.items()) if unit != "milliseconds")
    )


@assumption(
    "duration-units",
    claims="`duration` and the latencies are milliseconds",
    otherwise="How long a job took would be shown wrong, in hevo_job and in events.",
)
def duration_units(seen: Observations) -> Finding:
    """In which unit durations are told, by what they are beside the time between creation and end."""
    ratios = _ratios(seen)
    if not ratios:
        return unseen("no job that has ended tells its duration and its times")
    unit = unit_of_durations(seen)
    if unit is None:
        return unseen(f"the durations of {counted(len(ratios), 'job')} do not fit their times in any unit")
    told = f"{unit}, by {counted(len(ratios), 'job')}"
    return holds(told) if unit == "milliseconds" else differs(told)


def unit_of_durations(seen: Observations) -> str | None:
    """Return the unit in which most durations fit the times of their jobs; None if there is none."""
    ratios = _ratios(seen)
    near = {unit: sum(abs(ratio / per - 1) <= _CLOSE for ratio in ratios) for unit, per in _UNITS.items()}
    unit, count = max(near.items(), key=lambda each: each[1])
    return unit if count * 2 > len(ratios) else None


def _ratios(seen: Observations) -> list[float]:
    """Return the durations of ended jobs in parts of the seconds between their creation and last change."""
    ratios = []
    for _, job in items(seen, *JOB.calls):
        created, updated, took = (
            in_seconds(job.get("created_ts")),
            in_seconds(job.get("updated_ts")),
            job.get("duration"),
        )
        if text_of(job, "status") not in TERMINAL_STATUSES or created is None or updated is None:
            continue
        if isinstance(took, int | float) and took > 0 and updated - created >= _LEAST:
            ratios.append(took / (updated - created))
    return ratios


_UNITS = {"milliseconds": 1000.0, "seconds": 1.0, "microseconds": 1e6, "minutes": 1 / 60}


def _fields(fact: str, claims: str, otherwise: str, *shapes: Shape) -> Assumption:
    def check(seen: Observations) -> Finding:
        told = [(item, shape) for shape in shapes for _, item in items(seen, *shape.calls)]
        if not told:
            return unseen("there is none to see")
        missing, other, count = set(), set(), 0
        for item, shape in told:
            there = dict(fields_of(item, shape.inside))
            count += 1
            missing |= set(_missing(there, shape))
            other |= {
                f"{name} ({kind_of(there[name])}, not {kind})"
                for name, kind in shape.fields.items()
                if there.get(name) is not None and kind_of(there[name]) not in _kinds(kind)
            }
        parts = [f"missing: {named(missing)}"] if missing else []
        parts += [f"of another type: {named(other)}"] if other else []
        return differs("; ".join(parts)) if parts else holds(f"all there, in {count} seen")

    return assumption(fact, claims=claims, otherwise=otherwise)(check)


def _missing(there: dict[str, object], shape: Shape) -> Iterable[str]:
    """Return the fields that should be there and are not, nor another in their place. A null lacks nothing."""
    instead = dict(shape.instead)
    for name in shape.fields:
        outer = name.rpartition(".")[0]
        if outer and not is_filled(there.get(outer)):
            continue
        if name not in there and name not in shape.optional and instead.get(name) not in there:
            yield name


def _kinds(kind: str) -> tuple[str, ...]:
    return tuple(kind.split(" or ")) if kind == "text or number" else (kind,)


@assumption(
    "new-fields",
    claims="New fields come without notice and change nothing",
    otherwise="Nothing: they are not read.",
)
def new_fields(seen: Observations) -> Finding:
    """Which fields there are that this version does not know."""
    new = {
        f"{told}: {name}"
        for told, shape in SHAPES.items()
        for _, item in items(seen, *shape.calls)
        for name, _ in fields_of(item, shape.inside)
        if name not in shape.fields
    }
    if not any(seen.well(*shape.calls) for shape in SHAPES.values()):
        return unseen("there is nothing to see")
    return holds(f"new: {named(new)}" if new else "none")


_READ = (
    "It would show None where the field is missing or of another type; without an id or a status a task cannot go on."
)
ROWS = (
    ids,
    time_units,
    duration_units,
    _fields("pipeline-fields", "Pipeline: id, name, status", _READ, PIPELINE),
    _fields("job-fields", "Job: job_id, type, status", _READ, JOB),
    _fields(
        "object-fields",
        "Object: object_id, source_namespace",
        "Objects could not be chosen by name.",
        LISTED_OBJECT,
        OBJECT_ALONE,
    ),
    _fields(
        "job-object-fields",
        "Object of a job: object_name (or name)",
        "A failed task could not name its failed objects.",
        JOB_OBJECT,
    ),
    new_fields,
)
