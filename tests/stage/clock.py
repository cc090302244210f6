"""The clock of this suite, which begins at the same moment for every test."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest

from hevo_provider.clock import Clock
from hevo_provider.testing import clock

START = 1_800_000_000.0


class VirtualClock(clock.VirtualClock):
    """Time that passes when somebody sleeps."""

    def __init__(self, now: float = START) -> None:
        super().__init__(now)


def in_iso(moment: float) -> str:
    """Return seconds since the epoch as the XComs tell a time for people."""
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds")


@contextmanager
def waking_at(moment: float, clock: VirtualClock) -> Iterator[asyncio.Future[None]]:
    """Return what is done as soon as the code at test has slept until a moment."""
    reached = asyncio.get_running_loop().create_future()

    async def sleep(seconds: float) -> None:
        await clock.sleep(seconds)
        if clock.now() >= moment and not reached.done():
            reached.set_result(None)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hevo_provider.clock._of_this_process", Clock(now=clock.now, monotonic=clock.now, sleep=sleep))
        yield reached
