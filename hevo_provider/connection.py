"""What an Airflow connection says about Hevo: where it is, how to authenticate, and how to get there."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from hevo_provider import codes
from hevo_provider.client.access import Access, Credentials, base_url_of
from hevo_provider.client.pace import DEFAULT_LIMIT
from hevo_provider.exceptions import HevoConfigError
from hevo_provider.parameters import seconds_of, value_in
from hevo_provider.provider_info import CONNECTION_FORM

log = logging.getLogger(__name__)

CONNECTION_TYPE = "hevo"
EXTRA = tuple(CONNECTION_FORM["conn-fields"])  # what the form shows is what is read
_FILES = {"ca_file": "CA file", "client_cert": "client certificate", "client_key": "client key"}


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
    :param requests_per_minute: Hevo's limit for the key; 0 for none.
    :param link: pattern of a pipeline's page in Hevo's web UI; None for the usual one. Checked where it is used: it
        must not keep a pipeline from running.
    :param lineage_namespaces: OpenLineage namespaces by the name or id of a source or destination. Checked where used.
    """

    access: Access
    timeout: float | None = None
    requests_per_minute: float = DEFAULT_LIMIT
    link: object = field(default=None, repr=False)
    lineage_namespaces: object = field(default=None, repr=False)

    @classmethod
    def of(cls, connection: AirflowConnection, extra: Mapping[str, Any]) -> ConnectionSettings:
        """
        Read a connection: login is the API key, password its secret, extra holds the rest. Blocks if it names a file.

        :raises HevoConfigError: something is missing or cannot be used.
        """
        if not isinstance(extra, Mapping):
            raise HevoConfigError("The connection's extra must be a JSON object.", code=codes.WRONG_CONNECTION)
        _tell_unknown_keys(frozenset(map(str, extra)))
        if not connection.login or not connection.password:
            missing = "login (the API key)" if not connection.login else "password (the API secret)"
            raise HevoConfigError(f"The connection has no {missing}.", code=codes.CREDENTIALS_MISSING)
        return cls(
            access=Access(
                base_url_of(connection.host, connection.port, connection.schema),
                Credentials(connection.login, connection.password),
                headers=texts_of("headers", _value(extra, "headers")),
                request_kwargs=_proxy(extra) | _tls(extra),
            ),
            timeout=_timeout(extra),
            requests_per_minute=_requests_per_minute(extra),
            link=_value(extra, "link"),
            lineage_namespaces=_value(extra, "lineage_namespaces"),
        )


@lru_cache(maxsize=64)  # so that each process says it once of each connection, however often that is looked up
def _tell_unknown_keys(given: frozenset[str]) -> None:
    """Warn of keys that are not read: a misspelled one would be a setting without effect."""
    names = {name: name.removeprefix(f"extra__{CONNECTION_TYPE}__") for name in given}
    for name in sorted(key for key, plain in names.items() if plain not in EXTRA and not plain.startswith("__")):
        close = get_close_matches(names[name].lower(), EXTRA, n=1)
        meant = f" Did you mean {close[0]}?" if close else f" What is read: {', '.join(EXTRA)}."
        log.warning("The connection's extra has %r, which is not read.%s", name, meant)


def names_a_file(extra: Mapping[str, Any]) -> bool:
    """Return whether :meth:`ConnectionSettings.of` will read a file."""
    return isinstance(extra, Mapping) and any(_value(extra, name) is not None for name in _FILES)


def texts_of(name: str, value: object) -> dict[str, str]:
    """
    Return a field of the extra that maps texts to texts.

    :param value: a JSON object, or its text: Airflow 2's form knows no objects, and shows one as Python would.
    :raises HevoConfigError: it is something else.
    """
    value = value_in(value) if isinstance(value, str) else value
    value = {} if value is None else value
    if not isinstance(value, Mapping) or not all(isinstance(text, str) for text in value.values()):
        raise HevoConfigError(
            f'"{name}" in the connection\'s extra must be a JSON object of texts.', code=codes.WRONG_CONNECTION
        )
    return dict(value)


def _value(extra: Mapping[str, Any], name: str) -> Any:
    """Read a field of the extra, where older connections have it under a prefix; None if it is empty."""
    value = extra.get(name, extra.get(f"extra__{CONNECTION_TYPE}__{name}"))
    return None if isinstance(value, str) and not value.strip() else value


def _text(extra: Mapping[str, Any], name: str) -> str | None:
    value = _value(extra, name)
    if value is not None and not isinstance(value, str):
        raise HevoConfigError(f'"{name}" in the connection\'s extra must be a text.', code=codes.WRONG_CONNECTION)
    return None if value is None else value.strip()


def _timeout(extra: Mapping[str, Any]) -> float | None:
    value = _value(extra, "timeout")
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            raise HevoConfigError(
                '"timeout" in the connection\'s extra must be a number of seconds.', code=codes.WRONG_CONNECTION
            ) from None
    return None if value is None else seconds_of('"timeout" in the connection\'s extra', value, above=True)


def _requests_per_minute(extra: Mapping[str, Any]) -> float:
    value = _value(extra, "requests_per_minute")
    number = DEFAULT_LIMIT if value is None else -1.0
    with suppress(TypeError, ValueError):
        number = number if value is None or isinstance(value, bool) else float(value)
    if not (number == 0 or 1 <= number < float("inf")):
        what = "must be a number of requests, at least 1, or 0 for no limit"
        raise HevoConfigError(f'"requests_per_minute" in the connection\'s extra {what}.')
    return number


def _flag(extra: Mapping[str, Any], name: str) -> bool:
    value = _value(extra, name)
    if isinstance(value, str):
        value = {"true": True, "false": False}.get(value.strip().lower(), value)
    if value is not None and not isinstance(value, bool):
        raise HevoConfigError(
            f'"{name}" in the connection\'s extra must be true or false.', code=codes.WRONG_CONNECTION
        )
    return bool(value)


def _proxy(extra: Mapping[str, Any]) -> dict[str, Any]:
    proxy = _text(extra, "proxy")
    return {} if proxy is None else {"proxy": proxy}


def _tls(extra: Mapping[str, Any]) -> dict[str, Any]:
    skips, relaxed = _flag(extra, "skip_tls_verification"), _flag(extra, "relaxed_ca_checks")
    files = _Files(*(_text(extra, name) for name in _FILES))
    if files.client_key is not None and files.client_cert is None:
        raise HevoConfigError(
            '"client_key" in the connection\'s extra is of no use without "client_cert".', code=codes.WRONG_CONNECTION
        )
    if skips and files.client_cert is None:
        return {"ssl": False}
    if not relaxed and files == _Files():
        return {}
    changed_at = tuple(_changed_at(what, file) for what, file in zip(_FILES.values(), files, strict=True) if file)
    return {"ssl": _tls_context(files, changed_at, skips=skips, relaxed=relaxed)}


class _Files(NamedTuple):
    ca_file: str | None = None
    client_cert: str | None = None
    client_key: str | None = None


def _changed_at(what: str, file: str) -> int:
    with _naming(what, file):
        return Path(file).stat().st_mtime_ns


@lru_cache(maxsize=16)
def _tls_context(files: _Files, _changed_at: tuple[int, ...], *, skips: bool, relaxed: bool) -> ssl.SSLContext:
    """Return one context for files as long as they do not change, so that settings can be compared."""
    with _naming(_FILES["ca_file"], files.ca_file):
        context = ssl.create_default_context(cafile=None if skips else files.ca_file)
    if skips:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if relaxed:
        # Python 3.13 began to refuse authorities that do not keep to RFC 5280 in all, as companies' own may not.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if files.client_cert is not None:
        with _naming(_FILES["client_cert"], files.client_cert):
            # OpenSSL would ask for the password of an encrypted key at the terminal, and wait.
            context.load_cert_chain(files.client_cert, files.client_key, password=_no_password)
    return context


def _no_password() -> str:
    raise ValueError("the key is encrypted, and there is nobody to ask for its password")


@contextmanager
def _naming(what: str, file: str | None) -> Iterator[None]:
    """Name the file that cannot be used."""
    try:
        yield
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or getattr(error, "reason", None) or str(error)
        raise HevoConfigError(f"The {what} {file!r} cannot be used: {reason}.", code=codes.WRONG_FILE) from None
