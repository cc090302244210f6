"""``HevoJobTrigger``: a run is waited for in the triggerer, where a waiting task costs almost nothing."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from airflow.triggers.base import BaseTrigger, TaskSuccessEvent, TriggerEvent

from hevo_provider import codes
from hevo_provider.client.calls import HevoAsyncClient
from hevo_provider.client.shared import SharedClient
from hevo_provider.clock import Clock, process_clock
from hevo_provider.compat import (
    JOB_ID_KEY,
    RUN_MARK_KEY,
    RUN_TOKEN_KEY,
    is_still_waited_for,
    push_from_triggerer,
    triggers_are_told_of_a_kill,
)
from hevo_provider.exceptions import HevoConfigError, HevoError, HevoRunError, HevoTransportError
from hevo_provider.hooks import HevoHook
from hevo_provider.links import PAGE_KEY, page_of
from hevo_provider.metrics import count_end
from hevo_provider.models.enums import JobStatus
from hevo_provider.parameters import DEFAULT_CONNECTION_ID, moment_of
from hevo_provider.runs.by_name import Naming
from hevo_provider.runs.cancel import cancel_job_of, end_in_time
from hevo_provider.runs.error_table import fails_for_good
from hevo_provider.runs.events import BEGIN, JOB_KEY, event_of, event_of_error, facts_told, read_event
from hevo_provider.runs.outcome import Ending, Outcome
from hevo_provider.runs.run import Run, unknown_in
from hevo_provider.runs.wait import Wait
from hevo_provider.runs.words import end_in_words, pipeline_in_words

# Seconds. Airflow fails a task that runs again before the scheduler has seen the end of the process that deferred it
# ("finished with state success, but the task instance's state attribute is running"). That can take 6 s: if a worker of
# Airflow 3 sees the process close its files just before it is gone, it looks again after its heartbeat interval of 5 s.
SHORTEST_DEFERRAL = 8.0
PUSH_TIMEOUT = 10.0  # seconds for what is only nice to know
XCOM_TIMEOUT = 60.0  # seconds that a triggerer may take to keep a task's XComs; all of its triggers stand in one line
LAST_CONNECT = 10.0  # seconds that it may take to get a client for the cancel when the deadline is there

A_FAULT = "The wait failed by a fault of its own"

_LAST_WORK: set[asyncio.Task[None]] = set()  # what outlives its trigger: an event loop keeps only weak references


class HevoJobTrigger(BaseTrigger):
    """
    Wait for a run, and send one event about how it ended.

    It sends nothing but GETs, so it can run twice at once and start again anywhere; and, when the run's deadline has
    passed or the task was killed, the one request that cancels the job.

    Class path and parameters are stored in Airflow's database: they only ever grow.

    :param pipeline_id: the pipeline.
    :param connection_id: the Airflow connection.
    :param run_token: tells this wait from later ones of the same task, where version 1.0.0 has stored it.
    :param run_mark: the same since then. Another name, so that a triggerer of version 1.0.0, which searches for the
        XCom of that time, does not take a waiting task for a killed one.
    :param run: what else is known of the run: see :class:`hevo_provider.runs.order.Order` and
        :class:`hevo_provider.runs.run.Run`. To follow a job until it ends, ``job_id`` is enough.
    :raises TypeError: they are not understood; Airflow fails the task then.
    """

    def __init__(
        self,
        pipeline_id: int,
        connection_id: str = DEFAULT_CONNECTION_ID,
        run_token: str | None = None,
        run_mark: str | None = None,
        **run: Any,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.logger()  # one for all: of its own each would have 1 KB, and a triggerer has thousands
        self.connection_id = connection_id
        self.marks = {RUN_TOKEN_KEY: run_token, RUN_MARK_KEY: run_mark}
        try:
            self.ordered = Run.from_json({"pipeline_id": pipeline_id, "connection_id": connection_id, **run})
        except (KeyError, ValueError) as error:
            # A triggerer survives nothing but a TypeError here (3.3.2): all else ends it, with every task's triggers.
            what = "is this triggerer's version of the provider older than the worker's?"
            raise TypeError(
                f"What is stored of a wait for pipeline {pipeline_id} is not understood: {error}; {what}"
            ) from None
        if unknown := unknown_in(run):
            self.log.debug("A later version has stored what this one does not know: %s.", ", ".join(unknown))
        self._wait: Wait | None = None
        self._client: SharedClient | None = None

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return class path and parameters, to start this wait again elsewhere. No credentials are among them."""
        marks = {"run_token": self.marks[RUN_TOKEN_KEY], "run_mark": self.marks[RUN_MARK_KEY]}
        given = {name: mark for name, mark in marks.items() if mark is not None}
        return "hevo_provider.triggers.HevoJobTrigger", {**given, **self.ordered.to_json()}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, then send the event."""
        clock = process_clock()
        # The worker has logged that a line follows if a triggerer runs.
        self.log.info("Pipeline %s: waiting in the triggerer.", pipeline_in_words(self.ordered))
        try:
            began = clock.monotonic()
            event = await self._event()
            if self.trigger_id is not None:  # not in dag.test(), which has no scheduler to wait for
                await clock.sleep(began + SHORTEST_DEFERRAL - clock.monotonic())
        except asyncio.CancelledError:
            if not triggers_are_told_of_a_kill():  # then this is all that a kill looks like
                await self._to_its_end(self._cancel_if_killed())
            raise
        yield TriggerEvent(event)

    async def on_kill(self) -> None:
        """Cancel the job if it was the user who ended the wait (called by Airflow 3.3 and later)."""
        await self._to_its_end(self._cancel_if_killed())

    async def _event(self) -> dict[str, Any]:
        try:
            self._wait = Wait(self.ordered, process_clock(), self.log, self._found)
            outcome = await self._until_done(self._wait)
            return event_of(await end_in_time(self._connect_at_last, outcome, self.log))
        except HevoError as error:
            return event_of_error(error, self._latest())
        except Exception as error:
            # Airflow 2's dag.test() starts a trigger that raised again, for ever.
            self.log.exception("The wait for pipeline %s failed.", self.ordered.pipeline_id)
            return event_of_error(HevoRunError(f"{A_FAULT}: {type(error).__name__}: {error}"), self._latest())
        finally:
            if self._client is not None:
                client, self._client = self._client, None
                await client.leave()

    async def _until_done(self, wait: Wait) -> Outcome:
        return await wait.until_done(self._connect)

    async def _connect(self) -> HevoAsyncClient:
        """Join those who use the connection's client, and stay with them until the wait is over."""
        if self._client is None:
            # The wait repeats by itself: each request is sent once. A client that was not to be had is given up.
            client = HevoHook(self.connection_id, retry_limit=0).shared_client()
            await client.join()
            self._client = client
        return await self._client.join()

    async def _connect_at_last(self) -> HevoAsyncClient:
        try:
            async with asyncio.timeout(LAST_CONNECT):
                return await self._connect()
        except TimeoutError:
            what = f"Airflow did not look up the connection {self.connection_id!r} in time"
            raise HevoTransportError(what, sent=False, code=codes.NOT_LOOKED_UP) from None

    async def _found(self, run: Run) -> None:
        is_news = run.job_id is not None and run.job_id != self.ordered.job_id
        self.ordered = run  # without what only served to tell the job from others: it may run for days
        if is_news and self.task_instance is not None:
            try:
                async with asyncio.timeout(PUSH_TIMEOUT):
                    await push_from_triggerer(self.task_instance, {JOB_ID_KEY: str(run.job_id)})
            except Exception as error:  # noqa: BLE001 - each version has errors of its own, and the wait goes on
                self.log.debug("The XCom %s could not be pushed: %s: %s", JOB_ID_KEY, type(error).__name__, error)

    def _latest(self) -> Run:
        return self.ordered if self._wait is None else self._wait.run

    async def _cancel_if_killed(self) -> None:
        run = self._latest()
        if not run.order.cancel_on_kill or not run.is_ours:
            return
        try:
            is_waited_for = await is_still_waited_for(
                self.task_instance,
                trigger_id=self.trigger_id,
                marks=self.marks,
                waits_for_end=run.order.wait_for_completion,
            )
            if not is_waited_for:
                async with HevoHook(self.connection_id).client() as hevo:
                    await cancel_job_of(hevo, run, self.log)
        except Exception:
            self.log.exception("Pipeline %s: the job was not cancelled and may still run.", run.pipeline_id)

    @staticmethod
    async def _to_its_end(work: Awaitable[None]) -> None:
        """Do work to its end, however often Airflow cancels it: 3.3 gives ``on_kill`` no more than a second."""
        task = asyncio.ensure_future(work)
        _LAST_WORK.add(task)
        task.add_done_callback(_LAST_WORK.discard)
        await asyncio.shield(task)


class HevoPipelineNameTrigger(BaseTrigger):
    """
    Look a pipeline's name up, and send one event with its id.

    A worker tries that itself first. It leaves it to this trigger where something is in the way that is endured, such
    as Hevo's limit: else a hundred tasks that begin at once would hold a hundred workers.

    Class path and parameters are stored in Airflow's database: they only ever grow.

    :param pipeline_name: the name.
    :param connection_id: the Airflow connection.
    :param deadline: seconds since the epoch after which it is given up.
    :param api_outage_tolerance: seconds without a usable answer from Hevo after which it is given up.
    :param knows_hevo: whether Hevo has answered the task well before.
    """

    def __init__(
        self,
        pipeline_name: str,
        connection_id: str,
        deadline: float,
        api_outage_tolerance: float = 1800.0,
        knows_hevo: bool = False,
        **_: Any,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.pipeline_name = pipeline_name
        self.connection_id = connection_id
        self.deadline = deadline
        self.api_outage_tolerance = api_outage_tolerance
        self.knows_hevo = knows_hevo

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return class path and parameters, to start this elsewhere. No credentials are among them."""
        about = {"pipeline_name": self.pipeline_name, "connection_id": self.connection_id}
        how = {"api_outage_tolerance": self.api_outage_tolerance, "knows_hevo": self.knows_hevo}
        return "hevo_provider.triggers.HevoPipelineNameTrigger", {**about, "deadline": self.deadline, **how}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look the name up, then send the event."""
        clock = process_clock()
        began = clock.monotonic()
        self.log.info("The pipeline %r is looked up in the triggerer.", self.pipeline_name)
        event: dict[str, Any] = {"pipeline_name": self.pipeline_name, "connection_id": self.connection_id}
        try:
            event |= await self._look_up(clock)
        except HevoError as error:
            event |= {"error": error.text, "code": error.code.name, "fails_for_good": fails_for_good(error)}
        except Exception as error:
            # Airflow 2's dag.test() starts a trigger that raised again, for ever.
            self.log.exception("Looking up the pipeline %r failed.", self.pipeline_name)
            event["error"] = f"{A_FAULT}: {type(error).__name__}: {error}"
        if self.trigger_id is not None:
            await clock.sleep(began + SHORTEST_DEFERRAL - clock.monotonic())
        yield TriggerEvent(event)

    async def _look_up(self, clock: Clock) -> dict[str, Any]:
        client: SharedClient | None = None

        async def connect() -> HevoAsyncClient:
            nonlocal client
            if client is None:  # the loop pauses, up to the deadline; a client that was not to be had is given up
                opened = HevoHook(self.connection_id, longest_pause=0.0).shared_client()
                await opened.join()
                client = opened
            return await client.join()

        naming = Naming(
            self.pipeline_name,
            clock,
            self.log,
            tolerance=self.api_outage_tolerance,
            knows_hevo=self.knows_hevo,
            starts=False,
        )
        try:
            found = await naming.until_done(connect, self.deadline)
        finally:
            if client is not None:
                await client.leave()
        if naming.trouble is not None:
            return {"error": naming.trouble.text, "code": naming.trouble.code.name, "is_late": True}
        return {"pipeline_id": found}


class HevoSensorTrigger(HevoJobTrigger):
    """
    Wait for a sensor that has no worker: it starts here, and ends here where its job has completed.

    Every other outcome goes to a worker, in the one event that every trigger sends: only a worker can fail a task with
    a message, an exception for callbacks and a rule for retries. Where the template of ``completed_after`` cannot be
    rendered here, a worker begins.

    Airflow makes the trigger from the DAG file, so nothing in its parameters is about one run. When the wait began
    follows from its time-out, which Airflow sets.

    :param pipeline_id: the pipeline.
    :param connection_id: the Airflow connection.
    :param run_token: as for ``HevoJobTrigger``.
    :param completed_after: as for the sensor: a template, which Airflow renders, the text of a time, or None.
    :param lasts: seconds from the task's start to the trigger's time-out, as Airflow was told.
    :param limit: seconds from the task's start after which the wait ends.
    :param returns: whether success leaves the job's id as the task's return value.
    :param ends_here: False leaves success to a worker too.
    :param run: as for ``HevoJobTrigger``.
    """

    def __init__(
        self,
        pipeline_id: int,
        connection_id: str = DEFAULT_CONNECTION_ID,
        run_token: str | None = None,
        *,
        completed_after: str | None = None,
        lasts: float = 0.0,
        limit: float = math.inf,
        returns: bool = True,
        ends_here: bool = True,
        **run: Any,
    ) -> None:
        super().__init__(pipeline_id, connection_id, run_token, **run)
        self.completed_after = completed_after
        self._given = {
            "completed_after": completed_after,
            "lasts": lasts,
            "limit": limit,
            "returns": returns,
            "ends_here": ends_here,
        }
        self._lasts, self._limit = lasts, limit
        self._returns, self._ends_here = returns, ends_here
        self._host: str | None = None
        self._unrendered: Exception | None = None
        self.timeout_after: datetime | None = None  # Airflow tells it

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return class path and parameters, to start this wait again elsewhere. No credentials are among them."""
        return "hevo_provider.triggers.HevoSensorTrigger", {**super().serialize()[1], **self._given}

    def render_template_fields(self, context: Any, jinja_env: Any = None) -> None:
        """Render ``completed_after``. What is wrong with it a worker finds out, who can say so in the task's log."""
        try:
            super().render_template_fields(context, jinja_env)
        except Exception as error:  # noqa: BLE001 - a template may raise anything
            self._unrendered = error

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, then end the task or send the event."""
        began_at = self._began_at()
        why = self._unrendered
        if why is None:
            try:
                self.ordered = self._ordered_since(began_at)
            except HevoConfigError as error:
                why = error
        if why is not None:
            self.log.info("A worker begins: completed_after is not known here (%s: %s).", type(why).__name__, why)
            yield TriggerEvent(BEGIN)
            return
        await self._show_page()
        event = await self._event()
        yield await self._success_of(event, began_at) or TriggerEvent(event)

    async def _show_page(self) -> None:
        """Push the address of the pipeline's page, for the task's link, as a worker would. Never fails the wait."""
        try:
            async with asyncio.timeout(PUSH_TIMEOUT):
                page = page_of(await HevoHook(self.connection_id).asettings(), self.ordered.pipeline_id)
                await push_from_triggerer(self.task_instance, {PAGE_KEY: page})
        except Exception as error:  # noqa: BLE001 - each version and secrets backend has errors of its own
            self.log.warning("There is no link to the pipeline: %s: %s", type(error).__name__, error)

    def _began_at(self) -> float:
        """Return when the task started, in seconds since the epoch: also where this triggerer has taken it over."""
        over = self.timeout_after
        if over is None:
            return process_clock().now()
        return (over if over.tzinfo is not None else over.replace(tzinfo=UTC)).timestamp() - self._lasts

    def _ordered_since(self, began_at: float) -> Run:
        """
        Return the run that is asked for.

        :raises HevoConfigError: ``completed_after`` rendered to no time.
        """
        run, order = self.ordered, self.ordered.order
        since = None
        if self.completed_after is not None:
            since = int(moment_of("completed_after", self.completed_after).timestamp() * 1000)
        # A triggerer that takes over has no baseline: what has come since the start counts, and no poll is lost to the
        # time that has passed.
        late = max(0.0, process_clock().now() - began_at)
        more = math.ceil(late / (order.find_interval or order.poll_interval)) if order.retry_limit > 1 else 0
        order = replace(
            order,
            completed_after=since,
            deadline=began_at + self._limit,
            retry_limit=order.retry_limit + more,
        )
        return run.under(order).without_baseline(None if run.job_id else began_at)

    async def _connect(self) -> HevoAsyncClient:
        hevo = await super()._connect()
        self._host = hevo.host
        return hevo

    async def _until_done(self, wait: Wait) -> Outcome:
        return await wait.until_done(self._connect, at_once=True)

    async def _success_of(self, event: dict[str, Any], began_at: float) -> TaskSuccessEvent | None:
        """Return what ends the task here; None where a worker has to."""
        told = read_event(event)
        job = told.job
        if not self._ends_here or told.ending is not Ending.ENDED or job is None or job.status != JobStatus.COMPLETED:
            return None
        run = (told.run or self.ordered).reached_at(self._host)
        xcoms: dict[str, Any] = {JOB_KEY: {**facts_told(run, job), "worker_seconds": 0.0}}
        if self._returns:
            xcoms["return_value"] = job.job_id
        try:
            async with asyncio.timeout(XCOM_TIMEOUT):
                await push_from_triggerer(self.task_instance, xcoms)
        except Exception as error:  # noqa: BLE001 - each version and XCom backend has errors of its own
            self.log.warning("A worker ends the sensor: its XComs are not kept here (%s).", type(error).__name__)
            return None
        self.log.info("%s: %s.", pipeline_in_words(run), end_in_words(job))
        count_end(run.pipeline_id, job, process_clock().now() - began_at)
        return TaskSuccessEvent()
