"""The story that a task's log tells: what was started, when its job was found, how far it came, and how it ended."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hevo_provider.models.answers import Job
from hevo_provider.operators import HevoPipelineOperator
from hevo_provider.runs.progress import Progress
from hevo_provider.sandbox import Sandbox
from tests.stage.clock import VirtualClock
from tests.stage.marks import in_both_modes
from tests.stage.tasks import TaskInstance, play

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

    assert first == "30,000 events loaded (2,000/s), 2 of 5 objects done"
    assert second == "33,000 events loaded (100/s), 12 failed, 4 of 5 objects done"


def test_what_hevo_does_not_tell_is_not_told(clock: VirtualClock) -> None:
    progress = Progress(clock.clock)
    at(clock, 0, progress)

    assert at(clock, 15, progress) is None
    assert at(clock, 1, progress, objects_success=2) == "2 of 2 objects done"
    assert at(clock, 30, progress, events_ingested=500) == "500 events ingested"
    assert at(clock, 60, progress, events_ingested=1100) == "1,100 events ingested (10/s)"


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
    assert "15 s after it was started" in found
    assert 3 <= len(between) <= 6
    assert all("events loaded" in line and "objects done" in line for line in between)
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

    play(HevoPipelineOperator(task_id="task", pipeline_id=7, poll_interval=60), ti)

    assert len(lines(story())) <= 40
