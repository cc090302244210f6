"""
A triggerer, played: what Airflow's own does with watchers, and what is left of it after ``kill -9``.

Airflow's manager of shared streams is the real one. Of the triggerer's database there is what outlives it: the events
that have arrived, and the store of each asset.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from types import TracebackType
from typing import Any, Self

from airflow.triggers.base import TriggerEvent

from hevo_provider.assets import HevoPipelineTrigger
from hevo_provider.sandbox import Sandbox


@dataclass
class Database:
    """What outlives a triggerer."""

    events: list[dict[str, Any]] = field(default_factory=list)
    store: dict[str, str] = field(default_factory=dict)
    is_down: bool = False
    error: Exception = field(default_factory=lambda: RuntimeError("Airflow's database is down"))
    """What whoever asks its store while it is down gets."""

    @property
    def told(self) -> list[str]:
        """The ids of the jobs that events were about, in order."""
        return [event["job_id"] for event in self.events]


class AssetStore:
    """One asset's state store, for as long as its triggerer lives."""

    def __init__(self, triggerer: Triggerer) -> None:
        self._triggerer = triggerer

    def __getitem__(self, asset: object) -> AssetStore:
        """Return the store of the asset that a trigger names: it is on no other."""
        return self

    async def aget(self, key: str) -> Any:
        await self._answers()
        stored = self._triggerer.database.store.get(key)
        return None if stored is None else json.loads(stored)

    async def aset(self, key: str, value: Any) -> None:
        await self._answers()
        if not self._triggerer.is_dead:
            self._triggerer.database.store[key] = json.dumps(value)

    async def _answers(self) -> None:
        await asyncio.sleep(0)
        if self._triggerer.database.is_down:
            raise self._triggerer.database.error


class Triggerer:
    """
    One triggerer, for as long as a block lasts.

    :param database: Airflow's.
    :param shares: whether it shares polls and has stores, as Airflow does from 3.3 on.
    :param delivers: whether events arrive by themselves; else :meth:`deliver` lets them.
    """

    def __init__(self, database: Database, *, shares: bool = True, delivers: bool = True) -> None:
        self.database = database
        self.is_dead = False
        self.sent: list[tuple[Any, int | None]] = []
        self.ends_at: int | None = None
        """Of events so far: Airflow ends a watcher as it takes the next one."""
        self._delivers = delivers
        self._streams = _shared_streams() if shares else None
        self._ids = count(1)
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.die()
        for task in self._tasks:
            if not task.cancelled() and task.exception() is not None:
                raise AssertionError("a watcher must not end") from task.exception()

    def watch(self, trigger: HevoPipelineTrigger | None = None) -> None:
        """Start a watcher, from what is stored of it."""
        path, kwargs = (trigger or HevoPipelineTrigger(7)).serialize()
        assert path == "hevo_provider.assets.HevoPipelineTrigger"
        self._tasks.append(asyncio.create_task(self._run(HevoPipelineTrigger(**json.loads(json.dumps(kwargs))))))

    def deliver(self, *, is_known: bool = True) -> None:
        """
        Let the events that were sent arrive in the database.

        :param is_known: False: the triggerer dies before its runner hears of it.
        """
        if self.is_dead:
            return
        self.is_dead = not is_known
        sent, self.sent = self.sent, []
        for payload, number in sent:
            self.database.events.append(json.loads(json.dumps(payload)))
            if self._streams is not None and number is not None and is_known:
                self._streams.confirm_persisted([number])

    async def die(self) -> None:
        """Be killed: nothing that was sent and has not arrived yet ever will."""
        self.is_dead = True
        self.sent.clear()
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)
        if self._streams is not None:
            await self._streams.stop_all()

    async def _run(self, trigger: HevoPipelineTrigger) -> None:
        trigger_id = next(self._ids)
        key = trigger.shared_stream_key()
        events: AsyncIterator[TriggerEvent]
        if self._streams is not None:
            trigger.asset_state_store = AssetStore(self)  # type: ignore[assignment]
            stream = self._streams.subscribe(trigger_id=trigger_id, trigger=trigger, key=key)
            events = trigger.filter_shared_stream(stream)
        else:
            events = trigger.run()
        try:
            async for event in events:
                if len(self.database.events) == self.ends_at:
                    raise asyncio.CancelledError
                number = self._streams and self._streams.bind_pending_event(trigger_id=trigger_id, key=key)
                self.sent.append((event.payload, number))
                if self._delivers:
                    self.deliver()
        finally:
            if self._streams is not None and not self.is_dead:
                await self._streams.unsubscribe(trigger_id, key)

    @property
    def has_ended(self) -> bool:
        """Whether no watcher is left."""
        return all(task.done() for task in self._tasks)


def _shared_streams() -> Any:
    from airflow.triggers.shared_stream import SharedStreamManager  # came with Airflow 3.3

    return SharedStreamManager()


@asynccontextmanager
async def watching(
    *triggers: HevoPipelineTrigger, database: Database | None = None, **how: bool
) -> AsyncIterator[Triggerer]:
    """Let a triggerer watch for as long as the block lasts."""
    async with Triggerer(database or Database(), **how) as triggerer:
        for trigger in triggers or (HevoPipelineTrigger(7),):
            triggerer.watch(trigger)
        yield triggerer


async def until(condition: Callable[[], object]) -> None:
    """Let virtual time pass until something has happened."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - sockets and another thread are in it
            await asyncio.sleep(0.002)


def polls(hevo: Sandbox, times: int = 3) -> Callable[[], bool]:
    """Return a condition: lists of jobs have been read so often from now on."""
    before = len(hevo.requests_of("list_jobs"))
    return lambda: len(hevo.requests_of("list_jobs")) >= before + times
