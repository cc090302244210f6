"""From an Airflow connection to where Hevo is and what is shown to it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from hevo_provider.client import HevoAsyncClient
from hevo_provider.client.access import base_url_of
from hevo_provider.connection import ConnectionSettings, names_a_file
from hevo_provider.exceptions import HevoConfigError
from hevo_provider.provider_info import CONNECTION_FORM


@pytest.mark.parametrize(
    ("host", "port", "schema", "url"),
    [
        ("us", None, None, "https://us.hevodata.com"),
        ("us2", None, "https", "https://us2.hevodata.com"),
        ("us-gcp", None, "https", "https://us-gcp.hevodata.com"),
        ("eu2", None, None, "https://eu2.hevodata.com"),
        (" EU ", None, None, "https://eu.hevodata.com"),
        ("asia/", None, "", "https://asia.hevodata.com"),
        ("in", 443, None, "https://in.hevodata.com"),
        ("us", 8443, None, "https://us.hevodata.com:8443"),
        ("us.hevodata.com", None, None, "https://us.hevodata.com"),
        ("us.hevodata.com", None, "HTTPS", "https://us.hevodata.com"),
        ("us.hevodata.com:8443", 443, None, "https://us.hevodata.com:8443"),
        ("https://us.hevodata.com", None, "http", "https://us.hevodata.com"),
        ("https://us.hevodata.com/", 8443, None, "https://us.hevodata.com:8443"),
        ("HTTPS://US.HevoData.com", None, None, "https://us.hevodata.com"),
        ("https://proxy.example.com/hevo/", None, None, "https://proxy.example.com/hevo"),
        ("proxy.example.com/hevo", 8443, None, "https://proxy.example.com:8443/hevo"),
        ("https://proxy.example.com:1/hevo:2", 3, None, "https://proxy.example.com:1/hevo:2"),
        ("localhost", 8123, "http", "http://localhost:8123"),
        ("127.0.0.1:8123", None, "http", "http://127.0.0.1:8123"),
        ("http://127.0.0.1:8123", None, "https", "http://127.0.0.1:8123"),
        ("http://127.8.9.1", None, None, "http://127.8.9.1"),
        ("::1", 8123, "http", "http://[::1]:8123"),
        ("[::1]", 8123, "http", "http://[::1]:8123"),
        ("[::1]:8123", 1, "http", "http://[::1]:8123"),
        ("http://[::1]:8123", None, None, "http://[::1]:8123"),
        ("2001:db8::1", None, None, "https://[2001:db8::1]"),
    ],
)
def test_a_region_a_host_or_a_url_becomes_the_base_url(
    host: str, port: int | None, schema: str | None, url: str
) -> None:
    assert base_url_of(host, port, schema) == url


@pytest.mark.parametrize("place", ["us", "us.hevodata.com", "https://us.hevodata.com"])
def test_a_client_takes_what_a_connection_takes(place: str) -> None:
    assert HevoAsyncClient(place, "a-key", "a-secret").base_url == "https://us.hevodata.com"


@pytest.mark.parametrize("place", ["", "https://"])
def test_a_missing_host_is_told_with_what_may_be_given(place: str) -> None:
    with pytest.raises(HevoConfigError, match=r"such as us.* HEVO-204$"):
        HevoAsyncClient(place, "a-key", "a-secret")


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("proxi", "Did you mean proxy?"),
        ("Skip_TLS_verifcation", "Did you mean skip_tls_verification?"),
        ("extra__hevo__time_out", "Did you mean timeout?"),
        ("colour", "What is read: timeout, headers, proxy,"),
    ],
)
def test_a_key_of_the_extra_that_nobody_reads_is_told_once(
    caplog: pytest.LogCaptureFixture, key: str, said: str
) -> None:
    extra = {key: "s3cr3t", "link": "https://example.com", "extra__hevo__timeout": 5}
    connection = SimpleNamespace(host="us", port=None, schema=None, login="a-key", password="a-secret")

    for _ in range(3):
        ConnectionSettings.of(connection, extra)

    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith(f"The connection's extra has {key!r}, which is not read. {said}")
    assert "s3cr3t" not in line


def test_what_is_read_of_the_extra_is_what_the_form_shows() -> None:
    read = set()

    class Extra(dict[str, Any]):
        def get(self, name: str, default: Any = None) -> Any:
            read.add(name)
            return default

    ConnectionSettings.of(SimpleNamespace(host="us", port=None, schema=None, login="k", password="s"), Extra())

    assert {name for name in read if not name.startswith("extra__")} == CONNECTION_FORM["conn-fields"].keys()


@pytest.mark.parametrize(
    "host",
    [
        "http://us.hevodata.com",
        "http://localhost.example.com",
        "http://127.0.0.1.example.com",
        "http://10.0.0.1",
        "http://0.0.0.0",
        "http://[::ffff:10.0.0.1]",
        "http://2130706433",
        "http://host.docker.internal:8123",
    ],
)
def test_credentials_are_not_sent_unencrypted_over_a_network(host: str) -> None:
    with pytest.raises(HevoConfigError, match="unencrypted"):
        base_url_of(host)


def test_a_schema_of_http_does_not_make_a_region_unencrypted() -> None:
    with pytest.raises(HevoConfigError, match=r"unencrypted to us\.hevodata\.com: use https"):
        base_url_of("us", None, "http")


@pytest.mark.parametrize(
    "host",
    [
        "https://key:s3cr3t@us.hevodata.com",
        "key:s3cr3t@us.hevodata.com",
        "https://s3cr3t@us.hevodata.com",
        "ftp://:s3cr3t@x",
    ],
)
def test_credentials_in_the_host_are_refused_and_not_repeated(host: str) -> None:
    with pytest.raises(HevoConfigError) as raised:
        base_url_of(host)

    assert "s3cr3t" not in str(raised.value)


@pytest.mark.parametrize(
    "host",
    [
        None,
        "",
        "   ",
        "/",
        "://",
        "https://",
        "ftp://us.hevodata.com",
        "file:///etc/passwd",
        "https://us.hevodata.com:port",
        "https://us.hevodata.com:99999",
        "https://[::1",
        "https://us.hevodata.com?x=1",
        "https://us.hevodata.com#x",
        "us hevodata com",
    ],
)
def test_what_makes_no_url_is_refused(host: str | None) -> None:
    with pytest.raises(HevoConfigError):
        base_url_of(host)


@pytest.mark.parametrize("schema", ["ftp", "hevo", "https:"])
def test_a_schema_that_is_neither_http_nor_https_is_refused(schema: str) -> None:
    with pytest.raises(HevoConfigError):
        base_url_of("us.hevodata.com", None, schema)


def settings_of(extra: dict[str, Any] | None = None, **fields: Any) -> ConnectionSettings:
    connection = {"host": "us", "port": None, "schema": None, "login": "key", "password": "secret", **fields}
    return ConnectionSettings.of(SimpleNamespace(**connection), extra or {})


def test_login_and_password_are_key_and_secret() -> None:
    access = settings_of().access

    assert access.base_url == "https://us.hevodata.com"
    assert (access.credentials.key, access.credentials.secret) == ("key", "secret")


@pytest.mark.parametrize(("field", "named"), [("login", "API key"), ("password", "API secret")])
@pytest.mark.parametrize("value", [None, ""])
def test_a_missing_credential_is_named(field: str, named: str, value: str | None) -> None:
    missing: dict[str, Any] = {field: value}

    with pytest.raises(HevoConfigError, match=named):
        settings_of(**missing)


@pytest.mark.parametrize(("field", "named"), [("login", r"key \(login\)"), ("password", r"secret \(password\)")])
@pytest.mark.parametrize("value", ["a-value\n", "a-value\r\n", " a-value", "a-value\t", "a-value\u00a0"])
def test_a_credential_with_white_space_at_an_end_is_named_and_not_repeated(field: str, named: str, value: str) -> None:
    pasted: dict[str, Any] = {field: value}

    with pytest.raises(HevoConfigError, match=rf"API {named} begins or ends with white space") as raised:
        settings_of(**pasted)

    assert "a-value" not in str(raised.value)


def test_headers_come_from_the_extra() -> None:
    assert settings_of({"headers": {"X-Team": "data"}}).access.headers == {"X-Team": "data"}


@pytest.mark.parametrize("extra", [["X-Team"], 5, "text", True, None])
def test_an_extra_that_is_no_object_is_refused(extra: Any) -> None:
    connection = SimpleNamespace(host="us", port=None, schema=None, login="key", password="secret")

    assert not names_a_file(extra)
    with pytest.raises(HevoConfigError, match="extra must be a JSON object"):
        ConnectionSettings.of(connection, extra)


@pytest.mark.parametrize("headers", [["X-Team"], "X-Team: data", {"X-Team": 5}, {"X-Team": None}])
def test_headers_that_are_no_texts_are_refused(headers: object) -> None:
    with pytest.raises(HevoConfigError, match="headers"):
        settings_of({"headers": headers})
