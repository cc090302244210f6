"""
Load tables with Hevo, and start another DAG when two of them are there.

The load knows its tables only when it is over: an ``AssetAlias`` among its ``outlets`` stands for them. When the job
has succeeded, the task emits an event for each table's asset, with ``rows_loaded``, ``rows_failed``, ``job_id`` and
``pipeline_id`` in ``extra``; its log names the assets. A table that failed has no event, so what waits for it does not
start. DAGs of dbt and Cosmos can wait for the same assets: their names are made alike.

A table's asset is called by its URI: OpenLineage's namespace of the destination, then the table's name. Where Hevo does
not tell the destination's address, say it in the connection's extra, by the destination's name::

    {"lineage_namespaces": {"warehouse": "snowflake://org-account"}}

To run it, put the number of one of your pipelines, the namespace and the tables of your own below, and unpause both
DAGs.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from airflow.providers.common.compat.sdk import DAG, Asset, AssetAlias, task

from hevo_provider.asset_uris import uri_of_table
from hevo_provider.operators import HevoPipelineOperator

NAMESPACE = "hevo://127.0.0.1/warehouse"  # of the sandbox; yours may be snowflake://org-account
ORDERS = Asset(uri_of_table(NAMESPACE, "WAREHOUSE.PUBLIC.orders"))
CUSTOMERS = Asset(uri_of_table(NAMESPACE, "WAREHOUSE.PUBLIC.customers"))

with DAG("hevo_tables", schedule=None, catchup=False, doc_md=__doc__, tags=["hevo"]):
    HevoPipelineOperator(
        task_id="load",
        pipeline_id=1,
        poll_interval=5,
        outlets=[AssetAlias("hevo_tables_of_the_shop")],
        skip_empty_tables=False,  # True: a table without new rows starts nothing
    )


@task(inlets=[ORDERS, CUSTOMERS])
def report(inlet_events: Any = None) -> list[str]:
    """Say what was loaded, from the newest event of each table."""
    newest = [(table.uri, inlet_events[table][-1].extra) for table in (ORDERS, CUSTOMERS)]
    return [f"{uri}: {extra['rows_loaded']} rows by job {extra['job_id']}" for uri, extra in newest]


with DAG(
    "hevo_tables_report",
    schedule=[ORDERS, CUSTOMERS],
    start_date=datetime(2026, 1, 1, tzinfo=UTC),  # which Airflow 2 wants of every DAG with a schedule
    catchup=False,
    doc_md=__doc__,
    tags=["hevo"],
):
    report()
