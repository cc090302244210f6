"""``Run``: all that is known about one run of a pipeline. It travels between worker, database and triggerer as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import MISSING, asdict, dataclass, fields, replace
from enum import StrEnum
from typing import Any, Self

from hevo_provider.models.job import JobType
from hevo_provider.models.pipeline import PipelineAction
from hevo_provider.parameters import OnActiveJob

# The action of an operator of its own, so it is no PipelineAction: the objects that it is about belong to it.
RESYNC_OBJECTS = "RESYNC_OBJECTS"


class Phase(StrEnum):
    """What a run waits for."""

    READY = "ready"  # that the action may be sent
    FIND = "find"  # that the job shows
    WATCH = "watch"  # that the job ends


class Fate(StrEnum):
    """What became of the action that was sent."""

    ANSWERED = "answered"  # Hevo accepted it
    UNKNOWN = "unknown"  # it may have been applied or not
    REFUSED = "refused"  # Hevo says that another job is running, which does not show yet


class Ownership(StrEnum):
    """How sure it is that the job is this run's own. Only an ``OURS`` one is ever cancelled."""

    OURS = "ours"
    ASSUMED = "assumed"  # started by a call of unknown fate, or told apart by less than its time
    ADOPTED = "adopted"  # somebody else's


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """
    One run of one pipeline.

    What was asked for:

    :param pipeline_id: the pipeline.
    :param action: a ``PipelineAction`` or ``RESYNC_OBJECTS``; None for a run that starts nothing and only follows a
        job (a sensor).
    :param job_types: the names under which Hevo may report the job's type.
    :param drop_and_load: for a resync, whether the destination tables are dropped first.
    :param objects: patterns of the names of the objects to resync.
    :param object_ids: ids of objects to resync.
    :param on_active_job: an ``OnActiveJob``.
    :param wait_for_completion: False ends the run as soon as the job is found.
    :param cancel_on_kill: whether the job that was started is cancelled when the task is killed or timed out.
    :param poll_interval: seconds between looks at the running job.
    :param retry_limit: how many looks may be taken to find the job.
    :param find_delay: seconds before the first look.
    :param find_interval: seconds between looks grow from ``find_delay`` to this; None means ``poll_interval``.
    :param find_window: seconds before which a search that was answered never ends.
    :param api_outage_tolerance: seconds without a usable answer after which the wait fails.
    :param deadline: seconds since the epoch after which the wait ends as timed out.
    :param completed_after: for a run that only follows: any job will do that completed at this time (Hevo's clock, ms)
        or later, and none that ended otherwise ends the wait.
    :param accept_completed_with_failures: whether COMPLETED_WITH_FAILURES is such a completion.

    What has happened:

    :param phase: a ``Phase``.
    :param job_id: the job, once it is known.
    :param last_status: the job's status as the log last told it.
    :param ownership: an ``Ownership``.
    :param posts: how many times the action was sent without being refused.
    :param fate: a ``Fate``; None before the action was sent.
    :param baseline: ids of jobs that were there before the action was sent.
    :param baseline_floor: a job created before this (Hevo's clock, ms) was there too, although it is not listed.
    :param created_after: Hevo's clock (ms): a job created earlier is older than the action.
    :param posted_at: Hevo's clock (ms) when the action was sent.
    :param given_up_at: Hevo's clock (ms) when the answer to it was given up; None if it was answered.
    :param looked: whether a run that only follows has had its first look, which made the baseline.
    :param searching_since: seconds since the epoch when the search began, for a process that has no baseline because it
        cannot remember one (a rescheduled sensor).
    :param not_before: seconds since the epoch before which Hevo asked not to be called.
    :param waited: whether the run has been waiting before its action could be sent, or sent again.
    :param yield_to: an earlier job of this very task that is being cancelled: its end is waited for.
    :param note: what Hevo said last, for messages.
    :param worker_seconds: for how long workers have been at work for the task, up to its last deferral.
    :param told: the jobs that ended badly since ``completed_after`` and of which the log knows.
    """

    pipeline_id: int
    action: str | None = None
    job_types: tuple[str, ...] = ()
    drop_and_load: bool = False
    on_active_job: str = OnActiveJob.FAIL.value
    wait_for_completion: bool = True
    cancel_on_kill: bool = True
    poll_interval: float = 15.0
    retry_limit: int = 10
    find_delay: float = 1.0
    find_interval: float | None = None
    find_window: float = 0.0
    api_outage_tolerance: float = 1800.0
    deadline: float | None = None
    completed_after: int | None = None
    accept_completed_with_failures: bool = False
    objects: tuple[str, ...] = ()
    object_ids: tuple[str, ...] = ()

    phase: str = Phase.WATCH.value
    job_id: str | None = None
    last_status: str | None = None
    ownership: str = Ownership.ADOPTED.value
    posts: int = 0
    fate: str | None = None
    baseline: tuple[str, ...] = ()
    baseline_floor: int | None = None
    created_after: int | None = None
    posted_at: int | None = None
    given_up_at: int | None = None
    looked: bool = False
    searching_since: float | None = None
    not_before: float | None = None
    waited: bool = False
    yield_to: str | None = None
    note: str | None = None
    told: tuple[str, ...] = ()
    worker_seconds: float = 0.0

    def __post_init__(self) -> None:
        for name in ("job_types", "objects", "object_ids", "baseline", "told"):  # JSON has no tuples
            object.__setattr__(self, name, tuple(getattr(self, name)))

    def to_json(self) -> dict[str, Any]:
        """Return what differs from the defaults, in JSON's types."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in asdict(self).items()
            if value != _DEFAULTS[name]
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Return the run that :meth:`to_json` told of, also by a version that knew more or less than this one."""
        return cls(**{name: value[name] for name in _DEFAULTS if name in value})

    def continuing(self, earlier: Run) -> Run:
        """Return this run, as asked for now, at the point that an earlier worker of the task had reached."""
        return replace(self, **{name: getattr(earlier, name) for name in _PROGRESS})

    def asks_for_the_same_as(self, other: Run) -> bool:
        """Return whether both runs send the same action to the same pipeline."""
        same = ("pipeline_id", "action", "drop_and_load")
        chosen = ("objects", "object_ids")  # in whatever order
        return all(getattr(self, name) == getattr(other, name) for name in same) and all(
            set(getattr(self, name)) == set(getattr(other, name)) for name in chosen
        )

    @property
    def may_restart(self) -> bool:
        """Whether the pipeline may pass through RESTARTING for the action."""
        return self.action in {PipelineAction.RESYNC, RESYNC_OBJECTS}

    @property
    def is_ours(self) -> bool:
        """Whether the job may be cancelled: this run started it, and only this run."""
        return self.ownership == Ownership.OURS


_DEFAULTS = {field.name: field.default if field.default is not MISSING else None for field in fields(Run)}
_PROGRESS = tuple(_DEFAULTS)[tuple(_DEFAULTS).index("phase") :]


def expected_job_types(
    action: PipelineAction, job_type: JobType | None = None, *, drop_and_load: bool = False
) -> tuple[str, ...]:
    """
    Return the names under which Hevo may report the job that an action starts.

    :param job_type: what the user wants to follow; None derives it from the action.
    """
    if job_type is None:
        if action is PipelineAction.SYNC_NOW:
            job_type = JobType.INCREMENTAL
        else:
            job_type = JobType.RESYNC_WITH_DROP_AND_LOAD if drop_and_load else JobType.RESYNC
    return job_type.wire_names


def expected_job_types_of_objects(job_type: JobType | None = None) -> tuple[str, ...]:
    """
    Return the names under which Hevo may report the job that resyncs chosen objects.

    Hevo does not say which; any that reloads history will do.

    :param job_type: what the user wants to follow.
    """
    if job_type is not None:
        return job_type.wire_names
    return (*JobType.RESYNC.wire_names, JobType.RESYNC_WITH_DROP_AND_LOAD.value, JobType.HISTORICAL.value)


def any_of(names: Iterable[str]) -> str:
    """Return names for a sentence: ``A, B or C``."""
    *most, last = names
    return f"{', '.join(most)} or {last}" if most else last
