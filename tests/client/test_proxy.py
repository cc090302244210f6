"""Through which proxy requests go: what the connection says, or else the environment; and who is told of it."""

from __future__ import annotations

import asyncio
import socket
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from hevo_provider.client import HevoAsyncClient
from hevo_provider.client.access import Access, Credentials
from hevo_provider.exceptions import HevoConfigError, HevoGatewayError, HevoTransportError
from hevo_provider.hooks import HevoHook
from hevo_provider.sandbox import Fault, Sandbox
from tests.stage.clients import connect
from tests.stage.clock import VirtualClock

HEVO = "https://us.hevodata.com"


@pytest.fixture(autouse=True)
def _no_proxy_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "no_proxy", "REQUEST_METHOD"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def proxy_for(url: str = HEVO, **request_kwargs: object) -> str | None:
    return Access(url, Credentials("a-key", "a-secret"), request_kwargs=request_kwargs).proxy


class Proxy:
    """An HTTP proxy that lets nobody through, and knows who wanted to where."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.port = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.asked.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()


@asynccontextmanager
async def running_proxy() -> AsyncIterator[Proxy]:
    proxy = Proxy()
    async with await asyncio.start_server(proxy, "127.0.0.1", 0) as server:
        proxy.port = server.sockets[0].getsockname()[1]
        yield proxy


@pytest.mark.parametrize(
    ("variables", "proxy"),
    [
        ({}, None),
        ({"HTTPS_PROXY": "http://proxy:3128"}, "http://proxy:3128"),
        ({"https_proxy": "http://user:pass@proxy:3128"}, "http://user:pass@proxy:3128"),
        ({"HTTPS_PROXY": "proxy:3128"}, "http://proxy:3128"),
        ({"HTTPS_PROXY": ""}, None),
        ({"HTTP_PROXY": "http://proxy:3128"}, None),  # is for http://, which only this machine is spoken to by
        ({"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": "example.com,.hevodata.com"}, None),
        ({"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": "us.hevodata.com:443"}, None),
        ({"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": "*"}, None),
        ({"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": "eu.hevodata.com"}, "http://proxy:3128"),
    ],
)
def test_a_connection_that_names_no_proxy_goes_through_the_environments(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], proxy: str | None
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    assert proxy_for() == proxy


@pytest.mark.parametrize("host", ["http://localhost:8123", "http://127.0.0.1:8123", "https://[::1]:8123"])
def test_this_machine_is_never_asked_through_a_proxy(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://proxy:3128")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")

    assert proxy_for(host) is None


def test_what_the_connection_says_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")

    assert proxy_for(proxy="http://other:3128") == "http://other:3128"
    assert proxy_for(proxy=None) is None


@pytest.mark.parametrize("proxy", ["socks5://user:hunter2@proxy:1080", "http://[hunter2"])
def test_a_proxy_of_the_environment_that_cannot_be_used_is_said_and_gone_past(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, proxy: str
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy)

    assert proxy_for() is None
    assert "The proxy of HTTPS_PROXY is not used" in caplog.text
    assert "hunter2" not in caplog.text


@pytest.mark.parametrize("password", ["sn\u2603w", "%E2%98%83"])
def test_a_password_that_cannot_be_sent_is_an_error_of_the_configuration(
    monkeypatch: pytest.MonkeyPatch, password: str
) -> None:
    with pytest.raises(HevoConfigError, match="Latin-1"):
        proxy_for(proxy=f"http://user:{password}@proxy:3128")

    monkeypatch.setenv("HTTPS_PROXY", f"http://user:{password}@proxy:3128")
    with pytest.raises(HevoConfigError, match="Latin-1"):
        proxy_for()


async def test_requests_go_to_the_proxy_with_its_credentials_and_an_error_says_so_without(
    monkeypatch: pytest.MonkeyPatch, clock: VirtualClock
) -> None:
    async with running_proxy() as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://user:hunter2@127.0.0.1:{proxy.port}")
        async with HevoAsyncClient(HEVO, "a-key", "a-secret", clock=clock.clock, retry_limit=0) as client:
            with pytest.raises(HevoTransportError) as raised:
                await client.sync_now(7)

    way = f"us.hevodata.com through the proxy 127.0.0.1:{proxy.port} (HTTPS_PROXY)"
    assert f"the proxy refused to connect to {way}: 407" in str(raised.value)
    assert not raised.value.sent
    assert proxy.asked[0].startswith("CONNECT us.hevodata.com:443")
    assert f"Proxy-Authorization: Basic {b64encode(b'user:hunter2').decode()}" in proxy.asked[0]
    assert "Authorization: Basic " + b64encode(b"a-key:a-secret").decode() not in proxy.asked[0]


async def test_a_proxy_that_does_not_exist_is_named(monkeypatch: pytest.MonkeyPatch, clock: VirtualClock) -> None:
    def getaddrinfo(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example.com:3128")

    async with HevoAsyncClient(HEVO, "a-key", "a-secret", clock=clock.clock, retry_limit=0) as client:
        with pytest.raises(HevoTransportError, match=r"there is no such host as proxy\.example\.com"):
            await client.get_pipeline(7)


async def test_a_borrowed_session_goes_its_own_way(monkeypatch: pytest.MonkeyPatch, clock: VirtualClock) -> None:
    async with running_proxy() as proxy, running_proxy() as other:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{other.port}")
        async with aiohttp.ClientSession(proxy=f"http://127.0.0.1:{proxy.port}") as session:
            client = HevoAsyncClient(HEVO, "a-key", "a-secret", clock=clock.clock, retry_limit=0, session=session)
            with pytest.raises(HevoTransportError):
                await client.get_pipeline(7)

    assert (len(proxy.asked), other.asked) == (1, [])


async def test_the_credentials_of_a_netrc_file_are_left_alone(
    hevo: Sandbox, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login somebody password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    hevo.add_pipeline(7)

    async with connect(hevo, clock) as client:
        assert (await client.get_pipeline(7)).id == 7


async def test_the_page_of_a_proxy_is_told_with_the_proxy(hevo: Sandbox, clock: VirtualClock) -> None:
    hevo.inject("get_pipeline", Fault.html(403))

    proxy = f"http://user:hunter2@127.0.0.1:{hevo.port}"
    async with connect(hevo, clock, retry_limit=0, request_kwargs={"proxy": proxy}) as client:
        with pytest.raises(HevoGatewayError, match=rf"127\.0\.0\.1 through the proxy 127\.0\.0\.1:{hevo.port}: <html"):
            await client.get_pipeline(7)


def test_the_test_button_says_through_which_proxy(hevo: Sandbox) -> None:
    hook = HevoHook(extra_kwargs={"proxy": f"http://user:hunter2@127.0.0.1:{hevo.port}"})

    way = f"127.0.0.1 through the proxy 127.0.0.1:{hevo.port}"
    assert hook.test_connection() == (True, f"Connected to {way}; no pipelines are visible.")
