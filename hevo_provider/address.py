"""Where Hevo is: a host name, a region or a URL becomes a base URL that credentials may be sent to."""

from __future__ import annotations

import re
from ipaddress import IPv6Address, ip_address

from yarl import URL

from hevo_provider.exceptions import HevoConfigError

DOMAIN = "hevodata.com"


def base_url_of(host: str | None, port: int | None = None, schema: str | None = None) -> str:
    """
    Return the base URL for a host name, a bare region such as ``us``, or a full URL.

    :param port: used where the host names none.
    :param schema: ``https`` (default) or ``http``, used where the host names none.
    :raises HevoConfigError: it makes no URL, or one that credentials must not be sent to.
    """
    host = (host or "").strip()
    host = host if "://" in host else host.rstrip("/")
    if not host:
        raise HevoConfigError(f"The connection has no host: give a region such as us, or us.{DOMAIN}.")
    if "://" not in host:
        if re.fullmatch(r"[A-Za-z][A-Za-z0-9-]*", host) and host.lower() != "localhost":
            host = f"{host}.{DOMAIN}"
        elif _is_bare_ipv6(host):
            host = f"[{host}]"
        host = f"{(schema or 'https').strip()}://{host}"
    scheme, rest = host.split("://", 1)
    authority, slash, path = rest.partition("/")
    if port and not re.search(r":\d+$", authority.rsplit("]", 1)[-1]):
        authority = f"{authority}:{port}"
    return checked_base_url(f"{scheme}://{authority}{slash}{path}")


def checked_base_url(base_url: str) -> str:
    """
    Return the URL without a trailing slash.

    :raises HevoConfigError: it is no http(s) URL, carries credentials, or would send them unencrypted over a network.
    """
    try:
        url = URL(base_url)
        host, _ = url.host, url.port
    except ValueError:
        # No word of what was given: a URL that cannot be read may hold credentials anywhere.
        raise HevoConfigError("The Hevo host is not a valid URL.") from None
    if url.user is not None or url.password is not None:
        raise HevoConfigError("The Hevo host must not contain credentials: use the connection's login and password.")
    if url.scheme not in {"http", "https"} or not host or not re.fullmatch(r"[\w.:%-]+", host):
        raise HevoConfigError(f"The Hevo host must be a name, a region or an http(s) URL, not {host or 'empty'!r}.")
    if url.scheme == "http" and not is_loopback(host):
        raise HevoConfigError(f"Refusing to send the API key unencrypted to {host}: use https.")
    if url.query_string or url.fragment:
        raise HevoConfigError("The Hevo host must not contain a query or a fragment.")
    return str(url).rstrip("/")


def is_loopback(host: str) -> bool:
    """Return whether what is sent to the host stays on this machine. No name but ``localhost`` is sure to."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def host_of(location: str | None) -> str | None:
    """Return the host that a redirect leads to; None if it names none."""
    try:
        return URL(location or "").host
    except ValueError:
        return None


def _is_bare_ipv6(host: str) -> bool:
    try:
        IPv6Address(host)
    except ValueError:
        return False
    return True
