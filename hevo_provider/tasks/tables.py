"""
An asset event for each table that a job has loaded, for DAGs that are scheduled on tables.

Airflow lets a task name assets while it runs through an ``AssetAlias`` among its ``outlets``. A table's asset is called
by its URI and by no other name: Airflow 3 starts a DAG that is scheduled on ``Asset(uri)`` only where both fit. Its
event's ``extra`` has ``rows_loaded``, ``rows_failed``, ``job_id`` and ``pipeline_id``.

A table that failed, where a partial failure is accepted, has no event: what waits for that table does not start. No
task fails because an event could not be emitted; the log says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hevo_provider.asset_uris import uri_of_table
from hevo_provider.connection import texts_of
from hevo_provider.lineage.names import Names, names_of
from hevo_provider.models.object import Namespace
from hevo_provider.runs.loaded import Loaded, loaded_by, summed
from hevo_provider.runs.words import some_of

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from hevo_provider.hooks import HevoHook
    from hevo_provider.models.answers import Job, Pipeline
    from hevo_provider.runs.logger import Logger
    from hevo_provider.runs.run import Run

TIME_LIMIT = 120.0  # seconds: Hevo's limit of requests may ask to wait for a minute, and a lost event starts no DAG


def destination_of(pipeline: Pipeline, hook: HevoHook) -> tuple[str, ...]:
    """Return where a pipeline leads, in the texts that a run takes along: no credentials are among them."""
    namespaces = texts_of("lineage_namespaces", hook.settings.lineage_namespaces)
    names = names_of(pipeline.destination, hook.settings.access.host, namespaces)
    return names.kind, names.namespace, names.database or ""


class Tables:
    """
    The tables that a job has loaded.

    :param hook: of the task.
    :param run: what was asked for.
    :param job: the job that has succeeded.
    :param logger: where it is logged.
    """

    def __init__(self, hook: HevoHook, run: Run, job: Job, logger: Logger) -> None:
        self._hook = hook
        self._run = run
        self._job = job
        self._log = logger
        self._destination = run.destination
        self._loaded: tuple[Loaded, ...] | None = None

    async def read(self) -> None:
        """Ask Hevo: two requests for each hundred objects, and one for the pipeline where no start has made it."""
        try:
            async with asyncio.timeout(TIME_LIMIT), self._hook.client() as hevo:
                if self._destination is None:
                    pipeline = await hevo.get_pipeline(self._run.pipeline_id)
                    self._destination = destination_of(pipeline, self._hook)
                self._loaded = await loaded_by(hevo, self._run, self._job)
        except Exception as error:  # noqa: BLE001 - the job has succeeded
            self._say_nothing_is_told(f"{type(error).__name__}: {error}")

    def tell(self, context: Context, aliases: Sequence[Any], *, skip_empty: bool) -> None:
        """
        Add the events that Airflow emits if the task succeeds.

        :param aliases: the outlets to which they are added.
        :param skip_empty: leave out tables of which Hevo says that no row was loaded.
        """
        if self._loaded is None or self._destination is None:
            return
        events = context.get("outlet_events")
        if not self._loaded or events is None:
            what = "Hevo names no objects" if events is not None else "this process has no events"
            self._say_nothing_is_told(what)
            return
        tables, untold = self._by_uri(skip_empty=skip_empty)
        told: list[str] = []
        for uri, rows in tables.items():
            try:
                for alias in aliases:
                    events[alias].add(_asset(uri), extra=self._extra(rows))
                told.append(uri)
            except Exception as error:  # noqa: BLE001 - such as a URI that the destination's own provider refuses
                untold.append(f"{uri} ({type(error).__name__}: {error})")
        pipeline_id, job_id = self._run.pipeline_id, self._job.job_id
        if told:
            self._log.info("Pipeline %s: job %s has loaded %s.", pipeline_id, job_id, some_of(told))
        if untold:
            self._log.warning("Pipeline %s: no asset event is emitted for %s.", pipeline_id, some_of(untold))

    def _by_uri(self, *, skip_empty: bool) -> tuple[dict[str, list[Loaded]], list[str]]:
        """Return the tables that were loaded, by their URIs, and what there is to be said of others."""
        kind, namespace, database = self._destination or ("", "", "")
        names = Names(kind, namespace, database or None)
        tables: dict[str, list[Loaded]] = {}
        untold: list[str] = []
        for item in self._loaded or ():
            if not item.is_loaded:
                untold.append(f"{item.name} (not loaded)")
                continue
            if skip_empty and item.rows_loaded == 0:
                continue
            place = item.place
            table = None
            if place is not None:
                table = names.name_of(place.destination_namespace or Namespace(), place.destination_table_name)
            if table is None:
                untold.append(f"{item.name} (Hevo does not say where it is put)")
            else:  # several objects may be put into one table
                tables.setdefault(uri_of_table(namespace, table), []).append(item)
        return tables, untold

    def _extra(self, rows: Sequence[Loaded]) -> dict[str, Any]:
        return {
            "rows_loaded": summed(*(each.rows_loaded for each in rows)),
            "rows_failed": summed(*(each.rows_failed for each in rows)),
            "job_id": self._job.job_id,
            "pipeline_id": self._run.pipeline_id,
        }

    def _say_nothing_is_told(self, why: str) -> None:
        self._log.warning(
            "Pipeline %s: job %s has succeeded, but which tables it has loaded is not known (%s). No asset events are "
            "emitted for them, so DAGs that are scheduled on them do not start.",
            self._run.pipeline_id,
            self._job.job_id,
            why,
        )


def _asset(uri: str) -> Any:
    from airflow.providers.common.compat.sdk import Asset

    return Asset(uri)
