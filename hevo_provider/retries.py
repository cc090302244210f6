"""
Retries by cause, for Airflow 3.3 and later: what failed decides whether, and when, a task is tried again.

::

    HevoPipelineOperator(task_id="load", pipeline_id=123, retries=3, retry_policy=HevoRetryPolicy())
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowFailException

from hevo_provider.compat import check_that_tasks_have_retry_policies
from hevo_provider.exceptions import HevoError, HevoJobFailedError, HevoRateLimitError
from hevo_provider.models.enums import DEFERRED_STATUSES
from hevo_provider.parameters import seconds_of

check_that_tasks_have_retry_policies()

from airflow.sdk import RetryDecision, RetryPolicy  # noqa: E402 - earlier ones have neither, and have been told so above

if TYPE_CHECKING:
    from airflow.sdk import Context

__all__ = ["HevoRetryPolicy"]

SHORTEST_WINDOW = timedelta(minutes=1)
SHORTEST_REST = timedelta(seconds=30)
LIMIT_WINDOW = timedelta(seconds=60)  # in which Hevo counts requests (API.md, limit)


class HevoRetryPolicy(RetryPolicy):
    """
    When a task that talks to Hevo is tried again, by why it failed. Airflow's ``retries`` stay the most there are.

    ====================================  ==========================================================================
    what failed                           the next try
    ====================================  ==========================================================================
    the source's own rate limit stopped   after ``source_window``, a minute at least
    the job: DEFERRED,
    DEFERRED_WITH_FAILURES
    over Hevo's limit of requests         when there is room again: when Hevo says, or a minute later; half a minute
                                          at least
    credentials, parameters, no pipeline  none
    all else, a job that FAILED too       as the task says
    ====================================  ==========================================================================

    :param source_window: seconds, or a timedelta, after which the source takes requests again; less than a minute is a
        minute. None: the task's own ``retry_delay``, and a minute at least.
    :raises HevoConfigError: it makes no sense.
    """

    def __init__(self, *, source_window: float | timedelta | None = None) -> None:
        seconds = None if source_window is None else seconds_of("source_window", source_window, above=True)
        self.source_window = None if seconds is None else timedelta(seconds=seconds)

    def evaluate(
        self,
        exception: BaseException,
        try_number: int,  # noqa: ARG002 - Airflow counts the tries
        max_tries: int,  # noqa: ARG002
        context: Context | None = None,
    ) -> RetryDecision:
        """
        Decide whether and when the task is tried again. Airflow asks in the worker, just after the failure.

        :param exception: why it failed.
        :param context: of the task.
        :returns: what the table above says.
        """
        from hevo_provider.runs.error_table import fails_for_good

        if isinstance(exception, HevoJobFailedError) and exception.status in DEFERRED_STATUSES:
            return RetryDecision.retry(self._until_the_source_is_ready(context), f"The job ended {exception.status}.")
        if isinstance(exception, HevoRateLimitError):
            return RetryDecision.retry(_until_there_is_room(exception), "Over Hevo's limit of requests.")
        if isinstance(exception, AirflowFailException) or (
            isinstance(exception, HevoError) and fails_for_good(exception)
        ):
            return RetryDecision.fail("Another try would not mend it.")
        return RetryDecision.default()

    def serialize(self) -> dict[str, Any]:
        """Return what :meth:`deserialize` makes the same policy of, in JSON's types."""
        seconds = None if self.source_window is None else self.source_window.total_seconds()
        return {"__type": "hevo_provider.retries.HevoRetryPolicy", "source_window": seconds}

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> HevoRetryPolicy:
        """Return the policy that :meth:`serialize` told of."""
        return cls(source_window=data.get("source_window"))

    def _until_the_source_is_ready(self, context: Context | None) -> timedelta | None:
        """Return how long to wait; None for as long as the task says, which may grow from try to try."""
        if self.source_window is not None:
            return max(self.source_window, SHORTEST_WINDOW)
        of_task = timedelta() if context is None else context["ti"].task.retry_delay
        return None if of_task >= SHORTEST_WINDOW else SHORTEST_WINDOW


def _until_there_is_room(error: HevoRateLimitError) -> timedelta:
    from hevo_provider.runs.outage import LONGEST_RETRY_AFTER

    if error.retry_after is None:
        return LIMIT_WINDOW
    return max(timedelta(seconds=min(error.retry_after, LONGEST_RETRY_AFTER)), SHORTEST_REST)
