"""What blocks, called where an event loop runs, such as in a notebook: it says what to do instead, and does nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hevo_provider.operators import HevoPipelineOperator, HevoResyncObjectsOperator
from hevo_provider.sandbox import Sandbox
from hevo_provider.sensors import HevoSensor
from tests.stage.tasks import TaskInstance

THREAD = (
    r"The task 'task' would block the event loop that calls it: call it in a thread, with asyncio\.to_thread, there"
)

OPERATORS: dict[str, Callable[[], Any]] = {
    "deferrable operator": lambda: HevoPipelineOperator(task_id="task", pipeline_id=7),
    "blocking operator": lambda: HevoPipelineOperator(task_id="task", pipeline_id=7, deferrable=False),
    "operator for objects": lambda: HevoResyncObjectsOperator(task_id="task", pipeline_id=7, objects=["orders"]),
    "poking sensor": lambda: HevoSensor(task_id="task", pipeline_id=7, job_id="job", deferrable=False),
}


@pytest.mark.parametrize("made", OPERATORS.values(), ids=OPERATORS)
async def test_a_task_in_an_event_loop_says_what_to_do_instead(
    hevo: Sandbox, ti: TaskInstance, made: Callable[[], Any]
) -> None:
    hevo.add_pipeline(7)

    with pytest.raises(RuntimeError, match=THREAD):
        made().execute(ti.context)

    assert hevo.requests == []
