"""The example of the vendor's manual, as it stands there, runs."""

from __future__ import annotations

import json
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG

from hevo_provider.exceptions import HevoPipelineBusyError
from hevo_provider.sandbox import Sandbox
from tests.stage.tasks import TaskInstance, play

EXAMPLE = """
from airflow import DAG
from airflow.hevo.models.job import JobType
from airflow.hevo.models.pipeline import PipelineAction
from airflow.hevo.operators import HevoPipelineOperator
from airflow.hevo.operators import HevoOperator  # which the manual uses and does not import

trigger_sync = HevoPipelineOperator(
    task_id="trigger_pipeline_sync",
    pipeline_id=123,
    action=PipelineAction.SYNC_NOW,
    job_type=JobType.INCREMENTAL,
    deferrable=True,
    wait_for_completion=True,
    poll_interval=10,
    accept_completed_with_failures=False,
    ensure_new_job=True,
    connection_id="hevo_production"
)
resync_pipeline = HevoPipelineOperator(
    task_id="resync_pipeline",
    pipeline_id=123,
    action=PipelineAction.RESYNC,
    deferrable=True,
    wait_for_completion=True,
    poll_interval=30,
    accept_completed_with_failures=True
)
trigger_only = HevoOperator(
    task_id="trigger_only",
    pipeline_id=456,
    deferrable=False,
    wait_for_completion=False
)
"""


@pytest.fixture
def tasks(hevo: Sandbox, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The tasks of the example, its connection and its pipelines."""
    connection = {"conn_type": "http", "host": hevo.url, "login": hevo.key, "password": hevo.secret}
    monkeypatch.setenv("AIRFLOW_CONN_HEVO_PRODUCTION", json.dumps(connection))
    hevo.add_pipeline(123)
    hevo.add_pipeline(456, duration=None)
    found: dict[str, Any] = {}
    with DAG("manual", schedule=None), pytest.MonkeyPatch.context() as patch:
        patch.setattr("hevo_provider.vendor.names._TOLD", _Everything())
        exec(EXAMPLE, found)  # noqa: S102 - the test's own
    return found


class _Everything(set[str]):
    """A process that has warned of every name already."""

    def __contains__(self, _: object) -> bool:
        return True


def test_the_sync_starts_a_job_and_ends_with_it(hevo: Sandbox, ti: TaskInstance, tasks: dict[str, Any]) -> None:
    returned = play(tasks["trigger_sync"], ti)

    (job,) = hevo.pipelines[123].jobs
    assert (returned, job.type, job.status) == (job.id, "INCREMENTAL", "COMPLETED")


def test_the_resync_accepts_failures(hevo: Sandbox, ti: TaskInstance, tasks: dict[str, Any]) -> None:
    hevo.pipelines[123].ends = "COMPLETED_WITH_FAILURES"

    returned = play(tasks["resync_pipeline"], ti)

    (job,) = hevo.pipelines[123].jobs
    assert (returned, job.type) == (job.id, "RESYNC")


def test_the_one_that_continues_returns_the_id_of_a_job_that_runs_on(
    hevo: Sandbox, ti: TaskInstance, tasks: dict[str, Any]
) -> None:
    returned = tasks["trigger_only"].execute(ti.context)

    (job,) = hevo.pipelines[456].jobs
    assert (returned, job.status) == (job.id, "IN_PROGRESS")


def test_the_resync_too_is_refused_while_a_job_is_active(
    hevo: Sandbox, ti: TaskInstance, tasks: dict[str, Any]
) -> None:
    """Which is told in the table of what differs."""
    hevo.pipelines[123].start_job(appear_after=0.0, duration=100.0)

    with pytest.raises(HevoPipelineBusyError):
        play(tasks["resync_pipeline"], ti)

    assert hevo.requests_of("resync") == []
