"""``HevoTask``, which operators and sensor share: the way into the event loop, the deferral, what a job's end means."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING, Any, NoReturn, ParamSpec, TypeVar
from uuid import uuid4

from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException, AirflowTaskTimeout

from hevo_provider import codes
from hevo_provider.clock import process_clock
from hevo_provider.compat import execute_from_within, is_alias, is_resumed, was_unmapped
from hevo_provider.exceptions import (
    HevoConfigError,
    HevoError,
    HevoHopelessError,
    HevoRunError,
    HevoTimeIsOverError,
)
from hevo_provider.links import PAGE_KEY, HevoPipelineLink, page_of
from hevo_provider.models.ids import check_that_one_is_given, pipeline_id_of, pipeline_name_of
from hevo_provider.parameters import DEFAULT_CONNECTION_ID, connection_id_of, is_unrendered

if TYPE_CHECKING:
    from datetime import timedelta

    from airflow.providers.common.compat.sdk import BaseOperator, Context

    from hevo_provider.client.calls import HevoAsyncClient
    from hevo_provider.hooks import HevoHook
    from hevo_provider.models.answers import Job
    from hevo_provider.runs.by_name import Naming
    from hevo_provider.runs.events import Event
    from hevo_provider.runs.order import Order
    from hevo_provider.runs.run import Run
    from hevo_provider.runs.verdict import Verdict
    from hevo_provider.runs.wait import Connect
    from hevo_provider.sync import BlockingCall
    from hevo_provider.tasks.failure import Place, TellingFailures

    Base = BaseOperator
else:
    # Not BaseOperator: the metaclass of Airflow 2.11 gives every operator class an __init__ of its own, and a sensor's
    # would be cut short by this one. Airflow 3 no longer does that; both are served.
    Base = object

P = ParamSpec("P")
T = TypeVar("T")

LONGEST_WORKER_PAUSE = 5.0  # seconds that Hevo may ask a worker to wait; longer waits are spent in the triggerer
DEADLINE_MARGIN = 5.0  # seconds: Airflow 2's own sweep of timed out deferrals would lose the job's id
# Of a task's attributes: what cannot be copied.
_OF_A_RUN = frozenset({"_call", "_course", "_hook", "_naming", "_run", "_wait"})
DETAILS_TIMEOUT = 5.0  # seconds for what is only nice to know


class NotNamedYet(Exception):  # noqa: N818 - it is no error
    """
    A pipeline's id could not be looked up, which is endured.

    :param trouble: what keeps it.
    :param pause: seconds until it may be asked for again.
    """

    def __init__(self, trouble: HevoError, pause: float) -> None:
        super().__init__(trouble.text)
        self.trouble = trouble
        self.pause = pause


class HevoTask(Base):
    """A task that follows a job of Hevo. Not for use by itself."""

    operator_extra_links = (HevoPipelineLink(),)

    pipeline_id: Any
    pipeline_name: Any
    connection_id: str
    api_outage_tolerance: float
    skip_empty_tables: bool
    starts_jobs = False

    _call: BlockingCall | None = None
    _run: Run | None = None  # what this process began with
    _hook: HevoHook | None = None
    _order: Order | None = None
    _verdict: Verdict | None = None
    _at_work_since: float | None = None
    _told_job_id: str | None = None
    _looked_up: tuple[str, str, int] | None = None
    _naming: Naming | None = None
    _knows_hevo = False  # whether Hevo has answered this task well, in a process before this one
    _wrong_parameter: HevoConfigError | None = None
    _unrendered: Exception | None = None  # why the templates are what they were, in a task that came back

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        """Copy what the DAG says, and not what this process knows of a run: locks, event loops, credentials."""
        memo |= {id(value): None for name, value in vars(self).items() if name in _OF_A_RUN and value is not None}
        return super().__deepcopy__(memo)

    # Parameters

    def _parameter(self, check: Callable[[str, Any], T], name: str, value: Any) -> T:
        """
        Return a parameter that is no template, checked.

        A mapped task is made by its worker, which would try it again for an error that is raised here: it is kept for
        ``execute``, which fails the task for good.

        :raises HevoConfigError: it makes no sense.
        """
        try:
            return check(name, value)
        except HevoConfigError as error:
            if not was_unmapped(self):
                raise
            self._wrong_parameter = self._wrong_parameter or error
            kept: T = value
            return kept

    def _check_values(self, checks: Mapping[str, Callable[[Any], object]], *, only_literals: bool) -> None:
        """
        Check the values of template fields, by name.

        :param only_literals: leave out what is only known when the task runs.
        :raises HevoConfigError: one makes no sense.
        """
        if only_literals and was_unmapped(self):
            return
        if self._wrong_parameter is not None:
            raise self._wrong_parameter
        for name, check in checks.items():
            value = getattr(self, name)
            if not (only_literals and is_unrendered(value)):
                check(value)

    def _check_pipeline(self) -> None:
        """
        Refuse a pipeline that is given by id and by name, or by neither. For a mapped task ``execute`` does that.

        :raises HevoConfigError: both are given, or neither.
        """
        self._parameter(lambda *_: check_that_one_is_given(self.pipeline_id, self.pipeline_name), "pipeline_id", None)
        self.is_named = self.pipeline_name is not None

    def _checks_of_pipeline(self) -> dict[str, Callable[[Any], object]]:
        """Return how the field that says which pipeline is meant is checked."""
        return {"pipeline_name": pipeline_name_of} if self.is_named else {"pipeline_id": pipeline_id_of}

    def _run_of(self, context: Context, received: Event) -> Run:
        """
        Return the run that an event is about. Version 1.0.0 sent none along: the DAG says what was asked for.

        What a template renders to by now is not needed for the end of a job that the event names. So one that renders
        to nonsense, or not at all, is no error any more.
        """
        if received.run is not None:
            return received.run
        assert received.pipeline_id is not None
        try:
            return received.run_under(self._ordered(context, received.pipeline_id))
        except HevoConfigError as error:
            self.log.warning(
                "The task's parameters make no sense any more (%s). The outcome of its job is reported all the same.",
                error,
            )
            return received.run_under(self._ordered_by_literals(context, received.pipeline_id))

    def _ordered(self, context: Context, pipeline_id: int | None = None) -> Order:
        """
        Return what the rendered parameters ask for.

        :param pipeline_id: the pipeline, where it is known.
        :raises HevoConfigError: one makes no sense.
        """
        raise NotImplementedError

    def _ordered_by_literals(self, context: Context, pipeline_id: int) -> Order:
        """Return what those of the parameters ask for that are no templates."""
        raise NotImplementedError

    def _connection_if_it_is_one(self) -> str:
        try:
            return connection_id_of(self.connection_id)
        except HevoConfigError:
            return DEFAULT_CONNECTION_ID

    def _pipeline(self, wait_until: float | None = None) -> int:
        """
        Return the pipeline's id: GET /pipelines, once in a process, where it is given by its name.

        :param wait_until: seconds since the epoch until which this process waits for an answer. None: it asks once, and
            waits for Hevo's limit no longer than a start does that leaves the worker.
        :raises HevoConfigError: no pipeline is meant, or several are.
        :raises NotNamedYet: there is no answer, which is endured.
        :raises AirflowTaskTimeout: there was none before ``wait_until``.
        :raises HevoError: there is none, and that is not endured.
        """
        if not self.is_named:
            return pipeline_id_of(self.pipeline_id)
        name = pipeline_name_of(self.pipeline_name)
        if self._looked_up is None or self._looked_up[:2] != (self.connection_id, name):
            self._looked_up = self.connection_id, name, self._look_up(name, wait_until)
            self.log.info("The pipeline %r has the id %s.", name, self._looked_up[2])
        return self._looked_up[2]

    def _look_up(self, name: str, wait_until: float | None) -> int:
        from hevo_provider.client.budget import Purpose, Turn, asking_as
        from hevo_provider.runs.by_name import Naming
        from hevo_provider.runs.course import LONGEST_WAIT_FOR_LIMIT

        naming = self._naming
        if naming is None or naming.name != name:
            naming = self._naming = Naming(
                name,
                process_clock(),
                self.log,
                tolerance=self.api_outage_tolerance,
                knows_hevo=self._knows_hevo,
                starts=self.starts_jobs,
            )

        async def ask() -> int | None:
            turn = Turn(Purpose.START, patience=LONGEST_WAIT_FOR_LIMIT if wait_until is None else None)
            async with self._connecting(self.connection_id) as connect:
                with asking_as(turn):
                    if wait_until is None:
                        return await self._poll_for_name(naming, connect)
                    return await naming.until_done(connect, wait_until)

        found = self._block_on(ask)
        if naming.trouble is None:
            assert found is not None
            return found
        if wait_until is not None:
            raise _not_named_in_time(naming.trouble.text)
        raise NotNamedYet(naming.trouble, naming.pause)

    async def _poll_for_name(self, naming: Naming, connect: Connect) -> int | None:
        """Ask once, in a process that does not wait."""
        return await naming.poll(connect)

    def execute_named(self, context: Context, event: Any = None) -> Any:
        """
        Begin anew when the triggerer has looked the pipeline's name up.

        :param event: that of :class:`hevo_provider.triggers.HevoPipelineNameTrigger`.
        :raises AirflowTaskTimeout: that could not be done in time.
        :raises HevoConfigError: no pipeline has the name, or several have.
        """
        with self._telling_failures():
            self._looked_up = self._named_in(event)
        return self._begin_anew(context)

    def _begin_anew(self, context: Context) -> Any:
        """
        Begin in a worker that was called with an event: there is no job yet that could be gone on with.

        :raises Exception: the templates cannot be rendered.
        """
        self._check_that_all_is_rendered()
        return execute_from_within(self, self.execute, context)

    def _check_that_all_is_rendered(self) -> None:
        if self._unrendered is not None:
            raise self._unrendered

    def _named_in(self, event: Any) -> tuple[str, str, int]:
        unknown = {"error": "The trigger sent no event that is understood.", "code": codes.UNKNOWN_EVENT.name}
        about: dict[str, Any] = event if isinstance(event, dict) else unknown
        error = about.get("error")
        if about.get("is_late"):
            raise _not_named_in_time(str(error))
        if error is not None:
            kind = HevoHopelessError if about.get("fails_for_good") else HevoRunError
            raise kind(error, code=codes.ALL.get(str(about.get("code")), codes.UNEXPECTED))
        return about["connection_id"], about["pipeline_name"], about["pipeline_id"]

    def _defer_until_named(self, deadline: float, trouble: HevoError) -> NoReturn:
        """Leave the worker; a triggerer looks the pipeline's name up, and calls ``execute_named``."""
        from hevo_provider.runs.words import IF_NO_LINE_FOLLOWS
        from hevo_provider.triggers import HevoPipelineNameTrigger

        name = pipeline_name_of(self.pipeline_name)
        self.log.info(
            "Which pipeline is called %r is asked for again in the triggerer: %s %s",
            name,
            trouble.text,
            IF_NO_LINE_FOLLOWS,
        )
        trigger = HevoPipelineNameTrigger(
            name, self.connection_id, deadline, self.api_outage_tolerance, knows_hevo=self._knows_hevo
        )
        self.defer(trigger=trigger, method_name="execute_named")
        raise AssertionError("unreachable: defer() raises")

    def _do_render_template_fields(
        self, parent: Any, template_fields: Any, context: Context, *more: Any, **how: Any
    ) -> None:
        """
        Render the templates; a task that comes back from the triggerer goes on from its event if that fails.

        Airflow renders before it calls ``execute_complete``: an upstream task that was cleared, or a Variable that is
        gone, would fail a task whose job has succeeded. (Of a mapped task Airflow also makes the operator anew before
        this; where that fails, nothing of ours is called.)
        """
        try:
            super()._do_render_template_fields(parent, template_fields, context, *more, **how)
        except Exception as error:
            if not is_resumed(context):
                raise
            self._unrendered = error
            self.log.warning(
                "The task's templates cannot be rendered any more (%s: %s). It goes on with what they were when its "
                "job was started.",
                type(error).__name__,
                error,
            )

    # The way into the event loop, and out of the worker

    def _hevo(self, connection_id: str | None = None) -> HevoHook:
        """
        Return the hook of this process; it keeps the credentials for a kill.

        :param connection_id: None: what was asked of before, or else what the parameter says.
        """
        from hevo_provider.hooks import HevoHook

        if self._hook is None or connection_id not in {None, self._hook.connection_id}:
            self._hook = HevoHook(connection_id or self.connection_id, longest_pause=LONGEST_WORKER_PAUSE)
        return self._hook

    @asynccontextmanager
    async def _connecting(self, connection_id: str) -> AsyncIterator[Connect]:
        """Give a block what opens its one client when it is first wanted, or fails as often as that cannot be done."""
        async with AsyncExitStack() as stack:
            opened: list[HevoAsyncClient] = []

            async def connect() -> HevoAsyncClient:
                if not opened:
                    opened.append(await stack.enter_async_context(self._hevo(connection_id).client()))
                return opened[0]

            yield connect

    def _check_context(self, context: Context) -> None:
        """
        Refuse to run without a task instance, as in a test that calls ``execute({})``.

        :raises HevoConfigError: there is none, and this is what to do instead.
        """
        if "ti" not in context:
            raise HevoConfigError(
                f"The task {self.task_id!r} was called with a context without 'ti', its task instance. "
                "In a test, let Airflow run the DAG: `def test_it(hevo_sandbox, hevo_run): run = hevo_run(dag)`. "
                'These fixtures come with this package; its docs say more under "Testing your DAGs".'
            )

    def _begin_work(self) -> None:
        """Take note that a worker is at work for the task from now on."""
        self._at_work_since = process_clock().monotonic()

    def _worker_seconds(self, run: Run) -> float | None:
        """Return for how long workers have been at work for the task; None where no process can know."""
        if self._at_work_since is None:
            return None
        return round(run.worker_seconds + process_clock().monotonic() - self._at_work_since, 3)

    def _block_on(self, function: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a coroutine function to its end; a signal ends it too."""
        from hevo_provider.sync import BlockingCall

        self._call = call = BlockingCall(f"The task {self.task_id!r}")
        try:
            return call.run(function, *args, **kwargs)
        except asyncio.CancelledError:
            raise HevoRunError("The task was killed while it talked to Hevo.", code=codes.KILLED) from None
        finally:
            self._call = None

    def _defer_until_done(self, context: Context, run: Run) -> NoReturn:
        """Leave the worker; a triggerer waits for the run and calls ``execute_complete`` with its event."""
        from hevo_provider.compat import RUN_MARK_KEY
        from hevo_provider.runs.words import wait_in_words
        from hevo_provider.tasks.report import push
        from hevo_provider.triggers import HevoJobTrigger

        run = run.after_work(self._worker_seconds(run) or 0.0)
        mark: str | None = str(uuid4())
        if not push(context, RUN_MARK_KEY, mark, self.log):
            mark = None  # what an earlier deferral has pushed must not speak against this one
        self._tell_job_id(context, run)
        for line in wait_in_words(run):  # each as wide as a screen: the end of a longer one is not seen
            self.log.info("%s", line)
        self.defer(trigger=HevoJobTrigger(run_mark=mark, **run.to_json()), method_name="execute_complete")
        raise AssertionError("unreachable: defer() raises")

    def _tell_job_id(self, context: Context, run: Run) -> None:
        """Push the id of the run's job, if it is known: a trigger does so as soon as it finds the job."""
        from hevo_provider.compat import JOB_ID_KEY
        from hevo_provider.tasks.report import push

        is_news = run.job_id is not None and run.job_id != self._told_job_id
        if is_news and push(context, JOB_ID_KEY, run.job_id, self.log):
            self._told_job_id = run.job_id

    def _known_host(self) -> str | None:
        """Return where the connection leads, if that has been looked up."""
        return None if self._hook is None else self._hook.known_host

    # What a failure says

    def _telling_failures(self) -> TellingFailures:
        """Return a block that logs its failure line by line, and raises a short verdict."""
        from hevo_provider.tasks.failure import TellingFailures

        return TellingFailures(self._place_of, self.log, is_timed_out=self._is_timed_out)

    def _latest_run(self) -> Run | None:
        """Return the run as far as this process knows it."""
        return self._run

    def _is_timed_out(self, error: BaseException) -> bool:  # noqa: ARG002 - a sensor has a time-out of its own
        return False

    def _place_of(self, error: HevoError) -> Place:
        """Return where the task has failed, as far as it is known."""
        from hevo_provider.tasks.failure import Place

        run = self._latest_run()
        pipeline_id, pipeline_name = self._literal_pipeline() if run is None else (run.pipeline_id, run.pipeline_name)
        connection_id = self.connection_id if run is None else run.order.connection_id
        host, page = None if run is None else run.host, None
        # Of a connection that cannot be looked up nothing is known; and a process that is killed may not ask for it.
        if error.code.group not in {1, 2} and error.code is not codes.KILLED:
            with suppress(Exception):  # whatever it is, the failure itself is known
                settings = self._hevo(connection_id).settings
                host = settings.access.host
                page = None if pipeline_id is None else page_of(settings, pipeline_id)
        job_id = error.job_id if isinstance(error, HevoRunError) else None
        return Place(
            pipeline_id=pipeline_id,
            pipeline_name=pipeline_name,
            connection_id=connection_id,
            host=host,
            page=page,
            job_id=job_id or (None if run is None else run.job_id),
        )

    def _literal_pipeline(self) -> tuple[int | None, str | None]:
        """Return id and name of the pipeline as the parameters say them, where they make sense."""
        known_id = known_name = None
        with suppress(HevoConfigError):
            known_id = pipeline_id_of(self.pipeline_id)
        with suppress(HevoConfigError):
            known_name = pipeline_name_of(self.pipeline_name)
        return known_id, known_name

    # What became of the job

    def _conclude(self, context: Context, run: Run, job: Job) -> str:
        """
        Tell what became of the job, and say what it means for the task.

        :returns: the job's id.
        :raises HevoJobFailedError: it did not end well.
        """
        from hevo_provider.metrics import count_end
        from hevo_provider.models.enums import DEFERRED_STATUSES, JobStatus
        from hevo_provider.runs.verdict import NO_DETAILS, Details, details_of, verdict_of
        from hevo_provider.runs.words import deferral_in_words, end_in_words, failing_in_words

        is_deferred = job.status in DEFERRED_STATUSES
        if not is_deferred:  # else what is published has the objects too, which have to be read first
            self._publish(context, run, job)
        count_end(run.pipeline_id, job, process_clock().now() - self._waiting_since(context))

        async def ask() -> Details:
            async with self._hevo(run.order.connection_id).client() as hevo:
                return await details_of(hevo, run, job)

        details = NO_DETAILS if job.status == JobStatus.COMPLETED else self._best_effort(ask) or NO_DETAILS
        if is_deferred:
            self._publish(context, run, job, {"deferred_objects": list(details.deferred_objects)})
        self._verdict = verdict = verdict_of(run, job, details)
        if verdict.error is not None:
            raise verdict.error
        if job.status == JobStatus.COMPLETED:
            self.log.info("Pipeline %s: %s.", run.pipeline_id, end_in_words(job))
        else:
            what = f"{end_in_words(job)}.{failing_in_words(details.failing_objects)}"
            what += f" {deferral_in_words(details.deferred_objects)}" if is_deferred else ""
            self.log.warning("Pipeline %s: %s Accepted.", run.pipeline_id, what)
        self._tell_tables(context, run, job)
        return job.job_id

    def _aliases(self) -> list[Any]:
        """Return the outlets that get an event for each table that was loaded."""
        return [outlet for outlet in self.outlets if is_alias(outlet)]

    def _tell_tables(self, context: Context, run: Run, job: Job) -> None:
        """Emit an asset event for each table that was loaded, if that can be done: the job has succeeded."""
        aliases = self._aliases()
        if not aliases:
            return
        from hevo_provider.tasks.tables import Tables

        tables = Tables(self._hevo(run.order.connection_id), run, job, self.log)
        self._block_on(tables.read)
        tables.tell(context, aliases, skip_empty=self.skip_empty_tables)

    def _publish(self, context: Context, run: Run, job: Job, more: Mapping[str, Any] | None = None) -> None:
        """Tell Airflow of the job's state and counters, and of more."""
        from hevo_provider.tasks.report import publish

        self._order = run.order
        self._tell_job_id(context, run.known_as(job.job_id))
        publish(context, run, job, self.outlets, self.log, worker_seconds=self._worker_seconds(run), more=more)

    def _waiting_since(self, context: Context) -> float:
        """Return when the task's wait began, in seconds since the epoch."""
        return started_at(context)

    def _show_page(self, context: Context) -> None:
        """Push the address of the pipeline's page, for the task's link. Never fails: the run itself will say why."""
        from hevo_provider.tasks.report import push

        try:
            pipeline_id, settings = self._pipeline(), self._hevo().settings
        except Exception as error:  # noqa: BLE001 - whatever it is, the run meets it again and handles it
            self.log.debug("There is no link to the pipeline: %s", error)
            return
        try:
            page = page_of(settings, pipeline_id)
        except HevoConfigError as error:
            self.log.warning("There is no link to the pipeline: %s", error)
        else:
            push(context, PAGE_KEY, page, self.log)

    def _best_effort(self, function: Callable[[], Awaitable[T]]) -> T | None:
        async def limited() -> T | None:
            try:
                async with asyncio.timeout(DETAILS_TIMEOUT):
                    return await function()
            except (HevoError, AirflowException, TimeoutError):  # also where the connection has gone meanwhile
                return None

        return self._block_on(limited)


def _not_named_in_time(why: str) -> AirflowTaskTimeout:
    said = HevoTimeIsOverError(
        f"The task's time was over before its pipeline's name could be looked up: {why}", code=codes.NOT_STARTED_IN_TIME
    )
    late = AirflowTaskTimeout(said.text)
    late.__cause__ = said
    return late


def deadline_of(context: Context, timeout: float, execution_timeout: timedelta | None) -> float:
    """
    Return when a wait is over, in seconds since the epoch: Airflow itself does not end a deferral in time.

    :param timeout: seconds from the task's start.
    """
    return started_at(context) + limit_of(timeout, execution_timeout)


def limit_of(timeout: float, execution_timeout: timedelta | None) -> float:
    """
    Return for how many seconds from a task's start it may wait.

    :param timeout: seconds from the task's start.
    """
    if execution_timeout is None:
        return timeout
    limit = execution_timeout.total_seconds()
    return min(timeout, limit - min(DEADLINE_MARGIN, limit / 10))


def started_at(context: Context) -> float:
    """Return when the task's try began, in seconds since the epoch; a deferral does not begin it anew."""
    started = context["ti"].start_date
    return started.timestamp() if started is not None else time.time()


def was_cleared(context: Context, retries: int) -> bool:
    """
    Return whether a user has cleared the task: only that lets Airflow grant more tries than the task has.

    :param retries: of the task.
    """
    ti = context["ti"]
    return bool(ti.try_number > 1 and ti.max_tries > retries)


@contextmanager
def hopeless_errors_fail_for_good() -> Iterator[None]:
    """Fail the task without retries where another try would not mend it: parameters, connection, credentials."""
    from hevo_provider.runs.error_table import fails_for_good

    try:
        yield
    except HevoError as error:
        if fails_for_good(error):
            raise AirflowFailException(str(error)) from error
        raise
