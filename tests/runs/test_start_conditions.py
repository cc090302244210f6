"""Before and around the start: the pipeline's status, what a resync asks for, and what no retry would mend."""

from __future__ import annotations

import json

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from hevo_provider.exceptions import (
    HevoConnectionNotFoundError,
    HevoJobNotFoundError,
    HevoPipelineBusyError,
    HevoPipelineStateError,
)
from hevo_provider.models.pipeline import PipelineAction, PipelineStatus
from hevo_provider.sandbox import MISSING, Fault, Sandbox
from tests.stage.clock import VirtualClock
from tests.stage.failures import fails, told_by
from tests.stage.marks import in_both_modes
from tests.stage.tasks import Deferral, TaskInstance, operator, play, work

UNFIT = [*set(PipelineStatus) - {PipelineStatus.INITIALIZED, PipelineStatus.RESTARTING}, "ARCHIVED"]


# The pipeline's status


@pytest.mark.parametrize("action", PipelineAction)
@pytest.mark.parametrize("status", sorted(UNFIT))
def test_a_pipeline_that_cannot_run_fails_the_task_by_the_name_of_its_status(
    hevo: Sandbox, ti: TaskInstance, action: PipelineAction, status: str
) -> None:
    pipeline = hevo.add_pipeline(7, fields={"status": status})

    with fails(HevoPipelineStateError, says=rf"Pipeline 7 is {status}; {action} needs it to be INITIALIZED"):
        play(operator(action=action), ti)

    assert pipeline.jobs == []
    assert {request.method for request in hevo.requests} == {"GET"}


def test_a_sync_does_not_wait_for_a_pipeline_that_restarts(hevo: Sandbox, ti: TaskInstance) -> None:
    hevo.add_pipeline(7, status="RESTARTING")

    with fails(HevoPipelineStateError, says="Pipeline 7 is RESTARTING"):
        play(operator(), ti)


@pytest.mark.parametrize("value", [None, MISSING])
def test_a_pipeline_without_a_status_fails_the_task(hevo: Sandbox, ti: TaskInstance, value: object) -> None:
    hevo.add_pipeline(7).fields["status"] = value

    with fails(HevoPipelineStateError, says="Pipeline 7 has no status that Hevo would tell"):
        play(operator(), ti)

    assert hevo.requests_of("sync_now") == []


@in_both_modes
def test_a_resync_waits_until_the_pipeline_has_restarted(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, deferrable: bool
) -> None:
    pipeline = hevo.add_pipeline(7, status="RESTARTING")
    until = clock.now() + 100
    hevo.on_request = lambda _: setattr(pipeline, "status", "INITIALIZED") if clock.now() >= until else None

    job_id = play(operator(action="RESYNC", deferrable=deferrable), ti)

    assert [job.id for job in pipeline.jobs] == [job_id]
    assert pipeline.jobs[0].created_at >= until


def test_a_restart_that_is_over_before_the_triggerer_polls_still_gives_its_job_the_time_to_show(
    hevo: Sandbox, ti: TaskInstance
) -> None:
    pipeline = hevo.add_pipeline(7, status="RESTARTING")
    task = operator(action="RESYNC", poll_interval=1)
    left_behind = work(lambda: task.execute(ti.context))
    pipeline.status = "INITIALIZED"
    job = pipeline.start_job("RESYNC", appear_after=15, duration=1000)

    with fails(HevoPipelineBusyError, says=f"job {job.id}"):
        play(task, ti, left_behind)

    assert hevo.requests_of("resync") == []


def test_a_resync_waits_for_the_restart_in_the_triggerer(hevo: Sandbox, ti: TaskInstance, clock: VirtualClock) -> None:
    hevo.add_pipeline(7, status="RESTARTING")
    started_at = clock.now()

    left_behind = work(lambda: operator(action="RESYNC").execute(ti.context))

    assert isinstance(left_behind, Deferral)
    assert clock.now() == started_at
    assert hevo.requests_of("resync") == []


def test_a_restart_that_fails_fails_the_resync_that_waited_for_it(hevo: Sandbox, ti: TaskInstance) -> None:
    pipeline = hevo.add_pipeline(7, status="RESTARTING")
    hevo.on_request = lambda _: setattr(pipeline, "status", "RESTART_FAILED") if len(hevo.requests) > 6 else None

    with fails(HevoPipelineStateError, says="Pipeline 7 is RESTART_FAILED"):
        play(operator(action="RESYNC"), ti)


def test_after_a_restart_every_check_is_made_again(hevo: Sandbox, ti: TaskInstance) -> None:
    pipeline = hevo.add_pipeline(7, status="RESTARTING")
    task = operator(action="RESYNC")
    left_behind = work(lambda: task.execute(ti.context))
    pipeline.status = "INITIALIZED"
    job = pipeline.start_job("HISTORICAL", appear_after=0, duration=1000)

    with fails(HevoPipelineBusyError, says=rf"job {job.id} \(HISTORICAL, IN_PROGRESS\) is active"):
        play(task, ti, left_behind)


@in_both_modes
def test_hevos_own_no_fails_the_task_with_its_words(hevo: Sandbox, ti: TaskInstance, deferrable: bool) -> None:
    hevo.add_pipeline(7)
    hevo.inject("sync_now", Fault.status(400, body={"error": "Bad Request", "message": "No active objects"}))

    with fails(HevoPipelineStateError, says=r"\(7\): .*Hevo refused SYNC_NOW: .*No active objects"):
        play(operator(deferrable=deferrable), ti)

    assert len(hevo.requests_of("sync_now")) == 1


# Types


# In both modes: test_a_resync_takes_every_name_that_it_has_had, in test_what_a_sync_brings.py.
@pytest.mark.parametrize("name", ["RESYNC", "TRUNCATE_AND_LOAD", "RESYNC_WITH_EVOLVE"])
@pytest.mark.parametrize("job_type", [None, "RESYNC", "TRUNCATE_AND_LOAD", "RESYNC_WITH_EVOLVE"])
def test_a_resync_is_found_under_each_of_its_names(
    hevo: Sandbox, ti: TaskInstance, name: str, job_type: str | None
) -> None:
    pipeline = hevo.add_pipeline(7, restarting_for=30, job_type_names={"RESYNC": name})

    job_id = play(operator(action=PipelineAction.RESYNC, job_type=job_type), ti)

    assert [job.id for job in pipeline.jobs] == [job_id]
    assert hevo.requests_of("resync")[0].body == {"drop_and_load": False}


@in_both_modes
@pytest.mark.parametrize("job_type", [None, "RESYNC_WITH_DROP_AND_LOAD"])
def test_a_resync_can_drop_the_tables_first(
    hevo: Sandbox, ti: TaskInstance, deferrable: bool, job_type: str | None
) -> None:
    pipeline = hevo.add_pipeline(7, restarting_for=30)

    job_id = play(operator(action="RESYNC", drop_and_load=True, job_type=job_type, deferrable=deferrable), ti)

    (job,) = pipeline.jobs
    assert (job.id, job.type) == (job_id, "RESYNC_WITH_DROP_AND_LOAD")
    assert ti.xcoms["hevo_job"]["job_type"] == "RESYNC_WITH_DROP_AND_LOAD"


@pytest.mark.parametrize(
    ("drop_and_load", "mode", "job_type"),
    [(False, "EVOLVE_AND_MERGE", "RESYNC"), (True, "DROP_AND_LOAD", "RESYNC_WITH_DROP_AND_LOAD")],
)
def test_a_revision_of_the_api_that_knows_only_resync_modes_is_asked_in_its_own_words(
    hevo: Sandbox, ti: TaskInstance, drop_and_load: bool, mode: str, job_type: str
) -> None:
    pipeline = hevo.add_pipeline(7)
    hevo.resync_body = "resync_mode"

    play(operator(action="RESYNC", drop_and_load=drop_and_load), ti)

    assert [job.type for job in pipeline.jobs] == [job_type]
    assert hevo.requests_of("resync")[-1].body == {"resync_mode": mode}


def test_a_resync_that_no_revision_would_take_fails_with_what_hevo_said(hevo: Sandbox, ti: TaskInstance) -> None:
    hevo.add_pipeline(7)
    hevo.inject("resync", Fault.json({"message": "Unknown field"}, status=400))
    hevo.inject("resync", Fault.json({"message": "No active objects"}, status=400))

    with fails(HevoPipelineStateError, says="Hevo refused RESYNC: Unknown field; No active objects"):
        play(operator(action="RESYNC"), ti)


def test_the_type_of_the_job_to_follow_can_be_named(hevo: Sandbox, ti: TaskInstance) -> None:
    pipeline = hevo.add_pipeline(7, job_type_names={"INCREMENTAL": "HISTORICAL"})

    job_id = play(operator(job_type="historical"), ti)

    assert [job.id for job in pipeline.jobs] == [job_id]


def test_if_only_a_job_of_another_type_appears_the_error_names_it(hevo: Sandbox, ti: TaskInstance) -> None:
    pipeline = hevo.add_pipeline(7, sync_brings=["REFRESHER"])

    with pytest.raises(HevoJobNotFoundError) as failure:
        play(operator(), ti)

    assert f"REFRESHER (job {pipeline.jobs[0].id}, COMPLETED): set job_type to follow that" in told_by(failure.value)


# Nothing to be done about it


@in_both_modes
@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("route", ["get_pipeline", "list_jobs", "sync_now"])
def test_refused_credentials_fail_the_task_for_good(
    hevo: Sandbox, ti: TaskInstance, deferrable: bool, status: int, route: str
) -> None:
    pipeline = hevo.add_pipeline(7)
    hevo.inject(route, Fault.status(status), times=None)

    with fails(AirflowFailException, says=f"Hevo answered {status} to "):
        play(operator(deferrable=deferrable), ti)

    assert pipeline.jobs == []


@in_both_modes
def test_a_key_whose_role_may_not_start_a_sync_is_told_apart_from_a_wrong_one(
    hevo: Sandbox, ti: TaskInstance, deferrable: bool
) -> None:
    hevo.add_pipeline(7)
    hevo.inject("sync_now", Fault.json({"message": "Insufficient permissions"}, status=403), times=None)

    with fails(AirflowFailException, says=r"role may not start a sync, or .*: Insufficient permissions"):
        play(operator(deferrable=deferrable), ti)


@in_both_modes
def test_credentials_refused_while_waiting_fail_the_task_for_good(
    hevo: Sandbox, ti: TaskInstance, deferrable: bool
) -> None:
    hevo.add_pipeline(7)
    hevo.inject("get_job", Fault.status(401), times=None)

    with fails(AirflowFailException, says="Hevo answered 401 to GET /api/v1/pipelines/7/jobs/"):
        play(operator(deferrable=deferrable), ti)


@in_both_modes
@pytest.mark.parametrize("status", [401, 403])
def test_credentials_refused_for_a_moment_while_waiting_fail_no_task(
    hevo: Sandbox, ti: TaskInstance, deferrable: bool, status: int
) -> None:
    pipeline = hevo.add_pipeline(7, duration=100)
    hevo.inject("get_job", Fault.status(status), times=2)

    assert play(operator(deferrable=deferrable), ti) == pipeline.jobs[0].id


@in_both_modes
def test_an_unknown_pipeline_fails_the_task_for_good(hevo: Sandbox, ti: TaskInstance, deferrable: bool) -> None:
    with fails(AirflowFailException, says="ids of Standard pipelines are of another API"):
        play(operator(deferrable=deferrable), ti)

    assert {request.method for request in hevo.requests} == {"GET"}


@pytest.mark.usefixtures("airflow_database")
@in_both_modes
def test_a_connection_that_airflow_does_not_find_fails_the_try_and_a_retry_may_find_it(
    hevo: Sandbox, ti: TaskInstance, deferrable: bool
) -> None:
    with fails(HevoConnectionNotFoundError, says="nowhere"):
        play(operator(connection_id="nowhere", deferrable=deferrable), ti)

    assert hevo.requests == []


@in_both_modes
def test_a_connection_that_cannot_be_used_fails_the_task_for_good(
    hevo: Sandbox, ti: TaskInstance, monkeypatch: pytest.MonkeyPatch, deferrable: bool
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_HALF", json.dumps({"conn_type": "hevo", "host": hevo.url, "login": "key"}))

    with fails(AirflowFailException, says=r"Airflow connection 'half': .* no password \(the API secret\)"):
        play(operator(connection_id="half", deferrable=deferrable), ti)
