"""
Jobs of a pipeline: their types and statuses.

``Job`` is found here too, but is only built when somebody asks for it: DAG files import the enumerations, and are
parsed again and again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hevo_provider.models.enums import JobStatus, JobType

if TYPE_CHECKING:
    from hevo_provider.models.answers import Job

__all__ = ["Job", "JobStatus", "JobType"]


def __getattr__(name: str) -> Any:
    if name == "Job":
        from hevo_provider.models.answers import Job

        return Job
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
