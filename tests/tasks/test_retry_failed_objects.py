"""``retry_failed_objects``: a retry reloads only what the job of the try before has not loaded."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, AssetAlias

from hevo_provider.exceptions import HevoConfigError, HevoJobFailedError, HevoPipelineStateError
from hevo_provider.operators import HevoPipelineOperator
from hevo_provider.sandbox import MISSING, Fault, Request, Sandbox
from hevo_provider.sandbox.pipelines import SandboxPipeline
from tests.stage.clock import VirtualClock
from tests.stage.death import MortalStore, lose_worker
from tests.stage.failures import told_by
from tests.stage.marks import in_both_modes
from tests.stage.objects import ids, objects_operator
from tests.stage.outlets import Events
from tests.stage.tasks import (
    Deferral,
    TaskInstance,
    deferred,
    event_of,
    operator,
    operator_of,
    play,
    run_in_triggerer,
    work,
)

for_both_reloads = pytest.mark.parametrize("action", ["RESYNC", "RESYNC_OBJECTS"])


def reloading(action: str = "RESYNC", **parameters: Any) -> HevoPipelineOperator:
    return operator_of(action, retry_failed_objects=True, retries=3, **parameters)


@pytest.fixture
def ti(clock: VirtualClock) -> TaskInstance:
    return TaskInstance(clock, retries=3, store=MortalStore())


@pytest.fixture
def pipeline(hevo: Sandbox) -> SandboxPipeline:
    return hevo.add_pipeline(7)


def at_work(pipeline: SandboxPipeline, ti: TaskInstance, **parameters: Any) -> Deferral:
    """Let a try go on until its job is active: what it leaves behind then. A retry waits for its turn first."""
    left_behind = deferred(reloading(**parameters), ti)
    while not pipeline.active_jobs:
        event = run_in_triggerer(event_of(left_behind.trigger()))
        left_behind = work(partial(reloading(**parameters).execute_complete, ti.context, event))
    return left_behind


def fails(pipeline: SandboxPipeline, ti: TaskInstance, *failing: str, ends: str, **parameters: Any) -> None:
    """Let a try's job leave objects behind, and the next try begin."""
    pipeline.ends = ends
    left_behind = at_work(pipeline, ti, **parameters)
    pipeline.jobs[-1].failed_objects = failing
    with pytest.raises(HevoJobFailedError) as failure:
        play(reloading(**parameters), ti, left_behind)
    assert failure.value.status == ends
    pipeline.ends = "COMPLETED"
    ti.clock.advance(300)
    ti.next_try()


def loaded(pipeline: SandboxPipeline) -> list[tuple[str, ...]]:
    """Return what each job was to load, in order."""
    return [job.object_names for job in pipeline.jobs]


@for_both_reloads
@in_both_modes
@pytest.mark.parametrize("ends", ["FAILED", "COMPLETED_WITH_FAILURES"])
def test_a_retry_reloads_only_what_failed(
    ti: TaskInstance,
    pipeline: SandboxPipeline,
    story: Callable[[], str],
    action: str,
    deferrable: bool,
    ends: str,
) -> None:
    fails(pipeline, ti, "orders", ends=ends, action=action)
    first = pipeline.jobs[0]
    story()

    job_id = play(reloading(action, deferrable=deferrable), ti)

    assert [job.id for job in pipeline.jobs] == [first.id, job_id]
    assert loaded(pipeline) == [first.object_names, ("orders",)]
    assert ti.xcoms["hevo_job"]["objects_retried"] == ["orders"]
    told = f"reloading only what job {first.id} of the try before has not loaded, 1 of its {len(first.object_names)}"
    assert told in story()


def test_by_default_a_retry_reloads_everything(ti: TaskInstance, pipeline: SandboxPipeline) -> None:
    pipeline.ends = "COMPLETED_WITH_FAILURES"
    with pytest.raises(HevoJobFailedError):
        play(operator(action="RESYNC"), ti)
    pipeline.ends = "COMPLETED"
    ti.next_try()

    play(operator(action="RESYNC"), ti)

    everything = ("orders", "customers", "invoices")
    assert loaded(pipeline) == [everything, everything]
    assert "objects_retried" not in ti.xcoms["hevo_job"]


@in_both_modes
def test_a_third_try_reloads_what_the_second_left(
    ti: TaskInstance, pipeline: SandboxPipeline, deferrable: bool
) -> None:
    fails(pipeline, ti, "orders", "customers", ends="FAILED")
    fails(pipeline, ti, "customers", ends="COMPLETED_WITH_FAILURES")

    play(reloading(deferrable=deferrable), ti)

    assert loaded(pipeline)[1:] == [("orders", "customers"), ("customers",)]
    assert ti.xcoms["hevo_job"]["objects_retried"] == ["customers"]


@in_both_modes
@pytest.mark.parametrize("ends", ["CANCELLED", "DEFERRED", "FAILED"])
def test_a_third_try_reloads_all_that_the_second_was_to_where_hevo_does_not_say_what_that_left(
    hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline, deferrable: bool, ends: str
) -> None:
    fails(pipeline, ti, "orders", "customers", ends="FAILED")
    fails(pipeline, ti, ends=ends)

    play(reloading(deferrable=deferrable), ti)

    assert loaded(pipeline)[1:] == [("orders", "customers"), ("orders", "customers")]


@in_both_modes
def test_objects_that_all_failed_are_reloaded_once_by_the_retry(
    ti: TaskInstance, pipeline: SandboxPipeline, deferrable: bool
) -> None:
    (orders,) = ids(pipeline, "orders")
    chosen: dict[str, Any] = {"object_ids": [orders], "retry_failed_objects": True, "deferrable": deferrable}
    pipeline.first_ends = ("FAILED",)
    with pytest.raises(HevoJobFailedError):
        play(objects_operator(**chosen), ti)
    ti.next_try()

    play(objects_operator(**chosen), ti)

    assert loaded(pipeline) == [("orders",), ("orders",)]


def test_the_job_of_the_retry_is_found_by_the_type_that_was_asked_for(
    ti: TaskInstance, pipeline: SandboxPipeline
) -> None:
    pipeline.job_type_names = {"RESYNC": "REFRESHER"}
    fails(pipeline, ti, "orders", ends="FAILED", action="RESYNC_OBJECTS", job_type="REFRESHER")

    assert play(reloading("RESYNC_OBJECTS", job_type="REFRESHER"), ti) == pipeline.jobs[1].id


def test_what_somebody_else_has_reloaded_meanwhile_is_not_said_to_be_reloaded_by_the_task(
    hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline
) -> None:
    fails(pipeline, ti, "orders", ends="FAILED", skip_if_fresh=3600)
    theirs = pipeline.start_job("RESYNC", appear_after=0, ago=60, duration=30, ends="COMPLETED")

    assert play(reloading(skip_if_fresh=3600), ti) == theirs.id

    assert hevo.requests_of("resync_objects") == []
    assert ti.xcoms["hevo_job"]["fresh"] is True
    assert "objects_retried" not in ti.xcoms["hevo_job"]


@for_both_reloads
@in_both_modes
def test_a_users_clear_starts_all_anew(
    ti: TaskInstance, pipeline: SandboxPipeline, action: str, deferrable: bool
) -> None:
    fails(pipeline, ti, "orders", ends="COMPLETED_WITH_FAILURES", action=action)
    ti.next_try(cleared=True)

    play(reloading(action, deferrable=deferrable), ti)

    first, second = loaded(pipeline)
    assert first == second
    assert "objects_retried" not in ti.xcoms["hevo_job"]


def test_a_clear_after_a_try_that_sent_nothing_reloads_all(
    hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline
) -> None:
    fails(pipeline, ti, "orders", ends="COMPLETED_WITH_FAILURES")
    hevo.inject("resync_objects", Fault.json({"message": "Forbidden"}, status=403), times=2)
    with pytest.raises(AirflowFailException, match="403"):
        play(reloading(), ti)
    ti.next_try(cleared=True)

    play(reloading(), ti)

    assert len(loaded(pipeline)[1]) == 3


def test_a_clear_while_some_objects_are_reloaded_makes_way_and_reloads_all(
    ti: TaskInstance, pipeline: SandboxPipeline
) -> None:
    fails(pipeline, ti, "orders", ends="COMPLETED_WITH_FAILURES")
    pipeline.duration = 1000
    at_work(pipeline, ti)  # and lost: nobody hears of it
    pipeline.duration = 10
    ti.next_try(cleared=True)

    play(reloading(), ti)

    everything = ("orders", "customers", "invoices")
    assert loaded(pipeline) == [everything, ("orders",), everything]
    assert [job.status for job in pipeline.jobs] == ["COMPLETED_WITH_FAILURES", "CANCELLED", "COMPLETED"]


@in_both_modes
def test_a_retry_follows_the_job_of_a_lost_worker_that_reloads_some_objects(
    ti: TaskInstance, pipeline: SandboxPipeline, deferrable: bool
) -> None:
    fails(pipeline, ti, "orders", ends="COMPLETED_WITH_FAILURES")
    pipeline.duration = 1000
    at_work(pipeline, ti)  # and lost: nobody hears of it
    ti.clock.advance(300)
    ti.next_try()

    job_id = play(reloading(deferrable=deferrable), ti)

    assert [job.id for job in pipeline.jobs][1:] == [job_id]
    assert ti.xcoms["hevo_job"]["objects_retried"] == ["orders"]


@in_both_modes
def test_a_job_of_a_lost_worker_that_failed_meanwhile_is_asked_too(
    ti: TaskInstance, pipeline: SandboxPipeline, deferrable: bool
) -> None:
    pipeline.ends = "COMPLETED_WITH_FAILURES"
    lose_worker(reloading(), ti)
    ti.clock.advance(300)
    pipeline.ends = "COMPLETED"
    ti.next_try()

    play(reloading(deferrable=deferrable), ti)

    assert loaded(pipeline)[1:] == [("orders",)]


@in_both_modes
def test_a_try_that_sends_nothing_leaves_what_is_left_to_the_next(
    ti: TaskInstance, pipeline: SandboxPipeline, deferrable: bool
) -> None:
    fails(pipeline, ti, "orders", ends="COMPLETED_WITH_FAILURES")
    pipeline.status = "DISABLED"
    with pytest.raises(HevoPipelineStateError):
        play(reloading(deferrable=deferrable), ti)
    pipeline.status = "INITIALIZED"
    ti.next_try()

    play(reloading(deferrable=deferrable), ti)

    assert loaded(pipeline)[1:] == [("orders",)]


@in_both_modes
def test_a_try_whose_call_is_refused_leaves_what_is_left_to_the_next(
    hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline, deferrable: bool
) -> None:
    fails(pipeline, ti, "orders", ends="COMPLETED_WITH_FAILURES")
    hevo.inject("resync_objects", Fault.json({"message": "Forbidden"}, status=403), times=2)
    with pytest.raises(AirflowFailException, match="403"):
        play(reloading(deferrable=deferrable), ti)
    ti.next_try()

    play(reloading(deferrable=deferrable), ti)

    assert loaded(pipeline)[1:] == [("orders",)]


@in_both_modes
def test_what_never_had_its_turn_is_reloaded_with_what_failed(
    hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline, deferrable: bool
) -> None:
    fails(pipeline, ti, "orders", ends="FAILED")
    told = [{"name": "orders", "status": "FAILED"}, {"name": "customers", "status": "QUEUED"}]
    hevo.inject("list_job_objects", Fault.json({"data": [*told, {"name": "invoices", "status": "SUCCESS"}]}))

    play(reloading(deferrable=deferrable), ti)

    assert loaded(pipeline)[1:] == [("orders", "customers")]
    assert ti.xcoms["hevo_job"]["objects_retried"] == ["orders", "customers"]


@in_both_modes
def test_tables_that_an_earlier_try_has_loaded_have_their_events_too(
    ti: TaskInstance, pipeline: SandboxPipeline, events: Events, deferrable: bool
) -> None:
    tables = AssetAlias("tables")
    fails(pipeline, ti, "orders", "customers", ends="FAILED", outlets=[tables])
    fails(pipeline, ti, "customers", ends="COMPLETED_WITH_FAILURES", outlets=[tables])

    play(reloading(deferrable=deferrable, outlets=[tables]), ti)

    rows = {re.split("[./]", uri)[-1]: extra["rows_loaded"] for uri, extra in events.of_alias(tables).items()}
    assert rows == {"customers": 1000, "orders": 496, "invoices": 328}  # each by the last job that loaded it


@in_both_modes
def test_what_is_retried_is_told_also_where_a_sync_goes_on_from_it(
    hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline, deferrable: bool
) -> None:
    fails(pipeline, ti, "orders", ends="FAILED", on_deferred="continue")
    pipeline.ends = "DEFERRED"

    def catch_up(_: Request) -> None:
        pipeline.ends = "COMPLETED" if len(pipeline.jobs) > 1 and not pipeline.active_jobs else pipeline.ends

    hevo.on_request = catch_up

    play(reloading(deferrable=deferrable, on_deferred="continue"), ti)

    assert [job.type for job in pipeline.jobs] == ["RESYNC", "RESYNC", "INCREMENTAL"]
    assert ti.xcoms["hevo_job"]["objects_retried"] == ["orders"]


@in_both_modes
def test_a_sync_that_goes_on_and_is_refused_is_not_made_a_resync_of_all(
    hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline, deferrable: bool
) -> None:
    fails(pipeline, ti, "orders", ends="FAILED", on_deferred="continue")
    pipeline.ends = "DEFERRED"
    hevo.inject("sync_now", Fault.json({"message": "Not now"}, status=400), times=None)

    with pytest.raises(HevoPipelineStateError):
        play(reloading(deferrable=deferrable, on_deferred="continue"), ti)

    assert [job.type for job in pipeline.jobs] == ["RESYNC", "RESYNC"]


# Where Hevo does not say which failed, all run


def rows(*statuses: str | None, names: tuple[str, ...] = ("orders", "customers", "invoices")) -> Fault:
    return Fault.json({"data": [{"name": name, "status": each} for name, each in zip(names, statuses, strict=False)]})


@in_both_modes
@pytest.mark.parametrize(
    "answer",
    [
        Fault.status(404),
        Fault.json({"data": []}),
        rows("COMPLETED", "COMPLETED", "COMPLETED"),
        rows(None, None, None),
        rows("FAILED", "COMPLETED"),  # and the third?
        rows("FAILED", "COMPLETED", "COMPLETED", names=("gone", "customers", "invoices")),
        rows("FAILED", "COMPLETED", "COMPLETED", names=("twice", "customers", "invoices")),
        rows("FAILED", "COMPLETED", "COMPLETED", names=("excluded", "customers", "invoices")),
    ],
)
def test_where_hevo_does_not_say_which_objects_failed_all_are_reloaded(
    hevo: Sandbox,
    ti: TaskInstance,
    pipeline: SandboxPipeline,
    story: Callable[[], str],
    deferrable: bool,
    answer: Fault,
) -> None:
    fails(pipeline, ti, "orders", ends="COMPLETED_WITH_FAILURES")
    for name, schema, status in (("twice", "a", "ACTIVE"), ("twice", "b", "ACTIVE"), ("excluded", "a", "DISABLED")):
        pipeline.add_object(name, schema=schema).status = status
    hevo.inject("list_job_objects", answer, times=None)
    story()

    play(reloading(deferrable=deferrable), ti)

    assert len(loaded(pipeline)[1]) == 6
    assert len(hevo.requests_of("resync")) == 2
    assert "objects_retried" not in ti.xcoms["hevo_job"]
    assert "of the try before cannot be told" in story()


def test_where_hevo_counts_more_that_failed_than_it_names_all_are_reloaded(
    ti: TaskInstance, pipeline: SandboxPipeline
) -> None:
    fails(pipeline, ti, "orders", ends="COMPLETED_WITH_FAILURES")
    pipeline.jobs[0].override = {"objects_failed": 2, "objects_success": MISSING}

    play(reloading(), ti)

    assert len(loaded(pipeline)[1]) == 3


def test_an_object_of_which_rows_failed_has_failed(hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline) -> None:
    fails(pipeline, ti, "orders", ends="COMPLETED_WITH_FAILURES")
    told = [{"name": name, "status": "COMPLETED", "rows_failed": 7} for name in ("orders",)]
    told += [{"name": name, "status": "COMPLETED", "rows_failed": 0} for name in ("customers", "invoices")]
    hevo.inject("list_job_objects", Fault.json({"data": told}))

    play(reloading(), ti)

    assert loaded(pipeline)[1:] == [("orders",)]


def test_more_objects_than_one_page_has_are_all_asked_for(ti: TaskInstance, pipeline: SandboxPipeline) -> None:
    names = [f"table_{number:03}" for number in range(250)]
    for name in names:
        pipeline.add_object(name)
    fails(pipeline, ti, *names[100:], ends="COMPLETED_WITH_FAILURES")

    play(reloading(), ti)

    assert sorted(loaded(pipeline)[1]) == names[100:]


@in_both_modes
def test_where_hevo_cannot_reload_some_alone_all_are_reloaded(
    hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline, story: Callable[[], str], deferrable: bool
) -> None:
    fails(pipeline, ti, "orders", ends="COMPLETED_WITH_FAILURES")
    hevo.object_resync_body = "neither"

    job_id = play(reloading(deferrable=deferrable), ti)

    assert len(hevo.requests_of("resync")) == 2
    assert pipeline.jobs[-1].id == job_id
    assert "objects_retried" not in ti.xcoms["hevo_job"]
    assert "So all of them are reloaded" in story()


def test_objects_that_were_chosen_are_not_asked_for_in_any_other_way(
    hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline
) -> None:
    fails(pipeline, ti, "orders", ends="COMPLETED_WITH_FAILURES", action="RESYNC_OBJECTS")
    hevo.object_resync_body = "neither"

    with pytest.raises(HevoPipelineStateError):
        play(reloading("RESYNC_OBJECTS"), ti)

    assert hevo.requests_of("resync") == []
    assert [] not in [words for request in hevo.requests_of("resync_objects") for words in request.body.values()]


@in_both_modes
@pytest.mark.parametrize("parameters", [{"durable": False}, {}])
def test_where_airflow_cannot_remember_it_says_so_and_all_are_reloaded(
    clock: VirtualClock,
    pipeline: SandboxPipeline,
    story: Callable[[], str],
    deferrable: bool,
    parameters: dict[str, Any],
) -> None:
    ti = TaskInstance(clock, retries=3, store=None)
    fails(pipeline, ti, "orders", ends="COMPLETED_WITH_FAILURES", **parameters)

    play(reloading(deferrable=deferrable, **parameters), ti)

    assert len(loaded(pipeline)[1]) == 3
    assert "would reload all objects, whatever retry_failed_objects says" in story()


def test_where_the_task_does_not_want_to_remember_it_is_not_airflow_that_cannot(
    ti: TaskInstance, pipeline: SandboxPipeline, story: Callable[[], str]
) -> None:
    play(reloading(durable=False), ti)

    told = story()
    assert "With durable=False no job is remembered" in told
    assert "This Airflow cannot remember" not in told


# When the DAG is parsed


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"action": "SYNC_NOW"}, "goes with the action RESYNC only"),
        ({}, "goes with the action RESYNC only"),
        ({"action": "RESYNC", "drop_and_load": True}, "does not go with drop_and_load"),
    ],
)
def test_it_is_refused_where_it_makes_no_sense(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(HevoConfigError, match=message):
        operator(retry_failed_objects=True, **wrong)


@pytest.mark.parametrize("action", ["RESYNC", "RESYNC_OBJECTS"])
def test_it_is_refused_where_the_task_does_not_wait_for_what_fails(action: str) -> None:
    with pytest.raises(HevoConfigError, match="goes with wait_for_completion=True only"):
        operator_of(action, retry_failed_objects=True, wait_for_completion=False)


def test_a_flag_is_wanted() -> None:
    with pytest.raises(HevoConfigError, match="retry_failed_objects must be True or False"):
        operator(action="RESYNC", retry_failed_objects="yes")


def test_an_action_that_is_a_template_is_checked_when_it_is_rendered(ti: TaskInstance) -> None:
    task = operator(action="{{ params.action }}", retry_failed_objects=True)
    task.action = "SYNC_NOW"

    with pytest.raises(AirflowFailException, match=r"HEVO-105$") as failure:
        play(task, ti)

    assert "goes with the action RESYNC only" in told_by(failure.value)


@in_both_modes
@pytest.mark.parametrize("status", [403, 429])
def test_which_failed_is_asked_for_later_where_hevos_limit_has_no_room(
    hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline, deferrable: bool, status: int
) -> None:
    fails(pipeline, ti, "orders", ends="FAILED")
    refused = Fault.status(status, body={"message": "Request rate limit exceeded"})
    hevo.inject("list_job_objects", refused, times=None)
    ends = ti.clock.now() + 900
    hevo.on_request = lambda _: hevo.clear_faults() if ti.clock.now() >= ends else None

    play(reloading(deferrable=deferrable), ti)

    assert loaded(pipeline)[1:] == [("orders",)]
