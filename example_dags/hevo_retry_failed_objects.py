"""
Load a Hevo pipeline's whole history again, and try again only what failed.

A resync may take hours, and end with a few objects that failed. On Airflow 3.3 and later the retry then reloads these
alone; if some of them fail again, the next retry reloads those. The log of each try says what it reloads, and so does
the XCom ``hevo_job``, as ``objects_retried``.

All are reloaded where Hevo does not say which failed, where Airflow cannot remember the try before (2.11 to 3.2), and
after a user has cleared the task.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.providers.common.compat.sdk import DAG, task  # airflow.sdk, where only Airflow 3 matters

from hevo_provider.models.pipeline import PipelineAction
from hevo_provider.operators import HevoPipelineOperator


@task
def report(job: dict[str, Any]) -> str:
    """Say what the last try has reloaded."""
    return f"reloaded last: {', '.join(job.get('objects_retried', ['all objects']))}"


with DAG("hevo_retry_failed_objects", schedule=None, catchup=False, doc_md=__doc__, tags=["hevo"]):
    resync = HevoPipelineOperator(
        task_id="resync",
        pipeline_id=9,
        action=PipelineAction.RESYNC,
        retry_failed_objects=True,
        retries=2,
        retry_delay=timedelta(seconds=2),  # minutes, where it is not for show
        poll_interval=5,
        max_active_tis_per_dag=1,  # two runs of one pipeline at the same time could not tell their jobs apart
    )
    report(resync.output["hevo_job"])
