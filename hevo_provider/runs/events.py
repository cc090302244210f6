"""
The one event that a trigger sends, as JSON: what became of the wait, in scalars.

Only where the worker has to go on does the whole run travel along: ``dag.test()`` drops what a task keeps in
``defer(kwargs=…)``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hevo_provider.exceptions import (
    HevoAuthError,
    HevoConfigError,
    HevoError,
    HevoHopelessError,
    HevoJobNotFoundError,
    HevoJobStalledError,
    HevoOutageError,
    HevoRunError,
)
from hevo_provider.models.answers import Job
from hevo_provider.runs.run import Run
from hevo_provider.runs.wait import Ending, Outcome

FAILED = "failed"

_ERRORS: dict[str, type[HevoRunError]] = {
    error.__name__: error for error in (HevoJobNotFoundError, HevoJobStalledError, HevoOutageError)
}
_HOPELESS = {error.__name__ for error in (HevoAuthError, HevoConfigError)}


@dataclass(frozen=True, slots=True)
class Event:
    """
    What a worker reads from a trigger's event.

    :param ending: how the wait ended.
    :param pipeline_id: the pipeline.
    :param job_id: the job, if it is known.
    :param job: the job as it was last seen.
    :param run: the run, where the worker has to go on with it.
    :param cancelled: whether Hevo was asked to cancel the job.
    :param was_sent: whether the action was sent; also where an event of an earlier version does not say.
    :param worker_seconds: the run's, for the worker to add its own to.
    """

    ending: Ending
    pipeline_id: int
    job_id: str | None
    job: Job | None
    run: Run | None
    cancelled: bool = False
    was_sent: bool = True
    worker_seconds: float = 0.0


def event_of(outcome: Outcome) -> dict[str, Any]:
    """Return the event for a wait that came to an end."""
    run, job = outcome.run, outcome.job
    event: dict[str, Any] = {
        "event": outcome.ending.value,
        "pipeline_id": run.pipeline_id,
        "job_id": run.job_id,
        **(facts_of(job) if job is not None else {}),
    }
    if outcome.ending is Ending.START:
        event["run"] = run.to_json()
    if run.worker_seconds:
        event["worker_seconds"] = run.worker_seconds
    if outcome.ending is Ending.TIMED_OUT:
        event |= {"cancelled": outcome.cancelled, "was_sent": run.posts > 0}
    return event


def event_of_error(error: HevoError, run: Run) -> dict[str, Any]:
    """Return the event for a wait that failed."""
    return {
        "event": FAILED,
        "pipeline_id": run.pipeline_id,
        "job_id": run.job_id,
        "error": type(error).__name__,
        "message": str(error),
    }


def facts_of(job: Job) -> dict[str, Any]:
    """Return a job's state and counters, without what Hevo did not tell."""
    facts = job.model_dump(exclude_none=True)
    return {"job_type" if name == "type" else name: value for name, value in facts.items()}


def read_event(event: object) -> Event:
    """
    Read what a trigger sent.

    :raises HevoHopelessError: the trigger failed for a reason that another try would not mend.
    :raises HevoRunError: the trigger failed, or the event is not one of ours: never a success.
    """
    if not isinstance(event, Mapping):
        raise HevoRunError("The trigger sent no event, so it is not known how the job ended.")
    pipeline_id, job_id = event.get("pipeline_id"), event.get("job_id")
    if event.get("event") == FAILED:
        kind, message = event.get("error"), str(event.get("message"))
        error = HevoHopelessError if kind in _HOPELESS else _ERRORS.get(str(kind), HevoRunError)
        raise error(message, pipeline_id=pipeline_id, job_id=job_id)
    try:
        ending = Ending(str(event.get("event")))
        job = None
        if job_id is not None and ("status" in event or ending is Ending.FOUND):  # an id is all that this needs
            job = Job.model_validate({**event, "type": event.get("job_type")})
        run = Run.from_json(event["run"]) if ending is Ending.START else None
    except (ValueError, KeyError, TypeError):
        ending = None
    if ending is None or not isinstance(pipeline_id, int) or (ending in {Ending.ENDED, Ending.FOUND} and job is None):
        raise HevoRunError(
            f"The trigger sent an event that this version does not understand: {dict(event)!r}. How the job ended is "
            "not known; look at it in Hevo.",
            job_id=job_id,
        )
    held = event.get("worker_seconds")
    worker_seconds = float(held) if isinstance(held, int | float) else 0.0
    return Event(
        ending,
        pipeline_id,
        job_id,
        job,
        run,
        cancelled=event.get("cancelled") is True,
        was_sent=event.get("was_sent") is not False,
        worker_seconds=worker_seconds,
    )
