"""Where Hevo is and how to get in: from an Airflow connection, or from a host and the environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hevo_provider.client.access import Access, Credentials, base_url_of
from hevo_provider.client.transport import DEFAULT_TIMEOUT
from hevo_provider.exceptions import HevoConfigError

KEY, SECRET = "HEVO_API_KEY", "HEVO_API_SECRET"  # of the environment


@dataclass(frozen=True, slots=True)
class WayIn:
    """
    The way into an account.

    :param access: where it is, and the credentials.
    :param timeout: seconds that one request may take.
    :param own_page: whether the connection has its own pattern for a pipeline's page.
    """

    access: Access
    timeout: float = DEFAULT_TIMEOUT
    own_page: bool = False


def by_host(host: str, environment: Mapping[str, str]) -> WayIn:
    """
    Return the way in for a host, a region or a URL. Needs no Airflow.

    :raises HevoConfigError: the host cannot be used, or the environment has no key.
    """
    missing = [name for name in (KEY, SECRET) if not environment.get(name)]
    if missing:
        raise HevoConfigError(f"{' and '.join(missing)} must be set in the environment: the API key and its secret.")
    return WayIn(Access(base_url_of(host), Credentials(environment[KEY], environment[SECRET])))


def by_connection(connection_id: str) -> WayIn:
    """
    Return the way in that an Airflow connection knows, with its headers, proxy and CA.

    :raises HevoConfigError: there is no such connection, or it cannot be used.
    """
    from hevo_provider.compat import as_a_command  # needs Airflow
    from hevo_provider.hooks import HevoHook

    with as_a_command():
        settings = HevoHook(connection_id).settings
    return WayIn(settings.access, settings.timeout or DEFAULT_TIMEOUT, own_page=settings.link is not None)
