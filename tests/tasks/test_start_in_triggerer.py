"""``HevoSensor(start_from_trigger=True)``: from Airflow 3.3 on a sensor starts in the triggerer and ends there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import (
    DAG,
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    AirflowTaskTimeout,
    Asset,
)
from jinja2 import Environment, StrictUndefined

from hevo_provider.exceptions import HevoConfigError, HevoJobFailedError, HevoJobNotFoundError
from hevo_provider.sandbox import Fault, Sandbox
from hevo_provider.sandbox.pipelines import SandboxPipeline
from hevo_provider.sensors import HevoSensor
from tests.stage.clock import START, VirtualClock
from tests.stage.connection import with_link
from tests.stage.failures import fails
from tests.stage.tasks import TaskInstance, play

AIRFLOW = tuple(map(int, version("apache-airflow").split(".")[:2]))
NOW = datetime.fromtimestamp(START, UTC)


def sensor(**parameters: Any) -> HevoSensor:
    return HevoSensor(task_id="task", **{"pipeline_id": 7, "start_from_trigger": True, **parameters})


@pytest.fixture
def pipeline(hevo: Sandbox) -> SandboxPipeline:
    return hevo.add_pipeline(7, appear_after=0)


IN_NO_TRIGGERER: list[dict[str, Any]] = [
    {"pipeline_id": "{{ params.pipeline }}"},
    {"pipeline_id": None, "pipeline_name": "shop"},
    {"job_id": "{{ ti.xcom_pull(task_ids='start') }}"},
    {"job_type": "{{ params.type }}"},
    {"connection_id": "{{ params.connection }}"},
    {"deferrable": False},
    {"on_execute_callback": print},
    {"pre_execute": print},
    {"post_execute": print},
    {"start_from_trigger": False},
    {"completed_after": "{{ ti.xcom_pull(task_ids='since') }}"},
    {"completed_after": "{{ macro_of_the_dag(data_interval_end) }}"},
    {"completed_after": "{{ data_interval_end | ts }}"},
    {"completed_after": "{% if %}"},
]


@pytest.mark.parametrize("parameters", IN_NO_TRIGGERER, ids=str)
def test_where_the_triggerer_does_not_know_what_to_wait_for_a_worker_starts_it(parameters: dict[str, Any]) -> None:
    task = sensor(**parameters)

    assert (task.start_from_trigger, task.start_trigger_args) == (False, None)


@pytest.mark.parametrize("value", [None, "yes", 1])
def test_what_is_neither_true_nor_false_is_refused_when_the_dag_is_parsed(value: Any) -> None:
    with pytest.raises(HevoConfigError, match="start_from_trigger"):
        sensor(start_from_trigger=value)


def test_a_mapped_one_is_started_by_a_worker(ti: TaskInstance, pipeline: SandboxPipeline) -> None:
    job = pipeline.start_job(duration=60)
    with DAG("dag", schedule=None):
        mapped: Any = HevoSensor.partial(task_id="task", start_from_trigger=True).expand(pipeline_id=[7])

    task = mapped.unmap({"pipeline_id": 7, "start_from_trigger": True})

    assert task.start_from_trigger is False
    assert play(task, ti) == job.id


if AIRFLOW < (3, 3):

    def test_before_airflow_3_3_a_worker_starts_it(ti: TaskInstance, pipeline: SandboxPipeline) -> None:
        job = pipeline.start_job(duration=60)
        task = sensor()

        assert task.start_from_trigger is False
        assert play(task, ti) == job.id

else:
    from airflow.serialization.serialized_objects import BaseSerialization, DagSerialization
    from airflow.triggers.base import TaskSuccessEvent

    from hevo_provider.triggers import HevoSensorTrigger

    class Triggerer:
        """A triggerer, played: it starts a task's trigger from what Airflow has stored of the DAG."""

        def __init__(self, task: HevoSensor, ti: TaskInstance, **values: Any) -> None:
            with DAG("dag", schedule=None) as dag:
                dag.add_task(task)
            stored: Any = DagSerialization.from_dict(DagSerialization.to_dict(dag)).get_task("task")
            assert stored.start_from_trigger is True
            self.args = stored.start_trigger_args
            self.stored, self.task, self.ti, self.values = stored, task, ti, values
            timeout = self.args.timeout
            if task.execution_timeout is not None:
                timeout = min(timeout, task.execution_timeout)
            self.over = ti.start_date + timeout
            self.pushed: dict[str, Any] = {}

        def send(self, message: Any) -> None:
            """Take a trigger's XCom, as the triggerer's supervisor does."""
            where = (message.dag_id, message.run_id, message.task_id, message.map_index)
            assert where == (self.ti.dag_id, self.ti.run_id, "task", -1)
            self.pushed[message.key] = message.value

        def trigger(self) -> HevoSensorTrigger:
            assert self.args.trigger_cls == "hevo_provider.triggers.HevoSensorTrigger"
            trigger = HevoSensorTrigger(**BaseSerialization.deserialize(self.args.trigger_kwargs))
            trigger.task_instance = RuntimeTaskInstance(self.stored, self.ti)  # type: ignore[assignment]
            trigger.timeout_after = self.over
            trigger.render_template_fields(self.values)
            return trigger

        def event(self) -> Any:
            async def events() -> list[Any]:
                return [event async for event in self.trigger().run()]

            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("airflow.sdk.execution_time.task_runner.SUPERVISOR_COMMS", self, raising=False)
                (event,) = asyncio.run(events())
            return event

        def finish(self) -> Any:
            """Let the task end: in the triggerer, as what comes back, or in the workers that it then needs."""
            event = self.event()
            if isinstance(event, TaskSuccessEvent):
                assert event.xcoms is None  # which 3.3.2 would encode twice
                return self.pushed
            assert self.args.next_method == "execute_complete"
            return play(_Resumed(self.task, event.payload), self.ti)

    class RuntimeTaskInstance:
        """What Airflow makes for a trigger whose task has started there."""

        def __init__(self, task: Any, ti: TaskInstance) -> None:
            self.task, self.task_id = task, "task"
            self.dag_id, self.run_id, self.map_index = ti.dag_id, ti.run_id, None

    class _Resumed:
        def __init__(self, task: HevoSensor, payload: Any) -> None:
            self._task, self._payload = task, payload
            self.execute_complete = task.execute_complete

        def execute(self, context: Any) -> Any:
            return self._task.execute_complete(context, self._payload)

    # Where it ends

    @pytest.mark.parametrize("job_id", [False, True])
    def test_it_starts_and_ends_there_and_leaves_the_same_xcoms(
        hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline, clock: VirtualClock, job_id: bool
    ) -> None:
        job = pipeline.start_job(duration=60)

        xcoms = Triggerer(sensor(**({"job_id": job.id} if job_id else {})), ti).finish()

        assert xcoms["return_value"] == job.id
        assert play(HevoSensor(task_id="task", pipeline_id=7, job_id=job.id), ti) == job.id
        assert xcoms["hevo_job"] == ti.xcoms["hevo_job"]
        assert xcoms["hevo_pipeline_page"] == ti.xcoms["hevo_pipeline_page"]
        assert hevo.requests[0].at == START  # it polls at once

    def test_a_job_that_is_over_already_is_seen_at_once(
        ti: TaskInstance, pipeline: SandboxPipeline, clock: VirtualClock
    ) -> None:
        job = pipeline.start_job(ago=100, duration=60)

        assert Triggerer(sensor(job_id=job.id), ti).finish()["return_value"] == job.id

        assert clock.now() == START

    def test_no_return_value_is_left_where_none_is_wanted(ti: TaskInstance, pipeline: SandboxPipeline) -> None:
        pipeline.start_job(duration=60)

        assert set(Triggerer(sensor(do_xcom_push=False), ti).finish()) == {
            "hevo_job",
            "hevo_job_id",
            "hevo_pipeline_page",
        }

    def test_the_button_is_there_before_anything_is_waited_for(
        hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline
    ) -> None:
        pipeline.start_job(duration=60)
        triggerer = Triggerer(sensor(), ti)
        pushed_before: list[dict[str, Any]] = []
        hevo.on_request = lambda _: pushed_before.append(dict(triggerer.pushed))

        triggerer.event()

        assert pushed_before[0] == {"hevo_pipeline_page": f"{hevo.url}/pipeline/7/overview"}

    def test_an_address_that_cannot_be_made_costs_the_button_alone_and_is_told(
        hevo: Sandbox,
        ti: TaskInstance,
        pipeline: SandboxPipeline,
        monkeypatch: pytest.MonkeyPatch,
        story: Callable[[], str],
    ) -> None:
        with_link(hevo, monkeypatch, "javascript:alert({pipeline_id})")
        job = pipeline.start_job(duration=60)

        xcoms = Triggerer(sensor(), ti).finish()

        assert xcoms["return_value"] == job.id
        assert "hevo_pipeline_page" not in xcoms
        assert 'There is no link to the pipeline: HevoConfigError: "link"' in story()

    def test_xcoms_that_airflow_does_not_keep_there_are_pushed_by_a_worker(
        ti: TaskInstance, pipeline: SandboxPipeline, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        job = pipeline.start_job(duration=60)
        monkeypatch.delattr(Triggerer, "send")

        assert Triggerer(sensor(), ti).finish() == job.id

        assert ti.xcoms["hevo_job"]["job_id"] == job.id

    @pytest.mark.parametrize(
        ("ends", "accepted"),
        [
            ("COMPLETED_WITH_FAILURES", {"accept_completed_with_failures": True}),
            ("DEFERRED", {"on_deferred": "accept"}),
        ],
    )
    def test_what_is_accepted_though_it_did_not_complete_a_worker_says(
        ti: TaskInstance, pipeline: SandboxPipeline, ends: str, accepted: dict[str, Any], story: Callable[[], str]
    ) -> None:
        job = pipeline.start_job(duration=60, ends=ends)

        assert Triggerer(sensor(**accepted), ti).finish() == job.id

        assert "Accepted" in story()

    def test_an_outlet_gets_its_event_by_a_worker(ti: TaskInstance, pipeline: SandboxPipeline) -> None:
        job = pipeline.start_job(duration=60)

        assert Triggerer(sensor(outlets=[Asset("hevo://warehouse/orders")]), ti).finish() == job.id

    def test_a_job_that_failed_fails_it_in_a_worker_which_names_it(ti: TaskInstance, pipeline: SandboxPipeline) -> None:
        job = pipeline.start_job(duration=60, ends="FAILED")

        with fails(HevoJobFailedError, says=f"{job.id}.*Failing objects"):
            Triggerer(sensor(), ti).finish()

    def test_no_job_at_any_poll_fails_it_in_a_worker(
        ti: TaskInstance, pipeline: SandboxPipeline, clock: VirtualClock
    ) -> None:
        with fails(HevoJobNotFoundError, says="no active job of type INCREMENTAL was there at any poll"):
            Triggerer(sensor(), ti).finish()

        assert 50 <= clock.now() - START <= 60

    def test_a_refused_key_fails_it_for_good(hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline) -> None:
        hevo.inject("list_jobs", Fault.status(401), times=None)

        with pytest.raises(AirflowFailException):
            Triggerer(sensor(), ti).finish()

    @pytest.mark.parametrize(
        ("given", "after", "raised"),
        [
            ({"timeout": 100}, 100, AirflowSensorTimeout),
            ({"timeout": 100, "soft_fail": True}, 100, AirflowSkipException),
            ({"timeout": 100, "execution_timeout": timedelta(seconds=80)}, 75, AirflowTaskTimeout),
            ({"timeout": 100, "execution_timeout": timedelta(seconds=102)}, 97, AirflowSensorTimeout),
            ({"timeout": 100, "execution_timeout": timedelta(seconds=900)}, 100, AirflowSensorTimeout),
        ],
        ids=str,
    )
    def test_its_time_is_over_when_that_of_any_sensor_is(
        ti: TaskInstance,
        pipeline: SandboxPipeline,
        clock: VirtualClock,
        given: dict[str, Any],
        after: float,
        raised: type[Exception],
    ) -> None:
        pipeline.start_job(duration=10_000)
        triggerer = Triggerer(sensor(**given), ti)

        with pytest.raises(raised):
            triggerer.finish()

        assert clock.now() - START == pytest.approx(after, abs=1.5)
        assert triggerer.over.timestamp() - START <= after + 5, "Airflow ends it where no triggerer is there to do so"

    # completed_after

    @pytest.mark.parametrize(
        "completed_after", ["{{ data_interval_end }}", NOW - timedelta(hours=1), "2027-01-15T07:00:00Z"], ids=str
    )
    def test_it_waits_for_any_job_that_has_completed_since_a_time(
        ti: TaskInstance, pipeline: SandboxPipeline, completed_after: Any
    ) -> None:
        pipeline.start_job(ago=8000, duration=50)
        pipeline.start_job(ago=500, duration=50, ends="FAILED")
        job = pipeline.start_job(ago=-500, duration=50)

        xcoms = Triggerer(
            sensor(completed_after=completed_after), ti, data_interval_end=NOW - timedelta(hours=1)
        ).finish()

        assert xcoms["return_value"] == job.id

    def test_a_bad_job_fails_it_where_asked(ti: TaskInstance, pipeline: SandboxPipeline) -> None:
        pipeline.start_job(ago=-500, duration=50, ends="FAILED")

        with pytest.raises(HevoJobFailedError):
            Triggerer(sensor(completed_after="{{ logical_date }}", fail_on_bad_job=True), ti, logical_date=NOW).finish()

    @pytest.mark.parametrize("template", ["{{ dag_run.unknown() }}", "{{ data_interval_end }}"])
    def test_where_the_template_does_not_render_there_a_worker_begins(
        ti: TaskInstance, pipeline: SandboxPipeline, template: str
    ) -> None:
        job = pipeline.start_job(ago=100, duration=50)
        triggerer = Triggerer(sensor(completed_after=template), ti)
        triggerer.task.completed_after = NOW - timedelta(hours=1)  # as the worker has rendered it

        assert triggerer.finish() == job.id

    def test_a_time_that_the_run_does_not_have_is_told_by_the_worker_that_begins(
        ti: TaskInstance, pipeline: SandboxPipeline
    ) -> None:
        triggerer = Triggerer(sensor(completed_after="{{ data_interval_end }}"), ti)
        event = triggerer.event().payload
        ti.next_method = "execute_complete"  # type: ignore[attr-defined]
        triggerer.task.render_template_fields(ti.context, Environment(undefined=StrictUndefined, autoescape=True))

        with fails(AirflowFailException, says="this DAG run has no such time"):
            triggerer.task.execute_complete(ti.context, event)

    # Triggerers that are lost, or late

    @pytest.mark.parametrize("late", [20, 3600])
    def test_a_triggerer_that_takes_over_finds_what_has_come_and_ended_since_the_start(
        ti: TaskInstance, pipeline: SandboxPipeline, clock: VirtualClock, late: float
    ) -> None:
        triggerer = Triggerer(sensor(), ti)
        clock.advance(late / 2)
        job = pipeline.start_job(duration=5)
        clock.advance(late / 2)

        assert triggerer.finish()["return_value"] == job.id

    def test_a_triggerer_that_is_late_polls_no_less_often(
        ti: TaskInstance, pipeline: SandboxPipeline, clock: VirtualClock
    ) -> None:
        triggerer = Triggerer(sensor(), ti)
        clock.advance(600)
        job = pipeline.start_job(ago=-40, duration=60)

        assert triggerer.finish()["return_value"] == job.id

    def test_the_time_limit_counts_from_the_start_of_the_task(
        ti: TaskInstance, pipeline: SandboxPipeline, clock: VirtualClock
    ) -> None:
        pipeline.start_job(duration=10_000)
        triggerer = Triggerer(sensor(timeout=100), ti)
        clock.advance(90)

        with pytest.raises(AirflowSensorTimeout):
            triggerer.finish()

        assert clock.now() - START == pytest.approx(100, abs=1.5)

    def test_what_is_stored_starts_the_same_wait_again(ti: TaskInstance) -> None:
        trigger = Triggerer(sensor(timeout=100, exponential_backoff=True), ti).trigger()

        path, kwargs = trigger.serialize()

        assert path == "hevo_provider.triggers.HevoSensorTrigger"
        assert HevoSensorTrigger(**kwargs).serialize() == (path, kwargs)
        assert "cancel_on_kill" in kwargs
