"""
Triggers that poll: what one poll costs, how many there are, how many connections they open, what stalls the loop.

``python -m benchmarks.polling CONTENDER TRIGGERS INTERVAL SECONDS [SLOW] [HUNG]``
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from typing import Any

from benchmarks.contenders import contender
from benchmarks.stage import Lag, Stand, say, stand_in


async def measure(
    stand: Stand, name: str, triggers: int, interval: float, seconds: float, *, slow: float = 0.0, hung: int = 0
) -> dict[str, Any]:
    """
    Let triggers wait, and see what that costs once all of them do.

    :param slow: seconds that the answer to the first of them takes while it is measured.
    :param hung: how many of them get no answer any more while it is measured.
    """
    wait = contender(name, stand.port)

    async def later(number: int) -> None:
        await asyncio.sleep(number / triggers * interval)
        await wait(number, interval)

    waiting = [asyncio.create_task(later(number)) for number in range(1, triggers + 1)]
    lag = Lag()
    watch = asyncio.create_task(lag.watch()) if slow or hung else None
    await asyncio.sleep(3 * interval + 1)
    connections = stand.counts()["connections"]
    stand.reset()
    stand.set(slow=slow, hung=hung)
    lag.seen.clear()
    began, cpu = time.monotonic(), time.process_time()
    await asyncio.sleep(seconds)
    cpu, took = time.process_time() - cpu, time.monotonic() - began
    counts = stand.counts()
    for task in waiting:
        if task.done():
            task.result()
        task.cancel()
    if watch is not None:
        watch.cancel()
    await asyncio.wait(waiting)
    return {
        "cpu_per_poll": cpu / max(1, counts["requests"]),
        "polls_per_second": counts["requests"] / took,
        "polls": counts["requests"],
        "connections_at_start": connections,
        "connections_while_polling": counts["connections"],
        "longest_gap": counts["longest_gap"],
        "longest_stall": max(lag.seen, default=0.0),
    }


def main() -> None:
    """Measure once."""
    name, triggers, interval, seconds, *more = sys.argv[1:]
    slow, hung = (*map(float, more), 0.0, 0.0)[:2]
    logging.disable(logging.WARNING)
    with stand_in() as stand:
        say(
            asyncio.run(measure(stand, name, int(triggers), float(interval), float(seconds), slow=slow, hung=int(hung)))
        )


if __name__ == "__main__":
    main()
