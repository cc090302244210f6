"""
Put rows of the vendor's package into Airflow's database, in place of what deferred tasks of ours have stored.

Run as a process of the Airflow that it is for, which encrypts what it stores. It reads JSON: the run, and by task the
trigger's class path and parameters, and the event if one has fired.
"""

from __future__ import annotations

import json
import sys

from airflow.models.taskinstance import TaskInstance
from airflow.models.trigger import Trigger
from airflow.triggers.base import TriggerEvent
from airflow.utils.session import create_session
from sqlalchemy import select, text


def main() -> None:
    """Write the rows, all or none."""
    told = json.load(sys.stdin)
    run = {"dag_id": told["dag_id"], "run_id": told["run_id"]}
    with create_session() as session:
        # What tells a deferral of ours from an older one; theirs leave nothing of the kind.
        session.execute(text("DELETE FROM xcom WHERE dag_id = :dag_id AND run_id = :run_id"), run)
        for task_id, row in told["rows"].items():
            ti = session.scalars(select(TaskInstance).filter_by(task_id=task_id, **run)).one()
            trigger = session.get(Trigger, ti.trigger_id)
            assert trigger is not None
            trigger.classpath, trigger.kwargs = row["classpath"], row["kwargs"]
            session.flush()
            if "event" in row:
                Trigger.submit_event(trigger.id, TriggerEvent(row["event"]), session=session)


if __name__ == "__main__":
    main()
