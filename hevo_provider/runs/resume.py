"""Going on with what an earlier worker of the same task has started."""

from __future__ import annotations

from dataclasses import replace

from hevo_provider.client import HevoAsyncClient
from hevo_provider.exceptions import HevoNotFoundError
from hevo_provider.models.pipeline import PipelineStatus
from hevo_provider.runs.cancel import cancel_job_of
from hevo_provider.runs.discovery import (
    SHOWS_WITHIN,
    Choice,
    choose,
    is_active,
    reaches_back,
    read_listing,
    read_state,
)
from hevo_provider.runs.logger import Logger, log
from hevo_provider.runs.run import Fate, Ownership, Phase, Run
from hevo_provider.runs.verdict import in_words, is_success
from hevo_provider.runs.wait import UNKNOWN_FATE_WINDOW, Ending, Outcome


async def follow_earlier(
    hevo: HevoAsyncClient,
    run: Run,
    earlier: Run,
    *,
    age: float,
    accept_completed_with_failures: bool,
    logger: Logger = log,
) -> Run | Outcome | None:
    """
    Go on with the run of a worker that was lost, in an automatic retry.

    :param run: what is asked for now.
    :param earlier: the run on record.
    :param age: seconds since it was recorded.
    :returns: the run to wait for; its outcome, if its job has succeeded meanwhile or is all that is wanted; None if it
        left nothing to follow: no job, or one that failed, which is what retries are for.
    """
    if earlier.phase == Phase.READY or not run.asks_for_the_same_as(earlier):
        return None
    run = run.continuing(earlier)
    choice, restarting = await _choice_of(hevo, run)
    job = choice.job
    if job is None:
        may_show = restarting or age < UNKNOWN_FATE_WINDOW or choice.fallback is not None
        fate = Fate.ANSWERED.value if restarting else run.fate
        return replace(run, fate=fate) if may_show else None
    ownership = Ownership.ASSUMED.value if choice.has_rivals else run.ownership
    run = replace(
        run, phase=Phase.WATCH.value, job_id=job.job_id, ownership=ownership, baseline=(), baseline_floor=None
    )
    if not run.wait_for_completion:
        return Outcome(Ending.FOUND, run, job)
    if job.is_terminal:
        if not is_success(job, accept_completed_with_failures=accept_completed_with_failures):
            logger.info("Pipeline %s: the earlier try's %s; starting a new one.", run.pipeline_id, in_words(job))
            return None
        logger.info("Pipeline %s: the earlier try's %s.", run.pipeline_id, in_words(job))
        return Outcome(Ending.ENDED, run, job)
    logger.info(
        "Pipeline %s: following job %s (%s), which an earlier try of this task started.",
        run.pipeline_id,
        job.job_id,
        job.status,
    )
    return run


async def make_way(hevo: HevoAsyncClient, run: Run, earlier: Run, *, age: float, logger: Logger = log) -> Run | None:
    """
    After a user has cleared the task: let the job of the try before end before a new one is started.

    The old trigger cancels it too, before or after this.

    :returns: the run, waiting for that; None if nothing stands in the way.
    """
    if earlier.phase == Phase.READY or earlier.ownership == Ownership.ADOPTED:
        return None
    choice, restarting = await _choice_of(hevo, earlier)
    job = choice.job
    if job is not None and is_active(job, None):
        if run.cancel_on_kill and not choice.has_rivals:
            await cancel_job_of(hevo, replace(earlier, job_id=job.job_id), logger)
        logger.info("Pipeline %s: waiting for job %s of the cleared try to end.", run.pipeline_id, job.job_id)
        return replace(run, phase=Phase.READY.value, yield_to=job.job_id)
    if job is None and (restarting or age < SHOWS_WITHIN):
        return replace(run, phase=Phase.READY.value, not_before=hevo.clock.now() + max(1.0, SHOWS_WITHIN - age))
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
    restarting = run.may_restart and state.pipeline.status == PipelineStatus.RESTARTING
    return choose(state.listing, run), restarting
