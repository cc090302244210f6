"""
Start a sync in one task and wait for it in another, with other work in between.

``wait_for_completion=False`` ends the first task as soon as the id of the new job is known; the id is its return value.
The sensor takes it from there and waits, in the triggerer as well. What stands between the two runs while Hevo works.

A sensor only polls. Should a user stop the run, the job goes on; the single task of ``hevo_deferred_sync`` would
cancel it.
"""

from __future__ import annotations

from airflow.providers.common.compat.sdk import DAG, Param, task

from hevo_provider.operators import HevoPipelineOperator
from hevo_provider.sensors import HevoSensor


@task
def prepare_report() -> None:
    """Stand for the work that needs no fresh data yet."""


with DAG(
    "hevo_trigger_then_sensor",
    schedule=None,
    catchup=False,
    doc_md=__doc__,
    params={
        "pipeline_id": Param(
            1,
            type="integer",
            minimum=1,
            title="Pipeline",
            description="Number of the pipeline, as in its address in Hevo.",
        )
    },
    tags=["hevo"],
):
    trigger = HevoPipelineOperator(
        task_id="trigger",
        pipeline_id="{{ params.pipeline_id }}",
        wait_for_completion=False,
    )
    wait = HevoSensor(
        task_id="wait",
        pipeline_id="{{ params.pipeline_id }}",
        job_id="{{ ti.xcom_pull(task_ids='trigger') }}",
        poke_interval=5,
    )
    trigger >> prepare_report() >> wait
