"""Fixtures for tests of DAGs that use Hevo; this module is loaded by every pytest run and so imports pytest alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hevo_provider.sandbox import Sandbox


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
