"""
How one question is put to Hevo, and what came back is kept.

Not through ``HevoAsyncClient``: that one repeats requests, turns answers into models and errors into exceptions, and
tells no header but ``Date``. Here the raw answer is what is wanted, and each request counts. What the client does for
safety holds here too: the credentials go into one header, to the checked base URL, and no redirect is followed.
"""

from __future__ import annotations

import json
import ssl
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import SimpleNamespace, TracebackType
from typing import Any, Self
from urllib.parse import quote

import aiohttp
from yarl import URL

from hevo_provider.client.access import Access
from hevo_provider.client.failures import NO_ANSWER, transport_error_of
from hevo_provider.client.responses import printable, read_limited
from hevo_provider.clock import Clock
from hevo_provider.doctor.exchange import Call, Exchange, Question
from hevo_provider.doctor.redaction import Redaction
from hevo_provider.exceptions import HevoResponseError

MOST_REQUESTS = 60
WINDOW = 60.0  # seconds in which Hevo counts requests
APART = 1.0  # seconds from one request to the next: sixty a minute, so that others who use the key have some too
LONGEST_REST = 120.0  # seconds; where Hevo asks for a longer one, the doctor stops
UNTOLD_REST = 61.0  # seconds after which the window has room again
MOST_RESTS = 3
PAUSE_BEFORE_REPEATING = 5.0  # seconds
LONGEST_WORDS = 300  # characters of an error

_PATHS = {
    Call.PIPELINES: "/api/v1/pipelines",
    Call.PIPELINE: "/api/v1/pipelines/{id}",
    Call.MISSING_PIPELINE: "/api/v1/pipelines/{id}",
    Call.JOBS: "/api/v1/pipelines/{id}/jobs",
    Call.JOB: "/api/v1/pipelines/{id}/jobs/{item}",
    Call.MISSING_JOB: "/api/v1/pipelines/{id}/jobs/{item}",
    Call.JOB_OBJECTS: "/api/v1/pipelines/{id}/jobs/{item}/objects",
    Call.OBJECTS: "/api/v1/pipelines/{id}/objects",
    Call.OBJECT: "/api/v1/pipelines/{id}/objects/{item}",
    Call.OBJECT_BY_NAME: "/api/v1/pipelines/{id}/objects/{item}",
    Call.PAGE: "/pipeline/{id}/overview",
    Call.MISSING_PAGE: "/{item}",
    Call.SYNC: "/api/v1/pipelines/{id}/actions/sync-now",
}
_WITHOUT_CREDENTIALS = {Call.PAGE, Call.MISSING_PAGE}  # the web UI is not the API


class NoMoreRequestsError(Exception):
    """What may be asked has been asked, or Hevo does not want to be asked. The message says which."""


class Asker:
    """
    Puts questions to Hevo, one at a time.

    :param access: where Hevo is, and the credentials.
    :param timeout: seconds that one request may take.
    :param clock: where time comes from.
    :param on_request: called before each request, with how many were sent before it, and what is asked now.
    """

    def __init__(self, access: Access, *, timeout: float, clock: Clock, on_request: Callable[[int, str], None]) -> None:
        self.clock = clock
        self.exchanges: list[Exchange] = []
        self._access = access
        self._timeout = timeout
        self._on_request = on_request
        self._redaction = Redaction(access)
        self._sent: deque[float] = deque()
        self._rests = 0
        self._apart = APART

    async def __aenter__(self) -> Self:
        self._connector = _Connector()
        self._session = aiohttp.ClientSession(
            connector=self._connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=self._timeout),
            trace_configs=[_each_sent_once()],
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._session.close()

    @property
    def left(self) -> int:
        """How many requests may still be sent."""
        return MOST_REQUESTS - len(self.exchanges)

    async def ask(self, question: Question) -> Exchange:
        """
        Ask until there is an answer; a question that got none, or a gateway's, is repeated once, a POST never.

        :raises NoMoreRequestsError: no more may be sent, or Hevo does not want to be asked.
        """
        repeated = False
        while True:
            exchange = await self._once(question)
            if question.call is Call.SYNC:
                return exchange
            if exchange.is_over_the_limit:
                await self._rest(exchange)
            elif repeated or not exchange.has_failed:
                return exchange
            else:
                repeated = True
                await self.clock.sleep(PAUSE_BEFORE_REPEATING)

    async def _rest(self, exchange: Exchange) -> None:
        self._rests += 1
        # Others use the key too, or less is allowed: what was too much in a minute is spread over more than one.
        self._apart = max(self._apart, 1.1 * WINDOW / max(1, exchange.sent_before))
        told = exchange.headers.get("retry-after", "").strip()
        seconds = float(told) if told.isascii() and told.isdigit() else UNTOLD_REST
        if self._rests > MOST_RESTS or seconds > LONGEST_REST:
            raise NoMoreRequestsError("Hevo's limit was met again and again, or for too long")
        await self.clock.sleep(seconds)

    async def _once(self, question: Question) -> Exchange:
        if self.left <= 0:
            raise NoMoreRequestsError(f"{MOST_REQUESTS} requests were sent, which is all that the doctor may")
        if self._sent:
            await self.clock.sleep(max(0.0, self._sent[-1] + self._apart - self.clock.monotonic()))
        self._on_request(len(self.exchanges), question.call)
        now = self.clock.monotonic()
        while self._sent and self._sent[0] <= now - WINDOW:
            self._sent.popleft()
        before = len(self._sent)
        self._sent.append(now)
        answer = await self._send(question)
        exchange = replace(answer, seconds=self.clock.monotonic() - now, at=self.clock.now(), sent_before=before)
        self.exchanges.append(exchange)
        return exchange

    async def _send(self, question: Question) -> Exchange:
        path = _path_of(question)
        method = "POST" if question.call is Call.SYNC else "GET"
        headers = self._access.all_headers()
        if question.call in _WITHOUT_CREDENTIALS:
            headers = headers.__class__({"User-Agent": headers["User-Agent"], "Accept": "text/html"})
        kwargs = {
            **self._access.request_kwargs,
            "proxy": self._access.proxy,
            "allow_redirects": False,
            "auto_decompress": False,
        }
        url = URL(self._access.base_url + path, encoded=True)
        try:
            async with self._session.request(
                method,
                url,
                params=question.params,
                headers=headers,
                skip_auto_headers=("Content-Type",),
                trace_request_ctx=[],
                **kwargs,
            ) as response:
                content = await read_limited(response)
        except NO_ANSWER as error:
            failure = str(self._failure(error, f"{method} {path}"))
        except HevoResponseError as error:
            failure = str(error)
        else:
            return self._exchange(question, response, content, self._connector.tls)
        return Exchange(question, failure=self._redaction(failure))

    def _failure(self, error: Exception, request: str) -> Exception:
        return transport_error_of(error, request=request, way=self._access.way, timeout=self._timeout)

    def _exchange(
        self, question: Question, response: aiohttp.ClientResponse, content: bytes, tls: str | None
    ) -> Exchange:
        is_well = response.status // 100 == 2  # noqa: PLR2004 - hundreds of a status
        content = (self._access.secrets if is_well else self._access.all_secrets).of(content)
        value, is_json = _decoded(content)
        return Exchange(
            question,
            status=response.status,
            value=value,
            is_json=is_json,
            headers={name.lower(): self._redaction(value) for name, value in response.headers.items()},
            words=self._redaction(_words_of(value, content)) if not is_well or not is_json else "",
            tls=tls,
        )


class _Connector(aiohttp.TCPConnector):
    """Remembers the TLS of the connection it handed out last: a response that is read has let go of its own."""

    tls: str | None = None

    async def connect(self, *args: Any, **kwargs: Any) -> Any:
        connection = await super().connect(*args, **kwargs)
        transport = connection.transport
        socket = transport.get_extra_info("ssl_object") if transport is not None else None
        self.tls = socket.version() if isinstance(socket, ssl.SSLObject) else None
        return connection


def _each_sent_once() -> aiohttp.TraceConfig:
    """Keep aiohttp from sending a GET again by itself where the connection breaks: each request is counted."""

    async def count(
        _: aiohttp.ClientSession, context: SimpleNamespace, __: aiohttp.TraceRequestHeadersSentParams
    ) -> None:
        context.trace_request_ctx.append(True)
        if len(context.trace_request_ctx) > 1:
            raise aiohttp.ServerDisconnectedError

    trace = aiohttp.TraceConfig()
    trace.on_request_headers_sent.append(count)
    return trace


def _path_of(question: Question) -> str:
    item = quote(question.item or "", safe="")
    return _PATHS[question.call].format(id=question.pipeline_id, item=item)


def _decoded(content: bytes) -> tuple[Any, bool]:
    try:
        return json.loads(content, parse_constant=_no_number), True
    except (ValueError, RecursionError):
        return None, False


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _words_of(value: Any, content: bytes) -> str:
    """Return what an answer says about itself; of a page that is no JSON, its beginning."""
    if isinstance(value, Mapping):
        texts = [value[name] for name in ("error", "message", "detail") if isinstance(value.get(name), str)]
        return printable(": ".join(texts), LONGEST_WORDS)
    return printable(content[:LONGEST_WORDS].decode("utf-8", "replace"), LONGEST_WORDS)
