"""Tasks, workers and triggerers are killed, stalled and cleared in a real Airflow; Hevo's jobs show what came of it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version

import pytest
from packaging.version import Version

from hevo_provider.sandbox import Sandbox
from hevo_provider.sandbox.jobs import SandboxJob
from hevo_provider.sandbox.pipelines import SandboxPipeline
from tests.e2e.airflow_api import AirflowApi, wait_for
from tests.e2e.airflow_lab import AirflowLab
from tests.e2e.conftest import PipelineMaker

pytestmark = pytest.mark.e2e

LONG = 600.0  # seconds: no job ends by itself before its test has acted
REMEMBERS = Version(version("apache-airflow")) >= Version("3.3")


# Started together, because each needs Airflow to take its time before there is something to act on.
TOGETHER = {
    "marked-failed": "deferred",
    "marked-success": "deferred",
    "run-failed": "deferred",
    "cleared": "deferred",
    "limited": "limited",
    **({"lost-blocking": "blocking", "lost-before-deferring": "dies_before_deferring"} if REMEMBERS else {}),
}
Pipelines = Mapping[str, SandboxPipeline]


def job_of(pipeline: SandboxPipeline) -> SandboxJob:
    """Wait until the pipeline's first job shows."""
    return wait_for("the job shows", lambda: next((job for job in pipeline.jobs if job.visible), None))


def start(airflow: AirflowApi, dag_id: str, run_id: str, pipeline: SandboxPipeline) -> SandboxJob:
    """Start a run, and wait until its job shows."""
    airflow.trigger(dag_id, run_id, {"task": pipeline.id})
    return job_of(pipeline)


def polled(hevo: Sandbox, job: SandboxJob, times: int = 1) -> None:
    """Wait until the job has been polled so many times from now on: somebody waits for it."""
    polls = count(hevo, job)
    wait_for("the job is polled", lambda: count(hevo, job) >= polls + times)


def count(hevo: Sandbox, job: SandboxJob) -> int:
    return sum(request.job_id == job.id for request in hevo.requests_of("get_job"))


@pytest.fixture(scope="module")
def pipelines(airflow: AirflowApi, lab: AirflowLab, hevo: Sandbox, new_pipeline: PipelineMaker) -> Pipelines:
    """Start what is acted on one by one, and lose the worker of the task that blocks one."""
    pipelines = {run_id: new_pipeline(duration=LONG) for run_id in TOGETHER}
    for run_id, dag_id in TOGETHER.items():
        airflow.trigger(dag_id, run_id, {"task": pipelines[run_id].id})
    if REMEMBERS:
        polled(hevo, job_of(pipelines["lost-blocking"]))
        lab.task_process("blocking", "lost-blocking", "task").kill()
    return pipelines


ACTIONS: dict[str, Callable[[AirflowApi, str], None]] = {
    "marked-failed": lambda airflow, run_id: airflow.mark("deferred", run_id, "task", "failed"),
    "marked-success": lambda airflow, run_id: airflow.mark("deferred", run_id, "task", "success"),
    "run-failed": lambda airflow, run_id: airflow.mark_run("deferred", run_id, "failed"),
}


@pytest.mark.parametrize("action", ACTIONS)
def test_a_user_ends_a_deferred_task_and_its_job_is_cancelled(
    airflow: AirflowApi, hevo: Sandbox, pipelines: Pipelines, action: str
) -> None:
    job = job_of(pipelines[action])
    polled(hevo, job)

    ACTIONS[action](airflow, action)

    wait_for("the job is cancelled", lambda: job.cancel_requests, timeout=30)
    assert len(pipelines[action].jobs) == 1


def test_cleared_while_deferred_the_old_job_is_cancelled_and_the_new_try_starts_its_own(
    airflow: AirflowApi, hevo: Sandbox, pipelines: Pipelines
) -> None:
    pipeline = pipelines["cleared"]
    job = job_of(pipeline)
    polled(hevo, job)
    pipeline.duration = 3.0

    airflow.clear("deferred", "cleared", "task")

    wait_for("the old job is cancelled", lambda: job.cancel_requests, timeout=30)
    assert airflow.wait_task("deferred", "cleared", "task", ("success", "failed")) == "success"
    assert [job.status for job in pipeline.jobs] == ["CANCELLED", "COMPLETED"]
    assert airflow.xcom("deferred", "cleared", "task") == pipeline.jobs[-1].id


def test_a_deferred_task_whose_execution_timeout_passes_fails_and_its_job_is_cancelled(
    airflow: AirflowApi, pipelines: Pipelines
) -> None:
    assert airflow.wait_task("limited", "limited", "task", ("success", "failed"), timeout=60) == "failed"

    (job,) = pipelines["limited"].jobs
    assert job.cancel_requests == 1
    assert job.id in airflow.log("limited", "limited", "task")


@pytest.mark.parametrize("dag_id", ["out_of_time_deferred", "out_of_time_blocking"])
def test_a_retry_after_a_time_out_waits_for_its_cancelled_job_to_end_and_starts_then(
    airflow: AirflowApi, new_pipeline: PipelineMaker, dag_id: str
) -> None:
    pipeline = new_pipeline(duration=LONG)
    job = start(airflow, dag_id, "retried", pipeline)
    job.cancelling_for = 10.0
    pipeline.duration = 1.0

    assert airflow.wait_task(dag_id, "retried", "task", ("success", "failed"), timeout=180) == "success"

    first, second = pipeline.jobs
    assert (first.status, second.status) == ("CANCELLED", "COMPLETED")
    assert first.ended_at is not None
    assert second.created_at >= first.ended_at


def test_a_template_that_cannot_be_rendered_when_the_task_comes_back_loses_nothing(
    airflow: AirflowApi, hevo: Sandbox, new_pipeline: PipelineMaker
) -> None:
    pipeline = new_pipeline(duration=LONG)
    airflow.call("POST", "/variables", {"key": "pipeline", "value": str(pipeline.id)})
    airflow.trigger("by_variable", "renamed")
    job = job_of(pipeline)
    polled(hevo, job)

    airflow.call("DELETE", "/variables/pipeline")
    job.end()

    assert airflow.wait_task("by_variable", "renamed", "task", ("success", "failed")) == "success"
    assert airflow.xcom("by_variable", "renamed", "task") == job.id
    assert airflow.xcom("by_variable", "renamed", "task", "hevo_job")["pipeline_id"] == pipeline.id


def test_what_a_task_is_mapped_over_is_edited_while_it_waits_and_each_tells_of_the_job_that_it_has_started(
    airflow: AirflowApi, lab: AirflowLab, hevo: Sandbox, new_pipeline: PipelineMaker
) -> None:
    inserted, *pipelines = (new_pipeline(duration=LONG) for _ in range(3))
    mapped_over = lab.home / "mapped_over.json"
    mapped_over.write_text(json.dumps([each.id for each in pipelines]), encoding="utf-8")
    airflow.trigger("mapped_by_file", "edited")
    jobs = [job_of(each) for each in pipelines]
    for job in jobs:
        polled(hevo, job)

    mapped_over.write_text(json.dumps([inserted.id, *(each.id for each in pipelines)]), encoding="utf-8")
    for job in jobs:
        job.end()

    for index, (pipeline, job) in enumerate(zip(pipelines, jobs, strict=True)):
        task = ("mapped_by_file", "edited", "task")
        assert airflow.wait_task(*task, ("success", "failed"), map_index=index) == "success"
        assert airflow.xcom(*task, map_index=index) == job.id
        facts = airflow.xcom(*task, "hevo_job", map_index=index)
        assert (facts["pipeline_id"], facts["job_id"]) == (pipeline.id, job.id)
    assert inserted.jobs == []


def test_sigterm_to_a_blocking_task_cancels_its_job(
    airflow: AirflowApi, lab: AirflowLab, hevo: Sandbox, new_pipeline: PipelineMaker
) -> None:
    job = start(airflow, "blocking", "terminated", new_pipeline(duration=LONG))
    polled(hevo, job)

    lab.task_process("blocking", "terminated", "task").terminate()

    wait_for("the job is cancelled", lambda: job.cancel_requests, timeout=30)


if REMEMBERS:

    @pytest.mark.parametrize("run_id", ["lost-blocking", "lost-before-deferring"])
    def test_the_retry_of_a_lost_worker_follows_its_job(
        airflow: AirflowApi, hevo: Sandbox, pipelines: Pipelines, run_id: str
    ) -> None:
        dag_id, pipeline = TOGETHER[run_id], pipelines[run_id]
        wait_for("the second try", lambda: airflow.task(dag_id, run_id, "task")["try_number"] == 2, timeout=120)
        polled(hevo, job_of(pipeline), times=2)

        pipeline.jobs[0].end()

        assert airflow.wait_task(dag_id, run_id, "task", ("success", "failed")) == "success"
        assert [job.id for job in pipeline.jobs] == [airflow.xcom(dag_id, run_id, "task")]

else:

    def test_an_airflow_that_cannot_remember_says_so_in_one_line(airflow: AirflowApi, pipelines: Pipelines) -> None:
        job_of(pipelines["limited"])

        assert airflow.log("limited", "limited", "task").count("cannot remember") == 1


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
