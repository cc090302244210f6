"""
Jobs of a pipeline: their types and statuses.

``Job`` is found here too, but is only built when somebody asks for it: DAG files import the enumerations, and are
parsed again and again.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hevo_provider.models.answers import Job

__all__ = ["Job", "JobStatus", "JobType"]


class JobType(StrEnum):
    """The kinds of job that Hevo runs for a pipeline."""

    INCREMENTAL = "INCREMENTAL"
    HISTORICAL = "HISTORICAL"
    RESYNC = "RESYNC"
    RESYNC_WITH_DROP_AND_LOAD = "RESYNC_WITH_DROP_AND_LOAD"
    REFRESHER = "REFRESHER"
    TRUNCATE_AND_LOAD = "TRUNCATE_AND_LOAD"
    RESYNC_WITH_EVOLVE = "RESYNC_WITH_EVOLVE"

    @property
    def wire_names(self) -> tuple[str, ...]:
        """The names under which revisions of the API report this type: they renamed the plain resync twice."""
        return _RESYNC_NAMES if self in _RESYNC_NAMES else (self.value,)


_RESYNC_NAMES = (JobType.RESYNC.value, JobType.TRUNCATE_AND_LOAD.value, JobType.RESYNC_WITH_EVOLVE.value)


class JobStatus(StrEnum):
    """The statuses that Hevo documents. Others may come: only :attr:`is_terminal` ones end a wait."""

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


ACTIVE_STATUSES = frozenset({JobStatus.QUEUED, JobStatus.PENDING, JobStatus.IN_PROGRESS, JobStatus.CANCELLING})
TERMINAL_STATUSES = frozenset(JobStatus) - ACTIVE_STATUSES


def __getattr__(name: str) -> Any:
    if name == "Job":
        from hevo_provider.models.answers import Job

        return Job
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
