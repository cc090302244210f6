"""A server on loopback, in a thread of its own or in the running event loop, that can be stopped and started again."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Self

from aiohttp import web

if TYPE_CHECKING:
    from types import TracebackType

# Longer than any poll interval: the sandbox is never the one that closes an idle connection.
_KEEP_ALIVE_SECONDS = 3600.0
_BACKLOG = 4096
# aiohttp takes 0 for "no limit", and hung requests would hold it for ever.
_SHUTDOWN_SECONDS = 0.01
_LOOP_TURNS = 5


Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class LocalServer:
    """
    The life of a server.

    :param handle: answers one request.
    :param host: address to listen on.
    :param port: 0 takes a free one.
    """

    def __init__(self, handle: Handler, host: str, port: int) -> None:
        self._handle = handle
        self.host = host
        self.port = port
        self.connections_opened = 0
        self._listener: asyncio.Server | None = None
        self._server: web.Server | None = None
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop_requested: asyncio.Event | None = None

    @property
    def url(self) -> str:
        """The base URL, once the server has been started."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    @property
    def connections_open(self) -> int:
        """How many TCP connections are open now."""
        return len(self._server.connections) if self._server is not None else 0

    def start(self) -> Self:
        """Serve from a thread of its own; return when requests are answered."""
        if self._thread is not None or self._listener is not None:
            raise RuntimeError("The server is running already")
        started: Future[None] = Future()
        self._thread = threading.Thread(target=self._run_in_thread, args=(started,), name="hevo-sandbox", daemon=True)
        self._thread.start()
        try:
            started.result()
        except BaseException:
            self._thread.join()
            self._thread = None
            raise
        return self

    def stop(self) -> None:
        """Cut all connections and stop listening; does nothing if it is not running."""
        if self._thread is None:
            return
        if self._loop is not None and self._stop_requested is not None:
            self._loop.call_soon_threadsafe(self._stop_requested.set)
        self._thread.join()
        self._thread = None

    def _run_in_thread(self, started: Future[None]) -> None:
        asyncio.run(self._serve_until_stopped(started))

    async def _serve_until_stopped(self, started: Future[None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop_requested = asyncio.Event()
        try:
            await self.start_async()
        except Exception as error:  # noqa: BLE001 - whatever it is, start() raises it
            started.set_exception(error)
            return
        started.set_result(None)
        try:
            await self._stop_requested.wait()
        finally:
            await self.stop_async()

    async def start_async(self) -> Self:
        """Serve from the running event loop."""
        if self._listener is not None:
            raise RuntimeError("The server is running already")
        server = web.Server(
            self._handle, handler_cancellation=True, access_log=None, keepalive_timeout=_KEEP_ALIVE_SECONDS
        )

        def connect() -> asyncio.Protocol:
            self.connections_opened += 1
            return server()

        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(connect, self.host, self.port, backlog=_BACKLOG)
        self._server = server
        self.port = self._listener.sockets[0].getsockname()[1]
        return self

    async def stop_async(self) -> None:
        """Cut all connections and stop listening."""
        listener, server = self._listener, self._server
        self._listener = self._server = None
        if listener is not None:
            # asyncio leaks a connection whose accept is under way when the listener closes: accept no more, let those
            # that were accepted reach the server, and only then close.
            for each in listener.sockets:
                # A loop that watches no file descriptors, as that of Windows, has no reader and says so.
                with contextlib.suppress(NotImplementedError):
                    asyncio.get_running_loop().remove_reader(each.fileno())
            await _turn_loop()
            listener.close()
        if server is not None:
            await server.shutdown(_SHUTDOWN_SECONDS)
            await _turn_loop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        return await self.start_async()

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop_async()


async def _turn_loop() -> None:
    for _ in range(_LOOP_TURNS):
        await asyncio.sleep(0)
