"""What ``--sync`` measures: one sync of one pipeline, from the call to the end of its jobs, within the same sixty."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hevo_provider.doctor.asker import Asker, NoMoreRequestsError
from hevo_provider.doctor.exchange import Call, Question, Sync, SyncJob
from hevo_provider.doctor.reading import in_seconds, page_of, text_of
from hevo_provider.models.enums import ACTIVE_STATUSES, TERMINAL_STATUSES

NEWEST = 20  # jobs that are read at a time
FIRST_SECONDS = 30.0  # in which a job is looked for every other second
EVERY = 2.0
LATER = 10.0
GIVEN_UP_AFTER = 120.0  # seconds without a job
FIRST_PAUSE = 3.0  # seconds between two polls of a job that shows
STILL_FOR = 6 * 3600.0  # seconds
GROWTH = 1.4  # of that pause, poll by poll: twenty reach an hour


async def measure_sync(asker: Asker, pipeline_id: int) -> Sync:
    """
    Start a sync and follow what it brings, as far as the requests that are left allow.

    Nothing is sent where a job is active, or where that cannot be told: Hevo might start a second one beside it.
    """
    try:
        before = page_of(await asker.ask(Question(Call.JOBS, pipeline_id, limit=NEWEST)))
    except NoMoreRequestsError as error:
        return Sync(why_not=f"not sent: {error}")
    if before is None:
        return Sync(why_not="not sent: the pipeline's jobs could not be read")
    if any(_may_be_active(item, before.exchange.at) for item in before.items):
        return Sync(why_not="not sent: a job of the pipeline is active, or in a status that is not known")
    known = {text_of(item, "job_id") for item in before.items}
    answer = await asker.ask(Question(Call.SYNC, pipeline_id))
    watch = _Watch(asker, pipeline_id, known)
    if answer.status is None or answer.status < 300 or answer.status >= 500:  # noqa: PLR2004 - else it was refused
        await watch.to_the_end()
    return Sync(answer, "", watch.unseen_until, watch.shown_after, tuple(map(watch.job, watch.states)))


def _may_be_active(job: Mapping[str, Any], now: float) -> bool:
    """Return whether the job may be at work: one in a status that is not known is not, once it is still for hours."""
    status = text_of(job, "status")
    if status in TERMINAL_STATUSES:
        return False
    touched = in_seconds(job.get("updated_ts"))
    return status in ACTIVE_STATUSES or touched is None or now - touched < STILL_FOR


class _Watch:
    def __init__(self, asker: Asker, pipeline_id: int, known: set[str | None]) -> None:
        self.asker = asker
        self.pipeline_id = pipeline_id
        self.known = known
        self.started = asker.clock.monotonic()
        self.unseen_until = 0.0
        self.shown_after: float | None = None
        self.states: dict[str, list[tuple[float, str]]] = {}
        self.types: dict[str, str | None] = {}

    async def to_the_end(self) -> None:
        pause = FIRST_PAUSE
        try:
            while not self._over():
                await self._poll()
                if self.shown_after is None:
                    await self.asker.clock.sleep(EVERY if self.unseen_until < FIRST_SECONDS else LATER)
                elif not self._over():
                    await self.asker.clock.sleep(pause)
                    pause *= GROWTH
        except NoMoreRequestsError:
            pass  # what was seen until now is told, and that the end was not

    def job(self, job_id: str) -> SyncJob:
        return SyncJob(self.types[job_id], tuple(self.states[job_id]))

    def _over(self) -> bool:
        if self.shown_after is None:
            return self.unseen_until >= GIVEN_UP_AFTER
        return all(states and states[-1][1] in TERMINAL_STATUSES for states in self.states.values())

    async def _poll(self) -> None:
        page = page_of(await self.asker.ask(Question(Call.JOBS, self.pipeline_id, limit=NEWEST)))
        after = self.asker.clock.monotonic() - self.started
        for item in page.items if page else ():
            job_id, status = text_of(item, "job_id"), text_of(item, "status")
            if job_id is None or job_id in self.known:
                continue
            self.shown_after = after if self.shown_after is None else self.shown_after
            states = self.states.setdefault(job_id, [])
            self.types[job_id] = text_of(item, "type")
            if status is not None and (not states or states[-1][1] != status):
                states.append((after, status))
        if self.shown_after is None:
            self.unseen_until = after
