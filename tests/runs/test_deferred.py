"""DEFERRED: the source's own rate limit stopped some objects. What was read is loaded, and the next run goes on."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowTaskTimeout

from hevo_provider.exceptions import HevoConfigError, HevoJobFailedError, HevoPipelineBusyError
from hevo_provider.operators import HevoPipelineOperator
from hevo_provider.sandbox import Fault, Request, Sandbox
from hevo_provider.sandbox.pipelines import SandboxPipeline
from hevo_provider.sensors import HevoSensor
from tests.stage.clock import VirtualClock
from tests.stage.death import MortalStore, lose_worker
from tests.stage.failures import fails, told_by
from tests.stage.marks import (
    for_every_action,
    in_alternating_modes,
    in_both_modes,
    in_every_sensor_mode,
    whether_it_waits_or_not,
)
from tests.stage.sensors import RescheduledTaskInstance, sense
from tests.stage.tasks import (
    ACTIONS,
    Deferral,
    TaskInstance,
    deferred,
    event_of,
    operator,
    operator_of,
    play,
    run_in_triggerer,
    work,
)


@pytest.fixture
def ti(clock: VirtualClock) -> TaskInstance:
    return RescheduledTaskInstance(clock)


STARTS = tuple(action.lower() for action in ACTIONS)


def going_on(action: str = "SYNC_NOW", **parameters: Any) -> HevoPipelineOperator:
    return operator_of(action, **{"on_deferred": "continue", **parameters})


def jobs_end(hevo: Sandbox, pipeline: SandboxPipeline, *statuses: str) -> None:
    """Let each job that is started end as told, and those after the last as that."""

    def told(request: Request) -> None:
        if request.route in STARTS and request.status == 200:
            pipeline.jobs[-1].ends = statuses[min(len(pipeline.jobs), len(statuses)) - 1]

    hevo.on_request = told


def started(hevo: Sandbox) -> list[str]:
    """Return what Hevo was asked to start, in order."""
    return [request.route for request in hevo.requests_of(*STARTS)]


# Fail, the default


@for_every_action
@in_both_modes
def test_a_deferred_job_fails_the_task_with_what_that_means(
    hevo: Sandbox, ti: TaskInstance, action: str, deferrable: bool
) -> None:
    pipeline = hevo.add_pipeline(7, ends="DEFERRED")

    with pytest.raises(HevoJobFailedError) as failure:
        play(operator_of(action, deferrable=deferrable), ti)

    (name,) = pipeline.jobs[0].deferred_objects
    assert "ended DEFERRED" in told_by(failure.value)
    assert f"The source's own rate limit stopped some objects ({name}): what was read of them is loaded" in told_by(
        failure.value
    )
    assert 'Set on_deferred to "accept"' in told_by(failure.value)
    assert ti.xcoms["hevo_job"]["deferred_objects"] == [name]
    assert "jobs" not in ti.xcoms["hevo_job"]


@in_both_modes
def test_it_fails_no_less_where_hevo_does_not_tell_the_objects(
    hevo: Sandbox, ti: TaskInstance, deferrable: bool
) -> None:
    hevo.add_pipeline(7, ends="DEFERRED")
    hevo.inject("list_job_objects", Fault.status(404), times=None)

    with fails(HevoJobFailedError, says="stopped some objects: what was read"):
        play(operator(deferrable=deferrable), ti)

    assert ti.xcoms["hevo_job"]["status"] == "DEFERRED"


# Accept


@in_both_modes
@pytest.mark.parametrize(
    ("ends", "accepts_failures", "succeeds"),
    [
        ("DEFERRED", False, True),
        ("DEFERRED", True, True),
        ("DEFERRED_WITH_FAILURES", False, False),
        ("DEFERRED_WITH_FAILURES", True, True),
        ("COMPLETED_WITH_FAILURES", False, False),
        ("FAILED", True, False),
    ],
)
def test_it_can_be_accepted_with_a_warning_that_names_what_is_missing(
    hevo: Sandbox,
    ti: TaskInstance,
    story: Callable[[], str],
    deferrable: bool,
    ends: str,
    accepts_failures: bool,
    succeeds: bool,
) -> None:
    pipeline = hevo.add_pipeline(7, ends=ends)
    task = operator(on_deferred="accept", accept_completed_with_failures=accepts_failures, deferrable=deferrable)

    if not succeeds:
        with fails(HevoJobFailedError, says=f"ended {ends}"):
            play(task, ti)
        return

    assert play(task, ti) == pipeline.jobs[0].id
    assert ti.xcoms["hevo_job"]["deferred_objects"] == ["invoices"]
    assert "stopped some objects (invoices)" in (told := story())
    assert "warning" in told.casefold()


@in_both_modes
def test_a_retry_returns_a_deferred_job_that_is_accepted(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, deferrable: bool
) -> None:
    pipeline = hevo.add_pipeline(7, ends="DEFERRED")
    lose_worker(operator(on_deferred="accept"), ti)
    clock.advance(300)
    ti.next_try()

    job_id = play(operator(on_deferred="accept", deferrable=deferrable), ti)

    assert [job.id for job in pipeline.jobs] == [job_id]


# Continue


@for_every_action
@in_both_modes
def test_it_can_go_on_with_syncs_until_all_has_caught_up_as_one_task(
    hevo: Sandbox, ti: TaskInstance, action: str, deferrable: bool
) -> None:
    pipeline = hevo.add_pipeline(7)
    jobs_end(hevo, pipeline, "DEFERRED", "DEFERRED", "COMPLETED")

    job_id = play(going_on(action, deferrable=deferrable, poll_interval=40), ti)

    jobs = pipeline.jobs
    assert job_id == jobs[-1].id
    assert [job.status for job in jobs] == ["DEFERRED", "DEFERRED", "COMPLETED"]
    assert started(hevo) == [action.lower(), "sync_now", "sync_now"]
    assert all(later.created_at - (before.ended_at or 0) >= 40 for before, later in pairwise(jobs))
    told = ti.xcoms["hevo_job"]
    assert told["jobs"] == [job.id for job in jobs]
    assert (told["job_id"], told["status"], told["events_loaded"]) == (job_id, "COMPLETED", 3000)
    assert told["events_ingested"] == 3000
    assert "deferred_objects" not in told


@in_both_modes
def test_where_nothing_is_deferred_it_is_one_job_as_ever(hevo: Sandbox, ti: TaskInstance, deferrable: bool) -> None:
    pipeline = hevo.add_pipeline(7)

    job_id = play(going_on(deferrable=deferrable), ti)

    assert ti.xcoms["hevo_job"]["jobs"] == [job_id] == [job.id for job in pipeline.jobs]
    assert ti.xcoms["hevo_job"]["events_loaded"] == 1000


def test_the_pause_is_spent_in_the_triggerer_and_a_worker_starts_the_next_job(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock
) -> None:
    pipeline = hevo.add_pipeline(7, ends="DEFERRED")
    task = going_on("RESYNC", poll_interval=60)
    left_behind = deferred(task, ti)

    event = run_in_triggerer(event_of(left_behind.trigger()))
    before = clock.now()
    again = work(lambda: task.execute_complete(ti.context, event))

    assert event["event"] == "start"
    assert isinstance(again, Deferral)
    assert again.kwargs["gone_before"] == [pipeline.jobs[0].id]
    assert clock.now() == before
    assert started(hevo) == ["resync", "sync_now"]


def test_a_triggerer_that_takes_over_while_it_pauses_comes_to_the_same(hevo: Sandbox, ti: TaskInstance) -> None:
    pipeline = hevo.add_pipeline(7, ends="DEFERRED")
    left_behind = deferred(going_on("RESYNC"), ti)

    first, second = (run_in_triggerer(event_of(left_behind.trigger())) for _ in range(2))

    assert first["event"] == second["event"] == "start"
    assert first["run"]["gone_before"] == second["run"]["gone_before"] == [pipeline.jobs[0].id]


@in_both_modes
@pytest.mark.parametrize("action", ["SYNC_NOW", "RESYNC"])
def test_where_time_is_over_it_fails_naming_the_deferral_and_starts_nothing_more(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, deferrable: bool, action: str
) -> None:
    pipeline = hevo.add_pipeline(7, ends="DEFERRED")

    with fails(AirflowTaskTimeout, says="ended DEFERRED, and what was deferred has not caught up"):
        play(going_on(action, deferrable=deferrable, timeout=100, poll_interval=30), ti)

    so_far = len(pipeline.jobs)
    clock.advance(1000)
    assert so_far == len(pipeline.jobs) >= 2
    assert [job.cancel_requests for job in pipeline.jobs[:-1]] == [0] * (so_far - 1)


@in_both_modes
def test_where_time_is_over_while_a_later_job_runs_that_is_cancelled(
    hevo: Sandbox, ti: TaskInstance, deferrable: bool
) -> None:
    pipeline = hevo.add_pipeline(7, duration=50)
    jobs_end(hevo, pipeline, "DEFERRED", "COMPLETED")

    with fails(AirflowTaskTimeout, says=r"had not ended .* asked to cancel it. Before that, job .* DEFERRED"):
        play(going_on(deferrable=deferrable, timeout=100, poll_interval=10), ti)

    assert [job.status for job in pipeline.jobs] == ["DEFERRED", "CANCELLING"]


@in_both_modes
@pytest.mark.parametrize("ends", ["FAILED", "CANCELLED", "COMPLETED_WITH_FAILURES", "DEFERRED_WITH_FAILURES"])
def test_each_further_job_is_judged_as_the_first(hevo: Sandbox, ti: TaskInstance, deferrable: bool, ends: str) -> None:
    pipeline = hevo.add_pipeline(7)
    jobs_end(hevo, pipeline, "DEFERRED", ends)

    with fails(HevoJobFailedError, says=f"ended {ends}"):
        play(going_on(deferrable=deferrable), ti)

    assert len(pipeline.jobs) == 2


@in_both_modes
def test_a_deferral_with_failures_is_gone_on_from_only_where_failures_are_accepted(
    hevo: Sandbox, ti: TaskInstance, deferrable: bool
) -> None:
    pipeline = hevo.add_pipeline(7)
    jobs_end(hevo, pipeline, "DEFERRED_WITH_FAILURES", "COMPLETED_WITH_FAILURES")
    with fails(HevoJobFailedError, says="DEFERRED_WITH_FAILURES also needs accept_completed_with_failures"):
        play(going_on(deferrable=deferrable), ti)
    pipeline._jobs.clear()
    pipeline._by_time.clear()
    ti.next_try()

    job_id = play(going_on(deferrable=deferrable, accept_completed_with_failures=True), ti)

    assert [job.status for job in pipeline.jobs] == ["DEFERRED_WITH_FAILURES", "COMPLETED_WITH_FAILURES"]
    assert pipeline.jobs[-1].id == job_id


@in_both_modes
@pytest.mark.parametrize("on_active_job", ["fail", "wait"])
def test_what_is_active_when_it_would_go_on_is_met_as_at_the_first_start(
    hevo: Sandbox, ti: TaskInstance, deferrable: bool, on_active_job: str
) -> None:
    pipeline = hevo.add_pipeline(7)
    jobs_end(hevo, pipeline, "DEFERRED", "COMPLETED")
    ends = hevo.on_request
    others: list[Any] = []

    def told(request: Request) -> None:
        assert ends is not None
        ends(request)
        if pipeline.jobs and pipeline.jobs[0].status == "DEFERRED" and not others:
            others.append(pipeline.start_job(appear_after=0, duration=200))

    hevo.on_request = told
    task = going_on(deferrable=deferrable, on_active_job=on_active_job)

    if on_active_job == "fail":
        with fails(HevoPipelineBusyError, says=r"is active; nothing was started"):
            play(task, ti)
    else:
        job_id = play(task, ti)
        assert [job.id for job in pipeline.jobs_started_by_api][1:] == [job_id]
    assert others[0].cancel_requests == 0


@in_both_modes
def test_a_historical_job_that_goes_on_is_followed_too(hevo: Sandbox, ti: TaskInstance, deferrable: bool) -> None:
    pipeline = hevo.add_pipeline(7, sync_brings=["HISTORICAL"])
    jobs_end(hevo, pipeline, "DEFERRED", "COMPLETED")

    job_id = play(going_on("RESYNC", deferrable=deferrable), ti)

    assert [job.type for job in pipeline.jobs] == ["RESYNC", "HISTORICAL"]
    assert pipeline.jobs[-1].id == job_id


# Never a second resync


@in_both_modes
@pytest.mark.parametrize("action", ["RESYNC", "RESYNC_OBJECTS"])
def test_a_retry_after_a_lost_worker_goes_on_and_resyncs_nothing_again(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, deferrable: bool, action: str
) -> None:
    pipeline = hevo.add_pipeline(7)
    jobs_end(hevo, pipeline, "DEFERRED", "COMPLETED")
    lose_worker(going_on(action), ti)
    clock.advance(300)
    ti.next_try()

    job_id = play(going_on(action, deferrable=deferrable), ti)

    assert started(hevo) == [action.lower(), "sync_now"]
    assert ti.xcoms["hevo_job"]["jobs"] == [job.id for job in pipeline.jobs]
    assert pipeline.jobs[-1].id == job_id


@in_both_modes
def test_a_retry_after_a_worker_that_was_lost_in_the_pause_takes_no_other_job_for_the_sync_that_was_to_come(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, deferrable: bool
) -> None:
    pipeline = hevo.add_pipeline(7)
    jobs_end(hevo, pipeline, "DEFERRED", "COMPLETED")
    ti.store = MortalStore()
    lose_worker(going_on("RESYNC", deferrable=False), ti, before="get_pipeline", after="get_job")
    clock.advance(300)
    pipeline.start_job(appear_after=0, duration=10)
    clock.advance(60)
    ti.next_try()

    job_id = play(going_on("RESYNC", deferrable=deferrable), ti)

    assert started(hevo) == ["resync", "sync_now"]
    assert [job.id for job in pipeline.jobs_started_by_api][1:] == [job_id]


@in_alternating_modes("action, ends", ["RESYNC", "RESYNC_OBJECTS"], ["FAILED", "CANCELLED"])
def test_a_retry_after_a_later_job_that_failed_syncs_and_resyncs_nothing_again(
    hevo: Sandbox, ti: TaskInstance, deferrable: bool, action: str, ends: str
) -> None:
    pipeline = hevo.add_pipeline(7)
    jobs_end(hevo, pipeline, "DEFERRED", ends, "COMPLETED")
    with pytest.raises(HevoJobFailedError):
        play(going_on(action, deferrable=deferrable), ti)
    ti.next_try()

    job_id = play(going_on(action, deferrable=deferrable), ti)

    assert started(hevo) == [action.lower(), "sync_now", "sync_now"]
    assert pipeline.jobs[-1].id == job_id
    assert ti.store is not None
    assert ti.store.values == {}


@in_both_modes
@pytest.mark.parametrize("action", ["RESYNC", "RESYNC_OBJECTS"])
def test_a_retry_after_a_time_out_syncs_and_resyncs_nothing_again(
    hevo: Sandbox, ti: TaskInstance, deferrable: bool, action: str
) -> None:
    pipeline = hevo.add_pipeline(7, ends="DEFERRED")
    with pytest.raises(AirflowTaskTimeout):
        play(going_on(action, deferrable=deferrable, timeout=40, poll_interval=30), ti)
    pipeline.ends = "COMPLETED"
    ti.next_try()

    job_id = play(going_on(action, deferrable=deferrable), ti)

    assert started(hevo)[0] == action.lower()
    assert set(started(hevo)[1:]) == {"sync_now"}
    assert pipeline.jobs[-1].id == job_id


@in_both_modes
@pytest.mark.parametrize("fault", [Fault.reset(after=True), Fault.status(503, after=True), Fault.status(503)])
def test_an_answer_to_a_later_sync_that_is_lost_costs_no_second_job(
    hevo: Sandbox, ti: TaskInstance, deferrable: bool, fault: Fault
) -> None:
    pipeline = hevo.add_pipeline(7)
    jobs_end(hevo, pipeline, "DEFERRED", "COMPLETED")
    hevo.inject("sync_now", fault)

    job_id = play(going_on("RESYNC", deferrable=deferrable), ti)

    assert [job.id for job in pipeline.jobs][1:] == [job_id]
    assert started(hevo).count("resync") == 1


@in_both_modes
def test_a_cleared_task_begins_anew_as_its_author_has_written_it(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, deferrable: bool
) -> None:
    pipeline = hevo.add_pipeline(7, ends="DEFERRED")
    with pytest.raises(AirflowTaskTimeout):
        play(going_on("RESYNC", deferrable=deferrable, timeout=40, poll_interval=30), ti)
    pipeline.ends = "COMPLETED"
    clock.advance(100)
    ti.next_try(cleared=True)

    job_id = play(going_on("RESYNC", deferrable=deferrable), ti)

    assert started(hevo)[-1] == "resync"
    assert ti.xcoms["hevo_job"]["jobs"] == [job_id]


# The sensor


@in_every_sensor_mode
@pytest.mark.parametrize(("on_deferred", "succeeds"), [("fail", False), ("accept", True)])
def test_a_sensor_fails_or_accepts(
    hevo: Sandbox, ti: TaskInstance, mode: str, on_deferred: str, succeeds: bool
) -> None:
    job = hevo.add_pipeline(7).start_job(appear_after=0, ends="DEFERRED")

    if succeeds:
        assert sense(mode, ti, on_deferred=on_deferred) == job.id
        assert ti.xcoms["hevo_job"]["deferred_objects"] == ["invoices"]
    else:
        with fails(HevoJobFailedError, says=r"rate limit stopped some objects \(invoices\)") as failure:
            sense(mode, ti, on_deferred=on_deferred)
        assert "continue" not in told_by(failure.value)


@in_every_sensor_mode
def test_a_sensor_that_waits_for_any_completed_job_accepts_a_deferred_one_only_where_told(
    hevo: Sandbox, ti: TaskInstance, mode: str
) -> None:
    pipeline = hevo.add_pipeline(7)
    job = pipeline.start_job(ago=100, duration=50, appear_after=0, ends="DEFERRED")

    assert sense(mode, ti, completed_after="2001-01-01", on_deferred="accept") == job.id


# Parameters


@pytest.mark.parametrize("value", ["ignore", None, True, ""])
@pytest.mark.parametrize("kind", [HevoPipelineOperator, HevoSensor])
def test_another_word_is_refused_when_the_dag_is_parsed(kind: Any, value: object) -> None:
    with fails(HevoConfigError, says="on_deferred must be one of fail, accept, continue"):
        kind(task_id="task", pipeline_id=7, on_deferred=value)


@pytest.mark.parametrize("value", ["continue", "CONTINUE"])
def test_a_sensor_refuses_to_go_on(value: str) -> None:
    with fails(HevoConfigError, says='on_deferred="continue" is not for a sensor'):
        HevoSensor(task_id="task", pipeline_id=7, on_deferred=value)


@whether_it_waits_or_not
def test_a_task_that_does_not_wait_for_the_end_does_not_see_a_deferral(
    hevo: Sandbox, ti: TaskInstance, deferrable: bool, wait_for_completion: bool
) -> None:
    pipeline = hevo.add_pipeline(7)
    jobs_end(hevo, pipeline, "DEFERRED", "COMPLETED")

    play(going_on(deferrable=deferrable, wait_for_completion=wait_for_completion), ti)

    assert len(pipeline.jobs) == (2 if wait_for_completion else 1)
