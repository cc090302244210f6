"""A worker's part of a run: go on with what an earlier try has left, or start; and, where it stays, wait."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from hevo_provider.client.budget import Purpose, Turn, asking_as
from hevo_provider.clock import Clock
from hevo_provider.exceptions import HevoError
from hevo_provider.models.answers import Pipeline
from hevo_provider.runs.cancel import end_in_time
from hevo_provider.runs.error_table import may_pass
from hevo_provider.runs.logger import Logger, log
from hevo_provider.runs.outcome import Ending, Outcome
from hevo_provider.runs.resume import Record, go_on_from
from hevo_provider.runs.run import Fate, Phase, Run
from hevo_provider.runs.start import Start, put_off
from hevo_provider.runs.wait import Connect, Wait

# Seconds that a start waits for Hevo's limit in its worker, of the five that Hevo may ask a worker to wait. After that
# it waits in the triggerer.
LONGEST_WAIT_FOR_LIMIT = 4.0


class Store(Protocol):
    """Where a run survives a worker that is lost."""

    async def aremember(self, run: Run) -> None:
        """Put the run on record, or raise."""

    async def aupdate(self, run: Run) -> None:
        """Bring the record up to date, if that can be done."""


class Course:
    """
    The course of a run in one worker.

    :param connect: returns a client, the same each time; it fails as long as Airflow cannot look the connection up.
    :param clock: where time comes from.
    :param store: where the run is put on record.
    :param logger: where it is logged.
    :param on_found: called with the run when a wait in this process has found its job.
    :param may_be_cancelled: see :class:`~hevo_provider.runs.start.Start`.
    :param on_start: called when the action was sent, with whether Hevo's answer to it is known.
    """

    def __init__(
        self,
        connect: Connect,
        clock: Clock,
        store: Store,
        logger: Logger = log,
        on_start: Callable[[bool], None] = lambda _: None,
        *,
        on_found: Callable[[Run], Awaitable[None]] | None = None,
        may_be_cancelled: bool = False,
    ) -> None:
        self._connect = connect
        self._clock = clock
        self._store = store
        self._log = logger
        self._on_start = on_start
        self._on_found = on_found
        self._may_be_cancelled = may_be_cancelled
        self._at: Start | Wait | None = None
        self.pipeline: Pipeline | None = None  # as a start has seen it

    @property
    def run(self) -> Run | None:
        """How far the run has come; None before anything was begun."""
        return None if self._at is None else self._at.run

    async def begin(self, run: Run, record: Record | None) -> Run | Outcome:
        """
        Start the run, or go on with what an earlier try has started.

        :param record: what that has left.
        :returns: the run to wait for, or its outcome where there is nothing to wait for.
        :raises HevoError: see :meth:`~hevo_provider.runs.start.Start.go`.
        """
        with asking_as(Turn(Purpose.START, patience=LONGEST_WAIT_FOR_LIMIT)):
            return await self._begin(run, record)

    async def _begin(self, run: Run, record: Record | None) -> Run | Outcome:
        try:
            hevo = await self._connect()
            earlier = None
            if record is not None and run.is_new:
                earlier = await go_on_from(hevo, run, record, self._log)
        except HevoError as error:
            is_known = record is not None and record.run.order.connection_id == run.order.connection_id
            if not may_pass(error, knows_hevo=run.knows_hevo or is_known, starts=True):
                raise
            return put_off(run.has_been_answered(), error, self._clock.now(), self._log)
        if earlier is not None:
            return earlier
        start = self._at = Start(
            hevo,
            run,
            remember=self._store.aremember,
            update=self._store.aupdate,
            may_be_cancelled=self._may_be_cancelled,
            logger=self._log,
        )
        begun = await start.go()
        self.pipeline = start.pipeline
        if start.fresh is not None:
            return Outcome(Ending.FRESH, begun, start.fresh)
        if begun.posts > run.posts:
            self._on_start(begun.fate is not Fate.UNKNOWN)
        if begun.phase is Phase.READY and begun.order.is_over(self._clock.now()):  # it may have been queued for long
            return Outcome(Ending.TIMED_OUT, begun)
        if begun.phase is not Phase.READY:  # before the POST, what became of it could not be on record
            await self._store.aupdate(begun)
        return begun

    async def to_its_end(self, run: Run, record: Record | None) -> Outcome:
        """
        Do all of it in this process.

        :param record: what an earlier try has left.
        :returns: how the run ended.
        """
        turn = Turn(Purpose.START)
        while True:
            with asking_as(turn):
                begun = await self._begin(run, record)
            if isinstance(begun, Outcome):
                return begun
            wait = self._at = Wait(begun, self._clock, self._log, self._found)
            outcome = await end_in_time(self._connect, await wait.until_done(self._connect), self._log)
            if outcome.ending is not Ending.START:
                return outcome
            run, turn.paid = outcome.run, begun.afford  # what the wait has made room for is sent here

    async def _found(self, run: Run) -> None:
        await self._store.aupdate(run)
        if self._on_found is not None:
            await self._on_found(run)
