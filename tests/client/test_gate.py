"""Thousands share one client: how many requests run at once, what hung ones may hold, and who waits when Hevo asks."""

from __future__ import annotations

import asyncio
import random

import pytest

from hevo_provider.client import HevoAsyncClient, gate
from hevo_provider.client.gate import LONGEST_SPREAD, SLOTS, Gate, Passage
from hevo_provider.client.shared import open_clients
from hevo_provider.exceptions import (
    HevoOutageError,
    HevoRateLimitError,
    HevoServerError,
    HevoTimeoutError,
)
from hevo_provider.hooks import HevoHook
from hevo_provider.runs.wait import Wait
from hevo_provider.sandbox import Fault, Sandbox
from hevo_provider.triggers import HevoJobTrigger
from tests.stage.clients import WireTime, connect, connected_to, run_of, settled, turns
from tests.stage.clock import START, VirtualClock
from tests.stage.tasks import event_of


@pytest.fixture(autouse=True)
def _same_luck_every_time() -> None:
    random.seed(4)


SLOW_DOWN = HevoRateLimitError(429, "GET", "/api/v1/pipelines/7", "Slow down")


async def asks(client: HevoAsyncClient, pipeline_id: int) -> str:
    """Ask once: "answered", or what went wrong."""
    try:
        await client.get_pipeline(pipeline_id, retry_limit=0)
    except HevoTimeoutError:
        return "timed out"
    return "answered"


# Slots


async def test_many_requests_at_once_use_a_hundred_connections(hevo: Sandbox, clock: VirtualClock) -> None:
    hevo.add_pipeline(7)

    async with connect(hevo, clock) as client:
        for _ in range(2):
            results = await asyncio.gather(*(asks(client, 7) for _ in range(300)))
            assert results == ["answered"] * 300

    assert hevo.connections_opened == SLOTS


async def test_the_wait_for_a_slot_is_not_part_of_a_requests_timeout(clock: VirtualClock, wire: WireTime) -> None:
    gate = Gate(clock.clock, timeout=30, slots=1)
    answer = asyncio.Event()

    async def request() -> None:
        async with Passage(gate):
            await answer.wait()

    async with Passage(gate):
        queued = asyncio.create_task(request())
        await turns()
        wire.advance(20)
    await turns()
    wire.advance(20)
    await turns()
    answer.set()

    await queued


async def hung_requests(
    hevo: Sandbox, client: HevoAsyncClient, wire: WireTime, number: int
) -> list[asyncio.Task[object]]:
    """Send requests that get no answer; they have been under way for a minute."""
    hevo.inject("get_job", Fault.hang(), times=None)
    there = len(hevo.requests)
    hung = [asyncio.create_task(client.poll_job(7, "job")) for _ in range(number)]
    assert await settled(lambda: len(hevo.requests) == there + number)
    wire.advance(60)
    return hung  # type: ignore[return-value]


async def queued_request(client: HevoAsyncClient) -> asyncio.Task[str]:
    """Send a request and return as soon as it waits for a slot, before anything is checked."""
    queued = asyncio.create_task(asks(client, 7))
    await turns()
    return queued


async def given_up(hung: list[asyncio.Task[object]]) -> list[int]:
    """Tell which of the requests have been given up as timed out, and end the others."""
    ended = [number for number, task in enumerate(hung) if task.done()]
    for task in hung:
        task.cancel()
    await asyncio.wait(hung)
    assert all(isinstance(hung[number].exception(), HevoTimeoutError) for number in ended)
    return ended


async def test_requests_that_hang_keep_half_of_the_slots_at_most_while_others_wait(
    hevo: Sandbox, clock: VirtualClock, wire: WireTime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "SHORTEST_PATIENCE", 30.0)
    hevo.add_pipeline(7)

    async with connect(hevo, clock, timeout=300) as client:
        hung = await hung_requests(hevo, client, wire, SLOTS)
        results = await asyncio.gather(*(asks(client, 7) for _ in range(200)))

        assert results == ["answered"] * 200
        assert await given_up(hung) == list(range(SLOTS // 2)), "the oldest of them"


async def checks(wire: WireTime, number: int) -> None:
    """Let the gate check, each time in time, whether requests that hang keep others waiting."""
    for _ in range(number):
        wire.advance(1.1 * gate.CHECK_EVERY)
        await turns()


async def test_requests_that_hang_are_left_alone_while_nobody_waits(
    hevo: Sandbox, clock: VirtualClock, wire: WireTime
) -> None:
    hevo.add_pipeline(7)

    async with connect(hevo, clock, timeout=300) as client:
        hung = await hung_requests(hevo, client, wire, SLOTS)
        queued = await queued_request(client)
        queued.cancel()
        await checks(wire, 2)

        assert await given_up(hung) == []


async def test_requests_are_not_given_up_where_the_server_takes_as_long_anyway(
    hevo: Sandbox, clock: VirtualClock, wire: WireTime
) -> None:
    hevo.add_pipeline(7)
    async with connect(hevo, clock, timeout=300) as client:
        hevo.on_request = lambda _: wire.advance(20)  # until it is answered
        for _ in range(50):
            assert await asks(client, 7) == "answered"
        hevo.on_request = None
        hung = await hung_requests(hevo, client, wire, SLOTS)
        queued = await queued_request(client)
        await checks(wire, 3)
        queued.cancel()

        assert await given_up(hung) == []
        await asyncio.wait([queued])


async def test_requests_are_not_given_up_because_this_process_was_busy(
    hevo: Sandbox, clock: VirtualClock, wire: WireTime
) -> None:
    async with connect(hevo, clock, timeout=300) as client:
        hung = await hung_requests(hevo, client, wire, SLOTS)
        queued = await queued_request(client)
        wire.advance(2.5 * gate.CHECK_EVERY)  # in which another trigger has blocked the event loop
        await turns(2)
        queued.cancel()
        await turns()  # which a request that is given up takes to end

        assert await given_up(hung) == []
        await asyncio.wait([queued])


async def test_a_request_that_was_cancelled_gives_its_slot_back(
    hevo: Sandbox, clock: VirtualClock, wire: WireTime
) -> None:
    hevo.add_pipeline(7)

    async with connect(hevo, clock, timeout=300) as client:
        for _ in range(2):
            under_way = await hung_requests(hevo, client, wire, SLOTS)
            queued = [await queued_request(client) for _ in range(3)]
            for task in [*queued, *under_way]:
                task.cancel()
            await asyncio.wait([*queued, *under_way])

        async with asyncio.timeout(10):
            assert await asyncio.gather(*(asks(client, 7) for _ in range(SLOTS))) == ["answered"] * SLOTS


async def test_each_request_ends_at_its_own_timeout(clock: VirtualClock, wire: WireTime) -> None:
    gate, under_way = Gate(clock.clock, timeout=30), list[asyncio.Task[None]]()
    ended = []

    async def request() -> None:
        with pytest.raises(TimeoutError):
            async with Passage(gate):
                await asyncio.Event().wait()  # for ever

    for _ in range(6):
        under_way.append(asyncio.create_task(request()))
        await turns()
        ended.append([task.done() for task in under_way].count(True))
        wire.advance(12)

    assert ended == [0, 0, 0, 1, 2, 3]
    wire.advance(30)
    await asyncio.gather(*under_way)


async def test_a_cancellation_at_the_moment_of_the_timeout_is_a_cancellation(clock: VirtualClock) -> None:
    gate = Gate(clock.clock, 30)

    async def request() -> None:
        async with passage:
            await asyncio.Event().wait()  # for ever

    passage = Passage(gate)
    task = asyncio.ensure_future(request())
    await asyncio.sleep(0)
    passage.end(asyncio.get_running_loop().time())
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


# When Hevo asks to be left alone


async def test_where_one_request_is_told_to_wait_all_of_them_do(clock: VirtualClock) -> None:
    gate = Gate(clock.clock, timeout=30)
    gate.rest(40, SLOW_DOWN)
    later: list[float] = []

    async def request() -> None:
        async with Passage(gate):
            later.append(clock.now() - START)

    await asyncio.gather(*(request() for _ in range(SLOTS)))

    assert min(later) >= 40
    assert max(later) <= 40 + LONGEST_SPREAD
    assert len({round(at, 1) for at in later}) > 20, "they do not all come back in the same moment"


async def test_who_was_told_to_wait_need_not_wait_longer_than_that(hevo: Sandbox, clock: VirtualClock) -> None:
    hevo.add_pipeline(7)
    hevo.inject("get_pipeline", Fault.status(429, headers={"Retry-After": "40"}))

    async with connect(hevo, clock) as client:
        await client.get_pipeline(7)

    assert [request.at - START for request in hevo.requests] == [0, 40]


async def test_a_503_that_names_a_time_makes_all_wait_too(hevo: Sandbox, clock: VirtualClock) -> None:
    hevo.add_pipeline(7)
    hevo.inject("get_pipeline", Fault.status(503, headers={"Retry-After": "40"}))

    async with connect(hevo, clock) as client:
        with pytest.raises(HevoServerError):
            await client.get_pipeline(7, retry_limit=0)
        assert await asks(client, 7) == "answered"

    assert hevo.requests[-1].at - START >= 40


async def test_a_429_that_names_no_time_makes_all_wait_a_moment(hevo: Sandbox, clock: VirtualClock) -> None:
    hevo.add_pipeline(7)
    hevo.inject("get_pipeline", Fault.status(429))

    async with connect(hevo, clock) as client:
        with pytest.raises(HevoRateLimitError):
            await client.get_pipeline(7, retry_limit=0)
        assert await asks(client, 7) == "answered"

    assert 1 <= hevo.requests[-1].at - START <= 2


async def test_no_answer_makes_a_client_wait_for_longer_than_five_minutes(hevo: Sandbox, clock: VirtualClock) -> None:
    hevo.add_pipeline(7)
    hevo.inject("get_pipeline", Fault.status(429, headers={"Retry-After": "999999999"}))

    async with connect(hevo, clock) as client:
        with pytest.raises(HevoRateLimitError):
            await client.get_pipeline(7)
        assert await asks(client, 7) == "answered"

    assert hevo.requests[-1].at - START <= 300 + LONGEST_SPREAD


async def test_other_clients_are_not_affected(hevo: Sandbox, clock: VirtualClock) -> None:
    hevo.add_pipeline(7)
    hevo.inject("get_pipeline", Fault.status(429, headers={"Retry-After": "40"}))

    async with connect(hevo, clock) as asked_to_wait, connect(hevo, clock) as other:
        with pytest.raises(HevoRateLimitError):
            await asked_to_wait.get_pipeline(7, retry_limit=0)
        assert await asks(other, 7) == "answered"

    assert clock.now() == START


async def test_requests_that_were_queued_when_hevo_asked_for_rest_are_not_sent_before_it_is_over(
    hevo: Sandbox, clock: VirtualClock
) -> None:
    hevo.inject("get_pipeline", Fault.status(429, headers={"Retry-After": "5"}), times=None)

    async with connect(hevo, clock) as client:
        results = await asyncio.gather(
            *(client.get_pipeline(7, retry_limit=0) for _ in range(250)), return_exceptions=True
        )

    assert all(isinstance(result, HevoRateLimitError) for result in results)
    assert sum(request.at < START + 5 for request in hevo.requests) <= SLOTS


async def test_a_request_that_is_cancelled_while_it_waits_for_the_end_of_a_rest_holds_no_slot(
    clock: VirtualClock,
) -> None:
    gate = Gate(clock.clock, timeout=30, slots=1)
    first = Passage(gate)

    async with first:
        queued = asyncio.ensure_future(Passage(gate).__aenter__())
        await asyncio.sleep(0)
        gate.rest(60, SLOW_DOWN)
    for _ in range(5):
        await asyncio.sleep(0)
    assert not queued.done()
    queued.cancel()
    await asyncio.wait([queued])

    assert queued.cancelled()
    assert clock.now() == START
    async with asyncio.timeout(10), Passage(gate):
        assert clock.now() >= START + 60


async def test_a_rest_that_is_made_longer_is_waited_for_to_its_end(clock: VirtualClock) -> None:
    gate = Gate(clock.clock, timeout=30)
    gate.rest(5, SLOW_DOWN)
    waiting = asyncio.ensure_future(Passage(gate).__aenter__())
    await asyncio.sleep(0)
    gate.rest(70, SLOW_DOWN)

    await waiting

    assert START + 70 <= clock.now() <= START + 70 + LONGEST_SPREAD


async def test_what_the_first_is_told_after_a_rest_is_told_to_all_who_waited(clock: VirtualClock) -> None:
    gate = Gate(clock.clock, timeout=30)
    gate.rest(60, SLOW_DOWN)

    async def refused() -> None:
        async with Passage(gate):
            gate.rest(60, SLOW_DOWN)

    results = await asyncio.gather(*(refused() for _ in range(50)), return_exceptions=True)

    told = [error for error in results if error is not None]
    assert len(told) == 49, "one was sent"
    assert all(isinstance(error, HevoRateLimitError) and 0 < (error.retry_after or 0) <= 70 for error in told)
    assert str(told[0]) == str(SLOW_DOWN)
    assert clock.now() - START <= 60 + LONGEST_SPREAD


async def test_an_api_that_asks_for_pauses_for_good_is_an_outage_to_each_of_many_waits(
    hevo: Sandbox, clock: VirtualClock
) -> None:
    hevo.inject("get_job", Fault.status(503, headers={"Retry-After": "60"}), times=None)
    ended: list[float] = []

    async def wait(number: int) -> None:
        run = run_of(pipeline_id=number, job_id="job", deadline=START + 7200, api_outage_tolerance=1800)
        with pytest.raises(HevoOutageError, match="503"):
            await Wait(run, client.clock).until_done(connected_to(client))
        ended.append(clock.now() - START)

    async with connect(hevo, clock) as client:
        await asyncio.gather(*(wait(number) for number in range(1, 41)))

    assert min(ended) >= 1800
    assert max(ended) < 7000, (
        "before the deadline: on a busy machine the virtual clock runs on while a request is under way"
    )


# Many triggers in one event loop


async def test_many_triggers_share_a_session_a_look_up_and_connections_and_leave_nothing_open(
    hevo: Sandbox, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = [hevo.add_pipeline(n, duration=90).start_job(appear_after=0) for n in range(1, 41)]
    look_ups = 0
    real = HevoHook._look_up

    async def look_up(hook: HevoHook) -> object:
        nonlocal look_ups
        look_ups += 1
        return await real(hook)

    monkeypatch.setattr(HevoHook, "_look_up", look_up)

    events = await asyncio.gather(
        *(event_of(HevoJobTrigger(n, job_id=job.id, poll_interval=30.0)) for n, job in enumerate(jobs, 1))
    )

    assert [event["status"] for event in events] == ["COMPLETED"] * 40
    assert look_ups == 1
    assert hevo.connections_opened <= 40, "no new one for a poll"
    assert len(hevo.requests) <= 40 * (90 / 30 + 2), "one request for a poll"
    assert hevo.requests == hevo.requests_of("get_job")
    assert open_clients() == 0
    assert await settled(lambda: hevo.connections_open == 0)


async def test_waits_that_start_together_poll_again_at_moments_spread_over_the_interval(
    hevo: Sandbox, clock: VirtualClock
) -> None:
    first_pauses = []
    async with connect(hevo, clock) as client:
        for n in range(1, 61):
            hevo.reset_record()
            job = hevo.add_pipeline(n, duration=61).start_job(appear_after=0)
            run = run_of(pipeline_id=n, job_id=job.id, poll_interval=60.0)
            await Wait(run, client.clock).until_done(connected_to(client))
            first, second, *_ = hevo.requests
            first_pauses.append(second.at - first.at)

    assert max(first_pauses) <= 60
    for part in range(4):
        assert 4 <= sum(part * 15 < pause <= part * 15 + 15 for pause in first_pauses) <= 30


async def test_a_wait_that_starts_again_polls_at_once(hevo: Sandbox, clock: VirtualClock) -> None:
    job = hevo.add_pipeline(7).start_job(ago=60)

    await event_of(HevoJobTrigger(7, job_id=job.id, poll_interval=3600.0))

    assert clock.now() == START


async def test_the_end_of_a_job_is_seen_within_half_an_interval_on_average(hevo: Sandbox, clock: VirtualClock) -> None:
    delays = []
    async with connect(hevo, clock) as client:
        for n in range(1, 81):
            job = hevo.add_pipeline(n, duration=25).start_job(appear_after=0)
            run = run_of(pipeline_id=n, job_id=job.id, poll_interval=10.0)
            await Wait(run, client.clock).until_done(connected_to(client))
            assert job.ended_at is not None
            delays.append(clock.now() - job.ended_at)

    assert max(delays) <= 10
    assert sum(delays) / len(delays) == pytest.approx(5, abs=1.5)
