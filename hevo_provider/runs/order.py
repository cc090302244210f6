"""``Order``: what the DAG asks for. It does not change while a run goes on; a retry may ask for something else."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from hevo_provider.models.enums import JobType, OnActiveJob, OnDeferred, PipelineAction
from hevo_provider.parameters import DEFAULT_CONNECTION_ID

SHOWS_WITHIN = 20.0  # seconds within which Hevo shows a new job, with a margin: 5 to 15 were seen


class Action(StrEnum):
    """What a run sends to Hevo. To reload chosen objects is an operator of its own, and no ``PipelineAction``."""

    SYNC_NOW = PipelineAction.SYNC_NOW.value
    RESYNC = PipelineAction.RESYNC.value
    RESYNC_OBJECTS = "RESYNC_OBJECTS"


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """
    What is asked for.

    :param pipeline_id: the pipeline.
    :param connection_id: the Airflow connection that leads to it.
    :param action: what is sent; None for a run that starts nothing and only follows a job (a sensor).
    :param job_types: the names under which Hevo may report the job's type.
    :param second_job_types: those of a type that will do where no job of the first has shown by the end of the search.
    :param drop_and_load: for a resync, whether the destination tables are dropped first.
    :param objects: patterns of the names of the objects to resync.
    :param object_ids: ids of objects to resync.
    :param on_active_job: what to do when a job is active before anything was sent.
    :param wait_for_completion: False ends the run as soon as the job is found.
    :param cancel_on_kill: whether the job that was started is cancelled when the task is killed or timed out.
    :param accept_completed_with_failures: whether COMPLETED_WITH_FAILURES is a success; None where version 1.0.0 has
        stored the run of an operator, which did not say.
    :param completed_after: for a run that only follows: any job will do that completed at this time (Hevo's clock, ms)
        or later, and none that ended otherwise ends the wait.
    :param on_deferred: what it means that the source's own rate limit has stopped the job.
    :param retry_failed_objects: whether a retry after a job of which some objects failed reloads these alone.
    :param fresh_within: seconds: where a job of the type has completed as lately as that, none is started.
    :param fail_on_bad_job: with ``completed_after``: one that ended otherwise, with none completed after it, ends the
        wait.
    :param poll_interval: seconds between polls of the running job.
    :param poll_growth: by what factor these grow, each time.
    :param longest_poll_interval: seconds beyond which they do not grow.
    :param retry_limit: how many polls may be made to find the job.
    :param find_delay: seconds before the first of these.
    :param find_interval: seconds between them grow from ``find_delay`` to this; None means ``poll_interval``.
    :param find_window: seconds before which a search that was answered never ends.
    :param api_outage_tolerance: seconds without a usable answer after which the wait fails.
    :param deadline: seconds since the epoch after which the wait ends as timed out.
    """

    pipeline_id: int
    connection_id: str = DEFAULT_CONNECTION_ID
    action: Action | None = None
    job_types: tuple[str, ...] = ()
    drop_and_load: bool = False
    on_active_job: OnActiveJob = OnActiveJob.FAIL
    wait_for_completion: bool = True
    cancel_on_kill: bool = True
    poll_interval: float = 15.0
    poll_growth: float = 1.0
    longest_poll_interval: float | None = None
    retry_limit: int = 10
    find_delay: float = 1.0
    find_interval: float | None = None
    find_window: float = 0.0
    api_outage_tolerance: float = 1800.0
    deadline: float | None = None
    completed_after: int | None = None
    accept_completed_with_failures: bool | None = None
    objects: tuple[str, ...] = ()
    object_ids: tuple[str, ...] = ()
    second_job_types: tuple[str, ...] = ()
    on_deferred: OnDeferred = OnDeferred.FAIL
    fresh_within: float | None = None
    retry_failed_objects: bool = False
    fail_on_bad_job: bool = False

    def pause_after(self, polls: int) -> float:
        """
        Return the seconds from a poll of the running job to the next.

        :param polls: how many there have been.
        """
        pause = self.poll_interval * self.poll_growth ** min(polls - 1, 30)
        return pause if self.longest_poll_interval is None else min(pause, self.longest_poll_interval)

    def starts_the_same_as(self, other: Order) -> bool:
        """Return whether both send the same action, by the same connection, to the same pipeline."""
        return self._what_is_started() == other._what_is_started()

    def _what_is_started(self) -> tuple[object, ...]:
        chosen = frozenset(self.objects), frozenset(self.object_ids)  # in whatever order
        return self.connection_id, self.pipeline_id, self.action, self.drop_and_load, *chosen

    def to_go_on(self) -> Order:
        """Return what is asked for once a job was deferred: a sync goes on from there, also after a resync."""
        if self.action is Action.SYNC_NOW:
            return self
        return replace(
            self,
            action=Action.SYNC_NOW,
            job_types=JobType.INCREMENTAL.wire_names,
            second_job_types=expected_job_types_of_objects(),  # what goes on with a resync may be called so again
            drop_and_load=False,
            objects=(),
            object_ids=(),
        )

    def to_reload(self, object_ids: Iterable[str]) -> Order:
        """Return what is asked for where all other objects of a reload are loaded."""
        is_of_objects = self.action is Action.RESYNC_OBJECTS
        return replace(
            self,
            action=Action.RESYNC_OBJECTS,
            job_types=self.job_types if is_of_objects else expected_job_types_of_objects(),
            objects=(),
            object_ids=tuple(object_ids),
        )

    def is_over(self, now: float) -> bool:
        """
        Return whether the deadline has passed.

        :param now: seconds since the epoch.
        """
        return self.deadline is not None and now >= self.deadline

    @property
    def all_job_types(self) -> tuple[str, ...]:
        """
        The names under which Hevo may report the job's type.

        Older revisions of the API call a resync that drops the tables TRUNCATE_AND_LOAD; version 1.0.0 did not store
        that, and what it stored is stored alike today.
        """
        also = JobType.RESYNC_WITH_DROP_AND_LOAD.wire_names
        return tuple(dict.fromkeys((*self.job_types, *also))) if also[0] in self.job_types else self.job_types

    @property
    def may_restart(self) -> bool:
        """Whether the pipeline may pass through RESTARTING for the action."""
        return self.action in {Action.RESYNC, Action.RESYNC_OBJECTS}


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
    # Of the first only its own name, as version 1.0.0 stored it: see ``Order.all_job_types``.
    return (job_type.value,) if job_type is JobType.RESYNC_WITH_DROP_AND_LOAD else job_type.wire_names


def second_job_types(action: PipelineAction, job_type: JobType | None = None) -> tuple[str, ...]:
    """
    Return the names of a type that the job may have as well, although another is expected.

    Hevo brings a HISTORICAL job for a sync where the first load has not ended or was deferred or cancelled, and where
    objects were included since (API.md, sync-type).

    :param job_type: what the user wants to follow: then nothing else will do.
    """
    return JobType.HISTORICAL.wire_names if action is PipelineAction.SYNC_NOW and job_type is None else ()


def expected_job_types_of_objects(job_type: JobType | None = None) -> tuple[str, ...]:
    """
    Return the names under which Hevo may report the job that resyncs chosen objects.

    Hevo does not say which; any that reloads history will do.

    :param job_type: what the user wants to follow.
    """
    if job_type is not None:
        return job_type.wire_names
    return (*JobType.TRUNCATE_AND_LOAD.wire_names, JobType.HISTORICAL.value)
