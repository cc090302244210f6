"""The DAGs of the test in which the vendor's package is replaced while its tasks are deferred."""

from __future__ import annotations

import warnings
from typing import Any

from airflow.providers.common.compat.sdk import DAG

from hevo_provider import operators

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from airflow.hevo.operators import HevoOperator, HevoPipelineOperator  # type: ignore[import-not-found,import-untyped,unused-ignore]
    from airflow.hevo.sensor import HevoSensor  # type: ignore[import-not-found,import-untyped,unused-ignore]

PIPELINE = "{{ dag_run.conf[task.task_id] }}"
NOTHING_IS_REMEMBERED: dict[str, Any] = {"durable": False}  # as by theirs, on every Airflow

with DAG("moved", schedule=None, catchup=False):
    HevoPipelineOperator(task_id="newest", pipeline_id=PIPELINE, **NOTHING_IS_REMEMBERED)
    HevoOperator(task_id="oldest", pipeline_id=PIPELINE, connection_id=None, **NOTHING_IS_REMEMBERED)
    HevoSensor(task_id="sensor", pipeline_id=PIPELINE, job_id="")
    operators.HevoPipelineOperator(task_id="moved", pipeline_id=PIPELINE, **NOTHING_IS_REMEMBERED)
    for task_id in ("fired_success", "fired_error", "fired_with_failures", "killed"):
        HevoPipelineOperator(task_id=task_id, pipeline_id=PIPELINE, **NOTHING_IS_REMEMBERED)
