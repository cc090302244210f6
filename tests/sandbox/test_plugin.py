"""The pytest plugin that the distribution registers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hevo_provider.sandbox import Sandbox
from tests.sandbox.caller import Caller

ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
}


def run_python(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *arguments]
    return subprocess.run(  # noqa: S603
        command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False
    )


def test_the_sandbox_of_the_fixture_runs_and_has_a_pipeline(hevo_sandbox: Sandbox) -> None:
    assert Caller(hevo_sandbox).get("/1").json["status"] == "INITIALIZED"


def test_the_default_connection_points_at_the_sandbox(hevo_connection: str, hevo_sandbox: Sandbox) -> None:
    connection = json.loads(os.environ[f"AIRFLOW_CONN_{hevo_connection.upper()}"])

    assert connection == {
        "conn_type": "hevo",
        "host": hevo_sandbox.url,
        "login": hevo_sandbox.key,
        "password": hevo_sandbox.secret,
        "extra": {"requests_per_minute": 0},
    }


def test_loading_the_plugin_imports_pytest_alone(tmp_path: Path) -> None:
    code = (
        "import sys, hevo_provider.pytest_plugin\n"
        "print(sorted({'aiohttp', 'pydantic', 'airflow', 'hevo_provider.sandbox'} & set(sys.modules)))"
    )

    assert run_python("-c", code, folder=tmp_path).stdout == "[]\n"


def test_importing_the_sandbox_package_does_not_load_aiohttp(tmp_path: Path) -> None:
    code = "import sys, hevo_provider.sandbox as s; s.Fault.reset(); print('aiohttp' in sys.modules)"

    assert run_python("-c", code, folder=tmp_path).stdout == "False\n"


def test_the_sandbox_imports_nothing_of_the_provider(tmp_path: Path) -> None:
    code = (
        "import sys, hevo_provider.sandbox.__main__\n"
        "print([name for name in sys.modules if name.startswith('hevo_provider.') and '.sandbox' not in name])"
    )

    assert run_python("-c", code, folder=tmp_path).stdout == "[]\n"


def test_a_users_own_test_can_use_the_fixtures(tmp_path: Path) -> None:
    (tmp_path / "test_dag.py").write_text(
        "def test_it(hevo_sandbox, hevo_connection):\n"
        "    hevo_sandbox.pipelines[1].ends = 'FAILED'\n"
        "    assert hevo_connection == 'hevo_airflow_conn_id'\n"
    )

    run = run_python(
        *("-m", "pytest", "-q", "-W", "error", "-p", "hevo_provider.pytest_plugin", "-p", "no:cacheprovider"),
        folder=tmp_path,
    )

    assert "1 passed" in run.stdout, run.stdout + run.stderr


def test_a_name_that_the_package_does_not_have() -> None:
    import hevo_provider.sandbox as package

    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = package.nothing
