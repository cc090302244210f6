"""
``Run``: one run of a pipeline, and how far it has come. It goes between worker, database and triggerer as JSON.

It is a value that does not change. Its methods are the only ways from one state to the next, and each is written once::

     worker                                triggerer (or the worker, if the task is not deferrable)

    ┌───────┐  waiting, settled_first,   ┌───────┐
    │ start │ ─────────────────────────▶ │ READY │  until the action may be sent
    │       │  postponed                 └───┬───┘
    │       │ ◀──────────────────────────────┘ called_again, has_been_answered
    │       │
    │  sending ─▶ POST
    │       │  accepted, doubtful,       ┌───────┐
    │       │ ─────────────────────────▶ │ FIND  │  until the job shows (restarted: a resync begins anew)
    │       │  searching                 └─┬───┬─┘
    │       │ ◀────────────────────────────┘   │ watching
    │       │  no job after a call of          ▼
    │       │  unknown fate: sent again  ┌───────┐
    │       │ ─────────────────────────▶ │ WATCH │  until the job ends
    └───────┘  watching (adopted, or     └───────┘
               of an earlier try)

From FIND and WATCH a run also comes back to READY: ``going_on``, where its job was deferred and a sync is to be next.
Not drawn are the ends: see :class:`~hevo_provider.runs.outcome.Ending`.

A retry begins with the run of the try before it, ``under`` what the DAG asks for now, or, where that has loaded all but
some objects, ``reloading`` these.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from enum import Enum, StrEnum
from typing import Any, Self

from hevo_provider.models.answers import Job
from hevo_provider.models.enums import OnActiveJob, OnDeferred
from hevo_provider.runs.order import Action, Order


class Phase(StrEnum):
    """What a run waits for."""

    READY = "ready"  # that the action may be sent
    FIND = "find"  # that the job shows
    WATCH = "watch"  # that the job ends


class Fate(StrEnum):
    """What became of the action that was sent."""

    ANSWERED = "answered"  # Hevo accepted it
    UNKNOWN = "unknown"  # it may have been applied or not
    REFUSED = "refused"  # Hevo says that another job is running, which does not show yet


class Ownership(StrEnum):
    """How sure it is that the job is this run's own. Only an ``OURS`` one is ever cancelled."""

    OURS = "ours"
    ASSUMED = "assumed"  # started by a call of unknown fate, or told apart by less than its time
    ADOPTED = "adopted"  # somebody else's


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """
    One run of one pipeline: what was asked for, and what has happened.

    :param order: what was asked for.
    :param phase: what it waits for.
    :param job_id: the job, once it is known.
    :param last_status: the job's status that was logged last.
    :param ownership: whose job it is.
    :param posts: how many times the action was sent without being refused.
    :param fate: what became of it; None before it was sent.
    :param refused: whether the answer of unknown fate was that a job is running: the list of jobs has to confirm it.
    :param baseline: ids of jobs that were there before the action was sent.
    :param at_work: ids of those of them that had not ended; None where version 1.0.0 has stored the run.
    :param baseline_floor: a job created before this (Hevo's clock, ms) was there too, although it is not listed.
    :param created_after: Hevo's clock (ms): a job created earlier is older than the action.
    :param skew: ms by which Hevo's times of jobs are at least ahead of its answers' dates (negative: behind at most);
        None where nothing is known of it.
    :param posted_at: Hevo's clock (ms) when the action was sent.
    :param given_up_at: Hevo's clock (ms) when the answer to it was given up; None if it was answered.
    :param polled: whether a run that only follows has polled once, which made the baseline.
    :param searching_since: seconds since the epoch when the search began, for a process that has no baseline because it
        cannot remember one (a rescheduled sensor).
    :param not_before: seconds since the epoch before which Hevo asked not to be called.
    :param afford: how many requests Hevo's limit must have room for before a worker takes the run up again; 0 where the
        limit is not what keeps it.
    :param expected: how long the job may take, see :data:`hevo_provider.runs.urgency.Expectation`.
    :param put_off: how many times the action was put off, for whatever reason, since Hevo has accepted one. It makes
        the pauses grow, and tells a first wait for what a clear leaves behind from a second.
    :param answered: whether Hevo has answered this task well, in this try or an earlier one: then it knows the key and
        the pipeline, and a 401 or 404 is a stumble.
    :param in_vain: whether a search for its job has ended without one: it will not show any more. Before the action is
        sent: the same of the job of the try before.
    :param settling: whether the pipeline was seen RESTARTING, until the action is sent: after that, its job needs some
        seconds to show.
    :param yield_to: a job that is being cancelled, by this very task or by others: its end is waited for.
    :param note: what Hevo said last, for messages; None once it has accepted the action.
    :param told: the jobs that ended badly since ``completed_after`` and that were logged.
    :param worker_seconds: for how long workers have been at work for the task, up to its last deferral.
    :param gone_before: ids of the task's jobs that ended deferred and that ``job_id`` goes on from, first to last.
    :param counted: their counters, summed up; None where there are none.
    :param began_as: what of the order was another one before the first of them, or before all but some objects were
        loaded: a resync is never sent twice.
    :param objects_retried: names of the only objects that are reloaded, for an earlier try has loaded the others.
    :param jobs_retried: ids of the jobs of earlier tries that have loaded these others, first to last.
    :param pipeline_name: what the pipeline is called in Hevo; None where that has not been read.
    :param host: where the connection led when the run began; None where that is not known.
    :param destination: where the pipeline leads, as :mod:`hevo_provider.lineage.names` has it: the system's kind, its
        namespace and its database; None where that is not needed.
    """

    order: Order
    phase: Phase = Phase.WATCH
    job_id: str | None = None
    last_status: str | None = None
    ownership: Ownership = Ownership.ADOPTED
    posts: int = 0
    fate: Fate | None = None
    refused: bool = False
    baseline: tuple[str, ...] = ()
    at_work: tuple[str, ...] | None = None
    baseline_floor: int | None = None
    created_after: int | None = None
    skew: int | None = None
    posted_at: int | None = None
    given_up_at: int | None = None
    polled: bool = False
    searching_since: float | None = None
    not_before: float | None = None
    afford: int = 0
    expected: tuple[float, ...] = ()
    put_off: int = 0
    answered: bool = False
    in_vain: bool = False
    settling: bool = False
    yield_to: str | None = None
    note: str | None = None
    told: tuple[str, ...] = ()
    worker_seconds: float = 0.0
    gone_before: tuple[str, ...] = ()
    counted: Mapping[str, int] | None = None
    began_as: Mapping[str, Any] | None = None
    objects_retried: tuple[str, ...] = ()
    jobs_retried: tuple[str, ...] = ()
    pipeline_name: str | None = None
    host: str | None = None
    destination: tuple[str, ...] | None = None

    @property
    def pipeline_id(self) -> int:
        """The pipeline."""
        return self.order.pipeline_id

    @property
    def is_ours(self) -> bool:
        """Whether the job may be cancelled: this run started it, and only this run."""
        return self.ownership is Ownership.OURS

    @property
    def knows_hevo(self) -> bool:
        """Whether Hevo has answered this task well before, in whatever process."""
        return bool(self.answered or self.posts or self.polled or self.last_status)

    @property
    def is_new(self) -> bool:
        """Whether nothing was sent for it yet, and no job that has ended has led to it: a record may still do that."""
        return not self.posts and self.began_as is None

    # Before the action is sent

    def waiting(self, *, yield_to: str | None = None) -> Self:
        """
        Wait until the action may be sent: a job is active.

        :param yield_to: one that is being cancelled, whatever ``on_active_job`` says of others.
        """
        return replace(self, phase=Phase.READY, yield_to=yield_to or self.yield_to)

    def postponed(self, until: float, note: str, *, afford: int = 0) -> Self:
        """
        Put the action off.

        :param until: seconds since the epoch.
        :param note: what Hevo said.
        :param afford: how many requests there must be room for, where it is Hevo's limit that keeps it.
        """
        return replace(self, phase=Phase.READY, not_before=until, put_off=self.put_off + 1, note=note, afford=afford)

    def expecting(self, expected: tuple[float, ...]) -> Self:
        """Take note of how long the job may take."""
        return replace(self, expected=expected) if expected else self

    def settled_first(self) -> Self:
        """Wait until the pipeline is no longer RESTARTING, and a job of that has had its time to show."""
        return replace(self, phase=Phase.READY, settling=True)

    def settled(self) -> Self:
        """Take note that the job of a restart has had its time: no later wait gives it that again."""
        return replace(self, phase=Phase.READY, settling=False)

    def resting(self, until: float) -> Self:
        """
        Poll no more for a while, in whatever phase.

        :param until: seconds since the epoch.
        """
        return replace(self, not_before=until)

    def called_again(self) -> Self:
        """Take note that the time is over for which Hevo asked not to be called."""
        return replace(self, not_before=None, afford=0)

    def has_been_answered(self, pipeline_name: str | None = None) -> Self:
        """
        Take note that Hevo knows the key and the pipeline.

        :param pipeline_name: what it calls that; None where the answer does not say.
        """
        return replace(self, answered=True, pipeline_name=pipeline_name or self.pipeline_name)

    def with_baseline(
        self,
        known: Iterable[str],
        floor: int | None,
        *,
        created_after: int | None,
        now: int | None,
        at_work: Iterable[str] = (),
    ) -> Self:
        """
        Note which jobs were there before the action is sent.

        :param known: their ids.
        :param floor: Hevo's clock, ms: what was created before this was there too.
        :param created_after: Hevo's clock, ms: before this the action's job cannot have been created.
        :param now: Hevo's clock, ms.
        :param at_work: the ids of those that have not ended.
        """
        return replace(
            self,
            fate=None,
            baseline=tuple(known),
            at_work=tuple(at_work),
            baseline_floor=floor,
            created_after=created_after,
            posted_at=now,
        )

    def with_skew(self, shown: int | None) -> Self:
        """
        Take note of how far Hevo's times of jobs are ahead of its answers' dates.

        :param shown: ms, as one list shows it; the true value is no less.
        """
        if shown is None or (self.skew is not None and shown <= self.skew):
            return self
        return replace(self, skew=shown)

    # The action

    def sending(self, now: int | None) -> Self:
        """
        Send the action.

        :param now: Hevo's clock, ms.
        """
        posted_at = now or self.posted_at
        return replace(self, phase=Phase.READY, posts=self.posts + 1, posted_at=posted_at, refused=False, in_vain=False)

    def accepted(self, *, at: int | None, earliest: int | None) -> Self:
        """
        Go on to find the job of an action that Hevo has accepted.

        :param at: Hevo's clock, ms, when it did.
        :param earliest: Hevo's clock, ms, before which the job cannot have been created.
        """
        run = self
        if at is not None and earliest is not None:
            if self.created_after is not None:
                # An earlier call may have started the job after all: the older bound holds then.
                earliest = max(self.created_after, earliest) if self.posts == 1 else self.created_after
            run = replace(self, created_after=earliest, posted_at=at)
        return replace(run, put_off=0, note=None).searching(Fate.ANSWERED)

    def doubtful(self, note: str, *, given_up_at: int | None, refused: bool = False) -> Self:
        """
        Go on to find the job of an action that may have been applied or not.

        :param note: what went wrong.
        :param given_up_at: Hevo's clock, ms.
        :param refused: whether Hevo said that a job is running.
        """
        return replace(self, note=note, given_up_at=given_up_at, refused=refused).searching(Fate.UNKNOWN)

    def not_applied(self) -> Self:
        """Take note that nothing was sent that Hevo may have applied."""
        return replace(self, posts=0, refused=False)

    def noting(self, note: str) -> Self:
        """Keep what Hevo said, for a later message."""
        return replace(self, note=note)

    # The search

    def searching(self, fate: Fate, ownership: Ownership | None = None) -> Self:
        """
        Go on to find the job.

        :param ownership: None follows from the fate: after several calls nobody knows which of them was applied.
        """
        if ownership is None:
            ownership = Ownership.ASSUMED if fate is Fate.UNKNOWN or self.posts > 1 else Ownership.OURS
        return replace(self, phase=Phase.FIND, fate=fate, ownership=ownership)

    def searched_in_vain(self) -> Self:
        """Take note that a search for the job has ended without one."""
        return replace(self, in_vain=self.job_id is None)

    def with_first_poll(self, known: Iterable[str], floor: int | None) -> Self:
        """Note which jobs were there when a run that only follows polled for the first time."""
        return replace(self.with_baseline(known, floor, created_after=None, now=None), polled=True)

    def without_baseline(self, since: float | None, *, answered: bool = False) -> Self:
        """
        Search in a process that cannot know which jobs were there when the search began.

        :param since: seconds since the epoch when that was; None where the job is known by its id.
        :param answered: whether Hevo has answered an earlier process of this task well.
        """
        return replace(self, searching_since=since, answered=self.answered or answered)

    def since(self, created_after: int | None) -> Self:
        """
        Count only what was created or changed since the search began, for a process that has no baseline.

        :param created_after: Hevo's clock, ms; None if Hevo does not tell its clock.
        """
        return replace(self, created_after=created_after, polled=self.polled and created_after is not None)

    def assuming(self) -> Self:
        """Take note that the job may be another's: it is not cancelled."""
        return replace(self, ownership=Ownership.ASSUMED)

    def restarted(self) -> Self:
        """Take note that the pipeline is RESTARTING for the action: it was applied."""
        return replace(self, fate=Fate.ANSWERED)

    def having_told(self, jobs: Iterable[str]) -> Self:
        """Take note of the jobs that ended badly and that were logged."""
        return replace(self, polled=True, told=tuple(jobs))

    # The job

    def watching(self, job: Job, ownership: Ownership | None = None) -> Self:
        """
        Go on to wait for a job's end. What was known only to tell it from others is dropped: it may run for days.

        :param ownership: None: as sure as before.
        """
        return replace(
            self,
            phase=Phase.WATCH,
            job_id=job.job_id,
            last_status=str(job.status),
            ownership=ownership or self.ownership,
            baseline=(),
            at_work=None,
            baseline_floor=None,
            not_before=None,
        )

    def until_its_end(self) -> Self:
        """Go on to wait for the end of a job whose id was all that was asked for, and is known."""
        return replace(self, phase=Phase.WATCH)

    def reached_at(self, host: str | None) -> Self:
        """Take note of the host that the connection leads to."""
        return replace(self, host=host)

    def leading_to(self, destination: tuple[str, ...]) -> Self:
        """Take note of where the pipeline leads."""
        return replace(self, destination=destination)

    def telling(self, status: str) -> Self:
        """Take note of the status that was logged last."""
        return replace(self, last_status=status)

    def known_as(self, job_id: str) -> Self:
        """Take note of the job's id."""
        return replace(self, job_id=job_id)

    # A job that was deferred

    def going_on(self, job: Job, until: float) -> Self:
        """
        Wait until a sync may go on from where a job was deferred.

        :param until: seconds since the epoch before which it may not.
        """
        run = replace(
            self,
            order=self.order.to_go_on(),
            gone_before=(*self.gone_before, job.job_id),
            counted=self.counted_with(job),
            began_as=self._as_begun(),
        )
        return replace(run.going_on_anew(), not_before=until)

    def going_on_anew(self) -> Self:
        """Wait until a sync may go on from the last job that was deferred: what came after it is forgotten."""
        return type(self)(
            order=self.order,
            phase=Phase.READY,
            skew=self.skew,
            answered=True,
            worker_seconds=self.worker_seconds,
            gone_before=self.gone_before,
            counted=self.counted,
            began_as=self.began_as,
            objects_retried=self.objects_retried,
            jobs_retried=self.jobs_retried,
            pipeline_name=self.pipeline_name,
            host=self.host,
            destination=self.destination,
        )

    def _as_begun(self) -> Mapping[str, Any]:
        if self.began_as is not None:
            return self.began_as
        return {name: _plain(getattr(self.order, name)) for name in _WHAT_IS_STARTED}

    def counted_with(self, job: Job) -> dict[str, int]:
        """Return the counters of a job and of those that it goes on from, summed up; without those that none has."""
        own = {name: value for name in COUNTERS if (value := getattr(job, name)) is not None}
        return own if self.counted is None else {**self.counted, **_summed(self.counted, own)}

    @property
    def order_at_first(self) -> Order:
        """What was asked for before a job was deferred."""
        if self.began_as is None:
            return self.order
        return replace(self.order, **{name: _typed(name, value) for name, value in self.began_as.items()})

    # A job of which some objects failed

    def reloading(self, object_ids: Iterable[str], names: Iterable[str], jobs: Iterable[str]) -> Self:
        """
        Wait until the only objects may be reloaded that earlier tries have not loaded.

        :param object_ids: their ids.
        :param names: their names.
        :param jobs: the ids of the jobs that have loaded the others.
        """
        return replace(
            self,
            order=self.order_at_first.to_reload(object_ids),
            phase=Phase.READY,
            answered=True,
            began_as=self._as_begun(),
            objects_retried=tuple(names),
            jobs_retried=tuple(jobs),
        )

    def reloading_all(self) -> Self:
        """Ask for all objects again: these cannot be reloaded alone."""
        return replace(self, order=self.order_at_first, began_as=None, objects_retried=(), jobs_retried=())

    # Between processes

    def under(self, order: Order) -> Self:
        """Return how far the run of an earlier worker has come, for what is asked for now."""
        return replace(self, order=order)

    def after_work(self, seconds: float) -> Self:
        """Take note of for how long workers have been at work for the task by now."""
        return replace(self, worker_seconds=seconds)

    def to_json(self) -> dict[str, Any]:
        """Return what differs from the defaults, in JSON's types, flat as version 1.0.0 wrote it."""
        values = [(each, getattr(self.order, each.name)) for each in fields(Order)]
        values += [(each, getattr(self, each.name)) for each in fields(Run) if each.name != "order"]
        always = {"pipeline_id", "connection_id"}
        return {
            _STORED_AS.get(each.name, each.name): _plain(value)
            for each, value in values
            if each.name in always or value != each.default
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """
        Return the run that :meth:`to_json` told of, also by a version that knew more or less than this one.

        :raises KeyError, TypeError, ValueError: it is something else.
        """
        return cls(order=_read(Order, value), **_values_of(cls, value))


def unknown_in(value: Mapping[str, Any]) -> list[str]:
    """Return the names in what was stored that this version does not know: a later one has stored it."""
    known = {_STORED_AS.get(each.name, each.name) for kind in (Order, Run) for each in fields(kind)}
    return sorted(value.keys() - known)


COUNTERS = (
    "events_ingested",
    "events_loaded",
    "events_failed",
    "objects_success",
    "objects_queued",
    "objects_skipped",
    "objects_failed",
    "billable_events",
    "non_billable_events",
)
_WHAT_IS_STARTED = ("action", "drop_and_load", "objects", "object_ids")


def _summed(some: Mapping[str, int], more: Mapping[str, int]) -> dict[str, int]:
    return {name: some.get(name, 0) + value for name, value in more.items()}


# Names that the code has outgrown, and databases have not.
_STORED_AS = {"polled": "looked", "answered": "waited"}
_ENUMS: Mapping[str, type[StrEnum]] = {
    "action": Action,
    "on_active_job": OnActiveJob,
    "on_deferred": OnDeferred,
    "phase": Phase,
    "ownership": Ownership,
    "fate": Fate,
}
# JSON has no tuples.
_SEVERAL = {
    "expected",
    "job_types",
    "second_job_types",
    "objects",
    "object_ids",
    "baseline",
    "at_work",
    "told",
    "gone_before",
    "objects_retried",
    "jobs_retried",
    "destination",
}


def _plain(value: object) -> object:
    if isinstance(value, Enum):
        return value.value
    return list(value) if isinstance(value, tuple) else value


def _values_of(kind: type[Any], value: Mapping[str, Any]) -> dict[str, Any]:
    stored = {each.name: _STORED_AS.get(each.name, each.name) for each in fields(kind) if each.name != "order"}
    return {name: _typed(name, value[key]) for name, key in stored.items() if key in value}


def _typed(name: str, value: Any) -> Any:
    if name in _ENUMS and value is not None:
        return _ENUMS[name](value)
    return tuple(value) if name in _SEVERAL and value is not None else value


def _read(kind: type[Order], value: Mapping[str, Any]) -> Order:
    return kind(**_values_of(kind, value))
