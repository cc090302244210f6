"""
Starting a run: the checks, and the one POST. Only workers come here.

Starting is not idempotent and answers no job id. So an action that may have been applied is never just sent again: the
run goes on to look for its job, and only when none has appeared for a while does the wait send it back here.

=====================================  ================================================================================
answer to the POST                     what it means
=====================================  ================================================================================
2xx                                    accepted: the job is searched for, and it is this run's own
no connection, over the limit          not applied: sent again a few times, then put off
no answer, unreadable, 5xx, and a      nobody knows: the job is searched for; only if none shows for a minute of
gateway's 408, 425, 499, or its page;  readable answers is the action sent again, three times in all
a 2xx with an error in it
409                                    a job is running: the list of jobs decides whose it is; one that cannot be read
                                       leaves the fate unknown
500 that says that a job is running    nobody knows either: a failure may use these words. If no job of its own shows,
                                       and another's is active, it was refused
400                                    the pipeline is in no state to run: the task fails
401, 403, 404 in Hevo's own words      refused: the task fails for good
=====================================  ================================================================================
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http import HTTPStatus

from hevo_provider import codes
from hevo_provider.client.calls import ActionResponse, HevoAsyncClient
from hevo_provider.codes import Code
from hevo_provider.exceptions import (
    HevoAPIError,
    HevoConfigError,
    HevoConflictError,
    HevoError,
    HevoJobNotFoundError,
    HevoPipelineBusyError,
    HevoPipelineStateError,
    HevoRateLimitError,
    HevoResponseError,
    HevoRunError,
    HevoServerError,
    HevoTransportError,
)
from hevo_provider.models.answers import Job, Pipeline
from hevo_provider.models.enums import JobStatus, OnActiveJob, PipelineStatus
from hevo_provider.models.object import PipelineObject
from hevo_provider.runs.cancel_others import cancel_others
from hevo_provider.runs.chosen_objects import chosen_ids, objects_in_words, read_objects
from hevo_provider.runs.error_table import may_pass
from hevo_provider.runs.fresh import fresh_job
from hevo_provider.runs.identity import (
    CLOCK_TOLERANCE,
    cannot_be_own,
    choose_any,
    choose_to_follow,
    reaches_back,
    with_baseline,
    with_skew,
)
from hevo_provider.runs.listing import Listing, State, both, expected_of, read_back_to_work, read_state
from hevo_provider.runs.logger import Logger, log
from hevo_provider.runs.order import SHOWS_WITHIN, Action
from hevo_provider.runs.outage import LONGEST_RETRY_AFTER
from hevo_provider.runs.run import Fate, Ownership, Run
from hevo_provider.runs.words import any_of, jobs_in_words, place_in_words

MOST_POSTS = 3
REPEATS = 2  # of a POST that certainly did not arrive, by the client; a worker pauses no longer than its hook allows
REQUESTS_OF_A_START = 3  # of a worker: the pipeline, its jobs, and the action
QUICK_TRIES = 2  # that are put off by Hevo's limit and no more
NEXT_TRIES_AFTER = 20.0  # seconds
CANCELLED_WITHIN = 10.0  # seconds from a clear within which the old trigger asks Hevo to cancel its job, with a margin
FRESH_FOR = 2.0  # seconds for which what was read of the pipeline and its jobs is good enough to act upon

Remember = Callable[[Run], Awaitable[None]]


class Start:
    """
    One attempt to start a run.

    :param hevo: a client.
    :param run: what is to be started; its ``posts`` tell of an earlier POST of unknown fate. Kept up to date.
    :param remember: called with the run just before the POST, so that another worker can go on from there. Where it
        cannot keep that, it raises, and nothing is sent.
    :param update: called with the run when the POST turns out not to have been applied.
    :param may_be_cancelled: whether an active job may be that of a try before this one, about to be cancelled: where
        nothing is on record, that is not known.
    :param logger: where it is logged.
    """

    def __init__(
        self,
        hevo: HevoAsyncClient,
        run: Run,
        *,
        remember: Remember | None = None,
        update: Remember | None = None,
        may_be_cancelled: bool = False,
        logger: Logger = log,
    ) -> None:
        self._hevo = hevo
        self.run = run
        self._remember = remember
        self._update = update
        self._may_be_cancelled = may_be_cancelled
        self._log = logger
        self._clock = hevo.clock
        self._object_ids: tuple[str, ...] = ()
        self._objects: tuple[PipelineObject, ...] = ()
        self._listing: Listing | None = None
        self.fresh: Job | None = None
        """The job that makes the action needless, where one has completed as lately as the order says."""
        self.pipeline: Pipeline | None = None  # as Hevo has shown it

    async def go(self) -> Run:
        """
        Check the pipeline, deal with active jobs, and send the action.

        :returns: the run in the phase that it waits in next, if ``fresh`` is None. When its deadline has passed nothing
            is sent.
        :raises HevoConfigError: an object's name fits none.
        :raises HevoPipelineStateError: the pipeline is in no state to run.
        :raises HevoPipelineBusyError: a job is active and the task may neither follow it nor start another.
        :raises HevoJobNotFoundError: the action was sent as often as is safe and no job ever appeared.
        :raises HevoError: Hevo refused, or could not be reached before anything was sent, and that is not to be endured
            by :mod:`hevo_provider.runs.error_table`.
        """
        self.run = await self._next()
        return self.run

    async def _next(self) -> Run:
        try:
            state, objects = await self._read()
        except HevoError as error:
            if not may_pass(error, knows_hevo=self.run.knows_hevo, starts=True):
                raise
            return put_off(self.run, error, self._clock.now(), self._log)
        self.pipeline = state.pipeline
        self.run = run = self.run.has_been_answered(state.pipeline.name).expecting(expected_of(self.run, state.listing))
        self._log.info("%s: it is %s.", place_in_words(run), state.pipeline.status)
        self._objects = objects
        if not run.posts:
            # A name that fits nothing fails the task before anything is waited for.
            self._object_ids = chosen_ids(run, objects)
        waiting = self._check_status(state.pipeline)
        if waiting is not None:
            return waiting
        decided = await self._go_on(state.listing) if run.posts else await self._begin(state.listing)
        if decided is not None:
            return decided
        self._object_ids = chosen_ids(run, objects)
        if self._object_ids:
            what = objects_in_words(self._object_ids, objects)
            self._log.info("Pipeline %s: objects to resync: %s.", run.pipeline_id, what)
        self._listing = state.listing
        return await self._send()

    async def _read(self) -> tuple[State, tuple[PipelineObject, ...]]:
        pipeline_id, enough = self.run.pipeline_id, reaches_back(self.run)
        state, objects = await both(
            read_state(self._hevo, pipeline_id, enough=enough), read_objects(self._hevo, self.run)
        )
        if self._clock.monotonic() - state.listing.asked_at > FRESH_FOR:  # others may have started a job since
            state = await read_state(self._hevo, pipeline_id, enough=enough)
        return state, objects

    def _check_status(self, pipeline: Pipeline) -> Run | None:
        run = self.run
        if pipeline.status == PipelineStatus.INITIALIZED:
            return None
        if pipeline.status == PipelineStatus.RESTARTING and run.order.may_restart:
            if run.posts:  # by our own call, as far as is known, so it was applied
                return run.searching(Fate.ANSWERED, Ownership.ASSUMED)
            self._log.info("Pipeline %s is RESTARTING; the resync starts when that is over.", run.pipeline_id)
            return run.settled_first()
        state = "has no status that Hevo would tell" if pipeline.status is None else f"is {pipeline.status}"
        raise HevoPipelineStateError(
            f"Pipeline {run.pipeline_id} {state}; {run.order.action} needs it to be INITIALIZED.",
            pipeline_id=run.pipeline_id,
        )

    async def _begin(self, listing: Listing) -> Run | None:
        """Deal with jobs that are active before anything was sent; None: send."""
        run = self.run = with_baseline(self.run, listing)
        if any(job.job_id == run.yield_to for job in listing.active):
            return run.waiting()
        if not run.gone_before:
            try:
                self.fresh = await fresh_job(self._hevo, run, listing, self._object_ids, self._log)
            except HevoRateLimitError as error:
                return put_off(run, error, self._clock.now(), self._log)
        if self.fresh is not None:
            return run.watching(self.fresh, Ownership.ADOPTED)
        if not listing.active or run.order.on_active_job is OnActiveJob.START:
            return None
        return await self._give_way(listing, "nothing was started")

    async def _go_on(self, listing: Listing) -> Run | None:
        """Decide after a POST of unknown fate; None: send again."""
        run = self.run = with_skew(self.run, listing)
        job = choose_any(listing, run).job
        if job is not None:
            return self._following(job, Ownership.ASSUMED)
        if run.refused and any(cannot_be_own(job, run) for job in listing.active):
            await self._was_not_applied(run.not_applied())
            why = f"Hevo refused {run.order.action} ({run.note})"
            return await self._give_way(listing, why)
        if listing.active and run.order.on_active_job is not OnActiveJob.START:
            why = "no job of this task's own appeared, and none is started beside it"
            are_others = all(cannot_be_own(job, run) for job in listing.active)
            if run.order.on_active_job is OnActiveJob.CANCEL and not are_others:
                own = f"{why}; it may be its own under another type and was not cancelled"
                raise self._busy(listing.active, own, codes.MAY_BE_OWN)
            return await self._give_way(listing, why, codes.MAY_BE_OWN)
        if run.posts >= MOST_POSTS:
            # Another's active job is not followed either: answers that say nothing are not known to be refusals.
            active = f" Active is {jobs_in_words(listing.active)}." if listing.active else ""
            raise HevoJobNotFoundError(
                f"Pipeline {run.pipeline_id}: {run.order.action} was sent {run.posts} times and no job appeared. Hevo "
                f"said: {(run.note or 'nothing').rstrip('.')}.{active}",
                pipeline_id=run.pipeline_id,
                code=codes.NEVER_STARTED,
            )
        self._log.warning(
            "Pipeline %s: no job appeared after %s (%s); sending it again.", run.pipeline_id, run.order.action, run.note
        )
        return None

    async def _give_way(self, listing: Listing, why: str, code: Code = codes.BUSY) -> Run:
        """
        Wait for the active jobs, cancel them, follow one, or fail: as the user wants it.

        After a refusal, the active job may not show yet. With ``on_active_job="start"`` this is only reached after a
        refusal, and the active job is followed.

        :param code: of the error, where it comes to one.
        """
        run, active, asked_for = self.run, listing.active, self.run.order.on_active_job
        if _are_about_to_end(listing):
            return self._let_end(listing)
        if self._may_be_cancelled and not run.put_off:
            # A new try of a cleared task comes a second or two before its old trigger cancels the job (seen on 2.11.2).
            about_to_end = "may be that of the try before, which Airflow may be about to end"
            return self._put_off(f"{_in_words(active)}, and {about_to_end}", CANCELLED_WITHIN)
        if asked_for is OnActiveJob.CANCEL and active:
            return await self._cancel_others(active)
        if asked_for in {OnActiveJob.WAIT, OnActiveJob.CANCEL}:
            if not active:
                return self._put_off(run.note or why, min(run.order.poll_interval, SHOWS_WITHIN))
            self._tell_wait(active)
            return run.waiting()
        if asked_for is OnActiveJob.FAIL:
            raise self._busy(active, why, code)
        return self._adopt(listing)

    def _put_off(self, why: HevoError | str, least: float) -> Run:
        error = HevoRunError(why) if isinstance(why, str) else why
        return put_off(self.run, error, self._clock.now(), self._log, least=least)

    def _let_end(self, listing: Listing) -> Run:
        """Wait for jobs that are being cancelled, whatever ``on_active_job`` says of others."""
        self._tell_wait(listing.active)
        return self.run.waiting(yield_to=listing.active[0].job_id)

    def _tell_wait(self, active: tuple[Job, ...]) -> None:
        run, there = self.run, jobs_in_words(active)
        self._log.info("Pipeline %s: waiting for %s to end before %s.", run.pipeline_id, there, run.order.action)

    async def _cancel_others(self, active: tuple[Job, ...]) -> Run:
        """Cancel what is in the way; where it is not known whether Hevo has understood, try again later."""
        run = self.run
        if run.order.is_over(self._clock.now()):  # nothing would be started afterwards
            return run.waiting()
        whose = "This task has not started it: Hevo's schedule has, or another task, or a person."
        if self._may_be_cancelled:
            whose = "Whether an earlier try of this task has started it is not known: this Airflow cannot remember."
        try:
            return await cancel_others(self._hevo, run, active, self._log, whose=whose)
        except HevoError as error:
            if not may_pass(error, knows_hevo=True):
                raise
            return self._put_off(error, NEXT_TRIES_AFTER)

    async def _send(self) -> Run:
        before = self.run.settled()
        if before.order.is_over(self._clock.now()):
            return before
        self.run = before.sending(self._hevo_time(self._clock.monotonic()))
        if self._remember is not None:
            await self._remember(self.run.searching(Fate.UNKNOWN))
        try:
            return await self._post(before)
        except (HevoAPIError, HevoPipelineStateError, HevoConfigError) as error:
            # The last is a refused key, and no connection any more to read the new one from: that did not start a job.
            await self._was_not_applied(before)
            action, at_first = before.order.action, before.order_at_first.action
            some_of_all = action is Action.RESYNC_OBJECTS and at_first is Action.RESYNC
            if not some_of_all or not isinstance(error, HevoPipelineStateError):
                raise
            # In what words Hevo reloads some objects is not documented (API.md, object-resync).
            self._log.warning("Pipeline %s: %s So all of them are reloaded.", before.pipeline_id, error.text)
            self.run, self._object_ids = before.reloading_all(), ()
            return await self._send()

    async def _post(self, before: Run) -> Run:
        try:
            return self._after_answer(await self._act())
        except HevoError as error:
            if error.sent_at is not None:  # what did not arrive was sent again by the client: the last one counts
                self.run = before.sending(self._hevo_time(error.sent_at))
            if isinstance(error, HevoConflictError):
                return await self._after_refusal(error)
            if isinstance(error, HevoServerError | HevoResponseError):
                return self._after_doubt(error)
            if isinstance(error, HevoTransportError) and error.sent:
                return self._after_doubt(error)
            if not isinstance(error, HevoTransportError | HevoRateLimitError):
                raise
            await self._was_not_applied(before)
            return self._put_off(error, NEXT_TRIES_AFTER)

    def _hevo_time(self, moment: float) -> int | None:
        """Return Hevo's clock, ms, at a moment by ours, as far as the list of jobs has shown it."""
        assert self._listing is not None, "nothing is sent before it was read"
        return self._listing.server_time_at(moment)

    async def _act(self) -> ActionResponse:
        run = self.run
        try:
            if run.order.action is Action.RESYNC_OBJECTS:
                listed = self._objects or None
                return await self._hevo.resync_objects(
                    run.pipeline_id, self._object_ids, listed=listed, retry_limit=REPEATS
                )
            if run.order.action is Action.RESYNC:
                drop_and_load = run.order.drop_and_load
                return await self._hevo.resync(run.pipeline_id, drop_and_load=drop_and_load, retry_limit=REPEATS)
            return await self._hevo.sync_now(run.pipeline_id, retry_limit=REPEATS)
        except HevoAPIError as error:
            if error.status != HTTPStatus.BAD_REQUEST or isinstance(error, HevoRateLimitError):
                raise
            raise HevoPipelineStateError(
                f"Pipeline {run.pipeline_id}: Hevo refused {run.order.action}: {error.message}",
                pipeline_id=run.pipeline_id,
                code=codes.REFUSED_ACTION,
            ) from error

    async def _was_not_applied(self, before: Run) -> None:
        """Take back what was put on record before the POST: no other worker shall look for its job."""
        self.run = before
        if self._update is not None:
            await self._update(before.searching(Fate.UNKNOWN) if before.posts else before)

    # What the answer means

    def _after_answer(self, response: ActionResponse) -> Run:
        run = self.run
        said = f" ({response.message})" if response.message else ""
        self._log.info("Pipeline %s: %s accepted%s.", run.pipeline_id, run.order.action, said)
        at, took = response.server_time, self._clock.monotonic() - response.sent_at
        return run.accepted(at=at, earliest=None if at is None else at - round(took * 1000) - CLOCK_TOLERANCE)

    def _after_doubt(self, error: HevoError) -> Run:
        self._log.warning(
            "Pipeline %s: whether %s was applied is not known (%s); looking for its job before anything is sent again.",
            self.run.pipeline_id,
            self.run.order.action,
            error.text,
        )
        is_refusal = isinstance(error, HevoConflictError)
        return self.run.doubtful(error.text, given_up_at=self._hevo_time(self._clock.monotonic()), refused=is_refusal)

    async def _after_refusal(self, error: HevoConflictError) -> Run:
        """Let the list of jobs confirm a refusal. After a 500 that takes until the task's own job would show."""
        self.run = run = self.run.noting(error.text)
        self._log.warning("Pipeline %s: Hevo refused %s (%s).", run.pipeline_id, run.order.action, error.text)
        if error.status != HTTPStatus.CONFLICT:
            return self._after_doubt(error)
        try:
            listing = await read_back_to_work(self._hevo, run.pipeline_id, enough=reaches_back(run))
        except HevoError:
            return self._after_doubt(error)
        self.run = run = with_skew(run, listing)
        if run.posts > 1:
            job = choose_any(listing, run).job
            if job is not None:  # by the call before, whose fate was unknown
                return self._following(job, Ownership.ASSUMED)
            if not any(cannot_be_own(job, run) for job in listing.active):
                return run.searching(Fate.UNKNOWN)
        await self._was_not_applied(run.not_applied())
        return await self._give_way(listing, f"Hevo refused {run.order.action} ({error.message})")

    def _adopt(self, listing: Listing) -> Run:
        """Follow the active job if it is of the expected type. One that reloads objects may reload others."""
        run = self.run
        if run.order.action is Action.RESYNC_OBJECTS:
            why = "it may reload other objects, so it is not followed"
            raise self._busy(listing.active, why, codes.NOT_TO_FOLLOW)
        choice = choose_to_follow(listing, run)
        if choice.job is not None:
            return self._following(choice.job, Ownership.ADOPTED)
        if choice.others:
            types = any_of(run.order.job_types)
            why = f"none is of type {types}, which this task could follow"
            raise self._busy(choice.others, why, codes.NOT_TO_FOLLOW)
        return run.searching(Fate.REFUSED, Ownership.ADOPTED)

    def _following(self, job: Job, ownership: Ownership) -> Run:
        self._log.info("Pipeline %s: following %s.", self.run.pipeline_id, jobs_in_words([job]))
        return self.run.watching(job, ownership)

    def _busy(self, active: tuple[Job, ...], what: str, code: Code = codes.BUSY) -> HevoPipelineBusyError:
        run = self.run
        return HevoPipelineBusyError(
            f"Pipeline {run.pipeline_id}: {_in_words(active)}; {what}.",
            pipeline_id=run.pipeline_id,
            job_id=active[0].job_id if active else None,
            code=code,
        )


def _in_words(active: tuple[Job, ...]) -> str:
    return f"{jobs_in_words(active)} is active" if active else "a job is active that does not show yet"


def _are_about_to_end(listing: Listing) -> bool:
    """
    Return whether jobs are active and all of them are being cancelled.

    That is an end on its way, of this task's own job after a clear or a time-out, or by a hand in Hevo: no job to
    follow, nor to fail over.
    """
    return bool(listing.active) and all(job.status == JobStatus.CANCELLING for job in listing.active)


def put_off(run: Run, error: HevoError, now: float, logger: Logger = log, *, least: float | None = None) -> Run:
    """
    Put the action off: the triggerer waits until Hevo may take it.

    An action that is put off again and again has ever longer pauses: each costs the start of a worker.

    :param error: why.
    :param now: seconds since the epoch.
    :param least: seconds, where Hevo does not ask for more; None: what it asks for, or else the ``poll_interval``.
    """
    asked = error.retry_after if isinstance(error, HevoAPIError) else None
    if least is None:
        least = run.order.poll_interval if asked is None else 0.0
    grown = NEXT_TRIES_AFTER * 2.0 ** min(run.put_off - 1, 10) if run.put_off else 0.0
    if isinstance(error, HevoRateLimitError):
        # When the limit has room is for the triggerer to know. Only where that is not all, as with a quota of another
        # kind, are there pauses too.
        least = 0.0
        grown = grown if run.put_off >= QUICK_TRIES else 0.0
    pause = min(max(least, asked or 0.0, grown), LONGEST_RETRY_AFTER)
    logger.info("Pipeline %s: trying again in %.0f s (%s).", run.pipeline_id, pause, error.text)
    afford = REQUESTS_OF_A_START if isinstance(error, HevoRateLimitError) else 0
    return run.postponed(now + pause, error.text, afford=afford)
