"""
The way out of a client: how many requests are under way at once, and when Hevo wants to be left alone.

Thousands of triggers share one client. Too many requests at once would only slow each other down; requests that hang
must not keep the others waiting; and where Hevo asks one of them to wait, all of them do.
"""

from __future__ import annotations

import asyncio
import random
from types import TracebackType

from hevo_provider.client.pace import LONGEST_REST
from hevo_provider.clock import Clock
from hevo_provider.exceptions import HevoAPIError

SLOTS = 100  # requests at once
SHORTEST_PATIENCE = 0.5  # seconds after which a request may count as hung
PATIENCE = 5.0  # times what a request takes at most, as far as is known
FIRST_GUESS = 1.0  # seconds that a request takes at most, before any was answered
CHECK_EVERY = 0.1  # seconds, while requests are queued
LONGEST_SPREAD = 10.0  # seconds over which those who waited for Hevo set off again


class Gate:
    """
    What all requests of a client pass through.

    :param clock: where time comes from; for what Hevo asks for, not for durations on the wire.
    :param timeout: seconds that a request may take once it is under way.
    :param slots: how many may be under way at once.
    """

    def __init__(self, clock: Clock, timeout: float, slots: int = SLOTS) -> None:
        self.timeout = timeout
        self._clock = clock
        self._slots = asyncio.Semaphore(slots)
        # A hundred requests that hung on a pool of a hundred held the next one for most of its own time-out.
        self._most_hung = slots // 2
        self._under_way: dict[Passage, None] = {}  # the oldest first
        self._queued = 0
        self._check: asyncio.TimerHandle | None = None
        self._longest = FIRST_GUESS
        self._opens_at: float | None = None
        self._spread = 0.0
        self._rests = 0
        self._reason: HevoAPIError | None = None

    def rest(self, seconds: float, reason: HevoAPIError) -> None:
        """
        Let no request pass for a while, because Hevo asked for that.

        :param reason: its answer.
        """
        seconds = min(seconds, LONGEST_REST)
        opens_at = self._clock.monotonic() + seconds
        if self._opens_at is None:
            self._rests, self._reason = self._rests + 1, reason.with_traceback(None)
        if self._opens_at is None or opens_at > self._opens_at:
            self._opens_at, self._spread = opens_at, min(seconds, LONGEST_SPREAD)

    @property
    def rests_for(self) -> float:
        """The seconds for which Hevo still wants to be left alone."""
        return 0.0 if self._opens_at is None else max(0.0, self._opens_at - self._clock.monotonic())

    async def enter(self, passage: Passage) -> float:
        """
        Wait until a request may be sent. None of that counts as time that the request takes.

        :returns: when it sets out, by the event loop's clock.
        :raises HevoAPIError: Hevo asked for rest again when this request had waited for one to end. The answer that the
            first to set off got is raised to all who waited with them: else most would wait for ever.
        """
        waited_for: int | None = None
        while True:
            if self._opens_at is not None:
                waited_for = await self._until_open(waited_for)
            if self._slots.locked():
                await self._queue()
            else:
                await self._slots.acquire()
            if self._opens_at is None:
                break
            self._slots.release()  # Hevo asked for rest while this request was queued
        self._under_way[passage] = None
        return asyncio.get_running_loop().time()

    def leave(self, passage: Passage, *, answered: bool) -> None:
        """Make room for the next, and learn how long a request usually takes."""
        del self._under_way[passage]
        self._slots.release()
        if answered:
            took = asyncio.get_running_loop().time() - passage.since
            # Quick to learn that answers take longer, slow to forget it: patience costs less than a wrong guess.
            self._longest += (took - self._longest) * (0.3 if took > self._longest else 0.02)

    async def _until_open(self, waited_for: int | None) -> int | None:
        """Wait while Hevo wants to be left alone: return for which of its rests, to be handed in again."""
        while self._opens_at is not None:
            pause = self.rests_for
            if pause <= 0:
                self._opens_at = None
                break
            # Those who waited together do not all set off in the same moment.
            pause += random.uniform(0, self._spread)  # noqa: S311 - spreads load, guards nothing
            if waited_for not in {None, self._rests} and self._reason is not None:
                said = self._reason
                raise type(said)(said.status, said.method, said.path, said.message, retry_after=pause)
            waited_for = self._rests
            await self._clock.sleep(pause)
        return waited_for

    async def _queue(self) -> None:
        self._queued += 1
        if self._check is None:
            self._check = asyncio.get_running_loop().call_later(CHECK_EVERY, self._end_hung)
        try:
            await self._slots.acquire()
        finally:
            self._queued -= 1

    def _end_hung(self) -> None:
        """While others wait, let hung requests hold no more than half of the slots."""
        check, self._check = self._check, None
        if check is None or not self._queued:
            return
        loop = asyncio.get_running_loop()
        if loop.time() - check.when() < CHECK_EVERY:  # else it is this process that is slow: answers may be here
            hung_since = loop.time() - max(SHORTEST_PATIENCE, PATIENCE * self._longest)
            hung = [passage for passage in self._under_way if passage.since <= hung_since]
            for passage in hung[: max(0, len(hung) - self._most_hung)]:
                passage.end(loop.time())
        self._check = loop.call_later(CHECK_EVERY, self._end_hung)


class Passage:
    """
    One request's way: ``async with Passage(gate):`` around all of it raises TimeoutError where it takes too long.

    ``since`` is when it set out, by the event loop's clock. ``ended_after`` is None, or the seconds after which it was
    ended before its time, because others were waiting.
    """

    __slots__ = ("_gate", "_timeout", "ended_after", "since")

    def __init__(self, gate: Gate) -> None:
        self.since = 0.0
        self.ended_after: float | None = None
        self._gate = gate

    async def __aenter__(self) -> None:
        self.since = await self._gate.enter(self)
        # One timer for all would be 3 µs faster, and had to do by hand what asyncio.timeout does about cancellations.
        self._timeout = asyncio.timeout_at(self.since + self._gate.timeout)
        await self._timeout.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._gate.leave(self, answered=error is None)
        await self._timeout.__aexit__(kind, error, traceback)

    def end(self, now: float) -> None:
        """
        End the request as timed out.

        :param now: by the event loop's clock.
        """
        if not self._timeout.expired():
            self.ended_after = now - self.since
            self._timeout.reschedule(now)
