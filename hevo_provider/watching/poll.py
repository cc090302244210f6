"""
The poll of a watched pipeline: one for all its watchers, and without end.

No task waits for a watcher, so none would fail with it: Airflow starts one that raises again a second later, for ever.
So nothing ends the loop here: what keeps it from polling is logged once, and it tries again until that is mended.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncGenerator
from contextlib import aclosing
from weakref import WeakKeyDictionary, WeakSet, WeakValueDictionary

from hevo_provider.client.budget import Purpose, Turn, asking_as
from hevo_provider.client.calls import HevoAsyncClient
from hevo_provider.client.shared import SharedClient
from hevo_provider.clock import process_clock
from hevo_provider.exceptions import HevoError, HevoNotFoundError
from hevo_provider.hooks import HevoHook
from hevo_provider.metrics import count_retry
from hevo_provider.runs.by_name import pipeline_id_of_name
from hevo_provider.runs.outage import LONGEST_PAUSE, Outage
from hevo_provider.watching.round import Rounds
from hevo_provider.watching.watcher import Watcher
from hevo_provider.watching.watermark import Round

log = logging.getLogger(__name__)

Key = tuple[str, int | str, float]


class PipelinePoll:
    """
    The poll of a pipeline.

    :param connection_id: the Airflow connection.
    :param pipeline: its id, or its name, which is looked up when the poll begins.
    :param poll_interval: seconds between polls.
    """

    def __init__(self, connection_id: str, pipeline: int | str, poll_interval: float) -> None:
        self.pipeline_id = pipeline if isinstance(pipeline, int) else None
        """The pipeline; None until it was looked up."""
        self.poll_interval = poll_interval
        self.watchers: WeakSet[Watcher] = WeakSet()
        """Those for whom is polled; each round goes back as far as one of them needs."""
        self._connection_id = connection_id
        self._clock = process_clock()
        self._pipeline = pipeline
        self._rounds: Rounds | None = None
        self._outage = Outage(self._clock, pipeline, float("inf"), log)
        self._obstacle: str | None = None

    async def rounds(self) -> AsyncGenerator[Round, None]:
        """Poll for ever."""
        client: SharedClient | None = None
        is_spread = False
        turn = Turn(Purpose.WATCH, interval=self.poll_interval)
        try:
            while True:
                round_: Round | None = None
                try:
                    if client is None:  # a new hook, which looks the connection up; a poll asks once: the loop repeats
                        client = HevoHook(self._connection_id, retry_limit=0).shared_client()
                    hevo = await client.join()
                    with asking_as(turn):
                        self._rounds = self._rounds or Rounds(await self._look_up(hevo))
                        round_ = await self._rounds.next(hevo, [w.watermark for w in self.watchers if w.watermark])
                except Exception as error:  # noqa: BLE001 - see above
                    pause = self._pause_after(error)
                    if client is not None:  # the connection may be changed meanwhile
                        left, client = client, None
                        await left.leave()
                else:
                    self._is_over()
                    # Polls that began together do not go on together.
                    pause = self.poll_interval if is_spread else random.uniform(0, self.poll_interval)  # noqa: S311
                    is_spread = True
                if round_ is not None:
                    yield round_
                await self._clock.sleep(pause)
        finally:
            if client is not None:
                await client.leave()

    async def _look_up(self, hevo: HevoAsyncClient) -> int:
        if isinstance(self._pipeline, str):
            self.pipeline_id = await pipeline_id_of_name(hevo, self._pipeline)
            log.info("The pipeline %r, which is watched, has the id %s.", self._pipeline, self.pipeline_id)
            return self.pipeline_id
        return self._pipeline

    def _pause_after(self, error: Exception) -> float:
        """Log what is in the way, once, and return the seconds until the next poll."""
        if isinstance(error, HevoError):
            if isinstance(error, HevoNotFoundError) and isinstance(self._pipeline, str):
                self._rounds = None  # another one may bear the name by now
            try:
                pause = self._outage.pause_after(error, None)
            except HevoError as hopeless:  # credentials, or a pipeline that is not there
                error = hopeless
            else:
                count_retry()
                return pause
        kind = type(error).__name__
        if kind != self._obstacle:
            self._obstacle = kind
            log.error(
                "Pipeline %s is not watched: %s. Polling again every %g s until this is mended.",
                self._pipeline,
                f"{error.text.rstrip('.')} ({error.code})" if isinstance(error, HevoError) else f"{kind}: {error}",
                LONGEST_PAUSE,
                exc_info=None if isinstance(error, HevoError) else error,
            )
        return LONGEST_PAUSE

    def _is_over(self) -> None:
        self._outage.is_over()
        if self._obstacle is not None:
            self._obstacle = None
            log.info("Pipeline %s is watched again.", self._pipeline)


_polls: WeakKeyDictionary[asyncio.AbstractEventLoop, WeakValueDictionary[Key, PipelinePoll]] = WeakKeyDictionary()


def poll_of(connection_id: str, pipeline: int | str, poll_interval: float) -> PipelinePoll:
    """Return the event loop's poll of a pipeline, for all who use it at the same time."""
    polls = _polls.setdefault(asyncio.get_running_loop(), WeakValueDictionary())
    key = (connection_id, pipeline, poll_interval)
    poll = polls.get(key)
    if poll is None:
        poll = polls[key] = PipelinePoll(*key)
    return poll


async def delivered_by_the_next(poll: PipelinePoll) -> AsyncGenerator[Round, None]:
    """
    Yield a poll's rounds, where Airflow does not say when an event has arrived.

    By the time of the next round it has: Airflow takes a second or two.
    """
    earlier: Round | None = None
    async with aclosing(poll.rounds()) as rounds:
        async for round_ in rounds:
            if earlier is not None:
                await earlier.delivered()
            yield round_
            earlier = round_
