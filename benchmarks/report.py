"""Tables for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """
    A figure and its target.

    :param at_least: whether more is better.
    """

    what: str
    measured: float
    target: float
    unit: str
    at_least: bool = False

    @property
    def reached(self) -> bool:
        """Whether the target was reached."""
        return self.measured >= self.target if self.at_least else self.measured <= self.target

    def cells(self) -> list[str]:
        """Return the row as text."""
        sign = ">=" if self.at_least else "<="
        unit = f" {self.unit}" if self.unit else ""
        return [
            self.what,
            f"{self.measured:.3g}{unit}",
            f"{sign} {self.target:.3g}{unit}",
            "reached" if self.reached else "MISSED",
        ]


def table(lines: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table, which reads well as it is."""
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    head, *body = (
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines
    )
    return "\n".join([head, "|" + "|".join("-" * (width + 2) for width in widths) + "|", *body, ""])
