"""``HevoResyncObjectsOperator``: chosen objects are reloaded by one job, which is followed to its end."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowTaskTimeout

from hevo_provider.exceptions import (
    HevoConfigError,
    HevoJobFailedError,
    HevoJobNotFoundError,
    HevoPipelineBusyError,
    HevoPipelineStateError,
)
from hevo_provider.sandbox import Fault, Sandbox
from hevo_provider.sandbox.pipelines import SandboxPipeline
from hevo_provider.sandbox.requests import Request
from tests.stage.clock import VirtualClock
from tests.stage.failures import fails
from tests.stage.marks import in_alternating_modes, in_both_modes
from tests.stage.objects import add_shop, asked_for, ids, objects_operator
from tests.stage.tasks import TaskInstance, event_of, play, run_in_triggerer, work


@pytest.fixture
def pipeline(hevo: Sandbox) -> SandboxPipeline:
    return add_shop(hevo)


@in_alternating_modes("applied, appear_after, restarting_for", [True, False], [0.0, 15.0], [0.0, 20.0])
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

    job_id = play(objects_operator(objects=["inv*"], deferrable=deferrable), ti)

    assert [(job.id, job.object_names) for job in pipeline.jobs] == [(job_id, ("invoices",))]
    assert len(asked_for(hevo)) == (1 if applied else 2)


def test_an_object_that_vanishes_does_not_hide_the_job_of_a_call_whose_fate_was_unknown(
    hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline
) -> None:
    pipeline.appear_after, pipeline.duration = 1000, 3000
    hevo.inject("resync_objects", Fault.reset(after=True))
    left_behind = work(lambda: objects_operator(objects=["inv*"]).execute(ti.context))
    event = run_in_triggerer(event_of(left_behind.trigger()))

    (job,) = pipeline.jobs
    job.appear_after = 0  # it shows just when a worker is about to send again
    pipeline.objects = [each for each in pipeline.objects if each.name != "invoices"]
    left_behind = work(lambda: objects_operator(objects=["inv*"]).execute_complete(ti.context, event))

    assert left_behind.trigger().ordered.job_id == job.id


@pytest.mark.parametrize("wire", ["RESYNC", "TRUNCATE_AND_LOAD", "RESYNC_WITH_DROP_AND_LOAD", "HISTORICAL"])
def test_the_job_is_found_under_any_type_that_reloads_history(
    hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline, wire: str
) -> None:
    pipeline.job_type_names = {"RESYNC": wire}

    job_id = play(objects_operator(objects=["inv*"]), ti)

    assert [job.id for job in pipeline.jobs] == [job_id]


def test_a_job_of_another_type_is_named_and_can_be_chosen(
    hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline
) -> None:
    pipeline.job_type_names, pipeline.duration = {"RESYNC": "REFRESHER"}, 200
    with fails(HevoJobNotFoundError, says=r"Of other types there is REFRESHER .* set job_type"):
        play(objects_operator(objects=["inv*"]), ti)
    ti.clock.advance(1000)
    ti.next_try(cleared=True)

    job_id = play(objects_operator(objects=["inv*"], job_type="REFRESHER"), ti)

    assert pipeline.jobs[-1].id == job_id


@in_both_modes
def test_an_active_job_fails_the_task_before_anything_is_sent(
    hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline, deferrable: bool
) -> None:
    job = pipeline.start_job(appear_after=0, duration=1000)

    with fails(HevoPipelineBusyError, says=job.id):
        play(objects_operator(objects=["inv*"], deferrable=deferrable), ti)

    assert asked_for(hevo) == []


@in_both_modes
def test_an_active_job_can_be_waited_for(
    hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline, deferrable: bool
) -> None:
    pipeline.start_job(appear_after=0, duration=100)

    job_id = play(objects_operator(objects=["inv*"], deferrable=deferrable, on_active_job="wait"), ti)

    assert [job.id for job in pipeline.jobs_started_by_api] == [job_id]


def test_a_job_that_others_start_while_the_objects_are_read_is_seen(
    hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline
) -> None:
    hevo.inject("list_objects", Fault.status(429, headers={"Retry-After": "4"}))
    job = pipeline.start_job("RESYNC", ago=-2, appear_after=0, duration=1000)

    with fails(HevoPipelineBusyError, says=job.id):
        play(objects_operator(objects=["inv*"]), ti)

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

    job_id = play(objects_operator(objects=["inv*"]), ti)

    (job,) = pipeline.jobs
    assert job.id == job_id
    assert job.created_at - started_at >= 60


def test_what_hevo_refuses_is_said_in_its_words(hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline) -> None:
    hevo.inject("resync_objects", Fault.json({"message": "Objects of this source cannot be resynced"}, status=400))

    with fails(HevoPipelineStateError, says=r"refused RESYNC_OBJECTS: Objects of this source"):
        play(objects_operator(objects=["inv*"]), ti)


@in_both_modes
@pytest.mark.parametrize("accept", [True, False])
def test_a_partial_failure_is_a_success_only_where_it_is_accepted(
    ti: TaskInstance, pipeline: SandboxPipeline, deferrable: bool, accept: bool
) -> None:
    pipeline.ends = "COMPLETED_WITH_FAILURES"
    task = objects_operator(objects=["inv*"], deferrable=deferrable, accept_completed_with_failures=accept)

    if accept:
        assert play(task, ti) == pipeline.jobs[0].id
    else:
        with fails(HevoJobFailedError, says=r"Failing objects: invoices\n"):
            play(task, ti)


@in_both_modes
@pytest.mark.parametrize("cancel_on_kill", [True, False])
def test_a_time_out_cancels_the_job_unless_told_otherwise(
    ti: TaskInstance, pipeline: SandboxPipeline, deferrable: bool, cancel_on_kill: bool
) -> None:
    pipeline.duration = None

    with fails(AirflowTaskTimeout, says=r"\(7\): .* job .* had not ended"):
        play(objects_operator(objects=["inv*"], deferrable=deferrable, timeout=100, cancel_on_kill=cancel_on_kill), ti)

    assert [job.cancel_requests for job in pipeline.jobs] == [int(cancel_on_kill)]


def test_a_retry_for_other_objects_starts_a_job_of_its_own(
    hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline, clock: VirtualClock
) -> None:
    """What is on record of a lost worker is only followed if the same was asked for."""
    work(lambda: objects_operator(objects=["inv*"]).execute(ti.context))
    clock.advance(300)
    ti.next_try()

    play(objects_operator(objects=["customers"]), ti)

    assert [job.object_names for job in pipeline.jobs] == [("invoices",), ("customers",)]


@pytest.mark.parametrize("order", [["orders", "invoices"], ["invoices", "orders"], {"orders", "invoices"}])
def test_a_retry_for_the_same_objects_in_another_order_follows_the_job(
    hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline, clock: VirtualClock, order: Any
) -> None:
    work(lambda: objects_operator(objects=["public.orders", "invoices"]).execute(ti.context))
    clock.advance(300)
    ti.next_try()

    play(objects_operator(objects=[name.replace("orders", "public.orders") for name in order]), ti)

    assert len(pipeline.jobs) == 1


def test_a_job_that_may_reload_other_objects_is_not_followed(
    hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline
) -> None:
    other = pipeline.start_job("RESYNC", appear_after=0, duration=1000)

    with fails(HevoPipelineBusyError, says=f"{other.id}.*may reload other objects"):
        play(objects_operator(objects=["inv*"], ensure_new_job=False), ti)

    with fails(HevoConfigError, says='on_active_job="follow" is not for objects'):
        objects_operator(objects=["inv*"], on_active_job="follow")


def test_many_objects_are_read_to_the_end_however_often_hevo_asks_for_a_pause(
    hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline
) -> None:
    for number in range(400):
        pipeline.add_object(f"table_{number}")
    wait = Fault.status(429, headers={"Retry-After": "20"})
    hevo.inject("list_objects", *[Fault.no_op(), wait] * 4)

    play(objects_operator(objects=["table_399"]), ti)

    assert [job.object_names for job in pipeline.jobs] == [("table_399",)]
    assert len(hevo.requests_of("list_objects")) <= 5 + 4 * 2, "each pause is spent in the triggerer"


# In what words Hevo wants the objects is not documented


@in_alternating_modes("words, by", ["objects", "object_ids", "either"], ["name", "id", "both"])
def test_the_objects_are_reloaded_whatever_words_hevo_knows(
    hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline, deferrable: bool, words: Any, by: str
) -> None:
    hevo.object_resync_body = words
    orders, invoices = ids(pipeline, "archive.orders", "invoices")
    chosen: dict[str, dict[str, Any]] = {
        "name": {"objects": ["archive.orders", "inv*"]},
        "id": {"object_ids": [orders, invoices]},
        "both": {"objects": ["inv*"], "object_ids": [orders]},
    }

    job_id = play(objects_operator(deferrable=deferrable, **chosen[by]), ti)

    (job,) = pipeline.jobs
    assert job.id == job_id
    assert sorted(job.object_names) == ["invoices", "orders"]
    assert len(hevo.requests_of("resync_objects")) <= 2
    assert [sorted(each) for each in asked_for(hevo)] == [sorted([orders, invoices])]


@in_both_modes
def test_where_hevo_knows_no_words_of_ours_the_task_fails_with_its_own(
    hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline, deferrable: bool
) -> None:
    hevo.object_resync_body = "neither"

    with fails(HevoPipelineStateError, says=r"Unrecognized field: objects; .*Unrecognized field: object_ids"):
        play(objects_operator(objects=["inv*"], deferrable=deferrable), ti)

    assert len(hevo.requests_of("resync_objects")) <= 4
    assert pipeline.jobs == []


@in_both_modes
def test_names_that_cannot_be_read_for_a_while_cost_no_job_and_no_failure(
    hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline, deferrable: bool
) -> None:
    (invoices,) = ids(pipeline, "invoices")
    hevo.inject("list_objects", Fault.status(503), times=6)

    job_id = play(objects_operator(object_ids=[invoices], deferrable=deferrable), ti)

    assert [(job.id, job.object_names) for job in pipeline.jobs] == [(job_id, ("invoices",))]
