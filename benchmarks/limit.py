"""
Many waits within Hevo's limit: ``python -m benchmarks.limit [--quick] [--json FILE]``.

In virtual time, and otherwise real: the provider's waits and client, over HTTP, against the sandbox and its limit. Jobs
begin spread over as long as one of them takes and are followed until they end; how late that is seen is measured, once
the waits have settled. A job that has ended is followed by another one. Other providers are played beside that, by what
their code does: how often it polls, and what it does with a refusal. Storms come last: many tasks that start at once.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import random
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from itertools import product
from pathlib import Path
from statistics import mean, stdev
from typing import Any, Literal

from benchmarks.report import table
from hevo_provider import __version__
from hevo_provider.client import HevoAsyncClient
from hevo_provider.client.budget import Budget
from hevo_provider.exceptions import HevoError
from hevo_provider.runs.run import Run
from hevo_provider.runs.urgency import expectation_of
from hevo_provider.runs.wait import Wait
from hevo_provider.sandbox import Limit, Sandbox
from hevo_provider.sandbox.limit import Window
from tests.stage.storm import LONGEST_HELD, MOST_STARTS, STARTED_WITHIN, TASKS, Quiet, Storm
from tests.stage.virtual_loop import VirtualLoop, run

LIMIT = 100
INTERVAL = 15.0
FOREIGN = 30.0
SHORT, LONG = (600.0, 2400.0), (3600.0, 14_400.0)  # seconds that jobs take
VARIES_BY = 0.1
MORE_ENDS = 0.85  # of an even round, where more jobs end than there are requests (docs/performance.md, arithmetic)
ENDS = 300  # of jobs that are measured, about, where waits are few
HOUR, RETRY_DELAY = 3600.0, 300.0  # seconds; the second is Airflow's own default


@dataclass
class Stage:
    """
    What is played.

    :param waits: how many.
    :param lasts: seconds, between which jobs take.
    :param history: "none"; "usual": they vary by a tenth of what earlier ones took; "misleading": they take three times
        as long.
    :param retry_after: whether a refusal tells when there is room.
    :param triggerers: how many processes share the waits.
    :param foreign: requests a minute of somebody else.
    """

    waits: int
    lasts: tuple[float, float] = SHORT
    history: str = "none"
    retry_after: bool = False
    triggerers: int = 1
    foreign: float = 0.0

    delays: list[float] = field(default_factory=list)
    failed: int = 0
    sent: int = 0
    refused: int = 0

    @property
    def even(self) -> float:
        """The mean delay of a perfect even round with what others leave of the limit, or of the poll_interval."""
        return max(self.waits / 2 / (LIMIT - self.foreign) * 60, INTERVAL / 2)

    def play(self) -> Stage:
        """Play it."""
        loop = VirtualLoop()
        run(self._play(loop), loop)
        return self

    @property
    def settles_in(self) -> float:
        """Seconds until what is measured no longer depends on how it began: two rounds, at least."""
        return max(1200.0, 2 * self.waits / (LIMIT - self.foreign) * 60)

    @property
    def takes(self) -> float:
        """How many times as long as jobs of this pipeline usually take they take now."""
        return 3.0 if self.history == "misleading" else 1.0

    async def _play(self, loop: VirtualLoop) -> None:
        hevo = Sandbox(clock=loop.clock.now, seed=7)
        hevo.recording = False
        hevo.limit = Limit(LIMIT, retry_after="room" if self.retry_after else None)
        hevo.foreign_requests = self.foreign

        def count_request(request: object) -> None:
            self.sent += 1
            self.refused += getattr(request, "fault", None) is not None

        hevo.on_request = count_request
        async with hevo:
            processes = [
                HevoAsyncClient(
                    hevo.url, hevo.key, hevo.secret, retry_limit=0, clock=loop.clock, budget=Budget(loop.clock, LIMIT)
                )
                for _ in range(self.triggerers)
            ]
            dice = random.Random(7)  # noqa: S311 - the same each time
            tasks = [
                asyncio.ensure_future(self._follow(number, hevo, processes[number % self.triggerers], loop, dice))
                for number in range(1, self.waits + 1)
            ]
            await asyncio.sleep(self.settles_in)
            self.sent = self.refused = 0
            enough = ENDS / self.waits * mean(self.lasts)
            await asyncio.sleep(max(2400.0, self.lasts[1] / 2, enough) * self.takes)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for client in processes:
                await client.close()

    async def _follow(
        self, number: int, hevo: Sandbox, client: HevoAsyncClient, loop: VirtualLoop, dice: random.Random
    ) -> None:
        """Follow one job of a pipeline after another."""

        async def connect() -> HevoAsyncClient:
            return client

        pipeline = hevo.add_pipeline(number, appear_after=0.0)
        usual = dice.uniform(*self.lasts)
        age = dice.uniform(0, usual * self.takes)  # of the first
        while True:
            takes = self.takes * (usual if self.history == "none" else _varied(usual, dice))
            began = loop.time() - age
            job = pipeline.start_job(ago=age, appear_after=0.0, duration=max(takes, age))
            age = 0.0
            run = Run.from_json(
                {"pipeline_id": number, "job_id": job.id, "poll_interval": INTERVAL, "last_status": "IN_PROGRESS"}
            )
            if self.history != "none":
                run = run.expecting(expectation_of([_varied(usual, dice) for _ in range(30)]))
            try:
                await Wait(run, loop.clock, Quiet()).until_done(connect)
            except HevoError:
                self.failed += 1
            else:
                if loop.time() >= self.settles_in:
                    self.delays.append(loop.time() - began - takes)
            pipeline.jobs.clear()

    def figures(self) -> dict[str, Any]:
        """Return what was played and what came of it, in seconds."""
        seen = sorted(self.delays)
        return {
            "waits": self.waits,
            "lasts": self.lasts,
            "history": self.history,
            "retry_after": self.retry_after,
            "triggerers": self.triggerers,
            "others": self.foreign,
            "failed": self.failed,
            "refused": self.refused / max(1, self.sent),
            "mean_delay": mean(seen),
            "chance": 2 * stdev(seen) / len(seen) ** 0.5 / self.even,
            "p95_delay": seen[int(len(seen) * 0.95)],
            "beside_even_round": mean(seen) / self.even,
        }


def _varied(usual: float, dice: random.Random) -> float:
    return usual * dice.uniform(1 - VARIES_BY, 1 + VARIES_BY)


def missed(found: dict[str, Any]) -> list[str]:
    """Return the targets that a stage has missed, by more than chance: when a job ends between two polls is a lot."""
    most = {"none": 1.15, "usual": 0.5, "misleading": 1.5}[found["history"]]
    if found["waits"] / mean(found["lasts"]) * 60 > LIMIT - found["others"]:
        most = max(most, MORE_ENDS)
    if found["mean_delay"] <= INTERVAL / 2 * 1.15:
        most = float("inf")  # no limit would make it less
    targets = {
        "failed": (found["failed"], 0),
        "refused": (round(found["refused"], 3), 0.1 if found["others"] else 0.01),
        "delay": (found["beside_even_round"] - found["chance"], most),
    }
    return [name for name, (value, target) in targets.items() if value > target]


def cells(found: dict[str, Any]) -> list[str]:
    """Return the row of a stage."""
    return [
        f"{found['waits']:,}",
        f"{found['lasts'][0] / 60:g}-{found['lasts'][1] / 60:g} min",
        found["history"],
        "yes" if found["retry_after"] else "no",
        str(found["triggerers"]),
        f"{found['others']:g}",
        str(found["failed"]),
        f"{found['refused']:.1%}",
        f"{found['mean_delay']:.0f} s",
        f"{found['p95_delay']:.0f} s",
        f"{found['beside_even_round']:.2f}",
        _verdict(missed(found)),
    ]


def _verdict(targets: list[str]) -> str:
    return "MISSED: " + ", ".join(targets) if targets else "reached"


HEAD = ["waits", "jobs", "history", "Retry-After", "triggerers", "others/min", "failed", "refused"]
HEAD += ["mean delay", "p95", "/ even round", "targets"]

# How other providers' triggers poll, read in their code: seconds between polls by default. An answer that is a 429
# ends the wait of each of them as an error: none repeats it.
OTHERS = {
    "airflow-provider-fivetran-async 2.4.0": 15.0,
    "apache-airflow-providers-airbyte 6.2.0": 60.0,
    "apache-airflow-providers-dbt-cloud 4.11.1": 60.0,
}


def play_other(interval: float, waits: int) -> tuple[int, int, float]:
    """
    Play triggers that poll at an interval and end when they are refused, for an hour.

    :returns: how many ends of jobs were seen, how many tries of tasks failed, and the mean delay in seconds.
    """
    dice, window, limit = random.Random(7), Window(), Limit(LIMIT)  # noqa: S311 - the same each time
    delays: list[float] = []
    failed = 0
    ends: list[tuple[float, float]] = []  # the next poll, and when the job ends
    for _ in range(waits):
        takes = dice.uniform(*SHORT)
        ends.append((dice.uniform(0, interval), takes - dice.uniform(0, takes)))
    heapify(ends)
    while ends[0][0] < HOUR:
        at, end = heappop(ends)
        if window.refusal(limit, at, 0.0) is not None:
            failed += 1  # the task; its next try waits for the same job
            heappush(ends, (at + RETRY_DELAY, end))
            continue
        if at >= end:  # another job follows
            delays.append(at - end)
            end = at + dice.uniform(*SHORT)
        heappush(ends, (at + interval, end))
    return len(delays), failed, mean(delays) if delays else float("nan")


Weather = tuple[int, int | Literal["room"] | None, int]
"""How Hevo refuses in a storm: the status, and ``Retry-After``; and how many tasks wait already."""

STORM_HEAD = ["status", "Retry-After", "waits", "failed", "all started after", "worker starts of a task", "slot held"]
STORM_HEAD += ["rounds without a poll", "targets"]
MOST_ROUNDS = 3


def storms(*, quick: bool) -> list[Weather]:
    """Return what the storms are like."""
    headers: tuple[int | Literal["room"] | None, ...] = (None,) if quick else (None, 7, "room")
    statuses = (429,) if quick else (400, 403, 429, 500, 503)
    return [*product(statuses, headers, (0,)), *product((429,), headers, (100, 500))]


def storm(weather: Weather) -> dict[str, Any]:
    """Play a storm, in a process of its own."""
    logging.disable(logging.WARNING)
    status, retry_after, waits = weather
    played = Storm(Limit(LIMIT, status=status, retry_after=retry_after), waits)
    played.play()
    created = played.jobs_created_after
    return {
        "status": status,
        "retry_after": retry_after,
        "waits": waits,
        "tasks": TASKS,
        "started": len(created),
        "failed": len(played.failed),
        "all_started_after": max(created, default=float("inf")),
        "worker_starts": played.most_worker_starts,
        "slot_held": played.longest_held,
        "rounds": played.waits.most_rounds,
    }


def missed_in_storm(found: dict[str, Any]) -> list[str]:
    """Return the targets that a storm has missed. Beside many waits, how soon all are started is told only."""
    targets = {
        "failed": (found["failed"] + found["tasks"] - found["started"], 0),
        "slot": (found["slot_held"], LONGEST_HELD),
    }
    if found["waits"]:
        targets["waits"] = (found["rounds"], MOST_ROUNDS)
    else:
        targets["time"] = (found["all_started_after"], STARTED_WITHIN)
        targets["worker starts"] = (found["worker_starts"], MOST_STARTS)
    return [name for name, (value, target) in targets.items() if value > target]


def cells_of_storm(found: dict[str, Any]) -> list[str]:
    """Return the row of a storm."""
    return [
        str(found["status"]),
        str(found["retry_after"] or "no"),
        str(found["waits"]),
        str(found["failed"]),
        f"{found['all_started_after'] / 60:.1f} min",
        str(found["worker_starts"]),
        f"{found['slot_held']:.1f} s",
        f"{found['rounds']:.1f}" if found["waits"] else "",
        _verdict(missed_in_storm(found)),
    ]


def stages(*, quick: bool) -> list[Stage]:
    """Return what is played."""
    if quick:
        every = [Stage(25), Stage(100), Stage(500), Stage(500, history="usual"), Stage(500, history="misleading")]
        return [*every, Stage(500, retry_after=True), Stage(500, triggerers=2), Stage(500, foreign=FOREIGN)]
    every = [Stage(25)]
    every += [
        Stage(waits, lasts, "none", retry_after, triggerers, foreign)
        for lasts, waits, retry_after, triggerers, foreign in product(
            (SHORT, LONG), (100, 500, 3000), (False, True), (1, 2), (0.0, FOREIGN)
        )
    ]
    every += [
        Stage(waits, lasts, history)
        for lasts, waits, history in product((SHORT, LONG), (100, 500, 3000), ("usual", "misleading"))
    ]
    every += [Stage(500, lasts, "usual", triggerers=2, foreign=FOREIGN) for lasts in (SHORT, LONG)]
    return every


def played(stage: Stage) -> dict[str, Any]:
    """Play a stage, in a process of its own."""
    logging.disable(logging.WARNING)
    began = time.monotonic()
    found = stage.play().figures()
    sys.stderr.write(" ".join(cells(found)) + f" ({time.monotonic() - began:.0f} s)\n")
    sys.stderr.flush()
    return found


def main() -> int:
    """Play all of it and show it; return 1 if a target was missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.limit", description="Play many waits within a limit.")
    parser.add_argument("--quick", action="store_true", help="some of the stages only")
    parser.add_argument("--json", type=Path, default=Path("build/limit.json"), help="where the figures go")
    options = parser.parse_args()
    with ProcessPoolExecutor(min(4, os.cpu_count() or 1)) as processes:
        found = list(processes.map(played, stages(quick=options.quick)))
        stormy = list(processes.map(storm, storms(quick=options.quick)))
    others = [
        {
            "provider": name,
            "waits": waits,
            "interval": interval,
            "ends": seen,
            "failed": failed,
            "mean_delay": delay,
        }
        for (name, interval), waits in product(OTHERS.items(), (25, 100, 500))
        for seen, failed, delay in [play_other(interval, waits)]
    ]
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(
        json.dumps({"version": __version__, "stages": found, "others": others, "storms": stormy}, indent=2) + "\n",
        encoding="utf-8",
    )
    lines = [["provider", "polls every", "waits", "ends seen in an hour", "tries that failed in it", "mean delay"]]
    lines += [
        [
            str(other["provider"]),
            f"{other['interval']:g} s",
            str(other["waits"]),
            str(other["ends"]),
            str(other["failed"]),
            f"{other['mean_delay']:.0f} s",
        ]
        for other in others
    ]
    shown = [table([HEAD, *map(cells, found)]), table(lines), table([STORM_HEAD, *map(cells_of_storm, stormy)])]
    sys.stdout.write("\n".join(shown))
    return 1 if any(map(missed, found)) or any(map(missed_in_storm, stormy)) else 0


if __name__ == "__main__":
    sys.exit(main())
