"""Credentials, the record of requests, the clock on the wire, and the server's life."""

from __future__ import annotations

import asyncio
import socket
import threading

import aiohttp
import pytest

from hevo_provider.sandbox import Request, Sandbox
from tests.sandbox.caller import Caller, VirtualClock


def test_wrong_credentials_are_refused(hevo: Sandbox, call: Caller) -> None:
    answer = call("GET", authorization="Basic d3Jvbmc6d3Jvbmc=")

    assert answer.status == 401
    assert answer.json["error"] == "Unauthorized"


def test_rotated_keys_shut_out_the_old_ones(hevo: Sandbox, call: Caller) -> None:
    hevo.key, old_key = "new-key", hevo.key
    assert call.get().status == 200

    hevo.key = old_key
    hevo.secret = "new-secret"
    assert call.get().status == 200
    assert call("GET", authorization="Basic c2FuZGJveC1rZXk6c2FuZGJveC1zZWNyZXQ=").status == 401


def test_everybody_can_be_shut_out(hevo: Sandbox, call: Caller) -> None:
    hevo.unauthorized = True
    assert call.get().status == 401

    hevo.unauthorized = False
    assert call.get().status == 200


def test_the_date_header_follows_the_clock(hevo: Sandbox, call: Caller, clock: VirtualClock) -> None:
    clock.now = 1_700_000_000.9
    assert call.get().headers["Date"] == "Tue, 14 Nov 2023 22:13:20 GMT"

    clock.advance(1.0)
    assert call.get().headers["Date"] == "Tue, 14 Nov 2023 22:13:21 GMT"


def test_a_request_is_recorded_with_what_it_asked_and_got(hevo: Sandbox, call: Caller, clock: VirtualClock) -> None:
    pipeline = hevo.add_pipeline(7)

    call.post("/7/actions/resync?trace=1", {"drop_and_load": True})

    (request,) = hevo.requests
    assert (request.route, request.method, request.path) == ("resync", "POST", "/api/v1/pipelines/7/actions/resync")
    assert (request.query, request.body) == ({"trace": "1"}, {"drop_and_load": True})
    assert (request.status, request.at, request.authorized, request.applied) == (200, clock.now, True, True)
    assert (request.pipeline_id, request.job_id) == (7, pipeline.jobs[0].id)
    assert "Basic" not in repr(request)


def test_requests_can_be_asked_for_by_route(hevo: Sandbox, call: Caller) -> None:
    job = hevo.add_pipeline(7).start_job(ago=60.0)
    call.get("/7")
    call.get(f"/7/jobs/{job.id}")
    call.get("/7/jobs")

    assert [request.route for request in hevo.requests_of("list_jobs", "get_pipeline")] == ["get_pipeline", "list_jobs"]
    assert hevo.requests_of("get_job")[0].job_id == job.id


def test_an_unknown_path_is_recorded_too(hevo: Sandbox, call: Caller) -> None:
    assert call.get("/api/v2/pipelines").status == 404
    assert [(request.route, request.applied) for request in hevo.requests] == [("unknown", False)]


def test_connections_are_counted(hevo: Sandbox, call: Caller) -> None:
    call.get()
    call.get()
    assert hevo.connections_opened == 2

    hevo.reset_record()

    assert (hevo.connections_opened, hevo.requests) == (0, [])


def test_a_request_as_to_a_proxy_is_answered(hevo: Sandbox) -> None:
    with socket.create_connection((hevo.host, hevo.port), timeout=5.0) as client:
        client.sendall(b"GET http://us.hevodata.com/api/v1/pipelines HTTP/1.1\r\nHost: us.hevodata.com\r\n\r\n")
        client.recv(65536)

    assert [request.route for request in hevo.requests] == ["list_pipelines"]


def test_recording_can_be_left_to_somebody_else(hevo: Sandbox, call: Caller) -> None:
    seen: list[Request] = []
    hevo.recording = False
    hevo.on_request = seen.append

    call.get()

    assert hevo.requests == []
    assert [request.route for request in seen] == ["list_pipelines"]


def test_a_restarted_sandbox_keeps_its_port_and_state(hevo: Sandbox, call: Caller) -> None:
    hevo.add_pipeline(7)
    port = hevo.port

    hevo.stop()
    with pytest.raises(ConnectionRefusedError):
        call.get("/7")
    hevo.start()

    assert hevo.port == port
    assert call.get("/7").status == 200


def test_a_sandbox_that_runs_is_not_started_again(hevo: Sandbox) -> None:
    with pytest.raises(RuntimeError, match="running already"):
        hevo.start()


def test_a_port_that_is_taken_is_an_error_at_once(hevo: Sandbox) -> None:
    second = Sandbox(port=hevo.port)

    with pytest.raises(OSError, match="address already in use"):
        second.start()

    second.stop()


def test_a_port_that_does_not_exist_is_an_error_at_once() -> None:
    with pytest.raises(OverflowError):
        Sandbox(port=70_000).start()


async def test_a_sandbox_in_the_running_loop() -> None:
    async with Sandbox() as hevo, aiohttp.ClientSession() as session, session.get(f"{hevo.url}/api/v1/x") as answer:
        assert answer.status == 401

    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(hevo.host, hevo.port)


def test_a_seed_makes_ids_reproducible() -> None:
    first, second = (Sandbox(seed=5).add_pipeline(1).start_job().id for _ in range(2))

    assert first == second


def test_many_clients_at_once_start_one_job(hevo: Sandbox, call: Caller) -> None:
    pipeline = hevo.add_pipeline(7)
    statuses: list[int] = []
    threads = [
        threading.Thread(target=lambda: statuses.append(call.post("/7/actions/sync-now").status)) for _ in range(20)
    ]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(statuses) == [200] + [409] * 19
    assert len(pipeline.jobs) == 1
