"""The names that Hevo and a DAG's author use. Every parse of a DAG file loads them: nothing heavy is imported here."""

from __future__ import annotations

from enum import StrEnum


class JobType(StrEnum):
    """The kinds of job that Hevo runs for a pipeline (API.md, job-types)."""

    INCREMENTAL = "INCREMENTAL"
    HISTORICAL = "HISTORICAL"
    RESYNC = "RESYNC"
    RESYNC_WITH_DROP_AND_LOAD = "RESYNC_WITH_DROP_AND_LOAD"
    REFRESHER = "REFRESHER"
    TRUNCATE_AND_LOAD = "TRUNCATE_AND_LOAD"
    RESYNC_WITH_EVOLVE = "RESYNC_WITH_EVOLVE"

    @property
    def wire_names(self) -> tuple[str, ...]:
        """The names under which revisions of the API report this type: they renamed both kinds of resync."""
        return _WIRE_NAMES.get(self, (self.value,))


_PLAIN = (JobType.RESYNC.value, JobType.TRUNCATE_AND_LOAD.value, JobType.RESYNC_WITH_EVOLVE.value)
_DROPPING = (JobType.RESYNC_WITH_DROP_AND_LOAD.value, JobType.TRUNCATE_AND_LOAD.value)
_WIRE_NAMES = {
    JobType.RESYNC: _PLAIN,
    JobType.RESYNC_WITH_EVOLVE: _PLAIN,
    JobType.RESYNC_WITH_DROP_AND_LOAD: _DROPPING,
    JobType.TRUNCATE_AND_LOAD: (*_PLAIN, JobType.RESYNC_WITH_DROP_AND_LOAD.value),  # once the name of every resync
}


class JobStatus(StrEnum):
    """The statuses of jobs (API.md, job-statuses). Others may come: only :attr:`is_terminal` ones end a wait."""

    QUEUED = "QUEUED"
    PENDING = "PENDING"
    IN_PROGRESS = "IN_PROGRESS"
    CANCELLING = "CANCELLING"
    COMPLETED = "COMPLETED"
    COMPLETED_WITH_FAILURES = "COMPLETED_WITH_FAILURES"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    SKIPPED = "SKIPPED"
    DEFERRED = "DEFERRED"
    DEFERRED_WITH_FAILURES = "DEFERRED_WITH_FAILURES"

    @property
    def is_terminal(self) -> bool:
        """Whether a job in this status has ended."""
        return self not in ACTIVE_STATUSES


DEFERRED_STATUSES = frozenset({JobStatus.DEFERRED, JobStatus.DEFERRED_WITH_FAILURES})
ACTIVE_STATUSES = frozenset({JobStatus.QUEUED, JobStatus.PENDING, JobStatus.IN_PROGRESS, JobStatus.CANCELLING})
TERMINAL_STATUSES = frozenset(JobStatus) - ACTIVE_STATUSES


class PipelineAction(StrEnum):
    """What a task can ask Hevo to do with a pipeline."""

    SYNC_NOW = "SYNC_NOW"
    RESYNC = "RESYNC"


# What an action never brings, under no revision of the API (API.md, sync-type and job-types). Of other types it is not
# known for sure.
NEVER_BROUGHT_BY = {
    PipelineAction.SYNC_NOW: frozenset(
        {
            JobType.RESYNC,
            JobType.RESYNC_WITH_DROP_AND_LOAD,
            JobType.RESYNC_WITH_EVOLVE,
            JobType.TRUNCATE_AND_LOAD,
        }
    ),
    PipelineAction.RESYNC: frozenset({JobType.INCREMENTAL}),
}


class PipelineStatus(StrEnum):
    """
    The states of a pipeline (API.md, pipeline-statuses).

    Only an ``INITIALIZED`` one can run; a resync passes through ``RESTARTING``.
    """

    INITIALIZING = "INITIALIZING"
    INITIALIZED = "INITIALIZED"
    INITIALIZE_FAILED = "INITIALIZE_FAILED"
    DISABLING = "DISABLING"
    DISABLED = "DISABLED"
    DISABLE_FAILED = "DISABLE_FAILED"
    ENABLING = "ENABLING"
    ENABLED = "ENABLED"
    ENABLE_FAILED = "ENABLE_FAILED"
    DELETING = "DELETING"
    DELETED = "DELETED"
    DELETE_FAILED = "DELETE_FAILED"
    RESTARTING = "RESTARTING"
    RESTART_FAILED = "RESTART_FAILED"


class OnDeferred(StrEnum):
    """What a job means that the source's own rate limit has stopped (API.md, deferred)."""

    FAIL = "fail"
    ACCEPT = "accept"
    CONTINUE = "continue"


class OnFresh(StrEnum):
    """What a task does where a job has completed so lately that none is started."""

    SUCCEED = "succeed"
    SKIP = "skip"


class OnActiveJob(StrEnum):
    """What to do when a job of the pipeline is active before anything was sent."""

    FAIL = "fail"
    WAIT = "wait"
    CANCEL = "cancel"
    FOLLOW = "follow"
    START = "start"
