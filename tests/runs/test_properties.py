"""Properties of what is pure: which job is whose, when is polled again, what a status means, what survives as JSON."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hevo_provider import codes
from hevo_provider.client import Answered, HevoAsyncClient
from hevo_provider.client.budget import Budget
from hevo_provider.client.transport import backoff
from hevo_provider.clock import Clock
from hevo_provider.exceptions import HevoJobNotFoundError, HevoResponseError, HevoRunError
from hevo_provider.models.answers import Job, JobPage
from hevo_provider.models.enums import ACTIVE_STATUSES, JobStatus, OnActiveJob, OnDeferred
from hevo_provider.runs.events import event_of, event_of_error, read_event
from hevo_provider.runs.identity import (
    APPLIED_WITHIN,
    LARGEST_SKEW,
    UNKNOWN_FATE_WINDOW,
    choose,
    choose_to_follow,
    with_baseline,
)
from hevo_provider.runs.listing import MAX_PAGES, Listing, read_listing
from hevo_provider.runs.order import SHOWS_WITHIN, Action, Order
from hevo_provider.runs.outcome import Ending, Outcome
from hevo_provider.runs.run import COUNTERS, Fate, Ownership, Phase, Run
from hevo_provider.runs.search import LONGEST_PAUSE
from hevo_provider.runs.verdict import is_success
from hevo_provider.runs.wait import Wait
from tests.stage.clients import connected_to
from tests.stage.failures import fails

# How fast an example is says more about the machine; forty of each keep the suite within its minute.
settings.register_profile("unhurried", deadline=None, max_examples=40)
settings.load_profile("unhurried")

SENT = 1_800_000_000_000  # Hevo's clock when the action was sent, ms
HOUR = 3_600_000

statuses = st.one_of(st.none(), st.sampled_from([*JobStatus, "PAUSED_FOR_REVIEW"]))
types = st.sampled_from(["INCREMENTAL", "RESYNC", "HISTORICAL", None])
moments = st.integers(SENT - HOUR, SENT + HOUR)
ids = st.uuids().map(str)
jobs = st.builds(Job, job_id=ids, type=types, status=statuses, created_ts=st.none() | moments, updated_ts=st.none())
lists_of_jobs = st.lists(jobs, max_size=12, unique_by=lambda job: job.job_id)
fates = st.sampled_from([Fate.ANSWERED, Fate.UNKNOWN])


def a_run(**values: Any) -> Run:
    """Return a sync that was sent at ``SENT``."""
    return Run.from_json(
        {
            "pipeline_id": 7,
            "action": "SYNC_NOW",
            "job_types": ("INCREMENTAL",),
            "fate": Fate.ANSWERED.value,
            "phase": Phase.FIND.value,
            "created_after": SENT - 1000,
            "posted_at": SENT,
            "posts": 1,
            **values,
        }
    )


def listing(jobs: Sequence[Job], *, after: float = 3600.0) -> Listing:
    """Return what Hevo lists so many seconds after the action was sent."""
    return Listing(tuple(jobs), SENT + round(after * 1000), complete=True)


# Which job is whose


@given(lists_of_jobs, fates, st.data())
def test_what_is_chosen_is_new_timely_and_of_the_expected_type(
    listed: list[Job], fate: Fate, data: st.DataObject
) -> None:
    known = data.draw(st.lists(st.sampled_from([job.job_id for job in listed]) if listed else st.nothing()))
    run = a_run(fate=fate.value, baseline=tuple(known))

    chosen = choose(listing(listed), run).job

    if chosen is not None:
        assert chosen.job_id not in known
        assert chosen.type == "INCREMENTAL"
        assert chosen.created_ts is None or chosen.created_ts >= SENT - 1000 - LARGEST_SKEW
        if fate is Fate.UNKNOWN:
            assert chosen.created_ts is None or chosen.created_ts <= SENT + APPLIED_WITHIN


@given(lists_of_jobs, fates, st.floats(0, 3600), st.randoms(use_true_random=False))
def test_the_order_of_a_list_changes_nothing(listed: list[Job], fate: Fate, after: float, dice: Any) -> None:
    shuffled = dice.sample(listed, len(listed))
    run = a_run(fate=fate.value)

    one, other = choose(listing(listed, after=after), run), choose(listing(shuffled, after=after), run)

    assert _distance(one.job) == _distance(other.job)
    assert {job.job_id for job in one.others} == {job.job_id for job in other.others}


@given(lists_of_jobs, st.integers(0, 2000), st.floats(0, 3600))
def test_a_job_created_with_the_call_is_chosen_before_any_that_is_further_from_it(
    listed: list[Job], took: int, after: float
) -> None:
    own = Job(job_id="own", type="INCREMENTAL", status="COMPLETED", created_ts=SENT + took)
    there = [job for job in listed if (job.created_ts or 0) <= SENT + after * 1000]

    chosen = choose(listing([*there, own], after=max(after, took / 1000)), a_run()).job

    assert chosen is not None
    assert _distance(chosen) <= took


@given(lists_of_jobs, st.floats(0, SHOWS_WITHIN - 0.001))
def test_a_job_created_later_is_not_chosen_while_the_own_one_may_still_show(listed: list[Job], after: float) -> None:
    there = [job for job in listed if (job.created_ts or 0) <= SENT + after * 1000]

    chosen = choose(listing(there, after=after), a_run()).job

    assert chosen is None or _distance(chosen) <= 2000


@given(
    st.integers(-LARGEST_SKEW, LARGEST_SKEW),
    st.integers(0, 2000),
    st.integers(4000, HOUR),
    st.integers(2 * LARGEST_SKEW + 1, HOUR),
    fates,
)
def test_however_hevos_clocks_differ_the_own_job_is_chosen_from_an_older_and_a_later_one(
    skew: int, took: int, before: int, later: int, fate: Fate
) -> None:
    """A job at work shows what the clock of the jobs says when the list is made."""
    times = {"own": took, "older": -before, "later": later}
    seen = SENT + HOUR + skew
    listed = [
        Job(job_id=name, type="INCREMENTAL", status="IN_PROGRESS", created_ts=SENT + time + skew, updated_ts=seen)
        for name, time in times.items()
    ]

    chosen = choose(listing(listed), a_run(fate=fate.value)).job

    assert chosen is not None
    assert chosen.job_id == "own"


@given(lists_of_jobs)
def test_an_older_job_never_explains_a_call_of_unknown_fate(listed: list[Job]) -> None:
    fallback = choose(listing(listed), a_run(fate=Fate.UNKNOWN.value)).fallback

    assert fallback is None or fallback.type is None
    assert fallback is None or fallback.created_ts is None or fallback.created_ts >= SENT - 1000 - LARGEST_SKEW


@given(st.lists(jobs, max_size=60, unique_by=(lambda job: job.job_id, lambda job: job.created_ts or job.job_id)))
def test_no_job_of_the_baseline_is_chosen_afterwards(listed: list[Job]) -> None:
    before = Listing(tuple(listed), SENT, complete=True)

    run = replace(with_baseline(a_run(), before), fate=Fate.ANSWERED)

    assert len(run.baseline) <= 20 + sum(job.created_ts is None for job in listed)
    assert choose(listing(listed), run).job is None
    assert choose(listing(listed), run).fallback is None


@given(lists_of_jobs)
def test_a_run_that_started_nothing_follows_an_active_job_of_its_type_or_none(listed: list[Job]) -> None:
    run = Run.from_json({"pipeline_id": 7, "job_types": ["INCREMENTAL"], "phase": "find"})

    chosen = choose_to_follow(listing(listed), run).job

    active = [job for job in listed if job.type == "INCREMENTAL" and not job.is_terminal]
    assert (chosen is None) == (not active)
    assert chosen is None or chosen in active


def _distance(job: Job | None) -> float:
    if job is None:
        return -1
    return float("inf") if job.created_ts is None else abs(job.created_ts - SENT)


# How much of a list is read


@dataclass
class PagedHevo:
    """A Hevo that has nothing but jobs, in pages."""

    jobs: list[Job] = field(default_factory=list)
    asked: list[float] = field(default_factory=list)
    time: float = 0.0

    @property
    def budget(self) -> Budget:
        return Budget(self.clock, 0)

    @property
    def clock(self) -> Clock:
        return Clock(now=lambda: self.time, monotonic=lambda: self.time, sleep=self.sleep)

    async def sleep(self, seconds: float) -> None:
        self.time += seconds

    async def newest_jobs(self, _: int, *, limit: int, cursor: str | None = None, **__: Any) -> Answered[JobPage]:
        self.asked.append(self.time)
        start = int(cursor or 0)
        end = start + limit
        more = end < len(self.jobs)
        page = JobPage(data=tuple(self.jobs[start:end]), has_more=more, next_cursor=str(end) if more else None)
        return Answered(page, round(self.time * 1000), self.time)

    def read(self, **how: Any) -> Listing:
        return asyncio.run(read_listing(cast("HevoAsyncClient", self), 7, **how))


@given(st.integers(0, 400), st.integers(1, 100), st.integers(0, 400))
def test_of_jobs_that_come_newest_first_no_more_is_read_than_is_needed(count: int, size: int, needed: int) -> None:
    hevo = PagedHevo([Job(job_id=f"job{age}", created_ts=SENT - age) for age in range(count)])

    read = hevo.read(page_size=size, enough=lambda jobs: len(jobs) >= needed)

    assert read.jobs == tuple(hevo.jobs[: len(read.jobs)])
    assert read.complete == (len(read.jobs) == count)
    assert read.complete or needed <= len(read.jobs) < max(needed, size) + 100


@settings(max_examples=20)
@given(st.permutations(range(250)), st.integers(20, 100))
def test_jobs_in_any_other_order_are_all_read(ages: list[int], size: int) -> None:
    ages = [249, *(age for age in ages if age != 249)]  # the oldest comes first
    hevo = PagedHevo([Job(job_id=f"job{age}", created_ts=SENT - age) for age in ages])

    assert len(hevo.read(page_size=size).jobs) == 250


def test_too_many_jobs_in_no_order_are_an_error() -> None:
    hevo = PagedHevo([Job(job_id=f"job{age}", created_ts=SENT + age) for age in range(100 * MAX_PAGES + 1)])

    with fails(HevoResponseError, says="not sorted newest first"):
        hevo.read()


@pytest.mark.parametrize("order", [1, -1], ids=["oldest-first", "newest-first"])
def test_of_too_many_jobs_those_that_may_be_read_are_better_than_none_to_who_says_so(order: int) -> None:
    hevo = PagedHevo([Job(job_id=f"job{age}", created_ts=SENT + order * age) for age in range(100 * MAX_PAGES + 1)])

    read = hevo.read(enough=lambda _: False, may_cut_short=True)

    assert (len(read.jobs), read.complete, read.cut_short) == (100 * MAX_PAGES, False, True)


# When is polled again


@given(st.integers(1, 10_000), st.floats(0, 100), st.floats(0.1, 1000))
def test_a_backoff_stays_within_its_bounds(attempt: int, first: float, limit: float) -> None:
    assert 0 <= backoff(attempt, first, limit) <= min(limit, first * 2.0 ** min(attempt - 1, 30))


async def _search(hevo: PagedHevo, run: Run) -> Outcome:
    return await Wait(run, hevo.clock).until_done(connected_to(cast("HevoAsyncClient", hevo)))


@given(st.integers(1, 40), st.floats(0.1, 600))
def test_the_polls_for_an_accepted_job_are_as_many_as_allowed_and_the_last_is_late_enough(
    retry_limit: int, poll_interval: float
) -> None:
    hevo = PagedHevo()
    run = a_run(retry_limit=retry_limit, poll_interval=poll_interval, find_window=SHOWS_WITHIN, created_after=-1000)

    with pytest.raises(HevoJobNotFoundError):
        asyncio.run(_search(hevo, run))

    assert len(hevo.asked) == retry_limit
    assert hevo.asked[-1] >= SHOWS_WITHIN
    assert retry_limit == 1 or hevo.asked[0] <= 1
    longest = max(poll_interval, SHOWS_WITHIN) + 1e-6
    assert all(later - earlier <= longest for earlier, later in pairwise(hevo.asked))


@given(st.integers(1, 40), st.floats(0.1, 600))
def test_a_call_of_unknown_fate_is_searched_for_a_minute_whatever_the_limits(
    retry_limit: int, poll_interval: float
) -> None:
    hevo = PagedHevo()
    run = a_run(fate=Fate.UNKNOWN.value, retry_limit=retry_limit, poll_interval=poll_interval)

    outcome = asyncio.run(_search(hevo, run))

    assert outcome.ending is Ending.START
    assert hevo.asked[-1] - hevo.asked[0] >= UNKNOWN_FATE_WINDOW
    assert all(later - earlier <= LONGEST_PAUSE + 1e-6 for earlier, later in pairwise(hevo.asked))


# What a status means


@given(st.text() | st.none() | st.sampled_from(JobStatus), st.booleans())
def test_only_a_completed_job_is_a_success_and_only_a_known_end_is_an_end(status: str | None, accepts: bool) -> None:
    job = Job.from_json(json.dumps({"job_id": "1", "status": status}).encode())

    assert job.is_terminal == (status in set(JobStatus) - ACTIVE_STATUSES)
    good = {"COMPLETED", "COMPLETED_WITH_FAILURES"} if accepts else {"COMPLETED"}
    order = Order(pipeline_id=7, accept_completed_with_failures=accepts)
    assert is_success(job, order) == (status in good)
    assert job.is_terminal or not is_success(job, order)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(ids, st.dictionaries(st.sampled_from(sorted(set(Job.model_fields) - {"job_id"})) | st.text(), values))
def test_whatever_the_other_fields_hold_a_job_with_an_id_is_a_job(job_id: str, fields: dict[str, Any]) -> None:
    fields.pop("job_id", None)

    job = Job.from_json(json.dumps({**fields, "job_id": job_id}).encode())

    assert job.job_id == job_id


# What survives as JSON

orders = st.builds(
    Order,
    pipeline_id=st.integers(1),
    action=st.none() | st.sampled_from(Action),
    job_types=st.lists(st.text(), max_size=3).map(tuple),
    drop_and_load=st.booleans(),
    on_active_job=st.sampled_from(OnActiveJob),
    wait_for_completion=st.booleans(),
    poll_interval=st.floats(0.1, 1e6),
    retry_limit=st.integers(1, 1000),
    deadline=st.none() | st.floats(0, 1e12),
    second_job_types=st.lists(st.text(), max_size=3).map(tuple),
    on_deferred=st.sampled_from(OnDeferred),
    fail_on_bad_job=st.booleans(),
)
runs = st.builds(
    Run,
    order=orders,
    phase=st.sampled_from(Phase),
    job_id=st.none() | ids,
    ownership=st.sampled_from(Ownership),
    posts=st.integers(0, 3),
    fate=st.none() | st.sampled_from(Fate),
    baseline=st.lists(ids, max_size=5).map(tuple),
    baseline_floor=st.none() | moments,
    created_after=st.none() | moments,
    skew=st.none() | st.integers(-10_000, 10_000),
    refused=st.booleans(),
    note=st.none() | st.text(),
    gone_before=st.lists(ids, max_size=3).map(tuple),
    counted=st.none() | st.dictionaries(st.sampled_from(COUNTERS), st.integers(0)),
    destination=st.none() | st.tuples(st.text(), st.text(), st.text()),
    began_as=st.none() | st.just({"action": "RESYNC", "drop_and_load": True, "objects": ["a"], "object_ids": []}),
)


@given(runs, st.dictionaries(st.text(min_size=30), values, max_size=3))
def test_a_run_survives_the_database_and_what_a_later_version_may_have_added(run: Run, unknown: dict[str, Any]) -> None:
    assert Run.from_json(json.loads(json.dumps({**unknown, **run.to_json()}))) == run


@given(runs, jobs, st.sampled_from(sorted(set(Ending) - {Ending.FRESH})), st.booleans())
def test_an_event_tells_the_worker_what_the_wait_came_to(run: Run, job: Job, ending: Ending, cancelled: bool) -> None:
    run = replace(run, job_id=job.job_id)
    if ending is Ending.ENDED:
        job = job.model_copy(update={"status": "FAILED"})

    told = read_event(json.loads(json.dumps(event_of(Outcome(ending, run, job, cancelled=cancelled)))))

    assert (told.ending, told.pipeline_id, told.job_id) == (ending, run.pipeline_id, job.job_id)
    assert told.job == job or (job.status is None and told.job is None)
    assert told.run == run
    assert told.cancelled == (cancelled and ending is Ending.TIMED_OUT)


@given(values | st.dictionaries(st.sampled_from(["event", "pipeline_id", "job_id", "status", "run", "error"]), values))
def test_whatever_else_is_sent_is_an_error_and_never_a_success(event: Any) -> None:
    try:
        told = read_event(event)
    except HevoRunError:
        return
    assert isinstance(told.error, HevoRunError)


@given(runs, st.text())
def test_an_error_keeps_its_kind_and_its_words(run: Run, words: str) -> None:
    event = json.loads(json.dumps(event_of_error(HevoJobNotFoundError(words, code=codes.VANISHED), run)))

    error = read_event(event).error

    assert isinstance(error, HevoJobNotFoundError)
    assert (error.text, error.code) == (words, codes.VANISHED)
    assert (error.pipeline_id, error.job_id) == (run.pipeline_id, run.job_id)
