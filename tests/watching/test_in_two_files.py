"""Two DAG files that name assets of one pipeline, parsed in turn by Airflow's own code: none loses its watcher."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from airflow.models import DagBag
from airflow.models.asset import AssetModel
from airflow.utils.session import create_session

DAG_FILE = """
from airflow.sdk import DAG, Asset

from hevo_provider.assets import hevo_pipeline_asset

with DAG("{dag_id}", schedule=[{schedule}], is_paused_upon_creation=False):
    pass
"""


@pytest.fixture
def folder(tmp_path: Path, airflow_database: None) -> Path:
    """Return a folder for DAG files. The database is that of all tests: each has a pipeline of its own."""
    import_module("airflow.dag_processing.bundles.manager").DagBundlesManager().sync_bundles_to_db()
    return tmp_path


def parse(file: Path, schedule: str) -> None:
    """Let Airflow's DAG processor take note of a file."""
    file.write_text(DAG_FILE.format(dag_id=f"{file.parent.name}_{file.stem}", schedule=schedule), encoding="utf-8")
    bag: Any = DagBag(file)
    assert bag.import_errors == {}
    if hasattr(bag, "sync_to_db"):
        bag.sync_to_db("dags-folder", None)
    else:  # since Airflow 3.2
        import_module("airflow.dag_processing.dagbag").sync_bag_to_db(bag, "dags-folder", None)


def watched(pipeline_id: int) -> dict[str, list[float]]:
    """Return the assets that Airflow has of a pipeline, and the poll intervals of those who watch them."""
    with create_session() as session:
        assets = session.query(AssetModel).filter(AssetModel.name.startswith(f"hevo_pipeline_{pipeline_id}"))
        return {asset.name: [trigger.kwargs["poll_interval"] for trigger in asset.triggers] for asset in assets}


def test_a_pipeline_with_two_poll_intervals_is_watched_in_both_after_every_parse(folder: Path) -> None:
    schedules = {
        folder / "often.py": "hevo_pipeline_asset(901, poll_interval=10)",
        folder / "seldom.py": "hevo_pipeline_asset(901, poll_interval=600)",
        folder / "usual.py": "hevo_pipeline_asset(901)",
    }
    for file, schedule in [*schedules.items()] * 2:  # Airflow 3.0 watches an asset from the second parse on
        parse(file, schedule)

    for file, schedule in [*schedules.items()] * 2:
        parse(file, schedule)
        assert watched(901) == {
            "hevo_pipeline_901": [30.0],
            "hevo_pipeline_901 every 10 s": [10.0],
            "hevo_pipeline_901 every 600 s": [600.0],
        }


@pytest.mark.parametrize(
    ("pipeline_id", "interval", "parameters", "other"),
    [
        (902, 30.0, "", "hevo_pipeline_asset('902', poll_interval=30.0)"),
        (903, 30.0, "", "Asset.ref(name='hevo_pipeline_903')"),
        # Its name is its author's, so that it cannot tell the interval: who uses it elsewhere repeats that, or refers.
        (904, 10.0, ", name='hevo_pipeline_904', poll_interval=10", "Asset.ref(name='hevo_pipeline_904')"),
        (
            905,
            10.0,
            ", name='hevo_pipeline_905', poll_interval=10",
            "hevo_pipeline_asset(905, name='hevo_pipeline_905', poll_interval=10)",
        ),
    ],
    ids=["the-same-parameters", "its-name", "a-given-name", "the-same-parameters-with-a-name"],
)
def test_who_names_the_same_asset_in_another_file_leaves_it_its_watcher(
    folder: Path, pipeline_id: int, interval: float, parameters: str, other: str
) -> None:
    watching = f"hevo_pipeline_asset({pipeline_id}{parameters})"
    parse(folder / "one.py", watching)  # Airflow 3.0 watches it from the second parse on
    for _ in range(3):
        parse(folder / "one.py", watching)
        assert watched(pipeline_id) == {f"hevo_pipeline_{pipeline_id}": [interval]}
        parse(folder / "other.py", other)
        assert watched(pipeline_id) == {f"hevo_pipeline_{pipeline_id}": [interval]}
