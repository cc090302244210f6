"""Answers that no honest Hevo would send: each is a clear error or another try, in bounded time and memory."""

from __future__ import annotations

import asyncio
import gzip
import json
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hevo_provider.client import HevoAsyncClient
from hevo_provider.client.responses import MAX_BODY, _unpacker
from hevo_provider.exceptions import (
    HevoAPIError,
    HevoAuthError,
    HevoConfigError,
    HevoError,
    HevoResponseError,
    HevoServerError,
    HevoTransportError,
)
from hevo_provider.sandbox import MISSING, Fault, Sandbox
from tests.stage.clients import connect
from tests.stage.clock import VirtualClock


@pytest.fixture
async def client(hevo: Sandbox, clock: VirtualClock) -> AsyncIterator[HevoAsyncClient]:
    async with connect(hevo, clock, retry_limit=0) as client:
        yield client


# Too much


async def test_a_body_over_the_limit_is_not_read(hevo: Sandbox, client: HevoAsyncClient) -> None:
    hevo.inject("get_pipeline", Fault.body_of_size(500_000_000))

    tracemalloc.start()
    try:
        with pytest.raises(HevoResponseError, match=f"larger than {MAX_BODY} bytes"):
            await client.get_pipeline(7)
        assert tracemalloc.get_traced_memory()[1] < 4 * MAX_BODY
    finally:
        tracemalloc.stop()


async def test_a_body_up_to_the_limit_is_read(hevo: Sandbox, client: HevoAsyncClient) -> None:
    pipeline = hevo.add_pipeline(7, fields={"padding": "x" * (MAX_BODY - 2000)})

    assert (await client.get_pipeline(7)).id == pipeline.id


async def test_a_body_that_unpacks_to_more_than_the_limit_is_not_unpacked(
    hevo: Sandbox, client: HevoAsyncClient
) -> None:
    bomb = gzip.compress(bytes(20 * MAX_BODY), compresslevel=1)
    hevo.inject("get_pipeline", Fault.raw(bomb, headers={"Content-Encoding": "gzip"}))

    tracemalloc.start()
    try:
        with pytest.raises(HevoResponseError, match=f"larger than {MAX_BODY} bytes"):
            await client.get_pipeline(7)
        assert tracemalloc.get_traced_memory()[1] < 4 * MAX_BODY
    finally:
        tracemalloc.stop()


async def test_what_follows_the_end_of_a_compressed_text_is_not_kept(hevo: Sandbox, client: HevoAsyncClient) -> None:
    body = gzip.compress(b'{"id": 7}') + bytes(3 * MAX_BODY)
    hevo.inject("get_pipeline", Fault.raw(body, headers={"Content-Encoding": "gzip"}))

    with pytest.raises(HevoResponseError, match="goes on after its end"):
        await client.get_pipeline(7)


async def test_a_compressed_text_of_endless_parts_is_not_unpacked(hevo: Sandbox, client: HevoAsyncClient) -> None:
    body = gzip.compress(b"") * 10_000
    hevo.inject("get_pipeline", Fault.raw(body, headers={"Content-Encoding": "gzip"}))

    with pytest.raises(HevoResponseError, match="goes on after its end"):
        await client.get_pipeline(7)


def raw_deflate(body: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(body) + packer.flush()


def gzip_in_two_members(body: bytes) -> bytes:
    return gzip.compress(body[:4]) + gzip.compress(body[4:])


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [
        ("gzip", gzip.compress),
        ("x-gzip", gzip_in_two_members),
        ("Deflate", zlib.compress),
        ("deflate", raw_deflate),
        ("deflate", gzip.compress),
    ],
)
async def test_an_answer_that_is_compressed_unasked_is_understood(
    hevo: Sandbox, client: HevoAsyncClient, encoding: str, pack: Any
) -> None:
    hevo.inject("get_pipeline", Fault.raw(pack(b'{"id": 7}'), headers={"Content-Encoding": encoding}))

    assert (await client.get_pipeline(7)).id == 7
    assert hevo.requests[0].headers["Accept-Encoding"] == "identity"


@pytest.mark.parametrize("encoding", ["gzip", "br", "zstd", "gzip, gzip"])
async def test_a_compression_that_cannot_be_undone_is_an_unreadable_answer(
    hevo: Sandbox, client: HevoAsyncClient, encoding: str
) -> None:
    hevo.inject("get_pipeline", Fault.raw(b'{"id": 7}', headers={"Content-Encoding": encoding}))

    with pytest.raises(HevoResponseError, match="compressed"):
        await client.get_pipeline(7)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"503 X\r\nRetry-After: bient\xf4t\r\nContent-Length: 0", HevoServerError),
        (b"503 X\r\nDate: ao\xfbt\r\nRetry-After: ao\xfbt\r\nContent-Length: 0", HevoServerError),
        (b"302 X\r\nLocation: http://\xf4/\xf4\r\nContent-Length: 0", HevoAPIError),
        (b"503 ind\xe9\r\nX-\xf4: \xf4\r\nContent-Length: 0", HevoError),
        (b"200 OK\r\nContent-Encoding: \xf4\r\nContent-Length: 0", HevoResponseError),
        (b"200 OK\r\nDate: ao\xfbt\r\nContent-Length: 0", None),
    ],
)
async def test_headers_that_are_not_utf_8_are_read_as_far_as_they_make_sense(
    clock: VirtualClock, answer: bytes, error: type[HevoError] | None
) -> None:
    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 " + answer + b"\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(say, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with HevoAsyncClient(url, "a-key", "a-secret", clock=clock.clock, timeout=5) as client:
            if error is None:
                assert (await client.sync_now(7)).server_time is None
            else:
                with pytest.raises(error):
                    await client.sync_now(7)


@pytest.mark.parametrize("pack", [gzip.compress, gzip_in_two_members, zlib.compress, raw_deflate])
@given(text=st.binary(max_size=200), data=st.data())
def test_a_compressed_text_is_unpacked_however_the_network_cuts_it(
    pack: Callable[[bytes], bytes], text: bytes, data: st.DataObject
) -> None:
    packed = pack(text)
    cuts = sorted(data.draw(st.sets(st.integers(1, len(packed)))))
    unpack = _unpacker("deflate")
    assert unpack is not None

    pieces = [packed[start:end] for start, end in pairwise([0, *cuts, len(packed)]) if end > start]

    assert b"".join(unpack(piece, 1000) for piece in pieces) == text


async def test_a_header_of_64_kilobytes_is_taken(hevo: Sandbox, client: HevoAsyncClient) -> None:
    hevo.add_pipeline(7)
    hevo.inject("get_pipeline", Fault.with_headers({"Content-Security-Policy": "x" * 65_000}))

    assert (await client.get_pipeline(7)).id == 7


async def test_headers_without_end_are_cut_off(hevo: Sandbox, client: HevoAsyncClient) -> None:
    hevo.inject("get_pipeline", Fault.headers_without_end())

    tracemalloc.start()
    try:
        with pytest.raises(HevoTransportError):
            await client.get_pipeline(7)
        assert tracemalloc.get_traced_memory()[1] < 2 * MAX_BODY
    finally:
        tracemalloc.stop()


# Lists that lead nowhere


def jobs(*ids: str, **page: Any) -> Fault:
    return Fault.json({"data": [{"job_id": job_id} for job_id in ids], "has_more": True, **page})


async def test_a_cursor_that_leads_in_a_circle_ends(hevo: Sandbox, client: HevoAsyncClient) -> None:
    hevo.inject("list_jobs", jobs("a", next_cursor="1"), jobs("b", next_cursor="2"), times=None)

    with pytest.raises(HevoResponseError, match="circle"):
        _ = [job async for job in client.list_jobs(7)]

    assert len(hevo.requests) == 3


async def test_a_list_that_never_ends_is_given_up(
    hevo: Sandbox, client: HevoAsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hevo_provider.client.calls.MAX_PAGES", 5)
    hevo.inject("list_jobs", *(jobs(f"job-{n}", next_cursor=str(n)) for n in range(10)))

    with pytest.raises(HevoResponseError, match="never end"):
        _ = [job async for job in client.list_jobs(7)]

    assert len(hevo.requests) == 5


@pytest.mark.parametrize(
    "page", [{"has_more": False}, {"has_more": True, "next_cursor": None}, {"next_cursor": ""}, {"next_cursor": ["x"]}]
)
async def test_a_page_without_a_way_on_is_the_last(
    hevo: Sandbox, client: HevoAsyncClient, page: dict[str, object]
) -> None:
    hevo.inject("list_jobs", Fault.json({"data": [{"job_id": "a"}], **page}))

    assert [job.job_id async for job in client.list_jobs(7)] == ["a"]
    assert len(hevo.requests) == 1


@pytest.mark.parametrize("has_more", [None, "perhaps", [], MISSING], ids=str)
async def test_a_page_that_only_names_the_next_one_has_a_next_one(
    hevo: Sandbox, client: HevoAsyncClient, has_more: object
) -> None:
    first = {"data": [{"job_id": "a"}], "next_cursor": "more"} | ({} if has_more is MISSING else {"has_more": has_more})
    hevo.inject("list_jobs", Fault.json(first), Fault.json({"data": [{"job_id": "b"}]}))

    assert [job.job_id async for job in client.list_jobs(7)] == ["a", "b"]


@pytest.mark.parametrize(
    "answer",
    [
        None,
        [],
        "jobs",
        5,
        {},
        {"data": None},
        {"data": "jobs"},
        {"data": {"job_id": "a"}},
        {"data": 5},
        {"data": [None]},
        {"data": ["a"]},
        {"data": [[]]},
        {"data": [{}]},
        {"data": [{"job_id": None}]},
        {"data": [{"job_id": "a"}, {"id": "b"}]},
    ],
    ids=json.dumps,
)
async def test_a_job_list_that_is_none_is_unreadable(hevo: Sandbox, client: HevoAsyncClient, answer: object) -> None:
    hevo.inject("list_jobs", Fault.json(answer))

    with pytest.raises(HevoResponseError):
        await client.newest_jobs(7)


# Ids that would lead elsewhere

EVIL_IDS = [
    "",
    " ",
    "..",
    "../8",
    "a/b",
    "a%2Fb",
    "a?b",
    "a#b",
    "a b",
    "a\nb",
    "a\x00b",
    "a\u202eb",
    "ä",
    "-a",
    "a" * 200,
]


@pytest.mark.parametrize("job_id", EVIL_IDS)
async def test_an_id_that_would_lead_to_another_path_is_unreadable(
    hevo: Sandbox, client: HevoAsyncClient, job_id: str
) -> None:
    hevo.inject("list_jobs", Fault.json({"data": [{"job_id": job_id}]}))

    with pytest.raises(HevoResponseError, match="job_id") as raised:
        await client.newest_jobs(7)

    assert str(raised.value).isprintable()


@pytest.mark.parametrize("job_id", [*EVIL_IDS, "None", None])
async def test_an_id_that_would_lead_to_another_path_is_not_sent(
    hevo: Sandbox, client: HevoAsyncClient, job_id: Any
) -> None:
    with pytest.raises(HevoConfigError):
        await client.get_job(7, job_id)
    with pytest.raises(HevoConfigError):
        await client.cancel_job(7, job_id)

    assert hevo.requests == []


@pytest.mark.parametrize("pipeline_id", ["../8", "7/jobs", 0, -1, 7.5, True, None, "", "\u0667"])
async def test_a_pipeline_id_that_is_no_number_is_not_sent(
    hevo: Sandbox, client: HevoAsyncClient, pipeline_id: Any
) -> None:
    with pytest.raises(HevoConfigError):
        await client.get_pipeline(pipeline_id)

    assert hevo.requests == []


async def test_a_cursor_stays_a_value_of_the_query_whatever_it_holds(hevo: Sandbox, client: HevoAsyncClient) -> None:
    cursor = "&limit=1#/../..?\r\nX: y ü"
    hevo.inject("list_jobs", jobs("a", next_cursor=cursor), Fault.json({"data": []}))

    _ = [job async for job in client.list_jobs(7)]

    _, second = hevo.requests
    assert second.path == "/api/v1/pipelines/7/jobs"
    assert second.query == {"limit": "100", "cursor": cursor}


# Fields that make no sense

ODD_TEXTS = {
    "half a pair": b'"\\ud83d"',
    "the other half": b'"a\\\\\\ude00"',
    "two first halves": b'"\\ud83d\\ud83d\\ude00"',
    "a byte that is not UTF-8": b'"caf\xe9"',
    "UTF-8 of half a pair": b'"\xed\xa0\xbd"',
}


@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"], ids=["without-a-byte-order-mark", "with-one"])
@pytest.mark.parametrize("text", ODD_TEXTS.values(), ids=ODD_TEXTS)
@pytest.mark.parametrize("name", [b"error_message", b"type"], ids=["nobody-needs", "makes-no-sense-then"])
async def test_a_text_in_odd_dress_does_not_make_a_job_unreadable(
    hevo: Sandbox, client: HevoAsyncClient, bom: bytes, text: bytes, name: bytes
) -> None:
    body = b'{"job_id": "job", "status": "COMPLETED", "events_loaded": 5, %s: %s}' % (b'"' + name + b'"', text)
    hevo.inject("get_job", Fault.raw(bom + body))
    hevo.inject("list_jobs", Fault.raw(bom + b'{"data": [%s]}' % body))

    read = await client.get_job(7, "job")

    assert (read.job_id, read.status, read.events_loaded, read.type) == ("job", "COMPLETED", 5, None)
    assert (await client.newest_jobs(7)).value.data == (read,)


async def test_a_text_in_odd_dress_does_not_make_an_action_or_an_error_unreadable(
    hevo: Sandbox, client: HevoAsyncClient
) -> None:
    hevo.inject("sync_now", Fault.raw(b'\xef\xbb\xbf{"message": "gestartet f\xfcr \\ud83d"}'))
    hevo.inject("get_pipeline", Fault.raw(b'\xef\xbb\xbf{"message": "kein Schl\xfcssel \\ud83d"}', status=403))

    assert (await client.sync_now(7)).message == "gestartet f\ufffdr \ufffd"
    with pytest.raises(HevoAuthError, match="kein Schl\ufffdssel"):
        await client.get_pipeline(7)


NONSENSE: list[Any] = [
    None,
    "",
    "a\nb",
    "\x1b[31m",
    "x" * 10_000,
    [],
    {},
    [[]],
    True,
    1.5,
    10**400,
    -(2**70),
    "NaN",
    MISSING,
]


@pytest.mark.parametrize("value", NONSENSE, ids=lambda value: str(value)[:20])
async def test_a_field_that_makes_no_sense_is_none_or_harmless(
    hevo: Sandbox, client: HevoAsyncClient, value: object
) -> None:
    job = hevo.add_pipeline(7).start_job(ago=60)
    fields = ("type", "status", "created_ts", "updated_ts", "events_loaded", "duration", "objects_failed")
    job.override = dict.fromkeys(fields, value)

    read = await client.get_job(7, job.id)

    for name in fields:
        kept = getattr(read, name)
        assert (
            kept is None or (isinstance(kept, int) and abs(kept) < 2**63) or (kept.isprintable() and len(kept) <= 100)
        )


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 1_000_000,
        b'{"id":' * 100_000,
        b'{"id": 7, "deep": ' + b"[" * 5000 + b"]" * 5000 + b"}",
        b'{"id": ' + b"9" * 100_000 + b"}",
        b'{"id": 7',
        b"\xff\xfe{}",
        b'{"id": "\xff"}',
        b"\x00" * 100,
        b'{"id": NaN}',
    ],
    ids=lambda body: repr(body[:20]),
)
async def test_a_body_made_to_break_a_parser_is_just_unreadable(
    hevo: Sandbox, client: HevoAsyncClient, body: bytes
) -> None:
    hevo.inject("get_pipeline", Fault.raw(body))

    with pytest.raises(HevoResponseError) as raised:
        await client.get_pipeline(7)

    assert len(str(raised.value)) < 1000
    assert str(raised.value).isprintable()


@pytest.mark.parametrize("status", [304, 418, 451, 499, 600, 999])
async def test_a_status_that_nobody_expects_is_a_plain_error(
    hevo: Sandbox, client: HevoAsyncClient, status: int
) -> None:
    hevo.inject("get_pipeline", Fault.status(status))

    with pytest.raises((HevoAPIError, HevoTransportError)) as raised:
        await client.get_pipeline(7)

    assert isinstance(raised.value, HevoError)
