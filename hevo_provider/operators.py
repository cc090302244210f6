"""
The operators: run a pipeline, or reload some of its objects.

``execute`` starts the run and defers; ``HevoJobTrigger`` polls and sends one event; ``execute_complete`` says what that
means; ``on_kill`` cancels.
"""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowSkipException, AirflowTaskTimeout, BaseOperator

from hevo_provider import codes
from hevo_provider.clock import process_clock
from hevo_provider.compat import task_store_of
from hevo_provider.exceptions import (
    HevoConfigError,
    HevoError,
    HevoJobFailedError,
    HevoJobNotFoundError,
    HevoRunError,
    HevoTimeIsOverError,
)
from hevo_provider.models.enums import NEVER_BROUGHT_BY, JobType, OnActiveJob, OnDeferred, OnFresh, PipelineAction
from hevo_provider.models.ids import object_id_of
from hevo_provider.parameters import (
    CONNECTION_ELSEWHERE,
    DEFAULT_CONNECTION_ID,
    LONGEST_TIMEOUT,
    connection_id_of,
    count_of,
    flag_of,
    in_one_order,
    is_unrendered,
    member_of,
    refuse_mix_ups,
    seconds_of,
    several_of,
)
from hevo_provider.tasks.task import HevoTask, NotNamedYet, deadline_of, was_cleared

if TYPE_CHECKING:
    from datetime import timedelta

    from airflow.providers.common.compat.sdk import Context

    from hevo_provider.lineage.facets import Lineage
    from hevo_provider.runs.course import Course
    from hevo_provider.runs.order import Order
    from hevo_provider.runs.outcome import Outcome
    from hevo_provider.runs.resume import Record
    from hevo_provider.runs.run import Run
    from hevo_provider.runs.wait import Connect
    from hevo_provider.tasks.store import RunStore

KILL_TIMEOUT = 3.0  # seconds for on_kill: Airflow kills the process 5 s after its SIGTERM


class HevoPipelineOperator(HevoTask, BaseOperator):
    """
    Run a Hevo pipeline and succeed when, and only when, the job that this started has succeeded.

    The worker slot is held for the calls that start the job; finding it and waiting for its end is the triggerer's
    work. The job's id is the task's return value, its final state and counters are the XCom ``hevo_job``.

    With an ``AssetAlias`` among the ``outlets``, success emits an asset event for each table that the job has loaded;
    see :mod:`hevo_provider.tasks.tables`.

    :param pipeline_id: the pipeline: a number, or a template that renders to one. (templated)
    :param pipeline_name: its name, instead: it is looked up when the task runs. (templated)
    :param action: ``PipelineAction.SYNC_NOW`` or ``RESYNC``, or its name. (templated)
    :param job_type: the job to follow, and no other: a ``JobType`` or its name. None follows from the action:
        INCREMENTAL for SYNC_NOW, or HISTORICAL where that is all that the sync brings; for RESYNC, RESYNC or with
        ``drop_and_load`` RESYNC_WITH_DROP_AND_LOAD. (templated)
    :param connection_id: the Airflow connection. (templated)
    :param poll_interval: seconds between polls of the running job.
    :param retry_limit: how many polls may be made to find the job after Hevo accepted the action.
    :param deferrable: wait in the triggerer; False holds the worker slot until the job has ended.
    :param wait_for_completion: False ends the task as soon as the job's id is known.
    :param accept_completed_with_failures: whether COMPLETED_WITH_FAILURES counts as success.
    :param on_deferred: what it means that the source's own rate limit stopped some objects, so that the job ended
        DEFERRED: ``"fail"``; ``"accept"`` it as success; or ``"continue"`` with a sync after ``poll_interval``, as one
        task, until all has caught up or ``timeout`` comes. For DEFERRED_WITH_FAILURES, the last two need
        ``accept_completed_with_failures`` too.
    :param ensure_new_job: fail, before anything is sent, if a job of the pipeline is active. False sends the action all
        the same, and follows the active job if Hevo refuses.
    :param drop_and_load: for RESYNC: drop the destination tables and load them anew.
    :param on_active_job: what to do if a job is active: ``"fail"``, ``"wait"`` for its end and start then, ``"cancel"``
        it, whoever has started it, and start once it has ended, ``"follow"`` it, or ``"start"`` all the same. None
        follows from ``ensure_new_job``: fail, or start.
    :param cancel_on_kill: cancel the job that this task started when the task is killed or times out.
    :param timeout: seconds from the task's start after which the wait fails, in every mode.
    :param api_outage_tolerance: seconds without a usable answer from Hevo after which the wait fails.
    :param durable: a retry follows the job that a lost worker has started (Airflow 3.3 and later).
    :param skip_if_fresh: seconds: if a job of the type completed, and by Hevo's clock ended, as lately as that, the
        task succeeds with it and starts none. COMPLETED_WITH_FAILURES counts where it is accepted. A user's clear
        starts one all the same. None: always start.
    :param on_fresh: what the task does then: ``"succeed"``, or ``"skip"``, which skips what comes after too.
    :param retry_failed_objects: for RESYNC without ``drop_and_load``: where the try before ended FAILED or
        COMPLETED_WITH_FAILURES, and Hevo says which objects it has not loaded, an automatic retry reloads these alone
        (Airflow 3.3 and later, with ``durable``). A user's clear reloads all. Not with ``wait_for_completion=False``.
    :param skip_empty_tables: with an ``AssetAlias`` among the ``outlets``: emit no event for a table without new rows.
    :raises HevoConfigError: a literal parameter makes no sense.
    """

    template_fields: Sequence[str] = ("pipeline_id", "pipeline_name", "connection_id", "action", "job_type")
    ui_color = "#e7ebff"
    starts_jobs = True

    _course: Course | None = None

    def __init__(  # noqa: PLR0913 - the parameter table of the documentation
        self,
        *,
        pipeline_id: int | str | None = None,
        pipeline_name: str | None = None,
        action: PipelineAction | str = PipelineAction.SYNC_NOW,
        job_type: JobType | str | None = None,
        connection_id: str = DEFAULT_CONNECTION_ID,
        poll_interval: float = 15,
        retry_limit: int = 10,
        deferrable: bool = True,
        wait_for_completion: bool = True,
        accept_completed_with_failures: bool = False,
        on_deferred: OnDeferred | str = "fail",
        ensure_new_job: bool = True,
        drop_and_load: bool = False,
        on_active_job: str | None = None,
        cancel_on_kill: bool = True,
        timeout: float | timedelta = LONGEST_TIMEOUT,
        api_outage_tolerance: float | timedelta = 1800,
        durable: bool = True,
        skip_if_fresh: float | timedelta | None = None,
        on_fresh: OnFresh | str = "succeed",
        retry_failed_objects: bool = False,
        skip_empty_tables: bool = False,
        **kwargs: Any,
    ) -> None:
        refuse_mix_ups(type(self).__name__, kwargs, CONNECTION_ELSEWHERE | {"poke_interval": "poll_interval"})
        super().__init__(**kwargs)
        checked = self._parameter
        self.pipeline_id = pipeline_id
        self.pipeline_name = pipeline_name
        self._check_pipeline()
        self.action = action
        self.job_type = job_type
        self.connection_id = connection_id
        self.poll_interval = checked(partial(seconds_of, above=True), "poll_interval", poll_interval)
        self.retry_limit = checked(count_of, "retry_limit", retry_limit)
        self.deferrable = checked(flag_of, "deferrable", deferrable)
        self.wait_for_completion = checked(flag_of, "wait_for_completion", wait_for_completion)
        self.accept_completed_with_failures = checked(
            flag_of, "accept_completed_with_failures", accept_completed_with_failures
        )
        self.on_deferred = checked(partial(member_of, OnDeferred), "on_deferred", on_deferred)
        self.ensure_new_job = checked(flag_of, "ensure_new_job", ensure_new_job)
        self.drop_and_load = checked(flag_of, "drop_and_load", drop_and_load)
        self.on_active_job = checked(_on_active_job_of, "on_active_job", on_active_job)
        checked(self._agrees_with_ensure_new_job, "on_active_job", self.on_active_job)
        self.cancel_on_kill = checked(flag_of, "cancel_on_kill", cancel_on_kill)
        self.timeout = checked(partial(seconds_of, above=True), "timeout", timeout)
        self.api_outage_tolerance = checked(seconds_of, "api_outage_tolerance", api_outage_tolerance)
        self.durable = checked(flag_of, "durable", durable)
        self.skip_if_fresh = checked(_seconds_or_none, "skip_if_fresh", skip_if_fresh)
        self.on_fresh = checked(partial(member_of, OnFresh), "on_fresh", on_fresh)
        self.retry_failed_objects = checked(flag_of, "retry_failed_objects", retry_failed_objects)
        checked(self._agrees_with_wait_for_completion, "retry_failed_objects", self.retry_failed_objects)
        self.skip_empty_tables = checked(flag_of, "skip_empty_tables", skip_empty_tables)
        self._check_values(HevoPipelineOperator._checks(self), only_literals=True)

    # Airflow's entry points

    def execute(self, context: Context) -> str:
        """
        Start the pipeline and defer, or wait here.

        :returns: the job's id.
        :raises AirflowFailException: parameters, connection or credentials are wrong, or there is no such pipeline.
        :raises HevoRunError: the pipeline cannot run now, or its job did not end well.
        """
        from hevo_provider.runs.run import Phase, Run

        self._check_context(context)
        self._begin_work()
        with self._telling_failures():
            self._knows_hevo = self.is_named and self._is_on_record(context)
            try:
                order = self._ordered(context)
            except NotNamedYet as not_yet:
                self._defer_until_named(self._deadline(context), not_yet.trouble)
            self._show_page(context)
            run = self._run = Run(order=order, phase=Phase.READY, host=self._known_host())
            if (self.durable or self.retry_failed_objects) and not self._store(context).works:
                self.log.info(
                    "%s: a retry would start a new one.%s",
                    "This Airflow cannot remember a job across a lost worker (3.3 and later can)"
                    if task_store_of(context) is None
                    else "With durable=False no job is remembered across a lost worker",
                    " It would reload all objects, whatever retry_failed_objects says." * self.retry_failed_objects,
                )
            return self._start_and_wait(context, run)

    def execute_complete(self, context: Context, event: object = None) -> str:
        """
        Map the trigger's event onto success, failure, or another deferral.

        What it is about is read from the event, not from the templates, which may say something else by now.

        :param event: see :mod:`hevo_provider.runs.events`. One that is missing or unknown fails the task.
        :returns: the job's id.
        :raises AirflowTaskTimeout: the deadline has passed.
        :raises HevoRunError: the job did not end well.
        """
        from hevo_provider.runs.events import read_event
        from hevo_provider.runs.outcome import Ending, Outcome

        self._check_context(context)
        self._begin_work()
        with self._telling_failures():
            received = read_event(event)
            self._run = received.run
            if received.error is not None:
                self._note(context, received.run, received.error)
                raise received.error
            self._run = run = self._run_of(context, received)
            if run.order.accept_completed_with_failures is None:  # nor this, with what it had deferred
                accepts = self.accept_completed_with_failures
                run = run.under(replace(run.order, accept_completed_with_failures=accepts))
            if received.names_only_a_job:  # a triggerer runs, whatever deferrable says by now: it sent the event
                self._defer_until_done(context, run)
            if received.ending is Ending.START:
                return self._start_and_wait(context, run)
            if received.ending is Ending.FOUND and self.wait_for_completion:  # the DAG was changed meanwhile
                order = replace(run.order, wait_for_completion=True)
                self._defer_until_done(context, run.under(order).until_its_end())
            assert received.ending is not None
            return self._finish(context, Outcome(received.ending, run, received.job, cancelled=received.cancelled))

    def on_kill(self) -> None:
        """Stop talking to Hevo, and cancel the job that this process has started. Called from a signal handler."""
        if self._call is not None:
            self._call.cancel()
        run = self._course.run if self._course is not None else None
        if run is None or not self.cancel_on_kill or not run.is_ours:
            return
        # Not in this thread: it may be inside the very calls that are interrupted.
        last_work = threading.Thread(target=self._cancel_at_last, args=(run,), daemon=True)
        last_work.start()
        last_work.join(KILL_TIMEOUT)

    # OpenLineage's entry points

    def get_openlineage_facets_on_complete(self, task_instance: object) -> Lineage | None:  # noqa: ARG002
        """Return what the run read and wrote; see :mod:`hevo_provider.lineage.facets`."""
        if self._verdict is None or self._order is None:
            return None
        from hevo_provider.lineage.facets import lineage_of

        return lineage_of(self._hevo(self._order.connection_id), self._order, self._verdict)

    def get_openlineage_facets_on_failure(self, task_instance: object) -> Lineage | None:
        """Return the same for a job that failed. A task that failed without a job has read and written nothing."""
        return self.get_openlineage_facets_on_complete(task_instance)

    # The way of a run

    def _latest_run(self) -> Run | None:
        run = None if self._course is None else self._course.run
        return run or super()._latest_run()

    def _start_and_wait(self, context: Context, run: Run) -> str:
        """Start the run, or go on with what an earlier try has started, and wait for it."""
        from hevo_provider.runs.outcome import Outcome

        store = self._store(context)
        # What is on record is of a try before this one, or of a job that this one has gone on from.
        record = store.recall(run.order.connection_id) if run.is_new else None
        if not self.deferrable:
            try:
                outcome = self._wait_synchronously(context, run, store, record)
            except HevoJobNotFoundError as error:
                self._note(context, self._course.run if self._course is not None else None, error)
                raise
            return self._finish(context, replace(outcome, run=self._with_destination(outcome.run)))
        begun = self._block_on(self._begin, run, store, record)
        if isinstance(begun, Outcome):
            return self._finish(context, replace(begun, run=self._with_destination(begun.run)))
        return self._defer_until_done(context, self._with_destination(begun))

    def _wait_synchronously(self, context: Context, run: Run, store: RunStore, record: Record | None) -> Outcome:
        """Do all of it in this process, blocking the worker slot until the job has ended."""
        from asgiref.sync import sync_to_async

        tell = sync_to_async(partial(self._tell_job_id, context))  # Airflow's calls block
        return self._block_on(self._run_to_its_end, run, store, record, tell)

    async def _begin(self, run: Run, store: RunStore, record: Record | None) -> Run | Outcome:
        async with self._connecting(run.order.connection_id) as connect:
            return await self._course_of(connect, run, store).begin(run, record)

    async def _run_to_its_end(
        self, run: Run, store: RunStore, record: Record | None, on_found: Callable[[Run], Awaitable[None]]
    ) -> Outcome:
        async with self._connecting(run.order.connection_id) as connect:
            return await self._course_of(connect, run, store, on_found).to_its_end(run, record)

    def _with_destination(self, run: Run) -> Run:
        """Take along where the pipeline leads, which the events of its tables need: its start has read it from Hevo."""
        pipeline = self._course.pipeline if self._course is not None else None
        if pipeline is None or not self._aliases():
            return run
        from hevo_provider.tasks.tables import destination_of

        try:
            return run.leading_to(destination_of(pipeline, self._hevo(run.order.connection_id)))
        except HevoError:  # what is wrong is said at the end, when it is wanted
            return run

    def _course_of(
        self,
        connect: Connect,
        run: Run,
        store: RunStore,
        on_found: Callable[[Run], Awaitable[None]] | None = None,
    ) -> Course:
        from hevo_provider.metrics import count_start
        from hevo_provider.runs.course import Course

        on_start = partial(count_start, run.pipeline_id)
        may_be_cancelled = store.may_have_forgotten
        self._course = Course(
            connect,
            process_clock(),
            store,
            self.log,
            on_start,
            on_found=on_found,
            may_be_cancelled=may_be_cancelled,
        )
        return self._course

    def _finish(self, context: Context, outcome: Outcome) -> str:
        """Say what the outcome means for the task; the run is over, so its record is dropped."""
        from hevo_provider.runs.outcome import Ending, Outcome
        from hevo_provider.runs.verdict import Verdict, goes_on

        run, job = outcome.run, outcome.job
        store = self._store(context)
        if outcome.ending is Ending.ENDED and job is not None and goes_on(job, run.order):
            now = process_clock().now()  # in time, only what a trigger of version 1.0.0 sends is not gone on from there
            run = run.going_on(job, now + run.order.poll_interval)
            if not run.order.is_over(now):
                self._defer_until_done(context, run)
            outcome = Outcome(Ending.TIMED_OUT, run, job)
        if outcome.ending is Ending.TIMED_OUT:
            self._note(context, run)  # the job may run on, or be CANCELLING: a retry has to know it
            said = _timed_out(outcome)
            raise AirflowTaskTimeout(said.text) from said
        if job is None:
            raise HevoRunError("How the job ended is not known.", pipeline_id=run.pipeline_id, code=codes.NOT_KNOWN)
        if outcome.ending is Ending.FOUND:
            self._publish(context, run, job)
            self._verdict = Verdict(job)
        elif outcome.ending is Ending.FRESH:
            self._publish(context, run, job, {"fresh": True})
            if self.on_fresh is OnFresh.SUCCEED:  # of a task that is skipped Airflow emits no events
                self._tell_tables(context, run, job)
        else:
            try:
                self._conclude(context, run, job)
            except HevoJobFailedError:
                _forget_failed(run, store)
                raise
        store.forget(run)  # last of all: until then, the retry of a lost worker finds the job again
        if outcome.ending is Ending.FRESH and self.on_fresh is OnFresh.SKIP:
            raise AirflowSkipException(f"Pipeline {run.pipeline_id}: job {job.job_id} is fresh enough (skip_if_fresh).")
        return job.job_id

    def _note(self, context: Context, run: Run | None, error: Exception | None = None) -> None:
        """Put on record how far a run has come that ended without its job's end, so that a retry finds the job."""
        from hevo_provider.runs.run import Phase

        if run is None or run.order.action is None:  # what was asked for is not known any more: it is on record
            return
        # While it waits for its turn, what is on record of a call before is all that a retry can find its job by; but
        # where a job was deferred and no call made since, a retry has to know that.
        if (run.posts and run.phase is not Phase.READY) or (run.gone_before and not run.posts):
            is_in_vain = isinstance(error, HevoJobNotFoundError)
            self._store(context).update(run.searched_in_vain() if is_in_vain else run)

    def _cancel_at_last(self, run: Run) -> None:
        from hevo_provider.runs.cancel import cancel_job_of
        from hevo_provider.sync import BlockingCall

        async def cancel() -> None:
            client = self._hevo().last_client(KILL_TIMEOUT / 2)
            if client is not None:
                async with client as hevo:
                    await cancel_job_of(hevo, run, self.log, within=KILL_TIMEOUT / 2)

        BlockingCall(f"The task {self.task_id!r}").run(cancel)

    def _is_on_record(self, context: Context) -> bool:
        """Return whether Hevo has answered a try before this one, by the same connection."""
        record = self._store(context).recall(self.connection_id)
        return record is not None and record.run.order.connection_id == self.connection_id

    def _store(self, context: Context) -> RunStore:
        """Return where an earlier worker of this task has put its run on record."""
        from hevo_provider.tasks.store import RunStore

        return RunStore(task_store_of(context) if self.durable else None, context["ti"], process_clock(), self.log)

    # From parameters to an order

    def _ordered(self, context: Context, pipeline_id: int | None = None) -> Order:
        checks = self._checks()
        if pipeline_id is not None:
            checks = {name: check for name, check in checks.items() if name not in self._checks_of_pipeline()}
        self._check_values(checks, only_literals=False)
        if pipeline_id is None:
            pipeline_id = self._pipeline(None if self.deferrable else self._deadline(context))
        return self._with_action(self._ordered_by_literals(context, pipeline_id))

    def _ordered_by_literals(self, context: Context, pipeline_id: int) -> Order:
        from hevo_provider.runs.order import SHOWS_WITHIN, Order

        return Order(
            pipeline_id=pipeline_id,
            connection_id=self._connection_if_it_is_one(),
            on_active_job=self.on_active_job or (OnActiveJob.FAIL if self.ensure_new_job else OnActiveJob.START),
            wait_for_completion=self.wait_for_completion,
            cancel_on_kill=self.cancel_on_kill,
            accept_completed_with_failures=self.accept_completed_with_failures,
            on_deferred=self.on_deferred,
            retry_failed_objects=self.retry_failed_objects,
            fresh_within=None if was_cleared(context, self.retries or 0) else self.skip_if_fresh,
            poll_interval=self.poll_interval,
            retry_limit=self.retry_limit,
            find_window=SHOWS_WITHIN,
            api_outage_tolerance=self.api_outage_tolerance,
            deadline=self._deadline(context),
        )

    def _deadline(self, context: Context) -> float:
        """Return when the task's time is over, in seconds since the epoch."""
        return deadline_of(context, self.timeout, self.execution_timeout)

    def _with_action(self, order: Order) -> Order:
        """Return the order with what it starts, and the types of job that this may be."""
        from hevo_provider.runs.order import Action, expected_job_types, second_job_types

        action = self._action_of(self.action)
        return replace(
            order,
            action=Action(action.value),
            job_types=expected_job_types(action, self._job_type(), drop_and_load=self.drop_and_load),
            second_job_types=second_job_types(action, self._job_type()),
            drop_and_load=self.drop_and_load,
        )

    def _checks(self) -> Mapping[str, Callable[[Any], object]]:
        """Return how each template field is checked, by its name."""
        return {
            **self._checks_of_pipeline(),
            "connection_id": connection_id_of,
            "action": lambda value: self._check_retries(self._action_of(value)),
            "job_type": self._check_job_type,
        }

    def _action_of(self, value: object) -> PipelineAction:
        action = member_of(PipelineAction, "action", value)
        if self.drop_and_load and action is not PipelineAction.RESYNC:
            raise HevoConfigError("drop_and_load goes with the action RESYNC only.", code=codes.DO_NOT_GO_TOGETHER)
        return action

    def _check_retries(self, action: PipelineAction) -> None:
        if not self.retry_failed_objects:
            return
        if action is not PipelineAction.RESYNC:
            raise HevoConfigError(
                "retry_failed_objects goes with the action RESYNC only: a sync reads on by itself.",
                code=codes.DO_NOT_GO_TOGETHER,
            )
        if self.drop_and_load:
            raise HevoConfigError(
                "retry_failed_objects does not go with drop_and_load: Hevo drops the tables of a whole pipeline only.",
                code=codes.DO_NOT_GO_TOGETHER,
            )

    def _agrees_with_ensure_new_job(self, name: str, value: OnActiveJob | None) -> None:
        if value is OnActiveJob.FAIL and not self.ensure_new_job:
            raise HevoConfigError(
                f'{name}="fail" goes with ensure_new_job=True only: ensure_new_job=False starts a job all the same.',
                code=codes.DO_NOT_GO_TOGETHER,
            )

    def _agrees_with_wait_for_completion(self, name: str, value: bool) -> None:
        if value and not self.wait_for_completion:
            raise HevoConfigError(
                f"{name} goes with wait_for_completion=True only: else the task never sees what failed.",
                code=codes.DO_NOT_GO_TOGETHER,
            )

    def _check_job_type(self, value: object) -> None:
        """Refuse a type of job that the action never brings, unless an active one of that type may be followed."""
        if value is None:
            return
        job_type = member_of(JobType, "job_type", value)
        may_follow = self.on_active_job in {OnActiveJob.FOLLOW, OnActiveJob.START} or not self.ensure_new_job
        if may_follow or is_unrendered(self.action):
            return
        action = self._action_of(self.action)
        if job_type in NEVER_BROUGHT_BY[action]:
            raise HevoConfigError(
                f"job_type {job_type} goes with another action than {action}, which never brings such a job.",
                code=codes.DO_NOT_GO_TOGETHER,
            )

    def _job_type(self) -> JobType | None:
        return None if self.job_type is None else member_of(JobType, "job_type", self.job_type)


class HevoResyncObjectsOperator(HevoPipelineOperator):
    """
    Reload chosen objects of a Hevo pipeline, and succeed when, and only when, the job of this has succeeded.

    Objects are chosen by id, by name in the source, or both. Names are looked up when the task runs (GET …/objects, as
    many pages as there are), so a pattern takes in what was added since. ``*``, ``?`` and ``[…]`` are wildcards, and
    each name is tried as ``table``, ``schema.table`` and ``database.schema.table``. Case counts if a name fits with it,
    and else does not. Objects that Hevo does not load (excluded, deleted) are left out; a name that fits nothing, or
    only such, fails the task before anything is sent.

    All the rest, parameters, guarantees and XComs too, is as for :class:`HevoPipelineOperator`, with three exceptions:
    there is no ``action`` and no ``drop_and_load``; ``job_type`` None takes a resync under any name, or a HISTORICAL
    job, because Hevo does not document which it reports; and no job is followed that this did not start, because it may
    reload other objects.

    :param objects: names of objects, such as ``["orders", "public.cust*"]``. (templated)
    :param object_ids: ids of objects. (templated)
    :param kwargs: as for :class:`HevoPipelineOperator`.
    :raises HevoConfigError: a literal parameter makes no sense.
    """

    template_fields: Sequence[str] = (
        "pipeline_id",
        "pipeline_name",
        "objects",
        "object_ids",
        "connection_id",
        "job_type",
    )

    def __init__(
        self,
        *,
        objects: Sequence[str] | str | None = None,
        object_ids: Sequence[str] | str | None = None,
        **kwargs: Any,
    ) -> None:
        for name in ("action", "drop_and_load"):
            if name in kwargs:
                raise HevoConfigError(
                    f"{name} is for HevoPipelineOperator: this one resyncs chosen objects.",
                    code=codes.DO_NOT_GO_TOGETHER,
                )
        super().__init__(**kwargs)
        self.objects = in_one_order(objects)
        self.object_ids = in_one_order(object_ids)
        self.expects_objects = objects is not None
        self.expects_object_ids = object_ids is not None
        self.on_active_job = self._parameter(_but_not_follow, "on_active_job", self.on_active_job)
        self._check_values(self._checks(), only_literals=True)

    def _with_action(self, order: Order) -> Order:
        from hevo_provider.runs.order import Action, expected_job_types_of_objects

        return replace(
            order,
            action=Action.RESYNC_OBJECTS,
            job_types=expected_job_types_of_objects(self._job_type()),
            objects=() if self.objects is None else several_of("objects", self.objects),
            object_ids=() if self.object_ids is None else _ids_of(self.object_ids),
        )

    def _check_job_type(self, value: object) -> None:
        """Refuse no type: Hevo does not say which job reloads objects."""
        if value is not None:
            member_of(JobType, "job_type", value)

    def _action_of(self, value: object) -> PipelineAction:  # noqa: ARG002 - default_args may hold one
        """Return the only action that this has, whatever the DAG's other operators do."""
        return PipelineAction.RESYNC

    def _checks(self) -> Mapping[str, Callable[[Any], object]]:
        checks = {name: check for name, check in super()._checks().items() if name != "action"}
        return {**checks, "objects": self._check_objects, "object_ids": self._check_object_ids}

    def _check_objects(self, value: object) -> None:
        if self.expects_objects:
            several_of("objects", value)
        elif not self.expects_object_ids:
            raise HevoConfigError(
                "objects or object_ids must say what to resync; HevoPipelineOperator resyncs it all.",
                code=codes.NO_OBJECTS,
            )

    def _check_object_ids(self, value: object) -> None:
        if self.expects_object_ids:
            _ids_of(value)


def _ids_of(value: object) -> tuple[str, ...]:
    return tuple(object_id_of(each) for each in several_of("object_ids", value))


def _on_active_job_of(name: str, value: object) -> OnActiveJob | None:
    return None if value is None else member_of(OnActiveJob, name, value)


def _forget_failed(run: Run, store: RunStore) -> None:
    """Drop the record of a run whose job failed, so that the job is not followed again, as far as no retry needs it."""
    if run.gone_before:  # a resync that was deferred is not sent again
        store.update(run.going_on_anew())
    elif run.order.retry_failed_objects:  # the retry asks what of the job's objects failed
        store.update(run)
    else:
        store.forget(run)


def _seconds_or_none(name: str, value: Any) -> float | None:
    return None if value is None else seconds_of(name, value, above=True)


def _but_not_follow(name: str, value: OnActiveJob | None) -> OnActiveJob | None:
    if value is OnActiveJob.FOLLOW:
        raise HevoConfigError(
            f'{name}="follow" is not for objects: the active job may reload others.', code=codes.DO_NOT_GO_TOGETHER
        )
    return value


def _timed_out(outcome: Outcome) -> HevoTimeIsOverError:
    run = outcome.run
    is_started = run.job_id or run.posts
    code = codes.NOT_ENDED_IN_TIME if is_started else codes.NOT_STARTED_IN_TIME
    return HevoTimeIsOverError(_why_timed_out(outcome), pipeline_id=run.pipeline_id, job_id=run.job_id, code=code)


def _why_timed_out(outcome: Outcome) -> str:
    run = outcome.run
    said = f" Hevo said: {run.note.rstrip('.')}." if run.note and not run.job_id else ""
    if run.gone_before:
        several = f"jobs {', '.join(run.gone_before)}" if run.gone_before[1:] else f"job {run.gone_before[0]}"
        said = f" Before that, {several} ended DEFERRED, and what was deferred has not caught up.{said}"
    if run.gone_before and not run.job_id and not run.posts:
        return f"Pipeline {run.pipeline_id}: no further sync had been started when the task's time was over.{said}"
    if not run.job_id and not run.posts:
        waited_for = f"; it was waiting for job {run.yield_to} to be cancelled" if run.yield_to else ""
        return f"Pipeline {run.pipeline_id}: nothing had been started when the task's time was over{waited_for}.{said}"
    what = f"job {run.job_id} had not ended" if run.job_id else "its job had not been found"
    fate = "Hevo was asked to cancel it" if outcome.cancelled else "it may still run"
    return f"Pipeline {run.pipeline_id}: {what} when the task's time was over; {fate}.{said}"


HevoOperator = HevoPipelineOperator
