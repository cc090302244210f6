"""One run of a DAG of the cluster: a task of every mode, each on a pipeline of its own, and what became of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from itertools import count
from typing import NamedTuple

from hevo_provider.sandbox import Sandbox
from hevo_provider.sandbox.jobs import SandboxJob
from hevo_provider.sandbox.pipelines import SandboxPipeline
from tests.e2e.airflow_api import FINISHED, AirflowApi, AirflowApiError, wait_for

NEVER = 1e6  # seconds

_numbers = count(1)


class Story(NamedTuple):
    """What became of a task, by Airflow and by Hevo."""

    state: str
    returned: str  # the status of its own job, if the task has returned the id of that
    started: tuple[str, ...]  # the statuses of the jobs that it has started, oldest first
    most_at_once: int  # of these jobs
    actions: int  # that Hevo was asked for, whatever it answered
    cancels: int  # of any job of its pipeline


_ONE_JOB = Story("success", "COMPLETED", ("COMPLETED",), most_at_once=1, actions=1, cancels=0)
_NEXT_JOB = Story("success", "COMPLETED", ("FAILED", "COMPLETED"), most_at_once=1, actions=2, cancels=0)
_NO_JOB = Story("success", "COMPLETED", (), most_at_once=0, actions=0, cancels=0)

DEFERRING = {
    "deferred": _ONE_JOB,
    "deferred_fails": _NEXT_JOB,
    "deferred_resync": _ONE_JOB,
    "deferred_until_found": _ONE_JOB,
    "sensor_deferred": _NO_JOB,
}
BLOCKING = {
    "blocking": _ONE_JOB,
    "blocking_fails": _NEXT_JOB,
    "blocking_resync": _ONE_JOB,
    "blocking_until_found": _ONE_JOB,
    "sensor_poke": _NO_JOB,
    "sensor_reschedule": _NO_JOB,
}
MODES = {**DEFERRING, **BLOCKING}
STARTING = {"deferred": _ONE_JOB, "blocking": _ONE_JOB}
"""For each task of a DAG, what has to become of it."""


class Cast:
    """
    The tasks of one run, which starts when this is made.

    Jobs run until they are told to end. Every pipeline takes a second job while one runs, so that whoever starts one is
    seen; and it has a job that completed minutes ago, for whoever takes another's job for his own.

    :param airflow: the Airflow that runs them.
    :param hevo: where their pipelines are.
    :param dag_id: the DAG.
    :param run_id: name of the run.
    :param tasks: the DAG's tasks.
    """

    def __init__(self, airflow: AirflowApi, hevo: Sandbox, dag_id: str, run_id: str, tasks: Iterable[str]) -> None:
        self._airflow = airflow
        self._hevo = hevo
        self._dag_id = dag_id
        self.run_id = run_id
        self._jobs_may_end = False
        self._pipelines = {task: self._new_pipeline(task) for task in tasks}
        self._given = {
            task: pipeline.start_job(appear_after=0.0)
            for task, pipeline in self._pipelines.items()
            if task.startswith("sensor")
        }
        pipelines = {task: pipeline.id for task, pipeline in self._pipelines.items()}
        jobs = {task: job.id for task, job in self._given.items()}
        airflow.trigger(dag_id, run_id, {"pipelines": pipelines, "jobs": jobs})

    def wait_started(self) -> None:
        """Wait until every job was started, whether or not the task knows yet."""
        wait_for(f"every job of {self} to be started", lambda: all(self._job(task) for task in self._pipelines))

    def wait_at_work(self) -> None:
        """Wait until every task is in the middle of its work: its job was started, and is polled or searched for."""
        self.wait_started()
        self.wait_polled()
        wait_for(f"all of {self} that defer to do so", self._all_have_deferred)

    def wait_polled(self, *, but: Iterable[str] = ()) -> None:
        """
        Wait until every job that shows is polled from now on: somebody waits for it.

        A task that is over waits for nothing; its story tells what that means.

        :param but: tasks that may be left out.
        """
        before = self._polls()
        # One look may have been on its way; a rescheduled sensor has ten seconds between two.
        wanted = {
            task: (job.id, before[job.id] + (1 if "reschedule" in task else 2))
            for task in self._pipelines
            if task not in but and not _is_found_only(task) and (job := self._job(task))
        }

        def late() -> dict[str, str | None]:
            polls = self._polls()
            tasks = {task for task, (job_id, number) in wanted.items() if polls[job_id] < number}
            states = self._states() if tasks else {}
            return {task: states[task] for task in tasks if states[task] not in FINISHED}

        try:
            wait_for(f"the jobs of {self} to be polled", lambda: not late(), every=1.0)
        except TimeoutError as error:
            raise TimeoutError(f"{error}: those of {late()} are not") from None

    def let_jobs_show(self) -> None:
        """Let every job show, as Hevo does within seconds, whoever is there to see it."""
        for task in self._pipelines:
            if (job := self._job(task)) is not None:
                job.appear_after = 0.0

    def end_jobs(self) -> None:
        """Let every job show and end, once; the next one of a task that this fails is a short one."""
        if self._jobs_may_end:
            return
        self._jobs_may_end = True
        self.let_jobs_show()
        for task, pipeline in self._pipelines.items():
            pipeline.appear_after, pipeline.duration = 1.0, 3.0
            job = self._job(task)
            assert job is not None, task
            job.end("FAILED" if task.endswith("fails") else "COMPLETED")

    def wait_ended(self) -> None:
        """Wait until the run is over."""
        self._airflow.wait_run(self._dag_id, self.run_id)

    def story(self, task: str) -> Story:
        """Tell what became of a task."""
        pipeline, job = self._pipelines[task], self._job(task)
        returned = None
        with suppress(AirflowApiError):  # it has returned nothing
            returned = self._airflow.xcom(self._dag_id, self.run_id, task)
        started = pipeline.jobs_started_by_api
        sent = self._hevo.requests_of("sync_now", "resync", "resync_objects")
        return Story(
            state=self._airflow.task(self._dag_id, self.run_id, task)["state"],
            returned=job.status if job is not None and job.id == returned else f"not its own job's id: {returned}",
            started=tuple(job.status for job in started),
            most_at_once=_most_at_once(started),
            actions=sum(request.pipeline_id == pipeline.id for request in sent),
            cancels=sum(job.cancel_requests for job in pipeline.jobs),
        )

    def __str__(self) -> str:
        return f"{self._dag_id}/{self.run_id}"

    def _new_pipeline(self, task: str) -> SandboxPipeline:
        pipeline = self._hevo.add_pipeline(
            next(_numbers),
            appear_after=NEVER if _is_found_only(task) else 3.0,
            duration=None,
            parallel_jobs=True,
            restarting_for=1.0,
        )
        pipeline.start_job(appear_after=0.0, ago=300.0, duration=10.0)
        return pipeline

    def _job(self, task: str) -> SandboxJob | None:
        """Return the job that a task is about: the given one, or the newest that it has started."""
        return self._given.get(task) or next(reversed(self._pipelines[task].jobs_started_by_api), None)

    def _polls(self) -> Counter[str | None]:
        return Counter(request.job_id for request in self._hevo.requests_of("get_job"))

    def _states(self) -> dict[str, str | None]:
        return {task["task_id"]: task["state"] for task in self._airflow.tasks(self._dag_id, self.run_id)}

    def _all_have_deferred(self) -> bool:
        states = self._states()
        return all(states[task] == "deferred" for task in self._pipelines if "deferred" in task)


def _is_found_only(task: str) -> bool:
    """Return whether a task ends when it has found its job, so that the job must not show before it may."""
    return task.endswith("until_found")


def _most_at_once(jobs: list[SandboxJob]) -> int:
    """Return how many of the jobs ran at the same time, at most."""
    return max(
        (
            sum(
                other.created_at <= job.created_at and (other.ended_at is None or other.ended_at > job.created_at)
                for other in jobs
            )
            for job in jobs
        ),
        default=0,
    )
