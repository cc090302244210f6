"""A job of the sandbox: all that depends on time is worked out from the clock when it is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final, Protocol

from hevo_provider.sandbox.world import Checked, known, overridden

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from hevo_provider.sandbox.world import World

TERMINAL_STATUSES: Final = frozenset(
    {
        "COMPLETED",
        "COMPLETED_WITH_FAILURES",
        "FAILED",
        "CANCELLED",
        "SKIPPED",
        "DEFERRED",
        "DEFERRED_WITH_FAILURES",
    }
)
JOB_TYPES: Final = (
    "INCREMENTAL",
    "HISTORICAL",
    "RESYNC",
    "RESYNC_WITH_DROP_AND_LOAD",
    "REFRESHER",
    "TRUNCATE_AND_LOAD",
    "RESYNC_WITH_EVOLVE",
)
_FAILED_OBJECTS_BY_STATUS = {"COMPLETED_WITH_FAILURES": 1, "DEFERRED_WITH_FAILURES": 1, "FAILED": 2}
_EVENTS_PER_FAILED_OBJECT = 7
# How fast a job without an end comes near its totals.
_OPEN_ENDED_SECONDS = 60.0


class Owner(Protocol):
    """What a job has to know of its pipeline, which knows all of its jobs."""

    id: int
    world: World
    job_type_names: dict[str, str]
    job_status_names: dict[str, str]

    def object_id_of(self, name: str) -> str | None:
        """Return the id of the object with that name."""


class _Counter:
    """A figure that follows the job's progress until a test assigns a value; None hands it back to the progress."""

    def __set_name__(self, owner: type[SandboxJob], name: str) -> None:
        self.name = name

    def __get__(self, job: SandboxJob, owner: type[SandboxJob]) -> int:
        return job.counters()[self.name]

    def __set__(self, job: SandboxJob, value: int | None) -> None:
        if value is None:
            job.assigned_counters.pop(self.name, None)
        else:
            job.assigned_counters[self.name] = value


class SandboxJob(Checked):
    """
    One job, from its creation to its end.

    Assignable at any time: ``duration``, ``ends``, ``appear_after``, ``cancelling_for``, ``hidden``,
    ``status_override``, ``override``, ``failed_objects``, ``total_events`` and every counter.
    """

    _values: ClassVar[Mapping[str, tuple[str, Iterable[str]]]] = {
        "ends": ("status in which a job has ended", TERMINAL_STATUSES),
        "type": ("job type", JOB_TYPES),
    }

    events_ingested = _Counter()
    events_loaded = _Counter()
    events_failed = _Counter()
    objects_success = _Counter()
    objects_queued = _Counter()
    objects_skipped = _Counter()
    objects_failed = _Counter()
    billable_events = _Counter()
    non_billable_events = _Counter()

    def __init__(
        self,
        pipeline: Owner,
        *,
        job_type: str,
        started_by: str,
        created_at: float,
        appear_after: float,
        duration: float | None,
        ends: str,
        object_names: Sequence[str],
    ) -> None:
        self.pipeline = pipeline
        self.id = pipeline.world.uuid()
        self.type = job_type
        self.started_by = started_by
        self.created_at = created_at
        self.appear_after = appear_after
        self.duration = duration
        self.ends = ends
        self.object_names = tuple(object_names)
        self.cancelling_for = 2.0
        self.cancel_requests = 0
        """How often the API was asked to cancel this job, whatever it answered."""
        self.hidden = False
        """True: the job answers 404 and is in no list, whatever the clock says."""
        self.status_override: str | None = None
        self.override: dict[str, Any] = {}
        self.total_events = 1000
        self.assigned_counters: dict[str, int] = {}
        self._failed_objects: tuple[str, ...] | None = None
        self.deferred_objects: tuple[str, ...] = self.object_names[-1:]
        """Names of the objects that the source's rate limit stops, where the job ends DEFERRED."""
        self._cancelled_at: float | None = None
        self._ended: tuple[float, str] | None = None
        self._complete = True

    def __repr__(self) -> str:
        return f"<SandboxJob {self.id} {self.type} {self.status} of pipeline {self.pipeline.id} by {self.started_by}>"

    @property
    def status(self) -> str:
        """The status now."""
        return self.status_at(self.pipeline.world.clock())

    @property
    def visible(self) -> bool:
        """Whether the API shows the job now, in lists and by id."""
        return self.visible_at(self.pipeline.world.clock())

    @property
    def active(self) -> bool:
        """Whether the job is not over yet; an invisible one counts."""
        return self.status not in TERMINAL_STATUSES

    @property
    def ended_at(self) -> float | None:
        """Epoch seconds of the end, None before it."""
        over = self._end(self.pipeline.world.clock())
        return over[0] if over else None

    @property
    def failed_objects(self) -> tuple[str, ...]:
        """Names of the objects that fail; by default as many as the terminal status calls for."""
        if self._failed_objects is not None:
            return self._failed_objects
        over = self._end(self.pipeline.world.clock())
        count = _FAILED_OBJECTS_BY_STATUS.get(over[1] if over else self.ends, 0)
        return self.object_names[:count]

    @failed_objects.setter
    def failed_objects(self, names: Sequence[str]) -> None:
        self._failed_objects = tuple(names)

    def end(self, status: str = "COMPLETED") -> None:
        """End the job now, in one of ``TERMINAL_STATUSES``."""
        kind, names = self._values["ends"]
        known(kind, status, names)
        with self.pipeline.world.lock:
            self._ended = (self.pipeline.world.clock(), status)

    def cancel(self) -> bool:
        """
        Ask the job to stop, as the API's cancel does: CANCELLING for ``cancelling_for`` seconds, then CANCELLED.

        :return: False if the job was over already.
        """
        with self.pipeline.world.lock:
            now = self.pipeline.world.clock()
            if self.status_at(now) in TERMINAL_STATUSES:
                return False
            if self._cancelled_at is None:
                self._cancelled_at = now
            return True

    def visible_at(self, now: float) -> bool:
        """Tell whether the API shows the job at a time."""
        return not self.hidden and now >= self.created_at + self.appear_after

    def status_at(self, now: float) -> str:
        """Return the status at a time, epoch seconds."""
        if self.status_override is not None:
            return self.status_override
        over = self._end(now)
        if over:
            return over[1]
        return "IN_PROGRESS" if self._cancelled_at is None or now < self._cancelled_at else "CANCELLING"

    def _end(self, now: float) -> tuple[float, str] | None:
        if self._ended is not None and now >= self._ended[0]:
            return self._ended
        if self._cancelled_at is not None and now >= self._cancelled_at:
            over = self._cancelled_at + self.cancelling_for
            return (over, "CANCELLED") if now >= over else None
        if self.duration is not None and now >= self.created_at + self.duration:
            return self.created_at + self.duration, self.ends
        return None

    def counters(self, now: float | None = None) -> dict[str, int]:
        """Return the counters at a time (None: now): in proportion to the elapsed part, unless assigned."""
        now = self.pipeline.world.clock() if now is None else now
        over = self._end(now)
        fraction = self._fraction(now, over)
        objects = len(self.object_names)
        failed = len(self.failed_objects) if over else 0
        skipped = objects if over and over[1] == "SKIPPED" else 0
        success = max(0, int(objects * fraction) - failed - skipped)
        ingested = 0 if skipped else int(self.total_events * fraction)
        events_failed = min(ingested, failed * _EVENTS_PER_FAILED_OBJECT)
        counters = {
            "events_ingested": ingested,
            "events_loaded": ingested - events_failed,
            "events_failed": events_failed,
            "objects_success": success,
            "objects_queued": 0 if over else max(0, objects - success),
            "objects_skipped": skipped,
            "objects_failed": failed,
            "billable_events": ingested - events_failed,
            "non_billable_events": events_failed,
        }
        return counters | self.assigned_counters if self.assigned_counters else counters

    def _fraction(self, now: float, over: tuple[float, str] | None) -> float:
        if over and over[1].startswith("COMPLETED"):
            return 1.0
        stopped_at = min(now, over[0] if over else now, self._cancelled_at or now)
        elapsed = max(0.0, stopped_at - self.created_at)
        if self.duration is None:
            return elapsed / (elapsed + _OPEN_ENDED_SECONDS)
        return min(1.0, elapsed / self.duration) if self.duration > 0 else 1.0

    def as_json(self, now: float) -> dict[str, Any]:
        """Return the job as the API shows it."""
        over = self._end(now)
        seen_at = over[0] if over else now
        data: dict[str, Any] = {
            "job_id": self.id,
            "type": self.pipeline.job_type_names.get(self.type, self.type),
            "status": self.pipeline.job_status_names.get(self.status_at(now), self.status_at(now)),
            "created_ts": int(self.created_at * 1000),
            "updated_ts": int(max(seen_at, self.created_at) * 1000),
            **self.counters(now),
            "duration": int(max(0.0, seen_at - self.created_at) * 1000),
            "min_latency": 120 if over else None,
            "max_latency": 2400 if over else None,
            "mean_latency": 610 if over else None,
        }
        return overridden(data, self.override)

    @staticmethod
    def _status_of(name: str, failed: Sequence[str], deferred: set[str], otherwise: str) -> str:
        return "FAILED" if name in failed else "DEFERRED" if name in deferred else otherwise

    def objects_as_json(self, now: float) -> list[dict[str, Any]]:
        """Return the results per object as the API shows them."""
        over = self._end(now)
        failed = self.failed_objects if over else ()
        names = [*self.object_names, *(name for name in failed if name not in self.object_names)]
        is_deferred = over is not None and over[1].startswith("DEFERRED")
        deferred = set(self.deferred_objects) - set(failed) if is_deferred else set()
        rows = self.counters(now)["events_loaded"] // max(1, len(names))
        done = "CANCELLED" if over and over[1] == "CANCELLED" else "COMPLETED"
        return [
            {
                "object_id": self.pipeline.object_id_of(name),
                "object_name": name,
                "rows_processed": 0 if name in failed else rows,
                "rows_failed": _EVENTS_PER_FAILED_OBJECT if name in failed else 0,
                "status": self._status_of(name, failed, deferred, done if over else "IN_PROGRESS"),
                "error": f"Column type of {name} is not supported by the destination" if name in failed else None,
            }
            for name in names
        ]
