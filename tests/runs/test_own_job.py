"""A run follows the job that it has started, and no other, as far as Hevo's own clock can tell them apart."""

from __future__ import annotations

from collections.abc import Callable
from email.utils import formatdate
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowTaskTimeout

from hevo_provider.exceptions import HevoJobNotFoundError, HevoPipelineBusyError
from hevo_provider.sandbox import Fault, Request, Sandbox
from tests.stage.clock import START, VirtualClock
from tests.stage.death import MortalStore, lose_worker
from tests.stage.failures import fails, told_by
from tests.stage.marks import in_alternating_modes, in_both_modes
from tests.stage.tasks import TaskInstance, operator, play

LOST_ANSWERS = [Fault.reset(), Fault.status(503)]
NO_DATE = Fault.with_headers({"Date": None})


def when_asked(hevo: Sandbox, route: str, act: Callable[[], object]) -> None:
    """Let something happen in Hevo with each request for a route."""

    def told(request: Request) -> None:
        if request.route == route:
            act()

    hevo.on_request = told


def dates_are_off(hevo: Sandbox, clock: VirtualClock, seconds: float) -> None:
    """Let the ``Date`` of Hevo's answers be ahead of the clock by which it dates jobs."""

    def dated(_: str) -> Fault:
        return Fault.with_headers({"Date": formatdate(clock.now() + seconds, usegmt=True)})

    hevo.fault_source = dated


@in_both_modes
def test_an_older_job_that_still_runs_is_not_mistaken_for_it(hevo: Sandbox, ti: TaskInstance, deferrable: bool) -> None:
    pipeline = hevo.add_pipeline(7, parallel_jobs=True, appear_after=15)
    pipeline.start_job(ago=60, duration=3600, ends="FAILED")

    job_id = play(operator(on_active_job="start", deferrable=deferrable), ti)

    assert [job.id for job in pipeline.jobs_started_by_api] == [job_id]


@in_both_modes
@pytest.mark.parametrize("seconds_before", [2, 14])
def test_a_job_that_the_lagging_list_hid_from_the_baseline_is_not_mistaken_for_it(
    hevo: Sandbox, ti: TaskInstance, deferrable: bool, seconds_before: int
) -> None:
    pipeline = hevo.add_pipeline(7, parallel_jobs=True, appear_after=15, baseline_lag=15)
    pipeline.start_job(ago=seconds_before, duration=20)

    job_id = play(operator(deferrable=deferrable), ti)

    assert [job.id for job in pipeline.jobs_started_by_api] == [job_id]


@in_both_modes
@pytest.mark.parametrize("lost", LOST_ANSWERS, ids=["reset", "gateway-error"])
def test_a_hidden_older_job_is_not_taken_for_one_that_was_never_started(
    hevo: Sandbox, ti: TaskInstance, lost: Fault, deferrable: bool
) -> None:
    """The call did not arrive. What shows then is older than the call by Hevo's clock: the run starts its own job."""
    pipeline = hevo.add_pipeline(7, appear_after=10, baseline_lag=15)
    pipeline.start_job(ago=5, duration=30, ends="COMPLETED")
    hevo.inject("sync_now", lost)

    job_id = play(operator(deferrable=deferrable), ti)

    assert [job.id for job in pipeline.jobs_started_by_api] == [job_id]


@in_both_modes
@pytest.mark.parametrize("on_active_job", ["start", "wait"])
def test_a_job_that_the_schedule_starts_minutes_after_a_lost_call_is_not_taken_for_its_own(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, on_active_job: str, deferrable: bool
) -> None:
    """The worker dies before it sends the call, and Hevo's own schedule strikes before the retry."""
    pipeline = hevo.add_pipeline(7, appear_after=5, duration=600)
    ti.store = MortalStore()
    lose_worker(operator(deferrable=deferrable, on_active_job=on_active_job), ti, before="sync_now")
    clock.advance(200)
    scheduled = pipeline.start_job()
    clock.advance(100)
    ti.next_try()

    job_id = play(operator(deferrable=deferrable, on_active_job=on_active_job), ti)

    if on_active_job == "wait":
        assert [job.id for job in pipeline.jobs] == [scheduled.id, job_id]
    else:  # it was refused, and follows the job that is active, as it is asked to
        assert job_id == scheduled.id
        assert len(hevo.requests_of("sync_now")) == 1


@in_both_modes
def test_of_two_calls_the_job_of_the_second_is_known_as_its_own(
    hevo: Sandbox, ti: TaskInstance, deferrable: bool
) -> None:
    pipeline = hevo.add_pipeline(7, appear_after=15, duration=60)
    hevo.inject("sync_now", Fault.reset(), Fault.reset(), Fault.reset(after=True))

    job_id = play(operator(deferrable=deferrable), ti)

    assert [job.id for job in pipeline.jobs] == [job_id]


@in_both_modes
def test_the_job_of_the_first_of_two_calls_is_not_mistaken_for_an_older_one(
    hevo: Sandbox, ti: TaskInstance, deferrable: bool
) -> None:
    """The second call starts nothing, as the job of the first is at work unseen. Then the schedule strikes."""
    pipeline = hevo.add_pipeline(7, parallel_jobs=True, appear_after=85, duration=120)
    hevo.inject("sync_now", Fault.reset(after=True), Fault.json({"message": "Sync has been triggered"}))

    def start_another() -> None:
        if len(hevo.requests_of("sync_now")) == 2:
            pipeline.start_job(ago=-5, appear_after=0, ends="FAILED")

    when_asked(hevo, "sync_now", start_another)

    job_id = play(operator(deferrable=deferrable), ti)

    assert [job.id for job in pipeline.jobs_started_by_api] == [job_id]
    assert len(hevo.requests_of("sync_now")) == 2


@in_both_modes
def test_a_task_that_wants_no_other_job_beside_its_own_fails_when_one_shows_before_it_sends_again(
    hevo: Sandbox, ti: TaskInstance, deferrable: bool
) -> None:
    pipeline = hevo.add_pipeline(7, parallel_jobs=True, baseline_lag=15)
    other = pipeline.start_job(ago=5, duration=3600)
    hevo.inject("sync_now", Fault.reset())

    with fails(HevoPipelineBusyError, says=other.id):
        play(operator(deferrable=deferrable), ti)

    assert pipeline.jobs == [other]


@in_both_modes
def test_a_job_that_starts_later_and_shows_first_is_not_mistaken_for_it(
    hevo: Sandbox, ti: TaskInstance, deferrable: bool
) -> None:
    pipeline = hevo.add_pipeline(7, parallel_jobs=True, appear_after=15, duration=60)
    when_asked(hevo, "sync_now", lambda: pipeline.start_job(ago=-4, appear_after=1))

    job_id = play(operator(deferrable=deferrable), ti)

    assert [job.id for job in pipeline.jobs_started_by_api] == [job_id]


@in_both_modes
def test_one_of_two_jobs_that_hevos_times_cannot_tell_apart_is_never_cancelled(
    hevo: Sandbox, ti: TaskInstance, deferrable: bool
) -> None:
    pipeline = hevo.add_pipeline(7, parallel_jobs=True, appear_after=1, duration=None)
    when_asked(hevo, "sync_now", lambda: pipeline.start_job(ago=-0.2, duration=3600, appear_after=0))

    with fails(AirflowTaskTimeout, says="may still run"):
        play(operator(deferrable=deferrable, timeout=100), ti)

    assert [job.cancel_requests for job in pipeline.jobs] == [0, 0]


@in_both_modes
def test_a_job_that_hevo_creates_long_after_the_call_is_found_all_the_same(
    hevo: Sandbox, ti: TaskInstance, deferrable: bool
) -> None:
    pipeline = hevo.add_pipeline(7, appear_after=1)
    hevo.inject("sync_now", Fault.json({"message": "Sync has been triggered"}))
    when_asked(hevo, "sync_now", lambda: pipeline.start_job(started_by="queue", ago=-12))

    job_id = play(operator(deferrable=deferrable), ti)

    assert [job.id for job in pipeline.jobs] == [job_id]


@in_both_modes
def test_a_job_of_another_type_is_named_with_the_way_to_follow_it(
    hevo: Sandbox, ti: TaskInstance, deferrable: bool
) -> None:
    pipeline = hevo.add_pipeline(7, sync_brings=["REFRESHER"], duration=3600)

    with pytest.raises(HevoJobNotFoundError) as failure:
        play(operator(deferrable=deferrable), ti)

    (job,) = pipeline.jobs
    assert f"REFRESHER (job {job.id}, IN_PROGRESS): set job_type to follow that" in told_by(failure.value)


@in_both_modes
@pytest.mark.parametrize("wait_for_third", [0, 30], ids=["at-work", "over"])
@pytest.mark.parametrize("cleared", [True, False], ids=["cleared", "retried"])
@pytest.mark.parametrize(("action", "type_"), [("SYNC_NOW", "INCREMENTAL"), ("RESYNC", "RESYNC")])
def test_after_a_job_of_another_type_no_later_try_takes_a_third_job_for_its_own(
    hevo: Sandbox,
    ti: TaskInstance,
    clock: VirtualClock,
    action: str,
    type_: str,
    cleared: bool,
    wait_for_third: float,
    deferrable: bool,
) -> None:
    pipeline = hevo.add_pipeline(7, parallel_jobs=True, duration=20)
    task = operator(action=action, deferrable=deferrable, on_active_job="start")
    when_asked(hevo, action.lower(), lambda: pipeline.jobs[0].override.update(type="TRUNCATED"))
    with fails(HevoJobNotFoundError, says=r"TRUNCATED \(job"):
        play(task, ti)
    clock.advance(300)
    third = pipeline.start_job(type_, appear_after=0, duration=20)
    clock.advance(wait_for_third)
    ti.next_try(cleared=cleared)

    job_id = play(task, ti)

    assert [job.id for job in pipeline.jobs_started_by_api][1:] == [job_id]
    assert third.cancel_requests == 0


@in_both_modes
def test_a_job_that_the_schedule_starts_long_after_an_accepted_call_is_not_its_own(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, deferrable: bool
) -> None:
    pipeline = hevo.add_pipeline(7)
    hevo.inject("sync_now", Fault.json({"message": "Sync has been triggered"}))
    with pytest.raises(HevoJobNotFoundError):
        play(operator(deferrable=deferrable), ti)
    clock.advance(300)
    pipeline.start_job(ago=60)
    ti.next_try()

    job_id = play(operator(deferrable=deferrable), ti)

    assert [job.id for job in pipeline.jobs_started_by_api] == [job_id]


@in_both_modes
def test_of_an_older_job_and_one_of_another_type_neither_is_followed(
    hevo: Sandbox, ti: TaskInstance, deferrable: bool
) -> None:
    pipeline = hevo.add_pipeline(7, parallel_jobs=True, baseline_lag=15)
    pipeline.start_job("REFRESHER", ago=10)
    pipeline.job_type_names = {"RESYNC": "HISTORICAL"}

    with fails(HevoJobNotFoundError, says="HISTORICAL"):
        play(operator(action="RESYNC", job_type="REFRESHER", deferrable=deferrable), ti)


@in_both_modes
def test_a_job_that_is_older_by_hevos_own_clock_is_taken_when_nothing_else_explains_the_accepted_call(
    hevo: Sandbox, ti: TaskInstance, deferrable: bool
) -> None:
    """The clocks of two servers of Hevo differ."""
    pipeline = hevo.add_pipeline(7, duration=600)

    def date_back() -> None:
        for job in pipeline.jobs:
            job.override = {"created_ts": int(job.created_at * 1000) - 30_000}

    when_asked(hevo, "sync_now", date_back)

    job_id = play(operator(deferrable=deferrable), ti)

    assert [job.id for job in pipeline.jobs] == [job_id]


@in_both_modes
@pytest.mark.parametrize("retry_limit", [1, 2, 10])
def test_however_few_polls_are_allowed_the_last_one_is_late_enough(
    hevo: Sandbox, ti: TaskInstance, deferrable: bool, retry_limit: int
) -> None:
    pipeline = hevo.add_pipeline(7, appear_after=15, duration=60)

    job_id = play(operator(retry_limit=retry_limit, deferrable=deferrable), ti)

    assert [job.id for job in pipeline.jobs] == [job_id]


@in_both_modes
@pytest.mark.parametrize("retry_limit", [2, 3])
def test_however_few_polls_are_allowed_they_begin_anew_when_the_pipeline_has_restarted(
    hevo: Sandbox, ti: TaskInstance, deferrable: bool, retry_limit: int
) -> None:
    """Hevo accepts the resync and begins it only after the first poll for its job."""
    pipeline = hevo.add_pipeline(7, appear_after=15, restarting_for=60)
    hevo.inject("resync", Fault.json({"message": "Resync has been triggered"}))

    def restart_late() -> None:  # once the answer to that poll is made
        if hevo.requests_of("resync") and not pipeline.jobs:
            pipeline.start_through_api("RESYNC", restarts=True)

    when_asked(hevo, "get_pipeline", restart_late)

    job_id = play(operator(action="RESYNC", retry_limit=retry_limit, deferrable=deferrable), ti)

    assert [job.id for job in pipeline.jobs] == [job_id]


@in_both_modes
@pytest.mark.parametrize("retry_limit", [1, 2, 10])
def test_the_job_that_hevo_names_as_the_reason_of_a_refusal_is_given_time_to_show(
    hevo: Sandbox, ti: TaskInstance, deferrable: bool, retry_limit: int
) -> None:
    pipeline = hevo.add_pipeline(7, baseline_lag=15)
    other = pipeline.start_job(duration=60)

    job_id = play(operator(on_active_job="start", retry_limit=retry_limit, deferrable=deferrable), ti)

    assert job_id == other.id
    assert pipeline.jobs == [other]


@in_both_modes
@pytest.mark.parametrize("order", ["asc", "shuffled"])
def test_the_order_of_the_list_does_not_matter(hevo: Sandbox, ti: TaskInstance, deferrable: bool, order: Any) -> None:
    pipeline = hevo.add_pipeline(7, order=order)
    for hours in range(150):
        pipeline.start_job(ago=3600.0 * (hours + 1), duration=60)

    job_id = play(operator(deferrable=deferrable), ti)

    assert [job.id for job in pipeline.jobs_started_by_api] == [job_id]


@in_both_modes
def test_finding_reads_the_newest_page_and_not_the_history(hevo: Sandbox, ti: TaskInstance, deferrable: bool) -> None:
    pipeline = hevo.add_pipeline(7, appear_after=5)
    for hours in range(1000):
        pipeline.start_job(ago=3600.0 * (hours + 1), duration=60)

    play(operator(deferrable=deferrable), ti)

    (sent,) = hevo.requests_of("sync_now")
    found = hevo.requests[hevo.requests.index(sent) :]
    assert [request.query.get("cursor") for request in found if request.route == "list_jobs"] == [None] * 3


@in_both_modes
@pytest.mark.parametrize("fast", [-86400, 86400])
def test_this_machines_clock_does_not_matter(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, deferrable: bool, fast: int
) -> None:
    hevo.clock = lambda: clock.now() + fast
    pipeline = hevo.add_pipeline(7, parallel_jobs=True, appear_after=15, baseline_lag=15)
    pipeline.start_job(ago=5)

    job_id = play(operator(deferrable=deferrable), ti)

    assert [job.id for job in pipeline.jobs_started_by_api] == [job_id]


# Hevo dates jobs by one clock and answers by another


@in_alternating_modes("seconds, duration", [-4, -3, 3, 4], [0.2, 600])
def test_a_call_of_unknown_fate_starts_no_second_job_where_hevos_clocks_differ(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, seconds: int, duration: float, deferrable: bool
) -> None:
    pipeline = hevo.add_pipeline(7, appear_after=10, duration=duration)
    dates_are_off(hevo, clock, seconds)
    hevo.inject("sync_now", Fault.reset(after=True))

    job_id = play(operator(deferrable=deferrable), ti)

    assert [job.id for job in pipeline.jobs] == [job_id]


@in_both_modes
@pytest.mark.parametrize("seconds", [-4, -3, 3, 4])
def test_where_hevos_clocks_differ_a_job_that_the_schedule_starts_next_is_not_mistaken_for_it(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, seconds: int, deferrable: bool
) -> None:
    pipeline = hevo.add_pipeline(7, parallel_jobs=True, appear_after=10, duration=600)
    dates_are_off(hevo, clock, seconds)
    when_asked(hevo, "sync_now", lambda: pipeline.start_job(ago=-12, appear_after=0))

    job_id = play(operator(deferrable=deferrable), ti)

    assert [job.id for job in pipeline.jobs_started_by_api] == [job_id]
    assert clock.now() - START < 700, "nothing is gained by waiting for the end of the search"


@in_both_modes
def test_where_hevos_clock_of_jobs_is_ahead_a_job_that_the_list_hid_is_not_mistaken_for_it(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, deferrable: bool
) -> None:
    pipeline = hevo.add_pipeline(7, parallel_jobs=True, appear_after=15, baseline_lag=5, duration=600)
    pipeline.start_job(ago=2.5)
    dates_are_off(hevo, clock, -3)

    job_id = play(operator(deferrable=deferrable), ti)

    assert [job.id for job in pipeline.jobs_started_by_api] == [job_id]


@in_both_modes
def test_a_job_that_only_a_difference_of_hevos_clocks_would_make_its_own_is_never_cancelled(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, deferrable: bool
) -> None:
    pipeline = hevo.add_pipeline(7, duration=None)
    dates_are_off(hevo, clock, 3)

    with fails(AirflowTaskTimeout, says="may still run"):
        play(operator(deferrable=deferrable, timeout=100), ti)

    assert [job.cancel_requests for job in pipeline.jobs] == [0]


@in_both_modes
def test_without_hevos_time_a_new_job_of_the_expected_type_is_it(
    hevo: Sandbox, ti: TaskInstance, deferrable: bool
) -> None:
    pipeline = hevo.add_pipeline(7)
    pipeline.start_job(ago=60)
    hevo.inject("*", NO_DATE, times=None)

    job_id = play(operator(deferrable=deferrable), ti)

    assert [job.id for job in pipeline.jobs_started_by_api] == [job_id]


@in_both_modes
def test_a_job_without_a_type_is_followed_when_no_better_one_shows(
    hevo: Sandbox, ti: TaskInstance, deferrable: bool
) -> None:
    pipeline = hevo.add_pipeline(7, duration=600)

    def forget_type() -> None:
        for job in pipeline.jobs:
            job.override = {"type": None}

    when_asked(hevo, "sync_now", forget_type)

    job_id = play(operator(deferrable=deferrable), ti)

    assert [job.id for job in pipeline.jobs] == [job_id]
