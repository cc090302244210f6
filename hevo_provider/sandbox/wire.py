"""Answers and faults put on the wire: the only part of the sandbox that touches aiohttp's responses and sockets."""

from __future__ import annotations

import asyncio
import socket
import struct
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING, NoReturn

from aiohttp import web

from hevo_provider.sandbox.faults import Fault, encode, phrase

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hevo_provider.sandbox.api import Answer

_JSON = "application/json"
_CHUNK = b" " * 65536
_UNSENT_LIMIT = 1 << 20
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_NORMAL = Fault.no_op()


class Wire:
    """Sends what has been decided for a request; the ``Date`` header follows the sandbox's clock."""

    def __init__(self) -> None:
        self._date_of = -1
        self._date = ""

    def date(self, now: float) -> str:
        """Return the ``Date`` header for epoch seconds ``now``."""
        second = int(now)
        if second != self._date_of:
            self._date_of, self._date = second, formatdate(second, usegmt=True)
        return self._date

    async def send(
        self, request: web.BaseRequest, answer: Answer | None, fault: Fault | None, now: float
    ) -> web.StreamResponse:
        """
        Answer a request, or fail to in the way of the fault.

        :param answer: the API's answer; None if the request never reached the API.
        :param fault: None for a plain answer.
        :param now: epoch seconds by the sandbox's clock.
        """
        headers = {"Date": self.date(now), "Content-Type": _JSON}
        if fault is None:
            fault = _NORMAL
        if fault.kind == "normal" and answer is not None:
            if fault.seconds:
                await asyncio.sleep(fault.seconds)
            body = b"" if answer.data is None else encode(answer.data)
            return await _respond(request, answer.status, {**headers, **fault.headers}, body)
        if fault.kind == "answer":
            return await _respond(request, fault.code, {"Date": headers["Date"], **fault.headers}, fault.body)
        if fault.kind == "flood":
            return await _flood(request, fault.size, headers)
        return await _break_off(request, answer, fault, headers)


async def _respond(
    request: web.BaseRequest, status: int, headers: Mapping[str, str | None], body: bytes
) -> web.StreamResponse:
    kept = {name: value for name, value in headers.items() if value is not None}
    if status == HTTPStatus.NO_CONTENT:
        kept.pop("Content-Type", None)
    if len(kept) == len(headers) or headers.get("Date", "") is not None:
        return web.Response(status=status, body=body, headers=kept)
    # aiohttp adds a Date of its own where none is set: an answer without one is written by hand.
    transport = _transport(request)
    transport.write(_head(status, {**kept, "Content-Length": str(len(body)), "Connection": "close"}) + body)
    transport.close()
    return await _until_the_client_leaves()


async def _flood(request: web.BaseRequest, size: int, headers: Mapping[str, str]) -> web.StreamResponse:
    response = web.StreamResponse(headers=headers)
    response.enable_chunked_encoding()
    await response.prepare(request)
    opening, closing = b'{"data": [', b"]}"
    await response.write(opening)
    remaining = max(0, size - len(opening) - len(closing))
    while remaining:
        chunk = _CHUNK[:remaining]
        await response.write(chunk)
        remaining -= len(chunk)
    await response.write(closing)
    await response.write_eof()
    return response


async def _break_off(
    request: web.BaseRequest, answer: Answer | None, fault: Fault, headers: Mapping[str, str]
) -> NoReturn:
    """End the exchange without a whole answer."""
    transport = _transport(request)
    if fault.kind == "hang" and fault.seconds is not None:
        await asyncio.sleep(fault.seconds)
        transport.abort()
    elif fault.kind == "reset":
        _reset(transport)
    elif fault.kind == "truncated":
        status, data = (answer.status, answer.data) if answer is not None else (200, None)
        if data is None:
            status, data = 200, {"message": "This answer is cut off in its middle"}
        body = encode(data)
        transport.write(_head(status, {**headers, "Content-Length": str(len(body))}) + body[: len(body) // 2])
        transport.close()
    elif fault.kind == "endless_headers":
        transport.write(_head(200, headers)[:-2])
        number = 0
        while not transport.is_closing():
            if transport.get_write_buffer_size() < _UNSENT_LIMIT:
                transport.write(b"".join(b"X-Filler-%d: %s\r\n" % (number + i, b"x" * 80) for i in range(100)))
                number += 100
            await asyncio.sleep(0.001)
    await _until_the_client_leaves()


def _reset(transport: asyncio.Transport) -> None:
    """Close with an RST instead of a FIN."""
    connection = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    transport.abort()


def _head(status: int, headers: Mapping[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} {phrase(status)}", *(f"{name}: {value}" for name, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def _transport(request: web.BaseRequest) -> asyncio.Transport:
    if not isinstance(request.transport, asyncio.Transport):
        raise ConnectionResetError("The client has left")
    return request.transport


async def _until_the_client_leaves() -> NoReturn:
    """Wait for the cancellation that comes with the end of the connection or of the server."""
    await asyncio.Event().wait()
    raise AssertionError("only a cancellation ends this wait")
