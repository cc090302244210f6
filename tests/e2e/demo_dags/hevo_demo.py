"""
The bad days of ``make demo``: a job that fails, and a task that meets three disasters.

Both are plain tasks, as a user writes them. What goes wrong is done to Hevo and to Airflow, from outside.
"""

from __future__ import annotations

from airflow.providers.common.compat.sdk import DAG

from hevo_provider.operators import HevoPipelineOperator

with DAG("demo_failure", schedule=None, catchup=False, tags=["hevo", "demo"]):
    HevoPipelineOperator(task_id="load_invoices", pipeline_id=3, poll_interval=5)

with DAG("demo_disasters", schedule=None, catchup=False, tags=["hevo", "demo"]):
    HevoPipelineOperator(task_id="load_ledger", pipeline_id=40, poll_interval=5)
