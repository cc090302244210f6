"""Airflow, played: workers and triggerers that die and are replaced, until a task has come to its verdict."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from importlib.metadata import version
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowTaskTimeout

from hevo_provider.exceptions import HevoJobFailedError
from hevo_provider.hooks import HevoHook
from hevo_provider.operators import HevoPipelineOperator
from hevo_provider.runs.run import Phase, Run
from hevo_provider.sandbox import Sandbox, SandboxJob, SandboxPipeline
from hevo_provider.tasks.store import KEY
from hevo_provider.triggers import HevoJobTrigger
from tests.soak.chaos import Chaos, SharedClock
from tests.soak.plan import Plan
from tests.stage.death import Killed, Life, MortalStore, MortalTaskInstance, living, mortal
from tests.stage.tasks import Deferral, StateStore, event_of, work

PIPELINE = 7
MOST_TRIES = 25
TAKES_OVER_AFTER = 8.0  # seconds until another triggerer does what a dead one did


class Story:
    """What the provider's log said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def _tell(self, message: str, *args: Any) -> None:
        self.lines.append(message % args if args else message)

    debug = info = warning = error = exception = _tell


@dataclass
class Told:
    """
    What became of one task.

    :param verdict: "success", "failed" for a job that ended badly, "timed out", or "gave up".
    :param job_id: the job that the verdict is about.
    :param own: the jobs that this task's calls have started.
    :param ownership: what the provider thought of the job's owner when it last told.
    :param errors: what failed the tries before the last, other than the loss of a worker.
    """

    verdict: str = "gave up"
    job_id: str | None = None
    own: list[SandboxJob] = field(default_factory=list)
    ownership: str | None = None
    errors: list[Exception] = field(default_factory=list)
    timed_out_at: float | None = None
    workers: int = 0
    workers_lost: int = 0
    triggerers: int = 0
    triggerers_lost: int = 0
    twins: int = 0


class Stage:
    """
    One run, or two on one pipeline, from the first worker to the verdict.

    :param plan: what it goes through.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.clock = SharedClock()
        self.began = self.clock.now()
        self.chaos = Chaos(f"{plan.seed}/{plan.number}", self.clock, lies=plan.is_alone)
        self.story = Story()
        self.tellings = [Told() for _ in plan.tasks]
        self.pipeline: SandboxPipeline
        self._worker = ThreadPoolExecutor(max_workers=1, initializer=_become_a_worker)

    def play(self) -> None:
        """Play the run; what became of it is in ``tellings`` and ``pipeline``."""
        with self._set(), self._worker:
            asyncio.run(self._play())

    @contextmanager
    def _set(self) -> Iterator[None]:
        clock = mortal(self.clock.clock)
        hevo = Sandbox(clock=self.clock.now, seed=self.plan.number)
        with hevo, pytest.MonkeyPatch.context() as monkeypatch:
            connection = {"conn_type": "hevo", "host": hevo.url, "login": hevo.key, "password": hevo.secret}
            monkeypatch.setenv("AIRFLOW_CONN_HEVO_AIRFLOW_CONN_ID", json.dumps(connection))
            monkeypatch.setattr("hevo_provider.clock._of_this_process", clock)
            for kind in (HevoPipelineOperator, HevoJobTrigger):
                monkeypatch.setattr(kind, "log", self.story, raising=False)
            monkeypatch.setattr("hevo_provider.triggers.is_still_waited_for", _everybody_is_waited_for)
            self._let_look_ups_wait(monkeypatch)
            self.chaos.install(monkeypatch)
            hevo.recording = False
            hevo.fault_source = self.chaos.fault_source
            self._furnish(hevo)
            yield

    def _let_look_ups_wait(self, monkeypatch: pytest.MonkeyPatch) -> None:
        look_up = HevoHook._look_up

        async def look_up_while_time_stands(hook: HevoHook) -> Any:
            with self.clock.waiting_for_an_answer():
                return await look_up(hook)

        monkeypatch.setattr(HevoHook, "_look_up", look_up_while_time_stands)

    def _furnish(self, hevo: Sandbox) -> None:
        self.pipeline = hevo.add_pipeline(PIPELINE, **self.plan.pipeline)
        for ago in self.plan.history:
            self.pipeline.start_job(ago=ago, duration=30, started_by="history")
        if self.plan.other_job is not None:
            self.pipeline.start_job(ago=60, duration=60 + self.plan.other_job, started_by="history")

    async def _play(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            for number in range(len(self.plan.tasks)):
                tasks.create_task(self._task(number))

    async def _task(self, number: int) -> None:
        told = self.tellings[number]
        ti = MortalTaskInstance(self.clock, task_id=f"task{number}", store=MortalStore())
        await self.clock.sleep(self.plan.begins[number])
        for _ in range(MOST_TRIES):
            try:
                told.job_id = await self._try(number, ti)
            except Killed:
                told.workers_lost += 1
                self.story.warning("-- task %s, try %s: the worker is lost", number, ti.try_number)
            except HevoJobFailedError as error:
                told.verdict, told.job_id = "failed", error.job_id
                return
            except AirflowTaskTimeout:
                told.verdict, told.timed_out_at = "timed out", self.clock.now()
                return
            except Exception as error:  # noqa: BLE001 - whatever it is, Airflow tries again
                told.errors.append(error)
                self.story.warning("-- task %s, try %s: %r", number, ti.try_number, error)
            else:
                told.verdict = "success"
                return
            await self.clock.sleep(self.plan.pause_before_retry(number, ti.try_number))
            ti.next_try()

    async def _try(self, number: int, ti: MortalTaskInstance) -> str:
        result = await self._work(number, ti, lambda task: task.execute(ti.context))
        while isinstance(result, Deferral):
            event = await self._trigger(number, result)
            result = await self._work(number, ti, partial(_resume, context=ti.context, event=event))
        return str(result)

    async def _work(self, number: int, ti: MortalTaskInstance, function: Callable[[Any], Any]) -> Any:
        """Let a worker do its part, in a thread, while all others stand still."""
        told = self.tellings[number]
        told.workers += 1
        life = Life(self.plan.worker_dies_after(number, told.workers))
        task = HevoPipelineOperator(task_id=ti.task_id, pipeline_id=PIPELINE, **self.plan.tasks[number])
        self._see_record(told, ti)
        await self.clock.calm()
        there = len(self.pipeline.jobs_started_by_api)
        try:
            with living(life):
                return self._worker.submit(copy_context().run, work, lambda: function(task)).result()
        finally:
            told.own += self.pipeline.jobs_started_by_api[there:]
            run = task._course.run if task._course is not None else None
            if run is not None and run.phase is not Phase.READY:
                told.ownership = run.ownership

    def _see_record(self, told: Told, ti: MortalTaskInstance) -> None:
        assert ti.store is not None
        record = StateStore.get(ti.store, KEY)
        run = None if record is None else Run.from_json(record["run"])
        if run is not None and run.phase != Phase.READY:
            told.ownership = run.ownership

    async def _trigger(self, number: int, deferral: Deferral) -> Any:
        """Let triggerers wait, one after the other or two at once, until one of them has the event."""
        told = self.tellings[number]
        while True:
            told.triggerers += 1
            deaths = [self.plan.triggerer_dies_after(number, told.triggerers)]
            if self.plan.has_twin(number, told.triggerers):
                told.twins += 1
                deaths.append(self.plan.triggerer_dies_after(number, -told.triggerers))
            waiting = {asyncio.create_task(self._wait(number, deferral, steps)) for steps in deaths}
            while waiting:
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for event in (each.result() for each in done):
                    if event is not None:
                        await self.clock.calm()
                        for twin in waiting:
                            twin.cancel()
                        await asyncio.gather(*waiting, return_exceptions=True)
                        return event
            await self.clock.sleep(TAKES_OVER_AFTER)

    async def _wait(self, number: int, deferral: Deferral, steps: int | None) -> Any:
        """Let one triggerer run the trigger: its event, or None if the triggerer died."""
        told = self.tellings[number]
        trigger = deferral.trigger()
        life = Life(steps, asyncio.current_task())
        with living(life):
            try:
                event = await event_of(trigger)
            except asyncio.CancelledError:
                if not life.dead:
                    raise
                told.triggerers_lost += 1
                self.story.warning("-- task %s: the triggerer is lost", number)
                return None
        told.ownership = trigger._latest().ownership
        return event


async def _everybody_is_waited_for(*_: Any, **__: Any) -> bool:
    """Answer for Airflow: triggerers die here, but no user ends a task."""
    return True


def _become_a_worker() -> None:
    """Airflow 2 lets a task run only in a thread that it has prepared."""
    if version("apache-airflow").startswith("2."):
        safeguard = import_module("airflow.models.baseoperator").ExecutorSafeguard
        safeguard._sentinel.callers = {}


def _resume(task: HevoPipelineOperator, context: Any, event: Any) -> str:
    return task.execute_complete(context, event)
