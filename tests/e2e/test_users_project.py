"""A project of a user's own: a DAG, a test of five lines, and nothing else of this repository but the package."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import hevo_provider

pytestmark = pytest.mark.e2e

DAG_FILE = """
from datetime import datetime
from airflow.providers.common.compat.sdk import DAG
from hevo_provider.operators import HevoPipelineOperator

with DAG("orders", schedule="@hourly", start_date=datetime(2026, 1, 1), catchup=False) as dag:
    HevoPipelineOperator(task_id="load", pipeline_id=123, connection_id="hevo_prod", retries=2)
"""
TEST_FILE = """
from dags.orders import dag

def test_orders_are_loaded(hevo_sandbox, hevo_run):
    pipeline = hevo_sandbox.add_pipeline(123, duration=3600, ends="{ends}")
    run = hevo_run(dag)
    assert run.states["load"] == "success"
    assert len(pipeline.jobs) == 1
"""


def run_tests_of(folder: Path, ends: str) -> subprocess.CompletedProcess[str]:
    """Run the project's tests as a user would, where Airflow has never been used."""
    (folder / "dags").mkdir()
    (folder / "dags" / "orders.py").write_text(DAG_FILE)
    (folder / "test_orders.py").write_text(TEST_FILE.format(ends=ends))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    environment |= {
        "AIRFLOW_HOME": str(folder / "airflow"),
        "PYTHONPATH": os.pathsep.join([str(folder), str(Path(hevo_provider.__file__).parents[1])]),
    }
    command = [sys.executable, "-m", "pytest", "-p", "no:asyncio", "-p", "no:cacheprovider", "test_orders.py"]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_a_test_of_five_lines_is_green(tmp_path: Path) -> None:
    done = run_tests_of(tmp_path, "COMPLETED")

    assert "1 passed" in done.stdout, done.stdout + done.stderr
    assert not (tmp_path / "airflow" / "airflow.db").exists()  # the user's own database is left alone


def test_one_that_fails_says_what_hevo_said(tmp_path: Path) -> None:
    done = run_tests_of(tmp_path, "FAILED")

    assert "1 failed" in done.stdout, done.stdout + done.stderr
    told = [line for line in done.stdout.splitlines() if line.startswith("E ")]
    assert any("HevoJobFailedError: Pipeline" in line and "ended FAILED" in line for line in told), told
