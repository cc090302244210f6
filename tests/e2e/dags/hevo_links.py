"""The DAG of the tests that look at what Airflow shows of a task while it is deferred."""

from __future__ import annotations

from airflow.providers.common.compat.sdk import DAG

from hevo_provider.operators import HevoPipelineOperator
from hevo_provider.sensors import HevoSensor

PIPELINE = "{{ dag_run.conf[task.task_id] }}"

with DAG("links", schedule=None, catchup=False):
    HevoPipelineOperator(task_id="operator", pipeline_id=PIPELINE, poll_interval=1)
    HevoSensor(task_id="sensor", pipeline_id=PIPELINE, poke_interval=1)
