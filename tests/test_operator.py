"""``HevoPipelineOperator``: what a task does in the situations that a data engineer meets."""

from __future__ import annotations

from typing import Any

import pytest

from hevo_provider.operators import HevoPipelineOperator
from hevo_provider.sandbox import Sandbox
from tests.play import TaskInstance, play


def operator(**parameters: Any) -> HevoPipelineOperator:
    return HevoPipelineOperator(task_id="task", **{"pipeline_id": 7, **parameters})


@pytest.mark.parametrize("deferrable", [True, False])
@pytest.mark.parametrize("wait_for_completion", [True, False])
def test_returns_the_id_of_the_job_it_started_in_every_mode(
    hevo: Sandbox, ti: TaskInstance, deferrable: bool, wait_for_completion: bool
) -> None:
    pipeline = hevo.add_pipeline(7, appear_after=12, duration=600)

    job_id = play(operator(deferrable=deferrable, wait_for_completion=wait_for_completion), ti)

    assert [job.id for job in pipeline.jobs] == [job_id]
    assert ti.xcoms["hevo_job"]["status"] == ("COMPLETED" if wait_for_completion else "IN_PROGRESS")
