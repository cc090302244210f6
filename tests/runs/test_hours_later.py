"""
A try hours after the one before: it finds its own job or none, whatever else has run on the pipeline meanwhile.

The record of the earlier try is all that it knows. A cancelled job is never followed; its end is waited for.
"""

from __future__ import annotations

from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowTaskTimeout

from hevo_provider.exceptions import HevoJobFailedError, HevoJobNotFoundError, HevoPipelineBusyError
from hevo_provider.operators import HevoPipelineOperator, HevoResyncObjectsOperator
from hevo_provider.sandbox import Fault, Request, Sandbox, SandboxPipeline
from tests.stage.clock import START, VirtualClock
from tests.stage.failures import fails
from tests.stage.marks import in_alternating_modes, in_both_modes
from tests.stage.tasks import ACTIONS, Deferral, TaskInstance, event_of, operator_of, play, run_in_triggerer, work

HOUR = 3600.0

retried_or_cleared = pytest.mark.parametrize("cleared", [False, True], ids=["retried", "cleared"])


@pytest.fixture
def ti(clock: VirtualClock) -> TaskInstance:
    return TaskInstance(clock, retries=3)


def operator(action: str = "SYNC_NOW", **parameters: Any) -> HevoPipelineOperator | HevoResyncObjectsOperator:
    return operator_of(action, **{"retries": 3, **parameters})


def deferred(ti: TaskInstance, action: str = "SYNC_NOW", **parameters: Any) -> Deferral:
    result = work(lambda: operator(action, **parameters).execute(ti.context))
    assert isinstance(result, Deferral)
    return result


DROPPED = Fault.status(502)
LEFT_UNDONE = Fault.json({"message": "accepted"})


def lost_without_a_job(
    hevo: Sandbox, ti: TaskInstance, action: str = "SYNC_NOW", answer: Fault = DROPPED
) -> SandboxPipeline:
    """Run a try whose call comes to nothing, and whose worker and triggerer are lost before a job is searched for."""
    pipeline = hevo.add_pipeline(7, duration=60)
    hevo.inject({"SYNC_NOW": "sync_now", "RESYNC": "resync"}[action], answer)
    deferred(ti, action)
    return pipeline


def let_cancelling_take(hevo: Sandbox, pipeline: SandboxPipeline, seconds: float) -> None:
    def slowly(_: Request) -> None:
        for job in pipeline.jobs:
            job.cancelling_for = seconds

    hevo.on_request = slowly


# Another's job


@in_alternating_modes("cleared, action, answer", [False, True], ["SYNC_NOW", "RESYNC"], [DROPPED, LEFT_UNDONE])
def test_a_job_that_its_call_cannot_have_made_is_neither_followed_nor_cancelled(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, deferrable: bool, cleared: bool, action: str, answer: Fault
) -> None:
    pipeline = lost_without_a_job(hevo, ti, action, answer)
    clock.advance(5 * HOUR)
    others = pipeline.start_job({"SYNC_NOW": "INCREMENTAL"}.get(action, action), appear_after=0, duration=90)
    clock.advance(30)
    ti.next_try(cleared=cleared)

    job_id = play(operator(action, deferrable=deferrable, on_active_job="wait"), ti)

    assert others.cancel_requests == 0
    assert [job.id for job in pipeline.jobs_started_by_api] == [job_id]


@in_both_modes
def test_a_job_of_the_schedule_that_has_completed_since_is_not_taken_for_its_own(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, deferrable: bool
) -> None:
    pipeline = lost_without_a_job(hevo, ti)
    clock.advance(5 * HOUR)
    others = pipeline.start_job(appear_after=0, duration=10)
    clock.advance(HOUR)
    ti.next_try()

    job_id = play(operator(deferrable=deferrable), ti)

    assert job_id != others.id
    assert [job.id for job in pipeline.jobs_started_by_api] == [job_id]


@in_both_modes
def test_its_own_job_is_found_behind_more_than_a_hundred_others_on_small_pages(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, deferrable: bool
) -> None:
    hevo.max_page = 20
    pipeline = hevo.add_pipeline(7, duration=60)
    deferred(ti)
    (own,) = pipeline.jobs
    clock.advance(120)
    for _ in range(110):
        pipeline.start_job(appear_after=0, duration=60)
        clock.advance(290)
    ti.next_try()

    assert play(operator(deferrable=deferrable), ti) == own.id
    assert len(pipeline.jobs_started_by_api) == 1


def test_where_its_own_job_cannot_be_told_any_more_it_says_so_and_starts_anew(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, story: Any
) -> None:
    hevo.max_page = 5
    pipeline = lost_without_a_job(hevo, ti)
    clock.advance(HOUR)
    for _ in range(110):
        pipeline.start_job(appear_after=0, duration=60)
        clock.advance(290)
    ti.next_try()

    job_id = play(operator(), ti)

    assert [job.id for job in pipeline.jobs_started_by_api] == [job_id]
    assert "cannot be told any more" in story()


@retried_or_cleared
@pytest.mark.parametrize(
    "changed",
    [{"pipeline_id": 8}, {"connection_id": "the_same_hevo"}, {"action": "RESYNC"}],
    ids=["pipeline", "connection", "action"],
)
def test_what_was_asked_for_otherwise_is_neither_followed_nor_cancelled(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch, cleared: bool, changed: Any
) -> None:
    import os

    monkeypatch.setenv("AIRFLOW_CONN_THE_SAME_HEVO", os.environ["AIRFLOW_CONN_HEVO_AIRFLOW_CONN_ID"])
    old = hevo.add_pipeline(7, duration=HOUR, parallel_jobs=True)
    hevo.add_pipeline(8)
    deferred(ti)
    old.duration = 60
    clock.advance(300)
    ti.next_try(cleared=cleared)

    job_id = play(operator(**{"on_active_job": "start", "durable": True, **changed}), ti)

    assert old.jobs[0].cancel_requests == 0
    assert job_id != old.jobs[0].id


def test_a_pipeline_that_was_made_anew_under_another_id_is_cleared_without_a_word_of_the_old_one(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock
) -> None:
    hevo.add_pipeline(7)
    deferred(ti)
    del hevo.pipelines[7]
    new = hevo.add_pipeline(9)
    clock.advance(HOUR)
    hevo.reset_record()
    ti.next_try(cleared=True)

    assert play(operator(pipeline_id=9), ti) == new.jobs[0].id
    assert {request.pipeline_id for request in hevo.requests} == {9}


# A failed job is not followed again


@in_both_modes
@pytest.mark.parametrize("oddity", [{"type": None}, {"created_ts": -5000}], ids=["without a type", "seconds behind"])
def test_a_failed_job_is_not_followed_again_however_little_hevo_tells_of_it(
    hevo: Sandbox, ti: TaskInstance, deferrable: bool, oddity: dict[str, Any]
) -> None:
    pipeline = hevo.add_pipeline(7, duration=30, ends="FAILED")

    def dress(request: Any) -> None:
        for job in pipeline.jobs:
            if oddity.get("created_ts"):
                job.override = {"created_ts": int(job.created_at * 1000) + oddity["created_ts"]}
            else:
                job.override = dict(oddity)

    hevo.on_request = dress
    for number in range(1, 4):
        with pytest.raises(HevoJobFailedError):
            play(operator(deferrable=deferrable), ti)
        assert len(pipeline.jobs) == number
        ti.next_try()


def test_the_job_of_a_lost_worker_that_has_failed_without_a_type_is_not_waited_for(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock
) -> None:
    pipeline = hevo.add_pipeline(7, duration=10, ends="FAILED")
    deferred(ti)
    pipeline.jobs[0].override = {"type": None}
    pipeline.ends = "COMPLETED"
    clock.advance(300)
    ti.next_try()

    assert play(operator(), ti) == pipeline.jobs[1].id


# CANCELLING is an end that is on its way


@in_both_modes
@pytest.mark.parametrize("remembers", [True, False], ids=["on record", "no record"])
def test_a_retry_after_a_time_out_waits_for_its_job_to_be_cancelled_and_starts_then(
    hevo: Sandbox, ti: TaskInstance, deferrable: bool, remembers: bool
) -> None:
    ti.store = ti.store if remembers else None
    pipeline = hevo.add_pipeline(7, duration=None)
    let_cancelling_take(hevo, pipeline, 100)
    with pytest.raises(AirflowTaskTimeout):
        play(operator(deferrable=deferrable, timeout=60), ti)
    pipeline.duration = 10
    ti.next_try()

    job_id = play(operator(deferrable=deferrable, timeout=600), ti)

    first, second = pipeline.jobs
    assert (first.status, second.id) == ("CANCELLED", job_id)
    assert first.ended_at is not None
    assert second.created_at >= first.ended_at


@in_alternating_modes("on_active_job, after", ["fail", "wait", "follow"], [0, 60])
def test_a_cleared_try_of_which_nothing_is_on_record_lets_airflow_cancel_its_old_job_first(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, deferrable: bool, on_active_job: str, after: float
) -> None:
    ti.store = None
    pipeline = hevo.add_pipeline(7, duration=HOUR)
    deferred(ti)
    pipeline.duration = 60
    clock.advance(after)
    ti.next_try(cleared=True)

    def cancelled_by_the_old_trigger(request: Request) -> None:
        if request.at > START + after + 3:
            pipeline.jobs[0].cancel()

    hevo.on_request = cancelled_by_the_old_trigger

    job_id = play(operator(deferrable=deferrable, on_active_job=on_active_job), ti)

    assert [job.status for job in pipeline.jobs] == ["CANCELLED", "COMPLETED"]
    assert pipeline.jobs[1].id == job_id


def test_a_job_that_nobody_cancels_is_another_s_and_the_try_fails_as_busy(hevo: Sandbox, ti: TaskInstance) -> None:
    ti.store = None
    pipeline = hevo.add_pipeline(7)
    pipeline.start_job(appear_after=0, duration=HOUR)
    ti.next_try()

    with pytest.raises(HevoPipelineBusyError):
        play(operator(), ti)

    assert pipeline.jobs_started_by_api == []


@in_both_modes
@pytest.mark.parametrize("on_active_job", ["fail", "wait", "follow"])
def test_a_first_try_waits_for_a_job_that_is_being_cancelled(
    hevo: Sandbox, ti: TaskInstance, deferrable: bool, on_active_job: str
) -> None:
    pipeline = hevo.add_pipeline(7, duration=None)
    let_cancelling_take(hevo, pipeline, 100)
    others = pipeline.start_job(appear_after=0)
    others.cancel()
    pipeline.duration = 10

    job_id = play(operator(deferrable=deferrable, on_active_job=on_active_job), ti)

    assert [job.id for job in pipeline.jobs_started_by_api] == [job_id]
    assert others.status == "CANCELLED"


@in_alternating_modes("action, refusal", ACTIONS, [409, 500])
def test_a_job_that_is_being_cancelled_is_not_followed_after_a_refusal_either(
    hevo: Sandbox, ti: TaskInstance, deferrable: bool, action: str, refusal: int
) -> None:
    pipeline = hevo.add_pipeline(7, duration=None, refusal=refusal)
    let_cancelling_take(hevo, pipeline, 100)
    others = pipeline.start_job({"SYNC_NOW": "INCREMENTAL"}.get(action, "RESYNC"), appear_after=0)
    others.cancel()
    pipeline.duration = 10

    job_id = play(operator(action, deferrable=deferrable, on_active_job="start"), ti)

    assert [job.id for job in pipeline.jobs_started_by_api] == [job_id]
    assert others.status == "CANCELLED"


@in_both_modes
@pytest.mark.parametrize("on_active_job", ["fail", "wait", "follow", "start"])
def test_a_call_that_is_refused_because_of_a_job_that_is_cancelled_by_now_is_sent_after_its_end(
    hevo: Sandbox, ti: TaskInstance, deferrable: bool, on_active_job: str
) -> None:
    pipeline = hevo.add_pipeline(7, duration=10)

    def start_and_cancel_once_the_jobs_were_read(request: Request) -> None:
        if request.route == "list_jobs" and not pipeline.jobs:
            others = pipeline.start_job(appear_after=0)
            others.cancelling_for = 100
            others.cancel()

    hevo.on_request = start_and_cancel_once_the_jobs_were_read

    job_id = play(operator(deferrable=deferrable, on_active_job=on_active_job), ti)

    assert [job.id for job in pipeline.jobs_started_by_api] == [job_id]


@in_both_modes
def test_of_several_jobs_one_that_is_being_cancelled_is_not_the_one_to_follow(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, deferrable: bool
) -> None:
    pipeline = hevo.add_pipeline(7, duration=200, parallel_jobs=True)
    let_cancelling_take(hevo, pipeline, 100)
    at_work = pipeline.start_job(appear_after=0)
    clock.advance(5)
    pipeline.start_job(appear_after=0).cancel()

    assert play(operator(deferrable=deferrable, on_active_job="follow"), ti) == at_work.id


@in_both_modes
@pytest.mark.parametrize("since", [10, 200], ids=["being cancelled", "cancelled"])
def test_the_retry_of_a_task_that_only_wants_an_id_does_not_succeed_with_that_of_a_cancelled_job(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, deferrable: bool, since: float
) -> None:
    pipeline = hevo.add_pipeline(7, duration=None)
    let_cancelling_take(hevo, pipeline, 100)
    deferred(ti, wait_for_completion=False)
    clock.advance(30)
    pipeline.jobs[0].cancel()
    clock.advance(since)
    ti.next_try()

    job_id = play(operator(deferrable=deferrable, wait_for_completion=False), ti)

    assert [job.id for job in pipeline.jobs][1:] == [job_id]


@in_both_modes
def test_a_job_that_is_being_cancelled_for_ever_is_named_when_time_is_over(
    hevo: Sandbox, ti: TaskInstance, deferrable: bool
) -> None:
    pipeline = hevo.add_pipeline(7, duration=None)
    let_cancelling_take(hevo, pipeline, 10 * HOUR)
    others = pipeline.start_job(appear_after=0)
    others.cancel()

    with fails(AirflowTaskTimeout, says=f"waiting for job {others.id} to be cancelled"):
        play(operator(deferrable=deferrable, timeout=600), ti)

    assert pipeline.jobs_started_by_api == []


# How far a record reaches


def test_a_job_whose_id_is_on_record_is_told_from_one_of_the_same_second(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock
) -> None:
    pipeline = hevo.add_pipeline(7, duration=1000, parallel_jobs=True)
    left_behind = deferred(ti, cancel_on_kill=False, timeout=60)
    other = pipeline.start_job(appear_after=30, duration=1000)
    event = run_in_triggerer(event_of(left_behind.trigger()))
    with pytest.raises(AirflowTaskTimeout):
        operator().execute_complete(ti.context, event)
    ti.next_try(cleared=True)

    deferred(ti)

    (own,) = pipeline.jobs_started_by_api
    assert (own.cancel_requests, other.cancel_requests) == (1, 0)


@pytest.mark.parametrize(("parallel_jobs", "jobs"), [(False, 1), (True, 2)], ids=["one-job-at-a-time", "parallel-jobs"])
@in_both_modes
def test_a_job_that_does_not_show_for_minutes_after_its_worker_was_lost_is_only_saved_by_hevos_refusal(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, deferrable: bool, parallel_jobs: bool, jobs: int
) -> None:
    pipeline = hevo.add_pipeline(7, appear_after=300, duration=1000, parallel_jobs=parallel_jobs)
    deferred(ti)
    clock.advance(70)
    ti.next_try()

    with pytest.raises((HevoPipelineBusyError, HevoJobNotFoundError)):
        play(operator(deferrable=deferrable), ti)

    assert len(pipeline.jobs) == jobs


@in_both_modes
@pytest.mark.parametrize("later", [300, 5 * HOUR])
@pytest.mark.parametrize("action", ["SYNC_NOW", "RESYNC"])
def test_minutes_in_which_hevo_was_down_are_no_proof_that_a_lost_worker_has_started_nothing(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, deferrable: bool, later: float, action: str
) -> None:
    pipeline = hevo.add_pipeline(7, appear_after=later + 30, duration=later + 100, parallel_jobs=True)
    deferred(ti, action)
    clock.advance(later)  # and Hevo shows what it has done meanwhile a moment after it is back
    ti.next_try()

    job_id = play(operator(action, deferrable=deferrable), ti)

    assert [job.id for job in pipeline.jobs] == [job_id]


@pytest.mark.parametrize("hours", [23.9, 24.1])
def test_a_record_is_valid_for_a_day(hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, hours: float) -> None:
    pipeline = hevo.add_pipeline(7, duration=24.5 * HOUR)
    deferred(ti)
    clock.advance(hours * HOUR)
    ti.next_try()

    if hours < 24:
        assert play(operator(), ti) == pipeline.jobs[0].id
    else:
        with fails(HevoPipelineBusyError, says=pipeline.jobs[0].id):
            play(operator(), ti)
    assert len(pipeline.jobs) == 1


# A resync that restarts its pipeline


@in_both_modes
@pytest.mark.parametrize("after", [30, 125, 400], ids=["restarting", "before its job shows", "running"])
@retried_or_cleared
def test_a_resync_is_found_whenever_the_next_try_comes(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, after: float, deferrable: bool, cleared: bool
) -> None:
    pipeline = hevo.add_pipeline(7, restarting_for=120, appear_after=15, duration=400)
    deferred(ti, "RESYNC")
    clock.advance(after)
    ti.next_try(cleared=cleared)

    job_id = play(operator("RESYNC", deferrable=deferrable, poll_interval=60), ti)

    statuses = [job.status for job in pipeline.jobs]
    assert statuses == (["CANCELLED", "COMPLETED"] if cleared else ["COMPLETED"])
    assert pipeline.jobs[-1].id == job_id


def test_what_a_restart_may_have_brought_is_waited_for_once(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock
) -> None:
    pipeline = hevo.add_pipeline(7, restarting_for=60, appear_after=1e6, parallel_jobs=True)
    began = clock.now()
    deferred(ti, "RESYNC")
    clock.advance(30)
    ti.next_try(cleared=True)
    left_behind = deferred(ti, "RESYNC", poll_interval=5)
    hevo.inject("resync", Fault.status(429), times=None)

    event = run_in_triggerer(event_of(left_behind.trigger()))
    settled_at = clock.now()
    put_off = work(lambda: operator("RESYNC").execute_complete(ti.context, event))

    assert settled_at - began == pytest.approx(60 + 20, abs=6)
    assert [request.status for request in hevo.requests_of("resync")][:2] == [200, 429]
    assert "settling" not in put_off.kwargs
    assert len(pipeline.jobs) == 1


def test_a_job_that_may_yet_show_after_a_clear_is_waited_for_without_a_worker(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock
) -> None:
    hevo.add_pipeline(7, appear_after=15)
    deferred(ti)
    recorded = clock.now()
    clock.advance(3)
    ti.next_try(cleared=True)

    left_behind = deferred(ti)

    assert left_behind.kwargs["not_before"] == pytest.approx(recorded + 20, abs=1)


# The record outlives what says nothing of the job's end


def test_after_an_outage_the_retry_follows_the_job_that_the_trigger_had_found(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock
) -> None:
    pipeline = hevo.add_pipeline(7, duration=3 * HOUR)
    left_behind = deferred(ti, api_outage_tolerance=60)
    hevo.on_request = lambda request: (
        hevo.inject("*", Fault.status(503), times=None) if request.route == "get_job" else None
    )
    event = run_in_triggerer(event_of(left_behind.trigger()))
    hevo.on_request = None
    hevo.clear_faults()
    with fails(Exception, says="no usable answer"):
        operator().execute_complete(ti.context, event)
    for _ in range(30):
        clock.advance(300)
        pipeline.start_job(appear_after=0, duration=60)
    ti.next_try()

    assert play(operator(), ti) == pipeline.jobs_started_by_api[0].id
    assert len(pipeline.jobs_started_by_api) == 1


# A job that was searched for in vain


@in_both_modes
def test_a_retry_at_once_does_not_search_again_for_a_job_that_never_showed(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, deferrable: bool
) -> None:
    pipeline = lost_without_a_job(hevo, ti, answer=LEFT_UNDONE)
    ti.next_try()
    with pytest.raises(HevoJobNotFoundError):
        play(operator(deferrable=deferrable), ti)
    began = clock.now()
    ti.next_try()

    job_id = play(operator(deferrable=deferrable), ti)

    assert [(job.id, job.created_at) for job in pipeline.jobs] == [(job_id, began)]


@in_both_modes
def test_a_job_at_work_whose_type_hevo_leaves_out_is_followed_by_a_retry_if_no_other_is_there(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, deferrable: bool
) -> None:
    pipeline = hevo.add_pipeline(7, duration=1000)
    deferred(ti)
    pipeline.jobs[0].override = {"type": None}
    clock.advance(300)
    ti.next_try()

    job_id = play(operator(deferrable=deferrable), ti)

    assert [job.id for job in pipeline.jobs] == [job_id]


@in_both_modes
def test_a_deferred_job_whose_type_hevo_leaves_out_is_gone_on_from_and_not_resynced_again(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, deferrable: bool
) -> None:
    pipeline = hevo.add_pipeline(7, duration=60, ends="DEFERRED")
    deferred(ti, "RESYNC")
    pipeline.jobs[0].override = {"type": None}
    pipeline.ends = "COMPLETED"
    clock.advance(300)
    ti.next_try()

    play(operator("RESYNC", deferrable=deferrable, on_deferred="continue"), ti)

    assert [job.type for job in pipeline.jobs] == ["RESYNC", "INCREMENTAL"]


@in_both_modes
def test_a_job_that_shows_only_when_it_is_to_be_cancelled_is_on_record_with_its_id(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, deferrable: bool
) -> None:
    pipeline = hevo.add_pipeline(7, duration=None)
    deadline = clock.now() + 60
    hevo.on_request = lambda request: (
        hevo.inject("list_jobs", Fault.status(503))
        if request.route in {"sync_now", "list_jobs"} and clock.now() < deadline
        else None
    )

    with fails(AirflowTaskTimeout, says="Hevo was asked to cancel it"):
        play(operator(deferrable=deferrable, timeout=60), ti)

    assert ti.store is not None
    assert ti.store.get("hevo_run")["run"]["job_id"] == pipeline.jobs[0].id


# What a cleared try may be asked to leave alone


@in_both_modes
def test_cleared_a_task_that_may_not_cancel_waits_for_its_old_job_to_end_by_itself(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, deferrable: bool
) -> None:
    pipeline = hevo.add_pipeline(7, duration=600)
    deferred(ti, cancel_on_kill=False)
    clock.advance(60)
    ti.next_try(cleared=True)

    job_id = play(operator(deferrable=deferrable, cancel_on_kill=False), ti)

    assert [job.status for job in pipeline.jobs] == ["COMPLETED", "COMPLETED"]
    assert pipeline.jobs[-1].id == job_id


@in_both_modes
def test_cleared_a_task_that_followed_another_s_job_follows_it_again(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, deferrable: bool
) -> None:
    pipeline = hevo.add_pipeline(7, duration=600)
    others = pipeline.start_job(appear_after=0)
    deferred(ti, on_active_job="follow")
    clock.advance(60)
    ti.next_try(cleared=True)

    assert play(operator(deferrable=deferrable, on_active_job="follow"), ti) == others.id
    assert pipeline.jobs_started_by_api == []


@in_both_modes
def test_a_call_of_unknown_fate_stays_on_record_when_time_is_over_while_another_s_job_is_waited_for(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, deferrable: bool
) -> None:
    pipeline = hevo.add_pipeline(7, duration=600, appear_after=300)
    hevo.inject("sync_now", Fault.status(502, after=True))

    def start_another(request: Request) -> None:
        if request.route == "sync_now":
            pipeline.start_job("RESYNC", appear_after=0, duration=HOUR)

    hevo.on_request = start_another
    with pytest.raises(AirflowTaskTimeout):
        play(operator(deferrable=deferrable, on_active_job="wait", timeout=200), ti)
    clock.advance(150)
    ti.next_try()

    job_id = play(operator(deferrable=deferrable, on_active_job="wait"), ti)

    assert [job.id for job in pipeline.jobs_started_by_api] == [job_id]


def test_a_resync_that_waits_for_another_s_restart_to_be_over_takes_no_worker_until_then(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock
) -> None:
    pipeline = hevo.add_pipeline(7, restarting_for=600, appear_after=5, duration=10)
    pipeline.start_through_api("RESYNC", restarts=True)
    left_behind = deferred(ti, "RESYNC")
    began = clock.now()

    assert run_in_triggerer(event_of(left_behind.trigger()))["event"] == "start"
    assert clock.now() - began >= 600
