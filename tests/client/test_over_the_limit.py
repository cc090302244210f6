"""Hevo's limit of requests is known by its words or its status, whatever the rest of the answer is."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from hevo_provider.client import HevoAsyncClient
from hevo_provider.exceptions import (
    HevoAPIError,
    HevoConflictError,
    HevoNotFoundError,
    HevoRateLimitError,
    HevoServerError,
)
from hevo_provider.models.object import Namespace, PipelineObject
from hevo_provider.sandbox import Fault, Sandbox
from tests.stage.clients import connect
from tests.stage.clock import VirtualClock

WORDS = "Request rate limit exceeded"
Ask = Callable[[HevoAsyncClient], Any]

ORDERS = PipelineObject(
    object_id="1", object_name="orders", source_namespace=Namespace(k0="orders", k1="public", k2="shop")
)

EVERY_KIND = {
    "the first GET": lambda client: client.get_pipeline(7),
    "a poll": lambda client: client.get_job(7, "job"),
    "a list": lambda client: client.newest_jobs(7),
    "a sync": lambda client: client.sync_now(7),
    "a resync": lambda client: client.resync(7),
    "a resync of objects": lambda client: client.resync_objects(7, ["1"], listed=[ORDERS]),
    "a cancel": lambda client: client.cancel_job(7, "job"),
}


@pytest.mark.parametrize("ask", EVERY_KIND.values(), ids=EVERY_KIND)
@pytest.mark.parametrize("status", [400, 403, 429, 500, 503])
async def test_a_request_over_the_limit_is_sent_again_whatever_it_is_and_whatever_the_status(
    hevo: Sandbox, clock: VirtualClock, ask: Ask, status: int
) -> None:
    pipeline = hevo.add_pipeline(7)
    hevo.inject("*", Fault.status(status, body={"error": "Error", "message": WORDS}), times=2)
    looked_up = False

    async def reauthenticate() -> Any:
        nonlocal looked_up
        looked_up = True

    async with connect(hevo, clock, reauthenticate=reauthenticate) as client:
        with suppress(HevoNotFoundError):  # there is no such job
            await ask(client)

    assert len(hevo.requests) == 3
    assert len(pipeline.jobs) <= 1
    assert hevo.requests[0].body == hevo.requests[1].body == hevo.requests[2].body, "it is not asked in other words"
    assert not looked_up, "the key is not refused"


@pytest.mark.parametrize(
    "body",
    [
        {"message": WORDS},
        {"error": {"code": 7, "detail": "request rate limit exceeded, slow down"}},
        WORDS,
        f"<html><title>Error</title><h1>{WORDS}</h1></html>",
        {"error": "REQUEST_RATE_LIMIT_EXCEEDED"},
    ],
)
async def test_the_words_are_known_wherever_the_answer_has_them(hevo: Sandbox, clock: VirtualClock, body: Any) -> None:
    hevo.inject("get_pipeline", Fault.status(403, body=body, headers={"Retry-After": "7"}))

    async with connect(hevo, clock) as client:
        with pytest.raises(HevoRateLimitError) as raised:
            await client.get_pipeline(7, retry_limit=0)

    assert (raised.value.status, raised.value.retry_after) == (403, 7.0)


@pytest.mark.parametrize(
    ("status", "message", "error"),
    [
        (500, 'The source said "Request rate limit exceeded"', HevoServerError),
        (409, "A job is in progress: Request rate limit exceeded", HevoConflictError),
        (502, WORDS, HevoServerError),
        (504, WORDS, HevoServerError),
        (408, WORDS, HevoServerError),
    ],
)
async def test_an_answer_that_quotes_the_words_or_comes_from_a_gateway_says_nothing_of_what_was_applied(
    hevo: Sandbox, clock: VirtualClock, status: int, message: str, error: type[HevoAPIError]
) -> None:
    hevo.add_pipeline(7)
    hevo.inject("sync_now", Fault.status(status, body={"message": message}, after=True))

    async with connect(hevo, clock) as client:
        with pytest.raises(error):
            await client.sync_now(7)

    assert len(hevo.requests) == 1
