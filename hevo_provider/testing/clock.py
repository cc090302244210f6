"""A clock that never waits: time passes at once, for all who share it."""

from __future__ import annotations

import asyncio
import threading

from hevo_provider.clock import Clock

TURNS = 20  # of the event loop that the others get before time moves on


class VirtualClock:
    """
    Time that passes when somebody sleeps, for all who share it: event loops, threads and the sandbox.

    :param now: when it begins, in seconds since the epoch.
    """

    def __init__(self, now: float) -> None:
        self._now = now
        self._wakes: list[float] = []
        self._lock = threading.Lock()

    def now(self) -> float:
        """Return the seconds since the epoch."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Let seconds pass."""
        with self._lock:
            self._now += seconds

    async def sleep(self, seconds: float) -> None:
        """Let seconds pass, unless somebody else has something to do before."""
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
        """What code that asks for a clock is handed."""
        return Clock(now=self.now, monotonic=self.now, sleep=self.sleep)
