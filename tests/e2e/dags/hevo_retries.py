"""The DAGs of the tests in which Airflow tries a task again: by cause, and for what failed only."""

from __future__ import annotations

from datetime import timedelta
from importlib.metadata import version
from typing import Any

from airflow.providers.common.compat.sdk import DAG

from hevo_provider.operators import HevoPipelineOperator, HevoResyncObjectsOperator

PIPELINE = "{{ dag_run.conf[task.task_id] }}"
SOON: dict[str, Any] = {"poll_interval": 1, "retry_delay": timedelta(seconds=1)}

with DAG("retries_of_failed_objects", schedule=None, catchup=False):
    for task_id, deferrable in (("deferred", True), ("blocking", False)):
        HevoPipelineOperator(
            task_id=task_id,
            pipeline_id=PIPELINE,
            action="RESYNC",
            retry_failed_objects=True,
            retries=3,
            deferrable=deferrable,
            **SOON,
        )
    HevoResyncObjectsOperator(
        task_id="objects",
        pipeline_id=PIPELINE,
        objects=["orders", "cust*"],
        retry_failed_objects=True,
        retries=3,
        **SOON,
    )

with DAG("fresh", schedule=None, catchup=False):
    HevoPipelineOperator(task_id="sync", pipeline_id=PIPELINE, skip_if_fresh=3600, retries=1, **SOON)
    HevoPipelineOperator(task_id="skips", pipeline_id=PIPELINE, skip_if_fresh=3600, on_fresh="skip", **SOON)

if tuple(map(int, version("apache-airflow").split(".")[:2])) >= (3, 3):
    from hevo_provider.retries import HevoRetryPolicy

    with DAG("retries_by_cause", schedule=None, catchup=False):
        for task_id in ("stopped_by_the_source", "failed", "hopeless"):
            HevoPipelineOperator(
                task_id=task_id, pipeline_id=PIPELINE, retries=1, retry_policy=HevoRetryPolicy(), **SOON
            )
        HevoPipelineOperator.partial(
            task_id="mapped", retries=1, retry_policy=HevoRetryPolicy(source_window=90), **SOON
        ).expand(pipeline_id=[PIPELINE])
