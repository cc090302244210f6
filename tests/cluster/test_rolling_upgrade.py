"""
Version 1.0.0 makes way for this one while tasks wait.

What this version's workers defer is for its own triggerers (docs/upgrading.md): a triggerer of 1.0.0 fails it.
"""

from __future__ import annotations

import io
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from hevo_provider.sandbox import Sandbox
from tests.cluster.airflow_cluster import TRIGGERERS, WORKERS, AirflowCluster
from tests.cluster.cast import BLOCKING, DEFERRING, MODES, Cast

pytestmark = pytest.mark.cluster

REVISION = "26a825e"  # of this repository: version 1.0.0
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def version_1_0_0(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Unpack version 1.0.0."""
    folder = tmp_path_factory.mktemp("version-1.0.0")
    command = ["git", "archive", "--format=tar", REVISION, "hevo_provider"]
    archive = subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(folder, filter="data")
    return folder


@pytest.fixture(scope="module")
def played(lab: AirflowCluster, hevo: Sandbox, version_1_0_0: Path) -> Mapping[str, Cast]:
    """
    Let tasks wait in every mixture of the two versions.

    Their names say who has deferred them, who has waited for them, and who has resumed them. The workers of 1.0.0 are
    killed, so that this version retries what blocked them; all else is asked to leave.
    """
    replace(lab, WORKERS, version_1_0_0)
    old_new_old = Cast(lab.api, hevo, "deferring", "old-new-old", DEFERRING)
    old_new_old.wait_at_work()
    old_new_old.end_jobs()
    old_new_old.wait_ended()

    replace(lab, TRIGGERERS, version_1_0_0)
    old_old_new = Cast(lab.api, hevo, "modes", "old-old-new", MODES)
    old_both_new = Cast(lab.api, hevo, "deferring", "old-both-new", DEFERRING)
    old_old_new.wait_at_work()
    old_both_new.wait_at_work()

    lab.kill_all(*WORKERS)
    old_old_new.let_jobs_show()
    replace(lab, WORKERS, None)
    old_old_new.wait_polled()
    old_old_new.end_jobs()
    old_old_new.wait_ended()

    replace(lab, TRIGGERERS, None)
    old_both_new.wait_polled()
    old_both_new.end_jobs()
    old_both_new.wait_ended()
    return {cast.run_id: cast for cast in (old_new_old, old_old_new, old_both_new)}


def replace(lab: AirflowCluster, components: Sequence[str], release: Path | None) -> None:
    """Give components a release of the provider; None stands for this version."""
    lab.ask_to_leave(*components)
    lab.wait_gone(*components)
    lab.use_release(release, *components)
    for component in components:
        assert lab.provider_of(component).is_relative_to(release or ROOT)
    lab.restart(*components)


@pytest.mark.parametrize("task", DEFERRING)
@pytest.mark.parametrize("run_id", ["old-new-old", "old-old-new", "old-both-new"])
def test_what_waits_while_versions_change_ends_with_its_own_job(
    played: Mapping[str, Cast], run_id: str, task: str
) -> None:
    assert played[run_id].story(task) == DEFERRING[task]


@pytest.mark.parametrize("task", BLOCKING)
def test_what_blocked_a_lost_worker_of_version_1_0_0_is_followed_by_this_version(
    played: Mapping[str, Cast], task: str
) -> None:
    assert played["old-old-new"].story(task) == BLOCKING[task]
