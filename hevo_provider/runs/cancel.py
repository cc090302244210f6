"""Cancelling the job that a run has started, and no other."""

from __future__ import annotations

from dataclasses import replace

from hevo_provider.client.calls import HevoAsyncClient
from hevo_provider.exceptions import HevoConflictError, HevoError
from hevo_provider.models.answers import Job
from hevo_provider.models.enums import JobStatus
from hevo_provider.runs.identity import choose, reaches_back
from hevo_provider.runs.listing import read_listing
from hevo_provider.runs.logger import Logger, log
from hevo_provider.runs.outcome import Ending, Outcome
from hevo_provider.runs.run import Fate, Phase, Run
from hevo_provider.runs.wait import Connect

REPEATS = 3  # of each request, also by a client that asks only once: there is no next poll that would repeat it


async def cancel_job_of(hevo: HevoAsyncClient, run: Run, logger: Logger = log) -> bool:
    """
    Cancel the run's job if the run has started it and it has not ended: GET, then POST …/actions/cancel.

    :returns: whether Hevo was asked to cancel it, now or before. Whatever goes wrong is logged: there is nobody left
        to handle it.
    """
    return (await _cancel(hevo, run, logger))[0]


async def end_in_time(connect: Connect, outcome: Outcome, logger: Logger = log) -> Outcome:
    """
    End a wait: if its time was over, cancel its job.

    :param connect: returns a client.
    :param outcome: what the wait came to.
    :returns: the same, unless the job turns out to have ended by itself after the last poll: that is its end then.
    """
    run = outcome.run
    if outcome.ending is not Ending.TIMED_OUT or not run.order.cancel_on_kill or not _may_be_cancelled(run):
        return outcome
    try:
        hevo = await connect()
    except HevoError as error:
        logger.warning("Pipeline %s: the job was not cancelled and may still run: %s", run.pipeline_id, error)
        return outcome
    cancelled, job = await _cancel(hevo, run, logger)
    if job is None or cancelled or not job.is_terminal:
        return replace(outcome, cancelled=cancelled)
    ending = Ending.ENDED if run.order.wait_for_completion else Ending.FOUND
    return Outcome(ending, run.known_as(job.job_id), job)


def _may_be_cancelled(run: Run) -> bool:
    return run.is_ours and run.order.action is not None and run.phase is not Phase.READY


async def _cancel(hevo: HevoAsyncClient, run: Run, logger: Logger) -> tuple[bool, Job | None]:
    """Return whether Hevo was asked, and the job as it was before that, where it could be seen."""
    if not _may_be_cancelled(run):
        return False, None
    try:
        job_id = run.job_id or await _find(hevo, run)
        if job_id is None:
            logger.warning(
                "Pipeline %s: %s was sent and its job does not show yet, so it is not cancelled. Look at the pipeline "
                "in Hevo.",
                run.pipeline_id,
                run.order.action,
            )
            return False, None
        job = await hevo.get_job(run.pipeline_id, job_id, retry_limit=REPEATS)
        if job.is_terminal or job.status == JobStatus.CANCELLING:
            logger.info("Pipeline %s: job %s is %s already.", run.pipeline_id, job_id, job.status)
            return job.status in {JobStatus.CANCELLING, JobStatus.CANCELLED}, job
        await hevo.cancel_job(run.pipeline_id, job_id, retry_limit=REPEATS)
    except HevoConflictError:
        logger.info("Pipeline %s: the job had ended before it could be cancelled.", run.pipeline_id)
        return False, None
    except HevoError as error:
        logger.warning("Pipeline %s: the job could not be cancelled and may still run: %s", run.pipeline_id, error)
        return False, None
    logger.info("Pipeline %s: asked Hevo to cancel job %s.", run.pipeline_id, job_id)
    return True, job


async def _find(hevo: HevoAsyncClient, run: Run) -> str | None:
    if run.fate is not Fate.ANSWERED:
        return None
    listing = await read_listing(hevo, run.pipeline_id, enough=reaches_back(run), retry_limit=REPEATS)
    choice = choose(listing, run)
    return None if choice.job is None or choice.has_rivals else choice.job.job_id
