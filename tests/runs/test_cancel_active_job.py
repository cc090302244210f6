"""``on_active_job="cancel"``: the active job is cancelled, its end is waited for, and only then a job is started."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowTaskTimeout

from hevo_provider.exceptions import HevoConfigError, HevoPipelineBusyError
from hevo_provider.operators import HevoPipelineOperator
from hevo_provider.sandbox import Fault, Request, Sandbox
from hevo_provider.sandbox.pipelines import SandboxPipeline
from tests.stage.clock import VirtualClock
from tests.stage.death import lose_worker
from tests.stage.failures import fails, told_by
from tests.stage.marks import for_every_action, in_both_modes, whether_it_waits_or_not
from tests.stage.tasks import ACTIONS, Deferral, TaskInstance, deferred, operator, operator_of, play, work

STARTS = [action.lower() for action in ACTIONS]


def cancelling(action: str = "SYNC_NOW", **parameters: Any) -> HevoPipelineOperator:
    return operator_of(action, on_active_job="cancel", **parameters)


def at_work(pipeline: SandboxPipeline, job_type: str = "INCREMENTAL", *, cancelling_for: float = 2.0) -> Any:
    """Let somebody's job be at work."""
    job = pipeline.start_job(job_type, started_by="somebody", ago=60, appear_after=0, duration=100_000)
    job.cancelling_for = cancelling_for
    return job


def never_two(hevo: Sandbox, pipeline: SandboxPipeline) -> None:
    """Fail the test where a start is asked for while a job is at work."""

    def told(request: Request) -> None:
        assert request.route not in STARTS or len(pipeline.active_jobs) <= 1, "a start beside an active job"

    hevo.on_request = told


@for_every_action
@whether_it_waits_or_not
@pytest.mark.parametrize("cancelling_for", [0, 300])
def test_the_active_job_is_cancelled_and_one_is_started_after_its_end(
    hevo: Sandbox,
    ti: TaskInstance,
    action: str,
    deferrable: bool,
    wait_for_completion: bool,
    cancelling_for: float,
) -> None:
    pipeline = hevo.add_pipeline(7, parallel_jobs=True)
    other = at_work(pipeline, cancelling_for=cancelling_for)

    job_id = play(cancelling(action, deferrable=deferrable, wait_for_completion=wait_for_completion), ti)

    (own,) = pipeline.jobs_started_by_api
    assert own.id == job_id
    assert other.status == "CANCELLED"
    assert other.cancel_requests == 1
    assert own.created_at >= other.ended_at


def test_the_worker_is_free_while_the_job_is_being_cancelled(hevo: Sandbox, ti: TaskInstance) -> None:
    other = at_work(hevo.add_pipeline(7), cancelling_for=300)

    left_behind = work(lambda: cancelling().execute(ti.context))

    assert isinstance(left_behind, Deferral)
    assert left_behind.kwargs["yield_to"] == other.id
    assert other.status == "CANCELLING"
    assert hevo.requests_of(*STARTS) == []


@in_both_modes
def test_the_log_names_the_job_and_says_that_it_is_anothers(
    hevo: Sandbox, ti: TaskInstance, story: Callable[[], str], deferrable: bool
) -> None:
    other = at_work(hevo.add_pipeline(7), "HISTORICAL")

    play(cancelling(deferrable=deferrable), ti)

    assert f"cancelling job {other.id} (HISTORICAL, IN_PROGRESS) before SYNC_NOW" in (told := story())
    assert "This task has not started it" in told


@pytest.mark.parametrize("on_active_job", [None, "fail", "wait", "follow", "start"])
@in_both_modes
def test_it_is_never_the_default(hevo: Sandbox, ti: TaskInstance, deferrable: bool, on_active_job: str | None) -> None:
    other = hevo.add_pipeline(7).start_job(ago=60, appear_after=0, duration=200)

    try:
        play(operator(deferrable=deferrable, on_active_job=on_active_job), ti)
    except HevoPipelineBusyError:
        assert on_active_job in {None, "fail"}

    assert other.cancel_requests == 0


@in_both_modes
@pytest.mark.parametrize("status", [400, 401, 403, 405, 422])
def test_a_cancel_that_hevo_refuses_fails_the_task_and_names_the_job(
    hevo: Sandbox, ti: TaskInstance, deferrable: bool, status: int
) -> None:
    other = at_work(hevo.add_pipeline(7))
    hevo.inject("cancel_job", Fault.json({"message": "A role of this kind may not"}, status=status), times=None)

    with pytest.raises(HevoPipelineBusyError) as failure:
        play(cancelling(deferrable=deferrable), ti)

    assert failure.value.job_id == other.id
    assert f"job {other.id} (INCREMENTAL, IN_PROGRESS) is active and was not cancelled" in told_by(failure.value)
    assert "A role of this kind may not" in told_by(failure.value)
    assert hevo.requests_of(*STARTS) == []


@in_both_modes
@pytest.mark.parametrize("status", [404, 409])
def test_a_job_that_is_ending_by_itself_is_waited_for(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, deferrable: bool, status: int
) -> None:
    pipeline = hevo.add_pipeline(7, parallel_jobs=True)
    other = at_work(pipeline)
    other.duration = 60 + 90
    hevo.inject("cancel_job", Fault.status(status), times=None)
    never_two(hevo, pipeline)

    job_id = play(cancelling(deferrable=deferrable), ti)

    assert [job.id for job in pipeline.jobs_started_by_api] == [job_id]
    assert other.status == "COMPLETED"
    assert len(hevo.requests_of("cancel_job")) == 1


@in_both_modes
@pytest.mark.parametrize(
    "fault",
    [Fault.status(503), Fault.status(503, after=True), Fault.reset(), Fault.status(429), Fault.html(403)],
    ids=["503", "503-after", "reset", "429", "a-gateway's-403"],
)
def test_a_cancel_whose_fate_is_not_known_is_repeated_and_nothing_is_started_beside_the_job(
    hevo: Sandbox, ti: TaskInstance, deferrable: bool, fault: Fault
) -> None:
    pipeline = hevo.add_pipeline(7, parallel_jobs=True)
    other = at_work(pipeline)
    hevo.inject("cancel_job", fault, times=5)
    never_two(hevo, pipeline)

    job_id = play(cancelling(deferrable=deferrable), ti)

    assert [job.id for job in pipeline.jobs_started_by_api] == [job_id]
    assert other.status == "CANCELLED"


@pytest.mark.parametrize(
    ("fault", "pause"), [(Fault.status(503), 20), (Fault.status(429, headers={"Retry-After": "90"}), 90)]
)
def test_a_cancel_that_hevo_has_no_time_for_is_repeated_after_what_it_asks_for(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, fault: Fault, pause: float
) -> None:
    at_work(hevo.add_pipeline(7))
    hevo.inject("cancel_job", fault, times=None)

    left_behind = deferred(cancelling(poll_interval=5), ti)

    assert left_behind.kwargs["not_before"] == pytest.approx(clock.now() + pause, abs=0.01)


@in_both_modes
def test_what_the_schedule_starts_meanwhile_is_cancelled_too(hevo: Sandbox, ti: TaskInstance, deferrable: bool) -> None:
    pipeline = hevo.add_pipeline(7)
    first = at_work(pipeline)
    second: list[Any] = []

    def told(request: Request) -> None:
        if request.route == "list_jobs" and first.status == "CANCELLED" and not second:
            second.append(pipeline.start_job(appear_after=0, duration=100_000))

    hevo.on_request = told

    job_id = play(cancelling(deferrable=deferrable), ti)

    assert [job.status for job in pipeline.jobs] == ["CANCELLED", "CANCELLED", "COMPLETED"]
    assert pipeline.jobs[-1].id == job_id


@in_both_modes
def test_a_job_that_did_not_show_before_it_refused_the_call_is_cancelled(
    hevo: Sandbox, ti: TaskInstance, deferrable: bool
) -> None:
    pipeline = hevo.add_pipeline(7)
    other = pipeline.start_job(ago=1, appear_after=12, duration=100_000)

    job_id = play(cancelling(deferrable=deferrable), ti)

    assert [job.id for job in pipeline.jobs_started_by_api] == [job_id]
    assert other.status == "CANCELLED"


@in_both_modes
def test_a_job_that_may_be_its_own_is_not_cancelled(hevo: Sandbox, ti: TaskInstance, deferrable: bool) -> None:
    pipeline = hevo.add_pipeline(7, sync_brings=["REFRESHER"], duration=100_000)
    hevo.inject("sync_now", Fault.reset(after=True))

    with fails(HevoPipelineBusyError, says="may be its own"):
        play(cancelling(deferrable=deferrable), ti)

    assert [job.cancel_requests for job in pipeline.jobs] == [0]


@in_both_modes
def test_a_job_that_is_older_than_a_call_whose_answer_was_lost_is_cancelled(
    hevo: Sandbox, ti: TaskInstance, deferrable: bool
) -> None:
    pipeline = hevo.add_pipeline(7)
    other = pipeline.start_job(ago=20, appear_after=40, duration=100_000)
    hevo.inject("sync_now", Fault.reset(after=False))
    never_two(hevo, pipeline)

    job_id = play(cancelling(deferrable=deferrable), ti)

    assert [job.id for job in pipeline.jobs_started_by_api] == [job_id]
    assert other.status == "CANCELLED"


@in_both_modes
def test_the_job_of_an_earlier_try_of_the_task_is_followed_and_not_cancelled(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, deferrable: bool
) -> None:
    pipeline = hevo.add_pipeline(7, duration=1000)
    lose_worker(cancelling(), ti)
    clock.advance(300)
    ti.next_try()

    job_id = play(cancelling(deferrable=deferrable), ti)

    assert [job.id for job in pipeline.jobs] == [job_id]
    assert pipeline.jobs[0].cancel_requests == 0


@in_both_modes
def test_a_task_whose_time_is_over_starts_nothing_afterwards(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, deferrable: bool
) -> None:
    pipeline = hevo.add_pipeline(7)
    other = at_work(pipeline, cancelling_for=5000)

    with fails(AirflowTaskTimeout, says=f"nothing had been started .* waiting for job {other.id}"):
        play(cancelling(deferrable=deferrable, timeout=100), ti)

    assert pipeline.jobs_started_by_api == []


@in_both_modes
def test_nothing_is_cancelled_by_a_task_whose_time_was_over_before_it_came_to_that(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, deferrable: bool
) -> None:
    other = at_work(hevo.add_pipeline(7))
    clock.advance(200)

    with pytest.raises(AirflowTaskTimeout):
        play(cancelling(deferrable=deferrable, timeout=100), ti)

    assert other.cancel_requests == 0


@in_both_modes
def test_nor_for_a_pipeline_that_cannot_run(hevo: Sandbox, ti: TaskInstance, deferrable: bool) -> None:
    other = at_work(hevo.add_pipeline(7, status="DISABLED"))

    with fails(Exception, says="DISABLED"):
        play(cancelling(deferrable=deferrable), ti)

    assert other.cancel_requests == 0


@in_both_modes
def test_where_airflow_remembers_no_earlier_try_the_log_says_that_it_may_be_that_ones(
    hevo: Sandbox, ti: TaskInstance, story: Callable[[], str], deferrable: bool
) -> None:
    other = at_work(hevo.add_pipeline(7))
    ti.store = None
    ti.next_try()

    play(cancelling(deferrable=deferrable), ti)

    assert other.status == "CANCELLED"
    assert "Whether an earlier try of this task has started it is not known" in story()


def test_another_word_is_refused_when_the_dag_is_parsed() -> None:
    with fails(HevoConfigError, says="on_active_job must be one of fail, wait, cancel, follow, start"):
        operator(on_active_job="kill")
