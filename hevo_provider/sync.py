"""
From sync code into the event loop and back, by asgiref; what is added: an interrupted caller ends its coroutine.

asgiref runs the coroutine in a thread of its own. A signal that raises in the main thread (SIGALRM for a time-out,
SIGTERM) leaves that thread running on, and it could still POST. Here it is cancelled and joined before the exception
goes further.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from asgiref.sync import async_to_sync

P = ParamSpec("P")
T = TypeVar("T")

JOIN_TIMEOUT = 2.0  # seconds: Airflow kills a worker 5 s after its SIGTERM


class BlockingCall:
    """
    One coroutine function's call from sync code; :meth:`cancel` ends it from a signal handler or another thread.

    :param name: of what is called, for the message where it may not block.
    :param instead: what to do there instead.
    """

    def __init__(self, name: str, instead: str = "call it in a thread, with asyncio.to_thread,") -> None:
        self._name = name
        self._instead = instead
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[object] | None = None
        self._ended = threading.Event()

    def run(self, function: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """
        Run ``function`` to its end in an event loop of its own.

        :returns: what it returns.
        :raises RuntimeError: this thread runs an event loop, as a notebook's does, and would stop it.
        """
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            pass
        else:
            raise RuntimeError(f"{self._name} would block the event loop that calls it: {self._instead} there.")

        async def tracked() -> T:
            self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
            self._loop.set_default_executor(_Threads())
            try:
                return await function(*args, **kwargs)
            finally:
                self._ended.set()

        try:
            return async_to_sync(tracked, force_new_loop=True)()
        except BaseException:
            self.cancel()
            raise

    def cancel(self) -> None:
        """Cancel the coroutine if it still runs and wait until it is gone."""
        if self._loop is None or self._task is None or self._ended.is_set():
            return
        try:
            self._loop.call_soon_threadsafe(self._task.cancel)
        except RuntimeError:  # the loop was closed in this very moment
            return
        self._ended.wait(JOIN_TIMEOUT)


class _Threads(ThreadPoolExecutor):
    """The event loop's threads. A look-up in the DNS that hangs must not outlive the time-out of who wanted it."""

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002
        super().shutdown(wait=False, cancel_futures=cancel_futures)
