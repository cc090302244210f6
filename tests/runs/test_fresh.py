"""``skip_if_fresh``: where a job of the type has completed lately enough, no other is started."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowSkipException

from hevo_provider.exceptions import HevoConfigError, HevoJobFailedError, HevoPipelineBusyError
from hevo_provider.operators import HevoPipelineOperator
from hevo_provider.sandbox import Fault, Sandbox
from hevo_provider.sandbox.jobs import SandboxJob
from hevo_provider.sandbox.pipelines import SandboxPipeline
from hevo_provider.sandbox.world import MISSING
from tests.stage.clock import VirtualClock
from tests.stage.marks import in_both_modes, whether_it_waits_or_not
from tests.stage.objects import objects_operator
from tests.stage.tasks import StateStore, TaskInstance, deferred, operator, play

MINUTE = 60.0
STARTS = ("sync_now", "resync")


def within_half_an_hour(**parameters: Any) -> HevoPipelineOperator:
    return operator(**{"skip_if_fresh": timedelta(minutes=30), **parameters})


@pytest.fixture
def pipeline(hevo: Sandbox) -> SandboxPipeline:
    return hevo.add_pipeline(7)


def ended(pipeline: SandboxPipeline, job_type: str = "INCREMENTAL", *, minutes_ago: float, **how: Any) -> SandboxJob:
    """Add a job of the schedule's that ran for ten minutes, up to so many minutes ago."""
    return pipeline.start_job(
        job_type, ago=(minutes_ago + 10) * MINUTE, duration=10 * MINUTE, **{"appear_after": 0, **how}
    )


def test_by_default_a_job_is_started_however_fresh_another_is(
    hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline
) -> None:
    ended(pipeline, minutes_ago=1)

    play(operator(), ti)

    assert len(hevo.requests_of("sync_now")) == 1
    assert "fresh" not in ti.xcoms["hevo_job"]


@whether_it_waits_or_not
def test_the_task_succeeds_with_a_job_that_completed_lately_enough(
    hevo: Sandbox,
    ti: TaskInstance,
    pipeline: SandboxPipeline,
    story: Callable[[], str],
    deferrable: bool,
    wait_for_completion: bool,
) -> None:
    ended(pipeline, minutes_ago=28)
    job = ended(pipeline, minutes_ago=14)

    job_id = play(within_half_an_hour(deferrable=deferrable, wait_for_completion=wait_for_completion), ti)

    assert job_id == job.id
    assert ti.xcoms["hevo_job"] | {"job_id": job.id, "status": "COMPLETED", "fresh": True} == ti.xcoms["hevo_job"]
    assert hevo.requests_of(*STARTS) == []
    assert len(hevo.requests) == 2
    assert f"job {job.id} (INCREMENTAL) ended COMPLETED" in (told := story())
    assert "within skip_if_fresh (1800 s): nothing is started" in told


@in_both_modes
def test_it_can_skip_instead_and_tells_the_job_all_the_same(
    hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline, deferrable: bool
) -> None:
    job = ended(pipeline, minutes_ago=14)

    with pytest.raises(AirflowSkipException, match=f"job {job.id} is fresh enough"):
        play(within_half_an_hour(on_fresh="skip", deferrable=deferrable), ti)

    assert hevo.requests_of(*STARTS) == []
    assert (ti.xcoms["hevo_job"]["job_id"], ti.xcoms["hevo_job"]["fresh"]) == (job.id, True)


@in_both_modes
@pytest.mark.parametrize(
    ("there", "why"),
    [
        ([], "none of its newest jobs of type INCREMENTAL has completed"),
        ([("INCREMENTAL", "COMPLETED", 31)], "may have ended at"),
        ([("INCREMENTAL", "FAILED", 5)], "has completed"),
        ([("INCREMENTAL", "COMPLETED_WITH_FAILURES", 5)], "has completed"),
        ([("INCREMENTAL", "DEFERRED", 5)], "has completed"),
        ([("INCREMENTAL", "CANCELLED", 5)], "has completed"),
        ([("INCREMENTAL", "SKIPPED", 5)], "has completed"),
        ([("HISTORICAL", "COMPLETED", 5)], "has completed"),  # maybe of what was included since, and no more
        ([("RESYNC", "COMPLETED", 5)], "has completed"),
        ([("INCREMENTAL", "COMPLETED", 25), ("RESYNC", "FAILED", 5)], r"there is job .* \(RESYNC, FAILED\)"),
        ([("INCREMENTAL", "COMPLETED", 25), ("RESYNC_WITH_DROP_AND_LOAD", "CANCELLED", 5)], "there is job"),
    ],
)
def test_a_job_is_started_where_none_is_fresh(
    ti: TaskInstance,
    pipeline: SandboxPipeline,
    story: Callable[[], str],
    deferrable: bool,
    there: list[tuple[str, str, float]],
    why: str,
) -> None:
    for job_type, ends, minutes_ago in there:
        ended(pipeline, job_type, minutes_ago=minutes_ago, ends=ends)

    job_id = play(within_half_an_hour(deferrable=deferrable, on_deferred="accept"), ti)

    assert [job.id for job in pipeline.jobs_started_by_api] == [job_id]
    assert "fresh" not in ti.xcoms["hevo_job"]
    (line,) = [line for line in story().splitlines() if "SYNC_NOW is needed" in line]
    assert re.search(why, line)


@pytest.mark.parametrize(
    ("later", "ends"),
    [("RESYNC", "COMPLETED"), ("RESYNC", "SKIPPED"), ("INCREMENTAL", "FAILED"), ("REFRESHER", "FAILED")],
)
def test_what_came_later_and_has_emptied_no_table_does_not_matter(
    hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline, later: str, ends: str
) -> None:
    job = ended(pipeline, minutes_ago=25)
    ended(pipeline, later, minutes_ago=5, ends=ends)

    assert play(within_half_an_hour(), ti) == job.id

    assert hevo.requests_of(*STARTS) == []


def test_a_resync_that_failed_before_it_does_not_matter(ti: TaskInstance, pipeline: SandboxPipeline) -> None:
    ended(pipeline, "RESYNC", minutes_ago=20, ends="FAILED")
    job = ended(pipeline, minutes_ago=5)

    assert play(within_half_an_hour(), ti) == job.id


@in_both_modes
def test_partial_failures_are_fresh_where_they_are_accepted(
    ti: TaskInstance, pipeline: SandboxPipeline, deferrable: bool
) -> None:
    job = ended(pipeline, minutes_ago=5, ends="COMPLETED_WITH_FAILURES")

    assert play(within_half_an_hour(accept_completed_with_failures=True, deferrable=deferrable), ti) == job.id


# When it ended


@pytest.mark.parametrize(
    ("override", "is_fresh"),
    [
        ({}, True),
        ({"updated_ts": MISSING}, True),
        ({"duration": MISSING}, False),  # it was created 35 minutes ago, and Hevo touches jobs long after their end
        ({"created_ts": MISSING}, False),
        ({"duration": 10**9}, True),
    ],
)
def test_the_end_is_the_earliest_that_hevos_times_allow(
    ti: TaskInstance,
    pipeline: SandboxPipeline,
    story: Callable[[], str],
    override: dict[str, Any],
    is_fresh: bool,
) -> None:
    job = ended(pipeline, minutes_ago=25)
    job.override = override

    assert (play(within_half_an_hour(), ti) == job.id) is is_fresh
    assert "at 1970-" not in story()


def test_an_old_job_that_hevo_has_touched_since_is_not_fresh(
    ti: TaskInstance, pipeline: SandboxPipeline, clock: VirtualClock
) -> None:
    job = ended(pipeline, minutes_ago=50)
    job.override = {"updated_ts": int(clock.now() * 1000)}

    assert play(within_half_an_hour(), ti) != job.id


def test_a_job_that_ends_in_the_future_is_not_fresh(
    ti: TaskInstance, pipeline: SandboxPipeline, clock: VirtualClock
) -> None:
    job = ended(pipeline, minutes_ago=5)
    job.override = {"created_ts": int(clock.now() * 1000) + 3_600_000, "updated_ts": MISSING}

    assert play(within_half_an_hour(), ti) != job.id


def test_where_hevo_does_not_tell_its_time_nothing_is_fresh(
    hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline
) -> None:
    job = ended(pipeline, minutes_ago=5)
    hevo.inject("list_jobs", Fault.with_headers({"Date": None}), times=None)

    assert play(within_half_an_hour(), ti) != job.id


# Beside active jobs, retries and clears


@in_both_modes
def test_an_active_job_is_not_fresh(ti: TaskInstance, pipeline: SandboxPipeline, deferrable: bool) -> None:
    active = pipeline.start_job(appear_after=0, duration=1000)

    with pytest.raises(HevoPipelineBusyError) as failure:
        play(within_half_an_hour(deferrable=deferrable), ti)

    assert failure.value.job_id == active.id


@in_both_modes
def test_an_active_job_beside_a_fresh_one_is_left_alone(
    hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline, deferrable: bool
) -> None:
    job = ended(pipeline, minutes_ago=5)
    active = pipeline.start_job(appear_after=0, duration=1000)

    assert play(within_half_an_hour(deferrable=deferrable, on_active_job="cancel"), ti) == job.id

    assert active.cancel_requests == 0
    assert hevo.requests_of(*STARTS) == []


@pytest.mark.parametrize("dated", [True, False])
def test_a_resync_that_runs_makes_what_was_loaded_before_no_longer_fresh(
    ti: TaskInstance, pipeline: SandboxPipeline, dated: bool
) -> None:
    ended(pipeline, minutes_ago=5)
    resync = pipeline.start_job("RESYNC", appear_after=0, duration=1000)
    resync.override = {} if dated else {"created_ts": MISSING}

    with pytest.raises(HevoPipelineBusyError) as failure:
        play(within_half_an_hour(), ti)

    assert failure.value.job_id == resync.id


@in_both_modes
@pytest.mark.parametrize("ends", ["COMPLETED", "FAILED"])
def test_the_active_job_that_is_waited_for_is_fresh_once_it_has_completed(
    hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline, deferrable: bool, ends: str
) -> None:
    job = pipeline.start_job(appear_after=0, duration=300, ends=ends)

    job_id = play(within_half_an_hour(deferrable=deferrable, on_active_job="wait"), ti)

    assert (job_id == job.id) is (ends == "COMPLETED")
    assert len(hevo.requests_of("sync_now")) == (0 if ends == "COMPLETED" else 1)


@in_both_modes
def test_a_retry_after_the_tasks_own_failed_job_starts_another(
    ti: TaskInstance, pipeline: SandboxPipeline, deferrable: bool
) -> None:
    pipeline.ends = "COMPLETED_WITH_FAILURES"
    with pytest.raises(HevoJobFailedError):
        play(within_half_an_hour(deferrable=deferrable, retries=1), ti)
    pipeline.ends = "COMPLETED"
    ti.next_try()

    job_id = play(within_half_an_hour(deferrable=deferrable, retries=1), ti)

    assert [job.id for job in pipeline.jobs][1:] == [job_id]


def test_a_retry_is_content_with_what_has_completed_since_its_own_job_failed(
    ti: TaskInstance, pipeline: SandboxPipeline, clock: VirtualClock
) -> None:
    pipeline.ends = "FAILED"
    with pytest.raises(HevoJobFailedError):
        play(within_half_an_hour(retries=1), ti)
    clock.advance(300)
    schedules = pipeline.start_job(appear_after=0, duration=5, ends="COMPLETED")
    clock.advance(60)
    ti.next_try()

    assert play(within_half_an_hour(retries=1), ti) == schedules.id


@in_both_modes
@pytest.mark.parametrize("store", [StateStore(), None])
def test_a_users_clear_starts_a_job_however_fresh_the_last_is(
    hevo: Sandbox, clock: VirtualClock, pipeline: SandboxPipeline, deferrable: bool, store: StateStore | None
) -> None:
    ti = TaskInstance(clock, retries=1, store=store)
    ended(pipeline, minutes_ago=5)
    play(within_half_an_hour(deferrable=deferrable, retries=1), ti)
    assert hevo.requests_of("sync_now") == []
    ti.next_try(cleared=True)

    job_id = play(within_half_an_hour(deferrable=deferrable, retries=1), ti)

    assert [job.id for job in pipeline.jobs_started_by_api] == [job_id]


def test_a_sync_that_goes_on_from_a_deferred_job_is_started_whatever_else_completed(
    ti: TaskInstance, pipeline: SandboxPipeline, clock: VirtualClock
) -> None:
    pipeline.ends = "DEFERRED"
    left_behind = deferred(within_half_an_hour(on_deferred="continue"), ti)
    clock.advance(60)
    pipeline.ends = "COMPLETED"
    pipeline.start_job(appear_after=0, duration=5)
    clock.advance(60)

    job_id = play(within_half_an_hour(on_deferred="continue"), ti, left_behind)

    assert [job.id for job in pipeline.jobs_started_by_api][1:] == [job_id]


# Resyncs


@in_both_modes
@pytest.mark.parametrize("job_type", ["RESYNC", "TRUNCATE_AND_LOAD"])
def test_a_resync_that_has_loaded_the_whole_pipeline_is_fresh(
    hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline, deferrable: bool, job_type: str
) -> None:
    job = ended(pipeline, job_type, minutes_ago=5)
    pipeline.add_object("archive").status = "DISABLED"

    assert play(within_half_an_hour(action="RESYNC", deferrable=deferrable), ti) == job.id

    assert hevo.requests_of(*STARTS) == []


@pytest.mark.parametrize("tells", ["a part", "nothing", "nothing of the pipeline either", "an error"])
def test_a_resync_that_may_have_loaded_a_few_objects_only_is_not(
    hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline, story: Callable[[], str], tells: str
) -> None:
    job = ended(pipeline, "RESYNC", minutes_ago=5)
    if tells == "an error":
        hevo.inject("list_job_objects", Fault.status(404), times=None)
    job.object_names = ("orders",) if tells == "a part" else ()
    if tells == "nothing of the pipeline either":
        pipeline.objects.clear()

    assert play(within_half_an_hour(action="RESYNC"), ti) != job.id

    assert f"job {job.id} has " in story()


@in_both_modes
@pytest.mark.parametrize(
    ("loaded", "chosen", "is_fresh"),
    [
        (("orders", "customers"), {"objects": ["orders"]}, True),
        (("orders", "customers"), {"objects": ["*"]}, False),
        (("orders", "customers"), {"object_ids": ["invoices"]}, False),
        (("orders", "customers"), {"object_ids": ["customers"]}, True),
    ],
)
def test_objects_are_fresh_where_all_of_them_were_loaded(
    ti: TaskInstance,
    pipeline: SandboxPipeline,
    deferrable: bool,
    loaded: tuple[str, ...],
    chosen: dict[str, Any],
    is_fresh: bool,
) -> None:
    job = ended(pipeline, "RESYNC", minutes_ago=5)
    job.object_names = loaded
    ids = [pipeline.object_id_of(name) for name in chosen.get("object_ids", ())]
    chosen = {"object_ids": ids} if ids else chosen

    job_id = play(objects_operator(**chosen, skip_if_fresh=timedelta(minutes=30), deferrable=deferrable), ti)

    assert (job_id == job.id) is is_fresh


# At parse


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"skip_if_fresh": 0}, "skip_if_fresh must be above 0 s"),
        ({"skip_if_fresh": timedelta(minutes=-1)}, "skip_if_fresh must be above 0 s"),
        ({"skip_if_fresh": "1h"}, "skip_if_fresh must be a number of seconds"),
        ({"on_fresh": "fail"}, "on_fresh must be one of succeed, skip"),
    ],
)
def test_what_makes_no_sense_is_told_when_the_dag_is_parsed(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(HevoConfigError, match=message):
        operator(**wrong)


@in_both_modes
@pytest.mark.parametrize("status", [403, 429])
def test_what_cannot_be_asked_for_over_hevos_limit_is_asked_for_later(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, deferrable: bool, status: int
) -> None:
    pipeline = hevo.add_pipeline(7)
    play(operator(action="RESYNC"), ti)
    refused = Fault.status(status, body={"message": "Request rate limit exceeded"})
    hevo.inject("list_job_objects", refused, times=None)
    ends = clock.now() + 900
    hevo.on_request = lambda _: hevo.clear_faults() if clock.now() >= ends else None

    job_id = play(operator(action="RESYNC", deferrable=deferrable, skip_if_fresh=7200), TaskInstance(clock))

    assert [job.id for job in pipeline.jobs] == [job_id]
