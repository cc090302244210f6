"""Hevo's limit of requests, as the sandbox plays it: a number in any 60 seconds, whoever sends them with the key."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from math import ceil
from typing import Literal

from hevo_provider.sandbox.faults import Fault, error_body

WINDOW = 60.0  # seconds in which Hevo counts requests


@dataclass(frozen=True)
class Limit:
    """
    How many requests are answered in any 60 seconds, and what the others are told.

    :param allowed: how many.
    :param status: HTTP status of the refusal.
    :param retry_after: its ``Retry-After``: seconds, "room" for as long as it takes until there is room, None for none.
    :param words: its message.
    """

    allowed: int = 100
    status: int = 429
    retry_after: int | Literal["room"] | None = None
    words: str = "Request rate limit exceeded"


class Window:
    """The requests that were answered in the last 60 seconds: those that were refused do not count."""

    def __init__(self) -> None:
        self._answered: deque[float] = deque()
        self._foreign_until: float | None = None

    def refusal(self, limit: Limit | None, now: float, foreign: float) -> Fault | None:
        """
        Count a request; return what it is told if it is one too many.

        :param now: epoch seconds.
        :param foreign: requests a minute that others send with the same key, evenly: they are refused as ours are.
        """
        if limit is None:
            self._foreign_until = None
            return None
        self._let_others_ask(limit, now, foreign)
        if self._has_room(limit, now):
            self._answered.append(now)
            return None
        headers: dict[str, str | None] = {}
        if limit.retry_after is not None:
            room = ceil(self._answered[0] + WINDOW - now) if self._answered else ceil(WINDOW)
            headers["Retry-After"] = str(room if limit.retry_after == "room" else limit.retry_after)
        return Fault.status(limit.status, body=error_body(limit.status, limit.words), headers=headers)

    def _let_others_ask(self, limit: Limit, now: float, foreign: float) -> None:
        if foreign <= 0:
            self._foreign_until = None
            return
        apart = WINDOW / foreign
        at = now - WINDOW if self._foreign_until is None else max(self._foreign_until, now - WINDOW)
        while at + apart <= now:
            at += apart
            if self._has_room(limit, at):
                self._answered.append(at)
        self._foreign_until = at

    def _has_room(self, limit: Limit, now: float) -> bool:
        while self._answered and self._answered[0] <= now - WINDOW:
            self._answered.popleft()
        return len(self._answered) < limit.allowed
