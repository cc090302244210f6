"""The fields of the API as ``API.md`` has them: what they hold, which may be left out, which hold the API's words."""

from __future__ import annotations

from dataclasses import dataclass, field

from hevo_provider.doctor.exchange import Call

TEXT, NUMBER, TRUTH, LIST, OBJECT = "text", "number", "true or false", "list", "object"
TEXT_OR_NUMBER = "text or number"


@dataclass(frozen=True, slots=True)
class Shape:
    """
    What is known of one thing that the API tells of.

    :param calls: the calls that tell of it.
    :param fields: what each of its fields holds where it is not null; a dot leads into an inner object.
    :param optional: the fields that may be left out, by the contract; an inner field whose object is null is no loss.
    :param words: the fields whose values are words of the API, not the account's own.
    :param instead: pairs of a field and the one that stands in for it.
    """

    calls: tuple[Call, ...]
    fields: dict[str, str]
    optional: frozenset[str] = frozenset()
    words: frozenset[str] = frozenset()
    instead: tuple[tuple[str, str], ...] = ()
    inside: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        inside = frozenset(name.partition(".")[0] for name in self.fields if "." in name)
        object.__setattr__(self, "inside", inside)


PIPELINE = Shape(
    (Call.PIPELINES, Call.PIPELINE),
    {
        "id": NUMBER,
        "name": TEXT,
        "status": TEXT,
        "source": OBJECT,
        "source.id": TEXT_OR_NUMBER,
        "source.name": TEXT,
        "source.connector_id": TEXT_OR_NUMBER,
        "source.source_type": TEXT,
        "source.config": OBJECT,
        "destination": OBJECT,
        "destination.id": TEXT_OR_NUMBER,
        "destination.name": TEXT,
        "destination.connector_id": TEXT_OR_NUMBER,
        "destination.destination_type": TEXT,
        "destination.status": TEXT,
        "destination_prefix": TEXT,
        "replication_type": TEXT,
        "load_mode": TEXT,
        "schema_evolution": TEXT,
        "schedule": OBJECT,
        "schedule.sync_type": TEXT,
        "schedule.frequency_minutes": NUMBER,
        "failure_handling_policy": OBJECT,
        "failure_handling_policy.object_failure_level": TEXT,
        "failure_handling_policy.object_failure_threshold": NUMBER,
        "source_schema_status": OBJECT,
        "source_schema_status.status": TEXT,
        "source_schema_status.refreshed_ts": NUMBER,
        "latency_alert": OBJECT,
        "latency_alert.enabled": TRUTH,
        "latency_alert.threshold_minutes": NUMBER,
        "created_by_email": TEXT,
        "updated_by_email": TEXT,
        "created_ts": NUMBER,
        "updated_ts": NUMBER,
    },
    frozenset(
        {
            "source.id",
            "source.config",
            "destination.status",
            "schedule.frequency_minutes",
            "latency_alert",
            "latency_alert.enabled",
            "latency_alert.threshold_minutes",
            "failure_handling_policy.object_failure_level",
            "failure_handling_policy.object_failure_threshold",
            "source_schema_status.refreshed_ts",
            "destination_prefix",
        }
    ),
    frozenset(
        {
            "status",
            "source.source_type",
            "destination.destination_type",
            "destination.status",
            "replication_type",
            "load_mode",
            "schema_evolution",
            "schedule.sync_type",
            "failure_handling_policy.object_failure_level",
            "source_schema_status.status",
        }
    ),
)

JOB = Shape(
    (Call.JOBS, Call.JOB),
    {
        "job_id": TEXT,
        "type": TEXT,
        "status": TEXT,
        **dict.fromkeys(("created_ts", "updated_ts", "events_ingested", "events_loaded", "events_failed"), NUMBER),
        **dict.fromkeys(("objects_success", "objects_queued", "objects_skipped", "objects_failed"), NUMBER),
        **dict.fromkeys(("billable_events", "non_billable_events", "duration"), NUMBER),
        **dict.fromkeys(("min_latency", "max_latency", "mean_latency"), NUMBER),
    },
    frozenset({"billable_events", "non_billable_events", "min_latency", "max_latency", "mean_latency"}),
    frozenset({"type", "status"}),
)

_NAMESPACES = {
    f"{outer}.{key}": TEXT for outer in ("source_namespace", "destination_namespace") for key in ("k0", "k1", "k2")
}
_LISTED = {
    "object_id": TEXT,
    "source_namespace": OBJECT,
    "destination_namespace": OBJECT,
    **_NAMESPACES,
    "field_count": NUMBER,
    "status": TEXT,
    "replication_status": TEXT,
}
_OBJECT_WORDS = frozenset({"status", "replication_status", "load_mode", "fields.status"})
_NOT_ALWAYS = frozenset(_NAMESPACES)  # a source without schemas has fewer levels
_ALONE = {"object_name": TEXT, "destination_table_name": TEXT, "load_mode": TEXT, "fields": LIST}
_OF_A_FIELD = ("source_name", "source_type", "destination_name", "destination_type", "status")
_ALONE |= {**{f"fields.{name}": TEXT for name in _OF_A_FIELD}, "fields.primary_key": TRUTH}

LISTED_OBJECT = Shape((Call.OBJECTS,), {**_LISTED, **_ALONE}, _NOT_ALWAYS | set(_ALONE), _OBJECT_WORDS)
OBJECT_ALONE = Shape((Call.OBJECT, Call.OBJECT_BY_NAME), {**_LISTED, **_ALONE}, _NOT_ALWAYS, _OBJECT_WORDS)

JOB_OBJECT = Shape(
    (Call.JOB_OBJECTS,),
    {
        "object_name": TEXT,
        "name": TEXT,
        "rows_processed": NUMBER,
        "rows_failed": NUMBER,
        "rows": NUMBER,
        "status": TEXT,
        "object_id": TEXT,
        "error": TEXT,
    },
    frozenset({"object_id", "error", "rows_failed", "name", "rows"}),
    frozenset({"status"}),
    (("object_name", "name"), ("rows_processed", "rows")),
)

SHAPES = {
    "pipeline": PIPELINE,
    "job": JOB,
    "listed object": LISTED_OBJECT,
    "object": OBJECT_ALONE,
    "object of a job": JOB_OBJECT,
}
PIPELINE_WORDS = {
    "replication_type": frozenset({"HISTORICAL_AND_INCREMENTAL", "INCREMENTAL_ONLY"}),
    "load_mode": frozenset({"APPEND", "MERGE"}),
    "schema_evolution": frozenset({"ALLOW_ALL", "ALLOW_COLUMN_LEVEL", "BLOCK_ALL"}),
    "schedule.sync_type": frozenset({"ON_DEMAND", "SCHEDULED"}),
}
OBJECT_STATUSES = frozenset(
    {"ACTIVE", "BLOCKED", "DISABLED", "DELETED", "INACCESSIBLE", "INACTIVE", "INCONSISTENT", "RESETTING"}
) | {"EXCLUDED", "SKIPPED"}
REPLICATION_STATUSES = frozenset({"PENDING", "REPLICATED", "CANCELLED", "BLOCKED", "FAILED", "INCONSISTENT"})
