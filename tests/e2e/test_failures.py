"""What a real Airflow's log of a failed task says: lines for who is paged, a short verdict, and no frames of ours."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress

import pytest

from hevo_provider.sandbox import Sandbox
from hevo_provider.sandbox.pipelines import SandboxPipeline
from tests.e2e.airflow_api import AirflowApi, AirflowApiError, wait_for
from tests.e2e.conftest import PipelineMaker

pytestmark = pytest.mark.e2e

VERDICTS = {
    "failed": "(NUMBER): its job ended FAILED. HEVO-701",
    "failed_blocking": "(NUMBER): its job ended FAILED. HEVO-701",
    "busy": "(NUMBER): a job is active, so nothing was started. HEVO-603",
    "disabled": "(NUMBER): the pipeline is not INITIALIZED. HEVO-601",
    "unknown": "Pipeline 999: Hevo does not know it (404). HEVO-303",
    "wrong_key": "Pipeline NUMBER: Hevo refuses the API key (401). HEVO-301",
    "no_connection": "Pipeline NUMBER: Airflow has no such connection. HEVO-201",
    "timed_out": "(NUMBER): time was over before the job had ended. HEVO-802",
    "nothing_to_wait_for": "Pipeline NUMBER: no job to wait for was found. HEVO-609",
}


@pytest.fixture(scope="module")
def failures(airflow: AirflowApi, hevo: Sandbox, new_pipeline: PipelineMaker) -> Mapping[str, SandboxPipeline]:
    """Run tasks that fail, each for another reason."""
    airflow.add_connection("hevo_wrong_key", conn_type="hevo", host=hevo.url, login=hevo.key, password="wrong")
    special = {"failed": {"ends": "FAILED"}, "failed_blocking": {"ends": "FAILED"}, "disabled": {"status": "DISABLED"}}
    pipelines = {task: new_pipeline(**special.get(task, {})) for task in VERDICTS}
    pipelines["busy"].start_job(appear_after=0, duration=3600)
    pipelines["timed_out"].duration = None
    numbers: dict[str, object] = {task: pipeline.id for task, pipeline in pipelines.items()}
    numbers["unknown"] = 999
    airflow.trigger("failures", "run", numbers)
    airflow.wait_run("failures", "run")
    return pipelines


@pytest.mark.parametrize("task", VERDICTS)
def test_the_log_says_what_to_do_and_ends_with_a_short_verdict(
    airflow: AirflowApi, failures: Mapping[str, SandboxPipeline], task: str
) -> None:
    verdict = VERDICTS[task].replace("NUMBER", str(failures[task].id))

    assert airflow.task("failures", "run", task)["state"] == "failed"
    log = airflow.log("failures", "run", task)
    assert log.count(verdict) >= 2  # a line of its own, and the exception's text
    for heading in ("What happened", "Pipeline", "What to do"):
        assert f"{heading}: " in log
    times = max(1, log.count("Traceback (most recent call last)"))  # Airflow 2 writes it twice, 3 as no text
    assert len(re.findall(r"hevo_provider/\w+(?:/\w+)*\.py", log)) <= 2 * times
    assert "The above exception was the direct cause" not in log
    assert "During handling of the above exception" not in log


def test_the_id_of_a_running_job_is_an_xcom_while_its_task_is_deferred(
    airflow: AirflowApi, new_pipeline: PipelineMaker
) -> None:
    pipeline = new_pipeline(duration=30)
    airflow.trigger("long_job", "run", {"deferred": pipeline.id})

    def job_id() -> str | None:
        with suppress(AirflowApiError):  # while it is not there
            return str(airflow.xcom("long_job", "run", "deferred", "hevo_job_id"))
        return None

    found = wait_for("the job's id", job_id)

    assert found == pipeline.jobs[0].id
    assert airflow.task("long_job", "run", "deferred")["state"] == "deferred"
    log = airflow.log("long_job", "run", "deferred")
    assert "Waiting in the triggerer from here on" in log
    assert "waiting in the triggerer." in log
