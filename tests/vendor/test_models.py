"""The models of the vendor's package are made by keyword, of whatever there is, and of what Hevo sends."""

from __future__ import annotations

import json
from importlib import import_module
from typing import Any

import pytest

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
from hevo_provider.vendor.models import (
    FailureHandlingPolicy,
    Job,
    LatencyAlert,
    Namespace,
    ObjectField,
    PaginatedJobsResponse,
    PaginatedPipelinesResponse,
    Pipeline,
    PipelineObject,
    Schedule,
    Source,
    SourceSchemaStatus,
)
from hevo_provider.vendor.names import NAMES

MODELS = [name for name, entry in NAMES.items() if entry.home == "vendor.models"]
WORDS = [
    (Job, "type", JobType.RESYNC),
    (Job, "status", JobStatus.COMPLETED),
    (Schedule, "sync_type", SyncType.SCHEDULED),
    (Pipeline, "status", PipelineStatus.INITIALIZED),
    (Pipeline, "replication_type", ReplicationType.INCREMENTAL_ONLY),
    (Pipeline, "load_mode", LoadMode.MERGE),
    (Pipeline, "schema_evolution", SchemaEvolution.BLOCK_ALL),
    (ObjectField, "status", FieldStatus.ACTIVE),
    (PipelineObject, "status", ObjectStatus.RESETTING),
    (PipelineObject, "replication_status", ReplicationStatus.REPLICATED),
    (PipelineObject, "load_mode", LoadMode.APPEND),
]


@pytest.mark.parametrize("name", MODELS)
def test_a_model_is_made_of_nothing(name: str) -> None:
    made = getattr(import_module("hevo_provider.vendor.models"), name)()

    assert all(getattr(made, field) in (None, ()) for field in type(made).model_fields)


@pytest.mark.parametrize(("model", "field", "member"), WORDS, ids=str)
def test_a_known_word_is_the_member_that_it_names(model: Any, field: str, member: Any) -> None:
    by_keyword = getattr(model(**{field: member.value}), field)
    sent = getattr(model.from_json(json.dumps({field: member.value}).encode()), field)

    assert by_keyword is sent is member


@pytest.mark.parametrize(("model", "field", "member"), WORDS, ids=str)
def test_an_unknown_word_stays_a_text(model: Any, field: str, member: Any) -> None:
    by_keyword = getattr(model(**{field: "A_NEW_ONE"}), field)
    sent = getattr(model.from_json(json.dumps({field: "A_NEW_ONE"}).encode()), field)

    assert by_keyword == sent == "A_NEW_ONE"
    assert type(by_keyword) is type(sent) is str


def test_a_pipeline_is_read_with_its_policy_status_and_alert_as_objects() -> None:
    sent = {
        "id": 7,
        "failure_handling_policy": {"object_failure_level": "PERCENTAGE", "object_failure_threshold": 10},
        "source_schema_status": {"status": "REFRESHED", "refreshed_ts": 1_800_000_000_000},
        "latency_alert": {"enabled": True, "threshold_minutes": 30},
        "source": {"name": "shop", "source_type": "POSTGRES", "connector_id": 5},
        "something_new": {"of": "next year"},
    }

    pipeline = Pipeline.from_json(json.dumps(sent).encode())

    assert pipeline == Pipeline(
        id=7,
        failure_handling_policy=FailureHandlingPolicy(object_failure_level="PERCENTAGE", object_failure_threshold=10),
        source_schema_status=SourceSchemaStatus(status="REFRESHED", refreshed_ts=1_800_000_000_000),
        latency_alert=LatencyAlert(enabled=True, threshold_minutes=30),
        source=Source(name="shop", source_type="POSTGRES", connector_id=5),
    )


def test_an_object_is_read_with_its_namespaces_and_fields() -> None:
    sent = {
        "object_id": "o-1",
        "source_namespace": {"k0": "orders", "k1": "public", "k2": "shop"},
        "fields": [{"source_name": "id", "primary_key": True, "status": "ACTIVE"}],
    }

    read = PipelineObject.from_json(json.dumps(sent).encode())

    assert read.source_namespace == Namespace(k0="orders", k1="public", k2="shop")
    assert read.fields == (ObjectField(source_name="id", primary_key=True, status=FieldStatus.ACTIVE),)


def test_a_field_that_makes_no_sense_is_none_and_no_error() -> None:
    assert Job.from_json(b'{"job_id": "a", "duration": "soon", "status": 7}') == Job(job_id="a", status="7")
    assert Pipeline.from_json(b'{"id": 7, "latency_alert": "on"}') == Pipeline(id=7)


def test_a_page_holds_what_is_on_it() -> None:
    page = PaginatedJobsResponse.from_json(b'{"data": [{"job_id": "a"}], "has_more": true, "next_cursor": "c"}')

    assert (page.data, page.has_more, page.next_cursor) == ((Job(job_id="a"),), True, "c")
    assert PaginatedPipelinesResponse(data=(Pipeline(id=7),)).data[0].id == 7
