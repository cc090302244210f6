"""The URIs of tables: what Airflow is told of the scheme ``hevo``, and what it does with it."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import Asset

from hevo_provider.asset_uris import create_asset, to_openlineage, uri_of_table
from hevo_provider.provider_info import get_provider_info

IS_AIRFLOW_2 = version("apache-airflow").startswith("2.")
NAMESPACE, NAME = "hevo://us.hevodata.com/my%20warehouse", "WAREHOUSE.PUBLIC.order lines"
URI = f"{NAMESPACE}/" + ("WAREHOUSE.PUBLIC.order%20lines" if IS_AIRFLOW_2 else "WAREHOUSE/PUBLIC/order%20lines")


def test_what_airflow_is_told_of_the_scheme_is_there() -> None:
    info = get_provider_info()
    (entry,) = info["asset-uris"]

    assert info["dataset-uris"] == [entry]
    for path in (entry["handler"], entry["factory"], entry["to_openlineage_converter"]):
        module, name = path.rsplit(".", 1)
        assert callable(getattr(import_module(module), name))


def test_a_tables_asset_is_called_by_its_uri() -> None:
    asset: Any = create_asset(namespace=NAMESPACE, name=NAME, extra={"owner": "shop"})

    assert uri_of_table(NAMESPACE, NAME) == asset.uri == URI
    assert IS_AIRFLOW_2 or asset.name == URI
    assert asset.extra == {"owner": "shop"}


@pytest.mark.parametrize(
    ("uri", "namespace", "name"),
    [
        (URI, NAMESPACE, NAME),
        ("hevo://warehouse/orders", "hevo://warehouse", "orders"),
        ("hevo://hevo_airflow_conn_id/pipelines/7", "hevo://hevo_airflow_conn_id/pipelines", "7"),
    ],
)
def test_openlineage_is_told_the_names_that_the_uri_was_made_of(uri: str, namespace: str, name: str) -> None:
    dataset = to_openlineage(Asset(uri), None)

    assert (dataset.namespace, dataset.name) == (namespace, name)


def test_an_asset_keeps_its_uri_as_it_is_written() -> None:
    uri = "hevo://hevo_airflow_conn_id/pipelines/7?job_types=INCREMENTAL&statuses=COMPLETED"

    assert Asset(uri).uri == uri


if not IS_AIRFLOW_2:  # which only warns

    def test_a_uri_that_names_nothing_is_refused_when_the_dag_is_parsed() -> None:
        with pytest.raises(ValueError, match="must say what it is in: hevo://warehouse/orders"):
            Asset("hevo:///orders")
