"""The newest jobs of a pipeline, and the pipeline itself, as Hevo tells of them at one time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeVar

from hevo_provider.client.calls import MAX_PAGE, HevoAsyncClient
from hevo_provider.exceptions import HevoResponseError
from hevo_provider.models.answers import Job, Pipeline
from hevo_provider.models.enums import ACTIVE_STATUSES, JobStatus
from hevo_provider.runs.run import Run
from hevo_provider.runs.urgency import Expectation, expectation_of

First = TypeVar("First")
Second = TypeVar("Second")

STALE_AFTER = 6 * 3600 * 1000  # ms: an unknown status that has not changed for so long is no sign of life
LONGEST_QUEUE = 3600 * 1000  # ms that a job may have stood in line, which its duration leaves out
COMPLETED_STATUSES = frozenset({JobStatus.COMPLETED, JobStatus.COMPLETED_WITH_FAILURES})
MAX_PAGES = 20
PAGE_OF_A_SEARCH = 25  # jobs on the first page that a search reads
BACK_TO_WORK = 200  # jobs among which one that is at work is searched for, though newer ones have ended


@dataclass(frozen=True, slots=True)
class Listing:
    """
    The newest jobs of a pipeline.

    :param jobs: as Hevo lists them.
    :param server_time: Hevo's clock when it did, ms.
    :param complete: whether these are all jobs of the pipeline.
    :param asked_at: when the request for them set out, by this process's monotonic clock, seconds.
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
        answered = await hevo.newest_jobs(pipeline_id, limit=page_size, cursor=cursor, retry_limit=retry_limit)
        if not jobs:
            server_time, asked_at = answered.server_time, answered.sent_at
        known = {job.job_id for job in jobs}
        jobs += [job for job in answered.value.data if job.job_id not in known]
        page_size = MAX_PAGE
        cursor = answered.value.following
        if cursor is None and not answered.value.has_more:
            return Listing(tuple(jobs), server_time, complete=True, asked_at=asked_at)
        if _newest_first(jobs) and enough(jobs):
            return Listing(tuple(jobs), server_time, complete=False, asked_at=asked_at)
        if cursor is None or (answered.value.data and len(jobs) == len(known)):  # it leads in a circle
            break
    if may_cut_short:
        return Listing(tuple(jobs), server_time, complete=False, asked_at=asked_at, cut_short=True)
    raise _disorder(pipeline_id, jobs)


async def read_back_to_work(
    hevo: HevoAsyncClient,
    pipeline_id: int,
    *,
    enough: Callable[[Sequence[Job]], bool] = lambda _: True,
    retry_limit: int | None = None,
) -> Listing:
    """
    Read the newest jobs, back to one that is at work.

    Hevo starts no job before the one before has ended: a scheduled one that falls due meanwhile is listed as SKIPPED.
    So where all that are read are SKIPPED, one is searched for as far back as may be read. Where one has ended
    otherwise, the newest 200 do: some jobs may run beside each other.

    :param enough: whether jobs that came newest first go back far enough for what else they are read for.
    :raises HevoResponseError: the jobs do not come newest first, and there are too many to read them all.
    """

    def far_enough(jobs: Sequence[Job]) -> bool:
        return enough(jobs) and (
            any(job.status in ACTIVE_STATUSES for job in jobs)
            or (len(jobs) >= BACK_TO_WORK and any(job.status != JobStatus.SKIPPED for job in jobs))
        )

    listing = await read_listing(hevo, pipeline_id, enough=far_enough, retry_limit=retry_limit, may_cut_short=True)
    if listing.cut_short and not _newest_first(listing.jobs):
        raise _disorder(pipeline_id, listing.jobs)
    return listing


def _disorder(pipeline_id: int, jobs: Sequence[Job]) -> HevoResponseError:
    return HevoResponseError(
        f"Pipeline {pipeline_id}: {len(jobs)} jobs were read in {MAX_PAGES} pages and there are more; "
        "they are not sorted newest first, or Hevo's cursor leads in a circle, so the newest cannot be told."
    )


async def read_state(
    hevo: HevoAsyncClient,
    pipeline_id: int,
    *,
    enough: Callable[[Sequence[Job]], bool] = lambda _: True,
    retry_limit: int | None = None,
) -> State:
    """
    Read a pipeline and its newest jobs, back to one that is at work: with two requests at the same time, as a rule.

    :param enough: see :func:`read_back_to_work`.
    :raises HevoError: what the first failing one raised.
    """
    pipeline, listing = await both(
        hevo.get_pipeline(pipeline_id, retry_limit=retry_limit),
        read_back_to_work(hevo, pipeline_id, enough=enough, retry_limit=retry_limit),
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


def is_active(job: Job, server_time: int | None) -> bool:
    """Return whether the job has not ended, as far as its status tells."""
    if job.status in ACTIVE_STATUSES:
        return True
    return not job.is_terminal and not is_stale(job, server_time)


def is_stale(job: Job, server_time: int | None) -> bool:
    """Return whether Hevo last touched the job so long ago that it cannot be at work."""
    return server_time is not None and job.updated_ts is not None and server_time - job.updated_ts >= STALE_AFTER


def ended_at(job: Job) -> int:
    """
    Return when a terminal job ended, in ms; where Hevo leaves that out, when it ended at the earliest.

    Hevo moves ``updated_ts`` also when it only touches a job, long after its end. So a job that says when it was
    created and for how long it ran ended by then, give or take the time that it stood in line.
    """
    created = job.created_ts or 0
    earliest = created + max(0, job.duration or 0)
    if job.updated_ts is None:
        return earliest
    latest = earliest + LONGEST_QUEUE if job.created_ts is not None and job.duration is not None else job.updated_ts
    return max(created, min(job.updated_ts, latest))


def expected_of(run: Run, listing: Listing) -> Expectation:
    """Return how long a run's job may take, by those of its types that have completed."""
    types = run.order.job_types
    durations = [
        job.duration / 1000
        for job in listing.jobs
        if job.duration is not None and job.status in COMPLETED_STATUSES and (not types or str(job.type) in types)
    ]
    return expectation_of(durations)


def ended_not_before(job: Job) -> int | None:
    """
    Return the earliest time at which a terminal job may have ended, in ms; None where Hevo does not tell enough.

    Use this where an old end must not be taken for a recent one, and :func:`ended_at` where no end may be missed. So
    ``updated_ts``, which Hevo also moves long after the end, can make the end earlier here and never later; without a
    duration, all that is sure is that a job does not end before it is created.
    """
    if job.created_ts is None:
        return None
    by_its_duration = job.created_ts + (job.duration or 0)
    return by_its_duration if job.updated_ts is None else min(by_its_duration, job.updated_ts)


def _newest_first(jobs: Sequence[Job]) -> bool:
    times = [job.created_ts for job in jobs if job.created_ts is not None]
    return all(earlier >= later for earlier, later in pairwise(times))
