"""A task that comes back from the triggerer says what its event says, whatever its templates say by then."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import jinja2
import pytest
from airflow.providers.common.compat.sdk import AirflowTaskTimeout, TaskDeferred

from hevo_provider.exceptions import HevoJobFailedError
from hevo_provider.operators import HevoPipelineOperator, HevoResyncObjectsOperator
from hevo_provider.sandbox import Sandbox
from hevo_provider.sensors import HevoSensor
from tests.stage.failures import fails
from tests.stage.sensors import sensor
from tests.stage.tasks import Deferral, TaskInstance, event_of, operator, play, run_guarded, run_in_triggerer, work

STRICT = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=True)
NAMED = {"pipeline_name": "orders", "connection_id": "hevo_airflow_conn_id", "pipeline_id": 7}


def event_of_a_wait(task: Any, ti: TaskInstance) -> Any:
    """Let a worker defer the task and a triggerer wait for it: the event that the next worker gets."""
    left_behind = work(lambda: task.execute(ti.context))
    assert isinstance(left_behind, Deferral)
    return run_in_triggerer(event_of(left_behind.trigger()))


@pytest.mark.parametrize("later", [8, "{{ var.value.gone }}", "None", None, "orders"], ids=str)
def test_another_pipeline_does_not_answer_for_the_job(hevo: Sandbox, ti: TaskInstance, later: Any) -> None:
    job_id = hevo.add_pipeline(7).jobs
    hevo.add_pipeline(8)
    event = event_of_a_wait(operator(), ti)
    (job,) = hevo.pipelines[7].jobs
    task = operator()
    task.pipeline_id = later

    assert job_id == []
    assert task.execute_complete(ti.context, event) == job.id
    assert (ti.xcoms["hevo_job"]["pipeline_id"], ti.xcoms["hevo_job"]["job_id"]) == (7, job.id)


def test_the_failing_objects_are_those_of_the_job_that_ran(hevo: Sandbox, ti: TaskInstance) -> None:
    hevo.add_pipeline(7, ends="FAILED")
    hevo.add_pipeline(8)
    event = event_of_a_wait(operator(), ti)
    hevo.reset_record()

    with fails(HevoJobFailedError, says=r"Pipeline .*Failing objects: orders"):
        operator(pipeline_id=8).execute_complete(ti.context, event)

    assert {request.pipeline_id for request in hevo.requests} == {7}


def test_requests_go_where_the_job_runs_although_the_connection_is_another_by_now(
    hevo: Sandbox, ti: TaskInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_OF_THEN", os.environ["AIRFLOW_CONN_HEVO_AIRFLOW_CONN_ID"])
    monkeypatch.delenv("AIRFLOW_CONN_HEVO_AIRFLOW_CONN_ID")
    hevo.add_pipeline(7, ends="FAILED")
    event = event_of_a_wait(operator(connection_id="of_then"), ti)

    with fails(HevoJobFailedError, says="Failing objects"):
        operator().execute_complete(ti.context, event)


def test_what_was_accepted_when_the_job_was_started_is_accepted_at_its_end(hevo: Sandbox, ti: TaskInstance) -> None:
    hevo.add_pipeline(7, ends="COMPLETED_WITH_FAILURES")
    event = event_of_a_wait(operator(accept_completed_with_failures=True), ti)

    assert operator().execute_complete(ti.context, event) == hevo.pipelines[7].jobs[0].id


def test_a_run_that_has_to_be_sent_again_is_the_one_that_was_sent(hevo: Sandbox, ti: TaskInstance) -> None:
    pipeline = hevo.add_pipeline(7)
    pipeline.start_job(appear_after=0, duration=60)
    hevo.add_pipeline(8)
    event = event_of_a_wait(operator(on_active_job="wait"), ti)

    left_behind = work(lambda: operator(pipeline_id=8).execute_complete(ti.context, event))

    job_id = play(operator(pipeline_id=8), ti, left_behind)
    assert [job.id for job in pipeline.jobs_started_by_api] == [job_id]
    assert hevo.pipelines[8].jobs == []


def test_a_sensor_says_what_its_event_says(hevo: Sandbox, ti: TaskInstance) -> None:
    job = hevo.add_pipeline(7).start_job(appear_after=0, duration=60)
    hevo.add_pipeline(8)
    event = event_of_a_wait(HevoSensor(task_id="task", pipeline_id=7, job_id=job.id), ti)
    task = HevoSensor(task_id="task", pipeline_id=8, job_id="other")
    task.job_id = None  # as its template renders by now

    assert task.execute_complete(ti.context, event) == job.id
    assert ti.xcoms["hevo_job"]["pipeline_id"] == 7


class Resumed(TaskInstance):
    """A task instance that comes back from the triggerer, as Airflow 2 tells it."""

    next_method = "execute_complete"


def test_a_template_that_cannot_be_rendered_any_more_loses_nothing(hevo: Sandbox, ti: TaskInstance) -> None:
    hevo.add_pipeline(7)
    event = event_of_a_wait(operator(), ti)
    resumed = Resumed(ti.clock, store=ti.store)
    task = HevoPipelineOperator(task_id="task", pipeline_id="{{ gone.away }}")

    task.render_template_fields(resumed.context, STRICT)

    assert task.execute_complete(resumed.context, event) == hevo.pipelines[7].jobs[0].id


WITHOUT_THEIR_RUN = {"pipeline_id": "{{ gone.away }}", "connection_id": "{{ gone.away }}", "job_type": "{{ gone }}"}


@pytest.mark.parametrize("parameters", [WITHOUT_THEIR_RUN, {"pipeline_id": "None"}], ids=["not-rendered", "none"])
@pytest.mark.parametrize("make", [HevoPipelineOperator, HevoSensor])
def test_an_event_of_1_0_0_that_brings_no_run_needs_no_template_either(
    hevo: Sandbox, ti: TaskInstance, make: Any, parameters: dict[str, str]
) -> None:
    hevo.add_pipeline(7)
    event = event_of_a_wait(operator(), ti)
    del event["run"]
    task = make(task_id="task", **{**parameters, "pipeline_id": "{{ gone.away }}"})
    for name, value in parameters.items():
        setattr(task, name, value)  # as it renders by now

    assert task.execute_complete(ti.context, event) == hevo.pipelines[7].jobs[0].id
    assert ti.xcoms["hevo_job"]["pipeline_id"] == 7


def test_a_time_out_that_1_0_0_told_leaves_its_job_on_record_where_the_action_cannot_be_rendered(
    hevo: Sandbox, ti: TaskInstance
) -> None:
    pipeline = hevo.add_pipeline(7, duration=300)
    task = operator(timeout=60, cancel_on_kill=False)
    event = event_of_a_wait(task, ti)
    del event["run"]
    task.action = "{{ gone.away }}"
    with pytest.raises(AirflowTaskTimeout):
        task.execute_complete(ti.context, event)
    ti.next_try()

    job_id = play(operator(), ti)

    assert [job.id for job in pipeline.jobs] == [job_id]


def test_at_the_start_a_template_that_cannot_be_rendered_is_an_error(ti: TaskInstance) -> None:
    task = HevoPipelineOperator(task_id="task", pipeline_id="{{ gone.away }}")

    with pytest.raises(jinja2.UndefinedError):
        task.render_template_fields(ti.context, STRICT)


@pytest.mark.parametrize("make", [HevoPipelineOperator, HevoSensor])
def test_nor_can_it_begin_without_it_once_the_pipelines_name_is_known(
    hevo: Sandbox, ti: TaskInstance, make: Any
) -> None:
    hevo.add_pipeline(7, name="orders")
    resumed = Resumed(ti.clock, store=ti.store)
    task = make(task_id="task", pipeline_name="{{ gone.away }}")
    task.render_template_fields(resumed.context, STRICT)

    with pytest.raises(jinja2.UndefinedError):
        task.execute_named(resumed.context, NAMED)

    assert hevo.requests == []


@pytest.mark.parametrize("make", [HevoPipelineOperator, HevoResyncObjectsOperator, HevoSensor])
def test_a_task_that_begins_anew_is_not_taken_for_one_that_another_operator_calls(
    hevo: Sandbox, ti: TaskInstance, make: Any, story: Callable[[], str]
) -> None:
    hevo.add_pipeline(7, name="orders").add_object("stock", object_id="o-1")
    more = {"object_ids": ["o-1"]} if make is HevoResyncObjectsOperator else {}
    task = make(task_id="task", pipeline_name="orders", allow_nested_operators=False, **more)

    with pytest.raises(TaskDeferred):
        run_guarded(task, "execute_named", ti.context, NAMED)

    assert "cannot be called outside" not in story()


@pytest.mark.parametrize("make", [HevoPipelineOperator, HevoSensor])
def test_it_begins_with_what_a_users_class_does_instead(ti: TaskInstance, make: Any) -> None:
    class Mine(make):  # type: ignore[misc]
        def execute(self, context: Any) -> Any:
            return f"mine begins with {self._pipeline()}"

    task = Mine(task_id="task", pipeline_name="orders", allow_nested_operators=False)

    assert run_guarded(task, "execute_named", ti.context, NAMED) == "mine begins with 7"


def test_nor_is_a_sensor_that_waits_by_airflows_own_loop(
    hevo: Sandbox, ti: TaskInstance, story: Callable[[], str]
) -> None:
    job = hevo.add_pipeline(7).start_job(appear_after=0, duration=0.1)
    ti.clock.advance(1)
    task = sensor("poke", job_id=job.id, allow_nested_operators=False)

    assert run_guarded(task, "execute", ti.context) == job.id
    assert "cannot be called outside" not in story()
