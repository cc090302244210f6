"""
What can go wrong, as a tree. Callers decide by type and field, never by an error's text.

::

    HevoError
    ├── HevoConfigError          a parameter or the connection cannot be used; nothing was sent
    │   └── HevoConnectionError  the Airflow connection cannot be used
    │       └── HevoConnectionNotFoundError   Airflow has none of this name, or could not find it just now
    ├── HevoTransportError       no answer; ``sent`` says whether the request may have arrived
    │   └── HevoTimeoutError     none within the time-out
    ├── HevoResponseError        an answer that cannot be read: not JSON, wrong shape, too large
    ├── HevoAPIError             Hevo answered with an error status
    │   ├── HevoAuthError        401, 403 in Hevo's own words
    │   ├── HevoNotFoundError    404 in Hevo's own words
    │   ├── HevoConflictError    409; or, to a call that starts a job, a 500 that says that one is running
    │   ├── HevoRateLimitError   429, or Hevo's words over its limit under any status: too many calls
    │   └── HevoServerError      other 5xx, and a gateway's 408, 425, 499: a POST may have been applied or not
    │       └── HevoGatewayError 401, 403, 404 with a page that is not Hevo's
    └── HevoRunError             the run of a pipeline did not end well; carries ``pipeline_id`` and ``job_id``
        ├── HevoPipelineStateError   the pipeline's status does not allow the action
        ├── HevoPipelineBusyError    a job is active and the task may not start another
        ├── HevoJobNotFoundError     no job that could be the expected one appeared, or it vanished
        ├── HevoJobFailedError       the job ended in a status that is a failure for the task
        ├── HevoJobStalledError      the job's status is not known to this version and no longer changes
        ├── HevoOutageError          Hevo gave no usable answer for longer than is tolerated
        ├── HevoTimeIsOverError      the task's own time was over
        └── HevoHopelessError        the wait failed in a way that another try would not mend

None of them is an Airflow exception: a sensor's ``soft_fail`` turns those into skips, and a failed job is no skip.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Self, TypeVar

from hevo_provider import codes
from hevo_provider.codes import Code


class HevoError(Exception):
    """
    Base of everything this package raises about Hevo. Its text ends with its code, as ``HEVO-201``.

    ``sent_at`` is when the request that failed set out: seconds on the client's monotonic clock. None if none did.
    ``tries`` is how often it was sent, over ``tried_for`` seconds.
    ``report`` is what the task has logged of its failure, where it is what a task has ended with.

    :param message: what happened, in sentences.
    :param code: what kind of error it is; None: the usual one of its class.
    """

    code: Code = codes.UNEXPECTED
    sent_at: float | None = None
    tries: int = 1
    tried_for: float = 0.0
    lines: tuple[tuple[str, str], ...] = ()
    """What a task logs in place of the text, line by line: a heading and what it says."""
    report: str = ""

    def __init__(self, message: str, *, code: Code | None = None) -> None:
        super().__init__(message)
        if code is not None:
            self.code = code

    @property
    def text(self) -> str:
        """What happened, without the code: for a place within other words."""
        return super().__str__()

    def __str__(self) -> str:
        return with_code(self.text, self.code)

    def saying(self, verdict: str) -> Self:
        """
        Return the same error with another text, and without the frames that it came through.

        :param verdict: the text, with the code at its end.
        """
        same = _remade(type(self), (verdict.removesuffix(f" {self.code}"),))
        same.__dict__.update(self.__dict__)
        return same

    def __reduce__(self) -> tuple[Any, ...]:
        # Exceptions are copied by calling their class with nothing but the text, which most of these want more than.
        # They travel: from a worker's process to its supervisor, and in error trackers.
        return _remade, (type(self), self.args), self.__dict__


def with_code(text: str, code: Code) -> str:
    """Return a message that ends with its code."""
    return f"{text}{'' if text.endswith(('.', '!', '?')) else '.'} {code}"


E = TypeVar("E", bound=HevoError)


def _remade(kind: type[E], args: tuple[Any, ...]) -> E:
    return kind.__new__(kind, *args)


class HevoConfigError(HevoError, ValueError):
    """A parameter or the Airflow connection cannot be used. Raised before any request."""

    code = codes.WRONG_PARAMETER


class HevoConnectionError(HevoConfigError):
    """The Airflow connection cannot be used: a field is missing or makes no sense."""

    code = codes.WRONG_CONNECTION


class HevoConnectionNotFoundError(HevoConnectionError):
    """
    Airflow says that it has no such connection.

    It says the same where its database or secrets backend stumbled: it swallows the cause. So this may pass.
    """

    code = codes.NO_CONNECTION


class HevoTransportError(HevoError):
    """
    No answer was received.

    :param message: what happened, without credentials.
    :param sent: True if the request may have reached Hevo, so that a POST may have been applied.
    """

    code = codes.NOT_REACHED

    def __init__(self, message: str, *, sent: bool = True, code: Code | None = None) -> None:
        super().__init__(message, code=code)
        self.sent = sent


class HevoTimeoutError(HevoTransportError):
    """No complete answer came within the time-out."""

    code = codes.NO_ANSWER


class HevoResponseError(HevoError):
    """An answer was received that cannot be read."""

    code = codes.UNREADABLE


class HevoAPIError(HevoError):
    """
    Hevo answered with an error status.

    :param status: the HTTP status.
    :param method: the HTTP method of the call.
    :param path: the path of the call, without host and query.
    :param message: Hevo's own words, shortened.
    :param retry_after: seconds that Hevo asks to wait before the next call; None if it did not say.
    """

    code = codes.REFUSED_REQUEST

    def __init__(
        self,
        status: int,
        method: str,
        path: str,
        message: str,
        *,
        retry_after: float | None = None,
        code: Code | None = None,
    ) -> None:
        super().__init__(f"Hevo answered {status} to {method} {path}: {message}", code=code)
        self.status = status
        self.method = method
        self.path = path
        self.message = message
        self.retry_after = retry_after


class HevoAuthError(HevoAPIError):
    """401 or 403 in Hevo's own words: the API key or secret is wrong, revoked, or not allowed to do this."""

    code = codes.REFUSED_KEY


class HevoNotFoundError(HevoAPIError):
    """404 in Hevo's own words: there is no such pipeline, job or object for this account and region."""

    code = codes.NOT_FOUND


class HevoConflictError(HevoAPIError):
    """409; or a 500 to a call that starts a job, in words that say that one is running: a failure may use them too."""

    code = codes.CONFLICT


class HevoRateLimitError(HevoAPIError):
    """Too many calls: 429, or another status with the words that Hevo has for it. The call was not applied."""

    code = codes.OVER_THE_LIMIT


class HevoServerError(HevoAPIError):
    """
    A gateway or Hevo itself failed: 5xx, and 408, 425 and 499, which only gateways send.

    It is no word of Hevo's on what was asked for: it may pass, and a POST may have been applied all the same.
    """

    code = codes.SERVER_ERROR


class HevoGatewayError(HevoServerError):
    """
    401, 403 or 404 with a page that is not Hevo's: no word on the key or the pipeline.

    A firewall that wants a login says so, or an edge that has lost its way to Hevo for a moment.
    """

    code = codes.GATEWAY


class HevoRunError(HevoError):
    """
    The run of a pipeline did not end well.

    :param message: what happened and what to do.
    :param pipeline_id: the pipeline.
    :param job_id: the job, where it is known.
    :param code: as for :class:`HevoError`.
    """

    def __init__(
        self, message: str, *, pipeline_id: int | None = None, job_id: str | None = None, code: Code | None = None
    ) -> None:
        super().__init__(message, code=code)
        self.pipeline_id = pipeline_id
        self.job_id = job_id


class HevoPipelineStateError(HevoRunError):
    """The pipeline is in a status in which the action cannot be started."""

    code = codes.NOT_READY


class HevoPipelineBusyError(HevoRunError):
    """A job of the pipeline is active and the task is not allowed to start another."""

    code = codes.BUSY


class HevoJobNotFoundError(HevoRunError):
    """No job that could be the expected one appeared, or the job vanished while it was watched."""

    code = codes.NO_JOB


class HevoJobFailedError(HevoRunError):
    """
    The job ended in a status that counts as a failure of the task.

    :param status: that status.
    :param counters: the job's counters, by the API's names, without those that Hevo left out; of all jobs of the task
        where it went on from some that were deferred.
    :param failed_objects: names of the objects that failed, as far as Hevo tells: of the first hundred of the job.
    """

    code = codes.FAILED

    def __init__(
        self,
        message: str,
        *,
        pipeline_id: int | None = None,
        job_id: str | None = None,
        code: Code | None = None,
        status: str | None = None,
        counters: Mapping[str, int] | None = None,
        failed_objects: Iterable[str] = (),
    ) -> None:
        super().__init__(message, pipeline_id=pipeline_id, job_id=job_id, code=code)
        self.status = status
        self.counters: dict[str, int] = dict(counters or {})
        self.failed_objects: tuple[str, ...] = tuple(failed_objects)


class HevoJobStalledError(HevoRunError):
    """The job stays in a status that leads nowhere."""

    code = codes.STALLED


class HevoOutageError(HevoRunError):
    """Hevo gave no usable answer for longer than the task tolerates."""

    code = codes.OUTAGE


class HevoTimeIsOverError(HevoRunError):
    """
    The task's own time was over: its ``timeout`` or ``execution_timeout``.

    A task raises what Airflow has for it in its place, ``AirflowTaskTimeout`` or ``AirflowSensorTimeout``.
    """

    code = codes.NOT_ENDED_IN_TIME


class HevoHopelessError(HevoRunError):
    """The wait failed in a way that another try would not mend: credentials or configuration."""
