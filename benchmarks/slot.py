"""How long a worker slot is held by a task that starts a pipeline and defers: ``python -m benchmarks.slot LATENCY``."""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from datetime import UTC, datetime
from typing import Any

from airflow.providers.common.compat.sdk import TaskDeferred

from benchmarks.contenders import connect_hevo
from benchmarks.stage import Stand, round_trip, say, stand_in
from hevo_provider.operators import HevoPipelineOperator

ROUNDS = 10


class TaskInstance:
    """As much of one as the operator asks for."""

    dag_id = task_id = run_id = "slot"
    map_index = -1
    try_number = 1
    max_tries = 0

    def __init__(self) -> None:
        self.start_date = datetime.now(UTC)

    def xcom_push(self, key: str, value: Any) -> None:
        """Do nothing: what Airflow does with it is not measured."""


def start_and_defer(number: int) -> float:
    """Start a pipeline as a worker does: seconds until the slot is free again."""
    ti = TaskInstance()
    context: Any = {"ti": ti, "task_instance": ti}
    operator = HevoPipelineOperator(task_id="slot", pipeline_id=number)
    began = time.monotonic()
    try:
        operator.execute(context)
    except TaskDeferred:
        return time.monotonic() - began
    raise RuntimeError("the task did not defer")


def measure(stand: Stand, latency: float) -> dict[str, Any]:
    """Start some pipelines, one after the other, in a process that has done so before."""
    stand.set(latency=latency)
    first = start_and_defer(1)
    held, requests = [], []
    for number in range(2, ROUNDS + 2):
        stand.reset()
        held.append(start_and_defer(number))
        requests.append(stand.counts()["requests"])
    trip = asyncio.run(round_trip(stand.port))
    return {
        "held": statistics.median(held),
        "round_trip": trip,
        "beyond_two_round_trips": statistics.median(held) - 2 * trip,
        "requests": max(requests),
        "held_by_the_first_task_of_a_process": first,
    }


def main() -> None:
    """Measure once."""
    with stand_in() as stand:
        connect_hevo(stand.port)
        say(measure(stand, float(sys.argv[1])))


if __name__ == "__main__":
    main()
