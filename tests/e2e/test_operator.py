from __future__ import annotations

from collections.abc import Mapping

import pytest

from hevo_provider.sandbox import Request, Sandbox
from hevo_provider.sandbox.pipelines import SandboxPipeline
from tests.e2e.airflow_api import AirflowApi
from tests.e2e.conftest import PipelineMaker

pytestmark = pytest.mark.e2e

Pipelines = Mapping[str, SandboxPipeline]


@pytest.fixture(scope="module")
def modes(airflow: AirflowApi, new_pipeline: PipelineMaker) -> Pipelines:
    """Run the operator once in each of its four modes, each on a pipeline of its own."""
    tasks = ("deferred", "deferred_until_found", "blocking", "blocking_until_found")
    pipelines = {task: new_pipeline() for task in tasks}
    airflow.trigger("operator_modes", "run", {task: pipeline.id for task, pipeline in pipelines.items()})
    airflow.wait_run("operator_modes", "run")
    return pipelines


@pytest.mark.parametrize("task", ["deferred", "deferred_until_found", "blocking", "blocking_until_found"])
def test_in_every_mode_one_job_is_started_and_its_id_returned(airflow: AirflowApi, modes: Pipelines, task: str) -> None:
    (job,) = modes[task].jobs

    assert airflow.task("operator_modes", "run", task)["state"] == "success"
    assert airflow.xcom("operator_modes", "run", task) == job.id


@pytest.mark.parametrize("task", ["deferred", "blocking"])
def test_a_task_that_waited_leaves_the_final_state_and_counters(
    airflow: AirflowApi, modes: Pipelines, task: str
) -> None:
    (job,) = modes[task].jobs

    left = airflow.xcom("operator_modes", "run", task, "hevo_job")

    assert left["job_id"] == job.id
    assert left["status"] == "COMPLETED"
    assert left["events_loaded"] == job.events_loaded


@pytest.fixture(scope="module")
def ends(airflow: AirflowApi, new_pipeline: PipelineMaker) -> Pipelines:
    """Run the operator on pipelines whose jobs do not end well."""
    pipelines = {
        "failed": new_pipeline(ends="FAILED"),
        "failed_blocking": new_pipeline(ends="FAILED"),
        "partly_failed": new_pipeline(ends="COMPLETED_WITH_FAILURES"),
        "resync_partly_failed_and_accepted": new_pipeline(ends="COMPLETED_WITH_FAILURES", restarting_for=1.0),
    }
    airflow.trigger("job_ends", "run", {task: pipeline.id for task, pipeline in pipelines.items()})
    airflow.wait_run("job_ends", "run")
    return pipelines


@pytest.mark.parametrize(
    ("task", "status"),
    [("failed", "FAILED"), ("failed_blocking", "FAILED"), ("partly_failed", "COMPLETED_WITH_FAILURES")],
)
def test_a_job_that_failed_fails_the_task_and_is_named_in_its_log(
    airflow: AirflowApi, ends: Pipelines, task: str, status: str
) -> None:
    (job,) = ends[task].jobs

    assert airflow.task("job_ends", "run", task)["state"] == "failed"
    log = airflow.log("job_ends", "run", task)
    assert job.id in log
    assert status in log
    assert job.failed_objects[0] in log


def test_a_partly_failed_resync_is_a_success_where_that_is_accepted(airflow: AirflowApi, ends: Pipelines) -> None:
    (job,) = ends["resync_partly_failed_and_accepted"].jobs

    assert job.type == "RESYNC"
    assert airflow.task("job_ends", "run", "resync_partly_failed_and_accepted")["state"] == "success"
    assert airflow.xcom("job_ends", "run", "resync_partly_failed_and_accepted") == job.id


@pytest.fixture(scope="module")
def deferred_jobs(airflow: AirflowApi, hevo: Sandbox, new_pipeline: PipelineMaker) -> Pipelines:
    """Resync pipelines whose first job is stopped by the source's own rate limit; the second completes."""
    tasks = ("failed", "accepted", "gone_on", "gone_on_blocking")
    pipelines = {task: new_pipeline(ends="DEFERRED", restarting_for=1.0) for task in tasks}

    def completed_from_now_on(request: Request) -> None:
        if request.route == "sync_now" and request.pipeline_id is not None:
            hevo.pipelines[request.pipeline_id].jobs[-1].ends = "COMPLETED"

    hevo.on_request = completed_from_now_on
    airflow.trigger("jobs_deferred_by_the_source", "run", {task: each.id for task, each in pipelines.items()})
    airflow.wait_run("jobs_deferred_by_the_source", "run")
    hevo.on_request = None
    return pipelines


@pytest.mark.parametrize(
    ("task", "state", "types"),
    [
        ("failed", "failed", ["RESYNC"]),
        ("accepted", "success", ["RESYNC"]),
        ("gone_on", "success", ["RESYNC", "INCREMENTAL"]),
        ("gone_on_blocking", "success", ["RESYNC", "INCREMENTAL"]),
    ],
)
def test_a_deferred_job_is_what_the_author_says_and_a_resync_goes_on_with_a_sync(
    airflow: AirflowApi, deferred_jobs: Pipelines, task: str, state: str, types: list[str]
) -> None:
    jobs = deferred_jobs[task].jobs

    assert [job.type for job in jobs] == types
    assert airflow.task("jobs_deferred_by_the_source", "run", task)["state"] == state
    left = airflow.xcom("jobs_deferred_by_the_source", "run", task, "hevo_job")
    assert left.get("jobs", [left["job_id"]]) == [job.id for job in jobs]


def test_an_active_job_is_cancelled_where_that_is_asked_for_and_the_task_starts_its_own(
    airflow: AirflowApi, new_pipeline: PipelineMaker
) -> None:
    pipelines = {task: new_pipeline(appear_after=0.0) for task in ("deferred", "blocking")}
    others = {task: pipeline.start_job(duration=3600.0) for task, pipeline in pipelines.items()}

    airflow.trigger("active_job_cancelled", "run", {task: pipeline.id for task, pipeline in pipelines.items()})

    assert airflow.wait_run("active_job_cancelled", "run") == "success"
    for task, pipeline in pipelines.items():
        other, own = pipeline.jobs
        assert (other.id, other.status) == (others[task].id, "CANCELLED")
        assert airflow.xcom("active_job_cancelled", "run", task) == own.id


def test_a_pipeline_can_be_given_by_a_templated_name(airflow: AirflowApi, new_pipeline: PipelineMaker) -> None:
    pipeline = new_pipeline(name="orders of the shop")

    airflow.trigger("pipeline_by_name", "run", {"operator": "orders of the shop"})

    assert airflow.wait_run("pipeline_by_name", "run") == "success"
    (job,) = pipeline.jobs
    assert airflow.xcom("pipeline_by_name", "run", "operator") == job.id


@pytest.fixture(scope="module")
def resyncs(airflow: AirflowApi, new_pipeline: PipelineMaker) -> Pipelines:
    """Resync chosen objects, each on a pipeline of its own."""
    pipelines = {task: new_pipeline(restarting_for=1.0) for task in ("deferred", "blocking")}
    airflow.trigger("resync_objects", "run", {task: pipeline.id for task, pipeline in pipelines.items()})
    airflow.wait_run("resync_objects", "run")
    return pipelines


@pytest.mark.parametrize("task", ["deferred", "blocking"])
def test_chosen_objects_are_resynced_by_one_job(airflow: AirflowApi, resyncs: Pipelines, task: str) -> None:
    (job,) = resyncs[task].jobs

    assert job.object_names == ("customers",)
    assert airflow.task("resync_objects", "run", task)["state"] == "success"
    assert airflow.xcom("resync_objects", "run", task) == job.id


@pytest.mark.parametrize("task", ["deferred", "blocking"])
def test_the_event_of_an_outlet_says_what_was_loaded(airflow: AirflowApi, resyncs: Pipelines, task: str) -> None:
    (job,) = resyncs[task].jobs

    (extra,) = airflow.asset_events("resync_objects", "run", task)

    assert (extra["job_id"], extra["status"], extra["events_loaded"]) == (job.id, "COMPLETED", job.events_loaded)


def test_an_operator_mapped_over_pipelines_runs_each_of_them_once(
    airflow: AirflowApi, new_pipeline: PipelineMaker
) -> None:
    pipelines = [new_pipeline() for _ in range(3)]

    airflow.trigger("mapped", "run", {"pipelines": [pipeline.id for pipeline in pipelines]})

    assert airflow.wait_run("mapped", "run") == "success"
    for index, pipeline in enumerate(pipelines):
        (job,) = pipeline.jobs
        assert airflow.xcom("mapped", "run", "sync", map_index=index) == job.id


def test_the_api_secret_is_in_no_log(airflow: AirflowApi, modes: Pipelines, ends: Pipelines) -> None:
    logs = [airflow.log("operator_modes", "run", task) for task in modes]
    logs += [airflow.log("job_ends", "run", task) for task in ends]

    assert not [log for log in logs if "sandbox-secret" in log]
