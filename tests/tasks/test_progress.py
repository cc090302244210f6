"""The story that a task's log tells: what was started, when its job was found, how far it came, and how it ended."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hevo_provider.models.answers import Job
from hevo_provider.operators import HevoPipelineOperator
from hevo_provider.runs.progress import Progress
from hevo_provider.sandbox import Sandbox
from hevo_provider.sensors import HevoSensor
from tests.stage.clock import VirtualClock
from tests.stage.marks import in_both_modes
from tests.stage.tasks import TaskInstance, deferred, operator, play

DAY = 24 * 3600


def job(**counters: int | None) -> Job:
    return Job.model_validate({"job_id": "job", "status": "IN_PROGRESS", **counters})


def at(clock: VirtualClock, seconds: float, progress: Progress, **counters: int | None) -> str | None:
    """Poll a job so many seconds later: the line for the log."""
    clock.advance(seconds)
    return progress.news(job(**counters))


def lines(story: str) -> list[str]:
    return [line for line in story.splitlines() if "Pipeline 7: " in line]


def test_a_short_job_has_no_progress_to_tell(clock: VirtualClock) -> None:
    progress = Progress(clock.clock)

    assert at(clock, 0, progress, events_loaded=0) is None
    assert at(clock, 14, progress, events_loaded=900) is None


def test_a_line_says_events_their_rate_and_objects(clock: VirtualClock) -> None:
    progress = Progress(clock.clock)
    counters = {"events_loaded": 0, "objects_success": 0, "objects_skipped": 0, "objects_failed": 0}
    at(clock, 0, progress, **counters, objects_queued=5)

    first = at(clock, 15, progress, events_loaded=30_000, objects_success=1, objects_failed=1, objects_queued=3)
    second = at(clock, 30, progress, events_loaded=33_000, events_failed=12, objects_success=4, objects_queued=1)

    assert first == "30,000 events loaded (2,000/s), 2 of 5 objects done (40 %)"
    assert second == "33,000 events loaded (100/s), 12 failed, 4 of 5 objects done (80 %)"


def test_what_hevo_does_not_tell_is_not_told(clock: VirtualClock) -> None:
    progress = Progress(clock.clock)
    at(clock, 0, progress)

    assert at(clock, 15, progress) is None
    assert at(clock, 1, progress, objects_success=2) == "2 of 2 objects done (100 %)"
    assert at(clock, 30, progress, events_ingested=500) == "500 events ingested"
    assert at(clock, 60, progress, events_ingested=1100) == "1,100 events ingested (10/s)"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (119, "119 s"), (120, "2 min"), (3600, "60 min"), (7199, "2 h 0 min"), (36_540, "10 h 9 min")],
)
def test_a_line_says_for_how_long_the_job_has_run_by_hevos_clock(clock: VirtualClock, seconds: int, words: str) -> None:
    progress = Progress(clock.clock)
    at(clock, 0, progress, events_loaded=0)
    clock.advance(15)

    said = progress.news(job(events_loaded=5, created_ts=1_000_000), 1_000_000 + seconds * 1000)

    assert said == f"5 events loaded, after {words}"


def test_a_job_that_does_not_move_is_told_again_when_it_does(clock: VirtualClock) -> None:
    progress = Progress(clock.clock)
    at(clock, 0, progress, events_loaded=10)

    assert at(clock, 3600, progress, events_loaded=10) is None
    assert at(clock, 15, progress, events_loaded=11) == "11 events loaded"


def test_a_job_that_runs_for_a_day_has_some_thirty_lines(clock: VirtualClock) -> None:
    progress = Progress(clock.clock)

    told = [at(clock, 10, progress, events_loaded=count) for count in range(DAY // 10)]

    assert 25 <= sum(line is not None for line in told) <= 35


@in_both_modes
def test_the_whole_story_of_a_run_is_a_handful_of_lines(
    hevo: Sandbox, ti: TaskInstance, story: Callable[[], str], deferrable: bool
) -> None:
    pipeline = hevo.add_pipeline(7, appear_after=12, duration=300)
    parameters: dict[str, Any] = {"task_id": "task", "pipeline_id": 7, "deferrable": deferrable}

    play(HevoPipelineOperator(**parameters), ti)

    (ran,) = pipeline.jobs
    started, found, *between, ended, concluded = lines(story())
    assert "SYNC_NOW accepted" in started
    assert f"found job {ran.id}" in found
    assert "(INCREMENTAL, IN_PROGRESS) after 15 s" in found
    assert 3 <= len(between) <= 6
    assert all(f"job {ran.id[:8]}…: " in line for line in between)
    assert all("events loaded" in line and "objects done (" in line and ", after " in line for line in between)
    assert f"job {ran.id} is COMPLETED" in ended
    assert "duration 300 s" in concluded
    assert "events_loaded 1000" in concluded


def test_a_job_that_has_ended_is_told_by_its_end_alone(
    hevo: Sandbox, ti: TaskInstance, story: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("random.uniform", lambda least, _most: least)
    hevo.add_pipeline(7, duration=50)

    play(HevoPipelineOperator(task_id="task", pipeline_id=7, poll_interval=60), ti)

    assert len(hevo.requests_of("get_job")) == 2
    assert len(lines(story())) == 4


def test_a_job_that_runs_for_a_day_does_not_flood_the_log(
    hevo: Sandbox, ti: TaskInstance, story: Callable[[], str]
) -> None:
    hevo.add_pipeline(7, duration=DAY)

    play(HevoPipelineOperator(task_id="task", pipeline_id=7, poll_interval=300), ti)

    assert len(lines(story())) <= 40


# Where it happens, and who waits


@in_both_modes
def test_the_first_line_names_pipeline_connection_and_host(
    hevo: Sandbox, ti: TaskInstance, story: Callable[[], str], deferrable: bool
) -> None:
    hevo.add_pipeline(7, name="Orders")

    play(operator(deferrable=deferrable), ti)

    first = next(line for line in story().splitlines() if "Pipeline " in line)
    assert "Pipeline 'Orders' (7), connection hevo_airflow_conn_id, host 127.0.0.1: it is INITIALIZED." in first


def test_a_sensor_says_where_it_waits_and_by_which_name_if_it_was_told_one(
    hevo: Sandbox, ti: TaskInstance, story: Callable[[], str]
) -> None:
    hevo.add_pipeline(7, name="Orders").start_job(appear_after=0, duration=60)
    waits = "connection hevo_airflow_conn_id, host 127.0.0.1: waiting for a job."

    play(HevoSensor(task_id="task", pipeline_name="Orders"), ti)
    assert f"Pipeline 'Orders' (7), {waits}" in story()

    hevo.pipelines[7].start_job(appear_after=0, duration=60)
    play(HevoSensor(task_id="task", pipeline_id=7), ti)
    assert f"Pipeline 7, {waits}" in story()


@pytest.mark.parametrize("wait_for_completion", [True, False])
def test_who_hands_a_wait_over_says_so_and_the_triggerer_answers(
    hevo: Sandbox, ti: TaskInstance, story: Callable[[], str], wait_for_completion: bool
) -> None:
    hevo.add_pipeline(7, name="Orders")

    left_behind = deferred(operator(wait_for_completion=wait_for_completion, timeout=3600), ti)
    said = story()
    play(operator(wait_for_completion=wait_for_completion), ti, left_behind)

    assert "Waiting in the triggerer from here on for its job to show, until 2027-01-15 09:00:00 UTC." in said
    assert "It polls every 15 s. If no line follows within a minute, no triggerer is running." in said
    assert story().splitlines()[0].count("Pipeline 'Orders' (7): waiting in the triggerer.") == 1


def test_a_task_that_waits_for_its_turn_says_that_it_does(
    hevo: Sandbox, ti: TaskInstance, story: Callable[[], str]
) -> None:
    hevo.add_pipeline(7).start_job(ago=60, duration=600)

    deferred(operator(on_active_job="wait"), ti)

    assert "Waiting in the triggerer from here on for its turn to start, until " in story()


def test_one_that_waits_in_its_worker_speaks_of_no_triggerer(
    hevo: Sandbox, ti: TaskInstance, story: Callable[[], str]
) -> None:
    hevo.add_pipeline(7)

    play(operator(deferrable=False), ti)

    assert "triggerer" not in story()


# The job's id, before its end


@in_both_modes
def test_the_jobs_id_is_an_xcom_while_it_runs(hevo: Sandbox, ti: TaskInstance, deferrable: bool) -> None:
    pipeline = hevo.add_pipeline(7, duration=600)
    seen: list[object] = []

    def poll(route: str) -> None:
        if route == "get_job":
            seen.append(ti.xcoms.get("hevo_job_id"))

    hevo.fault_source = poll
    play(operator(deferrable=deferrable), ti)

    assert ti.xcoms["hevo_job_id"] == pipeline.jobs[0].id
    if not deferrable:  # a trigger's own XComs are in e2e/
        assert set(seen[1:]) == {pipeline.jobs[0].id}


def test_a_sensor_that_finds_its_job_at_once_tells_its_id_before_it_leaves_the_worker(
    hevo: Sandbox, ti: TaskInstance
) -> None:
    job = hevo.add_pipeline(7).start_job(appear_after=0, duration=600)

    deferred(HevoSensor(task_id="task", pipeline_id=7), ti)

    assert ti.xcoms["hevo_job_id"] == job.id
