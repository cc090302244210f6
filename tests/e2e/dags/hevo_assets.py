"""
The DAGs of the tests in which a pipeline's jobs start runs, where Airflow can do that.

Paused until a test wants them, for a DAG that is not paused is watched for.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from airflow.providers.common.compat.sdk import DAG, task

WATCHED = {"after_schedule": 9001, "after_triggerer_died": 9002}  # DAG and pipeline

if not version("apache-airflow").startswith("2."):
    from hevo_provider.assets import hevo_pipeline_asset

    @task
    def report(triggering_asset_events: Any = None) -> list[str]:
        """Return the jobs that the run was started by."""
        events = [event for each in triggering_asset_events.values() for event in each]
        return [event.extra["payload"]["job_id"] for event in events]

    for dag_id, pipeline_id in WATCHED.items():
        with DAG(
            dag_id,
            schedule=[hevo_pipeline_asset(pipeline_id, poll_interval=1)],
            catchup=False,
            is_paused_upon_creation=True,
        ):
            report()
