"""
Where a run survives a worker that is lost: Airflow's task state store (Airflow 3.3 and later), or nowhere.

The record is written before the action is sent, and dropped when the run has ended. ``max_tries`` grows when a user
clears the task and stays when Airflow retries it: that tells the two apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Protocol

from asgiref.sync import sync_to_async

from hevo_provider.clock import Clock
from hevo_provider.runs.logger import Logger, log
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
    try_number: int


class RunStore:
    """
    The record of one task instance.

    :param store: Airflow's task state store; None where there is none, and nothing is recorded.
    :param ti: the task instance.
    :param clock: where time comes from.
    :param logger: where it is logged that Airflow cannot keep the record.
    """

    def __init__(self, store: StateStore | None, ti: TaskInstance, clock: Clock, logger: Logger = log) -> None:
        self._store = store
        self._max_tries = ti.max_tries
        self._try_number = ti.try_number
        self._clock = clock
        self._log = logger

    @property
    def works(self) -> bool:
        """Whether this Airflow can keep a record."""
        return self._store is not None

    @property
    def may_have_forgotten(self) -> bool:
        """Whether a try before this one may have started a job of which nothing is on record."""
        return self._store is None and self._try_number > 1

    def recall(self, connection_id: str) -> Record | None:
        """
        Return the run that is on record, if it is recent enough to be of use.

        :param connection_id: the connection of the task, which a record of version 1.0.0 does not name.
        """
        value = self._store.get(KEY) if self._store is not None else None
        if not isinstance(value, Mapping) or not isinstance(value.get("run"), Mapping):
            return None
        try:
            time = float(value["time"])
            run = Run.from_json({"connection_id": connection_id, **value["run"]})
            cleared = int(value["max_tries"]) != self._max_tries
        except (KeyError, TypeError, ValueError):
            return None
        return Record(run, time, cleared) if self._clock.now() - time < VALID_FOR.total_seconds() else None

    async def aremember(self, run: Run) -> None:
        """
        Put the run on record before its action is sent. Airflow's calls block: the thread that waits makes them.

        :raises Exception: whatever Airflow raises where it cannot: then nothing is sent.
        """
        if self._store is not None:
            await sync_to_async(self._write)(run)

    async def aupdate(self, run: Run) -> None:
        """Bring the record up to date, if that can be done: the wait goes on all the same."""
        if self._store is not None:
            await sync_to_async(self.update)(run)

    def update(self, run: Run) -> None:
        """Bring the record up to date, if that can be done: the task goes on all the same."""
        with self._whatever_airflow_says(run, "A retry may not find its job"):
            self._write(run)

    def forget(self, run: Run) -> None:
        """Drop the record, if that can be done: the run has ended, which its failure would not change."""
        with self._whatever_airflow_says(run, "A retry may come upon its job"):
            if self._store is not None:
                self._store.delete(KEY)

    def _write(self, run: Run) -> None:
        if self._store is not None:
            self._store.set(KEY, {"time": self._clock.now(), "max_tries": self._max_tries, "run": run.to_json()})

    @contextmanager
    def _whatever_airflow_says(self, run: Run, consequence: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # noqa: BLE001 - each version and backend has errors of its own
            self._log.warning(
                "Pipeline %s: the record of the run could not be changed (%s: %s). %s.",
                run.pipeline_id,
                type(error).__name__,
                error,
                consequence,
            )
