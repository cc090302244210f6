"""The table: one row for each fact, and what it means where the fact does not hold."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from textwrap import wrap

from hevo_provider.doctor.assumptions import ALL, Finding, Verdict
from hevo_provider.doctor.contract import Fact, facts
from hevo_provider.doctor.exchange import Observations

HEADS = ("verdict", "fact", "contract", "seen", "what goes wrong where it differs")
NARROWEST = 24  # columns of a terminal that each of the two long texts gets at least
_COLOURS = {Verdict.HOLDS: "32", Verdict.DIFFERS: "31;1", Verdict.UNSEEN: "2"}


@dataclass(frozen=True, slots=True)
class Row:
    """
    One row.

    :param fact: the fact of ``API.md``.
    :param name: its name there.
    :param finding: what was found.
    :param otherwise: what this package does wrong where it differs.
    """

    fact: Fact
    name: str
    finding: Finding
    otherwise: str


def rows_of(seen: Observations) -> tuple[Row, ...]:
    """Judge what was seen: a row for each assumption, in the order of the page."""
    known = facts()
    rows = (Row(known[each.fact], each.fact, each.check(seen), each.otherwise) for each in ALL)
    return tuple(sorted(rows, key=lambda row: row.fact.line))


def status_of(rows: Sequence[Row]) -> int:
    """Return the exit status: 0 all that was seen holds, 1 something differs, 2 nothing was seen."""
    verdicts = {row.finding.verdict for row in rows}
    return 1 if Verdict.DIFFERS in verdicts else 0 if Verdict.HOLDS in verdicts else 2


def table(rows: Sequence[Row], *, is_terminal: bool, width: int | None = None, colour: bool = True) -> str:
    """
    Lay the rows out.

    For a terminal the long texts are wrapped to its width; elsewhere each row is one line, however long.

    :param width: columns of the terminal; None asks it.
    :param colour: whether a terminal may be sent colours.
    """
    cells = [(row.finding.verdict.value, row.name, row.fact.place, row.finding.seen, row.otherwise) for row in rows]
    short = [max(len(line[column]) for line in (HEADS, *cells)) for column in range(3)]
    long = max(len(line[3]) for line in (HEADS, *cells))
    if is_terminal:
        columns = width or shutil.get_terminal_size().columns
        long = max(NARROWEST, (columns - sum(short) - 2 * 4) // 2)
    lines: list[str] = []
    for index, cell in enumerate((HEADS, *cells)):
        laid = list(_laid_out(cell, short, long, wrapped=is_terminal))
        if is_terminal and colour and index:
            laid[0] = _coloured(laid[0], rows[index - 1].finding.verdict)
        lines += laid
    return "\n".join([*lines, "", summary(rows)]) + "\n"


def summary(rows: Sequence[Row]) -> str:
    """Return how many rows came out in which way."""
    count = Counter(row.finding.verdict for row in rows)
    return ", ".join(f"{count[verdict]} {verdict.value}" for verdict in Verdict)


def _laid_out(cell: Sequence[str], short: Sequence[int], long: int, *, wrapped: bool) -> Iterator[str]:
    seen, otherwise = ([text] if not wrapped else wrap(text, long) or [""] for text in cell[3:])
    first = "  ".join(text.ljust(width) for text, width in zip(cell[:3], short, strict=True))
    for number in range(max(len(seen), len(otherwise))):
        left = first if number == 0 else " " * len(first)
        middle = seen[number] if number < len(seen) else ""
        right = otherwise[number] if number < len(otherwise) else ""
        yield f"{left}  {middle.ljust(long)}  {right}".rstrip()


def _coloured(line: str, verdict: Verdict) -> str:
    return line.replace(verdict.value, f"\x1b[{_COLOURS[verdict]}m{verdict.value}\x1b[0m", 1)
