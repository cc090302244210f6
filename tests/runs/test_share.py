"""A wait's share of Hevo's limit: what it asks the budget for, and how urgent its next poll is."""

from __future__ import annotations

import logging

import pytest

from hevo_provider.client.budget import Budget, Purpose
from hevo_provider.models.answers import Job
from hevo_provider.models.enums import JobStatus
from hevo_provider.runs.follow import Follow
from hevo_provider.runs.phases import phase_of
from hevo_provider.runs.run import Run
from hevo_provider.runs.share import Share
from tests.stage.clients import run_of
from tests.stage.clock import START, VirtualClock

HALF_AN_HOUR = (1700.0, 1750.0, 1800.0, 1850.0, 1900.0)
NONE_IS_LEFT = 30.0  # seconds that Hevo asks to wait


@pytest.fixture
def budget(clock: VirtualClock) -> Budget:
    return Budget(clock.clock, 100)


def following(*, expected: tuple[float, ...] = ()) -> Run:
    return run_of(pipeline_id=7, job_id="job", last_status="IN_PROGRESS").expecting(expected)


def putting_off(times: int, *, afford: int = 0) -> Run:
    run = run_of(pipeline_id=7, action="SYNC_NOW", job_types=["INCREMENTAL"])
    for _ in range(times):
        run = run.postponed(START, "over the limit", afford=afford)
    return run


def share_of(run: Run, clock: VirtualClock) -> Share:
    log = logging.getLogger(__name__)
    return Share(run, phase_of(run, clock.clock, log), clock.clock, log)


def job_that_began(at: float) -> Job:
    return Job(job_id="job", status=JobStatus.IN_PROGRESS, created_ts=int(at * 1000))


def urgency_of(share: Share, clock: VirtualClock) -> float:
    assert share.turn.urgency is not None
    return share.turn.urgency(clock.clock.monotonic())


def has_polled(share: Share) -> None:
    assert isinstance(share.phase, Follow)
    share.phase.polls = 1


def test_a_wait_counts_in_the_budget_of_its_key_alone_until_it_ends(budget: Budget, clock: VirtualClock) -> None:
    of_another_key = Budget(clock.clock, 100)
    share = share_of(following(), clock)

    assert share.passes(budget)
    assert list(budget.waits) == [share.turn]

    share.passes(of_another_key)
    assert (len(budget.waits), list(of_another_key.waits)) == (0, [share.turn])

    share.leave()
    assert len(of_another_key.waits) == 0


def test_what_was_let_through_and_not_sent_is_not_asked_for_again(budget: Budget, clock: VirtualClock) -> None:
    share = share_of(following(), clock)
    assert share.passes(budget)

    budget.refused(NONE_IS_LEFT, clock.now())

    assert share.passes(budget)
    share.turn.paid = 0
    assert not share.passes(budget)


async def test_a_poll_that_decides_whether_the_job_is_cancelled_comes_as_a_cancel_does(
    budget: Budget, clock: VirtualClock
) -> None:
    share = share_of(following(), clock)
    budget.refused(NONE_IS_LEFT, clock.now())
    assert not share.passes(budget)

    assert await share.enter(budget, 60.0, is_last=True)

    assert share.turn.purpose is Purpose.CANCEL


def test_of_starts_the_one_that_was_put_off_most_often_is_most_urgent(clock: VirtualClock) -> None:
    once, often = (share_of(putting_off(times), clock) for times in (1, 3))

    assert urgency_of(often, clock) > urgency_of(once, clock)


def test_a_search_is_no_more_urgent_because_its_call_was_put_off_before(clock: VirtualClock) -> None:
    at_once, in_the_end = (share_of(putting_off(times).accepted(at=None, earliest=None), clock) for times in (0, 3))

    assert urgency_of(in_the_end, clock) == urgency_of(at_once, clock)


def test_a_first_poll_is_more_urgent_than_its_history_says_and_the_second_is_not(clock: VirtualClock) -> None:
    share = share_of(following(expected=HALF_AN_HOUR), clock)
    share.has_seen(job_that_began(clock.now()))
    clock.advance(600)

    first = urgency_of(share, clock)
    has_polled(share)

    assert first > 3 * urgency_of(share, clock)


def test_a_poll_is_more_urgent_where_earlier_jobs_have_ended(clock: VirtualClock) -> None:
    usual, unknown = (share_of(following(expected=expected), clock) for expected in (HALF_AN_HOUR, ()))
    for share in (usual, unknown):
        has_polled(share)
        share.has_seen(job_that_began(clock.now() - 1700))
    clock.advance(200)

    assert urgency_of(usual, clock) > 5 * urgency_of(unknown, clock)


def test_a_job_that_was_seen_just_now_is_not_urgent(clock: VirtualClock) -> None:
    share = share_of(following(), clock)
    has_polled(share)
    clock.advance(600)

    share.has_seen(job_that_began(START))

    assert urgency_of(share, clock) == 0


def test_an_answer_that_somebody_else_has_got_serves_the_poll_that_asked_for_it_and_no_later_one(
    budget: Budget, clock: VirtualClock
) -> None:
    share = share_of(following(), clock)
    share.turn.answer = ("/jobs", "old")  # the poll was cancelled when it came

    assert share.passes(budget)

    assert share.turn.answer is None
