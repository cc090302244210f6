"""
The models of the vendor's package. They are made by keyword, and every field may be missing.

What Hevo sends is read as this package's own models are: unknown fields are ignored, and a value that makes no sense is
None. A word that an enumeration does not know stays a text, which is no error.
"""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from pydantic import Field

from hevo_provider.models import answers
from hevo_provider.models.answers import Answer, Number
from hevo_provider.models.enums import JobStatus, JobType, PipelineStatus
from hevo_provider.vendor.enums import (
    FieldStatus,
    LoadMode,
    ObjectStatus,
    ReplicationStatus,
    ReplicationType,
    SchemaEvolution,
    SyncType,
)

T = TypeVar("T")
# Pydantic would take a text for what it is, and not for the member that it names, unless it is told where to begin.
Known = Annotated[T | str | None, Field(union_mode="left_to_right")]


class BaseResponse(Answer):
    """Base of the models: use ``hevo_provider.models.answers.Answer``."""


class Job(BaseResponse, answers.Job):
    """A job: use ``hevo_provider.models.job.Job``."""

    job_id: str | None = None  # type: ignore[assignment] # what Hevo sends has one; what a DAG makes may not
    type: Known[JobType] = None
    status: Known[JobStatus] = None
    min_latency: Number | None = None
    max_latency: Number | None = None
    mean_latency: float | None = None


class _Paginated(BaseResponse):
    has_more: bool | None = None
    next_cursor: str | None = None


class PaginatedJobsResponse(_Paginated):
    """A page of jobs: use ``HevoHook.list_jobs``."""

    data: tuple[Job, ...] = ()


class Source(BaseResponse):
    """The source of a pipeline."""

    name: str | None = None
    connector_id: str | int | None = None
    source_type: str | None = None
    config: dict[str, Any] | None = None


class Destination(BaseResponse):
    """The destination of a pipeline."""

    id: str | int | None = None
    name: str | None = None
    connector_id: str | int | None = None
    destination_type: str | None = None
    status: str | None = None


class Schedule(BaseResponse):
    """When Hevo runs a pipeline by itself."""

    sync_type: Known[SyncType] = None
    frequency_minutes: Number | None = None


class FailureHandlingPolicy(BaseResponse):
    """How many failures of an object a pipeline bears."""

    object_failure_level: str | None = None
    object_failure_threshold: Number | None = None


class SourceSchemaStatus(BaseResponse):
    """Whether Hevo has read the source's schema, and when (ms since the epoch)."""

    status: str | None = None
    refreshed_ts: Number | None = None


class LatencyAlert(BaseResponse):
    """Whether Hevo warns of a pipeline that lags behind."""

    enabled: bool | None = None
    threshold_minutes: Number | None = None


class Pipeline(BaseResponse):
    """A pipeline: use ``hevo_provider.models.pipeline.Pipeline``."""

    id: Number | None = None
    name: str | None = None
    status: Known[PipelineStatus] = None
    source: Source | None = None
    destination: Destination | None = None
    destination_prefix: str | None = None
    replication_type: Known[ReplicationType] = None
    load_mode: Known[LoadMode] = None
    schema_evolution: Known[SchemaEvolution] = None
    schedule: Schedule | None = None
    failure_handling_policy: FailureHandlingPolicy | None = None
    source_schema_status: SourceSchemaStatus | None = None
    latency_alert: LatencyAlert | None = None
    created_by_email: str | None = None
    updated_by_email: str | None = None
    created_ts: Number | None = None
    updated_ts: Number | None = None


class PaginatedPipelinesResponse(_Paginated):
    """A page of pipelines: use ``HevoHook.list_pipelines``."""

    data: tuple[Pipeline, ...] = ()


class Namespace(BaseResponse):
    """Where an object lives: use ``hevo_provider.models.object.Namespace``."""

    k0: str | None = None
    k1: str | None = None
    k2: str | None = None


class ObjectField(BaseResponse):
    """A field of an object: use ``hevo_provider.models.object.Field``."""

    source_name: str | None = None
    source_type: str | None = None
    destination_name: str | None = None
    destination_type: str | None = None
    status: Known[FieldStatus] = None
    primary_key: bool | None = None


class PipelineObject(BaseResponse):
    """An object of a pipeline: use ``hevo_provider.models.object.PipelineObject``."""

    object_id: str | None = None
    source_namespace: Namespace | None = None
    destination_namespace: Namespace | None = None
    field_count: Number | None = None
    status: Known[ObjectStatus] = None
    replication_status: Known[ReplicationStatus] = None
    object_name: str | None = None
    destination_table_name: str | None = None
    load_mode: Known[LoadMode] = None
    fields: tuple[ObjectField, ...] | None = None


class PaginatedObjectsResponse(_Paginated):
    """A page of objects: use ``HevoHook.list_objects``."""

    data: tuple[PipelineObject, ...] = ()
