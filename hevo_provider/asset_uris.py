"""
The URIs of tables as assets, and what Airflow is told of the scheme ``hevo``.

A table's URI is made of what OpenLineage calls it, in the way of Cosmos, so that a DAG of Cosmos and a load by Hevo
mean the same asset: namespace, slash, name; on Airflow 3, which checks URIs, with slashes for the name's dots. Airflow
loads this module wherever an asset is made, so it imports nothing heavy.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, quote, unquote

from hevo_provider.compat import uris_have_slashes

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Asset
    from openlineage.client.event_v2 import Dataset


def uri_of_table(namespace: str, name: str) -> str:
    """
    Return the URI of a table's asset, on this Airflow.

    :param namespace: OpenLineage's, such as ``snowflake://org-account``.
    :param name: OpenLineage's, such as ``WAREHOUSE.PUBLIC.ORDERS``.
    """
    path = quote(name)
    return f"{namespace}/{path.replace('.', '/') if uris_have_slashes() else path}"


def check_uri(parts: SplitResult) -> SplitResult:
    """
    Check the URI of an asset whose scheme is ``hevo``, for Airflow. Nothing is changed: URIs are in users' databases.

    :raises ValueError: it names nothing: ``hevo:///orders``.
    """
    if not parts.netloc:
        raise ValueError("a URI with the scheme hevo must say what it is in: hevo://warehouse/orders")
    return parts


def create_asset(*, namespace: str, name: str, extra: Mapping[str, Any] | None = None) -> Asset:
    """
    Make the asset of a table, for Airflow.

    :param namespace: OpenLineage's: ``hevo://us.hevodata.com/warehouse``, or that of the system itself.
    :param name: OpenLineage's: ``WAREHOUSE.PUBLIC.ORDERS``.
    :param extra: of the asset.
    """
    from airflow.providers.common.compat.sdk import Asset

    return Asset(uri=uri_of_table(namespace, name), extra=dict(extra or {}))


def to_openlineage(asset: Asset, lineage_context: object) -> Dataset:  # noqa: ARG001 - Airflow passes both
    """Return what OpenLineage calls an asset with the scheme ``hevo``."""
    from openlineage.client.event_v2 import Dataset

    scheme, _, rest = asset.uri.partition("://")
    place, _, path = rest.partition("?")[0].partition("/")
    system, _, name = path.partition("/")
    if name:
        place = f"{place}/{system}"
    else:  # an asset of a user's own: hevo://warehouse/orders
        name = system
    name = unquote(name.replace("/", ".") if uris_have_slashes() else name)
    return Dataset(namespace=f"{scheme}://{place}", name=name or "/")
