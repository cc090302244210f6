"""
One client for each connection in an event loop.

Ten thousand triggers share its session, its look-up of the connection and its open TCP connections. It is closed when
the last of them leaves. A session for each request would cost five times the CPU time of a poll, open a connection for
each, and stall the event loop for most of a second where a thousand poll (measured).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from types import TracebackType
from weakref import WeakKeyDictionary

from hevo_provider.client.calls import HevoAsyncClient


@dataclass(slots=True)
class _Shared:
    opening: asyncio.Task[HevoAsyncClient]
    users: int = 0


_clients: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Hashable, _Shared]] = WeakKeyDictionary()
_closing: set[asyncio.Task[None]] = set()


class SharedClient:
    """
    A use of the event loop's client for ``key``: ``async with SharedClient(key, open_client) as hevo``.

    The first to come opens it, the last to go closes it. :meth:`join` does so before the block is entered.

    :param open_client: looks the connection up and makes the client. Raises to all who wait for it.
    """

    __slots__ = ("_key", "_open_client", "_shared")

    def __init__(self, key: Hashable, open_client: Callable[[], Awaitable[HevoAsyncClient]]) -> None:
        self._key = key
        self._open_client: Callable[[], Awaitable[HevoAsyncClient]] | None = open_client
        self._shared: _Shared | None = None

    async def join(self) -> HevoAsyncClient:
        """Return the client; :meth:`leave` it in the end."""
        if self._shared is None:
            clients = _clients.setdefault(asyncio.get_running_loop(), {})
            shared = clients.get(self._key)
            if shared is None:
                assert self._open_client is not None
                # A task of its own: whoever came first may be cancelled while others still want the client.
                shared = clients[self._key] = _Shared(asyncio.ensure_future(_opened(self._open_client)))
            self._shared, self._open_client = shared, None  # what opens it is not kept for as long as a job runs
            shared.users += 1
        try:
            return await asyncio.shield(self._shared.opening)
        except BaseException:
            await self.leave()
            raise

    async def leave(self) -> None:
        """Need the client no longer."""
        shared, self._shared = self._shared, None
        if shared is None:
            return
        shared.users -= 1
        if shared.users and not (shared.opening.done() and _failed(shared.opening)):
            return
        clients = _clients.get(asyncio.get_running_loop(), {})
        if clients.get(self._key) is shared:
            del clients[self._key]
        if not shared.users:
            # Airflow 3.3 cancels a cancelled trigger again and again; this must come to its end all the same.
            closing = asyncio.ensure_future(_close(shared.opening))
            _closing.add(closing)
            closing.add_done_callback(_closing.discard)
            await asyncio.shield(closing)

    async def __aenter__(self) -> HevoAsyncClient:
        return await self.join()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.leave()


async def _opened(open_client: Callable[[], Awaitable[HevoAsyncClient]]) -> HevoAsyncClient:
    return await open_client()


def _failed(opening: asyncio.Task[HevoAsyncClient]) -> bool:
    return opening.cancelled() or opening.exception() is not None


async def _close(opening: asyncio.Task[HevoAsyncClient]) -> None:
    opening.cancel()  # no effect if it is done
    await asyncio.wait([opening])
    if not _failed(opening):
        await opening.result().close()


def open_clients() -> int:
    """Return how many clients the running event loop shares at present."""
    return len(_clients.get(asyncio.get_running_loop(), {}))
