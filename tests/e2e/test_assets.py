"""Jobs that Hevo runs by itself start DAG runs on a real Airflow, each one once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version

import pytest
from packaging.version import Version

from hevo_provider.sandbox import Sandbox
from hevo_provider.sandbox.jobs import SandboxJob
from tests.e2e.airflow_api import AirflowApi, wait_for
from tests.e2e.airflow_lab import AirflowLab
from tests.e2e.dags.hevo_assets import WATCHED

pytestmark = pytest.mark.e2e

AIRFLOW = Version(version("apache-airflow"))


@contextmanager
def watched(airflow: AirflowApi, dag_id: str) -> Iterator[None]:
    """Let a DAG start by events for as long as the block lasts."""
    set_paused(airflow, dag_id, is_paused=False)
    yield
    set_paused(airflow, dag_id, is_paused=True)


def set_paused(airflow: AirflowApi, dag_id: str, *, is_paused: bool) -> None:
    wait_for(f"DAG {dag_id}", lambda: airflow.call("PATCH", f"/dags/{dag_id}", {"is_paused": is_paused}))


def polls(hevo: Sandbox, dag_id: str, times: int = 2) -> Callable[[], bool]:
    """Return a condition: the DAG's pipeline has been polled so often from now on."""

    def count() -> int:
        return sum(request.pipeline_id == WATCHED[dag_id] for request in hevo.requests_of("list_jobs"))

    before = count()
    return lambda: count() >= before + times


def told(airflow: AirflowApi, dag_id: str) -> list[str]:
    """Return the jobs of the events of the DAG's asset, in order."""
    events = airflow.call("GET", "/assets/events?order_by=timestamp&limit=100")["asset_events"]
    payloads = [event["extra"].get("payload", {}) for event in events]
    return [payload["job_id"] for payload in payloads if payload.get("pipeline_id") == WATCHED[dag_id]]


def remembered(airflow: AirflowApi, dag_id: str) -> set[str]:
    """Return the jobs that a triggerer which starts now will not tell again."""
    assets = airflow.call("GET", f"/assets?dag_ids={dag_id}")["assets"]
    stored = [airflow.call("GET", f"/assets/{asset['id']}/state-store")["asset_state_store"] for asset in assets]
    return {job_id for entries in stored for entry in entries for job_id in entry["value"]["told"]}


def started_by(airflow: AirflowApi, dag_id: str) -> list[str]:
    """Return the jobs that the DAG's runs were started by, in order, as the tasks of those that have ended saw them."""
    runs = airflow.call("GET", f"/dags/{dag_id}/dagRuns?order_by=run_after")["dag_runs"]
    ended = [run["dag_run_id"] for run in runs if run["state"] == "success"]
    return [job_id for run_id in ended for job_id in airflow.xcom(dag_id, run_id, "report")]


def end(job: SandboxJob) -> str:
    job.end()
    return job.id


if Version("3") <= AIRFLOW:

    def test_jobs_of_hevos_own_schedule_start_runs(airflow: AirflowApi, hevo: Sandbox) -> None:
        dag_id = "after_schedule"
        every_six_seconds = {"schedule": {"sync_type": "SCHEDULED", "frequency_minutes": 0.1}}
        pipeline = hevo.add_pipeline(WATCHED[dag_id], appear_after=1.0, duration=2.0, fields=every_six_seconds)

        with watched(airflow, dag_id):
            wait_for("the second run", lambda: len(started_by(airflow, dag_id)) >= 2)
            pipeline.fields.clear()
            jobs = [job.id for job in pipeline.jobs]
            wait_for("the run of the last job", lambda: started_by(airflow, dag_id)[-1] == jobs[-1])

        events = told(airflow, dag_id)
        assert events == started_by(airflow, dag_id) == jobs[-len(events) :]
        assert pipeline.jobs_started_by_api == []


if Version("3.3") <= AIRFLOW:

    def test_a_triggerer_that_is_killed_loses_no_job_and_tells_none_twice(
        airflow: AirflowApi, lab: AirflowLab, hevo: Sandbox
    ) -> None:
        dag_id = "after_triggerer_died"
        pipeline = hevo.add_pipeline(9002, appear_after=0.0, duration=None, parallel_jobs=True)
        before, running, after = (pipeline.start_job() for _ in range(3))

        with watched(airflow, dag_id):
            wait_for("the watch", polls(hevo, dag_id))
            jobs = [end(before)]
            wait_for("the run of the first", lambda: started_by(airflow, dag_id) == jobs)
            # A triggerer that dies in the second before this tells the job twice: Airflow confirms an event that late.
            wait_for("the first to be remembered", lambda: remembered(airflow, dag_id) == set(jobs))

            lab.kill("triggerer")
            jobs.append(end(running))
            lab.start("triggerer")
            wait_for("the run of the second", lambda: started_by(airflow, dag_id) == jobs)

            jobs.append(end(after))
            wait_for("the run of the third", lambda: started_by(airflow, dag_id) == jobs)
            wait_for("more polls", polls(hevo, dag_id, 3))

        assert told(airflow, dag_id) == jobs
        assert started_by(airflow, dag_id) == jobs
