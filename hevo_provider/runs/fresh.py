"""
Whether a job is needed at all: another of its type may have completed lately enough.

Nothing is followed here. What counts is how long ago the job ended, by one clock, Hevo's: at the earliest that its
times allow, for an old load must not be taken for a recent one.
"""

from __future__ import annotations

from collections.abc import Collection

from hevo_provider.client.calls import HevoAsyncClient
from hevo_provider.exceptions import HevoError, HevoRateLimitError
from hevo_provider.models.answers import Job
from hevo_provider.models.enums import JobStatus, JobType
from hevo_provider.runs.identity import LARGEST_SKEW
from hevo_provider.runs.job_objects import ByName, objects_of_job
from hevo_provider.runs.listing import Listing, ended_not_before
from hevo_provider.runs.logger import Logger
from hevo_provider.runs.run import Run
from hevo_provider.runs.verdict import is_complete
from hevo_provider.runs.words import any_of, end_in_words, jobs_in_words, time_in_words

_RELOADS_NOTHING = {JobType.INCREMENTAL, JobType.REFRESHER}


async def fresh_job(
    hevo: HevoAsyncClient, run: Run, listing: Listing, chosen: Collection[str], logger: Logger
) -> Job | None:
    """
    Return the job that makes another one needless, and log what was found.

    It is of the expected type, has completed within ``fresh_within`` seconds, and no table has been reloaded since
    without success: a resync that runs, or has failed, may have emptied some. What a reload has loaded is asked for, as
    Hevo may list one of a few objects under the same type: GET …/jobs/{job_id}/objects and GET …/objects.

    :param listing: the newest jobs.
    :param chosen: ids of the objects that are to be reloaded; none where that is all of them.
    :raises HevoRateLimitError: there is no room within Hevo's limit to ask.
    """
    within = run.order.fresh_within
    if within is None:
        return None
    latest = max((job for job in listing.jobs if _may_do(job, run)), key=_age_key, default=None)
    why = _why_not_fresh(latest, run, listing, within)
    if latest is not None and why is None and latest.type not in _RELOADS_NOTHING:
        why = await _why_not_whole(hevo, run, latest, chosen)
    if latest is None or why is not None:
        logger.info("Pipeline %s: %s, so %s is needed.", run.pipeline_id, why, run.order.action)
        return None
    ended = time_in_words(ended_not_before(latest) or 0)
    logger.info(
        "Pipeline %s: %s, at %s or later, which is within skip_if_fresh (%.0f s): nothing is started.",
        run.pipeline_id,
        end_in_words(latest),
        ended,
        within,
    )
    return latest


def _may_do(job: Job, run: Run) -> bool:
    return job.type in run.order.all_job_types and is_complete(job, run.order) and ended_not_before(job) is not None


def _age_key(job: Job) -> int:
    return ended_not_before(job) or 0


def _why_not_fresh(latest: Job | None, run: Run, listing: Listing, within: float) -> str | None:
    """Return why the job that completed last is not fresh; None if it is."""
    if latest is None:
        return f"none of its newest jobs of type {any_of(run.order.all_job_types)} has completed"
    ended = _age_key(latest)
    if listing.server_time is None:
        return f"Hevo does not tell its time, so how fresh job {latest.job_id} is cannot be told"
    if not -LARGEST_SKEW <= listing.server_time - ended <= within * 1000:
        return f"the last job to complete, {latest.job_id}, may have ended at {time_in_words(ended)} already"
    since = [job for job in listing.jobs if _may_have_emptied_tables(job, run) and _is_later(job, latest)]
    return f"after job {latest.job_id} there is {jobs_in_words(since)}" if since else None


def _may_have_emptied_tables(job: Job, run: Run) -> bool:
    return job.type not in _RELOADS_NOTHING and job.status != JobStatus.SKIPPED and not is_complete(job, run.order)


def _is_later(job: Job, other: Job) -> bool:
    return job.created_ts is None or job.created_ts >= (other.created_ts or 0)


async def _why_not_whole(hevo: HevoAsyncClient, run: Run, reload: Job, chosen: Collection[str]) -> str | None:
    """Return why the reload may be one of other objects; None if it is one of all that are to be reloaded."""
    try:
        reported, items = await objects_of_job(hevo, run.pipeline_id, reload.job_id)
    except HevoRateLimitError:  # which passes: it is no reason to reload what is fresh
        raise
    except HevoError as error:
        return f"what job {reload.job_id} has loaded cannot be read ({error})"
    by_name = ByName(items)
    loaded = {item.object_id for each in reported if (item := by_name.find(each)) is not None}
    wanted = set(chosen) or {item.object_id for item in items if not item.is_left_out}
    return None if wanted and wanted <= loaded else f"job {reload.job_id} has not loaded all of the objects"
