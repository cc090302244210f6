"""Tasks that fail, each for another reason: what their logs say is for the person who is paged."""

from __future__ import annotations

from airflow.providers.common.compat.sdk import DAG

from hevo_provider.operators import HevoPipelineOperator
from hevo_provider.sensors import HevoSensor

PIPELINE = "{{ dag_run.conf[task.task_id] }}"

with DAG("failures", schedule=None, catchup=False):
    for task_id, parameters in (
        ("failed", {}),
        ("failed_blocking", {"deferrable": False}),
        ("busy", {}),
        ("disabled", {}),
        ("unknown", {}),
        ("wrong_key", {"connection_id": "hevo_wrong_key"}),
        ("no_connection", {"connection_id": "nowhere"}),
        ("timed_out", {"timeout": 10}),
    ):
        HevoPipelineOperator(task_id=task_id, pipeline_id=PIPELINE, poll_interval=1, **parameters)
    HevoSensor(task_id="nothing_to_wait_for", pipeline_id=PIPELINE, wait_for_job_max_attempts=1)

with DAG("long_job", schedule=None, catchup=False):
    HevoPipelineOperator(task_id="deferred", pipeline_id=PIPELINE, poll_interval=1)
