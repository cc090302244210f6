"""``HevoPipelineOperator``: what a task does, from the job that it starts to what it says of the job's end."""

from __future__ import annotations

import copy
import inspect
import json
from collections.abc import Callable
from itertools import pairwise
from time import monotonic
from typing import Any

import certifi
import pytest
from airflow.providers.common.compat.sdk import AirflowException, AirflowTaskTimeout

from hevo_provider.exceptions import HevoJobFailedError, HevoJobNotFoundError, HevoJobStalledError
from hevo_provider.models.job import JobStatus
from hevo_provider.models.pipeline import PipelineAction
from hevo_provider.operators import HevoOperator, HevoPipelineOperator
from hevo_provider.sandbox import MISSING, Fault, Sandbox, SandboxPipeline
from hevo_provider.sandbox.requests import Request
from hevo_provider.tasks import task as tasks
from tests.stage.clock import START, VirtualClock, in_iso
from tests.stage.failures import fails, told_by
from tests.stage.marks import in_both_modes, whether_it_waits_or_not
from tests.stage.tasks import Deferral, TaskInstance, operator, play, work

ENDS = [JobStatus.FAILED, JobStatus.CANCELLED, JobStatus.SKIPPED, JobStatus.DEFERRED, JobStatus.DEFERRED_WITH_FAILURES]

MANY = 6  # polls of a job


def once_started(hevo: Sandbox, act: Callable[[], None]) -> None:
    """Do something as soon as the sandbox has started a job."""

    def on_request(request: Request) -> None:
        if request.route in {"sync_now", "resync"}:
            act()

    hevo.on_request = on_request


def test_the_parameters_are_those_of_the_documentation() -> None:
    parameters = inspect.signature(HevoPipelineOperator.__init__).parameters.values()

    defaults = {each.name: each.default for each in parameters if each.kind is each.KEYWORD_ONLY}

    assert defaults == {
        "pipeline_id": None,
        "pipeline_name": None,
        "action": PipelineAction.SYNC_NOW,
        "job_type": None,
        "connection_id": "hevo_airflow_conn_id",
        "poll_interval": 15,
        "retry_limit": 10,
        "deferrable": True,
        "wait_for_completion": True,
        "accept_completed_with_failures": False,
        "on_deferred": "fail",
        "ensure_new_job": True,
        "drop_and_load": False,
        "on_active_job": None,
        "cancel_on_kill": True,
        "timeout": 7 * 24 * 3600,
        "api_outage_tolerance": 1800,
        "durable": True,
        "skip_if_fresh": None,
        "on_fresh": "succeed",
        "retry_failed_objects": False,
        "skip_empty_tables": False,
    }
    assert HevoOperator is HevoPipelineOperator


# The job's id and its state


@whether_it_waits_or_not
def test_returns_the_id_of_the_job_it_started(
    hevo: Sandbox, ti: TaskInstance, deferrable: bool, wait_for_completion: bool
) -> None:
    pipeline = hevo.add_pipeline(7, appear_after=12, duration=600)

    job_id = play(operator(deferrable=deferrable, wait_for_completion=wait_for_completion), ti)

    assert [job.id for job in pipeline.jobs] == [job_id]
    assert ti.xcoms["hevo_job"]["status"] == ("COMPLETED" if wait_for_completion else "IN_PROGRESS")


@whether_it_waits_or_not
def test_a_job_that_was_over_before_it_showed_is_found(
    hevo: Sandbox, ti: TaskInstance, deferrable: bool, wait_for_completion: bool
) -> None:
    pipeline = hevo.add_pipeline(7, appear_after=15, duration=0.2)

    job_id = play(operator(deferrable=deferrable, wait_for_completion=wait_for_completion), ti)

    assert [job.id for job in pipeline.jobs] == [job_id]
    assert ti.xcoms["hevo_job"]["status"] == "COMPLETED"


@in_both_modes
def test_counters_that_newer_revisions_of_the_api_leave_out_are_missed_by_nobody(
    hevo: Sandbox, ti: TaskInstance, deferrable: bool
) -> None:
    pipeline = hevo.add_pipeline(7)
    left_out = {"billable_events": MISSING, "non_billable_events": MISSING}

    def leave_out(_: Request) -> None:
        for job in pipeline.jobs:
            job.override = left_out

    hevo.on_request = leave_out

    job_id = play(operator(deferrable=deferrable), ti)

    assert ti.xcoms["hevo_job"]["job_id"] == job_id
    assert ti.xcoms["hevo_job"]["events_loaded"] == 1000
    assert not left_out.keys() & ti.xcoms["hevo_job"].keys()


@in_both_modes
def test_the_final_state_and_counters_go_to_an_xcom(hevo: Sandbox, ti: TaskInstance, deferrable: bool) -> None:
    pipeline = hevo.add_pipeline(7, duration=60)

    play(operator(deferrable=deferrable), ti)

    (job,) = pipeline.jobs
    assert ti.xcoms["hevo_job"] == {
        "pipeline_id": 7,
        "job_id": job.id,
        "job_type": "INCREMENTAL",
        "status": "COMPLETED",
        "created_ts": int(job.created_at * 1000),
        "updated_ts": int((job.created_at + 60) * 1000),
        "created_at": in_iso(job.created_at),
        "updated_at": in_iso(job.created_at + 60),
        "pipeline_name": "pipeline 7",
        "connection_id": "hevo_airflow_conn_id",
        "host": "127.0.0.1",
        "duration": 60_000,
        **job.counters(),
        "worker_seconds": 0 if deferrable else pytest.approx(ti.clock.now() - START, abs=0.001),
    }


def test_the_worker_is_free_again_after_three_requests_and_no_waiting(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock
) -> None:
    hevo.add_pipeline(7, appear_after=15)
    started_at = clock.now()

    left_behind = work(lambda: operator().execute(ti.context))

    assert isinstance(left_behind, Deferral)
    assert clock.now() == started_at
    assert sorted(request.route for request in hevo.requests[:2]) == ["get_pipeline", "list_jobs"]
    assert [request.route for request in hevo.requests[2:]] == ["sync_now"]


@whether_it_waits_or_not
def test_it_sends_one_action_and_for_the_rest_only_polls(
    hevo: Sandbox, ti: TaskInstance, deferrable: bool, wait_for_completion: bool
) -> None:
    hevo.add_pipeline(7)

    play(operator(deferrable=deferrable, wait_for_completion=wait_for_completion), ti)

    assert len(hevo.requests_of("sync_now")) == 1
    assert {request.method for request in hevo.requests if request.route != "sync_now"} == {"GET"}


# How the job ends


@in_both_modes
@pytest.mark.parametrize("status", ENDS)
def test_a_job_that_did_not_complete_fails_the_task_and_is_named(
    hevo: Sandbox, ti: TaskInstance, deferrable: bool, status: JobStatus
) -> None:
    pipeline = hevo.add_pipeline(7, ends=status)

    with fails(HevoJobFailedError, says=rf"Pipeline .* job .* ended {status}\.") as failure:
        play(operator(deferrable=deferrable, accept_completed_with_failures=True), ti)

    (job,) = pipeline.jobs
    assert job.id in told_by(failure.value)
    assert f"events_loaded {job.events_loaded}" in told_by(failure.value)
    assert (failure.value.pipeline_id, failure.value.job_id) == (7, job.id)
    assert ti.xcoms["hevo_job"]["status"] == status


@in_both_modes
@pytest.mark.parametrize("tells", [True, False])
def test_the_error_carries_status_counters_and_failed_objects_for_who_decides_by_them(
    hevo: Sandbox, ti: TaskInstance, deferrable: bool, tells: bool
) -> None:
    pipeline = hevo.add_pipeline(7, ends="FAILED")
    hevo.inject("list_job_objects", Fault.no_op() if tells else Fault.status(404), times=None)

    with pytest.raises(HevoJobFailedError) as failure:
        play(operator(deferrable=deferrable), ti)

    (job,) = pipeline.jobs
    assert failure.value.status == "FAILED"
    assert failure.value.counters == job.counters()
    assert failure.value.failed_objects == (job.failed_objects if tells else ())


@in_both_modes
def test_partial_failures_fail_the_task(hevo: Sandbox, ti: TaskInstance, deferrable: bool) -> None:
    hevo.add_pipeline(7, ends="COMPLETED_WITH_FAILURES")

    with fails(HevoJobFailedError, says=r"Failing objects: orders\n.*accept_completed_with_failures=True"):
        play(operator(deferrable=deferrable), ti)


@in_both_modes
def test_partial_failures_can_be_accepted_and_are_told(
    hevo: Sandbox, ti: TaskInstance, story: Callable[[], str], deferrable: bool
) -> None:
    pipeline = hevo.add_pipeline(7, ends="COMPLETED_WITH_FAILURES")

    job_id = play(operator(deferrable=deferrable, accept_completed_with_failures=True), ti)

    assert [job.id for job in pipeline.jobs] == [job_id]
    assert "Failing objects: orders." in story()


@pytest.mark.parametrize("status", ["FAILED", "COMPLETED_WITH_FAILURES", "DEFERRED_WITH_FAILURES"])
def test_the_failing_objects_are_named_and_the_rest_counted(hevo: Sandbox, ti: TaskInstance, status: str) -> None:
    pipeline = hevo.add_pipeline(7, ends=status)
    once_started(hevo, lambda: setattr(pipeline.jobs[-1], "failed_objects", [f"table_{n:02}" for n in range(12)]))

    with fails(HevoJobFailedError, says=r"Failing objects: table_00, .*, table_09 and 2 more\n"):
        play(operator(), ti)

    assert len(hevo.requests_of("list_job_objects")) == 1


@pytest.mark.parametrize("fault", [Fault.status(500), Fault.status(401), Fault.reset(), Fault.html()])
def test_the_failing_objects_are_asked_for_once_and_the_task_fails_without_them_too(
    hevo: Sandbox, ti: TaskInstance, fault: Fault
) -> None:
    hevo.add_pipeline(7, ends="FAILED")
    hevo.inject("list_job_objects", fault, times=None)

    with fails(HevoJobFailedError, says="ended FAILED"):
        play(operator(), ti)


def test_the_failing_objects_are_not_waited_for(
    hevo: Sandbox, ti: TaskInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "DETAILS_TIMEOUT", 0.1)
    hevo.add_pipeline(7, ends="FAILED")
    hevo.inject("list_job_objects", Fault.hang())
    started_at = monotonic()

    with fails(HevoJobFailedError, says="ended FAILED"):
        play(operator(), ti)

    assert monotonic() - started_at < 15  # half of what a request may take by itself


def test_a_failed_job_is_worth_a_retry(hevo: Sandbox, ti: TaskInstance) -> None:
    hevo.add_pipeline(7, ends="FAILED")

    with pytest.raises(HevoJobFailedError) as failure:
        play(operator(), ti)

    assert not isinstance(failure.value, AirflowException)  # of which some would not be retried, and some be skips


@in_both_modes
def test_an_unknown_status_is_waited_out_and_told_once(
    hevo: Sandbox, ti: TaskInstance, story: Callable[[], str], deferrable: bool
) -> None:
    pipeline = hevo.add_pipeline(7, duration=None)

    def act(request: Request) -> None:
        polls = len(hevo.requests_of("get_job"))
        if request.route == "get_job":
            pipeline.jobs[-1].status_override = "PAUSED_FOR_REVIEW" if polls < MANY else "COMPLETED"

    hevo.on_request = act
    play(operator(deferrable=deferrable), ti)

    assert story().count("PAUSED_FOR_REVIEW, a status that this version does not know; waiting on") == 1


@in_both_modes
def test_a_status_that_is_unknown_from_the_first_poll_is_told_once(
    hevo: Sandbox, ti: TaskInstance, story: Callable[[], str], deferrable: bool
) -> None:
    pipeline = hevo.add_pipeline(7, appear_after=0)

    def act(request: Request) -> None:
        polls = len(hevo.requests_of("get_job"))
        if request.route in {"sync_now", "get_job"}:
            pipeline.jobs[-1].status_override = "PAUSED_FOR_REVIEW" if polls < MANY else "COMPLETED"

    hevo.on_request = act
    play(operator(deferrable=deferrable), ti)

    assert story().count("PAUSED_FOR_REVIEW, a status that this version does not know; waiting on") == 1


def let_jobs_stay(hevo: Sandbox, pipeline: SandboxPipeline, **as_they_are: Any) -> None:
    """Let Hevo say of the pipeline's jobs, whenever it is asked, that they have not changed since the beginning."""

    def stay(_: Request) -> None:
        for job in pipeline.jobs:
            job.override = {**as_they_are, "updated_ts": int(START * 1000)}

    hevo.on_request = stay


@in_both_modes
def test_a_job_that_runs_for_hours_without_any_change_is_waited_for(
    hevo: Sandbox, ti: TaskInstance, deferrable: bool
) -> None:
    pipeline = hevo.add_pipeline(7, appear_after=0, duration=8 * 3600)
    let_jobs_stay(hevo, pipeline)

    job_id = play(operator(deferrable=deferrable, poll_interval=600), ti)

    assert [job.id for job in pipeline.jobs] == [job_id]


@in_both_modes
def test_a_job_that_is_being_cancelled_for_hours_without_any_change_fails_the_task_and_is_named(
    hevo: Sandbox, ti: TaskInstance, deferrable: bool
) -> None:
    let_jobs_stay(hevo, hevo.add_pipeline(7, appear_after=0, duration=8 * 3600), status="CANCELLING")

    with fails(HevoJobStalledError, says="has been CANCELLING for hours without any change"):
        play(operator(deferrable=deferrable, poll_interval=600), ti)


# How long it searches, and how long it waits


@in_both_modes
@pytest.mark.parametrize(
    ("retry_limit", "polls"),
    [(1, [20]), (2, [1, 21]), (4, [1, 3, 7, 21]), (10, [1, 3, 7, 15, 30, 45, 60, 75, 90, 105])],
)
def test_a_job_that_never_shows_is_searched_for_as_often_as_was_allowed(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, deferrable: bool, retry_limit: int, polls: list[int]
) -> None:
    hevo.add_pipeline(7, appear_after=1000)
    started_at = clock.now()

    with fails(HevoJobNotFoundError, says=rf"no job of type INCREMENTAL appeared in {retry_limit} polls"):
        play(operator(deferrable=deferrable, retry_limit=retry_limit), ti)

    polled_at = [request.at - started_at for request in hevo.requests_of("list_jobs")]
    assert polled_at[0] == 0  # for the baseline
    assert polled_at[1:] == pytest.approx(polls)


@pytest.mark.parametrize("retry_limit", [1, 10])
def test_the_retry_limit_is_not_that_of_http_requests(hevo: Sandbox, ti: TaskInstance, retry_limit: int) -> None:
    hevo.add_pipeline(7)
    hevo.inject("get_pipeline", Fault.status(503), times=3)

    play(operator(retry_limit=retry_limit), ti)

    statuses = [request.status for request in hevo.requests_of("get_pipeline")]
    assert statuses[:4] == [503, 503, 503, 200]
    assert statuses[4:] in ([], [200])  # once more where the jobs had been read too long before


def test_it_polls_the_running_job_every_poll_interval(hevo: Sandbox, ti: TaskInstance) -> None:
    hevo.add_pipeline(7, appear_after=0, duration=100)

    play(operator(poll_interval=7), ti)

    times = [request.at for request in hevo.requests_of("get_job")]
    pauses = [later - earlier for earlier, later in pairwise(times)]
    assert pauses[1:] == pytest.approx([7] * len(pauses[1:]))
    assert len(pauses) > MANY


@in_both_modes
@pytest.mark.parametrize("cancel_on_kill", [True, False])
def test_a_time_out_says_what_became_of_the_job(
    hevo: Sandbox, ti: TaskInstance, deferrable: bool, cancel_on_kill: bool
) -> None:
    pipeline = hevo.add_pipeline(7, duration=None)
    fate = "Hevo was asked to cancel it" if cancel_on_kill else "it may still run"

    with fails(AirflowTaskTimeout, says=rf"\(7\): .* job .* had not ended .*; {fate}"):
        play(operator(deferrable=deferrable, timeout=100, cancel_on_kill=cancel_on_kill), ti)

    assert [job.cancel_requests for job in pipeline.jobs] == [int(cancel_on_kill)]


@in_both_modes
def test_a_task_that_has_run_can_be_copied_and_the_copy_can_run(
    hevo: Sandbox, ti: TaskInstance, monkeypatch: pytest.MonkeyPatch, deferrable: bool
) -> None:
    extra = {"ca_file": certifi.where()}
    connection = {"conn_type": "hevo", "host": hevo.url, "login": hevo.key, "password": hevo.secret, "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_HEVO_AIRFLOW_CONN_ID", json.dumps(connection))
    pipeline = hevo.add_pipeline(7)
    original = operator(deferrable=deferrable)
    play(original, ti)

    copied = copy.deepcopy(original)

    assert (copied._hook, copied._course) == (None, None)
    assert play(copied, ti) == pipeline.jobs[-1].id
    assert len(pipeline.jobs) == 2
