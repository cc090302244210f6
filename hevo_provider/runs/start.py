"""
Starting a run: the checks, and the one POST. Only workers come here.

Starting is not idempotent and answers no job id. So an action that may have been applied is never just sent again: the
run goes on to look for its job, and only when none has appeared for a while does :mod:`wait` send it back here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from http import HTTPStatus

from hevo_provider.client import ActionReply, HevoAsyncClient
from hevo_provider.exceptions import (
    HevoAPIError,
    HevoConflictError,
    HevoError,
    HevoJobNotFoundError,
    HevoPipelineBusyError,
    HevoPipelineStateError,
    HevoRateLimitError,
    HevoResponseError,
    HevoServerError,
    HevoTransportError,
)
from hevo_provider.models.answers import Job, Pipeline
from hevo_provider.models.object import PipelineObject
from hevo_provider.models.pipeline import PipelineAction, PipelineStatus
from hevo_provider.parameters import OnActiveJob
from hevo_provider.runs.discovery import (
    CLOCK_TOLERANCE,
    SHOWS_WITHIN,
    Listing,
    State,
    both,
    cannot_be_own,
    choose,
    choose_to_follow,
    read_listing,
    read_state,
    with_baseline,
)
from hevo_provider.runs.logger import Logger, log
from hevo_provider.runs.objects import chosen_ids, in_words, read_objects
from hevo_provider.runs.run import RESYNC_OBJECTS, Fate, Ownership, Phase, Run, any_of
from hevo_provider.runs.weather import LONGEST_RETRY_AFTER
from hevo_provider.transport import backoff

MOST_POSTS = 3
MOST_TRIES = 3  # of a POST that certainly did not arrive
NEXT_TRIES_AFTER = 20.0  # seconds
FRESH_FOR = 2.0  # seconds for which a look at the pipeline and its jobs is good enough to act upon
LONGEST_WORKER_PAUSE = 5.0  # seconds; longer waits are spent in the triggerer

UNREADABLE = (HevoTransportError, HevoServerError, HevoResponseError)  # nobody knows what Hevo would have said

Remember = Callable[[Run], Awaitable[None]]


class Start:
    """
    One attempt to start a run.

    :param hevo: a client.
    :param run: what is to be started; an earlier POST of unknown fate is told by its ``posts``. Kept up to date.
    :param remember: told of the run just before the POST, so that another worker can go on from there.
    :param logger: where the story is told.
    """

    def __init__(
        self, hevo: HevoAsyncClient, run: Run, *, remember: Remember | None = None, logger: Logger = log
    ) -> None:
        self._hevo = hevo
        self.run = run
        self._remember = remember
        self._log = logger
        self._clock = hevo.clock
        self._object_ids: tuple[str, ...] = ()
        self._listing: Listing | None = None

    async def go(self) -> Run:
        """
        Check the pipeline, deal with active jobs, and send the action.

        :returns: the run in the phase that it waits in next.
        :raises HevoConfigError: an object's name fits none.
        :raises HevoPipelineStateError: the pipeline is in no state to run.
        :raises HevoPipelineBusyError: a job is active and the task may neither follow it nor start another.
        :raises HevoJobNotFoundError: the action was sent as often as is safe and no job ever appeared.
        :raises HevoError: Hevo refused, or could not be reached before anything was sent. A run that has been waiting
            goes on waiting instead.
        """
        self.run = await self._next()
        return self.run

    async def _next(self) -> Run:
        try:
            state, objects = await self._look()
        except HevoRateLimitError as error:
            return self._later(error.retry_after, str(error))
        except UNREADABLE as error:
            if not self.run.waited:
                raise
            return self._later(None, str(error))
        if not self.run.posts:
            chosen_ids(self.run, objects)  # a name that fits nothing is told before anything is waited for
        waiting = self._check_status(state.pipeline)
        if waiting is not None:
            return waiting
        decided = self._go_on(state.listing) if self.run.posts else self._begin(state.listing)
        if decided is not None:
            return decided
        self._object_ids = chosen_ids(self.run, objects)
        if self._object_ids:
            what = in_words(self._object_ids, objects)
            self._log.info("Pipeline %s: objects to resync: %s.", self.run.pipeline_id, what)
        self._listing = state.listing
        return await self._send()

    async def _look(self) -> tuple[State, tuple[PipelineObject, ...]]:
        pipeline_id = self.run.pipeline_id
        state, objects = await both(read_state(self._hevo, pipeline_id), read_objects(self._hevo, self.run))
        if self._clock.monotonic() - state.listing.asked_at > FRESH_FOR:  # others may have started a job since
            state = await read_state(self._hevo, pipeline_id)
        return state, objects

    def _check_status(self, pipeline: Pipeline) -> Run | None:
        run = self.run
        if pipeline.status == PipelineStatus.INITIALIZED:
            return None
        if pipeline.status == PipelineStatus.RESTARTING and run.may_restart:
            if run.posts:  # by our own call, as far as can be told, so it was applied
                return replace(self._searching(Fate.ANSWERED), ownership=Ownership.ASSUMED.value)
            self._log.info("Pipeline %s is RESTARTING; the resync starts when that is over.", run.pipeline_id)
            return replace(run, phase=Phase.READY.value)
        if pipeline.status is None:
            state, advice = "has no status that Hevo would tell", "Look at it in Hevo."
        else:
            state, advice = f"is {pipeline.status}", "Enable or repair it in Hevo."
        raise HevoPipelineStateError(
            f"Pipeline {run.pipeline_id} {state}; {run.action} needs it to be INITIALIZED. {advice}",
            pipeline_id=run.pipeline_id,
        )

    def _begin(self, listing: Listing) -> Run | None:
        """Deal with jobs that are active before anything was sent; None: send."""
        run = self.run = replace(with_baseline(self.run, listing), fate=None)
        if any(job.job_id == run.yield_to for job in listing.active):
            return replace(run, phase=Phase.READY.value)
        if not listing.active or run.on_active_job == OnActiveJob.START:
            return None
        return self._give_way(listing, "nothing was started")

    def _go_on(self, listing: Listing) -> Run | None:
        """Decide after a POST of unknown fate; None: send again."""
        run = self.run
        job = choose(listing, run).job
        if job is not None:
            return replace(self._watching(job), ownership=Ownership.ASSUMED.value)
        if listing.active and run.on_active_job != OnActiveJob.START:
            return self._give_way(listing, "no job of this task's own appeared, and none is started beside it")
        if run.posts >= MOST_POSTS:
            if any(cannot_be_own(job, run) for job in listing.active):  # a refusal in words that nobody knew
                return self._adopt(listing)
            raise HevoJobNotFoundError(
                f"Pipeline {run.pipeline_id}: {run.action} was sent {run.posts} times and no job appeared. Hevo said: "
                f"{run.note}. Look at the pipeline in Hevo before starting it again.",
                pipeline_id=run.pipeline_id,
            )
        self._log.warning(
            "Pipeline %s: no job appeared after %s (%s); sending it again.", run.pipeline_id, run.action, run.note
        )
        return None

    def _give_way(self, listing: Listing, why: str) -> Run:
        """Wait for the active jobs, follow one, or fail: as the user wants it."""
        run, active = self.run, listing.active
        if run.on_active_job == OnActiveJob.WAIT:
            self._log.info("Pipeline %s: waiting for %s to end before %s.", run.pipeline_id, _jobs(active), run.action)
            return replace(run, phase=Phase.READY.value)
        if run.on_active_job == OnActiveJob.FOLLOW:
            return self._adopt(listing)
        raise self._busy(active, why)

    async def _send(self) -> Run:
        self.run = before = replace(self.run, phase=Phase.READY.value)
        self.run = self._sent_now(replace(before, posts=before.posts + 1))
        if self._remember is not None:
            await self._remember(self._searching(Fate.UNKNOWN))
        try:
            return await self._post(before)
        except (HevoAPIError, HevoPipelineStateError):
            await self._was_not_applied(before)
            raise

    async def _post(self, before: Run) -> Run:
        tries = 1
        while True:
            sent_at = self._clock.monotonic()
            self.run = self._sent_now(self.run)
            try:
                reply = await self._act()
            except (HevoRateLimitError, HevoTransportError) as error:
                if isinstance(error, HevoTransportError) and error.sent:
                    return self._after_doubt(error)
                pause = _pause_before_repeating(error, tries)
                if pause > LONGEST_WORKER_PAUSE or tries >= MOST_TRIES:
                    await self._was_not_applied(before)
                    return self._later(pause if tries < MOST_TRIES else max(pause, NEXT_TRIES_AFTER), str(error))
                tries += 1
                await self._clock.sleep(pause)
            except HevoConflictError as error:
                return await self._after_refusal(error)
            except (HevoServerError, HevoResponseError) as error:
                return self._after_doubt(error)
            else:
                return self._after_answer(reply, self._clock.monotonic() - sent_at)

    def _sent_now(self, run: Run) -> Run:
        return replace(run, posted_at=self._hevo_time() or run.posted_at)

    def _hevo_time(self) -> int | None:
        """Return Hevo's clock now, ms, as far as the list of jobs told it."""
        return None if self._listing is None else self._listing.server_time_at(self._clock.monotonic())

    async def _act(self) -> ActionReply:
        run = self.run
        try:
            if run.action == RESYNC_OBJECTS:
                return await self._hevo.resync_objects(run.pipeline_id, self._object_ids)
            if run.action == PipelineAction.RESYNC:
                return await self._hevo.resync(run.pipeline_id, drop_and_load=run.drop_and_load)
            return await self._hevo.sync_now(run.pipeline_id)
        except HevoAPIError as error:
            if error.status == HTTPStatus.REQUEST_TIMEOUT:  # a gateway's word: whether Hevo got the call is not known
                raise HevoTransportError(str(error)) from None
            if error.status != HTTPStatus.BAD_REQUEST:
                raise
            raise HevoPipelineStateError(
                f"Pipeline {run.pipeline_id}: Hevo refused {run.action}: {error.message}", pipeline_id=run.pipeline_id
            ) from error

    async def _was_not_applied(self, before: Run) -> None:
        """Take back what was put on record before the POST: no other worker shall look for its job."""
        self.run = before
        if self._remember is not None:
            await self._remember(self._searching(Fate.UNKNOWN) if before.posts else before)

    # What the answer means

    def _after_answer(self, reply: ActionReply, took: float) -> Run:
        run = self.run
        self._log.info(
            "Pipeline %s: %s accepted%s.", run.pipeline_id, run.action, f" ({reply.message})" if reply.message else ""
        )
        if reply.server_time is not None:
            earliest = reply.server_time - round(took * 1000) - CLOCK_TOLERANCE
            created_after = earliest if run.created_after is None else max(run.created_after, earliest)
            if run.posts > 1:  # an earlier call may have started the job after all
                created_after = earliest if run.created_after is None else run.created_after
            self.run = replace(run, created_after=created_after, posted_at=reply.server_time)
        owner = Ownership.OURS if run.posts == 1 else Ownership.ASSUMED
        return replace(self._searching(Fate.ANSWERED), ownership=owner.value)

    def _after_doubt(self, error: HevoError) -> Run:
        self._log.warning(
            "Pipeline %s: whether %s was applied is not known (%s); looking for its job before anything is sent again.",
            self.run.pipeline_id,
            self.run.action,
            error,
        )
        self.run = replace(self.run, note=str(error), given_up_at=self._hevo_time())
        return self._searching(Fate.UNKNOWN)

    async def _after_refusal(self, error: HevoConflictError) -> Run:
        """Let the job list decide what Hevo's words only hint at."""
        self.run = run = replace(self.run, note=str(error))
        try:
            listing = await read_listing(self._hevo, run.pipeline_id)
        except (HevoRateLimitError, *UNREADABLE):
            return self._after_doubt(error)
        others = [job for job in listing.active if cannot_be_own(job, run)]
        if run.posts > 1:
            job = choose(listing, run).job
            if job is not None:  # by the call before, whose fate was unknown
                return replace(self._watching(job), ownership=Ownership.ASSUMED.value)
            if not others:
                return self._searching(Fate.UNKNOWN)
        if error.status != HTTPStatus.CONFLICT and not others:
            return self._after_doubt(error)
        await self._was_not_applied(replace(run, posts=0))
        run = self.run
        if run.on_active_job == OnActiveJob.FAIL:
            raise self._busy(listing.active, f"Hevo refused {run.action} ({error.message})")
        if run.on_active_job == OnActiveJob.WAIT:
            return self._later(min(run.poll_interval, SHOWS_WITHIN), str(error))
        return self._adopt(listing)

    def _adopt(self, listing: Listing) -> Run:
        """Follow the active job if it is of the expected type. One that reloads objects may reload others."""
        run = self.run
        if run.action == RESYNC_OBJECTS:
            raise self._busy(listing.active, "it may reload other objects, so it is not followed")
        choice = choose_to_follow(listing, run)
        if choice.job is not None:
            return replace(self._watching(choice.job), ownership=Ownership.ADOPTED.value)
        if choice.others:
            raise self._busy(choice.others, f"none is of type {any_of(run.job_types)}, which this task could follow")
        return replace(self._searching(Fate.REFUSED), ownership=Ownership.ADOPTED.value)

    # The phases that follow

    def _later(self, pause: float | None, note: str) -> Run:
        pause = self.run.poll_interval if pause is None else min(pause, LONGEST_RETRY_AFTER)
        self._log.info("Pipeline %s: trying again in %.0f s (%s).", self.run.pipeline_id, pause, note)
        return replace(self.run, phase=Phase.READY.value, not_before=self._clock.now() + pause, note=note)

    def _searching(self, fate: Fate) -> Run:
        owner = Ownership.ASSUMED if fate == Fate.UNKNOWN or self.run.posts > 1 else Ownership.OURS
        return replace(
            self.run, phase=Phase.FIND.value, fate=fate.value, ownership=owner.value, find_window=SHOWS_WITHIN
        )

    def _watching(self, job: Job) -> Run:
        self._log.info(
            "Pipeline %s: following job %s (%s, %s).", self.run.pipeline_id, job.job_id, job.type, job.status
        )
        return replace(
            self.run, phase=Phase.WATCH.value, job_id=job.job_id, baseline=(), baseline_floor=None, not_before=None
        )

    def _busy(self, active: tuple[Job, ...], what: str) -> HevoPipelineBusyError:
        run = self.run
        there = f"{_jobs(active)} is active" if active else "a job is active that does not show yet"
        return HevoPipelineBusyError(
            f"Pipeline {run.pipeline_id}: {there}; {what}. To let the task wait for it, follow it, or start another "
            'all the same, set on_active_job to "wait", "follow" or "start".',
            pipeline_id=run.pipeline_id,
            job_id=active[0].job_id if active else None,
        )


def _pause_before_repeating(error: HevoError, tries: int) -> float:
    """Return the seconds to wait before a POST that did not arrive is sent again."""
    retry_after = error.retry_after if isinstance(error, HevoRateLimitError) else None
    return backoff(tries, 2.0) if retry_after is None else retry_after


def _jobs(jobs: tuple[Job, ...]) -> str:
    return any_of([f"job {job.job_id} ({job.type}, {job.status})" for job in jobs])
