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
import re
from base64 import b64encode
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from ipaddress import ip_address
from types import TracebackType
from typing import Any, Self, TypeVar

import aiohttp
from yarl import URL

from hevo_provider.clock import SYSTEM_CLOCK, Clock
from hevo_provider.exceptions import (
    HevoAPIError,
    HevoAuthError,
    HevoConfigError,
    HevoConflictError,
    HevoError,
    HevoNotFoundError,
    HevoRateLimitError,
    HevoResponseError,
    HevoServerError,
    HevoTimeoutError,
    HevoTransportError,
)

log = logging.getLogger(__name__)

T = TypeVar("T")

MAX_BODY = 10 * 1024 * 1024
MAX_RETRY_PAUSE = 60.0
KEEP_ALIVE = 120.0  # seconds; longer than any usual poll_interval, so that a poll finds its connection open
RETRYABLE_STATUS_CODES = frozenset({429, *range(500, 600)})
_SUCCESS, _REDIRECT, _SERVER_ERROR = 2, 3, 5  # hundreds of HTTP statuses
_RUNNING_JOB_WORDS = re.compile(r"in[ _-]?progress|already|running|active|busy|conflict", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Credentials:
    """An API key and its secret. Neither shows in the repr."""

    key: str = field(repr=False)
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Reply:
    """
    What came back for one request that was answered well.

    :param body: the undecoded body.
    :param date: the ``Date`` header: Hevo's clock when it answered.
    """

    status: int
    body: bytes
    date: str | None

    @property
    def server_time(self) -> int | None:
        """Hevo's clock when it answered, in milliseconds since the epoch, whole seconds; None if it did not say."""
        return _milliseconds(self.date)


Reauthenticate = Callable[[], Awaitable[Credentials]]


class HevoTransport:
    """
    One session with Hevo.

    :param base_url: ``https://us.hevodata.com`` or the like. Plain http is only accepted for a loopback address.
    :param credentials: what to authenticate with.
    :param session: an aiohttp session to borrow; it is not closed. None: one is opened, and closed by :meth:`close`.
    :param timeout: seconds that one request may take, from the moment it is sent.
    :param retry_limit: how often a request is repeated after a failure that may pass.
    :param retry_delay: seconds before the first repetition; doubles, with full jitter, up to a minute.
    :param longest_pause: seconds; where Hevo asks to wait longer than this, the error is raised instead.
    :param retryable_status_codes: HTTP statuses that are worth a repetition.
    :param headers: sent with every request.
    :param request_kwargs: handed to aiohttp with every request, such as ``proxy`` or ``ssl``.
    :param reauthenticate: asked once for fresh credentials when Hevo refuses the present ones.
    :param clock: where time comes from.
    :raises HevoConfigError: the URL or the credentials cannot be used.
    """

    def __init__(  # noqa: PLR0913 - all but the first two have a default
        self,
        base_url: str,
        credentials: Credentials,
        *,
        session: aiohttp.ClientSession | None = None,
        timeout: float = 30.0,
        retry_limit: int = 3,
        retry_delay: float = 2.0,
        longest_pause: float = MAX_RETRY_PAUSE,
        retryable_status_codes: frozenset[int] = RETRYABLE_STATUS_CODES,
        headers: Mapping[str, str] | None = None,
        request_kwargs: Mapping[str, Any] | None = None,
        reauthenticate: Reauthenticate | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.base_url = checked_base_url(base_url)
        self.clock = clock
        self._session = session
        self._owns_session = session is None
        self._timeout = timeout
        self._retry_limit = retry_limit
        self._retry_delay = retry_delay
        self._longest_pause = longest_pause
        self._retryable_status_codes = retryable_status_codes
        self._headers = dict(headers or {})
        self._request_kwargs = {**(request_kwargs or {}), "allow_redirects": False}
        self._reauthenticate = reauthenticate
        self._renewal = asyncio.Lock()
        self._use(credentials)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.base_url}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the session if it was opened here."""
        if self._owns_session and self._session is not None:
            session, self._session = self._session, None
            await session.close()

    async def request(
        self,
        method: str,
        path: str,
        read: Callable[[Reply], T],
        *,
        params: Mapping[str, str] | None = None,
        body: object = None,
        repeatable: bool = True,
        retry_limit: int | None = None,
    ) -> T:
        """
        Send a request until there is an answer that can be read, or no hope of one.

        :param method: the HTTP method.
        :param path: the path below the base URL, already quoted.
        :param read: turns the reply into what is returned; its :class:`HevoResponseError` is repeated too.
        :param params: the query.
        :param body: sent as JSON unless None.
        :param repeatable: False for a request that must not be applied twice: its first failure is raised.
        :param retry_limit: overrides the transport's own; 0 asks once.
        :returns: what ``read`` returned.
        :raises HevoError: see :mod:`hevo_provider.exceptions`.
        """
        attempts = 1 + (retry_limit if retry_limit is not None else self._retry_limit) if repeatable else 1
        attempt = 1
        while True:
            try:
                return read(await self._send_authorized(method, path, params, body))
            except (HevoTransportError, HevoResponseError, HevoAPIError) as error:
                pause = self._pause_before_repeating(error, attempt)
                if pause is None or attempt >= attempts:
                    raise
                attempt += 1
                log.info("%s; asking again in %.1f s (%s of %s)", error, pause, attempt, attempts)
                await self.clock.sleep(pause)

    def _pause_before_repeating(self, error: HevoError, attempt: int) -> float | None:
        """Return the seconds to wait before the request is repeated; None if it should not be."""
        if not isinstance(error, HevoAPIError):
            return backoff(attempt, self._retry_delay)
        if error.status not in self._retryable_status_codes:
            return None
        if error.retry_after is None:
            return backoff(attempt, self._retry_delay)
        return error.retry_after if error.retry_after <= self._longest_pause else None

    async def _send_authorized(self, method: str, path: str, params: Mapping[str, str] | None, body: object) -> Reply:
        """Send once; if the credentials are refused, so that nothing was applied, once more with fresh ones."""
        used = self._credentials
        try:
            return await self._send(method, path, params, body)
        except HevoAuthError:
            if self._reauthenticate is None:
                raise
        async with self._renewal:
            if self._credentials is used:  # else another request has renewed them meanwhile
                self._use(await self._reauthenticate())
        return await self._send(method, path, params, body)

    async def _send(self, method: str, path: str, params: Mapping[str, str] | None, body: object) -> Reply:
        url = URL(self.base_url + path, encoded=True)
        headers = self._auth_headers if body is None else self._auth_headers | {"Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        try:
            async with (
                asyncio.timeout(self._timeout),
                self._open_session().request(
                    method, url, params=params, data=data, **(self._request_kwargs | {"headers": headers})
                ) as response,
            ):
                content = self._without_secrets(await _read_limited(response))
        except TimeoutError as error:
            sent = not isinstance(error, aiohttp.ConnectionTimeoutError)
            raise HevoTimeoutError(
                f"{method} {path}: no answer from {self.host} within {self._timeout:g} s", sent=sent
            ) from None
        except aiohttp.ClientConnectorError as error:
            raise HevoTransportError(
                f"{method} {path}: cannot connect to {self.host}: {_reason(error)}", sent=False
            ) from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise HevoTransportError(
                f"{method} {path}: the connection to {self.host} failed: {_reason(error)}"
            ) from None
        raise_for_error(response.status, response.headers, content, method=method, path=path)
        return Reply(response.status, content, response.headers.get("Date"))

    @property
    def host(self) -> str:
        """The host that this transport talks to."""
        return URL(self.base_url).host or self.base_url

    def _use(self, credentials: Credentials) -> None:
        if not credentials.key or not credentials.secret:
            missing = "API key (login)" if not credentials.key else "API secret (password)"
            raise HevoConfigError(f"The Hevo connection has no {missing}.")
        self._credentials = credentials
        if ":" in credentials.key:
            raise HevoConfigError("The Hevo API key (login) must not contain a colon.")
        token = b64encode(f"{credentials.key}:{credentials.secret}".encode())
        self._auth_headers = {
            "Accept": "application/json",
            **self._headers,
            "Authorization": f"Basic {token.decode()}",
        }
        self._secrets = (token, credentials.secret.encode(), credentials.key.encode())

    def _without_secrets(self, content: bytes) -> bytes:
        # A gateway's error page may echo the request; what it says ends in logs.
        for secret in self._secrets:
            if secret in content:
                content = content.replace(secret, b"***")
        return content

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE),
                timeout=aiohttp.ClientTimeout(total=None, connect=min(self._timeout, 10.0)),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session


def checked_base_url(base_url: str) -> str:
    """
    Return the URL without a trailing slash.

    :raises HevoConfigError: it is no http(s) URL, carries credentials, or would send them unencrypted over a network.
    """
    try:
        url = URL(base_url)
        host, _ = url.host, url.port
    except ValueError:
        raise HevoConfigError("The Hevo host is not a valid URL.") from None
    if url.scheme not in {"http", "https"} or not host:
        raise HevoConfigError(f"The Hevo host must be a name, a region or an http(s) URL, not {host or 'empty'!r}.")
    if url.user is not None or url.password is not None:
        raise HevoConfigError("The Hevo host must not contain credentials: use the connection's login and password.")
    if url.scheme == "http" and not _is_loopback(host):
        raise HevoConfigError(f"Refusing to send the API key unencrypted to {host}: use https.")
    if url.query_string or url.fragment:
        raise HevoConfigError("The Hevo host must not contain a query or a fragment.")
    return str(url).rstrip("/")


def _host_of(location: str | None) -> str:
    try:
        return URL(location or "").host or "another path"
    except ValueError:
        return "no valid address"


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def raise_for_error(status: int, headers: Mapping[str, str], body: bytes, *, method: str, path: str) -> None:
    """
    Turn an error status into its exception; return for any 2xx.

    :raises HevoAPIError: or one of its children.
    """
    family = status // 100
    if family == _SUCCESS:
        return
    message = _message_of(body)
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        raise HevoAuthError(status, method, path, message)
    if status == HTTPStatus.NOT_FOUND:
        raise HevoNotFoundError(status, method, path, message)
    if status == HTTPStatus.CONFLICT or (
        status == HTTPStatus.INTERNAL_SERVER_ERROR and _RUNNING_JOB_WORDS.search(message)
    ):
        raise HevoConflictError(status, method, path, message)
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        raise HevoRateLimitError(status, method, path, message, retry_after=_retry_after(headers))
    if family == _SERVER_ERROR:
        raise HevoServerError(status, method, path, message, retry_after=_retry_after(headers))
    if family == _REDIRECT:
        message = (
            f"a redirect to {_host_of(headers.get('Location'))}, which is not followed: check the connection's host"
        )
    raise HevoAPIError(status, method, path, message)


def backoff(attempt: int, first: float, limit: float = MAX_RETRY_PAUSE) -> float:
    """Return a random pause in seconds before repetition ``attempt`` (from 1): up to ``first``, doubled each time."""
    return random.uniform(0, min(limit, first * 2.0 ** min(attempt - 1, 30)))  # noqa: S311 - spreads load, guards nothing


async def _read_limited(response: aiohttp.ClientResponse) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while chunk := await response.content.readany():
        size += len(chunk)
        if size > MAX_BODY:
            response.close()
            raise HevoResponseError(f"Hevo's answer is larger than {MAX_BODY} bytes and was not read.")
        chunks.append(chunk)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _message_of(body: bytes) -> str:
    try:
        value = json.loads(body[:4096])
    except ValueError:
        value = None
    text = ""
    if isinstance(value, dict):
        parts = (value.get(name) for name in ("error", "message", "detail"))
        text = ": ".join(part for part in parts if isinstance(part, str))
    text = text or body[:200].decode("utf-8", "replace")
    # One line, no control characters: it goes into logs.
    return "".join(c if c.isprintable() else " " for c in text).strip()[:500] or "(no message)"


def _retry_after(headers: Mapping[str, str]) -> float | None:
    value = headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit():
        return float(value[:9])
    until, now = _milliseconds(value), _milliseconds(headers.get("Date"))
    return max(0.0, (until - now) / 1000) if until is not None and now is not None else None


def _milliseconds(date: str | None) -> int | None:
    if not date:
        return None
    try:
        return int(parsedate_to_datetime(date).timestamp() * 1000)
    except (ValueError, OverflowError):
        return None


def _reason(error: BaseException) -> str:
    """Say why a connection failed without the repr of aiohttp's exception, which may hold our headers."""
    inner = getattr(error, "os_error", None)
    strerror = getattr(inner or error, "strerror", None)
    return f"{type(error).__name__}" + (f" ({strerror})" if strerror else "")
