"""Time passes between the poll of a pipeline, the call that starts it and its answer: the job is the task's own."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowTaskTimeout

from hevo_provider.sandbox import Fault, Request, Sandbox
from tests.stage.clock import VirtualClock
from tests.stage.failures import fails
from tests.stage.marks import in_both_modes
from tests.stage.tasks import Deferral, StateStore, TaskInstance, event_of, operator, play, run_in_triggerer, work

LOST_ANSWER = Fault.status(502, after=True)


def let_time_pass(hevo: Sandbox, clock: VirtualClock, route: str, *, seconds: float, which: range) -> None:
    """Let answers of a route take their time, by their number from 1."""
    seen = 0

    def on_request(request: Request) -> None:
        nonlocal seen
        seen += request.route == route
        if request.route == route and seen in which:
            clock.advance(seconds)

    hevo.on_request = on_request


@in_both_modes
def test_a_pipeline_that_takes_minutes_to_poll_costs_no_second_job(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, deferrable: bool
) -> None:
    pipeline = hevo.add_pipeline(7, duration=30)
    let_time_pass(hevo, clock, "get_pipeline", seconds=30, which=range(1, 4))
    hevo.inject("get_pipeline", Fault.reset(), times=3)
    hevo.inject("sync_now", LOST_ANSWER)

    job_id = play(operator(deferrable=deferrable), ti)

    assert [job.id for job in pipeline.jobs] == [job_id]


def test_a_job_that_another_user_starts_while_the_pipeline_is_polled_is_not_the_tasks_own(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock
) -> None:
    pipeline = hevo.add_pipeline(7, duration=30, parallel_jobs=True)

    def on_request(request: Request) -> None:
        if request.route == "get_pipeline" and not pipeline.jobs:
            clock.advance(30)
            pipeline.start_job(appear_after=0, duration=1)

    hevo.on_request = on_request

    job_id = play(operator(on_active_job="start"), ti)

    assert len(pipeline.jobs) == 2
    assert [job.id for job in pipeline.jobs_started_by_api] == [job_id]


@in_both_modes
def test_a_slow_record_costs_no_second_job(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch, deferrable: bool
) -> None:
    pipeline = hevo.add_pipeline(7, duration=30)
    hevo.inject("sync_now", LOST_ANSWER)
    store = StateStore.set

    def slowly(self: StateStore, key: str, value: Any) -> None:
        clock.advance(100)
        store(self, key, value)

    monkeypatch.setattr(StateStore, "set", slowly)

    job_id = play(operator(deferrable=deferrable), ti)

    assert [job.id for job in pipeline.jobs] == [job_id]


def test_a_gateway_that_holds_a_call_back_for_minutes_costs_no_second_job(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock
) -> None:
    pipeline = hevo.add_pipeline(7, duration=30)
    let_time_pass(hevo, clock, "sync_now", seconds=200, which=range(1, 2))
    hevo.inject("sync_now", Fault.status(504, after=True))

    job_id = play(operator(), ti)

    assert [job.id for job in pipeline.jobs] == [job_id]


@in_both_modes
@pytest.mark.parametrize("route", ["sync_now", "get_pipeline"])
def test_a_pause_that_no_task_could_outlive_is_cut_to_minutes(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, deferrable: bool, route: str
) -> None:
    pipeline = hevo.add_pipeline(7)
    began = clock.now()
    hevo.inject(route, Fault.status(429, headers={"Retry-After": "999999999"}))

    job_id = play(operator(deferrable=deferrable), ti)

    assert [job.id for job in pipeline.jobs] == [job_id]
    assert clock.now() - began < 900


@in_both_modes
def test_a_task_whose_time_is_over_before_it_could_start_says_that_nothing_was_started(
    hevo: Sandbox, ti: TaskInstance, deferrable: bool
) -> None:
    pipeline = hevo.add_pipeline(7)
    busy = pipeline.start_job(appear_after=0, duration=1000)

    with fails(AirflowTaskTimeout, says="nothing had been started when the task's time was over"):
        play(operator(deferrable=deferrable, on_active_job="wait", timeout=100), ti)

    assert pipeline.jobs == [busy]


# After the task's time nothing is sent


def resumed_late(task: Any, ti: TaskInstance, clock: VirtualClock, *, by: float) -> Any:
    """Let the task's first deferral end, and a worker take it up only so many seconds later: its pool was full."""
    left_behind = work(lambda: task.execute(ti.context))
    assert isinstance(left_behind, Deferral)
    event = run_in_triggerer(event_of(left_behind.trigger()))
    assert event["event"] == "start"
    clock.advance(by)
    return work(lambda: task.execute_complete(ti.context, event))


def test_a_resume_that_was_queued_until_the_tasks_time_was_over_sends_nothing(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock
) -> None:
    pipeline = hevo.add_pipeline(7)
    other = pipeline.start_job(ago=60, duration=110)

    with fails(AirflowTaskTimeout, says="nothing had been started when the task's time was over"):
        resumed_late(operator(on_active_job="wait", timeout=100), ti, clock, by=50)

    assert pipeline.jobs == [other]
    assert hevo.requests_of("sync_now") == []


def test_a_start_that_was_put_off_and_queued_until_the_tasks_time_was_over_sends_nothing(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock
) -> None:
    pipeline = hevo.add_pipeline(7)
    hevo.inject("sync_now", Fault.status(429, headers={"Retry-After": "60"}))

    with fails(AirflowTaskTimeout, says=r"nothing had been started.*Hevo answered 429"):
        resumed_late(operator(timeout=100), ti, clock, by=50)

    assert pipeline.jobs == []
    assert len(hevo.requests_of("sync_now")) == 1


def test_a_call_of_unknown_fate_is_not_sent_again_when_the_tasks_time_is_over(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock
) -> None:
    hevo.add_pipeline(7)
    hevo.inject("sync_now", Fault.reset())

    with fails(AirflowTaskTimeout, says="its job had not been found when the task's time was over"):
        resumed_late(operator(timeout=100), ti, clock, by=50)

    assert len(hevo.requests_of("sync_now")) == 1


@in_both_modes
def test_a_pipeline_that_takes_all_of_the_tasks_time_to_look_at_is_not_started(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, deferrable: bool
) -> None:
    hevo.add_pipeline(7)
    let_time_pass(hevo, clock, "get_pipeline", seconds=60, which=range(1, 3))

    with fails(AirflowTaskTimeout, says="nothing had been started when the task's time was over"):
        play(operator(timeout=100, deferrable=deferrable), ti)

    assert hevo.requests_of("sync_now") == []


@in_both_modes
def test_a_job_that_ends_between_the_last_poll_and_its_cancellation_has_ended(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, deferrable: bool
) -> None:
    pipeline = hevo.add_pipeline(7, duration=None)

    def on_request(request: Request) -> None:
        if request.route == "get_job" and clock.now() - ti.start_date.timestamp() >= 100:
            pipeline.jobs[0].end()

    hevo.on_request = on_request  # which is called once the answer is made

    job_id = play(operator(deferrable=deferrable, timeout=100), ti)

    assert [(job.id, job.cancel_requests) for job in pipeline.jobs] == [(job_id, 0)]
