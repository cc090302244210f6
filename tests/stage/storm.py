"""Far more tasks that start at the same time than Hevo's limit allows, played by the real client, course and wait."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from typing import Any

from hevo_provider.client import HevoAsyncClient
from hevo_provider.client.budget import Budget
from hevo_provider.client.pace import DEFAULT_LIMIT, WINDOW
from hevo_provider.clock import Clock
from hevo_provider.runs.course import Course
from hevo_provider.runs.outcome import Ending, Outcome
from hevo_provider.runs.run import Run
from hevo_provider.runs.wait import Wait
from hevo_provider.sandbox import Limit, Request, Sandbox
from tests.stage.clients import connected_to, run_of
from tests.stage.virtual_loop import VirtualLoop, run

TASKS, SLOTS = 200, 8
MOST_STARTS, LONGEST_HELD = 3, 5.0  # of workers, for one task; seconds
STARTED_WITHIN = 6 * 60 * 1.25  # seconds: 600 requests take six minutes
INTERVAL = 15.0  # seconds between two polls of a wait, if there are enough requests
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


class Waits:
    """
    Tasks that wait for jobs which go on and on.

    :param number: how many.
    """

    def __init__(self, number: int, clock: Clock, hevo: Sandbox) -> None:
        self.most_rounds = 0.0
        """How many even rounds lay between two polls of the same job, at most."""
        self._number = number
        self._clock = clock
        self._hevo = hevo
        self._budget: Budget | None = None
        self._rounds, self._until = 0.0, clock.now()  # how many even rounds there were, until when
        self._polled: dict[str, float] = {}  # and how many when a job was last polled

    async def begin(self, triggerer: HevoAsyncClient) -> list[asyncio.Task[Outcome]]:
        """Let them wait until each has its place in the round."""
        self._budget = triggerer.budget
        self._hevo.on_request = self._note
        tasks = [asyncio.ensure_future(self._wait(TASKS + number + 1, triggerer)) for number in range(self._number)]
        await self._clock.sleep(3 * self._number * WINDOW / DEFAULT_LIMIT)
        return tasks

    def end(self) -> None:
        """Take those into account that have not been polled for long."""
        self._go_on()
        self.most_rounds = max([self.most_rounds, *(self._rounds - polled for polled in self._polled.values())])

    async def _wait(self, number: int, triggerer: HevoAsyncClient) -> Outcome:
        job = self._hevo.add_pipeline(number).start_job(appear_after=0.0, duration=7 * 86_400)
        at = run_of(pipeline_id=number, job_id=job.id, poll_interval=INTERVAL, last_status="IN_PROGRESS")
        return await Wait(at, self._clock, Quiet()).until_done(connected_to(triggerer))

    def _go_on(self) -> None:
        assert self._budget is not None
        now = self._clock.now()
        self._rounds += (now - self._until) / max(self._budget.round, INTERVAL)
        self._until = now

    def _note(self, request: Request) -> None:
        self._go_on()
        if request.job_id is not None and request.route == "get_job" and request.fault is None:
            polled = self._polled.get(request.job_id, self._rounds)
            self.most_rounds = max(self.most_rounds, self._rounds - polled)
            self._polled[request.job_id] = self._rounds


class Storm:
    """
    Tasks that all start now, from a few worker slots, and one triggerer: each process has a budget of its own.

    :param limit: Hevo's.
    :param waits: how many tasks wait in the triggerer already, for jobs that go on all the while.
    """

    def __init__(self, limit: Limit, waits: int = 0) -> None:
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
        self.waits = Waits(waits, self.clock, self.hevo)

    def _client(self, **options: Any) -> HevoAsyncClient:
        budget = Budget(self.clock, DEFAULT_LIMIT)
        return HevoAsyncClient(
            self.hevo.url, self.hevo.key, self.hevo.secret, clock=self.clock, budget=budget, **options
        )

    @property
    def jobs_created_after(self) -> list[float]:
        """Seconds from the beginning until each job was created."""
        jobs = [job for number in range(TASKS) for job in self.hevo.pipelines[number + 1].jobs]
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
            waits = await self.waits.begin(triggerer)
            self.began_at = self.clock.now()
            tasks = [asyncio.ensure_future(self._task(number + 1, triggerer)) for number in range(TASKS)]
            await asyncio.wait([*tasks, asyncio.ensure_future(self.sent.wait())], return_when=asyncio.FIRST_COMPLETED)
            self.waits.end()
            for task in (*tasks, *waits):
                task.cancel()
            await asyncio.gather(*tasks, *waits, return_exceptions=True)

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
