"""What a run's job may take, by those before it, travels with the run."""

from __future__ import annotations

import pytest

from hevo_provider.runs.run import Run
from hevo_provider.sandbox import Sandbox
from hevo_provider.sensors import HevoSensor
from tests.stage.tasks import TaskInstance, deferred, event_of, operator, run_in_triggerer


def hevo_with_jobs(hevo: Sandbox, *durations: float, job_type: str = "INCREMENTAL", ends: str = "COMPLETED") -> None:
    pipeline = hevo.add_pipeline(7)
    for number, duration in enumerate(durations):
        pipeline.start_job(
            job_type, ago=10_000 * (len(durations) - number), appear_after=0, duration=duration, ends=ends
        )


def test_it_is_what_earlier_jobs_took_and_is_stored_with_the_trigger(hevo: Sandbox, ti: TaskInstance) -> None:
    hevo_with_jobs(hevo, 500, 100, 300, 200, 400)

    left_behind = deferred(operator(), ti)

    assert left_behind.kwargs["expected"] == [100, 200, 300, 400, 500]
    assert left_behind.trigger().ordered.expected == (100, 200, 300, 400, 500)


@pytest.mark.parametrize(
    ("durations", "job_type", "ends"),
    [
        ((), "INCREMENTAL", "COMPLETED"),
        ((100, 200), "INCREMENTAL", "COMPLETED"),
        ((100, 200, 300), "INCREMENTAL", "FAILED"),
        ((100, 200, 300), "REFRESHER", "COMPLETED"),
    ],
    ids=["none", "two", "failed", "another type"],
)
def test_too_few_jobs_and_those_that_tell_nothing_of_this_one_leave_nothing_behind(
    hevo: Sandbox, ti: TaskInstance, durations: tuple[float, ...], job_type: str, ends: str
) -> None:
    hevo_with_jobs(hevo, *durations, job_type=job_type, ends=ends)

    left_behind = deferred(operator(), ti)

    assert "expected" not in left_behind.kwargs, "a triggerer of 1.0.0 need not know it"
    assert left_behind.trigger().ordered.expected == ()


def test_a_sensor_takes_it_from_the_list_in_which_it_finds_the_job(hevo: Sandbox, ti: TaskInstance) -> None:
    hevo_with_jobs(hevo, 100, 200, 300)
    hevo.pipelines[7].start_job(appear_after=0, duration=3600)

    left_behind = deferred(HevoSensor(task_id="task", pipeline_id=7, deferrable=True), ti)

    assert left_behind.kwargs["expected"] == [100, 100, 200, 300, 300]
    assert len(hevo.requests_of("list_jobs")) == 1


def test_what_a_start_has_read_in_a_long_list_is_not_lost_to_the_short_page_of_the_search(
    hevo: Sandbox, ti: TaskInstance
) -> None:
    hevo_with_jobs(hevo, *[1000.0] * 40, *[100.0] * 20)

    left_behind = deferred(operator(), ti)
    event = run_in_triggerer(event_of(left_behind.trigger()))

    assert event["run"]["expected"] == left_behind.kwargs["expected"] == [100, 100, 1000, 1000, 1000]


def test_what_a_later_version_may_store_there_is_no_harm() -> None:
    assert Run.from_json({"pipeline_id": 7, "expected": [1, 2]}).expected == (1, 2)
