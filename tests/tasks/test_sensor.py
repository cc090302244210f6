"""``HevoSensor``: what it makes of a job, in each of its modes. How it finds one is in ``test_sensor_search``."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import (
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    AirflowTaskTimeout,
)

from hevo_provider.exceptions import HevoJobFailedError, HevoJobNotFoundError, HevoOutageError
from hevo_provider.models.job import JobStatus, JobType
from hevo_provider.sandbox import Fault, Sandbox
from hevo_provider.sandbox.requests import Request
from hevo_provider.sensors import HevoSensor
from tests.stage.clock import START, VirtualClock, in_iso
from tests.stage.failures import fails
from tests.stage.marks import in_every_sensor_mode
from tests.stage.sensors import RescheduledTaskInstance, sense, sensor
from tests.stage.tasks import Deferral, TaskInstance, work

ENDS = [JobStatus.FAILED, JobStatus.CANCELLED, JobStatus.SKIPPED, JobStatus.DEFERRED, JobStatus.DEFERRED_WITH_FAILURES]


@pytest.fixture
def ti(clock: VirtualClock) -> TaskInstance:
    return RescheduledTaskInstance(clock)


@pytest.fixture(autouse=True)
def only_polls(hevo: Sandbox) -> Iterator[None]:
    """Whatever happens, a sensor starts nothing and cancels nothing."""
    yield
    assert {request.method for request in hevo.requests} <= {"GET"}


def test_the_parameters_are_those_of_the_documentation() -> None:
    parameters = inspect.signature(HevoSensor.__init__).parameters.values()

    defaults = {each.name: each.default for each in parameters if each.kind is each.KEYWORD_ONLY}

    assert defaults == {
        "pipeline_id": None,
        "pipeline_name": None,
        "job_id": None,
        "completed_after": None,
        "fail_on_bad_job": False,
        "job_type": JobType.INCREMENTAL,
        "connection_id": "hevo_airflow_conn_id",
        "poke_interval": 20,
        "accept_completed_with_failures": False,
        "on_deferred": "fail",
        "deferrable": True,
        "wait_for_job_max_attempts": 10,
        "wait_for_job_interval": 5,
        "wait_for_job_initial_delay": 10,
        "api_outage_tolerance": 1800,
        "skip_empty_tables": False,
        "start_from_trigger": False,
    }


# How the job ends


@in_every_sensor_mode
@pytest.mark.parametrize("duration", [0, 5, 100])
def test_succeeds_with_the_given_job(hevo: Sandbox, ti: TaskInstance, mode: str, duration: float) -> None:
    pipeline = hevo.add_pipeline(7, appear_after=0)
    job = pipeline.start_job("HISTORICAL", duration=duration)
    pipeline.start_job(duration=100)

    assert sense(mode, ti, job_id=job.id) == job.id

    assert job.status == "COMPLETED"
    left = ti.xcoms["hevo_job"]
    left.pop("worker_seconds", None)
    assert left == {
        "pipeline_id": 7,
        "job_id": job.id,
        "job_type": "HISTORICAL",
        "status": "COMPLETED",
        "created_ts": int(job.created_at * 1000),
        "updated_ts": int((job.created_at + duration) * 1000),
        "created_at": in_iso(job.created_at),
        "updated_at": in_iso(job.created_at + duration),
        "connection_id": "hevo_airflow_conn_id",
        "host": "127.0.0.1",
        "duration": duration * 1000,
        **job.counters(),
    }


@in_every_sensor_mode
@pytest.mark.parametrize("given", [True, False])
@pytest.mark.parametrize("status", ENDS)
def test_a_job_that_did_not_complete_fails_the_sensor_and_is_no_skip(
    hevo: Sandbox, ti: TaskInstance, mode: str, given: bool, status: JobStatus
) -> None:
    job = hevo.add_pipeline(7).start_job(appear_after=0, duration=30, ends=status)

    with fails(HevoJobFailedError, says=rf"Pipeline 7: .*job {job.id} \(INCREMENTAL\) ended {status}\."):
        sense(mode, ti, job_id=job.id if given else None, soft_fail=True, accept_completed_with_failures=True)


@in_every_sensor_mode
def test_a_job_that_failed_is_a_skip_where_the_sensor_never_fails(hevo: Sandbox, ti: TaskInstance, mode: str) -> None:
    hevo.add_pipeline(7).start_job(appear_after=0, ends="FAILED")

    with pytest.raises(AirflowSkipException):
        sense(mode, ti, never_fail=True)


@in_every_sensor_mode
def test_partial_failures_fail_the_sensor_and_the_objects_are_named(hevo: Sandbox, ti: TaskInstance, mode: str) -> None:
    hevo.add_pipeline(7).start_job(appear_after=0, ends="COMPLETED_WITH_FAILURES")

    with fails(HevoJobFailedError, says=r"Failing objects: orders\n"):
        sense(mode, ti)


@in_every_sensor_mode
def test_partial_failures_can_be_accepted(hevo: Sandbox, ti: TaskInstance, mode: str) -> None:
    job = hevo.add_pipeline(7).start_job(appear_after=0, ends="COMPLETED_WITH_FAILURES")

    assert sense(mode, ti, accept_completed_with_failures=True) == job.id


@pytest.mark.parametrize("mode", ["poke", "deferrable"])
def test_an_unknown_status_is_waited_out_and_told_once(
    hevo: Sandbox, ti: TaskInstance, story: Callable[[], str], mode: str
) -> None:
    job = hevo.add_pipeline(7, duration=None).start_job(appear_after=0)
    job.status_override = "PAUSED_FOR_REVIEW"

    def act(_: Request) -> None:
        if len(hevo.requests) > 6:
            job.status_override = "COMPLETED"

    hevo.on_request = act
    assert sense(mode, ti) == job.id

    assert story().count("PAUSED_FOR_REVIEW, a status that this version does not know; waiting on") == 1


# When it polls


@in_every_sensor_mode
def test_it_polls_at_once_and_then_every_poke_interval(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, mode: str
) -> None:
    job = hevo.add_pipeline(7).start_job(appear_after=0, duration=300)
    started_at = clock.now()

    sense(mode, ti, job_id=job.id, poke_interval=25)

    times = [request.at for request in hevo.requests_of("get_job")]
    assert times[0] == started_at
    assert {later - earlier for earlier, later in pairwise(times[2:])} == {25}


def test_a_deferrable_sensor_leaves_the_worker_after_one_poll(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock
) -> None:
    job = hevo.add_pipeline(7).start_job(appear_after=0, duration=300)
    started_at = clock.now()

    left_behind = work(lambda: sensor("deferrable", job_id=job.id).execute(ti.context))

    assert isinstance(left_behind, Deferral)
    assert [request.route for request in hevo.requests] == ["get_job"]
    assert clock.now() == started_at


def test_a_deferrable_sensor_whose_job_is_over_needs_no_triggerer(hevo: Sandbox, ti: TaskInstance) -> None:
    job = hevo.add_pipeline(7).start_job(ago=100, duration=10)

    assert sensor("deferrable", job_id=job.id).execute(ti.context) == job.id


# Time-outs


@in_every_sensor_mode
def test_its_time_out_fails_it_for_good(hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, mode: str) -> None:
    hevo.add_pipeline(7, duration=None).start_job(appear_after=0)
    started_at = clock.now()

    with pytest.raises(AirflowSensorTimeout):
        sense(mode, ti, timeout=100)

    assert 100 <= clock.now() - started_at <= 120


@in_every_sensor_mode
def test_its_time_out_is_a_skip_where_it_fails_softly(hevo: Sandbox, ti: TaskInstance, mode: str) -> None:
    hevo.add_pipeline(7, duration=None).start_job(appear_after=0)

    with pytest.raises(AirflowSkipException):
        sense(mode, ti, timeout=100, soft_fail=True)


@pytest.mark.parametrize(
    ("parameters", "raised"),
    [
        ({}, AirflowTaskTimeout),
        ({"soft_fail": True}, AirflowSkipException),
        ({"never_fail": True}, AirflowSkipException),
    ],
)
def test_the_execution_time_out_holds_while_it_is_deferred(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, parameters: dict[str, Any], raised: type[BaseException]
) -> None:
    hevo.add_pipeline(7, duration=None).start_job(appear_after=0)
    started_at = clock.now()

    with fails(raised, says="Pipeline 7: .* the job had not ended when the sensor's time was over"):
        sense("deferrable", ti, execution_timeout=timedelta(seconds=100), **parameters)

    assert clock.now() - started_at <= 100


# What stands in the way


@in_every_sensor_mode
@pytest.mark.parametrize("given", ["5f0d1f9e-4a3b-4e0c-9e55-0c7d8f6f2a10", None])
def test_an_unknown_pipeline_fails_it_for_good(hevo: Sandbox, ti: TaskInstance, mode: str, given: str | None) -> None:
    with fails(AirflowFailException, says="Hevo answered 404 to GET /api/v1/pipelines/7"):
        sense(mode, ti, job_id=given)


@in_every_sensor_mode
@pytest.mark.parametrize("status", [401, 403])
def test_refused_credentials_fail_it_for_good_in_the_first_second(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, mode: str, status: int
) -> None:
    hevo.add_pipeline(7).start_job(appear_after=0)
    hevo.inject("*", Fault.status(status), times=None)

    with fails(AirflowFailException, says=f"Hevo answered {status}"):
        sense(mode, ti)

    assert clock.now() < START + 1


@in_every_sensor_mode
def test_what_fails_it_for_good_is_a_skip_where_it_fails_softly(hevo: Sandbox, ti: TaskInstance, mode: str) -> None:
    with pytest.raises(AirflowSkipException):
        sense(mode, ti, soft_fail=True)


@in_every_sensor_mode
def test_a_given_job_that_shows_late_is_waited_for(hevo: Sandbox, ti: TaskInstance, mode: str) -> None:
    job = hevo.add_pipeline(7).start_job(appear_after=60, duration=100)

    assert sense(mode, ti, job_id=job.id) == job.id


@in_every_sensor_mode
@pytest.mark.parametrize("answer", [None, Fault.status(400), Fault.status(422)], ids=["404", "400", "422"])
def test_a_given_job_that_hevo_does_not_know_fails_it_within_ten_minutes(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, mode: str, answer: Fault | None
) -> None:
    job = hevo.add_pipeline(7).start_job(appear_after=100_000)
    if answer is not None:
        hevo.inject("get_job", answer, times=None)
    started_at = clock.now()

    with fails(HevoJobNotFoundError, says=f"Pipeline 7.*{job.id}.*deleted.*another pipeline"):
        sense(mode, ti, job_id=job.id)

    assert 60 <= clock.now() - started_at <= 600


@in_every_sensor_mode
@pytest.mark.parametrize("mode_of_search", ["job_id", "search", "completed_after"])
@pytest.mark.parametrize("status", [401, 403, 404])
def test_one_bad_answer_in_the_middle_of_a_wait_fails_no_sensor(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, mode: str, mode_of_search: str, status: int
) -> None:
    job = hevo.add_pipeline(7).start_job(appear_after=0, duration=90)

    def stumble(_route: str) -> Fault | None:
        return Fault.status(status) if START + 50 <= clock.now() < START + 70 else None

    hevo.fault_source = stumble
    how: dict[str, Any] = {"job_id": {"job_id": job.id}, "search": {}}.get(
        mode_of_search, {"completed_after": datetime.fromtimestamp(START, UTC)}
    )

    assert sense(mode, ti, **how) == job.id

    assert [request for request in hevo.requests if request.fault is not None]


@in_every_sensor_mode
@pytest.mark.parametrize("status", [401, 404])
def test_a_bad_answer_that_lasts_fails_every_sensor(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, mode: str, status: int
) -> None:
    job = hevo.add_pipeline(7, duration=None).start_job(appear_after=0)
    hevo.fault_source = lambda _: Fault.status(status) if clock.now() >= START + 100 else None

    with pytest.raises((AirflowFailException, HevoJobNotFoundError)):
        sense(mode, ti, job_id=job.id)

    assert clock.now() <= START + 100 + {401: 120, 404: 420}[status]


@in_every_sensor_mode
def test_an_outage_is_waited_out(hevo: Sandbox, ti: TaskInstance, mode: str) -> None:
    job = hevo.add_pipeline(7).start_job(appear_after=0, duration=200)
    faults = [Fault.status(502), Fault.reset(), Fault.html(), Fault.truncated(), Fault.json([]), Fault.status(429)]
    hevo.inject("get_job", *faults)

    assert sense(mode, ti, job_id=job.id) == job.id
    assert hevo.requests_of("get_pipeline") == [], "what is down is not missing"


@in_every_sensor_mode
@pytest.mark.parametrize("fault", [Fault.status(429), Fault.status(502)], ids=["over the limit", "outage"])
def test_a_pipeline_that_cannot_be_asked_for_is_not_held_to_be_missing(
    hevo: Sandbox, ti: TaskInstance, mode: str, fault: Fault
) -> None:
    job = hevo.add_pipeline(7).start_job(appear_after=0, duration=200)
    hevo.inject("get_job", Fault.status(404))
    hevo.inject("get_pipeline", fault)

    assert sense(mode, ti, job_id=job.id) == job.id


@pytest.mark.parametrize("mode", ["poke", "deferrable"])
def test_an_outage_that_lasts_too_long_fails_it(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, mode: str
) -> None:
    job = hevo.add_pipeline(7, duration=None).start_job(appear_after=0)
    hevo.inject("get_job", Fault.status(502), times=None)
    started_at = clock.now()

    with fails(HevoOutageError, says="no usable answer from Hevo since"):
        sense(mode, ti, job_id=job.id, api_outage_tolerance=600)

    assert 600 <= clock.now() - started_at <= 720


@pytest.mark.parametrize(
    "of", [{"pipeline_id": 7}, {"pipeline_id": None, "pipeline_name": "orders"}], ids=["id", "name"]
)
@pytest.mark.parametrize("fault", [Fault.status(502), Fault.status(429)], ids=["outage", "over the limit"])
def test_a_rescheduled_sensor_asks_no_more_often_in_trouble_than_in_health(
    hevo: Sandbox, ti: TaskInstance, fault: Fault, of: dict[str, Any]
) -> None:
    job = hevo.add_pipeline(7, name="orders").start_job(appear_after=0, duration=1000)
    hevo.fault_source = lambda _: fault if START + 60 <= ti.clock.now() < START + 960 else None

    assert sense("reschedule", ti, job_id=job.id, poke_interval=60, **of) == job.id

    assert sum(request.fault is not None for request in hevo.requests) <= 900 / 60


@in_every_sensor_mode
def test_it_comes_back_no_sooner_than_hevo_asks(hevo: Sandbox, ti: TaskInstance, mode: str) -> None:
    job = hevo.add_pipeline(7).start_job(appear_after=0, duration=200)
    hevo.inject("get_job", Fault.no_op(), Fault.status(429, headers={"Retry-After": "90"}))

    sense(mode, ti, job_id=job.id)

    refused, after = hevo.requests_of("get_job")[1:3]
    assert refused.status == 429
    assert after.at - refused.at >= 90


# What Airflow's own parameters mean, deferred as poked


@in_every_sensor_mode
def test_a_sensor_that_fails_in_silence_waits_until_its_time_is_over(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, mode: str
) -> None:
    job = hevo.add_pipeline(7).start_job(ago=60, duration=30, ends="FAILED")

    with pytest.raises(AirflowSensorTimeout):
        sense(mode, ti, job_id=job.id, silent_fail=True, timeout=200)

    assert clock.now() - START >= 180
    assert len(hevo.requests_of("get_job")) < 200 / 10


@in_every_sensor_mode
def test_a_sensor_that_fails_in_silence_still_fails_for_what_is_hopeless(
    hevo: Sandbox, ti: TaskInstance, mode: str
) -> None:
    with pytest.raises(AirflowFailException):
        sense(mode, ti, job_id="none", silent_fail=True)


@pytest.mark.parametrize("how", ["job_id", "completed_after"])
@in_every_sensor_mode
def test_polls_grow_apart_up_to_the_longest_wait(hevo: Sandbox, ti: TaskInstance, mode: str, how: str) -> None:
    job = hevo.add_pipeline(7).start_job(appear_after=0, duration=4000)
    parameters: dict[str, Any] = {"job_id": job.id}
    if how == "completed_after":
        parameters = {"completed_after": datetime.fromtimestamp(START, UTC)}

    assert sense(mode, ti, exponential_backoff=True, max_wait=timedelta(seconds=400), **parameters) == job.id

    times = [request.at for request in hevo.requests_of("get_job", "list_jobs")]
    pauses = [later - earlier for earlier, later in pairwise(times)]
    assert max(pauses) <= 401
    assert max(pauses) > 300
    assert len(times) < 30, "200 without it"
