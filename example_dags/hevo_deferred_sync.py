"""
Sync a Hevo pipeline, and hold no worker while Hevo works.

The task asks Hevo for a sync, gives its worker slot back at once and waits in Airflow's triggerer, for minutes or for
hours. It succeeds when the job that it started has completed. It leaves two XComs: the job's id as its return value,
and the job's final state and counters under ``hevo_job``.

To run it, have a triggerer running (``airflow triggerer``), put the number of one of your pipelines below, and add a
connection ``hevo_airflow_conn_id`` of type Hevo: your region as the host, the API key as login, its secret as password.
"""

from __future__ import annotations

from airflow.providers.common.compat.sdk import DAG  # airflow.sdk, where only Airflow 3 matters

from hevo_provider.operators import HevoPipelineOperator

with DAG("hevo_deferred_sync", schedule=None, catchup=False, tags=["hevo"]):
    HevoPipelineOperator(
        task_id="sync",
        pipeline_id=1,
        poll_interval=5,  # seconds between two looks at the job; the default of 15 suits jobs that take minutes
    )
