"""What a job's end means for the task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hevo_provider import codes
from hevo_provider.client.calls import MAX_PAGE, HevoAsyncClient
from hevo_provider.codes import Code
from hevo_provider.exceptions import HevoError, HevoJobFailedError
from hevo_provider.models.answers import Job
from hevo_provider.models.enums import DEFERRED_STATUSES, JobStatus, OnDeferred
from hevo_provider.runs.listing import ended_at, is_active, read_listing
from hevo_provider.runs.order import Order
from hevo_provider.runs.run import Run
from hevo_provider.runs.words import (
    counters_in_words,
    deferral_in_words,
    end_in_words,
    failing_in_words,
    jobs_in_words,
    some_of,
)

HAVE_FAILING_OBJECTS = frozenset(
    {JobStatus.FAILED, JobStatus.COMPLETED_WITH_FAILURES, JobStatus.DEFERRED_WITH_FAILURES}
)


_CODES: Mapping[str, Code] = {
    JobStatus.FAILED: codes.FAILED,
    JobStatus.COMPLETED_WITH_FAILURES: codes.WITH_FAILURES,
    JobStatus.CANCELLED: codes.CANCELLED,
    JobStatus.SKIPPED: codes.SKIPPED,
    JobStatus.DEFERRED: codes.DEFERRED,
    JobStatus.DEFERRED_WITH_FAILURES: codes.DEFERRED_WITH_FAILURES,
}


@dataclass(frozen=True, slots=True)
class Details:
    """
    What Hevo says about a job's end beyond its status, if it does.

    :param failing_objects: names of the objects that failed.
    :param skipped_for: the job that was active when this one was skipped.
    :param deferred_objects: names of the objects that the source's rate limit has stopped.
    """

    failing_objects: tuple[str, ...] = ()
    deferred_objects: tuple[str, ...] = ()
    skipped_for: Job | None = None


NO_DETAILS = Details()


@dataclass(frozen=True, slots=True)
class Verdict:
    """
    What became of a job.

    :param job: as it was last seen.
    :param failing_objects: names of the objects that failed, as far as Hevo says.
    :param error: why the task fails; None if it does not.
    """

    job: Job
    failing_objects: tuple[str, ...] = ()
    error: HevoJobFailedError | None = None


def verdict_of(run: Run, job: Job, details: Details = NO_DETAILS) -> Verdict:
    """Return what the job's end means for a task that waited for it."""
    is_good = is_success(job, run.order)
    return Verdict(job, details.failing_objects, None if is_good else _failure_of(run, job, details))


def is_success(job: Job, order: Order) -> bool:
    """Return whether the job's status lets the task succeed."""
    return is_complete(job, order) or (order.on_deferred is OnDeferred.ACCEPT and job.status in _deferred(order))


def is_complete(job: Job, order: Order) -> bool:
    """Return whether the job has loaded all that the task wants, and not only as much as the source allowed."""
    return job.status in _completed(order)


def wants_only_the_id(job: Job, order: Order) -> bool:
    """Return whether the task wanted no more than to start this job. One that was skipped has never run."""
    return not order.wait_for_completion and job.status != JobStatus.SKIPPED


def goes_on(job: Job, order: Order) -> bool:
    """Return whether the job was deferred and the task is to go on from there."""
    return order.on_deferred is OnDeferred.CONTINUE and order.wait_for_completion and job.status in _deferred(order)


def _completed(order: Order) -> set[JobStatus]:
    failures = {JobStatus.COMPLETED_WITH_FAILURES} if order.accept_completed_with_failures is True else set()
    return {JobStatus.COMPLETED} | failures


def _deferred(order: Order) -> set[JobStatus]:
    failures = {JobStatus.DEFERRED_WITH_FAILURES} if order.accept_completed_with_failures is True else set()
    return {JobStatus.DEFERRED} | failures


def _failure_of(run: Run, job: Job, details: Details) -> HevoJobFailedError:
    why = advice = ""
    if job.status == JobStatus.SKIPPED:
        by = details.skipped_for
        there = "which one that was could not be seen" if by is None else f"{jobs_in_words([by])} was then"
        why = f" Hevo skips a run while another job is active; {there}."
    if job.status in DEFERRED_STATUSES:
        why = f" {deferral_in_words(details.deferred_objects)}"
        advice = _advice_on_deferral(run, job)
    error = HevoJobFailedError(
        f"Pipeline {run.pipeline_id}: {end_in_words(job)}.{failing_in_words(details.failing_objects)}{why}{advice}",
        pipeline_id=run.pipeline_id,
        job_id=job.job_id,
        code=_CODES.get(str(job.status)),
        status=job.status,
        counters=run.counted_with(job),
        failed_objects=details.failing_objects,
    )
    lines = {
        "What happened": f"job {job.job_id} ({job.type}) ended {job.status}.{why}",
        "Counters": ", ".join(counters_in_words(job)),
        "Failing objects": some_of(details.failing_objects),
        "What to do": advice.strip(),
    }
    error.lines = tuple((heading, said) for heading, said in lines.items() if said)
    return error


def _advice_on_deferral(run: Run, job: Job) -> str:
    order = run.order
    also = "" if job.status in _deferred(order) else f"; {job.status} also needs accept_completed_with_failures=True"
    if order.on_deferred is not OnDeferred.FAIL:
        return f' on_deferred is "{order.on_deferred.value}"{also}.'
    more = "" if order.action is None else ', or to "continue" to let it go on until all has caught up'
    return f' Set on_deferred to "accept" to let the task succeed all the same{more}{also}.'


async def details_of(hevo: HevoAsyncClient, run: Run, job: Job) -> Details:
    """
    Ask for what explains a bad end: GET …/jobs/{job_id}/objects, one page, or GET …/jobs.

    :returns: what Hevo says, which may be nothing.
    """
    if job.status == JobStatus.SKIPPED:
        return Details(skipped_for=await _active_when_skipped(hevo, run, job))
    return await _objects_in(hevo, run, job) if job.status in HAVE_FAILING_OBJECTS | DEFERRED_STATUSES else NO_DETAILS


async def _active_when_skipped(hevo: HevoAsyncClient, run: Run, skipped: Job) -> Job | None:
    when = skipped.created_ts
    if when is None:
        return None

    def enough(jobs: Sequence[Job]) -> bool:
        return any(_was_active(job, when) for job in jobs)

    try:
        listing = await read_listing(hevo, run.pipeline_id, enough=enough, may_cut_short=True)
    except HevoError:
        return None
    return max(
        (job for job in listing.jobs if _was_active(job, when)), key=lambda job: job.created_ts or 0, default=None
    )


def _was_active(job: Job, when: int) -> bool:
    """Return whether the job was active at a time: Hevo's clock, ms."""
    if job.status == JobStatus.SKIPPED or job.created_ts is None or job.created_ts > when:
        return False
    return is_active(job, None) or ended_at(job) >= when


async def _objects_in(hevo: HevoAsyncClient, run: Run, job: Job) -> Details:
    failing: list[str] = []
    deferred: list[str] = []
    read = 0
    try:
        async for item in hevo.list_job_objects(run.pipeline_id, job.job_id):
            read += 1
            status = "" if item.status is None else item.status.upper()
            name = item.name or item.object_name or item.object_id or "?"
            if "FAIL" in status:
                failing.append(name)
            elif "DEFER" in status:
                deferred.append(name)
            if read >= MAX_PAGE:  # more would be more requests for what is only nice to know
                break
    except HevoError:
        pass
    return Details(tuple(failing), deferred_objects=tuple(deferred))
