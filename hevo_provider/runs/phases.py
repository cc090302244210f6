"""Which phase of a wait a run is in: the one place that knows them all."""

from __future__ import annotations

from hevo_provider.clock import Clock
from hevo_provider.runs.completed import CompletedSearch
from hevo_provider.runs.follow import Follow
from hevo_provider.runs.logger import Logger
from hevo_provider.runs.outcome import WaitPhase
from hevo_provider.runs.ready import Ready
from hevo_provider.runs.run import Phase, Run
from hevo_provider.runs.search import Search


def phase_of(run: Run, clock: Clock, logger: Logger) -> WaitPhase:
    """Return the phase that polls for the run as it is now."""
    if run.phase is Phase.READY:
        return Ready(clock)
    if run.phase is Phase.WATCH:
        return Follow(clock, logger)
    return Search(clock, logger, run) if run.order.completed_after is None else CompletedSearch(logger)
