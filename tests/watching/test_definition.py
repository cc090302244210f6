"""What a DAG's author writes to start with a pipeline's jobs, and what Airflow makes of it (Airflow 3)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from airflow.sdk import DAG, Asset
from airflow.serialization import serialized_objects
from airflow.triggers.base import BaseEventTrigger

from hevo_provider.assets import HevoPipelineTrigger, hevo_pipeline_asset
from hevo_provider.exceptions import HevoConfigError
from hevo_provider.models.job import JobType


def test_an_asset_has_a_name_an_address_and_a_watcher() -> None:
    asset = hevo_pipeline_asset(7)

    assert (asset.name, asset.uri, asset.group) == (
        "hevo_pipeline_7",
        "hevo://hevo_airflow_conn_id/pipelines/7",
        "hevo",
    )
    (watcher,) = asset.watchers
    assert isinstance(watcher.trigger, HevoPipelineTrigger)
    assert watcher.trigger.serialize()[1] == {
        "pipeline_id": 7,
        "connection_id": "hevo_airflow_conn_id",
        "statuses": ["COMPLETED"],
        "poll_interval": 30.0,
        "asset": "hevo_pipeline_7",
    }


def test_what_is_watched_for_otherwise_is_another_asset() -> None:
    assets = [
        hevo_pipeline_asset(7),
        hevo_pipeline_asset(8),
        hevo_pipeline_asset(7, connection_id="hevo eu/2"),
        hevo_pipeline_asset(7, statuses="FAILED"),
        hevo_pipeline_asset(7, job_types=["RESYNC", "HISTORICAL"]),
        hevo_pipeline_asset(7, poll_interval=3600),
        hevo_pipeline_asset(7, poll_interval=3600.0000001),
        hevo_pipeline_asset(7, statuses="FAILED", poll_interval=0.5),
    ]

    assert len({asset.name for asset in assets}) == len({asset.uri for asset in assets}) == len(assets)
    assert assets[2].uri == "hevo://hevo%20eu%2F2/pipelines/7"
    assert assets[4].name == "hevo_pipeline_7 HISTORICAL,RESYNC"
    assert (assets[5].name, assets[5].uri) == (
        "hevo_pipeline_7 every 3600 s",
        "hevo://hevo_airflow_conn_id/pipelines/7?poll_interval=3600",
    )
    assert all(Asset(asset.name, asset.uri).uri == asset.uri for asset in assets), "Airflow's own form of an address"


def test_airflow_runs_one_watcher_for_equal_ones() -> None:
    one = hevo_pipeline_asset("7", job_types=[JobType.RESYNC, "historical"], poll_interval=60)
    other = hevo_pipeline_asset(7, job_types=("HISTORICAL", "resync"), statuses=["COMPLETED"], poll_interval=60.0)

    assert one == other
    hashes = {BaseEventTrigger.hash(*asset.watchers[0].trigger.serialize()) for asset in (one, other)}
    assert len(hashes) == 1


def test_airflow_stores_a_dag_that_starts_with_it() -> None:
    with DAG("dag", schedule=[hevo_pipeline_asset(7, job_types=JobType.INCREMENTAL)]) as dag:
        pass

    names: Any = vars(serialized_objects)
    serialization = names.get("DagSerialization") or names["SerializedDAG"]  # the latter before Airflow 3.2
    stored = json.loads(json.dumps(serialization.to_dict(dag)))

    assert "hevo_provider.assets.HevoPipelineTrigger" in json.dumps(stored)
    assert serialization.from_dict(stored).timetable.asset_condition is not None


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"pipeline_id": "orders"}, "pipeline_id must be a positive whole number"),
        ({"connection_id": " "}, "connection_id must name an Airflow connection"),
        ({"job_types": ["SYNC"]}, "job_types must be one of INCREMENTAL"),
        ({"job_types": 3}, "job_types must be one of INCREMENTAL"),
        ({"statuses": "DONE"}, "statuses must be one of"),
        ({"statuses": ["COMPLETED", "IN_PROGRESS"]}, "statuses must be ones in which a job has ended"),
        ({"statuses": []}, "statuses must be ones in which a job has ended"),
        ({"poll_interval": 0}, "poll_interval must be above 0 s"),
    ],
)
def test_what_makes_no_sense_is_refused_when_the_dag_is_parsed(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(HevoConfigError, match=message):
        hevo_pipeline_asset(**{"pipeline_id": 7, **parameters})
    with pytest.raises(TypeError, match=message):  # of a stored trigger, what its triggerer survives
        HevoPipelineTrigger(**{"pipeline_id": 7, **parameters})
