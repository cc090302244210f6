"""What a job's end means for the task, and what to say where there is no job."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hevo_provider.client import HevoAsyncClient
from hevo_provider.exceptions import HevoError, HevoJobFailedError
from hevo_provider.models.answers import Job
from hevo_provider.models.job import JobStatus
from hevo_provider.runs.discovery import Choice
from hevo_provider.runs.run import Run, any_of

MOST_OBJECTS = 10
_COUNTERS = (
    "events_ingested",
    "events_loaded",
    "events_failed",
    "objects_success",
    "objects_skipped",
    "objects_failed",
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


def is_success(job: Job, *, accept_completed_with_failures: bool) -> bool:
    """Return whether the job's status lets the task succeed."""
    if job.status == JobStatus.COMPLETED:
        return True
    return job.status == JobStatus.COMPLETED_WITH_FAILURES and accept_completed_with_failures


def failure_of(pipeline_id: int, job: Job, failing_objects: Sequence[str] = ()) -> HevoJobFailedError:
    """Return the error for a job that ended badly."""
    advice = ""
    if job.status == JobStatus.COMPLETED_WITH_FAILURES:
        advice = " Set accept_completed_with_failures=True to let the task succeed all the same."
    return HevoJobFailedError(
        f"Pipeline {pipeline_id}: {in_words(job)}.{_objects_in_words(failing_objects)}{advice}",
        pipeline_id=pipeline_id,
        job_id=job.job_id,
    )


def in_words(job: Job) -> str:
    """Return the job with its status and counters, for a log line."""
    counters = [f"{name} {value}" for name in _COUNTERS if (value := getattr(job, name)) is not None]
    if job.duration is not None:
        counters.append(f"duration {job.duration / 1000:.0f} s")
    return f"job {job.job_id} ({job.type}) ended {job.status}" + (f": {', '.join(counters)}" if counters else "")


async def failing_objects(hevo: HevoAsyncClient, pipeline_id: int, job: Job) -> tuple[str, ...]:
    """
    Name the objects that made a job fail: GET …/jobs/{job_id}/objects, one page.

    :returns: their names, or none if Hevo does not tell.
    """
    try:
        page = await hevo.newest_job_objects(pipeline_id, job.job_id)
    except HevoError:
        return ()
    return tuple(
        item.name or item.object_name or item.object_id or "?"
        for item in page.data
        if item.status is not None and "FAIL" in item.status.upper()
    )


def found_none(run: Run, choice: Choice, looks: int) -> str:
    """Return why a search for the run's job ended without one."""
    wanted = any_of(run.job_types)
    others = ", ".join(sorted({f"{job.type} (job {job.job_id}, {job.status})" for job in choice.others}))
    instead = f" Of other types there is {others}: set job_type to follow that." if others else ""
    if run.action is None:
        return (
            f"Pipeline {run.pipeline_id}: no active job of type {wanted} was there at any look.{instead} "
            "Start the job before the sensor, or allow more looks (wait_for_job_max_attempts)."
        )
    return (
        f"Pipeline {run.pipeline_id}: Hevo accepted {run.action}, but no job of type {wanted} appeared in {looks} "
        f"looks.{instead} See the pipeline's jobs in Hevo before another start; if they take long to appear, raise "
        "retry_limit."
    )


def _objects_in_words(names: Sequence[str]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - MOST_OBJECTS} more" if len(names) > MOST_OBJECTS else ""
    return f" Failing objects: {', '.join(names[:MOST_OBJECTS])}{more}."
