"""What ``make demo`` says, and that it leaves out no example. The demo itself needs a real Airflow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.e2e import airflow_lab
from tests.e2e.airflow_lab import AirflowLab
from tests.e2e.demo import BY_ITSELF, EXAMPLES, PIPELINE_OF, what_it_did

JOB = {"job_id": "0123456789", "status": "COMPLETED", "events_loaded": 1000}


def test_the_demo_runs_every_example() -> None:
    assert {*PIPELINE_OF, BY_ITSELF} == {file.stem for file in EXAMPLES.glob("*.py")}


@pytest.mark.parametrize(
    ("state", "job", "value", "told"),
    [
        ("success", JOB, "0123456789", "job 01234567 COMPLETED, 1,000 events loaded"),
        ("failed", JOB | {"status": "FAILED", "events_loaded": None}, None, "job 01234567 FAILED, 0 events loaded"),
        ("success", JOB | {"status": "IN_PROGRESS"}, "0", "started job 01234567, and left the waiting to another task"),
        ("failed", JOB | {"status": "IN_PROGRESS"}, None, "job 01234567 IN_PROGRESS, 1,000 events loaded"),
        ("success", None, [1, 2], "returned [1, 2]"),
        ("failed", None, None, ""),
    ],
)
def test_what_a_task_did_is_summed_up(state: str, job: dict[str, Any] | None, value: object, told: str) -> None:
    assert what_it_did(state, job, value) == told


def test_no_component_of_its_airflow_is_started_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    airflow = tmp_path / "airflow"
    airflow.write_text("#!/bin/sh\nexec sleep 60\n")
    airflow.chmod(0o700)
    monkeypatch.setattr(airflow_lab, "AIRFLOW", airflow)
    lab = AirflowLab(tmp_path, tmp_path)
    lab.start("scheduler")
    try:
        with pytest.raises(RuntimeError, match="scheduler is running"):
            lab.start("scheduler")
        lab.kill("scheduler")
        lab.start("scheduler")
    finally:
        lab.stop()
    assert lab.processes() == []
