"""
Start no sync where Hevo's own schedule has just made one.

Hevo syncs this pipeline by its own schedule, and the DAG wants data that is at most an hour old. If a job has completed
within the last hour, the task succeeds with that job and starts none; if one is at work, it waits for it first. Either
way the XCom ``hevo_job`` tells of the job, with ``"fresh": True`` where the task has started none.

``on_fresh="skip"`` would skip the task instead, and with it what comes after: for DAGs that have nothing to do where
nothing new was loaded. Who clears the task starts a sync, however fresh the last one is.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.providers.common.compat.sdk import DAG, task  # airflow.sdk, where only Airflow 3 matters

from hevo_provider.operators import HevoPipelineOperator


@task
def report(job: dict[str, Any]) -> str:
    """Say where the data comes from."""
    return f"job {job['job_id']} " + ("was fresh enough" if job.get("fresh") else "was started for this run")


with DAG("hevo_skip_if_fresh", schedule=None, catchup=False, doc_md=__doc__, tags=["hevo"]):
    sync = HevoPipelineOperator(
        task_id="sync",
        pipeline_id=6,
        skip_if_fresh=timedelta(hours=1),
        on_active_job="wait",
        poll_interval=5,  # the default of 15 suits jobs that take minutes
    )
    report(sync.output["hevo_job"])
