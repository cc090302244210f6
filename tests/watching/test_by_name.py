"""A pipeline that is watched by its name."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk import Asset

from hevo_provider.assets import HevoPipelineTrigger, hevo_pipeline_asset
from hevo_provider.exceptions import HevoConfigError
from hevo_provider.sandbox import Sandbox
from tests.stage.triggerer import Database, polls, until, watching

EVERY_10_MINUTES = {"schedule": {"sync_type": "SCHEDULED", "frequency_minutes": 10}}


async def test_the_jobs_of_the_pipeline_of_that_name_are_told_with_its_id(hevo: Sandbox) -> None:
    hevo.add_pipeline(7, name="shop")
    pipeline = hevo.add_pipeline(47, name="orders", fields=EVERY_10_MINUTES)

    async with watching(HevoPipelineTrigger(pipeline_name="orders")) as triggerer:
        await until(lambda: len(triggerer.database.events) >= 2)

    assert {event["pipeline_id"] for event in triggerer.database.events} == {47}
    assert triggerer.database.told == [job.id for job in pipeline.jobs][: len(triggerer.database.told)]
    assert len(hevo.requests_of("list_pipelines")) == 1


async def test_what_ends_while_no_triggerer_runs_is_told_by_the_next(hevo: Sandbox) -> None:
    database = Database()
    pipeline = hevo.add_pipeline(47, name="orders", appear_after=0)
    async with watching(HevoPipelineTrigger(pipeline_name="orders"), database=database) as triggerer:
        await until(polls(hevo))
    job = pipeline.start_job(duration=1)

    async with watching(HevoPipelineTrigger(pipeline_name="orders"), database=database) as triggerer:
        await until(lambda: triggerer.database.told)

    assert database.told == [job.id]


async def test_a_pipeline_that_is_not_there_yet_is_watched_once_it_is(hevo: Sandbox) -> None:
    async with watching(HevoPipelineTrigger(pipeline_name="orders")) as triggerer:
        await until(lambda: len(hevo.requests_of("list_pipelines")) >= 3)
        hevo.add_pipeline(47, name="orders", fields=EVERY_10_MINUTES)
        await until(lambda: triggerer.database.events)

    assert triggerer.database.events[0]["pipeline_id"] == 47


async def test_where_another_pipeline_bears_the_name_by_now_that_is_watched(hevo: Sandbox) -> None:
    hevo.add_pipeline(47, name="orders")
    async with watching(HevoPipelineTrigger(pipeline_name="orders")) as triggerer:
        await until(polls(hevo))
        del hevo.pipelines[47]
        hevo.add_pipeline(48, name="orders", fields=EVERY_10_MINUTES)
        await until(lambda: triggerer.database.events)

    assert triggerer.database.events[0]["pipeline_id"] == 48


def test_its_address_says_that_it_goes_by_name() -> None:
    asset = hevo_pipeline_asset(pipeline_name="orders to Größe/7")

    assert asset.uri == "hevo://hevo_airflow_conn_id/pipelines/by-name/orders%20to%20Gr%C3%B6%C3%9Fe%2F7"
    assert asset.name == "hevo_pipeline_by_name_orders%20to%20Gr%C3%B6%C3%9Fe%2F7"
    assert Asset(asset.name, asset.uri).uri == asset.uri
    (watcher,) = asset.watchers
    assert watcher.trigger.serialize()[1] == {
        "pipeline_name": "orders to Größe/7",
        "connection_id": "hevo_airflow_conn_id",
        "statuses": ["COMPLETED"],
        "poll_interval": 30.0,
        "asset": asset.name,
    }


def test_a_name_of_digits_is_another_asset_than_that_id() -> None:
    by_name, by_id = hevo_pipeline_asset(pipeline_name="7"), hevo_pipeline_asset(7)

    assert by_name.uri != by_id.uri
    assert by_name.name != by_id.name


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "Exactly one of pipeline_id and pipeline_name"),
        ({"pipeline_id": 7, "pipeline_name": "orders"}, "Exactly one of pipeline_id and pipeline_name"),
        ({"pipeline_name": " "}, "pipeline_name must be the name of a pipeline"),
    ],
)
def test_what_names_no_pipeline_or_two_is_refused_when_the_dag_is_parsed(given: dict[str, Any], message: str) -> None:
    with pytest.raises(HevoConfigError, match=message):
        hevo_pipeline_asset(**given)
    with pytest.raises(TypeError, match=message):
        HevoPipelineTrigger(**given)
