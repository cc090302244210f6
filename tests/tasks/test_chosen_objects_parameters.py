"""``HevoResyncObjectsOperator``: what a DAG's author writes, and what that is rendered to."""

from __future__ import annotations

import inspect
import json
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG, AirflowFailException, BaseOperator

from hevo_provider.exceptions import HevoConfigError
from hevo_provider.operators import HevoPipelineOperator, HevoResyncObjectsOperator
from hevo_provider.parameters import several_of
from hevo_provider.sandbox import Sandbox
from hevo_provider.sandbox.pipelines import SandboxPipeline
from tests.stage.failures import fails
from tests.stage.objects import add_shop, asked_for, ids, objects_operator
from tests.stage.tasks import Deferral, TaskInstance, play, work


@pytest.fixture
def pipeline(hevo: Sandbox) -> SandboxPipeline:
    return add_shop(hevo)


def test_it_takes_what_the_pipelines_operator_takes_but_its_action() -> None:
    given: dict[str, Any] = {
        "job_type": "RESYNC",
        "connection_id": "other",
        "poll_interval": 3.0,
        "retry_limit": 4,
        "deferrable": False,
        "wait_for_completion": False,
        "accept_completed_with_failures": True,
        "on_deferred": "accept",
        "ensure_new_job": False,
        "on_active_job": "wait",
        "cancel_on_kill": False,
        "timeout": 60.0,
        "api_outage_tolerance": 30.0,
        "durable": False,
        "skip_if_fresh": 3600.0,
        "on_fresh": "skip",
        "retry_failed_objects": False,  # which is refused with wait_for_completion=False
        "skip_empty_tables": True,
    }

    made = HevoResyncObjectsOperator(task_id="task", pipeline_id=7, objects=["orders"], **given)

    parameters = inspect.signature(HevoPipelineOperator).parameters.values()
    shared = {each.name for each in parameters if each.kind is each.KEYWORD_ONLY}
    assert set(given) == shared - {"pipeline_id", "pipeline_name", "action", "drop_and_load"}
    assert {name: getattr(made, name) for name in given} == given
    assert set(made.template_fields) == {
        "pipeline_id",
        "pipeline_name",
        "objects",
        "object_ids",
        "connection_id",
        "job_type",
    }


@pytest.mark.parametrize("name", ["action", "drop_and_load"])
def test_what_is_not_for_chosen_objects_is_refused(name: str) -> None:
    with fails(HevoConfigError, says=f"{name} is for HevoPipelineOperator"):
        objects_operator(objects=["orders"], **{name: "RESYNC"})


def test_a_set_of_objects_is_serialized_in_one_order() -> None:
    """Else the DAG would differ from parse to parse, and each would be another version of it."""
    names = {f"public.table_{number}" for number in range(20)}

    made = objects_operator(objects=names, object_ids=frozenset(names))

    assert list(made.objects) == list(made.object_ids) == sorted(names)


def test_default_args_for_other_operators_of_the_dag_do_no_harm(ti: TaskInstance) -> None:
    with DAG("dag", schedule=None, default_args={"action": "SYNC_NOW", "drop_and_load": True, "poll_interval": 3}):
        made = objects_operator(objects=["orders"])

    assert (made._ordered(ti.context).action, made._ordered(ti.context).drop_and_load) == ("RESYNC_OBJECTS", False)
    assert made.poll_interval == 3


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({}, "objects or object_ids must say what to resync"),
        ({"objects": []}, "objects is empty"),
        ({"objects": ""}, "objects must hold names or ids, not ''"),
        ({"objects": ["orders", None]}, "objects must hold names or ids, not None"),
        ({"objects": ["orders", "None"]}, "objects must hold names or ids, not 'None'"),
        ({"objects": {"orders": 1}}, "objects must be a list of names or ids"),
        ({"objects": 7}, "objects must be a list of names or ids"),
        ({"object_ids": [" "]}, "object_ids must hold names or ids"),
        ({"object_ids": ["a/../b"]}, "object_id is not an id of Hevo"),
        ({"objects": ["orders"], "object_ids": [True]}, "object_ids must hold names or ids, not True"),
        ({"objects": ["orders"], "pipeline_id": 0}, "pipeline_id"),
        ({"objects": ["orders"], "job_type": "ALL"}, "job_type"),
    ],
    ids=str,
)
def test_what_makes_no_sense_is_refused_when_the_dag_is_parsed(wrong: dict[str, Any], message: str) -> None:
    with fails(HevoConfigError, says=message):
        objects_operator(**wrong)


@pytest.mark.parametrize(
    ("value", "names"),
    [
        ("orders", ("orders",)),
        (["orders", "inv*"], ("orders", "inv*")),
        (("orders", "orders"), ("orders",)),
        ("['orders', 'inv*']", ("orders", "inv*")),
        ('["orders", "inv*"]', ("orders", "inv*")),
        ("[oi]*", ("[oi]*",)),
        ([17, "18"], ("17", "18")),
    ],
    ids=str,
)
def test_names_may_be_written_in_many_ways(value: object, names: tuple[str, ...]) -> None:
    assert several_of("objects", value) == names


def rendered(task: HevoResyncObjectsOperator, *, native: bool, **values: Any) -> HevoResyncObjectsOperator:
    with DAG("dag", schedule=None, render_template_as_native_obj=native) as dag:
        dag.add_task(task)
    task.render_template_fields(values)  # type: ignore[arg-type]
    return task


@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize("objects", ["{{ names }}", ["{{ names[0] }}", "{{ names[1] }}"]], ids=["list", "names"])
def test_it_runs_with_what_its_templates_render_to(
    hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline, native: bool, objects: Any
) -> None:
    task = objects_operator(objects=objects, object_ids="{{ more }}")

    play(rendered(task, native=native, names=["inv*", "customers"], more=ids(pipeline, "custom_fields")), ti)

    assert asked_for(hevo) == [ids(pipeline, "custom_fields", "invoices", "customers")]


@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize("value", [None, [], ""])
def test_names_that_render_to_nothing_fail_for_good_before_any_request(
    hevo: Sandbox, ti: TaskInstance, native: bool, value: object
) -> None:
    with fails(AirflowFailException, says="objects"):
        play(rendered(objects_operator(objects="{{ value }}", object_ids=["x"]), native=native, value=value), ti)

    assert hevo.requests == []


def test_the_output_of_another_task_can_say_which_objects() -> None:
    with DAG("dag", schedule=None):
        before: Any = BaseOperator(task_id="before")
        task = objects_operator(objects=before.output)
        other = HevoResyncObjectsOperator(task_id="other", pipeline_id=7, objects=[before.output["name"], "orders"])

    assert task.upstream_task_ids == other.upstream_task_ids == {"before"}


def test_it_can_be_mapped_over_objects(hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline) -> None:
    with DAG("dag", schedule=None):
        mapped: Any = HevoResyncObjectsOperator.partial(task_id="task", pipeline_id=7).expand(objects=[["inv*"], []])

    assert play(mapped.unmap({"objects": ["inv*"]}), ti) == pipeline.jobs[0].id
    with fails(AirflowFailException, says="objects is empty"):
        play(mapped.unmap({"objects": []}), ti)


def test_a_trigger_knows_the_objects_after_the_database(ti: TaskInstance, pipeline: SandboxPipeline) -> None:
    pipeline.start_job(appear_after=0, duration=100)

    left_behind = work(lambda: objects_operator(objects=["inv*"], on_active_job="wait").execute(ti.context))

    assert isinstance(left_behind, Deferral)
    assert json.loads(json.dumps(left_behind.kwargs))["objects"] == ["inv*"]
    assert left_behind.trigger().ordered.order.objects == ("inv*",)


@pytest.mark.parametrize("name", ["objects", "object_ids"])
def test_a_set_has_one_order_at_every_parse_and_in_every_run(name: str) -> None:
    letters = "abcdefghijklmnop"
    parameters: dict[str, Any] = {name: set(letters)}

    task = HevoResyncObjectsOperator(task_id="task", pipeline_id=7, **parameters)

    assert getattr(task, name) == list(letters)
    assert several_of(name, set(letters)) == tuple(letters)  # as a template may render to
