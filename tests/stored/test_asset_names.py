"""The asset of a pipeline is to Airflow's database the one that it was in version 1.0.0 (Airflow 3)."""

from __future__ import annotations

from typing import Any

import pytest

from hevo_provider.assets import HevoPipelineTrigger, hevo_pipeline_asset
from tests.stored import read, trigger_of

ASSETS = read("assets")

of_each = pytest.mark.parametrize("entry", ASSETS.values(), ids=ASSETS)


@of_each
def test_an_asset_has_the_name_the_group_and_the_uri_that_it_had(entry: dict[str, Any]) -> None:
    asset = hevo_pipeline_asset(7, **entry["parameters"])

    assert (asset.name, asset.group, asset.uri) == (entry["name"], entry["group"], entry["uri"])
    assert [watcher.name for watcher in asset.watchers] == [entry["watcher"]]


@of_each
def test_an_asset_is_watched_by_the_trigger_that_it_was_watched_by(entry: dict[str, Any]) -> None:
    (watcher,) = hevo_pipeline_asset(7, **entry["parameters"]).watchers

    assert isinstance(watcher.trigger, HevoPipelineTrigger)
    # All of it: Airflow knows a trigger by its class path and parameters, and starts another where they differ.
    assert watcher.trigger.serialize() == (entry["trigger"]["classpath"], entry["trigger"]["kwargs"])


@of_each
def test_a_stored_trigger_is_the_same_to_airflow_when_it_is_read(entry: dict[str, Any]) -> None:
    assert trigger_of(entry).serialize() == (entry["trigger"]["classpath"], entry["trigger"]["kwargs"])
