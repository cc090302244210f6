"""
Ten thousand deferred tasks in one triggerer: ``python -m benchmarks.scale TRIGGERS INTERVAL``.

They start spread over one interval, as deferred tasks do that have just started their jobs, find these, and wait.
"""

from __future__ import annotations

import asyncio
import gc
import statistics
import sys
import time
from typing import Any

from benchmarks.contenders import connect_hevo
from benchmarks.server import World
from benchmarks.stage import Lag, Stand, resident_memory, round_trip, say, stand_in
from hevo_provider.client.shared import open_clients
from hevo_provider.triggers import HevoJobTrigger

FOUND_WITHIN = 5.0  # seconds
ENDS_SPREAD_OVER = 2  # intervals
BASELINE = [f"11111111-2222-4333-a444-{number:012d}" for number in range(20)]


def deferred(number: int, interval: float) -> HevoJobTrigger:
    """Return the trigger of a task that has just started its pipeline."""
    now = int(time.time() * 1000)
    return HevoJobTrigger(
        number,
        run_token=f"token-{number:030d}",
        action="SYNC_NOW",
        job_types=["INCREMENTAL"],
        poll_interval=interval,
        deadline=time.time() + 7 * 24 * 3600,
        phase="find",
        ownership="ours",
        fate="answered",
        posts=1,
        find_window=20.0,
        baseline=[f"{job_id[:24]}{number:012d}" for job_id in BASELINE],
        created_after=now,
        posted_at=now,
    )


async def measure(stand: Stand, triggers: int, interval: float) -> dict[str, Any]:
    """Let them wait for jobs that end one after the other, and see how late everything is."""
    first_end = time.time() + 2 * interval + FOUND_WITHIN + 5
    ends = World(first_end=first_end, span=ENDS_SPREAD_OVER * interval)
    stand.set(first_end=first_end, span=ends.span)
    delays: list[float] = []

    async def task(number: int) -> None:
        await asyncio.sleep(number % (triggers + 1) / triggers * interval)
        async for event in deferred(number, interval).run():
            now, end = time.time(), ends.end_of(number)
            assert end is not None
            assert event.payload.get("status") == "COMPLETED", event.payload
            delays.append(now - end)

    # One trigger and its first look, so that what is loaded once is not counted per trigger.
    warm = asyncio.create_task(task(triggers + 1))
    await asyncio.sleep(2)
    gc.collect()
    before = resident_memory()
    waiting = [asyncio.create_task(task(number)) for number in range(1, triggers + 1)]
    lag = Lag()
    watch = asyncio.create_task(lag.watch())
    await asyncio.sleep(max(0.0, first_end - time.time() - 1))
    gc.collect()
    memory = resident_memory() - before
    lag.seen = lag.seen[:-1]  # the collection is ours
    trip = await round_trip(stand.port)
    polls, cpu, began = stand.counts()["requests"], time.process_time(), time.monotonic()
    await asyncio.gather(*waiting, warm)
    watch.cancel()
    return {
        "triggers": triggers,
        "lag_p99": lag.at(0.99),
        "lag_p50": lag.at(0.5),
        "mean_delay": statistics.fmean(delays),
        "delay_deviation": statistics.stdev(delays),
        "round_trip": trip,
        "longest_delay": max(delays),
        "memory_per_trigger": memory / triggers,
        "connections": stand.counts()["connections"],
        "busy": (time.process_time() - cpu) / (time.monotonic() - began),
        "polls": stand.counts()["requests"] - polls,
        "open_clients_at_the_end": open_clients(),
    }


def main() -> None:
    """Measure once."""
    triggers, interval = sys.argv[1:]
    with stand_in() as stand:
        connect_hevo(stand.port)
        say(asyncio.run(measure(stand, int(triggers), float(interval))))


if __name__ == "__main__":
    main()
