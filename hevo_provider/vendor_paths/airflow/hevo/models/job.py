"""Where the vendor's manual has jobs, their types and statuses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hevo_provider.models.job import JobStatus, JobType, __getattr__  # noqa: F401 - the model is built when asked for

if TYPE_CHECKING:
    from hevo_provider.models.job import Job

__all__ = ["Job", "JobStatus", "JobType"]
