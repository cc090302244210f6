"""Hevo's limit of requests is met: that is no outage, no verdict and no refused key, and no task fails of it."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any

import pytest

from hevo_provider.client.budget import Purpose, Turn
from hevo_provider.exceptions import HevoJobNotFoundError, HevoOutageError
from hevo_provider.runs.outcome import Ending, Outcome
from hevo_provider.runs.run import Phase
from hevo_provider.runs.wait import Wait
from hevo_provider.sandbox import Fault, Sandbox
from tests.stage.clients import connect, connected_to, limited_to, run_of
from tests.stage.clock import START, VirtualClock
from tests.stage.failures import fails
from tests.stage.marks import in_alternating_modes, in_both_modes
from tests.stage.tasks import TaskInstance, operator, play

STATUSES = (400, 403, 429, 500, 503)


@pytest.fixture(autouse=True)
def _with_the_usual_limit(hevo: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    limited_to(100, hevo, monkeypatch)


def refusal(status: int, retry_after: int | None = None) -> Fault:
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return Fault.status(status, body={"message": "Request rate limit exceeded"}, headers=headers)


async def wait(hevo: Sandbox, clock: VirtualClock, **run: Any) -> Outcome:
    async with connect(hevo, clock, requests_per_minute=100) as client:
        return await Wait(run_of(pipeline_id=7, **run), client.clock).until_done(connected_to(client))


@in_alternating_modes("status, retry_after", STATUSES, [None, 7])
def test_no_task_fails_however_often_its_requests_are_over_the_limit(
    hevo: Sandbox, ti: TaskInstance, deferrable: bool, status: int, retry_after: int | None
) -> None:
    pipeline = hevo.add_pipeline(7)
    chance = Random(status)
    hevo.fault_source = lambda _: refusal(status, retry_after) if chance.random() < 0.5 else None

    job_id = play(operator(deferrable=deferrable), ti)

    assert [job.id for job in pipeline.jobs] == [job_id]
    assert ti.try_number == 1


@in_both_modes
def test_a_job_that_never_shows_is_not_put_down_to_what_was_said_before_the_call_was_accepted(
    hevo: Sandbox, ti: TaskInstance, deferrable: bool
) -> None:
    hevo.add_pipeline(7, appear_after=1000)
    hevo.inject("sync_now", refusal(429, retry_after=30))

    with fails(HevoJobNotFoundError, says="Hevo accepted SYNC_NOW, but no job of type INCREMENTAL"):
        play(operator(deferrable=deferrable), ti)


@pytest.mark.parametrize("status", STATUSES)
def test_hours_over_the_limit_are_no_outage(hevo: Sandbox, clock: VirtualClock, status: int) -> None:
    job = hevo.add_pipeline(7).start_job(appear_after=0, duration=60)
    hevo.fault_source = lambda _: refusal(status) if clock.now() < START + 2 * 3600 else None

    outcome = asyncio.run(wait(hevo, clock, job_id=job.id, api_outage_tolerance=600))

    assert outcome.ending is Ending.ENDED


def test_a_wait_that_is_over_the_limit_ends_when_its_time_is_over(hevo: Sandbox, clock: VirtualClock) -> None:
    job = hevo.add_pipeline(7).start_job(appear_after=0, duration=60)
    hevo.inject("*", refusal(429, 60), times=None)

    outcome = asyncio.run(wait(hevo, clock, job_id=job.id, deadline=START + 7200, api_outage_tolerance=600))

    assert outcome.ending is Ending.TIMED_OUT
    assert clock.now() - START <= 7300


def test_of_an_outage_beside_the_limit_only_the_outages_time_counts(hevo: Sandbox, clock: VirtualClock) -> None:
    job = hevo.add_pipeline(7).start_job(appear_after=0, duration=60)
    hevo.fault_source = lambda _: Fault.status(502) if (clock.now() - START) % 3600 < 300 else refusal(429, 60)

    with fails(HevoOutageError, says=r"\((9|1[01])\d\d s\)"):
        asyncio.run(wait(hevo, clock, job_id=job.id, api_outage_tolerance=900))

    assert 2 * 3600 < clock.now() - START < 4 * 3600, "300 s of each hour"


def test_a_search_for_any_job_that_completes_comes_before_no_other_wait(hevo: Sandbox, clock: VirtualClock) -> None:
    hevo.add_pipeline(7).start_job(appear_after=0, duration=10_000)
    purposes: list[Purpose] = []

    async def search() -> None:
        async with connect(hevo, clock, requests_per_minute=100) as client:
            waiting = Wait(
                run_of(pipeline_id=7, phase=Phase.FIND, job_types=("INCREMENTAL",), completed_after=int(START * 1000)),
                client.clock,
            )
            for _ in range(2):
                await waiting.poll(connected_to(client))
                purposes.extend(turn.purpose for turn in client.budget.waits)
                clock.advance(60)

    asyncio.run(search())

    assert purposes == [Purpose.WAIT, Purpose.WAIT]


@pytest.mark.parametrize("at_once", [False, True])
def test_a_wait_that_is_over_shares_hevos_limit_no_longer(hevo: Sandbox, clock: VirtualClock, at_once: bool) -> None:
    job = hevo.add_pipeline(7).start_job(appear_after=0, ago=100, duration=60)
    left: list[Turn] = []

    async def watch() -> None:
        async with connect(hevo, clock, requests_per_minute=100) as client:
            waiting = Wait(run_of(pipeline_id=7, job_id=job.id), client.clock)
            assert (await waiting.until_done(connected_to(client), at_once=at_once)).ending is Ending.ENDED
            left.extend(client.budget.waits)

    asyncio.run(watch())

    assert left == []
