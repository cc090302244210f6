"""``HevoSensor(completed_after=…)``: wait until a job has completed since a time, whoever started it and whenever."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG, AirflowFailException, AirflowSensorTimeout, AirflowSkipException

from hevo_provider.exceptions import HevoConfigError, HevoJobFailedError
from hevo_provider.parameters import moment_of
from hevo_provider.sandbox import MISSING, Fault, Sandbox
from hevo_provider.sandbox.pipelines import SandboxPipeline
from hevo_provider.sensors import HevoSensor
from tests.stage.clock import START, VirtualClock
from tests.stage.failures import fails
from tests.stage.marks import in_every_sensor_mode
from tests.stage.sensors import RescheduledTaskInstance, sense, sensor
from tests.stage.tasks import Deferral, TaskInstance, play, work

NOW = datetime.fromtimestamp(START, UTC)
AN_HOUR_AGO = NOW - timedelta(hours=1)


@pytest.fixture
def ti(clock: VirtualClock) -> TaskInstance:
    return RescheduledTaskInstance(clock)


@pytest.fixture
def pipeline(hevo: Sandbox) -> Iterator[SandboxPipeline]:
    """A pipeline whose jobs show at once; whatever happens, the sensor only polls."""
    yield hevo.add_pipeline(7, appear_after=0)
    assert {request.method for request in hevo.requests} <= {"GET"}


# Which job


@in_every_sensor_mode
def test_a_job_that_was_over_before_the_sensor_polled_will_do_at_once(
    hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline, clock: VirtualClock, mode: str
) -> None:
    job = pipeline.start_job(ago=1800, duration=600)

    assert sense(mode, ti, completed_after=AN_HOUR_AGO) == job.id

    assert clock.now() == START
    assert ti.xcoms["hevo_job"]["status"] == "COMPLETED"


@in_every_sensor_mode
def test_a_job_that_was_over_before_the_time_does_not_count_and_the_next_one_is_waited_for(
    ti: TaskInstance, pipeline: SandboxPipeline, clock: VirtualClock, mode: str
) -> None:
    pipeline.start_job(ago=4000, duration=300)
    job = pipeline.start_job(ago=-200, duration=60)

    assert sense(mode, ti, completed_after=AN_HOUR_AGO) == job.id

    assert 260 <= clock.now() - START <= 280


@in_every_sensor_mode
def test_a_job_that_ran_at_the_time_is_waited_for_and_counts(
    ti: TaskInstance, pipeline: SandboxPipeline, mode: str
) -> None:
    job = pipeline.start_job(ago=7200, duration=7300)

    assert sense(mode, ti, completed_after=AN_HOUR_AGO) == job.id


@in_every_sensor_mode
@pytest.mark.parametrize(("since", "counts"), [(timedelta(), True), (timedelta(milliseconds=1), False)])
def test_the_time_itself_is_not_too_early(
    ti: TaskInstance, pipeline: SandboxPipeline, mode: str, since: timedelta, counts: bool
) -> None:
    ended, later = pipeline.start_job(ago=60, duration=50), pipeline.start_job(ago=-100, duration=10)
    end = NOW - timedelta(seconds=10)

    assert sense(mode, ti, completed_after=end + since) == (ended.id if counts else later.id)


@in_every_sensor_mode
def test_jobs_of_other_types_do_not_count(ti: TaskInstance, pipeline: SandboxPipeline, mode: str) -> None:
    pipeline.start_job("HISTORICAL", ago=100, duration=50)
    job = pipeline.start_job(ago=-100, duration=50)

    assert sense(mode, ti, completed_after=AN_HOUR_AGO) == job.id


@in_every_sensor_mode
def test_of_several_the_one_that_ended_last_is_returned(ti: TaskInstance, pipeline: SandboxPipeline, mode: str) -> None:
    pipeline.start_job(ago=1000, duration=10)
    job = pipeline.start_job(ago=500, duration=10)

    assert sense(mode, ti, completed_after=AN_HOUR_AGO) == job.id


@in_every_sensor_mode
@pytest.mark.parametrize("status", ["FAILED", "CANCELLED", "SKIPPED", "DEFERRED", "COMPLETED_WITH_FAILURES"])
def test_a_job_that_ended_badly_is_waited_past(
    ti: TaskInstance, pipeline: SandboxPipeline, story: Callable[[], str], mode: str, status: str
) -> None:
    bad = pipeline.start_job(ago=100, duration=50, ends=status)
    job = pipeline.start_job(ago=-50, duration=20)

    assert sense(mode, ti, completed_after=AN_HOUR_AGO) == job.id

    told = story().count(f"job {bad.id} (INCREMENTAL) ended {status}")
    assert told > 1 if mode == "reschedule" else told == 1  # processes that remember nothing tell it again


@in_every_sensor_mode
def test_a_partial_failure_counts_where_it_is_accepted(ti: TaskInstance, pipeline: SandboxPipeline, mode: str) -> None:
    job = pipeline.start_job(ago=100, duration=50, ends="COMPLETED_WITH_FAILURES")

    assert sense(mode, ti, completed_after=AN_HOUR_AGO, accept_completed_with_failures=True) == job.id


@in_every_sensor_mode
@pytest.mark.parametrize(
    ("missing", "counts"),
    [
        ({"updated_ts": None}, True),
        ({"updated_ts": None, "duration": MISSING}, False),
        ({"updated_ts": None, "created_ts": None}, False),
        ({"created_ts": MISSING}, True),
        ({"type": None}, False),
        ({"status": "FINISHED"}, False),
    ],
    ids=str,
)
def test_a_job_counts_only_if_what_hevo_tells_proves_it(
    ti: TaskInstance, pipeline: SandboxPipeline, mode: str, missing: dict[str, Any], counts: bool
) -> None:
    doubtful = pipeline.start_job(ago=7200, duration=7000)
    doubtful.override = missing
    later = pipeline.start_job(ago=-50, duration=10)

    assert sense(mode, ti, completed_after=AN_HOUR_AGO) == (doubtful.id if counts else later.id)


# fail_on_bad_job


@in_every_sensor_mode
@pytest.mark.parametrize("status", ["FAILED", "CANCELLED", "DEFERRED", "COMPLETED_WITH_FAILURES"])
@pytest.mark.parametrize("ago", [100, -100], ids=["over", "yet-to-run"])
def test_where_asked_a_job_that_ended_badly_fails_the_sensor_at_once(
    ti: TaskInstance, pipeline: SandboxPipeline, clock: VirtualClock, mode: str, status: str, ago: float
) -> None:
    bad = pipeline.start_job(ago=ago, duration=50, ends=status)
    pipeline.start_job(ago=-300, duration=60)

    with fails(HevoJobFailedError, says=rf"{bad.id} \(INCREMENTAL\) (ended|was) {status}"):
        sense(mode, ti, completed_after=AN_HOUR_AGO, fail_on_bad_job=True)

    assert clock.now() - START < max(50 - ago, 0) + 30
    assert ti.xcoms["hevo_job"]["status"] == status


@in_every_sensor_mode
def test_a_bad_job_with_a_completed_one_after_it_fails_nothing(
    ti: TaskInstance, pipeline: SandboxPipeline, mode: str
) -> None:
    pipeline.start_job(ago=900, duration=50, ends="FAILED")
    job = pipeline.start_job(ago=600, duration=50)

    assert sense(mode, ti, completed_after=AN_HOUR_AGO, fail_on_bad_job=True) == job.id


@in_every_sensor_mode
def test_a_bad_job_after_one_that_completed_is_a_failure(
    ti: TaskInstance, pipeline: SandboxPipeline, mode: str
) -> None:
    pipeline.start_job(ago=900, duration=50)
    bad = pipeline.start_job(ago=600, duration=50, ends="FAILED")

    with fails(HevoJobFailedError, says=bad.id):
        sense(mode, ti, completed_after=AN_HOUR_AGO, fail_on_bad_job=True)


@in_every_sensor_mode
@pytest.mark.parametrize(
    ("which", "accepted"),
    [
        ({"ends": "FAILED", "ago": 7200}, {}),  # before the time
        ({"ends": "FAILED", "type": "HISTORICAL"}, {}),
        ({"ends": "SKIPPED"}, {}),  # nothing was run: Hevo's schedule fell due while another job was at work
        ({"ends": "COMPLETED_WITH_FAILURES"}, {"accept_completed_with_failures": True}),
        ({"ends": "DEFERRED"}, {"on_deferred": "accept"}),
    ],
    ids=str,
)
def test_what_does_not_count_as_a_bad_job_is_waited_past_or_accepted(
    ti: TaskInstance, pipeline: SandboxPipeline, mode: str, which: dict[str, Any], accepted: dict[str, Any]
) -> None:
    first = pipeline.start_job(**{"ago": 100, "duration": 50, **which})
    later = pipeline.start_job(ago=-50, duration=20)

    job_id = sense(mode, ti, completed_after=AN_HOUR_AGO, fail_on_bad_job=True, **accepted)

    assert job_id == (first.id if accepted else later.id)


def test_a_sensor_that_is_silent_about_failures_still_waits_for_a_job_that_completes(
    ti: TaskInstance, pipeline: SandboxPipeline, story: Callable[[], str]
) -> None:
    bad = pipeline.start_job(ago=-100, duration=50, ends="FAILED")
    job = pipeline.start_job(ago=-400, duration=50)
    task = sensor("deferrable", completed_after=AN_HOUR_AGO, fail_on_bad_job=True, silent_fail=True)

    assert play(task, ti) == job.id

    assert f"job {bad.id}" in story()


@pytest.mark.parametrize("given", [{}, {"job_id": "a"}])
def test_a_bad_job_is_no_matter_where_one_job_is_followed(given: dict[str, Any]) -> None:
    with pytest.raises(HevoConfigError, match="fail_on_bad_job goes with completed_after only"):
        HevoSensor(task_id="task", pipeline_id=7, fail_on_bad_job=True, **given)


# When, and for how long


@in_every_sensor_mode
def test_it_polls_every_poke_interval_and_more_often_than_a_search_may(
    hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline, mode: str
) -> None:
    pipeline.start_job(ago=-1000, duration=500)

    sense(mode, ti, completed_after=AN_HOUR_AGO, poke_interval=60)

    times = [request.at for request in hevo.requests_of("list_jobs")]
    pauses = [later - earlier for earlier, later in pairwise(times)]
    irregular = 2 if mode == "deferrable" else 1  # waits that began together do not poll together
    assert len([pause for pause in pauses if pause == pytest.approx(60)]) >= len(pauses) - irregular
    assert len(pauses) > 20
    assert {request.route for request in hevo.requests} == {"list_jobs"}


@in_every_sensor_mode
@pytest.mark.parametrize("soft_fail", [False, True])
def test_only_its_timeout_ends_the_wait(
    ti: TaskInstance, pipeline: SandboxPipeline, clock: VirtualClock, mode: str, soft_fail: bool
) -> None:
    with pytest.raises(AirflowSkipException if soft_fail else AirflowSensorTimeout):
        sense(mode, ti, completed_after=AN_HOUR_AGO, timeout=7200, poke_interval=720, soft_fail=soft_fail)

    assert 7200 <= clock.now() - START <= 7200 + 720


def test_the_triggers_time_out_says_what_was_waited_for(ti: TaskInstance, pipeline: SandboxPipeline) -> None:
    with fails(AirflowSensorTimeout, says=r"no job of type INCREMENTAL had completed since 2027-.* UTC when"):
        sense("deferrable", ti, completed_after=AN_HOUR_AGO, timeout=100)


@in_every_sensor_mode
def test_an_outage_is_waited_out(hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline, mode: str) -> None:
    job = pipeline.start_job(ago=100, duration=50)
    hevo.inject("list_jobs", Fault.status(502), Fault.reset(), Fault.html(), Fault.json({"data": None}))

    assert sense(mode, ti, completed_after=AN_HOUR_AGO) == job.id


def test_a_trigger_that_starts_again_elsewhere_waits_for_the_same(ti: TaskInstance, pipeline: SandboxPipeline) -> None:
    left_behind = work(lambda: sensor("deferrable", completed_after=AN_HOUR_AGO).execute(ti.context))

    assert isinstance(left_behind, Deferral)
    trigger = left_behind.trigger()
    assert trigger.ordered.order.completed_after == int(AN_HOUR_AGO.timestamp() * 1000)
    assert trigger.serialize()[1] == left_behind.kwargs


# How far back it reads


@in_every_sensor_mode
def test_the_newest_page_is_enough_where_the_job_is_on_it(
    hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline, mode: str
) -> None:
    for number in range(200):
        pipeline.start_job(ago=300 * number + 100, duration=50)

    sense(mode, ti, completed_after=AN_HOUR_AGO)

    assert len(hevo.requests) == 1


@in_every_sensor_mode
def test_a_long_job_that_was_created_before_many_others_is_found(
    hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline, mode: str
) -> None:
    pipeline.start_job("HISTORICAL", ago=90_000, duration=10)
    job = pipeline.start_job("HISTORICAL", ago=80_000, duration=79_000)
    for number in range(300):
        pipeline.start_job(ago=200 * number, duration=50)

    assert sense(mode, ti, completed_after=AN_HOUR_AGO, job_type="HISTORICAL") == job.id


@pytest.mark.parametrize(
    ("earlier", "every", "pages"),
    [
        (7200, 60, 2),  # a job of the type had ended before: older ones have, too
        (None, 600, 3),  # none has: a day further back
        (None, 30, 11),  # a thousand jobs at most
    ],
)
def test_it_reads_no_further_back_than_a_job_can_be(
    hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline, earlier: int | None, every: int, pages: int
) -> None:
    for number in range(1500):
        pipeline.start_job("REFRESHER", ago=every * number, duration=1)
    if earlier is not None:
        pipeline.start_job(ago=earlier, duration=50)

    work(lambda: sensor("deferrable", completed_after=AN_HOUR_AGO).execute(ti.context))

    assert len(hevo.requests_of("list_jobs")) == pages


# The parameter


@pytest.mark.parametrize(
    "value",
    [
        datetime(2026, 1, 31, 6, tzinfo=UTC),
        datetime(2026, 1, 31, 6),  # noqa: DTZ001 - without a zone on purpose
        datetime(2026, 1, 31, 8, tzinfo=timezone(timedelta(hours=2))),
        "2026-01-31T06:00:00+00:00",
        "2026-01-31 06:00:00",
        "2026-01-31T06:00:00Z",
        "2026-01-31T08:00:00+02:00",
        " 20260131T060000 ",
    ],
    ids=str,
)
def test_a_time_can_be_written_in_many_ways(value: object) -> None:
    assert moment_of("completed_after", value) == datetime(2026, 1, 31, 6, tzinfo=UTC)


@pytest.mark.parametrize(
    "value", ["", "yesterday", 1_769_839_200, "1770112231200", True, [], "0001-01-01T00:00:00+14:00"], ids=str
)
def test_a_time_that_makes_no_sense_is_refused_when_the_dag_is_parsed(value: Any) -> None:
    with fails(HevoConfigError, says="completed_after"):
        HevoSensor(task_id="task", pipeline_id=7, completed_after=value)


@pytest.mark.parametrize("completed_after", [NOW, "{{ data_interval_end }}"])
def test_a_job_and_a_time_exclude_each_other_when_the_dag_is_parsed(completed_after: Any) -> None:
    with fails(HevoConfigError, says="job_id and completed_after exclude each other"):
        HevoSensor(task_id="task", pipeline_id=7, job_id="{{ job }}", completed_after=completed_after)


def rendered(native: bool, **values: Any) -> HevoSensor:
    """Render the sensor's template as a worker does before it executes the task."""
    task = sensor("deferrable", completed_after="{{ data_interval_end }}")
    with DAG("dag", schedule=None, render_template_as_native_obj=native) as dag:
        dag.add_task(task)
    task.render_template_fields(values)  # type: ignore[arg-type]
    return task


@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize("value", [AN_HOUR_AGO, AN_HOUR_AGO.isoformat()])
def test_it_runs_with_what_its_template_renders_to(
    ti: TaskInstance, pipeline: SandboxPipeline, native: bool, value: object
) -> None:
    job = pipeline.start_job(ago=100, duration=50)

    assert rendered(native, data_interval_end=value).execute(ti.context) == job.id


@pytest.mark.parametrize("native", [False, True])
def test_a_run_without_the_time_fails_for_good_before_any_request(
    hevo: Sandbox, ti: TaskInstance, native: bool
) -> None:
    with fails(AirflowFailException, says=r"completed_after rendered to .*None.*no data interval"):
        rendered(native, data_interval_end=None).execute(ti.context)

    assert hevo.requests == []


def test_it_can_be_mapped_over_times(ti: TaskInstance, pipeline: SandboxPipeline) -> None:
    job = pipeline.start_job(ago=100, duration=50)
    with DAG("dag", schedule=None):
        mapped: Any = HevoSensor.partial(task_id="task", pipeline_id=7).expand(completed_after=[AN_HOUR_AGO])

    assert mapped.unmap({"completed_after": AN_HOUR_AGO}).execute(ti.context) == job.id


@in_every_sensor_mode
def test_a_job_that_is_touched_long_after_its_end_did_not_end_then(
    hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline, mode: str
) -> None:
    old = pipeline.start_job(ago=36_000, duration=600)
    old.override["updated_ts"] = int((ti.clock.now() - 60) * 1000)
    new = pipeline.start_job(appear_after=0, duration=300)

    assert sense(mode, ti, completed_after=AN_HOUR_AGO) == new.id
