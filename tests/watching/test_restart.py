"""What a triggerer that dies, or loses touch with its database, means for those who wait for a pipeline's jobs."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from types import SimpleNamespace

import pytest

from hevo_provider.assets import HevoPipelineTrigger
from hevo_provider.client import HevoAsyncClient
from hevo_provider.sandbox import Fault, Sandbox
from hevo_provider.watching.round import Rounds
from hevo_provider.watching.watcher import Watcher, WatermarkStore
from hevo_provider.watching.watermark import Round
from tests.stage.clients import connect
from tests.stage.clock import VirtualClock
from tests.stage.triggerer import AssetStore, Database, polls, until, watching


@pytest.fixture
def database() -> Database:
    return Database()


async def test_jobs_that_end_while_no_triggerer_runs_are_told_by_the_next(hevo: Sandbox, database: Database) -> None:
    pipeline = hevo.add_pipeline(7, appear_after=0, duration=None)
    running = pipeline.start_job()

    async with watching(database=database):
        await until(polls(hevo))
    running.end()
    later = pipeline.start_job(duration=0)
    async with watching(database=database):
        await until(lambda: len(database.events) == 2)
        await until(polls(hevo))

    assert sorted(database.told) == sorted([running.id, later.id])


async def test_an_absence_of_days_is_caught_up_with(hevo: Sandbox, clock: VirtualClock, database: Database) -> None:
    pipeline = hevo.add_pipeline(7, appear_after=0, duration=1)
    async with watching(database=database):
        await until(polls(hevo))

    for _ in range(250):
        clock.advance(1200)
        pipeline.start_job()
    async with watching(database=database):
        await until(lambda: len(database.events) >= 250)
        await until(polls(hevo))

    assert database.told == [job.id for job in pipeline.jobs]


async def test_more_than_can_be_caught_up_with_is_said(
    hevo: Sandbox, clock: VirtualClock, database: Database, story: Callable[[], str]
) -> None:
    pipeline = hevo.add_pipeline(7, appear_after=0, duration=1)
    async with watching(database=database):
        await until(polls(hevo))

    for _ in range(1200):
        clock.advance(1200)
        pipeline.start_job()
    async with watching(database=database):
        await until(lambda: pipeline.jobs[-1].id in database.told)

    assert database.told == [job.id for job in pipeline.jobs[-len(database.told) :]]
    assert len(database.told) >= 999
    assert story().count("there are more jobs since the last round than the 1,000 that were read") == 1


async def test_more_than_twenty_pages_of_a_server_that_makes_them_small_are_not_caught_up_with(
    hevo: Sandbox, clock: VirtualClock, database: Database, story: Callable[[], str]
) -> None:
    pipeline = hevo.add_pipeline(7, appear_after=0, duration=1)
    hevo.max_page = 25
    async with watching(database=database):
        await until(polls(hevo))

    for _ in range(600):
        clock.advance(1200)
        pipeline.start_job()
    async with watching(database=database):
        await until(polls(hevo, 30))
        pipeline.start_job()
        await until(lambda: pipeline.jobs[-1].id in database.told)

    assert database.told == [job.id for job in pipeline.jobs[-len(database.told) :]]
    assert len(database.told) >= 500
    assert story().count("there are more jobs since the last round than the 500 that were read") == 1


async def test_an_event_that_had_not_arrived_when_the_triggerer_died_is_sent_again(
    hevo: Sandbox, database: Database
) -> None:
    pipeline = hevo.add_pipeline(7, appear_after=0)

    async with watching(database=database, delivers=False) as triggerer:
        await until(polls(hevo))
        job = pipeline.start_job()
        await until(lambda: triggerer.sent)
        await until(polls(hevo))
    assert database.told == []
    async with watching(database=database):
        await until(lambda: database.events)
        await until(polls(hevo))

    assert database.told == [job.id]


async def test_an_event_that_had_arrived_is_not_sent_again(hevo: Sandbox, database: Database) -> None:
    pipeline = hevo.add_pipeline(7, appear_after=0)

    async with watching(database=database) as triggerer:
        await until(polls(hevo))
        job = pipeline.start_job()
        await until(lambda: job.id in json.dumps(triggerer.database.store))
    async with watching(database=database):
        await until(polls(hevo, 5))

    assert database.told == [job.id]


async def test_it_is_remembered_as_soon_as_airflow_says_so_and_not_with_the_next_poll(
    hevo: Sandbox, database: Database
) -> None:
    pipeline = hevo.add_pipeline(7, appear_after=0)

    async with watching(database=database, delivers=False) as triggerer:
        await until(polls(hevo))
        job = pipeline.start_job()
        await until(lambda: triggerer.sent)
        hevo.inject("list_jobs", Fault.hang(), times=None)
        await until(polls(hevo, 1))
        assert job.id not in json.dumps(database.store)
        triggerer.deliver()
        await until(lambda: job.id in json.dumps(database.store))
        hevo.clear_faults()


async def test_the_one_window_an_event_that_arrived_as_the_triggerer_died_comes_twice_with_the_same_job(
    hevo: Sandbox, database: Database
) -> None:
    pipeline = hevo.add_pipeline(7, appear_after=0)

    async with watching(database=database, delivers=False) as triggerer:
        await until(polls(hevo))
        job = pipeline.start_job()
        await until(lambda: triggerer.sent)
        triggerer.deliver(is_known=False)
    async with watching(database=database):
        await until(lambda: len(database.events) == 2)
        await until(polls(hevo))

    assert database.told == [job.id, job.id]


async def test_a_watcher_that_is_ended_while_it_tells_leaves_the_rest_to_the_next(
    hevo: Sandbox, database: Database
) -> None:
    pipeline = hevo.add_pipeline(7, appear_after=0, parallel_jobs=True)

    async with watching(HevoPipelineTrigger(7, poll_interval=600), database=database) as triggerer:
        await until(polls(hevo, 2))
        triggerer.ends_at = 1
        first, second = pipeline.start_job(duration=1), pipeline.start_job(duration=2)
        await until(lambda: triggerer.has_ended)
    assert database.told == [first.id]
    async with watching(database=database):
        await until(lambda: second.id in database.told)
        await until(polls(hevo))

    assert database.told.count(second.id) == 1


@dataclass
class TwoTriggerers:
    """One watcher as two triggerers run it, of which each takes itself for the only one."""

    client: HevoAsyncClient
    stalled: Watcher
    new: Watcher

    async def poll(self) -> Round:
        return await Rounds(7).next(self.client, [])

    async def stall(self) -> None:
        """Let one poll for the first time, and the other take over."""
        await tell(self.stalled, await self.poll())
        await self.new.read_store()


@pytest.fixture
async def two(hevo: Sandbox, clock: VirtualClock, database: Database) -> AsyncIterator[TwoTriggerers]:
    store = AssetStore(SimpleNamespace(database=database, is_dead=False))  # type: ignore[arg-type]
    stalled, new = (Watcher(7, lambda _: True, WatermarkStore(store, "key"), clock.clock) for _ in range(2))
    async with connect(hevo, clock) as client:
        yield TwoTriggerers(client, stalled, new)


async def tell(watcher: Watcher, seen: Round) -> list[str]:
    jobs = await watcher.news(seen)
    watcher.has_told(seen, jobs)
    return [job.job_id for job in jobs]


async def test_a_triggerer_that_was_replaced_while_it_stalled_does_not_tell_again(
    hevo: Sandbox, two: TwoTriggerers
) -> None:
    pipeline = hevo.add_pipeline(7, appear_after=0)
    await two.stall()
    job = pipeline.start_job(duration=0)
    seen = await two.poll()
    assert await tell(two.new, seen) == [job.id]
    await seen.delivered()

    assert await tell(two.stalled, seen) == []


async def test_a_triggerer_that_stalled_while_a_long_job_ended_does_not_tell_it_again(
    hevo: Sandbox, clock: VirtualClock, two: TwoTriggerers
) -> None:
    job = hevo.add_pipeline(7, appear_after=0, duration=None).start_job()
    clock.advance(700)
    await two.stall()
    job.end()
    clock.advance(40)
    seen = await two.poll()
    assert await tell(two.new, seen) == [job.id]
    await seen.delivered()

    assert await tell(two.stalled, await two.poll()) == []


async def test_a_triggerer_that_stalled_for_long_does_not_tell_again_what_its_successor_has_forgotten(
    hevo: Sandbox, clock: VirtualClock, two: TwoTriggerers
) -> None:
    pipeline = hevo.add_pipeline(7, appear_after=0)
    await two.stall()
    for _ in range(4):
        clock.advance(400)
        job = pipeline.start_job(duration=0)
        seen = await two.poll()
        assert await tell(two.new, seen) == [job.id]
        await seen.delivered()

    assert await tell(two.stalled, await two.poll()) == []


async def test_what_a_stalled_triggerer_remembers_late_does_not_undo_what_its_successor_has_told(
    hevo: Sandbox, database: Database, two: TwoTriggerers
) -> None:
    pipeline = hevo.add_pipeline(7, appear_after=0)
    await two.stall()
    jobs = [pipeline.start_job(duration=0)]
    earlier = await two.poll()
    await tell(two.stalled, earlier)
    jobs.append(pipeline.start_job(duration=0))
    later = await two.poll()

    await tell(two.new, later)
    await later.delivered()
    await earlier.delivered()

    assert set(json.loads(database.store["key"])["told"]) == {job.id for job in jobs}


async def test_what_was_watched_for_otherwise_begins_anew(hevo: Sandbox, database: Database) -> None:
    pipeline = hevo.add_pipeline(7, appear_after=0, duration=1)

    async with watching(database=database):
        await until(polls(hevo))
    pipeline.start_job(ends="FAILED", duration=0)
    async with watching(HevoPipelineTrigger(7, statuses="FAILED"), database=database):
        await until(polls(hevo, 5))

    assert database.told == []
