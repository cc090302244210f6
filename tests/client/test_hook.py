"""``HevoHook``: from an Airflow connection to a client, in async code and in sync code alike."""

from __future__ import annotations

import asyncio
import inspect
import json
import pydoc
import socket
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowNotFoundException
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from hevo_provider.client import HevoAsyncClient
from hevo_provider.exceptions import (
    HevoAuthError,
    HevoConfigError,
    HevoConnectionError,
    HevoNotFoundError,
    HevoServerError,
    HevoTimeoutError,
)
from hevo_provider.hooks import HevoHook
from hevo_provider.sandbox import Fault, Sandbox
from tests.stage.clock import VirtualClock

CONNECTION = "AIRFLOW_CONN_HEVO_AIRFLOW_CONN_ID"


def connection(monkeypatch: pytest.MonkeyPatch, hevo: Sandbox | None = None, **fields: Any) -> None:
    """Make Airflow's default connection to Hevo."""
    known = {} if hevo is None else {"host": hevo.url, "login": hevo.key, "password": hevo.secret}
    values = {"conn_type": "hevo", "host": "us", "login": "a-key", "password": "a-secret", **known, **fields}
    monkeypatch.setenv(CONNECTION, json.dumps(values))


# Async and sync


def test_a_sync_method_blocks_and_returns_what_the_async_one_does(hevo: Sandbox) -> None:
    hevo.add_pipeline(7)

    assert HevoHook().get_pipeline(7) == asyncio.run(HevoHook().aget_pipeline(7))


def test_a_sync_list_is_the_whole_of_the_async_walk(hevo: Sandbox) -> None:
    for number in range(1, 31):
        hevo.add_pipeline(number)

    async def walk() -> list[Any]:
        return [pipeline async for pipeline in HevoHook().alist_pipelines(limit=10)]

    assert HevoHook().list_pipelines(limit=10) == asyncio.run(walk())
    assert [pipeline.id for pipeline in HevoHook().list_pipelines()] == list(range(1, 31))


def test_every_call_of_the_client_is_there_twice_with_its_parameters_and_words() -> None:
    in_part = {"poll_job", "newest_jobs"}  # of other calls
    calls = {
        name: method
        for name, method in vars(HevoAsyncClient).items()
        if inspect.isfunction(method) and not name.startswith("_") and name not in in_part
    }

    for name, method in calls.items():
        for twin in (getattr(HevoHook, name), getattr(HevoHook, f"a{name}")):
            assert inspect.signature(twin) == inspect.signature(method)
            assert twin.__doc__ == method.__doc__
        assert not inspect.iscoroutinefunction(getattr(HevoHook, name))
    assert len(calls) == 15


def test_a_hook_can_be_used_again_and_again_from_sync_code(hevo: Sandbox) -> None:
    hevo.add_pipeline(7)
    hook = HevoHook()

    for _ in range(3):
        assert hook.get_pipeline(7).id == 7


def test_an_error_in_a_sync_method_is_the_async_ones(hevo: Sandbox) -> None:
    with pytest.raises(HevoNotFoundError, match="404"):
        HevoHook().get_pipeline(8)


async def test_a_sync_method_in_an_event_loop_names_the_async_one(hevo: Sandbox) -> None:
    for call, name in ((HevoHook().get_pipeline, "aget_pipeline"), (HevoHook().sync_now, "async_now")):
        with pytest.raises(RuntimeError, match=f"use {name} there"):
            call(7)
    with pytest.raises(RuntimeError, match="use alist_jobs there"):
        HevoHook().list_jobs(7)
    with pytest.raises(RuntimeError, match=r"HevoHook\.test_connection would block .*asyncio\.to_thread"):
        HevoHook().test_connection()

    assert hevo.requests == []


async def test_the_async_methods_of_one_hook_can_run_at_once(hevo: Sandbox) -> None:
    hevo.add_pipeline(7)
    hook = HevoHook()

    pipelines = await asyncio.gather(*(hook.aget_pipeline(7) for _ in range(5)))

    assert [pipeline.id for pipeline in pipelines] == [7] * 5


# From the connection


async def test_get_conn_returns_a_client_to_be_used_alone(hevo: Sandbox) -> None:
    hevo.add_pipeline(7)

    async with await asyncio.to_thread(HevoHook().get_conn) as client:
        assert (await client.get_pipeline(7)).id == 7


def test_a_connection_of_the_type_http_is_taken_too(hevo: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    hevo.add_pipeline(7)
    connection(monkeypatch, hevo, conn_type="http", schema="http", host=hevo.host, port=hevo.port)

    assert HevoHook().get_pipeline(7).id == 7


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({"password": None}, "API secret"),
        ({"login": "a:key"}, "colon"),
        ({"host": "us.hevodata.com?x=1"}, "query"),
        ({"extra": {"headers": {"X-Team": "a\nb"}}}, "header 'X-Team'"),
    ],
)
def test_a_connection_that_cannot_be_used_is_named(
    monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any], what: str
) -> None:
    connection(monkeypatch, **fields)

    for look_up in (HevoHook().get_conn, lambda: HevoHook().get_pipeline(7)):
        with pytest.raises(HevoConnectionError, match=rf"Airflow connection 'hevo_airflow_conn_id': .*{what}"):
            look_up()


def test_a_connection_that_does_not_exist_is_named(airflow_database: None) -> None:
    with pytest.raises(HevoConfigError, match="no_such_connection"):
        HevoHook("no_such_connection").get_pipeline(7)


def test_headers_of_the_hook_go_over_those_of_the_connection(hevo: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    hevo.add_pipeline(7)
    connection(monkeypatch, hevo, extra={"headers": {"X-Team": "data", "X-Env": "test"}})

    HevoHook(extra_headers={"X-Env": "prod"}).get_pipeline(7)

    [request] = hevo.requests
    assert (request.headers["X-Team"], request.headers["X-Env"]) == ("data", "prod")


def test_a_key_rotated_while_the_hook_lives_is_read_from_the_connection(
    hevo: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    hevo.add_pipeline(7)
    hook = HevoHook()
    hook.get_pipeline(7)

    hevo.secret = "the-new-secret"
    connection(monkeypatch, hevo)

    assert hook.get_pipeline(7).id == 7
    hevo.unauthorized = True
    with pytest.raises(HevoAuthError):
        hook.get_pipeline(7)


@pytest.mark.filterwarnings("ignore:Encountered JSON value in `extra`")  # Airflow 2 warns, and takes it
@pytest.mark.parametrize("extra", ["[]", "null", "5", '"text"', '["ca_file"]', "true"])
def test_an_extra_that_is_no_object_is_told_as_such(monkeypatch: pytest.MonkeyPatch, extra: str) -> None:
    connection(monkeypatch, extra=extra)
    try:
        HevoHook.get_connection("hevo_airflow_conn_id")
    except AirflowNotFoundException:
        pytest.skip("this Airflow takes no such connection from the environment")

    for look_up in (HevoHook().get_conn, lambda: HevoHook().get_pipeline(7)):
        with pytest.raises(HevoConfigError, match=r"Airflow connection 'hevo_airflow_conn_id': .*JSON object"):
            look_up()
    ok, message = HevoHook().test_connection()
    assert not ok
    assert "JSON object" in message


# How it asks


def test_retries_follow_the_hooks_settings(hevo: Sandbox, clock: VirtualClock) -> None:
    hevo.inject("get_pipeline", Fault.status(503), times=None)

    with pytest.raises(HevoServerError):
        HevoHook(retry_limit=5, retry_delay=0.1).get_pipeline(7)
    assert len(hevo.requests) == 6

    hevo.reset_record()
    with pytest.raises(HevoServerError):
        HevoHook(retryable_status_codes=[429]).get_pipeline(7)
    assert len(hevo.requests) == 1


def test_the_help_of_the_hook_shows_no_list_of_statuses() -> None:
    assert "599" not in pydoc.render_doc(HevoHook)


def test_the_timeout_of_the_hook_bounds_a_request(hevo: Sandbox) -> None:
    hevo.inject("get_pipeline", Fault.hang(), times=None)

    with pytest.raises(HevoTimeoutError, match=r"within 0\.05 s"):
        HevoHook(timeout=0.05, retry_limit=0).get_pipeline(7)


def test_a_look_up_in_the_dns_that_hangs_does_not_outlast_the_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    returned, answered = threading.Event(), threading.Event()

    def getaddrinfo(*_: object, **__: object) -> None:
        returned.wait(10)
        answered.set()
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    connection(monkeypatch, host="us")

    with pytest.raises(HevoTimeoutError):
        HevoHook(timeout=0.05, retry_limit=0).get_pipeline(7)

    assert not answered.is_set()
    returned.set()
    assert answered.wait(10), "the thread was not left hanging by the test"


def test_extra_kwargs_go_to_aiohttp(hevo: Sandbox) -> None:
    with Sandbox() as proxy:
        proxy.key, proxy.secret = hevo.key, hevo.secret
        proxy.add_pipeline(7, name="behind the proxy")

        pipeline = HevoHook(extra_kwargs={"proxy": proxy.url}).get_pipeline(7)

    assert pipeline.name == "behind the proxy"
    assert hevo.requests == []


@pytest.mark.parametrize(
    "parameters",
    [
        {"retry_limit": -1},
        {"retry_delay": -1},
        {"timeout": 0},
        {"timeout": -5},
        {"extra_kwargs": {"headers": {}}},
        {"extra_kwargs": {"allow_redirects": True}},
        {"extra_headers": {"X": "a\nb"}},
    ],
)
def test_parameters_that_make_no_sense_are_refused_at_once(parameters: dict[str, Any]) -> None:
    with pytest.raises(HevoConfigError):
        HevoHook(**parameters)


def test_for_a_process_about_to_be_killed_there_is_a_client_only_if_the_connection_is_known(hevo: Sandbox) -> None:
    hevo.add_pipeline(7)
    hook = HevoHook()

    assert hook.last_client(1.0) is None
    hook.get_pipeline(7)
    assert isinstance(hook.last_client(1.0), HevoAsyncClient)


# The Test button


@pytest.fixture
def tls_server(tmp_path: Path) -> Iterator[int]:
    """A server with a certificate that nobody trusts: its port."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = tmp_path / "server.pem"
    pem.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    with Sandbox() as sandbox:  # only to have a loop in a thread that outlives the test
        assert sandbox._loop is not None

        async def serve() -> asyncio.Server:
            return await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=context)

        server = asyncio.run_coroutine_threadsafe(serve(), sandbox._loop).result()
        yield server.sockets[0].getsockname()[1]
        sandbox._loop.call_soon_threadsafe(server.close)


@pytest.mark.parametrize(
    ("pipelines", "told"),
    [
        (0, "no pipelines are visible"),
        (1, "1 pipeline is visible"),
        (138, "138 pipelines are visible"),
        (501, "more than 500 pipelines are visible"),
    ],
)
def test_the_test_button_counts_the_pipelines_that_the_key_can_see(hevo: Sandbox, pipelines: int, told: str) -> None:
    for number in range(1, pipelines + 1):
        hevo.add_pipeline(number)

    assert HevoHook().test_connection() == (True, f"Connected to 127.0.0.1; {told}.")
    assert {request.path for request in hevo.requests} == {"/api/v1/pipelines"}
    assert len(hevo.requests) <= 6


def test_the_test_button_does_not_tell_the_id_that_airflows_form_makes_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_XJ7K2Q", json.dumps({"conn_type": "hevo", "host": "us", "login": "key"}))

    assert HevoHook("xj7k2q").test_connection() == (
        False,
        "The connection has no password (the API secret). (HEVO-202)",
    )


def test_a_wrong_key_is_told_by_what_to_check(hevo: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    connection(monkeypatch, hevo, password="not-the-secret")

    ok, message = HevoHook().test_connection()

    assert not ok
    assert message.endswith(
        "Check login (the API key) and password (the API secret), and that they belong to this region. (HEVO-301)"
    )
    assert "not-the-secret" not in message


def test_a_wrong_region_is_told_by_what_to_check(monkeypatch: pytest.MonkeyPatch) -> None:
    def getaddrinfo(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    connection(monkeypatch, host="us9")

    ok, message = HevoHook().test_connection()

    assert not ok
    assert "cannot connect to us9.hevodata.com: there is no such host as us9.hevodata.com; check the region" in message


def test_a_name_server_that_is_out_is_not_taken_for_a_wrong_region(monkeypatch: pytest.MonkeyPatch) -> None:
    def getaddrinfo(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    connection(monkeypatch, host="us")

    ok, message = HevoHook().test_connection()

    assert not ok
    assert "the name server does not answer when asked for us.hevodata.com" in message
    assert "region" not in message


def test_a_host_where_nothing_listens_is_told_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        connection(monkeypatch, host=f"http://127.0.0.1:{reserved.getsockname()[1]}")

        ok, message = HevoHook().test_connection()

    assert not ok
    assert "cannot connect to 127.0.0.1: nothing listens there; check host and port" in message


def test_a_plain_service_behind_https_is_told_as_such(hevo: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    connection(monkeypatch, hevo, host=f"https://127.0.0.1:{hevo.port}")

    ok, message = HevoHook().test_connection()

    assert not ok
    assert "what answers there does not speak TLS" in message
    assert hevo.requests == []


def test_a_certificate_that_is_not_trusted_is_told_as_such(tls_server: int, monkeypatch: pytest.MonkeyPatch) -> None:
    connection(monkeypatch, host=f"https://127.0.0.1:{tls_server}")

    ok, message = HevoHook().test_connection()

    assert not ok
    assert "its TLS certificate is not trusted (self-signed certificate)" in message


def test_a_proxy_that_does_not_answer_is_told_as_such(hevo: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        proxy = f"http://user:pass@127.0.0.1:{reserved.getsockname()[1]}"

        ok, message = HevoHook(extra_kwargs={"proxy": proxy}).test_connection()

    assert not ok
    assert "the proxy 127.0.0.1 does not answer" in message
    assert "pass" not in message


@pytest.mark.parametrize("fault", [Fault.html(), Fault.status(404), Fault.json(["anything"])])
def test_a_host_that_is_not_hevo_is_told_as_such(hevo: Sandbox, fault: Fault) -> None:
    hevo.inject("list_pipelines", fault)

    ok, message = HevoHook().test_connection()

    assert not ok
    assert "What answers there is not Hevo's API: check the host. (HEVO-3" in message


def test_a_page_of_a_firewall_is_told_as_such(hevo: Sandbox) -> None:
    hevo.inject("list_pipelines", Fault.html(403))

    ok, message = HevoHook().test_connection()

    assert not ok
    assert "not from Hevo's API, but a page of a gateway, firewall or proxy" in message
    assert message.endswith("Check the host, and what stands between. (HEVO-309)")


def test_a_connection_without_credentials_is_told_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    connection(monkeypatch, login=None)

    ok, message = HevoHook().test_connection()

    assert not ok
    assert "login (the API key)" in message


def test_whoever_waits_at_the_button_gets_an_answer_at_the_first_failure(hevo: Sandbox) -> None:
    hevo.inject("list_pipelines", Fault.status(503), times=None)

    assert not HevoHook().test_connection()[0]
    assert len(hevo.requests) == 1
