"""Every example DAG does what its first lines say, run by Airflow itself with ``dag.test()``."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.models import DagBag

from hevo_provider.sandbox import Sandbox

EXAMPLES = Path(__file__).parents[1] / "example_dags"
IS_AIRFLOW_2 = version("apache-airflow").startswith("2.")


@pytest.fixture
def hevo(hevo_sandbox: Sandbox, hevo_connection: str, airflow_database: None) -> Sandbox:
    """Run a sandbox with the pipelines that the examples use, and point Airflow's default connection at it."""
    hevo_sandbox.add_pipeline(2, appear_after=0.1, duration=0.3, ends="COMPLETED_WITH_FAILURES")
    return hevo_sandbox


def run(dag_id: str) -> dict[str, str]:
    """Run an example to its end and return the state of each task."""
    bag = DagBag(EXAMPLES / f"{dag_id}.py")
    assert bag.import_errors == {}
    ended = bag.dags[dag_id].test()
    return {task.task_id: task.state for task in ended.get_task_instances()}


def test_the_deferred_sync_succeeds_with_one_job(hevo: Sandbox) -> None:
    assert run("hevo_deferred_sync") == {"sync": "success"}

    (job,) = hevo.pipelines[1].jobs
    assert (job.type, job.status) == ("INCREMENTAL", "COMPLETED")


def test_the_resync_succeeds_though_some_objects_failed(hevo: Sandbox) -> None:
    assert run("hevo_resync_accept_partial") == {"resync": "success", "report": "success"}

    (job,) = hevo.pipelines[2].jobs
    assert (job.type, job.status) == ("RESYNC", "COMPLETED_WITH_FAILURES")


def test_the_sensor_waits_for_the_job_that_was_triggered_before(hevo: Sandbox) -> None:
    assert run("hevo_trigger_then_sensor") == {"trigger": "success", "prepare_report": "success", "wait": "success"}

    assert len(hevo.pipelines[1].jobs) == 1


if not IS_AIRFLOW_2:

    def test_the_event_driven_run_that_a_user_starts_by_hand_has_nothing_to_report(hevo: Sandbox) -> None:
        assert run("hevo_event_driven") == {"report": "success"}

        assert hevo.requests == []

    def test_the_event_driven_run_reports_each_job_once() -> None:
        from airflow.sdk.execution_time.context import TriggeringAssetEventsAccessor

        dag: Any = DagBag(EXAMPLES / "hevo_event_driven.py").dags["hevo_event_driven"]
        uri = "hevo://hevo_airflow_conn_id/pipelines/6?job_types=INCREMENTAL"
        asset = SimpleNamespace(name="hevo_pipeline_6 INCREMENTAL", uri=uri)
        payload = {"pipeline_id": 6, "job_id": "a", "status": "COMPLETED", "events_loaded": 1000}
        event: Any = SimpleNamespace(asset=asset, source_aliases=[], extra={"from_trigger": True, "payload": payload})

        report = dag.get_task("report").python_callable
        assert report(TriggeringAssetEventsAccessor.build([event, event])) == ["job a: 1,000 events loaded"]


def test_the_folder_can_be_read_by_any_airflow() -> None:
    bag = DagBag(EXAMPLES)

    assert bag.import_errors == {}
    assert set(bag.dags) == {path.stem for path in EXAMPLES.glob("*.py")} - (
        {"hevo_event_driven"} if IS_AIRFLOW_2 else set()
    )


def test_every_example_is_run_here() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.py")} == {
        "hevo_deferred_sync",
        "hevo_event_driven",
        "hevo_resync_accept_partial",
        "hevo_trigger_then_sensor",
    }
