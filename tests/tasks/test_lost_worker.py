"""A worker is lost, or a user clears the task: the next try follows the job that was started, or starts its own."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.providers.common.compat.connection import get_async_connection
from airflow.providers.common.compat.sdk import AirflowNotFoundException, AirflowTaskTimeout

from hevo_provider import hooks
from hevo_provider.exceptions import HevoConnectionNotFoundError, HevoJobFailedError, HevoRunError
from hevo_provider.hooks import HevoHook
from hevo_provider.sandbox import Fault, Request, Sandbox, SandboxPipeline
from tests.stage.clock import VirtualClock
from tests.stage.death import MortalStore, lose_worker
from tests.stage.failures import fails
from tests.stage.marks import for_every_action, in_alternating_modes, in_both_modes
from tests.stage.tasks import (
    ACTIONS,
    TaskInstance,
    deferred,
    event_of,
    operator,
    operator_of,
    play,
    run_in_triggerer,
    work,
)

RETRY_DELAY = 300.0
WEEK = 7 * 24 * 3600.0


def start_beside_another(hevo: Sandbox, ti: TaskInstance, *, duration: float) -> SandboxPipeline:
    """Run a try until it defers while the schedule starts a job in the same second: Hevo's times fit both."""
    pipeline = hevo.add_pipeline(7, parallel_jobs=True, appear_after=1, duration=duration)

    def start_another(request: Request) -> None:
        if request.route == "sync_now":
            pipeline.start_job(ago=-0.2)

    hevo.on_request = start_another
    deferred(operator(), ti)
    hevo.on_request = None
    return pipeline


@pytest.fixture
def ti(clock: VirtualClock) -> TaskInstance:
    return TaskInstance(clock, retries=2, store=MortalStore())


@in_alternating_modes("action, appear_after", ACTIONS, [0.0, 15.0])
def test_a_retry_follows_the_job_of_a_worker_killed_between_post_and_defer(
    hevo: Sandbox,
    ti: TaskInstance,
    clock: VirtualClock,
    action: str,
    deferrable: bool,
    appear_after: float,
) -> None:
    pipeline = hevo.add_pipeline(7, appear_after=appear_after, duration=1000)
    lose_worker(operator_of(action), ti)
    clock.advance(RETRY_DELAY)
    ti.next_try()

    job_id = play(operator_of(action, deferrable=deferrable), ti)

    assert [job.id for job in pipeline.jobs] == [job_id]


def test_a_retry_at_once_still_finds_the_job_that_does_not_show_yet(hevo: Sandbox, ti: TaskInstance) -> None:
    pipeline = hevo.add_pipeline(7, appear_after=15, duration=100)
    lose_worker(operator(), ti)
    ti.next_try()

    job_id = play(operator(), ti)

    assert [job.id for job in pipeline.jobs] == [job_id]


@for_every_action
@pytest.mark.parametrize("wait", [0.0, RETRY_DELAY])
def test_a_retry_starts_the_job_if_the_worker_was_killed_before_the_post(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, wait: float, action: str
) -> None:
    pipeline = hevo.add_pipeline(7)
    lose_worker(operator_of(action), ti, before=action.lower())
    clock.advance(wait)
    ti.next_try()

    job_id = play(operator_of(action), ti)

    assert [job.id for job in pipeline.jobs] == [job_id]


@in_both_modes
def test_a_retry_that_has_waited_in_vain_is_lost_itself_and_the_next_finds_its_job(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, deferrable: bool
) -> None:
    pipeline = hevo.add_pipeline(7, appear_after=15, duration=100)
    lose_worker(operator(), ti, before="sync_now")
    clock.advance(RETRY_DELAY)
    ti.next_try()
    lose_worker(operator(deferrable=False), ti, before="list_jobs", after="sync_now")
    ti.next_try()

    job_id = play(operator(deferrable=deferrable), ti)

    assert [job.id for job in pipeline.jobs] == [job_id]


def test_a_retry_returns_at_once_if_the_job_has_succeeded_meanwhile(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock
) -> None:
    pipeline = hevo.add_pipeline(7, duration=100)
    lose_worker(operator(), ti)
    clock.advance(RETRY_DELAY)
    ti.next_try()

    job_id = work(lambda: operator().execute(ti.context))

    assert [job.id for job in pipeline.jobs] == [job_id]


def test_a_retry_follows_the_job_of_a_worker_killed_while_blocking(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock
) -> None:
    pipeline = hevo.add_pipeline(7, duration=1000)
    lose_worker(operator(deferrable=False), ti, before="get_job")
    clock.advance(RETRY_DELAY)
    ti.next_try()

    job_id = play(operator(deferrable=False), ti)

    assert [job.id for job in pipeline.jobs] == [job_id]


def test_a_failed_job_is_not_followed_again(hevo: Sandbox, ti: TaskInstance) -> None:
    pipeline = hevo.add_pipeline(7, ends="FAILED")
    with pytest.raises(HevoJobFailedError):
        play(operator(), ti)
    pipeline.ends = "COMPLETED"
    ti.next_try()

    job_id = play(operator(), ti)

    assert [job.status for job in pipeline.jobs] == ["FAILED", "COMPLETED"]
    assert pipeline.jobs[-1].id == job_id


def test_a_job_that_failed_while_no_worker_polled_is_not_followed(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock
) -> None:
    pipeline = hevo.add_pipeline(7, duration=100, ends="FAILED")
    lose_worker(operator(), ti)
    clock.advance(RETRY_DELAY)
    pipeline.ends = "COMPLETED"
    ti.next_try()

    job_id = play(operator(), ti)

    assert [job.status for job in pipeline.jobs] == ["FAILED", "COMPLETED"]
    assert pipeline.jobs[-1].id == job_id


@in_both_modes
def test_a_retry_waits_for_the_job_that_fits_although_hevo_left_out_its_type(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, deferrable: bool
) -> None:
    pipeline = hevo.add_pipeline(7, duration=100)
    deferred(operator(), ti)
    pipeline.jobs[0].override = {"type": None}
    clock.advance(RETRY_DELAY)
    ti.next_try()

    job_id = play(operator(deferrable=deferrable), ti)

    assert [job.id for job in pipeline.jobs] == [job_id]


@in_both_modes
def test_a_retry_that_cannot_tell_which_of_two_jobs_is_its_own_cancels_neither(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, deferrable: bool
) -> None:
    pipeline = start_beside_another(hevo, ti, duration=3600)
    clock.advance(RETRY_DELAY)
    ti.next_try()

    with fails(AirflowTaskTimeout, says="may still run"):
        play(operator(deferrable=deferrable, timeout=100), ti)

    assert [job.cancel_requests for job in pipeline.jobs] == [0, 0]


@in_both_modes
def test_a_retry_that_can_tell_its_job_cancels_it_when_its_time_is_over(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, deferrable: bool
) -> None:
    pipeline = hevo.add_pipeline(7, duration=3600)
    deferred(operator(), ti)
    clock.advance(RETRY_DELAY)
    ti.next_try()

    with pytest.raises(AirflowTaskTimeout):
        play(operator(deferrable=deferrable, timeout=100), ti)

    assert [job.cancel_requests for job in pipeline.jobs] == [1]


def test_cleared_while_two_jobs_may_be_its_own_the_new_try_cancels_neither_and_waits(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock
) -> None:
    pipeline = start_beside_another(hevo, ti, duration=1000)
    clock.advance(60)
    ti.next_try(cleared=True)

    job_id = play(operator(), ti)

    assert [job.cancel_requests for job in pipeline.jobs] == [0, 0, 0]
    assert [job.status for job in pipeline.jobs] == ["COMPLETED"] * 3
    assert pipeline.jobs[-1].id == job_id


@pytest.mark.parametrize("shows", [True, False])
def test_cleared_while_deferred_the_new_try_makes_way_and_starts_its_own_job(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, shows: bool
) -> None:
    pipeline = hevo.add_pipeline(7, appear_after=12, duration=1000)
    deferred(operator(), ti)
    clock.advance(60 if shows else 1)
    ti.next_try(cleared=True)
    pipeline.duration = 30

    job_id = play(operator(), ti)

    assert [job.status for job in pipeline.jobs] == ["CANCELLED", "COMPLETED"]
    assert pipeline.jobs[-1].id == job_id


def test_cleared_while_deferred_the_new_try_waits_for_a_job_that_the_old_trigger_is_cancelling(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock
) -> None:
    pipeline = hevo.add_pipeline(7, duration=1000)
    deferred(operator(), ti)
    clock.advance(60)
    ti.next_try(cleared=True)
    pipeline.jobs[0].cancel()
    pipeline.duration = 30

    job_id = play(operator(), ti)

    assert [job.status for job in pipeline.jobs] == ["CANCELLED", "COMPLETED"]
    assert pipeline.jobs[-1].id == job_id


@pytest.mark.parametrize("later", [0.0, WEEK])
def test_cleared_after_success_a_new_job_is_started(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, later: float
) -> None:
    pipeline = hevo.add_pipeline(7)
    first = play(operator(), ti)
    clock.advance(later)
    ti.next_try(cleared=True)

    second = play(operator(), ti)

    assert [job.id for job in pipeline.jobs] == [first, second]


def test_cleared_a_week_after_it_was_killed_a_new_job_is_started(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock
) -> None:
    pipeline = hevo.add_pipeline(7)
    lose_worker(operator(), ti)
    clock.advance(WEEK)
    ti.next_try(cleared=True)

    job_id = play(operator(), ti)

    assert len(pipeline.jobs) == 2
    assert pipeline.jobs[-1].id == job_id


def test_a_cleared_task_never_returns_the_success_of_the_try_before(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock
) -> None:
    pipeline = hevo.add_pipeline(7, duration=5)
    deferred(operator(), ti)
    clock.advance(10)  # the job has succeeded, and nobody was told
    ti.next_try(cleared=True)
    cleared_at = clock.now()

    job_id = play(operator(), ti)

    assert len(pipeline.jobs) == 2
    assert pipeline.jobs[-1].id == job_id
    assert pipeline.jobs[-1].created_at == cleared_at, "nothing is in its way"


def test_a_retry_after_an_outage_follows_the_job_that_still_runs(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock
) -> None:
    pipeline = hevo.add_pipeline(7, duration=3600)
    deferral = deferred(operator(api_outage_tolerance=600), ti)
    clock.advance(60)
    hevo.stop()
    event = run_in_triggerer(event_of(deferral.trigger()))
    hevo.start()
    with fails(Exception, says="no usable answer"):
        operator().execute_complete(ti.context, event)
    ti.next_try()

    job_id = play(operator(), ti)

    assert [job.id for job in pipeline.jobs] == [job_id]


def test_without_a_store_it_says_so_once_and_starts_anew(
    hevo: Sandbox,
    ti: TaskInstance,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    pipeline = hevo.add_pipeline(7, duration=1, appear_after=1)
    ti.store = None
    lose_worker(operator(), ti)
    ti.clock.advance(RETRY_DELAY)
    ti.next_try()
    capsys.readouterr()
    caplog.clear()

    play(operator(), ti)

    assert len(pipeline.jobs) == 2
    story = capsys.readouterr().out or caplog.text  # Airflow 3 writes with structlog
    assert story.count("cannot remember") == 1


@pytest.mark.parametrize("ended", [True, False])
def test_one_answer_that_the_job_is_unknown_starts_no_second_one(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, ended: bool
) -> None:
    pipeline = hevo.add_pipeline(7, duration=100 if ended else 1000)
    lose_worker(operator(deferrable=False), ti, before="get_job")
    clock.advance(RETRY_DELAY)
    ti.next_try()
    hevo.inject("get_job", Fault.status(404))

    job_id = play(operator(deferrable=False), ti)

    assert [job.id for job in pipeline.jobs] == [job_id]


# Airflow does not tell the connection for a moment


def let_airflow_forget_the_connection(monkeypatch: pytest.MonkeyPatch, clock: VirtualClock, seconds: float) -> None:
    look_up, look_up_here, back_at = get_async_connection, HevoHook.get_connection, clock.now() + seconds

    def stumble(connection_id: str) -> None:
        if clock.now() < back_at:
            raise AirflowNotFoundException(f"The conn_id `{connection_id}` isn't defined")

    async def stumbling(connection_id: str) -> Any:
        stumble(connection_id)
        return await look_up(connection_id)

    def stumbling_here(connection_id: str) -> Any:
        stumble(connection_id)
        return look_up_here(connection_id)

    monkeypatch.setattr(HevoHook, "get_connection", stumbling_here)
    monkeypatch.setattr(hooks, "get_async_connection", stumbling)


@in_both_modes
def test_a_retry_without_a_connection_for_a_moment_follows_the_job_once_it_has_one(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch, deferrable: bool
) -> None:
    pipeline = hevo.add_pipeline(7, duration=3600)
    lose_worker(operator(), ti)
    clock.advance(100)
    let_airflow_forget_the_connection(monkeypatch, clock, 120)
    ti.next_try()

    job_id = play(operator(deferrable=deferrable), ti)

    assert [job.id for job in pipeline.jobs] == [job_id]


@in_both_modes
def test_a_retry_whose_connection_is_gone_fails_after_five_minutes(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch, deferrable: bool
) -> None:
    hevo.add_pipeline(7, duration=3600)
    lose_worker(operator(), ti)
    let_airflow_forget_the_connection(monkeypatch, clock, 1e9)
    began = clock.now()
    ti.next_try()

    with fails((HevoConnectionNotFoundError, HevoRunError), says="isn't defined"):
        play(operator(deferrable=deferrable), ti)

    assert 300 <= clock.now() - began <= 420


def test_a_start_that_has_waited_for_its_turn_endures_that_the_connection_is_gone_for_a_moment(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = hevo.add_pipeline(7, duration=60)
    pipeline.start_job(appear_after=0)
    event = run_in_triggerer(event_of(deferred(operator(on_active_job="wait"), ti).trigger()))
    let_airflow_forget_the_connection(monkeypatch, clock, 120)

    left_behind = work(lambda: operator(on_active_job="wait").execute_complete(ti.context, event))

    assert play(operator(on_active_job="wait"), ti, left_behind) == pipeline.jobs_started_by_api[0].id


def test_another_connection_that_is_missing_is_told_at_once_whatever_is_on_record(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock
) -> None:
    hevo.add_pipeline(7)
    lose_worker(operator(), ti)
    began = clock.now()
    ti.next_try()

    with pytest.raises(HevoConnectionNotFoundError):
        play(operator(connection_id="of_nobody"), ti)

    assert clock.now() == began


@for_every_action
@in_both_modes
def test_cleared_after_its_worker_was_lost_in_the_search_the_accepted_job_is_cancelled(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, action: str, deferrable: bool
) -> None:
    pipeline = hevo.add_pipeline(7, duration=1000)
    at = {} if deferrable else {"before": "list_jobs", "after": action.lower()}  # in its search
    lose_worker(operator_of(action, deferrable=deferrable), ti, **at)
    clock.advance(RETRY_DELAY)
    pipeline.duration = 10
    ti.next_try(cleared=True)

    job_id = play(operator_of(action, deferrable=deferrable), ti)

    assert [job.status for job in pipeline.jobs] == ["CANCELLED", "COMPLETED"]
    assert pipeline.jobs[1].id == job_id
