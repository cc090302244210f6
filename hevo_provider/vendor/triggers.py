"""``HevoTrigger``: what the vendor's package has stored in the database of an Airflow becomes a wait of this one's."""

from __future__ import annotations

import math
from contextlib import suppress
from typing import Any

from hevo_provider.compat import is_known_as_a_sensors
from hevo_provider.exceptions import HevoConfigError
from hevo_provider.models.enums import JobType
from hevo_provider.models.ids import pipeline_id_of
from hevo_provider.parameters import DEFAULT_CONNECTION_ID
from hevo_provider.runs.order import Action
from hevo_provider.runs.run import Ownership, Phase
from hevo_provider.triggers import HevoJobTrigger
from hevo_provider.vendor.parameters import SHORTEST_INTERVAL

DEFAULT_INTERVAL = 15.0  # seconds
_RESYNCS = {*JobType.RESYNC.wire_names, JobType.RESYNC_WITH_DROP_AND_LOAD.value}


class HevoTrigger(HevoJobTrigger):
    """
    Wait for the end of a job: use ``hevo_provider.triggers.HevoJobTrigger``, as which it is stored from now on.

    A row says which job its task has started, so that it is a run of ours from here on: a kill cancels the job. It
    never raises: on Airflow 3 a row that did would take the whole triggerer down.

    :param pipeline_id: the pipeline.
    :param connection_id: the Airflow connection; None is the default one.
    :param job_id: the job; None finds the active one, which is nobody's to cancel.
    :param job_type: the type of the job.
    :param poke_interval: seconds between polls, at least one.
    :param accept_completed_with_failures: whether COMPLETED_WITH_FAILURES counts as success.
    :param run: what :class:`~hevo_provider.triggers.HevoJobTrigger` takes.
    """

    def __init__(
        self,
        pipeline_id: Any,
        connection_id: str | None = None,
        job_id: str | None = None,
        job_type: str | None = None,
        poke_interval: float | None = None,
        accept_completed_with_failures: bool = False,
        **run: Any,
    ) -> None:
        with suppress(HevoConfigError):  # else the wait's first request says so, and fails the task
            pipeline_id = pipeline_id_of(pipeline_id)
        stored = {
            "poll_interval": _seconds_of(poke_interval),
            "accept_completed_with_failures": accept_completed_with_failures is True,
            **(_found(job_id, str(job_type)) if job_id else _sought(job_type)),
        }
        super().__init__(pipeline_id, connection_id or DEFAULT_CONNECTION_ID, **stored | run)

    async def _cancel_if_killed(self) -> None:
        # A sensor of theirs may have stored the same row, and a sensor cancels nothing.
        if not is_known_as_a_sensors(self.task_instance):
            await super()._cancel_if_killed()


def _found(job_id: str, job_type: str) -> dict[str, Any]:
    """Return the run of a task that has started a job."""
    return {
        "phase": Phase.WATCH.value,
        "job_id": job_id,
        "job_types": [job_type],
        "action": (Action.RESYNC if job_type in _RESYNCS else Action.SYNC_NOW).value,
        "posts": 1,  # so Hevo has answered this task before
        "ownership": Ownership.OURS.value,
    }


def _sought(job_type: str | None) -> dict[str, Any]:
    """Return the run of a task that has not found a job yet."""
    known = job_type if job_type in set(JobType) else JobType.INCREMENTAL
    return {"phase": Phase.FIND.value, "job_types": list(JobType(known).wire_names), "cancel_on_kill": False}


def _seconds_of(interval: object) -> float:
    if isinstance(interval, int | float) and math.isfinite(interval):
        return max(float(interval), SHORTEST_INTERVAL)
    return DEFAULT_INTERVAL
