"""What Airflow itself does with a task that failed: it asks the policy, waits, and remembers what was left."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from importlib.metadata import version

import pytest

from hevo_provider.sandbox.pipelines import SandboxPipeline
from tests.e2e.airflow_api import AirflowApi
from tests.e2e.airflow_lab import AirflowLab
from tests.e2e.conftest import PipelineMaker

pytestmark = pytest.mark.e2e
remembers = tuple(map(int, version("apache-airflow").split(".")[:2])) >= (3, 3)
where_airflow_remembers = pytest.mark.skipif(not remembers, reason="came with Airflow 3.3")

Pipelines = Mapping[str, SandboxPipeline]


def left_to_wait(lab: AirflowLab, task_id: str) -> tuple[float | None, str | None]:
    """Return what the scheduler has been told of a retry: its delay in seconds, and the reason."""
    with closing(sqlite3.connect(f"file:{lab.home}/airflow.db?mode=ro", uri=True, timeout=30)) as database:
        row = database.execute(
            "SELECT retry_delay_override, retry_reason FROM task_instance WHERE dag_id = ? AND task_id = ?",
            ("retries_by_cause", task_id),
        ).fetchone()
    return row[0], row[1]


@pytest.fixture(scope="module")
def by_cause(airflow: AirflowApi, new_pipeline: PipelineMaker) -> Pipelines:
    """Let tasks with a policy fail, each for another cause; the first waits for a minute while others are tested."""
    pipelines = {
        "stopped_by_the_source": new_pipeline(first_ends=("DEFERRED",)),
        "failed": new_pipeline(first_ends=("FAILED",)),
        "mapped": new_pipeline(first_ends=("DEFERRED",)),
    }
    airflow.trigger(
        "retries_by_cause",
        "run",
        {"hopeless": 424_242, **{task: pipeline.id for task, pipeline in pipelines.items()}},
    )
    return pipelines


@where_airflow_remembers
def test_a_job_that_the_source_stopped_is_tried_again_after_a_minute(
    lab: AirflowLab, airflow: AirflowApi, by_cause: Pipelines
) -> None:
    airflow.wait_task("retries_by_cause", "run", "stopped_by_the_source", ("up_for_retry",))

    assert left_to_wait(lab, "stopped_by_the_source") == (60.0, "The job ended DEFERRED.")


@where_airflow_remembers
def test_the_policy_of_a_mapped_task_is_asked_too(lab: AirflowLab, airflow: AirflowApi, by_cause: Pipelines) -> None:
    airflow.wait_task("retries_by_cause", "run", "mapped", ("up_for_retry",), map_index=0)

    assert left_to_wait(lab, "mapped") == (90.0, "The job ended DEFERRED.")


@where_airflow_remembers
def test_a_job_that_failed_is_tried_again_as_the_task_says(
    lab: AirflowLab, airflow: AirflowApi, by_cause: Pipelines
) -> None:
    assert airflow.wait_task("retries_by_cause", "run", "failed") == "success"

    assert len(by_cause["failed"].jobs) == 2
    assert left_to_wait(lab, "failed") == (None, None)


@where_airflow_remembers
def test_what_is_hopeless_is_not_tried_again(airflow: AirflowApi, by_cause: Pipelines) -> None:
    assert airflow.wait_task("retries_by_cause", "run", "hopeless") == "failed"

    assert airflow.task("retries_by_cause", "run", "hopeless")["try_number"] == 1


@pytest.fixture(scope="module")
def of_failed_objects(airflow: AirflowApi, new_pipeline: PipelineMaker) -> Pipelines:
    """Let resyncs fail twice, the first time for two objects, the second for one."""
    ends = ("FAILED", "COMPLETED_WITH_FAILURES")
    pipelines = {task: new_pipeline(first_ends=ends) for task in ("deferred", "blocking", "objects")}
    airflow.trigger("retries_of_failed_objects", "run", {task: pipeline.id for task, pipeline in pipelines.items()})
    airflow.wait_run("retries_of_failed_objects", "run")
    return pipelines


@where_airflow_remembers
@pytest.mark.parametrize("task", ["deferred", "blocking", "objects"])
def test_each_try_reloads_what_the_one_before_has_left(
    airflow: AirflowApi, of_failed_objects: Pipelines, task: str
) -> None:
    first, second, third = of_failed_objects[task].jobs

    assert airflow.task("retries_of_failed_objects", "run", task)["state"] == "success"
    assert set(second.object_names) == set(first.failed_objects) == {"orders", "customers"}
    assert set(third.object_names) == set(second.failed_objects) < set(second.object_names)
    left = airflow.xcom("retries_of_failed_objects", "run", task, "hevo_job")
    assert (left["job_id"], left["objects_retried"]) == (third.id, list(second.failed_objects))
    log = airflow.log("retries_of_failed_objects", "run", task, try_number=2)
    assert f"reloading only what job {first.id} of the try before has not loaded" in log


@where_airflow_remembers
def test_a_users_clear_reloads_all(airflow: AirflowApi, of_failed_objects: Pipelines) -> None:
    pipeline = of_failed_objects["deferred"]
    airflow.clear("retries_of_failed_objects", "run", "deferred")

    assert airflow.wait_run("retries_of_failed_objects", "run") == "success"

    assert pipeline.jobs[3].object_names == pipeline.jobs[0].object_names


def test_a_fresh_job_is_enough_until_a_user_clears_the_task(airflow: AirflowApi, new_pipeline: PipelineMaker) -> None:
    pipelines = {task: new_pipeline() for task in ("sync", "skips")}
    fresh = {task: pipeline.start_job(ago=60, duration=30) for task, pipeline in pipelines.items()}
    airflow.trigger("fresh", "run", {task: pipeline.id for task, pipeline in pipelines.items()})

    assert airflow.wait_run("fresh", "run") == "success"
    assert airflow.task("fresh", "run", "skips")["state"] == "skipped"
    assert airflow.xcom("fresh", "run", "sync") == fresh["sync"].id
    assert [airflow.xcom("fresh", "run", task, "hevo_job")["fresh"] for task in pipelines] == [True, True]
    assert [pipeline.jobs_started_by_api for pipeline in pipelines.values()] == [[], []]

    airflow.clear("fresh", "run", "sync")
    assert airflow.wait_run("fresh", "run") == "success"
    assert len(pipelines["sync"].jobs_started_by_api) == 1


@where_airflow_remembers
def test_airflow_has_tried_again_after_the_sources_window(airflow: AirflowApi, by_cause: Pipelines) -> None:
    assert airflow.wait_task("retries_by_cause", "run", "stopped_by_the_source", timeout=150) == "success"

    first, second = by_cause["stopped_by_the_source"].jobs
    assert 60 <= second.created_at - (first.ended_at or 0) < 100
