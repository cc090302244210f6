"""
Which ended jobs a watcher of a pipeline has told of, in a size that does not grow.

Jobs do not end in the order in which they were created, show late, and may be over when they first show. So what was
told is kept by id for as long as the job could still come up, and what had not ended, by id until it does.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self

from hevo_provider.models.answers import Job
from hevo_provider.models.enums import ACTIVE_STATUSES, DEFERRED_STATUSES
from hevo_provider.runs.identity import BASELINE_SPAN
from hevo_provider.runs.listing import Listing, ended_at, is_active, is_stale

MOST_TOLD = 200  # ids
MOST_ACTIVE = 20  # ids: each that is no longer on the first pages costs a request a round
MOST_JOBS = 1000  # that are read to catch up after a long absence
AHEAD = 5 * 60 * 1000  # ms by which Hevo's clock is believed to be ahead of its newest job: it may be wrong for once


@dataclass(frozen=True, slots=True)
class Round:
    """
    What one round of polls has shown of a pipeline.

    :param listing: its newest jobs.
    :param unlisted: jobs that were active before and are no longer among these.
    :param gone: ids of jobs that were active and that Hevo has not known for a while.
    :param receipts: to be called once all that was told of this round is in Airflow's database.
    """

    listing: Listing
    unlisted: tuple[Job, ...] = ()
    gone: frozenset[str] = frozenset()
    receipts: list[Callable[[], Awaitable[None]]] = field(default_factory=list)

    @property
    def jobs(self) -> tuple[Job, ...]:
        """All jobs that were seen."""
        return (*self.listing.jobs, *self.unlisted)

    async def delivered(self) -> None:
        """Let those who told something of this round store that."""
        for receipt in self.receipts:
            await receipt()


@dataclass(frozen=True, slots=True)
class Watermark:
    """
    What a watcher knows of a pipeline's jobs.

    :param since: Hevo's clock (ms) in the first round: what had ended by then is not told. None if Hevo did not say.
    :param floor: Hevo's clock, ms: a job that was created earlier is known, unless it is in ``active``. None while
        there was nothing to set it by.
    :param told: ended jobs that are not told again, by id: when each was created, or told if Hevo does not say, ms.
    :param active: ids of the jobs that had not ended when they were last seen, those with an unusual status last.
    """

    since: int | None = None
    floor: int | None = None
    told: Mapping[str, int] = field(default_factory=dict)
    active: tuple[str, ...] = ()

    @classmethod
    def at(cls, round_: Round) -> Self:
        """Return the watermark of a first round: nothing that has ended by now is told."""
        listing = round_.listing
        first = cls(listing.server_time, None if listing.complete else _oldest(listing.jobs))
        return first.after(round_, [job for job in round_.jobs if job.is_terminal])

    def news(self, round_: Round, wanted: Callable[[Job], bool]) -> tuple[Job, ...]:
        """
        Return the jobs that have ended since and are wanted, in the order in which they ended.

        :param round_: one that goes back as far as :meth:`is_reached_by` asks for.
        :param wanted: whether a job is of a kind that is told.
        """
        ended = {job.job_id: job for job in round_.jobs if job.is_terminal and self._is_new(job) and wanted(job)}
        return tuple(sorted(ended.values(), key=lambda job: (ended_at(job), job.created_ts or 0)))

    def after(self, round_: Round, told: Sequence[Job] = ()) -> Self:
        """
        Return the watermark after a round.

        :param told: what is not to be told again.
        """
        now = _now(round_)
        known = dict(self.told) | {job.job_id: job.created_ts or now for job in told}
        newest = sorted(known.values(), reverse=True)
        floor = max(self.floor or 0, now - BASELINE_SPAN, newest[MOST_TOLD - 1] if len(newest) > MOST_TOLD else 0)
        undated = {job.job_id for job in round_.jobs if job.created_ts is None}
        going = [job for job in round_.jobs if self._goes_on(job, round_) and job.job_id not in known]
        sure = [job.job_id for job in going if job.status in ACTIVE_STATUSES]
        gone = round_.gone | {job.job_id for job in round_.jobs}
        unseen = [name for name in self.active if name not in gone]
        return replace(
            self,
            since=self.since and min(self.since, round_.listing.server_time or self.since),
            floor=floor or None,
            told={name: time for name, time in known.items() if name in undated or time >= floor},
            active=tuple(dict.fromkeys([*sure, *unseen, *(job.job_id for job in going)]))[:MOST_ACTIVE],
        )

    def reaches_back(self, jobs: Sequence[Job]) -> bool:
        """Return whether jobs, newest first, leave out none that could be news."""
        oldest = _oldest(jobs)
        if oldest is None:
            return bool(jobs)  # Hevo does not say how far back they go: one page must do
        return self.floor is not None and oldest < self.floor

    def is_reached_by(self, round_: Round) -> bool:
        """Return whether the round leaves out no job that could be news, or as many as can be were read."""
        listing = round_.listing
        is_all = listing.complete or listing.cut_short or len(listing.jobs) >= MOST_JOBS
        return is_all or self.reaches_back(listing.jobs)

    def is_overrun_by(self, round_: Round) -> bool:
        """Return whether there may be news beyond what was read."""
        listing = round_.listing
        return listing.cut_short or not (listing.complete or self.reaches_back(listing.jobs))

    def joined_with(self, other: Watermark) -> Watermark:
        """
        Return what is known by this watermark and another one, of the same watcher elsewhere.

        The one that has seen more is right: where it has forgotten a job, there is nothing to tell of it any more.
        """
        later, earlier = (self, other) if (self.floor or 0) >= (other.floor or 0) else (other, self)
        told = {name: time for name, time in earlier.told.items() if time >= (later.floor or 0)}
        return replace(later, told={**told, **later.told})

    def to_json(self) -> dict[str, Any]:
        """Return it in JSON's types."""
        return {**asdict(self), "told": dict(self.told), "active": list(self.active)}

    @classmethod
    def from_json(cls, value: object) -> Self:
        """
        Read what :meth:`to_json` returned, also of a version that knew more.

        :raises ValueError: it is something else.
        """
        try:
            since, floor, told, active = (value[name] for name in ("since", "floor", "told", "active"))  # type: ignore[index]
            return cls(
                since=None if since is None else int(since),
                floor=None if floor is None else int(floor),
                told={name: int(time) for name, time in dict(told).items()},
                active=tuple(map(str, active)),
            )
        except (KeyError, TypeError, ValueError):
            raise ValueError(f"no watermark: {value!r}") from None

    def _goes_on(self, job: Job, round_: Round) -> bool:
        """Return whether the job may yet end, or end otherwise: a deferred one that was not told, but not for ever."""
        if job.status in DEFERRED_STATUSES:
            return self._is_new(job) and not is_stale(job, round_.listing.server_time)
        return is_active(job, round_.listing.server_time)

    def _is_new(self, job: Job) -> bool:
        if job.job_id in self.told:
            return False
        if job.job_id in self.active:
            return True
        dated = _latest_start(job)
        if self.floor is not None and dated is not None and dated < self.floor:
            return False
        # Without `updated_ts` nobody knows that it had not ended by then, and an event too many is better than none.
        return self.since is None or job.updated_ts is None or ended_at(job) >= self.since


def _now(round_: Round) -> int:
    """Return Hevo's clock, ms, as far as its jobs bear it out; 0 if there is nothing to go by."""
    latest = max((max(job.created_ts or 0, job.updated_ts or 0) for job in round_.jobs), default=0)
    return min(round_.listing.server_time or latest, latest + AHEAD)


def _latest_start(job: Job) -> int | None:
    """Return the latest time, ms, at which the job can have been created; None if Hevo told neither of its times."""
    return job.updated_ts if job.created_ts is None else job.created_ts


def _oldest(jobs: Sequence[Job]) -> int | None:
    return min((time for time in map(_latest_start, jobs) if time is not None), default=None)
