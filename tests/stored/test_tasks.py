"""
What version 1.0.0 left in a database, or in a task's way, is gone on from: triggers, events, task records, XComs.

The data are in ``tests/stored/1.0.0``, with how each went on in 1.0.0 itself.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

import pytest

from hevo_provider.links import HevoPipelineLink
from hevo_provider.sandbox import Sandbox
from tests.stage.clock import VirtualClock
from tests.stage.tasks import Deferral, TaskInstance, play, work
from tests.stored import ending, go_on_from_event, go_on_from_trigger, read, restore, task_of, trigger_of

TRIGGERS, EVENTS, TASK_STATE, XCOMS = (read(file) for file in ("triggers", "events", "task_state", "xcoms"))
RETRY_DELAY = 300.0
TOKEN = "run_token"  # a new one for each wait
# Those of the triggers for which a worker needs nothing of Hevo but the pipeline as it was.
DEFERRED_AT_ONCE = (
    "ready: a resync while the pipeline is restarting",
    "ready: on_active_job waits for another's job",
    "find: SYNC_NOW that Hevo accepted",
    "find: SYNC_NOW that Hevo accepted, beside older jobs and every parameter set",
    "find: SYNC_NOW refused for another's job that does not show yet",
    "find: RESYNC with drop_and_load that restarts the pipeline",
    "find: RESYNC whose job goes by another name",
    "find: RESYNC_OBJECTS by names",
    "find: wait_for_completion is False",
    "watch: another's job, adopted",
    "sensor: a given job",
    "sensor: an active job was found at once",
    "sensor: no job was there at the first look",
    "sensor: completed_after, and one that ended badly since",
    "sensor: completed_after, with failures accepted",
)


@pytest.fixture
def ti(clock: VirtualClock) -> TaskInstance:
    return TaskInstance(clock, retries=2)


def retry(entry: dict[str, Any], ti: TaskInstance, *, cleared: bool = False) -> Any:
    """Take the task through another try, with what the store holds: what it returns."""
    assert ti.store is not None
    for key, value in entry["task_state_store"].items():
        ti.store.set(key, value)
    ti.max_tries = entry["max_tries"]
    ti.clock.advance(RETRY_DELAY)
    ti.next_try(cleared=cleared)
    return play(task_of(entry), ti)


# Triggers


@pytest.mark.parametrize("name", TRIGGERS)
def test_a_waiting_task_comes_to_the_same_end(hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, name: str) -> None:
    entry = restore(TRIGGERS[name], hevo, clock)

    assert ending(hevo, ti, lambda: go_on_from_trigger(entry, ti)) == entry["went_on"]


@pytest.mark.parametrize("name", TRIGGERS)
def test_a_waiting_task_whose_time_is_over_cancels_its_own_job_and_no_other(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, name: str
) -> None:
    entry = restore(TRIGGERS[name], hevo, clock)
    for job in hevo.pipelines[7].active_jobs:
        job.duration = None
    clock.advance(8 * 24 * 3600)

    assert ending(hevo, ti, lambda: go_on_from_trigger(entry, ti)) == entry["went_on_when_time_was_over"]


@pytest.mark.parametrize("name", TRIGGERS)
def test_a_trigger_is_stored_again_as_it_was(name: str) -> None:
    row = TRIGGERS[name]["trigger"]

    path, kwargs = trigger_of(TRIGGERS[name]).serialize()

    assert path == row["classpath"]
    assert {key: kwargs.get(key) for key in row["kwargs"]} == row["kwargs"]


@pytest.mark.parametrize("name", DEFERRED_AT_ONCE)
def test_a_task_that_defers_today_stores_all_that_1_0_0_did(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, name: str
) -> None:
    stored = TRIGGERS[name]
    there = [job for job in stored["hevo"]["jobs"] if job["started_by"] != "api"]
    before = {**stored["hevo"], "jobs": there}
    if any(job["started_by"] == "api" for job in stored["hevo"]["jobs"]):
        before["restarting_until"] = None  # by the task itself
    entry = restore({**stored, "hevo": before}, hevo, clock)

    deferral = work(lambda: task_of(entry).execute(ti.context))

    assert isinstance(deferral, Deferral)
    assert deferral.method == stored["next_method"]
    today, then = json.loads(json.dumps(deferral.kwargs)), entry["trigger"]["kwargs"]
    assert {key: value for key, value in today.items() if key in then and key != TOKEN} == {
        key: value for key, value in then.items() if key != TOKEN
    }
    assert today["run_mark"] == ti.xcoms["hevo_run_mark"]
    assert TOKEN not in today  # a triggerer of version 1.0.0 would compare it with an XCom that is not there


def test_the_seconds_that_workers_were_at_work_count_on(hevo: Sandbox, ti: TaskInstance, clock: VirtualClock) -> None:
    entry = restore(TRIGGERS["find: SYNC_NOW that Hevo accepted after a short 429"], hevo, clock)

    go_on_from_trigger(entry, ti)

    assert ti.xcoms["hevo_job"]["worker_seconds"] == entry["trigger"]["kwargs"]["worker_seconds"] > 0


# Events


@pytest.mark.parametrize("name", EVENTS)
def test_an_event_means_the_same(hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, name: str) -> None:
    entry = restore(EVENTS[name], hevo, clock)

    assert ending(hevo, ti, lambda: go_on_from_event(entry, ti)) == entry["went_on"]


def test_the_facts_of_an_event_are_those_of_the_xcom(hevo: Sandbox, ti: TaskInstance, clock: VirtualClock) -> None:
    entry = restore(EVENTS["job_ended: COMPLETED"], hevo, clock)

    go_on_from_event(entry, ti)

    facts = {key: value for key, value in entry["event"].items() if key != "event"}
    assert {key: ti.xcoms["hevo_job"].get(key) for key in facts} == facts


# Task records


@pytest.mark.parametrize("name", TASK_STATE)
def test_a_retry_goes_on_with_the_run_on_record(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, name: str
) -> None:
    entry = restore(TASK_STATE[name], hevo, clock)

    assert ending(hevo, ti, lambda: retry(entry, ti)) == entry["went_on"]


@pytest.mark.parametrize("name", TASK_STATE)
def test_a_cleared_task_makes_way_for_its_own_new_job(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, name: str
) -> None:
    entry = restore(TASK_STATE[name], hevo, clock)

    assert ending(hevo, ti, lambda: retry(entry, ti, cleared=True)) == entry["went_on_when_cleared"]


def test_a_run_on_record_is_forgotten_under_its_key_when_it_has_ended(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock
) -> None:
    entry = restore(TASK_STATE["watch: a worker that blocked was lost"], hevo, clock)
    assert list(entry["task_state_store"]) == ["hevo_run"]

    retry(entry, ti)

    assert ti.store is not None
    assert ti.store.values == {}


def test_a_worker_that_defers_today_puts_on_record_all_that_1_0_0_did(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock
) -> None:
    stored = TASK_STATE["find: a worker was lost as it deferred"]
    there = [job for job in stored["hevo"]["jobs"] if job["started_by"] != "api"]
    entry = restore({**stored, "hevo": {**stored["hevo"], "jobs": there}}, hevo, clock)

    work(lambda: task_of(entry).execute(ti.context))

    assert ti.store is not None
    today, then = ti.store.get("hevo_run"), entry["task_state_store"]["hevo_run"]
    assert {key: today.get(key) for key in ("time", "max_tries")} == {key: then[key] for key in ("time", "max_tries")}
    assert {key: today["run"].get(key) for key in then["run"]} == then["run"]


# XComs


@pytest.mark.parametrize("name", XCOMS)
def test_a_task_leaves_the_xcoms_that_it_left(hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, name: str) -> None:
    entry = restore(XCOMS[name], hevo, clock)

    play(task_of(entry), ti)

    renamed = {"hevo_run_token": "hevo_run_mark"}
    there = {renamed.get(name, name) for name in entry["xcoms"]}
    assert set(ti.xcoms) == there | {"hevo_job_id"}
    today, then = ti.xcoms["hevo_job"], entry["xcoms"]["hevo_job"]
    alike = set(then) - {"job_id"}
    assert {key: today.get(key) for key in alike} == {key: then[key] for key in alike}
    pages = [urlsplit(each["hevo_pipeline_page"]).path for each in (ti.xcoms, entry["xcoms"])]
    assert pages[0] == pages[1]


def test_the_link_leads_to_the_address_that_it_left() -> None:
    assert all(HevoPipelineLink().xcom_key == "hevo_pipeline_page" in entry["xcoms"] for entry in XCOMS.values())
