"""What a job's end means for the task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hevo_provider.client.calls import MAX_PAGE, HevoAsyncClient
from hevo_provider.exceptions import HevoError, HevoJobFailedError
from hevo_provider.models.answers import Job
from hevo_provider.models.enums import JobStatus
from hevo_provider.runs.order import Order
from hevo_provider.runs.run import Run
from hevo_provider.runs.words import end_in_words, failing_in_words

HAVE_FAILING_OBJECTS = frozenset(
    {JobStatus.FAILED, JobStatus.COMPLETED_WITH_FAILURES, JobStatus.DEFERRED_WITH_FAILURES}
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """
    What became of a job.

    :param job: as it was last seen.
    :param failing_objects: names of the objects that failed, as far as Hevo tells.
    :param error: why the task fails; None if it does not.
    """

    job: Job
    failing_objects: tuple[str, ...] = ()
    error: HevoJobFailedError | None = None


def verdict_of(run: Run, job: Job, failing_objects: Sequence[str] = ()) -> Verdict:
    """Return what the job's end means for a task that waited for it."""
    is_good = is_success(job, run.order)
    return Verdict(job, tuple(failing_objects), None if is_good else _failure_of(run, job, failing_objects))


def is_success(job: Job, order: Order) -> bool:
    """Return whether the job's status lets the task succeed."""
    if job.status == JobStatus.COMPLETED:
        return True
    return job.status == JobStatus.COMPLETED_WITH_FAILURES and order.accept_completed_with_failures is True


def _failure_of(run: Run, job: Job, failing_objects: Sequence[str]) -> HevoJobFailedError:
    advice = ""
    if job.status == JobStatus.COMPLETED_WITH_FAILURES:
        advice = " Set accept_completed_with_failures=True to let the task succeed all the same."
    return HevoJobFailedError(
        f"Pipeline {run.pipeline_id}: {end_in_words(job)}.{failing_in_words(failing_objects)}{advice}",
        pipeline_id=run.pipeline_id,
        job_id=job.job_id,
    )


async def failing_objects_of(hevo: HevoAsyncClient, run: Run, job: Job) -> tuple[str, ...]:
    """
    Name the objects that made a job fail: GET …/jobs/{job_id}/objects, one page.

    :returns: their names, or none if Hevo does not tell.
    """
    if job.status not in HAVE_FAILING_OBJECTS:
        return ()
    names: list[str] = []
    read = 0
    try:
        async for item in hevo.list_job_objects(run.pipeline_id, job.job_id):
            read += 1
            if item.status is not None and "FAIL" in item.status.upper():
                names.append(item.name or item.object_name or item.object_id or "?")
            if read >= MAX_PAGE:  # more would be more requests for what is only nice to know
                break
    except HevoError:
        pass
    return tuple(names)
