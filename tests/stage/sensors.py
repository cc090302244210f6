"""The three modes of a sensor, played: poke and reschedule by Airflow's own loop, on the virtual clock."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import BaseSensorOperator

from hevo_provider.sensors import HevoSensor
from tests.stage.clock import VirtualClock
from tests.stage.tasks import TaskInstance, play

MODES = ("poke", "reschedule", "deferrable")

_base: Any = sys.modules[BaseSensorOperator.__module__]


@dataclass
class RescheduledTaskInstance(TaskInstance):
    """A task instance of which Airflow's database knows when it was first rescheduled in this try."""

    first_reschedule: datetime | None = None

    def get_first_reschedule_date(self, context: Any) -> datetime | None:
        return self.first_reschedule

    def next_try(self, *, cleared: bool = False) -> None:
        super().next_try(cleared=cleared)
        self.first_reschedule = None


def sensor(mode: str, **parameters: Any) -> HevoSensor:
    """Make a sensor that waits in the given mode."""
    how = {"deferrable": True} if mode == "deferrable" else {"deferrable": False, "mode": mode}
    return HevoSensor(task_id="task", **{"pipeline_id": 7, **how, **parameters})


def sense(mode: str, ti: TaskInstance, **parameters: Any) -> Any:
    """Take a sensor through as many processes as it needs: what it returns. Its errors are raised."""
    with _airflows_time(ti):
        while True:
            try:
                return play(sensor(mode, **parameters), ti)  # another process, which remembers nothing
            except _base.AirflowRescheduleException as pause:
                assert isinstance(ti, RescheduledTaskInstance)
                ti.first_reschedule = ti.first_reschedule or ti.start_date
                ti.clock.advance(pause.reschedule_date.timestamp() - ti.clock.now())
                ti.start_date = _now(ti.clock)


@contextmanager
def _airflows_time(ti: TaskInstance) -> Iterator[None]:
    """Let the loop of Airflow's sensors go by the virtual clock."""
    clock = ti.clock
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_base, "time", SimpleNamespace(monotonic=clock.now, sleep=clock.advance))
        patch.setattr(_base, "timezone", SimpleNamespace(utcnow=lambda: _now(clock)))
        if hasattr(_base, "_orig_start_date"):  # Airflow 2
            patch.setattr(_base, "_orig_start_date", lambda **_: getattr(ti, "first_reschedule", None))
        yield


def _now(clock: VirtualClock) -> datetime:
    return datetime.fromtimestamp(clock.now(), UTC)
