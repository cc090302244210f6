"""Where Hevo is and how to get in: what a change of the connection changes, and what of it must never show."""

from __future__ import annotations

import logging
import re
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from ipaddress import IPv6Address, ip_address
from typing import Any, Self
from urllib.request import getproxies_environment, proxy_bypass

from multidict import CIMultiDict
from yarl import URL

from hevo_provider import __version__, codes
from hevo_provider.client.redaction import Redaction
from hevo_provider.exceptions import HevoConfigError

log = logging.getLogger(__name__)

DOMAIN = "hevodata.com"
USER_AGENT = f"airflow-provider-hevo/{__version__}"  # and no word of who runs it on what
_OURS_ALONE = {"allow_redirects", "auth", "auto_decompress", "data", "headers", "json", "params", "raise_for_status"}
_NO_SECRETS = {"accept", "accept-encoding", "accept-language", "cache-control", "connection", "content-type"}
_NO_SECRETS |= {"origin", "pragma", "referer", "user-agent"}


@dataclass(frozen=True, slots=True)
class Credentials:
    """An API key and its secret. Neither shows in the repr."""

    key: str = field(repr=False)
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Access:
    """
    Where Hevo is and how to get in, checked.

    :param base_url: a region such as ``us``, a host, or ``https://us.hevodata.com`` and the like. Plain http is only
        accepted for a loopback address.
    :param credentials: what to authenticate with; they are only ever sent to that host.
    :param headers: sent with every request.
    :param request_kwargs: handed to aiohttp with every request, such as ``proxy`` or ``ssl``.
    :raises HevoConfigError: one of them cannot be used.

    ``proxy`` is what requests go through: what ``request_kwargs`` names, be it None, or else the environment.
    ``secrets`` are key and secret; ``all_secrets`` are also what headers and proxy hold, which may be a secret or an
    ordinary word: they are for errors, not for data.
    """

    base_url: str
    credentials: Credentials
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    request_kwargs: Mapping[str, Any] = field(default_factory=dict, repr=False)
    proxy: str | None = field(init=False, repr=False)
    # A gateway's error page may echo the request; what it says ends in logs.
    secrets: Redaction = field(init=False, repr=False, compare=False)
    all_secrets: Redaction = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "base_url", base_url_of(self.base_url))
        object.__setattr__(self, "headers", checked_headers(self.headers))
        object.__setattr__(self, "request_kwargs", checked_request_kwargs(self.request_kwargs))
        if not self.credentials.key or not self.credentials.secret:
            missing = "API key (login)" if not self.credentials.key else "API secret (password)"
            raise HevoConfigError(f"The Hevo connection has no {missing}.", code=codes.CREDENTIALS_MISSING)
        for name, text in (("key (login)", self.credentials.key), ("secret (password)", self.credentials.secret)):
            if text != text.strip():
                # Pasted, or read from a file with the end of its line: Hevo refuses it, and nobody can see why.
                raise HevoConfigError(
                    f"The Hevo API {name} begins or ends with white space or a line break.",
                    code=codes.WRONG_CREDENTIALS,
                )
        if ":" in self.credentials.key:  # Basic auth ends the user's name with one (RFC 7617)
            raise HevoConfigError("The Hevo API key (login) must not contain a colon.", code=codes.WRONG_CREDENTIALS)
        object.__setattr__(self, "proxy", self._proxy())
        secrets = (self._token, self.credentials.secret, self.credentials.key)
        object.__setattr__(self, "secrets", Redaction(secrets))
        others = (*self._proxy_secrets(), *self._header_secrets())
        object.__setattr__(self, "all_secrets", Redaction((*secrets, *others)))

    def with_more(self, headers: Mapping[str, str], request_kwargs: Mapping[str, Any]) -> Self:
        """
        Return the access with further headers and arguments of aiohttp, which win over those that are there.

        :raises HevoConfigError: one of them cannot be used.
        """
        if not headers and not request_kwargs:
            return self
        return replace(
            self, headers={**self.headers, **headers}, request_kwargs={**self.request_kwargs, **request_kwargs}
        )

    @property
    def account(self) -> tuple[str, str]:
        """Whose requests Hevo counts together: where Hevo is, and the key. It may not be shown."""
        return self.base_url, self.credentials.key

    @property
    def host(self) -> str:
        """The host that requests go to."""
        return URL(self.base_url).host or self.base_url

    @property
    def way(self) -> str:
        """Where requests go and through which proxy, in words and without credentials."""
        if self.proxy is None:
            return self.host
        named = "" if "proxy" in self.request_kwargs else " (HTTPS_PROXY)"
        proxy = URL(self.proxy)
        return f"{self.host} through the proxy {proxy.host}:{proxy.port}{named}"

    def all_headers(self) -> CIMultiDict[str]:
        """Return what is sent with every request, with the credentials."""
        # Not compressed: an answer is small, and one that is not must not unpack to more than it may.
        headers = CIMultiDict({"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": USER_AGENT})
        headers.update(self.headers)
        headers["Authorization"] = f"Basic {self._token}"
        return headers

    def redacted(self, text: str) -> str:
        """Return the value of an answer's header without secrets; what is not UTF-8 comes as lone surrogates."""
        return self.all_secrets.of(text.encode("utf-8", "replace")).decode("utf-8", "replace")

    @property
    def _token(self) -> str:
        return b64encode(f"{self.credentials.key}:{self.credentials.secret}".encode()).decode()

    def _header_secrets(self) -> list[str]:
        headers = {**self.headers, **(self.request_kwargs.get("proxy_headers") or {})}
        values = [str(value) for name, value in headers.items() if name.lower() not in _NO_SECRETS]
        return values + [value.rpartition(" ")[2] for value in values]  # the token of "Bearer …"

    def _proxy(self) -> str | None:
        if "proxy" not in self.request_kwargs:
            return proxy_of_environment(self.base_url)
        proxy = self.request_kwargs["proxy"]
        return None if proxy is None else checked_proxy(str(proxy))

    def _proxy_secrets(self) -> tuple[str, ...]:
        url = URL(self.proxy or "")
        auth = self.request_kwargs.get("proxy_auth")
        user, password = (auth.login, auth.password) if auth is not None else (url.user or "", url.password or "")
        encoding = getattr(auth, "encoding", "latin1")  # as aiohttp sends it
        try:
            token = b64encode(f"{user}:{password}".encode(encoding)).decode()
        except UnicodeEncodeError:
            raise HevoConfigError(
                "The proxy's user or password has a character that HTTP cannot send: only those of Latin-1 can be."
            ) from None
        return token, user, password, url.raw_user or "", url.raw_password or ""


def checked_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """
    Return the headers.

    :raises HevoConfigError: one could not be sent; its value, which may be a secret, is not in the message.
    """
    for name, value in headers.items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise HevoConfigError(f"The header {name!r} must be a text.")
        if not name or not name.isascii() or any(c.isspace() or not c.isprintable() or c == ":" for c in name):
            raise HevoConfigError(f"{name!r} is no name of a header.")
        if not all(c.isprintable() or c == "\t" for c in value):
            raise HevoConfigError(f"The header {name!r} must not contain line breaks or control characters.")
    return dict(headers)


def checked_request_kwargs(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return what is handed to aiohttp with every request.

    :raises HevoConfigError: it would change what is decided here.
    """
    if forbidden := _OURS_ALONE & set(kwargs):
        raise HevoConfigError(f"extra_kwargs must not contain {', '.join(sorted(forbidden))}.")
    return dict(kwargs)


def checked_proxy(proxy: str) -> str:
    """
    Return the URL of a proxy.

    :raises HevoConfigError: it is no http(s) URL. It is not in the message: it may hold a password.
    """
    try:
        url = URL(proxy)
        usable = url.scheme in {"http", "https"} and bool(url.host)
    except ValueError:
        usable = False
    if not usable:
        raise HevoConfigError("The proxy must be a URL such as http://proxy.example.com:3128.")
    return proxy


def proxy_of_environment(base_url: str) -> str | None:
    """
    Return the proxy that HTTPS_PROXY names (HTTP_PROXY for http), unless NO_PROXY excepts the host.

    aiohttp would do so itself with ``trust_env``, but it takes credentials from netrc along, and then refuses every
    request for having two. ``getproxies`` would also ask macOS, which crashes the processes that Airflow forks.
    """
    url = URL(base_url)
    proxies = getproxies_environment()
    proxy = proxies.get(url.scheme)
    if not proxy or is_loopback(url.host or "") or proxy_bypass(f"{url.host}:{url.port}"):
        return None
    try:
        return checked_proxy(proxy if "://" in proxy else f"http://{proxy}")
    except HevoConfigError:  # it works without, as it always has; where it does not, this says why
        log.warning("The proxy of %s_PROXY is not used: it is no http(s) URL.", url.scheme.upper())
        return None


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
        raise HevoConfigError(
            f"The Hevo host is missing: give a region such as us, or us.{DOMAIN}.", code=codes.WRONG_HOST
        )
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
        raise HevoConfigError("The Hevo host is not a valid URL.", code=codes.WRONG_HOST) from None
    if url.user is not None or url.password is not None:
        raise HevoConfigError(
            "The Hevo host must not contain credentials: use the connection's login and password.",
            code=codes.WRONG_HOST,
        )
    if url.scheme not in {"http", "https"} or not host or not re.fullmatch(r"[\w.:%-]+", host):
        given = f", not {host!r}" if host else ""
        raise HevoConfigError(
            f"The Hevo host must be a region such as us, a host such as us.{DOMAIN} or an http(s) URL{given}.",
            code=codes.WRONG_HOST,
        )
    if url.scheme == "http" and not is_loopback(host):
        raise HevoConfigError(f"Refusing to send the API key unencrypted to {host}: use https.", code=codes.UNENCRYPTED)
    if url.query_string or url.fragment:
        raise HevoConfigError("The Hevo host must not contain a query or a fragment.", code=codes.WRONG_HOST)
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
