"""The operators: run a pipeline, or reload some of its objects. How is in :mod:`hevo_provider.starting`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hevo_provider.exceptions import HevoConfigError
from hevo_provider.models.job import JobType
from hevo_provider.models.pipeline import PipelineAction
from hevo_provider.parameters import (
    LONGEST_TIMEOUT,
    OnActiveJob,
    flag_of,
    member_of,
    object_id_of,
    pipeline_id_of,
    several_of,
)
from hevo_provider.starting import HevoStartingOperator

if TYPE_CHECKING:
    from datetime import timedelta

    from hevo_provider.models.object import PipelineObject
    from hevo_provider.runs.run import Run


class HevoPipelineOperator(HevoStartingOperator):
    """
    Run a Hevo pipeline and succeed when, and only when, the job that this started has succeeded.

    The worker slot is held for the calls that start the job; finding it and waiting for its end is the triggerer's
    work. The job's id is the task's return value, its final state and counters are the XCom ``hevo_job``.

    :param pipeline_id: the pipeline: a number, or a template that renders to one. (templated)
    :param action: ``PipelineAction.SYNC_NOW`` or ``RESYNC``, or its name. (templated)
    :param job_type: the job to follow: a ``JobType`` or its name. None follows from the action: INCREMENTAL for
        SYNC_NOW; for RESYNC, RESYNC or with ``drop_and_load`` RESYNC_WITH_DROP_AND_LOAD. (templated)
    :param connection_id: the Airflow connection. (templated)
    :param poll_interval: seconds between looks at the running job.
    :param retry_limit: how many looks may be taken to find the job after Hevo accepted the action.
    :param deferrable: wait in the triggerer; False holds the worker slot until the job has ended.
    :param wait_for_completion: False ends the task as soon as the job's id is known.
    :param accept_completed_with_failures: whether COMPLETED_WITH_FAILURES counts as success.
    :param ensure_new_job: fail, before anything is sent, if a job of the pipeline is active. False sends the action all
        the same, and follows the active job if Hevo refuses.
    :param drop_and_load: for RESYNC: drop the destination tables and load them anew.
    :param on_active_job: what to do if a job is active: ``"fail"``, ``"wait"`` for its end and start then, ``"follow"``
        it, or ``"start"`` all the same. None follows from ``ensure_new_job``: fail, or start.
    :param cancel_on_kill: cancel the job that this task started when the task is killed or times out.
    :param timeout: seconds from the task's start after which the wait fails, in every mode.
    :param api_outage_tolerance: seconds without a usable answer from Hevo after which the wait fails.
    :param durable: a retry follows the job that a lost worker has started (Airflow 3.3 and later).
    :raises HevoConfigError: a literal parameter makes no sense.
    """

    template_fields = ("pipeline_id", "connection_id", "action", "job_type")

    def __init__(  # noqa: PLR0913 - the parameter table of the documentation
        self,
        *,
        pipeline_id: int | str,
        action: PipelineAction | str = PipelineAction.SYNC_NOW,
        job_type: JobType | str | None = None,
        connection_id: str = "hevo_airflow_conn_id",
        poll_interval: float = 15,
        retry_limit: int = 10,
        deferrable: bool = True,
        wait_for_completion: bool = True,
        accept_completed_with_failures: bool = False,
        ensure_new_job: bool = True,
        drop_and_load: bool = False,
        on_active_job: str | None = None,
        cancel_on_kill: bool = True,
        timeout: float | timedelta = LONGEST_TIMEOUT,
        api_outage_tolerance: float | timedelta = 1800,
        durable: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            pipeline_id=pipeline_id,
            job_type=job_type,
            connection_id=connection_id,
            poll_interval=poll_interval,
            retry_limit=retry_limit,
            deferrable=deferrable,
            wait_for_completion=wait_for_completion,
            accept_completed_with_failures=accept_completed_with_failures,
            ensure_new_job=ensure_new_job,
            on_active_job=on_active_job,
            cancel_on_kill=cancel_on_kill,
            timeout=timeout,
            api_outage_tolerance=api_outage_tolerance,
            durable=durable,
            **kwargs,
        )
        self.action = action
        self.drop_and_load = flag_of("drop_and_load", drop_and_load)
        self._check(only_literals=True)

    def _with_action(self, run: Run) -> Run:
        from hevo_provider.runs.run import expected_job_types

        action = self._action_of(self.action)
        return replace(
            run,
            action=action.value,
            job_types=expected_job_types(action, self._job_type(), drop_and_load=self.drop_and_load),
            drop_and_load=self.drop_and_load,
        )

    def _checks(self) -> Mapping[str, Callable[[Any], object]]:
        return {**super()._checks(), "action": self._action_of}

    def _action_of(self, value: object) -> PipelineAction:
        action = member_of(PipelineAction, "action", value)
        if self.drop_and_load and action is not PipelineAction.RESYNC:
            raise HevoConfigError("drop_and_load goes with the action RESYNC only.")
        return action


class HevoResyncObjectsOperator(HevoStartingOperator):
    """
    Reload chosen objects of a Hevo pipeline, and succeed when, and only when, the job of this has succeeded.

    Objects are chosen by id, by name in the source, or both. Names are looked up when the task runs (GET …/objects, as
    many pages as there are), so a pattern takes in what was added since. ``*``, ``?`` and ``[…]`` are wildcards, and
    each name is tried as ``table``, ``schema.table`` and ``database.schema.table``. Case counts if a name fits with it,
    and else does not. Objects that Hevo does not load (excluded, deleted) are left out; a name that fits nothing, or
    only such, fails the task before anything is sent. All the rest, guarantees and XComs too, is as for
    :class:`HevoPipelineOperator`.

    :param pipeline_id: the pipeline: a number, or a template that renders to one. (templated)
    :param objects: names of objects, such as ``["orders", "public.cust*"]``. (templated)
    :param object_ids: ids of objects. (templated)
    :param job_type: the job to follow: a ``JobType`` or its name. None takes a resync under any name, or a HISTORICAL
        one: Hevo does not document which it reports. (templated)
    :param connection_id: the Airflow connection. (templated)
    :param poll_interval: seconds between looks at the running job.
    :param retry_limit: how many looks may be taken to find the job after Hevo accepted the action.
    :param deferrable: wait in the triggerer; False holds the worker slot until the job has ended.
    :param wait_for_completion: False ends the task as soon as the job's id is known.
    :param accept_completed_with_failures: whether COMPLETED_WITH_FAILURES counts as success.
    :param ensure_new_job: fail, before anything is sent, if a job of the pipeline is active. False sends the action all
        the same.
    :param on_active_job: as for :class:`HevoPipelineOperator`, but no job is followed that this did not start: it may
        reload other objects.
    :param cancel_on_kill: cancel the job that this task started when the task is killed or times out.
    :param timeout: seconds from the task's start after which the wait fails, in every mode.
    :param api_outage_tolerance: seconds without a usable answer from Hevo after which the wait fails.
    :param durable: a retry follows the job that a lost worker has started (Airflow 3.3 and later).
    :raises HevoConfigError: a literal parameter makes no sense.
    """

    template_fields = ("pipeline_id", "objects", "object_ids", "connection_id", "job_type")

    def __init__(  # noqa: PLR0913 - the parameter table of the documentation
        self,
        *,
        pipeline_id: int | str,
        objects: Sequence[str] | str | None = None,
        object_ids: Sequence[str] | str | None = None,
        job_type: JobType | str | None = None,
        connection_id: str = "hevo_airflow_conn_id",
        poll_interval: float = 15,
        retry_limit: int = 10,
        deferrable: bool = True,
        wait_for_completion: bool = True,
        accept_completed_with_failures: bool = False,
        ensure_new_job: bool = True,
        on_active_job: str | None = None,
        cancel_on_kill: bool = True,
        timeout: float | timedelta = LONGEST_TIMEOUT,
        api_outage_tolerance: float | timedelta = 1800,
        durable: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            pipeline_id=pipeline_id,
            job_type=job_type,
            connection_id=connection_id,
            poll_interval=poll_interval,
            retry_limit=retry_limit,
            deferrable=deferrable,
            wait_for_completion=wait_for_completion,
            accept_completed_with_failures=accept_completed_with_failures,
            ensure_new_job=ensure_new_job,
            on_active_job=on_active_job,
            cancel_on_kill=cancel_on_kill,
            timeout=timeout,
            api_outage_tolerance=api_outage_tolerance,
            durable=durable,
            **kwargs,
        )
        if self.on_active_job is OnActiveJob.FOLLOW:
            raise HevoConfigError('on_active_job="follow" is not for objects: the active job may reload others.')
        self.objects = objects
        self.object_ids = object_ids
        self.expects_objects = objects is not None
        self.expects_object_ids = object_ids is not None
        self._check(only_literals=True)

    def _with_action(self, run: Run) -> Run:
        from hevo_provider.runs.run import RESYNC_OBJECTS, expected_job_types_of_objects

        return replace(
            run,
            action=RESYNC_OBJECTS,
            job_types=expected_job_types_of_objects(self._job_type()),
            objects=() if self.objects is None else several_of("objects", self.objects),
            object_ids=() if self.object_ids is None else _ids_of(self.object_ids),
        )

    def _checks(self) -> Mapping[str, Callable[[Any], object]]:
        return {**super()._checks(), "objects": self._check_objects, "object_ids": self._check_object_ids}

    def _check_objects(self, value: object) -> None:
        if self.expects_objects:
            several_of("objects", value)
        elif not self.expects_object_ids:
            raise HevoConfigError("objects or object_ids must say what to resync; HevoPipelineOperator resyncs it all.")

    def _check_object_ids(self, value: object) -> None:
        if self.expects_object_ids:
            _ids_of(value)

    def _is_about(self, item: PipelineObject) -> bool:
        from hevo_provider.runs.objects import is_meant
        from hevo_provider.runs.run import Run

        return is_meant(self._with_action(Run(pipeline_id=pipeline_id_of(self.pipeline_id))), item)


def _ids_of(value: object) -> tuple[str, ...]:
    return tuple(object_id_of(each) for each in several_of("object_ids", value))


HevoOperator = HevoPipelineOperator
