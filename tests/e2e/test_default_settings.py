"""Airflow as it starts by default, with ``load_examples``: the provider's examples are there, paused and quiet."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import AIRFLOW
from tests.e2e.airflow_api import wait_for
from tests.e2e.airflow_lab import AirflowLab

pytestmark = pytest.mark.e2e

FOLDER = Path(__file__).parents[2] / "example_dags"
# Before 3.3 Airflow loads no examples but its own.
EXAMPLES = {path.stem for path in FOLDER.glob("*.py")} | {"hevo_tables_report"} if AIRFLOW >= (3, 3) else set[str]()
DEFAULTS = {"AIRFLOW__CORE__LOAD_EXAMPLES": "True", "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "True"}


@pytest.fixture(scope="module")
def by_default(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AirflowLab]:
    """Run an Airflow that has no DAGs but examples, and no connection to Hevo."""
    home = tmp_path_factory.mktemp("default")
    (home / "no-dags").mkdir()
    with AirflowLab(home, home / "no-dags", environment=DEFAULTS) as lab:
        yield lab


def test_the_examples_are_there_paused_and_nothing_is_said_of_them(by_default: AirflowLab) -> None:
    api = by_default.api

    def found(tag: str) -> set[tuple[str, bool]]:
        dags = api.call("GET", f"/dags?tags={tag}&limit=100")["dags"]
        return {(dag["dag_id"], dag["is_paused"]) for dag in dags}

    wait_for("Airflow's own examples", lambda: len(found("example")) > 10, timeout=180)
    wait_for("the provider's examples", lambda: len(found("hevo")) >= len(EXAMPLES), timeout=180)

    assert found("hevo") == {(name, True) for name in EXAMPLES}
    warnings = api.call("GET", "/dagWarnings?limit=100")["dag_warnings"]
    assert [warning for warning in warnings if warning["dag_id"].startswith("hevo")] == []
    said = [line for name in by_default.components for line in by_default.output(name).read_text().splitlines()]
    assert said
    troubles = [line for line in said if "hevo" in line.lower() and ("error" in line.lower() or "warn" in line.lower())]
    assert troubles == []
    assert not [line for line in said if "non-existent pool" in line or "example DAG discovery" in line]
    assert "HevoPipelineTrigger" not in by_default.output("triggerer").read_text()  # nothing is watched while paused
