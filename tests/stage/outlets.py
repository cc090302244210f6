"""Airflow's own ``context["outlet_events"]``, from which it makes asset events if a task succeeds."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import Asset, AssetAlias

from tests.stage.tasks import TaskInstance

IS_AIRFLOW_2 = version("apache-airflow").startswith("2.")


class Events:
    """What the last process of a task has put there; each gets another."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        home = "airflow.utils.context" if IS_AIRFLOW_2 else "airflow.sdk.execution_time.context"
        accessors: Any = import_module(home).OutletEventAccessors
        self.last = accessors()
        context_of = vars(TaskInstance)["context"].fget

        def context(ti: TaskInstance) -> Any:
            self.last = accessors()
            return {**context_of(ti), "outlet_events": self.last}

        monkeypatch.setattr(TaskInstance, "context", property(context))

    def told(self, asset: Asset) -> dict[str, Any]:
        """Return what Airflow would store with the asset's event."""
        extra: dict[str, Any] = self.last[asset].extra
        return extra

    def of_alias(self, alias: AssetAlias) -> dict[str, dict[str, Any]]:
        """Return what Airflow would store with the events of the assets that were named by an alias, by their URIs."""
        accessor = self.last[alias]
        if IS_AIRFLOW_2:
            return {event["dest_dataset_uri"]: event["extra"] for event in accessor.dataset_alias_events}
        events = accessor.asset_alias_events
        assert {event.dest_asset_key.name for event in events} == {event.dest_asset_key.uri for event in events}
        return {event.dest_asset_key.uri: event.extra for event in events}
