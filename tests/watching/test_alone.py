"""Before Airflow 3.3, which has no shared polls and no store of an asset: each watcher is on its own."""

from __future__ import annotations

import pytest

from hevo_provider.assets import HevoPipelineTrigger
from hevo_provider.sandbox import Sandbox
from tests.stage.triggerer import Database, polls, until, watching


@pytest.fixture
def database() -> Database:
    return Database()


async def test_each_watcher_polls_for_itself_and_tells_all_the_same(hevo: Sandbox, database: Database) -> None:
    pipeline = hevo.add_pipeline(7, appear_after=0)
    failed = HevoPipelineTrigger(7, statuses="FAILED")

    async with watching(HevoPipelineTrigger(7), failed, database=database, shares=False):
        await until(polls(hevo, 6))
        jobs = [pipeline.start_job(ends=status) for status in ("COMPLETED", "FAILED")]
        await until(lambda: len(database.events) == 2)

    assert sorted(database.told) == sorted(job.id for job in jobs)


async def test_a_new_triggerer_begins_anew(hevo: Sandbox, database: Database) -> None:
    pipeline = hevo.add_pipeline(7, appear_after=0, duration=1)

    async with watching(database=database, shares=False):
        await until(polls(hevo))
    pipeline.start_job(duration=0)
    async with watching(database=database, shares=False):
        await until(polls(hevo))
        job = pipeline.start_job()
        await until(lambda: database.events)

    assert database.told == [job.id]


async def test_a_pipeline_can_be_watched_by_its_name(hevo: Sandbox, database: Database) -> None:
    hevo.add_pipeline(7, name="shop")
    hevo.add_pipeline(47, name="orders", fields={"schedule": {"sync_type": "SCHEDULED", "frequency_minutes": 10}})

    async with watching(HevoPipelineTrigger(pipeline_name="orders"), database=database, shares=False):
        await until(lambda: database.events)

    assert database.events[0]["pipeline_id"] == 47
