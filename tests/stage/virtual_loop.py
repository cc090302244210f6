"""An event loop whose time is virtual: where nothing is left to do, it goes on to whatever is due next."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

from hevo_provider.clock import Clock

T = TypeVar("T")

START = 1_800_000_000.0
POLLS = 10  # of the sockets before time passes: what is sent to this machine arrives at once, or almost


class _Selector(selectors.DefaultSelector):
    """Waits for sockets only as long as something may be on its way, and lets time pass instead."""

    def __init__(self) -> None:
        super().__init__()
        self.passed = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or timeout is None or timeout <= 0:
            return ready or (super().select(timeout) if timeout is None else ready)
        for _ in range(POLLS):
            ready = super().select(0)
            if ready:
                return ready
        self.passed += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """The loop: sockets are real, and both ends of them are in it."""

    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)

    def time(self) -> float:
        """Return the seconds that have passed."""
        return self._virtual.passed

    @property
    def clock(self) -> Clock:
        """What the provider takes for time."""
        return Clock(now=lambda: START + self.time(), monotonic=self.time, sleep=asyncio.sleep)


def run(main: Coroutine[Any, Any, T], loop: VirtualLoop) -> T:
    """Run a coroutine to its end."""
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(main)
