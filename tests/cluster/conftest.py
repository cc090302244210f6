"""One cluster for all tests of a session, connected to one sandbox."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from hevo_provider.sandbox import Sandbox
from tests.cluster.airflow_cluster import AirflowCluster
from tests.e2e.conftest import hevo, pytest_runtest_makereport

__all__ = ["hevo", "lab", "pytest_runtest_makereport"]


@pytest.fixture(scope="session")
def lab(hevo: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AirflowCluster]:
    """Run the cluster; its processes can be killed, and asked to leave."""
    with tempfile.TemporaryDirectory(prefix="hevo-cluster-") as folder:  # not pytest's, which only root may enter
        servers = Path(folder)
        servers.chmod(0o755)
        with AirflowCluster(tmp_path_factory.mktemp("airflow"), servers, Path(__file__).with_name("dags")) as cluster:
            cluster.api.add_connection(
                "hevo_airflow_conn_id",
                conn_type="hevo",
                host=hevo.url,
                login=hevo.key,
                password=hevo.secret,
                extra='{"requests_per_minute": 0}',  # it knows none
            )
            yield cluster
    assert not cluster.processes(), "Airflow was not stopped"
