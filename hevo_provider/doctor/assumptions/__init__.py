"""
Every fact of ``API.md`` that can be held against an account: one small pure function each.

``finding`` says what an assumption is; the others hold them by subject, in the order of the page. ``ALL`` are the rows
of the report.
"""

from __future__ import annotations

from hevo_provider.doctor.assumptions import acting, answers, behaviour, limit, lists, reaching, reading_calls, states
from hevo_provider.doctor.assumptions.finding import Assumption, Finding, Verdict

__all__ = ["ALL", "Assumption", "Finding", "Verdict"]

ALL: tuple[Assumption, ...] = (
    *reaching.ROWS,
    *lists.ROWS,
    *reading_calls.ROWS,
    *acting.ROWS,
    *answers.ROWS,
    *states.ROWS,
    *behaviour.ROWS,
    *limit.ROWS,
)
