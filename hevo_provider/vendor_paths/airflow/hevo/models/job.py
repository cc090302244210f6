"""Where the vendor's package has its models of jobs: names only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hevo_provider.vendor.names import names_in

if TYPE_CHECKING:
    from hevo_provider.models.enums import JobStatus, JobType
    from hevo_provider.vendor.enums import JobCompletionStatus
    from hevo_provider.vendor.models import Job, PaginatedJobsResponse

__all__ = ["Job", "JobCompletionStatus", "JobStatus", "JobType", "PaginatedJobsResponse"]
__getattr__ = names_in(__name__, __all__)
