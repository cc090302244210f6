"""
Counters and timers for Airflow's ``Stats``.

============================  =======  ================================================================================
``hevo.jobs.started``         counter  Hevo accepted an action that a task sent
``hevo.jobs.start_unknown``   counter  an action was sent, and whether Hevo applied it could not be told at once
``hevo.jobs.ended.<status>``  counter  a task saw its job end so: ``completed``, ``failed``, ``cancelled`` and so on
``hevo.jobs.wait``            timer    from a task's start until it knew how its job had ended
``hevo.jobs.duration``        timer    how long a job ran, as Hevo tells it when the job has ended
``hevo.api.retries``          counter  a request got no usable answer and is sent again
``hevo.api.requests``         counter  requests sent within a limit, told every ten seconds while there are some
``hevo.api.refused``          counter  how many of them were over Hevo's limit
``hevo.api.stretch``          gauge    how many times their ``poll_interval`` waits are polled apart; 1: as ordered
============================  =======  ================================================================================

Those of jobs carry the tag ``pipeline_id``, where the backend knows tags.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hevo_provider.models.answers import Job

log = logging.getLogger(__name__)


def count_start(pipeline_id: int, is_known: bool) -> None:
    """
    Count the action that was sent.

    :param is_known: whether it is known what became of it.
    """
    name = "started" if is_known else "start_unknown"
    _tell(lambda stats: stats.incr(f"hevo.jobs.{name}", tags=_tags(pipeline_id)))


def count_end(pipeline_id: int, job: Job, waited: float) -> None:
    """
    Count the end of a job, and how long it took.

    :param job: the job, in a terminal status.
    :param waited: seconds since the task's start.
    """

    def tell(stats: Any) -> None:
        tags = _tags(pipeline_id)
        stats.incr(f"hevo.jobs.ended.{str(job.status).lower()}", tags=tags)
        stats.timing("hevo.jobs.wait", timedelta(seconds=waited), tags=tags)
        if job.duration is not None:
            stats.timing("hevo.jobs.duration", timedelta(milliseconds=job.duration), tags=tags)

    _tell(tell)


def count_retry() -> None:
    """Count a request that is sent again."""
    _tell(lambda stats: stats.incr("hevo.api.retries"))


def tell_usage(sent: int, refused: int, stretch: float) -> None:
    """
    Tell how much of Hevo's limit is used.

    :param sent: requests since this was last told.
    :param refused: how many of them were over the limit.
    :param stretch: how many times their ``poll_interval`` waits are polled apart at present.
    """

    def tell(stats: Any) -> None:
        stats.incr("hevo.api.requests", sent)
        if refused:
            stats.incr("hevo.api.refused", refused)
        stats.gauge("hevo.api.stretch", stretch)

    _tell(tell)


def _tags(pipeline_id: int) -> dict[str, str]:
    return {"pipeline_id": str(pipeline_id)}


def _tell(tell: Callable[[Any], None]) -> None:
    try:
        from airflow.providers.common.compat.sdk import Stats

        tell(Stats)
    except Exception:
        log.debug("A metric was not counted", exc_info=True)  # it is never worth a task
