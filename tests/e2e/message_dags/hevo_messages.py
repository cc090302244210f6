"""A task for each message of docs/troubleshooting.md, named by its code: its pipeline's number is that of the code."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, NoReturn

from airflow.providers.common.compat.sdk import DAG, task
from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger

from hevo_provider import codes, hooks
from hevo_provider.exceptions import HevoRunError
from hevo_provider.operators import HevoPipelineOperator, HevoResyncObjectsOperator
from hevo_provider.sensors import HevoSensor

SHORT = timedelta(seconds=1)


class WithoutDatabase(HevoPipelineOperator):
    """Has a process whose Airflow finds no connection."""

    def execute(self, context: Any) -> Any:
        """Run where Airflow's database is locked."""

        async def broken(_: str) -> NoReturn:
            raise RuntimeError("the database is locked")

        vars(hooks)["get_async_connection"] = broken
        hooks.HevoHook.get_connection = None  # type: ignore[assignment]  # the way that is tried first
        return super().execute(context)


class WithForeignEvent(HevoPipelineOperator):
    """Waits by a trigger that is not of this package."""

    def execute(self, context: Any) -> Any:
        """Wait, and resume with what that trigger sends."""
        self.defer(trigger=TimeDeltaTrigger(SHORT), method_name="execute_complete")


class WithoutWord(HevoSensor):
    """Ends its wait without word of its job."""

    def execute(self, context: Any) -> Any:
        """Resume with an event that says nothing."""
        return self.execute_complete(context, {"event": "start", "run": {"pipeline_id": 902}, "pipeline_id": 902})


class WithFault(HevoPipelineOperator):
    """Has a fault."""

    def execute(self, context: Any) -> Any:
        """Say what a trigger says of a fault of its own."""
        what = "The wait failed by a fault of its own: ZeroDivisionError: division by zero."
        with self._telling_failures():
            raise HevoRunError(what, pipeline_id=self.pipeline_id, code=codes.UNEXPECTED)


@task
def nothing() -> None:
    """Return nothing."""


@task
def no_objects() -> list[str]:
    """Return an empty list."""
    return []


USUAL = (202, 203, 204, 205, 206, 207, 301, 302, 303, 306, 307, 308, 309, 310, 312, 601, 602, 603, 607)
ENDS = range(701, 707)
OPERATORS: dict[int, dict[str, Any]] = {
    **{number: {} for number in (*USUAL, *ENDS)},
    101: {"pipeline_id": "{{ 'the one with the orders' }}"},
    105: {"action": "{{ 'SYNC_NOW' }}", "drop_and_load": True},
    106: {"pipeline_id": None, "pipeline_name": "Ordres to Snowflake"},
    107: {"pipeline_id": None, "pipeline_name": "Orders to Snowflake"},
    201: {"connection_id": "nowhere"},
    305: {"api_outage_tolerance": 15},
    604: {"on_active_job": "follow"},
    605: {"on_active_job": "cancel"},
    606: {"on_active_job": "cancel"},
    608: {"retry_limit": 2},
    707: {"on_active_job": "follow"},
    801: {"on_active_job": "wait", "timeout": 8},
    802: {"timeout": 10},
    804: {"deferrable": False},
}
SENSORS: dict[int, dict[str, Any]] = {
    104: {"completed_after": "{{ data_interval_end }}"},
    304: {"job_id": "3f2b9a10-0000-4000-8000-000000000304"},
    609: {"wait_for_job_max_attempts": 1},
    803: {"timeout": 10},
}


def usual(number: int) -> dict[str, Any]:
    """Return what all tasks are given."""
    name = f"HEVO-{number}"
    return {"task_id": name, "pipeline_id": number, "connection_id": name}


with DAG("messages", schedule=None, catchup=False):
    for number, parameters in OPERATORS.items():
        HevoPipelineOperator(**usual(number) | {"poll_interval": 1} | parameters)
    for number, parameters in SENSORS.items():
        HevoSensor(**usual(number) | {"poke_interval": 1} | parameters)
    HevoPipelineOperator(**usual(102) | {"pipeline_id": nothing.override(task_id="no_pipeline")()})
    HevoSensor(**usual(103), job_id=nothing.override(task_id="no_job")())  # type: ignore[arg-type]
    HevoResyncObjectsOperator(**usual(108), objects=["order"])
    HevoResyncObjectsOperator(**usual(109), objects=["customers"])
    HevoResyncObjectsOperator(**usual(110), objects=no_objects())  # type: ignore[arg-type]
    WithoutDatabase(**usual(208))
    WithForeignEvent(**usual(901))
    WithoutWord(**usual(902))
    WithFault(**usual(903))
