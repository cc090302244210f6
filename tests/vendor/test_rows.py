"""
What the vendor's package has left in a database in the minute of the move: trigger rows, and events that have fired.

The wait goes on, the task ends by its own job's end, and from then on it is a task of ours.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import pytest

from hevo_provider import operators, sensors
from hevo_provider.exceptions import HevoJobFailedError, HevoRunError
from hevo_provider.sandbox import Fault, Sandbox
from hevo_provider.sandbox.jobs import SandboxJob
from hevo_provider.sandbox.pipelines import SandboxPipeline
from hevo_provider.triggers import HevoJobTrigger
from hevo_provider.vendor import operators as vendors
from hevo_provider.vendor import sensors as vendors_sensors
from tests.stage.failures import fails
from tests.stage.tasks import Deferral, TaskInstance, event_of, play, run_in_triggerer, work

ROWS: dict[str, tuple[str, dict[str, Any]]] = {
    "1.0.0": ("airflow.hevo.trigger.HevoTrigger", {"connection_id": "hevo_airflow_conn_id"}),
    "oldest": ("airflow.hevo.triggers.HevoTrigger", {"connection_id": None}),
}
# A DAG that was moved in the same minute, or not yet.
TASKS: list[type[Any]] = [
    vendors.HevoPipelineOperator,
    operators.HevoPipelineOperator,
    vendors_sensors.HevoSensor,
    sensors.HevoSensor,
]
Task = type[Any]

of_each_version = pytest.mark.parametrize("version", ROWS)
of_each_task = pytest.mark.parametrize("kind", TASKS, ids=lambda kind: f"{kind.__module__}.{kind.__name__}")
pytestmark = pytest.mark.filterwarnings("ignore:airflow.hevo.*is deprecated")


@pytest.fixture
def pipeline(hevo: Sandbox) -> SandboxPipeline:
    return hevo.add_pipeline(7)


@pytest.fixture
def job(pipeline: SandboxPipeline) -> SandboxJob:
    """The job that the vendor's task has started, and another's that is newer."""
    job = pipeline.start_job(started_by="api", appear_after=0.0, duration=100.0, ago=20.0)
    pipeline.start_job(appear_after=0.0, duration=1.0)
    return job


def trigger_of(version: str, job: SandboxJob | None, **changed: Any) -> HevoJobTrigger:
    """Make the trigger from its row, as a triggerer does."""
    path, connection = ROWS[version]
    kwargs = {
        "pipeline_id": 7,
        **connection,
        "job_id": None if job is None else job.id,
        "job_type": "INCREMENTAL",
        "poke_interval": 15,
        "accept_completed_with_failures": False,
        **changed,
    }
    module, _, name = path.rpartition(".")
    trigger: HevoJobTrigger = getattr(import_module(module), name)(**json.loads(json.dumps(kwargs)))
    return trigger


def take_to_its_end(task: Any, ti: TaskInstance, event: Any) -> Any:
    """Wake the task with an event: what it returns in the end."""
    result = work(lambda: task.execute_complete(ti.context, event))
    return play(task, ti, result) if isinstance(result, Deferral) else result


def fired(status: str, job: SandboxJob, **more: Any) -> dict[str, Any]:
    """Make an event as the vendor's trigger sent them."""
    return {"status": status, "message": f"Job {job.id}", "pipeline_id": 7, "job_id": job.id, **more}


# Rows


@of_each_task
@of_each_version
def test_the_wait_goes_on_and_the_task_ends_by_its_own_jobs_end(
    hevo: Sandbox, ti: TaskInstance, job: SandboxJob, version: str, kind: Task
) -> None:
    event = run_in_triggerer(event_of(trigger_of(version, job)))

    assert take_to_its_end(kind(task_id="task", pipeline_id=7), ti, event) == job.id
    assert hevo.clock() >= job.created_at + 100
    assert hevo.requests_of("sync_now") == []


@of_each_task
@of_each_version
def test_a_job_that_fails_fails_the_task(
    hevo: Sandbox, ti: TaskInstance, job: SandboxJob, version: str, kind: Task
) -> None:
    job.ends = "FAILED"
    event = run_in_triggerer(event_of(trigger_of(version, job)))

    with fails(HevoJobFailedError, says=job.id):
        take_to_its_end(kind(task_id="task", pipeline_id=7), ti, event)


@of_each_version
@pytest.mark.parametrize("accepts", [True, False])
def test_failures_count_as_success_only_where_the_row_says_so(
    hevo: Sandbox, ti: TaskInstance, job: SandboxJob, version: str, accepts: bool
) -> None:
    job.ends = "COMPLETED_WITH_FAILURES"
    event = run_in_triggerer(event_of(trigger_of(version, job, accept_completed_with_failures=accepts)))
    task = vendors.HevoPipelineOperator(task_id="task", pipeline_id=7, accept_completed_with_failures=accepts)

    if accepts:
        assert take_to_its_end(task, ti, event) == job.id
    else:
        with pytest.raises(HevoJobFailedError):
            take_to_its_end(task, ti, event)


@of_each_version
def test_the_wait_survives_an_outage_that_ended_theirs(
    hevo: Sandbox, ti: TaskInstance, job: SandboxJob, version: str
) -> None:
    hevo.inject("get_job", Fault.reset(), Fault.status(502), Fault.status(500))

    event = run_in_triggerer(event_of(trigger_of(version, job)))

    assert take_to_its_end(vendors.HevoPipelineOperator(task_id="task", pipeline_id=7), ti, event) == job.id


def test_a_key_that_is_refused_for_a_moment_is_outlived(hevo: Sandbox, ti: TaskInstance, job: SandboxJob) -> None:
    """Hevo has answered the vendor's task already: it is a key that is rotated, and not a wrong one."""
    hevo.inject("get_job", Fault.status(401), Fault.status(401))

    event = run_in_triggerer(event_of(trigger_of("1.0.0", job)))

    assert take_to_its_end(vendors.HevoPipelineOperator(task_id="task", pipeline_id=7), ti, event) == job.id


@of_each_version
def test_a_trigger_is_stored_as_ours_from_then_on(job: SandboxJob, version: str) -> None:
    path, kwargs = trigger_of(version, job).serialize()

    assert path == "hevo_provider.triggers.HevoJobTrigger"
    assert HevoJobTrigger(**kwargs).ordered == trigger_of(version, job).ordered


@pytest.mark.parametrize(
    ("job_type", "action"),
    [
        ("INCREMENTAL", "SYNC_NOW"),
        ("HISTORICAL", "SYNC_NOW"),
        ("RESYNC", "RESYNC"),
        ("TRUNCATE_AND_LOAD", "RESYNC"),
        ("RESYNC_WITH_DROP_AND_LOAD", "RESYNC"),
    ],
)
async def test_a_kill_cancels_the_job_whatever_its_type(
    hevo: Sandbox, job: SandboxJob, monkeypatch: pytest.MonkeyPatch, job_type: str, action: str
) -> None:
    is_killed(monkeypatch)
    trigger = trigger_of("1.0.0", job, job_type=job_type)

    await trigger.on_kill()

    assert job.cancel_requests == 1
    assert trigger.ordered.order.action == action


@pytest.mark.parametrize("operator", ["HevoSensor", "HevoPipelineOperator"])
async def test_a_kill_cancels_no_job_where_airflow_tells_that_the_task_is_a_sensor(
    hevo: Sandbox, job: SandboxJob, monkeypatch: pytest.MonkeyPatch, operator: str
) -> None:
    """Airflow 2 does; on 3 a trigger is not told what kind of task it is for."""
    is_killed(monkeypatch)
    trigger = trigger_of("1.0.0", job)
    trigger.task_instance = SimpleNamespace(operator=operator, task_id="task", dag_id="dag", run_id="run")  # type: ignore[assignment]

    await trigger.on_kill()

    assert job.cancel_requests == (0 if operator == "HevoSensor" else 1)


async def test_without_a_kill_nothing_is_cancelled(
    hevo: Sandbox, job: SandboxJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_killed(monkeypatch, killed=False)

    await trigger_of("1.0.0", job).on_kill()

    assert job.cancel_requests == 0


def test_a_row_without_a_job_finds_the_active_one_which_is_nobodys_to_cancel(
    hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline
) -> None:
    job = pipeline.start_job(appear_after=0.0, duration=100.0)
    trigger = trigger_of("1.0.0", None)

    event = run_in_triggerer(event_of(trigger))

    assert take_to_its_end(vendors.HevoPipelineOperator(task_id="task", pipeline_id=7), ti, event) == job.id
    assert not trigger.ordered.is_ours


@pytest.mark.parametrize(
    "changed",
    [
        {"poke_interval": 0},
        {"poke_interval": None},
        {"poke_interval": "soon"},
        {"job_type": None},
        {"job_type": "A_NEW_ONE"},
        {"pipeline_id": "7"},
        {"something": "of a version that nobody remembers"},
    ],
    ids=str,
)
def test_a_row_that_says_something_else_is_waited_for_too(
    hevo: Sandbox, ti: TaskInstance, job: SandboxJob, changed: dict[str, Any]
) -> None:
    trigger = trigger_of("1.0.0", job, **changed)
    assert trigger.ordered.order.poll_interval >= 1.0

    event = run_in_triggerer(event_of(trigger))

    assert take_to_its_end(vendors.HevoPipelineOperator(task_id="task", pipeline_id=7), ti, event) == job.id


def test_a_row_that_makes_no_sense_fails_its_task_and_not_the_triggerer(hevo: Sandbox, ti: TaskInstance) -> None:
    """Airflow 3's triggerer ends with whatever a trigger's constructor raises, but a TypeError."""
    trigger = trigger_of("1.0.0", None, pipeline_id="seven", job_id="../x")

    event = run_in_triggerer(event_of(trigger))

    with fails(Exception, says="pipeline_id must be a positive whole number"):
        take_to_its_end(vendors.HevoPipelineOperator(task_id="task", pipeline_id=7), ti, event)


# Events that have fired


@of_each_task
def test_a_success_that_has_fired_is_one_if_the_job_has_completed(
    hevo: Sandbox, ti: TaskInstance, job: SandboxJob, kind: Task
) -> None:
    job.end()

    assert take_to_its_end(kind(task_id="task", pipeline_id=7), ti, fired("success", job)) == job.id
    assert ti.xcoms["hevo_job"]["status"] == "COMPLETED"
    assert [request.route for request in hevo.requests] == ["get_job"]


@of_each_task
@pytest.mark.parametrize("more", [{"completed_with_failures": True}, {}], ids=str)
def test_failures_that_the_dag_does_not_accept_fail_also_in_a_success_that_has_fired(
    hevo: Sandbox, ti: TaskInstance, job: SandboxJob, kind: Task, more: dict[str, Any]
) -> None:
    job.end("COMPLETED_WITH_FAILURES")

    with fails(HevoJobFailedError, says="COMPLETED_WITH_FAILURES"):
        take_to_its_end(kind(task_id="task", pipeline_id=7), ti, fired("success", job, **more))


@of_each_task
def test_failures_that_the_dag_accepts_are_a_success(
    hevo: Sandbox, ti: TaskInstance, job: SandboxJob, kind: Task
) -> None:
    job.end("COMPLETED_WITH_FAILURES")
    task = kind(task_id="task", pipeline_id=7, accept_completed_with_failures=True)

    assert take_to_its_end(task, ti, fired("success", job, completed_with_failures=True)) == job.id


@of_each_task
def test_an_error_that_has_fired_is_a_failure_if_the_job_has_failed(
    hevo: Sandbox, ti: TaskInstance, job: SandboxJob, kind: Task
) -> None:
    job.end("FAILED")

    with fails(HevoJobFailedError, says=job.id):
        take_to_its_end(kind(task_id="task", pipeline_id=7), ti, fired("error", job))


@of_each_task
@pytest.mark.parametrize("ends", [lambda job: job.end(), lambda _: None], ids=["completed", "runs on"])
def test_an_error_of_their_trigger_is_no_failure_while_the_job_does_well(
    hevo: Sandbox, ti: TaskInstance, job: SandboxJob, kind: Task, ends: Callable[[SandboxJob], None]
) -> None:
    ends(job)

    assert take_to_its_end(kind(task_id="task", pipeline_id=7), ti, fired("error", job)) == job.id


@of_each_task
@pytest.mark.parametrize("status", ["success", "error"])
@pytest.mark.parametrize("job_id", [None, "", "../x", 7.5], ids=str)
def test_an_event_that_names_no_job_fails_the_task_in_its_words(
    hevo: Sandbox, ti: TaskInstance, kind: Task, status: str, job_id: Any
) -> None:
    event = {"status": status, "message": "It broke, and how.", "pipeline_id": 7, "job_id": job_id}

    with fails(HevoRunError, says=r"It broke, and how\."):
        kind(task_id="task", pipeline_id=7).execute_complete(ti.context, event)

    assert hevo.requests == []


def test_from_then_on_an_operators_job_is_its_own_to_cancel_and_a_sensors_is_not(
    hevo: Sandbox, ti: TaskInstance, job: SandboxJob
) -> None:
    def deferred(task: Any) -> HevoJobTrigger:
        left_behind = work(lambda: task.execute_complete(ti.context, fired("error", job)))
        assert isinstance(left_behind, Deferral)
        trigger: HevoJobTrigger = left_behind.trigger()
        return trigger

    operator = deferred(operators.HevoPipelineOperator(task_id="task", pipeline_id=7))
    sensor = deferred(sensors.HevoSensor(task_id="task", pipeline_id=7))

    assert operator.ordered.is_ours
    assert operator.ordered.order.action == "SYNC_NOW"
    assert not sensor.ordered.order.cancel_on_kill


def is_killed(monkeypatch: pytest.MonkeyPatch, *, killed: bool = True) -> None:
    """Let Airflow say what became of the task: that is Airflow's to know."""

    async def is_still_waited_for(*_: object, **__: object) -> bool:
        return not killed

    monkeypatch.setattr("hevo_provider.triggers.is_still_waited_for", is_still_waited_for)
