"""Several ask for the same while Hevo's limit keeps them waiting: one answer serves them all."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from hevo_provider.client import HevoAsyncClient
from hevo_provider.client.budget import Budget, Purpose, Turn, asking_as
from hevo_provider.client.pace import BURST
from hevo_provider.exceptions import HevoServerError
from hevo_provider.runs.outcome import Ending, Outcome
from hevo_provider.runs.wait import Wait
from hevo_provider.sandbox import Fault, Sandbox
from tests.stage.clients import connected_to, run_of
from tests.stage.clock import VirtualClock
from tests.stage.storm import Quiet
from tests.stage.virtual_loop import START, VirtualLoop, run

LIMIT = 60  # a minute
START_MS = int(START * 1000)

Play = Callable[[Sandbox, HevoAsyncClient], Awaitable[Any]]


def played(play: Play) -> Any:
    """Play with a client whose next request has to wait for a second; Hevo's answer comes before the one after it."""
    loop = VirtualLoop()

    async def main() -> Any:
        budget = Budget(loop.clock, LIMIT)
        for _ in range(BURST):
            assert budget.passes(Turn(Purpose.WAIT))
        async with Sandbox(clock=loop.clock.now, seed=7) as hevo:
            client = HevoAsyncClient(hevo.url, hevo.key, hevo.secret, retry_limit=0, clock=loop.clock, budget=budget)
            async with client:
                return await play(hevo, client)

    return run(main(), loop)


async def as_one_who(purpose: Purpose, call: Awaitable[Any]) -> Any:
    with asking_as(Turn(purpose, interval=15)):
        return await call


def test_all_who_wait_for_one_job_have_the_answer_to_one_request() -> None:
    async def play(hevo: Sandbox, client: HevoAsyncClient) -> None:
        pipeline = hevo.add_pipeline(7)
        one, another = (pipeline.start_job(appear_after=0).id for _ in range(2))

        answers = await asyncio.gather(
            *(as_one_who(Purpose.WAIT, client.poll_job(7, job)) for job in (one, one, another, one))
        )

        assert [answer.value.job_id for answer in answers] == [one, one, another, one]
        assert [request.job_id for request in hevo.requests] == [one, another]

    played(play)


def test_a_page_of_jobs_serves_all_watchers_of_the_pipeline_that_read_as_many() -> None:
    async def play(hevo: Sandbox, client: HevoAsyncClient) -> None:
        hevo.add_pipeline(7).start_job(appear_after=0)

        pages = await asyncio.gather(
            *(as_one_who(Purpose.WATCH, client.newest_jobs(7, limit=limit)) for limit in (10, 100, 10, 100))
        )

        assert [len(page.value.data) for page in pages] == [1] * 4
        assert [request.query["limit"] for request in hevo.requests] == ["10", "100"]

    played(play)


def test_what_a_start_reads_is_its_own() -> None:
    async def play(hevo: Sandbox, client: HevoAsyncClient) -> None:
        hevo.add_pipeline(7)

        await asyncio.gather(*(as_one_who(Purpose.START, client.newest_jobs(7)) for _ in range(3)))

        assert len(hevo.requests) == 3

    played(play)


def test_an_action_is_sent_by_each() -> None:
    async def play(hevo: Sandbox, client: HevoAsyncClient) -> None:
        hevo.add_pipeline(7)

        await asyncio.gather(*(as_one_who(Purpose.WAIT, client.enable_pipeline(7)) for _ in range(2)))

        assert len(hevo.requests) == 2

    played(play)


def test_an_answer_serves_once() -> None:
    async def play(hevo: Sandbox, client: HevoAsyncClient) -> None:
        hevo.add_pipeline(7)

        async def watch() -> None:
            await client.newest_jobs(7)
            await client.newest_jobs(7)

        await asyncio.gather(*(as_one_who(Purpose.WATCH, watch()) for _ in range(3)))

        assert len(hevo.requests) == 2

    played(play)


def test_an_error_is_nobody_elses() -> None:
    async def play(hevo: Sandbox, client: HevoAsyncClient) -> None:
        job = hevo.add_pipeline(7).start_job(appear_after=0)
        hevo.inject("get_job", Fault.status(500), times=1)

        came = await asyncio.gather(
            *(as_one_who(Purpose.WAIT, client.poll_job(7, job.id)) for _ in range(4)), return_exceptions=True
        )

        assert [isinstance(each, HevoServerError) for each in came] == [True, False, False, False]
        assert len(hevo.requests) == 2

    played(play)


def test_who_is_cancelled_while_it_asks_takes_nothing_from_the_others() -> None:
    async def play(hevo: Sandbox, client: HevoAsyncClient) -> None:
        job = hevo.add_pipeline(7).start_job(appear_after=0)
        asking = [asyncio.ensure_future(as_one_who(Purpose.WAIT, client.poll_job(7, job.id))) for _ in range(3)]

        def cancel(_: object) -> None:
            asking[0].cancel()

        hevo.on_request = cancel

        came = await asyncio.gather(*asking, return_exceptions=True)

        assert isinstance(came[0], asyncio.CancelledError)
        assert [asking[number].result().value.job_id for number in (1, 2)] == [job.id] * 2
        assert len(hevo.requests) == 2

    played(play)


@pytest.mark.parametrize("completed_after", [None, START_MS], ids=["a job", "any job that completes"])
def test_three_tasks_that_wait_for_one_job_take_the_turns_of_one(completed_after: int | None) -> None:
    async def play(hevo: Sandbox, client: HevoAsyncClient) -> None:
        jobs = [hevo.add_pipeline(number).start_job(appear_after=0, duration=600) for number in range(1, 31)]

        def job_of(number: int) -> dict[str, Any]:
            if completed_after is not None:
                return {"completed_after": completed_after, "phase": "find", "job_types": ["INCREMENTAL"]}
            return {"job_id": jobs[number - 1].id, "last_status": "IN_PROGRESS"}

        async def follow(number: int) -> Outcome:
            at = run_of(pipeline_id=number, poll_interval=15, **job_of(number))
            return await Wait(at, client.clock, Quiet()).until_done(connected_to(client))

        ends = await asyncio.gather(*(follow(number) for number in (1, 1, *range(1, 31))))

        polls = [sum(request.pipeline_id == number for request in hevo.requests) for number in range(1, 31)]
        assert [end.ending for end in ends] == [Ending.ENDED] * 32
        assert polls[0] <= max(polls[1:]) + 5

    played(play)


async def test_who_is_cancelled_in_the_queue_needs_no_answer(clock: VirtualClock) -> None:
    budget = Budget(clock.clock, LIMIT)
    budget.refused(None, clock.now())
    asking = [asyncio.ensure_future(budget.enter(Turn(Purpose.WAIT), asks="/jobs")) for _ in range(2)]
    await asyncio.sleep(0)
    asking[0].cancel()

    budget.share("/jobs", "new", sent_at=clock.clock.monotonic() + 1)

    assert await asking[1]


async def test_what_was_sent_before_somebody_asked_is_no_answer(clock: VirtualClock) -> None:
    budget, turn = Budget(clock.clock, LIMIT), Turn(Purpose.WAIT)
    budget.refused(None, clock.now())
    asking = asyncio.ensure_future(budget.enter(turn, asks="/jobs"))
    await asyncio.sleep(0)

    budget.share("/jobs", "old", sent_at=clock.clock.monotonic())

    assert await asking
    assert turn.answer is None
