"""
Hevo cannot be reached, or makes no sense, while a task waits: the task outlives it.

It says so once per change, and gives up after a while with an error that says since when and why.

Request time-outs are real time, so they are made tiny; everything else happens on the virtual clock.
"""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime
from itertools import cycle, pairwise
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowTaskTimeout

from hevo_provider.client import HevoAsyncClient
from hevo_provider.exceptions import (
    HevoAuthError,
    HevoJobNotFoundError,
    HevoOutageError,
    HevoRateLimitError,
    HevoResponseError,
    HevoServerError,
    HevoTimeoutError,
    HevoTransportError,
)
from hevo_provider.hooks import HevoHook
from hevo_provider.runs import wait
from hevo_provider.runs.outage import Outage
from hevo_provider.runs.outcome import Ending, Outcome
from hevo_provider.runs.run import Run
from hevo_provider.runs.wait import Wait
from hevo_provider.sandbox import MISSING, Fault, Request, Sandbox
from hevo_provider.triggers import HevoJobTrigger
from tests.stage.clients import WireTime, connected_to
from tests.stage.clock import START, VirtualClock
from tests.stage.failures import fails, told_by
from tests.stage.marks import in_both_modes
from tests.stage.tasks import TaskInstance, event_of, operator, play

OUTAGES = {
    "resets": Fault.reset(),
    "gateway-errors": Fault.status(503),
    "too-many-calls": Fault.status(429, headers={"Retry-After": "40"}),
    "pages-of-a-proxy": Fault.html(),
    "sign-in-pages-of-a-firewall": Fault.html(403),
    "answers-cut-off": Fault.truncated(),
    "answers-that-are-null": Fault.json(None),
    "a-list-that-is-none": Fault.json({"data": "maintenance"}),
    "answers-without-ids": Fault.json({"status": "COMPLETED", "data": [{"status": "COMPLETED"}]}),
    "answers-for-another-job": Fault.json({"job_id": "another", "status": "FAILED"}),
    "redirects": Fault.redirect("https://status.example.com/"),
    "bad-requests": Fault.status(400),
    "disowned": Fault.status(404),
}
PHASES = {"until-it-may-start": "ready", "until-its-job-shows": "find", "until-its-job-ends": "watch"}

in_every_phase = pytest.mark.parametrize("phase", PHASES.values(), ids=PHASES)


class Story:
    """What the log says, by level."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []

    def info(self, message: str, *args: Any) -> None:
        self.lines.append(("info", message % args))

    def warning(self, message: str, *args: Any) -> None:
        self.lines.append(("warning", message % args))

    @property
    def warnings(self) -> list[str]:
        return [line for level, line in self.lines if level == "warning"]


def let_fail(hevo: Sandbox, fault: Fault, *, since: float, until: float) -> None:
    """Let every GET fail between two moments, in seconds from the start of the test."""

    def source(route: str) -> Fault | None:
        is_down = START + since <= hevo.clock() < START + until
        return fault if is_down and route not in {"sync_now", "resync", "cancel_job"} else None

    hevo.fault_source = source


# What is an outage is decided by phase, as each asks for something else. In which process does not matter: one outage
# is played in both, and below one in which no answer comes.
@in_every_phase
@pytest.mark.parametrize(
    ("fault", "deferrable"),
    [*((fault, True) for fault in OUTAGES.values()), (OUTAGES["gateway-errors"], False)],
    ids=[*OUTAGES, "gateway-errors-blocking"],
)
def test_minutes_without_a_usable_answer_fail_no_task(
    hevo: Sandbox, ti: TaskInstance, fault: Fault, phase: str, deferrable: bool
) -> None:
    pipeline = hevo.add_pipeline(7, appear_after=10, duration=90)
    parameters: dict[str, Any] = {}
    if phase == "ready":
        pipeline.start_job(duration=30, appear_after=0)
        parameters["on_active_job"] = "wait"
    let_fail(hevo, fault, since=20 if phase == "watch" else 0.5, until=270)

    job_id = play(operator(deferrable=deferrable, **parameters), ti)

    assert [job.id for job in pipeline.jobs_started_by_api] == [job_id]
    assert ti.xcoms["hevo_job"]["status"] == "COMPLETED"


@in_both_modes
@in_every_phase
def test_answers_that_do_not_come_fail_no_task(
    hevo: Sandbox, ti: TaskInstance, wire: WireTime, phase: str, deferrable: bool
) -> None:
    wire.pass_where_nothing_comes(hevo)
    test_minutes_without_a_usable_answer_fail_no_task(hevo, ti, Fault.hang(), phase, deferrable)


@in_both_modes
@pytest.mark.parametrize(
    "override",
    [
        {"status": None},
        {"status": MISSING},
        {"status": 7},
        {"status": "PAUSED_FOR_REVIEW"},
        {"type": "NEW_TYPE", "created_ts": None, "updated_ts": None, "events_loaded": "many"},
    ],
    ids=["null", "missing", "a-number", "unknown", "nonsense-elsewhere"],
)
def test_fields_that_make_no_sense_for_minutes_fail_no_task(
    hevo: Sandbox, ti: TaskInstance, override: dict[str, Any], deferrable: bool
) -> None:
    pipeline = hevo.add_pipeline(7, appear_after=1, duration=90)

    def distort(request: Request) -> None:
        for job in pipeline.jobs:
            job.override = override if START + 10 <= request.at < START + 270 else {}

    hevo.on_request = distort

    job_id = play(operator(deferrable=deferrable), ti)

    assert [job.id for job in pipeline.jobs] == [job_id]
    assert ti.xcoms["hevo_job"]["status"] == "COMPLETED"


@in_both_modes
def test_an_outage_just_as_the_action_may_be_sent_is_waited_out_too(
    hevo: Sandbox, ti: TaskInstance, deferrable: bool
) -> None:
    pipeline = hevo.add_pipeline(7)
    other = pipeline.start_job(duration=30, appear_after=0)
    polls = 0

    def fail_after_the_last_poll(route: str) -> Fault | None:
        nonlocal polls
        polls += route == "get_pipeline" and hevo.clock() >= START + 30
        return Fault.status(503) if polls > 1 and hevo.clock() < START + 300 else None

    hevo.fault_source = fail_after_the_last_poll

    job_id = play(operator(on_active_job="wait", deferrable=deferrable), ti)

    assert polls > 2
    assert [job.id for job in pipeline.jobs] == [other.id, job_id]


@in_both_modes
def test_an_api_that_is_down_before_anything_was_sent_fails_the_task_at_once(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, deferrable: bool
) -> None:
    hevo.add_pipeline(7)
    hevo.inject("*", Fault.status(503), times=None)

    with pytest.raises(HevoServerError):
        play(operator(deferrable=deferrable), ti)

    assert clock.now() - START < 60


@in_both_modes
@in_every_phase
def test_an_outage_beyond_tolerance_fails_the_task_and_says_since_when_and_why(
    hevo: Sandbox, ti: TaskInstance, phase: str, deferrable: bool
) -> None:
    pipeline = hevo.add_pipeline(7, appear_after=10, duration=600)
    parameters: dict[str, Any] = {"api_outage_tolerance": 900}
    if phase == "ready":
        pipeline.start_job(duration=30, appear_after=0)
        parameters["on_active_job"] = "wait"
    let_fail(hevo, Fault.status(502), since=20 if phase == "watch" else 0.5, until=86400)

    with pytest.raises(HevoOutageError) as failure:
        play(operator(deferrable=deferrable, **parameters), ti)

    told = re.search(
        r"since (\S+ \S+) UTC \((\d+) s\); the last failure was: Hevo answered 502", told_by(failure.value)
    )
    assert told, failure.value
    since = datetime.fromisoformat(told[1]).replace(tzinfo=UTC).timestamp()
    assert START <= since <= START + 60
    assert 900 <= float(told[2]) <= 960
    assert "(7): no usable answer" in str(failure.value)


@in_both_modes
def test_a_job_whose_time_is_over_is_cancelled_although_hevo_stumbles(
    hevo: Sandbox, ti: TaskInstance, deferrable: bool
) -> None:
    pipeline = hevo.add_pipeline(7, duration=None)
    hevo.inject("cancel_job", Fault.status(503), Fault.reset())

    with fails(AirflowTaskTimeout, says="Hevo was asked to cancel it"):
        play(operator(deferrable=deferrable, timeout=60), ti)

    assert [job.status for job in pipeline.jobs] == ["CANCELLING"]


# One wait, seen from near


def a_wait(hevo: HevoAsyncClient, story: Story, job_id: str, **parameters: Any) -> Wait:
    return Wait(Run.from_json({"pipeline_id": 7, "job_id": job_id, **parameters}), hevo.clock, story)


def wait_for(job_id: str, story: Story, **parameters: Any) -> Outcome:
    async def watch() -> Outcome:
        async with HevoHook().client() as hevo:
            return await a_wait(hevo, story, job_id, **parameters).until_done(connected_to(hevo))

    return asyncio.run(watch())


def test_there_is_one_warning_per_change_and_a_line_when_it_is_over(hevo: Sandbox) -> None:
    job = hevo.add_pipeline(7).start_job(appear_after=0, duration=10)
    hevo.inject("get_job", *[Fault.status(503)] * 5, *[Fault.reset()] * 5, *[Fault.status(503)] * 5)
    story = Story()

    outcome = wait_for(job.id, story)

    assert outcome.ending is Ending.ENDED
    assert [("answered 503" in line, "reset" in line) for line in story.warnings] == [
        (True, False),
        (False, True),
        (True, False),
    ]
    assert sum("Hevo answers again after" in line for _, line in story.lines) == 1


def test_an_api_that_flaps_for_hours_does_not_flood_the_log(hevo: Sandbox) -> None:
    job = hevo.add_pipeline(7).start_job(appear_after=0, duration=6 * 3600)
    faults = cycle([Fault.status(502), None, Fault.status(502), Fault.status(503)])
    hevo.fault_source = lambda _: next(faults)
    story = Story()

    wait_for(job.id, story, poll_interval=120)

    told = [line for _, line in story.lines if "answered 50" in line or "answers again" in line]
    assert 10 <= len(told) <= 40, "of hundreds of polls"


def test_one_usable_answer_starts_the_tolerance_anew(hevo: Sandbox, clock: VirtualClock) -> None:
    job = hevo.add_pipeline(7).start_job(appear_after=0, duration=3000)
    hevo.fault_source = lambda _: Fault.status(503) if (clock.now() - START) % 700 > 60 else None

    outcome = wait_for(job.id, Story(), api_outage_tolerance=900)

    assert outcome.ending is Ending.ENDED


def test_hevos_wish_for_a_pause_is_respected_within_bounds(hevo: Sandbox) -> None:
    job = hevo.add_pipeline(7).start_job(appear_after=0, duration=1)
    wishes = ["30", "100000", "0"]
    hevo.inject("get_job", *[Fault.status(429, headers={"Retry-After": wish}) for wish in wishes])

    wait_for(job.id, Story())

    at = [request.at for request in hevo.requests_of("get_job")]
    assert [later - earlier for earlier, later in pairwise(at)] == [30, 300, 1]


def test_a_job_that_is_gone_for_five_minutes_is_given_up(hevo: Sandbox, clock: VirtualClock) -> None:
    job = hevo.add_pipeline(7).start_job(appear_after=0, duration=3000)
    hevo.inject("get_job", Fault.no_op())
    hevo.inject("get_job", Fault.status(404), times=None)

    with fails(HevoJobNotFoundError, says=rf"job {job.id}: Hevo has not known it for 3\d\d s"):
        wait_for(job.id, Story())


def test_a_job_that_is_gone_now_and_then_in_an_outage_is_not_given_up(hevo: Sandbox, clock: VirtualClock) -> None:
    job = hevo.add_pipeline(7).start_job(appear_after=0, duration=10)

    def mostly_down(_: str) -> Fault | None:
        passed = clock.now() - START
        return None if passed > 900 else Fault.status(404 if passed < 20 or passed > 600 else 503)

    hevo.fault_source = mostly_down

    outcome = wait_for(job.id, Story(), last_status="IN_PROGRESS")

    assert outcome.ending is Ending.ENDED


@pytest.mark.parametrize("deadline", [None, START + 7200])
def test_a_poll_that_never_ends_is_given_up_and_counts_as_an_outage(
    hevo: Sandbox, monkeypatch: pytest.MonkeyPatch, deadline: float | None
) -> None:
    monkeypatch.setattr(wait, "LONGEST_POLL", 0.05)
    monkeypatch.setattr(wait, "LAST_POLL", 0.01)
    job = hevo.add_pipeline(7).start_job(appear_after=0, ago=60, duration=1)
    hevo.inject("get_job", Fault.hang())
    story = Story()

    async def poll_twice() -> tuple[Any, Any, Outcome | None]:
        async with HevoHook().client() as client:
            watched = a_wait(client, story, job.id, deadline=deadline)
            first = await watched.poll(connected_to(client))
            trouble = watched.trouble
            monkeypatch.setattr(wait, "LONGEST_POLL", 10.0)  # a busy machine needs its time to answer
            return first, trouble, await watched.poll(connected_to(client))

    first, trouble, second = asyncio.run(asyncio.wait_for(poll_twice(), 10))

    assert first is None
    assert isinstance(trouble, HevoTimeoutError)
    assert "no usable answer within 0.05 s" in story.warnings[0]
    assert second is not None
    assert second.ending is Ending.ENDED


def test_what_is_told_of_an_outage_names_the_pipeline_once_and_is_a_sentence(clock: VirtualClock) -> None:
    story = Story()
    error = HevoResponseError("Pipeline 7: there are too many jobs.")
    outage = Outage(clock.clock, 7, 3600, story, knows_hevo=True)

    outage.pause_after(error, None)
    clock.advance(3600)
    with fails(HevoOutageError, says=r"the last failure was: there are too many jobs\. The job may"):
        outage.pause_after(error, None)

    assert story.warnings == ["Pipeline 7: there are too many jobs. Waiting on."]


NO_ROOM = HevoRateLimitError(429, "GET", "/jobs", "too many requests")


def test_a_refusal_that_lasts_is_one_although_hevos_limit_has_no_room_in_between(clock: VirtualClock) -> None:
    refused = HevoAuthError(401, "GET", "/jobs", "refused")
    outage = Outage(clock.clock, 7, 3600, Story(), knows_hevo=True)
    outage.pause_after(refused, None)
    clock.advance(29)
    outage.pause_after(NO_ROOM, None)
    outage.pause_after(refused, None)
    clock.advance(1)

    with pytest.raises(HevoAuthError):
        outage.pause_after(refused, None)


def test_time_that_hevos_limit_has_cost_makes_no_outage_shorter(clock: VirtualClock) -> None:
    down = HevoTransportError("no answer", sent=False)
    outage = Outage(clock.clock, 7, 600, Story(), knows_hevo=True)
    outage.pause_after(NO_ROOM, None)
    clock.advance(500)
    outage.pause_after(down, None, queued=500)
    clock.advance(600)
    outage.pause_after(NO_ROOM, None)  # Hevo is well again: the next poll may be answered

    with pytest.raises(HevoOutageError):
        outage.pause_after(down, None)


def test_what_is_endured_for_half_a_minute_is_asked_again_within_a_quarter_of_that(clock: VirtualClock) -> None:
    refused = HevoAuthError(401, "GET", "/jobs", "refused")
    outage = Outage(clock.clock, 7, 3600, Story(), knows_hevo=True)

    assert max(outage.pause_after(refused, None) for _ in range(50)) <= 30 / 4


def test_a_trigger_whose_answer_does_not_come_holds_up_no_other(hevo: Sandbox, wire: WireTime) -> None:
    jobs = {number: hevo.add_pipeline(number).start_job(appear_after=0, duration=100) for number in (7, 8)}
    hevo.inject("get_job", Fault.hang())
    ended: list[int] = []

    async def watch(number: int) -> None:
        await event_of(HevoJobTrigger(number, job_id=jobs[number].id))
        ended.append(number)

    async def both() -> None:
        async with asyncio.TaskGroup() as triggers:
            triggers.create_task(watch(7))
            while not hevo.requests_of("get_job"):  # noqa: ASYNC110 - it is asked in another thread
                await asyncio.sleep(0.001)
            async with asyncio.timeout(20):
                await watch(8)
            wire.advance(31)  # now that of the other is given up

    asyncio.run(both())

    assert ended == [8, 7]
