"""
A task is killed: its job is cancelled if, and only if, the task has started it and nobody waits for it any more.

What Airflow would answer is played here; the tests in ``tests/e2e`` ask a real one.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from types import FrameType
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowTaskTimeout

from hevo_provider import compat
from hevo_provider.client import HevoAsyncClient
from hevo_provider.clock import Clock
from hevo_provider.exceptions import HevoJobFailedError, HevoRunError
from hevo_provider.operators import HevoPipelineOperator, HevoResyncObjectsOperator
from hevo_provider.runs.cancel import end_in_time
from hevo_provider.runs.outcome import Ending, Outcome
from hevo_provider.sandbox import Fault, Sandbox, SandboxPipeline
from hevo_provider.sensors import HevoSensor
from hevo_provider.triggers import HevoJobTrigger
from tests.stage.clients import run_of
from tests.stage.clock import START, VirtualClock, waking_at
from tests.stage.failures import fails
from tests.stage.marks import in_both_modes
from tests.stage.tasks import (
    ACTIONS,
    TaskInstance,
    deferred,
    event_of,
    operator,
    operator_of,
    play,
    run_in_triggerer,
)


def waiting(task: HevoPipelineOperator | HevoResyncObjectsOperator | HevoSensor, ti: TaskInstance) -> HevoJobTrigger:
    """Let a worker defer the task: the trigger that waits for it, as Airflow runs it."""
    trigger: HevoJobTrigger = deferred(task, ti).trigger()
    trigger.task_instance = ti  # type: ignore[assignment]
    return trigger


NO_ANSWER = "no answer"


def airflow_says(monkeypatch: pytest.MonkeyPatch, state: str | None, *, token_is_ours: bool = True) -> None:
    async def answer(*_: object) -> tuple[str | None, bool]:
        if state == NO_ANSWER:
            raise RuntimeError("Supervisor connection lost")
        return state, token_is_ours

    monkeypatch.setattr(compat, "_ask_airflow", answer)


async def watched_then_killed(trigger: HevoJobTrigger, clock: VirtualClock, after: float) -> None:
    """Let the trigger wait for some seconds, and end it as this Airflow does when a user has acted."""
    event = await watched(trigger, clock, after)
    await kill(trigger, event)


async def watched(trigger: HevoJobTrigger, clock: VirtualClock, after: float) -> asyncio.Future[Any]:
    with waking_at(clock.now() + after, clock) as reached:
        event = asyncio.ensure_future(event_of(trigger))
        await asyncio.wait([event, reached], return_when=asyncio.FIRST_COMPLETED)
    return event


async def kill(trigger: HevoJobTrigger, event: asyncio.Future[Any]) -> None:
    event.cancel("user-action")
    await asyncio.wait([event])
    if compat.triggers_are_told_of_a_kill():  # before Airflow 3.3 it is only cancelled
        await trigger.on_kill()


@dataclass(frozen=True)
class Kill:
    """
    A trigger's end that looks like a kill.

    :param is_cancelled: whether the job is to be cancelled.
    :param airflow_says: the task's state; None: there is no such task any more.
    :param token_is_ours: whether it is still this deferral that the task waits in.
    :param answer: of Hevo to the action.
    :param follows: whether it follows a job that was active before.
    :param actions: which of them can do that.
    """

    is_cancelled: bool
    airflow_says: str | None = "failed"
    token_is_ours: bool = True
    parameters: dict[str, Any] = field(default_factory=dict)
    answer: Fault = field(default_factory=Fault.no_op)
    follows: bool = False
    actions: tuple[str, ...] = ACTIONS


KILLS = {
    # The task has started the job, and nobody waits for it any more.
    "a user marked the task as failed": Kill(is_cancelled=True),
    "a user marked it as a success": Kill(is_cancelled=True, airflow_says="success"),
    "a user deleted it": Kill(is_cancelled=True, airflow_says=None),
    "a user cleared it, and it is deferred again": Kill(
        is_cancelled=True, airflow_says="deferred", token_is_ours=False
    ),
    # Somebody may still wait.
    "the triggerer stalled, and another took over": Kill(is_cancelled=False, airflow_says="deferred"),
    "Airflow cannot be asked": Kill(is_cancelled=False, airflow_says=NO_ANSWER),
    "the task only wanted the id, and has succeeded": Kill(
        is_cancelled=False, airflow_says="success", parameters={"wait_for_completion": False}
    ),
    # The job is not the task's own, or not for sure.
    "the job is another's, and is followed": Kill(is_cancelled=False, follows=True, actions=("SYNC_NOW", "RESYNC")),
    "whose job it is was assumed": Kill(is_cancelled=False, answer=Fault.reset(after=True)),
    # Nobody wants it to be cancelled.
    "cancel_on_kill is off": Kill(is_cancelled=False, parameters={"cancel_on_kill": False}),
}


@pytest.mark.parametrize(
    ("kill", "action"),
    [pytest.param(kill, action, id=f"{name}-{action}") for name, kill in KILLS.items() for action in kill.actions],
)
def test_a_job_is_cancelled_if_the_task_has_started_it_and_nobody_waits_for_it_any_more(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch, kill: Kill, action: str
) -> None:
    pipeline = hevo.add_pipeline(7, duration=1000)
    hevo.inject(action.lower(), kill.answer)
    parameters = dict(kill.parameters)
    if kill.follows:
        pipeline.start_job("INCREMENTAL" if action == "SYNC_NOW" else "RESYNC", ago=60)
        parameters["on_active_job"] = "follow"
    trigger = waiting(operator_of(action, **parameters), ti)
    airflow_says(monkeypatch, kill.airflow_says, token_is_ours=kill.token_is_ours)

    run_in_triggerer(watched_then_killed(trigger, clock, 60))

    assert [job.cancel_requests for job in pipeline.jobs] == [int(kill.is_cancelled)]


def test_a_sensor_never_cancels(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = hevo.add_pipeline(7, duration=1000)
    pipeline.start_job(ago=60)
    trigger = waiting(HevoSensor(task_id="task", pipeline_id=7), ti)
    airflow_says(monkeypatch, "failed")

    run_in_triggerer(watched_then_killed(trigger, clock, 60))

    assert [job.cancel_requests for job in pipeline.jobs] == [0]


def test_killed_while_the_job_is_still_searched_for_it_polls_once_more(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = hevo.add_pipeline(7, appear_after=5, duration=1000)
    trigger = waiting(operator(), ti)
    airflow_says(monkeypatch, "failed")

    async def killed_in_the_fifth_second() -> None:
        await watched_then_killed(trigger, clock, 3)

    async def shows_just_then() -> None:
        pipeline.jobs[0].appear_after = 0.0

    async def both() -> None:
        await asyncio.gather(killed_in_the_fifth_second(), shows_just_then())

    run_in_triggerer(both())

    assert [job.cancel_requests for job in pipeline.jobs] == [1]


def test_killed_before_the_job_shows_says_that_it_may_run(
    hevo: Sandbox,
    ti: TaskInstance,
    clock: VirtualClock,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    hevo.add_pipeline(7, appear_after=500, duration=1000)
    trigger = waiting(operator(), ti)
    airflow_says(monkeypatch, "failed")

    run_in_triggerer(watched_then_killed(trigger, clock, 3))

    assert "its job does not show yet, so it is not cancelled" in capsys.readouterr().out + caplog.text


def test_the_clean_up_outlives_the_second_that_airflow_gives_it(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = hevo.add_pipeline(7, duration=1000)
    trigger = waiting(operator(), ti)
    airflow_says(monkeypatch, "failed")

    async def killed_impatiently() -> None:
        event = asyncio.ensure_future(event_of(trigger))
        while not pipeline.jobs[0].visible:  # noqa: ASYNC110 - the sandbox is no event
            await asyncio.sleep(0)
        event.cancel("user-action")
        await asyncio.wait([event])
        last_work = asyncio.ensure_future(trigger.on_kill())
        await asyncio.sleep(0)
        last_work.cancel()
        await asyncio.wait([last_work])
        while not pipeline.jobs[0].cancel_requests:  # noqa: ASYNC110
            await asyncio.sleep(0)

    run_in_triggerer(asyncio.wait_for(killed_impatiently(), 10))

    assert pipeline.jobs[0].cancel_requests == 1


@in_both_modes
@pytest.mark.parametrize("limit", [{"timeout": 100}, {"execution_timeout": timedelta(seconds=100)}])
def test_a_task_whose_time_is_over_fails_as_timed_out_and_its_job_is_cancelled(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, deferrable: bool, limit: dict[str, Any]
) -> None:
    pipeline = hevo.add_pipeline(7, duration=1000)
    began = clock.now()

    with fails(AirflowTaskTimeout, says="time was over"):
        play(operator(deferrable=deferrable, **limit), ti)

    assert [job.cancel_requests for job in pipeline.jobs] == [1]
    assert 90 <= clock.now() - began <= 100


async def test_who_only_follows_a_job_needs_no_connection_when_its_time_is_over() -> None:
    followed = run_of(pipeline_id=7, job_id="job", action="SYNC_NOW", cancel_on_kill=True, ownership="adopted")
    late = Outcome(Ending.TIMED_OUT, followed)

    async def gone() -> HevoAsyncClient:
        raise AssertionError("asked for a client")

    assert await end_in_time(gone, late) is late


def test_a_job_that_ends_with_its_time_is_a_success(hevo: Sandbox, ti: TaskInstance) -> None:
    pipeline = hevo.add_pipeline(7, duration=99)

    job_id = play(operator(timeout=100, poll_interval=60), ti)

    assert pipeline.jobs[0].id == job_id


# What Hevo answers to a cancel says little: a poll says what has become of the job

BUSY = {"error": "Internal Server Error", "message": "A job is already in progress"}
NOT_NOW: dict[str, Fault] = {
    **{str(status): Fault.status(status) for status in (403, 404, 408, 409, 425, 499, 502)},
    "429": Fault.status(429, headers={"Retry-After": "50"}),
    "400-over-the-limit": Fault.status(400, body={"message": "Request rate limit exceeded"}),
    "500-busy": Fault.status(500, body=BUSY),
    "200-with-an-error": Fault.json(BUSY),
    "reset": Fault.reset(),
}


def hide(pipeline: SandboxPipeline) -> None:
    for job in pipeline.jobs:
        job.hidden = True


def killed_while_its_job_runs(hevo: Sandbox, ti: TaskInstance, clock: VirtualClock) -> SandboxPipeline:
    """Kill a deferred task whose job runs: the trigger's last work, to its end."""
    pipeline = hevo.add_pipeline(7, duration=3600)
    run_in_triggerer(watched_then_killed(waiting(operator(), ti), clock, 60))
    return pipeline


@pytest.fixture
def _is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    airflow_says(monkeypatch, "failed")


@pytest.mark.usefixtures("_is_killed")
@pytest.mark.parametrize("fault", NOT_NOW.values(), ids=NOT_NOW)
@pytest.mark.parametrize("times", [1, 2])
def test_a_cancel_that_fails_is_repeated_until_the_job_is_seen_to_be_cancelled(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, fault: Fault, times: int
) -> None:
    hevo.inject("cancel_job", fault, times=times)

    pipeline = killed_while_its_job_runs(hevo, ti, clock)

    assert [job.status for job in pipeline.jobs] == ["CANCELLING"]


@pytest.mark.usefixtures("_is_killed")
@pytest.mark.parametrize("fault", [Fault.status(404), Fault.status(503), Fault.reset()], ids=["404", "503", "reset"])
def test_a_job_that_cannot_be_seen_for_a_moment_is_cancelled_all_the_same(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, fault: Fault
) -> None:
    pipeline = hevo.add_pipeline(7, duration=3600)
    trigger = waiting(operator(), ti)

    async def killed_while_hevo_stumbles() -> None:
        event = await watched(trigger, clock, 60)
        hevo.inject("get_job", fault, times=3)
        await kill(trigger, event)

    run_in_triggerer(killed_while_hevo_stumbles())

    assert [job.status for job in pipeline.jobs] == ["CANCELLING"]


@pytest.mark.usefixtures("_is_killed")
@pytest.mark.parametrize("answer", [Fault.status(404, after=True), Fault.reset(after=True)], ids=["404", "reset"])
def test_a_cancel_that_hevo_applied_and_answered_badly_is_not_sent_again(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, story: Callable[[], str], answer: Fault
) -> None:
    hevo.inject("cancel_job", answer)

    pipeline = killed_while_its_job_runs(hevo, ti, clock)

    (job,) = pipeline.jobs
    assert job.cancel_requests == 1
    assert f"job {job.id} is CANCELLING" in story()


@pytest.mark.usefixtures("_is_killed")
@pytest.mark.parametrize("fault", NOT_NOW.values(), ids=NOT_NOW)
def test_a_job_that_cannot_be_cancelled_is_said_to_run_on_after_a_minute_or_two(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, story: Callable[[], str], fault: Fault
) -> None:
    hevo.inject("cancel_job", fault, times=None)

    pipeline = killed_while_its_job_runs(hevo, ti, clock)

    (job,) = pipeline.jobs
    told = story()
    assert f"job {job.id} could not be cancelled" in told
    assert "it still runs (IN_PROGRESS)" in told
    assert "had ended" not in told
    assert 60 <= clock.now() - START - 60 <= 120
    assert len(hevo.requests_of("cancel_job")) <= 16  # each 403 has the key looked up and is asked again


@pytest.mark.usefixtures("_is_killed")
def test_however_long_hevo_asks_to_be_left_alone_the_cancel_is_sent_once_more(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock
) -> None:
    hevo.inject("cancel_job", Fault.status(429, headers={"Retry-After": "3600"}))

    pipeline = killed_while_its_job_runs(hevo, ti, clock)

    assert [job.status for job in pipeline.jobs] == ["CANCELLING"]
    assert clock.now() - START - 60 < 320


@pytest.mark.usefixtures("_is_killed")
def test_a_cancel_that_hevo_has_a_reason_to_refuse_is_not_repeated(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, story: Callable[[], str]
) -> None:
    hevo.inject("cancel_job", Fault.status(400, body={"message": "Schema work goes on"}), times=None)

    pipeline = killed_while_its_job_runs(hevo, ti, clock)

    told = story()
    assert len(hevo.requests_of("cancel_job")) == 1
    assert f"job {pipeline.jobs[0].id} could not be cancelled" in told
    assert "Schema work goes on" in told
    assert "it still runs (IN_PROGRESS)" in told


@pytest.mark.usefixtures("_is_killed")
def test_a_job_that_nobody_can_see_any_more_is_not_said_to_have_ended(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, story: Callable[[], str]
) -> None:
    pipeline = hevo.add_pipeline(7, duration=3600)
    hevo.inject("cancel_job", Fault.status(409), times=None)
    hevo.on_request = lambda request: hide(pipeline) if request.route == "cancel_job" else None

    run_in_triggerer(watched_then_killed(waiting(operator(), ti), clock, 60))

    assert "whether it still runs could not be seen" in story()


@pytest.mark.usefixtures("_is_killed")
def test_a_cancel_that_hevo_accepts_and_forgets_is_sent_again(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock
) -> None:
    hevo.inject("cancel_job", Fault.json({"message": "Job is being cancelled"}), times=2)

    pipeline = killed_while_its_job_runs(hevo, ti, clock)

    assert [job.status for job in pipeline.jobs] == ["CANCELLING"]
    _, second, third = hevo.requests_of("cancel_job")
    assert third.at - second.at >= 0.5


@pytest.mark.parametrize("deferrable", [True, False])
@pytest.mark.parametrize("fault", [NOT_NOW["409"], NOT_NOW["429"], NOT_NOW["reset"]], ids=["409", "429", "reset"])
def test_a_task_whose_time_is_over_cancels_its_job_though_hevo_stumbles(
    hevo: Sandbox, ti: TaskInstance, deferrable: bool, fault: Fault
) -> None:
    pipeline = hevo.add_pipeline(7, duration=3600)
    hevo.inject("cancel_job", fault, times=2)

    with fails(AirflowTaskTimeout, says="Hevo was asked to cancel it"):
        play(operator(deferrable=deferrable, timeout=100), ti)

    assert [job.status for job in pipeline.jobs] == ["CANCELLING"]


@pytest.mark.parametrize("deferrable", [True, False])
@pytest.mark.parametrize("answer", [None, Fault.status(409), Fault.status(404)], ids=["200", "409", "404"])
def test_a_job_that_ends_well_while_it_is_to_be_cancelled_has_ended_well(
    hevo: Sandbox, ti: TaskInstance, deferrable: bool, answer: Fault | None
) -> None:
    pipeline = hevo.add_pipeline(7, duration=3600)
    hevo.inject("cancel_job", answer or Fault.json({"message": "Job is being cancelled"}))
    hevo.on_request = lambda request: pipeline.jobs[0].end() if request.route == "cancel_job" else None

    assert play(operator(deferrable=deferrable, timeout=100), ti) == pipeline.jobs[0].id


@pytest.mark.parametrize("deferrable", [True, False])
@pytest.mark.parametrize(
    ("appear_after", "says"), [(0, "job .* had not ended.*may still run"), (1e6, "had not been found.*may still run")]
)
def test_a_task_whose_time_is_over_says_so_though_its_job_cannot_be_cancelled(
    hevo: Sandbox, ti: TaskInstance, deferrable: bool, appear_after: float, says: str
) -> None:
    hevo.add_pipeline(7, appear_after=appear_after, duration=3600)
    hevo.inject("cancel_job", Fault.status(400, body={"message": "Schema work goes on"}))

    with fails(AirflowTaskTimeout, says=says):
        play(operator(deferrable=deferrable, timeout=30), ti)


@pytest.mark.parametrize("deferrable", [True, False])
def test_a_job_that_fails_while_it_is_to_be_cancelled_has_failed(
    hevo: Sandbox, ti: TaskInstance, deferrable: bool
) -> None:
    pipeline = hevo.add_pipeline(7, duration=3600)
    hevo.on_request = lambda request: pipeline.jobs[0].end("FAILED") if request.route == "cancel_job" else None

    with pytest.raises(HevoJobFailedError):
        play(operator(deferrable=deferrable, timeout=100), ti)


@in_both_modes
def test_a_task_that_only_wants_the_id_has_it_where_its_job_shows_and_has_ended_when_time_is_over(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, deferrable: bool
) -> None:
    pipeline = hevo.add_pipeline(7, duration=20, ends="FAILED")
    hevo.fault_source = lambda _: Fault.status(503) if pipeline.jobs and clock.now() < START + 100.2 else None

    job_id = play(operator(deferrable=deferrable, timeout=100, wait_for_completion=False), ti)

    assert [job.id for job in pipeline.jobs] == [job_id]


# A worker that blocks


class Terminated(Exception):  # noqa: N818 - stands for Airflow 2's answer to SIGTERM
    pass


@pytest.fixture
def sigterm(clock: VirtualClock, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the worker wait in earnest in its fifth sleep, and send the process a SIGTERM then."""
    sleeps, main = 0, threading.main_thread().ident or 0

    async def sleep(seconds: float) -> None:
        nonlocal sleeps
        sleeps += 1
        if sleeps != 5:
            await clock.sleep(seconds)
            return
        signal.pthread_kill(main, signal.SIGTERM)
        await asyncio.Event().wait()

    monkeypatch.setattr("hevo_provider.clock._of_this_process", Clock(now=clock.now, monotonic=clock.now, sleep=sleep))
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.usefixtures("sigterm")
@pytest.mark.parametrize("raises", [True, False], ids=["as on 2.11", "as on 3.3"])
def test_sigterm_to_a_blocking_worker_cancels_the_job(hevo: Sandbox, ti: TaskInstance, raises: bool) -> None:
    pipeline = hevo.add_pipeline(7, duration=1000)
    task = operator(deferrable=False)

    def terminate(_signal: int, _frame: FrameType | None) -> None:
        task.on_kill()
        if raises:
            raise Terminated

    signal.signal(signal.SIGTERM, terminate)

    with pytest.raises(Terminated if raises else HevoRunError):
        task.execute(ti.context)

    assert [job.cancel_requests for job in pipeline.jobs] == [1]


@pytest.mark.usefixtures("sigterm")
def test_a_worker_that_is_killed_has_time_to_repeat_a_cancel_and_to_say_what_it_saw(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, story: Callable[[], str]
) -> None:
    pipeline = hevo.add_pipeline(7, duration=1000)
    hevo.inject("cancel_job", Fault.status(409), times=None)
    hevo.on_request = lambda request: clock.advance(0.3) if request.route == "cancel_job" else None
    task = operator(deferrable=False)
    killed_at: list[float] = []

    def terminate(_signal: int, _frame: FrameType | None) -> None:
        killed_at.append(clock.now())
        task.on_kill()

    signal.signal(signal.SIGTERM, terminate)

    with pytest.raises(HevoRunError):
        task.execute(ti.context)

    assert f"job {pipeline.jobs[0].id} could not be cancelled" in story()
    assert len(hevo.requests_of("cancel_job")) > 1
    assert clock.now() - killed_at[0] <= 1.6, "of three seconds"


@pytest.mark.usefixtures("sigterm")
def test_an_execution_timeout_that_strikes_a_blocking_worker_cancels_the_job(hevo: Sandbox, ti: TaskInstance) -> None:
    pipeline = hevo.add_pipeline(7, duration=1000)
    task = operator(deferrable=False)

    def strike(_signal: int, _frame: FrameType | None) -> None:
        raise AirflowTaskTimeout

    signal.signal(signal.SIGTERM, strike)

    def run_as_airflow_does() -> None:
        try:
            task.execute(ti.context)
        except AirflowTaskTimeout:
            task.on_kill()
            raise

    with pytest.raises(AirflowTaskTimeout):
        run_as_airflow_does()

    assert [job.cancel_requests for job in pipeline.jobs] == [1]


@pytest.mark.usefixtures("sigterm")
def test_a_worker_killed_while_it_follows_somebody_elses_job_leaves_it_alone(hevo: Sandbox, ti: TaskInstance) -> None:
    pipeline = hevo.add_pipeline(7, duration=10_000)
    pipeline.start_job(ago=60)
    task = operator(deferrable=False, on_active_job="follow")
    signal.signal(signal.SIGTERM, lambda *_: task.on_kill())

    with fails(Exception, says="was killed"):
        task.execute(ti.context)

    assert [job.cancel_requests for job in pipeline.jobs] == [0]
