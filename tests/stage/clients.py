"""A client of the sandbox, for tests of the wire: on the virtual clock, so that its pauses take no time."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from hevo_provider.client import HevoAsyncClient
from hevo_provider.runs.run import Run
from hevo_provider.runs.wait import Connect
from hevo_provider.sandbox import Request, Sandbox
from tests.stage.clock import VirtualClock


def connect(hevo: Sandbox, clock: VirtualClock, **options: Any) -> HevoAsyncClient:
    """Make a client with the sandbox's credentials, and no limit; close it, or use it in an ``async with``."""
    options = {"clock": clock.clock, "timeout": 5.0, "requests_per_minute": 0, **options}
    return HevoAsyncClient(hevo.url, options.pop("key", hevo.key), options.pop("secret", hevo.secret), **options)


def limited_to(requests_per_minute: float, hevo: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Airflow's default connection know a limit."""
    connection = {"conn_type": "hevo", "host": hevo.url, "login": hevo.key, "password": hevo.secret}
    extra = {"requests_per_minute": requests_per_minute}
    monkeypatch.setenv("AIRFLOW_CONN_HEVO_AIRFLOW_CONN_ID", json.dumps({**connection, "extra": extra}))


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
    The time by which event loops end requests, which is real, and can be moved on. The sandbox keeps its own.

    :param monkeypatch: for how long.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        real, self._ahead = asyncio.BaseEventLoop.time, 0.0
        self._loops: list[asyncio.AbstractEventLoop] = []

        def time(loop: asyncio.BaseEventLoop) -> float:
            if threading.current_thread().name == "hevo-sandbox":
                return real(loop)
            if loop not in self._loops:
                self._loops.append(loop)
            return real(loop) + self._ahead

        monkeypatch.setattr(asyncio.BaseEventLoop, "time", time)

    def advance(self, seconds: float) -> None:
        """Move on; whose time is over then is told by its loop, in whichever thread that runs."""
        self._ahead += seconds
        for loop in [*self._loops]:
            with suppress(RuntimeError):  # it has been closed
                loop.call_soon_threadsafe(lambda: None)

    def pass_where_nothing_comes(self, hevo: Sandbox, seconds: float = 31.0) -> None:
        """Let a request that Hevo leaves without an answer be given up at once, by the time-out that is its own."""

        def told(request: Request) -> None:
            if request.fault is not None and request.fault.kind == "hang":
                self.advance(seconds)

        hevo.on_request = told


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
