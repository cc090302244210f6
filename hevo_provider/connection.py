"""What an Airflow connection says about Hevo: where it is, how to authenticate, and how to get there."""

from __future__ import annotations

import ast
import json
import ssl
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

from hevo_provider.client.access import Access, Credentials, base_url_of
from hevo_provider.exceptions import HevoConfigError
from hevo_provider.parameters import seconds_of

CONNECTION_TYPE = "hevo"


class AirflowConnection(Protocol):
    """The fields of an Airflow connection that are used here."""

    host: Any
    port: Any
    schema: Any
    login: Any
    password: Any


@dataclass(frozen=True, slots=True)
class ConnectionSettings:
    """
    A connection, checked.

    :param access: where Hevo is and how to get in: also through which proxy, and by which certificates.
    :param timeout: seconds that one request may take; None if the connection does not say.
    :param link: pattern of a pipeline's page in Hevo's web UI; None for the usual one. Checked where it is used: it
        must not keep a pipeline from running.
    :param lineage_namespaces: OpenLineage namespaces by the name or id of a source or destination. Checked where used.
    """

    access: Access
    timeout: float | None = None
    link: object = field(default=None, repr=False)
    lineage_namespaces: object = field(default=None, repr=False)

    @classmethod
    def of(cls, connection: AirflowConnection, extra: Mapping[str, Any]) -> ConnectionSettings:
        """
        Read a connection: login is the API key, password its secret, extra holds the rest. Blocks if it names a file.

        :raises HevoConfigError: something is missing or cannot be used.
        """
        if not isinstance(extra, Mapping):
            raise HevoConfigError("The connection's extra must be a JSON object.")
        if not connection.login or not connection.password:
            missing = "login (the API key)" if not connection.login else "password (the API secret)"
            raise HevoConfigError(f"The connection has no {missing}.")
        return cls(
            access=Access(
                base_url_of(connection.host, connection.port, connection.schema),
                Credentials(connection.login, connection.password),
                headers=texts_of("headers", _value(extra, "headers")),
                request_kwargs=_proxy(extra) | _tls(extra),
            ),
            timeout=_timeout(extra),
            link=_value(extra, "link"),
            lineage_namespaces=_value(extra, "lineage_namespaces"),
        )


def names_a_file(extra: Mapping[str, Any]) -> bool:
    """Return whether :meth:`ConnectionSettings.of` will read a file."""
    return isinstance(extra, Mapping) and _value(extra, "ca_file") is not None


def texts_of(name: str, value: object) -> dict[str, str]:
    """
    Return a field of the extra that maps texts to texts.

    :param value: a JSON object, or its text: Airflow 2's form knows no objects, and shows one as Python would.
    :raises HevoConfigError: it is something else.
    """
    value = _read_object(value) if isinstance(value, str) else value
    value = {} if value is None else value
    if not isinstance(value, Mapping) or not all(isinstance(text, str) for text in value.values()):
        raise HevoConfigError(f'"{name}" in the connection\'s extra must be a JSON object of texts.')
    return dict(value)


def _value(extra: Mapping[str, Any], name: str) -> Any:
    """Read a field of the extra, where older connections have it under a prefix; None if it is empty."""
    value = extra.get(name, extra.get(f"extra__{CONNECTION_TYPE}__{name}"))
    return None if isinstance(value, str) and not value.strip() else value


def _text(extra: Mapping[str, Any], name: str) -> str | None:
    value = _value(extra, name)
    if value is not None and not isinstance(value, str):
        raise HevoConfigError(f'"{name}" in the connection\'s extra must be a text.')
    return None if value is None else value.strip()


def _read_object(text: str) -> object:
    for read in (json.loads, ast.literal_eval):
        with suppress(ValueError, SyntaxError, MemoryError, RecursionError):
            return read(text)
    return text


def _timeout(extra: Mapping[str, Any]) -> float | None:
    value = _value(extra, "timeout")
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            raise HevoConfigError('"timeout" in the connection\'s extra must be a number of seconds.') from None
    return None if value is None else seconds_of('"timeout" in the connection\'s extra', value, above=True)


def _flag(extra: Mapping[str, Any], name: str) -> bool:
    value = _value(extra, name)
    if isinstance(value, str):
        value = {"true": True, "false": False}.get(value.strip().lower(), value)
    if value is not None and not isinstance(value, bool):
        raise HevoConfigError(f'"{name}" in the connection\'s extra must be true or false.')
    return bool(value)


def _proxy(extra: Mapping[str, Any]) -> dict[str, Any]:
    proxy = _text(extra, "proxy")
    return {} if proxy is None else {"proxy": proxy}


def _tls(extra: Mapping[str, Any]) -> dict[str, Any]:
    if _flag(extra, "skip_tls_verification"):
        return {"ssl": False}
    ca_file = _text(extra, "ca_file")
    if ca_file is None:
        return {}
    try:
        return {"ssl": _tls_context(ca_file, Path(ca_file).stat().st_mtime_ns)}
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise HevoConfigError(f"The CA file {ca_file!r} cannot be used: {reason}.") from None


@lru_cache(maxsize=16)
def _tls_context(ca_file: str, _changed_at: int) -> ssl.SSLContext:
    """Return one context for a file as long as it does not change, so that settings can be compared."""
    return ssl.create_default_context(cafile=ca_file)
