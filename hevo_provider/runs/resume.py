"""
Going on with what an earlier worker of the same task has started, as it is on record.

A record leads to the run's own job or to none. With the job's id there is no question. Without it, only a job will do
that was created within the time in which the call on record can have made it: hours later the newest job of the type is
the schedule's, or a colleague's. If the own job cannot be told from others, nothing is followed and nothing cancelled.
"""

from __future__ import annotations

from dataclasses import dataclass

from hevo_provider.client.calls import HevoAsyncClient
from hevo_provider.exceptions import HevoNotFoundError, HevoResponseError
from hevo_provider.models.answers import Job
from hevo_provider.models.enums import JobStatus
from hevo_provider.runs.cancel import cancel_job_of
from hevo_provider.runs.failed_objects import reload_what_failed
from hevo_provider.runs.identity import (
    UNKNOWN_FATE_WINDOW,
    Choice,
    choose,
    choose_second,
    made_in_time,
    reaches_back,
)
from hevo_provider.runs.listing import Listing, is_active, read_listing
from hevo_provider.runs.logger import Logger, log
from hevo_provider.runs.order import SHOWS_WITHIN
from hevo_provider.runs.outcome import Ending, Outcome
from hevo_provider.runs.run import Ownership, Phase, Run
from hevo_provider.runs.verdict import goes_on, is_success, wants_only_the_id
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


_NONE = Choice()


@dataclass(frozen=True, slots=True)
class _Found:
    """
    What Hevo shows of the run on record.

    :param choice: its job, if that is sure enough.
    :param second: the same of the type that it may have as well.
    :param may_show: whether a resync is so young that its job may yet show: after RESTARTING that takes some seconds.
    """

    choice: Choice
    second: Choice = _NONE
    may_show: bool = False


async def go_on_from(hevo: HevoAsyncClient, run: Run, record: Record, logger: Logger = log) -> Run | Outcome | None:
    """
    Go on with what is on record, or let it make way.

    :param run: what is asked for now.
    :returns: the run to wait for; its outcome, if there is nothing to wait for; None: start anew.
    """
    earlier = record.run
    if not run.order.starts_the_same_as(earlier.order_at_first):
        return None
    if earlier.gone_before and not record.cleared:
        return await _go_on_after_deferral(hevo, run, record, logger)
    left = None
    if earlier.objects_retried and not record.cleared:  # all others are loaded, whatever became of these
        left = run.reloading(earlier.order.object_ids, earlier.objects_retried, earlier.jobs_retried)
    if earlier.phase is Phase.READY:
        return left
    age = hevo.clock.now() - record.time
    if record.cleared:
        return await _make_way(hevo, run, earlier, age=age, logger=logger)
    followed = await _follow_earlier(hevo, left or run, earlier, age=age, logger=logger)
    return left if followed is None else followed


async def _go_on_after_deferral(hevo: HevoAsyncClient, run: Run, record: Record, logger: Logger) -> Run | Outcome:
    """Go on with a run of which a job was deferred, be it with another sync: nothing is resynced twice."""
    earlier = record.run.under(run.order.to_go_on())
    if earlier.phase is not Phase.READY:
        age = hevo.clock.now() - record.time
        followed = await _follow_earlier(hevo, earlier.going_on_anew(), earlier, age=age, logger=logger)
        if followed is not None:
            return followed
    logger.info(
        "Pipeline %s: going on with a sync where job %s of an earlier try was deferred.",
        run.pipeline_id,
        earlier.gone_before[-1],
    )
    return earlier.going_on_anew()


async def _follow_earlier(
    hevo: HevoAsyncClient, run: Run, earlier: Run, *, age: float, logger: Logger
) -> Run | Outcome | None:
    """
    Go on with the run of a worker that was lost, in an automatic retry.

    :param age: seconds since it was recorded.
    :returns: the run to wait for; its outcome, if its job has succeeded meanwhile or is all that is wanted; None if it
        left nothing to follow: no job, or one that failed, which is what retries are for. Where only some of its
        objects failed, and the order says so, the run that reloads these.
    """
    continued = earlier.under(run.order)
    found = await _find(hevo, continued, logger)
    job = found.choice.job
    if job is None:
        return _without_job(run, continued, found, age=age, now=hevo.clock.now(), logger=logger)
    continued = continued.watching(job, Ownership.ASSUMED if found.choice.has_rivals else None)
    if job.status == JobStatus.CANCELLING:
        logger.info("Pipeline %s: waiting for job %s of an earlier try to be cancelled.", run.pipeline_id, job.job_id)
        return run.waiting(yield_to=job.job_id)
    if wants_only_the_id(job, run.order) and job.status != JobStatus.CANCELLED:
        return Outcome(Ending.FOUND, continued, job)
    if job.is_terminal and not goes_on(job, run.order):  # else it is polled once more, and gone on from
        if is_success(job, run.order):
            logger.info("Pipeline %s: the earlier try's %s.", run.pipeline_id, end_in_words(job))
            return Outcome(Ending.ENDED, continued, job)
        logger.info("Pipeline %s: the earlier try's %s; starting a new one.", run.pipeline_id, end_in_words(job))
        return await reload_what_failed(hevo, run, job, logger) if run.order.retry_failed_objects else None
    logger.info(
        "Pipeline %s: following job %s (%s), which an earlier try of this task started.",
        run.pipeline_id,
        job.job_id,
        job.status,
    )
    return continued


def _without_job(run: Run, continued: Run, found: _Found, *, age: float, now: float, logger: Logger) -> Run | None:
    """
    Decide on a run whose job is not, or not surely, among those that Hevo shows.

    :param run: what is asked for now.
    :param continued: the run on record, for that.
    :param age: seconds since it was recorded.
    :param now: seconds since the epoch.
    :returns: the run to wait for; None: start anew.
    """
    fallback = found.second.job or found.choice.fallback
    if fallback is not None:
        # It will be followed only if no better one shows, and a job that failed is never followed again.
        is_good = is_success(fallback, run.order) or goes_on(fallback, run.order)
        return None if fallback.is_terminal and not is_good else continued
    if found.may_show or (age < UNKNOWN_FATE_WINDOW and not continued.in_vain):
        return continued
    if continued.in_vain or run.in_vain:
        return None
    # Hevo may have been down in all the time since the call. So its job gets a minute to show, as after any call of
    # unknown fate. After that the record is gone through once more. It is no search: one that begins hours later would
    # take for its own what anybody starts meanwhile.
    logger.info("Pipeline %s: no job of the earlier try shows; it gets a minute for that.", run.pipeline_id)
    return run.postponed(now + UNKNOWN_FATE_WINDOW, "the earlier try's job may yet show").searched_in_vain()


async def _make_way(hevo: HevoAsyncClient, run: Run, earlier: Run, *, age: float, logger: Logger) -> Run | None:
    """
    After a user has cleared the task: let the job of the try before end before a new one is started.

    The old trigger cancels it too, before or after this.

    :returns: the run, waiting for that; None if nothing stands in the way.
    """
    if earlier.ownership is Ownership.ADOPTED:
        return None
    found = await _find(hevo, earlier, logger)
    choice = found.second if found.choice.job is None else found.choice
    job = choice.job
    if job is not None and is_active(job, None):
        if run.order.cancel_on_kill and not choice.has_rivals:
            await cancel_job_of(hevo, earlier.known_as(job.job_id), logger)
        logger.info("Pipeline %s: waiting for job %s of the cleared try to end.", run.pipeline_id, job.job_id)
        return run.waiting(yield_to=job.job_id)
    if job is not None or run.settling:  # it has ended, or had the time that a job needs to show
        return None
    if found.may_show:
        logger.info("Pipeline %s: waiting for the job of the cleared try to show.", run.pipeline_id)
        return run.settled_first()
    if age < SHOWS_WITHIN:
        return run.postponed(hevo.clock.now() + SHOWS_WITHIN - age, "the cleared try's job may yet show")
    return None


async def _find(hevo: HevoAsyncClient, run: Run, logger: Logger) -> _Found:
    """Return the run's job if it shows, or whether it may yet."""
    try:
        if run.job_id is not None:
            return _Found(Choice(await _job_of(hevo, run, run.job_id)))
        listing = await read_listing(hevo, run.pipeline_id, enough=reaches_back(run))
    except HevoResponseError as error:
        logger.warning(
            "Pipeline %s: what an earlier try has started cannot be told any more (%s). If a job of it runs, it is "
            "neither followed nor cancelled.",
            run.pipeline_id,
            error,
        )
        return _Found(Choice())
    timely = Listing(
        tuple(job for job in listing.jobs if made_in_time(job, run)), listing.server_time, complete=listing.complete
    )
    may_show = run.order.may_restart and not run.in_vain and made_in_time(listing.server_time, run)
    return _Found(choose(timely, run), choose_second(timely, run), may_show=may_show)


async def _job_of(hevo: HevoAsyncClient, run: Run, job_id: str) -> Job | None:
    try:
        return await hevo.get_job(run.pipeline_id, job_id)
    except HevoNotFoundError:  # which may pass: the list has to say the same
        listing = await read_listing(hevo, run.pipeline_id, enough=reaches_back(run))
        return next((job for job in listing.jobs if job.job_id == job_id), None)
