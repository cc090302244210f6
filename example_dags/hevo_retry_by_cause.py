"""
Try a task again by why it failed, on Airflow 3.3 and later.

Where the source's own rate limit has stopped a job, Hevo reports it as DEFERRED, and a try that comes before the source
takes requests again is a try lost: the policy waits for the source's window. Over Hevo's own limit of requests it waits
until there is room. What another try would not mend, such as a wrong key, fails at once. A job that FAILED is tried
again as the task says, by ``retries`` and ``retry_delay``.

An Airflow before 3.3 has no retry policies, and finds no DAG in this file.
"""

from __future__ import annotations

from datetime import timedelta

from airflow import __version__ as airflow_version
from airflow.providers.common.compat.sdk import DAG  # airflow.sdk, where no earlier Airflow reads the file

from hevo_provider.operators import HevoPipelineOperator

if tuple(map(int, airflow_version.split(".")[:2])) >= (3, 3):
    from hevo_provider.retries import HevoRetryPolicy

    with DAG("hevo_retry_by_cause", schedule=None, catchup=False, doc_md=__doc__, tags=["hevo"]):
        HevoPipelineOperator(
            task_id="sync",
            pipeline_id=10,
            retries=2,
            retry_delay=timedelta(seconds=10),
            retry_policy=HevoRetryPolicy(source_window=timedelta(minutes=1)),  # an hour, or a day, for many a source
            poll_interval=5,  # the default of 15 suits jobs that take minutes
        )
