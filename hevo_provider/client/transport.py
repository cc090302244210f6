"""
How a request reaches Hevo and becomes data or a precise exception.

Session, credentials, time-outs and the one retry loop live here. aiohttp follows redirects by default and would carry
credentials along, so that is off; its exceptions print the Authorization header, so they never leave this module.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from enum import Enum, auto
from http import HTTPStatus
from types import TracebackType
from typing import Self, TypeVar
from urllib.parse import urlencode

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from hevo_provider.client.access import Access, Credentials
from hevo_provider.client.budget import TURN, Budget, OnUsage, Purpose, Turn, budget_of
from hevo_provider.client.failures import NO_ANSWER, transport_error_of
from hevo_provider.client.gate import Gate, Passage
from hevo_provider.client.pace import DEFAULT_LIMIT, UNTOLD_REST
from hevo_provider.client.responses import (
    GATEWAY_STATUSES,
    HEADERS_OF_ERRORS,
    LONGEST_ERROR,
    Response,
    raise_for_error,
    read_limited,
)
from hevo_provider.clock import SYSTEM_CLOCK, Clock
from hevo_provider.exceptions import (
    HevoAPIError,
    HevoAuthError,
    HevoConfigError,
    HevoError,
    HevoGatewayError,
    HevoRateLimitError,
    HevoResponseError,
    HevoTransportError,
)

log = logging.getLogger(__name__)

T = TypeVar("T")

MAX_RETRY_PAUSE = 60.0
# Seconds; longer than any usual poll_interval. After aiohttp's own 15 s, what most tasks wait between two polls, each
# poll would open another connection.
KEEP_ALIVE = 120.0
DEFAULT_TIMEOUT = 30.0  # seconds that one request may take
CONNECT_TIMEOUT = 10.0
LONGEST_HEADER = 64 * 1024  # bytes; aiohttp's own 8 KB are less than what a gateway's policies and cookies may take
RETRYABLE_STATUS_CODES = frozenset({429, *GATEWAY_STATUSES, *range(500, 600)})
RENEWALS_APART = 1.0  # seconds from the end of one look-up of the credentials to the next


Reauthenticate = Callable[[], Awaitable[Credentials | Access]]


class Repeatable(Enum):
    """After which failures a request may be sent again. Never: see ``retry_limit=0``."""

    ALWAYS = auto()  # twice is the same as once
    IF_IT_DID_NOT_ARRIVE = auto()  # twice may be two jobs, so only what certainly was not applied is sent again

    def allows(self, error: HevoError) -> bool:
        """Return whether the request may be sent again after an error."""
        if self is Repeatable.ALWAYS:
            return True
        # Over the limit a request is counted before anything is done; of other errors a gateway may have passed it on.
        return isinstance(error, HevoRateLimitError) or (isinstance(error, HevoTransportError) and not error.sent)


class HevoTransport:
    """
    One session with Hevo.

    :param access: where Hevo is and how to get in.
    :param session: an aiohttp session to borrow; it is not closed, and its own proxy is used. None: one is opened, and
        closed by :meth:`close`.
    :param timeout: seconds that one request may take, from the moment it is sent.
    :param retry_limit: how often a request is repeated after a failure that may pass.
    :param retry_delay: seconds before the first repetition; doubles, with full jitter, up to a minute.
    :param longest_pause: seconds; where Hevo asks to wait longer than this, the error is raised instead.
    :param retryable_status_codes: HTTP statuses that are worth a repetition; None: 429, 408, 425, 499 and all 5xx.
    :param reauthenticate: asked for fresh credentials when Hevo refuses the present ones: once for all requests that
        were refused meanwhile. Where it returns an :class:`Access`, requests go where that leads from then on.
    :param on_retry: called for each request that is sent again.
    :param requests_per_minute: Hevo's limit for the key; 0 for none. See :mod:`hevo_provider.client.budget`.
    :param budget: where the limit is shared; None: with all who use the key in this event loop.
    :param on_usage: see :data:`hevo_provider.client.budget.OnUsage`.
    :param clock: where time comes from.
    :raises HevoConfigError: the borrowed session has credentials of its own.
    """

    def __init__(  # noqa: PLR0913 - all but the first have a default
        self,
        access: Access,
        *,
        session: aiohttp.ClientSession | None = None,
        timeout: float = DEFAULT_TIMEOUT,
        retry_limit: int = 3,
        retry_delay: float = 2.0,
        longest_pause: float = MAX_RETRY_PAUSE,
        retryable_status_codes: frozenset[int] | None = None,
        reauthenticate: Reauthenticate | None = None,
        on_retry: Callable[[], None] | None = None,
        requests_per_minute: float = DEFAULT_LIMIT,
        budget: Budget | None = None,
        on_usage: OnUsage | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        if session is not None and session.auth is not None:
            raise HevoConfigError("The session has credentials of its own (auth=), and can send no others beside them.")
        self.clock = clock
        self._session = session
        self._owns_session = session is None
        self._gate = Gate(clock, timeout)
        self._retry_limit = retry_limit
        self._retry_delay = retry_delay
        self._longest_pause = longest_pause
        self._retryable_status_codes = (
            RETRYABLE_STATUS_CODES if retryable_status_codes is None else retryable_status_codes
        )
        self._reauthenticate = reauthenticate
        self._on_retry = on_retry
        self._requests_per_minute = requests_per_minute
        self._on_usage = on_usage
        self._given_budget, self._budget = budget, budget
        self._turn = Turn(Purpose.START)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._renewal: asyncio.Task[None] | None = None
        self._next_renewal = clock.monotonic()
        if session is not None and "proxy" not in access.request_kwargs:
            access = access.with_more({}, {"proxy": None})  # a borrowed session knows its way
        self._use(access)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.base_url}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the session if it was opened here. The client may be used again then, also in another event loop."""
        if self._renewal is not None:
            self._renewal.cancel()
        if self._owns_session and self._session is not None:
            session, self._session = self._session, None
            await session.close()
        self._loop, self._budget, self._gate = None, None, Gate(self.clock, self._gate.timeout)

    async def request(
        self,
        method: str,
        path: str,
        read: Callable[[Response], T],
        *,
        params: Mapping[str, str] | None = None,
        body: object = None,
        repeatable: Repeatable = Repeatable.ALWAYS,
        retry_limit: int | None = None,
        longest_pause: float | None = None,
    ) -> T:
        """
        Send a request until there is an answer that can be read, or no hope of one.

        :param method: the HTTP method.
        :param path: the path below the base URL, already quoted.
        :param read: turns the response into what is returned; its :class:`HevoResponseError` is repeated too.
        :param params: the query.
        :param body: sent as JSON unless None.
        :param repeatable: after which failures it may be sent again.
        :param retry_limit: overrides the transport's own; 0 asks once.
        :param longest_pause: overrides the transport's own.
        :returns: what ``read`` returned.
        :raises HevoError: see :mod:`hevo_provider.exceptions`.
        :raises RuntimeError: the client was used in another event loop before, and not closed.
        """
        self._stay_in_one_event_loop()
        attempts = 1 + (self._retry_limit if retry_limit is None else retry_limit)
        attempt, began_at = 1, self.clock.monotonic()
        while True:
            try:
                return self._read(await self._send_authorized(method, path, params, body), read)
            except (HevoTransportError, HevoResponseError, HevoAPIError) as error:
                pause = self._pause_before_repeating(error, attempt, longest_pause)
                if pause is not None and isinstance(error, HevoRateLimitError):
                    pause = self._if_it_has_patience(pause)
                if pause is None or attempt >= attempts or not repeatable.allows(error):
                    error.tries, error.tried_for = attempt, self.clock.monotonic() - began_at
                    raise
                attempt += 1
                self.count_retry()
                log.info("%s; asking again in %.1f s (%s of %s)", error.text, pause, attempt, attempts)
                await self.clock.sleep(pause)

    def _stay_in_one_event_loop(self) -> None:
        # Session and gate belong to a loop. In another, time-outs would never come: they wait for the first to go on.
        loop = asyncio.get_running_loop()
        if self._loop not in {None, loop}:
            raise RuntimeError(
                "This client of Hevo belongs to the event loop in which it was first used: close it there, or make one "
                "for each event loop."
            )
        self._loop = loop

    def count_retry(self) -> None:
        """Take note of a request that is sent again; also for loops that repeat by themselves."""
        if self._on_retry is not None:
            self._on_retry()

    @property
    def budget(self) -> Budget:
        """What all who use this key in this event loop share."""
        if self._budget is None:
            account, limit = self._access.account, self._requests_per_minute
            self._budget = self._given_budget or budget_of(account, self.clock, limit)
            self._budget.on_usage = self._on_usage or self._budget.on_usage
        return self._budget

    def _if_it_has_patience(self, pause: float) -> float | None:
        turn = TURN.get() or self._turn
        if turn.patience is None:
            return pause
        # Without a budget the gate rests after a refusal: what is left of that holds a worker too.
        pause = max(pause, self._gate.rests_for)
        if turn.waited + pause > turn.patience:
            return None
        turn.waited += pause
        return pause

    async def _wait_for_budget(self, turn: Turn, method: str, path: str, asks: str | None) -> None:
        """
        Wait until Hevo's limit has room.

        :raises HevoRateLimitError: that takes longer than the caller has patience for.
        """
        within = float("inf")
        if turn.patience is not None and self.budget.pace.is_lowered:
            # Only then: a start that reads many pages would be put off for ever by the pace of its own.
            within = max(0.0, turn.patience - turn.waited)
        if self.budget.expected_pause() > within or not await self.budget.enter(turn, within=within, asks=asks):
            what = f"not sent: Hevo allows {self._requests_per_minute:g} requests a minute, and these are used up"
            raise HevoRateLimitError(HTTPStatus.TOO_MANY_REQUESTS, method, path, what)

    def _rest_if_asked(self, error: HevoAPIError, sent_at: float) -> None:
        """Let the client's other requests wait too where Hevo asked this one to."""
        # Hevo counts the requests of a key over all its APIs, 100 a minute, and refuses every further one until the
        # minute has room again: whoever asks meanwhile only spends it.
        if isinstance(error, HevoRateLimitError) and self.budget.limit:
            self.budget.refused(error.retry_after, sent_at)
        elif error.retry_after is not None:
            self._gate.rest(error.retry_after, error)
        elif isinstance(error, HevoRateLimitError):
            self._gate.rest(UNTOLD_REST, error)

    def _pause_before_repeating(self, error: HevoError, attempt: int, longest: float | None) -> float | None:
        """Return the seconds to wait before the request is repeated; None if it should not be."""
        if not isinstance(error, HevoAPIError):
            return backoff(attempt, self._retry_delay)
        status = error.status
        if isinstance(error, HevoGatewayError):
            status = HTTPStatus.BAD_GATEWAY  # it amounts to one
        elif isinstance(error, HevoRateLimitError):
            status = HTTPStatus.TOO_MANY_REQUESTS  # whatever status it came under
        if status not in self._retryable_status_codes:
            return None
        if error.retry_after is None:
            return backoff(attempt, self._retry_delay)
        longest = self._longest_pause if longest is None else longest
        return error.retry_after if error.retry_after <= longest else None

    def _read(self, response: Response, read: Callable[[Response], T]) -> T:
        try:
            return read(response)
        except HevoResponseError:
            redacted = replace(response, body=self._access.all_secrets.of(response.body))
        try:
            return read(redacted)
        except HevoResponseError as error:  # which quotes the answer
            error.sent_at = response.sent_at
            raise

    async def _send_authorized(
        self, method: str, path: str, params: Mapping[str, str] | None, body: object
    ) -> Response:
        """Send once; if the credentials are refused, so that nothing was applied, once more with fresh ones."""
        used = self._access
        try:
            return await self._send(method, path, params, body)
        except HevoAuthError:
            if self._reauthenticate is None:
                raise
            renew = self._reauthenticate
        if self._access is used:  # else another request has renewed them meanwhile
            if self._renewal is None:  # a task of its own: whoever was refused first may be cancelled
                self._renewal = asyncio.ensure_future(self._renew(renew))
                self._renewal.add_done_callback(self._renewal_is_over)
            await asyncio.shield(self._renewal)
        return await self._send(method, path, params, body)

    async def _renew(self, reauthenticate: Reauthenticate) -> None:
        # Thousands may be refused one after another: one look-up of the connection serves them all. None is refused
        # unheard, though, because the key may have been rotated in Hevo first and in the connection only now.
        pause = self._next_renewal - self.clock.monotonic()
        if pause > 0:
            await self.clock.sleep(pause)
        try:
            found = await reauthenticate()
        finally:
            self._next_renewal = self.clock.monotonic() + RENEWALS_APART
        access = found if isinstance(found, Access) else replace(self._access, credentials=found)
        if access != self._access:
            self._use(access)

    def _renewal_is_over(self, renewal: asyncio.Task[None]) -> None:
        self._renewal = None
        if not renewal.cancelled():
            renewal.exception()  # all who waited for it may be gone

    async def _send(self, method: str, path: str, params: Mapping[str, str] | None, body: object) -> Response:
        turn = TURN.get() or self._turn
        asks = asks_for(path, params) if method == "GET" else None
        answer = turn.taken_answer(asks)
        if answer is None:
            if turn.paid:
                turn.paid -= 1
            elif not self.budget.passes(turn):
                await self._wait_for_budget(turn, method, path, asks)
                answer = turn.taken_answer(asks)
        if isinstance(answer, Response):
            return answer
        passage = Passage(self._gate)
        access, sent_at = self._access, None
        try:
            async with passage:
                access = self._access  # only now: it may have been renewed while this request was queued
                sent_at = self.clock.monotonic()
                async with self._request(method, path, params, body) as response:
                    content = await read_limited(response)
            answered = self._response(response, content, access, sent_at, method=method, path=path)
        except HevoError as error:
            if isinstance(error, HevoRateLimitError):
                turn.has_been_refused()
            error.sent_at = sent_at
            raise
        except NO_ANSWER as error:
            allowed = min(passage.ended_after or self._gate.timeout, self._gate.timeout)
            failure = transport_error_of(error, request=f"{method} {path}", way=access.way, timeout=allowed)
        else:
            if asks is not None:
                self.budget.share(asks, answered, answered.sent_at)
            return answered
        failure.sent_at = sent_at
        raise failure  # here, so that aiohttp's exception is not even its context

    def _response(
        self,
        response: aiohttp.ClientResponse,
        content: bytes,
        access: Access,
        sent_at: float,
        *,
        method: str,
        path: str,
    ) -> Response:
        if response.status < HTTPStatus.BAD_REQUEST:
            self.budget.pace.answered()
        if response.status == HTTPStatus.OK:
            return Response(access.secrets.of(content), response.headers.get("Date"), sent_at)
        content = access.all_secrets.of(content[:LONGEST_ERROR])
        headers = {name: access.redacted(response.headers.get(name, "")) for name in HEADERS_OF_ERRORS}
        try:
            raise_for_error(response.status, headers, content, method=method, path=path, way=access.way)
        except HevoAPIError as error:
            self._rest_if_asked(error, sent_at)
            raise
        return Response(content, response.headers.get("Date"), sent_at)

    def _request(
        self, method: str, path: str, params: Mapping[str, str] | None, body: object
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        headers, data, kwargs = self._auth_headers, None, self._request_kwargs
        if body is not None:
            headers = CIMultiDict(headers)
            headers["Content-Type"] = "application/json"
            data = json.dumps(body).encode()
        elif method != "GET":  # aiohttp would call nothing a byte stream
            kwargs = kwargs | {"skip_auto_headers": ("Content-Type",)}
        return self._open_session().request(
            method, URL(self.base_url + path, encoded=True), params=params, data=data, headers=headers, **kwargs
        )

    @property
    def base_url(self) -> str:
        """Where this transport's requests go at present."""
        return self._access.base_url

    @property
    def host(self) -> str:
        """The host that this transport talks to at present."""
        return self._access.host

    @property
    def way(self) -> str:
        """Where requests go at present and through which proxy, in words."""
        return self._access.way

    def _use(self, access: Access) -> None:
        self._access, self._budget = access, None
        self._auth_headers = access.all_headers()
        self._request_kwargs = {
            "max_line_size": LONGEST_HEADER,
            "max_field_size": LONGEST_HEADER,
            **access.request_kwargs,
            "proxy": access.proxy,
            "allow_redirects": False,
            "auto_decompress": False,
            "raise_for_status": False,  # whatever a borrowed session does
        }

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                # The gate bounds both: aiohttp's limit counts the wait for a connection as time that the request takes,
                # and lets requests that hang keep the others out.
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE),
                timeout=aiohttp.ClientTimeout(total=None, connect=min(self._gate.timeout, CONNECT_TIMEOUT)),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session


def asks_for(path: str, params: Mapping[str, str] | None = None) -> str:
    """Return path and query of a GET, by which it is told that two ask for the same."""
    return f"{path}?{urlencode(params)}" if params else path


def backoff(attempt: int, first: float, limit: float = MAX_RETRY_PAUSE) -> float:
    """Return a random pause in seconds before repetition ``attempt`` (from 1): up to ``first``, doubled each time."""
    return random.uniform(0, min(limit, first * 2.0 ** min(attempt - 1, 30)))  # noqa: S311 - spreads load, guards nothing
