"""
Event-driven scheduling, for Airflow 3: a DAG that starts when a Hevo pipeline has finished a job, whoever started it.

::

    orders = hevo_pipeline_asset(123)

    with DAG("after_orders", schedule=[orders]):
        ...
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Collection
from contextlib import aclosing
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from hevo_provider.compat import asset_store_of, check_that_events_start_dags, shared_stream_of
from hevo_provider.exceptions import HevoConfigError
from hevo_provider.models.enums import JobStatus, JobType
from hevo_provider.models.ids import check_that_one_is_given, pipeline_id_of, pipeline_name_of
from hevo_provider.parameters import DEFAULT_CONNECTION_ID, connection_id_of, member_of, seconds_of

check_that_events_start_dags()

from airflow.sdk import Asset, AssetWatcher  # noqa: E402 - Airflow 2 has neither, and has been told so above
from airflow.triggers.base import BaseEventTrigger, TriggerEvent  # noqa: E402

if TYPE_CHECKING:
    from airflow.triggers.shared_stream import SharedStreamProducer

    from hevo_provider.models.answers import Job
    from hevo_provider.watching.poll import PipelinePoll
    from hevo_provider.watching.watcher import Watcher

__all__ = ["HevoPipelineTrigger", "hevo_pipeline_asset"]

USUAL_INTERVAL = 30.0  # seconds

Types = JobType | str | Collection[JobType | str]
Statuses = JobStatus | str | Collection[JobStatus | str]


class _WrongParameterError(HevoConfigError, TypeError):
    """
    A parameter makes no sense.

    A TypeError too: a triggerer survives nothing else that the constructor of a stored trigger may raise.
    """


def hevo_pipeline_asset(
    pipeline_id: int | str | None = None,
    *,
    pipeline_name: str | None = None,
    connection_id: str = DEFAULT_CONNECTION_ID,
    job_types: Types | None = None,
    statuses: Statuses = JobStatus.COMPLETED,
    poll_interval: float = USUAL_INTERVAL,
    name: str | None = None,
    group: str = "hevo",
) -> Asset:
    """
    Return the asset that a pipeline's jobs load, watched: it has an event for each job that ends.

    DAGs that call this with the same parameters share one asset and one watcher, also from different files. Other
    parameters make another asset with a watcher of its own, unless the asset is given a ``name``: then use the same
    ``poll_interval`` wherever you use the name. A task or DAG that does not watch the asset should call this all the
    same, or name it by ``Asset.ref(name=…)``: an ``Asset`` without a watcher takes it away from all.

    The payload of an event has ``pipeline_id``, ``job_id``, ``job_type``, ``status``, the times and the counters of the
    job; see :class:`HevoPipelineTrigger`, also for what happens when a triggerer is lost.

    :param pipeline_id: the pipeline.
    :param pipeline_name: its name, instead of its id: it is looked up when the watch begins.
    :param connection_id: the Airflow connection.
    :param job_types: a ``JobType`` or its name, or several: only these are told. None: all.
    :param statuses: a ``JobStatus`` or its name, or several: only jobs that ended so are told.
    :param poll_interval: seconds between polls of the pipeline.
    :param name: of the asset; None makes one of the other parameters.
    :param group: of the asset.
    :raises HevoConfigError: a parameter makes no sense.
    """
    trigger = HevoPipelineTrigger(
        pipeline_id, connection_id, job_types, statuses, poll_interval, pipeline_name=pipeline_name
    )
    # Airflow knows an asset by name and URI, and a watcher of it by what its trigger is made of; the watcher's own name
    # counts for nothing. A file that is parsed takes an asset's other watchers away, and Airflow 3.3 then loses the new
    # one too (`add_asset_trigger_references`): two files that watch one asset differently leave it without a watcher
    # every second time. So what is watched for otherwise is another asset. What is usual stays unsaid, and a name of
    # the author's own goes with any interval: these names and URIs are in users' databases.
    says_interval = name is None and trigger.poll_interval != USUAL_INTERVAL
    wanted = {
        "job_types": ",".join(trigger.job_types),
        "poll_interval": _written(trigger.poll_interval) if says_interval else "",
        "statuses": ",".join(trigger.statuses),
    }
    filters = {key: value for key, value in wanted.items() if value not in {"", JobStatus.COMPLETED.value}}
    by_name = None if trigger.pipeline_name is None else quote(trigger.pipeline_name, safe="")
    place, called = (trigger.pipeline_id,) * 2 if by_name is None else (f"by-name/{by_name}", f"by_name_{by_name}")
    uri = f"hevo://{quote(connection_id, safe='')}/pipelines/{place}"
    uri += f"?{urlencode(filters)}" if filters else ""
    if name is None:
        unusual = ["" if connection_id == DEFAULT_CONNECTION_ID else connection_id]
        unusual += [f"every {value} s" if key == "poll_interval" else value for key, value in filters.items()]
        name = " ".join(filter(None, (f"hevo_pipeline_{called}", *unusual)))
    trigger.asset = name
    return Asset(name=name, uri=uri, group=group, watchers=[AssetWatcher(name=name, trigger=trigger)])


class HevoPipelineTrigger(BaseEventTrigger):
    """
    Send an event for each job of a pipeline that has ended, however it was started. For an ``AssetWatcher``.

    It sends nothing but GETs. The first poll of all is where the watch begins: jobs that had ended by then are not
    told. An API that is down, refused credentials, a missing connection or pipeline do not end it: it says so once in
    the triggerer's log, polls on, and tells what ended meanwhile once it can.

    What a lost or restarted triggerer means depends on Airflow's version.

    * From 3.3 on, what was told is kept in the asset's state store, once the event is in Airflow's database. No job is
      lost, however long no triggerer ran (the 1,000 newest jobs are read, or fewer where 20 pages have fewer), nor
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
    :param poll_interval: seconds between polls of the pipeline.
    :param asset: name of the asset whose store is used. None is right for a trigger of one asset.
    :param pipeline_name: the pipeline's name, instead of its id: it is looked up when the watch begins.
    :raises HevoConfigError: a parameter makes no sense.
    """

    def __init__(
        self,
        pipeline_id: int | str | None = None,
        connection_id: str = DEFAULT_CONNECTION_ID,
        job_types: Types | None = None,
        statuses: Statuses = JobStatus.COMPLETED,
        poll_interval: float = USUAL_INTERVAL,
        asset: str | None = None,
        pipeline_name: str | None = None,
        **unknown: Any,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        if unknown:  # stored by a later version: DAGs are often parsed by it before triggerers run it
            self.log.warning("Parameters that this version does not know are ignored: %s.", ", ".join(sorted(unknown)))
        try:
            check_that_one_is_given(pipeline_id, pipeline_name)
            self.pipeline_id = None if pipeline_id is None else pipeline_id_of(pipeline_id)
            self.pipeline_name = None if pipeline_name is None else pipeline_name_of(pipeline_name)
            self.connection_id = connection_id_of(connection_id)
            self.job_types = _names_of(JobType, "job_types", job_types)
            self.statuses = _ends_of(statuses)
            self.poll_interval = seconds_of("poll_interval", poll_interval, above=True)
        except HevoConfigError as error:
            raise _WrongParameterError(error.text, code=error.code) from None
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
            "pipeline_name": self.pipeline_name,
        }
        given = {name: value for name, value in parameters.items() if value is not None}
        return "hevo_provider.assets.HevoPipelineTrigger", given

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Watch alone: what Airflow before 3.3 calls."""
        from hevo_provider.watching.poll import delivered_by_the_next

        rounds = delivered_by_the_next(self._poll())
        async with aclosing(rounds), aclosing(self.filter_shared_stream(rounds)) as events:
            async for event in events:
                yield event

    # From Airflow 3.3 on: one poll for all that watch a pipeline

    def shared_stream_key(self) -> tuple[str, str, int | str, float]:
        """Return what those have in common who share a poll."""
        return ("hevo", self.connection_id, self._pipeline, self.poll_interval)

    @classmethod
    def create_shared_stream_producer(cls, kwargs: dict[str, Any]) -> SharedStreamProducer:
        """Poll for all, and let them store what has arrived in Airflow's database."""
        producer: SharedStreamProducer = shared_stream_of(cls(**kwargs)._poll().rounds)  # noqa: SLF001 - its own class
        return producer

    async def filter_shared_stream(self, shared_stream: AsyncIterator[Any]) -> AsyncGenerator[TriggerEvent, None]:
        """Send an event for each job that is news to this watcher."""
        from hevo_provider.runs.events import facts_of

        poll, watcher = self._poll(), self._watcher()
        poll.watchers.add(watcher)
        await watcher.read_store()
        async for round_ in shared_stream:
            jobs = await watcher.news(round_)
            for job in jobs:
                yield TriggerEvent({"pipeline_id": poll.pipeline_id, **facts_of(job)})
            watcher.has_told(round_, jobs)  # which is reached only when Airflow has taken the last event

    @property
    def _pipeline(self) -> int | str:
        """The pipeline's id, or its name: no name is a number to Python."""
        if self.pipeline_id is not None:
            return self.pipeline_id
        assert self.pipeline_name is not None
        return self.pipeline_name

    def _poll(self) -> PipelinePoll:
        from hevo_provider.watching.poll import poll_of

        return poll_of(self.connection_id, self._pipeline, self.poll_interval)

    def _watcher(self) -> Watcher:
        from hevo_provider.clock import process_clock
        from hevo_provider.watching.watcher import Watcher, WatermarkStore

        # The key is stored in users' databases.
        kind = f"{','.join(self.job_types) or '*'}/{','.join(self.statuses)}"
        place = self._pipeline if self.pipeline_name is None else f"by-name/{quote(self.pipeline_name, safe='')}"
        key = f"hevo/{self.connection_id}/{place}/{kind}"
        store = WatermarkStore(asset_store_of(self, self.asset), key)
        return Watcher(self._pipeline, self._wants, store, process_clock())

    def _wants(self, job: Job) -> bool:
        names = {name for job_type in self.job_types for name in JobType(job_type).wire_names}
        return job.status in self.statuses and (not names or job.type in names)


def _written(value: float) -> str:
    """Return a number as text; no two have the same."""
    return repr(value).removesuffix(".0")


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
