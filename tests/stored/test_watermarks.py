"""The triggers and watermarks that watchers of version 1.0.0 left in a database are gone on from (Airflow >= 3.3)."""

from __future__ import annotations

import json

import pytest

from hevo_provider.sandbox import Sandbox
from tests.stage.clock import VirtualClock
from tests.stage.triggerer import Database, polls, until, watching
from tests.stored import read, restore, trigger_of

WATERMARKS = read("watermarks")

of_each = pytest.mark.parametrize("name", WATERMARKS)


@pytest.fixture
def hevo(hevo: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """A Hevo that two connections lead to."""
    connection = {"conn_type": "hevo", "host": hevo.url, "login": hevo.key, "password": hevo.secret}
    monkeypatch.setenv("AIRFLOW_CONN_HEVO_EU", json.dumps(connection))
    return hevo


@of_each
async def test_what_ended_since_is_told_once_and_nothing_again(hevo: Sandbox, clock: VirtualClock, name: str) -> None:
    entry = restore(WATERMARKS[name], hevo, clock)
    database = Database(store={key: json.dumps(value) for key, value in entry["store"].items()})
    jobs = hevo.pipelines[7].jobs

    async with watching(trigger_of(entry), database=database):
        await until(lambda: not jobs[2].active)  # the one that ran when the watermark was stored
        await until(polls(hevo, 4))

    assert database.told == [jobs[number].id for number in entry["told"]]
    assert list(database.store) == list(entry["store"])


@of_each
async def test_a_watermark_that_is_stored_today_says_all_that_it_said(
    hevo: Sandbox, clock: VirtualClock, name: str
) -> None:
    entry = restore(WATERMARKS[name], hevo, clock)
    database = Database(store={key: json.dumps(value) for key, value in entry["store"].items()})
    before = dict(database.store)
    hevo.pipelines[7].jobs[2].duration = None

    async with watching(trigger_of(entry), database=database):
        await until(lambda: database.store != before)

    ((then, today),) = zip(entry["store"].values(), map(json.loads, database.store.values()), strict=True)
    assert today["since"] == then["since"]
    assert today["floor"] > then["floor"]
    assert today["active"] == then["active"]  # the one that runs on
    assert all(created >= today["floor"] for created in today["told"].values())
