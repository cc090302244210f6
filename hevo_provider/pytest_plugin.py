"""Fixtures for tests of DAGs that use Hevo; this module is loaded by every pytest run and so imports pytest alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hevo_provider.sandbox import Sandbox
    from hevo_provider.testing.dag_run import DagTest


@pytest.fixture
def hevo_sandbox() -> Iterator[Sandbox]:
    """
    Run a local Hevo for the test.

    It knows pipeline 1, whose jobs show after 0.1 s and end after 0.3 s; add others, or change that one, through the
    sandbox: ``hevo_sandbox.pipelines[1].ends = "FAILED"``.
    """
    from hevo_provider.sandbox import Sandbox

    with Sandbox() as hevo:
        hevo.add_pipeline(1, appear_after=0.1, duration=0.3)
        yield hevo


@pytest.fixture
def hevo_connection(hevo_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> str:
    """Point the default Airflow connection at the sandbox; return its id, ``hevo_airflow_conn_id``."""
    import json

    connection = {
        "conn_type": "hevo",
        "host": hevo_sandbox.url,
        "login": hevo_sandbox.key,
        "password": hevo_sandbox.secret,
        "extra": {"requests_per_minute": 0},  # a local Hevo has no limit, and tests have no time
    }
    monkeypatch.setenv("AIRFLOW_CONN_HEVO_AIRFLOW_CONN_ID", json.dumps(connection))
    return "hevo_airflow_conn_id"


def pytest_assertrepr_compare(op: str, left: object, right: object) -> list[str] | None:
    """Say, where an assert on what became of a DAG does not hold, with which words its tasks have failed."""
    why = getattr(left, "why", None) if type(left).__module__ == "hevo_provider.testing.dag_run" else None
    return [f"{left!r} {op} {right!r}", *why.splitlines()] if why else None


@pytest.fixture(scope="session")
def hevo_airflow_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make an SQLite database with Airflow's tables, once for all tests: each run of a DAG gets a copy."""
    from hevo_provider.testing.dag_run import migrate

    database = tmp_path_factory.mktemp("hevo_airflow") / "airflow.db"
    migrate(database)
    return database


@pytest.fixture
def hevo_run(hevo_sandbox: Sandbox, hevo_airflow_database: Path, tmp_path_factory: pytest.TempPathFactory) -> DagTest:
    """
    Run a DAG on the test's sandbox, and tell what became of it.

    ``run = hevo_run(dag)`` returns when the DAG has ended: ``run.states["load"]``, ``run.xcoms["load"]["hevo_job"]``,
    ``run.logs["load"]``; see :class:`hevo_provider.testing.dag_run.HevoRun`. Airflow runs it in this process, by
    ``dag.test()``, on a database of its own. Waiting takes no time: a job of the sandbox may last for hours.
    """
    from hevo_provider.testing.dag_run import DagTest

    return DagTest(hevo_sandbox, hevo_airflow_database, tmp_path_factory.mktemp("hevo_run"))
