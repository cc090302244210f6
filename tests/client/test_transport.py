"""The one retry loop: which failures are repeated, how often, after which pause, and what they become in the end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from email.utils import formatdate

import aiohttp
import pytest

from hevo_provider import __version__
from hevo_provider.client import HevoAsyncClient
from hevo_provider.client.responses import raise_for_error
from hevo_provider.client.transport import backoff
from hevo_provider.exceptions import (
    HevoAPIError,
    HevoAuthError,
    HevoConfigError,
    HevoConflictError,
    HevoError,
    HevoGatewayError,
    HevoNotFoundError,
    HevoRateLimitError,
    HevoResponseError,
    HevoServerError,
    HevoTimeoutError,
    HevoTransportError,
)
from hevo_provider.sandbox import Fault, Sandbox
from tests.stage.clients import connect, settled
from tests.stage.clock import START, VirtualClock

PASSING = {
    "reset": Fault.reset(),
    "500": Fault.status(500),
    "502 in HTML": Fault.html(502),
    "401 in HTML": Fault.html(401),
    "403 in HTML": Fault.html(403),
    "404 in HTML": Fault.html(404),
    "503": Fault.status(503),
    "408": Fault.status(408),
    "425": Fault.status(425),
    "499": Fault.status(499),
    "429": Fault.status(429),
    "HTML": Fault.html(),
    "truncated": Fault.truncated(),
    "no JSON": Fault.raw(b"{]"),
    "no body": Fault.raw(b""),
    "wrong shape": Fault.json(["not", "a", "pipeline"]),
}


@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING)
async def test_a_get_is_repeated_after_a_failure_that_may_pass(
    hevo: Sandbox, clock: VirtualClock, fault: Fault
) -> None:
    hevo.add_pipeline(7)
    hevo.inject("get_pipeline", fault, times=3)

    async with connect(hevo, clock) as client:
        pipeline = await client.get_pipeline(7)

    assert pipeline.id == 7
    assert len(hevo.requests) == 4


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault.reset(), HevoTransportError),
        (Fault.status(503), HevoServerError),
        (Fault.status(429), HevoRateLimitError),
        (Fault.html(), HevoResponseError),
    ],
)
async def test_what_does_not_pass_is_raised_after_the_last_repetition(
    hevo: Sandbox, clock: VirtualClock, fault: Fault, error: type[HevoError]
) -> None:
    hevo.inject("get_pipeline", fault, times=None)

    async with connect(hevo, clock, retry_limit=2) as client:
        with pytest.raises(error):
            await client.get_pipeline(7)

    # aiohttp itself repeats a GET whose connection broke, because an idle one may have been closed by the server.
    assert len(hevo.requests) == (6 if fault.kind == "reset" else 3)


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, HevoAPIError),
        (403, HevoAuthError),
        (404, HevoNotFoundError),
        (409, HevoConflictError),
        (302, HevoAPIError),
    ],
)
async def test_what_another_try_would_not_mend_is_raised_at_once(
    hevo: Sandbox, clock: VirtualClock, status: int, error: type[HevoAPIError]
) -> None:
    hevo.inject("get_pipeline", Fault.status(status), times=None)

    async with connect(hevo, clock) as client:
        with pytest.raises(error) as raised:
            await client.get_pipeline(7)

    assert raised.value.status == status
    assert len(hevo.requests) == 1


async def test_the_statuses_worth_a_repetition_can_be_chosen(hevo: Sandbox, clock: VirtualClock) -> None:
    hevo.add_pipeline(7)
    hevo.inject("get_pipeline", Fault.status(418), Fault.status(503))

    async with connect(hevo, clock, retryable_status_codes=frozenset({418})) as client:
        with pytest.raises(HevoServerError):
            await client.get_pipeline(7)

    assert [request.status for request in hevo.requests] == [418, 503]


# What may be sent again

MAY_HAVE_ARRIVED = {
    "reset": Fault.reset(),
    "reset after it was applied": Fault.reset(after=True),
    "503 after it was applied": Fault.status(503, after=True),
    "502 in HTML": Fault.html(502),
    "HTML": Fault.html(),
}
STARTERS: dict[str, Callable[[HevoAsyncClient], Awaitable[object]]] = {
    "sync_now": lambda client: client.sync_now(7),
    "resync": lambda client: client.resync(7),
    "resync_objects": lambda client: client.resync_objects(7, ["o-1"]),
    "refresh_schema": lambda client: client.refresh_schema(7),
}


@pytest.mark.parametrize("action", STARTERS)
@pytest.mark.parametrize("fault", MAY_HAVE_ARRIVED.values(), ids=MAY_HAVE_ARRIVED)
async def test_an_action_that_may_have_arrived_is_not_sent_again(
    hevo: Sandbox, clock: VirtualClock, fault: Fault, action: str
) -> None:
    hevo.add_pipeline(7)
    hevo.inject(action, fault, times=None)

    async with connect(hevo, clock) as client:
        with pytest.raises(HevoError):
            await STARTERS[action](client)

    assert len(hevo.requests) == 1


@pytest.mark.parametrize("action", STARTERS)
async def test_an_action_that_was_one_call_too_many_is_sent_again(
    hevo: Sandbox, clock: VirtualClock, action: str
) -> None:
    pipeline = hevo.add_pipeline(7)
    pipeline.add_object("orders", object_id="o-1")
    hevo.object_resync_body = "object_ids"
    hevo.inject(action, Fault.status(429, headers={"Retry-After": "17"}), Fault.status(429))

    async with connect(hevo, clock) as client:
        await STARTERS[action](client)

    assert [request.status for request in hevo.requests] == [429, 429, 200]
    assert len(pipeline.jobs) == (action != "refresh_schema")


async def test_an_action_that_found_no_connection_is_sent_again_and_its_answer_knows_when(
    hevo: Sandbox, clock: VirtualClock
) -> None:
    pipeline = hevo.add_pipeline(7)
    hevo.stop()

    async def sleep(seconds: float) -> None:
        await clock.sleep(seconds)
        if clock.now() > START + 3 and not hevo.connections_opened:
            await asyncio.to_thread(hevo.start)

    own_clock = replace(clock.clock, sleep=sleep)
    async with HevoAsyncClient(hevo.url, hevo.key, hevo.secret, retry_limit=30, clock=own_clock) as client:
        response = await client.sync_now(7)

    assert len(pipeline.jobs) == 1
    assert response.sent_at == hevo.requests[0].at > START + 3


async def test_an_action_is_repeated_as_often_as_the_caller_wants(hevo: Sandbox, clock: VirtualClock) -> None:
    hevo.inject("sync_now", Fault.status(429), times=None)

    async with connect(hevo, clock) as client:
        with pytest.raises(HevoRateLimitError) as raised:
            await client.sync_now(7, retry_limit=1)

    assert len(hevo.requests) == 2
    assert raised.value.sent_at == hevo.requests[-1].at


@pytest.mark.parametrize("fault", [Fault.reset(), Fault.html(), Fault.status(503), Fault.status(429)])
async def test_an_error_knows_when_its_request_set_out(hevo: Sandbox, clock: VirtualClock, fault: Fault) -> None:
    hevo.inject("sync_now", fault, times=None)
    clock.advance(5)

    async with connect(hevo, clock) as client:
        with pytest.raises(HevoError) as raised:
            await client.sync_now(7, retry_limit=0)

    assert raised.value.sent_at == START + 5


async def test_a_request_that_hangs_is_given_up_after_its_timeout(hevo: Sandbox, clock: VirtualClock) -> None:
    hevo.inject("sync_now", Fault.hang())

    async with connect(hevo, clock, timeout=0.05) as client:
        with pytest.raises(
            HevoTimeoutError, match=r"POST .*/7/actions/sync-now: no answer .* within 0\.05 s"
        ) as raised:
            await client.sync_now(7)

    assert raised.value.sent, "it may have been applied"


async def test_an_answer_that_comes_slower_than_the_timeout_is_given_up_too(hevo: Sandbox, clock: VirtualClock) -> None:
    hevo.inject("get_pipeline", Fault.body_of_size(9_000_000))

    async with connect(hevo, clock, timeout=0.001, retry_limit=0) as client:
        with pytest.raises(HevoTimeoutError):
            await client.get_pipeline(7)


async def test_a_connection_that_is_refused_has_certainly_sent_nothing(hevo: Sandbox, clock: VirtualClock) -> None:
    hevo.stop()

    async with connect(hevo, clock) as client:
        with pytest.raises(
            HevoTransportError, match=r"cannot connect to 127\.0\.0\.1: nothing listens there"
        ) as raised:
            await client.sync_now(7)

    assert not raised.value.sent


async def test_a_cancelled_request_ends_as_cancelled(hevo: Sandbox, clock: VirtualClock) -> None:
    hevo.inject("get_pipeline", Fault.hang())
    arrived = asyncio.Event()
    loop = asyncio.get_running_loop()

    def tell(_: object) -> None:
        loop.call_soon_threadsafe(arrived.set)

    hevo.on_request = tell

    async with connect(hevo, clock) as client:
        request = asyncio.ensure_future(client.get_pipeline(7))
        await arrived.wait()
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request


# How long to wait


@pytest.mark.parametrize("status", [429, 503])
async def test_a_repetition_waits_as_many_seconds_as_retry_after_says(
    hevo: Sandbox, clock: VirtualClock, status: int
) -> None:
    hevo.add_pipeline(7)
    hevo.inject("get_pipeline", Fault.status(status, headers={"Retry-After": "17"}))

    async with connect(hevo, clock) as client:
        await client.get_pipeline(7)

    first, second = hevo.requests
    assert second.at - first.at >= 17


async def test_a_date_in_retry_after_is_compared_with_the_servers_own_clock(hevo: Sandbox, clock: VirtualClock) -> None:
    hevo.add_pipeline(7)
    hevo.clock = lambda: clock.now() - 86_400  # a day behind ours
    hevo.inject(
        "get_pipeline", Fault.status(429, headers={"Retry-After": formatdate(START - 86_400 + 21, usegmt=True)})
    )

    async with connect(hevo, clock) as client:
        await client.get_pipeline(7)

    first, second = hevo.requests
    assert 21 <= second.at - first.at < 42


@pytest.mark.parametrize("said", ["soon", "-5", "1e9", "", "Fri, 99 Foo 2026 99:99:99 GMT"])
async def test_a_retry_after_that_makes_no_sense_is_ignored(hevo: Sandbox, clock: VirtualClock, said: str) -> None:
    hevo.add_pipeline(7)
    hevo.inject("get_pipeline", Fault.status(429, headers={"Retry-After": said}))

    async with connect(hevo, clock, retry_delay=1.0) as client:
        await client.get_pipeline(7)

    assert clock.now() - START <= 3


async def test_a_wait_that_is_longer_than_wanted_is_left_to_the_caller(hevo: Sandbox, clock: VirtualClock) -> None:
    hevo.inject("get_pipeline", Fault.status(429, headers={"Retry-After": "3600"}))

    async with connect(hevo, clock, longest_pause=5.0) as client:
        with pytest.raises(HevoRateLimitError) as raised:
            await client.get_pipeline(7)

    assert raised.value.retry_after == 3600
    assert len(hevo.requests) == 1


def test_the_pause_doubles_with_full_jitter_up_to_a_limit() -> None:
    for attempt, most in ((1, 2), (2, 4), (3, 8), (6, 60), (10_000, 60)):
        pauses = [backoff(attempt, 2.0) for _ in range(300)]

        assert all(0 <= pause <= most for pause in pauses)
        assert max(pauses) > most * 0.8
        assert min(pauses) < most * 0.2


# What an error status becomes


@pytest.mark.parametrize(
    ("status", "message", "error"),
    [
        (400, "Pipeline is not in a state to run", HevoAPIError),
        (401, "Unauthorized", HevoAuthError),
        (403, "Forbidden", HevoAuthError),
        (404, "Not found", HevoNotFoundError),
        (409, "whatever the words", HevoConflictError),
        (429, "Slow down", HevoRateLimitError),
        (500, "Something broke", HevoServerError),
        (500, "A job is already in progress for this pipeline", HevoServerError),
        (502, "A job is already in progress", HevoServerError),
        (503, "Unavailable", HevoServerError),
        (599, "Unheard of", HevoServerError),
        (408, "Request Timeout", HevoServerError),
        (425, "Too Early", HevoServerError),
        (499, "Client Closed Request", HevoServerError),
        (303, "See other", HevoAPIError),
    ],
)
def test_each_error_status_has_its_own_exception(status: int, message: str, error: type[HevoAPIError]) -> None:
    body = b'{"error": "Error", "message": "%s"}' % message.encode()

    with pytest.raises(HevoAPIError) as raised:
        raise_for_error(status, {}, body, method="POST", path="/api/v1/pipelines/7", way="us.hevodata.com")

    assert type(raised.value) is error
    assert f"Hevo answered {status} to POST /api/v1/pipelines/7: " in str(raised.value)
    if status != 303:
        assert raised.value.text.endswith(f"Error: {message}")


@pytest.mark.parametrize(
    ("method", "path", "deed"),
    [
        ("GET", "", "read this"),
        ("GET", "/jobs/j-1", "read this"),
        ("PATCH", "", "change this"),
        ("POST", "/actions/sync-now", "start a sync"),
        ("POST", "/actions/resync", "start a resync"),
        ("POST", "/objects/actions/resync", "start a resync"),
        ("POST", "/objects/actions/refresh-schema", "refresh a schema"),
        ("POST", "/jobs/j-1/actions/cancel", "cancel a job"),
        ("POST", "/actions/disable", "disable a pipeline"),
    ],
)
def test_a_403_may_be_of_a_key_whose_role_may_not_do_that_or_of_a_wrong_key(method: str, path: str, deed: str) -> None:
    path = f"/api/v1/pipelines/7{path}"

    with pytest.raises(HevoAuthError) as raised:
        raise_for_error(403, {}, b'{"message": "Forbidden"}', method=method, path=path, way="us.hevodata.com")

    told = f"Hevo answered 403 to {method} {path}: a key of this role may not {deed}, or it is a wrong key: Forbidden"
    assert raised.value.text == told


@pytest.mark.parametrize(
    ("path", "is_of_the_pipeline"),
    [
        ("", True),
        ("/jobs", True),
        ("/objects", True),
        ("/actions/sync-now", True),
        ("/actions/resync", True),
        ("/jobs/j-1", False),
        ("/jobs/j-1/actions/cancel", False),
        ("/objects/o-1", False),
        ("/objects/actions/resync", False),
    ],
)
def test_a_404_on_a_pipeline_names_key_and_region_and_the_older_product(path: str, is_of_the_pipeline: bool) -> None:
    path = f"/api/v1/pipelines/7{path}"

    with pytest.raises(HevoNotFoundError) as raised:
        raise_for_error(404, {}, b'{"message": "No"}', method="GET", path=path, way="us.hevodata.com")

    told = (
        "the pipeline is not known under this key and region; ids of Standard pipelines are of another API, which has "
        "no jobs to follow"
    )
    assert (told in str(raised.value)) == is_of_the_pipeline


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_hevo_learns_which_package_asks_and_no_more(hevo: Sandbox, clock: VirtualClock, method: str) -> None:
    hevo.add_pipeline(7)

    async with connect(hevo, clock) as client:
        await (client.get_pipeline(7) if method == "GET" else client.sync_now(7))

    assert [request.headers["User-Agent"] for request in hevo.requests] == [f"airflow-provider-hevo/{__version__}"]


async def test_a_user_agent_of_ones_own_wins(hevo: Sandbox, clock: VirtualClock) -> None:
    hevo.add_pipeline(7)

    async with connect(hevo, clock, headers={"User-Agent": "data team"}) as client:
        await client.get_pipeline(7)

    assert [request.headers.getall("User-Agent") for request in hevo.requests] == [["data team"]]  # type: ignore[attr-defined]


@pytest.mark.parametrize("status", [401, 403, 404])
@pytest.mark.parametrize("page", [b"<html>Sign in</html>", b"Access denied", b"upstream: \xff\xfe", b"{" * 100_000])
def test_a_page_that_is_not_hevos_is_no_word_on_the_key_or_the_pipeline(status: int, page: bytes) -> None:
    with pytest.raises(HevoGatewayError, match=f"answered {status} .* not from Hevo's API") as raised:
        raise_for_error(status, {"Retry-After": "7"}, page, method="GET", path="/", way="us.hevodata.com")

    assert isinstance(raised.value, HevoServerError)
    assert raised.value.retry_after == 7


@pytest.mark.parametrize(("status", "error"), [(401, HevoAuthError), (403, HevoAuthError), (404, HevoNotFoundError)])
@pytest.mark.parametrize("body", [b"", b" \r\n", b"{}", b'"Forbidden"', b'{"error": 5}', b"null"])
def test_json_and_nothing_at_all_may_be_hevos_own_word(status: int, error: type[HevoAPIError], body: bytes) -> None:
    with pytest.raises(error):
        raise_for_error(status, {}, body, method="GET", path="/", way="us.hevodata.com")


JOB_RUNS = "A job is already in progress for this pipeline"


@pytest.mark.parametrize("action", ["actions/sync-now", "actions/resync", "objects/actions/resync"])
@pytest.mark.parametrize(
    ("message", "error"),
    [
        (JOB_RUNS, HevoConflictError),
        ("job is in-progress", HevoConflictError),
        ("JOB_ALREADY_RUNNING", HevoConflictError),
        ("The pipeline has an active job", HevoConflictError),
        ("connection already closed", HevoServerError),
        ("The job queue is inactive", HevoServerError),
        ("The job service is not running", HevoServerError),
        ("Conflict", HevoServerError),
        ("No active objects", HevoServerError),
    ],
)
def test_a_500_to_a_call_that_starts_a_job_is_a_refusal_if_it_says_that_a_job_runs(
    action: str, message: str, error: type[HevoAPIError]
) -> None:
    with pytest.raises(HevoAPIError) as raised:
        raise_for_error(500, {}, message.encode(), method="POST", path=f"/api/v1/pipelines/7/{action}", way="us")

    assert type(raised.value) is error


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/jobs"), ("GET", "/jobs/sync-now"), ("POST", "/jobs/1/actions/cancel"), ("POST", "/actions/enable")],
)
def test_a_500_to_any_other_call_is_a_failure_whatever_its_words(method: str, path: str) -> None:
    with pytest.raises(HevoServerError):
        raise_for_error(500, {}, JOB_RUNS.encode(), method=method, path=f"/api/v1/pipelines/7{path}", way="us")


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_no_success_is_an_error(status: int) -> None:
    raise_for_error(status, {}, b"", method="GET", path="/", way="us.hevodata.com")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "(no message)"),
        (b"<html>Bad\ngateway</html>", "<html>Bad gateway</html>"),
        (b'{"error": 5, "message": {"deep": 1}}', '{"error": 5, "message": {"deep": 1}}'),
        (
            b'{"error": "Conflict", "detail": "busy\\r\\n2026-01-01 INFO all is well"}',
            "Conflict: busy  2026-01-01 INFO all is well",
        ),
        (b"[" * 100_000, "[" * 200),
        (b"\xff\x00\x1b[31m", "\ufffd  [31m"),
        (b'{"message": "%s"}' % (b"long " * 1000), ("long " * 100).strip()),
    ],
)
def test_hevos_own_words_are_kept_as_one_short_line(body: bytes, message: str) -> None:
    with pytest.raises(HevoServerError) as raised:
        raise_for_error(502, {}, body, method="GET", path="/", way="us.hevodata.com")

    assert raised.value.message == message


# Where requests go


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(hevo: Sandbox, clock: VirtualClock, status: int) -> None:
    hevo.inject("get_pipeline", Fault.redirect("http://127.0.0.1:1/elsewhere", status=status), times=None)

    async with connect(hevo, clock) as client:
        with pytest.raises(HevoAPIError, match=r"a redirect to 127\.0\.0\.1, which is not followed"):
            await client.get_pipeline(7)

    assert len(hevo.requests) == 1


@pytest.mark.parametrize("location", ["/login", "", "http://[", "//"])
async def test_a_redirect_to_nowhere_is_told_as_such(hevo: Sandbox, clock: VirtualClock, location: str) -> None:
    hevo.inject("get_pipeline", Fault.redirect(location))

    async with connect(hevo, clock) as client:
        with pytest.raises(HevoAPIError, match="a redirect to another path"):
            await client.get_pipeline(7)


# The session


async def test_a_session_of_its_own_is_opened_once_and_closed_at_the_end(hevo: Sandbox, clock: VirtualClock) -> None:
    hevo.add_pipeline(7)

    async with connect(hevo, clock) as client:
        for _ in range(5):
            await client.get_pipeline(7)
        assert hevo.connections_opened == 1

    assert await settled(lambda: hevo.connections_open == 0)


async def test_a_borrowed_session_is_used_and_left_open(hevo: Sandbox, clock: VirtualClock) -> None:
    hevo.add_pipeline(7)
    async with aiohttp.ClientSession(headers={"X-Mine": "1"}) as session:
        async with connect(hevo, clock, session=session) as client:
            await client.get_pipeline(7)

        assert not session.closed
    assert hevo.requests[0].headers["X-Mine"] == "1"


async def test_a_borrowed_session_that_raises_for_every_error_leaves_errors_as_they_are(
    hevo: Sandbox, clock: VirtualClock
) -> None:
    async with aiohttp.ClientSession(raise_for_status=True) as session:
        with pytest.raises(HevoNotFoundError, match="Pipeline 7 does not exist"):
            await connect(hevo, clock, session=session).get_pipeline(7)


@pytest.mark.filterwarnings("ignore:.* deprecated:DeprecationWarning")
async def test_a_borrowed_session_with_credentials_of_its_own_is_refused(hevo: Sandbox, clock: VirtualClock) -> None:
    async with aiohttp.ClientSession(auth=aiohttp.BasicAuth("user", "hunter2")) as session:
        with pytest.raises(HevoConfigError, match=r"credentials of its own \(auth=\)"):
            connect(hevo, clock, session=session)


def test_a_client_belongs_to_the_event_loop_in_which_it_was_first_used(hevo: Sandbox, clock: VirtualClock) -> None:
    hevo.add_pipeline(7)
    client = connect(hevo, clock)
    first = asyncio.new_event_loop()
    first.run_until_complete(client.get_pipeline(7))

    with pytest.raises(RuntimeError, match="belongs to the event loop in which it was first used"):
        asyncio.run(client.get_pipeline(7))
    assert first.run_until_complete(client.get_pipeline(7)).id == 7

    first.run_until_complete(client.close())
    first.close()

    async def again() -> None:
        async with client:
            assert (await client.get_pipeline(7)).id == 7

    asyncio.run(again())


async def test_a_closed_client_can_be_used_again(hevo: Sandbox, clock: VirtualClock) -> None:
    hevo.add_pipeline(7)
    client = connect(hevo, clock)

    for _ in range(2):
        async with client:
            await client.get_pipeline(7)

    assert len(hevo.requests) == 2


# Headers


async def test_own_headers_are_sent_but_do_not_replace_the_credentials(hevo: Sandbox, clock: VirtualClock) -> None:
    hevo.add_pipeline(7)

    async with connect(hevo, clock, headers={"X-Team": "data", "authorization": "Bearer other"}) as client:
        await client.get_pipeline(7)

    [request] = hevo.requests
    assert request.authorized
    assert request.headers["X-Team"] == "data"


@pytest.mark.parametrize(
    "headers", [{"X-A": "a\r\nX-B: b"}, {"X-A\r\nX-B": "a"}, {"": "a"}, {"X A": "a"}, {"X-A": 5}, {"X-Ü": "a"}]
)
async def test_a_header_that_cannot_be_sent_is_refused_at_once(
    hevo: Sandbox, clock: VirtualClock, headers: dict[str, str]
) -> None:
    with pytest.raises(HevoConfigError, match="header"):
        connect(hevo, clock, headers=headers)


@pytest.mark.parametrize("name", ["allow_redirects", "auth", "headers", "raise_for_status", "data", "auto_decompress"])
async def test_aiohttp_arguments_that_would_change_what_is_decided_here_are_refused(
    hevo: Sandbox, clock: VirtualClock, name: str
) -> None:
    with pytest.raises(HevoConfigError, match=f"must not contain {name}"):
        connect(hevo, clock, request_kwargs={name: True})
