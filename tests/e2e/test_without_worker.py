"""Sensors start in the triggerer and end there, on a real Airflow 3.3; what cannot do that ends well all the same."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from hevo_provider.sandbox import Sandbox
from tests.e2e.airflow_api import AirflowApi
from tests.e2e.airflow_lab import AirflowLab
from tests.e2e.dags.hevo_without_worker import MANY, PIPELINE, STARTS_THERE

pytestmark = pytest.mark.e2e

WITHOUT, WITH = "sensors_without_worker", "sensors_that_need_a_worker"


def logs_of_workers(lab: AirflowLab, dag_id: str) -> set[str]:
    """Return the tasks for which a process of a worker has been started: each writes a log."""
    logs = (lab.home / "logs" / f"dag_id={dag_id}").rglob("attempt=*.log")
    return {path.parent.name.removeprefix("task_id=") for path in logs if path.name.count(".") == 1}


def test_sensors_end_with_their_job_and_those_that_can_do_without_have_no_worker(
    airflow: AirflowApi, lab: AirflowLab, hevo: Sandbox
) -> None:
    pipeline = hevo.add_pipeline(PIPELINE, appear_after=0.0, parallel_jobs=True)
    since = datetime.now(UTC).isoformat()

    airflow.trigger(WITHOUT, "run", {"since": since})
    airflow.wait_task(WITHOUT, "run", f"finds_{MANY - 1}", ("deferred",))
    job = pipeline.start_job(duration=20.0)

    assert airflow.wait_run(WITHOUT, "run") == "success"
    for task_id in (*(f"finds_{number}" for number in range(MANY)), "completed", "in_conf"):
        assert airflow.xcom(WITHOUT, "run", task_id) == job.id
        assert airflow.xcom(WITHOUT, "run", task_id, "hevo_job")["status"] == "COMPLETED"
        link = airflow.call("GET", f"/dags/{WITHOUT}/dagRuns/run/taskInstances/{task_id}/links")
        page = {"Hevo pipeline": f"{hevo.url}/pipeline/{PIPELINE}/overview"}
        assert link.get("extra_links", link) == page
    if STARTS_THERE:
        assert logs_of_workers(lab, WITHOUT) == set()
        assert airflow.xcom(WITHOUT, "run", "completed", "hevo_job")["worker_seconds"] == 0
    else:
        assert len(logs_of_workers(lab, WITHOUT)) == MANY + 2


def test_sensors_that_need_a_worker_end_as_they_would_without(
    airflow: AirflowApi, lab: AirflowLab, hevo: Sandbox
) -> None:
    pipeline = hevo.pipelines[PIPELINE]
    since = datetime.now(UTC).isoformat()
    bad = pipeline.start_job("HISTORICAL", duration=30.0, ends="FAILED")
    job = pipeline.start_job(duration=45.0)

    airflow.trigger(WITH, "run", {"since": since, "pipeline": PIPELINE})

    assert airflow.wait_run(WITH, "run") == "failed"
    states = {f"{task['task_id']}": task["state"] for task in airflow.tasks(WITH, "run")}
    assert states == {
        "templated": "success",
        "of_another_task": "success",
        "mapped": "success",
        "fails": "failed",
        "times_out": "failed",
        "no_time": "failed",
    }
    for task_id in ("templated", "of_another_task"):
        assert airflow.xcom(WITH, "run", task_id) == job.id
    assert f"job {bad.id} (HISTORICAL) ended FAILED" in airflow.log(WITH, "run", "fails")
    assert "no job of type INCREMENTAL had completed since 2100-01-01" in airflow.log(WITH, "run", "times_out")
