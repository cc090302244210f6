"""Where a watcher remembers what it has told: the asset state store of Airflow >= 3.3, and what goes wrong with it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from airflow.sdk import Asset
from airflow.sdk.execution_time.context import AssetStateStoreAccessors

from hevo_provider.assets import HevoPipelineTrigger
from hevo_provider.sandbox import Sandbox
from tests.stage.clock import VirtualClock
from tests.stage.triggerer import Database, polls, until, watching


@pytest.fixture
def database() -> Database:
    return Database()


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("Airflow's database is down"),
        json.JSONDecodeError("Expecting value", "<html>", 0),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_nothing_is_told_while_airflow_cannot_say_what_was_told_before(
    hevo: Sandbox, database: Database, story: Callable[[], str], error: Exception
) -> None:
    database.error = error
    pipeline = hevo.add_pipeline(7, appear_after=0, duration=0)
    async with watching(database=database):
        await until(polls(hevo))
    job = pipeline.start_job()

    database.is_down = True
    async with watching(database=database):
        await until(polls(hevo, 10))
        assert database.told == []
        database.is_down = False
        await until(lambda: database.events)

    assert database.told == [job.id]
    told = story()
    assert told.count("cannot be read or kept in Airflow's asset state store") == 1
    assert "store works again" in told


async def test_what_could_not_be_remembered_is_remembered_with_a_later_poll(hevo: Sandbox, database: Database) -> None:
    pipeline = hevo.add_pipeline(7, appear_after=0, duration=1)

    async with watching(database=database, delivers=False) as triggerer:
        await until(polls(hevo))
        job = pipeline.start_job()
        await until(lambda: triggerer.sent)
        database.is_down = True
        triggerer.deliver()
        await until(polls(hevo))
        database.is_down = False
        await until(lambda: job.id in json.dumps(database.store))

    assert database.told == [job.id]


async def test_what_is_stored_stays_small(hevo: Sandbox, clock: VirtualClock, database: Database) -> None:
    pipeline = hevo.add_pipeline(7, appear_after=0, duration=1)

    async with watching(database=database):
        await until(polls(hevo))
        for number in range(300):
            clock.advance(60)
            pipeline.start_job()
            if number % 10 == 9:
                await until(lambda number=number: len(database.events) >= number)  # type: ignore[misc]

    assert max(len(value) for value in database.store.values()) < 2000


async def test_a_stored_watermark_that_makes_no_sense_is_a_new_beginning(
    hevo: Sandbox, database: Database, story: Callable[[], str]
) -> None:
    pipeline = hevo.add_pipeline(7, appear_after=0, duration=1)
    async with watching(database=database):
        await until(polls(hevo))
    database.store = dict.fromkeys(database.store, '{"told": 3}')

    async with watching(database=database):
        await until(polls(hevo))
        job = pipeline.start_job()
        await until(lambda: database.events)

    assert database.told == [job.id]
    assert "Watching on without it" in story()


# Which store


@pytest.mark.parametrize("asset", [None, "orders"])
def test_a_trigger_of_one_asset_uses_its_store(asset: str | None) -> None:
    trigger = HevoPipelineTrigger(7, asset=asset)
    trigger.asset_state_store = AssetStateStoreAccessors(inlets=[Asset("orders", "hevo://x/orders")])

    assert "orders" in repr(_store_of(trigger))


def test_a_trigger_of_several_assets_uses_the_store_of_the_one_that_it_names() -> None:
    trigger = HevoPipelineTrigger(7, asset="orders")
    trigger.asset_state_store = AssetStateStoreAccessors(inlets=[Asset("orders"), Asset("customers")])

    assert "customers" not in repr(_store_of(trigger))


async def test_a_trigger_of_several_assets_that_names_none_watches_without_a_memory_and_says_so(
    hevo: Sandbox, story: Callable[[], str]
) -> None:
    trigger = HevoPipelineTrigger(7)
    trigger.asset_state_store = AssetStateStoreAccessors(inlets=[Asset("orders"), Asset("customers")])

    assert await trigger._watcher()._store.read() is None
    assert "nothing is remembered" in story()


def _store_of(trigger: HevoPipelineTrigger) -> Any:
    return trigger._watcher()._store._store
