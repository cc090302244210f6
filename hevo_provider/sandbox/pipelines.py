"""A pipeline of the sandbox with its objects and jobs: what may run, what is refused, what has been started."""

from __future__ import annotations

from bisect import insort
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, get_args

from hevo_provider.sandbox.jobs import JOB_TYPES, TERMINAL_STATUSES, SandboxJob
from hevo_provider.sandbox.objects import SandboxObject
from hevo_provider.sandbox.world import Checked, World, overridden

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

Order = Literal["desc", "asc", "shuffled"]

RUNNABLE_STATUS = "INITIALIZED"
PIPELINE_STATUSES: Final = (
    "INITIALIZING",
    RUNNABLE_STATUS,
    "INITIALIZE_FAILED",
    "DISABLING",
    "DISABLED",
    "DISABLE_FAILED",
    "ENABLING",
    "ENABLED",
    "ENABLE_FAILED",
    "DELETING",
    "DELETED",
    "DELETE_FAILED",
    "RESTARTING",
    "RESTART_FAILED",
)
_DEFAULT_OBJECTS = ("orders", "customers", "invoices")
# A scheduled pipeline that nobody has asked about for a week does not need its whole past.
_MISSED_RUNS_KEPT = 50


class RefusedError(Exception):
    """The API says no: an HTTP status and the words that go with it."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class SandboxPipeline(Checked):
    """
    One pipeline; its settings may be assigned at any time and apply to jobs that start later (``status``: at once).

    :param appear_after: seconds after its creation until a job shows, in the list and by id.
    :param duration: seconds from a job's creation to its end; less than ``appear_after`` means over when first seen,
        None means until told.
    :param ends: terminal status of the jobs.
    :param first_ends: those of the first jobs, one each, before ``ends`` holds.
    :param parallel_jobs: accept a start while a job is active; otherwise it is refused.
    :param refusal: HTTP status of that refusal (409 or 500); ``refusal_message`` its words.
    :param restarting_for: seconds in RESTARTING after a resync action; the job is created when they are over.
    :param baseline_lag: seconds until a job that was not started through the API shows; None: as ``appear_after``.
    :param sync_brings: types of the jobs that a sync brings, each when the one before has ended; HISTORICAL where the
        first load has not ended yet, or objects were included since.
    :param job_type_names: other names of job types on the wire, ``{"RESYNC": "TRUNCATE_AND_LOAD"}``.
    :param job_status_names: other names of job statuses on the wire, ``{"COMPLETED": "ARCHIVED"}``.
    :param order: order of the job list; "shuffled" is a fixed arbitrary one.
    :param fields: values that replace those of the pipeline's JSON, ``{"schedule": {"sync_type": "ON_DEMAND"}}``, also
        of fields that the sandbox does not know; None is null, MISSING drops one.
    :raises ValueError: a status, a type or an order is none that Hevo has.
    """

    _values: ClassVar[Mapping[str, tuple[str, Iterable[str]]]] = {
        "ends": ("status in which a job has ended", TERMINAL_STATUSES),
        "first_ends": ("status in which a job has ended", TERMINAL_STATUSES),
        "status": ("pipeline status", PIPELINE_STATUSES),
        "sync_brings": ("job type", JOB_TYPES),
        "job_type_names": ("job type", JOB_TYPES),
        "job_status_names": ("job status", ("IN_PROGRESS", "CANCELLING", *sorted(TERMINAL_STATUSES))),
        "order": ("order", get_args(Order)),
    }

    def __init__(  # noqa: PLR0913 - each of them is one way in which pipelines differ
        self,
        world: World,
        id: int,  # noqa: A002 - the API calls it so
        *,
        status: str = RUNNABLE_STATUS,
        name: str | None = None,
        appear_after: float = 5.0,
        duration: float | None = 10.0,
        ends: str = "COMPLETED",
        first_ends: Sequence[str] = (),
        parallel_jobs: bool = False,
        refusal: int = 409,
        refusal_message: str | None = None,
        restarting_for: float = 0.0,
        baseline_lag: float | None = None,
        sync_brings: Sequence[str] = ("INCREMENTAL",),
        job_type_names: dict[str, str] | None = None,
        job_status_names: dict[str, str] | None = None,
        order: Order = "desc",
        fields: dict[str, Any] | None = None,
    ) -> None:
        self.world = world
        self.id = id
        self.name = name or f"pipeline {id}"
        self.appear_after = appear_after
        self.duration = duration
        self.ends = ends
        self.first_ends = tuple(first_ends)
        self.parallel_jobs = parallel_jobs
        self.refusal = refusal
        self.refusal_message = refusal_message or "A job is already in progress for this pipeline"
        self.restarting_for = restarting_for
        self.baseline_lag = baseline_lag
        self.sync_brings = sync_brings
        self.job_type_names = job_type_names or {}
        self.job_status_names = job_status_names or {}
        self.order = order
        self.fields = fields or {}
        self.objects: list[SandboxObject] = []
        self.created_at = self.updated_at = world.clock()
        self.status = status
        self._jobs: list[SandboxJob] = []
        self._by_time: list[SandboxJob] = []
        self._by_id: dict[str, SandboxJob] = {}
        self._scheduled_until = self.created_at
        for object_name in _DEFAULT_OBJECTS:
            self.add_object(object_name)
        self._complete = True

    def __repr__(self) -> str:
        return f"<SandboxPipeline {self.id} {self.status}, {len(self._jobs)} jobs>"

    @property
    def status(self) -> str:
        """The status now; RESTARTING for a while after a resync."""
        return "RESTARTING" if self.world.clock() < self._restarting_until else self._status

    @status.setter
    def status(self, status: str) -> None:
        self._status = status
        self._restarting_until = float("-inf")

    @property
    def jobs(self) -> list[SandboxJob]:
        """All jobs ever, visible or not, in the order in which they were started."""
        with self.world.lock:
            self.catch_up()
            return list(self._jobs)

    @property
    def jobs_started_by_api(self) -> list[SandboxJob]:
        """The jobs that sync-now, resync and the resync of objects have started."""
        return [job for job in self.jobs if job.started_by == "api"]

    @property
    def active_jobs(self) -> list[SandboxJob]:
        """The jobs that are not over, visible or not."""
        now = self.world.clock()
        return [job for job in self.jobs if job.status_at(now) not in TERMINAL_STATUSES]

    def add_object(
        self,
        name: str,
        *,
        object_id: str | None = None,
        schema: str = "public",
        database: str = "shop",
        override: dict[str, Any] | None = None,
    ) -> SandboxObject:
        """
        Add an object; jobs that start later include it.

        :param name: the table's name.
        :param object_id: the object's id; a new UUID if None.
        :param override: values that replace those of the object's JSON, ``{"status": "BLOCKED"}``.
        """
        with self.world.lock:
            added = SandboxObject(
                object_id or self.world.uuid(),
                name,
                schema=schema,
                database=database,
                override=override or {},
            )
            self.objects.append(added)
            return added

    def object_id_of(self, name: str) -> str | None:
        """Return the id of the object with that name."""
        return next((each.id for each in self.objects if each.name == name), None)

    def start_job(
        self,
        type: str = "INCREMENTAL",  # noqa: A002 - the API calls it so
        *,
        started_by: str = "schedule",
        appear_after: float | None = None,
        duration: float | None = None,
        ends: str | None = None,
        ago: float = 0.0,
    ) -> SandboxJob:
        """
        Start a job as Hevo's schedule or other people would; nothing is refused.

        :param type: the job's type, before ``job_type_names``.
        :param started_by: "schedule", or any name.
        :param appear_after: seconds until it shows; None: the pipeline's ``baseline_lag`` or ``appear_after``.
        :param duration: seconds until it ends; None: the pipeline's.
        :param ends: terminal status; None: the pipeline's.
        :param ago: seconds in the past at which it was created.
        """
        with self.world.lock:
            if appear_after is None:
                appear_after = self.appear_after if self.baseline_lag is None else self.baseline_lag
            return self._add_job(
                type,
                started_by=started_by,
                created_at=self.world.clock() - ago,
                appear_after=appear_after,
                duration=self.duration if duration is None else duration,
                ends=ends or self._ends_of_next(),
            )

    def start_through_api(
        self, *job_types: str, restarts: bool = False, objects: Sequence[str] | None = None
    ) -> SandboxJob:
        """
        Start a job for a request, or refuse to; return the first.

        :param job_types: of the job, and of those that follow it once it has ended.
        :param restarts: pass through RESTARTING first.
        :param objects: names of the only objects to load.
        :raises RefusedError: the pipeline is not in a state to run, or a job is active.
        """
        self.refuse_unless_startable()
        now = self.world.clock()
        if restarts and self.restarting_for > 0:
            now += self.restarting_for
            self._restarting_until = now
        started = [
            self._add_job(
                job_type,
                started_by="api",
                created_at=now + number * (self.duration or 0.0),
                appear_after=self.appear_after,
                duration=self.duration,
                ends=self._ends_of_next(),
                objects=objects,
            )
            for number, job_type in enumerate(job_types)
        ]
        return started[0]

    def refuse_unless_startable(self) -> None:
        """
        Do nothing if a job may be started now.

        :raises RefusedError: the pipeline is not in a state to run, or a job is active.
        """
        self.catch_up()
        if self.status != RUNNABLE_STATUS:
            raise RefusedError(400, f"Pipeline {self.id} is in state {self.status} and cannot run")
        if not self.parallel_jobs and self.active_jobs:
            raise RefusedError(self.refusal, self.refusal_message)

    def job(self, job_id: str) -> SandboxJob | None:
        """Return the job with that id if the API shows it now."""
        found = self._by_id.get(job_id)
        return found if found is not None and found.visible else None

    def visible_jobs(self) -> Iterator[SandboxJob]:
        """Yield what the job list shows now, in the pipeline's order."""
        now = self.world.clock()
        if self.order == "shuffled":
            jobs: Iterator[SandboxJob] = iter(sorted(self._by_time, key=lambda job: job.id))
        else:
            jobs = reversed(self._by_time) if self.order == "desc" else iter(self._by_time)
        return (job for job in jobs if job.visible_at(now))

    def catch_up(self) -> None:
        """
        Start the jobs that the pipeline's own schedule has called for since somebody last asked.

        One that falls due while another job is active is listed as SKIPPED (API.md, one-job).
        """
        schedule = self.fields.get("schedule")
        if not isinstance(schedule, dict) or schedule.get("sync_type") != "SCHEDULED":
            self._scheduled_until = self.world.clock()
            return
        step = 60.0 * float(schedule.get("frequency_minutes") or 60)
        missed = int((self.world.clock() - self._scheduled_until) // step)
        for number in range(max(1, missed - _MISSED_RUNS_KEPT + 1), missed + 1):
            due = self._scheduled_until + number * step
            busy = any(job.created_at <= due and job.status_at(due) not in TERMINAL_STATUSES for job in self._jobs)
            if self.status == RUNNABLE_STATUS:
                self._add_job(
                    "INCREMENTAL",
                    started_by="schedule",
                    created_at=due,
                    appear_after=self.appear_after if self.baseline_lag is None else self.baseline_lag,
                    duration=0.0 if busy else self.duration,
                    ends="SKIPPED" if busy else self._ends_of_next(),
                )
        self._scheduled_until += missed * step

    def _ends_of_next(self) -> str:
        return (*self.first_ends, self.ends)[min(len(self._jobs), len(self.first_ends))]

    def _add_job(
        self,
        job_type: str,
        *,
        started_by: str,
        created_at: float,
        appear_after: float,
        duration: float | None,
        ends: str,
        objects: Sequence[str] | None = None,
    ) -> SandboxJob:
        job = SandboxJob(
            self,
            job_type=job_type,
            started_by=started_by,
            created_at=created_at,
            appear_after=appear_after,
            duration=duration,
            ends=ends,
            object_names=[each.name for each in self.objects] if objects is None else objects,
        )
        self._jobs.append(job)
        insort(self._by_time, job, key=lambda each: each.created_at)
        self._by_id[job.id] = job
        return job

    def as_json(self) -> dict[str, Any]:
        """Return the pipeline as the API shows it."""
        data: dict[str, Any] = {
            "id": self.id,
            "name": self.name,
            "status": self.status,
            "source": {"name": "shop database", "connector_id": 100 + self.id, "source_type": "POSTGRES"},
            "destination": {
                "id": 10,
                "name": "warehouse",
                "connector_id": 10,
                "destination_type": "SNOWFLAKE",
                "status": "ACTIVE",
            },
            "destination_prefix": None,
            "replication_type": "HISTORICAL_AND_INCREMENTAL",
            "load_mode": "MERGE",
            "schema_evolution": "ALLOW_ALL",
            "schedule": {"sync_type": "ON_DEMAND"},
            "failure_handling_policy": {"object_failure_level": "OBJECT", "object_failure_threshold": 5},
            "source_schema_status": {"status": "REFRESHED", "refreshed_ts": int(self.created_at * 1000)},
            "latency_alert": {"enabled": False, "threshold_minutes": 60},
            "created_by_email": "owner@example.com",
            "updated_by_email": "owner@example.com",
            "created_ts": int(self.created_at * 1000),
            "updated_ts": int(self.updated_at * 1000),
        }
        return overridden(data, self.fields)
