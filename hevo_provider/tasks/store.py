"""
Where a run survives a worker that is lost: Airflow's task state store (Airflow 3.3 and later), or nowhere.

The record is written before the action is sent, and dropped when the run has ended. ``max_tries`` grows when a user
clears the task and stays when Airflow retries it: that tells the two apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Protocol

from asgiref.sync import sync_to_async

from hevo_provider.clock import Clock
from hevo_provider.runs.resume import Record
from hevo_provider.runs.run import Run

KEY = "hevo_run"
VALID_FOR = timedelta(hours=24)


class StateStore(Protocol):
    """Airflow's accessor ``context["task_state_store"]``. Its calls block: not for an event loop."""

    def get(self, key: str) -> Any:
        """Return what is stored, or None."""

    def set(self, key: str, value: Any) -> None:
        """Store a JSON value."""

    def delete(self, key: str) -> None:
        """Remove what is stored, if anything is."""


class TaskInstance(Protocol):
    """What is read of a task instance."""

    max_tries: int


class RunStore:
    """
    The record of one task instance.

    :param store: Airflow's task state store; None where there is none, and nothing is recorded.
    :param ti: the task instance.
    :param clock: where time comes from.
    """

    def __init__(self, store: StateStore | None, ti: TaskInstance, clock: Clock) -> None:
        self._store = store
        self._max_tries = ti.max_tries
        self._clock = clock

    @property
    def works(self) -> bool:
        """Whether this Airflow can keep a record."""
        return self._store is not None

    def recall(self) -> Record | None:
        """Return the run that is on record, if it is recent enough to be of use."""
        value = self._store.get(KEY) if self._store is not None else None
        if not isinstance(value, Mapping) or not isinstance(value.get("run"), Mapping):
            return None
        try:
            time = float(value["time"])
            run = Run.from_json(value["run"])
            cleared = int(value["max_tries"]) != self._max_tries
        except (KeyError, TypeError, ValueError):
            return None
        return Record(run, time, cleared) if self._clock.now() - time < VALID_FOR.total_seconds() else None

    def remember(self, run: Run) -> None:
        """Put the run on record."""
        if self._store is not None:
            self._store.set(KEY, {"time": self._clock.now(), "max_tries": self._max_tries, "run": run.to_json()})

    async def aremember(self, run: Run) -> None:
        """Put the run on record from a coroutine. Airflow's calls block: the thread that waits for it makes them."""
        if self._store is not None:
            await sync_to_async(self.remember)(run)

    def forget(self) -> None:
        """Drop the record: the run has ended."""
        if self._store is not None:
            self._store.delete(KEY)
