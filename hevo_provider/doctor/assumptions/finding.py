"""What an assumption is, and what can be found of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from hevo_provider.doctor.exchange import Observations

MOST_NAMED = 50  # words in one finding; how many there are besides is said


class Verdict(StrEnum):
    """What was found of an assumption."""

    HOLDS = "holds"
    DIFFERS = "differs"
    UNSEEN = "could not be seen"


@dataclass(frozen=True, slots=True)
class Finding:
    """
    What was found.

    :param verdict: whether the assumption holds.
    :param seen: what was seen, or why nothing was.
    """

    verdict: Verdict
    seen: str


Check = Callable[[Observations], Finding]


@dataclass(frozen=True, slots=True)
class Assumption:
    """
    A fact of ``API.md``, and how it is checked.

    :param fact: its name there.
    :param claims: words that its line holds, to be sure that it still is that fact.
    :param otherwise: what this package does wrong where the fact does not hold.
    :param check: a pure function from what was seen to what that says of the fact.
    """

    fact: str
    claims: str
    otherwise: str
    check: Check


def assumption(fact: str, *, claims: str, otherwise: str) -> Callable[[Check], Assumption]:
    """Make an assumption of the function that checks it."""
    return lambda check: Assumption(fact, claims, otherwise, check)


def holds(seen: str) -> Finding:
    """Return that the assumption holds."""
    return Finding(Verdict.HOLDS, seen)


def differs(seen: str) -> Finding:
    """Return that it does not."""
    return Finding(Verdict.DIFFERS, seen)


def unseen(why: str) -> Finding:
    """Return that nothing can be said of it."""
    return Finding(Verdict.UNSEEN, why)


def named(words: Iterable[str]) -> str:
    """Return words as a list for a reader, each once and sorted."""
    ordered = sorted(set(words))
    rest = len(ordered) - MOST_NAMED
    return ", ".join(ordered[:MOST_NAMED]) + (f" and {rest} more" if rest > 0 else "")


def counted(number: int, one: str, many: str = "") -> str:
    """Return a number with its noun."""
    return f"{number} {one if number == 1 else many or one + 's'}"
