"""What the operator and the sensor share: the way into the event loop, the deferral, and what a job's end means."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NoReturn, ParamSpec, TypeVar
from uuid import uuid4

from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException, AirflowNotFoundException

from hevo_provider.exceptions import (
    HevoAuthError,
    HevoConfigError,
    HevoError,
    HevoHopelessError,
    HevoNotFoundError,
    HevoRunError,
)
from hevo_provider.links import PAGE_KEY, HevoPipelineLink, page_of
from hevo_provider.parameters import is_unrendered, pipeline_id_of

if TYPE_CHECKING:
    from datetime import timedelta

    from airflow.providers.common.compat.sdk import BaseOperator, Context

    from hevo_provider.blocking import BlockingCall
    from hevo_provider.hooks import HevoHook
    from hevo_provider.models.answers import Job
    from hevo_provider.runs.run import Run
    from hevo_provider.runs.verdict import Verdict

    Base = BaseOperator
else:
    # Not BaseOperator: Airflow's metaclass gives every operator class an __init__ that would cut a sensor's short.
    Base = object

P = ParamSpec("P")
T = TypeVar("T")

JOB_KEY = "hevo_job"
LONGEST_WORKER_PAUSE = 5.0  # seconds that Hevo may ask a worker to wait; longer waits are spent in the triggerer
DEADLINE_MARGIN = 5.0  # seconds: Airflow 2's own sweep of timed out deferrals would lose the job's id
DETAILS_TIMEOUT = 5.0  # seconds for what is only nice to know


class HevoTask(Base):
    """A task that follows a job of Hevo. Not for use by itself."""

    operator_extra_links = (HevoPipelineLink(),)

    pipeline_id: int | str
    connection_id: str
    accept_completed_with_failures: bool

    _call: BlockingCall | None = None
    _hook: HevoHook | None = None
    _verdict: Verdict | None = None
    _at_work_since: float | None = None

    def _is_mapped_over(self, name: str) -> bool:
        """Return whether a mapped task was given the parameter, be it None; known once it has been made."""
        return self._is_unmapped and name in getattr(self, "_BaseOperator__init_kwargs", {})

    def _check_values(self, checks: Mapping[str, Callable[[Any], object]], *, only_literals: bool) -> None:
        """
        Check the values of template fields, by name.

        :param only_literals: leave out what is only known when the task runs.
        :raises HevoConfigError: one makes no sense.
        """
        if only_literals and self._is_unmapped:
            return
        for name, check in checks.items():
            value = getattr(self, name)
            if not (only_literals and is_unrendered(value)):
                check(value)

    @property
    def _is_unmapped(self) -> bool:
        """Whether this is a mapped task in its worker: execute checks its values, and fails the task for good."""
        return bool(getattr(self, "_BaseOperator__from_mapped", False))

    def _hevo(self) -> HevoHook:
        """Return the hook of this process; it keeps the credentials for a kill."""
        from hevo_provider.hooks import HevoHook

        if self._hook is None:
            self._hook = HevoHook(self.connection_id, longest_pause=LONGEST_WORKER_PAUSE)
        return self._hook

    def _begin_work(self) -> None:
        """Take note that a worker is at work for the task from now on."""
        from hevo_provider.hooks import HevoHook

        self._at_work_since = HevoHook.clock.monotonic()

    def _worker_seconds(self, run: Run) -> float | None:
        """Return for how long workers have been at work for the task; None where no process can know."""
        if self._at_work_since is None:
            return None
        return round(run.worker_seconds + self._hevo().clock.monotonic() - self._at_work_since, 3)

    def _block_on(self, function: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a coroutine function to its end; a signal ends it too."""
        from hevo_provider.blocking import BlockingCall

        self._call = call = BlockingCall()
        try:
            return call.run(function, *args, **kwargs)
        except asyncio.CancelledError:
            raise HevoRunError("The task was killed while it talked to Hevo.") from None
        finally:
            self._call = None

    def _defer_until_done(self, context: Context, run: Run) -> NoReturn:
        """Leave the worker; a triggerer waits for the run and calls ``execute_complete`` with its event."""
        from hevo_provider.kill import TOKEN_KEY
        from hevo_provider.triggers import HevoJobTrigger

        run = replace(run, worker_seconds=self._worker_seconds(run) or 0.0)
        token = str(uuid4())
        context["ti"].xcom_push(key=TOKEN_KEY, value=token)
        trigger = HevoJobTrigger(connection_id=self.connection_id, run_token=token, **run.to_json())
        self.defer(trigger=trigger, method_name="execute_complete")
        raise AssertionError("unreachable: defer() raises")

    def _conclude(self, context: Context, run: Run, job: Job) -> str:
        """
        Tell what became of the job, and say what it means for the task.

        :returns: the job's id.
        :raises HevoJobFailedError: it did not end well.
        """
        from hevo_provider.metrics import count_end
        from hevo_provider.models.job import JobStatus
        from hevo_provider.runs.verdict import Verdict, failing_objects, failure_of, in_words, is_success

        pipeline_id = run.pipeline_id
        self._publish(context, run, job)
        count_end(pipeline_id, job, self._hevo().clock.now() - self._waiting_since(context))
        names: tuple[str, ...] = ()
        if job.status in {JobStatus.FAILED, JobStatus.COMPLETED_WITH_FAILURES, JobStatus.DEFERRED_WITH_FAILURES}:

            async def ask() -> tuple[str, ...]:
                async with self._hevo().client() as hevo:
                    return await failing_objects(hevo, pipeline_id, job)

            names = self._best_effort(ask) or ()
        error = failure_of(pipeline_id, job, names)
        if not is_success(job, accept_completed_with_failures=self.accept_completed_with_failures):
            self._verdict = Verdict(job, names, error)
            raise error
        self._verdict = Verdict(job, names)
        if job.status == JobStatus.COMPLETED:
            self.log.info("Pipeline %s: %s.", pipeline_id, in_words(job))
        else:
            self.log.warning("%s Accepted.", error)
        return job.job_id

    def _waiting_since(self, context: Context) -> float:
        """Return when the task's wait began, in seconds since the epoch."""
        return started_at(context)

    def _show_page(self, context: Context) -> None:
        """Push the address of the pipeline's page, for the task's link. Never fails: the run itself will say why."""
        try:
            pipeline_id, settings = pipeline_id_of(self.pipeline_id), self._hevo().settings
        except Exception as error:  # noqa: BLE001 - whatever it is, the run meets it again and handles it
            self.log.debug("There is no link to the pipeline: %s", error)
            return
        try:
            page = page_of(settings, pipeline_id)
        except HevoConfigError as error:
            self.log.warning("There is no link to the pipeline: %s", error)
        else:
            context["ti"].xcom_push(key=PAGE_KEY, value=page)

    def _publish(self, context: Context, run: Run, job: Job) -> None:
        """Push the job's state and counters to the XCom ``hevo_job``, and give them to the events of the outlets."""
        from hevo_provider.runs.events import facts_of

        facts = {"pipeline_id": run.pipeline_id, **facts_of(job)}
        worker_seconds = self._worker_seconds(run)
        held = {} if worker_seconds is None else {"worker_seconds": worker_seconds}
        context["ti"].xcom_push(key=JOB_KEY, value=facts | held)
        self._tell_outlets(context, facts)

    def _tell_outlets(self, context: Context, facts: dict[str, Any]) -> None:
        """Put facts into the ``extra`` of the asset events that Airflow emits if the task succeeds."""
        events = context.get("outlet_events")
        if not self.outlets or events is None:
            return
        from airflow.providers.common.compat.sdk import Asset

        try:
            for outlet in self.outlets:
                if isinstance(outlet, Asset):  # an alias has no event of its own
                    events[outlet].extra = {**(events[outlet].extra or {}), **facts}
        except Exception:
            self.log.exception("The events of the outlets do not tell what was loaded.")  # the job has succeeded

    def _best_effort(self, function: Callable[[], Awaitable[T]]) -> T | None:
        async def limited() -> T | None:
            try:
                async with asyncio.timeout(DETAILS_TIMEOUT):
                    return await function()
            except (HevoError, AirflowException, TimeoutError):  # also where the connection has gone meanwhile
                return None

        return self._block_on(limited)


def deadline_of(context: Context, timeout: float, execution_timeout: timedelta | None) -> float:
    """
    Return when a wait is over, in seconds since the epoch: Airflow itself does not end a deferral in time.

    :param timeout: seconds from the task's start.
    """
    if execution_timeout is not None:
        limit = execution_timeout.total_seconds()
        timeout = min(timeout, limit - min(DEADLINE_MARGIN, limit / 10))
    return started_at(context) + timeout


def started_at(context: Context) -> float:
    """Return when the task's try began, in seconds since the epoch; a deferral does not begin it anew."""
    started = context["ti"].start_date
    return started.timestamp() if started is not None else time.time()


@contextmanager
def hopeless_errors_fail_for_good() -> Iterator[None]:
    """Fail the task without retries where another try would not mend it: parameters, connection, credentials."""
    try:
        yield
    except (HevoConfigError, HevoAuthError, HevoNotFoundError, HevoHopelessError, AirflowNotFoundException) as error:
        raise AirflowFailException(str(error)) from error
