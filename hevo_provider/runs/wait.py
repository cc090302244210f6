"""
Waiting for a run: the one loop, phase after phase, until there is nothing more to wait for.

It sends nothing but GETs, so it can run anywhere, twice at once, and again from the start. What is polled and at what
pace is the phases' to say; how long an API that is down is endured, that of :mod:`hevo_provider.runs.outage`.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from hevo_provider.client.budget import asking_as
from hevo_provider.client.calls import HevoAsyncClient
from hevo_provider.clock import Clock
from hevo_provider.exceptions import HevoError, HevoTimeoutError
from hevo_provider.models.answers import Job
from hevo_provider.models.enums import JobStatus
from hevo_provider.runs.error_table import REFUSAL_TOLERANCE, endured_for, meaning_of
from hevo_provider.runs.logger import Logger, log
from hevo_provider.runs.outage import Outage
from hevo_provider.runs.outcome import Ending, Outcome, Step
from hevo_provider.runs.phases import phase_of
from hevo_provider.runs.run import Run
from hevo_provider.runs.share import Share
from hevo_provider.runs.verdict import goes_on
from hevo_provider.runs.words import end_in_words

LONGEST_POLL = 600.0  # seconds; more than any can take that ends well, however long Hevo asks to wait
LAST_POLL = 1.0  # seconds that a poll may at least take when the deadline is there

Connect = Callable[[], Awaitable[HevoAsyncClient]]
T_co = TypeVar("T_co", covariant=True)
T = TypeVar("T")


class Asking(Protocol[T_co]):
    """What is polled until it has an answer, such as a :class:`Wait`."""

    @property
    def trouble(self) -> HevoError | None:
        """What kept the last poll from an answer, and is endured."""

    @property
    def pause(self) -> float:
        """Seconds until the next poll."""

    async def poll(self, connect: Connect) -> T_co | None:
        """Poll once; None: poll again after :attr:`pause` seconds."""


class Wait:
    """
    One wait for a run.

    :param run: what is waited for. Kept up to date, like ``job``, as last seen, and ``trouble``, what kept the last
        poll from an answer; so that the caller that ends the wait sees how far it came.
    :param clock: where time comes from.
    :param logger: where it is logged.
    :param remember: called with the run when its job is found.
    """

    __slots__ = ("_clock", "_log", "_outage", "_pause", "_phase", "_remember", "_share", "job", "run", "trouble")

    def __init__(
        self,
        run: Run,
        clock: Clock,
        logger: Logger = log,
        remember: Callable[[Run], Awaitable[None]] | None = None,
    ) -> None:
        self.run = run
        self.job: Job | None = None
        self.trouble: HevoError | None = None
        self._log = logger
        self._remember = remember
        self._clock = clock
        tolerance = run.order.api_outage_tolerance
        self._outage = Outage(clock, run.pipeline_id, tolerance, logger, knows_hevo=run.knows_hevo)
        self._phase = phase_of(run, clock, logger)
        self._pause: float | None = None
        self._share = Share(run, self._phase, clock, logger)

    async def until_done(self, connect: Connect, *, at_once: bool = False) -> Outcome:
        """
        Wait until there is nothing more to wait for.

        :param connect: returns a client, the same each time while it works. Each poll asks once: what repeats is this.
        :param at_once: begin with a poll, as a worker that hands the wait over has done.
        :returns: how it ended.
        :raises HevoJobNotFoundError: no job appeared, or it vanished.
        :raises HevoJobStalledError: the job's status leads nowhere.
        :raises HevoError: what is endured no longer: see :mod:`hevo_provider.runs.error_table`.
        """
        try:
            if at_once and (outcome := await self.poll(connect)) is not None:
                return outcome
            rest = 0.0 if self.run.not_before is None else self.run.not_before - self._clock.now()
            return await self._polled_until_done(connect, max(rest, self._phase.first_pause(self.run)))
        finally:
            self._share.leave()

    async def _polled_until_done(self, connect: Connect, pause: float) -> Outcome:
        is_spread = False
        while True:
            await self._clock.sleep(min(pause, max(0.0, self._time_left())))
            outcome = await self.poll(connect)
            if self._is_out_of_time(outcome):
                return Outcome(Ending.TIMED_OUT, self.run, self.job)
            if outcome is not None:
                return outcome
            pause = self.pause
            if not is_spread and self._phase.is_steady and self.trouble is None:
                # Waits that began together do not poll together.
                is_spread, pause = True, random.uniform(0, pause)  # noqa: S311 - spreads load, guards nothing

    async def poll(self, connect: Connect) -> Outcome | None:
        """
        Poll once, whether Hevo answers or not.

        :param connect: returns a client.
        :returns: how the wait ended; None: poll again after :attr:`pause` seconds.
        :raises HevoError: what is endured no longer, or is a bad end by itself.
        """
        self._pause = self.trouble = None
        time_left = self._time_left()
        hevo: HevoAsyncClient | None = None
        try:
            allowed = max(min(time_left, LONGEST_POLL), LAST_POLL)
            async with asyncio.timeout(allowed) as limit:
                hevo = await connect()
                if not self._share.passes(hevo.budget):
                    limit.reschedule(None)  # however long Hevo's limit keeps it, that is no fault of this poll
                    within, is_last = max(time_left, LAST_POLL), time_left <= LAST_POLL
                    if not await self._share.enter(hevo.budget, within, is_last=is_last):
                        return None
                    limit.reschedule(asyncio.get_running_loop().time() + allowed)
                with asking_as(self._share.turn):
                    step = await self._phase.poll(hevo, self.run)
        except TimeoutError:
            if time_left <= LONGEST_POLL:
                return None
            self.trouble = HevoTimeoutError(f"no usable answer within {LONGEST_POLL:g} s")
        except HevoError as error:
            if meaning_of(error) is None:
                raise
            self.trouble = error
        if self.trouble is None:
            self._share.turn.waited = 0.0
            self._outage.is_over()
            return await self._after(step)
        self._pause = self._outage.pause_after(self.trouble, self.run.job_id, queued=self._share.turn.waited)
        self._share.turn.waited = 0.0
        if hevo is not None:
            hevo.count_retry()
        return None

    @property
    def polls(self) -> int:
        """How many polls of a search have shown no job."""
        return self._phase.polls

    @property
    def pause(self) -> float:
        """Seconds until the next poll."""
        return self._phase.pause(self.run) if self._pause is None else self._pause

    async def _after(self, step: Step) -> Outcome | None:
        if step.ending is Ending.ENDED and step.job is not None and goes_on(step.job, step.run.order):
            step = self._going_on(step.run, step.job)
        before = self.run
        self.run = self._share.run = step.run
        if step.job is not None:
            self.job = step.job
            self._share.has_seen(step.job)
        if self.run.phase is not before.phase:
            self._phase = self._share.phase = phase_of(self.run, self._clock, self._log)
            if self._remember is not None:
                await self._remember(self.run)
        return None if step.ending is None else Outcome(step.ending, self.run, self.job)

    def _going_on(self, run: Run, job: Job) -> Step:
        """Take up a deferred job after a pause: only a worker starts the next one."""
        pause = run.order.poll_interval
        self._log.info(
            "Pipeline %s: %s. Going on with a sync in %.0f s, as on_deferred asks for.",
            run.pipeline_id,
            end_in_words(job),
            pause,
        )
        return Step(run.going_on(job, self._clock.now() + pause), job)

    def _is_out_of_time(self, outcome: Outcome | None) -> bool:
        if self._time_left() > 0:
            return False
        if outcome is None or outcome.ending is Ending.START:
            return True
        if outcome.job is None:
            return False
        # A wait that was lost just after it had its job cancelled is over for the same reason when it starts again.
        return outcome.job.status == JobStatus.CANCELLED and self.run.is_ours and self.run.order.cancel_on_kill

    def _time_left(self) -> float:
        return float("inf") if self.run.order.deadline is None else self.run.order.deadline - self._clock.now()


async def poll_on_while_refused(asking: Asking[T], connect: Connect, clock: Clock, *, knows_hevo: bool) -> T | None:
    """
    Poll on, for up to half a minute, where a refusal or a 404 may be a stumble, or the truth.

    That is for a process that polls once and remembers nothing: it does not know for how long the ones before it got
    the same answer. An outage is left to the next process.

    :param asking: what was polled without an answer.
    :param connect: returns a client.
    :param clock: where time comes from.
    :param knows_hevo: whether Hevo has answered the task well before.
    :returns: what the last poll returned.
    :raises HevoError: it lasts.
    """
    until, found = clock.monotonic() + REFUSAL_TOLERANCE, None
    while found is None and asking.trouble is not None and clock.monotonic() <= until:
        meaning = meaning_of(asking.trouble)
        if meaning is None or endured_for(meaning, knows_hevo=knows_hevo) is None:
            return None
        await clock.sleep(asking.pause)
        found = await asking.poll(connect)
    return found
