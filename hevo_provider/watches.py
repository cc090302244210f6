"""
The poll of a watched pipeline: one for all its watchers, and without end.

No task waits for a watcher, so none would fail with it: Airflow starts one that raises again a second later, for ever.
So nothing ends the loop here: what keeps it from looking is told once, and tried again until it is mended.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from typing import Any
from weakref import WeakKeyDictionary, WeakSet, WeakValueDictionary

from hevo_provider.exceptions import HevoError
from hevo_provider.hooks import HevoHook
from hevo_provider.metrics import count_retry
from hevo_provider.runs.watch import Lookout
from hevo_provider.runs.watermark import Look
from hevo_provider.runs.weather import LONGEST_PAUSE, WEATHER, Weather
from hevo_provider.sessions import SharedClient
from hevo_provider.watchers import Watcher

log = logging.getLogger(__name__)

Key = tuple[str, int, float]


class PipelineWatch:
    """
    The poll of a pipeline.

    :param connection_id: the Airflow connection.
    :param pipeline_id: the pipeline.
    :param poll_interval: seconds between looks.
    """

    def __init__(self, connection_id: str, pipeline_id: int, poll_interval: float) -> None:
        self.pipeline_id = pipeline_id
        self.poll_interval = poll_interval
        self.watchers: WeakSet[Watcher] = WeakSet()
        """Those for whom is looked; the last look goes back as far as one of them needs."""
        self._connection_id = connection_id
        self._clock = HevoHook.clock
        self._lookout = Lookout(pipeline_id)
        self._weather = Weather(self._clock, pipeline_id, float("inf"), log)
        self._obstacle: str | None = None

    async def looks(self) -> AsyncGenerator[Look, None]:
        """Look for ever."""
        client: SharedClient | None = None
        is_spread = False
        try:
            while True:
                look: Look | None = None
                try:
                    if client is None:  # a new hook, which looks the connection up; a look asks once: the loop repeats
                        client = HevoHook(self._connection_id, retry_limit=0).shared_client()
                    hevo = await client.join()
                    look = await self._lookout.look(hevo, [w.watermark for w in self.watchers if w.watermark])
                except Exception as error:  # noqa: BLE001 - see above
                    pause = self._pause_after(error)
                    if client is not None:  # the connection may be changed meanwhile
                        left, client = client, None
                        await left.leave()
                else:
                    self._is_fine()
                    # Watches that began together do not look together.
                    pause = self.poll_interval if is_spread else random.uniform(0, self.poll_interval)  # noqa: S311
                    is_spread = True
                if look is not None:
                    yield look
                await self._clock.sleep(pause)
        finally:
            if client is not None:
                await client.leave()

    def _pause_after(self, error: Exception) -> float:
        """Tell what is in the way, once, and return the seconds until the next look."""
        if isinstance(error, WEATHER):
            try:
                pause = self._weather.pause_after(error, None)
            except HevoError as hopeless:  # credentials, or a pipeline that is not there
                error = hopeless
            else:
                count_retry()
                return pause
        kind = type(error).__name__
        if kind != self._obstacle:
            self._obstacle = kind
            log.error(
                "Pipeline %s is not watched: %s. Looking again every %g s until this is mended.",
                self.pipeline_id,
                str(error).rstrip(".") if isinstance(error, HevoError) else f"{kind}: {error}",
                LONGEST_PAUSE,
                exc_info=None if isinstance(error, HevoError) else error,
            )
        return LONGEST_PAUSE

    def _is_fine(self) -> None:
        self._weather.is_fine()
        if self._obstacle is not None:
            self._obstacle = None
            log.info("Pipeline %s is watched again.", self.pipeline_id)


_watches: WeakKeyDictionary[asyncio.AbstractEventLoop, WeakValueDictionary[Key, PipelineWatch]] = WeakKeyDictionary()


def watch_of(connection_id: str, pipeline_id: int, poll_interval: float) -> PipelineWatch:
    """Return the event loop's watch of a pipeline, for all who use it at the same time."""
    watches = _watches.setdefault(asyncio.get_running_loop(), WeakValueDictionary())
    key = (connection_id, pipeline_id, poll_interval)
    watch = watches.get(key)
    if watch is None:
        watch = watches[key] = PipelineWatch(*key)
    return watch


async def delivered_by_the_next(watch: PipelineWatch) -> AsyncGenerator[Look, None]:
    """
    Yield a watch's looks, where Airflow does not tell when an event has arrived.

    By the time of the next look it has: Airflow takes a second or two.
    """
    earlier: Look | None = None
    async with aclosing(watch.looks()) as looks:
        async for look in looks:
            if earlier is not None:
                await earlier.delivered()
            yield look
            earlier = look


def producer_of(watch: PipelineWatch) -> Any:
    """Return what Airflow >= 3.3 shares between triggers, and tells when their events are in its database."""
    from airflow.triggers.shared_stream import AdvanceItem, SharedStreamProducer

    class Producer(SharedStreamProducer):
        async def open_stream(self) -> AsyncIterator[tuple[Look, Look]]:
            async with aclosing(watch.looks()) as looks:
                async for look in looks:
                    yield look, look

        async def advance(self, batch: Sequence[AdvanceItem]) -> None:
            for item in batch:
                if not item.outcome.failed:
                    await item.broker_payload.delivered()

    return Producer()
