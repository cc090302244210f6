"""How far a job has come, for the log: without a flood from one that runs all day."""

from __future__ import annotations

from typing import NamedTuple

from hevo_provider.clock import Clock
from hevo_provider.models.answers import Job
from hevo_provider.runs.words import span_in_words

FIRST_LINE_AFTER = 15.0  # seconds from the first poll to the first line; then twice as long each time
LINES_APART_AT_MOST = 3600.0  # seconds: a job that runs for a day has about thirty lines


class _Counters(NamedTuple):
    """How far a job had come: less to keep than the job, in a process where thousands are watched."""

    events_ingested: int | None
    events_loaded: int | None
    events_failed: int | None
    objects_success: int | None
    objects_skipped: int | None
    objects_failed: int | None


class Progress:
    """
    Says when the progress of one job is worth a log line.

    :param clock: where time comes from.
    """

    __slots__ = ("_clock", "_due", "_pause", "_since", "_told")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._pause = FIRST_LINE_AFTER
        self._since = 0.0
        self._due = float("-inf")
        self._told: _Counters | None = None

    def news(self, job: Job, server_time: int | None = None) -> str | None:
        """
        Return how far the job has come, in words.

        :param job: as just seen.
        :param server_time: Hevo's clock (ms) then; None if it did not say.
        :returns: None if it is too soon for another line, or nothing has changed since the last one.
        """
        now = self._clock.monotonic()
        if now < self._due:
            return None
        before, since = self._told, self._since
        counters = _counters(job)
        if before is None:
            self._told, self._since, self._due = counters, now, now + self._pause
            return None
        if counters == before:
            return None
        self._pause = min(self._pause * 2, LINES_APART_AT_MOST)
        self._told, self._since, self._due = counters, now, now + self._pause
        told = ", ".join((*_events_in_words(before, job, now - since), *_objects_in_words(job)))
        if job.created_ts is None or server_time is None:
            return told
        return f"{told}, after {span_in_words((server_time - job.created_ts) / 1000)}"


def _counters(job: Job) -> _Counters:
    return _Counters(
        job.events_ingested,
        job.events_loaded,
        job.events_failed,
        job.objects_success,
        job.objects_skipped,
        job.objects_failed,
    )


def _events_in_words(before: _Counters, job: Job, seconds: float) -> list[str]:
    what, count, earlier = "loaded", job.events_loaded, before.events_loaded
    if count is None:
        what, count, earlier = "ingested", job.events_ingested, before.events_ingested
    if count is None:
        return []
    rate = 0.0 if earlier is None else (count - earlier) / seconds
    words = [f"{count:,} events {what}" + (f" ({rate:,.0f}/s)" if rate >= 1 else "")]
    return [*words, f"{job.events_failed:,} failed"] if job.events_failed else words


def _objects_in_words(job: Job) -> list[str]:
    ended = (job.objects_success, job.objects_skipped, job.objects_failed)
    if all(count is None for count in ended):
        return []
    done = sum(count or 0 for count in ended)
    of_all = done + (job.objects_queued or 0)
    share = f" ({100 * done // of_all} %)" if of_all else ""
    return [f"{done:,} of {of_all:,} objects done{share}"]
