"""The second phase of a wait: until the job shows that the action has started, or that is to be followed."""

from __future__ import annotations

from hevo_provider import codes
from hevo_provider.client.budget import Purpose
from hevo_provider.client.calls import HevoAsyncClient
from hevo_provider.clock import Clock
from hevo_provider.exceptions import HevoJobNotFoundError
from hevo_provider.models.enums import PipelineStatus
from hevo_provider.runs.follow import found
from hevo_provider.runs.identity import (
    UNKNOWN_FATE_WINDOW,
    Choice,
    choose,
    choose_second,
    choose_to_follow,
    reaches_back,
    since_search_began,
    with_first_poll,
    with_skew,
)
from hevo_provider.runs.listing import PAGE_OF_A_SEARCH, expected_of, read_listing
from hevo_provider.runs.logger import Logger
from hevo_provider.runs.outcome import Ending, Step, WaitPhase
from hevo_provider.runs.run import Fate, Ownership, Run
from hevo_provider.runs.words import any_of, found_none

LONGEST_PAUSE = 15.0  # seconds, while the fate of an action is unknown, whatever the poll_interval


class Search(WaitPhase):
    """
    Polls the list of jobs until the run's job is there, in whatever status: it may be over when it first shows.

    :param clock: where time comes from.
    :param logger: where it is logged.
    :param run: as it is when the search begins here.
    """

    __slots__ = ("_began_polled", "_clock", "_log", "_read_at", "_searched_for", "polls")

    purpose = Purpose.SEARCH

    def __init__(self, clock: Clock, logger: Logger, run: Run) -> None:
        self._clock = clock
        self._log = logger
        self._began_polled = run.polled
        self._read_at: float | None = None  # when the poll before this was answered; None if it was not
        self._searched_for = 0.0  # seconds of answers, one poll after the other
        self.polls = 0

    async def poll(self, hevo: HevoAsyncClient, run: Run) -> Step:
        """
        Ask once: GET /pipelines/{id}/jobs, and GET /pipelines/{id} where a resync has no job yet.

        :raises HevoJobNotFoundError: no job has appeared in time.
        """
        read_before, self._read_at = self._read_at, None
        listing = await read_listing(
            hevo, run.pipeline_id, page_size=PAGE_OF_A_SEARCH, enough=reaches_back(run), retry_limit=0
        )
        run = with_skew(since_search_began(run, listing, self._clock.now()), listing)
        choice = choose_to_follow(listing, run) if _follows(run) else choose(listing, run)
        if choice.has_rivals:
            run = run.assuming()
        if choice.job is not None:
            if not run.expected:
                run = run.expecting(expected_of(run, listing))
            return found(run, choice.job, self._log, server_time=listing.server_time)
        if run.order.may_restart and not _follows(run) and await _is_restarting(hevo, run):
            # A resync passes through this state, so it was applied. It takes its time before there is a job to find.
            self.polls, self._searched_for = 0, 0.0
            return Step(run.restarted())
        if run.order.action is None and not run.polled and run.searching_since is None:
            run = with_first_poll(run, listing)
        self.polls += 1
        self._read_at = self._clock.monotonic()
        # An outage between two answers is no time of search: nobody could have seen the job.
        self._searched_for += 0.0 if read_before is None else self._read_at - read_before
        if not self._is_over(run):
            return Step(run)
        second = Choice() if _follows(run) else choose_second(listing, run)
        return self._without_job(run, choice, second, listing.server_time)

    def pause(self, run: Run) -> float:
        """Return the seconds to the next poll: they grow from ``find_delay`` to ``find_interval``."""
        order = run.order
        longest = order.poll_interval if order.find_interval is None else order.find_interval
        if order.action is None:
            return order.find_delay if self._is_first_pause(run) else longest
        if run.fate is Fate.UNKNOWN:
            longest = min(longest, LONGEST_PAUSE)
        first = min(order.find_delay, longest)
        pause = min(first * 2.0 ** min(self.polls, 30), longest) if self.polls else first
        if run.fate is not Fate.UNKNOWN and self.polls + 1 >= order.retry_limit:
            # The last poll comes late enough for Hevo to have shown the job, however few polls there are.
            return max(pause, order.find_window - self._searched_for)
        return pause

    def first_pause(self, run: Run) -> float:
        """Return the ``find_delay``, which a worker that polled before has not waited for."""
        return run.order.find_delay if run.order.action is None else self.pause(run)

    def _is_first_pause(self, run: Run) -> bool:
        if run.searching_since is not None:
            return self._clock.now() - run.searching_since < run.order.find_delay
        return self.polls <= 1 and not self._began_polled

    def _is_over(self, run: Run) -> bool:
        order = run.order
        if run.fate is Fate.UNKNOWN:
            return self._searched_for >= UNKNOWN_FATE_WINDOW
        if run.searching_since is None:
            return self.polls >= order.retry_limit
        # A process that is rescheduled cannot count polls, but it knows for how long there have been some.
        last_poll = order.find_delay + (order.retry_limit - 2) * (order.find_interval or order.poll_interval)
        return order.retry_limit == 1 or self._clock.now() - run.searching_since >= last_poll

    def _without_job(self, run: Run, choice: Choice, second: Choice, server_time: int | None) -> Step:
        if second.job is not None:
            self._log.info(
                "Pipeline %s: %s has brought no %s job but a %s one: following that.",
                run.pipeline_id,
                run.order.action,
                any_of(run.order.job_types),
                second.job.type,
            )
            run = run.assuming() if second.has_rivals else run
            return found(run, second.job, self._log, server_time=server_time)
        if choice.fallback is not None:
            self._log.warning(
                "Pipeline %s: following job %s (%s) although Hevo's times or type do not prove that it is this task's "
                "own: no other appeared.",
                run.pipeline_id,
                choice.fallback.job_id,
                choice.fallback.type,
            )
            return found(run, choice.fallback, self._log, ownership=Ownership.ASSUMED)
        if run.fate is Fate.UNKNOWN:
            return Step(run.has_been_answered(), ending=Ending.START)
        skipped = choice.skipped or second.skipped
        if run.fate is Fate.ANSWERED and skipped is not None:
            return found(run, skipped, self._log, ownership=Ownership.ASSUMED)
        code = codes.NO_ACTIVE_JOB if run.order.action is None else codes.NO_JOB
        raise HevoJobNotFoundError(found_none(run, choice, self.polls), pipeline_id=run.pipeline_id, code=code)


def _follows(run: Run) -> bool:
    """Return whether the run looks for a job of somebody else: it sent nothing, or was refused because of that job."""
    return run.order.action is None or run.fate is Fate.REFUSED


async def _is_restarting(hevo: HevoAsyncClient, run: Run) -> bool:
    pipeline = await hevo.get_pipeline(run.pipeline_id, retry_limit=0)
    return pipeline.status == PipelineStatus.RESTARTING
