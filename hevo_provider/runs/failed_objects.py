"""
A retry that reloads only what the job of the try before has not loaded: minutes instead of hours of history.

That is not only what failed: a job that FAILED may have ended before it came to other objects. So all objects are
reloaded that Hevo does not report as done. Where it does not report enough, nothing is left out.
"""

from __future__ import annotations

from collections.abc import Sequence

from hevo_provider.client.calls import HevoAsyncClient
from hevo_provider.exceptions import HevoError, HevoRateLimitError
from hevo_provider.models.answers import Job
from hevo_provider.models.enums import JobStatus
from hevo_provider.models.object import JobObject, PipelineObject
from hevo_provider.runs.chosen_objects import objects_in_words
from hevo_provider.runs.job_objects import ByName, objects_of_job
from hevo_provider.runs.logger import Logger
from hevo_provider.runs.run import Run

SAY_WHAT_FAILED = frozenset({JobStatus.FAILED, JobStatus.COMPLETED_WITH_FAILURES})
_DONE = ("COMPLETED", "SUCCESS")  # in a status; which ones an object of a job may have is not documented


async def reload_what_failed(hevo: HevoAsyncClient, run: Run, job: Job, logger: Logger) -> Run | None:
    """
    Return the run that reloads what the job of the try before has not: GET …/jobs/{job_id}/objects, GET …/objects.

    :param run: what is asked for now.
    :param job: it has not ended well.
    :returns: None where the job is not one of which some objects failed, or Hevo does not say which.
    :raises HevoRateLimitError: there is no room within Hevo's limit to ask.
    """
    if job.status not in SAY_WHAT_FAILED:
        return None
    try:
        reported, items = await objects_of_job(hevo, run.pipeline_id, job.job_id)
        left = _left_of(job, reported, items)
    except HevoRateLimitError:  # which passes: it is no reason to reload hours of history
        raise
    except (HevoError, _NotSaidError) as why:
        logger.info(
            "Pipeline %s: which objects failed in job %s of the try before cannot be told (%s): all that it was to "
            "load are reloaded.",
            run.pipeline_id,
            job.job_id,
            why,
        )
        return None
    logger.info(
        "Pipeline %s: reloading only what job %s of the try before has not loaded, %s of its %s objects: %s.",
        run.pipeline_id,
        job.job_id,
        len(left),
        len(reported),
        objects_in_words(tuple(left), items),
    )
    return run.reloading(left, left.values(), (*run.jobs_retried, job.job_id))


class _NotSaidError(Exception):
    """Hevo does not say which objects failed."""


def _left_of(job: Job, reported: Sequence[JobObject], items: Sequence[PipelineObject]) -> dict[str, str]:
    """
    Return the names of the objects that the job has not loaded, by their ids.

    :param reported: what it reports of its objects.
    :param items: the pipeline's.
    :raises _NotSaidError: that is not known for all of them.
    """
    failed = sum(map(_has_failed, reported))
    if not failed or failed < (job.objects_failed or 0):
        raise _NotSaidError(f"Hevo counts {job.objects_failed or 'some'} and names {failed or 'none'}")
    counted = (job.objects_success, job.objects_queued, job.objects_skipped, job.objects_failed)
    there = sum(number for number in counted if number is not None)
    if there > len(reported):
        raise _NotSaidError(f"it had {there} objects and Hevo names {len(reported)}")
    by_name, left = ByName(items), dict[str, str]()
    for each in reported:
        item = by_name.find(each)
        if item is None and not _is_done(each):
            raise _NotSaidError(f"the pipeline has no one object {_name_of(each)!r}")
        if item is not None and not item.is_left_out and not _is_done(each):
            left[item.object_id] = _name_of(each)
    if not left:
        raise _NotSaidError("those that failed are no longer loaded at all")
    return left


def _has_failed(item: JobObject) -> bool:
    return "FAIL" in (item.status or "").upper() or (item.rows_failed or 0) > 0


def _is_done(item: JobObject) -> bool:
    return not _has_failed(item) and any(word in (item.status or "").upper() for word in _DONE)


def _name_of(item: JobObject) -> str:
    return item.name or item.object_name or item.object_id or "?"
