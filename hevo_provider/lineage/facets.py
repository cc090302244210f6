"""
What a run of a pipeline read and wrote, for OpenLineage. Loaded only when OpenLineage's listener asks for it.

The facts come from Hevo: one walk through the pipeline's objects, and the details of some at a time. Whatever is not
there when the time is over is left out. Nothing in here can fail the task or hold it up for longer than that.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import attr
from airflow.providers.openlineage.extractors.base import OperatorLineage
from openlineage.client.event_v2 import Dataset
from openlineage.client.facet_v2 import (
    DatasetFacet,
    JobFacet,
    RunFacet,
    error_message_run,
    external_query_run,
    schema_dataset,
)

from hevo_provider.connection import texts_of
from hevo_provider.exceptions import HevoError
from hevo_provider.lineage.names import Names, names_of
from hevo_provider.models.object import LEFT_OUT_STATUSES, Namespace, PipelineObject
from hevo_provider.runs.chosen_objects import is_meant
from hevo_provider.runs.order import Action

if TYPE_CHECKING:
    from hevo_provider.client.calls import HevoAsyncClient
    from hevo_provider.hooks import HevoHook
    from hevo_provider.models.answers import Job, Pipeline
    from hevo_provider.runs.order import Order
    from hevo_provider.runs.verdict import Verdict

Facet: TypeAlias = RunFacet | JobFacet
Lineage: TypeAlias = "OperatorLineage[Dataset, Facet]"

log = logging.getLogger(__name__)

TIME_LIMIT = 5.0  # seconds; OpenLineage's own default is 10, and then nothing at all is told
LAST_MOMENT = 0.5  # seconds of them, to end calls and threads
THREAD = "hevo-lineage"
MOST_AT_ONCE = 8  # detail calls
MOST_OBJECTS = 1000  # of a pipeline; beyond that an event grows too large to be sent
MOST_COLUMNS = 10_000  # of all its objects, for the same reason


@attr.define
class HevoPipelineJobFacet(JobFacet):
    """The pipeline that a task runs."""

    pipelineId: int  # noqa: N815 - OpenLineage's own spelling
    name: str | None = None
    sourceType: str | None = None  # noqa: N815
    destinationType: str | None = None  # noqa: N815
    replicationType: str | None = None  # noqa: N815
    loadMode: str | None = None  # noqa: N815


@attr.define
class HevoJobRunFacet(RunFacet):
    """The job that a task followed; durations are milliseconds."""

    pipelineId: int  # noqa: N815
    jobId: str  # noqa: N815
    jobType: str | None = None  # noqa: N815
    status: str | None = None
    counters: dict[str, int] = attr.field(factory=dict)
    failedObjects: list[str] = attr.field(factory=list)  # noqa: N815


@dataclass(slots=True)
class _Seen:
    """What Hevo has told so far; filled by one thread, read by another when the time is over."""

    pipeline: Pipeline | None = None
    objects: dict[str, PipelineObject] = field(default_factory=dict)


def lineage_of(hook: HevoHook, order: Order, verdict: Verdict) -> Lineage:
    """
    Return inputs, outputs and facets of a run: GET pipeline, GET …/objects, and GET …/objects/{id} for each.

    :param hook: of the task; its connection is looked up here, in the task's own thread.
    :param order: what was asked for: a pipeline, or some of its objects.
    :param verdict: what became of the job.
    :returns: as much as was to be had within five seconds, of which Airflow's look-up of the connection is a part; it
        cannot be cut short. Never raises.
    """
    pipeline_id = order.pipeline_id
    lineage: Lineage = OperatorLineage(
        run_facets=_run_facets(pipeline_id, verdict),
        job_facets={"hevo_pipeline": HevoPipelineJobFacet(pipelineId=pipeline_id)},
    )
    try:
        _complete(lineage, hook, order, verdict.job)
    except Exception as error:  # noqa: BLE001 - lineage is never worth a task
        log.warning("Pipeline %s: its lineage is incomplete: %s: %s", pipeline_id, type(error).__name__, error)
    return lineage


def _complete(lineage: Lineage, hook: HevoHook, order: Order, job: Job) -> None:
    over = hook.clock.monotonic() + TIME_LIMIT
    settings = hook.settings
    hevo = hook.last_client(TIME_LIMIT)
    if hevo is None:
        return
    lineage.run_facets["externalQuery"] = external_query_run.ExternalQueryRunFacet(job.job_id, source=hevo.host)
    seen = _Seen()
    time_left = over - hook.clock.monotonic()
    if time_left > LAST_MOMENT:
        _within_limit(time_left, hevo, order, seen)
    if seen.pipeline is None:
        return
    lineage.job_facets["hevo_pipeline"] = _pipeline_facet(seen.pipeline)
    namespaces = texts_of("lineage_namespaces", settings.lineage_namespaces)
    source = names_of(seen.pipeline.source, hevo.host, namespaces)
    destination = names_of(seen.pipeline.destination, hevo.host, namespaces)
    columns_left = MOST_COLUMNS
    for item in list(seen.objects.values()):
        fields = [each for each in item.fields or () if each.status not in LEFT_OUT_STATUSES]
        columns_left -= len(fields)
        fields = fields if columns_left >= 0 else []
        read = [(each.source_name, each.source_type) for each in fields]
        written = [(each.destination_name, each.destination_type) for each in fields]
        _add(lineage.inputs, source, item.source_namespace, item.object_name, read)
        _add(lineage.outputs, destination, item.destination_namespace, item.destination_table_name, written)


def _within_limit(limit: float, hevo: HevoAsyncClient, order: Order, seen: _Seen) -> None:
    # A thread of its own: a look-up of a host's name can hang where no time-out reaches, and is then left behind.
    read = partial(_read, limit - LAST_MOMENT, hevo, order, seen)
    worker = threading.Thread(name=THREAD, target=lambda: asyncio.run(read()), daemon=True)
    worker.start()
    worker.join(limit)


async def _read(limit: float, hevo: HevoAsyncClient, order: Order, seen: _Seen) -> None:
    pipeline_id = order.pipeline_id
    is_chosen = order.action is Action.RESYNC_OBJECTS
    slots = asyncio.Semaphore(MOST_AT_ONCE)

    async def read_pipeline() -> None:
        seen.pipeline = await hevo.get_pipeline(pipeline_id)

    async def read_objects() -> None:
        async for item in hevo.list_objects(pipeline_id):
            if not item.is_left_out and (not is_chosen or is_meant(order, item)):
                seen.objects[item.object_id] = item
                tasks.create_task(_if_possible(read_object(item.object_id)))
            if len(seen.objects) >= MOST_OBJECTS:
                log.info("Pipeline %s: only its first %s objects are in its lineage.", pipeline_id, MOST_OBJECTS)
                return

    async def read_object(object_id: str) -> None:
        async with slots:
            seen.objects[object_id] = await hevo.get_object(pipeline_id, object_id)

    try:
        async with hevo, asyncio.timeout(limit), asyncio.TaskGroup() as tasks:
            tasks.create_task(_if_possible(read_pipeline()))
            tasks.create_task(_if_possible(read_objects()))
    except TimeoutError:
        log.info("Pipeline %s: not all of its lineage could be read within %g s.", pipeline_id, TIME_LIMIT)


async def _if_possible(read: Awaitable[None]) -> None:
    try:
        await read
    except HevoError as error:
        log.info("Not in the lineage: %s", error)


def _add(
    datasets: list[Dataset],
    names: Names,
    place: Namespace | None,
    table: str | None,
    fields: list[tuple[str | None, str | None]],
) -> None:
    name = names.name_of(place or Namespace(), table)
    if name is None:
        return
    columns = [schema_dataset.SchemaDatasetFacetFields(name=name, type=type_) for name, type_ in fields if name]
    facets: dict[str, DatasetFacet] = {}
    if columns:
        facets["schema"] = schema_dataset.SchemaDatasetFacet(fields=columns)
    datasets.append(Dataset(namespace=names.namespace, name=name, facets=facets))


def _pipeline_facet(pipeline: Pipeline) -> HevoPipelineJobFacet:
    source, destination = pipeline.source, pipeline.destination
    return HevoPipelineJobFacet(
        pipelineId=pipeline.id,
        name=pipeline.name,
        sourceType=None if source is None else source.source_type,
        destinationType=None if destination is None else destination.destination_type,
        replicationType=pipeline.replication_type,
        loadMode=pipeline.load_mode,
    )


def _run_facets(pipeline_id: int, verdict: Verdict) -> dict[str, Facet]:
    job = verdict.job
    counters = job.model_dump(exclude_none=True, exclude={"job_id", "type", "status", "created_ts", "updated_ts"})
    facets: dict[str, Facet] = {
        "hevo_job": HevoJobRunFacet(
            pipelineId=pipeline_id,
            jobId=job.job_id,
            jobType=job.type,
            status=job.status,
            counters=counters,
            failedObjects=list(verdict.failing_objects),
        )
    }
    if verdict.error is not None:
        message = str(verdict.error)
        facets["errorMessage"] = error_message_run.ErrorMessageRunFacet(message, programmingLanguage="python")
    return facets
