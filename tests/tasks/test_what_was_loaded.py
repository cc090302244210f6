"""What a task tells others: the job's counters in its outlets' asset events, and how long it held a worker."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import Asset, AssetAlias

from hevo_provider.exceptions import HevoJobFailedError
from hevo_provider.sandbox import Fault, Sandbox
from hevo_provider.sensors import HevoSensor
from tests.stage.clock import VirtualClock, in_iso
from tests.stage.marks import for_every_action, in_both_modes, in_every_sensor_mode
from tests.stage.outlets import IS_AIRFLOW_2, Events
from tests.stage.sensors import RescheduledTaskInstance, sense
from tests.stage.tasks import TaskInstance, event_of, operator, operator_of, play, run_in_triggerer, work

ORDERS, CUSTOMERS = Asset("hevo://warehouse/orders"), Asset("hevo://warehouse/customers")
BUSY = Fault.status(429, headers={"Retry-After": "3"})


@pytest.fixture
def ti(clock: VirtualClock) -> TaskInstance:
    return RescheduledTaskInstance(clock)


# Asset events


def test_an_event_that_cannot_be_told_fails_no_task(
    hevo: Sandbox, ti: TaskInstance, events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = hevo.add_pipeline(7)
    monkeypatch.setattr(type(events.last), "__getitem__", lambda *_: None)

    assert play(operator(outlets=[ORDERS]), ti) == pipeline.jobs[0].id


@in_both_modes
@for_every_action
def test_the_event_of_each_outlet_says_what_was_loaded(
    hevo: Sandbox, ti: TaskInstance, events: Events, action: str, deferrable: bool
) -> None:
    pipeline = hevo.add_pipeline(7, duration=60)

    play(operator_of(action, deferrable=deferrable, outlets=[ORDERS, CUSTOMERS]), ti)

    (job,) = pipeline.jobs
    assert events.told(ORDERS) == {
        "pipeline_id": 7,
        "job_id": job.id,
        "job_type": job.type,
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
    }
    assert events.told(CUSTOMERS) == events.told(ORDERS)


@in_both_modes
def test_a_task_that_does_not_wait_says_which_job_it_started(
    hevo: Sandbox, ti: TaskInstance, events: Events, deferrable: bool
) -> None:
    pipeline = hevo.add_pipeline(7, duration=60)

    play(operator(deferrable=deferrable, wait_for_completion=False, outlets=[ORDERS]), ti)

    extra = events.told(ORDERS)
    assert (extra["job_id"], extra["status"]) == (pipeline.jobs[0].id, "IN_PROGRESS")


@in_every_sensor_mode
def test_the_event_of_a_sensors_outlet_says_it_too(hevo: Sandbox, ti: TaskInstance, events: Events, mode: str) -> None:
    job = hevo.add_pipeline(7).start_job(appear_after=0, duration=100)

    sense(mode, ti, job_id=job.id, outlets=[ORDERS])

    extra = events.told(ORDERS)
    assert (extra["job_id"], extra["status"], extra["events_loaded"]) == (job.id, "COMPLETED", job.events_loaded)


def test_what_others_have_put_into_the_event_stays(hevo: Sandbox, ti: TaskInstance, events: Events) -> None:
    pipeline = hevo.add_pipeline(7)
    task = operator(deferrable=False, outlets=[ORDERS])
    context = ti.context
    context["outlet_events"][ORDERS].extra = {"owner": "shop"}

    task.execute(context)

    assert events.told(ORDERS)["owner"] == "shop"
    assert events.told(ORDERS)["job_id"] == pipeline.jobs[0].id


def test_an_alias_gets_nothing_of_a_whole_job(hevo: Sandbox, ti: TaskInstance, events: Events) -> None:
    hevo.add_pipeline(7)

    play(operator(outlets=[AssetAlias("orders"), ORDERS]), ti)

    assert events.last[AssetAlias("orders")].extra == {}
    assert "events_loaded" in events.told(ORDERS)


if not IS_AIRFLOW_2:  # which has no references

    @pytest.fixture
    def supervisor(monkeypatch: pytest.MonkeyPatch) -> None:
        """Let a worker's supervisor know two assets, which it is asked for by name or URI."""
        from airflow.sdk.exceptions import ErrorType
        from airflow.sdk.execution_time.comms import AssetResult, ErrorResponse

        class Supervisor:
            def send(self, message: Any) -> Any:
                wanted = {getattr(message, "name", None), getattr(message, "uri", None)}
                for asset in (ORDERS, CUSTOMERS):
                    if wanted & {asset.name, asset.uri}:
                        return AssetResult(name=asset.name, uri=asset.uri, group=asset.group)
                return ErrorResponse(error=ErrorType.ASSET_NOT_FOUND)

        monkeypatch.setattr("airflow.sdk.execution_time.task_runner.SUPERVISOR_COMMS", Supervisor(), raising=False)

    @in_both_modes
    def test_the_event_of_an_outlet_that_is_named_by_a_reference_says_it_too(
        hevo: Sandbox, ti: TaskInstance, events: Events, supervisor: None, deferrable: bool
    ) -> None:
        outlets: list[Any] = [Asset.ref(name=ORDERS.name), Asset.ref(uri=CUSTOMERS.uri)]
        pipeline = hevo.add_pipeline(7, duration=60)

        play(operator(deferrable=deferrable, outlets=outlets), ti)

        assert {events.told(asset)["job_id"] for asset in (ORDERS, CUSTOMERS)} == {pipeline.jobs[0].id}
        assert events.told(ORDERS)["events_loaded"] == 1000

    def test_a_reference_to_no_asset_is_told_and_keeps_no_other_outlet_from_being_told(
        hevo: Sandbox, ti: TaskInstance, events: Events, supervisor: None, story: Callable[[], str]
    ) -> None:
        pipeline = hevo.add_pipeline(7)

        play(operator(outlets=[Asset.ref(name="no asset"), ORDERS]), ti)

        assert events.told(ORDERS)["job_id"] == pipeline.jobs[0].id
        assert "The event of the outlet AssetNameRef(name='no asset') does not tell what was loaded" in story()


# How long a worker was held


@for_every_action
def test_the_worker_seconds_of_all_deferrals_add_up(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, action: str
) -> None:
    pipeline = hevo.add_pipeline(7, duration=600)
    pipeline.start_job(appear_after=0, duration=60)
    task = operator_of(action, on_active_job="wait")

    hevo.inject("get_pipeline", BUSY)  # the worker waits for 3 s
    left_behind = work(lambda: task.execute(ti.context))
    event = run_in_triggerer(event_of(left_behind.trigger()))
    hevo.inject("get_pipeline", BUSY)
    left_behind = work(lambda: task.execute_complete(ti.context, event))
    play(task, ti, left_behind)

    assert ti.xcoms["hevo_job"]["worker_seconds"] == pytest.approx(6, abs=0.001)


def test_without_deferral_a_worker_is_held_from_first_to_last(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock
) -> None:
    hevo.add_pipeline(7, duration=600)
    started_at = clock.now()

    play(operator(deferrable=False), ti)

    assert ti.xcoms["hevo_job"]["worker_seconds"] == pytest.approx(clock.now() - started_at, abs=0.001)


def test_a_retry_counts_for_itself(hevo: Sandbox, ti: TaskInstance) -> None:
    pipeline = hevo.add_pipeline(7, ends="FAILED")
    hevo.inject("get_pipeline", BUSY)
    with pytest.raises(HevoJobFailedError):
        play(operator(), ti)
    assert ti.xcoms["hevo_job"]["worker_seconds"] == pytest.approx(3, abs=0.001)
    pipeline.ends = "COMPLETED"
    ti.next_try()

    play(operator(), ti)

    assert ti.xcoms["hevo_job"]["worker_seconds"] == 0


@in_every_sensor_mode
def test_a_sensor_knows_it_too_unless_each_of_its_processes_knows_only_of_itself(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, mode: str
) -> None:
    job = hevo.add_pipeline(7).start_job(appear_after=0, duration=100)
    started_at = clock.now()

    sense(mode, ti, job_id=job.id)

    held = {"poke": clock.now() - started_at, "deferrable": 0, "reschedule": None}[mode]
    assert ti.xcoms["hevo_job"].get("worker_seconds") == (held if held is None else pytest.approx(held, abs=0.001))


def test_a_sensor_that_is_deferrable_knows_it_whatever_its_mode(hevo: Sandbox, ti: TaskInstance) -> None:
    job = hevo.add_pipeline(7).start_job(ago=100, duration=10)

    play(HevoSensor(task_id="task", pipeline_id=7, job_id=job.id, mode="reschedule"), ti)

    assert ti.xcoms["hevo_job"]["worker_seconds"] == 0
