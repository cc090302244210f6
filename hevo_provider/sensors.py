"""``HevoSensor``: follow a job that something else has started. It starts nothing and cancels nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import (
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    AirflowTaskTimeout,
    BaseSensorOperator,
    PokeReturnValue,
)

from hevo_provider.exceptions import (
    HevoConfigError,
    HevoJobNotFoundError,
    HevoNotFoundError,
    HevoResponseError,
    HevoRunError,
    HevoServerError,
    HevoTransportError,
)
from hevo_provider.models.job import JobType
from hevo_provider.parameters import (
    connection_id_of,
    count_of,
    flag_of,
    job_id_of,
    member_of,
    moment_of,
    pipeline_id_of,
    seconds_of,
)
from hevo_provider.tasks import HevoTask, deadline_of, hopeless_errors_fail_for_good

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow.providers.common.compat.sdk import Context

    from hevo_provider.client import HevoAsyncClient
    from hevo_provider.runs.run import Run
    from hevo_provider.runs.wait import Outcome, Wait

# Seconds between two processes of a rescheduled sensor: Airflow fails one that runs again before the scheduler has seen
# the end of the process before it, as it does with a deferral (see SHORTEST_DEFERRAL of the trigger).
SHORTEST_RESCHEDULE = 10.0


class HevoSensor(HevoTask, BaseSensorOperator):
    """
    Succeed when a job of a Hevo pipeline has succeeded.

    The job is the given one, or the active one: the sensor looks at once; if none is there, again after
    ``wait_for_job_initial_delay`` seconds and then every ``wait_for_job_interval``, ``wait_for_job_max_attempts`` looks
    in all. A job that came and ended between two looks is found too. Returns the job's id; the XCom ``hevo_job`` has
    its state and counters.

    With ``completed_after`` any job of the type will do that has completed since that time, also one that was over
    before the sensor looked: for pipelines that Hevo runs by its own schedule, with ``"{{ data_interval_end }}"``.
    Looks come every ``poke_interval`` seconds, and ``timeout`` is their only limit. A job that ended badly since is a
    warning in the log (in the mode ``reschedule`` at each look) and no more: a later one may complete.

    Modes are ``poke``, ``reschedule`` and, with ``deferrable`` (the default), waiting in the triggerer; ``timeout`` and
    ``soft_fail`` mean the same in all of them: a time-out can be a skip, a job that failed cannot. In ``reschedule``
    looks are at least 10 s apart, whatever the parameters say: Airflow fails a task that comes back earlier.

    :param pipeline_id: the pipeline: a number, or a template that renders to one. (templated)
    :param job_id: the job to follow; None finds the active one. (templated)
    :param completed_after: succeed with a job that completed at this time or later, by Hevo's clock: a datetime, or its
        text by ISO 8601; UTC unless it says otherwise. Not together with ``job_id``. (templated)
    :param job_type: the type of the job to find: a ``JobType`` or its name. (templated)
    :param connection_id: the Airflow connection. (templated)
    :param poke_interval: seconds between looks at the running job.
    :param accept_completed_with_failures: whether COMPLETED_WITH_FAILURES counts as success.
    :param deferrable: wait in the triggerer.
    :param wait_for_job_max_attempts: how many looks may be taken to find the job.
    :param wait_for_job_interval: seconds between these looks.
    :param wait_for_job_initial_delay: seconds between the first and the second.
    :param api_outage_tolerance: seconds without a usable answer from Hevo after which the sensor fails. In
        ``reschedule`` mode a process sees too little of an outage to tell how long it lasts; there ``timeout`` is the
        limit.
    :raises HevoConfigError: a literal parameter makes no sense.
    """

    template_fields = ("pipeline_id", "job_id", "completed_after", "job_type", "connection_id")
    ui_color = "#e7ebff"

    _wait: Wait | None = None

    def __init__(  # noqa: PLR0913 - the parameter table of the documentation
        self,
        *,
        pipeline_id: int | str,
        job_id: str | None = None,
        completed_after: datetime | str | None = None,
        job_type: JobType | str = JobType.INCREMENTAL,
        connection_id: str = "hevo_airflow_conn_id",
        poke_interval: float = 20,
        accept_completed_with_failures: bool = False,
        deferrable: bool = True,
        wait_for_job_max_attempts: int = 10,
        wait_for_job_interval: float = 5,
        wait_for_job_initial_delay: float = 10,
        api_outage_tolerance: float = 1800,
        **kwargs: Any,
    ) -> None:
        super().__init__(poke_interval=poke_interval, **kwargs)
        self.pipeline_id = pipeline_id
        self.job_id = job_id
        self.completed_after = completed_after
        self.job_type = job_type
        self.connection_id = connection_id
        self.accept_completed_with_failures = flag_of("accept_completed_with_failures", accept_completed_with_failures)
        self.deferrable = flag_of("deferrable", deferrable)
        self.wait_for_job_max_attempts = count_of("wait_for_job_max_attempts", wait_for_job_max_attempts)
        self.wait_for_job_interval = seconds_of("wait_for_job_interval", wait_for_job_interval, above=True)
        self.wait_for_job_initial_delay = seconds_of("wait_for_job_initial_delay", wait_for_job_initial_delay)
        self.api_outage_tolerance = seconds_of("api_outage_tolerance", api_outage_tolerance)
        self.poll_interval = seconds_of("poke_interval", self.poke_interval, above=True)
        self.expects_job_id = job_id is not None
        self.expects_completion = completed_after is not None
        self._check(only_literals=True)

    def execute(self, context: Context) -> Any:
        """
        Look at once, and wait in the triggerer or, by mode, here.

        :returns: the job's id.
        :raises AirflowSensorTimeout: ``timeout`` has passed.
        :raises HevoRunError: the job did not end well, or none was found.
        """
        if self.deferrable or not self.reschedule:  # in which each process knows only of itself
            self._begin_work()
        self._show_page(context)
        if not self.deferrable:
            return super().execute(context)
        with self._failing_like_a_sensor():
            outcome, wait = self._look(self._ordered(context))
            if outcome is not None:
                return self._conclude_outcome(context, outcome)
            return self._defer_until_done(context, replace(wait.run, retry_limit=wait.run.retry_limit - wait.looks))

    def execute_complete(self, context: Context, event: object = None) -> Any:
        """
        Map the trigger's event onto success, failure, time-out or skip.

        :param event: see :mod:`hevo_provider.runs.events`. One that is missing or unknown fails the sensor.
        :returns: the job's id.
        """
        from hevo_provider.runs.events import read_event
        from hevo_provider.runs.wait import Outcome

        self._begin_work()
        with self._failing_like_a_sensor():
            told = read_event(event)
            run = replace(self._ordered(context), worker_seconds=told.worker_seconds)
            return self._conclude_outcome(context, Outcome(told.ending, run, told.job))

    def poke(self, context: Context) -> PokeReturnValue:
        """Look once. The base class calls this in the modes ``poke`` and ``reschedule``."""
        with hopeless_errors_fail_for_good():
            outcome, wait = self._look(self._ordered(context))
            if outcome is not None:
                return PokeReturnValue(is_done=True, xcom_value=self._conclude_outcome(context, outcome))
        self.poke_interval = self._pause_after(wait)
        return PokeReturnValue(is_done=False)

    # One look

    def _look(self, run: Run) -> tuple[Outcome | None, Wait]:
        """Look once, and return how the wait ended, if it did, and the wait."""
        return self._block_on(self._alook, run)

    async def _alook(self, run: Run) -> tuple[Outcome | None, Wait]:
        from hevo_provider.runs.wait import Wait

        async with self._hevo().client() as hevo:
            if self._wait is None:
                self._wait = Wait(hevo, run, self.log)
            wait = self._wait
            wait.hevo = hevo
            outcome = await wait.look()
            if isinstance(wait.trouble, HevoNotFoundError):
                await self._check_missing(hevo, wait.run, wait.trouble)
            return outcome, wait

    async def _check_missing(self, hevo: HevoAsyncClient, run: Run, error: HevoNotFoundError) -> None:
        """
        Tell a job that may show yet from a pipeline that never will: GET /pipelines/{id}.

        :raises HevoNotFoundError: there is no such pipeline.
        :raises HevoJobNotFoundError: the job has had time enough. In the other modes the wait itself tells.
        """
        from hevo_provider.runs.weather import MISSING_TOLERANCE

        with suppress(HevoTransportError, HevoResponseError, HevoServerError):
            await hevo.get_pipeline(run.pipeline_id, retry_limit=0)
        if run.searching_since is not None and hevo.clock.now() - run.searching_since >= MISSING_TOLERANCE:
            raise HevoJobNotFoundError(
                f"Pipeline {run.pipeline_id}: Hevo does not know job {run.job_id} ({error}). It may have been deleted, "
                "or belong to another pipeline.",
                pipeline_id=run.pipeline_id,
                job_id=run.job_id,
            )

    def _pause_after(self, wait: Wait) -> float:
        """Return the seconds until the next poke: while the job is being found, those of the search."""
        from hevo_provider.runs.run import Phase

        run = wait.run
        if run.searching_since is None:
            is_first = wait.looks <= 1
        else:
            is_first = self._hevo().clock.now() - run.searching_since < self.wait_for_job_initial_delay
        if run.phase == Phase.WATCH or run.completed_after is not None:
            pause = self.poll_interval
        else:
            pause = self.wait_for_job_initial_delay if is_first else self.wait_for_job_interval
        return pause if wait.trouble is None else max(pause, wait.pause)

    def _get_next_poke_interval(self, *how_long_so_far: Any, **more: Any) -> float:
        """Return the seconds until the next poke that the base class asks for, or those that Airflow needs."""
        pause: float = super()._get_next_poke_interval(*how_long_so_far, **more)
        return max(pause, SHORTEST_RESCHEDULE) if self.reschedule else pause

    def _first_look(self, context: Context) -> float:
        from hevo_provider.rescheduled import first_look_of

        first = first_look_of(context)
        return self._hevo().clock.now() if first is None else first.timestamp()

    def _waiting_since(self, context: Context) -> float:
        return self._first_look(context) if self.reschedule and not self.deferrable else super()._waiting_since(context)

    def _conclude_outcome(self, context: Context, outcome: Outcome) -> str:
        from hevo_provider.runs.wait import Ending

        if outcome.ending is Ending.TIMED_OUT:
            message = _timed_out(outcome.run)
            limit = self.execution_timeout
            if limit is not None and limit.total_seconds() < self.timeout:
                raise AirflowTaskTimeout(message)
            raise AirflowSensorTimeout(message)
        if outcome.job is None:
            raise HevoRunError("How the job ended is not known.", pipeline_id=outcome.run.pipeline_id)
        return self._conclude(context, outcome.run, outcome.job)

    @contextmanager
    def _failing_like_a_sensor(self) -> Iterator[None]:
        """Give ``soft_fail`` and ``never_fail`` the meaning that they have in Airflow's own modes."""
        try:
            with hopeless_errors_fail_for_good():
                yield
        except (AirflowSensorTimeout, AirflowFailException, AirflowTaskTimeout) as error:
            if self.soft_fail or self.never_fail:
                raise AirflowSkipException(str(error)) from error
            raise
        except Exception as error:
            if self.never_fail:
                raise AirflowSkipException(str(error)) from error
            raise

    # From parameters to a run

    def _ordered(self, context: Context) -> Run:
        """Return what the rendered parameters ask for."""
        from hevo_provider.runs.run import Phase, Run

        self._check()
        job_id = None if self.job_id is None else job_id_of(self.job_id)
        completed_after = None
        if self.completed_after is not None:
            completed_after = int(moment_of("completed_after", self.completed_after).timestamp() * 1000)
        searching_since = self._first_look(context) if self.reschedule and not self.deferrable else None
        return Run(
            pipeline_id=pipeline_id_of(self.pipeline_id),
            job_types=member_of(JobType, "job_type", self.job_type).wire_names,
            cancel_on_kill=False,
            poll_interval=self.poll_interval,
            retry_limit=self._looks_left(searching_since),
            find_delay=self.wait_for_job_initial_delay,
            find_interval=self.wait_for_job_interval,
            api_outage_tolerance=self.api_outage_tolerance,
            deadline=deadline_of(context, self.timeout, self.execution_timeout) if self.deferrable else None,
            completed_after=completed_after,
            accept_completed_with_failures=self.accept_completed_with_failures,
            phase=Phase.FIND.value if job_id is None else Phase.WATCH.value,
            job_id=job_id,
            searching_since=searching_since,
        )

    def _looks_left(self, searching_since: float | None) -> int:
        """Return how many looks may be taken; a rescheduled sensor cannot count, but knows how long it has searched."""
        if searching_since is None:
            return self.wait_for_job_max_attempts
        last_look = self.wait_for_job_initial_delay + (self.wait_for_job_max_attempts - 2) * self.wait_for_job_interval
        is_last = self.wait_for_job_max_attempts == 1 or self._hevo().clock.now() - searching_since >= last_look
        return 1 if is_last else self.wait_for_job_max_attempts

    def _check(self, *, only_literals: bool = False) -> None:
        """Refuse what makes no sense: literals when the DAG is parsed, rendered values before any request."""
        if self.job_id is None and (self.expects_job_id or self._is_mapped_over("job_id")):
            raise HevoConfigError("job_id rendered to None: the task that should have returned it did not.")
        if self.expects_job_id and self.expects_completion and not (only_literals and self._is_unmapped):
            raise HevoConfigError("job_id and completed_after exclude each other: follow one job, or wait for any.")
        checks: dict[str, Callable[[Any], object]] = {
            "pipeline_id": pipeline_id_of,
            "connection_id": connection_id_of,
            "job_type": lambda value: member_of(JobType, "job_type", value),
            "job_id": lambda value: None if value is None else job_id_of(value),
        }
        if self.expects_completion or self._is_mapped_over("completed_after"):
            checks["completed_after"] = lambda value: moment_of("completed_after", value)
        self._check_values(checks, only_literals=only_literals)


def _timed_out(run: Run) -> str:
    if run.completed_after is None:
        return f"Pipeline {run.pipeline_id}: the job had not ended when the sensor's time was over."
    from hevo_provider.runs.run import any_of
    from hevo_provider.runs.since import time_in_words

    return (
        f"Pipeline {run.pipeline_id}: no job of type {any_of(run.job_types)} had completed since "
        f"{time_in_words(run.completed_after)} when the sensor's time was over."
    )
