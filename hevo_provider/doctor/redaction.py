"""Key and secret in no output, in no spelling: the last thing that happens to every text before it is written."""

from __future__ import annotations

import html
import json
import re
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import quote, quote_plus

from hevo_provider.client.access import Access
from hevo_provider.client.redaction import SHORTEST_SECRET

STRUCK_OUT = "***"


@dataclass(frozen=True)
class Redaction:
    """
    Strikes the secrets of an access out of texts.

    The client strikes out the spellings that a gateway's echo may have. A report is pasted into bug reports, so here
    it is every spelling that could be turned back with a tool at hand, in upper and lower case.

    :param access: whose secrets they are.
    """

    access: Access

    def __call__(self, text: str) -> str:
        """Return the text without secrets."""
        return self.access.redacted(self._pattern.sub(STRUCK_OUT, text))

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        key, secret = self.access.credentials.key, self.access.credentials.secret
        forms = {form for plain in (key, secret, f"{key}:{secret}") for form in _forms(plain)}
        known = sorted((form for form in forms if len(form) >= SHORTEST_SECRET), key=len, reverse=True)
        return re.compile("|".join(map(re.escape, known)) or r"(?!)", re.IGNORECASE)


def _forms(plain: str) -> Iterator[str]:
    raw = plain.encode("utf-8", "replace")
    yield from (plain, plain[::-1], repr(plain)[1:-1], html.escape(plain), html.escape(plain, quote=False))
    yield from (quote(plain, safe=""), quote(plain), quote_plus(plain), raw.hex(), raw.hex(" "))
    yield from (json.dumps(plain)[1:-1], json.dumps(plain, ensure_ascii=False)[1:-1])
    yield plain.encode("ascii", "backslashreplace").decode()
    yield plain.encode("ascii", "xmlcharrefreplace").decode()
    yield "".join(f"%{byte:02x}" for byte in raw)
    for encoded in (b64encode(raw).decode(), urlsafe_b64encode(raw).decode()):
        yield from (encoded, encoded.rstrip("="))
