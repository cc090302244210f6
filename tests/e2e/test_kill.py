"""Tasks, workers and triggerers are killed, stalled and cleared in a real Airflow; Hevo's jobs show what came of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib.metadata import version

import pytest
from packaging.version import Version

from hevo_provider.sandbox import Sandbox
from hevo_provider.sandbox.jobs import SandboxJob
from hevo_provider.sandbox.state import SandboxPipeline
from tests.e2e.airflow_api import AirflowApi, wait_for
from tests.e2e.airflow_lab import AirflowLab
from tests.e2e.conftest import PipelineMaker

pytestmark = pytest.mark.e2e

LONG = 120.0  # seconds: no job ends by itself before its test has acted
REMEMBERS = Version(version("apache-airflow")) >= Version("3.3")


def start(
    airflow: AirflowApi, dag_id: str, run_id: str, pipeline: SandboxPipeline, state: str = "deferred"
) -> SandboxJob:
    """Start a run, and wait until its task is in ``state`` and its job shows."""
    airflow.trigger(dag_id, run_id, {"task": pipeline.id})
    airflow.wait_task(dag_id, run_id, "task", (state,))
    return wait_for("the job shows", lambda: next((job for job in pipeline.jobs if job.visible), None))


def polled(hevo: Sandbox, job: SandboxJob, times: int = 1) -> None:
    """Wait until the job has been looked at so many times from now on: somebody waits for it."""
    looks = count(hevo, job)
    wait_for("the job is polled", lambda: count(hevo, job) >= looks + times)


def count(hevo: Sandbox, job: SandboxJob) -> int:
    return sum(request.job_id == job.id for request in hevo.requests_of("get_job"))


ACTIONS: dict[str, Callable[[AirflowApi, str], None]] = {
    "marked-failed": lambda airflow, run_id: airflow.mark("deferred", run_id, "task", "failed"),
    "marked-success": lambda airflow, run_id: airflow.mark("deferred", run_id, "task", "success"),
    "run-failed": lambda airflow, run_id: airflow.mark_run("deferred", run_id, "failed"),
}


@pytest.mark.parametrize("action", ACTIONS)
def test_a_user_ends_a_deferred_task_and_its_job_is_cancelled(
    airflow: AirflowApi, hevo: Sandbox, new_pipeline: PipelineMaker, action: str
) -> None:
    pipeline = new_pipeline(duration=LONG)
    job = start(airflow, "deferred", action, pipeline)
    polled(hevo, job)

    ACTIONS[action](airflow, action)

    wait_for("the job is cancelled", lambda: job.cancel_requests, timeout=30)
    assert len(pipeline.jobs) == 1


def test_cleared_while_deferred_the_old_job_is_cancelled_and_the_new_try_starts_its_own(
    airflow: AirflowApi, hevo: Sandbox, new_pipeline: PipelineMaker
) -> None:
    pipeline = new_pipeline(duration=LONG)
    job = start(airflow, "deferred", "cleared", pipeline)
    polled(hevo, job)
    pipeline.duration = 3.0

    airflow.clear("deferred", "cleared", "task")

    wait_for("the old job is cancelled", lambda: job.cancel_requests, timeout=30)
    if REMEMBERS:  # before 3.3 the new try cannot know that the active job is its own old one
        assert airflow.wait_task("deferred", "cleared", "task", ("success", "failed")) == "success"
        assert [job.status for job in pipeline.jobs] == ["CANCELLED", "COMPLETED"]
        assert airflow.xcom("deferred", "cleared", "task") == pipeline.jobs[-1].id


def test_a_deferred_task_whose_execution_timeout_passes_fails_and_its_job_is_cancelled(
    airflow: AirflowApi, new_pipeline: PipelineMaker
) -> None:
    pipeline = new_pipeline(duration=LONG)
    job = start(airflow, "limited", "run", pipeline)

    assert airflow.wait_task("limited", "run", "task", ("success", "failed"), timeout=60) == "failed"

    assert job.cancel_requests == 1
    assert job.id in airflow.log("limited", "run", "task")


def test_sigterm_to_a_blocking_task_cancels_its_job(
    airflow: AirflowApi, lab: AirflowLab, hevo: Sandbox, new_pipeline: PipelineMaker
) -> None:
    pipeline = new_pipeline(duration=LONG)
    job = start(airflow, "blocking", "terminated", pipeline, "running")
    polled(hevo, job)

    lab.task_process("blocking", "terminated", "task").terminate()

    wait_for("the job is cancelled", lambda: job.cancel_requests, timeout=30)


@pytest.mark.skipif(not REMEMBERS, reason="Airflow remembers a job across a lost worker from 3.3 on")
def test_the_retry_of_a_killed_blocking_worker_follows_its_job(
    airflow: AirflowApi, lab: AirflowLab, hevo: Sandbox, new_pipeline: PipelineMaker
) -> None:
    pipeline = new_pipeline(duration=40.0)
    job = start(airflow, "blocking", "killed", pipeline, "running")
    polled(hevo, job)

    lab.task_process("blocking", "killed", "task").kill()

    assert airflow.wait_task("blocking", "killed", "task", ("success", "failed"), timeout=180) == "success"
    assert [job.id for job in pipeline.jobs] == [airflow.xcom("blocking", "killed", "task")]


@pytest.mark.skipif(not REMEMBERS, reason="Airflow remembers a job across a lost worker from 3.3 on")
def test_the_retry_of_a_worker_killed_between_post_and_defer_follows_its_job(
    airflow: AirflowApi, new_pipeline: PipelineMaker
) -> None:
    pipeline = new_pipeline(duration=20.0)

    airflow.trigger("dies_before_deferring", "run", {"task": pipeline.id})

    assert airflow.wait_task("dies_before_deferring", "run", "task", ("success", "failed"), timeout=180) == "success"
    assert [job.id for job in pipeline.jobs] == [airflow.xcom("dies_before_deferring", "run", "task")]


@pytest.mark.parametrize("end", ["kill", "terminate"])
def test_a_triggerer_that_dies_or_restarts_loses_nothing_and_cancels_nothing(
    airflow: AirflowApi, lab: AirflowLab, hevo: Sandbox, new_pipeline: PipelineMaker, end: str
) -> None:
    pipeline = new_pipeline(duration=LONG)
    job = start(airflow, "deferred", f"triggerer-{end}", pipeline)
    polled(hevo, job)

    getattr(lab, end)("triggerer")
    lab.start("triggerer")

    polled(hevo, job, times=3)
    assert job.cancel_requests == 0
    job.end()
    assert airflow.wait_task("deferred", f"triggerer-{end}", "task", ("success", "failed")) == "success"
    assert len(pipeline.jobs) == 1


def test_a_triggerer_that_stalls_and_wakes_after_its_work_was_taken_over_cancels_nothing(
    airflow: AirflowApi, lab: AirflowLab, hevo: Sandbox, new_pipeline: PipelineMaker
) -> None:
    lab.start("triggerer-2")
    pipeline = new_pipeline(duration=LONG)
    job = start(airflow, "deferred", "stalled", pipeline)
    polled(hevo, job)
    stalled = lab.triggerer_of("deferred", "stalled", "task")

    lab.stall(stalled)
    time.sleep(20)
    polled(hevo, job, times=3)  # by the other one
    lab.wake(stalled)
    time.sleep(8)

    assert job.cancel_requests == 0
    job.end()
    assert airflow.wait_task("deferred", "stalled", "task", ("success", "failed")) == "success"
    assert len(pipeline.jobs) == 1
    lab.terminate("triggerer-2")


def test_keys_are_rotated_while_a_task_is_deferred(
    airflow: AirflowApi, hevo: Sandbox, new_pipeline: PipelineMaker
) -> None:
    pipeline = new_pipeline(duration=LONG)
    job = start(airflow, "deferred", "rotated", pipeline)
    polled(hevo, job)

    airflow.change_connection(
        "hevo_airflow_conn_id", conn_type="hevo", host=hevo.url, login="rotated-key", password="rotated-secret"
    )
    hevo.key, hevo.secret = "rotated-key", "rotated-secret"

    polled(hevo, job, times=3)
    job.end()
    assert airflow.wait_task("deferred", "rotated", "task", ("success", "failed")) == "success"


def test_hevo_is_down_for_a_while(airflow: AirflowApi, hevo: Sandbox, new_pipeline: PipelineMaker) -> None:
    pipeline = new_pipeline(duration=LONG)
    job = start(airflow, "deferred", "outage", pipeline)
    polled(hevo, job)

    hevo.stop()
    time.sleep(5)
    hevo.start()

    polled(hevo, job, times=3)
    job.end()
    assert airflow.wait_task("deferred", "outage", "task", ("success", "failed")) == "success"
    assert len(pipeline.jobs) == 1
