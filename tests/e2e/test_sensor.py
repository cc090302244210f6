from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from hevo_provider.sandbox.pipelines import SandboxPipeline
from tests.e2e.airflow_api import AirflowApi
from tests.e2e.conftest import PipelineMaker

pytestmark = pytest.mark.e2e

MODES = ("poke", "reschedule", "deferrable")


@pytest.fixture(scope="module")
def started(airflow: AirflowApi, new_pipeline: PipelineMaker) -> SandboxPipeline:
    """Start a job with the operator and let one sensor of each mode wait for it."""
    pipeline = new_pipeline(duration=8.0)
    airflow.trigger("sensor_modes", "run", dict.fromkeys(("start", *MODES), pipeline.id))
    airflow.wait_run("sensor_modes", "run")
    return pipeline


@pytest.mark.parametrize("mode", MODES)
def test_in_every_mode_the_sensor_waits_for_the_job_that_the_operator_started(
    airflow: AirflowApi, started: SandboxPipeline, mode: str
) -> None:
    (job,) = started.jobs

    assert airflow.task("sensor_modes", "run", mode)["state"] == "success"
    assert airflow.xcom("sensor_modes", "run", "start") == job.id
    assert airflow.xcom("sensor_modes", "run", mode) == job.id


def test_in_every_mode_a_job_will_do_that_has_completed_since_a_time(
    airflow: AirflowApi, new_pipeline: PipelineMaker
) -> None:
    pipeline = new_pipeline()
    pipeline.start_job(appear_after=0.0, duration=1.0, ago=60.0)
    since = datetime.now(UTC) - timedelta(seconds=30)
    pipeline.start_job(appear_after=0.0, duration=1.0, ago=10.0, ends="FAILED")

    airflow.trigger(
        "sensor_waits_for_any_completion", "run", {"since": since.isoformat(), **dict.fromkeys(MODES, pipeline.id)}
    )
    airflow.wait_task("sensor_waits_for_any_completion", "run", "deferrable", ("deferred",))
    job = pipeline.start_job(appear_after=0.0, duration=0.5)

    assert airflow.wait_run("sensor_waits_for_any_completion", "run") == "success"
    assert [airflow.xcom("sensor_waits_for_any_completion", "run", mode) for mode in MODES] == [job.id] * len(MODES)


def test_in_every_mode_a_job_that_ends_badly_while_it_is_waited_for_fails_the_sensor_where_asked(
    airflow: AirflowApi, new_pipeline: PipelineMaker
) -> None:
    dag_id, since = "sensor_fails_on_a_bad_job", datetime.now(UTC) - timedelta(seconds=30)
    pipeline = new_pipeline()

    airflow.trigger(dag_id, "run", {"since": since.isoformat(), **dict.fromkeys(MODES, pipeline.id)})
    airflow.wait_task(dag_id, "run", "deferrable", ("deferred",))
    job = pipeline.start_job(appear_after=0.0, duration=0.5, ends="FAILED")

    assert airflow.wait_run(dag_id, "run") == "failed"
    for mode in MODES:
        assert f"job {job.id} (INCREMENTAL) ended FAILED" in airflow.log(dag_id, "run", mode)


def test_without_a_job_id_the_sensor_finds_the_job_that_runs(airflow: AirflowApi, new_pipeline: PipelineMaker) -> None:
    pipeline = new_pipeline()
    job = pipeline.start_job(appear_after=0.0, duration=30.0)

    airflow.trigger("sensor_finds_the_active_job", "run", {"sensor": pipeline.id})
    airflow.wait_task("sensor_finds_the_active_job", "run", "sensor", ("deferred",))
    job.end()

    assert airflow.wait_run("sensor_finds_the_active_job", "run") == "success"
    assert pipeline.jobs_started_by_api == []


def test_a_job_that_came_and_ended_between_two_processes_of_a_rescheduled_sensor_is_found(
    airflow: AirflowApi, new_pipeline: PipelineMaker
) -> None:
    pipeline = new_pipeline()

    airflow.trigger("rescheduled_sensor_finds_a_short_job", "run", {"sensor": pipeline.id})
    airflow.wait_task("rescheduled_sensor_finds_a_short_job", "run", "sensor", ("up_for_reschedule",))
    job = pipeline.start_job(appear_after=0.0, duration=0.5)

    assert airflow.wait_run("rescheduled_sensor_finds_a_short_job", "run") == "success"
    assert airflow.xcom("rescheduled_sensor_finds_a_short_job", "run", "sensor") == job.id
