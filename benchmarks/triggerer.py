"""
Ten thousand deferred tasks in one real triggerer: ``python -m benchmarks.triggerer [--tasks N] [--poll-interval S]``.

Once with a trigger of Airflow's own that only sleeps, to tell what a triggerer does by itself, and once with ours. One
task is deferred as users do it, and its row copied: two cores would take hours to defer that many. The machine has the
web server, the server that plays Hevo and this program to do beside the triggerer.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.contenders import KEY, SECRET, job_id_of
from benchmarks.report import table
from benchmarks.server import World
from benchmarks.stage import ROOT, Stand, stand_in
from tests.e2e.airflow_lab import AirflowLab

DAG_ID, RUN_ID, TASK_ID = "links", "run", "operator"
ENDING = 10  # one of so many jobs ends while it is measured
START_TIMEOUT = 900.0  # seconds


class Waiting(NamedTuple):
    """A kind of trigger: its path, and the parameters of the one for a pipeline."""

    classpath: str
    kwargs: Callable[[int, float], dict[str, Any]]


SLEEPING = Waiting(
    "airflow.providers.standard.triggers.file.FileTrigger",
    lambda number, _interval: {"filepath": f"/nowhere/{number}", "recursive": False, "poke_interval": 86_400.0},
)
OURS = Waiting(
    "hevo_provider.triggers.HevoJobTrigger",
    lambda number, interval: {
        "pipeline_id": number,
        "job_id": job_id_of(number),
        "poll_interval": interval,
        "run_token": str(uuid.UUID(int=number)),
    },
)


class Database(sqlite3.Connection):
    """Airflow's, by which tasks are put in and seen to come back."""

    def defer(self, tasks: int, waiting: Waiting, interval: float) -> None:
        """Copy the task that is deferred, each copy with a trigger for a pipeline of its own, from 1 on."""
        self.row_factory = sqlite3.Row
        task = dict(self.execute("SELECT * FROM task_instance WHERE task_id = ?", [TASK_ID]).fetchone())
        trigger = dict(self.execute("SELECT * FROM trigger WHERE id = ?", [task["trigger_id"]]).fetchone())
        last = self.execute("SELECT max(id) FROM trigger").fetchone()[0]
        for number in range(1, tasks + 1):
            parameters = json.dumps(waiting.kwargs(number, interval))
            changed = {"classpath": waiting.classpath, "kwargs": parameters, "triggerer_id": None}
            self._insert("trigger", {**trigger, **changed, "id": last + number})
            self._insert(
                "task_instance",
                {**task, "id": uuid.uuid4().hex, "map_index": number, "trigger_id": last + number},
            )
        self.commit()

    def came_back(self) -> set[int]:
        """Return the numbers of the tasks that a worker could take up again."""
        found = self.execute("SELECT map_index FROM task_instance WHERE map_index > 0 AND state = 'scheduled'")
        return {row[0] for row in found}

    def _insert(self, name: str, row: dict[str, Any]) -> None:
        marks = ", ".join("?" * len(row))
        columns = ", ".join(row)  # those that Airflow made
        self.execute(f"INSERT INTO {name} ({columns}) VALUES ({marks})", list(row.values()))  # noqa: S608


def measure(waiting: Waiting, tasks: int, interval: float) -> dict[str, float]:
    """Let a triggerer take up tasks that wait, and some of them come back."""
    capacity = {
        "AIRFLOW__TRIGGERER__CAPACITY": str(tasks + 10),
        "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "5",
        "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "30",
    }
    with (
        stand_in() as stand,
        tempfile.TemporaryDirectory() as home,
        AirflowLab(Path(home), ROOT / "tests/e2e/dags", environment=capacity) as lab,
    ):
        defer_one(lab, stand)
        for component in ("triggerer", "scheduler", "dag-processor"):  # nothing but the triggerer is to come back to it
            lab.kill(component)
        database = sqlite3.connect(lab.home / "airflow.db", timeout=60, factory=Database)
        database.defer(tasks, waiting, interval)
        began = time.monotonic()
        lab.start("triggerer")
        wait_until_all_have_begun(lab, tasks)
        found = {"start": time.monotonic() - began, "memory": memory_of_triggers(lab)}
        if waiting is OURS:
            found |= polls(stand, interval) | ends(stand, database, tasks, interval)
        return found


def defer_one(lab: AirflowLab, stand: Stand) -> None:
    """Let a worker start a pipeline and defer."""
    lab.api.add_connection(
        "hevo_airflow_conn_id",
        conn_type="hevo",
        host=f"http://127.0.0.1:{stand.port}",
        login=KEY,
        password=SECRET,
        extra='{"requests_per_minute": 10000000}',  # the budget is at work, and never what limits the polls
    )
    stand.set(latency=0.01)  # as long as it is set, no job is active
    lab.api.trigger(DAG_ID, RUN_ID, {TASK_ID: 1, "sensor": 1})
    lab.api.wait_task(DAG_ID, RUN_ID, TASK_ID, ("deferred",))
    stand.set(latency=0)


def wait_until_all_have_begun(lab: AirflowLab, tasks: int) -> None:
    """Wait for the log that Airflow begins with each trigger."""
    logs = lab.home / "logs" / f"dag_id={DAG_ID}" / f"run_id={RUN_ID}" / f"task_id={TASK_ID}"
    deadline = time.monotonic() + START_TIMEOUT
    while (begun := sum(1 for _ in logs.glob("map_index=*"))) < tasks:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{begun:,} of {tasks:,} triggers had begun after {START_TIMEOUT:g} s")
        time.sleep(2)


def memory_of_triggers(lab: AirflowLab) -> int:
    """Return the bytes of the process in which the triggers run, the largest of the triggerer's."""
    triggerer = next(each for each in lab.processes() if "triggerer" in " ".join(each.cmdline()))
    return max(process.memory_info().rss for process in (triggerer, *triggerer.children(recursive=True)))


def polls(stand: Stand, interval: float) -> dict[str, float]:
    """Count the requests of two intervals."""
    time.sleep(interval)
    stand.reset()
    began = time.monotonic()
    time.sleep(2 * interval)
    counts = stand.counts()
    return {"polls_per_second": counts["requests"] / (time.monotonic() - began), "longest_gap": counts["longest_gap"]}


def ends(stand: Stand, database: Database, tasks: int, interval: float) -> dict[str, float]:
    """Let jobs end, one after the other, and see when their tasks come back."""
    world = World(first_end=time.time() + 2, span=ENDING * interval)
    stand.set(first_end=time.time() + 2, span=world.span)
    limit = time.time() + 2 + interval
    due = {number: end for number in range(1, tasks + 1) if (end := world.end_of(number)) is not None and end < limit}
    delays: dict[int, float] = {}
    while len(delays) < len(due) and time.time() < limit + 20 * interval:
        time.sleep(0.2)
        now = time.time()
        delays |= {number: now - due[number] for number in database.came_back() & due.keys() - delays.keys()}
    if len(delays) < len(due):
        raise TimeoutError(f"{len(due) - len(delays)} of {len(due)} tasks did not come back")
    return {"ended": len(due), "longest_delay": max(delays.values()), "mean_delay": sum(delays.values()) / len(delays)}


def main() -> None:
    """Measure both, and show it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=10_000)
    parser.add_argument("--poll-interval", type=float, default=30.0, help="seconds")
    options = parser.parse_args()
    tasks, interval = options.tasks, options.poll_interval
    sleeping, ours = (measure(waiting, tasks, interval) for waiting in (SLEEPING, OURS))
    lines = [
        [f"{tasks:,} deferred tasks in one triggerer, poll_interval {interval:g} s", "measured"],
        ["until all were taken up, beside triggers that only sleep", f"{ours['start'] / sleeping['start']:.2f} x"],
        [
            "memory of a task beyond one that only sleeps",
            f"{(ours['memory'] - sleeping['memory']) / tasks / 1000:.1f} KB",
        ],
        ["polls, of those that are due", f"{ours['polls_per_second'] * interval / tasks:.2f} x"],
        ["longest gap between polls of a task", f"{ours['longest_gap'] / interval:.2f} x poll_interval"],
        [
            f"from a job's end until its task is back, longest of {ours['ended']:,}",
            f"{ours['longest_delay'] / interval:.2f} x poll_interval",
        ],
        ["mean of these", f"{ours['mean_delay'] / interval:.2f} x poll_interval"],
    ]
    sys.stdout.write(table(lines))
    sys.stdout.write(f"Seconds until all were taken up: sleeping {sleeping['start']:.0f}, ours {ours['start']:.0f}.\n")


if __name__ == "__main__":
    main()
