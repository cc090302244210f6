"""
``make demo``: the example DAGs on a real Airflow against the sandbox, told line by line as it happens.

Everything lives in a temporary folder and on free ports of this machine, and is gone at the end, also after Ctrl-C.
"""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from hevo_provider.client import HevoAsyncClient
from hevo_provider.models.job import Job
from tests.e2e.airflow_api import AirflowApi, AirflowApiError, TaskEvent
from tests.e2e.airflow_lab import AirflowLab, free_ports

EXAMPLES = Path(__file__).parents[2] / "example_dags"
PIPELINE_OF = {
    "hevo_own_schedule": 6,  # first, for the schedule falls due within a minute
    "hevo_without_worker": 9,  # and 6, of which it starts no job either
    "hevo_deferred_sync": 1,
    "hevo_resync_accept_partial": 2,
    "hevo_trigger_then_sensor": 1,
    "hevo_tables": 1,
}
RUN = "demo"
KEY, SECRET = "sandbox-key", "sandbox-secret"
TIME_LIMIT = 150.0  # seconds for all runs together
PROGRESS_EVERY = 2.0  # seconds between two lines about one job's counters

STATES = ("running", "deferred", "up_for_reschedule", "up_for_retry", "success", "failed", "skipped")
MEANING = {
    "queued": "is next for a worker",
    "running": "holds a worker",
    "deferred": "waits in the triggerer and holds no worker",
    "up_for_reschedule": "waits to poll again and holds no worker",
}


def main() -> int:
    """Run the demo; return its exit code."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt_once)
    try:
        with tempfile.TemporaryDirectory(prefix="hevo-demo-", ignore_cleanup_errors=True) as folder:
            return demonstrate(Path(folder))
    except KeyboardInterrupt:
        print("\nStopped; nothing is left running.")
        return 130


def interrupt_once(*_: object) -> None:
    """Stop the demo, and let no second Ctrl-C disturb the stopping."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def demonstrate(folder: Path) -> int:
    """Start the sandbox and Airflow, run the examples, tell what happens; return the exit code."""
    story = Story()
    with sandbox() as url:
        story.tell(f"A local Hevo (python -m hevo_provider.sandbox) listens on {url}")
        story.tell("Airflow starts, for half a minute: scheduler, DAG processor, API server, triggerer")
        lab = AirflowLab(folder, EXAMPLES)
        with lab:
            story.tell(f"Airflow {lab.version} is up, on {lab.api.base_url}")
            lab.api.add_connection("hevo_airflow_conn_id", conn_type="hevo", host=url, login=KEY, password=SECRET)
            states = follow(lab.api, url, story)
            print(table(lab.api), flush=True)
            failed = [dag_id for dag_id, state in states.items() if state != "success"]
            for dag_id in failed:
                for task in lab.api.tasks(dag_id, RUN):
                    print(f"\nThe log of {dag_id}.{task['task_id']}:\n{lab.api.log(dag_id, RUN, task['task_id'])}")
    left = lab.processes()
    print(f"\nAll of it took {story.seconds():.0f} s. Left running: {left or 'nothing'}.")
    return 1 if failed or left else 0


@contextmanager
def sandbox() -> Iterator[str]:
    """Run the sandbox with its demo data set as a process of its own; yield its address."""
    port = str(free_ports(1)[0])
    # A little slower than usual, a job takes 8 s: long enough to see what is held meanwhile.
    command = [sys.executable, "-m", "hevo_provider.sandbox", "--port", port, "--speed", "0.75", "--quiet"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        assert process.stdout is not None
        if not process.stdout.readline():
            raise SystemExit("The sandbox did not start.")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.communicate(timeout=10)


@dataclass
class Story:
    """Lines with the time at which they are told, each only once."""

    started: float = field(default_factory=time.monotonic)
    known: dict[str, object] = field(default_factory=dict)
    counted: dict[str, float] = field(default_factory=dict)

    def seconds(self) -> float:
        """Seconds since the story began."""
        return time.monotonic() - self.started

    def tell(self, line: str) -> None:
        """Print a line."""
        print(f"{self.seconds():6.1f} s  {line}", flush=True)

    def tell_task(self, dag_id: str, task: dict[str, Any]) -> None:
        """Print a task's state if it is a new one."""
        name, state = f"{dag_id}.{task['task_id']}", task["state"]
        if state in (None, "scheduled") or self.known.get(name) == state:
            return
        self.known[name] = state
        self.tell(f"{name:<36} {state:<9} {MEANING.get(state, '')}".rstrip())

    def tell_job(self, pipeline_id: int, job: Job) -> None:
        """Print a job's status when it changes, and its counters now and then."""
        now = time.monotonic()
        status_is_known = self.known.get(job.job_id) == job.status
        if status_is_known and (job.is_terminal or now - self.counted[job.job_id] < PROGRESS_EVERY):
            return
        self.known[job.job_id], self.counted[job.job_id] = job.status, now
        counters = f"{job.events_loaded or 0:,} events loaded, {job.objects_success or 0} objects done"
        self.tell(f"  Hevo, pipeline {pipeline_id}: job {job.job_id[:8]} {job.type} {job.status}, {counters}")


def follow(airflow: AirflowApi, url: str, story: Story) -> dict[str, str]:
    """
    Run every example, two at a time where their pipelines differ, and tell what happens.

    :returns: the final state of each example's DAG run.
    """
    waiting, running, ended = list(PIPELINE_OF), list[str](), dict[str, str]()
    deadline = time.monotonic() + TIME_LIMIT
    while len(ended) < len(PIPELINE_OF):
        if time.monotonic() > deadline:
            return ended | dict.fromkeys([*waiting, *running], f"not within {TIME_LIMIT:g} s")
        for dag_id in list(waiting):
            if PIPELINE_OF[dag_id] not in {PIPELINE_OF[other] for other in running}:
                airflow.trigger(dag_id, RUN)
                story.tell(f"{dag_id} is started")
                running.append(dag_id)
                waiting.remove(dag_id)
        for pipeline_id, jobs in asyncio.run(all_jobs(url)).items():
            for job in reversed(jobs):
                story.tell_job(pipeline_id, job)
        for dag_id in list(running):
            for task in airflow.tasks(dag_id, RUN):
                story.tell_task(dag_id, task)
            if (state := airflow.run_state(dag_id, RUN)) in ("success", "failed"):
                running.remove(dag_id)
                ended[dag_id] = state
        time.sleep(0.3)
    return ended


async def all_jobs(url: str) -> dict[int, list[Job]]:
    """Ask the sandbox for the jobs of the examples' pipelines, newest first."""
    async with HevoAsyncClient(url, KEY, SECRET) as hevo:
        return {number: [job async for job in hevo.list_jobs(number)] for number in sorted(set(PIPELINE_OF.values()))}


def table(airflow: AirflowApi) -> str:
    """Sum up what every task did, and how long it held a worker."""
    rows = [("task", "result", "took", "held a worker", "what it did")]
    for dag_id in PIPELINE_OF:
        for task in sorted(airflow.tasks(dag_id, RUN), key=lambda task: task["start_date"] or ""):
            task_id, state = task["task_id"], task["state"]
            events = [event for event in airflow.events(dag_id, RUN, task_id) if event.event in STATES]
            took = (events[-1].when - events[0].when).total_seconds() if events else 0.0
            held, did = seconds_on_a_worker(events), what_it_did(airflow, dag_id, task_id)
            rows.append((f"{dag_id}.{task_id}", str(state), f"{took:.1f} s", f"{held:.1f} s", did))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    note = 'Times are those of Airflow\'s audit log: a worker is held from each "running" to the entry that follows it.'
    return "\n".join(["", lines[0], "-" * max(map(len, lines)), *lines[1:], "", note])


def seconds_on_a_worker(events: Sequence[TaskEvent]) -> float:
    """Add up the times between a task's "running" and the state that came after it (deferred, success, failed …)."""
    return sum(
        (after.when - event.when).total_seconds() for event, after in pairwise(events) if event.event == "running"
    )


def what_it_did(airflow: AirflowApi, dag_id: str, task_id: str) -> str:
    """Tell a task's Hevo job, or what it returned."""
    with suppress(AirflowApiError):
        job = airflow.xcom(dag_id, RUN, task_id, "hevo_job")
        return f"job {job['job_id'][:8]} {job['status']}, {job['events_loaded'] or 0:,} events loaded"
    with suppress(AirflowApiError):
        return f"returned {airflow.xcom(dag_id, RUN, task_id)}"
    return ""


if __name__ == "__main__":
    sys.exit(main())
