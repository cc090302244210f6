"""A clock that never waits: time passes at once, for all who share it."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime

from hevo_provider.clock import Clock

START = 1_800_000_000.0
TURNS = 20  # of the event loop that the others get before time moves on


class VirtualClock:
    """Time that passes when somebody sleeps, for all who share it: event loops, threads and the sandbox."""

    def __init__(self, now: float = START) -> None:
        self._now = now
        self._wakes: list[float] = []
        self._lock = threading.Lock()

    def now(self) -> float:
        return self._now

    def advance(self, seconds: float) -> None:
        with self._lock:
            self._now += seconds

    async def sleep(self, seconds: float) -> None:
        wake = self._now + max(0.0, seconds)
        with self._lock:
            self._wakes.append(wake)
        try:
            while True:
                for _ in range(TURNS):
                    await asyncio.sleep(0)
                with self._lock:
                    if self._now >= wake:
                        return
                    if wake == min(self._wakes):
                        self._now = wake
                        return
        finally:
            with self._lock:
                self._wakes.remove(wake)

    @property
    def clock(self) -> Clock:
        return Clock(now=self.now, monotonic=self.now, sleep=self.sleep)


def in_iso(moment: float) -> str:
    """Return seconds since the epoch as the XComs tell a time for people."""
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds")
