"""What the operators share that start a job: checked, started once, deferred; and what the trigger's event means."""

from __future__ import annotations

import threading
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowTaskTimeout, BaseOperator

from hevo_provider.exceptions import HevoRunError
from hevo_provider.models.job import JobType
from hevo_provider.parameters import (
    OnActiveJob,
    connection_id_of,
    count_of,
    flag_of,
    member_of,
    pipeline_id_of,
    seconds_of,
)
from hevo_provider.tasks import HevoTask, deadline_of, hopeless_errors_fail_for_good

if TYPE_CHECKING:
    from datetime import timedelta

    from airflow.providers.common.compat.sdk import Context

    from hevo_provider.client import HevoAsyncClient
    from hevo_provider.lineage import Lineage
    from hevo_provider.models.object import PipelineObject
    from hevo_provider.record import Memory, Record
    from hevo_provider.runs.run import Run
    from hevo_provider.runs.start import Start
    from hevo_provider.runs.wait import Outcome, Wait

KILL_TIMEOUT = 3.0  # seconds for on_kill: Airflow kills the process 5 s after its SIGTERM


class HevoStartingOperator(HevoTask, BaseOperator):
    """
    A task that starts a job and follows it to its end. Not for use by itself: what is started is its children's to say.

    Its parameters are described where they are used: :class:`~hevo_provider.operators.HevoPipelineOperator`.
    """

    ui_color = "#e7ebff"

    _progress: Start | Wait | None = None

    def __init__(  # noqa: PLR0913 - what the operators have in common
        self,
        *,
        pipeline_id: int | str,
        job_type: JobType | str | None,
        connection_id: str,
        poll_interval: float,
        retry_limit: int,
        deferrable: bool,
        wait_for_completion: bool,
        accept_completed_with_failures: bool,
        ensure_new_job: bool,
        on_active_job: str | None,
        cancel_on_kill: bool,
        timeout: float | timedelta,
        api_outage_tolerance: float | timedelta,
        durable: bool,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.pipeline_id = pipeline_id
        self.job_type = job_type
        self.connection_id = connection_id
        self.poll_interval = seconds_of("poll_interval", poll_interval, above=True)
        self.retry_limit = count_of("retry_limit", retry_limit)
        self.deferrable = flag_of("deferrable", deferrable)
        self.wait_for_completion = flag_of("wait_for_completion", wait_for_completion)
        self.accept_completed_with_failures = flag_of("accept_completed_with_failures", accept_completed_with_failures)
        self.ensure_new_job = flag_of("ensure_new_job", ensure_new_job)
        self.on_active_job = None if on_active_job is None else member_of(OnActiveJob, "on_active_job", on_active_job)
        self.cancel_on_kill = flag_of("cancel_on_kill", cancel_on_kill)
        self.timeout = seconds_of("timeout", timeout, above=True)
        self.api_outage_tolerance = seconds_of("api_outage_tolerance", api_outage_tolerance)
        self.durable = flag_of("durable", durable)

    # Airflow's entry points

    def execute(self, context: Context) -> str:
        """
        Start the pipeline and defer, or wait here.

        :returns: the job's id.
        :raises AirflowFailException: parameters, connection or credentials are wrong, or there is no such pipeline.
        :raises HevoRunError: the pipeline cannot run now, or its job did not end well.
        """
        self._begin_work()
        with hopeless_errors_fail_for_good():
            self._check()
            self._show_page(context)
            if self.durable and not self._memory(context).works:
                self.log.info(
                    "This Airflow cannot remember a job across a lost worker (3.3 and later can): a retry would start "
                    "a new one."
                )
            return self._go_on(context, self._ordered(context))

    def execute_complete(self, context: Context, event: object = None) -> str:
        """
        Map the trigger's event onto success, failure, or another deferral.

        :param event: see :mod:`hevo_provider.runs.events`. One that is missing or unknown fails the task.
        :returns: the job's id.
        :raises AirflowTaskTimeout: the deadline has passed.
        :raises HevoRunError: the job did not end well.
        """
        from hevo_provider.runs.events import read_event
        from hevo_provider.runs.run import Phase
        from hevo_provider.runs.wait import Ending, Outcome

        self._begin_work()
        with hopeless_errors_fail_for_good():
            self._check()
            told = read_event(event)
            run = told.run or replace(
                self._ordered(context),
                job_id=told.job_id,
                posts=int(told.was_sent),
                worker_seconds=told.worker_seconds,
            )
            if told.ending is Ending.START:
                return self._go_on(context, run)
            if told.ending is Ending.FOUND and self.wait_for_completion:  # the DAG was changed meanwhile
                self._defer_until_done(context, replace(run, phase=Phase.WATCH.value))
            return self._finish(context, Outcome(told.ending, run, told.job, cancelled=told.cancelled))

    def on_kill(self) -> None:
        """Stop talking to Hevo, and cancel the job that this process has started. Called from a signal handler."""
        if self._call is not None:
            self._call.cancel()
        run = self._progress.run if self._progress is not None else None
        if run is None or not self.cancel_on_kill or not run.is_ours:
            return
        # Not in this thread: it may be inside the very calls that are interrupted.
        last_work = threading.Thread(target=self._cancel_at_last, args=(run,), daemon=True)
        last_work.start()
        last_work.join(KILL_TIMEOUT)

    # OpenLineage's entry points

    def get_openlineage_facets_on_complete(self, task_instance: object) -> Lineage | None:  # noqa: ARG002
        """Return what the run read and wrote; see :mod:`hevo_provider.lineage`."""
        if self._verdict is None:
            return None
        from hevo_provider.lineage import lineage_of

        return lineage_of(self._hevo(), pipeline_id_of(self.pipeline_id), self._verdict, self._is_about)

    def get_openlineage_facets_on_failure(self, task_instance: object) -> Lineage | None:
        """Return the same for a job that failed. A task that failed without a job has read and written nothing."""
        return self.get_openlineage_facets_on_complete(task_instance)

    def _is_about(self, item: PipelineObject) -> bool:  # noqa: ARG002 - for those that choose
        """Return whether the task loads an object of its pipeline."""
        return True

    # The way of a run

    def _go_on(self, context: Context, run: Run) -> str:
        """Start the run, or go on with what an earlier try has started, and wait for it."""
        from hevo_provider.runs.run import Phase
        from hevo_provider.runs.wait import Outcome

        memory = self._memory(context)
        record = memory.recall() if not run.posts else None
        if not self.deferrable:
            return self._finish(context, self._wait_synchronously(run, memory, record))
        begun = self._block_on(self._begin_alone, run, memory, record)
        if isinstance(begun, Outcome):
            return self._finish(context, begun)
        if begun.phase != Phase.READY:
            memory.remember(begun)
        return self._defer_until_done(context, begun)

    def _wait_synchronously(self, run: Run, memory: Memory, record: Record | None) -> Outcome:
        """Do all of it in this process, blocking the worker slot until the job has ended."""
        return self._block_on(self._run_to_its_end, run, memory, record)

    async def _begin_alone(self, run: Run, memory: Memory, record: Record | None) -> Run | Outcome:
        async with self._hevo().client() as hevo:
            return await self._begin(hevo, run, memory, record)

    async def _begin(self, hevo: HevoAsyncClient, run: Run, memory: Memory, record: Record | None) -> Run | Outcome:
        from hevo_provider.metrics import count_start
        from hevo_provider.runs.resume import follow_earlier, make_way
        from hevo_provider.runs.start import Start

        if record is not None:
            age = hevo.clock.now() - record.time
            earlier: Run | Outcome | None
            if record.cleared:
                earlier = await make_way(hevo, run, record.run, age=age, logger=self.log)
            else:
                earlier = await follow_earlier(
                    hevo,
                    run,
                    record.run,
                    age=age,
                    accept_completed_with_failures=self.accept_completed_with_failures,
                    logger=self.log,
                )
            if earlier is not None:
                return earlier
        start = self._progress = Start(hevo, run, remember=memory.aremember, logger=self.log)
        begun = await start.go()
        count_start(run, begun)
        return begun

    async def _run_to_its_end(self, run: Run, memory: Memory, record: Record | None) -> Outcome:
        from hevo_provider.runs.cancel import end_in_time
        from hevo_provider.runs.wait import Ending, Outcome, Wait

        async with self._hevo().client() as hevo:
            while True:
                begun = await self._begin(hevo, run, memory, None if run.posts else record)
                if isinstance(begun, Outcome):
                    return begun
                wait = self._progress = Wait(hevo, begun, self.log, memory.aremember)
                outcome = await end_in_time(hevo, await wait.until_done(), self.log)
                if outcome.ending is not Ending.START:
                    return outcome
                run = outcome.run

    def _finish(self, context: Context, outcome: Outcome) -> str:
        """Say what the outcome means for the task; the run is over, so it is forgotten."""
        from hevo_provider.runs.verdict import Verdict
        from hevo_provider.runs.wait import Ending

        run, job = outcome.run, outcome.job
        memory = self._memory(context)
        if outcome.ending is Ending.TIMED_OUT:
            if outcome.cancelled:
                memory.forget()
            raise AirflowTaskTimeout(_timed_out(outcome))
        if job is None:
            raise HevoRunError("How the job ended is not known.", pipeline_id=run.pipeline_id)
        if outcome.ending is Ending.FOUND:
            self._publish(context, run, job)
            self._verdict = Verdict(job)
        else:
            self._conclude(context, run, job)
        memory.forget()  # last of all: until then, the retry of a lost worker finds the job again
        return job.job_id

    def _cancel_at_last(self, run: Run) -> None:
        from hevo_provider.blocking import BlockingCall
        from hevo_provider.runs.cancel import cancel_job_of

        async def cancel() -> None:
            client = self._hevo().last_client(KILL_TIMEOUT / 2)
            if client is not None:
                async with client as hevo:
                    await cancel_job_of(hevo, run, self.log)

        BlockingCall().run(cancel)

    # From parameters to a run

    def _ordered(self, context: Context) -> Run:
        """Return what the rendered parameters ask for."""
        from hevo_provider.runs.run import Phase, Run

        on_active_job = self.on_active_job or (OnActiveJob.FAIL if self.ensure_new_job else OnActiveJob.START)
        run = Run(
            pipeline_id=pipeline_id_of(self.pipeline_id),
            on_active_job=on_active_job.value,
            wait_for_completion=self.wait_for_completion,
            cancel_on_kill=self.cancel_on_kill,
            poll_interval=self.poll_interval,
            retry_limit=self.retry_limit,
            api_outage_tolerance=self.api_outage_tolerance,
            deadline=deadline_of(context, self.timeout, self.execution_timeout),
            phase=Phase.READY.value,
        )
        return self._with_action(run)

    @abstractmethod
    def _with_action(self, run: Run) -> Run:
        """Return the run with what it starts, and the types of job that this may be."""

    def _job_type(self) -> JobType | None:
        return None if self.job_type is None else member_of(JobType, "job_type", self.job_type)

    def _check(self, *, only_literals: bool = False) -> None:
        """Refuse what makes no sense: literals when the DAG is parsed, rendered values before any request."""
        self._check_values(self._checks(), only_literals=only_literals)

    def _checks(self) -> Mapping[str, Callable[[Any], object]]:
        return {
            "pipeline_id": pipeline_id_of,
            "connection_id": connection_id_of,
            "job_type": lambda value: None if value is None else member_of(JobType, "job_type", value),
        }

    def _memory(self, context: Context) -> Memory:
        """Return what an earlier worker of this task has left on record."""
        from hevo_provider.record import Memory

        store = context.get("task_state_store") if self.durable else None
        return Memory(store, context["ti"], self._hevo().clock)


def _timed_out(outcome: Outcome) -> str:
    run = outcome.run
    if not run.job_id and not run.posts:
        return f"Pipeline {run.pipeline_id}: nothing had been started when the task's time was over."
    what = f"job {run.job_id} had not ended" if run.job_id else "its job had not been found"
    fate = "Hevo was asked to cancel it" if outcome.cancelled else "it may still run"
    return f"Pipeline {run.pipeline_id}: {what} when the task's time was over; {fate}."
