"""How ``HevoSensor`` finds the job of a pipeline when it was given none: which, when, and for how long it polls."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest

from hevo_provider.exceptions import HevoJobFailedError, HevoJobNotFoundError
from hevo_provider.sandbox import Fault, Request, Sandbox
from hevo_provider.sandbox.pipelines import SandboxPipeline
from tests.stage.clock import START, VirtualClock
from tests.stage.failures import fails, told_by
from tests.stage.marks import in_every_sensor_mode
from tests.stage.sensors import RescheduledTaskInstance, sense, sensor
from tests.stage.tasks import Deferral, TaskInstance, work


@pytest.fixture
def ti(clock: VirtualClock) -> TaskInstance:
    return RescheduledTaskInstance(clock)


@pytest.fixture
def pipeline(hevo: Sandbox) -> Iterator[SandboxPipeline]:
    """A pipeline whose jobs show at once; whatever happens, the sensor only polls."""
    yield hevo.add_pipeline(7, appear_after=0)
    assert {request.method for request in hevo.requests} <= {"GET"}


def polls(hevo: Sandbox) -> list[float]:
    times = [request.at for request in hevo.requests_of("list_jobs")]
    return [time - times[0] for time in times]


# Which job


@in_every_sensor_mode
def test_finds_the_active_job(hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline, mode: str) -> None:
    job = pipeline.start_job(ago=3000, duration=3100)

    assert sense(mode, ti) == job.id

    assert ti.xcoms["hevo_job"]["status"] == "COMPLETED"


@in_every_sensor_mode
@pytest.mark.parametrize("seconds", [3, 11, 49])
def test_finds_a_job_that_starts_while_it_polls(
    hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline, clock: VirtualClock, mode: str, seconds: float
) -> None:
    pipeline.start_job(ago=100, duration=10)
    job = pipeline.start_job(ago=-seconds, appear_after=0, duration=100)

    assert sense(mode, ti) == job.id


@in_every_sensor_mode
@pytest.mark.parametrize(("seconds", "duration"), [(1, 8), (11, 3), (10.5, 0), (46, 2)])
def test_finds_a_job_that_came_and_ended_between_two_polls(
    hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline, mode: str, seconds: float, duration: float
) -> None:
    pipeline.start_job(ago=100, duration=10)
    job = pipeline.start_job(ago=-seconds, appear_after=0, duration=duration)

    assert sense(mode, ti) == job.id


@in_every_sensor_mode
def test_a_job_that_came_and_failed_between_two_polls_fails_it(
    hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline, mode: str
) -> None:
    job = pipeline.start_job(ago=-11, duration=3, ends="FAILED")

    with fails(HevoJobFailedError, says=job.id):
        sense(mode, ti)


@in_every_sensor_mode
def test_a_job_that_had_ended_before_is_not_taken(
    hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline, mode: str
) -> None:
    pipeline.start_job(ago=60, duration=55)

    with pytest.raises(HevoJobNotFoundError):
        sense(mode, ti)


@in_every_sensor_mode
def test_a_job_that_ended_two_hours_ago_is_not_taken_though_hevo_has_touched_it_since(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, pipeline: SandboxPipeline, mode: str
) -> None:
    over = pipeline.start_job(ago=7200, duration=60)

    def touch(_: Request) -> None:
        if clock.now() >= START + 10:  # while the sensor polls
            over.override = {"updated_ts": int(START + 10) * 1000}

    hevo.on_request = touch

    with pytest.raises(HevoJobNotFoundError):
        sense(mode, ti)


@in_every_sensor_mode
def test_of_several_active_jobs_it_takes_the_newest_of_the_type(
    hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline, mode: str
) -> None:
    pipeline.start_job(ago=50, duration=2000)
    job = pipeline.start_job(ago=20, duration=100)
    pipeline.start_job("HISTORICAL", ago=10, duration=1000)

    assert sense(mode, ti) == job.id


@in_every_sensor_mode
@pytest.mark.parametrize("job_type", ["RESYNC", "historical"])
def test_the_type_can_be_chosen(
    hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline, mode: str, job_type: str
) -> None:
    pipeline.job_type_names = {"RESYNC": "TRUNCATE_AND_LOAD"}
    pipeline.start_job(duration=1000)
    job = pipeline.start_job(job_type.upper(), ago=10, duration=100)

    assert sense(mode, ti, job_type=job_type) == job.id


@in_every_sensor_mode
def test_the_job_that_it_found_is_the_one_that_it_follows_to_the_end(
    hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline, mode: str
) -> None:
    """Every process of a rescheduled sensor has to come to the same job, which by then is over, and not the newest."""
    job = pipeline.start_job(ago=100, duration=165, ends="FAILED")
    pipeline.start_job(ago=-67, duration=1000)
    pipeline.start_job(ago=-300, duration=1000)

    with fails(HevoJobFailedError, says=job.id):
        sense(mode, ti, poke_interval=20)


@in_every_sensor_mode
def test_the_job_that_came_first_is_the_one_that_it_follows_to_the_end(
    hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline, mode: str
) -> None:
    pipeline.start_job(ago=100, duration=10)
    job = pipeline.start_job(ago=-12, duration=60, ends="FAILED")
    pipeline.start_job(ago=-73, duration=1000)

    with fails(HevoJobFailedError, says=job.id):
        sense(mode, ti, poke_interval=20)


@in_every_sensor_mode
def test_a_retry_after_a_failed_job_searches_for_another(
    hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline, clock: VirtualClock, mode: str
) -> None:
    failed = pipeline.start_job(duration=100, ends="FAILED")
    with fails(HevoJobFailedError, says=failed.id):
        sense(mode, ti, retries=1)
    clock.advance(60)
    job = pipeline.start_job(duration=100)

    ti.next_try()

    assert sense(mode, ti, retries=1) == job.id


# When, and for how long


@in_every_sensor_mode
def test_it_polls_at_once_then_after_the_delay_and_then_in_intervals(
    hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline, mode: str
) -> None:
    with pytest.raises(HevoJobNotFoundError):
        sense(mode, ti, wait_for_job_initial_delay=20, wait_for_job_interval=10)

    assert polls(hevo) == [0, 20, 30, 40, 50, 60, 70, 80, 90, 100]


@in_every_sensor_mode
@pytest.mark.parametrize(
    ("attempts", "delay", "interval", "times"),
    [
        (1, 10, 5, [0]),
        (2, 10, 5, [0, 10]),
        (3, 10, 15, [0, 10, 25]),
        (4, 11, 30, [0, 11, 41, 71]),
        (4, 60, 12, [0, 60, 72, 84]),
    ],
)
def test_the_polls_can_be_set(
    hevo: Sandbox,
    ti: TaskInstance,
    pipeline: SandboxPipeline,
    mode: str,
    attempts: int,
    delay: float,
    interval: float,
    times: list[float],
) -> None:
    with pytest.raises(HevoJobNotFoundError):
        sense(
            mode,
            ti,
            wait_for_job_max_attempts=attempts,
            wait_for_job_initial_delay=delay,
            wait_for_job_interval=interval,
        )

    assert polls(hevo) == times


@pytest.mark.parametrize(
    ("mode", "polls_at"),
    [
        ("poke", [0, 10, 15, 20, 25, 30, 35, 40, 45, 50]),
        ("deferrable", [0, 10, 15, 20, 25, 30, 35, 40, 45, 50]),
        ("reschedule", [0, 10, 20, 30, 40, 50]),
    ],
)
def test_polls_that_take_a_process_each_are_no_closer_than_airflow_can_follow(
    hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline, mode: str, polls_at: list[float]
) -> None:
    with pytest.raises(HevoJobNotFoundError):
        sense(mode, ti)

    assert polls(hevo) == polls_at


@pytest.mark.parametrize("parameters", [{"poke_interval": 1}, {"poke_interval": 4, "exponential_backoff": True}])
def test_a_rescheduled_sensor_leaves_airflow_time_to_see_each_process_end(
    hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline, parameters: dict[str, Any]
) -> None:
    job = pipeline.start_job(appear_after=0, duration=35)

    assert sense("reschedule", ti, job_id=job.id, **parameters) == job.id

    times = [request.at for request in hevo.requests_of("get_job")]
    assert min(later - earlier for earlier, later in pairwise(times)) >= 10


@pytest.mark.parametrize(
    ("mode", "times"), [("poke", [0, 0, 17, 34]), ("deferrable", [0, 0, 17, 34]), ("reschedule", [0, 17, 34])]
)
def test_without_a_delay_it_polls_twice_at_once_unless_that_takes_another_process(
    hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline, mode: str, times: list[float]
) -> None:
    with pytest.raises(HevoJobNotFoundError):
        sense(mode, ti, wait_for_job_max_attempts=4, wait_for_job_initial_delay=0, wait_for_job_interval=17)

    assert polls(hevo) == times


@in_every_sensor_mode
@pytest.mark.parametrize("parameters", [{}, {"soft_fail": True}])
def test_after_the_last_poll_it_fails_and_says_what_to_do(
    hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline, mode: str, parameters: dict[str, Any]
) -> None:
    with pytest.raises(HevoJobNotFoundError) as failure:
        sense(mode, ti, **parameters)

    told = told_by(failure.value)
    assert "What happened: no active job of type INCREMENTAL was there at any poll." in told
    assert "What to do: Start the job before the sensor, or allow more polls (wait_for_job_max_attempts)." in told


@in_every_sensor_mode
def test_an_active_job_of_another_type_is_named_in_the_end(
    hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline, mode: str
) -> None:
    job = pipeline.start_job("REFRESHER", duration=1000)

    with pytest.raises(HevoJobNotFoundError) as failure:
        sense(mode, ti)

    assert f"Of other types there is REFRESHER (job {job.id}, IN_PROGRESS): set job_type" in told_by(failure.value)


def test_a_deferrable_sensor_takes_its_first_poll_in_the_worker_and_waits_elsewhere(
    hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline, clock: VirtualClock
) -> None:
    started_at = clock.now()

    left_behind = work(lambda: sensor("deferrable").execute(ti.context))

    assert isinstance(left_behind, Deferral)
    assert polls(hevo) == [0]
    assert clock.now() == started_at


@pytest.mark.parametrize(("mode", "left"), [("poke", 3), ("deferrable", 3), ("reschedule", 1)])
def test_a_poll_that_got_no_answer_is_none(
    hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline, mode: str, left: int
) -> None:
    """A rescheduled sensor has no memory to count in: it stops when time is over, but not before an answer."""
    hevo.inject("list_jobs", *[Fault.status(502)] * 3)

    with pytest.raises(HevoJobNotFoundError):
        sense(mode, ti, wait_for_job_max_attempts=3)

    statuses = [request.status for request in hevo.requests_of("list_jobs")]
    assert statuses == [502, 502, 502, *[200] * left]


def test_processes_that_remember_nothing_stop_when_time_for_their_polls_is_over(
    hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline, clock: VirtualClock
) -> None:
    """A busy scheduler lets a rescheduled sensor come back later than it asked."""
    ti.start_date = datetime.fromtimestamp(clock.now() - 49, UTC)
    assert isinstance(ti, RescheduledTaskInstance)
    ti.first_reschedule = ti.start_date

    with pytest.raises(HevoJobNotFoundError):
        sense("reschedule", ti)

    assert polls(hevo) == [0, 10]


@in_every_sensor_mode
def test_a_pipeline_with_thousands_of_jobs_is_not_read_to_its_end(
    hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline, mode: str
) -> None:
    for number in range(2100, 0, -1):
        pipeline.start_job(ago=3600 * number, duration=10)
    job = pipeline.start_job(ago=30, duration=100)

    assert sense(mode, ti) == job.id

    assert len(hevo.requests_of("list_jobs")) <= 20
