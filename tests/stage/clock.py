"""The clock of this suite, which begins at the same moment for every test."""

from __future__ import annotations

from datetime import UTC, datetime

from hevo_provider.testing import clock

START = 1_800_000_000.0


class VirtualClock(clock.VirtualClock):
    """Time that passes when somebody sleeps."""

    def __init__(self, now: float = START) -> None:
        super().__init__(now)


def in_iso(moment: float) -> str:
    """Return seconds since the epoch as the XComs tell a time for people."""
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds")
