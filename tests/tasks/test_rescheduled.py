"""What the database of Airflow 2 knows of the earlier processes of a rescheduled sensor. Airflow 3 tells it itself."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG

from hevo_provider.compat import first_poke_of
from hevo_provider.sensors import HevoSensor

START = datetime(2026, 1, 1, tzinfo=UTC)


def rescheduled(*polls: tuple[int, datetime]) -> Any:
    """Let Airflow put a sensor back in line, by try and start: the task instance in its last try."""
    models: Any = import_module("airflow.models")
    reschedules: Any = import_module("airflow.models.taskreschedule")
    session_of: Any = import_module("airflow.utils.session").create_session

    at = datetime.now(UTC)
    run_id = f"manual__{at.isoformat()}"
    with DAG("dag", start_date=START, schedule=None):
        task = HevoSensor(task_id="task", pipeline_id=7, deferrable=False, mode="reschedule", retries=5)
    with session_of() as session:
        session.add(models.DagRun("dag", run_id, execution_date=at, run_type="manual", data_interval=(at, at)))
        session.flush()
        ti = models.TaskInstance(task, run_id=run_id)
        session.add(ti)
        session.flush()
        for number, start in polls:
            row = reschedules.TaskReschedule("task", "dag", run_id, number, start, start, start + timedelta(seconds=10))
            session.add(row)
        session.commit()
        session.expunge_all()
    ti.try_number, ti.max_tries = max((number for number, _ in polls), default=1), 5
    return ti


@pytest.mark.usefixtures("airflow_database")
def test_a_sensor_that_was_never_rescheduled_polls_for_the_first_time() -> None:
    assert first_poke_of({"ti": rescheduled()}) is None


@pytest.mark.usefixtures("airflow_database")
def test_a_rescheduled_sensor_has_first_polled_when_its_try_began() -> None:
    later = [START + timedelta(seconds=seconds) for seconds in (10, 15, 20)]

    assert first_poke_of({"ti": rescheduled((1, START), *((1, poll) for poll in later))}) == START


@pytest.mark.usefixtures("airflow_database")
def test_a_retry_has_first_polled_when_the_retry_began() -> None:
    retried = START + timedelta(hours=1)

    ti = rescheduled((1, START), (2, retried), (2, retried + timedelta(seconds=10)))

    assert first_poke_of({"ti": ti}) == retried
