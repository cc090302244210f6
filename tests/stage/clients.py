"""A client of the sandbox, for tests of the wire: on the virtual clock, so that its pauses take no time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from hevo_provider.client import HevoAsyncClient
from hevo_provider.runs.run import Run
from hevo_provider.runs.wait import Connect
from hevo_provider.sandbox import Sandbox
from tests.stage.clock import VirtualClock


def connect(hevo: Sandbox, clock: VirtualClock, **options: Any) -> HevoAsyncClient:
    """Make a client with the sandbox's credentials; close it, or use it in an ``async with``."""
    options = {"clock": clock.clock, "timeout": 5.0, **options}
    return HevoAsyncClient(hevo.url, options.pop("key", hevo.key), options.pop("secret", hevo.secret), **options)


def connected_to(client: HevoAsyncClient) -> Connect:
    """Return what gives a wait its client each time it polls."""

    async def connect() -> HevoAsyncClient:
        return client

    return connect


def run_of(**values: Any) -> Run:
    """Make a run of what is asked for and what has happened, as it is stored."""
    return Run.from_json(values)


class WireTime:
    """
    The time by which an event loop ends requests, which is real, and can be moved on.

    To be made in the loop that it is for.
    """

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        real, self._ahead = loop.time, 0.0
        loop.time = lambda: real() + self._ahead  # type: ignore[method-assign]

    def advance(self, seconds: float) -> None:
        self._ahead += seconds


async def turns(number: int = 20) -> None:
    """Let whatever can go on without time or the network go on."""
    for _ in range(number):
        await asyncio.sleep(0)


async def settled(condition: Callable[[], bool]) -> bool:
    """Give what happens in another thread, or on a socket, a moment to happen: whether it did."""
    for _ in range(200):
        if condition():
            return True
        await asyncio.sleep(0.005)
    return False
