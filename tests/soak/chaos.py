"""A network and an API that fail in one of five calls, and a clock that waits for whoever is being answered."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import aiohttp
import pytest
from yarl import URL

from hevo_provider.sandbox import Fault
from hevo_provider.sandbox.api import match
from hevo_provider.testing.clock import TURNS
from tests.stage.clock import VirtualClock
from tests.stage.death import astep

FAULTS_PER_CALL = 0.2
TIMEOUT = 30.0  # seconds of virtual time that a hung request takes
STATUSES = [500, 502, 503, 504, 520]
IN_PROGRESS = {"error": "Internal Server Error", "message": "job is in progress"}
KINDS = ["status", "status", "reset", "reset", "hang", "too-many-calls", "truncated", "html"]
LIE = "words-of-a-refusal"


class SharedClock(VirtualClock):
    """
    Virtual time for several event loops, of which one runs at a time.

    It moves when all of the running one sleep and none of them waits for an answer: so it never depends on how fast
    this machine is.
    """

    def __init__(self) -> None:
        super().__init__()
        self.in_flight = 0
        self._sleepers: WeakKeyDictionary[asyncio.AbstractEventLoop, list[float]] = WeakKeyDictionary()

    async def sleep(self, seconds: float) -> None:
        wakes = self._sleepers.setdefault(asyncio.get_running_loop(), [])
        wake = self._now + max(0.0, seconds)
        wakes.append(wake)
        try:
            while True:
                for _ in range(TURNS):
                    await asyncio.sleep(0)
                if self._now < wake and not self.in_flight and wake == min(wakes):
                    self._now = wake
                if self._now >= wake:
                    return
        finally:
            wakes.remove(wake)

    @contextmanager
    def waiting_for_an_answer(self) -> Iterator[None]:
        self.in_flight += 1
        try:
            yield
        finally:
            self.in_flight -= 1

    async def calm(self) -> None:
        """Wait until nobody waits for an answer."""
        while self.in_flight:  # noqa: ASYNC110 - it is counted in several threads
            await asyncio.sleep(0)


@dataclass(frozen=True)
class Misfortune:
    """What befalls one call."""

    kind: str
    applied: bool
    status: int
    retry_after: int

    def as_fault(self) -> Fault:
        if self.kind == "status":
            return Fault.status(self.status, after=self.applied)
        if self.kind == LIE:
            return Fault.status(500, body=IN_PROGRESS, after=self.applied)
        if self.kind == "too-many-calls":
            return Fault.status(429, headers={"Retry-After": str(self.retry_after)})
        if self.kind == "truncated":
            return Fault.truncated(after=self.applied)
        if self.kind == "html":
            return Fault.html(after=self.applied)
        return Fault.reset(after=self.applied)  # a hang too: the time that it takes is played on our side


class Chaos:
    """
    Draws what befalls each call, from the seed, the route and the time: whoever asks, in whatever order.

    :param seed: of the run.
    :param lies: whether Hevo may speak of a job in progress although none is. Where one is, such a lie is the truth.
    """

    def __init__(self, seed: str, clock: SharedClock, *, lies: bool) -> None:
        self.seed = seed
        self.kinds = [*KINDS, LIE] if lies else KINDS
        self.clock = clock
        self.calls = 0
        self.faults = 0

    def befalls(self, route: str) -> Misfortune | None:
        dice = random.Random(f"{self.seed}/{route}/{self.clock.now()!r}")
        if dice.random() >= FAULTS_PER_CALL:
            return None
        return Misfortune(
            dice.choice(self.kinds), dice.random() < 0.5, dice.choice(STATUSES), dice.choice([1, 4, 20, 90])
        )

    def fault_source(self, route: str) -> Fault | None:
        """Answer the sandbox's question for a fault."""
        misfortune = self.befalls(route)
        self.calls += 1
        self.faults += misfortune is not None
        return None if misfortune is None else misfortune.as_fault()

    def uniform(self, low: float, high: float) -> float:
        """Draw a backoff in place of ``random.uniform``."""
        return random.Random(f"{self.seed}/backoff/{self.clock.now()!r}/{high!r}").uniform(low, high)

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let every request of this process go through the chaos."""
        send: Callable[..., Awaitable[aiohttp.ClientResponse]] = aiohttp.ClientSession._request

        async def send_through_chaos(
            session: aiohttp.ClientSession, method: str, url: URL, **kwargs: Any
        ) -> aiohttp.ClientResponse:
            await astep()
            hangs = False
            try:
                with self.clock.waiting_for_an_answer():
                    misfortune = self.befalls(match(method, url.raw_path)[0])
                    hangs = misfortune is not None and misfortune.kind == "hang"
                    response = await send(session, method, url, **kwargs)
                    await _received(response)
            except (aiohttp.ClientError, OSError):
                if not hangs:
                    raise
                await self.clock.sleep(TIMEOUT)
                raise TimeoutError from None
            try:
                await astep()
            except BaseException:
                response.close()
                raise
            return response

        monkeypatch.setattr(aiohttp.ClientSession, "_request", send_through_chaos)
        monkeypatch.setattr(random, "uniform", self.uniform)


async def _received(response: aiohttp.ClientResponse) -> None:
    """Wait until the whole answer is there, or will never be."""
    try:
        if response.content.exception() is None:
            with suppress(aiohttp.ClientError):  # which is raised where the answer is read
                await response.content.wait_eof()
    except BaseException:
        response.close()
        raise
