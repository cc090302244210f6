"""
Sync a Hevo pipeline, and hold no worker while Hevo works.

The task asks Hevo for a sync, gives its worker slot back at once and waits in Airflow's triggerer, for minutes or for
hours. It succeeds when the job that it started has completed. It leaves two XComs: the job's id as its return value,
and the job's final state and counters under ``hevo_job``. The event of its asset, which can start other DAGs, carries
them too: a task with ``inlets=[ORDERS]`` reads them from ``inlet_events[ORDERS][-1].extra``.

To run it, have a triggerer running (``airflow triggerer``), and add a connection ``hevo_airflow_conn_id`` of type Hevo:
your region as the host, the API key as login, its secret as password. Then give the run the number of one of your
pipelines.
"""

from __future__ import annotations

from airflow.providers.common.compat.sdk import DAG, Asset, Param  # airflow.sdk, where only Airflow 3 matters

from hevo_provider.operators import HevoPipelineOperator

ORDERS = Asset("hevo://warehouse/orders")

with DAG(
    "hevo_deferred_sync",
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
    HevoPipelineOperator(
        task_id="sync",
        pipeline_id="{{ params.pipeline_id }}",  # or a plain number
        poll_interval=5,  # seconds between two polls of the job; the default of 15 suits jobs that take minutes
        outlets=[ORDERS],
    )
