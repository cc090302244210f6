"""
One client for each connection in an event loop.

Ten thousand triggers share its session, its look-up of the connection and its open TCP connections. It is closed when
the last of them leaves.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from hevo_provider.client import HevoAsyncClient


@dataclass(slots=True)
class _Shared:
    opening: asyncio.Task[HevoAsyncClient]
    users: int = 0


_clients: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Hashable, _Shared]] = WeakKeyDictionary()
_closing: set[asyncio.Task[None]] = set()


@asynccontextmanager
async def shared_client(
    key: Hashable, open_client: Callable[[], Awaitable[HevoAsyncClient]]
) -> AsyncIterator[HevoAsyncClient]:
    """
    Use the event loop's client for ``key``; the first to come opens it, the last to go closes it.

    :param open_client: looks the connection up and makes the client. Raises to all who wait for it.
    """
    clients = _clients.setdefault(asyncio.get_running_loop(), {})
    shared = clients.get(key)
    if shared is None:
        # A task of its own: whoever came first may be cancelled while others still want the client.
        shared = clients[key] = _Shared(asyncio.ensure_future(_opened(open_client)))
    shared.users += 1
    try:
        yield await asyncio.shield(shared.opening)
    finally:
        shared.users -= 1
        if not shared.users or (shared.opening.done() and _failed(shared.opening)):
            if clients.get(key) is shared:
                del clients[key]
            if not shared.users:
                # Airflow 3.3 cancels a cancelled trigger again and again; this must come to its end all the same.
                closing = asyncio.ensure_future(_close(shared.opening))
                _closing.add(closing)
                closing.add_done_callback(_closing.discard)
                await asyncio.shield(closing)


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
