"""
Sync a Hevo pipeline, and hold no worker while Hevo works.

The task asks Hevo for a sync, gives its worker slot back at once and waits in Airflow's triggerer, for minutes or for
hours. It succeeds when the job that it started has completed. It leaves two XComs: the job's id as its return value,
and the job's final state and counters under ``hevo_job``. The event of its asset, which can start other DAGs, carries
them too: a task with ``inlets=[ORDERS]`` reads them from ``inlet_events[ORDERS][-1].extra``.

To run it, have a triggerer running (``airflow triggerer``), put the number of one of your pipelines below, and add a
connection ``hevo_airflow_conn_id`` of type Hevo: your region as the host, the API key as login, its secret as password.
"""

from __future__ import annotations

from airflow.providers.common.compat.sdk import DAG, Asset  # airflow.sdk, where only Airflow 3 matters

from hevo_provider.operators import HevoPipelineOperator

ORDERS = Asset("hevo://warehouse/orders")

with DAG("hevo_deferred_sync", schedule=None, catchup=False, tags=["hevo"]):
    HevoPipelineOperator(
        task_id="sync",
        pipeline_id=1,
        poll_interval=5,  # seconds between two looks at the job; the default of 15 suits jobs that take minutes
        outlets=[ORDERS],
    )
