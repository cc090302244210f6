"""A wait's share of what Hevo's limit leaves for all: when it may poll, and how urgent that is."""

from __future__ import annotations

from hevo_provider.client.budget import Budget, Purpose, Turn
from hevo_provider.clock import Clock
from hevo_provider.models.answers import Job
from hevo_provider.runs.logger import Logger
from hevo_provider.runs.outcome import WaitPhase
from hevo_provider.runs.run import Run
from hevo_provider.runs.urgency import chance_of_a_first_poll, chance_of_end

LONG_WAIT = 2.0  # times the poll_interval that a poll has to wait for Hevo's limit before the log says so


class Share:
    """
    The share of one wait, in the requests that Hevo's limit allows.

    :param run: the run as it is now; to be kept up to date, like ``phase``.
    :param phase: the phase that the wait is in.
    :param clock: where time comes from.
    :param logger: where it is logged.
    """

    __slots__ = ("_budget", "_clock", "_is_told", "_log", "_seen_at", "_seen_job", "phase", "run", "turn")

    def __init__(self, run: Run, phase: WaitPhase, clock: Clock, logger: Logger) -> None:
        self.run = run
        self.phase = phase
        self.turn = Turn(Purpose.WAIT, interval=run.order.poll_interval, urgency=self._urgency)
        self._clock = clock
        self._log = logger
        self._budget: Budget | None = None
        self._seen_job: Job | None = None
        self._seen_at = clock.monotonic()
        self._is_told = False

    def passes(self, budget: Budget) -> bool:
        """Let the next poll's requests through if there is room for them at once."""
        turn = self.turn
        turn.purpose, turn.answer = self.phase.purpose, None
        if turn.purpose is Purpose.WAIT and self._budget is not budget:
            self.leave()
            self._budget = budget
            budget.waits[turn] = None
        missing = self._requests - turn.paid
        if missing > 0 and not budget.passes(turn, missing):
            return False
        self._has_passed(budget)
        return True

    async def enter(self, budget: Budget, within: float, *, is_last: bool) -> bool:
        """
        Wait until there is room for the next poll's requests, or until another wait has got the answer.

        :param within: seconds.
        :param is_last: whether it decides if the job has to be cancelled: then no other request comes first.
        :returns: False: not within that time.
        """
        turn = self.turn
        if is_last:
            turn.purpose = Purpose.CANCEL
        asks = self.phase.asks(self.run)
        if not await budget.enter(turn, self._requests - turn.paid, within=within, asks=asks):
            return False
        if turn.answer is None:
            self._has_passed(budget)
        interval = self.run.order.poll_interval
        if not self._is_told and turn.purpose is Purpose.WAIT and turn.waited > interval * LONG_WAIT:
            self._is_told = True
            self._log.info(
                "Pipeline %s: %d waits share Hevo's limit of %.0f requests a minute, so this job is polled about every "
                "%.0f s instead of every %.0f s.",
                self.run.pipeline_id,
                len(budget.waits),
                budget.limit,
                turn.waited + interval,
                interval,
            )
        return True

    def _has_passed(self, budget: Budget) -> None:
        self.turn.paid = self._requests
        if self.run.afford:
            budget.pace.keep_room()

    def leave(self) -> None:
        """Take no more part in it."""
        if self._budget is not None:
            self._budget.waits.pop(self.turn, None)

    def has_seen(self, job: Job) -> None:
        """Take note that the job was at work when it was last asked for."""
        self._seen_job, self._seen_at = job, self._clock.monotonic()

    @property
    def _requests(self) -> int:
        return self.run.afford or self.phase.requests

    def _urgency(self, now: float) -> float:
        """Return how urgent the next poll is, at a moment of the monotonic clock."""
        if self.phase.purpose is not Purpose.WAIT:
            return float(self.run.put_off)  # who was refused most often comes first
        since = now - self._seen_at
        first = 0.0 if self.phase.polls else chance_of_a_first_poll(since)
        if self._seen_job is None:
            since_poll = 0.0 if self.turn.asked_at is None else max(0.0, now - self.turn.asked_at)
            return max(first, chance_of_end(0.0, since_poll, ()))  # of a job that is not known yet
        created, unseen = self._seen_job.created_ts, self._clock.now() - since
        age = 0.0 if created is None else max(0.0, unseen - created / 1000)
        return max(first, chance_of_end(age, age + since, self.run.expected))
