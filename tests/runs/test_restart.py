"""Processes that die and start again: whenever it happens, there is one job, and the task learns how that one ended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator, Hashable
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import Any

import pytest

from hevo_provider.operators import HevoPipelineOperator, HevoResyncObjectsOperator
from hevo_provider.sandbox import Fault, Request, Sandbox, SandboxPipeline
from hevo_provider.triggers import HevoJobTrigger
from tests.stage.clock import VirtualClock
from tests.stage.death import (
    Killed,
    Life,
    LifeToAnotherEnd,
    MortalStore,
    MortalTaskInstance,
    living,
    make_requests_mortal,
    mortal,
)
from tests.stage.marks import in_both_modes
from tests.stage.tasks import Deferral, TaskInstance, event_of, operator, operator_of, play, run_in_triggerer, work


@pytest.fixture
def mortal_ti(clock: VirtualClock, hevo: Sandbox, monkeypatch: pytest.MonkeyPatch) -> MortalTaskInstance:
    """A task instance whose workers may die."""
    make_requests_mortal(monkeypatch)
    monkeypatch.setattr("hevo_provider.clock._of_this_process", mortal(clock.clock))
    return MortalTaskInstance(clock, store=MortalStore())


def play_until_death(
    task: Callable[[], HevoPipelineOperator | HevoResyncObjectsOperator], ti: TaskInstance, life: Life
) -> Any:
    """Let the task be worked on by workers who have one life all in all."""
    with living(life):
        result = work(lambda: task().execute(ti.context))
    while isinstance(result, Deferral):
        event = run_in_triggerer(event_of(result.trigger()))
        with living(life):
            result = work(lambda event=event: task().execute_complete(ti.context, event))  # type: ignore[misc]
    return result


STARTS = ("sync_now", "resync", "resync_objects")
ANSWERS = {"answered": Fault.no_op(), "not-applied": Fault.reset(), "answer-lost": Fault.reset(after=True)}


# The objects of a resync are in the next test.
@in_both_modes
@pytest.mark.parametrize(("action", "answer"), [*(("SYNC_NOW", answer) for answer in ANSWERS), ("RESYNC", "answered")])
def test_whenever_the_worker_dies_the_retry_ends_with_the_one_job(
    hevo: Sandbox, clock: VirtualClock, mortal_ti: MortalTaskInstance, action: str, answer: str, deferrable: bool
) -> None:
    task = partial(operator, action=action, deferrable=deferrable, poll_interval=45)
    ends: set[Hashable] = set()
    for deaths in count():
        pipeline = hevo.add_pipeline(7, appear_after=2, duration=40, restarting_for=3, parallel_jobs=True)
        ti = MortalTaskInstance(clock, store=MortalStore())
        hevo.clear_faults()
        hevo.inject(action.lower(), ANSWERS[answer])
        try:
            play_until_death(task, ti, LifeToAnotherEnd(ends))
        except Killed:
            ti.next_try()
            job_id = play(task(), ti)
        else:
            break

        assert [job.id for job in pipeline.jobs] == [job_id], f"killed for the {deaths + 1}. time"
        assert ti.xcoms["hevo_job"]["status"] == "COMPLETED"
    assert deaths > 12


@pytest.mark.parametrize(
    ("action", "deferrable"),
    [("RESYNC", True), ("RESYNC_OBJECTS", False)],
    ids=["RESYNC-deferrable", "RESYNC_OBJECTS-blocking"],
)
def test_whenever_the_worker_dies_the_retry_goes_on_from_a_deferred_job_and_resyncs_nothing_again(
    hevo: Sandbox, clock: VirtualClock, mortal_ti: MortalTaskInstance, action: str, deferrable: bool
) -> None:
    task = partial(operator_of, action, deferrable=deferrable, poll_interval=45, on_deferred="continue")

    def only_the_first_is_deferred(request: Request) -> None:
        if request.route in STARTS and request.status == 200:
            pipeline.jobs[-1].ends = "DEFERRED" if len(pipeline.jobs) == 1 else "COMPLETED"

    ends: set[Hashable] = set()
    for deaths in count():
        pipeline = hevo.add_pipeline(7, appear_after=2, duration=40, restarting_for=3, parallel_jobs=True)
        ti = MortalTaskInstance(clock, store=MortalStore())
        hevo.on_request = only_the_first_is_deferred
        try:
            play_until_death(task, ti, LifeToAnotherEnd(ends))
        except Killed:
            ti.next_try()
            job_id = play(task(), ti)
        else:
            break

        assert [job.type for job in pipeline.jobs] == ["RESYNC", "INCREMENTAL"], f"killed for the {deaths + 1}. time"
        assert pipeline.jobs[-1].id == job_id
        assert ti.xcoms["hevo_job"]["jobs"] == [job.id for job in pipeline.jobs]
        assert ti.xcoms["hevo_job"]["events_loaded"] == 2000
    assert deaths > 25


@pytest.mark.parametrize("ends", ["COMPLETED", "FAILED"])
def test_a_retry_that_only_wants_the_id_returns_it_however_the_job_ended(
    hevo: Sandbox, clock: VirtualClock, mortal_ti: MortalTaskInstance, ends: str
) -> None:
    pipeline = hevo.add_pipeline(7, appear_after=0, duration=1, ends=ends)
    task = partial(operator, wait_for_completion=False)
    with pytest.raises(Killed):
        play_until_death(task, mortal_ti, Life(14))
    assert len(pipeline.jobs) == 1
    clock.advance(300)
    mortal_ti.next_try()

    job_id = play(task(), mortal_ti)

    assert [job.id for job in pipeline.jobs] == [job_id]


class CancelledAt:
    """
    A coroutine whose task is cancelled at one of its awaits, as a triggerer does it that stops.

    :param number: of the await, from 0. Bare yields in a row, which is how the virtual clock sleeps, count as one.
    """

    def __init__(self, number: int, coroutine: Coroutine[Any, Any, Any]) -> None:
        self.left = number
        self.coroutine = coroutine

    def __await__(self) -> Generator[Any, Any, Any]:
        steps = self.coroutine.__await__()
        advance: Callable[[], Any] = partial(next, steps)
        sleeping = False
        while True:
            try:
                waits_for = advance()
            except StopIteration as end:
                return end.value
            if not (sleeping and waits_for is None):
                self.left -= 1
            sleeping = waits_for is None
            if self.left == -1:
                task = asyncio.current_task()
                assert task is not None
                task.cancel()
            try:
                yield waits_for
            except BaseException as error:  # noqa: BLE001 - handed on to where it belongs
                advance = partial(steps.throw, error)
            else:
                advance = partial(next, steps)


async def event_unless_cancelled(trigger: HevoJobTrigger, number: int) -> Any:
    """Let a triggerer run a trigger that is cancelled at an await: the event, or None if it was."""
    try:
        return await CancelledAt(number, event_of(trigger))
    except asyncio.CancelledError:
        left_behind = asyncio.all_tasks() - {asyncio.current_task()}
        if left_behind:  # a triggerer's loop lives on, and what closes a session comes to its end
            await asyncio.wait(left_behind, timeout=5)
        return None


@dataclass(frozen=True)
class Case:
    """A wait in the triggerer, and how it ends when nothing disturbs it."""

    event: str
    status: str | None = None
    parameters: dict[str, Any] = field(default_factory=dict)
    pipeline: dict[str, Any] = field(default_factory=dict)
    answer: Fault = field(default_factory=Fault.no_op)
    other_job: float | None = None
    starts_again_after: float = 0

    def begin(self, hevo: Sandbox, clock: VirtualClock) -> tuple[SandboxPipeline, Deferral]:
        """Let a worker start the run and defer."""
        pipeline = hevo.add_pipeline(7, **{"appear_after": 8, "duration": 40, **self.pipeline})
        if self.other_job is not None:
            pipeline.start_job(duration=self.other_job, appear_after=0)
        hevo.inject("sync_now", self.answer)
        deferral = work(lambda: operator(poll_interval=25, **self.parameters).execute(TaskInstance(clock).context))
        assert isinstance(deferral, Deferral)
        hevo.clear_faults()
        hevo.reset_record()
        return pipeline, deferral

    def check(self, event: Any, hevo: Sandbox, pipeline: SandboxPipeline) -> None:
        """Tell that the event is the right one, and that nothing was sent for it but GETs and the one cancel."""
        started = pipeline.jobs_started_by_api
        assert event["event"] == self.event
        assert self.status is None or event["status"] == self.status
        assert event["job_id"] == (started[0].id if started else None)
        asked = {request.method: request.route for request in hevo.requests if request.method != "GET"}
        if self.event == "timed_out":
            assert event["cancelled"]
            assert asked == {"POST": "cancel_job"}
            assert started[0].active is False or started[0].status == "CANCELLING"
        else:
            assert not asked


CASES = {
    "until-it-may-start": Case("start", parameters={"on_active_job": "wait"}, other_job=30),
    "until-the-job-shows": Case("job_found", "IN_PROGRESS", {"wait_for_completion": False}),
    "until-the-job-ends": Case("job_ended", "COMPLETED"),
    "until-the-job-fails": Case("job_ended", "FAILED", pipeline={"ends": "FAILED"}),
    "after-a-lost-answer": Case("job_ended", "COMPLETED", answer=Fault.reset(after=True)),
    "after-a-lost-call": Case("start", answer=Fault.reset()),
    "until-a-deferred-job-may-be-gone-on-from": Case(
        "start", parameters={"on_deferred": "continue"}, pipeline={"ends": "DEFERRED"}
    ),
    "until-its-time-is-over": Case("timed_out", None, {"timeout": 50}, {"duration": None}),
    "until-its-job-is-cancelled": Case("timed_out", None, {"timeout": 50}, {"duration": None}, starts_again_after=10),
}
in_every_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


@in_every_case
def test_a_trigger_that_is_cancelled_at_any_await_ends_the_same_when_it_starts_again(
    hevo: Sandbox, clock: VirtualClock, case: Case
) -> None:
    for number in count():
        pipeline, deferral = case.begin(hevo, clock)

        event = run_in_triggerer(event_unless_cancelled(deferral.trigger(), number))
        is_whole = event is not None
        if event is None:
            clock.advance(case.starts_again_after)
            event = run_in_triggerer(event_of(deferral.trigger()))

        case.check(event, hevo, pipeline)
        if is_whole:
            break
    assert number > 5


@in_every_case
@pytest.mark.parametrize("apart", [0, 7], ids=["at-once", "a-little-later"])
def test_two_triggers_of_one_wait_come_to_the_same_end(
    hevo: Sandbox, clock: VirtualClock, case: Case, apart: int
) -> None:
    pipeline, deferral = case.begin(hevo, clock)

    async def second() -> Any:
        await clock.sleep(apart)
        return await event_of(deferral.trigger())

    async def both() -> tuple[Any, Any]:
        return await asyncio.gather(event_of(deferral.trigger()), second())

    for event in run_in_triggerer(both()):
        case.check(event, hevo, pipeline)
