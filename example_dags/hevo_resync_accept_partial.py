"""
Load a Hevo pipeline's whole history again, and live with a few objects that fail.

A resync restarts the pipeline and ingests every active object from the beginning, so it may well take hours: none of
them in a worker. Where a handful of broken tables is no reason to stop what comes after, let COMPLETED_WITH_FAILURES
count as success. The second task shows how to tell the two apart, from the XCom ``hevo_job``.

``drop_and_load=True`` would drop the destination tables first; they are missing until they have been loaded again.
"""

from __future__ import annotations

from typing import Any

from airflow.providers.common.compat.sdk import DAG, Param, task

from hevo_provider.models.pipeline import PipelineAction
from hevo_provider.operators import HevoPipelineOperator


@task
def report(job: dict[str, Any]) -> str:
    """Say how the resync went."""
    loaded, failed = job.get("objects_success", "?"), job.get("objects_failed", "?")  # Hevo may leave counters out
    return f"{job['status']}: {loaded} objects loaded, {failed} failed"


with DAG(
    "hevo_resync_accept_partial",
    schedule=None,
    catchup=False,
    doc_md=__doc__,
    params={
        "pipeline_id": Param(
            2,
            type="integer",
            minimum=1,
            title="Pipeline",
            description="Number of the pipeline, as in its address in Hevo.",
        )
    },
    tags=["hevo"],
):
    resync = HevoPipelineOperator(
        task_id="resync",
        pipeline_id="{{ params.pipeline_id }}",
        action=PipelineAction.RESYNC,
        accept_completed_with_failures=True,
        poll_interval=5,
        max_active_tis_per_dag=1,  # two runs of one pipeline at the same time could not tell their jobs apart
    )
    report(resync.output["hevo_job"])
