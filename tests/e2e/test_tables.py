"""A load by Hevo starts a DAG that is scheduled on two of its tables, on a real Airflow."""

from __future__ import annotations

import pytest

from tests.e2e.airflow_api import AirflowApi, wait_for
from tests.e2e.conftest import PipelineMaker

pytestmark = pytest.mark.e2e


def runs_after_tables(airflow: AirflowApi) -> list[str]:
    """Return the runs of the DAG that is scheduled on the tables, in order, once each has succeeded."""
    runs = airflow.call("GET", "/dags/after_tables/dagRuns?order_by=start_date")["dag_runs"]
    return [run["dag_run_id"] for run in runs if run["state"] == "success"]


def test_a_load_starts_a_dag_on_two_of_its_tables_and_one_of_which_a_table_failed_does_not(
    airflow: AirflowApi, new_pipeline: PipelineMaker
) -> None:
    pipeline = new_pipeline()
    pipeline.objects.clear()
    for name in ("e2e_other", "e2e_orders", "e2e_customers"):
        pipeline.add_object(name)
    wait_for("the DAG", lambda: airflow.call("GET", "/dags/after_tables"))

    for number, mode in enumerate(("deferred", "blocking"), start=1):
        airflow.trigger(f"tables_{mode}", "run", {mode: pipeline.id})
        assert airflow.wait_run(f"tables_{mode}", "run") == "success"
        run_id = wait_for("the run", lambda number=number: runs_after_tables(airflow)[number - 1 : number])[0]  # type: ignore[misc]
        told = {"rows_loaded": 333, "rows_failed": 0, "job_id": pipeline.jobs[-1].id, "pipeline_id": pipeline.id}
        assert airflow.xcom("after_tables", run_id, "report") == [told, told]

    pipeline.ends = "COMPLETED_WITH_FAILURES"  # its first table fails, and nothing else
    pipeline.objects.reverse()
    airflow.trigger("tables_deferred", "partly", {"deferred": pipeline.id})
    assert airflow.wait_run("tables_deferred", "partly") == "success"
    (failed,) = pipeline.jobs[-1].failed_objects
    assert f"no asset event is emitted for {failed} (not loaded)" in airflow.log(
        "tables_deferred", "partly", "deferred"
    )
    all_runs = airflow.call("GET", "/dags/after_tables/dagRuns")["dag_runs"]
    assert len(all_runs) == 2
