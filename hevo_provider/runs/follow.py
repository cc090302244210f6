"""The last phase of a wait: until the job ends."""

from __future__ import annotations

from hevo_provider import codes
from hevo_provider.client.calls import HevoAsyncClient, request_for_job
from hevo_provider.clock import Clock
from hevo_provider.exceptions import HevoJobNotFoundError, HevoJobStalledError, HevoResponseError
from hevo_provider.models.answers import Job
from hevo_provider.models.enums import ACTIVE_STATUSES, JobStatus
from hevo_provider.runs.listing import STALE_AFTER, is_stale
from hevo_provider.runs.logger import Logger
from hevo_provider.runs.outcome import Ending, Step, WaitPhase
from hevo_provider.runs.progress import Progress
from hevo_provider.runs.run import Ownership, Run
from hevo_provider.runs.verdict import wants_only_the_id
from hevo_provider.runs.words import found_in_words, short_id


class Follow(WaitPhase):
    """
    Waits for the end of a job whose id is known.

    :param clock: where time comes from.
    :param logger: where it is logged.
    """

    __slots__ = ("_clock", "_job", "_log", "_progress", "_unchanged_since", "polls")

    is_steady = True

    def __init__(self, clock: Clock, logger: Logger) -> None:
        self._clock = clock
        self._log = logger
        self._job: Job | None = None
        self._progress = Progress(clock)
        self._unchanged_since = clock.monotonic()
        self.polls = 0

    async def poll(self, hevo: HevoAsyncClient, run: Run) -> Step:
        """
        Ask once: GET /pipelines/{id}/jobs/{job_id}.

        :raises HevoJobStalledError: the job's status leads nowhere.
        """
        if run.job_id is None:
            raise HevoJobNotFoundError("There is no job to follow.", pipeline_id=run.pipeline_id, code=codes.NOT_KNOWN)
        answered = await hevo.poll_job(run.pipeline_id, run.job_id)
        job, before = answered.value, self._job
        self.polls += 1
        if job.job_id != run.job_id:
            raise HevoResponseError(f"Hevo was asked for job {run.job_id} and answered with job {job.job_id}.")
        self._job = job
        if before is None or (before.status, before.updated_ts) != (job.status, job.updated_ts):
            self._unchanged_since = self._clock.monotonic()
            run = self._told_change(run, job)
        elif self._leads_nowhere(job, answered.server_time):
            raise HevoJobStalledError(
                f"Pipeline {run.pipeline_id}: job {job.job_id} has been {job.status} for hours without any change.",
                pipeline_id=run.pipeline_id,
                job_id=job.job_id,
            )
        news = None if job.is_terminal else self._progress.news(job, answered.server_time)
        if news is not None:
            self._log.info("Pipeline %s: job %s: %s.", run.pipeline_id, short_id(job.job_id), news)
        return _step(run, job)

    def asks(self, run: Run) -> str | None:
        """Return the request for the job."""
        return None if run.job_id is None else request_for_job(run.pipeline_id, run.job_id)

    def pause(self, run: Run) -> float:
        """Return the ``poll_interval``, which may grow."""
        return run.order.pause_after(self.polls)

    def first_pause(self, run: Run) -> float:  # noqa: ARG002 - the job may have ended while nobody polled
        """Poll at once."""
        return 0.0

    def _told_change(self, run: Run, job: Job) -> Run:
        if run.last_status == str(job.status):
            return run
        if not _told_if_unknown(run, job, self._log):
            self._log.info("Pipeline %s: job %s is %s.", run.pipeline_id, job.job_id, job.status)
        return run.telling(str(job.status))

    def _leads_nowhere(self, job: Job, server_time: int | None) -> bool:
        if job.status in ACTIVE_STATUSES and job.status != JobStatus.CANCELLING:
            return False  # long jobs are no fault
        unchanged_for = (self._clock.monotonic() - self._unchanged_since) * 1000
        return unchanged_for >= STALE_AFTER or is_stale(job, server_time)


def found(
    run: Run, job: Job, logger: Logger, *, ownership: Ownership | None = None, server_time: int | None = None
) -> Step:
    """
    Go from a search to following the job that it has found, which may have ended already.

    :param ownership: whose job it is; None: as sure as before.
    :param server_time: Hevo's clock (ms) when the job showed; None if Hevo did not say.
    """
    run = run.watching(job, ownership)
    logger.info("Pipeline %s: found %s.", run.pipeline_id, found_in_words(run, job, server_time))
    _told_if_unknown(run, job, logger)
    return _step(run, job)


def _step(run: Run, job: Job) -> Step:
    if wants_only_the_id(job, run.order):
        return Step(run, job, Ending.FOUND)
    return Step(run, job, Ending.ENDED if job.is_terminal else None)


def _told_if_unknown(run: Run, job: Job, logger: Logger) -> bool:
    unknown = not job.is_terminal and job.status not in ACTIVE_STATUSES
    if unknown:
        logger.warning(
            "Pipeline %s: job %s is %s, a status that this version does not know; waiting on.",
            run.pipeline_id,
            job.job_id,
            job.status,
        )
    return unknown
