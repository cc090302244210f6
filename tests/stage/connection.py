"""The connection to the sandbox, with more in its extra."""

from __future__ import annotations

import json

import pytest

from hevo_provider.sandbox import Sandbox


def with_link(hevo: Sandbox, monkeypatch: pytest.MonkeyPatch, link: object) -> None:
    """Let the connection say where a task's button leads."""
    connection = {"conn_type": "hevo", "host": hevo.url, "login": hevo.key, "password": hevo.secret}
    monkeypatch.setenv("AIRFLOW_CONN_HEVO_AIRFLOW_CONN_ID", json.dumps({**connection, "extra": {"link": link}}))
