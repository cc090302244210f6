"""The enumerations of the vendor's package that this one has no use for. DAG files load them: nothing heavy here."""

from __future__ import annotations

from enum import StrEnum


class JobCompletionStatus(StrEnum):
    """How far a job is from its end."""

    COMPLETED = "completed"
    COMPLETED_WITH_FAILURES = "completed_with_failures"
    FAILED = "failed"
    PENDING = "pending"


class SyncType(StrEnum):
    """Whether Hevo runs a pipeline by itself."""

    ON_DEMAND = "ON_DEMAND"
    SCHEDULED = "SCHEDULED"


class ReplicationType(StrEnum):
    """Whether a pipeline loads what was there before it."""

    HISTORICAL_AND_INCREMENTAL = "HISTORICAL_AND_INCREMENTAL"
    INCREMENTAL_ONLY = "INCREMENTAL_ONLY"


class LoadMode(StrEnum):
    """How rows get into the destination."""

    APPEND = "APPEND"
    MERGE = "MERGE"


PipelineLoadMode = ObjectLoadMode = LoadMode


class SchemaEvolution(StrEnum):
    """Which changes of the source's schema reach the destination."""

    ALLOW_ALL = "ALLOW_ALL"
    ALLOW_COLUMN_LEVEL = "ALLOW_COLUMN_LEVEL"
    BLOCK_ALL = "BLOCK_ALL"


class ResyncMode(StrEnum):
    """What a resync does with the destination's tables."""

    EVOLVE_AND_MERGE = "EVOLVE_AND_MERGE"
    DROP_AND_LOAD = "DROP_AND_LOAD"


class ObjectStatus(StrEnum):
    """The states of an object."""

    ACTIVE = "ACTIVE"
    BLOCKED = "BLOCKED"
    DISABLED = "DISABLED"
    DELETED = "DELETED"
    INACCESSIBLE = "INACCESSIBLE"
    INACTIVE = "INACTIVE"
    INCONSISTENT = "INCONSISTENT"
    RESETTING = "RESETTING"
    EXCLUDED = "EXCLUDED"
    SKIPPED = "SKIPPED"


class ReplicationStatus(StrEnum):
    """How far the replication of an object has come."""

    PENDING = "PENDING"
    REPLICATED = "REPLICATED"
    CANCELLED = "CANCELLED"
    BLOCKED = "BLOCKED"
    FAILED = "FAILED"
    INCONSISTENT = "INCONSISTENT"


class FieldStatus(StrEnum):
    """The states of a field of an object."""

    ACTIVE = "ACTIVE"
    INACTIVE = "INACTIVE"
    DELETED = "DELETED"
    EXCLUDED = "EXCLUDED"
    SKIPPED = "SKIPPED"
