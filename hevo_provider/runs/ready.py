"""The first phase of a wait: until the action may be sent, by a worker."""

from __future__ import annotations

from hevo_provider.client.calls import HevoAsyncClient
from hevo_provider.clock import Clock
from hevo_provider.models.enums import OnActiveJob, PipelineStatus
from hevo_provider.runs.listing import State, read_state
from hevo_provider.runs.outcome import Ending, Step, WaitPhase
from hevo_provider.runs.run import Run


class Ready(WaitPhase):
    """
    Waits until Hevo may be called again, the pipeline is no longer RESTARTING, and no job is in the way.

    :param clock: where time comes from.
    """

    __slots__ = ("_clock",)

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def poll(self, hevo: HevoAsyncClient, run: Run) -> Step:
        """Ask once: GET /pipelines/{id} and GET /pipelines/{id}/jobs, at the same time."""
        run = run.called_again()
        state = await read_state(hevo, run.pipeline_id, retry_limit=0)
        run = run.has_been_answered()
        return Step(run, ending=None if _must_wait(run, state) else Ending.START)

    def pause(self, run: Run) -> float:
        """Return the seconds until Hevo may be called again, or between polls."""
        if run.not_before is None:
            return run.order.poll_interval
        return max(0.0, run.not_before - self._clock.now())


def _must_wait(run: Run, state: State) -> bool:
    if run.order.may_restart and state.pipeline.status == PipelineStatus.RESTARTING:
        return True
    waits = run.order.on_active_job is OnActiveJob.WAIT
    return any(waits or job.job_id == run.yield_to for job in state.listing.active)
