"""How many requests a run of each kind sends, up to its wait and after it: Hevo counts each of them."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from hevo_provider.sandbox import Sandbox
from hevo_provider.sensors import HevoSensor
from tests.stage.marks import in_both_modes
from tests.stage.objects import add_shop
from tests.stage.tasks import TaskInstance, operator, operator_of, play

START = {"get_pipeline": 1, "list_jobs": 1}  # what a worker reads before the action
FOUND = {"list_jobs": 1}  # the poll that shows the job, 5 to 15 seconds after


def plus(*counts: dict[str, int]) -> Counter[str]:
    return sum(map(Counter, counts), Counter[str]())


@in_both_modes
@pytest.mark.parametrize(
    ("parameters", "job", "expected"),
    [
        ({"action": "SYNC_NOW"}, {}, plus(START, {"sync_now": 1}, FOUND)),
        ({"action": "RESYNC"}, {}, plus(START, {"resync": 1}, FOUND)),
        ({"action": "SYNC_NOW", "wait_for_completion": False}, {}, plus(START, {"sync_now": 1}, FOUND)),
        (
            {"action": "SYNC_NOW", "accept_completed_with_failures": True},
            {"ends": "COMPLETED_WITH_FAILURES"},
            plus(START, {"sync_now": 1}, FOUND, {"list_job_objects": 1}),
        ),
    ],
    ids=["sync", "resync", "start only", "with failures"],
)
def test_an_operator_sends_no_more_than_these_beside_the_polls_of_its_wait(
    hevo: Sandbox,
    ti: TaskInstance,
    deferrable: bool,
    parameters: dict[str, Any],
    job: dict[str, Any],
    expected: Counter[str],
) -> None:
    hevo.add_pipeline(7, appear_after=1, duration=600, **job)

    play(operator(deferrable=deferrable, **parameters), ti)

    assert sent_beside_polls(hevo) == expected


def test_a_resync_of_objects_reads_their_pages_too(hevo: Sandbox, ti: TaskInstance) -> None:
    add_shop(hevo).appear_after = 1

    play(operator_of("RESYNC_OBJECTS"), ti)

    assert sent_beside_polls(hevo) == plus(
        START, {"list_objects": 1, "resync_objects": 2}, FOUND
    )  # Hevo may want other words


def test_a_sensor_reads_one_page_beside_its_polls(hevo: Sandbox, ti: TaskInstance) -> None:
    hevo.add_pipeline(7).start_job(appear_after=0, duration=600)

    play(HevoSensor(task_id="task", pipeline_id=7, deferrable=True), ti)

    assert sent_beside_polls(hevo) == {"list_jobs": 1}


def sent_beside_polls(hevo: Sandbox) -> Counter[str]:
    return Counter(request.route for request in hevo.requests if request.route != "get_job")
