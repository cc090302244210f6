"""
One watcher of a pipeline: what it wants to know, what it has told, and where that is stored.

An event is in Airflow's database a second or two after it was sent. What was told is stored after that and not before:
a triggerer that dies in between tells it again rather than never. Two events for one job have the same ``job_id``; an
event that is missing is a DAG that never runs.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from hevo_provider.clock import Clock
from hevo_provider.models.answers import Job
from hevo_provider.watching.watermark import Round, Watermark

log = logging.getLogger(__name__)

STORE_TIMEOUT = 60.0  # seconds: a triggerer's first answer takes some 10 s; one that shuts down may never give it
STORE_EVERY = 3600.0  # seconds, where there is no news: the older a watermark is, the more jobs there are to read


class WatermarkStore:
    """
    Where a watermark survives the process: Airflow's store of an asset (Airflow >= 3.3), or nowhere.

    :param store: has ``aget`` and ``aset``; None where Airflow has none.
    :param key: names the watermark in the store.
    """

    def __init__(self, store: Any, key: str) -> None:
        self._store = store
        self._key = key

    async def read(self) -> Watermark | None:
        """
        Return the watermark; None if there is none.

        :raises Exception: whatever Airflow raises where the store cannot be asked.
        """
        if self._store is None:
            return None
        try:
            stored = await self._store.aget(self._key)
        except ValueError as error:  # Airflow runs equal triggers of several assets as one, which then has several
            if type(error) is not ValueError:
                raise  # an answer that cannot be read is one too, of a kind of its own
            log.error("%s: nothing is remembered (%s). Give each asset a trigger that names it.", self._key, error)
            self._store = None
            return None
        try:
            return None if stored is None else Watermark.from_json(stored)
        except ValueError as error:
            log.warning("What was stored as %s is %s. Watching on without it.", self._key, error)
            return None

    async def write(self, watermark: Watermark) -> None:
        """Store the watermark."""
        if self._store is not None:
            await self._store.aset(self._key, watermark.to_json())


class Watcher:
    """
    One watcher of a pipeline.

    :param pipeline: its id, or its name.
    :param wants: whether it wants to know of a job that has ended so.
    :param store: where its watermark survives.
    :param clock: where time comes from.
    """

    def __init__(self, pipeline: int | str, wants: Callable[[Job], bool], store: WatermarkStore, clock: Clock) -> None:
        self.watermark: Watermark | None = None
        self._pipeline = pipeline
        self._wants = wants
        self._store = store
        self._clock = clock
        self._written_at = float("-inf")
        self._is_overrun = False
        self._trouble: str | None = None

    async def read_store(self) -> None:
        """Read what an earlier process has stored, so that the next round goes back so far."""
        await self._safely(self._read)

    async def news(self, round_: Round) -> tuple[Job, ...]:
        """
        Return the jobs to tell.

        Of the first round of all there are none: its jobs are where the watch begins. Nor is there anything to tell
        while the store cannot be read, for it may all have been told before.
        """
        if self.watermark is None and not await self._safely(self._read):
            return ()
        if self.watermark is None:
            self.watermark = Watermark.at(round_)
            log.info("Pipeline %s: watching for jobs that end from now on.", self._pipeline)
            await self._write(self.watermark)
            return ()
        if not self.watermark.is_reached_by(round_):
            return ()  # it was taken before this watcher was there: the next one goes back further
        self._tell_of_overrun(self.watermark, round_)
        if self.watermark.news(round_, self._wants) and not await self._safely(self._read):
            return ()
        jobs = self.watermark.news(round_, self._wants)
        self.watermark = self.watermark.after(round_, jobs)
        return jobs

    def has_told(self, round_: Round, jobs: Sequence[Job]) -> None:
        """
        Take note that all news of a round are with Airflow, to be stored once they are in its database.

        :param jobs: what was told.
        """
        watermark = self.watermark
        if watermark is not None and (jobs or self._clock.monotonic() - self._written_at >= STORE_EVERY):
            round_.receipts.append(lambda: self._write(watermark))

    def _tell_of_overrun(self, watermark: Watermark, round_: Round) -> None:
        """Say once that there may be news beyond what was read: of a long list in no order there is in every round."""
        was_overrun, self._is_overrun = self._is_overrun, watermark.is_overrun_by(round_)
        if self._is_overrun and not was_overrun:
            log.warning(
                "Pipeline %s: there are more jobs since the last round than the %s that were read, or they do not come "
                "newest first. No event is sent for the others.",
                self._pipeline,
                f"{len(round_.listing.jobs):,}",
            )

    async def _read(self) -> None:
        # Also what another triggerer has told: it gets the triggers of one that stalls, which goes on when it wakes.
        stored = await self._store.read()
        if stored is not None:
            self.watermark = stored if self.watermark is None else self.watermark.joined_with(stored)

    async def _write(self, watermark: Watermark) -> None:
        async def write() -> None:
            stored = await self._store.read()
            await self._store.write(watermark if stored is None else watermark.joined_with(stored))
            self._written_at = self._clock.monotonic()

        if not await self._safely(write):
            self._written_at = float("-inf")  # with the next round

    async def _safely(self, work: Callable[[], Awaitable[None]]) -> bool:
        """Read or write the store; return whether Airflow let it be done, and log it once if not."""
        try:
            async with asyncio.timeout(STORE_TIMEOUT):
                await work()
        except Exception as error:  # noqa: BLE001 - each version and state backend has errors of its own
            kind = type(error).__name__
            if kind != self._trouble:
                self._trouble = kind
                log.error(
                    "Pipeline %s: which of its jobs were told cannot be read or kept in Airflow's asset state store "
                    "(%s: %s). Trying again in every round; until it can be read, no event is sent.",
                    self._pipeline,
                    kind,
                    str(error) or "no answer",
                )
            return False
        if self._trouble is not None:
            self._trouble = None
            log.info("Pipeline %s: Airflow's asset state store works again.", self._pipeline)
        return True
