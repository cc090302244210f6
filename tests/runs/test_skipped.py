"""Hevo lists a scheduled run that falls due while another job is active as SKIPPED: nobody's sync is that job."""

from __future__ import annotations

import pytest

from hevo_provider.exceptions import HevoJobFailedError
from hevo_provider.sandbox import Fault, Sandbox
from hevo_provider.sandbox.jobs import SandboxJob
from hevo_provider.sandbox.pipelines import SandboxPipeline
from tests.runs.test_own_job import when_asked
from tests.stage.failures import fails, told_by
from tests.stage.marks import in_both_modes, whether_it_waits_or_not
from tests.stage.tasks import TaskInstance, operator, operator_of, play

ACCEPTED = {"message": "Sync has been triggered"}


def skip(pipeline: SandboxPipeline, job_type: str = "INCREMENTAL") -> SandboxJob:
    """Let a run fall due while a job is active."""
    return pipeline.start_job(job_type, appear_after=0, duration=0, ends="SKIPPED")


@in_both_modes
@pytest.mark.parametrize(("action", "job_type"), [("SYNC_NOW", "INCREMENTAL"), ("RESYNC", "RESYNC")])
def test_a_skipped_job_that_shows_before_its_own_is_not_taken_for_it(
    hevo: Sandbox, ti: TaskInstance, deferrable: bool, action: str, job_type: str
) -> None:
    pipeline = hevo.add_pipeline(7, appear_after=15)
    when_asked(hevo, action.lower(), lambda: skip(pipeline, job_type))

    job_id = play(operator_of(action, deferrable=deferrable), ti)

    assert [job.id for job in pipeline.jobs_started_by_api] == [job_id]


@in_both_modes
def test_nor_is_a_run_that_the_schedule_skips_while_its_own_does_not_show_yet(
    hevo: Sandbox, ti: TaskInstance, deferrable: bool
) -> None:
    schedule = {"sync_type": "SCHEDULED", "frequency_minutes": 1}
    pipeline = hevo.add_pipeline(7, appear_after=90, baseline_lag=0, duration=300, fields={"schedule": schedule})

    job_id = play(operator(deferrable=deferrable, poll_interval=20), ti)

    assert [job.id for job in pipeline.jobs_started_by_api] == [job_id]
    assert "SKIPPED" in [job.status for job in pipeline.jobs]


@whether_it_waits_or_not
@pytest.mark.parametrize("duration", [15, 3600], ids=["over-by-now", "at-work"])
def test_where_nothing_else_shows_it_fails_the_task_naming_what_was_active_then(
    hevo: Sandbox, ti: TaskInstance, deferrable: bool, wait_for_completion: bool, duration: float
) -> None:
    pipeline = hevo.add_pipeline(7)
    pipeline.start_job("HISTORICAL", ago=1000, duration=500)
    hevo.inject("sync_now", Fault.json(ACCEPTED))

    def somebody_was_faster() -> None:
        pipeline.start_job("REFRESHER", started_by="somebody", ago=1, duration=duration)
        skip(pipeline)

    when_asked(hevo, "sync_now", somebody_was_faster)

    with pytest.raises(HevoJobFailedError) as failure:
        play(operator(deferrable=deferrable, wait_for_completion=wait_for_completion), ti)

    _, other, skipped = pipeline.jobs
    assert failure.value.job_id == skipped.id
    assert f"job {skipped.id} (INCREMENTAL) ended SKIPPED" in told_by(failure.value)
    assert f"while another job is active; job {other.id} (REFRESHER, {other.status}) was then" in told_by(failure.value)
    assert other.cancel_requests == 0


@in_both_modes
def test_what_was_active_may_have_gone_from_the_list(hevo: Sandbox, ti: TaskInstance, deferrable: bool) -> None:
    pipeline = hevo.add_pipeline(7)
    hevo.inject("sync_now", Fault.json(ACCEPTED))
    when_asked(hevo, "sync_now", lambda: skip(pipeline))

    with fails(HevoJobFailedError, says="which one that was could not be seen"):
        play(operator(deferrable=deferrable), ti)


@in_both_modes
def test_an_answer_that_is_lost_is_sent_again_where_only_a_skipped_job_shows(
    hevo: Sandbox, ti: TaskInstance, deferrable: bool
) -> None:
    pipeline = hevo.add_pipeline(7)
    hevo.inject("sync_now", Fault.status(503))
    skipped: list[SandboxJob] = []
    when_asked(hevo, "sync_now", lambda: skipped or skipped.append(skip(pipeline)))  # type: ignore[func-returns-value]

    job_id = play(operator(deferrable=deferrable), ti)

    assert [job.id for job in pipeline.jobs_started_by_api] == [job_id]
    assert len(hevo.requests_of("sync_now")) == 2


@in_both_modes
def test_a_task_that_follows_the_job_that_refused_it_does_not_follow_a_skipped_one(
    hevo: Sandbox, ti: TaskInstance, deferrable: bool
) -> None:
    pipeline = hevo.add_pipeline(7)
    other = pipeline.start_job(ago=1, appear_after=12, duration=60)
    when_asked(hevo, "sync_now", lambda: skip(pipeline))

    job_id = play(operator(on_active_job="start", deferrable=deferrable), ti)

    assert job_id == other.id
