"""What a task tells Airflow of its job: the XCom ``hevo_job``, and the events of its outlets."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from hevo_provider.compat import has_an_event

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from hevo_provider.models.answers import Job
    from hevo_provider.runs.logger import Logger
    from hevo_provider.runs.run import Run


def publish(
    context: Context,
    run: Run,
    job: Job,
    outlets: Collection[Any],
    logger: Logger,
    *,
    worker_seconds: float | None,
    more: Mapping[str, Any] | None = None,
) -> None:
    """
    Push the job's state and counters to the XCom ``hevo_job``, and give them to the events of the outlets.

    Where the task goes on from jobs that were deferred, the counters are those of all of them, and ``jobs`` their ids.
    Where it reloads only what an earlier try has not loaded, ``objects_retried`` names that.

    :param outlets: of the task.
    :param worker_seconds: for how long the task held workers; None where no process can know.
    :param more: other facts.
    """
    from hevo_provider.models.enums import OnDeferred
    from hevo_provider.runs.events import JOB_KEY, facts_told

    facts: dict[str, Any] = {**facts_told(run, job), **(more or {})}
    if run.order.on_deferred is OnDeferred.CONTINUE:
        facts |= {**run.counted_with(job), "jobs": [*run.gone_before, job.job_id]}
    if run.objects_retried and run.posts:
        facts["objects_retried"] = list(run.objects_retried)
    held = {} if worker_seconds is None else {"worker_seconds": worker_seconds}
    push(context, JOB_KEY, facts | held, logger)
    _tell_outlets(context, outlets, facts, logger)


def push(context: Context, key: str, value: object, logger: Logger) -> bool:
    """
    Push an XCom, if that can be done: a task has not failed because Airflow could not keep what it said.

    :returns: whether it is there.
    """
    try:
        context["ti"].xcom_push(key=key, value=value)
    except Exception as error:  # noqa: BLE001 - each version and XCom backend has errors of its own
        logger.warning("The XCom %s could not be pushed: %s: %s", key, type(error).__name__, error)
        return False
    return True


def _tell_outlets(context: Context, outlets: Collection[Any], facts: dict[str, Any], logger: Logger) -> None:
    """Put facts into the ``extra`` of the asset events that Airflow emits if the task succeeds."""
    events = context.get("outlet_events")
    if not outlets or events is None:
        return
    for outlet in outlets:
        try:
            if has_an_event(outlet):
                event = events[outlet]  # of a reference: Airflow is asked which asset is meant
                event.extra = {**(event.extra or {}), **facts}
        except Exception as error:  # noqa: BLE001 - the job has succeeded
            what = f"{type(error).__name__}: {error}"
            logger.warning("The event of the outlet %r does not tell what was loaded: %s", outlet, what)
