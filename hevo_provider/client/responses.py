"""From status, headers and body to data or a precise exception. Nothing here sends anything."""

from __future__ import annotations

import re
import zlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import lru_cache
from http import HTTPStatus

import aiohttp

from hevo_provider import codes
from hevo_provider.client.access import host_of
from hevo_provider.exceptions import (
    HevoAPIError,
    HevoAuthError,
    HevoConflictError,
    HevoGatewayError,
    HevoNotFoundError,
    HevoRateLimitError,
    HevoResponseError,
    HevoServerError,
)
from hevo_provider.models.answers import json_of

MAX_BODY = 10 * 1024 * 1024  # bytes
HEADERS_OF_ERRORS = ("Date", "Location", "Retry-After")  # what is read of an error beside its body
_SUCCESS, _REDIRECT, _SERVER_ERROR = 2, 3, 5  # hundreds of HTTP statuses
# Gateways send these about their own waiting for Hevo or for us (a time-out, too early, the client has left; the last
# is nginx's own). They do not mean that the request was wrong, as other 4xx do.
GATEWAY_STATUSES = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, 499})
# These say something about key or pipeline only if Hevo itself has sent them.
_ONLY_HEVOS = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND})
_OF_A_PIPELINE = re.compile(r"/api/v1/pipelines/[0-9]+(?:/actions/[a-z-]+|/jobs|/objects)?")
_ACTIONS_IN_WORDS = {
    "sync-now": "start a sync",
    "resync": "start a resync",
    "cancel": "cancel a job",
    "enable": "enable a pipeline",
    "disable": "disable a pipeline",
    "refresh-schema": "refresh a schema",
}
_STARTS_A_JOB = re.compile(r"/actions/(?:sync-now|resync)$")  # of a pipeline, and of some of its objects
# Whole words, in any order: "inactive" is none, nor is "connection already closed". Codes have "_" for a space.
_JOB_WORD = re.compile(r"(?<![a-z])(?:job|sync|resync|load|run|pipeline)(?![a-z])", re.IGNORECASE)
_RUNS_WORD = re.compile(
    r"(?<![a-z])(?<!not[ _])(?<!no[ _])(?:in[ _-]?progress|running|active|busy)(?![a-z])", re.IGNORECASE
)
# What Hevo says over its limit; under which status is not documented. A text of the answer must begin with it: one that
# only quotes it, such as a source's error, is about something else.
_OVER_THE_LIMIT = re.compile(rb'(?:^\s*|>\s*|(?<!\\)"\s*)request[\s_-]+rate[\s_-]+limit[\s_-]+exceeded', re.IGNORECASE)
_LONGEST_MESSAGE = 500  # characters
LONGEST_ERROR = 65536  # bytes of an error that are read
_LONGEST_RETRY_AFTER = 9  # digits
_GZIP_MAGIC = b"\x1f\x8b"
_GZIP_OR_ZLIB = zlib.MAX_WBITS | 32
_MOST_MEMBERS = 16  # of a gzip stream: each costs a copy of what follows it


@dataclass(frozen=True, slots=True)
class Response:
    """
    What came back for one request that was answered well.

    :param body: the undecoded body.
    :param date: the ``Date`` header: Hevo's clock when it answered.
    :param sent_at: seconds on the client's monotonic clock when the request set out.
    """

    body: bytes
    date: str | None
    sent_at: float

    @property
    def server_time(self) -> int | None:
        """Hevo's clock when it answered, in milliseconds since the epoch, whole seconds; None if it did not say."""
        return milliseconds_of(self.date)


def raise_for_error(status: int, headers: Mapping[str, str], body: bytes, *, method: str, path: str, way: str) -> None:
    """
    Turn an error status into its exception; return for any 2xx.

    :param way: where the request went, for the message.
    :raises HevoAPIError: or one of its children.
    """
    family = status // 100
    if family == _SUCCESS:
        return
    if family == _REDIRECT:
        target = host_of(headers.get("Location")) or "another path"
        message = f"a redirect to {target}, which is not followed: check the connection's host"
        raise HevoAPIError(status, method, path, message)
    message = message_of(body)
    if _is_over_the_limit(status, body):
        raise HevoRateLimitError(status, method, path, message, retry_after=retry_after_of(headers))
    if status in _ONLY_HEVOS and _is_foreign(body):
        message = f"not from Hevo's API, but a page of a gateway, firewall or proxy on the way to {way}: {message}"
        raise HevoGatewayError(status, method, path, message, retry_after=retry_after_of(headers))
    if status == HTTPStatus.UNAUTHORIZED:
        raise HevoAuthError(status, method, path, message)
    if status == HTTPStatus.FORBIDDEN:  # API.md, role
        may_not = f"a key of this role may not {_action_in_words(method, path)}, or it is a wrong key"
        raise HevoAuthError(status, method, path, f"{may_not}: {message}", code=codes.REFUSED_ROLE)
    if status == HTTPStatus.NOT_FOUND:
        raise HevoNotFoundError(status, method, path, _of_pipeline(path) + message)
    # The API refuses an action with 409 or with 500 where a job runs; of the 500 only its words say that it is one.
    if status == HTTPStatus.CONFLICT or (
        status == HTTPStatus.INTERNAL_SERVER_ERROR
        and method == "POST"
        and _STARTS_A_JOB.search(path)
        and _says_that_a_job_runs(message)
    ):
        raise HevoConflictError(status, method, path, message)
    if family == _SERVER_ERROR or status in GATEWAY_STATUSES:
        raise HevoServerError(status, method, path, message, retry_after=retry_after_of(headers))
    raise HevoAPIError(status, method, path, message)


def _is_over_the_limit(status: int, body: bytes) -> bool:
    """Return whether a request was refused because there were too many, by status or by Hevo's words."""
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return True
    # A gateway that lost an answer may play back what it knows of another: then nobody knows what became of a POST.
    lost = status in GATEWAY_STATUSES or status in {HTTPStatus.BAD_GATEWAY, HTTPStatus.GATEWAY_TIMEOUT}
    return not lost and _OVER_THE_LIMIT.search(body[:LONGEST_ERROR]) is not None


def _action_in_words(method: str, path: str) -> str:
    """Return what a call does, for a sentence."""
    words = _ACTIONS_IN_WORDS.get(path.rpartition("/actions/")[2])
    if words is not None and method == "POST":
        return words
    return "read this" if method == "GET" else "change this"


def _of_pipeline(path: str) -> str:
    """Return what a 404 means where it can only be of the pipeline (API.md, standard-pipelines)."""
    if _OF_A_PIPELINE.fullmatch(path) is None:
        return ""
    return (
        "the pipeline is not known under this key and region; ids of Standard pipelines are of another API, which has "
        "no jobs to follow: "
    )


def _says_that_a_job_runs(message: str) -> bool:
    return _JOB_WORD.search(message) is not None and _RUNS_WORD.search(message) is not None


def retry_after_of(headers: Mapping[str, str]) -> float | None:
    """
    Return the seconds that a server asks to wait.

    Where it names a point in time, that is compared with its own clock. None if it said nothing that can be read.
    """
    value = headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit():
        return float(value) if len(value) <= _LONGEST_RETRY_AFTER else float("9" * _LONGEST_RETRY_AFTER)
    until, now = milliseconds_of(value), milliseconds_of(headers.get("Date"))
    return max(0.0, (until - now) / 1000) if until is not None and now is not None else None


@lru_cache(maxsize=4)  # all answers of a second have the same
def milliseconds_of(date: str | None) -> int | None:
    """Return an HTTP date as milliseconds since the epoch; None if it is none."""
    if not date:
        return None
    try:
        return int(parsedate_to_datetime(date).timestamp() * 1000)
    except (ValueError, OverflowError):
        return None


def printable(text: str, longest: int = _LONGEST_MESSAGE) -> str:
    """Return text of a server as one line without control characters: it goes into logs and errors."""
    return "".join(c if c.isprintable() else " " for c in text[:longest]).strip()


def _is_foreign(body: bytes) -> bool:
    """Return whether an error's body cannot be Hevo's: its API answers in JSON, or with nothing."""
    if not body.strip():
        return False
    try:
        json_of(body[:LONGEST_ERROR])
    except ValueError:
        return True
    return False


def message_of(body: bytes) -> str:
    """Return what a body says of what went wrong, as one line."""
    try:
        value = json_of(body[:LONGEST_ERROR])
    except ValueError:
        value = None
    text = ""
    if isinstance(value, dict):
        parts = (value.get(name) for name in ("error", "message", "detail"))
        text = ": ".join(part for part in parts if isinstance(part, str))
    return printable(text or body[:200].decode("utf-8", "replace")) or "(no message)"


async def read_limited(response: aiohttp.ClientResponse) -> bytes:
    """
    Read the body.

    :raises HevoResponseError: it is larger than :data:`MAX_BODY`, packed or once it is unpacked, or cannot be unpacked.
    """
    try:
        return b"".join([chunk async for chunk in _unpacked(response)])
    except HevoResponseError:
        response.close()  # the rest of it is of no use
        raise


async def _unpacked(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    unpack = _unpacker(response.headers.get("Content-Encoding"))
    room = room_packed = MAX_BODY
    while packed := await response.content.readany():
        chunk = packed if unpack is None else unpack(packed, room + 1)
        room, room_packed = room - len(chunk), room_packed - len(packed)
        if min(room, room_packed) < 0:
            raise HevoResponseError(f"Hevo's answer is larger than {MAX_BODY} bytes and was not read.")
        yield chunk


def _unpacker(encoding: str | None) -> Callable[[bytes, int], bytes] | None:
    """Return what undoes a compression that was not asked for."""
    encoding = (encoding or "").strip().lower()
    if encoding in {"", "identity"}:
        return None
    if encoding not in {"gzip", "x-gzip", "deflate"}:
        raise HevoResponseError("Hevo's answer is compressed in a way that was not asked for.")
    return _Unpacker(may_be_raw=encoding == "deflate")


class _Unpacker:
    """
    Undoes gzip and deflate, chunk by chunk.

    By RFC 9110 "deflate" is zlib's format; servers that misread it send the raw stream. By RFC 1952 a gzip stream may
    have several members, one after the other.
    """

    def __init__(self, *, may_be_raw: bool) -> None:
        self._may_be_raw = may_be_raw
        self._head = b""  # until the format can be seen
        self._members = 0
        self._stream = zlib.decompressobj(wbits=_GZIP_OR_ZLIB)

    def __call__(self, chunk: bytes, most: int) -> bytes:
        """
        Return what a chunk unpacks to, but not much more than ``most`` bytes.

        :raises HevoResponseError: it cannot be unpacked, or goes on after its end.
        """
        if not self._members:
            chunk = self._head + chunk
            if len(chunk) < len(_GZIP_MAGIC):
                self._head = chunk
                return b""
            if self._may_be_raw and not chunk.startswith(_GZIP_MAGIC) and chunk[0] & 0x0F != zlib.DEFLATED:
                self._stream = zlib.decompressobj(wbits=-zlib.MAX_WBITS)
            self._members = 1
        parts: list[bytes] = []
        while chunk and most > 0:
            if self._stream.eof:
                self._members += 1
                if not chunk.startswith(_GZIP_MAGIC[: len(chunk)]) or self._members > _MOST_MEMBERS:
                    raise HevoResponseError("Hevo's answer is compressed and goes on after its end.")
                self._stream = zlib.decompressobj(wbits=_GZIP_OR_ZLIB)
            try:
                parts.append(self._stream.decompress(chunk, most))
            except zlib.error:
                raise HevoResponseError("Hevo's answer is compressed and cannot be unpacked.") from None
            most -= len(parts[-1])
            chunk = self._stream.unused_data
        return b"".join(parts)
