"""
Event-driven scheduling, for Airflow 3: a DAG that starts when a Hevo pipeline has finished a job, whoever started it.

::

    orders = hevo_pipeline_asset(123)

    with DAG("after_orders", schedule=[orders]):
        ...
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Collection
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

try:
    from airflow.sdk import Asset, AssetWatcher
    from airflow.triggers.base import BaseEventTrigger, TriggerEvent
except ImportError:
    raise ImportError(
        "hevo_provider.assets needs Airflow 3: earlier versions cannot start a DAG from an event. "
        "HevoSensor waits for a job that something else has started on Airflow 2 too."
    ) from None

from hevo_provider.exceptions import HevoConfigError
from hevo_provider.models.job import JobStatus, JobType
from hevo_provider.parameters import connection_id_of, member_of, pipeline_id_of, seconds_of

if TYPE_CHECKING:
    from airflow.triggers.shared_stream import SharedStreamProducer

    from hevo_provider.models.answers import Job
    from hevo_provider.watchers import Watcher
    from hevo_provider.watches import PipelineWatch

__all__ = ["HevoPipelineTrigger", "hevo_pipeline_asset"]

Types = JobType | str | Collection[JobType | str]
Statuses = JobStatus | str | Collection[JobStatus | str]

DEFAULT_CONNECTION_ID = "hevo_airflow_conn_id"


class _WrongParameterError(HevoConfigError, TypeError):
    """
    A parameter makes no sense.

    A TypeError too: a triggerer survives nothing else that the constructor of a stored trigger may raise.
    """


def hevo_pipeline_asset(
    pipeline_id: int | str,
    *,
    connection_id: str = DEFAULT_CONNECTION_ID,
    job_types: Types | None = None,
    statuses: Statuses = JobStatus.COMPLETED,
    poll_interval: float = 30,
    name: str | None = None,
    group: str = "hevo",
) -> Asset:
    """
    Return the asset that a pipeline's jobs load, watched: it has an event for each job that ends.

    DAGs that call this with the same parameters share one asset and one watcher, also from different files. For each
    pipeline use the same ``poll_interval`` and ``name`` everywhere: Airflow knows one watcher by these.

    The payload of an event has ``pipeline_id``, ``job_id``, ``job_type``, ``status``, the times and the counters of the
    job; see :class:`HevoPipelineTrigger`, also for what happens when a triggerer is lost.

    :param pipeline_id: the pipeline.
    :param connection_id: the Airflow connection.
    :param job_types: a ``JobType`` or its name, or several: only these are told. None: all.
    :param statuses: a ``JobStatus`` or its name, or several: only jobs that ended so are told.
    :param poll_interval: seconds between looks at the pipeline.
    :param name: of the asset; None makes one of the parameters.
    :param group: of the asset.
    :raises HevoConfigError: a parameter makes no sense.
    """
    trigger = HevoPipelineTrigger(pipeline_id, connection_id, job_types, statuses, poll_interval)
    wanted = {"job_types": ",".join(trigger.job_types), "statuses": ",".join(trigger.statuses)}
    filters = {key: value for key, value in wanted.items() if value not in {"", JobStatus.COMPLETED.value}}
    # Other filters make another asset: Airflow would take two watchers of one asset in two files from each other.
    uri = f"hevo://{quote(connection_id, safe='')}/pipelines/{trigger.pipeline_id}"
    uri += f"?{urlencode(filters)}" if filters else ""
    if name is None:
        parts = ("" if connection_id == DEFAULT_CONNECTION_ID else connection_id, *filters.values())
        name = " ".join(filter(None, (f"hevo_pipeline_{trigger.pipeline_id}", *parts)))
    trigger.asset = name
    return Asset(name=name, uri=uri, group=group, watchers=[AssetWatcher(name=name, trigger=trigger)])


class HevoPipelineTrigger(BaseEventTrigger):
    """
    Send an event for each job of a pipeline that has ended, however it was started. For an ``AssetWatcher``.

    It sends nothing but GETs. The first look of all is where the watch begins: jobs that had ended by then are not
    told. An API that is down, refused credentials, a missing connection or pipeline do not end it: it says so once in
    the triggerer's log, looks on, and tells what ended meanwhile once it can.

    What a lost or restarted triggerer means depends on Airflow's version.

    * From 3.3 on, what was told is kept in the asset's state store, once the event is in Airflow's database. No job is
      lost, however long no triggerer ran (the 1,000 newest jobs are looked at, or fewer where 20 pages have fewer), nor
      while the DAG was paused. A job is told twice only if the triggerer dies in the second or two between the two: its
      events have the same ``job_id``.
    * Before 3.3 Airflow has no such store: a triggerer that starts, or takes over from another, begins anew. Jobs that
      end while none runs, or in the second before it dies, are not told.

    From 3.3 on, triggers with the same pipeline, connection and ``poll_interval`` share one poll. Before, each has its
    own; all triggers of one connection share its session.

    Class path and parameters are stored in Airflow's database: they only ever grow.

    :param pipeline_id: the pipeline.
    :param connection_id: the Airflow connection.
    :param job_types: a ``JobType`` or its name, or several: only these are told. None: all, also unknown ones.
    :param statuses: a ``JobStatus`` or its name, or several: only jobs that ended so are told.
    :param poll_interval: seconds between looks at the pipeline.
    :param asset: name of the asset whose store is used. None is right for a trigger of one asset.
    :raises HevoConfigError: a parameter makes no sense.
    """

    def __init__(
        self,
        pipeline_id: int | str,
        connection_id: str = DEFAULT_CONNECTION_ID,
        job_types: Types | None = None,
        statuses: Statuses = JobStatus.COMPLETED,
        poll_interval: float = 30,
        asset: str | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        try:
            self.pipeline_id = pipeline_id_of(pipeline_id)
            self.connection_id = connection_id_of(connection_id)
            self.job_types = _names_of(JobType, "job_types", job_types)
            self.statuses = _ends_of(statuses)
            self.poll_interval = seconds_of("poll_interval", poll_interval, above=True)
        except HevoConfigError as error:
            raise _WrongParameterError(str(error)) from None
        self.asset = asset

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return class path and parameters. Equal watchers are equal here: Airflow runs one for all of them."""
        parameters: dict[str, Any] = {
            "pipeline_id": self.pipeline_id,
            "connection_id": self.connection_id,
            "job_types": list(self.job_types) or None,
            "statuses": list(self.statuses),
            "poll_interval": self.poll_interval,
            "asset": self.asset,
        }
        given = {name: value for name, value in parameters.items() if value is not None}
        return "hevo_provider.assets.HevoPipelineTrigger", given

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Watch alone: what Airflow before 3.3 calls."""
        from hevo_provider.watches import delivered_by_the_next

        looks = delivered_by_the_next(self._watch())
        async with aclosing(looks), aclosing(self.filter_shared_stream(looks)) as events:
            async for event in events:
                yield event

    # From Airflow 3.3 on: one poll for all that watch a pipeline

    def shared_stream_key(self) -> tuple[str, str, int, float]:
        """Return what those have in common who share a poll."""
        return ("hevo", self.connection_id, self.pipeline_id, self.poll_interval)

    @classmethod
    async def open_shared_stream(cls, kwargs: dict[str, Any]) -> AsyncIterator[Any]:
        """Poll for all, where Airflow does not tell when an event has arrived."""
        from hevo_provider.watches import delivered_by_the_next

        async with aclosing(delivered_by_the_next(cls(**kwargs)._watch())) as looks:  # noqa: SLF001 - its own class
            async for look in looks:
                yield look

    @classmethod
    def create_shared_stream_producer(cls, kwargs: dict[str, Any]) -> SharedStreamProducer:
        """Poll for all, and let them remember what has arrived in Airflow's database."""
        from hevo_provider.watches import producer_of

        producer: SharedStreamProducer = producer_of(cls(**kwargs)._watch())  # noqa: SLF001 - its own class
        return producer

    async def filter_shared_stream(self, shared_stream: AsyncIterator[Any]) -> AsyncGenerator[TriggerEvent, None]:
        """Send an event for each job that is news to this watcher."""
        from hevo_provider.runs.events import facts_of

        watch, watcher = self._watch(), self._watcher()
        watch.watchers.add(watcher)
        await watcher.recall()
        async for look in shared_stream:
            jobs = await watcher.news(look)
            for job in jobs:
                yield TriggerEvent({"pipeline_id": self.pipeline_id, **facts_of(job)})
            watcher.has_told(look, jobs)  # which is reached only when Airflow has taken the last event

    def _watch(self) -> PipelineWatch:
        from hevo_provider.watches import watch_of

        return watch_of(self.connection_id, self.pipeline_id, self.poll_interval)

    def _watcher(self) -> Watcher:
        from hevo_provider.hooks import HevoHook
        from hevo_provider.watchers import Memory, Watcher

        store = getattr(self, "asset_state_store", None)
        if store is not None and self.asset is not None:
            with suppress(KeyError):  # the trigger was put on another asset, which then has its own store
                store = store[Asset.ref(name=self.asset)]
        kind = f"{','.join(self.job_types) or '*'}/{','.join(self.statuses)}"
        memory = Memory(store, f"hevo/{self.connection_id}/{self.pipeline_id}/{kind}")
        return Watcher(self.pipeline_id, self._wants, memory, HevoHook.clock)

    def _wants(self, job: Job) -> bool:
        names = {name for job_type in self.job_types for name in JobType(job_type).wire_names}
        return job.status in self.statuses and (not names or job.type in names)


def _ends_of(statuses: Statuses) -> tuple[str, ...]:
    names = _names_of(JobStatus, "statuses", statuses)
    if not names or not all(JobStatus(name).is_terminal for name in names):
        raise HevoConfigError(f"statuses must be ones in which a job has ended, not {statuses!r}.")
    return names


def _names_of(kind: type[JobType | JobStatus], name: str, value: object) -> tuple[str, ...]:
    """Return names in one order, so that the same watchers are the same to Airflow."""
    if value is None:
        return ()
    several = [value] if isinstance(value, str) else value
    if not isinstance(several, Collection):
        several = [value]
    return tuple(sorted({member_of(kind, name, each).value for each in several}))
