"""
What Hevo sends is read at once. An answer with a value of another type is read a second time, slowly, without it.

A client that needs that for every answer would be slow for ever, and nobody would see why.
"""

from __future__ import annotations

from typing import Any

import pytest

from hevo_provider.client.calls import HevoAsyncClient
from hevo_provider.models.answers import Answer
from hevo_provider.sandbox import Sandbox
from hevo_provider.sandbox.demo import add_demo_pipelines
from hevo_provider.sandbox.jobs import TERMINAL_STATUSES
from tests.stage.clients import connect
from tests.stage.clock import VirtualClock


@pytest.fixture
def slow_readings(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Keep the answers that are read a second time."""
    seen: list[bytes] = []
    read = Answer._without_nonsense.__func__  # type: ignore[attr-defined]

    def counted(cls: type[Answer], body: bytes) -> Any:
        seen.append(body)
        return read(cls, body)

    monkeypatch.setattr(Answer, "_without_nonsense", classmethod(counted))
    return seen


async def ask_for_everything(client: HevoAsyncClient) -> int:
    """Make each call that reads, for each thing that there is: how many things were told of."""
    told = 0
    async for pipeline in client.list_pipelines():
        await client.get_pipeline(pipeline.id)
        async for item in client.list_objects(pipeline.id):
            await client.get_object(pipeline.id, item.object_id)
            told += 1
        async for job in client.list_jobs(pipeline.id):
            await client.get_job(pipeline.id, job.job_id)
            told += 1 + len([each async for each in client.list_job_objects(pipeline.id, job.job_id)])
    return told


async def test_no_answer_of_the_demo_data_needs_a_second_reading(
    hevo: Sandbox, clock: VirtualClock, slow_readings: list[bytes]
) -> None:
    add_demo_pipelines(hevo)
    for status in sorted(TERMINAL_STATUSES):
        hevo.pipelines[1].start_job(ago=600, appear_after=0, ends=status)
    clock.advance(3600)

    async with connect(hevo, clock) as client:
        told = await ask_for_everything(client)
        await client.update_pipeline(1, name="orders")

    assert told > 100
    assert slow_readings == []


@pytest.mark.parametrize("field", ["failure_handling_policy", "source_schema_status", "latency_alert"])
async def test_a_field_that_is_no_object_any_more_costs_one(
    hevo: Sandbox, clock: VirtualClock, slow_readings: list[bytes], field: str
) -> None:
    hevo.add_pipeline(7).fields[field] = "a word"

    async with connect(hevo, clock) as client:
        pipeline = await client.get_pipeline(7)

    assert getattr(pipeline, field) is None
    assert len(slow_readings) == 1


async def test_what_the_inner_objects_of_a_pipeline_hold_is_read(hevo: Sandbox, clock: VirtualClock) -> None:
    hevo.add_pipeline(
        7,
        fields={
            "failure_handling_policy": {"object_failure_level": "PERCENTAGE", "object_failure_threshold": 10},
            "source_schema_status": {"status": "REFRESHED", "refreshed_ts": 1_800_000_000_000},
            "latency_alert": {"enabled": True, "threshold_minutes": 30},
        },
    )

    async with connect(hevo, clock) as client:
        pipeline = await client.get_pipeline(7)

    assert pipeline.model_dump(include={"failure_handling_policy", "source_schema_status", "latency_alert"}) == {
        "failure_handling_policy": {"object_failure_level": "PERCENTAGE", "object_failure_threshold": 10},
        "source_schema_status": {"status": "REFRESHED", "refreshed_ts": 1_800_000_000_000},
        "latency_alert": {"enabled": True, "threshold_minutes": 30},
    }


async def test_the_rows_of_an_object_that_a_job_has_processed_and_failed_are_read(
    hevo: Sandbox, clock: VirtualClock
) -> None:
    job = hevo.add_pipeline(7).start_job(ago=60, duration=10, ends="COMPLETED_WITH_FAILURES")

    async with connect(hevo, clock) as client:
        found = [each async for each in client.list_job_objects(7, job.id)]

    assert [(each.object_name, each.rows_failed) for each in found] == [
        ("orders", 7),
        ("customers", 0),
        ("invoices", 0),
    ]
    assert [each.rows_processed for each in found] == [0, 331, 331]
