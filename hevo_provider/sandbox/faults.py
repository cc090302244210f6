"""Faults: what can go wrong with one request, as a value that a test queues for a route."""

from __future__ import annotations

import json as json_module
from collections import deque
from dataclasses import dataclass, field
from http.client import responses
from itertools import chain, repeat
from typing import TYPE_CHECKING, Any, Literal, get_args

from hevo_provider.sandbox.world import known

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

Kind = Literal["answer", "normal", "reset", "hang", "truncated", "flood", "endless_headers"]

_GATEWAY_PAGE = b"<html><head><title>Bad gateway</title></head><body><h1>Please try again later</h1></body></html>"


def phrase(status: int) -> str:
    """Return the words of a status; gateways have statuses that no standard knows."""
    return responses.get(status, "Unknown Error")


def error_body(status: int, message: str) -> dict[str, str]:
    """Build an error as the API words it."""
    return {"error": phrase(status), "message": message}


def encode(value: Any) -> bytes:
    """Turn bytes, text or any JSON value into a body."""
    if isinstance(value, bytes):
        return value
    return value.encode() if isinstance(value, str) else json_module.dumps(value).encode()


@dataclass(frozen=True)
class Fault:
    """
    One fault; made by the constructors below, queued by :meth:`Sandbox.inject`.

    ``after=True`` means that the API has done what was asked of it before things go wrong, ``after=False`` that the
    request never reached it. Times are real seconds, also where the sandbox runs on a virtual clock.
    """

    kind: Kind
    code: int = 200
    body: bytes = b""
    headers: Mapping[str, str | None] = field(default_factory=dict)
    """Response headers to set; None takes one away (``{"Date": None}``)."""
    after: bool = False
    seconds: float | None = None
    size: int = 0

    def __post_init__(self) -> None:
        known("kind of fault", self.kind, get_args(Kind))
        if not 100 <= self.code <= 999:  # noqa: PLR2004 - three digits, as HTTP has it
            raise ValueError(f"{self.code} is no HTTP status")

    @property
    def applies(self) -> bool:
        """Whether the API does what was asked."""
        return self.after or self.kind == "normal"

    @classmethod
    def status(
        cls, code: int, *, body: Any = None, headers: Mapping[str, str | None] | None = None, after: bool = False
    ) -> Fault:
        """
        Answer with a status.

        :param code: HTTP status.
        :param body: bytes, text or a JSON value; None stands for an error as the API words it (nothing for a 204).
        :param headers: for example ``{"Retry-After": "2"}``.
        :param after: True applies the action first.
        """
        if body is None:
            body = b"" if code in (204, 304) else error_body(code, "The request could not be served")
        return cls("answer", code=code, body=encode(body), headers=_json_headers(headers), after=after)

    @classmethod
    def json(cls, value: Any, *, status: int = 200, after: bool = False) -> Fault:
        """Answer with another JSON value than the API's."""
        body = json_module.dumps(value).encode()
        return cls("answer", code=status, body=body, headers=_json_headers(None), after=after)

    @classmethod
    def html(cls, status: int = 200, *, after: bool = False) -> Fault:
        """Answer with a gateway's HTML page."""
        headers = {"Content-Type": "text/html; charset=utf-8"}
        return cls("answer", code=status, body=_GATEWAY_PAGE, headers=headers, after=after)

    @classmethod
    def raw(
        cls, body: bytes, *, status: int = 200, headers: Mapping[str, str | None] | None = None, after: bool = False
    ) -> Fault:
        """Answer with these bytes, as JSON unless the headers say otherwise."""
        return cls("answer", code=status, body=body, headers=_json_headers(headers), after=after)

    @classmethod
    def redirect(cls, to: str, *, status: int = 302) -> Fault:
        """Send the client to another address."""
        return cls("answer", code=status, headers={"Location": to})

    @classmethod
    def reset(cls, *, after: bool = False) -> Fault:
        """Reset the TCP connection, before or after applying the request."""
        return cls("reset", after=after)

    @classmethod
    def hang(cls, seconds: float | None = None, *, after: bool = False) -> Fault:
        """Never answer: hold on until the client leaves, the server stops, or ``seconds`` (where given) are over."""
        return cls("hang", seconds=seconds, after=after)

    @classmethod
    def slow(cls, seconds: float) -> Fault:
        """Do as asked at once, and answer normally ``seconds`` later."""
        return cls("normal", seconds=seconds)

    @classmethod
    def truncated(cls, *, after: bool = True) -> Fault:
        """Send half of the answer under the whole answer's Content-Length, then close the connection."""
        return cls("truncated", after=after)

    @classmethod
    def body_of_size(cls, n_bytes: int, *, after: bool = False) -> Fault:
        """Stream a JSON body of ``n_bytes`` without telling its length first."""
        return cls("flood", size=n_bytes, after=after)

    @classmethod
    def headers_without_end(cls, *, after: bool = False) -> Fault:
        """Send header lines until the client leaves."""
        return cls("endless_headers", after=after)

    @classmethod
    def with_headers(cls, headers: Mapping[str, str | None]) -> Fault:
        """Answer normally, with these headers set or (None) left out: ``{"Date": None}``."""
        return cls("normal", headers=dict(headers))

    @classmethod
    def no_op(cls) -> Fault:
        """Answer normally: takes one place in the queue, to put another fault at the k-th call."""
        return cls("normal")


def _json_headers(headers: Mapping[str, str | None] | None) -> dict[str, str | None]:
    return {"Content-Type": "application/json", **(headers or {})}


class _Entry:
    """Faults that were queued together, and the one of them that comes next."""

    def __init__(self, faults: Iterator[Fault], until: float | None) -> None:
        self._faults = faults
        self.until = until
        self.upcoming = next(faults, None)

    def is_over(self, now: float) -> bool:
        return self.upcoming is None or (self.until is not None and now >= self.until)

    def take(self) -> Fault | None:
        taken, self.upcoming = self.upcoming, next(self._faults, None)
        return taken


class FaultQueue:
    """The faults that wait for requests, by route; ``"*"`` is asked after the request's own route."""

    def __init__(self) -> None:
        self._waiting: dict[str, deque[_Entry]] = {}

    def add(self, route: str, faults: Sequence[Fault], times: int | None, until: float | None) -> None:
        """Queue the faults, gone through ``times`` times or (None) for ever; those left at ``until`` are dropped."""
        rounds = repeat(faults) if times is None else repeat(faults, times)
        entry = _Entry(chain.from_iterable(rounds), until)
        self._waiting.setdefault(route, deque()).append(entry)

    def clear(self, route: str | None) -> None:
        """Forget the faults of one route, or (None) of all."""
        if route is None:
            self._waiting.clear()
        else:
            self._waiting.pop(route, None)

    def waiting(self, now: float) -> list[tuple[str, Fault, float | None]]:
        """Return what waits at ``now``: the route, the next fault, and until when, for each call that queued some."""
        return [
            (route, entry.upcoming, entry.until)
            for route, queue in self._waiting.items()
            for entry in queue
            if entry.upcoming is not None and not entry.is_over(now)
        ]

    def next(self, route: str, now: float) -> Fault | None:
        """Take the fault for the next request of a route."""
        if self._waiting:
            for name in (route, "*"):
                queue = self._waiting.get(name)
                while queue:
                    if not queue[0].is_over(now):
                        return queue[0].take()
                    queue.popleft()
        return None
