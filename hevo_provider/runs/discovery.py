"""
Whose job is whose.

Starting a pipeline returns no job id, so the job is told from others by what was there before, by its type, and by when
Hevo's own clock says it was created: two readings of one clock are compared, never two clocks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, TypeVar

from hevo_provider.client import MAX_PAGE, HevoAsyncClient
from hevo_provider.exceptions import HevoResponseError
from hevo_provider.models.answers import Job, Pipeline
from hevo_provider.models.job import ACTIVE_STATUSES
from hevo_provider.models.pipeline import PipelineAction
from hevo_provider.runs.run import Fate, Run

First = TypeVar("First")
Second = TypeVar("Second")

BASELINE_SPAN = 10 * 60 * 1000  # ms
BASELINE_SIZE = 20
CLOCK_TOLERANCE = 1000  # ms: the Date header has whole seconds
STALE_AFTER = 6 * 3600 * 1000  # ms: an unknown status that has not changed for so long is no sign of life
MAX_PAGES = 20
SHOWS_WITHIN = 20.0  # seconds within which Hevo shows a new job, with a margin: 5 to 15 were seen
APPLIED_WITHIN = 90_000  # ms after which a sync of unknown fate starts no job any more: longer than sending may take
PROMPT = 2000  # ms after the action within which its job is created, as a rule; the Date header has whole seconds


@dataclass(frozen=True, slots=True)
class Listing:
    """
    The newest jobs of a pipeline.

    :param jobs: as Hevo lists them.
    :param server_time: Hevo's clock when it did, ms.
    :param complete: whether these are all jobs of the pipeline.
    :param asked_at: when they were asked for, by this process's monotonic clock, seconds.
    :param cut_short: whether there are more than may be read, though these were not enough.
    """

    jobs: tuple[Job, ...]
    server_time: int | None
    complete: bool
    asked_at: float = 0.0
    cut_short: bool = False

    def server_time_at(self, moment: float) -> int | None:
        """Return Hevo's clock, ms, at a moment of this process's monotonic clock; None if Hevo did not tell its own."""
        return None if self.server_time is None else self.server_time + round((moment - self.asked_at) * 1000)

    @property
    def active(self) -> tuple[Job, ...]:
        """The jobs that have not ended. One without a known status counts, unless it has been still for hours."""
        return tuple(job for job in self.jobs if is_active(job, self.server_time))


@dataclass(frozen=True, slots=True)
class State:
    """A pipeline and its newest jobs, read at the same time."""

    pipeline: Pipeline
    listing: Listing


@dataclass(frozen=True, slots=True)
class Choice:
    """
    What a list of jobs says about the one that a run looks for.

    :param job: the job, if there is one that fits in every way.
    :param fallback: a job that fits in all but its time or a type that Hevo left out: taken only when no better shows.
        None while it is not sure that anything was started at all, for one that is older than the action.
    :param others: new jobs of other types.
    :param has_rivals: whether another job fits as well as ``job``, so that it is not sure which of them it is.
    """

    job: Job | None = None
    fallback: Job | None = None
    others: tuple[Job, ...] = ()
    has_rivals: bool = False


async def read_listing(
    hevo: HevoAsyncClient,
    pipeline_id: int,
    *,
    page_size: int = MAX_PAGE,
    enough: Callable[[Sequence[Job]], bool] = lambda _: True,
    retry_limit: int | None = None,
    may_cut_short: bool = False,
) -> Listing:
    """
    Read the newest page of jobs, and more only where one is not enough.

    :param page_size: jobs on the first page; where that is not enough, the pages that follow are as large as can be.
    :param enough: whether jobs that came newest first go back far enough.
    :param may_cut_short: whether the jobs on as many pages as may be read are better than none.
    :raises HevoResponseError: the jobs do not come newest first, and there are too many to read them all.
    """
    jobs: list[Job] = []
    cursor: str | None = None
    server_time: int | None = None
    asked_at = hevo.clock.monotonic()
    for _ in range(MAX_PAGES):
        reply = await hevo.newest_jobs(pipeline_id, limit=page_size, cursor=cursor, retry_limit=retry_limit)
        server_time = server_time if jobs else reply.server_time
        jobs += reply.page.data
        page_size = MAX_PAGE
        cursor = reply.page.following
        if cursor is None and not reply.page.has_more:
            return Listing(tuple(jobs), server_time, complete=True, asked_at=asked_at)
        if _newest_first(jobs) and enough(jobs):
            return Listing(tuple(jobs), server_time, complete=False, asked_at=asked_at)
        if cursor is None:
            break
    if may_cut_short:
        return Listing(tuple(jobs), server_time, complete=False, asked_at=asked_at, cut_short=True)
    raise HevoResponseError(
        f"Pipeline {pipeline_id}: {len(jobs)} jobs were read in {MAX_PAGES} pages and there are more; "
        "they are not sorted newest first, or Hevo's cursor leads in a circle, so the newest cannot be told."
    )


async def read_state(hevo: HevoAsyncClient, pipeline_id: int, *, retry_limit: int | None = None) -> State:
    """
    Read a pipeline and its newest jobs with two requests at the same time.

    :raises HevoError: what the first failing one raised.
    """
    pipeline, listing = await both(
        hevo.get_pipeline(pipeline_id, retry_limit=retry_limit),
        read_listing(hevo, pipeline_id, retry_limit=retry_limit),
    )
    return State(pipeline, listing)


async def both(first: Coroutine[Any, Any, First], second: Coroutine[Any, Any, Second]) -> tuple[First, Second]:
    """
    Await two coroutines at the same time.

    :raises Exception: what the first failing one raised.
    """
    try:
        async with asyncio.TaskGroup() as group:
            tasks = group.create_task(first), group.create_task(second)
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return tasks[0].result(), tasks[1].result()


def with_baseline(run: Run, listing: Listing) -> Run:
    """Return the run with a note of which jobs were there, and of the time, before the action is sent."""
    known = [job for job in listing.jobs if job.created_ts is not None]
    known.sort(key=lambda job: job.created_ts or 0, reverse=True)
    newest = known[0].created_ts if known else None
    recent = [job for job in known if newest is None or (job.created_ts or 0) >= newest - BASELINE_SPAN]
    recent = recent[:BASELINE_SIZE]
    undated = [job.job_id for job in listing.jobs if job.created_ts is None]
    left_out = len(recent) < len(known) or not listing.complete
    return replace(
        run,
        baseline=(*(job.job_id for job in recent), *undated),
        baseline_floor=recent[-1].created_ts if recent and left_out else None,
        created_after=None if listing.server_time is None else listing.server_time - CLOCK_TOLERANCE,
        posted_at=listing.server_time,
    )


def with_first_look(run: Run, listing: Listing) -> Run:
    """Return a run that only follows, with a note of which jobs were there when it first looked."""
    return replace(with_baseline(run, listing), looked=True, created_after=None, posted_at=None)


def since_search_began(run: Run, listing: Listing, now: float) -> Run:
    """
    Return a run that has no baseline, with Hevo's time of the moment when its search began.

    :param now: seconds since the epoch by this machine's clock, of which only the time that has passed is used.
    """
    if run.searching_since is None:
        return run
    if listing.server_time is None:
        return replace(run, looked=False)
    return replace(run, created_after=listing.server_time - round((now - run.searching_since) * 1000))


def reaches_back(run: Run) -> Callable[[Sequence[Job]], bool]:
    """
    Return whether jobs, newest first, go back to before the run's action, so that its own cannot be further down.

    A run that knows nothing of the past, such as one that follows and has seen nothing yet, is content with any.
    """
    if run.created_after is None and run.baseline_floor is None and not run.baseline:
        return lambda _: True

    def enough(jobs: Sequence[Job]) -> bool:
        oldest = jobs[-1] if jobs else None
        if oldest is None or oldest.job_id in run.baseline:
            return True
        return oldest.created_ts is None or oldest.created_ts < (run.created_after or run.baseline_floor or 0)

    return enough


def choose(listing: Listing, run: Run) -> Choice:
    """Tell which of the jobs is the one that the run's action has started."""
    new = [job for job in listing.jobs if not _was_there(job, run)]
    timely = [job for job in new if not cannot_be_own(job, run)]
    expected = [job for job in timely if job.type in run.job_types]
    # A job that was created later may show earlier: the run's own gets its time to show first.
    sure = expected if _own_would_show(listing, run) else [job for job in expected if _is_prompt(job, run)]
    others = [job for job in new if job.type is not None and job.type not in run.job_types]
    vague = [job for job in timely if job.type is None]
    if run.fate == Fate.ANSWERED and not any(job in timely for job in others):
        # Something was started, and nothing else could be it: the clocks of two servers of Hevo may differ.
        vague += [job for job in new if job.type in run.job_types and job not in timely]
    return Choice(
        job=min(sure, key=lambda job: _distance(job, run), default=None),
        fallback=min(vague, key=lambda job: _distance(job, run), default=None),
        others=tuple(others),
        has_rivals=sum(_is_prompt(job, run) for job in sure) > 1,
    )


def choose_to_follow(listing: Listing, run: Run) -> Choice:
    """Tell which job to follow for a run that has started none: the active one, or one that came and went meanwhile."""
    active = [job for job in listing.active if job.type in run.job_types]
    ended = [job for job in listing.jobs if job.type in run.job_types and job.is_terminal and _came_and_went(job, run)]
    if run.searching_since is None:
        job = max(active, key=_created, default=None) or max(ended, key=_created, default=None)
    else:
        job = _found_first([*active, *ended], run)
    return Choice(
        job=job,
        others=tuple(job for job in listing.active if job.type not in run.job_types),
    )


def cannot_be_own(job: Job, run: Run) -> bool:
    """Return whether the job is known from before the run's action, or Hevo's clock says that it is older, or newer."""
    return _was_there(job, run) or not _is_timely(job, run) or _is_too_late(job, run)


def is_active(job: Job, server_time: int | None) -> bool:
    """Return whether the job has not ended, as far as its status tells."""
    if job.status in ACTIVE_STATUSES:
        return True
    return not job.is_terminal and not is_stale(job, server_time)


def is_stale(job: Job, server_time: int | None) -> bool:
    """Return whether Hevo last touched the job so long ago that it cannot be at work."""
    return server_time is not None and job.updated_ts is not None and server_time - job.updated_ts >= STALE_AFTER


def _newest_first(jobs: Sequence[Job]) -> bool:
    times = [job.created_ts for job in jobs if job.created_ts is not None]
    return all(earlier >= later for earlier, later in pairwise(times))


def _was_there(job: Job, run: Run) -> bool:
    if job.job_id in run.baseline:
        return True
    return run.baseline_floor is not None and job.created_ts is not None and job.created_ts < run.baseline_floor


def _came_and_went(job: Job, run: Run) -> bool:
    if run.created_after is not None:  # a time, where no process has lived long enough to make a baseline
        return max(job.created_ts or 0, job.updated_ts or 0) >= run.created_after
    return run.looked and not _was_there(job, run)


def _found_first(jobs: Sequence[Job], run: Run) -> Job | None:
    """
    Return the job that a search found first, or would have found, however many came later.

    A process that cannot remember which job it follows must come to the same one at every look.
    """
    began = run.created_after
    there = [job for job in jobs if began is None or _created(job) < began]
    return max(there, key=_created, default=None) or min(jobs, key=_created, default=None)


def _is_timely(job: Job, run: Run) -> bool:
    return run.created_after is None or job.created_ts is None or job.created_ts >= run.created_after


def _is_too_late(job: Job, run: Run) -> bool:
    # An action that Hevo accepted has a job, however late, and a resync restarts the pipeline first.
    if run.fate != Fate.UNKNOWN or run.action != PipelineAction.SYNC_NOW:
        return False
    over = _call_was_over(run)
    return job.created_ts is not None and over is not None and job.created_ts > over + APPLIED_WITHIN


def _is_prompt(job: Job, run: Run) -> bool:
    return run.posted_at is None or (job.created_ts is not None and job.created_ts <= run.posted_at + PROMPT)


def _own_would_show(listing: Listing, run: Run) -> bool:
    over = _call_was_over(run)
    return listing.server_time is None or over is None or listing.server_time - over >= SHOWS_WITHIN * 1000


def _call_was_over(run: Run) -> int | None:
    """Return Hevo's clock, ms, when the call was answered or given up: a gateway may have held it back until then."""
    return max((time for time in (run.posted_at, run.given_up_at) if time is not None), default=None)


def _distance(job: Job, run: Run) -> tuple[bool, int]:
    if job.created_ts is None:
        return (True, 0)
    return (False, abs(job.created_ts - run.posted_at) if run.posted_at is not None else job.created_ts)


def _created(job: Job) -> int:
    return job.created_ts or 0
