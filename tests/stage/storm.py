"""Far more tasks that start at the same time than Hevo's limit allows, played by the real client, course and wait."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from typing import Any

from hevo_provider.client import HevoAsyncClient
from hevo_provider.client.budget import Budget
from hevo_provider.client.pace import DEFAULT_LIMIT
from hevo_provider.runs.course import Course
from hevo_provider.runs.outcome import Ending, Outcome
from hevo_provider.runs.run import Run
from hevo_provider.runs.wait import Wait
from hevo_provider.sandbox import Limit, Sandbox
from tests.stage.clients import connected_to, run_of
from tests.stage.virtual_loop import VirtualLoop, run

TASKS, SLOTS = 200, 8
MOST_STARTS, LONGEST_HELD = 3, 5.0  # of workers, for one task; seconds
STARTED_WITHIN = 6 * 60 * 1.25  # seconds: 600 requests take six minutes
PROCESS_STARTS_IN = 2.0  # seconds
EVENT_TAKES = 8.0  # seconds from a trigger's event until a worker has it, at least


class NoStore:
    """What a worker of Airflow 2 has to remember a run by."""

    async def aremember(self, run: Run) -> None: ...
    async def aupdate(self, run: Run) -> None: ...


class Quiet:
    """A log that nobody reads."""

    def info(self, message: str, *args: object) -> None: ...
    def warning(self, message: str, *args: object) -> None: ...


class Storm:
    """Tasks that all start now, from a few worker slots, and one triggerer: each process has a budget of its own."""

    def __init__(self, limit: Limit) -> None:
        self._loop = loop = VirtualLoop()
        self.clock = loop.clock
        self.hevo = Sandbox(clock=self.clock.now)
        self.hevo.limit = limit
        self.slots = asyncio.Semaphore(SLOTS)
        self.longest_held = 0.0
        self.worker_starts = Counter[int]()
        self.began_at = self.clock.now()
        self.failed: list[str] = []
        self.sent = asyncio.Event()

    def _client(self, **options: Any) -> HevoAsyncClient:
        budget = Budget(self.clock, DEFAULT_LIMIT)
        return HevoAsyncClient(
            self.hevo.url, self.hevo.key, self.hevo.secret, clock=self.clock, budget=budget, **options
        )

    @property
    def jobs_created_after(self) -> list[float]:
        """Seconds from the beginning until each job was created."""
        jobs = [job for pipeline in self.hevo.pipelines.values() for job in pipeline.jobs]
        return sorted(job.created_at - self.began_at for job in jobs)

    def play(self) -> None:
        """Play it until each task has its job, the same each time."""
        random.seed(1)  # of backoffs
        run(self._play(), self._loop)

    @property
    def most_worker_starts(self) -> int:
        """How often a worker was started for one task, up to the one that sent."""
        return max(self.worker_starts.values())

    async def _play(self) -> None:
        async with self.hevo, self._client(retry_limit=0) as triggerer:
            for number in range(TASKS):
                self.hevo.add_pipeline(number + 1, duration=1800)
            tasks = [asyncio.ensure_future(self._task(number + 1, triggerer)) for number in range(TASKS)]
            await asyncio.wait([*tasks, asyncio.ensure_future(self.sent.wait())], return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _task(self, number: int, triggerer: HevoAsyncClient) -> None:
        at = run_of(pipeline_id=number, action="SYNC_NOW", job_types=["INCREMENTAL"])
        while True:
            begun = await self._worker(at)
            assert isinstance(begun, Run)
            if len(self.jobs_created_after) == TASKS:
                self.sent.set()
            outcome = await Wait(begun, self.clock, Quiet()).until_done(connected_to(triggerer))
            assert outcome.ending is Ending.START, "no job is over so soon"
            at = outcome.run
            await self.clock.sleep(EVENT_TAKES)

    async def _worker(self, at: Run) -> Run | Outcome:
        async with self.slots:
            await self.clock.sleep(PROCESS_STARTS_IN)
            self.worker_starts[at.pipeline_id] += 1
            began = self.clock.monotonic()
            try:
                async with self._client(retry_limit=3, longest_pause=5) as hevo:
                    return await Course(connected_to(hevo), self.clock, NoStore(), Quiet()).begin(at, None)
            except Exception as error:
                self.failed.append(f"{type(error).__name__}: {error}")
                raise
            finally:
                self.longest_held = max(self.longest_held, self.clock.monotonic() - began)
