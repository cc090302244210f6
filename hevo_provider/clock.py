"""Where time comes from: one object that is handed down, so that a test can play a week in a moment."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Clock:
    """
    The three things that code here may know about time.

    :param now: seconds since the epoch; for deadlines that must survive a restart.
    :param monotonic: seconds from an arbitrary start that never jump; for durations within a process.
    :param sleep: waits for a number of seconds without blocking the event loop.
    """

    now: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


SYSTEM_CLOCK = Clock()

_of_this_process = SYSTEM_CLOCK  # tests put another one here


def process_clock() -> Clock:
    """Return the clock of this process, for what is made by Airflow and not handed one."""
    return _of_this_process
