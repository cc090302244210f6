"""What a user enters into the connection's own fields, and what becomes of it on the wire."""

from __future__ import annotations

import json
import os
import shutil
import ssl
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import certifi
import pytest

from hevo_provider.connection import ConnectionSettings
from hevo_provider.exceptions import HevoConfigError, HevoTimeoutError
from hevo_provider.hooks import HevoHook
from hevo_provider.sandbox import Fault, Sandbox

CA_FILE = certifi.where()
FIELDS = [
    "headers",
    "timeout",
    "requests_per_minute",
    "proxy",
    "ca_file",
    "relaxed_ca_checks",
    "client_cert",
    "client_key",
    "skip_tls_verification",
    "link",
]


def settings(**extra: Any) -> ConnectionSettings:
    connection = SimpleNamespace(host="us", port=None, schema=None, login="key", password="secret")
    return ConnectionSettings.of(connection, extra)


def connect(hevo: Sandbox, monkeypatch: pytest.MonkeyPatch, **extra: Any) -> None:
    connection = {"conn_type": "hevo", "host": hevo.url, "login": hevo.key, "password": hevo.secret, "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_HEVO_AIRFLOW_CONN_ID", json.dumps(connection))


@pytest.mark.parametrize(
    "empty",
    [
        {},
        dict.fromkeys(FIELDS),
        dict.fromkeys(FIELDS, ""),
        {"headers": {}, "skip_tls_verification": False},
    ],
)
def test_fields_left_empty_change_nothing(empty: dict[str, Any]) -> None:
    assert settings(**empty) == settings()
    assert settings(**empty).access.request_kwargs == {}


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Team": "the data team's"},
        '{"X-Team": "the data team\'s"}',
        "{'X-Team': \"the data team's\"}",  # as Airflow 2's form shows what another version has stored
    ],
)
def test_headers_are_read_as_an_object_and_as_its_text(headers: object) -> None:
    assert settings(headers=headers).access.headers == {"X-Team": "the data team's"}


@pytest.mark.parametrize("timeout", [45, 45.0, "45", " 45 "])
def test_a_timeout_is_read_as_a_number_and_as_its_text(timeout: object) -> None:
    assert settings(timeout=timeout).timeout == 45.0


@pytest.mark.parametrize(
    ("entered", "read"), [(None, 100), ("", 100), (500, 500), ("500", 500), (0, 0), ("0", 0), (0.0, 0), (1, 1)]
)
def test_the_limit_is_a_hundred_requests_a_minute_unless_another_is_entered_and_0_is_none(
    entered: object, read: float
) -> None:
    assert settings(requests_per_minute=entered).requests_per_minute == read


@pytest.mark.parametrize(("flag", "expected"), [(True, {"ssl": False}), ("true", {"ssl": False}), ("False", {})])
def test_verification_is_skipped_only_where_that_is_said(flag: object, expected: dict[str, Any]) -> None:
    assert settings(skip_tls_verification=flag).access.request_kwargs == expected


def test_fields_under_the_prefix_of_old_connections_are_read_too() -> None:
    assert settings(extra__hevo__timeout=45).timeout == 45
    assert settings(extra__hevo__timeout=45, timeout=50).timeout == 50


def test_a_ca_file_takes_the_place_of_the_systems_authorities() -> None:
    context = settings(ca_file=CA_FILE).access.request_kwargs["ssl"]

    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert len(context.get_ca_certs()) == Path(CA_FILE).read_text().count("BEGIN CERTIFICATE")


@pytest.mark.parametrize(
    ("extra", "named"),
    [
        ({"headers": ["X-Team"]}, "headers"),
        ({"headers": "X-Team: data"}, "headers"),
        ({"headers": {"X-Retries": 3}}, "headers"),
        ({"headers": "[" * 100_000}, "headers"),
        ({"timeout": "soon"}, "timeout"),
        ({"timeout": 0}, "timeout"),
        ({"timeout": True}, "timeout"),
        ({"timeout": "nan"}, "timeout"),
        *(
            ({"requests_per_minute": bad}, "requests_per_minute")
            for bad in (-1, 0.5, True, "many", "nan", "inf", [100])
        ),
        ({"skip_tls_verification": "maybe"}, "skip_tls_verification"),
        ({"skip_tls_verification": 1}, "skip_tls_verification"),
        ({"proxy": "proxy.example.com:3128"}, "proxy"),
        ({"proxy": "socks5://user:hunter2@proxy.example.com"}, "proxy"),
        ({"proxy": "http://user:hunter2@[proxy"}, "proxy"),
        ({"proxy": {"https": "http://proxy.example.com"}}, "proxy"),
        ({"proxy": "http://user:\u2603hunter2@proxy.example.com"}, "proxy.*Latin-1"),
        ({"ca_file": "/nowhere/ca.pem"}, "/nowhere/ca.pem"),
        ({"ca_file": __file__}, "test_connection_form"),
        ({"ca_file": "a\0b"}, "CA file"),
        ({"ca_file": 7}, "ca_file"),
    ],
)
def test_what_cannot_be_used_is_named_and_no_secret_repeated(extra: dict[str, Any], named: str) -> None:
    with pytest.raises(HevoConfigError, match=named) as caught:
        settings(**extra)

    assert "hunter2" not in str(caught.value)


def test_a_proxys_password_does_not_show() -> None:
    assert "hunter2" not in repr(settings(proxy="http://user:hunter2@proxy.example.com:3128"))


def test_the_connections_timeout_bounds_a_request(hevo: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    connect(hevo, monkeypatch, timeout=0.05)
    hevo.inject("get_pipeline", Fault.hang(), times=None)

    with pytest.raises(HevoTimeoutError, match="no answer"):
        HevoHook(retry_limit=0).get_pipeline(7)


def test_the_connections_proxy_is_gone_through(hevo: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    with Sandbox() as proxy:
        proxy.key, proxy.secret = hevo.key, hevo.secret
        proxy.add_pipeline(7, name="behind the proxy")
        connect(hevo, monkeypatch, proxy=proxy.url)

        assert HevoHook().get_pipeline(7).name == "behind the proxy"

    assert hevo.requests == []


def test_the_hooks_own_arguments_win(hevo: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    hevo.add_pipeline(7)
    connect(hevo, monkeypatch, timeout=0.001, proxy="http://127.0.0.1:9")

    pipeline = HevoHook(timeout=30, extra_kwargs={"proxy": None}).get_pipeline(7)

    assert pipeline.id == 7


def test_the_settings_are_the_same_until_the_ca_file_changes(tmp_path: Path) -> None:
    ca_file = tmp_path / "ca.pem"
    shutil.copy(CA_FILE, ca_file)
    first = settings(ca_file=str(ca_file))

    assert settings(ca_file=str(ca_file)) == first
    os.utime(ca_file, (1, 1))
    assert settings(ca_file=str(ca_file)) != first


async def test_a_ca_file_is_read_outside_the_event_loop(hevo: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    hevo.add_pipeline(7)
    connect(hevo, monkeypatch, ca_file=CA_FILE)
    readers: list[threading.Thread] = []
    read = ConnectionSettings.of

    def watched(*args: Any) -> ConnectionSettings:
        readers.append(threading.current_thread())
        return read(*args)

    monkeypatch.setattr(ConnectionSettings, "of", watched)

    async with HevoHook().client() as client:
        await client.get_pipeline(7)

    assert len(readers) == 1
    assert threading.current_thread() not in readers


def test_the_test_button_says_which_field_is_wrong(hevo: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    connect(hevo, monkeypatch, ca_file="/nowhere/ca.pem")

    ok, message = HevoHook().test_connection()

    assert not ok
    assert "/nowhere/ca.pem" in message
    assert ".." not in message
