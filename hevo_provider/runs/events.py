"""
The one event that a trigger sends, as JSON: what became of the wait, in scalars, and the run as it was then.

The run travels along so that the worker goes on from what has happened, and not from what the DAG's templates say when
it comes back; and because ``dag.test()`` drops what a task keeps in ``defer(kwargs=…)``. Events that version 1.0.0 has
stored hold a run only where the worker had to start it. Those of the vendor's package name a job and say what its
trigger made of it; how the job ended is for Hevo to say.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from hevo_provider import codes, exceptions
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
from hevo_provider.models.ids import job_id_of, pipeline_id_of
from hevo_provider.runs.error_table import fails_for_good
from hevo_provider.runs.order import Order
from hevo_provider.runs.outcome import Ending, Outcome
from hevo_provider.runs.run import Ownership, Run

FAILED = "failed"
BEGIN = {"event": "begin"}  # a sensor that was to start in the triggerer needs a worker, and nothing was polled yet
JOB_KEY = "hevo_job"  # the XCom with a job's final state and counters
_VENDORS = ("success", "error")

_ERRORS: dict[str, type[HevoRunError]] = {
    error.__name__: error for error in (HevoJobNotFoundError, HevoJobStalledError, HevoOutageError)
}
_USUAL_CODES = {
    error.__name__: error.code
    for error in vars(exceptions).values()
    if isinstance(error, type) and issubclass(error, HevoError)
}
_HOPELESS = {error.__name__ for error in (HevoAuthError, HevoConfigError)}  # in events that do not say so themselves


@dataclass(frozen=True, slots=True)
class Event:
    """
    What a worker reads from a trigger's event.

    :param pipeline_id: the pipeline; None where the wait failed before it was known.
    :param job_id: the job, if it is known.
    :param ending: how the wait ended; None if it failed.
    :param job: the job as it was last seen.
    :param run: the run as it was then; None in an event of version 1.0.0, but for one to start it.
    :param error: why the wait failed.
    :param cancelled: whether Hevo was asked to cancel the job.
    :param was_sent: whether the action was sent; also where an event of an earlier version does not say.
    :param worker_seconds: for how long workers have been at work for the task.
    :param names_only_a_job: whether it only says which job the task has started: the wait for that goes on.
    """

    pipeline_id: int | None
    job_id: str | None
    ending: Ending | None = None
    job: Job | None = None
    run: Run | None = None
    error: HevoRunError | None = None
    cancelled: bool = False
    was_sent: bool = True
    worker_seconds: float = 0.0
    names_only_a_job: bool = False

    def run_under(self, order: Order) -> Run:
        """
        Return the run that an event is about which did not bring it along.

        :param order: what the DAG asks for now.
        """
        if self.pipeline_id is not None:
            order = replace(order, pipeline_id=self.pipeline_id)
        return Run(
            order=order,
            job_id=self.job_id,
            ownership=Ownership.OURS if self.names_only_a_job else Ownership.ADOPTED,
            posts=int(self.was_sent),
            worker_seconds=self.worker_seconds,
        )


def event_of(outcome: Outcome) -> dict[str, Any]:
    """Return the event for a wait that came to an end."""
    run, job = outcome.run, outcome.job
    event: dict[str, Any] = {
        "event": outcome.ending.value,
        "pipeline_id": run.pipeline_id,
        "job_id": run.job_id,
        **(facts_of(job) if job is not None else {}),
        "run": run.to_json(),
    }
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
        "message": error.text,
        "code": error.code.name,
        "for_good": fails_for_good(error),
        "run": run.to_json(),
    }


def facts_of(job: Job) -> dict[str, Any]:
    """Return a job's state and counters, without what Hevo did not tell."""
    facts = job.model_dump(exclude_none=True)
    return {"job_type" if name == "type" else name: value for name, value in facts.items()}


def facts_told(run: Run, job: Job) -> dict[str, Any]:
    """Return what the XCom ``hevo_job`` says of any job, with what a person reads beside ids and milliseconds."""
    names = {"pipeline_name": run.pipeline_name, "connection_id": run.order.connection_id, "host": run.host}
    times = {"created_at": job.created_ts, "updated_at": job.updated_ts}
    return {
        "pipeline_id": run.pipeline_id,
        **facts_of(job),
        **{name: value for name, value in names.items() if value is not None},
        **{
            name: datetime.fromtimestamp(time / 1000, UTC).isoformat(timespec="seconds")
            for name, time in times.items()
            if time is not None
        },
    }


def read_event(event: object) -> Event:
    """
    Read what a trigger sent.

    :raises HevoRunError: there is no event, or it is not one of ours: never a success.
    """
    if not isinstance(event, Mapping):
        raise HevoRunError("The trigger sent no event, so it is not known how the job ended.", code=codes.UNKNOWN_EVENT)
    if "event" not in event and event.get("status") in _VENDORS:
        return _vendors_event(event)
    pipeline_id, job_id = event.get("pipeline_id"), event.get("job_id")
    run = _run_in(event)
    if event.get("event") == FAILED:
        return Event(pipeline_id, job_id, run=run, error=_error_in(event))
    try:
        ending: Ending | None = Ending(str(event.get("event")))
        job = None
        if job_id is not None and ("status" in event or ending is Ending.FOUND):  # an id is all that this needs
            job = Job.model_validate({**event, "type": event.get("job_type")})
    except (ValueError, TypeError):
        ending = job = None
    if not isinstance(pipeline_id, int) or not _says_enough(ending, job, run):
        raise HevoRunError(
            f"The trigger sent an event that this version does not understand: {dict(event)!r}. How the job ended is "
            "not known; look at it in Hevo.",
            job_id=job_id,
            code=codes.UNKNOWN_EVENT,
        )
    held = event.get("worker_seconds")
    return Event(
        pipeline_id,
        job_id,
        ending,
        job,
        run,
        cancelled=event.get("cancelled") is True,
        was_sent=event.get("was_sent") is not False,
        worker_seconds=float(held) if isinstance(held, int | float) else 0.0,
    )


def _vendors_event(event: Mapping[str, Any]) -> Event:
    """
    Read what a trigger of the vendor's package sent just before it was replaced.

    Its word is not taken for the job's end: it calls COMPLETED_WITH_FAILURES a success, and the first dropped
    connection an error.

    :raises HevoRunError: it names no job.
    """
    message = event.get("message")
    try:
        return Event(pipeline_id_of(event.get("pipeline_id")), job_id_of(event.get("job_id")), names_only_a_job=True)
    except HevoConfigError:
        raise HevoRunError(
            f"The vendor's package told that the wait ended ({event['status']}: {message}), and not for which job. How "
            "it ended is not known; look at it in Hevo.",
            code=codes.UNKNOWN_EVENT,
        ) from None


def _says_enough(ending: Ending | None, job: Job | None, run: Run | None) -> bool:
    if ending is Ending.START:
        return run is not None
    return ending is Ending.TIMED_OUT or (ending is not None and job is not None)


def _run_in(event: Mapping[str, Any]) -> Run | None:
    try:
        return Run.from_json(event["run"])
    except (KeyError, TypeError, ValueError):
        return None


def _error_in(event: Mapping[str, Any]) -> HevoRunError:
    kind = str(event.get("error"))
    hopeless = event.get("for_good", kind in _HOPELESS) is True
    error = HevoHopelessError if hopeless else _ERRORS.get(kind, HevoRunError)
    return error(
        str(event.get("message")),
        pipeline_id=event.get("pipeline_id"),
        job_id=event.get("job_id"),
        code=codes.ALL.get(str(event.get("code"))) or _USUAL_CODES.get(kind),  # version 1.0.0 told none
    )
