"""The sandbox itself: the API's endpoints behind a local server, with its switches, faults and record."""

from __future__ import annotations

import json
import random
import time
from base64 import b64encode
from collections import deque
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from aiohttp import web

from hevo_provider.sandbox.api import LARGEST_LIMIT, ROUTES, UNKNOWN_ROUTE, Answer, Api, Call, match, numeric_id
from hevo_provider.sandbox.control import ControlPage
from hevo_provider.sandbox.faults import Fault, FaultQueue, error_body
from hevo_provider.sandbox.limit import WINDOW, Limit, Window
from hevo_provider.sandbox.pipelines import RUNNABLE_STATUS, Order, SandboxPipeline
from hevo_provider.sandbox.requests import Request
from hevo_provider.sandbox.server import LocalServer
from hevo_provider.sandbox.wire import Wire
from hevo_provider.sandbox.world import World, known

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_LATEST_REQUESTS = 200


class Sandbox(LocalServer, Api):
    """
    A local Hevo.

    ``with Sandbox() as hevo`` serves from a thread of its own, ``async with Sandbox() as hevo`` from the running event
    loop. Its state may be read and changed from any thread at any time. Stopped and started again, it keeps its state
    and its port.

    :param host: address to listen on.
    :param port: 0 takes a free one.
    :param key: API key, and ``secret`` its secret, that requests must carry; both may be assigned to rotate them.
    :param clock: gives epoch seconds; everything that takes time follows it, and so does the ``Date`` header.
    :param max_page: most items on a page, whatever limit was asked for; assignable, like ``action_answer`` and
        ``resync_body``, ``object_resync_body`` and ``object_path`` (see :class:`Api`).
    :param seed: makes ids and so the shuffled order reproducible.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        key: str = "sandbox-key",
        secret: str = "sandbox-secret",  # noqa: S107 - opens nothing but the sandbox
        clock: Callable[[], float] = time.time,
        max_page: int = LARGEST_LIMIT,
        seed: int | None = None,
    ) -> None:
        LocalServer.__init__(self, self._respond, host, port)
        Api.__init__(self, max_page=max_page)
        self.unauthorized = False
        """True: every request is answered 401."""
        self.fault_source: Callable[[str], Fault | None] | None = None
        """Asked for a fault, with the route's name, where none is queued."""
        self._limit: Limit | None = None
        self.foreign_requests = 0.0
        """How many a minute somebody else sends with the same key, evenly."""
        self.on_request: Callable[[Request], None] | None = None
        """Called with each request, in the server's thread."""
        self.has_page = True
        """False: at the addresses of its page and of its calls is what other addresses have."""
        self.recording = True
        """False: requests are not kept, for long runs."""
        self.requests: list[Request] = []
        self.latest_requests: deque[Request] = deque(maxlen=_LATEST_REQUESTS)
        """The last of them, kept in any case: what the page shows."""
        self._world = World(clock, random=random.Random(seed))  # noqa: S311 - ids, not secrets
        self._wire = Wire()
        self._faults = FaultQueue()
        self._window = Window()
        self._key, self._secret = key, secret
        self._set_credentials()
        self._control = ControlPage(self, self._world)
        self._complete = True

    @property
    def key(self) -> str:
        """The API key that requests must carry."""
        return self._key

    @key.setter
    def key(self, key: str) -> None:
        self._key = key
        self._set_credentials()

    @property
    def secret(self) -> str:
        """The API secret that requests must carry."""
        return self._secret

    @secret.setter
    def secret(self, secret: str) -> None:
        self._secret = secret
        self._set_credentials()

    def _set_credentials(self) -> None:
        self._authorization = "Basic " + b64encode(f"{self._key}:{self._secret}".encode()).decode()

    @property
    def limit(self) -> Limit | None:
        """Of requests with the key in any 60 seconds; None for none. Those without the right key do not count."""
        return self._limit

    @limit.setter
    def limit(self, limit: Limit | None) -> None:
        if limit is not None and not isinstance(limit, Limit):
            raise TypeError(f"{limit!r} is no Limit; make one with Limit({limit!r}), or set None")
        self._limit = limit

    @property
    def clock(self) -> Callable[[], float]:
        """The clock that all of the sandbox follows."""
        return self._world.clock

    @clock.setter
    def clock(self, clock: Callable[[], float]) -> None:
        self._world.clock = clock

    def add_pipeline(  # noqa: PLR0913 - each of them is one way in which pipelines differ
        self,
        id: int,  # noqa: A002 - the API calls it so
        *,
        status: str = RUNNABLE_STATUS,
        name: str | None = None,
        appear_after: float = 5.0,
        duration: float | None = 10.0,
        ends: str = "COMPLETED",
        first_ends: Sequence[str] = (),
        parallel_jobs: bool = False,
        refusal: int = 409,
        refusal_message: str | None = None,
        restarting_for: float = 0.0,
        baseline_lag: float | None = None,
        sync_brings: Sequence[str] = ("INCREMENTAL",),
        job_type_names: dict[str, str] | None = None,
        job_status_names: dict[str, str] | None = None,
        order: Order = "desc",
        fields: dict[str, Any] | None = None,
    ) -> SandboxPipeline:
        """
        Add a pipeline, or replace the one with that id.

        For the parameters see :class:`SandboxPipeline`.
        """
        pipeline = SandboxPipeline(
            self._world,
            id,
            status=status,
            name=name,
            appear_after=appear_after,
            duration=duration,
            ends=ends,
            first_ends=first_ends,
            parallel_jobs=parallel_jobs,
            refusal=refusal,
            refusal_message=refusal_message,
            restarting_for=restarting_for,
            baseline_lag=baseline_lag,
            sync_brings=sync_brings,
            job_type_names=job_type_names,
            job_status_names=job_status_names,
            order=order,
            fields=fields,
        )
        with self._world.lock:
            self.pipelines[id] = pipeline
        return pipeline

    def inject(self, route: str, *faults: Fault, times: int | None = 1, seconds: float | None = None) -> None:
        """
        Queue faults for a route; each request that matches takes the next one.

        :param route: a name from ``ROUTES``, or ``"*"`` for any request that has no fault of its own queued.
        :param times: how often the faults are gone through; None: for ever.
        :param seconds: go through them again and again for so long, by the sandbox's clock; ``times`` does not matter.
        :raises ValueError: there is no such route, or no fault.
        :raises TypeError: what is to be injected is no fault.
        """
        known("route", route, (*ROUTES, "*"))
        for fault in faults:
            if not isinstance(fault, Fault):
                raise TypeError(f"{fault!r} is no Fault; make one with Fault.status(503), Fault.hang() and the like")
        if not faults or (times is not None and times < 1):
            raise ValueError("There is no fault to inject")
        with self._world.lock:
            until = None if seconds is None else self._world.clock() + seconds
            self._faults.add(route, faults, times if until is None else None, until)

    def clear_faults(self, route: str | None = None) -> None:
        """Forget the faults queued for a route (``"*"`` is one of its own), or (None) all of them."""
        known("route", "*" if route is None else route, (*ROUTES, "*"))
        with self._world.lock:
            self._faults.clear(route)

    def waiting_faults(self) -> list[tuple[str, Fault, float | None]]:
        """Return the faults that are queued: route, the next fault, and epoch seconds at which they end, if they do."""
        with self._world.lock:
            return self._faults.waiting(self._world.clock())

    def requests_in_the_last_minute(self) -> int:
        """Return how many of the latest requests came in the last 60 seconds."""
        with self._world.lock:
            since = self._world.clock() - WINDOW
            return sum(request.at > since for request in self.latest_requests)

    def requests_of(self, *routes: str) -> list[Request]:
        """
        Return the recorded requests of these routes, in order of arrival.

        :raises ValueError: there is no such route.
        """
        for route in routes:
            known("route", route, (*ROUTES, UNKNOWN_ROUTE))
        with self._world.lock:
            return [request for request in self.requests if request.route in routes]

    def reset_record(self) -> None:
        """Forget the recorded requests and the number of connections."""
        with self._world.lock:
            self.requests.clear()
            self.connections_opened = 0

    async def _respond(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request, with the next fault for its route if there is one."""
        raw_body = await request.read() if request.can_read_body else b""
        target = request.raw_path
        if not target.startswith("/"):
            # The absolute form, as it is sent to a proxy.
            target = "/" + target.partition("://")[2].partition("/")[2]
        path, _, query_string = target.partition("?")
        query = dict(parse_qsl(query_string, keep_blank_values=True)) if query_string else {}
        shown = self._control.answer(request.method, path, query) if self.has_page else None
        if shown is not None:
            return web.Response(status=shown.status, headers=shown.headers, body=shown.body)
        route, pipeline_id, sub_id = match(request.method, path)
        call = Call(route, pipeline_id, sub_id, query, _decoded(raw_body))
        with self._world.lock:
            now = self._world.clock()
            authorized = not self.unauthorized and request.headers.get("Authorization") == self._authorization
            fault = self._refusal(now) if authorized else None
            if fault is None:
                fault = self._faults.next(route, now)
            if fault is None and self.fault_source is not None:
                fault = self.fault_source(route)
            answer = self._authorized_answer(call, authorized=authorized) if fault is None or fault.applies else None
            self._record(request, call, path, answer, fault, now, authorized=authorized)
        return await self._wire.send(request, answer, fault, now)

    def _refusal(self, now: float) -> Fault | None:
        """Count a request; return what it is told if it is over the limit."""
        return self._window.refusal(self.limit, now, self.foreign_requests)

    def _authorized_answer(self, call: Call, *, authorized: bool) -> Answer:
        if not authorized:
            return Answer(401, error_body(401, "The API key or secret is not valid"))
        return self.answer(call)

    def _record(
        self,
        request: web.BaseRequest,
        call: Call,
        path: str,
        answer: Answer | None,
        fault: Fault | None,
        now: float,
        *,
        authorized: bool,
    ) -> None:
        if fault is None or fault.kind == "normal":
            status = answer.status if answer is not None else None
        else:
            status = fault.code if fault.kind in {"answer", "flood"} else None
        job_id = call.sub_id if "job" in call.route else None
        entry = Request(
            route=call.route,
            method=request.method,
            path=path,
            query=call.query,
            status=status,
            at=now,
            authorized=authorized,
            body=call.body,
            headers=request.headers,
            pipeline_id=numeric_id(call.pipeline_id),
            job_id=job_id or (answer.job_id if answer is not None else None),
            fault=fault,
            applied=answer is not None and authorized and call.route != UNKNOWN_ROUTE,
        )
        self.latest_requests.append(entry)
        if self.recording:
            self.requests.append(entry)
        if self.on_request is not None:
            self.on_request(entry)


def _decoded(body: bytes) -> Any:
    if not body:
        return None
    try:
        return json.loads(body)
    except ValueError:
        return body
