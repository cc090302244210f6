"""
What OpenLineage calls a table that Hevo reads or writes: pure functions, without OpenLineage.

The namespace says where a system is and the name what is in it, by OpenLineage's naming rules; only so do two tools
mean the same table. Hevo does not always tell where a system is. Then the connection's ``lineage_namespaces`` may, and
else the namespace is one of Hevo's own, which claims nothing about the system's address.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, quote, urlsplit

if TYPE_CHECKING:
    from hevo_provider.models.answers import System
    from hevo_provider.models.object import Namespace

# What systems call themselves, as part of Hevo's type; the first that fits counts.
_KINDS = ("snowflake", "bigquery", "redshift", "databricks", "mysql", "postgres")
_S3_WORDS = {"s3", "amazons3", "awss3"}  # whole words: there are a Dynamics365 and an Ads360
_S3_SCHEMES = {"s3", "s3a", "s3n"}
_S3_ARN = "arn:aws:s3:::"
_PORTS = {"mysql": 3306, "postgres": 5432, "redshift": 5439}
_HOST = ("host", "hostname", "dbhost", "databasehost", "server", "serverhostname", "endpoint", "url")
_PORT = ("port", "dbport", "databaseport")
_DATABASE = ("database", "databasename", "dbname", "db", "catalog", "catalogname")
_ACCOUNT = ("account", "accountname", "accountidentifier", "accounturl", "host", "hostname", "url")
_PROJECT = ("projectid", "project")
_BUCKET = ("bucket", "bucketname", "s3bucket")
_SNOWFLAKE = ".snowflakecomputing.com"


@dataclass(frozen=True, slots=True)
class Names:
    """
    How the tables of one source or destination are called.

    :param kind: one of the systems that OpenLineage has rules for, or empty.
    :param namespace: where the system is.
    :param database: the database, project or catalog that its tables are in unless Hevo names another.
    """

    kind: str
    namespace: str
    database: str | None = None

    def name_of(self, place: Namespace, table: str | None = None) -> str | None:
        """
        Return the name of a table within the namespace.

        :param place: where Hevo says that the table is.
        :param table: its name, where that is known better.
        :returns: None if there is no name.
        """
        table = table or place.k0
        if not table:
            return None
        if self.kind == "s3":
            path = [part.strip("/") for part in (place.k1, table) if part and f"s3://{part}" != self.namespace]
            return "/".join(part for part in path if part) or None
        if self.kind == "mysql":  # a schema is a database there
            return ".".join(part for part in (place.k2 or place.k1 or self.database, table) if part)
        return ".".join(part for part in (place.k2 or self.database, place.k1, table) if part)


def names_of(system: System | None, hevo_host: str, namespaces: Mapping[str, str]) -> Names:
    """
    Return how OpenLineage calls the tables of a source or destination.

    :param system: the source or destination.
    :param hevo_host: where Hevo is, for a namespace of Hevo's own.
    :param namespaces: namespaces by name or id of a system, from the connection.
    """
    type_ = "" if system is None else system.source_type or system.destination_type or ""
    kind = _kind_of(type_)
    config = _Config(None if system is None else system.config)
    labels = [] if system is None else [label for label in (system.name, system.id) if label]
    given = next((namespaces[label] for label in labels if label in namespaces), None)
    label = labels[0] if labels else type_.lower() or "unknown"
    namespace = given or _namespace(kind, config) or f"hevo://{hevo_host}/{quote(label, safe='')}"
    return Names(kind, namespace, config.text(_PROJECT if kind == "bigquery" else _DATABASE))


class _Config:
    """What Hevo tells of a system's settings. Only what is asked for by name is read: there may be secrets in it."""

    def __init__(self, config: Mapping[str, Any] | None) -> None:
        self._values = {key.lower().replace("_", "").replace("-", ""): value for key, value in (config or {}).items()}

    def text(self, names: tuple[str, ...]) -> str | None:
        for name in names:
            value = self._values.get(name)
            if isinstance(value, str) and value.strip():
                return value.strip()
        return None

    def address(self, names: tuple[str, ...]) -> tuple[str | None, int | None]:
        """Return host and port, without whatever else an address may hold: scheme, credentials, path."""
        url = _split(self.text(names))
        if url is None or url.hostname is None:
            return None, None
        return (f"[{url.hostname}]" if ":" in url.hostname else url.hostname), url.port

    def port(self) -> int | None:
        for name in _PORT:
            value = self._values.get(name)
            if isinstance(value, int | str) and str(value).isdecimal():
                return int(value)
        return None


def _kind_of(type_: str) -> str:
    words = type_.lower().replace("-", "_").replace(" ", "_").split("_")
    if _S3_WORDS & {*words, "".join(words)}:
        return "s3"
    return next((kind for kind in _KINDS if kind in "".join(words)), "")


def _split(text: str | None) -> SplitResult | None:
    """Return the parts of an address; None where it is none, or what is its host and what a password is not sure."""
    if text is None:
        return None
    try:
        url = urlsplit(text.removeprefix("jdbc:") if "://" in text else f"//{text}")
        host, _ = url.hostname, url.port
    except ValueError:
        return None
    is_sure = url.netloc.count("@") <= 1 and "@" not in url.path
    return url if host and is_sure and re.fullmatch(r"[\w.:%-]+", host) else None


def _bucket(text: str | None) -> str | None:
    """Return the bucket of S3, which may be given by its name, a URI, an ARN or a web address."""
    if text is None:
        return None
    url = _split(text.removeprefix(_S3_ARN))
    if url is None or url.hostname is None:
        return None
    if url.scheme in {"", *_S3_SCHEMES}:
        bucket = url.hostname
    elif url.hostname.startswith(("s3.", "s3-")):
        bucket = url.path.strip("/").split("/")[0]
    else:
        bucket = re.split(r"\.s3[.-]", url.hostname)[0]
    return bucket if re.fullmatch(r"[a-z0-9][a-z0-9.-]+", bucket) else None


def _namespace(kind: str, config: _Config) -> str | None:
    if kind == "bigquery":
        return "bigquery"
    if kind == "s3":
        bucket = _bucket(config.text(_BUCKET))
        return bucket and f"s3://{bucket}"
    host, port = config.address(_ACCOUNT if kind == "snowflake" else _HOST)
    if not kind or host is None:
        return None
    if kind == "snowflake":  # organization-account, or a locator with region and cloud
        return f"snowflake://{host.removesuffix(_SNOWFLAKE)}"
    if kind == "databricks":
        return f"databricks://{host}"
    if kind == "redshift":
        host = _redshift_cluster(host)
    return f"{kind}://{host}:{port or config.port() or _PORTS[kind]}"


def _redshift_cluster(host: str) -> str:
    """``cluster.hash.region.redshift.amazonaws.com`` is called ``cluster.region``."""
    match host.split("."):
        case [cluster, _, region, "redshift" | "redshift-serverless", "amazonaws", *_]:
            return f"{cluster}.{region}"
    return host
