"""What actions do to a pipeline, and when they are refused."""

from __future__ import annotations

from typing import Any

import pytest

from hevo_provider.sandbox import MISSING, Sandbox
from tests.sandbox.caller import Caller, VirtualClock


@pytest.mark.parametrize(
    ("action", "body", "started"),
    [
        ("sync-now", None, "INCREMENTAL"),
        ("resync", None, "RESYNC"),
        ("resync", {"drop_and_load": False}, "RESYNC"),
        ("resync", {"drop_and_load": True}, "RESYNC_WITH_DROP_AND_LOAD"),
        ("resync", {"resync_mode": "EVOLVE_AND_MERGE"}, "RESYNC"),
        ("resync", {"resync_mode": "DROP_AND_LOAD"}, "RESYNC_WITH_DROP_AND_LOAD"),
    ],
)
def test_an_action_starts_a_job_of_its_type(
    hevo: Sandbox, call: Caller, action: str, body: dict[str, object] | None, started: str
) -> None:
    pipeline = hevo.add_pipeline(7)

    answer = call.post(f"/7/actions/{action}", body)

    assert answer.status == 200
    assert "job" not in answer.json
    assert [(job.type, job.started_by) for job in pipeline.jobs] == [(started, "api")]


def test_actions_may_answer_without_a_body(hevo: Sandbox, call: Caller) -> None:
    pipeline = hevo.add_pipeline(7)
    hevo.action_answer = 204

    answer = call.post("/7/actions/sync-now")

    assert (answer.status, answer.body) == (204, b"")
    assert len(pipeline.jobs_started_by_api) == 1


@pytest.mark.parametrize(
    ("revision", "body"),
    [
        ("drop_and_load", {"resync_mode": "DROP_AND_LOAD"}),
        ("resync_mode", {"drop_and_load": True}),
        ("either", {"resync_mode": "SIDEWAYS"}),
        ("either", {"drop_and_load": "yes"}),
        ("either", []),
    ],
)
def test_a_resync_body_that_the_revision_does_not_know(
    hevo: Sandbox, call: Caller, revision: str, body: object
) -> None:
    pipeline = hevo.add_pipeline(7)
    hevo.resync_body = revision  # type: ignore[assignment]

    assert call.post("/7/actions/resync", body).status == 400
    assert pipeline.jobs == []


@pytest.mark.parametrize("refusal", [409, 500])
def test_a_second_start_is_refused_while_a_job_is_active(hevo: Sandbox, call: Caller, refusal: int) -> None:
    pipeline = hevo.add_pipeline(7, refusal=refusal, refusal_message="job is in progress")
    call.post("/7/actions/sync-now")

    answer = call.post("/7/actions/sync-now")

    assert answer.status == refusal
    assert answer.json["message"] == "job is in progress"
    assert len(pipeline.jobs) == 1


def test_parallel_jobs_are_accepted_where_told(hevo: Sandbox, call: Caller) -> None:
    pipeline = hevo.add_pipeline(7, parallel_jobs=True)

    answers = [call.post("/7/actions/sync-now").status for _ in range(2)]

    assert answers == [200, 200]
    assert len(pipeline.active_jobs) == 2


@pytest.mark.parametrize("action", ["actions/sync-now", "actions/resync", "objects/actions/resync"])
def test_only_an_initialized_pipeline_runs(hevo: Sandbox, call: Caller, action: str) -> None:
    pipeline = hevo.add_pipeline(7)
    pipeline.status = "DISABLED"

    answer = call.post(f"/7/{action}", {"objects": ["orders"]} if "objects" in action else None)

    assert answer.status == 400
    assert "DISABLED" in answer.json["message"]


@pytest.mark.parametrize("of", ["pipeline", "objects"])
def test_a_resync_restarts_the_pipeline_before_its_job(
    hevo: Sandbox, call: Caller, clock: VirtualClock, of: str
) -> None:
    pipeline = hevo.add_pipeline(7, restarting_for=30.0, appear_after=5.0)

    if of == "pipeline":
        call.post("/7/actions/resync")
    else:
        call.post("/7/objects/actions/resync", {"objects": ["orders"]})
    assert call.get("/7").json["status"] == "RESTARTING"
    assert call.post("/7/actions/sync-now").status == 400
    clock.advance(30.0)
    assert call.get("/7").json["status"] == "INITIALIZED"
    assert call.get("/7/jobs").data == []
    clock.advance(5.0)

    assert [job["job_id"] for job in call.get("/7/jobs").data] == [pipeline.jobs[0].id]


def test_enable_and_disable(hevo: Sandbox, call: Caller) -> None:
    pipeline = hevo.add_pipeline(7, duration=None)
    job = pipeline.start_job()

    call.post("/7/actions/disable", {"cancel_active_jobs": True})
    assert (pipeline.status, job.status) == ("DISABLED", "CANCELLING")

    call.post("/7/actions/enable")
    assert pipeline.status == "INITIALIZED"


def test_disable_lets_the_jobs_run_on(hevo: Sandbox, call: Caller) -> None:
    job = hevo.add_pipeline(7).start_job()

    call.post("/7/actions/disable", {"cancel_active_jobs": False})

    assert job.status == "IN_PROGRESS"


def test_a_pipeline_can_be_changed(hevo: Sandbox, call: Caller, clock: VirtualClock) -> None:
    hevo.add_pipeline(7)
    clock.advance(60.0)

    changed = call("PATCH", "/7", {"name": "orders", "destination_prefix": "eu"}).json

    assert (changed["name"], changed["destination_prefix"]) == ("orders", "eu")
    assert changed["updated_ts"] - changed["created_ts"] == 60_000
    assert call.get("/7").json == changed


def test_status_and_id_cannot_be_changed(hevo: Sandbox, call: Caller) -> None:
    hevo.add_pipeline(7, status="DISABLED")

    assert call("PATCH", "/7", {"status": "INITIALIZED"}).status == 400
    assert call.get("/7").json["status"] == "DISABLED"


def test_the_json_of_a_pipeline_can_be_overridden(hevo: Sandbox, call: Caller) -> None:
    hevo.add_pipeline(7, fields={"source": None, "load_mode": MISSING})

    pipeline = call.get("/7").json

    assert pipeline["source"] is None
    assert "load_mode" not in pipeline


def test_resyncing_objects_loads_these_objects_only(hevo: Sandbox, call: Caller, clock: VirtualClock) -> None:
    pipeline = hevo.add_pipeline(7)

    call.post("/7/objects/actions/resync", {"objects": ["customers"]})
    clock.advance(60.0)

    (job,) = pipeline.jobs
    assert job.type == "RESYNC"
    assert [each["object_name"] for each in call.get(f"/7/jobs/{job.id}/objects").data] == ["customers"]


@pytest.mark.parametrize("word", ["objects", "object_ids"])
@pytest.mark.parametrize(("chosen", "status"), [(["nothing"], 404), ([], 400), ("all", 400)])
def test_resyncing_objects_needs_objects_that_exist(
    hevo: Sandbox, call: Caller, word: Any, chosen: object, status: int
) -> None:
    hevo.object_resync_body = word
    hevo.add_pipeline(7)

    assert call.post("/7/objects/actions/resync", {word: chosen}).status == status


@pytest.mark.parametrize(
    ("known", "answers"),
    [("objects", [200, 400]), ("object_ids", [400, 200]), ("either", [200, 200]), ("neither", [400, 400])],
)
def test_only_one_wording_of_an_objects_resync_may_be_known(
    hevo: Sandbox, call: Caller, known: Any, answers: list[int]
) -> None:
    hevo.object_resync_body = known
    pipeline = hevo.add_pipeline(7, parallel_jobs=True)

    bodies = {"objects": ["orders"]}, {"object_ids": [pipeline.objects[0].id]}

    assert [call.post("/7/objects/actions/resync", body).status for body in bodies] == answers
    assert [job.object_names for job in pipeline.jobs] == [("orders",)] * answers.count(200)


def test_refreshing_the_schema_starts_no_job(hevo: Sandbox, call: Caller) -> None:
    pipeline = hevo.add_pipeline(7)

    assert call.post("/7/objects/actions/refresh-schema", {}).status == 200
    assert call.post("/7/objects/actions/refresh-schema").status == 400
    assert pipeline.jobs == []


def test_an_object_shows_its_fields(hevo: Sandbox, call: Caller) -> None:
    added = hevo.add_pipeline(7, fields={"destination_prefix": "eu"}).add_object(
        "refunds", schema="finance", override={"status": "PAUSED"}
    )

    detail = call.get(f"/7/objects/{added.id}").json

    assert detail["object_name"] == "refunds"
    assert detail["destination_table_name"] == "eu_refunds"
    assert detail["source_namespace"] == {"k0": "refunds", "k1": "finance", "k2": "shop"}
    assert detail["status"] == "PAUSED"
    assert detail["field_count"] == len(detail["fields"])
    assert detail["fields"][0]["primary_key"] is True


def test_jobs_by_others_may_show_later_than_ours(hevo: Sandbox, call: Caller, clock: VirtualClock) -> None:
    pipeline = hevo.add_pipeline(7, appear_after=1.0, baseline_lag=15.0, parallel_jobs=True)
    others = pipeline.start_job()
    call.post("/7/actions/sync-now")

    clock.advance(5.0)
    assert [job["job_id"] for job in call.get("/7/jobs").data] == [pipeline.jobs_started_by_api[0].id]

    clock.advance(10.0)
    assert others.id in [job["job_id"] for job in call.get("/7/jobs").data]


def test_a_scheduled_pipeline_starts_jobs_by_itself(hevo: Sandbox, clock: VirtualClock) -> None:
    every_5_minutes = {"sync_type": "SCHEDULED", "frequency_minutes": 5}
    pipeline = hevo.add_pipeline(7, duration=10.0, fields={"schedule": every_5_minutes})
    start = clock.now

    clock.advance(16 * 60.0)

    assert [job.created_at - start for job in pipeline.jobs] == [300.0, 600.0, 900.0]
    assert {job.started_by for job in pipeline.jobs} == {"schedule"}


def test_a_schedule_skips_what_falls_into_a_running_job(hevo: Sandbox, clock: VirtualClock) -> None:
    schedule = {"sync_type": "SCHEDULED", "frequency_minutes": 5}
    pipeline = hevo.add_pipeline(7, duration=400.0, fields={"schedule": schedule})
    start = clock.now

    clock.advance(16 * 60.0)

    assert [job.created_at - start for job in pipeline.jobs] == [300.0, 600.0, 900.0]
    assert [job.status for job in pipeline.jobs] == ["COMPLETED", "SKIPPED", "IN_PROGRESS"]


def test_a_schedule_that_is_set_later_does_not_make_up_for_the_past(
    hevo: Sandbox, call: Caller, clock: VirtualClock
) -> None:
    pipeline = hevo.add_pipeline(7)
    clock.advance(3600.0)

    call("PATCH", "/7", {"schedule": {"sync_type": "SCHEDULED", "frequency_minutes": 5}})
    assert pipeline.jobs == []
    clock.advance(300.0)

    assert len(pipeline.jobs) == 1
