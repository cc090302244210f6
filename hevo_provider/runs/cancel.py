"""Cancelling the job that a run has started, and no other."""

from __future__ import annotations

from hevo_provider.client import HevoAsyncClient
from hevo_provider.exceptions import HevoConflictError, HevoError
from hevo_provider.models.job import JobStatus
from hevo_provider.runs.discovery import choose, reaches_back, read_listing
from hevo_provider.runs.logger import Logger, log
from hevo_provider.runs.run import Fate, Phase, Run

REPEATS = 3  # of each request, also by a client that asks only once: there is no next look that would repeat it


async def cancel_job_of(hevo: HevoAsyncClient, run: Run, logger: Logger = log) -> bool:
    """
    Cancel the run's job if the run has started it and it has not ended: GET, then POST …/actions/cancel.

    :returns: whether Hevo was asked to cancel it, now or before. Whatever goes wrong is logged: there is nobody left
        to handle it.
    """
    if not run.is_ours or run.action is None or run.phase == Phase.READY:
        return False
    try:
        job_id = run.job_id or await _find(hevo, run)
        if job_id is None:
            logger.warning(
                "Pipeline %s: %s was sent and its job does not show yet, so it is not cancelled. Look at the pipeline "
                "in Hevo.",
                run.pipeline_id,
                run.action,
            )
            return False
        job = await hevo.get_job(run.pipeline_id, job_id, retry_limit=REPEATS)
        if job.is_terminal or job.status == JobStatus.CANCELLING:
            logger.info("Pipeline %s: job %s is %s already.", run.pipeline_id, job_id, job.status)
            return job.status in {JobStatus.CANCELLING, JobStatus.CANCELLED}
        await hevo.cancel_job(run.pipeline_id, job_id, retry_limit=REPEATS)
    except HevoConflictError:
        logger.info("Pipeline %s: the job had ended before it could be cancelled.", run.pipeline_id)
        return False
    except HevoError as error:
        logger.warning("Pipeline %s: the job could not be cancelled and may still run: %s", run.pipeline_id, error)
        return False
    logger.info("Pipeline %s: asked Hevo to cancel job %s.", run.pipeline_id, job_id)
    return True


async def _find(hevo: HevoAsyncClient, run: Run) -> str | None:
    if run.fate != Fate.ANSWERED:
        return None
    listing = await read_listing(hevo, run.pipeline_id, enough=reaches_back(run), retry_limit=REPEATS)
    choice = choose(listing, run)
    return None if choice.job is None or choice.has_rivals else choice.job.job_id
