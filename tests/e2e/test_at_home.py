from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import version

import pytest

from hevo_provider.provider_info import CONNECTION_FORM
from hevo_provider.sandbox import Sandbox
from hevo_provider.sandbox.pipelines import SandboxPipeline
from tests.e2e.airflow_api import AirflowApi
from tests.e2e.airflow_lab import AirflowLab
from tests.e2e.conftest import PipelineMaker
from tests.stage.airflow_home import AIRFLOW

pytestmark = pytest.mark.e2e

TASKS = ("operator", "sensor")


@pytest.fixture(scope="module")
def deferred(airflow: AirflowApi, new_pipeline: PipelineMaker) -> Iterator[Mapping[str, SandboxPipeline]]:
    """Let an operator and a sensor wait, each for a job that runs until the tests are through."""
    pipelines = {"operator": new_pipeline(duration=None), "sensor": new_pipeline(duration=None)}
    pipelines["sensor"].start_job(appear_after=0.0)
    airflow.trigger("links", "run", {task: pipeline.id for task, pipeline in pipelines.items()})
    for task in TASKS:
        airflow.wait_task("links", "run", task, ("deferred",))
    yield pipelines
    for pipeline in pipelines.values():
        pipeline.jobs[0].end()
    airflow.wait_run("links", "run")


def links(airflow: AirflowApi, task: str) -> object:
    """Ask for a task's links as Airflow's pages do."""
    answer = airflow.call("GET", f"/dags/links/dagRuns/run/taskInstances/{task}/links")
    return answer.get("extra_links", answer)


@pytest.mark.parametrize("task", TASKS)
def test_a_deferred_task_has_a_link_to_its_pipeline(
    airflow: AirflowApi, hevo: Sandbox, deferred: Mapping[str, SandboxPipeline], task: str
) -> None:
    assert links(airflow, task) == {"Hevo pipeline": f"{hevo.url}/pipeline/{deferred[task].id}/overview"}


def test_the_test_button_calls_hevo(lab: AirflowLab) -> None:
    command = [str(AIRFLOW), "connections", "test", "hevo_airflow_conn_id"]

    answer = subprocess.run(command, env=lab.environment, capture_output=True, text=True, check=False)

    assert "Connection success" in answer.stdout, answer.stdout + answer.stderr


@pytest.mark.skipif(version("apache-airflow").startswith("3.0."), reason="shows no provider's fields without FAB")
def test_the_connection_form_has_the_fields_of_the_provider(lab: AirflowLab) -> None:
    assert set(CONNECTION_FORM["conn-fields"]) <= set(fields_of_form(lab))


def fields_of_form(lab: AirflowLab) -> Iterable[str]:
    if lab.api.v3:
        fields: Iterable[str] = lab.api.connection_form("hevo")["extra_fields"]
        return fields
    command = [str(AIRFLOW), "providers", "widgets", "--output", "json"]
    answer = subprocess.run(command, env=lab.environment, capture_output=True, text=True, check=True)
    widgets = json.loads(answer.stdout[answer.stdout.index("[{") :])
    return (each["connection_parameter_name"].removeprefix("extra__hevo__") for each in widgets)
