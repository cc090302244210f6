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
        └── HevoHopelessError        the wait failed in a way that another try would not mend

None of them is an Airflow exception: a sensor's ``soft_fail`` turns those into skips, and a failed job is no skip.
"""

from __future__ import annotations

from typing import Any


class HevoError(Exception):
    """
    Base of everything this package raises about Hevo.

    ``sent_at`` is when the request that failed set out: seconds on the client's monotonic clock. None if none did.
    """

    sent_at: float | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        # Exceptions are copied by calling their class with nothing but the text, which most of these want more than.
        # They travel: from a worker's process to its supervisor, and in error trackers.
        return _remade, (type(self), self.args), self.__dict__


def _remade(kind: type[HevoError], args: tuple[Any, ...]) -> HevoError:
    return kind.__new__(kind, *args)


class HevoConfigError(HevoError, ValueError):
    """A parameter or the Airflow connection cannot be used. Raised before any request."""


class HevoConnectionError(HevoConfigError):
    """The Airflow connection cannot be used: a field is missing or makes no sense."""


class HevoConnectionNotFoundError(HevoConnectionError):
    """
    Airflow says that it has no such connection.

    It says the same where its database or secrets backend stumbled: it swallows the cause. So this may pass.
    """


class HevoTransportError(HevoError):
    """
    No answer was received.

    :param message: what happened, without credentials.
    :param sent: True if the request may have reached Hevo, so that a POST may have been applied.
    """

    def __init__(self, message: str, *, sent: bool = True) -> None:
        super().__init__(message)
        self.sent = sent


class HevoTimeoutError(HevoTransportError):
    """No complete answer came within the time-out."""


class HevoResponseError(HevoError):
    """An answer was received that cannot be read."""


class HevoAPIError(HevoError):
    """
    Hevo answered with an error status.

    :param status: the HTTP status.
    :param method: the HTTP method of the call.
    :param path: the path of the call, without host and query.
    :param message: Hevo's own words, shortened.
    :param retry_after: seconds that Hevo asks to wait before the next call; None if it did not say.
    """

    def __init__(self, status: int, method: str, path: str, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(f"Hevo answered {status} to {method} {path}: {message}")
        self.status = status
        self.method = method
        self.path = path
        self.message = message
        self.retry_after = retry_after


class HevoAuthError(HevoAPIError):
    """401 or 403 in Hevo's own words: the API key or secret is wrong, revoked, or not allowed to do this."""


class HevoNotFoundError(HevoAPIError):
    """404 in Hevo's own words: there is no such pipeline, job or object for this account and region."""


class HevoConflictError(HevoAPIError):
    """409; or a 500 to a call that starts a job, in words that say that one is running: a failure may use them too."""


class HevoRateLimitError(HevoAPIError):
    """Too many calls: 429, or another status with the words that Hevo has for it. The call was not applied."""


class HevoServerError(HevoAPIError):
    """
    A gateway or Hevo itself failed: 5xx, and 408, 425 and 499, which only gateways send.

    It is no word of Hevo's on what was asked for: it may pass, and a POST may have been applied all the same.
    """


class HevoGatewayError(HevoServerError):
    """
    401, 403 or 404 with a page that is not Hevo's: no word on the key or the pipeline.

    A firewall that wants a login says so, or an edge that has lost its way to Hevo for a moment.
    """


class HevoRunError(HevoError):
    """
    The run of a pipeline did not end well.

    :param message: what happened and what to do.
    :param pipeline_id: the pipeline.
    :param job_id: the job, where it is known.
    """

    def __init__(self, message: str, *, pipeline_id: int | None = None, job_id: str | None = None) -> None:
        super().__init__(message)
        self.pipeline_id = pipeline_id
        self.job_id = job_id


class HevoPipelineStateError(HevoRunError):
    """The pipeline is in a status in which the action cannot be started."""


class HevoPipelineBusyError(HevoRunError):
    """A job of the pipeline is active and the task is not allowed to start another."""


class HevoJobNotFoundError(HevoRunError):
    """No job that could be the expected one appeared, or the job vanished while it was watched."""


class HevoJobFailedError(HevoRunError):
    """The job ended in a status that counts as a failure of the task."""


class HevoJobStalledError(HevoRunError):
    """The job stays in a status that leads nowhere."""


class HevoOutageError(HevoRunError):
    """Hevo gave no usable answer for longer than the task tolerates."""


class HevoHopelessError(HevoRunError):
    """The wait failed in a way that another try would not mend: credentials or configuration."""
