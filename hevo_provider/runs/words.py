"""Jobs, objects and times in sentences, for log lines and errors."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from hevo_provider.models.answers import Job
from hevo_provider.runs.identity import Choice
from hevo_provider.runs.run import Fate, Ownership, Phase, Run

MOST_NAMES = 10  # in a sentence
IF_NO_LINE_FOLLOWS = "If no line follows within a minute, no triggerer is running."
SHORT_ID = 8  # characters of a job's id
LONGEST_IN_SECONDS, LONGEST_IN_MINUTES = 120, 120
_OWNERSHIP = {
    Ownership.OURS: "",
    Ownership.ASSUMED: ", taken for this task's own; it will not be cancelled by this task",
    Ownership.ADOPTED: ", which this task follows but did not start",
}
_SHOWN_COUNTERS = (
    "events_ingested",
    "events_loaded",
    "events_failed",
    "objects_success",
    "objects_skipped",
    "objects_failed",
)


def any_of(names: Iterable[str]) -> str:
    """Return names for a sentence: ``A, B or C``."""
    *most, last = names
    return f"{', '.join(most)} or {last}" if most else last


def time_in_words(time: int) -> str:
    """
    Return a time for a sentence.

    :param time: milliseconds since the epoch.
    """
    return f"{datetime.fromtimestamp(time / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"


def span_in_words(seconds: float) -> str:
    """Return a span of time for a sentence."""
    minutes = round(seconds / 60)
    if seconds < LONGEST_IN_SECONDS:
        return f"{max(0.0, seconds):.0f} s"
    return f"{minutes} min" if minutes < LONGEST_IN_MINUTES else f"{minutes // 60} h {minutes % 60} min"


def short_id(job_id: str) -> str:
    """Return the beginning of a job's id, for one of many log lines about it."""
    return job_id if len(job_id) <= SHORT_ID else f"{job_id[:SHORT_ID]}…"


def pipeline_in_words(run: Run) -> str:
    """Return the pipeline's name, where it is known, and id, for a sentence."""
    return str(run.pipeline_id) if run.pipeline_name is None else f"{run.pipeline_name!r} ({run.pipeline_id})"


def place_in_words(run: Run) -> str:
    """Return the pipeline, by which connection it is reached, and where, for a line."""
    host = "" if run.host is None else f", host {run.host}"
    return f"Pipeline {pipeline_in_words(run)}, connection {run.order.connection_id}{host}"


def wait_in_words(run: Run) -> tuple[str, str]:
    """Return what a run waits for, for how long and how often it polls, as two log lines for the worker that leaves."""
    order = run.order
    what = {Phase.READY: "its turn to start", Phase.FIND: "its job to show", Phase.WATCH: "its job to end"}[run.phase]
    if run.phase is Phase.FIND and order.completed_after is not None:
        what = "a job that completes"
    until = "" if order.deadline is None else f", until {time_in_words(round(order.deadline * 1000))}"
    return (
        f"Waiting in the triggerer from here on for {what}{until}.",
        f"It polls every {order.poll_interval:g} s. {IF_NO_LINE_FOLLOWS}",
    )


def jobs_in_words(jobs: Sequence[Job]) -> str:
    """Return jobs with their types and statuses, for a sentence."""
    return any_of([f"job {job.job_id} ({job.type}, {job.status})" for job in jobs])


def found_in_words(run: Run, job: Job, server_time: int | None) -> str:
    """
    Return the job that a run has found, for a log line.

    :param server_time: Hevo's clock (ms) when the job showed; None if Hevo did not say.
    """
    after = ""
    was_started = run.order.action is not None and run.fate is Fate.ANSWERED
    if was_started and run.posted_at is not None and server_time is not None:
        after = f" after {max(0, server_time - run.posted_at) / 1000:.0f} s"
    return f"job {job.job_id} ({job.type}, {job.status}){after}{_OWNERSHIP[run.ownership]}"


def end_in_words(job: Job) -> str:
    """Return the job with its status and counters, for a log line."""
    counters = counters_in_words(job)
    return f"job {job.job_id} ({job.type}) ended {job.status}" + (f": {', '.join(counters)}" if counters else "")


def counters_in_words(job: Job) -> list[str]:
    """Return how much the job has moved, and how long it took, as far as Hevo says."""
    counters = [f"{name} {value}" for name in _SHOWN_COUNTERS if (value := getattr(job, name)) is not None]
    return counters if job.duration is None else [*counters, f"duration {job.duration / 1000:.0f} s"]


def found_none(run: Run, choice: Choice, polls: int) -> str:
    """Return why a search for the run's job ended without one."""
    wanted = any_of(run.order.job_types)
    others = ", ".join(sorted({f"{job.type} (job {job.job_id}, {job.status})" for job in choice.others}))
    instead = f" Of other types there is {others}: set job_type to follow that." if others else ""
    if run.order.action is None:
        return f"Pipeline {run.pipeline_id}: no active job of type {wanted} was there at any poll.{instead}"
    return (
        f"Pipeline {run.pipeline_id}: {_why_there_is_one(run)}, but no job of type {wanted} appeared in "
        f"{polls} polls.{instead}"
    )


def _why_there_is_one(run: Run) -> str:
    """Return what says that there must be a job."""
    if run.fate is Fate.REFUSED:
        return f"Hevo refused {run.order.action} because of a running job ({run.note})"
    if run.note is not None:  # Hevo has not said that it accepted the action
        return f"the pipeline was RESTARTING after {run.order.action}, so this was applied ({run.note})"
    return f"Hevo accepted {run.order.action}"


def deferral_in_words(names: Sequence[str]) -> str:
    """Return what a deferral means (API.md, deferred), as a sentence of its own, naming the objects where known."""
    which = f" ({some_of(names)})" if names else ""
    return (
        f"The source's own rate limit stopped some objects{which}: what was read of them is loaded, and the pipeline's "
        "next run goes on."
    )


def failing_in_words(names: Sequence[str]) -> str:
    """Return the objects that failed, as a sentence of its own; empty if there are none."""
    if not names:
        return ""
    return f" Failing objects: {some_of(names)}."


def some_of(names: Sequence[str]) -> str:
    """Return the first of some names, and how many more there are."""
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return f"{', '.join(names[:MOST_NAMES])}{more}"
