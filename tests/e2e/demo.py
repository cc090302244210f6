"""
``make demo``: the example DAGs on a real Airflow against the sandbox, then a failure and three disasters, line by line.

Everything lives in a temporary folder and on free ports of this machine, and is gone at the end, also after Ctrl-C.
With a terminal it stays at the end until Enter is pressed; ``KEEP=0`` does without.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import tempfile
import textwrap
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from hevo_provider.sandbox import TERMINAL_STATUSES, Sandbox, SandboxJob
from hevo_provider.sandbox.demo import add_demo_pipelines
from tests.e2e.airflow_api import AirflowApi, AirflowApiError, TaskEvent
from tests.e2e.airflow_lab import AirflowLab

EXAMPLES = Path(__file__).parents[2] / "example_dags"
BAD_DAYS = Path(__file__).with_name("demo_dags")
RUN = "demo"
CONNECTION = "hevo_airflow_conn_id"
# Those of one pipeline run one after the other: it has one job at a time.
PIPELINE_OF = {
    # First those that wait for long: for a schedule, which falls due within a minute, or a minute before a retry.
    "hevo_own_schedule": 6,
    "hevo_without_worker": 11,  # and 6, of which it starts no job either
    "hevo_retry_by_cause": 10,
    "hevo_deferred_sync": 1,
    "hevo_resync_accept_partial": 2,
    "hevo_trigger_then_sensor": 1,
    "hevo_tables": 1,
    "hevo_fleet": 101,
    "hevo_skip_if_fresh": 6,
    "hevo_retry_failed_objects": 9,
}
BY_ITSELF, WATCHED = "hevo_event_driven", 6
FLEET = [101, 102, 103]  # of the example's thirty
MOST_AT_ONCE = 3  # DAGs: Airflow on SQLite and a small machine has enough to do with them
FAILURE, DISASTERS = "demo_failure", "demo_disasters"
INVOICES, LEDGER = 3, 40
ALL_PIPELINES = {
    **{dag_id: [pipeline_id] for dag_id, pipeline_id in PIPELINE_OF.items()},
    "hevo_fleet": FLEET,
    BY_ITSELF: [WATCHED],
    FAILURE: [INVOICES],
    DISASTERS: [LEDGER],
}
TIME_LIMIT = 150.0  # seconds for one act
PROGRESS_EVERY = 3.0  # seconds between two lines about one job's counters
LONGEST_SILENCE = 5.0  # seconds

STATES = ("running", "deferred", "up_for_reschedule", "up_for_retry", "success", "failed", "skipped")
INTRODUCTION = """
A real Airflow runs the example DAGs, a task that fails, and one that meets three disasters, all against a
local Hevo. It takes three minutes. Each line begins with the time since the start. "Hevo, pipeline …" is what
happens in Hevo; the other lines are Airflow's tasks: a worker is held only while one is "running". At the end
stands what each of them came to.
"""
WIDEST = 150  # characters of a quoted line
MEANING = {
    "running": "holds a worker",
    "deferred": "waits in the triggerer and holds no worker",
    "up_for_retry": "has failed, as its example means it to, and is tried again",
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
        print("Stopped; nothing is left running.", flush=True)
        return 130


def interrupt_once(*_: object) -> None:
    """Stop the demo, and let no second Ctrl-C disturb the stopping."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    with suppress(OSError):  # the terminal may be gone
        print("\nstopping… (a few seconds)", flush=True)
    raise KeyboardInterrupt


def demonstrate(folder: Path) -> int:
    """Start the sandbox and Airflow, play the acts, tell what happens; return the exit code."""
    story = Story()
    dags = shutil.copytree(EXAMPLES, folder / "dags", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(BAD_DAYS, dags, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    with Sandbox() as hevo, ExitStack() as running:
        # A little slower than usual, a job takes 8 s: long enough to see what is held meanwhile.
        add_demo_pipelines(hevo, speed=0.75)
        hevo.add_pipeline(LEDGER, name="ledger to warehouse", appear_after=3.0, duration=None)
        print(INTRODUCTION, flush=True)
        story.tell(f"A local Hevo (python -m hevo_provider.sandbox) listens on {hevo.url}")
        # SQLite has one writer at a time, and what waits longer than 5 s for its turn fails.
        database = {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{folder}/airflow/airflow.db?timeout=60"}
        lab = AirflowLab(folder / "airflow", dags, environment=database)
        with story.waiting("Airflow starts: scheduler, DAG processor, API server, triggerer"):
            running.enter_context(lab)
        story.tell(f"Airflow {lab.version} is up, on {lab.api.base_url}")
        play = Play(hevo, lab, story)
        play.connect()
        play.examples()
        play.failure()
        play.disasters()
        print(table(lab.api, play.runs), flush=True)
        surprises = play.surprises()
        for surprise in surprises:
            print(f"\nNot as expected: {surprise}", flush=True)
        stay(hevo, lab)
        story.tell("Airflow stops, for a few seconds")
    left = lab.processes()
    print(f"\nAll of it took {story.seconds():.0f} s. Left running: {left or 'nothing'}.", flush=True)
    return 1 if surprises or left else 0


def stay(hevo: Sandbox, lab: AirflowLab) -> None:
    """Leave everything running until Enter is pressed, and say where to click; at once where nobody could press it."""
    if os.environ.get("KEEP") == "0" or not sys.stdin.isatty():
        return
    hevo.recording = False
    airflow = lab.api.base_url
    print(
        f"""
It all runs on, to play with:

  {airflow}/dags/{DISASTERS}/runs/{RUN}/tasks/load_ledger
      the log of the task that met three disasters; its button "Hevo pipeline" leads to the sandbox's page
  {airflow}/dags/{FAILURE}/runs/{RUN}/tasks/load_invoices
      the log of the failure
  {airflow}/dags/hevo_deferred_sync
      press "Trigger", then watch its job on the sandbox's page
  {hevo.url}/
      pipelines, jobs and requests; let a job fail, rotate the key, or let Hevo answer 502 for a minute

No log-in is needed."""
    )
    with suppress(EOFError):
        input("Press Enter to stop everything. ")


@dataclass
class Story:
    """Lines with the time at which they are told, each only once."""

    started: float = field(default_factory=time.monotonic)
    told_at: float = field(default_factory=time.monotonic)
    known: dict[str, object] = field(default_factory=dict)
    counted: dict[str, float] = field(default_factory=dict)

    def seconds(self) -> float:
        """Seconds since the story began."""
        return time.monotonic() - self.started

    def tell(self, line: str) -> None:
        """Print a line."""
        self.told_at = time.monotonic()
        print(f"{self.seconds():6.1f} s  {line}", flush=True)

    def heading(self, line: str) -> None:
        """Print what comes next."""
        print(flush=True)
        self.tell(line)

    def quote(self, lines: Sequence[str]) -> None:
        """Print lines of a log."""
        for line in lines:
            for part in textwrap.wrap(line, WIDEST, subsequent_indent=" " * 21, break_long_words=False):
                print(f"          | {part}", flush=True)

    @contextmanager
    def waiting(self, what: str) -> Iterator[None]:
        """Tell that something lasts, again every few seconds until it is over."""
        self.tell(what)
        over = threading.Event()

        def go_on() -> None:
            while not over.wait(LONGEST_SILENCE):
                self.tell("… still starting; half a minute is usual, two at the first time")

        ticker = threading.Thread(target=go_on, daemon=True)
        ticker.start()
        try:
            yield
        finally:
            over.set()
            ticker.join()

    def tell_that_it_goes_on(self, waited_for: str) -> None:
        """Say what is waited for, if nothing has been told for some seconds."""
        if time.monotonic() - self.told_at >= LONGEST_SILENCE:
            self.tell(f"… waiting for {waited_for}")

    def tell_task(self, dag_id: str, task: dict[str, Any]) -> None:
        """Print a task's state if it is a new one."""
        name, state = name_of(dag_id, task), task["state"]
        if state in (None, "scheduled", "queued") or self.known.get(name) == state:
            return
        self.known[name] = state
        self.tell(f"{name:<36} {state:<9} {MEANING.get(state, '')}".rstrip())

    def tell_job(self, job: SandboxJob, *, in_detail: bool) -> None:
        """Print a job's status when it changes, and, in detail, its counters now and then."""
        now, status = time.monotonic(), job.status
        status_is_known = self.known.get(job.id) == status
        if status_is_known and not (in_detail and job.active and now - self.counted[job.id] >= PROGRESS_EVERY):
            return
        self.known[job.id], self.counted[job.id] = status, now
        counters = f"{job.events_loaded:,} events loaded, {job.objects_success} of its objects done"
        self.tell(f"  Hevo, pipeline {job.pipeline.id}: job {job.id[:8]} {job.type} {status}, {counters}")


class Play:
    """
    The acts.

    :param hevo: the sandbox, which runs in this process.
    :param lab: the Airflow.
    :param story: where it is told.
    """

    def __init__(self, hevo: Sandbox, lab: AirflowLab, story: Story) -> None:
        self.hevo, self.lab, self.story = hevo, lab, story
        self.airflow = lab.api
        self.runs: dict[str, str] = {}
        """The run of each DAG that has been started."""
        self.states: dict[str, str] = {}

    def connect(self) -> None:
        """Give Airflow its connection, and the pool that the fleet's example asks for."""
        hevo = self.hevo
        access = {"host": hevo.url, "login": hevo.key, "password": hevo.secret}
        self.airflow.add_connection(CONNECTION, conn_type="hevo", **access, extra='{"requests_per_minute": 0}')
        self.airflow.call("POST", "/pools", {"name": "hevo", "slots": 8, "include_deferred": True})

    def examples(self) -> None:
        """Run all examples, at the same time where their pipelines differ."""
        number = len(PIPELINE_OF) + 1
        self.story.heading(f"All {number} example DAGs. {BY_ITSELF} starts when a job of somebody else has ended.")
        self.follow([BY_ITSELF, *PIPELINE_OF], self._start_examples())

    def _start_examples(self) -> Iterator[None]:
        is_started_by_somebody = False
        while True:
            for dag_id, pipeline_id in PIPELINE_OF.items():
                busy = self._busy_pipelines()
                if dag_id not in self.runs and pipeline_id not in busy and len(busy) < MOST_AT_ONCE:
                    self.start(dag_id)
            if not is_started_by_somebody and any(
                request.pipeline_id == WATCHED for request in self.hevo.requests_of("list_jobs")
            ):
                is_started_by_somebody = True
                self.control(f"/sandbox/pipelines/{WATCHED}/job")
            yield

    def _busy_pipelines(self) -> set[int]:
        return {PIPELINE_OF[dag_id] for dag_id in self.runs if dag_id in PIPELINE_OF and dag_id not in self.states}

    def failure(self) -> None:
        """Let a job fail, and show what the person who is paged reads."""
        self.story.heading("A failure: Hevo's job of pipeline 3 ends FAILED.")
        self.start(FAILURE)
        self.follow([FAILURE])
        self.story.tell("The provider's words in the log of that task:")
        self.story.quote(provider_lines(self.airflow, FAILURE, "load_invoices"))

    def disasters(self) -> None:
        """Let one task meet three disasters, and show what it made of them."""
        self.story.heading("Three disasters for one task.")
        self.control("/sandbox/lost-answer")
        self.start(DISASTERS)
        self.follow([DISASTERS], self._disasters())
        self.story.tell("The provider's words in the log of that task:")
        self.story.quote(provider_lines(self.airflow, DISASTERS, "load_ledger"))
        jobs = self.hevo.pipelines[LEDGER].jobs
        calls = [each for each in self.hevo.requests_of("sync_now") if each.pipeline_id == LEDGER]
        self.story.tell(f"Calls to start: {len(calls)}. Jobs in Hevo: {len(jobs)}. The task: {self.states[DISASTERS]}.")

    def _disasters(self) -> Iterator[None]:
        hevo, ledger = self.hevo, self.hevo.pipelines[LEDGER]
        while not ledger.jobs:
            yield
        self.story.tell("1. Its start is done, but the gateway answers 502: there is a job, and the task was not told.")
        while not self._is_polled(ledger.jobs[0]):
            yield
        self.story.tell("   It was not sent again. The task has found the job, and waits for it.")
        self.story.tell("2. The key is rotated; Airflow does not know the new one yet.")
        self.control("/sandbox/rotate-key")
        asked = len(hevo.requests)
        while not any(each.status == 401 and each.pipeline_id == LEDGER for each in hevo.requests[asked:]):
            yield
        self.story.tell("   The task is answered 401. Now the connection in Airflow is changed.")
        self.airflow.change_connection(CONNECTION, login=hevo.key, password=hevo.secret)
        yield from self._until_polled_anew(ledger.jobs[0])
        self.story.tell("   It goes on with the new key.")
        self.story.tell("3. The triggerer is killed (kill -9); another one starts.")
        self.lab.kill("triggerer")
        self.lab.start("triggerer")
        yield from self._until_polled_anew(ledger.jobs[0])
        self.story.tell("   The new triggerer follows the same job. Hevo completes it.")
        ledger.jobs[0].end()
        while True:
            yield

    def _is_polled(self, job: SandboxJob, since: int = 0) -> bool:
        return any(
            each.job_id == job.id and each.status == 200
            for each in self.hevo.requests[since:]
            if each.route == "get_job"
        )

    def _until_polled_anew(self, job: SandboxJob) -> Iterator[None]:
        since = len(self.hevo.requests)
        while not self._is_polled(job, since):
            yield

    def start(self, dag_id: str) -> None:
        """Start a run of a DAG by hand."""
        self.airflow.trigger(dag_id, RUN, {"pipelines": FLEET} if dag_id == "hevo_fleet" else None)
        self.runs[dag_id] = RUN
        self.story.tell(f"{dag_id} is started" + (f", with {len(FLEET)} pipelines" if dag_id == "hevo_fleet" else ""))

    def control(self, path: str) -> None:
        """Do to the sandbox what a click on its page does, and show how."""
        self.story.tell(f"$ curl -X POST {self.hevo.url}{path}")
        request = urllib.request.Request(self.hevo.url + path, method="POST")  # noqa: S310 - own loopback
        try:
            with urllib.request.urlopen(request) as answer:  # noqa: S310 - own loopback
                said = json.load(answer)["message"]
        except urllib.error.HTTPError as refusal:
            said = json.load(refusal)["message"]
        self.story.tell(f"  {said}")

    def follow(self, dags: Sequence[str], meanwhile: Iterator[None] | None = None) -> None:
        """
        Tell what happens until a run of each DAG has ended.

        :param meanwhile: goes on a step each time.
        """
        deadline = time.monotonic() + TIME_LIMIT
        while open_dags := [dag_id for dag_id in dags if dag_id not in self.states]:
            if time.monotonic() > deadline:
                self.states |= dict.fromkeys(open_dags, f"not within {TIME_LIMIT:g} s")
                return
            if meanwhile is not None:
                next(meanwhile, None)
            if BY_ITSELF in open_dags and BY_ITSELF not in self.runs:
                self._find_the_run_that_started_by_itself()
            for number in sorted({each for dag_id in dags for each in ALL_PIPELINES[dag_id]}):
                for job in self.hevo.pipelines[number].jobs:
                    self.story.tell_job(job, in_detail=number not in FLEET)
            for dag_id in open_dags:
                if dag_id in self.runs:
                    self._tell_run(dag_id)
            self.story.tell_that_it_goes_on(", ".join(open_dags))
            time.sleep(0.3)

    def _find_the_run_that_started_by_itself(self) -> None:
        runs = self.airflow.call("GET", f"/dags/{BY_ITSELF}/dagRuns")["dag_runs"] if self.runs else []
        if runs:
            self.runs[BY_ITSELF] = runs[0]["dag_run_id"]
            self.story.tell(f"{BY_ITSELF} has started by itself")

    def _tell_run(self, dag_id: str) -> None:
        run_id = self.runs[dag_id]
        for task in self.airflow.tasks(dag_id, run_id):
            self.story.tell_task(dag_id, task)
        if (state := self.airflow.run_state(dag_id, run_id)) in ("success", "failed"):
            self.states[dag_id] = state

    def surprises(self) -> list[str]:
        """Name each DAG that did not end as the story wants it, with the logs of its tasks."""
        found = []
        for dag_id, state in self.states.items():
            if state == ("failed" if dag_id == FAILURE else "success"):
                continue
            found.append(f"{dag_id} is {state}")
            for task in self.airflow.tasks(dag_id, self.runs[dag_id]) if dag_id in self.runs else []:
                if task["state"] in ("success", "upstream_failed"):
                    continue
                with suppress(AirflowApiError):  # it may have come to no try, and so to no log
                    log = self.airflow.log(dag_id, self.runs[dag_id], task["task_id"], map_index=task["map_index"])
                    found.append(f"the log of {name_of(dag_id, task)}:\n{log}")
        if found:
            found.append(f"Airflow's errors:\n{self.lab.errors()}")
        return found


def name_of(dag_id: str, task: dict[str, Any]) -> str:
    """Name a task instance."""
    index = task["map_index"]
    return f"{dag_id}.{task['task_id']}" + ("" if index < 0 else f"[{index}]")


def provider_lines(airflow: AirflowApi, dag_id: str, task_id: str) -> list[str]:
    """Return what this provider has logged in a task, without Airflow's own lines."""
    return [
        f"{entry.when[11:19]} {entry.level:<7} {line}"
        for entry in airflow.log_entries(dag_id, RUN, task_id)
        if "hevo" in entry.logger.lower() or entry.level == "error"
        for line in entry.event.splitlines()
    ]


def table(airflow: AirflowApi, runs: dict[str, str]) -> str:
    """Sum up what every task did, and how long it held a worker."""
    rows = [("task", "result", "took", "held a worker", "of it ours", "what it did")]
    for dag_id, run_id in runs.items():
        for task in sorted(airflow.tasks(dag_id, run_id), key=lambda task: task["start_date"] or ""):
            task_id, index = task["task_id"], task["map_index"]
            events = [
                event for event in airflow.events(dag_id, run_id, task_id, map_index=index) if event.event in STATES
            ]
            took = (events[-1].when - events[0].when).total_seconds() if events else 0.0
            job = found(lambda: airflow.xcom(dag_id, run_id, task_id, "hevo_job", index))  # noqa: B023 - called at once
            value = found(lambda: airflow.xcom(dag_id, run_id, task_id, map_index=index))  # noqa: B023
            ours = f"{job['worker_seconds']:.2f} s" if job and "worker_seconds" in job else ""
            held = f"{seconds_on_a_worker(events):.1f} s"
            state = str(task["state"])
            rows.append((name_of(dag_id, task), state, f"{took:.1f} s", held, ours, what_it_did(state, job, value)))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    note = (
        'A worker is held from each "running" in Airflow\'s audit log to the entry that follows it. Of that, the\n'
        "next column is the provider's own part; the rest is the start of Airflow's process for a task."
    )
    return "\n".join(["", lines[0], "-" * max(map(len, lines)), *lines[1:], "", note])


def found(ask: Callable[[], Any]) -> Any:
    """Return an answer of Airflow's, None if it has none."""
    with suppress(AirflowApiError):
        return ask()
    return None


def seconds_on_a_worker(events: Sequence[TaskEvent]) -> float:
    """Add up the times between a task's "running" and the state that came after it (deferred, success, failed …)."""
    return sum(
        (after.when - event.when).total_seconds() for event, after in pairwise(events) if event.event == "running"
    )


def what_it_did(state: str, job: dict[str, Any] | None, value: object) -> str:
    """
    Tell a task's Hevo job, or what the task returned.

    :param job: its XCom ``hevo_job``, if it has one.
    :param value: its return value.
    """
    if job is None:
        return "" if value is None else f"returned {value}"
    if state == "success" and job["status"] not in TERMINAL_STATUSES:
        return f"started job {job['job_id'][:8]}, and left the waiting to another task"
    return f"job {job['job_id'][:8]} {job['status']}, {job.get('events_loaded') or 0:,} events loaded"


if __name__ == "__main__":
    sys.exit(main())
