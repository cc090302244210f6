"""``HevoSensor``: follow a job that something else has started. It starts nothing and cancels nothing."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import (
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    AirflowTaskTimeout,
    BaseSensorOperator,
    PokeReturnValue,
)

from hevo_provider import codes
from hevo_provider.clock import process_clock
from hevo_provider.compat import execute_from_within, first_poke_of, is_expanded_over, needs_a_worker, was_unmapped
from hevo_provider.exceptions import (
    HevoConfigError,
    HevoError,
    HevoJobNotFoundError,
    HevoNotFoundError,
    HevoRunError,
    HevoTimeIsOverError,
)
from hevo_provider.models.enums import JobType, OnDeferred
from hevo_provider.models.ids import job_id_of
from hevo_provider.parameters import (
    CONNECTION_ELSEWHERE,
    DEFAULT_CONNECTION_ID,
    connection_id_of,
    count_of,
    flag_of,
    is_unrendered,
    member_of,
    moment_of,
    refuse_mix_ups,
    seconds_of,
)
from hevo_provider.tasks.task import (
    DEADLINE_MARGIN,
    HevoTask,
    NotNamedYet,
    deadline_of,
    hopeless_errors_fail_for_good,
    limit_of,
)

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from hevo_provider.runs.by_name import Naming
    from hevo_provider.runs.order import Order
    from hevo_provider.runs.outcome import Outcome
    from hevo_provider.runs.run import Run
    from hevo_provider.runs.wait import Connect, Wait

# Seconds between two processes of a rescheduled sensor: Airflow fails one that runs again before the scheduler has seen
# the end of the process before it, as it does with a deferral (see SHORTEST_DEFERRAL of the trigger).
SHORTEST_RESCHEDULE = 10.0

# Of what a template may name: what is known of a DAG run without asking Airflow.
KNOWN_TO_TRIGGERERS = {"dag_run", "data_interval_end", "data_interval_start", "ds", "logical_date", "run_id", "ts"}


class HevoSensor(HevoTask, BaseSensorOperator):
    """
    Succeed when a job of a Hevo pipeline has succeeded.

    The job is the given one, or the active one: the sensor polls at once; if none is there, again after
    ``wait_for_job_initial_delay`` seconds and then every ``wait_for_job_interval``, ``wait_for_job_max_attempts`` polls
    in all. A job that came and ended between two polls is found too. Returns the job's id; the XCom ``hevo_job`` has
    its state and counters.

    With ``completed_after`` any job of the type will do that has completed since that time, also one that was over
    before the sensor polled: for pipelines that Hevo runs by its own schedule, with ``"{{ data_interval_end }}"``.
    Polls come every ``poke_interval`` seconds, and ``timeout`` is their only limit. A job that ended badly since is a
    warning in the log (in the mode ``reschedule`` at each poll) and no more: a later one may complete. With
    ``fail_on_bad_job`` it fails the sensor at once, unless one has completed after it.

    Modes are ``poke``, ``reschedule`` and, with ``deferrable`` (the default), waiting in the triggerer; ``timeout`` and
    ``soft_fail`` mean the same in all of them: a time-out can be a skip, a job that failed cannot. In ``reschedule``
    polls are at least 10 s apart, whatever the parameters say: Airflow fails a task that comes back earlier.

    :param pipeline_id: the pipeline: a number, or a template that renders to one. (templated)
    :param pipeline_name: its name, instead: it is looked up when the task runs, in ``reschedule`` at each poke.
        (templated)
    :param job_id: the job to follow; None finds the active one. (templated)
    :param completed_after: succeed with a job that completed at this time or later, by Hevo's clock: a datetime, or its
        text by ISO 8601; UTC unless it says otherwise. Not together with ``job_id``. (templated)
    :param fail_on_bad_job: with ``completed_after``: fail where the job of the type that ended last since that time has
        ended badly, instead of waiting for one that completes. A SKIPPED one does not count: nothing was run.
    :param job_type: the type of the job to find: a ``JobType`` or its name. (templated)
    :param connection_id: the Airflow connection. (templated)
    :param poke_interval: seconds between polls of the running job.
    :param accept_completed_with_failures: whether COMPLETED_WITH_FAILURES counts as success.
    :param on_deferred: what it means that the source's own rate limit stopped some objects, so that the job ended
        DEFERRED: ``"fail"``, or ``"accept"`` it as success, DEFERRED_WITH_FAILURES only with
        ``accept_completed_with_failures``. A sensor starts nothing, so it cannot go on.
    :param deferrable: wait in the triggerer.
    :param wait_for_job_max_attempts: how many polls may be made to find the job.
    :param wait_for_job_interval: seconds between these polls.
    :param wait_for_job_initial_delay: seconds between the first and the second.
    :param api_outage_tolerance: seconds without a usable answer from Hevo after which the sensor fails. In
        ``reschedule`` mode a process sees too little of an outage to tell how long it lasts; there ``timeout`` is the
        limit.
    :param skip_empty_tables: with an ``AssetAlias`` among the ``outlets``: emit no event for a table without new rows.
    :param start_from_trigger: start in the triggerer, and end there if the job has completed, without any worker
        (Airflow 3.3 and later, with ``deferrable``). Where that cannot be done, the sensor is as without: mapped; with
        ``pipeline_name``, ``on_execute_callback``, ``pre_execute`` or ``post_execute``; with a template, but for one in
        ``completed_after`` that names times of the DAG run, or ``dag_run``. What does not end COMPLETED is a worker's
        at the end, and so is success where there are ``outlets``.
    :raises HevoConfigError: a literal parameter makes no sense.
    """

    template_fields = ("pipeline_id", "pipeline_name", "job_id", "completed_after", "job_type", "connection_id")
    ui_color = "#e7ebff"

    _wait: Wait | None = None
    _named_since: float | None = None  # when the first process of a rescheduled sensor looked the name up

    def __init__(  # noqa: PLR0913 - the parameter table of the documentation
        self,
        *,
        pipeline_id: int | str | None = None,
        pipeline_name: str | None = None,
        job_id: str | None = None,
        completed_after: datetime | str | None = None,
        fail_on_bad_job: bool = False,
        job_type: JobType | str = JobType.INCREMENTAL,
        connection_id: str = DEFAULT_CONNECTION_ID,
        poke_interval: float = 20,
        accept_completed_with_failures: bool = False,
        on_deferred: OnDeferred | str = "fail",
        deferrable: bool = True,
        wait_for_job_max_attempts: int = 10,
        wait_for_job_interval: float = 5,
        wait_for_job_initial_delay: float = 10,
        api_outage_tolerance: float = 1800,
        skip_empty_tables: bool = False,
        start_from_trigger: bool = False,
        **kwargs: Any,
    ) -> None:
        refuse_mix_ups(type(self).__name__, kwargs, CONNECTION_ELSEWHERE | {"poll_interval": "poke_interval"})
        super().__init__(poke_interval=poke_interval, **kwargs)
        checked = self._parameter
        above_zero = partial(seconds_of, above=True)
        self.pipeline_id = pipeline_id
        self.pipeline_name = pipeline_name
        self._check_pipeline()
        self.job_id = job_id
        self.completed_after = completed_after
        self.job_type = job_type
        self.connection_id = connection_id
        self.accept_completed_with_failures = checked(
            flag_of, "accept_completed_with_failures", accept_completed_with_failures
        )
        self.fail_on_bad_job = checked(flag_of, "fail_on_bad_job", fail_on_bad_job)
        self.on_deferred = checked(_on_deferred_of, "on_deferred", on_deferred)
        self.deferrable = checked(flag_of, "deferrable", deferrable)
        self.wait_for_job_max_attempts = checked(count_of, "wait_for_job_max_attempts", wait_for_job_max_attempts)
        self.wait_for_job_interval = checked(above_zero, "wait_for_job_interval", wait_for_job_interval)
        self.wait_for_job_initial_delay = checked(seconds_of, "wait_for_job_initial_delay", wait_for_job_initial_delay)
        self.api_outage_tolerance = checked(seconds_of, "api_outage_tolerance", api_outage_tolerance)
        self.skip_empty_tables = checked(flag_of, "skip_empty_tables", skip_empty_tables)
        self.poll_interval = checked(above_zero, "poke_interval", self.poke_interval)
        self.expects_job_id = job_id is not None
        self.expects_completion = completed_after is not None
        self._check(only_literals=True)
        self.start_from_trigger = False
        if checked(flag_of, "start_from_trigger", start_from_trigger) and self._can_start_in_triggerer():
            self._start_in_triggerer()

    def execute(self, context: Context) -> Any:
        """
        Poll at once, and wait in the triggerer or, by mode, here.

        :returns: the job's id.
        :raises AirflowSensorTimeout: ``timeout`` has passed.
        :raises HevoRunError: the job did not end well, or none was found.
        """
        self._check_context(context)
        if self.deferrable or not self.reschedule:  # in which each process knows only of itself
            self._begin_work()
        if not self.is_named:  # else the name has to be looked up first
            self._show_page(context)
        with self._telling_failures():
            if not self.deferrable:
                return execute_from_within(self, super().execute, context)
            with self._failing_like_a_sensor():
                try:
                    run = self._run = self._new_run(context)
                except NotNamedYet as not_yet:
                    deadline = deadline_of(context, self.timeout, self.execution_timeout)
                    self._defer_until_named(deadline, not_yet.trouble)
                self._begin(context, run)
                with self._going_on_if_silent(context, run):
                    outcome, wait = self._poll(run)
                    if outcome is not None:
                        return self._conclude_outcome(context, outcome)
                return self._defer_until_done(context, _without_what_was_polled(wait))

    def execute_complete(self, context: Context, event: object = None) -> Any:
        """
        Map the trigger's event onto success, failure, time-out or skip.

        What it is about is read from the event, not from the templates, which may say something else by now.

        :param event: see :mod:`hevo_provider.runs.events`. One that is missing or unknown fails the sensor.
        :returns: the job's id.
        """
        from hevo_provider.runs.events import BEGIN, read_event
        from hevo_provider.runs.outcome import Ending, Outcome

        if event == BEGIN:
            return self._begin_anew(context)
        self._check_context(context)
        self._begin_work()
        with self._telling_failures(), self._failing_like_a_sensor():
            received = read_event(event)
            self._run = run = self._run_of(context, received)
            with self._going_on_if_silent(context, run):
                if received.error is not None:
                    raise received.error
                if received.names_only_a_job:
                    self._defer_until_done(context, run)
                return self._conclude_outcome(context, Outcome(received.ending or Ending.START, run, received.job))

    def poke(self, context: Context) -> PokeReturnValue:
        """Poll once. The base class calls this in the modes ``poke`` and ``reschedule``."""
        with hopeless_errors_fail_for_good():
            if self.is_named and self.reschedule:
                self._knows_hevo = first_poke_of(context) is not None
                self._named_since = self._first_poke(context)
            try:
                run = self._new_run(context)
            except NotNamedYet as not_yet:
                self.log.info("The pipeline's name is looked up again at the next poke: %s", not_yet.trouble.text)
                return self._poke_again_after(not_yet.pause, not_yet.trouble)
            if self._wait is None and not run.answered:
                self._begin(context, run)
            outcome, wait = self._poll(run)
            self._tell_job_id(context, wait.run)
            if outcome is not None:
                return PokeReturnValue(is_done=True, xcom_value=self._conclude_outcome(context, outcome))
        return self._poke_again_after(wait.pause, wait.trouble)

    def _poke_again_after(self, pause: float, trouble: HevoError | None) -> PokeReturnValue:
        # A process that pokes once knows of no pause before, and so each takes the first and shortest one of an outage:
        # without this, a sensor would ask more often in an outage than in health.
        self.poke_interval = max(pause, self.poll_interval) if self.reschedule and trouble is not None else pause
        return PokeReturnValue(is_done=False)

    def _do_render_template_fields(
        self, parent: Any, template_fields: Any, context: Context, *more: Any, **how: Any
    ) -> None:
        with self._telling_failures(), self._telling_of_times():
            super()._do_render_template_fields(parent, template_fields, context, *more, **how)

    def _check_that_all_is_rendered(self) -> None:
        with self._telling_failures(), self._telling_of_times():
            super()._check_that_all_is_rendered()

    @contextmanager
    def _telling_of_times(self) -> Iterator[None]:
        """Say what to do about a template that names a time that the DAG run has not."""
        try:
            yield
        except Exception as error:
            if isinstance(self.completed_after, str) and re.search(r"data_interval|logical_date|\bds\b", str(error)):
                # Airflow 2.11 and 3.3 fold up what is logged before a task's execute, and would hide this.
                self.log.info("::endgroup::")
                raise HevoConfigError(
                    f"completed_after={self.completed_after!r} cannot be rendered ({error}): this DAG run has no such "
                    "time. A run that was started by hand or by an asset has none on Airflow 3; "
                    '"{{ data_interval_end | default(dag_run.run_after) }}" works in every run.',
                    code=codes.NO_SUCH_TIME,
                ) from None
            raise

    def _named_in(self, event: Any) -> tuple[str, str, int]:
        with self._failing_like_a_sensor():
            try:
                return super()._named_in(event)
            except AirflowTaskTimeout as late:
                limit = self.execution_timeout
                if limit is not None and limit.total_seconds() < self.timeout:
                    raise
                raise AirflowSensorTimeout(str(late)) from late.__cause__

    async def _poll_for_name(self, naming: Naming, connect: Connect) -> int | None:
        from hevo_provider.runs.wait import poll_on_while_refused

        found = await super()._poll_for_name(naming, connect)
        if found is None and self._named_since is not None:
            found = await poll_on_while_refused(naming, connect, process_clock(), knows_hevo=self._knows_hevo)
            if naming.trouble is not None and _has_been_missing(naming.trouble, self._named_since):
                raise naming.trouble
        return found

    # One poll

    def _begin(self, context: Context, run: Run) -> None:
        """Tell which pipeline is waited for, and where."""
        from hevo_provider.runs.words import place_in_words

        if self.is_named:
            self._show_page(context)
        self.log.info("%s: waiting for a job.", place_in_words(run))

    def _poll(self, run: Run) -> tuple[Outcome | None, Wait]:
        """Poll once, and return how the wait ended, if it did, and the wait."""
        return self._block_on(self._apoll, run)

    async def _apoll(self, run: Run) -> tuple[Outcome | None, Wait]:
        from hevo_provider.runs.error_table import Meaning, meaning_of
        from hevo_provider.runs.wait import Wait, poll_on_while_refused

        if self._wait is None:
            self._wait = Wait(run, process_clock(), self.log)
        wait = self._wait
        async with self._connecting(run.order.connection_id) as connect:
            outcome = await wait.poll(connect)
            if isinstance(wait.trouble, HevoNotFoundError) and not wait.run.knows_hevo:
                try:
                    await (await connect()).get_pipeline(run.pipeline_id, retry_limit=0)
                except HevoError as error:
                    if meaning_of(error) not in {Meaning.OUTAGE, Meaning.OVER_THE_LIMIT}:
                        raise  # after an outage, or over the limit, a job may yet show
            since = run.searching_since
            if outcome is None and since is not None:
                knows_hevo = wait.run.knows_hevo
                outcome = await poll_on_while_refused(wait, connect, process_clock(), knows_hevo=knows_hevo)
                if wait.trouble is not None and _has_been_missing(wait.trouble, since):
                    raise _vanished(wait.run, wait.trouble)
            return outcome, wait

    def _get_next_poke_interval(self, *how_long_so_far: Any, **more: Any) -> float:
        """Return the seconds until the next poke that the base class asks for, or those that Airflow needs."""
        pause: float = super()._get_next_poke_interval(*how_long_so_far, **more)
        return max(pause, SHORTEST_RESCHEDULE) if self.reschedule else pause

    def _first_poke(self, context: Context) -> float:
        first = first_poke_of(context)
        return process_clock().now() if first is None else first.timestamp()

    def _waiting_since(self, context: Context) -> float:
        return self._first_poke(context) if self.reschedule and not self.deferrable else super()._waiting_since(context)

    def _latest_run(self) -> Run | None:
        return super()._latest_run() if self._wait is None else self._wait.run

    def _is_timed_out(self, error: BaseException) -> bool:
        """Return whether the base class has ended the sensor for its ``timeout``, which it does in its own words."""
        if isinstance(error, AirflowSensorTimeout):
            return True
        return isinstance(error, AirflowSkipException) and self.soft_fail and error.__cause__ is None

    def _conclude_outcome(self, context: Context, outcome: Outcome) -> str:
        from hevo_provider.runs.outcome import Ending

        if outcome.ending is Ending.TIMED_OUT:
            said = _timed_out(outcome.run)
            limit = self.execution_timeout
            if limit is not None and limit.total_seconds() < self.timeout:
                raise AirflowTaskTimeout(said.text) from said
            raise AirflowSensorTimeout(said.text) from said
        if outcome.job is None:
            raise HevoRunError(
                "How the job ended is not known.", pipeline_id=outcome.run.pipeline_id, code=codes.NOT_KNOWN
            )
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

    @contextmanager
    def _going_on_if_silent(self, context: Context, run: Run) -> Iterator[None]:
        """Give ``silent_fail`` its meaning of the other modes: a poke's failure is logged, and polling goes on."""
        try:
            with hopeless_errors_fail_for_good():
                yield
        except (AirflowSensorTimeout, AirflowFailException, AirflowTaskTimeout):
            raise
        except Exception as error:
            if not self.silent_fail:
                raise
            self.log.error("The sensor goes on although it has failed (silent_fail): %s", error)
            rested = process_clock().now() + self.poll_interval
            if run.order.deadline is not None and rested >= run.order.deadline:
                why = error.text if isinstance(error, HevoError) else str(error)
                said = _timed_out(run, after=f"{why} ")
                raise AirflowSensorTimeout(said.text) from said
            self._defer_until_done(context, run.resting(rested))

    # Without a worker

    def _can_start_in_triggerer(self) -> bool:
        """Return whether all that a run needs is known without a worker."""
        literals = (self.pipeline_id, self.job_id, self.job_type, self.connection_id)
        if not self.deferrable or self.is_named or any(map(is_unrendered, literals)) or needs_a_worker(self):
            return False
        after = self.completed_after
        return not is_unrendered(after) or (isinstance(after, str) and _renders_in_triggerer(after))

    def _start_in_triggerer(self) -> None:
        from airflow.triggers.base import StartTriggerArgs

        limit, longest = limit_of(self.timeout, self.execution_timeout), self.timeout + DEADLINE_MARGIN
        if self.execution_timeout is not None:  # which shortens the trigger's time-out
            longest = min(longest, self.execution_timeout.total_seconds())
        after = self.completed_after
        self.start_trigger_args = StartTriggerArgs(
            trigger_cls="hevo_provider.triggers.HevoSensorTrigger",
            trigger_kwargs={
                **self._new_run(None).to_json(),
                "completed_after": after.isoformat() if isinstance(after, datetime) else after,
                "lasts": longest,
                "limit": limit,
                "returns": bool(self.do_xcom_push),
                "ends_here": not self.outlets,
            },
            next_method="execute_complete",
            timeout=timedelta(seconds=longest),
        )
        self.start_from_trigger = True

    # From parameters to a run

    def _new_run(self, context: Context | None) -> Run:
        """
        Return the run that the rendered parameters ask for.

        :param context: None for what is the same in all runs of the DAG.
        """
        from hevo_provider.runs.run import Phase, Run

        order = self._ordered(context)
        job_id = None if self.job_id is None else job_id_of(self.job_id)
        run = Run(
            order=order,
            phase=Phase.FIND if job_id is None else Phase.WATCH,
            job_id=job_id,
            host=None if context is None else self._known_host(),
            pipeline_name=self._looked_up[1] if self.is_named and self._looked_up else None,
        )
        if context is None or self.deferrable or not self.reschedule:
            return run
        # It remembers nothing. What has been rescheduled got past its first poke: a refusal or a 404 of Hevo would have
        # failed it there.
        return run.without_baseline(self._first_poke(context), answered=first_poke_of(context) is not None)

    def _ordered(self, context: Context | None, pipeline_id: int | None = None) -> Order:
        """
        Return what the rendered parameters ask for.

        :param context: None leaves out what each run of the DAG has of its own: deadline and ``completed_after``.
        :param pipeline_id: the pipeline, where it is known.
        :raises HevoConfigError: one makes no sense.
        """
        self._check(only_literals=context is None)
        completed_after = None
        if self.completed_after is not None and context is not None:
            completed_after = int(moment_of("completed_after", self.completed_after).timestamp() * 1000)
        return replace(
            self._ordered_by_literals(context, self._pipeline() if pipeline_id is None else pipeline_id),
            job_types=member_of(JobType, "job_type", self.job_type).wire_names,
            completed_after=completed_after,
        )

    def _ordered_by_literals(self, context: Context | None, pipeline_id: int) -> Order:
        from hevo_provider.runs.order import Order

        return Order(
            pipeline_id=pipeline_id,
            connection_id=self._connection_if_it_is_one(),
            cancel_on_kill=False,
            poll_interval=self.poll_interval,
            poll_growth=2.0 if self.deferrable and self.exponential_backoff else 1.0,
            longest_poll_interval=self.max_wait.total_seconds() if self.deferrable and self.max_wait else None,
            retry_limit=self.wait_for_job_max_attempts,
            find_delay=self.wait_for_job_initial_delay,
            find_interval=self.wait_for_job_interval,
            api_outage_tolerance=self.api_outage_tolerance,
            deadline=(
                deadline_of(context, self.timeout, self.execution_timeout) if self.deferrable and context else None
            ),
            accept_completed_with_failures=self.accept_completed_with_failures,
            on_deferred=self.on_deferred,
            fail_on_bad_job=self.fail_on_bad_job,
        )

    def _check(self, *, only_literals: bool = False) -> None:
        """Refuse what makes no sense: literals when the DAG is parsed, rendered values before any request."""
        if only_literals and was_unmapped(self):
            return  # execute checks, and fails the task for good
        if self.job_id is None and (self.expects_job_id or is_expanded_over(self, "job_id")):
            raise HevoConfigError(
                "job_id rendered to None: the task that should have returned it did not.", code=codes.NOT_RETURNED
            )
        if self.expects_job_id and self.expects_completion:
            raise HevoConfigError(
                "job_id and completed_after exclude each other: follow one job, or wait for any.",
                code=codes.DO_NOT_GO_TOGETHER,
            )
        waits_for_completion = self.expects_completion or is_expanded_over(self, "completed_after")
        if self.fail_on_bad_job and not waits_for_completion:
            raise HevoConfigError(
                "fail_on_bad_job goes with completed_after only: without it one job is followed.",
                code=codes.DO_NOT_GO_TOGETHER,
            )
        checks: dict[str, Callable[[Any], object]] = {
            **self._checks_of_pipeline(),
            "connection_id": connection_id_of,
            "job_type": lambda value: member_of(JobType, "job_type", value),
            "job_id": lambda value: None if value is None else job_id_of(value),
        }
        if waits_for_completion:
            checks["completed_after"] = lambda value: moment_of("completed_after", value)
        self._check_values(checks, only_literals=only_literals)


def _on_deferred_of(name: str, value: object) -> OnDeferred:
    member = member_of(OnDeferred, name, value)
    if member is OnDeferred.CONTINUE:
        raise HevoConfigError(
            f'{name}="continue" is not for a sensor, which starts nothing: use "fail" or "accept".',
            code=codes.DO_NOT_GO_TOGETHER,
        )
    return member


def _renders_in_triggerer(template: str) -> bool:
    """
    Return whether a triggerer knows all names in a template.

    It must not be asked for others: it has no answer to ``ti.xcom_pull(…)``, and the trigger hangs for ever (3.3.2).
    """
    from jinja2 import Environment, TemplateError, meta

    try:
        names = meta.find_undeclared_variables(Environment(autoescape=True).parse(template))
    except TemplateError:  # such as a filter of Airflow's own
        return False
    return names <= KNOWN_TO_TRIGGERERS


def _has_been_missing(trouble: HevoError, since: float) -> bool:
    """
    Return whether a 404 is to be believed: only of a wait that is old enough for it.

    :param since: seconds since the epoch, when the wait began.
    """
    from hevo_provider.runs.error_table import MISSING_TOLERANCE, Meaning, meaning_of

    return meaning_of(trouble) is Meaning.MISSING and process_clock().now() - since >= MISSING_TOLERANCE


def _vanished(run: Run, trouble: HevoError) -> HevoJobNotFoundError:
    what = f", job {run.job_id}" if run.job_id else ""
    return HevoJobNotFoundError(
        f"Pipeline {run.pipeline_id}{what}: Hevo does not know it ({trouble.text}). It may have been deleted, "
        "or the job belongs to another pipeline.",
        pipeline_id=run.pipeline_id,
        job_id=run.job_id,
        code=codes.VANISHED,
    )


def _without_what_was_polled(wait: Wait) -> Run:
    """Return the run for the triggerer: the polls of a search that were made here are not made again there."""
    from hevo_provider.runs.run import Phase

    run = wait.run
    if run.phase is not Phase.FIND:
        return run
    return run.under(replace(run.order, retry_limit=run.order.retry_limit - wait.polls))


def _timed_out(run: Run, *, after: str = "") -> HevoTimeIsOverError:
    """
    Return what is said of a sensor whose time was over.

    :param after: what went before.
    """
    return HevoTimeIsOverError(
        f"{after}{_why_timed_out(run)}", pipeline_id=run.pipeline_id, job_id=run.job_id, code=codes.SENSOR_TIMED_OUT
    )


def _why_timed_out(run: Run) -> str:
    if run.order.completed_after is None:
        return f"Pipeline {run.pipeline_id}: the job had not ended when the sensor's time was over."
    from hevo_provider.runs.words import any_of, time_in_words

    return (
        f"Pipeline {run.pipeline_id}: no job of type {any_of(run.order.job_types)} had completed since "
        f"{time_in_words(run.order.completed_after)} when the sensor's time was over."
    )
