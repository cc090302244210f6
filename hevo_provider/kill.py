"""
Whether a deferred task still waits for its trigger.

A cancelled trigger proves nothing: a triggerer that stalled finds its work taken over when it wakes, and Airflow 3.3
then calls ``on_kill`` of triggers whose tasks are alive and well. So Airflow is asked what has become of the task.
"""

from __future__ import annotations

from typing import Any

from asgiref.sync import sync_to_async

TOKEN_KEY = "hevo_run_token"  # noqa: S105 - names a run, opens nothing


async def was_killed(task_instance: Any, *, trigger_id: int | None, run_token: str | None, waits_for_end: bool) -> bool:
    """
    Return whether a user, or a time-out of Airflow's own, has ended the wait.

    :param task_instance: the trigger's.
    :param trigger_id: the trigger's.
    :param run_token: what the worker pushed to XCom before it deferred.
    :param waits_for_end: False for a task that only wants the job's id: it may have succeeded by itself.
    :raises Exception: whatever Airflow raises where it cannot be asked.
    """
    state, still_ours = await _ask_airflow(task_instance, trigger_id, run_token)
    if still_ours and state in {"deferred", "up_for_retry", "up_for_reschedule"}:
        return False
    # "success" may be a user's word, or the task's own once it has its id.
    return waits_for_end or state not in {"success", "scheduled", "queued", "running"}


async def _ask_airflow(ti: Any, trigger_id: int | None, run_token: str | None) -> tuple[str | None, bool]:
    try:
        from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance
        from airflow.sdk.execution_time.xcom import XCom
    except ImportError:
        return await sync_to_async(_read_row)(ti, trigger_id)

    def ask() -> tuple[str | None, bool]:
        map_index = ti.map_index if ti.map_index is not None else -1
        states = RuntimeTaskInstance.get_task_states(
            dag_id=ti.dag_id, task_ids=[ti.task_id], run_ids=[ti.run_id], map_index=map_index
        )
        of_run = states.get(ti.run_id, {})
        state = of_run.get(ti.task_id if map_index < 0 else f"{ti.task_id}_{map_index}")
        token = XCom.get_one(key=TOKEN_KEY, dag_id=ti.dag_id, task_id=ti.task_id, run_id=ti.run_id, map_index=map_index)
        return state, token == run_token

    return await sync_to_async(ask)()


def _read_row(ti: Any, trigger_id: int | None) -> tuple[str | None, bool]:
    """Airflow 2: no ``on_kill``, but the database is at hand. SQLite reuses trigger ids, so the try counts too."""
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session

    with create_session() as session:
        row = (
            session.query(TaskInstance.state, TaskInstance.trigger_id, TaskInstance.try_number)
            .filter_by(dag_id=ti.dag_id, task_id=ti.task_id, run_id=ti.run_id, map_index=ti.map_index)
            .one_or_none()
        )
    if row is None:
        return None, False
    return row.state, (row.trigger_id, row.try_number) == (trigger_id, ti.try_number)
