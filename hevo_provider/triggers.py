"""``HevoJobTrigger``: a run is waited for in the triggerer, where a waiting task costs almost nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from hevo_provider.exceptions import HevoError, HevoRunError, HevoTransportError
from hevo_provider.hooks import DEFAULT_CONNECTION_ID, LOOK_UP_TIMEOUT, HevoHook
from hevo_provider.kill import was_killed
from hevo_provider.runs.cancel import cancel_job_of, end_in_time
from hevo_provider.runs.events import event_of, event_of_error
from hevo_provider.runs.outcome import Ending, Outcome
from hevo_provider.runs.run import Run
from hevo_provider.runs.wait import Wait
from hevo_provider.runs.weather import Weather
from hevo_provider.sessions import SharedClient

# Seconds. Airflow fails a task that runs again before the scheduler has seen the end of the process that deferred it
# ("finished with state success, but the task instance's state attribute is running"). That can take 6 s: if a worker of
# Airflow 3 sees the process close its files just before it is gone, it looks again after its heartbeat interval of 5 s.
SHORTEST_DEFERRAL = 8.0
LAST_LOOK_UP = 10.0  # seconds that a look-up of the connection may at least take when the deadline is there

_LAST_WORK: set[asyncio.Task[None]] = set()  # what outlives its trigger: an event loop keeps only weak references


class HevoJobTrigger(BaseTrigger):
    """
    Wait for a run, and send one event about how it ended.

    It sends nothing but GETs, so it can run twice at once and start again anywhere; and, when the run's deadline has
    passed or the task was killed, the one request that cancels the job.

    Class path and parameters are stored in Airflow's database: they only ever grow.

    :param pipeline_id: the pipeline.
    :param connection_id: the Airflow connection.
    :param run_token: tells this wait from later ones of the same task.
    :param run: what else is known of the run: see :class:`hevo_provider.runs.run.Run`. To follow a job until it ends,
        ``job_id`` is enough.
    """

    def __init__(
        self,
        pipeline_id: int,
        connection_id: str = DEFAULT_CONNECTION_ID,
        run_token: str | None = None,
        **run: Any,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.connection_id = connection_id
        self.run_token = run_token
        self.ordered = Run(pipeline_id=pipeline_id, **run)
        self._wait: Wait | None = None

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return class path and parameters, to start this wait again elsewhere. No credentials are among them."""
        return (
            "hevo_provider.triggers.HevoJobTrigger",
            {"connection_id": self.connection_id, "run_token": self.run_token, **self.ordered.to_json()},
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, then send the event."""
        try:
            began = HevoHook.clock.monotonic()
            event = await self._event()
            if self.trigger_id is not None:  # not in dag.test(), which has no scheduler to wait for
                await HevoHook.clock.sleep(began + SHORTEST_DEFERRAL - HevoHook.clock.monotonic())
        except asyncio.CancelledError:
            if not hasattr(BaseTrigger, "on_kill"):  # before Airflow 3.3 this is all that a kill looks like
                await self._to_its_end(self._cancel_if_killed())
            raise
        yield TriggerEvent(event)

    async def on_kill(self) -> None:
        """Cancel the job if it was the user who ended the wait (called by Airflow 3.3 and later)."""
        await self._to_its_end(self._cancel_if_killed())

    async def _event(self) -> dict[str, Any]:
        try:
            client = await self._client()
            if client is None:
                return event_of(Outcome(Ending.TIMED_OUT, self.ordered))
            async with client as hevo:
                self._wait = Wait(hevo, self.ordered, self.log, self._found)
                return event_of(await end_in_time(hevo, await self._wait.until_done(), self.log))
        except HevoError as error:
            return event_of_error(error, self._latest())
        except Exception as error:
            # Airflow 2's dag.test() starts a trigger that raised again, for ever.
            self.log.exception("The wait for pipeline %s failed.", self.ordered.pipeline_id)
            return event_of_error(HevoRunError(f"{type(error).__name__}: {error}"), self._latest())

    async def _client(self) -> SharedClient | None:
        """
        Join those who use the connection's client, however long Airflow is too busy to look the connection up.

        :returns: None if the run's time was over before that.
        """
        run = self.ordered
        hook = HevoHook(self.connection_id, retry_limit=0)  # the wait repeats by itself: a look asks once
        weather = Weather(hook.clock, run.pipeline_id, run.api_outage_tolerance, self.log)
        deadline = float("inf") if run.deadline is None else run.deadline
        while True:
            client = hook.shared_client()
            time_left = deadline - hook.clock.now()
            try:
                # Also when time is over: there may be a job to cancel.
                async with asyncio.timeout(min(max(time_left, LAST_LOOK_UP), LOOK_UP_TIMEOUT)):
                    await client.join()
            except TimeoutError:
                error = HevoTransportError(f"Airflow did not look up the connection {self.connection_id!r} in time")
            except HevoTransportError as failure:
                error = failure
            else:
                return client
            if time_left <= 0:
                return None
            pause = weather.pause_after(error, run.job_id)
            await hook.clock.sleep(max(0.0, min(pause, deadline - hook.clock.now())))

    async def _found(self, run: Run) -> None:
        self.ordered = run  # without what only served to tell the job from others: it may run for days

    def _latest(self) -> Run:
        return self.ordered if self._wait is None else self._wait.run

    async def _cancel_if_killed(self) -> None:
        run = self._latest()
        if not run.cancel_on_kill or not run.is_ours:
            return
        try:
            killed = await was_killed(
                self.task_instance,
                trigger_id=self.trigger_id,
                run_token=self.run_token,
                waits_for_end=run.wait_for_completion,
            )
            if killed:
                async with HevoHook(self.connection_id).client() as hevo:
                    await cancel_job_of(hevo, run, self.log)
        except Exception:
            self.log.exception("Pipeline %s: the job was not cancelled and may still run.", run.pipeline_id)

    @staticmethod
    async def _to_its_end(work: Any) -> None:
        """Do work that Airflow's repeated cancelling does not reach: 3.3 gives ``on_kill`` no more than a second."""
        task = asyncio.ensure_future(work)
        _LAST_WORK.add(task)
        task.add_done_callback(_LAST_WORK.discard)
        await asyncio.shield(task)
