"""
Workers and triggerers that die, at any step that can be told from outside.

A step is a request before it is sent, one that was sent and is not yet answered for the sender, a pause, or a call to
Airflow (the task state store, XCom). Like a process after ``kill -9``, the dead do nothing more: a further step dies
too.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from traceback import walk_stack
from typing import Any

import aiohttp
import pytest
from yarl import URL

from hevo_provider.clock import Clock
from hevo_provider.sandbox.api import match
from tests.stage.tasks import StateStore, TaskInstance, deferred, work


class Killed(BaseException):
    """The process is gone."""


class Life:
    """
    One process from its start to its end.

    :param steps: how many it takes before it dies; None: it lives as long as it wants.
    :param main: of a triggerer: the task to cancel, which is what the death of one looks like to its trigger; a worker
        has none.
    :param before: the route of the first request that it does not live to send.
    :param after: the route of a request that has to be sent before that; None: the very first one counts.
    """

    def __init__(
        self,
        steps: int | None = None,
        main: asyncio.Task[Any] | None = None,
        before: str | None = None,
        after: str | None = None,
    ) -> None:
        self.left = steps
        self.main = main
        self.before = before
        self.after = after
        self.dead = False

    def step(self) -> None:
        """Take a step in sync code, or die."""
        if self._is_over(None):
            raise Killed

    async def astep(self, route: str | None = None) -> None:
        """Take a step in a coroutine, or die."""
        if not self._is_over(route):
            return
        if self.main is None:
            raise Killed
        self.main.cancel()
        await asyncio.Event().wait()

    def _is_over(self, route: str | None) -> bool:
        if self.left is not None and not self.dead:
            self.left -= 1
            self.dead = self.left < 0
        if route is not None and route == self.after:
            self.after = None
        self.dead = self.dead or (self.after is None and route is not None and route == self.before)
        return self.dead


class LifeToAnotherEnd(Life):
    """
    A worker's life that ends at the first step where none has ended before: a line of code, reached in the same way.

    :param ends: where lives have ended; this one's is added.
    """

    def __init__(self, ends: set[Hashable]) -> None:
        super().__init__()
        self.ends = ends

    def _is_over(self, route: str | None) -> bool:
        if not self.dead:
            here = tuple((frame.f_code, line) for frame, line in walk_stack(sys._getframe()))
            self.dead = here not in self.ends
            self.ends.add(here)
        return self.dead


_life: ContextVar[Life | None] = ContextVar("life", default=None)


@contextmanager
def living(life: Life) -> Iterator[Life]:
    """
    Let all that happens in this context belong to one process.

    :raises Killed: it is a worker and has died, whatever its code made of that.
    """
    token = _life.set(life)
    try:
        yield life
    except BaseException as death:
        if life.main is None and life.dead and not isinstance(death, Killed):
            raise Killed from death
        raise
    finally:
        _life.reset(token)


def step() -> None:
    """Take a step of the present process, in sync code."""
    life = _life.get()
    if life is not None:
        life.step()


async def astep(route: str | None = None) -> None:
    """
    Take a step of the present process, in a coroutine.

    :param route: of the request that the step is to send.
    """
    life = _life.get()
    if life is not None:
        await life.astep(route)


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

    async def send_or_die(
        session: aiohttp.ClientSession, method: str, url: URL, **kwargs: Any
    ) -> aiohttp.ClientResponse:
        await astep(match(method, url.raw_path)[0])
        response = await send(session, method, url, **kwargs)
        try:
            await astep()
        except BaseException:
            response.close()
            raise
        return response

    monkeypatch.setattr(aiohttp.ClientSession, "_request", send_or_die)


def lose_worker(task: Any, ti: TaskInstance, *, before: str | None = None, after: str | None = None) -> None:
    """
    Let a worker run a task's first process, and be killed.

    :param ti: on a store that knows of death, so that the dead put nothing on record.
    :param before: the route of the request that it was about to send; None: it was about to tell Airflow that the task
        defers, having told the task state store.
    :param after: the route of a request that it had sent by then.
    """
    if before is None:
        deferred(task, ti)  # which nobody hears of
        return
    assert isinstance(ti.store, MortalStore)
    with pytest.MonkeyPatch.context() as until_then:
        make_requests_mortal(until_then)
        with pytest.raises(Killed), living(Life(before=before, after=after)):
            work(lambda: task.execute(ti.context))
