"""Pipelines that run on Hevo's own schedule, or are started by somebody, start DAGs when their jobs end (Airflow 3)."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from hevo_provider.assets import HevoPipelineTrigger
from hevo_provider.client.shared import open_clients
from hevo_provider.models.job import JobStatus, JobType
from hevo_provider.sandbox import Fault, Sandbox
from tests.stage.clock import VirtualClock
from tests.stage.triggerer import polls, until, watching

EVERY_10_MINUTES = {"sync_type": "SCHEDULED", "frequency_minutes": 10}


# What is told


async def test_a_job_of_hevos_own_schedule_is_told_with_its_counters(hevo: Sandbox) -> None:
    pipeline = hevo.add_pipeline(7, fields={"schedule": EVERY_10_MINUTES})

    async with watching() as triggerer:
        await until(lambda: triggerer.database.events)

    event, job = triggerer.database.events[0], pipeline.jobs[0]
    assert (event["pipeline_id"], event["job_id"], event["job_type"]) == (7, job.id, "INCREMENTAL")
    assert (event["status"], event["events_loaded"], event["objects_success"]) == ("COMPLETED", 1000, 3)
    assert event["created_ts"] == int(job.created_at * 1000)
    assert all(isinstance(value, str | int | float) for value in event.values())


async def test_each_job_is_told_once(hevo: Sandbox) -> None:
    pipeline = hevo.add_pipeline(7, fields={"schedule": EVERY_10_MINUTES})

    async with watching() as triggerer:
        await until(lambda: len(triggerer.database.events) >= 5)

    assert triggerer.database.told == [job.id for job in pipeline.jobs][: len(triggerer.database.told)]


async def test_what_had_ended_before_the_first_poll_is_not_told(hevo: Sandbox) -> None:
    pipeline = hevo.add_pipeline(7, appear_after=0)
    for ago in (7200, 300, 20):
        pipeline.start_job(ago=ago)

    async with watching() as triggerer:
        await until(polls(hevo))
        job = pipeline.start_job()
        await until(lambda: triggerer.database.events)

    assert triggerer.database.told == [job.id]


async def test_a_job_that_ended_two_hours_ago_is_no_news_though_it_was_left_out_at_first_and_touched_since(
    hevo: Sandbox, clock: VirtualClock
) -> None:
    pipeline = hevo.add_pipeline(7, appear_after=0, duration=60)
    old = pipeline.start_job(ago=7200)
    old.hidden = True

    async with watching() as triggerer:
        await until(polls(hevo))
        old.override["updated_ts"] = int(clock.now() * 1000)
        old.hidden = False
        await until(polls(hevo))
        job = pipeline.start_job()
        await until(lambda: job.id in triggerer.database.told)

    assert triggerer.database.told == [job.id]


async def test_a_job_that_ran_at_the_first_poll_is_told_when_it_ends(hevo: Sandbox) -> None:
    job = hevo.add_pipeline(7).start_job(ago=100_000, duration=101_000)

    async with watching() as triggerer:
        await until(lambda: triggerer.database.events)

    assert triggerer.database.told == [job.id]


async def test_a_job_that_is_over_before_it_first_shows_is_told(hevo: Sandbox) -> None:
    pipeline = hevo.add_pipeline(7, appear_after=15, duration=0.5)

    async with watching() as triggerer:
        await until(polls(hevo))
        job = pipeline.start_job()
        await until(lambda: triggerer.database.events)

    assert triggerer.database.told == [job.id]


async def test_jobs_that_end_between_two_polls_are_told_in_the_order_in_which_they_ended(hevo: Sandbox) -> None:
    pipeline = hevo.add_pipeline(7, appear_after=0, parallel_jobs=True)

    async with watching(HevoPipelineTrigger(7, poll_interval=600)) as triggerer:
        await until(polls(hevo, 2))
        late, early = pipeline.start_job(duration=200), pipeline.start_job(duration=20)
        await until(lambda: len(triggerer.database.events) == 2)

    assert triggerer.database.told == [early.id, late.id]


async def test_a_long_job_is_told_though_a_hundred_and_fifty_newer_ones_hide_it(hevo: Sandbox) -> None:
    pipeline = hevo.add_pipeline(7, appear_after=0, duration=None)
    long_one = pipeline.start_job("HISTORICAL", ago=1000)

    async with watching(HevoPipelineTrigger(7, job_types="HISTORICAL")) as triggerer:
        await until(polls(hevo))
        for _ in range(150):
            pipeline.start_job(duration=1)
        await until(lambda: hevo.requests_of("get_job"))
        long_one.end()
        await until(lambda: triggerer.database.events)
        await until(polls(hevo))

    assert triggerer.database.told == [long_one.id]


@pytest.mark.parametrize(
    "fault",
    [Fault.status(500), Fault.status(500, body={"message": "Already running"}), Fault.html(), Fault.json(None)],
    ids=["an-error", "an-error-that-speaks-of-running", "a-page-of-a-proxy", "null"],
)
async def test_a_long_job_that_cannot_be_read_keeps_no_other_from_being_told(
    hevo: Sandbox, story: Callable[[], str], fault: Fault
) -> None:
    pipeline = hevo.add_pipeline(7, appear_after=0, duration=None)
    long_one = pipeline.start_job()

    async with watching() as triggerer:
        await until(polls(hevo))
        hevo.inject("get_job", fault, times=None)
        jobs = [pipeline.start_job(duration=1) for _ in range(110)]
        await until(lambda: hevo.requests_of("get_job"))
        jobs.append(pipeline.start_job(duration=1))
        await until(lambda: len(triggerer.database.events) == len(jobs))
        await until(polls(hevo))
        assert story().count(f"job {long_one.id} cannot be read") == 1
        hevo.clear_faults()
        long_one.end()
        await until(lambda: long_one.id in triggerer.database.told)

    assert sorted(triggerer.database.told) == sorted(job.id for job in [*jobs, long_one])


async def test_a_running_job_that_hevo_deletes_is_searched_for_only_for_a_while(
    hevo: Sandbox, clock: VirtualClock
) -> None:
    pipeline = hevo.add_pipeline(7, appear_after=0, duration=None)
    job = pipeline.start_job()

    async with watching() as triggerer:
        await until(polls(hevo))
        job.hidden = True
        began = clock.now()
        await until(lambda: clock.now() - began > 3600)

    assert 2 <= len(hevo.requests_of("get_job")) <= 300 / 30 + 2
    assert triggerer.database.told == []


async def test_jobs_that_are_listed_in_no_order_are_told_all_the_same(hevo: Sandbox) -> None:
    pipeline = hevo.add_pipeline(7, order="shuffled", fields={"schedule": EVERY_10_MINUTES})

    async with watching() as triggerer:
        await until(lambda: len(triggerer.database.events) == 4)

    assert triggerer.database.told == [job.id for job in pipeline.jobs][:4]


async def test_of_more_jobs_in_no_order_than_can_be_read_those_that_are_read_are_told(
    hevo: Sandbox, story: Callable[[], str]
) -> None:
    pipeline = hevo.add_pipeline(7, appear_after=0, duration=1, order="shuffled")
    hevo.max_page = 10
    for number in range(300):
        pipeline.start_job(ago=100_000 + number)

    async with watching() as triggerer:
        await until(polls(hevo, 40))
        jobs = [pipeline.start_job() for _ in range(20)]
        await until(lambda: triggerer.database.events)
        await until(polls(hevo, 60))

    assert set(triggerer.database.told) <= {job.id for job in jobs}
    assert story().count("or they do not come newest first") == 1


@pytest.mark.parametrize("override", [{"created_ts": None}, {"created_ts": None, "updated_ts": None}])
async def test_jobs_without_times_are_told_and_cost_one_page_a_poll(
    hevo: Sandbox, story: Callable[[], str], override: dict[str, Any]
) -> None:
    pipeline = hevo.add_pipeline(7, appear_after=0, duration=1)
    for number in range(300):
        pipeline.start_job(ago=1000 * (number + 1)).override = override

    async with watching() as triggerer:
        await until(polls(hevo))
        job = pipeline.start_job(duration=0)
        job.override = override
        await until(polls(hevo, 10))

    assert triggerer.database.told == [job.id]
    assert not any("cursor" in request.query for request in hevo.requests)
    assert "more jobs" not in story()


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ({}, ["INCREMENTAL COMPLETED", "RESYNC COMPLETED"]),
        ({"job_types": "RESYNC"}, ["RESYNC COMPLETED"]),
        ({"statuses": ["FAILED", JobStatus.CANCELLED]}, ["INCREMENTAL FAILED"]),
        ({"job_types": [JobType.INCREMENTAL], "statuses": JobStatus.FAILED}, ["INCREMENTAL FAILED"]),
    ],
)
async def test_only_wanted_jobs_are_told(hevo: Sandbox, wanted: dict[str, Any], told: list[str]) -> None:
    pipeline = hevo.add_pipeline(7, appear_after=0, job_type_names={"RESYNC": "TRUNCATE_AND_LOAD"})

    async with watching(HevoPipelineTrigger(7, **wanted)) as triggerer:
        await until(polls(hevo))
        jobs = {
            pipeline.start_job(duration=1, ends="FAILED").id: "INCREMENTAL FAILED",
            pipeline.start_job(duration=2).id: "INCREMENTAL COMPLETED",
            pipeline.start_job("RESYNC", duration=3).id: "RESYNC COMPLETED",
        }
        await until(polls(hevo, 4))

    assert [jobs[job_id] for job_id in triggerer.database.told] == told


# What it costs


async def test_two_watchers_of_one_pipeline_cause_one_poll_and_each_gets_its_own(
    hevo: Sandbox, clock: VirtualClock
) -> None:
    pipeline = hevo.add_pipeline(7, appear_after=0, fields={"schedule": EVERY_10_MINUTES})
    good, bad = HevoPipelineTrigger(7, poll_interval=60), HevoPipelineTrigger(7, statuses="FAILED", poll_interval=60)
    began = clock.now()

    async with watching(good, bad) as triggerer:
        await until(lambda: len(triggerer.database.events) == 3)
        pipeline.ends = "FAILED"
        await until(lambda: len(triggerer.database.events) == 6)

    assert {event["status"] for event in triggerer.database.events} == {"COMPLETED", "FAILED"}
    assert triggerer.database.told == [job.id for job in pipeline.jobs][:6]
    assert len(hevo.requests) <= (clock.now() - began) / 60 + 2
    assert {request.route for request in hevo.requests} == {"list_jobs"}


async def test_watchers_of_one_connection_share_its_session_and_leave_none_open(hevo: Sandbox) -> None:
    for number in (7, 8, 9):
        hevo.add_pipeline(number)

    async with watching(*(HevoPipelineTrigger(number) for number in (7, 8, 9))):
        await until(polls(hevo, 9))
        assert open_clients() == 1

    await until(lambda: not open_clients())


# What is in the way


async def test_an_outage_is_told_once_and_what_ended_meanwhile_is_told_after_it(
    hevo: Sandbox, clock: VirtualClock, story: Callable[[], str]
) -> None:
    pipeline = hevo.add_pipeline(7, appear_after=0)

    async with watching() as triggerer:
        await until(polls(hevo))
        hevo.inject("list_jobs", Fault.status(503), times=None)
        job = pipeline.start_job()
        began = clock.now()
        await until(lambda: clock.now() - began > 3 * 3600)
        hevo.clear_faults()
        await until(lambda: triggerer.database.events)

    assert triggerer.database.told == [job.id]
    told = story()
    assert told.count("Hevo answered 503") == 1
    assert "Hevo answers again after" in told


async def test_refused_credentials_are_told_once_and_the_watch_goes_on_once_they_are_mended(
    hevo: Sandbox, clock: VirtualClock, story: Callable[[], str]
) -> None:
    pipeline = hevo.add_pipeline(7, appear_after=0)

    async with watching() as triggerer:
        await until(polls(hevo))
        hevo.unauthorized = True
        job = pipeline.start_job()
        began = clock.now()
        await until(lambda: clock.now() - began > 3600)
        hevo.unauthorized = False
        await until(lambda: triggerer.database.events)

    assert triggerer.database.told == [job.id]
    told = story()
    assert told.count("Pipeline 7 is not watched: Hevo answered 401") == 1
    assert told.count("Pipeline 7 is watched again") == 1
    assert len(hevo.requests) < 3600 / 60 * 2 + 50  # each 401 is asked again with the connection as it is by then


async def test_a_connection_that_is_missing_or_points_elsewhere_is_looked_up_again_until_it_is_right(
    hevo: Sandbox, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch, story: Callable[[], str]
) -> None:
    pipeline = hevo.add_pipeline(7, appear_after=0)
    right = {"conn_type": "hevo", "host": hevo.url, "login": hevo.key, "password": hevo.secret}
    monkeypatch.setenv("AIRFLOW_CONN_HEVO", json.dumps({**right, "password": ""}))
    began = clock.now()

    async with watching(HevoPipelineTrigger(7, "hevo")) as triggerer:
        await until(lambda: clock.now() - began > 3600)
        monkeypatch.setenv("AIRFLOW_CONN_HEVO", json.dumps({**right, "host": "http://127.0.0.1:9"}))
        await until(lambda: clock.now() - began > 7200)
        monkeypatch.setenv("AIRFLOW_CONN_HEVO", json.dumps(right))
        await until(polls(hevo))
        job = pipeline.start_job()
        await until(lambda: triggerer.database.events)

    assert triggerer.database.told == [job.id]
    assert story().count("Pipeline 7 is not watched: Airflow connection 'hevo'") == 1


async def test_a_pipeline_that_is_not_there_is_told_once_and_watched_from_when_it_is(
    hevo: Sandbox, clock: VirtualClock, story: Callable[[], str]
) -> None:
    began = clock.now()

    async with watching() as triggerer:
        await until(lambda: clock.now() - began > 3600)
        pipeline = hevo.add_pipeline(7, appear_after=0)
        await until(polls(hevo))
        job = pipeline.start_job()
        await until(lambda: triggerer.database.events)

    assert triggerer.database.told == [job.id]
    assert story().count("Pipeline 7 is not watched") == 1


async def test_a_fault_of_our_own_does_not_end_the_watch(
    hevo: Sandbox, monkeypatch: pytest.MonkeyPatch, story: Callable[[], str]
) -> None:
    pipeline = hevo.add_pipeline(7, appear_after=0)

    async def broken(*_: object, **__: object) -> Any:
        raise ZeroDivisionError("a fault of our own")

    async with watching() as triggerer:
        await until(polls(hevo))
        with monkeypatch.context() as patch:
            patch.setattr("hevo_provider.watching.round.read_listing", broken)
            job = pipeline.start_job()
            await until(lambda: "ZeroDivisionError" in story())
        await until(lambda: triggerer.database.events)

    assert triggerer.database.told == [job.id]
