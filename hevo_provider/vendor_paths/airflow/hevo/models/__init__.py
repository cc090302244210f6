"""Where the vendor's package has its models, all of them: names only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hevo_provider.vendor.names import names_in, path_of

if TYPE_CHECKING:
    from hevo_provider.models.enums import JobStatus, JobType, PipelineAction, PipelineStatus
    from hevo_provider.vendor.enums import (
        FieldStatus,
        JobCompletionStatus,
        LoadMode,
        ObjectLoadMode,
        ObjectStatus,
        PipelineLoadMode,
        ReplicationStatus,
        ReplicationType,
        ResyncMode,
        SchemaEvolution,
        SyncType,
    )
    from hevo_provider.vendor.models import (
        BaseResponse,
        Destination,
        FailureHandlingPolicy,
        Job,
        LatencyAlert,
        Namespace,
        ObjectField,
        PaginatedJobsResponse,
        PaginatedObjectsResponse,
        PaginatedPipelinesResponse,
        Pipeline,
        PipelineObject,
        Schedule,
        Source,
        SourceSchemaStatus,
    )

__all__ = [
    "BaseResponse",
    "Destination",
    "FailureHandlingPolicy",
    "FieldStatus",
    "Job",
    "JobCompletionStatus",
    "JobStatus",
    "JobType",
    "LatencyAlert",
    "LoadMode",
    "Namespace",
    "ObjectField",
    "ObjectLoadMode",
    "ObjectStatus",
    "PaginatedJobsResponse",
    "PaginatedObjectsResponse",
    "PaginatedPipelinesResponse",
    "Pipeline",
    "PipelineAction",
    "PipelineLoadMode",
    "PipelineObject",
    "PipelineStatus",
    "ReplicationStatus",
    "ReplicationType",
    "ResyncMode",
    "Schedule",
    "SchemaEvolution",
    "Source",
    "SourceSchemaStatus",
    "SyncType",
]
__path__ = path_of(__name__, __path__)
__getattr__ = names_in(__name__, __all__)
