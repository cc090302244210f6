"""
Another way to find a job: which one has completed since a given time, for a run that wants no more than that.

No job is singled out and followed: one that fails is told of and waited past, because a later one may complete. Where
the order says that it is a failure, the job that ended last decides.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hevo_provider.client.calls import HevoAsyncClient, request_for_jobs
from hevo_provider.models.answers import Job
from hevo_provider.models.enums import JobStatus
from hevo_provider.runs.follow import found
from hevo_provider.runs.listing import PAGE_OF_A_SEARCH, Listing, ended_at, read_listing
from hevo_provider.runs.logger import Logger
from hevo_provider.runs.outcome import Ending, Step, WaitPhase
from hevo_provider.runs.run import Run
from hevo_provider.runs.verdict import is_success
from hevo_provider.runs.words import any_of, end_in_words, time_in_words

LONGEST_JOB = 24 * 3600 * 1000  # ms before the time within which a job that ended after it is looked for
MOST_JOBS = 1000  # that are looked through


class CompletedSearch(WaitPhase):
    """
    Polls the list of jobs until one of the type has completed since the run's time.

    :param logger: where it is logged.
    """

    __slots__ = ("_log", "polls")

    # It polls for hours, for any job that completes: as a SEARCH it would come before all other waits.
    is_steady = True

    def __init__(self, logger: Logger) -> None:
        self._log = logger
        self.polls = 0

    async def poll(self, hevo: HevoAsyncClient, run: Run) -> Step:
        """Ask once: GET /pipelines/{id}/jobs."""
        enough = reaches_back_far_enough(run)
        listing = await read_listing(hevo, run.pipeline_id, page_size=PAGE_OF_A_SEARCH, enough=enough, retry_limit=0)
        completed = completed_since(listing, run)
        bad = bad_since(listing, run) if run.order.fail_on_bad_job else None
        self.polls += 1
        if bad is not None and (completed is None or ended_at(bad) > ended_at(completed)):
            return Step(run, bad, Ending.ENDED)  # still a search: who goes on all the same does not follow that job
        if completed is None:
            return Step(without_completed(listing, run, self._log))
        return found(run, completed, self._log)

    def asks(self, run: Run) -> str | None:
        """Return the request for the newest jobs."""
        return request_for_jobs(run.pipeline_id, PAGE_OF_A_SEARCH)

    def pause(self, run: Run) -> float:
        """Return the ``poll_interval``, which may grow."""
        return run.order.pause_after(max(1, self.polls))


def reaches_back_far_enough(run: Run) -> Callable[[Sequence[Job]], bool]:
    """
    Return whether jobs, newest first, hold one that has completed since the run's time, or can be expected to.

    They are listed by their creation, and a job that ended after the time may be much older. Jobs of one type run one
    after the other, so one that had ended before the time closes the search; where there is none, a day does, and in
    any case a thousand jobs.
    """
    since = run.order.completed_after or 0

    def enough(jobs: Sequence[Job]) -> bool:
        if not jobs or len(jobs) >= MOST_JOBS or any(has_completed(job, run) for job in jobs):
            return True
        oldest = jobs[-1].created_ts
        if oldest is None or oldest >= since:
            return False
        return oldest < since - LONGEST_JOB or any(_is_of_type(job, run) and _ended_before(job, since) for job in jobs)

    return enough


def completed_since(listing: Listing, run: Run) -> Job | None:
    """Return the job that has completed since the run's time; of several the one that ended last."""
    return max((job for job in listing.jobs if has_completed(job, run)), key=ended_at, default=None)


def bad_since(listing: Listing, run: Run) -> Job | None:
    """
    Return the job that has ended badly since the run's time; of several the one that ended last.

    A SKIPPED one does not count: Hevo lists it where its schedule falls due while another job is at work, which may yet
    complete (API.md, one-job).
    """
    bad = (job for job in listing.jobs if _has_ended(job, run) and not _is_good(job, run))
    return max((job for job in bad if job.status != JobStatus.SKIPPED), key=ended_at, default=None)


def has_completed(job: Job, run: Run) -> bool:
    """Return whether the job is of the expected type and ended well, by Hevo's clock not before the run's time."""
    return _has_ended(job, run) and _is_good(job, run)


def without_completed(listing: Listing, run: Run, logger: Logger) -> Run:
    """Tell once of each job that ended badly since the run's time, and of the wait; return the run after that."""
    bad = [job for job in listing.jobs if _has_ended(job, run) and not _is_good(job, run)]
    if not run.polled:
        logger.info(
            "Pipeline %s: no job of type %s has completed since %s; waiting for one.",
            run.pipeline_id,
            any_of(run.order.all_job_types),
            time_in_words(run.order.completed_after or 0),
        )
    for job in bad:
        if job.job_id not in run.told:
            logger.warning("Pipeline %s: %s. Waiting for a job that completes.", run.pipeline_id, end_in_words(job))
    return run.having_told(job.job_id for job in bad)


def _has_ended(job: Job, run: Run) -> bool:
    return _is_of_type(job, run) and job.is_terminal and ended_at(job) >= (run.order.completed_after or 0)


def _is_good(job: Job, run: Run) -> bool:
    return is_success(job, run.order)


def _is_of_type(job: Job, run: Run) -> bool:
    return job.type in run.order.all_job_types


def _ended_before(job: Job, time: int) -> bool:
    return job.is_terminal and ended_at(job) < time
