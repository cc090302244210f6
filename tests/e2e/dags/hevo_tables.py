"""A load that tells of its tables, and a DAG that is scheduled on two of them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from airflow.providers.common.compat.sdk import DAG, Asset, AssetAlias, task

from hevo_provider.asset_uris import uri_of_table
from hevo_provider.operators import HevoPipelineOperator

NAMESPACE = "hevo://127.0.0.1/warehouse"
ORDERS, CUSTOMERS = (Asset(uri_of_table(NAMESPACE, f"WAREHOUSE.PUBLIC.e2e_{name}")) for name in ("orders", "customers"))

for task_id, deferrable in (("deferred", True), ("blocking", False)):
    with DAG(f"tables_{task_id}", schedule=None, catchup=False):
        HevoPipelineOperator(
            task_id=task_id,
            pipeline_id="{{ dag_run.conf[task.task_id] }}",
            poll_interval=1,
            deferrable=deferrable,
            accept_completed_with_failures=True,
            outlets=[AssetAlias("e2e_tables")],
        )


@task(inlets=[ORDERS, CUSTOMERS])
def report(inlet_events: Any = None) -> list[dict[str, Any]]:
    """Return what the newest event of each table says."""
    return [dict(inlet_events[table][-1].extra) for table in (ORDERS, CUSTOMERS)]


with DAG("after_tables", schedule=[ORDERS, CUSTOMERS], start_date=datetime(2026, 1, 1, tzinfo=UTC), catchup=False):
    report()
