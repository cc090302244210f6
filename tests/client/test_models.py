"""What answers are read into: new and missing fields are no reason to fail, missing ids are."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hevo_provider.exceptions import HevoResponseError
from hevo_provider.models.answers import JobPage
from hevo_provider.models.enums import ACTIVE_STATUSES, TERMINAL_STATUSES
from hevo_provider.models.job import Job, JobStatus, JobType
from hevo_provider.models.object import PipelineObject
from hevo_provider.models.pipeline import Pipeline, PipelineAction, PipelineStatus


def read(model: Any, **fields: Any) -> Any:
    return model.from_json(json.dumps(fields).encode())


def test_a_field_that_is_new_is_ignored() -> None:
    job = read(Job, job_id="a", status="IN_PROGRESS", stage="LOADING", details={"a": [1]})

    assert (job.job_id, job.status) == ("a", "IN_PROGRESS")


@pytest.mark.parametrize("model", [Job, Pipeline, PipelineObject])
def test_every_field_but_the_id_may_be_missing_or_null(model: Any) -> None:
    [required] = [name for name, field in model.model_fields.items() if field.is_required()]
    others = [name for name in model.model_fields if name != required]

    bare = read(model, **{required: 7})
    nulls = read(model, **{required: 7}, **dict.fromkeys(others))

    assert bare == nulls
    assert all(getattr(bare, name) is None for name in others)


@pytest.mark.parametrize(("model", "name"), [(Job, "job_id"), (Pipeline, "id"), (PipelineObject, "object_id")])
@pytest.mark.parametrize("value", ["", None, [], {}, "a b", "../a"])
def test_an_answer_without_its_id_is_refused(model: Any, name: str, value: object) -> None:
    with pytest.raises(HevoResponseError, match=rf"lacks what is needed \({name}\)"):
        read(model, **{name: value}, status="X")


def test_nonsense_in_one_field_leaves_the_others_as_they_are() -> None:
    job = read(Job, job_id="a", status="COMPLETED", events_loaded="many", duration={}, created_ts=5)

    assert (job.status, job.events_loaded, job.duration, job.created_ts) == ("COMPLETED", None, None, 5)


def test_nonsense_deep_inside_leaves_the_rest_as_it_is() -> None:
    pipeline = read(Pipeline, id=7, source={"name": ["x"], "source_type": "MYSQL"}, destination="warehouse")

    assert pipeline.source is not None
    assert (pipeline.source.name, pipeline.source.source_type, pipeline.destination) == (None, "MYSQL", None)


def test_nonsense_in_one_job_of_a_list_leaves_the_other_jobs_as_they_are() -> None:
    page = read(JobPage, data=[{"job_id": "a", "status": 5.5, "type": []}, {"job_id": "b", "status": "FAILED"}])

    assert [(job.job_id, job.type, job.status) for job in page.data] == [("a", None, "5.5"), ("b", None, "FAILED")]


def test_numbers_may_come_as_texts_and_texts_as_numbers() -> None:
    job = read(Job, job_id=12345, created_ts="1800000000000", events_loaded=7.0)

    assert (job.job_id, job.created_ts, job.events_loaded) == ("12345", 1_800_000_000_000, 7)


@pytest.mark.parametrize("body", [b"", b"null", b"5", b"[]", b"<html>", b'{"job_id": "a"'])
def test_what_is_no_object_is_refused_with_its_first_words(body: bytes) -> None:
    with pytest.raises(HevoResponseError) as raised:
        Job.from_json(body)

    assert repr(body[:20].decode()) in str(raised.value)


def test_a_model_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        read(Job, job_id="a").status = "COMPLETED"


@pytest.mark.parametrize("status", JobStatus)
def test_a_job_has_ended_in_exactly_the_statuses_that_the_api_calls_ends(status: JobStatus) -> None:
    ends = {
        "COMPLETED",
        "COMPLETED_WITH_FAILURES",
        "FAILED",
        "CANCELLED",
        "SKIPPED",
        "DEFERRED",
        "DEFERRED_WITH_FAILURES",
    }

    assert status.is_terminal == (status in ends)
    assert read(Job, job_id="a", status=status).is_terminal == (status in ends)
    assert (status in TERMINAL_STATUSES) != (status in ACTIVE_STATUSES)


@pytest.mark.parametrize("status", ["PAUSED_FOR_REVIEW", "completed", "", None])
def test_a_status_that_nobody_knows_is_not_an_end(status: str | None) -> None:
    assert not read(Job, job_id="a", status=status).is_terminal


@pytest.mark.parametrize(
    ("job_type", "names"),
    [
        (JobType.INCREMENTAL, {"INCREMENTAL"}),
        (JobType.HISTORICAL, {"HISTORICAL"}),
        (JobType.RESYNC, {"RESYNC", "TRUNCATE_AND_LOAD", "RESYNC_WITH_EVOLVE"}),
        (
            JobType.TRUNCATE_AND_LOAD,
            {"RESYNC", "TRUNCATE_AND_LOAD", "RESYNC_WITH_EVOLVE", "RESYNC_WITH_DROP_AND_LOAD"},
        ),
        (JobType.RESYNC_WITH_DROP_AND_LOAD, {"RESYNC_WITH_DROP_AND_LOAD", "TRUNCATE_AND_LOAD"}),
    ],
)
def test_a_resync_is_known_by_each_of_its_names(job_type: JobType, names: set[str]) -> None:
    assert set(job_type.wire_names) == names


def test_the_enumerations_compare_with_what_the_api_sends() -> None:
    assert JobStatus.COMPLETED == "COMPLETED"
    assert PipelineStatus("INITIALIZED") is PipelineStatus.INITIALIZED
    assert f"{PipelineAction.SYNC_NOW}" == "SYNC_NOW"
