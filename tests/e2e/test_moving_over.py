"""The vendor's package is replaced while its tasks are deferred, and while events of its triggers are on their way."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest

from hevo_provider.sandbox import Sandbox, SandboxPipeline
from hevo_provider.sandbox.jobs import SandboxJob
from tests.e2e.airflow_api import AirflowApi, wait_for
from tests.e2e.airflow_lab import AirflowLab
from tests.e2e.conftest import PipelineMaker

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]
DAG, RUN = "moved", "run"
NEWEST, OLDEST = "airflow.hevo.trigger.HevoTrigger", "airflow.hevo.triggers.HevoTrigger"
TASKS = ("newest", "oldest", "sensor", "moved", "fired_success", "fired_error", "fired_with_failures", "killed")
Jobs = Mapping[str, SandboxJob]


def row_of(task_id: str, job: SandboxJob) -> dict[str, Any]:
    """Return what the vendor's package has stored for a task."""
    is_oldest = task_id == "oldest"
    row: dict[str, Any] = {
        "classpath": OLDEST if is_oldest else NEWEST,
        "kwargs": {
            "pipeline_id": job.pipeline.id,
            "connection_id": None if is_oldest else "hevo_http",
            "job_id": job.id,
            "job_type": "INCREMENTAL",
            "poke_interval": 1,
            "accept_completed_with_failures": False,
        },
    }
    if task_id.startswith("fired"):
        status = "error" if task_id == "fired_error" else "success"
        event = {"status": status, "message": "It ended.", "pipeline_id": job.pipeline.id, "job_id": job.id}
        row["event"] = {**event, "completed_with_failures": True} if task_id == "fired_with_failures" else event
    return row


@pytest.fixture(scope="module")
def jobs(airflow: AirflowApi, lab: AirflowLab, hevo: Sandbox, new_pipeline: PipelineMaker) -> Jobs:
    """Defer tasks, put the vendor's rows in the place of ours, and start a triggerer that has only our package."""
    airflow.add_connection("hevo_http", conn_type="http", host=hevo.url, login=hevo.key, password=hevo.secret)
    lab.terminate("triggerer")
    pipelines = {task_id: new_pipeline(appear_after=0.0, duration=None) for task_id in TASKS}
    pipelines["sensor"].start_job(appear_after=0.0, duration=600.0)

    airflow.trigger(DAG, RUN, {task_id: pipeline.id for task_id, pipeline in pipelines.items()})
    for task_id in TASKS:
        airflow.wait_task(DAG, RUN, task_id, ("deferred",))
    jobs = {task_id: pipeline.jobs[0] for task_id, pipeline in pipelines.items()}
    jobs["fired_success"].end()
    jobs["fired_with_failures"].end("COMPLETED_WITH_FAILURES")
    store(lab, {task_id: row_of(task_id, job) for task_id, job in jobs.items()})

    lab.start("triggerer")
    for task_id in ("newest", "oldest", "sensor", "moved", "killed", "fired_error"):
        wait_for(f"{task_id} is waited for", lambda job=jobs[task_id]: polled(hevo, job))  # type: ignore[misc]
    return jobs


def store(lab: AirflowLab, rows: dict[str, Any]) -> None:
    told = json.dumps({"dag_id": DAG, "run_id": RUN, "rows": rows})
    command = [sys.executable, "-m", "tests.e2e.vendor_rows"]

    def done() -> bool:  # SQLite may be locked by another part of Airflow: then nothing was changed
        process = subprocess.run(
            command, env=lab.environment, cwd=ROOT, input=told, text=True, capture_output=True, check=False
        )
        assert process.returncode == 0 or "database is locked" in process.stderr, process.stderr
        return process.returncode == 0

    wait_for("the rows are stored", done, every=1)


def polled(hevo: Sandbox, job: SandboxJob) -> bool:
    return any(request.job_id == job.id for request in hevo.requests_of("get_job"))


@pytest.mark.parametrize("task_id", ["newest", "oldest", "sensor", "moved", "fired_error"])
def test_the_wait_goes_on_and_the_task_succeeds_with_its_own_job(airflow: AirflowApi, jobs: Jobs, task_id: str) -> None:
    assert airflow.task(DAG, RUN, task_id)["state"] == "deferred"

    jobs[task_id].end()

    assert airflow.wait_task(DAG, RUN, task_id, ("success", "failed")) == "success"
    assert airflow.xcom(DAG, RUN, task_id) == jobs[task_id].id
    assert len(cast(SandboxPipeline, jobs[task_id].pipeline).jobs) == 1


def test_a_success_that_had_fired_is_one(airflow: AirflowApi, jobs: Jobs) -> None:
    assert airflow.wait_task(DAG, RUN, "fired_success", ("success", "failed")) == "success"
    assert airflow.xcom(DAG, RUN, "fired_success") == jobs["fired_success"].id


def test_failures_that_the_dag_does_not_accept_fail_in_a_success_that_had_fired(
    airflow: AirflowApi, jobs: Jobs
) -> None:
    assert airflow.wait_task(DAG, RUN, "fired_with_failures", ("success", "failed")) == "failed"
    assert jobs["fired_with_failures"].id in airflow.log(DAG, RUN, "fired_with_failures")


def test_a_kill_cancels_the_job(airflow: AirflowApi, jobs: Jobs) -> None:
    airflow.mark(DAG, RUN, "killed", "failed")

    wait_for("the job is cancelled", lambda: jobs["killed"].cancel_requests, timeout=30)
