"""
Cancelling the job that a run has started, and no other.

What Hevo or a gateway answers to a cancel says little: the job may have ended, be cancelled all the same, or not show
for a moment. So a cancel is only over when a poll says what has become of the job. Until then it is repeated.
"""

from __future__ import annotations

from dataclasses import replace
from http import HTTPStatus

from hevo_provider.client.budget import Purpose, Turn, asking_as
from hevo_provider.client.calls import HevoAsyncClient
from hevo_provider.exceptions import HevoAPIError, HevoConfigError, HevoError, HevoRateLimitError
from hevo_provider.models.answers import Job
from hevo_provider.models.enums import JobStatus
from hevo_provider.runs.identity import choose_any, reaches_back
from hevo_provider.runs.listing import read_listing
from hevo_provider.runs.logger import Logger, log
from hevo_provider.runs.outage import LONGEST_RETRY_AFTER
from hevo_provider.runs.outcome import Ending, Outcome
from hevo_provider.runs.run import Fate, Run
from hevo_provider.runs.verdict import wants_only_the_id
from hevo_provider.runs.wait import Connect

CANCEL_WITHIN = 60.0  # seconds for which a cancel is repeated, and twice that where Hevo asks to be left alone
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 15.0  # seconds between two cancels


async def cancel_job_of(
    hevo: HevoAsyncClient, run: Run, logger: Logger = log, *, within: float = CANCEL_WITHIN
) -> bool:
    """
    Cancel the run's job if the run has started it and it has not ended: GET, POST …/actions/cancel, and GET again.

    :param within: seconds for which this is repeated while the job runs on; a process that is about to be killed has
        few.
    :returns: whether the job is cancelled, or Hevo has accepted to do so. Whatever goes wrong is logged: there is
        nobody left to handle it.
    """
    return (await _cancel(hevo, run, logger, within))[0]


async def end_in_time(connect: Connect, outcome: Outcome, logger: Logger = log) -> Outcome:
    """
    End a wait: if its time was over, cancel its job.

    :param connect: returns a client.
    :param outcome: what the wait came to.
    :returns: the same, unless the job turns out to have ended by itself after the last poll: that is its end then.
    """
    run = outcome.run
    if outcome.ending is not Ending.TIMED_OUT or not run.order.cancel_on_kill or not _may_be_cancelled(run):
        return outcome
    try:
        hevo = await connect()
    except HevoError as error:
        logger.warning("Pipeline %s: the job was not cancelled and may still run: %s", run.pipeline_id, error.text)
        return outcome
    cancelled, job = await _cancel(hevo, run, logger, CANCEL_WITHIN)
    if job is None:
        return replace(outcome, cancelled=cancelled)
    run = run.watching(job)  # it may have shown only now
    if cancelled or not job.is_terminal:
        return Outcome(Ending.TIMED_OUT, run, job, cancelled=cancelled)
    return Outcome(Ending.FOUND if wants_only_the_id(job, run.order) else Ending.ENDED, run, job)


def _may_be_cancelled(run: Run) -> bool:
    return run.is_ours and run.order.action is not None


async def _cancel(hevo: HevoAsyncClient, run: Run, logger: Logger, within: float) -> tuple[bool, Job | None]:
    """Return whether the job is cancelled, or is going to be, and the job as it was seen last, where it was."""
    if not _may_be_cancelled(run):
        return False, None
    effort = _Effort(hevo, run, logger, within)
    with asking_as(Turn(Purpose.CANCEL)):
        await effort.to_its_end()
    return effort.cancelled, effort.job


class _Effort:
    """
    The effort to cancel one job.

    ``cancelled`` is whether the job is cancelled, or Hevo has accepted to do so; ``job`` is the job as the last poll
    showed it, None if it did not.

    :param within: seconds for which it goes on while the job runs on.
    """

    def __init__(self, hevo: HevoAsyncClient, run: Run, logger: Logger, within: float) -> None:
        self.cancelled = False
        self.job: Job | None = None
        self._hevo = hevo
        self._run = run
        self._log = logger
        self._clock = hevo.clock
        self._until = self._clock.monotonic() + within
        self._latest = self._until + within
        self._pause = FIRST_PAUSE
        self._tries = 0
        self._trouble: HevoError | None = None

    async def to_its_end(self) -> None:
        """Poll the job, and ask Hevo to cancel it while it runs, until a poll says that this is over or time is."""
        is_last = False
        while True:
            self._tries += 1
            try:
                if await self._is_over():
                    return
                if is_last:
                    break
                await self._ask()
            except HevoError as error:
                if is_last:
                    self._trouble = error
                    break
                if not await self._may_pass(error):
                    break
                is_last = self._is_refused(error)
            is_last = is_last or (self._tries > 1 and self._clock.monotonic() >= self._until)
        self._tell_what_was_seen()

    async def _is_over(self) -> bool:
        self.job, run = None, self._run
        job_id = run.job_id or await _find(self._hevo, run)
        if job_id is None:
            self._log.warning(
                "Pipeline %s: %s was sent and its job does not show yet, so it is not cancelled. Look at the pipeline "
                "in Hevo.",
                run.pipeline_id,
                run.order.action,
            )
            return True
        self._run = run.known_as(job_id)
        self.job = job = await self._hevo.get_job(run.pipeline_id, job_id, retry_limit=0)
        if not job.is_terminal and job.status != JobStatus.CANCELLING:
            return False
        self.cancelled = job.status in {JobStatus.CANCELLING, JobStatus.CANCELLED}
        self._log.info("Pipeline %s: job %s is %s.", run.pipeline_id, job_id, job.status)
        return True

    async def _ask(self) -> None:
        assert self._run.job_id is not None
        await self._hevo.cancel_job(self._run.pipeline_id, self._run.job_id, retry_limit=0)
        if self.cancelled:  # and the job did not show it: Hevo may take a moment, or have lost it
            await self._rest()
            return
        self.cancelled, self._trouble = True, None
        self._log.info("Pipeline %s: asked Hevo to cancel %s.", self._run.pipeline_id, self._what)

    def _is_refused(self, error: HevoError) -> bool:
        """Return whether it is Hevo's own word on the cancel, which no repetition changes. All else may pass."""
        if self.job is None or isinstance(error, HevoRateLimitError):
            return False
        return isinstance(error, HevoAPIError) and error.status == HTTPStatus.BAD_REQUEST

    async def _may_pass(self, error: HevoError) -> bool:
        """Wait until it may have passed; return False where that takes too long."""
        if self._trouble is None:
            self._log.warning(
                "Pipeline %s: %s is not cancelled yet: %s.", self._run.pipeline_id, self._what, error.text
            )
        self._trouble = error
        self._hevo.count_retry()
        retry_after = error.retry_after if isinstance(error, HevoAPIError) else None
        if retry_after is None:
            await self._rest()
            return not isinstance(error, HevoConfigError)
        if self._tries > 1 and self._clock.monotonic() + retry_after > self._latest:
            return False
        self._until = self._latest
        await self._clock.sleep(min(retry_after, LONGEST_RETRY_AFTER))
        return True

    async def _rest(self) -> None:
        await self._clock.sleep(min(self._pause, max(0.0, self._until - self._clock.monotonic())))
        self._pause = min(self._pause * 2, LONGEST_PAUSE)

    def _tell_what_was_seen(self) -> None:
        why = f" ({self._trouble.text})" if self._trouble is not None else ""
        if self.job is None:
            seen = "whether it still runs could not be seen"
        else:
            seen = f"it still runs ({self.job.status}). Look at the pipeline in Hevo"
        what = f"Hevo accepted to cancel {self._what}" if self.cancelled else f"{self._what} could not be cancelled"
        self._log.warning("Pipeline %s: %s%s; %s.", self._run.pipeline_id, what, why, seen)

    @property
    def _what(self) -> str:
        return "the job" if self._run.job_id is None else f"job {self._run.job_id}"


async def _find(hevo: HevoAsyncClient, run: Run) -> str | None:
    if run.fate is not Fate.ANSWERED:
        return None
    listing = await read_listing(hevo, run.pipeline_id, enough=reaches_back(run), retry_limit=0)
    choice = choose_any(listing, run)
    return None if choice.job is None or choice.has_rivals else choice.job.job_id
