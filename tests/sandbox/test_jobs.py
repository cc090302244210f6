"""The life of a job: when it shows, how it ends, what it counts."""

from __future__ import annotations

import pytest

from hevo_provider.sandbox import MISSING, Sandbox
from tests.sandbox.caller import Caller, VirtualClock


def test_a_started_job_shows_only_after_a_while(hevo: Sandbox, call: Caller, clock: VirtualClock) -> None:
    pipeline = hevo.add_pipeline(7, appear_after=5.0)
    call.post("/7/actions/sync-now")
    (job,) = pipeline.jobs

    clock.advance(4.9)
    assert call.get("/7/jobs").data == []
    assert call.get(f"/7/jobs/{job.id}").status == 404

    clock.advance(0.2)
    assert [each["job_id"] for each in call.get("/7/jobs").data] == [job.id]
    assert call.get(f"/7/jobs/{job.id}").json["status"] == "IN_PROGRESS"


def test_a_short_job_is_over_when_it_first_shows(hevo: Sandbox, call: Caller, clock: VirtualClock) -> None:
    hevo.add_pipeline(7, appear_after=15.0, duration=0.2)
    call.post("/7/actions/sync-now")

    clock.advance(15.0)

    (job,) = call.get("/7/jobs").data
    assert job["status"] == "COMPLETED"
    assert job["updated_ts"] - job["created_ts"] == 200
    assert job["duration"] == 200


@pytest.mark.parametrize(
    "status", ["COMPLETED", "COMPLETED_WITH_FAILURES", "FAILED", "SKIPPED", "DEFERRED", "DEFERRED_WITH_FAILURES"]
)
def test_a_job_ends_as_told(hevo: Sandbox, call: Caller, clock: VirtualClock, status: str) -> None:
    hevo.add_pipeline(7, ends=status)
    call.post("/7/actions/sync-now")

    clock.advance(60.0)

    assert call.get("/7/jobs").data[0]["status"] == status


def test_a_job_without_a_duration_runs_until_told(hevo: Sandbox, clock: VirtualClock) -> None:
    job = hevo.add_pipeline(7, duration=None).start_job()
    clock.advance(1e6)
    assert job.status == "IN_PROGRESS"

    job.end("FAILED")

    assert job.status == "FAILED"
    assert job.ended_at == clock.now


def test_the_times_on_the_wire_are_milliseconds(hevo: Sandbox, call: Caller, clock: VirtualClock) -> None:
    hevo.add_pipeline(7).start_job(ago=6.5)

    (job,) = call.get("/7/jobs").data

    assert job["created_ts"] == (clock.now - 6.5) * 1000
    assert job["updated_ts"] == clock.now * 1000


def test_counters_grow_with_the_job(hevo: Sandbox, call: Caller, clock: VirtualClock) -> None:
    job = hevo.add_pipeline(7, appear_after=0.0, duration=10.0).start_job()

    clock.advance(5.0)
    assert call.get(f"/7/jobs/{job.id}").json["events_loaded"] == 500
    assert job.objects_queued == 2

    clock.advance(5.0)
    ended = call.get(f"/7/jobs/{job.id}").json
    assert (ended["events_loaded"], ended["objects_success"], ended["objects_queued"]) == (1000, 3, 0)


def test_an_assigned_counter_stays_until_it_is_handed_back(hevo: Sandbox, clock: VirtualClock) -> None:
    job = hevo.add_pipeline(7, duration=10.0).start_job()

    job.events_loaded = 42
    clock.advance(20.0)
    assert job.events_loaded == 42

    job.events_loaded = None
    assert job.events_loaded == 1000


def test_a_partly_failed_job_names_its_failed_object(hevo: Sandbox, call: Caller) -> None:
    job = hevo.add_pipeline(7, ends="COMPLETED_WITH_FAILURES").start_job(ago=60.0)

    results = call.get(f"/7/jobs/{job.id}/objects").data

    assert [each["object_name"] for each in results if each["status"] == "FAILED"] == ["orders"]
    assert call.get(f"/7/jobs/{job.id}").json["objects_failed"] == 1


def test_failed_objects_can_be_chosen(hevo: Sandbox, call: Caller) -> None:
    job = hevo.add_pipeline(7, ends="FAILED").start_job(ago=60.0)
    job.failed_objects = ("customers", "a dropped table")

    results = call.get(f"/7/jobs/{job.id}/objects").data

    assert [each["object_name"] for each in results if each["status"] == "FAILED"] == ["customers", "a dropped table"]


def test_a_cancelled_job_passes_through_cancelling(hevo: Sandbox, call: Caller, clock: VirtualClock) -> None:
    job = hevo.add_pipeline(7, duration=None).start_job(ago=60.0)

    assert call.post(f"/7/jobs/{job.id}/actions/cancel").status == 200
    assert call.get(f"/7/jobs/{job.id}").json["status"] == "CANCELLING"
    clock.advance(2.0)

    assert call.get(f"/7/jobs/{job.id}").json["status"] == "CANCELLED"


def test_cancelling_twice_changes_nothing_and_a_job_that_is_over_refuses(
    hevo: Sandbox, call: Caller, clock: VirtualClock
) -> None:
    job = hevo.add_pipeline(7, duration=None).start_job(ago=60.0)

    answers = [call.post(f"/7/jobs/{job.id}/actions/cancel").status for _ in range(2)]
    clock.advance(2.0)
    answers.append(call.post(f"/7/jobs/{job.id}/actions/cancel").status)

    assert answers == [200, 200, 409]
    assert job.cancel_requests == 3


def test_a_job_in_cancelling_without_end(hevo: Sandbox, call: Caller, clock: VirtualClock) -> None:
    job = hevo.add_pipeline(7, duration=10.0).start_job(appear_after=0.0)
    job.cancelling_for = float("inf")

    call.post(f"/7/jobs/{job.id}/actions/cancel")
    clock.advance(1e6)

    assert job.status == "CANCELLING"


def test_an_unknown_status_is_not_an_end(hevo: Sandbox, call: Caller) -> None:
    job = hevo.add_pipeline(7).start_job(ago=6.0)

    job.status_override = "PAUSED_FOR_REVIEW"

    assert call.get(f"/7/jobs/{job.id}").json["status"] == "PAUSED_FOR_REVIEW"
    assert job.active


def test_fields_can_be_null_or_missing(hevo: Sandbox, call: Caller) -> None:
    job = hevo.add_pipeline(7).start_job(ago=6.0)

    job.override = {"events_loaded": None, "updated_ts": MISSING, "region": "new"}

    answer = call.get(f"/7/jobs/{job.id}").json
    assert answer["events_loaded"] is None
    assert "updated_ts" not in answer
    assert answer["region"] == "new"


def test_a_job_can_vanish(hevo: Sandbox, call: Caller) -> None:
    job = hevo.add_pipeline(7).start_job(ago=6.0)

    job.hidden = True

    assert call.get(f"/7/jobs/{job.id}").status == 404
    assert call.get("/7/jobs").data == []


def test_types_can_have_other_names_on_the_wire(hevo: Sandbox, call: Caller, clock: VirtualClock) -> None:
    pipeline = hevo.add_pipeline(7, job_type_names={"RESYNC": "TRUNCATE_AND_LOAD"})

    call.post("/7/actions/resync", {"drop_and_load": False})
    clock.advance(5.0)

    assert call.get("/7/jobs").data[0]["type"] == "TRUNCATE_AND_LOAD"
    assert pipeline.jobs[0].type == "RESYNC"


def test_the_first_jobs_can_end_otherwise(hevo: Sandbox, clock: VirtualClock) -> None:
    pipeline = hevo.add_pipeline(7, first_ends=("FAILED", "DEFERRED"), fields={"schedule": {"sync_type": "SCHEDULED"}})
    pipeline.start_through_api("INCREMENTAL")
    clock.advance(60)
    pipeline.start_job()
    clock.advance(3600)
    pipeline.catch_up()
    clock.advance(60)

    assert [job.status for job in pipeline.jobs] == ["FAILED", "DEFERRED", "COMPLETED"]
