"""Where the vendor's package has its models of pipelines: names only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hevo_provider.vendor.names import names_in

if TYPE_CHECKING:
    from hevo_provider.models.enums import PipelineAction, PipelineStatus
    from hevo_provider.vendor.enums import (
        LoadMode,
        PipelineLoadMode,
        ReplicationType,
        ResyncMode,
        SchemaEvolution,
        SyncType,
    )
    from hevo_provider.vendor.models import (
        Destination,
        FailureHandlingPolicy,
        LatencyAlert,
        PaginatedPipelinesResponse,
        Pipeline,
        Schedule,
        Source,
        SourceSchemaStatus,
    )

__all__ = [
    "Destination",
    "FailureHandlingPolicy",
    "LatencyAlert",
    "LoadMode",
    "PaginatedPipelinesResponse",
    "Pipeline",
    "PipelineAction",
    "PipelineLoadMode",
    "PipelineStatus",
    "ReplicationType",
    "ResyncMode",
    "Schedule",
    "SchemaEvolution",
    "Source",
    "SourceSchemaStatus",
    "SyncType",
]
__getattr__ = names_in(__name__, __all__)
