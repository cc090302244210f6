"""A sync brings an INCREMENTAL job, or a HISTORICAL one: where the first load has not ended, or instead of it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from airflow.providers.common.compat.sdk import AirflowTaskTimeout

from hevo_provider.exceptions import HevoJobFailedError, HevoJobNotFoundError, HevoPipelineBusyError
from hevo_provider.sandbox import Fault, Sandbox
from tests.stage.clock import VirtualClock
from tests.stage.death import lose_worker
from tests.stage.failures import fails
from tests.stage.marks import in_both_modes, whether_it_waits_or_not
from tests.stage.tasks import TaskInstance, operator, play

RETRY_DELAY = 300.0


@whether_it_waits_or_not
@pytest.mark.parametrize("duration", [1, 100], ids=["over-when-found", "at-work-when-found"])
def test_a_historical_job_is_followed_where_the_sync_has_brought_nothing_else(
    hevo: Sandbox,
    ti: TaskInstance,
    story: Callable[[], str],
    deferrable: bool,
    wait_for_completion: bool,
    duration: float,
) -> None:
    pipeline = hevo.add_pipeline(7, sync_brings=["HISTORICAL"], duration=duration)

    job_id = play(operator(deferrable=deferrable, wait_for_completion=wait_for_completion), ti)

    assert [job.id for job in pipeline.jobs] == [job_id]
    assert ti.xcoms["hevo_job"]["job_type"] == "HISTORICAL"
    assert "SYNC_NOW has brought no INCREMENTAL job but a HISTORICAL one: following that" in story()


@in_both_modes
def test_an_incremental_job_is_preferred_to_the_historical_one_before_it(
    hevo: Sandbox, ti: TaskInstance, deferrable: bool
) -> None:
    pipeline = hevo.add_pipeline(7, sync_brings=["HISTORICAL", "INCREMENTAL"], duration=20)

    job_id = play(operator(deferrable=deferrable), ti)

    assert pipeline.jobs[1].id == job_id
    assert ti.xcoms["hevo_job"]["job_type"] == "INCREMENTAL"


@in_both_modes
@pytest.mark.parametrize(("given", "brought"), [("INCREMENTAL", "HISTORICAL"), ("HISTORICAL", "INCREMENTAL")])
def test_a_job_type_that_is_given_is_strict(
    hevo: Sandbox, ti: TaskInstance, deferrable: bool, given: str, brought: str
) -> None:
    hevo.add_pipeline(7, sync_brings=[brought])

    with fails(HevoJobNotFoundError, says=rf"no job of type {given} appeared .* there is {brought} \(job"):
        play(operator(job_type=given, deferrable=deferrable), ti)


@in_both_modes
def test_a_historical_job_that_was_there_before_the_call_is_not_its_own(
    hevo: Sandbox, ti: TaskInstance, deferrable: bool
) -> None:
    pipeline = hevo.add_pipeline(7, parallel_jobs=True)
    pipeline.start_job("HISTORICAL", ago=60, appear_after=0, duration=3600)
    hevo.inject("sync_now", Fault.json({"message": "Sync has been triggered"}))

    with pytest.raises(HevoJobNotFoundError):
        play(operator(on_active_job="start", deferrable=deferrable), ti)

    assert pipeline.jobs[0].cancel_requests == 0


@in_both_modes
def test_a_historical_job_that_fails_fails_the_task(hevo: Sandbox, ti: TaskInstance, deferrable: bool) -> None:
    pipeline = hevo.add_pipeline(7, sync_brings=["HISTORICAL"], ends="FAILED")

    with fails(HevoJobFailedError, says=r"\(HISTORICAL\) ended FAILED"):
        play(operator(deferrable=deferrable), ti)
    pipeline.ends, pipeline.sync_brings = "COMPLETED", ["INCREMENTAL"]
    ti.next_try()

    assert play(operator(deferrable=deferrable), ti) == pipeline.jobs[1].id


@in_both_modes
@pytest.mark.parametrize("fault", [Fault.reset(after=True), Fault.status(503, after=True)], ids=["reset", "503"])
def test_an_answer_that_is_lost_costs_no_second_job_where_it_has_brought_a_historical_one(
    hevo: Sandbox, ti: TaskInstance, deferrable: bool, fault: Fault
) -> None:
    pipeline = hevo.add_pipeline(7, sync_brings=["HISTORICAL"], duration=100)
    hevo.inject("sync_now", fault)

    job_id = play(operator(deferrable=deferrable), ti)

    assert [job.id for job in pipeline.jobs] == [job_id]


@in_both_modes
@pytest.mark.parametrize("timeout", [40, 1000], ids=["while-it-is-searched-for", "while-it-is-followed"])
def test_the_historical_job_of_a_task_whose_time_is_over_is_cancelled(
    hevo: Sandbox, ti: TaskInstance, deferrable: bool, timeout: float
) -> None:
    pipeline = hevo.add_pipeline(7, sync_brings=["HISTORICAL"], duration=3600)

    with fails(AirflowTaskTimeout, says="Hevo was asked to cancel it"):
        play(operator(deferrable=deferrable, timeout=timeout), ti)

    assert [job.status for job in pipeline.jobs] == ["CANCELLING"]


@in_both_modes
@pytest.mark.parametrize("duration", [100, 500], ids=["over", "at-work"])
def test_a_retry_ends_with_the_historical_job_of_a_lost_worker(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, deferrable: bool, duration: float
) -> None:
    pipeline = hevo.add_pipeline(7, sync_brings=["HISTORICAL"], duration=duration)
    lose_worker(operator(), ti)
    clock.advance(RETRY_DELAY)
    ti.next_try()

    job_id = play(operator(deferrable=deferrable), ti)

    assert [job.id for job in pipeline.jobs] == [job_id]


@in_both_modes
def test_a_cleared_task_makes_way_for_its_own_new_job(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, deferrable: bool
) -> None:
    pipeline = hevo.add_pipeline(7, sync_brings=["HISTORICAL"], duration=600)
    lose_worker(operator(), ti)
    clock.advance(60)
    ti.next_try(cleared=True)

    job_id = play(operator(deferrable=deferrable), ti)

    assert [job.status for job in pipeline.jobs] == ["CANCELLED", "COMPLETED"]
    assert pipeline.jobs[1].id == job_id


@in_both_modes
def test_the_historical_job_of_somebody_else_is_not_followed(hevo: Sandbox, ti: TaskInstance, deferrable: bool) -> None:
    hevo.add_pipeline(7).start_job("HISTORICAL", appear_after=0, duration=3600)

    with fails(HevoPipelineBusyError, says="none is of type INCREMENTAL"):
        play(operator(on_active_job="follow", deferrable=deferrable), ti)


@in_both_modes
@pytest.mark.parametrize(
    ("drop_and_load", "name"),
    [
        (False, "RESYNC"),
        (False, "RESYNC_WITH_EVOLVE"),
        (False, "TRUNCATE_AND_LOAD"),
        (True, "RESYNC_WITH_DROP_AND_LOAD"),
        (True, "TRUNCATE_AND_LOAD"),
    ],
)
@pytest.mark.parametrize("is_given", [False, True], ids=["from-the-action", "given"])
def test_a_resync_takes_every_name_that_it_has_had(
    hevo: Sandbox, ti: TaskInstance, deferrable: bool, drop_and_load: bool, name: str, is_given: bool
) -> None:
    kind = "RESYNC_WITH_DROP_AND_LOAD" if drop_and_load else "RESYNC"
    pipeline = hevo.add_pipeline(7, job_type_names={kind: name})
    job_type = kind if is_given else None
    task = operator(action="RESYNC", drop_and_load=drop_and_load, job_type=job_type, deferrable=deferrable)

    job_id = play(task, ti)

    assert [job.id for job in pipeline.jobs] == [job_id]
    assert ti.xcoms["hevo_job"]["job_type"] == name
