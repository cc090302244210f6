"""The words of the API: states and kinds, and those that this version does not know."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping

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
from hevo_provider.doctor.exchange import Call, Observations
from hevo_provider.doctor.fields import (
    JOB,
    LISTED_OBJECT,
    OBJECT_ALONE,
    OBJECT_STATUSES,
    PIPELINE,
    PIPELINE_WORDS,
    REPLICATION_STATUSES,
    Shape,
)
from hevo_provider.doctor.reading import fields_of, items
from hevo_provider.models.enums import JobStatus, JobType, PipelineStatus


def _words(fact: str, claims: str, otherwise: str, known: Mapping[str, Collection[str]], *shapes: Shape) -> Assumption:
    """Make the assumption that fields hold known words only."""

    def check(seen: Observations) -> Finding:
        found = Counter(
            (name, value)
            for shape in shapes
            for _, item in items(seen, *shape.calls)
            for name, value in fields_of(item, shape.inside)
            if name in known and isinstance(value, str)
        )
        if not found:
            return unseen("there is none to see")
        unknown = {
            f"{value} ({name})" if len(known) > 1 else value for name, value in found if value not in known[name]
        }
        if unknown:
            return differs(f"not known: {named(unknown)}")
        return holds(f"{named(value for _, value in found)}, in {counted(sum(found.values()), 'value')}")

    return assumption(fact, claims=claims, otherwise=otherwise)(check)


@assumption(
    "deferred",
    claims="the source's own rate limit stopped some objects",
    otherwise="on_deferred would accept or go on after something else.",
)
def deferred(seen: Observations) -> Finding:
    """Whether jobs were deferred: a normal day for some sources, which a DAG should be made for."""
    ended = [job.get("status") for _, job in items(seen, Call.JOBS)]
    stopped = [status for status in ended if isinstance(status, str) and status.startswith("DEFERRED")]
    if not stopped:
        return unseen("no job was deferred")
    return holds(f"{len(stopped)} of {counted(len(ended), 'job')}: such pipelines need on_deferred")


ROWS = (
    _words(
        "pipeline-statuses",
        "INITIALIZED (the only one that can run)",
        "It would take the pipeline for one that cannot run.",
        {"status": frozenset(PipelineStatus)},
        PIPELINE,
    ),
    _words(
        "pipeline-words",
        "replication_type HISTORICAL_AND_INCREMENTAL or INCREMENTAL_ONLY",
        "Nothing: the words are shown as they come.",
        PIPELINE_WORDS,
        PIPELINE,
    ),
    _words(
        "job-types",
        "INCREMENTAL, HISTORICAL, RESYNC, RESYNC_WITH_DROP_AND_LOAD, REFRESHER",
        "It would not take a job of this type for its own.",
        {"type": frozenset(JobType)},
        JOB,
    ),
    _words(
        "job-statuses",
        "any that this version does not know",
        "It would wait on, and where the status is an end, until timeout or until it counts as stalled.",
        {"status": frozenset(JobStatus)},
        JOB,
    ),
    deferred,
    _words(
        "object-statuses",
        "not loaded are DISABLED, DELETED, INACCESSIBLE, INACTIVE",
        "HevoResyncObjectsOperator would ask for an object that Hevo does not load, or leave out one that it does.",
        {"status": OBJECT_STATUSES, "replication_status": REPLICATION_STATUSES},
        LISTED_OBJECT,
        OBJECT_ALONE,
    ),
)
