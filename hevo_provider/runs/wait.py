"""
Waiting for a run: until it may start, until its job shows, until the job ends.

It sends nothing but GETs, so it can run anywhere, twice at once, and again from the start.

An API that is down is weather: the one loop here outlives it, says so once per change, and gives up after
``api_outage_tolerance``.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace

from hevo_provider.client import HevoAsyncClient, JobReply
from hevo_provider.exceptions import (
    HevoError,
    HevoJobNotFoundError,
    HevoJobStalledError,
    HevoResponseError,
    HevoTimeoutError,
)
from hevo_provider.models.answers import Job
from hevo_provider.models.job import ACTIVE_STATUSES, JobStatus
from hevo_provider.models.pipeline import PipelineStatus
from hevo_provider.parameters import OnActiveJob
from hevo_provider.runs.discovery import (
    STALE_AFTER,
    Choice,
    choose,
    choose_to_follow,
    is_stale,
    reaches_back,
    read_listing,
    read_state,
    since_search_began,
    with_first_look,
)
from hevo_provider.runs.logger import Logger, log
from hevo_provider.runs.outcome import Ending, Outcome
from hevo_provider.runs.progress import Progress, found_in_words
from hevo_provider.runs.run import Fate, Ownership, Phase, Run
from hevo_provider.runs.since import completed_since, reaches_back_far_enough, without_completed
from hevo_provider.runs.verdict import found_none
from hevo_provider.runs.weather import WEATHER, Weather

__all__ = ["UNKNOWN_FATE_WINDOW", "Ending", "Outcome", "Wait"]

UNKNOWN_FATE_WINDOW = 60.0  # seconds of readable answers without a new job before an action counts as not applied
LONGEST_FIND_PAUSE = 15.0  # while the fate of an action is unknown, whatever the poll_interval
FIND_PAGE = 25  # jobs
LONGEST_LOOK = 600.0  # seconds; more than any can take that ends well, however long Hevo asks to wait
LAST_LOOK = 1.0  # seconds that a look may at least take when the deadline is there


class Wait:
    """
    One wait for a run.

    :param hevo: a client. Each look asks once: what repeats is the loop here.
    :param run: what is waited for. Kept up to date, like ``job``, as last seen, ``looks``, how many found none, and
        ``trouble``, what kept the last look from an answer; so that whoever ends the wait sees how far it came.
    :param logger: where the story is told.
    :param remember: told of the run when its job is found.
    """

    __slots__ = (  # thousands of waits share a process
        "_clock",
        "_endure",
        "_log",
        "_progress_so_far",
        "_remember",
        "_searching_since",
        "_unchanged_since",
        "_weather",
        "hevo",
        "job",
        "looks",
        "run",
        "trouble",
    )

    def __init__(
        self,
        hevo: HevoAsyncClient,
        run: Run,
        logger: Logger = log,
        remember: Callable[[Run], Awaitable[None]] | None = None,
    ) -> None:
        self.run = run
        self.job: Job | None = None
        self.looks = 0
        self.trouble: HevoError | None = None
        self.hevo = hevo
        self._log = logger
        self._remember = remember
        self._clock = hevo.clock
        were_taken = bool(run.posts or run.looked or run.last_status)
        self._weather = Weather(hevo.clock, run.pipeline_id, run.api_outage_tolerance, logger, were_taken=were_taken)
        self._progress_so_far = Progress(hevo.clock)
        self._endure: float | None = None
        self._searching_since: float | None = None
        self._unchanged_since = self._clock.monotonic()

    async def until_done(self) -> Outcome:
        """
        Wait until there is nothing more to wait for.

        :returns: how it ended.
        :raises HevoJobNotFoundError: no job appeared, or it vanished.
        :raises HevoJobStalledError: the job's status leads nowhere.
        :raises HevoOutageError: Hevo was out of reach for longer than is tolerated.
        :raises HevoAuthError: the credentials are refused.
        """
        pause = 0.0 if self.run.phase == Phase.WATCH else self.pause
        is_spread = False
        while True:
            await self._clock.sleep(min(pause, max(0.0, self._time_left())))
            outcome = await self.look()
            if self._is_out_of_time(outcome):
                return Outcome(Ending.TIMED_OUT, self.run, self.job)
            if outcome is not None:
                return outcome
            pause = self.pause
            if not is_spread and self._is_steady and self.trouble is None:
                # Waits that began together do not look at their jobs together.
                is_spread, pause = True, random.uniform(0, pause)  # noqa: S311 - spreads load, guards nothing

    async def look(self) -> Outcome | None:
        """
        Look once, whatever the weather.

        :returns: how the wait ended; None: look again after :attr:`pause` seconds.
        """
        self._endure = self.trouble = None
        time_left = self._time_left()
        try:
            async with asyncio.timeout(max(min(time_left, LONGEST_LOOK), LAST_LOOK)):
                outcome = await self._look_in_phase()
        except TimeoutError:
            if time_left <= LONGEST_LOOK:
                return None
            self.trouble = HevoTimeoutError(f"no usable answer within {LONGEST_LOOK:g} s")
        except WEATHER as error:
            self.trouble = error
        if self.trouble is None:
            self._weather.is_fine()
            return outcome
        self._endure = self._weather.pause_after(self.trouble, self.run.job_id)
        self.hevo.count_retry()
        return None

    async def _look_in_phase(self) -> Outcome | None:
        if self.run.phase == Phase.WATCH:
            return await self._look_at_job()
        return await (self._look_for_job() if self.run.phase == Phase.FIND else self._look_whether_ready())

    def _is_out_of_time(self, outcome: Outcome | None) -> bool:
        if self._time_left() > 0:
            return False
        if outcome is None or outcome.ending is Ending.START:
            return True
        if outcome.job is None:
            return False
        # A wait that was lost just after it had its job cancelled is over for the same reason when it starts again.
        return outcome.job.status == JobStatus.CANCELLED and self.run.is_ours and self.run.cancel_on_kill

    def _time_left(self) -> float:
        return float("inf") if self.run.deadline is None else self.run.deadline - self._clock.now()

    @property
    def _is_steady(self) -> bool:
        """Whether all looks are alike, a ``poll_interval`` apart, for as long as it takes."""
        return self.run.phase == Phase.WATCH or self.run.completed_after is not None

    @property
    def pause(self) -> float:
        """Seconds until the next look."""
        run = self.run
        if self._endure is not None:
            return self._endure
        if run.phase == Phase.READY and run.not_before is not None:
            return max(0.0, run.not_before - self._clock.now())
        if run.phase != Phase.FIND or self._is_steady:
            return run.poll_interval
        longest = run.poll_interval if run.find_interval is None else run.find_interval
        if run.action is None:
            return longest if self.looks else run.find_delay
        if run.fate == Fate.UNKNOWN:
            longest = min(longest, LONGEST_FIND_PAUSE)
        first = min(run.find_delay, longest)
        pause = min(first * 2.0 ** min(self.looks, 30), longest) if self.looks else first
        if run.fate in {Fate.ANSWERED, Fate.REFUSED} and self.looks + 1 >= run.retry_limit:
            # The last look comes late enough for Hevo to have shown the job, however few looks there are.
            return max(pause, run.find_window - self._searched_for())
        return pause

    # Until the action may be sent

    async def _look_whether_ready(self) -> Outcome | None:
        run = self.run
        if run.not_before is not None:
            self.run = run = replace(run, not_before=None)
        state = await read_state(self.hevo, run.pipeline_id, retry_limit=0)
        if run.may_restart and state.pipeline.status == PipelineStatus.RESTARTING:
            return None
        if any(run.on_active_job == OnActiveJob.WAIT or job.job_id == run.yield_to for job in state.listing.active):
            return None
        return Outcome(Ending.START, replace(run, waited=True))

    # Until the job shows

    async def _look_for_job(self) -> Outcome | None:
        run = self.run
        enough = reaches_back(run) if run.completed_after is None else reaches_back_far_enough(run)
        listing = await read_listing(self.hevo, run.pipeline_id, page_size=FIND_PAGE, enough=enough, retry_limit=0)
        if run.completed_after is not None:
            completed = completed_since(listing, run)
            if completed is not None:
                return await self._found(completed)
            self.run = without_completed(listing, run, self._log)
            return None
        follows = run.action is None or run.fate == Fate.REFUSED
        run = since_search_began(run, listing, self._clock.now())
        choice = choose_to_follow(listing, run) if follows else choose(listing, run)
        if choice.has_rivals:
            self.run = replace(self.run, ownership=Ownership.ASSUMED.value)
        if choice.job is not None:
            return await self._found(choice.job, server_time=listing.server_time)
        if run.may_restart and not follows and await self._is_restarting():
            return None
        if run.action is None and not run.looked and run.searching_since is None:
            self.run = run = with_first_look(run, listing)
        self.looks += 1
        if self._searching_since is None:
            self._searching_since = self._clock.monotonic()
        if run.fate == Fate.UNKNOWN:
            over = self._searched_for() >= UNKNOWN_FATE_WINDOW
        else:
            over = self.looks >= run.retry_limit
        return await self._without_job(choice) if over else None

    def _searched_for(self) -> float:
        return 0.0 if self._searching_since is None else self._clock.monotonic() - self._searching_since

    async def _is_restarting(self) -> bool:
        pipeline = await self.hevo.get_pipeline(self.run.pipeline_id, retry_limit=0)
        if pipeline.status != PipelineStatus.RESTARTING:
            return False
        # A resync passes through this state, so it was applied. It takes its time before there is a job to look for.
        self.run = replace(self.run, fate=Fate.ANSWERED.value)
        self.looks, self._searching_since = 0, None
        return True

    async def _found(self, job: Job, *, ownership: str | None = None, server_time: int | None = None) -> Outcome | None:
        """Go on to watch the job; what is known only to tell it from others is dropped."""
        self.job = job
        self.run = replace(
            self.run,
            phase=Phase.WATCH.value,
            job_id=job.job_id,
            last_status=str(job.status),
            ownership=ownership or self.run.ownership,
            baseline=(),
            baseline_floor=None,
        )
        found = found_in_words(self.run, job, server_time)
        self._log.info("Pipeline %s: found %s.", self.run.pipeline_id, found)
        self._tell_if_unknown(job)
        if self._remember is not None:
            await self._remember(self.run)
        return self._progress(job)

    async def _without_job(self, choice: Choice) -> Outcome | None:
        run = self.run
        if choice.fallback is not None:
            self._log.warning(
                "Pipeline %s: following job %s (%s) although Hevo's times or type do not prove that it is this task's "
                "own: no other appeared.",
                run.pipeline_id,
                choice.fallback.job_id,
                choice.fallback.type,
            )
            return await self._found(choice.fallback, ownership=Ownership.ASSUMED.value)
        if run.fate == Fate.UNKNOWN:
            return Outcome(Ending.START, replace(run, waited=True))
        raise HevoJobNotFoundError(found_none(run, choice, self.looks), pipeline_id=run.pipeline_id)

    # Until the job ends

    async def _look_at_job(self) -> Outcome | None:
        run = self.run
        if run.job_id is None:
            raise HevoJobNotFoundError("There is no job to watch.", pipeline_id=run.pipeline_id)
        reply = await self.hevo.look_at_job(run.pipeline_id, run.job_id)
        job, before = reply.job, self.job
        if job.job_id != run.job_id:
            raise HevoResponseError(f"Hevo was asked for job {run.job_id} and answered with job {job.job_id}.")
        self.job = job
        if before is None or (before.status, before.updated_ts) != (job.status, job.updated_ts):
            self._unchanged_since = self._clock.monotonic()
            self._tell_change(job)
        elif self._leads_nowhere(reply):
            raise HevoJobStalledError(
                f"Pipeline {run.pipeline_id}: job {job.job_id} has been {job.status} for hours without any change. "
                "Look at it in Hevo.",
                pipeline_id=run.pipeline_id,
                job_id=job.job_id,
            )
        news = None if job.is_terminal else self._progress_so_far.news(job)
        if news is not None:
            self._log.info("Pipeline %s: job %s: %s.", run.pipeline_id, job.job_id, news)
        return self._progress(job)

    def _progress(self, job: Job) -> Outcome | None:
        if not self.run.wait_for_completion:
            return Outcome(Ending.FOUND, self.run, job)
        return Outcome(Ending.ENDED, self.run, job) if job.is_terminal else None

    def _tell_change(self, job: Job) -> None:
        if self.run.last_status == str(job.status):
            return
        self.run = replace(self.run, last_status=str(job.status))
        if not self._tell_if_unknown(job):
            self._log.info("Pipeline %s: job %s is %s.", self.run.pipeline_id, job.job_id, job.status)

    def _tell_if_unknown(self, job: Job) -> bool:
        unknown = not job.is_terminal and job.status not in ACTIVE_STATUSES
        if unknown:
            self._log.warning(
                "Pipeline %s: job %s is %s, a status that this version does not know; waiting on.",
                self.run.pipeline_id,
                job.job_id,
                job.status,
            )
        return unknown

    def _leads_nowhere(self, reply: JobReply) -> bool:
        job = reply.job
        if job.status in ACTIVE_STATUSES and job.status != JobStatus.CANCELLING:
            return False  # long jobs are no fault
        unchanged_for = (self._clock.monotonic() - self._unchanged_since) * 1000
        return unchanged_for >= STALE_AFTER or is_stale(job, reply.server_time)
