"""Secrets are struck out of what a server says, also where they come back in another spelling."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from contextlib import suppress
from html import unescape
from itertools import chain

SHORTEST_SECRET = 6  # bytes; a shorter one looks like ordinary text
SHORTEST_CORE = 3  # letters and digits
LAYERS = 3  # of escapes, one within the other, such as HTML in JSON in the query of a URL
MOST_UNDONE = 64 * 1024  # bytes; what follows is only compared as it is, so that it cannot keep the event loop busy
STRUCK_OUT = b"***"

# Each kind is undone for itself: what one encoder leaves alone may look like the other's escape.
_ESCAPES = (
    re.compile(
        rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"  # a pair of surrogates
        rb"|\\u[0-9a-fA-F]{4}|\\x[0-9a-fA-F]{2}|\\[^ux]"
    ),
    re.compile(rb"%[0-9a-fA-F]{2}"),
    re.compile(rb"&(?:#[xX][0-9a-fA-F]{1,6}|#[0-9]{1,7}|[A-Za-z][A-Za-z0-9]{1,31});"),
)
_CONTROLS = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"f": b"\f"}

Span = tuple[int, int]


class Redaction:
    r"""
    What must not show of some secrets.

    A gateway's error page may echo the request, and what it says ends in logs. It escapes what it echoes: as JSON, in
    which Java and Go write ``=`` and ``&`` as ``\u003d`` and ``\u0026``; as HTML; percent-encoded; or one within the
    other. So a text is compared as it is, and again with its escapes undone, layer by layer.

    :param secrets: what they are; too short ones are left alone.
    """

    __slots__ = ("_cores", "_forms")

    def __init__(self, secrets: Iterable[str]) -> None:
        forms = {form for secret in secrets for form in _forms_of(secret) if len(form) >= SHORTEST_SECRET}
        self._forms = tuple(sorted(forms, key=len, reverse=True))
        self._cores = frozenset(map(_core_of, self._forms))

    def of(self, content: bytes) -> bytes:
        """Return the content with the secrets struck out."""
        if not any(core in content for core in self._cores):  # nearly always, and a thousandth of the cost
            return content
        struck, end = [], 0
        spans = chain(self._found_in(content, layers=0), self._found_in(content[:MOST_UNDONE], LAYERS))
        for start, stop in _merged(spans):
            struck += [content[end:start], STRUCK_OUT]
            end = stop
        return b"".join([*struck, content[end:]])

    def _found_in(self, content: bytes, layers: int) -> Iterator[Span]:
        for form in self._forms:
            start = content.find(form)
            while start >= 0:
                yield start, start + len(form)
                start = content.find(form, start + len(form))
        for escape in _ESCAPES if layers else ():
            if escape.search(content):
                undone = _Undone(content, escape)
                for span in self._found_in(undone.content, layers - 1):
                    yield undone.origin_of(span)


class _Undone:
    """A text with its escapes of one kind undone, and where in the original each part of it comes from."""

    def __init__(self, original: bytes, escapes: re.Pattern[bytes]) -> None:
        parts: list[bytes] = []
        self._starts: list[int] = []  # of each part: literal and escape take turns
        self._origins: list[int] = []
        at = end = 0
        for escape in escapes.finditer(original):
            for part, origin in ((original[end : escape.start()], end), (_meant_by(escape[0]), escape.start())):
                parts.append(part)
                self._starts.append(at)
                self._origins.append(origin)
                at += len(part)
            end = escape.end()
        self._starts.append(at)
        self._origins.append(end)
        self.content = b"".join([*parts, original[end:]])

    def origin_of(self, span: Span) -> Span:
        first, last = (bisect_right(self._starts, position) - 1 for position in (span[0], span[1] - 1))
        start, stop = self._origins[first], self._origins[last]
        start += span[0] - self._starts[first] if _is_literal(first) else 0
        stop = stop + span[1] - self._starts[last] if _is_literal(last) else self._origins[last + 1]
        return start, stop


def _is_literal(part: int) -> bool:
    return part % 2 == 0


def _meant_by(escape: bytes) -> bytes:
    if escape.startswith(b"\\u"):
        units = bytes.fromhex(escape.replace(b"\\u", b"").decode())
        return units.decode("utf-16-be", "replace").encode()
    if escape.startswith((b"\\x", b"%")):
        return bytes.fromhex(escape[-2:].decode())
    if escape.startswith(b"\\"):
        return _CONTROLS.get(escape[1:], escape[1:])
    return unescape(escape.decode()).encode("utf-8", "replace")


def _forms_of(secret: str) -> set[bytes]:
    forms = {secret, secret.replace(" ", "+")}  # as a query sends a space
    forms |= {form.rstrip("=") for form in forms}  # base64 without its padding
    forms |= {form.translate(_URL_SAFE) for form in forms}
    encoded = {form.encode("utf-8", "replace") for form in forms}
    with suppress(UnicodeEncodeError):
        encoded |= {form.encode("latin1") for form in forms}
    return encoded


_URL_SAFE = str.maketrans("+/", "-_")  # base64 for URLs


def _core_of(form: bytes) -> bytes:
    """Return the longest part that no spelling changes: nobody escapes letters and digits."""
    core = max(re.findall(rb"[0-9A-Za-z]+", form), key=len, default=b"")
    return core if len(core) >= SHORTEST_CORE else b""


def _merged(spans: Iterable[Span]) -> list[Span]:
    merged: list[Span] = []
    for start, stop in sorted(spans):
        if merged and start < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(stop, merged[-1][1]))
        else:
            merged.append((start, stop))
    return merged
