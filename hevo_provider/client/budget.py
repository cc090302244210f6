"""
The budget of an API key: who may send the next request, where Hevo's limit does not leave enough for all.

All that one event loop sends with a key goes through one :class:`Budget`. How fast that is, its
:mod:`~hevo_provider.client.pace` says. Whose turn comes first is the order of :class:`Purpose`. Among waits the most
urgent comes first, but after those that have waited for much longer than an even round. A wait that would starve comes
before starts too.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from contextvars import Context, ContextVar
from enum import IntEnum
from heapq import nlargest
from weakref import WeakKeyDictionary

from hevo_provider.client.pace import BURST, WINDOW, Pace
from hevo_provider.clock import Clock

log = logging.getLogger(__name__)

AT_A_TIME = 8  # waits that are chosen at once: choosing reads all of them
# Even rounds after which a wait has its turn, however unlikely its end is. Where every history misleads, the mean delay
# is longer than in an even round by no more than that.
LATE = 1.35
# Even rounds after which a wait comes before starts and searches, so that none waits for three, however many start.
# Where there are more waits than the limit is enough for, they have two fifths of it then.
STARVES = 2.5
LONGEST_SLEEP = 1.0  # seconds between two checks for those whose time is over
STRETCHED, NOT_STRETCHED = 2.0, 1.5  # times the poll_interval: polls that are further apart are told of
TOLD_EVERY = 10.0  # seconds

OnUsage = Callable[[int, int, float], None]
"""
Called now and then, where there is a limit: with how many requests were sent and refused since the last call, and with
the present stretch, which is the time between two polls of a wait, in units of its ``poll_interval``.
"""


class Purpose(IntEnum):
    """What a request is for. Where the limit is not enough for all, those at the top come first."""

    CANCEL = 0
    START = 1
    SEARCH = 2
    WAIT = 3
    WATCH = 4


class Turn:
    """
    The turn of one that asks Hevo for one purpose, such as a wait: it may ask again and again.

    :param purpose: what for.
    :param interval: seconds between its requests, if there are enough.
    :param urgency: returns how urgent its next request is, among those of the same purpose, at a moment of the client's
        monotonic clock; None: they go in the order in which they came.
    :param patience: seconds in all that it may wait for the limit; after that, its request fails as over the limit.

    ``paid`` are requests that were let through and not sent yet; ``waited`` is for how many seconds it had to wait;
    ``asked_at`` is when its last request was let through, and ``asked_before`` the one before that; ``answer`` is a
    request for which it was in the queue, and the answer that another has got to the same one.
    """

    __slots__ = ("answer", "asked_at", "asked_before", "interval", "paid", "patience", "purpose", "urgency", "waited")

    def __init__(
        self,
        purpose: Purpose,
        *,
        interval: float = 0.0,
        urgency: Callable[[float], float] | None = None,
        patience: float | None = None,
    ) -> None:
        self.purpose = purpose
        self.interval = interval
        self.urgency = urgency
        self.patience = patience
        self.paid = 0
        self.waited = 0.0
        self.asked_at: float | None = None
        self.asked_before: float | None = None
        self.answer: tuple[str, object] | None = None

    def taken_answer(self, asks: str | None) -> object | None:
        """Return the answer that somebody else has got to the same request, once; None if there is none."""
        answer, self.answer = self.answer, None
        return answer[1] if answer is not None and answer[0] == asks else None

    def has_been_refused(self) -> None:
        """Let its last request not count: Hevo was asked for nothing."""
        self.asked_at = self.asked_before


TURN: ContextVar[Turn | None] = ContextVar("hevo_turn", default=None)
"""Whose requests are sent by what runs here; None: a start's, or a person's."""


@contextmanager
def asking_as(turn: Turn) -> Iterator[Turn]:
    """Let what runs in the block ask for a purpose."""
    token = TURN.set(turn)
    try:
        yield turn
    finally:
        TURN.reset(token)


class _Queued:
    """A request, or several, that cannot be sent at once."""

    __slots__ = ("asks", "future", "number", "since", "turn", "until")

    def __init__(self, turn: Turn, number: int, since: float, until: float, asks: str | None) -> None:
        self.turn = turn
        self.asks = asks
        self.number = number
        self.since = since
        self.until = until
        self.future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()


def _asked_at(queued: _Queued) -> float:
    """Return when it was last let through, or else began to wait."""
    return queued.since if queued.turn.asked_at is None else queued.turn.asked_at


class Budget:
    """
    The requests that one event loop may send with one key.

    :param clock: where time comes from.
    :param limit: requests in any 60 seconds; 0 for no limit.
    """

    def __init__(self, clock: Clock, limit: float) -> None:
        self.limit = limit
        self.pace = Pace(clock, limit)
        self.waits: dict[Turn, None] = {}
        """Those who wait for a job, whether they are in the queue or not."""
        self.on_usage: OnUsage | None = None
        self._clock = clock
        self._queues: tuple[dict[_Queued, None], ...] = tuple({} for _ in Purpose)
        self._chosen: list[_Queued] = []  # of the waits, the next one last
        self._under_way: deque[str] = deque(maxlen=AT_A_TIME)  # what was asked for last, perhaps not answered yet
        self._serving: asyncio.Task[None] | None = None
        self._is_told = False
        self._sent = self._refused = 0
        self._told_at = clock.monotonic()

    def limit_to(self, limit: float) -> None:
        """
        Take the limit from the connection, where it may have been changed.

        :param limit: requests in any 60 seconds; 0 for no limit.
        """
        if limit != self.limit:
            self.limit, self.pace = limit, Pace(self._clock, limit)

    @property
    def round(self) -> float:
        """Seconds that it takes to ask for each wait once."""
        return len(self.waits) * WINDOW / self.pace.per_minute if self.limit else 0.0

    def passes(self, turn: Turn, number: int = 1) -> bool:
        """Let requests through if there is room for them and nobody is in the queue; return whether they passed."""
        if not self.limit:
            return True
        if self._serving is not None or self.pace.pause(number) > 0:
            return False
        self._pass(turn, number)
        return True

    async def enter(
        self, turn: Turn, number: int = 1, *, within: float = float("inf"), asks: str | None = None
    ) -> bool:
        """
        Wait until requests may be sent, or until somebody else has got the answer: then ``turn.answer`` is that.

        :param number: how many.
        :param within: seconds.
        :param asks: path and query of the request, where it is one and an answer to another will do.
        :returns: False: not within that time.
        """
        if self.passes(turn, number):
            return True
        now = self._clock.monotonic()
        queued = _Queued(turn, number, now, now + within, asks)
        queue = self._queues[turn.purpose]
        queue[queued] = None
        if self._serving is None:
            # It serves all, and outlives the one that starts it: so it does not inherit that one's context.
            self._serving = asyncio.get_running_loop().create_task(self._serve(), context=Context())
        try:
            return await queued.future
        finally:
            queue.pop(queued, None)
            turn.waited += self._clock.monotonic() - now

    def share(self, asks: str, answer: object, sent_at: float) -> None:
        """
        Give an answer to all in the queue who wait or watch and ask for the same.

        A request that was sent before they came does not count: what they ask for may have changed since. Errors are
        not shared. All others keep their places.

        :param asks: path and query of the request.
        :param sent_at: when it was sent.
        """
        for queue in self._queues[Purpose.WAIT :]:
            for queued in [queued for queued in queue if queued.asks == asks and queued.since < sent_at]:
                del queue[queued]
                queued.turn.answer = asks, answer
                queued.turn.asked_at = sent_at
                if not queued.future.done():
                    queued.future.set_result(True)

    def expected_pause(self) -> float:
        """Return the seconds until a request of a start would be let through, as far as can be told."""
        if not self.limit:
            return 0.0
        ahead = sum(len(queue) for queue in self._queues[: Purpose.START + 1])
        return self.pace.pause() + ahead * BURST * WINDOW / self.pace.per_minute

    def refused(self, retry_after: float | None, sent_at: float) -> None:
        """
        Take note that Hevo says that the limit is reached.

        :param retry_after: seconds that it asks to wait.
        :param sent_at: when the request was sent.
        """
        self._refused += 1
        self.pace.refused(retry_after, sent_at)

    async def _serve(self) -> None:
        try:
            while (queued := self._next()) is not None:
                pause = self.pace.pause(queued.number, of_a_start=queued.turn.purpose is Purpose.START)
                if pause > 0:
                    await self._clock.sleep(min(pause, LONGEST_SLEEP))
                    self._end_late()
                    continue
                self._queues[queued.turn.purpose].pop(queued, None)
                if not queued.future.done():  # else whoever asked was cancelled, and has not run since
                    self._under_way.append(queued.asks or "")
                    self._pass(queued.turn, queued.number)
                    queued.future.set_result(True)
                await asyncio.sleep(0)
        except Exception:  # whatever it is, it must keep nobody waiting for good
            log.exception("The order of requests has failed: those that are in the queue are sent at once.")
            for queued in [queued for queue in self._queues for queued in queue]:
                if not queued.future.done():
                    queued.future.set_result(True)
        finally:
            self._serving = None

    def _end_late(self) -> None:
        """Tell those whose time is over."""
        now = self._clock.monotonic()
        for queue in self._queues:
            for queued in [queued for queued in queue if queued.until <= now]:
                queue.pop(queued)
                if not queued.future.done():
                    queued.future.set_result(False)

    def _next(self) -> _Queued | None:
        """Return who is next."""
        waits = self._queues[Purpose.WAIT]
        for purpose in Purpose:
            queue = self._queues[purpose]
            if not queue:
                continue
            if purpose in {Purpose.START, Purpose.SEARCH} and (starving := self._starving(waits)) is not None:
                return starving
            if purpose is Purpose.WAIT:
                return self._next_wait(queue)
            return max(queue, key=lambda queued: queued.turn.urgency(0.0) if queued.turn.urgency else 0.0)
        return None

    def _starving(self, waits: dict[_Queued, None]) -> _Queued | None:
        """Return the wait that comes before starts, because it would starve."""
        now, even_round = self._clock.monotonic(), self.round

        def overdue(queued: _Queued) -> float:
            return now - _asked_at(queued) - STARVES * max(even_round, queued.turn.interval)

        latest = max(waits, key=overdue, default=None)
        return latest if latest is not None and overdue(latest) > 0 else None

    def _next_wait(self, queue: dict[_Queued, None]) -> _Queued:
        """Return the most urgent wait, of those that were chosen when there was last none left."""
        while self._chosen and self._chosen[-1] not in queue:
            self._chosen.pop()
        if not self._chosen:
            now = self._clock.monotonic()
            # Well within three rounds, with the time that others take which are as late.
            longest = max(LATE * self.round, 1.0)

            def key(queued: _Queued) -> float:
                turn = queued.turn
                if queued.asks in self._under_way:
                    return -1.0
                late = now - _asked_at(queued)
                if late > longest:
                    return 1.0 + late
                return turn.urgency(now) if turn.urgency is not None else late / longest

            chosen: dict[object, _Queued] = {}
            for queued in nlargest(AT_A_TIME, queue, key=key):
                # One at a time of those that ask for the same: its answer may serve the others.
                chosen.setdefault(queued.asks or queued, queued)
            self._chosen = [*chosen.values()][::-1]
        return self._chosen[-1]

    def _pass(self, turn: Turn, number: int) -> None:
        self.pace.spend(number)
        now = self._clock.monotonic()
        turn.asked_before, turn.asked_at = turn.asked_at, now
        self._sent += number
        if now - self._told_at >= TOLD_EVERY:
            self._told_at = now
            self._tell()

    # What is told

    def _tell(self) -> None:
        interval = sum(turn.interval for turn in self.waits) / len(self.waits) if self.waits else 0.0
        apart = self.round
        stretch = max(1.0, apart / interval) if interval else 1.0
        if self.on_usage is not None:
            self.on_usage(self._sent, self._refused, stretch)
        self._sent = self._refused = 0
        if not self._is_told and stretch > STRETCHED:
            self._is_told = True
            log.warning(
                "Hevo allows %.0f requests a minute; %s them: each is asked for about every %s. Raise the "
                "limit (Hevo's support, then requests_per_minute in the connection) or poll_interval.",
                self.limit,
                "1 wait uses" if len(self.waits) == 1 else f"{len(self.waits)} waits share",
                f"{apart / 60:.0f} min" if apart >= 90 else f"{apart:.0f} s",  # noqa: PLR2004
            )
        elif self._is_told and stretch < NOT_STRETCHED:
            self._is_told = False
            log.info("Hevo's limit is enough again for %s waits at their poll_interval.", len(self.waits))


_budgets: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Hashable, Budget]] = WeakKeyDictionary()


def budget_of(key: Hashable, clock: Clock, limit: float) -> Budget:
    """
    Return the running event loop's budget for a key.

    :param key: host and API key.
    :param limit: what the connection says now.
    """
    budgets = _budgets.setdefault(asyncio.get_running_loop(), {})
    budget = budgets.setdefault(key, Budget(clock, limit))
    budget.limit_to(limit)
    return budget
