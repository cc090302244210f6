"""One real Airflow for all tests of a session, connected to one sandbox."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from itertools import count
from pathlib import Path

import pytest

from hevo_provider.sandbox import Sandbox
from hevo_provider.sandbox.pipelines import SandboxPipeline
from tests.e2e.airflow_api import AirflowApi
from tests.e2e.airflow_lab import AirflowLab

PipelineMaker = Callable[..., SandboxPipeline]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Function) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what Airflow complained about where a test has failed: its logs go with its home folder."""
    report = yield
    lab = getattr(item, "funcargs", {}).get("lab")
    if report.failed and isinstance(lab, AirflowLab):
        report.sections.append(("Errors of Airflow", lab.errors()))
    return report


@pytest.fixture(scope="session")
def hevo() -> Iterator[Sandbox]:
    """Run the sandbox that the Airflow of this session talks to."""
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture(scope="session")
def lab(hevo: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AirflowLab]:
    """Run the real Airflow; its processes can be killed and stalled."""
    with AirflowLab(tmp_path_factory.mktemp("airflow"), Path(__file__).with_name("dags")) as lab:
        lab.api.add_connection(
            "hevo_airflow_conn_id",
            conn_type="hevo",
            host=hevo.url,
            login=hevo.key,
            password=hevo.secret,
            extra='{"requests_per_minute": 0}',  # it knows none
        )
        yield lab
    assert not lab.processes(), "Airflow was not stopped"


@pytest.fixture(scope="session")
def airflow(lab: AirflowLab) -> AirflowApi:
    """Talk to the real Airflow's API."""
    return lab.api


@pytest.fixture(scope="session")
def new_pipeline(hevo: Sandbox) -> PipelineMaker:
    """Make pipelines that no other test uses, with jobs that show after 1 s and end after 3 s."""
    numbers = count(1)

    def make(**behaviour: object) -> SandboxPipeline:
        return hevo.add_pipeline(next(numbers), **{"appear_after": 1.0, "duration": 3.0, **behaviour})  # type: ignore[arg-type]

    return make
