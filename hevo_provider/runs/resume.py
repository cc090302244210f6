"""Going on with what an earlier worker of the same task has started."""

from __future__ import annotations

from dataclasses import dataclass

from hevo_provider.client.calls import HevoAsyncClient
from hevo_provider.exceptions import HevoNotFoundError
from hevo_provider.models.answers import Job
from hevo_provider.models.enums import PipelineStatus
from hevo_provider.runs.cancel import cancel_job_of
from hevo_provider.runs.identity import UNKNOWN_FATE_WINDOW, Choice, choose, reaches_back
from hevo_provider.runs.listing import is_active, read_listing, read_state
from hevo_provider.runs.logger import Logger, log
from hevo_provider.runs.order import SHOWS_WITHIN
from hevo_provider.runs.outcome import Ending, Outcome
from hevo_provider.runs.run import Ownership, Phase, Run
from hevo_provider.runs.verdict import is_success
from hevo_provider.runs.words import end_in_words


@dataclass(frozen=True, slots=True)
class Record:
    """
    A run that an earlier worker of this task started.

    :param run: as it was when it was recorded.
    :param time: when that was, seconds since the epoch.
    :param cleared: whether a user has cleared the task since: it explains what is active, but is not followed.
    """

    run: Run
    time: float
    cleared: bool


async def go_on_from(hevo: HevoAsyncClient, run: Run, record: Record, logger: Logger = log) -> Run | Outcome | None:
    """
    Go on with what is on record, or let it make way.

    :param run: what is asked for now.
    :returns: the run to wait for; its outcome, if there is nothing to wait for; None: start anew.
    """
    age = hevo.clock.now() - record.time
    if record.cleared:
        return await _make_way(hevo, run, record.run, age=age, logger=logger)
    return await _follow_earlier(hevo, run, record.run, age=age, logger=logger)


async def _follow_earlier(
    hevo: HevoAsyncClient, run: Run, earlier: Run, *, age: float, logger: Logger
) -> Run | Outcome | None:
    """
    Go on with the run of a worker that was lost, in an automatic retry.

    :param age: seconds since it was recorded.
    :returns: the run to wait for; its outcome, if its job has succeeded meanwhile or is all that is wanted; None if it
        left nothing to follow: no job, or one that failed, which is what retries are for.
    """
    if earlier.phase is Phase.READY or not run.order.starts_the_same_as(earlier.order):
        return None
    run = earlier.under(run.order)
    choice, restarting = await _choice_of(hevo, run)
    job = choice.job
    if job is None:
        if restarting:
            return run.restarted()
        return run if age < UNKNOWN_FATE_WINDOW or choice.fallback is not None else None
    run = run.watching(job, Ownership.ASSUMED if choice.has_rivals else None)
    if not run.order.wait_for_completion:
        return Outcome(Ending.FOUND, run, job)
    if job.is_terminal:
        return _end_of(run, job, logger)
    logger.info(
        "Pipeline %s: following job %s (%s), which an earlier try of this task started.",
        run.pipeline_id,
        job.job_id,
        job.status,
    )
    return run


def _end_of(run: Run, job: Job, logger: Logger) -> Outcome | None:
    if not is_success(job, run.order):
        logger.info("Pipeline %s: the earlier try's %s; starting a new one.", run.pipeline_id, end_in_words(job))
        return None
    logger.info("Pipeline %s: the earlier try's %s.", run.pipeline_id, end_in_words(job))
    return Outcome(Ending.ENDED, run, job)


async def _make_way(hevo: HevoAsyncClient, run: Run, earlier: Run, *, age: float, logger: Logger) -> Run | None:
    """
    After a user has cleared the task: let the job of the try before end before a new one is started.

    The old trigger cancels it too, before or after this.

    :returns: the run, waiting for that; None if nothing stands in the way.
    """
    if earlier.phase is Phase.READY or earlier.ownership is Ownership.ADOPTED:
        return None
    choice, restarting = await _choice_of(hevo, earlier)
    job = choice.job
    if job is not None and is_active(job, None):
        if run.order.cancel_on_kill and not choice.has_rivals:
            await cancel_job_of(hevo, earlier.known_as(job.job_id), logger)
        logger.info("Pipeline %s: waiting for job %s of the cleared try to end.", run.pipeline_id, job.job_id)
        return run.waiting(yield_to=job.job_id)
    if job is None and (restarting or age < SHOWS_WITHIN):
        return run.postponed(hevo.clock.now() + max(1.0, SHOWS_WITHIN - age), "the cleared try's job may yet show")
    return None


async def _choice_of(hevo: HevoAsyncClient, run: Run) -> tuple[Choice, bool]:
    """Return the run's job if it shows, and whether the pipeline is restarting on its behalf."""
    if run.job_id is not None:
        try:
            return Choice(await hevo.get_job(run.pipeline_id, run.job_id)), False
        except HevoNotFoundError:  # which may pass: the list has to say the same
            listing = await read_listing(hevo, run.pipeline_id, enough=reaches_back(run))
            return Choice(next((job for job in listing.jobs if job.job_id == run.job_id), None)), False
    state = await read_state(hevo, run.pipeline_id)
    restarting = run.order.may_restart and state.pipeline.status == PipelineStatus.RESTARTING
    return choose(state.listing, run), restarting
