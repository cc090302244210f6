"""A job of the pipeline is active already: the task fails, waits, follows it, or starts another all the same."""

from __future__ import annotations

from typing import Any

import pytest

from hevo_provider.exceptions import HevoJobNotFoundError, HevoPipelineBusyError
from hevo_provider.sandbox import Fault, Sandbox, SandboxJob, SandboxPipeline
from tests.stage.clock import START, VirtualClock
from tests.stage.failures import fails, told_by
from tests.stage.marks import in_both_modes
from tests.stage.tasks import Deferral, TaskInstance, operator, play, work

refused_in_every_way = pytest.mark.parametrize(
    ("refusal", "message"),
    [
        (409, "A job is already in progress for this pipeline"),
        (409, "Try again later"),
        (500, "job is in progress"),
        (500, "Cannot trigger: another job is already RUNNING"),
    ],
)


@in_both_modes
@pytest.mark.parametrize("parameters", [{}, {"ensure_new_job": True}, {"on_active_job": "fail"}])
@pytest.mark.parametrize("job_type", ["INCREMENTAL", "HISTORICAL", "REFRESHER"])
def test_an_active_job_of_any_type_fails_the_task_before_anything_is_sent(
    hevo: Sandbox, ti: TaskInstance, deferrable: bool, parameters: dict[str, Any], job_type: str
) -> None:
    job = hevo.add_pipeline(7, parallel_jobs=True).start_job(job_type, appear_after=0, duration=1000)

    with fails(HevoPipelineBusyError, says=rf"job {job.id} \({job_type}, IN_PROGRESS\) is active") as failure:
        play(operator(deferrable=deferrable, **parameters), ti)

    assert "nothing was started" in told_by(failure.value)
    assert failure.value.job_id == job.id
    assert {request.method for request in hevo.requests} == {"GET"}


def behind_newer_jobs(pipeline: SandboxPipeline, newer: int, *, ends: str = "COMPLETED") -> SandboxJob:
    """Start a job that is at work for days, with newer ones that are over."""
    job = pipeline.start_job(ago=1e6, duration=1e6 + 2000)
    for number in range(newer):
        pipeline.start_job(ago=9e5 - 900 * number, duration=10, ends=ends)
    return job


behind_the_first_page = pytest.mark.parametrize(
    ("newer", "ends", "max_page"),
    [(20, "COMPLETED", 20), (100, "COMPLETED", 20), (100, "COMPLETED", 100), (864, "SKIPPED", 100)],
)


@in_both_modes
@behind_the_first_page
def test_an_active_job_behind_the_first_page_fails_the_task_too(
    hevo: Sandbox, ti: TaskInstance, deferrable: bool, newer: int, ends: str, max_page: int
) -> None:
    """A scheduled run that falls due while a long job is at work is listed as SKIPPED."""
    hevo.max_page = max_page
    job = behind_newer_jobs(hevo.add_pipeline(7, parallel_jobs=True), newer, ends=ends)

    with fails(HevoPipelineBusyError, says=rf"job {job.id} \(INCREMENTAL, IN_PROGRESS\) is active"):
        play(operator(deferrable=deferrable), ti)

    assert hevo.requests_of("sync_now") == []


@in_both_modes
@behind_the_first_page
def test_an_active_job_behind_the_first_page_is_waited_for_without_starting_workers(
    hevo: Sandbox, ti: TaskInstance, deferrable: bool, newer: int, ends: str, max_page: int
) -> None:
    hevo.max_page = max_page
    pipeline = hevo.add_pipeline(7, parallel_jobs=True)
    other = behind_newer_jobs(pipeline, newer, ends=ends)

    job_id = play(operator(deferrable=deferrable, on_active_job="wait", poll_interval=600), ti)

    (own,) = pipeline.jobs_started_by_api
    assert own.id == job_id
    assert own.created_at >= (other.ended_at or 0) > START
    assert len(hevo.requests_of("sync_now")) == 1


@in_both_modes
@behind_the_first_page
@pytest.mark.parametrize("on_active_job", ["follow", "start"])
def test_an_active_job_behind_the_first_page_is_followed(
    hevo: Sandbox, ti: TaskInstance, deferrable: bool, newer: int, ends: str, max_page: int, on_active_job: str
) -> None:
    hevo.max_page = max_page
    job = behind_newer_jobs(hevo.add_pipeline(7), newer, ends=ends)

    assert play(operator(deferrable=deferrable, on_active_job=on_active_job, poll_interval=600), ti) == job.id


def test_a_cursor_that_leads_in_a_circle_keeps_no_task_from_its_start(hevo: Sandbox, ti: TaskInstance) -> None:
    pipeline = hevo.add_pipeline(7)
    for hours in range(30):
        pipeline.start_job(ago=3600.0 * (hours + 1), duration=60)
    hevo.max_page = 20
    newest = [job.as_json(hevo.clock()) for job in pipeline.jobs[:20]]
    hevo.inject("list_jobs", Fault.json({"data": newest, "has_more": True, "next_cursor": "again"}), times=2)

    job_id = play(operator(), ti)

    assert [job.id for job in pipeline.jobs_started_by_api] == [job_id]


@pytest.mark.parametrize("status", ["QUEUED", "PENDING", "SOMETHING_NEW", None])
def test_a_job_is_active_until_its_status_says_otherwise(hevo: Sandbox, ti: TaskInstance, status: str | None) -> None:
    job = hevo.add_pipeline(7).start_job(appear_after=0, duration=1000)
    job.override = {"status": status}

    with fails(HevoPipelineBusyError, says=job.id):
        play(operator(), ti)


def test_jobs_that_have_ended_are_no_hindrance(hevo: Sandbox, ti: TaskInstance) -> None:
    pipeline = hevo.add_pipeline(7)
    for status in ("COMPLETED", "FAILED", "CANCELLED", "SKIPPED", "DEFERRED"):
        pipeline.start_job(ends=status, ago=100, duration=10)

    job_id = play(operator(), ti)

    assert [job.id for job in pipeline.jobs_started_by_api] == [job_id]


@in_both_modes
def test_a_refusal_because_of_a_job_that_does_not_show_yet_fails_the_task_too(
    hevo: Sandbox, ti: TaskInstance, deferrable: bool
) -> None:
    pipeline = hevo.add_pipeline(7)
    pipeline.start_job(appear_after=15, duration=1000)

    with fails(HevoPipelineBusyError, says="a job is active that does not show yet; Hevo refused SYNC_NOW"):
        play(operator(deferrable=deferrable), ti)

    assert pipeline.jobs_started_by_api == []


@in_both_modes
@pytest.mark.parametrize("parameters", [{"ensure_new_job": False}, {"on_active_job": "start"}])
def test_another_job_is_started_beside_the_active_one_where_hevo_lets_it(
    hevo: Sandbox, ti: TaskInstance, deferrable: bool, parameters: dict[str, Any]
) -> None:
    pipeline = hevo.add_pipeline(7, parallel_jobs=True)
    pipeline.start_job(appear_after=0, duration=1000)

    job_id = play(operator(deferrable=deferrable, **parameters), ti)

    assert [job.id for job in pipeline.jobs_started_by_api] == [job_id]


@in_both_modes
@refused_in_every_way
def test_refused_it_follows_the_active_job(
    hevo: Sandbox, ti: TaskInstance, deferrable: bool, refusal: int, message: str
) -> None:
    pipeline = hevo.add_pipeline(7, refusal=refusal, refusal_message=message)
    job = pipeline.start_job(appear_after=0, duration=100)

    assert play(operator(deferrable=deferrable, ensure_new_job=False), ti) == job.id

    assert pipeline.jobs == [job]
    assert [request.status for request in hevo.requests_of("sync_now")] == [refusal]


@in_both_modes
@refused_in_every_way
def test_refused_because_of_a_job_of_another_type_it_fails_and_names_both(
    hevo: Sandbox, ti: TaskInstance, deferrable: bool, refusal: int, message: str
) -> None:
    pipeline = hevo.add_pipeline(7, refusal=refusal, refusal_message=message)
    job = pipeline.start_job("HISTORICAL", appear_after=0, duration=1000)

    with fails(
        HevoPipelineBusyError, says=rf"{job.id} \(HISTORICAL, IN_PROGRESS\) is active; none is of type INCREMENTAL"
    ):
        play(operator(deferrable=deferrable, ensure_new_job=False), ti)

    assert pipeline.jobs == [job]


@in_both_modes
def test_answered_three_times_in_words_that_nobody_knows_it_fails_and_names_the_active_job(
    hevo: Sandbox, ti: TaskInstance, deferrable: bool
) -> None:
    pipeline = hevo.add_pipeline(7, refusal=500, refusal_message="Internal Server Error")
    job = pipeline.start_job(appear_after=0, duration=1000)

    with fails(HevoJobNotFoundError, says=f"Internal Server Error.* Active is job {job.id}"):
        play(operator(deferrable=deferrable, on_active_job="start"), ti)

    assert pipeline.jobs == [job]
    assert [request.status for request in hevo.requests_of("sync_now")] == [500, 500, 500]


@in_both_modes
def test_refused_because_of_a_job_that_does_not_show_yet_it_follows_that(
    hevo: Sandbox, ti: TaskInstance, deferrable: bool
) -> None:
    job = hevo.add_pipeline(7).start_job(appear_after=15, duration=1000)

    assert play(operator(deferrable=deferrable, on_active_job="start"), ti) == job.id


@in_both_modes
@pytest.mark.parametrize("shown_before", [True, False])
def test_refused_it_never_follows_a_job_that_had_ended_before_though_hevo_touches_it(
    hevo: Sandbox, ti: TaskInstance, deferrable: bool, shown_before: bool
) -> None:
    pipeline = hevo.add_pipeline(7)
    over = pipeline.start_job(ago=20, duration=8, appear_after=0 if shown_before else 23)
    other = pipeline.start_job(ago=1, appear_after=15, duration=600)
    over.override = {"updated_ts": int(START + 3600) * 1000}

    assert play(operator(deferrable=deferrable, on_active_job="start"), ti) == other.id


@in_both_modes
def test_refused_it_follows_a_job_that_was_active_before_and_has_ended_since(
    hevo: Sandbox, ti: TaskInstance, deferrable: bool
) -> None:
    pipeline = hevo.add_pipeline(7)
    other = pipeline.start_job(ago=60, duration=3600)
    hevo.on_request = lambda request: other.end() if request.route == "sync_now" else None

    assert play(operator(deferrable=deferrable, on_active_job="start"), ti) == other.id


@in_both_modes
def test_it_can_follow_the_active_job_without_trying_to_start_one(
    hevo: Sandbox, ti: TaskInstance, deferrable: bool
) -> None:
    job = hevo.add_pipeline(7, parallel_jobs=True).start_job(appear_after=0, duration=1000)

    assert play(operator(deferrable=deferrable, on_active_job="follow"), ti) == job.id

    assert hevo.requests_of("sync_now") == []


def test_an_active_job_of_another_type_is_not_followed(hevo: Sandbox, ti: TaskInstance) -> None:
    hevo.add_pipeline(7).start_job("REFRESHER", appear_after=0, duration=1000)

    with fails(HevoPipelineBusyError, says=r"REFRESHER.*none is of type INCREMENTAL"):
        play(operator(on_active_job="follow"), ti)


@pytest.mark.parametrize("on_active_job", ["fail", "wait", "follow", "start"])
def test_without_an_active_job_it_starts_one_whatever_was_to_be_done(
    hevo: Sandbox, ti: TaskInstance, on_active_job: str
) -> None:
    pipeline = hevo.add_pipeline(7)

    job_id = play(operator(on_active_job=on_active_job), ti)

    assert [job.id for job in pipeline.jobs_started_by_api] == [job_id]


@in_both_modes
@pytest.mark.parametrize("appear_after", [0, 15])
def test_it_can_wait_for_the_active_job_to_end_and_start_then(
    hevo: Sandbox, ti: TaskInstance, deferrable: bool, appear_after: float
) -> None:
    pipeline = hevo.add_pipeline(7)
    other = pipeline.start_job("HISTORICAL", appear_after=appear_after, duration=100)

    job_id = play(operator(deferrable=deferrable, on_active_job="wait"), ti)

    (own,) = pipeline.jobs_started_by_api
    assert own.id == job_id
    assert other.ended_at is not None
    assert own.created_at >= other.ended_at


def test_it_waits_for_the_active_job_in_the_triggerer(hevo: Sandbox, ti: TaskInstance, clock: VirtualClock) -> None:
    hevo.add_pipeline(7).start_job(appear_after=0, duration=1000)
    started_at = clock.now()

    left_behind = work(lambda: operator(on_active_job="wait").execute(ti.context))

    assert isinstance(left_behind, Deferral)
    assert clock.now() == started_at
