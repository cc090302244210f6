"""What an Airflow connection says about Hevo: where it is, and how to authenticate."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from hevo_provider.exceptions import HevoConfigError
from hevo_provider.transport import Credentials, checked_base_url

DOMAIN = "hevodata.com"


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

    :param base_url: scheme, host and port of Hevo's API.
    :param credentials: API key and secret.
    :param headers: sent with every request.
    """

    base_url: str
    credentials: Credentials
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, connection: AirflowConnection, extra: Mapping[str, Any]) -> ConnectionSettings:
        """
        Read a connection: login is the API key, password its secret, extra may hold ``{"headers": {…}}``.

        :raises HevoConfigError: something is missing or cannot be used.
        """
        if not connection.login or not connection.password:
            missing = "login (the API key)" if not connection.login else "password (the API secret)"
            raise HevoConfigError(f"The connection has no {missing}.")
        headers = extra.get("headers") or {}
        if not isinstance(headers, Mapping) or not all(isinstance(value, str) for value in headers.values()):
            raise HevoConfigError('The connection\'s extra must hold "headers" as an object of texts.')
        return cls(
            base_url=base_url_of(connection.host, connection.port, connection.schema),
            credentials=Credentials(connection.login, connection.password),
            headers=dict(headers),
        )


def base_url_of(host: str | None, port: int | None = None, schema: str | None = None) -> str:
    """
    Return the base URL for a host name, a bare region such as ``us``, or a full URL.

    :param port: used where the host names none.
    :param schema: ``https`` (default) or ``http``, used where the host names none.
    :raises HevoConfigError: it makes no URL, or one that credentials must not be sent to.
    """
    host = (host or "").strip()
    if not host:
        raise HevoConfigError(f"The connection has no host: give a region such as us, or us.{DOMAIN}.")
    if "://" not in host:
        if re.fullmatch(r"[A-Za-z][A-Za-z0-9-]*", host) and host != "localhost":
            host = f"{host.lower()}.{DOMAIN}"
        host = f"{(schema or 'https').strip().lower()}://{host}"
    if port and not re.search(r":\d+(/|$)", host.split("://", 1)[1].rsplit("]", 1)[-1]):
        scheme, rest = host.split("://", 1)
        authority, slash, path = rest.partition("/")
        host = f"{scheme}://{authority}:{port}{slash}{path}"
    return checked_base_url(host)
