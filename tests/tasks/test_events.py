"""What a worker makes of the event that it is woken with: never a success that was not told."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSkipException

from hevo_provider.exceptions import (
    HevoJobFailedError,
    HevoJobNotFoundError,
    HevoJobStalledError,
    HevoOutageError,
    HevoRunError,
)
from hevo_provider.operators import HevoPipelineOperator
from hevo_provider.sandbox import Fault, Sandbox
from hevo_provider.sensors import HevoSensor
from tests.stage.failures import fails
from tests.stage.tasks import Deferral, TaskInstance, event_of, play, run_in_triggerer, work

JOB = "5f0d1f9e-4a3b-4e0c-9e55-0c7d8f6f2a10"
ENDED = {"event": "job_ended", "pipeline_id": 7, "job_id": JOB, "job_type": "INCREMENTAL", "status": "COMPLETED"}


of_both = pytest.mark.parametrize("kind", [HevoPipelineOperator, HevoSensor])


@of_both
def test_a_job_that_has_completed_is_a_success(
    hevo: Sandbox, ti: TaskInstance, kind: type[HevoPipelineOperator | HevoSensor]
) -> None:
    assert kind(task_id="task", pipeline_id=7).execute_complete(ti.context, ENDED) == JOB
    facts = {"pipeline_id": 7, "job_id": JOB, "job_type": "INCREMENTAL", "status": "COMPLETED", "worker_seconds": 0}
    assert ti.xcoms["hevo_job"] == {**facts, "connection_id": "hevo_airflow_conn_id"}
    assert hevo.requests == []


@of_both
@pytest.mark.parametrize(
    "event",
    [
        None,
        "success",
        [],
        ["job_ended"],
        7,
        True,
        {},
        {"event": None},
        {"event": "success", "pipeline_id": 7, "job_id": JOB, "status": "COMPLETED"},
        {"status": "success", "pipeline_id": 7},
        {"status": ["success"], "pipeline_id": 7, "job_id": JOB},
        {"status": "COMPLETED", "pipeline_id": 7, "job_id": JOB},
        {**ENDED, "event": ["job_ended"]},
        {**ENDED, "pipeline_id": None},
        {**ENDED, "pipeline_id": "7"},
        {**ENDED, "job_id": None},
        {**ENDED, "job_id": "../x"},
        {name: value for name, value in ENDED.items() if name != "job_id"},
        {name: value for name, value in ENDED.items() if name != "status"},
        {"event": "start", "pipeline_id": 7},
        {"event": "start", "pipeline_id": 7, "run": None},
        {"event": "start", "pipeline_id": 7, "run": {}},
    ],
    ids=str,
)
def test_an_event_that_is_missing_or_not_understood_fails_the_task(
    hevo: Sandbox, ti: TaskInstance, kind: type[HevoPipelineOperator | HevoSensor], event: Any
) -> None:
    with fails(HevoRunError, says="not known"):
        kind(task_id="task", pipeline_id=7).execute_complete(ti.context, event)

    assert hevo.requests == []


@of_both
def test_no_event_at_all_fails_the_task(ti: TaskInstance, kind: type[HevoPipelineOperator | HevoSensor]) -> None:
    with fails(HevoRunError, says="The trigger sent no event"):
        kind(task_id="task", pipeline_id=7).execute_complete(ti.context)


@of_both
@pytest.mark.parametrize("status", ["IN_PROGRESS", "FAILED", "CANCELLED", "SOMETHING_NEW", None])
def test_an_end_in_any_other_status_than_completed_fails_the_task(
    hevo: Sandbox, ti: TaskInstance, kind: type[HevoPipelineOperator | HevoSensor], status: str | None
) -> None:
    with fails(HevoJobFailedError, says=f"job {JOB} .* {status}"):
        kind(task_id="task", pipeline_id=7).execute_complete(ti.context, {**ENDED, "status": status})


@of_both
@pytest.mark.parametrize(
    ("error", "raised"),
    [
        ("HevoJobNotFoundError", HevoJobNotFoundError),
        ("HevoJobStalledError", HevoJobStalledError),
        ("HevoOutageError", HevoOutageError),
        ("HevoAuthError", AirflowFailException),
        ("HevoConfigError", AirflowFailException),
        ("AnErrorOfALaterVersion", HevoRunError),
        (None, HevoRunError),
    ],
)
def test_a_wait_that_failed_fails_the_task_in_its_words(
    ti: TaskInstance, kind: type[HevoPipelineOperator | HevoSensor], error: str | None, raised: type[Exception]
) -> None:
    event = {"event": "failed", "pipeline_id": 7, "job_id": JOB, "error": error, "message": "It broke, and how."}

    with fails(raised, says=r"It broke, and how\.") as failure:
        kind(task_id="task", pipeline_id=7).execute_complete(ti.context, event)

    assert type(failure.value) is raised


def test_a_sensor_that_starts_nothing_takes_no_order_to_start(hevo: Sandbox, ti: TaskInstance) -> None:
    order = {"event": "start", "pipeline_id": 7, "job_id": None, "run": {"pipeline_id": 7, "action": "SYNC_NOW"}}

    with pytest.raises(HevoRunError):
        HevoSensor(task_id="task", pipeline_id=7).execute_complete(ti.context, order)

    assert hevo.requests == []


def test_a_job_that_was_only_found_is_no_success_for_a_task_that_now_waits_for_its_end(
    hevo: Sandbox, ti: TaskInstance
) -> None:
    """The DAG was changed while the task was deferred."""
    pipeline = hevo.add_pipeline(7, ends="FAILED")
    before, after = (
        HevoPipelineOperator(task_id="task", pipeline_id=7, wait_for_completion=wait) for wait in (False, True)
    )
    left_behind = work(lambda: before.execute(ti.context))
    event = run_in_triggerer(event_of(left_behind.trigger()))
    assert event["event"] == "job_found"

    again = work(lambda: after.execute_complete(ti.context, event))

    assert isinstance(again, Deferral)
    with fails(HevoJobFailedError, says=pipeline.jobs[0].id):
        play(after, ti, again)


def test_what_a_task_needs_to_go_on_with_travels_in_the_event(hevo: Sandbox, ti: TaskInstance) -> None:
    """A call of unknown fate that was not applied: the worker that sends it again knows nothing but the event."""
    pipeline = hevo.add_pipeline(7)
    hevo.inject("sync_now", Fault.reset())
    left_behind = work(lambda: HevoPipelineOperator(task_id="task", pipeline_id=7).execute(ti.context))
    event = run_in_triggerer(event_of(left_behind.trigger()))
    ti.store = None

    task = HevoPipelineOperator(task_id="task", pipeline_id=7)
    job_id = play(task, ti, work(lambda: task.execute_complete(ti.context, event)))

    assert [job.id for job in pipeline.jobs] == [job_id]
    assert len(hevo.requests_of("sync_now")) == 2


@pytest.mark.parametrize("event", [None, {**ENDED, "status": "FAILED"}])
def test_neither_is_a_skip_for_a_sensor_that_fails_softly(hevo: Sandbox, ti: TaskInstance, event: Any) -> None:
    with pytest.raises(HevoRunError):
        HevoSensor(task_id="task", pipeline_id=7, soft_fail=True).execute_complete(ti.context, event)


@pytest.mark.parametrize("event", [None, {**ENDED, "status": "FAILED"}])
def test_either_is_a_skip_for_a_sensor_that_never_fails(hevo: Sandbox, ti: TaskInstance, event: Any) -> None:
    with pytest.raises(AirflowSkipException):
        HevoSensor(task_id="task", pipeline_id=7, never_fail=True).execute_complete(ti.context, event)
