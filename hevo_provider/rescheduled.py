"""When a rescheduled sensor took its first look: its processes remember nothing, Airflow's database does."""

from __future__ import annotations

from datetime import datetime
from typing import Any


def first_look_of(context: Any) -> datetime | None:
    """
    Return when the sensor was first rescheduled in this try: a retry searches anew, as it does in the other modes.

    :returns: None if it has not been, so that this is its first look.
    """
    ti = context["ti"]
    if hasattr(ti, "get_first_reschedule_date"):  # Airflow 3, which forgets what was before a retry
        date: datetime | None = ti.get_first_reschedule_date(context)
        return date
    from airflow.models.taskreschedule import TaskReschedule
    from airflow.utils.session import create_session

    with create_session() as session:
        first = (
            session.query(TaskReschedule.start_date)
            .filter_by(dag_id=ti.dag_id, task_id=ti.task_id, run_id=ti.run_id, map_index=ti.map_index)
            .filter_by(try_number=ti.try_number)
            .order_by(TaskReschedule.id)
            .first()
        )
    return None if first is None else first.start_date
