"""The DAGs of the cluster. A run's conf says, by task id, which pipeline, and which job, each task is for."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.providers.common.compat.sdk import DAG

from hevo_provider.operators import HevoPipelineOperator
from hevo_provider.sensors import HevoSensor

PIPELINE = "{{ dag_run.conf['pipelines'][task.task_id] }}"
JOB = "{{ dag_run.conf['jobs'][task.task_id] }}"
POLLS = 600  # as many as a test may take to let a job show
DEFAULTS: dict[str, Any] = {"retries": 2, "retry_delay": timedelta(seconds=1)}


def operators(way: str, **parameters: Any) -> None:
    """Make an operator for everything that it may be about."""
    common = {"pipeline_id": PIPELINE, "poll_interval": 1, **parameters}
    HevoPipelineOperator(task_id=way, **common)
    HevoPipelineOperator(task_id=f"{way}_fails", **common)
    HevoPipelineOperator(task_id=f"{way}_resync", action="RESYNC", **common)
    HevoPipelineOperator(task_id=f"{way}_until_found", wait_for_completion=False, retry_limit=POLLS, **common)


with DAG("modes", schedule=None, catchup=False, default_args=DEFAULTS):
    operators("deferred")
    operators("blocking", deferrable=False)
    sensor: dict[str, Any] = {"pipeline_id": PIPELINE, "job_id": JOB}
    HevoSensor(task_id="sensor_deferred", poke_interval=1, **sensor)
    HevoSensor(task_id="sensor_poke", poke_interval=1, deferrable=False, **sensor)
    HevoSensor(task_id="sensor_reschedule", poke_interval=10, mode="reschedule", deferrable=False, **sensor)

with DAG("deferring", schedule=None, catchup=False, default_args=DEFAULTS):
    operators("deferred")
    HevoSensor(task_id="sensor_deferred", pipeline_id=PIPELINE, job_id=JOB, poke_interval=1)

with DAG("starting", schedule=None, catchup=False, default_args=DEFAULTS):
    HevoPipelineOperator(task_id="deferred", pipeline_id=PIPELINE, poll_interval=1)
    HevoPipelineOperator(task_id="blocking", pipeline_id=PIPELINE, poll_interval=1, deferrable=False)
