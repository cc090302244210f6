"""``HevoAsyncClient``: every call of Hevo's API, as it goes over the wire and as it comes back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest

from hevo_provider.client import HevoAsyncClient
from hevo_provider.exceptions import (
    HevoAPIError,
    HevoConfigError,
    HevoConflictError,
    HevoError,
    HevoNotFoundError,
    HevoResponseError,
    HevoTransportError,
)
from hevo_provider.runs.listing import read_listing
from hevo_provider.sandbox import ROUTES, Fault, Sandbox
from tests.stage.clients import connect
from tests.stage.clock import START, VirtualClock


@pytest.fixture
async def client(hevo: Sandbox, clock: VirtualClock) -> AsyncIterator[HevoAsyncClient]:
    async with connect(hevo, clock) as client:
        yield client


Call = Callable[[HevoAsyncClient], Coroutine[Any, Any, Any]]


async def _collect(walk: AsyncIterator[Any]) -> list[Any]:
    return [item async for item in walk]


CALLS: dict[str, tuple[Call, str, Any]] = {
    "list_pipelines": (lambda c: _collect(c.list_pipelines()), "GET /api/v1/pipelines", None),
    "get_pipeline": (lambda c: c.get_pipeline(7), "GET /api/v1/pipelines/7", None),
    "update_pipeline": (lambda c: c.update_pipeline(7, name="new"), "PATCH /api/v1/pipelines/7", {"name": "new"}),
    "sync_now": (lambda c: c.sync_now(7), "POST /api/v1/pipelines/7/actions/sync-now", None),
    "resync": (lambda c: c.resync(7), "POST /api/v1/pipelines/7/actions/resync", {"drop_and_load": False}),
    "enable": (lambda c: c.enable_pipeline(7), "POST /api/v1/pipelines/7/actions/enable", None),
    "disable": (
        lambda c: c.disable_pipeline(7, cancel_active_jobs=True),
        "POST /api/v1/pipelines/7/actions/disable",
        {"cancel_active_jobs": True},
    ),
    "list_jobs": (lambda c: c.newest_jobs(7), "GET /api/v1/pipelines/7/jobs", None),
    "get_job": (lambda c: c.get_job(7, "JOB"), "GET /api/v1/pipelines/7/jobs/JOB", None),
    "cancel_job": (lambda c: c.cancel_job(7, "JOB"), "POST /api/v1/pipelines/7/jobs/JOB/actions/cancel", None),
    "list_job_objects": (
        lambda c: _collect(c.list_job_objects(7, "JOB")),
        "GET /api/v1/pipelines/7/jobs/JOB/objects",
        None,
    ),
    "list_objects": (lambda c: _collect(c.list_objects(7)), "GET /api/v1/pipelines/7/objects", None),
    "get_object": (lambda c: c.get_object(7, "OBJECT"), "GET /api/v1/pipelines/7/objects/OBJECT", None),
    "refresh_schema": (
        lambda c: c.refresh_schema(7),
        "POST /api/v1/pipelines/7/objects/actions/refresh-schema",
        {},
    ),
    "resync_objects": (
        lambda c: c.resync_objects(7, ["OBJECT"]),
        "POST /api/v1/pipelines/7/objects/actions/resync",
        {"object_ids": ["OBJECT"]},
    ),
}


def test_every_endpoint_is_covered() -> None:
    assert set(CALLS) == set(ROUTES)


@pytest.mark.parametrize("route", CALLS)
async def test_a_call_is_one_request_to_its_endpoint(hevo: Sandbox, client: HevoAsyncClient, route: str) -> None:
    call, line, body = CALLS[route]
    hevo.object_resync_body = "either"
    pipeline = hevo.add_pipeline(7)
    pipeline.add_object("orders", object_id="OBJECT")
    job = pipeline.start_job(appear_after=0, duration=None)
    job.id = "JOB"
    pipeline._by_id["JOB"] = job
    if route in ("sync_now", "resync", "resync_objects"):
        job.end()

    await call(client)

    [request] = hevo.requests
    assert (request.route, f"{request.method} {request.path}", request.body) == (route, line, body)
    assert request.status == 200
    assert request.headers["Accept"] == "application/json"
    assert request.headers.get("Content-Type") == (None if body is None else "application/json")


# Pipelines


async def test_a_pipeline_comes_with_its_state_and_what_it_connects(hevo: Sandbox, client: HevoAsyncClient) -> None:
    schedule = {"sync_type": "SCHEDULED", "frequency_minutes": 5}
    hevo.add_pipeline(7, name="orders", status="DISABLED", fields={"schedule": schedule})

    pipeline = await client.get_pipeline(7)

    assert (pipeline.id, pipeline.name, pipeline.status) == (7, "orders", "DISABLED")
    assert pipeline.source is not None
    assert pipeline.source.source_type == "POSTGRES"
    assert pipeline.destination is not None
    assert pipeline.destination.destination_type == "SNOWFLAKE"
    assert pipeline.schedule is not None
    assert pipeline.schedule.frequency_minutes == 5


async def test_a_pipeline_that_does_not_exist_is_not_found(client: HevoAsyncClient) -> None:
    with pytest.raises(HevoNotFoundError, match=r"Hevo answered 404 to GET /api/v1/pipelines/8: .*does not exist"):
        await client.get_pipeline(8)


async def test_a_change_of_a_pipeline_returns_it_as_it_is_then(hevo: Sandbox, client: HevoAsyncClient) -> None:
    hevo.add_pipeline(7, name="old")

    assert (await client.update_pipeline(7, name="new", load_mode="APPEND")).name == "new"
    assert (await client.get_pipeline(7)).load_mode == "APPEND"


async def test_enabling_and_disabling_change_the_state(hevo: Sandbox, client: HevoAsyncClient) -> None:
    pipeline = hevo.add_pipeline(7)
    job = pipeline.start_job(appear_after=0, duration=None)

    await client.disable_pipeline(7)
    assert (pipeline.status, job.status) == ("DISABLED", "IN_PROGRESS")
    await client.disable_pipeline(7, cancel_active_jobs=True)
    assert job.status == "CANCELLING"
    await client.enable_pipeline(7)
    assert pipeline.status == "INITIALIZED"


# Actions


@pytest.mark.parametrize(("answer", "message"), [(200, "Sync has been triggered"), (204, None)])
async def test_an_action_says_what_hevo_said_and_when(
    hevo: Sandbox, client: HevoAsyncClient, answer: int, message: str | None
) -> None:
    hevo.action_answer = answer
    hevo.add_pipeline(7)

    reply = await client.sync_now(7)

    assert (reply.message, reply.server_time) == (message, int(START) * 1000)


@pytest.mark.parametrize("body", [b"", b"  ", b"null", b"[]", b'"done"', b'{"message": 5}'])
async def test_an_action_may_answer_anything_that_is_json(hevo: Sandbox, client: HevoAsyncClient, body: bytes) -> None:
    hevo.inject("sync_now", Fault.raw(body))

    assert (await client.sync_now(7)).message is None


async def test_an_action_answered_by_a_gateways_page_is_not_taken_for_done(
    hevo: Sandbox, client: HevoAsyncClient
) -> None:
    hevo.inject("sync_now", Fault.html())

    with pytest.raises(HevoResponseError, match="not JSON"):
        await client.sync_now(7)


@pytest.mark.parametrize("refusal", [409, 500])
async def test_an_action_refused_because_a_job_runs_is_a_conflict(
    hevo: Sandbox, client: HevoAsyncClient, refusal: int
) -> None:
    pipeline = hevo.add_pipeline(7, refusal=refusal)
    pipeline.start_job(duration=None)

    with pytest.raises(HevoConflictError) as raised:
        await client.sync_now(7)

    assert raised.value.status == refusal


@pytest.mark.parametrize(("drop_and_load", "job_type"), [(False, "RESYNC"), (True, "RESYNC_WITH_DROP_AND_LOAD")])
async def test_a_resync_can_drop_the_tables_first(
    hevo: Sandbox, client: HevoAsyncClient, drop_and_load: bool, job_type: str
) -> None:
    pipeline = hevo.add_pipeline(7)

    await client.resync(7, drop_and_load=drop_and_load)

    assert [job.type for job in pipeline.jobs] == [job_type]


async def test_what_is_safe_to_repeat_is_repeated_also_as_a_post(hevo: Sandbox, client: HevoAsyncClient) -> None:
    job = hevo.add_pipeline(7).start_job(appear_after=0, duration=None)
    job.cancelling_for = 600
    hevo.inject("cancel_job", Fault.status(503, after=True), Fault.reset())
    hevo.inject("enable", Fault.status(503))

    await client.cancel_job(7, job.id)
    await client.enable_pipeline(7)

    assert len(hevo.requests_of("cancel_job")) == 3
    assert len(hevo.requests_of("enable")) == 2


# Jobs


async def test_a_job_comes_with_its_counters(hevo: Sandbox, client: HevoAsyncClient) -> None:
    job = hevo.add_pipeline(7, duration=30, ends="COMPLETED_WITH_FAILURES").start_job(ago=60)

    read = await client.get_job(7, job.id)

    assert (read.job_id, read.type, read.status) == (job.id, "INCREMENTAL", "COMPLETED_WITH_FAILURES")
    assert read.is_terminal
    assert (read.events_loaded, read.events_failed, read.duration) == (job.events_loaded, job.events_failed, 30_000)
    assert read.created_ts == int(job.created_at * 1000)


async def test_a_poll_of_a_job_asks_once_and_knows_hevos_clock(hevo: Sandbox, client: HevoAsyncClient) -> None:
    job = hevo.add_pipeline(7).start_job(appear_after=0)
    hevo.inject("get_job", Fault.status(404))

    with pytest.raises(HevoNotFoundError):
        await client.poll_job(7, job.id)
    answered = await client.poll_job(7, job.id)

    assert (answered.value.job_id, answered.server_time) == (job.id, int(START) * 1000)


async def test_an_answer_knows_when_its_request_set_out_after_pauses_and_the_wait_for_others(
    hevo: Sandbox, client: HevoAsyncClient
) -> None:
    hevo.add_pipeline(7)
    hevo.inject("list_jobs", Fault.status(429, headers={"Retry-After": "17"}), Fault.status(503))

    answered = await client.newest_jobs(7)

    *_, last = hevo.requests
    assert answered.sent_at == last.at > START + 17


async def test_a_list_knows_when_it_was_asked_for_whatever_pauses_came_before(
    hevo: Sandbox, client: HevoAsyncClient
) -> None:
    hevo.add_pipeline(7)
    hevo.inject("list_jobs", Fault.status(429, headers={"Retry-After": "17"}))

    listing = await read_listing(client, 7)

    assert listing.asked_at == hevo.requests[-1].at == START + 17
    assert listing.server_time_at(START + 20) == (START + 20) * 1000


async def test_an_answer_without_a_date_leaves_hevos_clock_unknown(hevo: Sandbox, client: HevoAsyncClient) -> None:
    hevo.add_pipeline(7)
    hevo.inject("list_jobs", Fault.with_headers({"Date": None}), Fault.with_headers({"Date": "yesterday"}))

    assert (await client.newest_jobs(7)).server_time is None
    assert (await client.newest_jobs(7)).server_time is None


async def test_a_job_that_has_ended_cannot_be_cancelled(hevo: Sandbox, client: HevoAsyncClient) -> None:
    job = hevo.add_pipeline(7).start_job(ago=60)

    with pytest.raises(HevoConflictError):
        await client.cancel_job(7, job.id)


# Lists


async def test_a_walk_goes_through_all_pages(hevo: Sandbox, client: HevoAsyncClient) -> None:
    pipeline = hevo.add_pipeline(7)
    ids = [pipeline.start_job(ago=1000 - n).id for n in range(25)]

    walked = [job.job_id async for job in client.list_jobs(7, limit=10)]

    assert walked == ids[::-1]
    assert [request.query["limit"] for request in hevo.requests] == ["10", "10", "10"]


async def test_a_walk_fetches_a_page_only_when_it_gets_there(hevo: Sandbox, client: HevoAsyncClient) -> None:
    for number in range(1, 31):
        hevo.add_pipeline(number)

    async for pipeline in client.list_pipelines(limit=10):
        if pipeline.id == 10:
            break

    assert len(hevo.requests) == 1


async def test_a_page_in_the_middle_is_repeated_without_losing_the_others(
    hevo: Sandbox, client: HevoAsyncClient
) -> None:
    for number in range(1, 31):
        hevo.add_pipeline(number)
    hevo.inject("list_pipelines", Fault.no_op(), Fault.truncated(), Fault.status(503))

    walked = [pipeline.id async for pipeline in client.list_pipelines(limit=10)]

    assert walked == list(range(1, 31))


@pytest.mark.parametrize(("asked", "sent"), [(1, "1"), (100, "100"), (1000, "100")])
async def test_no_more_is_asked_for_than_hevo_gives(
    hevo: Sandbox, client: HevoAsyncClient, asked: int, sent: str
) -> None:
    hevo.add_pipeline(7)

    await client.newest_jobs(7, limit=asked)

    assert hevo.requests[0].query == {"limit": sent}


# Objects


async def test_an_object_comes_with_its_fields(hevo: Sandbox, client: HevoAsyncClient) -> None:
    hevo.add_pipeline(7, fields={"destination_prefix": "raw"}).add_object("orders", object_id="o-1", schema="shop")

    found = await client.get_object(7, "o-1")

    assert (found.object_name, found.destination_table_name) == ("orders", "raw_orders")
    assert found.source_namespace is not None
    assert (found.source_namespace.k0, found.source_namespace.k1) == ("orders", "shop")
    assert found.fields is not None
    assert [field.source_name for field in found.fields if field.primary_key] == ["id"]


async def test_the_objects_of_a_job_tell_which_failed(hevo: Sandbox, client: HevoAsyncClient) -> None:
    job = hevo.add_pipeline(7, ends="FAILED").start_job(ago=60)
    job.failed_objects = ("orders",)

    walked = [item async for item in client.list_job_objects(7, job.id)]

    assert [item.object_name for item in walked if item.status == "FAILED"] == ["orders"]


@pytest.mark.parametrize("words", ["objects", "object_ids", "either"])
async def test_chosen_objects_can_be_loaded_again(hevo: Sandbox, client: HevoAsyncClient, words: Any) -> None:
    pipeline = hevo.add_pipeline(7)
    pipeline.add_object("stock", object_id="o-1")
    hevo.object_resync_body = words

    await client.resync_objects(7, ["o-1"])

    assert [job.object_names for job in pipeline.jobs] == [("stock",)]


async def test_an_objects_resync_in_words_that_hevo_does_not_know_ends_with_hevos_own(
    hevo: Sandbox, client: HevoAsyncClient
) -> None:
    pipeline = hevo.add_pipeline(7)
    hevo.object_resync_body = "neither"

    with pytest.raises(HevoAPIError, match=r"Unrecognized field: object_ids; .*Unrecognized field: objects"):
        await client.resync_objects(7, [pipeline.objects[0].id])

    assert len(hevo.requests_of("resync_objects")) == 2
    assert pipeline.jobs == []


async def test_where_names_are_known_they_are_asked_for_first(hevo: Sandbox, client: HevoAsyncClient) -> None:
    pipeline = hevo.add_pipeline(7)
    listed = [item async for item in client.list_objects(7)]

    await client.resync_objects(7, [pipeline.objects[1].id], listed=listed)

    assert [request.body for request in hevo.requests_of("resync_objects")] == [{"objects": ["customers"]}]


@pytest.mark.parametrize("words", ["objects", "object_ids"])
async def test_an_object_whose_name_another_bears_is_never_asked_for_by_that_alone(
    hevo: Sandbox, client: HevoAsyncClient, words: Any
) -> None:
    pipeline = hevo.add_pipeline(7)
    pipeline.add_object("Orders", schema="archive")
    hevo.object_resync_body = words
    listed = [item async for item in client.list_objects(7)]

    await client.resync_objects(7, [pipeline.objects[0].id], listed=listed)

    assert [job.object_names for job in pipeline.jobs] == [("orders",)]
    bodies = [request.body for request in hevo.requests_of("resync_objects")]
    assert bodies[0] == {"object_ids": [pipeline.objects[0].id]}
    assert bodies[1:] == ([] if words == "object_ids" else [{"objects": ["public.orders"]}])


@pytest.mark.parametrize(
    ("fault", "error"),
    [(Fault.status(503), HevoTransportError), (Fault.reset(), HevoTransportError), (Fault.status(403), HevoAPIError)],
    ids=["503", "reset", "403"],
)
async def test_names_that_cannot_be_read_are_told_and_nothing_was_started(
    hevo: Sandbox, client: HevoAsyncClient, fault: Fault, error: type[HevoError]
) -> None:
    pipeline = hevo.add_pipeline(7)
    hevo.inject("list_objects", fault, times=None)

    with pytest.raises(error, match="names could not be read") as failure:
        await client.resync_objects(7, [pipeline.objects[0].id])

    assert pipeline.jobs == []
    assert not getattr(failure.value, "sent", False)


@pytest.mark.parametrize("name", ["orders", "a b/c?d=é%2F", "../7"])
async def test_an_object_is_found_by_its_name_where_hevo_does_not_know_the_id(
    hevo: Sandbox, client: HevoAsyncClient, name: str
) -> None:
    pipeline = hevo.add_pipeline(7)
    pipeline.objects = []
    pipeline.add_object(name, object_id="o-1")
    hevo.object_path = "name"

    found = await client.get_object(7, "o-1")

    assert (found.object_id, found.object_name) == ("o-1", name)
    assert [request.route for request in hevo.requests] == ["get_object", "list_objects", "get_object"]


@pytest.mark.parametrize("name", ["orders", ".."])
async def test_an_object_that_is_not_there_by_either_is_not_found(
    hevo: Sandbox, client: HevoAsyncClient, name: str
) -> None:
    pipeline = hevo.add_pipeline(7)  # which has orders of its own, under another id
    pipeline.add_object(name, schema="archive", object_id="o-1")
    hevo.object_path = "name"

    with pytest.raises(HevoNotFoundError, match="Object o-1 does not exist"):
        await client.get_object(7, "o-1")
    with pytest.raises(HevoNotFoundError, match="Object o-2 does not exist"):
        await client.get_object(7, "o-2")


async def test_an_object_id_with_path_characters_is_not_sent(hevo: Sandbox, client: HevoAsyncClient) -> None:
    for call in (client.get_object(7, "../8"), client.resync_objects(7, ["a", "b/c"])):
        with pytest.raises(HevoConfigError, match="object_id"):
            await call

    assert hevo.requests == []


# Used alone


async def test_the_base_url_may_end_in_a_slash_and_hold_a_path(hevo: Sandbox, clock: VirtualClock) -> None:
    hevo.add_pipeline(7)
    async with HevoAsyncClient(f"{hevo.url}/", hevo.key, hevo.secret) as client:
        assert (await client.get_pipeline(7)).id == 7
    async with HevoAsyncClient(f"{hevo.url}/behind/a/proxy/", hevo.key, hevo.secret) as client:
        with pytest.raises(HevoNotFoundError):
            await client.get_pipeline(7)

    assert hevo.requests[-1].path == "/behind/a/proxy/api/v1/pipelines/7"


@pytest.mark.parametrize(
    ("key", "secret", "missing"), [("", "s", "API key"), ("k", "", "API secret"), ("a:b", "s", "colon")]
)
def test_credentials_that_cannot_work_are_refused_at_once(key: str, secret: str, missing: str) -> None:
    with pytest.raises(HevoConfigError, match=missing):
        HevoAsyncClient("https://us.hevodata.com", key, secret)
