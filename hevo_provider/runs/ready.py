"""The first phase of a wait: until the action may be sent, by a worker."""

from __future__ import annotations

from hevo_provider.client.budget import Purpose
from hevo_provider.client.calls import HevoAsyncClient
from hevo_provider.clock import Clock
from hevo_provider.models.answers import Job
from hevo_provider.models.enums import JobStatus, OnActiveJob, PipelineStatus
from hevo_provider.runs.listing import read_state
from hevo_provider.runs.order import SHOWS_WITHIN
from hevo_provider.runs.outcome import Ending, Step, WaitPhase
from hevo_provider.runs.run import Run


class Ready(WaitPhase):
    """
    Waits until Hevo may be called again, the pipeline is no longer RESTARTING, and no job is in the way.

    A pipeline that was RESTARTING gets some seconds more: the job of that, which may be this very task's from a try
    before, shows only then.

    :param clock: where time comes from.
    """

    __slots__ = ("_clock", "_settles_at", "_since")

    requests = 2
    purpose = Purpose.START

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._settles_at: float | None = None
        self._since = clock.monotonic()

    async def poll(self, hevo: HevoAsyncClient, run: Run) -> Step:
        """Ask once: GET /pipelines/{id} and GET /pipelines/{id}/jobs, at the same time."""
        if run.afford and hevo.budget.pace.had_room_since(self._since):
            # Nothing but Hevo's limit was in the way. Where it is not known to have room again, that is asked here:
            # what a worker asks in vain costs the start of a worker.
            return Step(run.called_again(), ending=Ending.START)
        run = run.called_again()
        state = await read_state(hevo, run.pipeline_id, retry_limit=0)
        run = run.has_been_answered(state.pipeline.name)
        if run.order.may_restart and state.pipeline.status == PipelineStatus.RESTARTING:
            self._settles_at = self._clock.monotonic() + SHOWS_WITHIN
            return Step(run)
        if run.settling and self._settles_at is None:  # another process has seen it
            self._settles_at = self._clock.monotonic() + SHOWS_WITHIN
        if self._settles_at is not None and self._clock.monotonic() < self._settles_at:
            return Step(run)
        return Step(run, ending=None if any(_is_in_the_way(job, run) for job in state.listing.active) else Ending.START)

    def pause(self, run: Run) -> float:
        """Return the seconds until Hevo may be called again, or between polls."""
        if run.not_before is None:
            interval = run.order.poll_interval
            return interval if self._settles_at is None else min(interval, SHOWS_WITHIN / 4)
        return max(0.0, run.not_before - self._clock.now())


def _is_in_the_way(job: Job, run: Run) -> bool:
    if job.status == JobStatus.CANCELLING and run.order.on_active_job is not OnActiveJob.START:
        return True  # an end that is on its way
    return run.order.on_active_job is OnActiveJob.WAIT or job.job_id == run.yield_to
