"""An API that is down while a task waits: endured, logged once per change, and given up on after a while."""

from __future__ import annotations

from datetime import UTC, datetime

from hevo_provider import codes
from hevo_provider.client.transport import backoff
from hevo_provider.clock import Clock
from hevo_provider.exceptions import HevoAPIError, HevoError, HevoJobNotFoundError, HevoOutageError
from hevo_provider.runs.error_table import Meaning, endured_for, may_pass, meaning_of
from hevo_provider.runs.logger import Logger

TOLD_FREELY = 5  # changes that are logged at once; then, for an API that flaps, only now and then
FIRST_SILENCE, LONGEST_SILENCE = 60.0, 3600.0  # seconds
FIRST_PAUSE, LONGEST_PAUSE = 2.0, 60.0  # seconds between polls while Hevo does not answer
SHORTEST_RETRY_AFTER, LONGEST_RETRY_AFTER = 1.0, 300.0


class Outage:
    """
    What keeps one wait from an answer, and for how long.

    :param clock: where time comes from.
    :param pipeline: the pipeline, for messages: its id, or its name in quotes.
    :param tolerance: seconds without a usable answer after which the wait fails.
    :param logger: where it is logged.
    :param knows_hevo: whether Hevo has answered this task well before: see :mod:`hevo_provider.runs.error_table`.
    """

    __slots__ = (
        "_bad_at",
        "_bad_for",
        "_clock",
        "_failures",
        "_is_told",
        "_kind",
        "_knows_hevo",
        "_log",
        "_meaning",
        "_meaning_for",
        "_pipeline",
        "_pipeline_id",
        "_silent_until",
        "_times_told",
        "_tolerance",
    )

    def __init__(
        self, clock: Clock, pipeline: int | str, tolerance: float, logger: Logger, *, knows_hevo: bool = False
    ) -> None:
        self._clock = clock
        self._pipeline = pipeline
        self._pipeline_id = pipeline if isinstance(pipeline, int) else None
        self._tolerance = tolerance
        self._log = logger
        self._knows_hevo = knows_hevo
        self._failures = 0
        self._bad_at: float | None = None  # the last poll without an answer; None if the last was over the limit
        self._bad_for = 0.0  # seconds without an answer, less those over the limit
        self._meaning: Meaning | None = None
        self._meaning_for = 0.0  # the same of one meaning
        self._kind: object = None
        self._is_told = False
        self._times_told = 0
        self._silent_until = float("-inf")

    def is_over(self) -> None:
        """Take note of a usable answer."""
        self._knows_hevo = True
        if self._is_told:
            lasted = self._lasted(self._clock.monotonic())
            self._log.info("Pipeline %s: Hevo answers again after %.0f s.", self._pipeline, lasted)
        self._failures, self._meaning, self._kind, self._is_told = 0, None, None, False
        self._bad_at, self._bad_for, self._meaning_for = None, 0.0, 0.0

    def pause_after(self, error: HevoError, job_id: str | None, *, queued: float = 0.0) -> float:
        """
        Take note of a poll without a usable answer.

        The time from one poll to the next counts as the first has failed: none of it after one over the limit.

        :param queued: seconds since the last poll for which this one had to wait for Hevo's limit.
        :returns: seconds to wait before the next.
        :raises HevoJobNotFoundError: what is polled has been missing for five minutes.
        :raises HevoOutageError: there has been no usable answer for longer than is tolerated.
        :raises HevoError: the error itself, which waiting does not mend, or has not mended in time.
        """
        now = self._clock.monotonic()
        meaning = meaning_of(error)
        if not may_pass(error, knows_hevo=self._knows_hevo):
            raise error
        assert meaning is not None, "a verdict about a run does not pass"
        since_last = max(0.0, self._lasted(now) - self._bad_for - queued)
        self._bad_for, self._meaning_for = self._bad_for + since_last, self._meaning_for + since_last
        self._failures += 1
        is_over_the_limit = meaning is Meaning.OVER_THE_LIMIT
        self._bad_at = None if is_over_the_limit else now
        if not is_over_the_limit and meaning is not self._meaning:
            # What comes, goes, and comes again after other errors is not lasting.
            self._meaning, self._meaning_for = meaning, 0.0
        self._tell(error)
        limit = endured_for(meaning, knows_hevo=self._knows_hevo)
        if not is_over_the_limit:
            if limit is not None and self._meaning_for >= limit:
                raise self._lasting(error, job_id) from None
            if self._bad_for >= self._tolerance:
                raise self._given_up(error, job_id) from None
        retry_after = error.retry_after if isinstance(error, HevoAPIError) else None
        if retry_after is not None:
            return min(max(retry_after, SHORTEST_RETRY_AFTER), LONGEST_RETRY_AFTER)
        return backoff(self._failures, FIRST_PAUSE, LONGEST_PAUSE if limit is None else limit / 4)

    def _lasted(self, now: float) -> float:
        return self._bad_for + (0.0 if self._bad_at is None else now - self._bad_at)

    def _tell(self, error: HevoError) -> None:
        now = self._clock.monotonic()
        kind = (type(error), getattr(error, "status", None))
        if kind == self._kind or now < self._silent_until:
            return
        self._kind, self._is_told = kind, True
        self._log.warning("Pipeline %s: %s. Waiting on.", self._pipeline, self._said(error))
        self._times_told += 1
        if self._times_told >= TOLD_FREELY:
            silence = FIRST_SILENCE * 2.0 ** min(self._times_told - TOLD_FREELY, 30)
            self._silent_until = now + min(silence, LONGEST_SILENCE)

    def _said(self, error: HevoError) -> str:
        return error.text.removeprefix(f"Pipeline {self._pipeline}: ").rstrip(".")

    def _what(self, job_id: str | None) -> str:
        return f"Pipeline {self._pipeline}" + (f", job {job_id}" if job_id else "")

    def _lasting(self, error: HevoError, job_id: str | None) -> HevoError:
        if self._meaning is not Meaning.MISSING:
            return error
        missing_for = self._meaning_for
        if job_id and not self._knows_hevo:
            why = "The job may have been deleted, or belong to another pipeline."
        else:
            why = "It may have been deleted, or the connection points to another account or region."
        return HevoJobNotFoundError(
            f"{self._what(job_id)}: Hevo has not known it for {missing_for:.0f} s ({error.text}). {why}",
            pipeline_id=self._pipeline_id,
            job_id=job_id,
            code=codes.VANISHED,
        )

    def _given_up(self, error: HevoError, job_id: str | None) -> HevoOutageError:
        lasted = self._bad_for
        since = datetime.fromtimestamp(self._clock.now() - lasted, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        return HevoOutageError(
            f"{self._what(job_id)}: no usable answer from Hevo since {since} ({lasted:.0f} s); the last failure was: "
            f"{self._said(error)}.{'' if self._pipeline_id is None else ' The job may still be running.'}",
            pipeline_id=self._pipeline_id,
            job_id=job_id,
        )
