"""``API.md``: the facts that are held against the account, and the lines on which they stand."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType

PAGE = "API.md"
_FACT = re.compile(r"- `([a-z0-9-]+)` \*\*(certain|likely|unknown)\*\* (.+) \*([^*]+)\*")


@dataclass(frozen=True, slots=True)
class Fact:
    """
    One line of the page.

    :param line: its number, from 1.
    :param sureness: certain, likely or unknown.
    :param text: what it says.
    :param sources: where that is said in public.
    """

    line: int
    sureness: str
    text: str
    sources: str

    @property
    def place(self) -> str:
        """Where it stands: ``API.md:NN``."""
        return f"{PAGE}:{self.line}"


@cache
def facts() -> MappingProxyType[str, Fact]:
    """Return the facts by name, in the order of the page."""
    lines = files("hevo_provider").joinpath(PAGE).read_text(encoding="utf-8").splitlines()
    found = ((number, _FACT.fullmatch(line)) for number, line in enumerate(lines, 1))
    return MappingProxyType({told[1]: Fact(number, told[2], told[3], told[4]) for number, told in found if told})
