"""
Workers and triggerers that die, at any step that can be told from outside.

A step is a request before it is sent, one that was sent and is not yet answered for the sender, a pause, or a call to
Airflow (the task state store, XCom). Like a process after ``kill -9``, the dead do nothing more: a further step dies
too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import aiohttp
import pytest

from hevo_provider.clock import Clock
from tests.stage.tasks import StateStore, TaskInstance


class Killed(BaseException):
    """The process is gone."""


class Life:
    """
    One process from its start to its end.

    :param steps: how many it takes before it dies; None: it lives as long as it wants.
    :param main: of a triggerer: the task to cancel, which is what the death of one looks like to its trigger; a worker
        has none.
    """

    def __init__(self, steps: int | None = None, main: asyncio.Task[Any] | None = None) -> None:
        self.left = steps
        self.main = main
        self.dead = False

    def step(self) -> None:
        """Take a step in sync code, or die."""
        if self._is_over():
            raise Killed

    async def astep(self) -> None:
        """Take a step in a coroutine, or die."""
        if not self._is_over():
            return
        if self.main is None:
            raise Killed
        self.main.cancel()
        await asyncio.Event().wait()

    def _is_over(self) -> bool:
        if self.left is not None and not self.dead:
            self.left -= 1
            self.dead = self.left < 0
        return self.dead


_life: ContextVar[Life | None] = ContextVar("life", default=None)


@contextmanager
def living(life: Life) -> Iterator[Life]:
    """Let all that happens in this context belong to one process."""
    token = _life.set(life)
    try:
        yield life
    finally:
        _life.reset(token)


def step() -> None:
    """Take a step of the present process, in sync code."""
    life = _life.get()
    if life is not None:
        life.step()


async def astep() -> None:
    """Take a step of the present process, in a coroutine."""
    life = _life.get()
    if life is not None:
        await life.astep()


class MortalStore(StateStore):
    """A task state store whose caller may die before or after the call."""

    def get(self, key: str) -> Any:
        step()
        return super().get(key)

    def set(self, key: str, value: Any) -> None:
        step()
        super().set(key, value)
        step()

    def delete(self, key: str) -> None:
        step()
        super().delete(key)  # the last that a task does: what comes after is Airflow's


class MortalTaskInstance(TaskInstance):
    """A task instance whose worker may die before or after it pushes an XCom."""

    def xcom_push(self, key: str, value: Any) -> None:
        step()
        super().xcom_push(key, value)
        step()


def mortal(clock: Clock) -> Clock:
    """Return the clock, for processes that may die while they sleep."""

    async def sleep(seconds: float) -> None:
        await astep()
        await clock.sleep(seconds)

    return Clock(now=clock.now, monotonic=clock.monotonic, sleep=sleep)


Send = Callable[..., Awaitable[aiohttp.ClientResponse]]


def make_requests_mortal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let processes die before a request, or after Hevo has got it and before they know the answer."""
    send: Send = aiohttp.ClientSession._request

    async def send_or_die(session: aiohttp.ClientSession, *args: Any, **kwargs: Any) -> aiohttp.ClientResponse:
        await astep()
        response = await send(session, *args, **kwargs)
        try:
            await astep()
        except BaseException:
            response.close()
            raise
        return response

    monkeypatch.setattr(aiohttp.ClientSession, "_request", send_or_die)
