"""
How urgent it is to ask for a job: the chance that it has ended since it was last asked for.

It matters only where Hevo's limit leaves fewer polls than ``poll_interval`` asks for. Then the poll that most likely
shows an end comes first. What is known of a job is how long earlier ones of its kind took; three stories are mixed::

    chance that it still runs after t
    1 ┤■■■■■▄▄▄▄▄▄▄
      │            ■▄              most likely it takes as long as the others,
      │              ■
      │                ■▄▄▄▄       or much longer (nobody knows how much), as when there is more data than ever,
    0 ┤                     ▀▀▀▀   or it fails early: a wrong password shows in the first minutes
      └──────────────┬───────────▶ t
                  median

The chance that it has ended between two moments is what this curve has fallen by, of where it was. So a job that is far
from its usual end is seldom worth a poll, one that is near it often; one that is overdue by its own history becomes
less so the longer that lasts, but the chance never stops growing from one poll to the next. A job without a history is
as likely to end in one minute as in any other, so such jobs share evenly.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from math import exp

Expectation = tuple[float, ...]
"""Durations in seconds that none, a quarter, half, three quarters and all of the earlier jobs stayed within; or ()."""

FEWEST_JOBS = 3  # that are a history
_SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
_AS_USUAL, _LONGER, _FAILS_EARLY = 0.85, 0.10, 0.05
_EARLY = 0.1  # of the median
_MARGIN = 0.05  # by which the next job may be shorter than any before, or longer
_UNKNOWN = 1800.0  # seconds; the mean of an even chance

# Times as soon as in an even round comes the first poll: a job that fails, fails early. Twice as soon would cost the
# waits for jobs of some hours, which are polled five times in all, a tenth of their polls.
_SOONER = 1.5


def expectation_of(durations: Sequence[float]) -> Expectation:
    """
    Return what earlier jobs tell of the next.

    :param durations: for how many seconds they ran.
    """
    if len(durations) < FEWEST_JOBS:
        return ()
    known, last = sorted(durations), len(durations) - 1
    return tuple(float(round(known[round(share * last)])) for share in _SHARES)


def chance_of_end(seen: float, now: float, expected: Expectation) -> float:
    """
    Return the chance that a job has ended between two moments, between 0 and 1.

    :param seen: seconds from its start until it was last seen at work.
    :param now: seconds from its start until now.
    :param expected: see :data:`Expectation`.
    """
    if now <= seen:
        return 0.0
    if len(expected) != len(_SHARES) or expected[2] <= 0:
        return 1.0 - exp((seen - now) / _UNKNOWN)
    seen = max(seen, 0.0)
    return max(0.0, 1.0 - _still_runs(max(now, 0.0), expected) / _still_runs(seen, expected))


def chance_of_a_first_poll(since: float) -> float:
    """
    Return what the chance of an end counts as for a job that was not polled yet, whatever its history.

    :param since: seconds since it was found, or since this process took over the wait for it.
    """
    return chance_of_end(0.0, _SOONER * since, ())


def _still_runs(after: float, expected: Expectation) -> float:
    """Return the chance that a job runs for longer than so many seconds."""
    median = expected[2]
    as_usual = _AS_USUAL * (1.0 - _share_within(after, expected))
    return as_usual + _LONGER * median / (median + after) + _FAILS_EARLY * exp(-after / (_EARLY * median))


def _share_within(after: float, expected: Expectation) -> float:
    first, last = expected[0] * (1 - _MARGIN), expected[-1] * (1 + _MARGIN)
    if after <= first:
        return 0.0
    if after >= last:
        return 1.0
    points = (first, *expected[1:-1], last)
    at = bisect_right(points, after)
    below, above = points[at - 1], points[at]
    share = _SHARES[at - 1]
    return share + (_SHARES[at] - share) * (after - below) / (above - below)
