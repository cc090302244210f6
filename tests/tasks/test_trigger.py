"""``HevoJobTrigger``: what the triggerer goes through while a task waits."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.common.compat.connection import get_async_connection
from airflow.providers.common.compat.sdk import AirflowNotFoundException, AirflowTaskTimeout

from hevo_provider import hooks
from hevo_provider.client.shared import open_clients
from hevo_provider.exceptions import HevoRunError
from hevo_provider.sandbox import Sandbox
from hevo_provider.triggers import HevoJobTrigger
from tests.stage.clock import START, VirtualClock
from tests.stage.failures import fails
from tests.stage.tasks import TaskInstance, deferred, event_of, operator, play, run_in_triggerer


def airflow_cannot_look_up(monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    """Let the look-up of connections fail so many times, as it does while Airflow's own API restarts."""
    failures = iter(range(times))
    look_up = get_async_connection

    async def failing(connection_id: str) -> Any:
        if next(failures, None) is not None:
            raise ConnectionError("Airflow's API is restarting")
        return await look_up(connection_id)

    monkeypatch.setattr(hooks, "get_async_connection", failing)


def airflow_hangs_over_the_look_up(monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    """Let the look-up of connections hang so many times; what is really waited for it is made tiny."""
    hanging = iter(range(times))
    look_up = get_async_connection

    async def hang(connection_id: str) -> Any:
        if next(hanging, None) is not None:
            await asyncio.Event().wait()
        return await look_up(connection_id)

    monkeypatch.setattr(hooks, "get_async_connection", hang)
    monkeypatch.setattr("hevo_provider.triggers.LAST_CONNECT", 0.01)
    monkeypatch.setattr("hevo_provider.hooks.LOOK_UP_TIMEOUT", 0.02)


async def test_what_a_later_version_has_stored_is_passed_over_with_a_word(
    hevo: Sandbox, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = hevo.add_pipeline(7, duration=30).start_job(appear_after=0)
    said: list[str] = []
    monkeypatch.setattr(HevoJobTrigger, "log", SimpleNamespace(debug=lambda text, *of: said.append(text % of)))

    trigger = HevoJobTrigger(7, job_id=job.id, poll_interval=5, mood="hopeful", also=[1])

    assert said == ["A later version has stored what this one does not know: also, mood."]
    monkeypatch.undo()
    assert (await event_of(trigger))["job_id"] == job.id


@pytest.mark.parametrize(
    "stored", [{"phase": "rest"}, {"fate": "lost"}, {"ownership": 1}, {"action": "PAUSE"}, {"baseline": 5}]
)
def test_what_a_later_version_means_by_another_word_fails_the_task_and_not_the_triggerer(
    stored: dict[str, Any],
) -> None:
    with pytest.raises(TypeError):  # of what a constructor may raise, all that a triggerer survives
        HevoJobTrigger(7, **stored)


def test_triggers_share_one_logger() -> None:
    """Airflow makes one for each otherwise, of a kilobyte, for as long as the task waits."""
    assert HevoJobTrigger(7).log is HevoJobTrigger(8).log


def test_what_is_stored_of_a_wait_starts_the_same_wait_again(hevo: Sandbox, ti: TaskInstance) -> None:
    pipeline = hevo.add_pipeline(7)
    pipeline.start_job(ago=30)
    deferral = deferred(operator(on_active_job="start", poll_interval=7, retry_limit=3), ti)

    again = deferral.trigger()

    assert again.serialize() == ("hevo_provider.triggers.HevoJobTrigger", deferral.kwargs)
    assert json.loads(json.dumps(deferral.kwargs)) == deferral.kwargs


def test_what_is_stored_holds_no_credentials(hevo: Sandbox, ti: TaskInstance) -> None:
    hevo.add_pipeline(7)

    stored = json.dumps(deferred(operator(), ti).kwargs)

    assert hevo.key not in stored
    assert hevo.secret not in stored


def test_a_job_id_is_enough_to_follow_a_job(hevo: Sandbox) -> None:
    job = hevo.add_pipeline(7).start_job(ago=30, duration=100)

    event = run_in_triggerer(event_of(HevoJobTrigger(pipeline_id=7, job_id=job.id)))

    assert (event["event"], event["job_id"], event["status"]) == ("job_ended", job.id, "COMPLETED")


def test_a_wait_for_a_job_that_nobody_knows_fails_and_asks_for_nothing(hevo: Sandbox) -> None:
    hevo.add_pipeline(7).start_job(appear_after=0)

    event = run_in_triggerer(event_of(HevoJobTrigger(pipeline_id=7)))

    assert (event["event"], event["error"]) == ("failed", "HevoJobNotFoundError")
    assert hevo.requests == []


def test_an_end_is_told_in_scalars_and_with_the_run_as_it_was(hevo: Sandbox, ti: TaskInstance) -> None:
    hevo.add_pipeline(7)

    event = run_in_triggerer(event_of(deferred(operator(), ti).trigger()))

    run = event.pop("run")
    assert all(isinstance(value, str | int | float | None) for value in event.values())
    assert (run["pipeline_id"], run["job_id"], run["connection_id"]) == (7, event["job_id"], "hevo_airflow_conn_id")


def test_an_airflow_that_cannot_look_up_the_connection_for_a_while_fails_no_task(
    hevo: Sandbox, ti: TaskInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = hevo.add_pipeline(7)
    deferral = deferred(operator(), ti)
    airflow_cannot_look_up(monkeypatch, times=5)

    event = run_in_triggerer(event_of(deferral.trigger()))

    assert event["event"] == "job_ended"
    assert event["job_id"] == pipeline.jobs[0].id


def test_an_airflow_that_can_never_look_up_the_connection_fails_the_task_and_says_why(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    hevo.add_pipeline(7)
    deferral = deferred(operator(api_outage_tolerance=600), ti)
    began = clock.now()
    airflow_cannot_look_up(monkeypatch, times=10_000)

    event = run_in_triggerer(event_of(deferral.trigger()))

    assert event["event"] == "failed"
    assert "Airflow's API is restarting" in event["message"]
    assert 600 <= clock.now() - began <= 700


def test_a_look_up_of_the_connection_that_fails_does_not_outlast_the_tasks_time(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    hevo.add_pipeline(7)
    deferral = deferred(operator(timeout=120), ti)
    airflow_cannot_look_up(monkeypatch, times=10_000)

    event = run_in_triggerer(event_of(deferral.trigger()))

    assert (event["event"], event["cancelled"]) == ("timed_out", False)
    assert clock.now() == START + 120
    with fails(AirflowTaskTimeout, says="it may still run"):
        operator().execute_complete(ti.context, event)


def test_a_look_up_of_the_connection_that_never_ends_does_not_outlast_the_tasks_time(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    hevo.add_pipeline(7)
    deferral = deferred(operator(timeout=120), ti)
    airflow_hangs_over_the_look_up(monkeypatch, times=10_000)

    event = run_in_triggerer(event_of(deferral.trigger()))

    assert event["event"] == "timed_out"
    assert clock.now() == START + 120


def test_a_look_up_of_the_connection_that_hangs_is_tried_again(
    hevo: Sandbox, ti: TaskInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = hevo.add_pipeline(7)
    deferral = deferred(operator(), ti)
    airflow_hangs_over_the_look_up(monkeypatch, times=3)

    event = run_in_triggerer(asyncio.wait_for(event_of(deferral.trigger()), 10))

    assert (event["event"], event["job_id"]) == ("job_ended", pipeline.jobs[0].id)


def test_a_job_whose_time_is_over_is_cancelled_although_the_connection_was_hard_to_look_up(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = hevo.add_pipeline(7, duration=None, appear_after=1)
    deferral = deferred(operator(timeout=120), ti)
    airflow_cannot_look_up(monkeypatch, times=1)
    clock.advance(119.9)

    event = run_in_triggerer(event_of(deferral.trigger()))

    assert (event["event"], event["cancelled"]) == ("timed_out", True)
    assert [job.status for job in pipeline.jobs] == ["CANCELLING"]


def test_a_connection_that_airflow_has_lost_is_waited_for_as_long_as_its_database_may_stumble(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    hevo.add_pipeline(7)
    deferral = deferred(operator(), ti)
    monkeypatch.delenv("AIRFLOW_CONN_HEVO_AIRFLOW_CONN_ID")
    monkeypatch.setattr(hooks, "get_async_connection", _not_found)

    event = run_in_triggerer(event_of(deferral.trigger()))

    assert clock.now() - START >= 300
    with fails(HevoRunError, says="hevo_airflow_conn_id"):
        operator().execute_complete(ti.context, event)


async def _not_found(connection_id: str) -> Any:
    raise AirflowNotFoundException(f"The conn_id `{connection_id}` isn't defined")


def test_no_session_is_left_open_when_the_wait_is_over(hevo: Sandbox, ti: TaskInstance) -> None:
    hevo.add_pipeline(7)
    deferral = deferred(operator(), ti)

    async def wait_and_count() -> int:
        await event_of(deferral.trigger())
        return open_clients()

    assert run_in_triggerer(wait_and_count()) == 0


def test_a_fault_of_our_own_fails_the_task_and_is_named(
    hevo: Sandbox, ti: TaskInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    hevo.add_pipeline(7)
    deferral = deferred(operator(), ti)

    async def broken(*_: object) -> Any:
        raise ZeroDivisionError("a fault of our own")

    monkeypatch.setattr("hevo_provider.runs.wait.Wait.until_done", broken)

    event = run_in_triggerer(event_of(deferral.trigger()))

    with fails(Exception, says="ZeroDivisionError: a fault of our own"):
        operator().execute_complete(ti.context, event)


def test_a_task_is_not_sent_back_before_airflow_has_seen_it_leave(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock
) -> None:
    hevo.add_pipeline(7, appear_after=0, duration=0)
    trigger = deferred(operator(), ti).trigger()
    trigger.trigger_id = 1
    began = clock.now()

    run_in_triggerer(event_of(trigger))

    assert clock.now() - began == pytest.approx(8)


def test_the_whole_way_leaves_one_job(hevo: Sandbox, ti: TaskInstance) -> None:
    pipeline = hevo.add_pipeline(7)

    job_id = play(operator(), ti)

    assert [job.id for job in pipeline.jobs] == [job_id]
