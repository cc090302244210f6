"""``HevoResyncObjectsOperator``: chosen objects are reloaded by one job, which is followed to its end."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG, AirflowFailException, AirflowTaskTimeout, BaseOperator

from hevo_provider.exceptions import (
    HevoConfigError,
    HevoJobFailedError,
    HevoJobNotFoundError,
    HevoPipelineBusyError,
    HevoPipelineStateError,
)
from hevo_provider.operators import HevoPipelineOperator, HevoResyncObjectsOperator
from hevo_provider.parameters import several_of
from hevo_provider.sandbox import Fault, Sandbox
from hevo_provider.sandbox.record import Request
from hevo_provider.sandbox.state import SandboxPipeline
from tests.play import Deferral, TaskInstance, VirtualClock, event_of, play, run_in_triggerer, work

MODES = [(True, True), (True, False), (False, True), (False, False)]

in_every_mode = pytest.mark.parametrize(("deferrable", "wait_for_completion"), MODES)
deferred_or_not = pytest.mark.parametrize("deferrable", [True, False])


def operator(**parameters: Any) -> HevoResyncObjectsOperator:
    return HevoResyncObjectsOperator(task_id="task", **{"pipeline_id": 7, **parameters})


@pytest.fixture
def pipeline(hevo: Sandbox) -> SandboxPipeline:
    """A pipeline with orders, customers and invoices, and a few more."""
    pipeline = hevo.add_pipeline(7)
    for name, schema in (("custom_fields", "public"), ("orders", "archive"), ("Orders", "legacy")):
        pipeline.add_object(name, schema=schema)
    return pipeline


def ids(pipeline: SandboxPipeline, *names: str) -> list[str]:
    """Return the ids of objects by schema and name, or by name."""
    return [each.id for name in names for each in pipeline.objects if name in {each.name, f"{each.schema}.{each.name}"}]


def asked_for(hevo: Sandbox) -> list[list[str]]:
    return [request.body["object_ids"] for request in hevo.requests_of("resync_objects")]


# Which objects


@in_every_mode
def test_objects_are_chosen_by_id(
    hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline, deferrable: bool, wait_for_completion: bool
) -> None:
    wanted = ids(pipeline, "customers", "invoices")

    job_id = play(
        operator(object_ids=wanted, deferrable=deferrable, wait_for_completion=wait_for_completion),
        ti,
    )

    (job,) = pipeline.jobs
    assert (job.id, job.type, job.object_names) == (job_id, "RESYNC", ("customers", "invoices"))
    assert asked_for(hevo) == [wanted]
    assert ti.xcoms["hevo_job"]["status"] == ("COMPLETED" if wait_for_completion else "IN_PROGRESS")
    assert hevo.requests_of("list_objects") == []


@in_every_mode
def test_objects_are_chosen_by_name(
    hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline, deferrable: bool, wait_for_completion: bool
) -> None:
    task = operator(
        objects=["invoices", "public.cust*"], deferrable=deferrable, wait_for_completion=wait_for_completion
    )

    job_id = play(task, ti)

    assert [job.id for job in pipeline.jobs] == [job_id]
    assert asked_for(hevo) == [ids(pipeline, "invoices", "customers", "custom_fields")]


@pytest.mark.parametrize(
    ("pattern", "fits"),
    [
        ("orders", ["public.orders", "archive.orders"]),
        ("Orders", ["legacy.Orders"]),
        ("ORDERS", ["public.orders", "archive.orders", "legacy.Orders"]),
        ("PUBLIC.Inv*", ["invoices"]),
        ("archive.*", ["archive.orders"]),
        ("*.orders", ["public.orders", "archive.orders"]),
        ("shop.public.orders", ["public.orders"]),
        ("shop.*.orders", ["public.orders", "archive.orders"]),
        ("[ci]*s", ["customers", "invoices", "custom_fields"]),
        ("order?", ["public.orders", "archive.orders"]),
    ],
)
def test_a_name_may_be_a_pattern_of_its_place_and_case_counts_if_it_can(
    hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline, pattern: str, fits: list[str]
) -> None:
    work(lambda: operator(objects=pattern).execute(ti.context))

    assert sorted(*asked_for(hevo)) == sorted(ids(pipeline, *fits))


def test_a_name_with_characters_of_a_pattern_is_found(
    hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline
) -> None:
    odd = pipeline.add_object("orders[old]")

    work(lambda: operator(objects=["orders[old]"]).execute(ti.context))

    assert asked_for(hevo) == [[odd.id]]


@pytest.mark.parametrize("place", [None, {"k0": None, "k1": "public"}, {"k1": None, "k2": None, "k0": "clicks"}])
def test_an_object_is_found_by_what_hevo_tells_of_its_name(
    hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline, place: dict[str, Any] | None
) -> None:
    named = pipeline.add_object("x", source_namespace=place, object_name="clicks")

    work(lambda: operator(objects=["clicks"]).execute(ti.context))

    assert asked_for(hevo) == [[named.id]]


def test_each_object_is_sent_once_however_often_it_is_meant(
    hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline
) -> None:
    (invoices,) = ids(pipeline, "invoices")

    work(lambda: operator(objects=["inv*", "invoices"], object_ids=[invoices, invoices]).execute(ti.context))

    assert asked_for(hevo) == [[invoices]]


def test_the_objects_are_read_page_by_page(hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline) -> None:
    for number in range(250):
        pipeline.add_object(f"shard_{number:03}")

    work(lambda: operator(objects=["shard_*"]).execute(ti.context))

    assert len(*asked_for(hevo)) == 250
    assert len(hevo.requests_of("list_objects")) == 3


def test_the_worker_is_free_again_after_three_requests_and_the_pages_of_objects(
    hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline, clock: VirtualClock
) -> None:
    started_at = clock.now()

    left_behind = work(lambda: operator(objects=["orders"]).execute(ti.context))

    assert isinstance(left_behind, Deferral)
    assert clock.now() == started_at
    routes = [request.route for request in hevo.requests]
    assert sorted(routes[:3]) == ["get_pipeline", "list_jobs", "list_objects"]
    assert routes[3:] == ["resync_objects"]


@deferred_or_not
def test_a_name_that_fits_nothing_fails_for_good_and_close_ones_are_named(
    hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline, deferrable: bool
) -> None:
    with pytest.raises(AirflowFailException, match=r"Pipeline 7: 'public\.order' in objects fits no object") as failure:
        play(operator(objects=["invoices", "public.order"], deferrable=deferrable), ti)

    assert "Close to it: public.orders" in str(failure.value)
    assert {request.method for request in hevo.requests} == {"GET"}


def test_where_no_name_is_close_those_that_exist_are_named(ti: TaskInstance, pipeline: SandboxPipeline) -> None:
    for number in range(20):
        pipeline.add_object(f"shard_{number:03}")

    with pytest.raises(AirflowFailException, match=r"There are shop\.public\.orders, .* and 16 more\."):
        play(operator(objects=["qqq*"]), ti)


def test_a_name_that_fits_nothing_is_told_before_another_job_is_waited_for(
    ti: TaskInstance, pipeline: SandboxPipeline
) -> None:
    pipeline.start_job(appear_after=0, duration=1000)

    with pytest.raises(AirflowFailException, match="fits no object"):
        work(lambda: operator(objects=["order"], on_active_job="wait").execute(ti.context))


@pytest.mark.parametrize("status", ["EXCLUDED", "DELETED", "INACTIVE", "SKIPPED"])
def test_objects_that_hevo_does_not_load_are_left_out(
    hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline, status: str
) -> None:
    pipeline.objects[1].status = status

    work(lambda: operator(objects=["public.*"]).execute(ti.context))

    assert asked_for(hevo) == [ids(pipeline, "public.orders", "invoices", "custom_fields")]


def test_a_name_that_fits_only_what_hevo_does_not_load_fails_for_good(
    hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline
) -> None:
    pipeline.objects[1].status = "EXCLUDED"

    with pytest.raises(AirflowFailException, match=r"fits only what Hevo does not load: .*customers \(EXCLUDED\)"):
        play(operator(objects=["customers"]), ti)

    assert asked_for(hevo) == []


def test_an_id_that_hevo_does_not_know_fails_for_good(ti: TaskInstance, pipeline: SandboxPipeline) -> None:
    with pytest.raises(AirflowFailException, match="Object none-such does not exist in pipeline 7"):
        play(operator(object_ids=["none-such"]), ti)

    assert pipeline.jobs == []


def test_the_log_says_which_objects(ti: TaskInstance, pipeline: SandboxPipeline, story: Callable[[], str]) -> None:
    work(lambda: operator(objects=["inv*"]).execute(ti.context))

    assert "Pipeline 7: objects to resync: shop.public.invoices." in story()


# One job, and what becomes of it


@deferred_or_not
@pytest.mark.parametrize("applied", [True, False])
@pytest.mark.parametrize("appear_after", [0.0, 15.0])
@pytest.mark.parametrize("restarting_for", [0.0, 20.0])
def test_a_call_whose_fate_is_unknown_costs_no_second_job(
    hevo: Sandbox,
    ti: TaskInstance,
    pipeline: SandboxPipeline,
    restarting_for: float,
    appear_after: float,
    applied: bool,
    deferrable: bool,
) -> None:
    pipeline.appear_after, pipeline.restarting_for = appear_after, restarting_for
    hevo.inject("resync_objects", Fault.reset(after=applied))

    job_id = play(operator(objects=["inv*"], deferrable=deferrable), ti)

    assert [(job.id, job.object_names) for job in pipeline.jobs] == [(job_id, ("invoices",))]
    assert len(asked_for(hevo)) == (1 if applied else 2)


def test_an_object_that_vanishes_does_not_hide_the_job_of_a_call_whose_fate_was_unknown(
    hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline
) -> None:
    pipeline.appear_after, pipeline.duration = 1000, 3000
    hevo.inject("resync_objects", Fault.reset(after=True))
    left_behind = work(lambda: operator(objects=["inv*"]).execute(ti.context))
    event = run_in_triggerer(event_of(left_behind.trigger()))

    (job,) = pipeline.jobs
    job.appear_after = 0  # it shows just when a worker is about to send again
    pipeline.objects = [each for each in pipeline.objects if each.name != "invoices"]
    left_behind = work(lambda: operator(objects=["inv*"]).execute_complete(ti.context, event))

    assert left_behind.trigger().ordered.job_id == job.id


@pytest.mark.parametrize("wire", ["RESYNC", "TRUNCATE_AND_LOAD", "RESYNC_WITH_DROP_AND_LOAD", "HISTORICAL"])
def test_the_job_is_found_under_any_type_that_reloads_history(
    hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline, wire: str
) -> None:
    pipeline.job_type_names = {"RESYNC": wire}

    job_id = play(operator(objects=["inv*"]), ti)

    assert [job.id for job in pipeline.jobs] == [job_id]


def test_a_job_of_another_type_is_named_and_can_be_chosen(
    hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline
) -> None:
    pipeline.job_type_names, pipeline.duration = {"RESYNC": "REFRESHER"}, 200
    with pytest.raises(HevoJobNotFoundError, match=r"Of other types there is REFRESHER .* set job_type"):
        play(operator(objects=["inv*"]), ti)
    ti.clock.advance(1000)
    ti.next_try(cleared=True)

    job_id = play(operator(objects=["inv*"], job_type="REFRESHER"), ti)

    assert pipeline.jobs[-1].id == job_id


@deferred_or_not
def test_an_active_job_fails_the_task_before_anything_is_sent(
    hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline, deferrable: bool
) -> None:
    job = pipeline.start_job(appear_after=0, duration=1000)

    with pytest.raises(HevoPipelineBusyError, match=job.id):
        play(operator(objects=["inv*"], deferrable=deferrable), ti)

    assert asked_for(hevo) == []


@deferred_or_not
def test_an_active_job_can_be_waited_for(
    hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline, deferrable: bool
) -> None:
    pipeline.start_job(appear_after=0, duration=100)

    job_id = play(operator(objects=["inv*"], deferrable=deferrable, on_active_job="wait"), ti)

    assert [job.id for job in pipeline.jobs_started_by_api] == [job_id]


def test_a_job_that_others_start_while_the_objects_are_read_is_seen(
    hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline
) -> None:
    hevo.inject("list_objects", Fault.status(429, headers={"Retry-After": "4"}))
    job = pipeline.start_job("RESYNC", ago=-2, appear_after=0, duration=1000)

    with pytest.raises(HevoPipelineBusyError, match=job.id):
        play(operator(objects=["inv*"]), ti)

    assert asked_for(hevo) == []


def test_a_pipeline_that_is_restarting_is_waited_for(
    hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline
) -> None:
    pipeline.status = "RESTARTING"
    started_at = ti.clock.now()

    def ready_after_a_minute(request: Request) -> None:
        if request.at - started_at >= 60 and pipeline.status == "RESTARTING":
            pipeline.status = "INITIALIZED"

    hevo.on_request = ready_after_a_minute

    job_id = play(operator(objects=["inv*"]), ti)

    (job,) = pipeline.jobs
    assert job.id == job_id
    assert job.created_at - started_at >= 60


def test_what_hevo_refuses_is_said_in_its_words(hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline) -> None:
    hevo.inject("resync_objects", Fault.json({"message": "Objects of this source cannot be resynced"}, status=400))

    with pytest.raises(HevoPipelineStateError, match=r"refused RESYNC_OBJECTS: Objects of this source"):
        play(operator(objects=["inv*"]), ti)


@deferred_or_not
@pytest.mark.parametrize("accept", [True, False])
def test_a_partial_failure_is_a_success_only_where_it_is_accepted(
    ti: TaskInstance, pipeline: SandboxPipeline, deferrable: bool, accept: bool
) -> None:
    pipeline.ends = "COMPLETED_WITH_FAILURES"
    task = operator(objects=["inv*"], deferrable=deferrable, accept_completed_with_failures=accept)

    if accept:
        assert play(task, ti) == pipeline.jobs[0].id
    else:
        with pytest.raises(HevoJobFailedError, match=r"Failing objects: invoices\."):
            play(task, ti)


@deferred_or_not
@pytest.mark.parametrize("cancel_on_kill", [True, False])
def test_a_time_out_cancels_the_job_unless_told_otherwise(
    ti: TaskInstance, pipeline: SandboxPipeline, deferrable: bool, cancel_on_kill: bool
) -> None:
    pipeline.duration = None

    with pytest.raises(AirflowTaskTimeout, match=r"Pipeline 7: job .* had not ended"):
        play(operator(objects=["inv*"], deferrable=deferrable, timeout=100, cancel_on_kill=cancel_on_kill), ti)

    assert [job.cancel_requests for job in pipeline.jobs] == [int(cancel_on_kill)]


def test_a_retry_for_other_objects_starts_a_job_of_its_own(
    hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline, clock: VirtualClock
) -> None:
    """What is on record of a lost worker is only followed if the same was asked for."""
    work(lambda: operator(objects=["inv*"]).execute(ti.context))
    clock.advance(300)
    ti.next_try()

    play(operator(objects=["customers"]), ti)

    assert [job.object_names for job in pipeline.jobs] == [("invoices",), ("customers",)]


# The parameters


def test_it_takes_what_the_pipelines_operator_takes() -> None:
    def defaults_of(kind: type[BaseOperator]) -> dict[str, Any]:
        parameters = inspect.signature(kind).parameters.values()
        return {each.name: each.default for each in parameters if each.kind is each.KEYWORD_ONLY}

    shared = defaults_of(HevoPipelineOperator)
    for own in ("action", "drop_and_load"):
        del shared[own]

    assert defaults_of(HevoResyncObjectsOperator) == {"objects": None, "object_ids": None, **shared}
    assert set(HevoResyncObjectsOperator.template_fields) == {
        "pipeline_id",
        "objects",
        "object_ids",
        "connection_id",
        "job_type",
    }


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
    with pytest.raises(HevoConfigError, match=message):
        operator(**wrong)


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
    task = operator(objects=objects, object_ids="{{ more }}")

    play(rendered(task, native=native, names=["inv*", "customers"], more=ids(pipeline, "custom_fields")), ti)

    assert asked_for(hevo) == [ids(pipeline, "custom_fields", "invoices", "customers")]


@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize("value", [None, [], ""])
def test_names_that_render_to_nothing_fail_for_good_before_any_request(
    hevo: Sandbox, ti: TaskInstance, native: bool, value: object
) -> None:
    with pytest.raises(AirflowFailException, match="objects"):
        play(rendered(operator(objects="{{ value }}", object_ids=["x"]), native=native, value=value), ti)

    assert hevo.requests == []


def test_the_output_of_another_task_can_say_which_objects() -> None:
    with DAG("dag", schedule=None):
        before: Any = BaseOperator(task_id="before")
        task = operator(objects=before.output)
        other = HevoResyncObjectsOperator(task_id="other", pipeline_id=7, objects=[before.output["name"], "orders"])

    assert task.upstream_task_ids == other.upstream_task_ids == {"before"}


def test_it_can_be_mapped_over_objects(hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline) -> None:
    with DAG("dag", schedule=None):
        mapped: Any = HevoResyncObjectsOperator.partial(task_id="task", pipeline_id=7).expand(objects=[["inv*"], []])

    assert play(mapped.unmap({"objects": ["inv*"]}), ti) == pipeline.jobs[0].id
    with pytest.raises(AirflowFailException, match="objects is empty"):
        play(mapped.unmap({"objects": []}), ti)


def test_a_trigger_knows_the_objects_after_the_database(ti: TaskInstance, pipeline: SandboxPipeline) -> None:
    pipeline.start_job(appear_after=0, duration=100)

    left_behind = work(lambda: operator(objects=["inv*"], on_active_job="wait").execute(ti.context))

    assert isinstance(left_behind, Deferral)
    assert json.loads(json.dumps(left_behind.kwargs))["objects"] == ["inv*"]
    assert left_behind.trigger().ordered.objects == ("inv*",)
