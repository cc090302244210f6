"""Version 1.0.0 makes way for this one, first in the workers or first in the triggerers, while tasks wait."""

from __future__ import annotations

import io
import subprocess
import tarfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from hevo_provider.sandbox import Sandbox
from tests.cluster.airflow_cluster import TRIGGERERS, WORKERS, AirflowCluster
from tests.cluster.cast import BLOCKING, DEFERRING, MODES, Cast

pytestmark = pytest.mark.cluster

REVISION = "26a825e"  # of this repository: version 1.0.0
ROOT = Path(__file__).parents[2]
BEFORE, BETWEEN = "before", "between"  # when a run starts: in a cluster of 1.0.0, or in one that is half upgraded


def upgrade_workers_first(lab: AirflowCluster, hevo: Sandbox) -> Mapping[str, Cast]:
    """
    Let tasks of 1.0.0 resume in this version, after waits in triggerers of 1.0.0; and the other way round.

    The workers are killed, so that this version retries what blocked them.
    """
    before = Cast(lab.api, hevo, "modes", f"{BEFORE}-workers", MODES)
    before.wait_at_work()
    lab.kill_all(*WORKERS)
    lab.use_release(None, *WORKERS)
    lab.restart(*WORKERS)
    between = Cast(lab.api, hevo, "deferring", f"{BETWEEN}-workers", DEFERRING)
    before.wait_polled()
    before.end_jobs()
    between.wait_at_work()
    before.wait_ended()
    lab.ask_to_leave(*TRIGGERERS)
    lab.wait_gone(*TRIGGERERS)
    lab.use_release(None, *TRIGGERERS)
    lab.restart(*TRIGGERERS)
    between.wait_polled()
    between.end_jobs()
    between.wait_ended()
    return {BEFORE: before, BETWEEN: between}


def upgrade_triggerers_first(lab: AirflowCluster, hevo: Sandbox) -> Mapping[str, Cast]:
    """Let this version wait for what 1.0.0 has deferred; the one half resumes in 1.0.0, the other in this version."""
    before = Cast(lab.api, hevo, "deferring", f"{BEFORE}-triggerers", DEFERRING)
    before.wait_at_work()
    lab.ask_to_leave(*TRIGGERERS)
    lab.wait_gone(*TRIGGERERS)
    lab.use_release(None, *TRIGGERERS)
    lab.restart(*TRIGGERERS)
    between = Cast(lab.api, hevo, "deferring", f"{BETWEEN}-triggerers", DEFERRING)
    before.wait_polled()
    before.end_jobs()
    between.wait_at_work()
    before.wait_ended()
    lab.ask_to_leave(*WORKERS)
    lab.wait_gone(*WORKERS)
    lab.use_release(None, *WORKERS)
    lab.restart(*WORKERS)
    between.end_jobs()
    between.wait_ended()
    return {BEFORE: before, BETWEEN: between}


ORDERS: dict[str, Callable[[AirflowCluster, Sandbox], Mapping[str, Cast]]] = {
    "triggerers-first": upgrade_triggerers_first,
    "workers-first": upgrade_workers_first,
}


@pytest.fixture(scope="module")
def version_1_0_0(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Unpack version 1.0.0."""
    folder = tmp_path_factory.mktemp("version-1.0.0")
    command = ["git", "archive", "--format=tar", REVISION, "hevo_provider"]
    archive = subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(folder, filter="data")
    return folder


@pytest.fixture(scope="module", params=ORDERS)
def played(
    request: pytest.FixtureRequest, lab: AirflowCluster, hevo: Sandbox, version_1_0_0: Path
) -> Iterator[Mapping[str, Cast]]:
    """Give workers and triggerers version 1.0.0, and play one order in which they are upgraded."""
    components = (*WORKERS, *TRIGGERERS)
    lab.ask_to_leave(*components)
    lab.wait_gone(*components)
    lab.use_release(version_1_0_0, *components)
    assert lab.provider_of(WORKERS[0]).is_relative_to(version_1_0_0)
    lab.restart(*components)
    yield ORDERS[request.param](lab, hevo)
    assert lab.provider_of(WORKERS[0]).is_relative_to(ROOT)


@pytest.mark.parametrize("task", DEFERRING)
def test_what_version_1_0_0_has_deferred_ends_with_its_own_job(played: Mapping[str, Cast], task: str) -> None:
    assert played[BEFORE].story(task) == DEFERRING[task]


@pytest.mark.parametrize("task", DEFERRING)
def test_what_is_deferred_while_half_is_upgraded_ends_with_its_own_job(played: Mapping[str, Cast], task: str) -> None:
    assert played[BETWEEN].story(task) == DEFERRING[task]


@pytest.mark.parametrize("played", ["workers-first"], indirect=True)
@pytest.mark.parametrize("task", BLOCKING)
def test_what_blocked_a_lost_worker_of_version_1_0_0_ends_with_its_own_job(
    played: Mapping[str, Cast], task: str
) -> None:
    assert played[BEFORE].story(task) == BLOCKING[task]
