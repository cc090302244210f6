"""An API that is down while a task waits: endured, told once per change, and given up on after a while."""

from __future__ import annotations

from datetime import UTC, datetime

from hevo_provider.clock import Clock
from hevo_provider.exceptions import (
    HevoAPIError,
    HevoAuthError,
    HevoError,
    HevoJobNotFoundError,
    HevoNotFoundError,
    HevoOutageError,
    HevoResponseError,
    HevoTransportError,
)
from hevo_provider.runs.logger import Logger
from hevo_provider.transport import backoff

WEATHER = (HevoTransportError, HevoResponseError, HevoAPIError)
MISSING_TOLERANCE = 300.0  # seconds for which a job or pipeline may answer 404
REFUSAL_TOLERANCE = 30.0  # seconds for which credentials that were taken before may be refused
TOLD_FREELY = 5  # changes of the weather that are told at once; then, for an API that flaps, only now and then
FIRST_SILENCE, LONGEST_SILENCE = 60.0, 3600.0  # seconds
FIRST_PAUSE = 2.0
LONGEST_PAUSE = 60.0
SHORTEST_RETRY_AFTER, LONGEST_RETRY_AFTER = 1.0, 300.0


class Weather:
    """
    Whether Hevo can be reached, seen by one wait.

    :param tolerance: seconds without a usable answer after which the wait fails.
    :param were_taken: whether Hevo has taken the credentials before: then a refusal may pass, when a key is rotated or
        Hevo stumbles.
    """

    __slots__ = (
        "_bad_since",
        "_clock",
        "_failures",
        "_is_told",
        "_kind",
        "_log",
        "_missing_since",
        "_pipeline_id",
        "_refused_since",
        "_silent_until",
        "_times_told",
        "_tolerance",
        "_were_taken",
    )

    def __init__(
        self, clock: Clock, pipeline_id: int, tolerance: float, logger: Logger, *, were_taken: bool = False
    ) -> None:
        self._clock = clock
        self._pipeline_id = pipeline_id
        self._tolerance = tolerance
        self._log = logger
        self._failures = 0
        self._bad_since = 0.0
        self._were_taken = were_taken
        self._refused_since: float | None = None
        self._missing_since: float | None = None
        self._kind: object = None
        self._is_told = False
        self._times_told = 0
        self._silent_until = float("-inf")

    def is_fine(self) -> None:
        """Take note of a usable answer."""
        self._were_taken, self._refused_since = True, None
        if self._failures:
            if self._is_told:
                lasted = self._clock.monotonic() - self._bad_since
                self._log.info("Pipeline %s: Hevo answers again after %.0f s.", self._pipeline_id, lasted)
            self._failures, self._missing_since, self._kind, self._is_told = 0, None, None, False

    def pause_after(self, error: HevoError, job_id: str | None) -> float:
        """
        Take note of a look without a usable answer.

        :returns: seconds to wait before the next.
        :raises HevoAuthError: the error itself, at once or after half a minute: waiting does not mend credentials.
        :raises HevoJobNotFoundError: what is looked at has been missing for five minutes.
        :raises HevoOutageError: there has been no usable answer for longer than is tolerated.
        """
        now = self._clock.monotonic()
        if isinstance(error, HevoAuthError):
            self._refused_since = now if self._refused_since is None else self._refused_since
            if not self._were_taken or now - self._refused_since >= REFUSAL_TOLERANCE:
                raise error
        if not self._failures:
            self._bad_since = now
        self._failures += 1
        said = str(error).removeprefix(f"Pipeline {self._pipeline_id}: ").rstrip(".")
        kind = (type(error), getattr(error, "status", None))
        if kind != self._kind and now >= self._silent_until:
            self._kind, self._is_told = kind, True
            self._log.warning("Pipeline %s: %s. Waiting on.", self._pipeline_id, said)
            self._times_told += 1
            if self._times_told >= TOLD_FREELY:
                silence = FIRST_SILENCE * 2.0 ** min(self._times_told - TOLD_FREELY, 30)
                self._silent_until = now + min(silence, LONGEST_SILENCE)
        what = f"Pipeline {self._pipeline_id}" + (f", job {job_id}" if job_id else "")
        if not isinstance(error, HevoNotFoundError):
            self._missing_since = None
        else:
            self._missing_since = now if self._missing_since is None else self._missing_since
            if now - self._missing_since >= MISSING_TOLERANCE:
                raise HevoJobNotFoundError(
                    f"{what}: Hevo has not known it for {now - self._missing_since:.0f} s ({error}). It may have been "
                    "deleted, or the connection points to another account or region.",
                    pipeline_id=self._pipeline_id,
                    job_id=job_id,
                ) from None
        if now - self._bad_since >= self._tolerance:
            lasted = now - self._bad_since
            since = datetime.fromtimestamp(self._clock.now() - lasted, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
            raise HevoOutageError(
                f"{what}: no usable answer from Hevo since {since} ({lasted:.0f} s); the last failure was: {said}. "
                "The job may still be running. Raise api_outage_tolerance to wait longer.",
                pipeline_id=self._pipeline_id,
                job_id=job_id,
            ) from None
        retry_after = error.retry_after if isinstance(error, HevoAPIError) else None
        if retry_after is not None:
            return min(max(retry_after, SHORTEST_RETRY_AFTER), LONGEST_RETRY_AFTER)
        longest = LONGEST_PAUSE if self._refused_since is None else REFUSAL_TOLERANCE / 4
        return backoff(self._failures, FIRST_PAUSE, longest)
