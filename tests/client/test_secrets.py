"""Key and secret show in no error, log line or repr, and go to no other host: also where a server plays them back."""

from __future__ import annotations

import html
import json
import logging
import re
import traceback
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from functools import reduce
from urllib.parse import quote, quote_plus

import pytest
from aiohttp import BasicAuth
from hypothesis import given, settings
from hypothesis import strategies as st

from hevo_provider.client import HevoAsyncClient
from hevo_provider.client.access import Access, Credentials
from hevo_provider.client.redaction import Redaction
from hevo_provider.connection import ConnectionSettings
from hevo_provider.exceptions import HevoError
from hevo_provider.hooks import HevoHook
from hevo_provider.sandbox import Fault, Sandbox
from tests.stage.clients import connect
from tests.stage.clock import VirtualClock

KEY = 'key-"Zürich"/%'
SECRET = "s3cr3t \\ & ☃ <quoted>"
TOKEN = b64encode(f"{KEY}:{SECRET}".encode()).decode()
SPELLINGS = [
    spelled
    for plain in (KEY, SECRET, TOKEN)
    for spelled in (plain, json.dumps(plain)[1:-1], json.dumps(plain, ensure_ascii=False)[1:-1], quote(plain, safe=""))
]


def assert_no_secret(text: str) -> None:
    for secret in SPELLINGS:
        assert secret not in text


def everything_about(error: BaseException | None) -> str:
    """Return whatever a logger, debugger or error tracker could show of an exception and those behind it."""
    text = ""
    while error is not None:
        text += "".join(traceback.format_exception(error)) + repr(error) + str(error) + repr(vars(error))
        error = error.__cause__ or error.__context__
    return text


def echoes() -> dict[str, Fault]:
    everything = " ".join(SPELLINGS)
    return {
        "error as JSON": Fault.status(400, body={"error": KEY, "message": f"{SECRET} {TOKEN}"}),
        "error as escaped JSON": Fault.status(400, body=json.dumps({"message": f"{KEY} {SECRET}"}).encode()),
        "error as HTML": Fault.raw(f"<pre>Authorization: Basic {everything}</pre>".encode(), status=502),
        "unreadable": Fault.raw(everything.encode()),
        "unreadable field": Fault.json({"id": everything}),
        "status": Fault.json({"id": 7, "status": SECRET}),
        "redirect": Fault.redirect(f"http://{quote(SECRET, safe='')}.example.com/?{quote(TOKEN, safe='')}"),
        "header": Fault.raw(b"", status=429, headers={"Retry-After": TOKEN}),
        "truncated": Fault.truncated(),
        "reset": Fault.reset(),
    }


@pytest.mark.parametrize("fault", echoes().values(), ids=echoes())
async def test_an_error_holds_no_secret_that_the_server_plays_back(
    clock: VirtualClock, caplog: pytest.LogCaptureFixture, fault: Fault
) -> None:
    caplog.set_level(logging.DEBUG)
    with Sandbox(key=KEY, secret=SECRET, clock=clock.now) as hevo:
        hevo.add_pipeline(7)
        hevo.inject("get_pipeline", fault, times=None)
        async with connect(hevo, clock, retry_limit=1) as client:
            try:
                told = repr(await client.get_pipeline(7))
            except HevoError as error:
                told = everything_about(error)

    assert hevo.requests[0].authorized
    assert_no_secret(told)
    assert_no_secret(caplog.text)


GATEWAY_TOKEN = "t0psecretTOKEN"
PROXY_USER, PROXY_PASSWORD = "proxy-usér", "pr0xy&passw/rd"
PROXY_TOKEN = b64encode(f"{PROXY_USER}:{PROXY_PASSWORD}".encode("latin1")).decode()
OTHERS = [GATEWAY_TOKEN, PROXY_TOKEN]
for plain in (PROXY_USER, PROXY_PASSWORD):
    OTHERS += [plain, quote(plain), quote(plain, safe="")]
IN_ALL = " ".join(OTHERS)


@pytest.mark.parametrize(
    "fault",
    {
        "error": Fault.status(403, body={"error": IN_ALL}),
        "page": Fault.raw(f"<pre>{IN_ALL}</pre>".encode(), status=502),
        "page that is no error": Fault.raw(f"<pre>{IN_ALL}</pre>".encode()),
        "JSON of a wrong shape": Fault.json({"headers": IN_ALL}),
    }.values(),
)
@pytest.mark.filterwarnings("ignore:.* deprecated:DeprecationWarning")
@pytest.mark.parametrize("separately", [True, False])
async def test_an_error_holds_no_secret_of_headers_and_proxy_that_a_gateway_plays_back(
    hevo: Sandbox, clock: VirtualClock, fault: Fault, separately: bool
) -> None:
    hevo.inject("get_pipeline", fault)
    host = f"127.0.0.1:{hevo.port}"  # which takes what is sent to a proxy too
    if separately:
        proxy = {"proxy": f"http://{host}", "proxy_auth": BasicAuth(PROXY_USER, PROXY_PASSWORD)}
    else:
        user, password = quote(PROXY_USER, safe=""), quote(PROXY_PASSWORD, safe="")
        proxy = {"proxy": f"http://{user}:{password}@{host}"}

    headers = {"X-Gateway-Token": f"Bearer {GATEWAY_TOKEN}", "Accept": "text/html"}
    async with connect(hevo, clock, retry_limit=0, headers=headers, request_kwargs=proxy) as client:
        with pytest.raises(HevoError) as raised:
            await client.get_pipeline(7)

    assert hevo.requests[0].headers["Proxy-Authorization"] == f"Basic {PROXY_TOKEN}"
    told = everything_about(raised.value)
    for secret in OTHERS:
        assert secret not in told


async def test_headers_that_are_ordinary_words_leave_data_and_errors_as_they_are(
    hevo: Sandbox, clock: VirtualClock
) -> None:
    hevo.add_pipeline(7, name="production orders")
    hevo.inject("list_pipelines", Fault.html(415))

    headers = {"X-Environment": "production", "Accept": "again later"}
    async with connect(hevo, clock, headers=headers) as client:
        assert (await client.get_pipeline(7)).name == "production orders"
        with pytest.raises(HevoError, match="try again later"):
            async for _ in client.list_pipelines():
                pass


async def test_a_short_secret_leaves_answers_as_they_are(clock: VirtualClock) -> None:
    with Sandbox(key="id", secret="7", clock=clock.now) as hevo:
        hevo.add_pipeline(7)
        async with connect(hevo, clock) as client:
            assert (await client.get_pipeline(7)).id == 7


async def test_no_repr_shows_a_secret(clock: VirtualClock) -> None:
    client = HevoAsyncClient("https://us.hevodata.com", KEY, SECRET, headers={"X-Token": SECRET})
    access = Access("https://us.hevodata.com", Credentials(KEY, SECRET), {"X-Token": SECRET})

    for thing in (
        client,
        ConnectionSettings(access),
        access,
        access.credentials,
        HevoHook(extra_headers={"X-Token": SECRET}),
    ):
        assert_no_secret(repr(thing) + str(thing))


async def test_a_redirect_sends_nothing_to_where_it_leads(hevo: Sandbox, clock: VirtualClock) -> None:
    with Sandbox() as elsewhere:
        for status in (301, 302, 303, 307, 308):
            hevo.inject("get_pipeline", Fault.redirect(f"{elsewhere.url}/api/v1/pipelines/7", status=status))
            async with connect(hevo, clock) as client:
                with pytest.raises(HevoError):
                    await client.get_pipeline(7)

        assert elsewhere.requests == []
        assert elsewhere.connections_opened == 0


async def test_a_cookie_is_not_kept(hevo: Sandbox, clock: VirtualClock) -> None:
    hevo.add_pipeline(7)
    hevo.inject("get_pipeline", Fault.with_headers({"Set-Cookie": "session=1; Path=/"}))

    async with connect(hevo, clock) as client:
        await client.get_pipeline(7)
        await client.get_pipeline(7)

    assert "Cookie" not in hevo.requests[-1].headers


# In whatever spelling they come back


def as_json(text: str) -> str:
    return json.dumps(text)[1:-1]


def as_json_of_java(text: str) -> str:
    return "".join(f"\\u{ord(c):04x}" if c in "=&<>'" else as_json(c) for c in text)


def as_json_of_go(text: str) -> str:
    return "".join(f"\\u{ord(c):04x}" if c in "&<>" else json.dumps(c, ensure_ascii=False)[1:-1] for c in text)


def as_numbered_html(text: str) -> str:
    return "".join(c if c.isascii() and c.isalnum() else f"&#x{ord(c):X};" for c in text)


def percent_encoded_in_lower_case(text: str) -> str:
    return re.sub("%..", lambda escape: escape[0].lower(), quote(text, safe=""))


SPELLED: list[Callable[[str], str]] = [
    str,
    as_json,
    as_json_of_java,
    as_json_of_go,
    html.escape,
    as_numbered_html,
    quote,
    quote_plus,
    percent_encoded_in_lower_case,
]
TEXTS = st.text(st.sampled_from("abXY019+/=&<>\"'\\% ;#.,-_~:!?{}é☃😀ux4d"), min_size=8, max_size=24)


@settings(max_examples=200)
@given(TEXTS, st.lists(st.sampled_from(SPELLED), min_size=1, max_size=3))
def test_a_secret_is_struck_out_in_any_spelling_and_spelling_of_a_spelling(
    secret: str, spelled: list[Callable[[str], str]]
) -> None:
    echoed = reduce(lambda text, spell: spell(text), spelled, secret)

    struck = Redaction([secret]).of(f"You sent [{echoed}].".encode())

    assert struck == b"You sent [***]."


@given(st.binary(min_size=6, max_size=20), st.booleans(), st.booleans())
def test_base64_is_struck_out_without_its_padding_and_in_the_letters_of_urls(
    secret: bytes, padded: bool, for_urls: bool
) -> None:
    token = b64encode(secret).decode()
    echoed = (urlsafe_b64encode if for_urls else b64encode)(secret)

    struck = Redaction([token]).of(b"<" + (echoed if padded else echoed.rstrip(b"=")) + b">")

    assert struck == b"<***>"


@given(st.binary(max_size=200))
def test_a_text_without_a_secret_stays_as_it_is(text: bytes) -> None:
    assert Redaction(["a-secret-of-24-letters!!"]).of(text) == text


def test_all_of_a_text_but_the_secrets_stays_as_it_is() -> None:
    text = b"<p>a \\u003c b%20&amp; key=abc\\u003ddef&#x3D;! and abc=def=! &lt;c\\</p>"

    assert Redaction(["abc=def=!"]).of(text) == b"<p>a \\u003c b%20&amp; key=*** and *** &lt;c\\</p>"


def test_a_secret_far_down_is_struck_out_as_it_is() -> None:
    assert Redaction(["abc=def=!"]).of(b"%41" * 100_000 + b"abc=def=!") == b"%41" * 100_000 + b"***"


@pytest.mark.parametrize("spell", SPELLED)
async def test_an_error_holds_no_secret_that_a_gateway_plays_back_in_another_spelling(
    clock: VirtualClock, spell: Callable[[str], str]
) -> None:
    secret = "s3cr3t=&<quoted>'s"
    with Sandbox(key="a-key-of-mine", secret=secret, clock=clock.now) as hevo:
        hevo.inject("get_pipeline", Fault.raw(f"<pre>{spell(secret)}</pre>".encode(), status=502))
        async with connect(hevo, clock, retry_limit=0) as client:
            with pytest.raises(HevoError, match=r"<pre>\*\*\*</pre>"):
                await client.get_pipeline(7)
