"""Each way in which a request can go wrong."""

from __future__ import annotations

import gzip
import http.client
import socket
import threading

import pytest

from hevo_provider.sandbox import Fault, Sandbox, SandboxPipeline
from tests.sandbox.caller import Caller


@pytest.fixture
def pipeline(hevo: Sandbox) -> SandboxPipeline:
    return hevo.add_pipeline(7, parallel_jobs=True)


@pytest.mark.parametrize("after", [False, True])
def test_a_gateway_error_before_or_after_the_action(
    hevo: Sandbox, call: Caller, pipeline: SandboxPipeline, after: bool
) -> None:
    hevo.inject("sync_now", Fault.status(503, after=after, headers={"Retry-After": "2"}))

    answer = call.post("/7/actions/sync-now")

    assert answer.status == 503
    assert answer.headers["Retry-After"] == "2"
    assert answer.json["error"] == "Service Unavailable"
    assert len(pipeline.jobs) == int(after)


@pytest.mark.parametrize("after", [False, True])
def test_a_reset_before_or_after_the_action(
    hevo: Sandbox, call: Caller, pipeline: SandboxPipeline, after: bool
) -> None:
    hevo.inject("sync_now", Fault.reset(after=after))

    with pytest.raises(ConnectionResetError):
        call.post("/7/actions/sync-now")

    assert len(pipeline.jobs) == int(after)
    assert hevo.requests[-1].status is None
    assert hevo.requests[-1].applied is after


@pytest.mark.parametrize("after", [False, True])
def test_no_answer_before_or_after_the_action(hevo: Sandbox, pipeline: SandboxPipeline, after: bool) -> None:
    hevo.inject("sync_now", Fault.hang(after=after))

    with pytest.raises(TimeoutError):
        Caller(hevo, timeout=0.1).post("/7/actions/sync-now")

    assert len(pipeline.jobs) == int(after)


def test_a_hang_may_end_with_a_cut_connection(hevo: Sandbox, call: Caller, pipeline: SandboxPipeline) -> None:
    hevo.inject("get_pipeline", Fault.hang(0.01))

    with pytest.raises(ConnectionError):
        call.get("/7")


def test_a_slow_answer_is_right_in_the_end(hevo: Sandbox, call: Caller, pipeline: SandboxPipeline) -> None:
    hevo.inject("sync_now", Fault.slow(0.01))

    assert call.post("/7/actions/sync-now").status == 200
    assert len(pipeline.jobs) == 1


def test_a_truncated_answer_is_shorter_than_it_says(hevo: Sandbox, call: Caller, pipeline: SandboxPipeline) -> None:
    hevo.inject("get_pipeline", Fault.truncated())

    with pytest.raises(http.client.IncompleteRead):
        call.get("/7")


@pytest.mark.parametrize("after", [False, True])
def test_a_truncated_answer_to_an_action_without_a_body(
    hevo: Sandbox, call: Caller, pipeline: SandboxPipeline, after: bool
) -> None:
    hevo.action_answer = 204
    hevo.inject("sync_now", Fault.truncated(after=after))

    with pytest.raises(http.client.IncompleteRead):
        call.post("/7/actions/sync-now")

    assert len(pipeline.jobs) == int(after)


def test_html_json_and_bytes_in_place_of_the_answer(hevo: Sandbox, call: Caller, pipeline: SandboxPipeline) -> None:
    zipped = gzip.compress(b" " * 1000)
    hevo.inject(
        "get_pipeline",
        Fault.html(502),
        Fault.json(["not", "an", "object"]),
        Fault.raw(zipped, headers={"Content-Encoding": "gzip"}),
    )

    html, json, raw = (call.get("/7") for _ in range(3))

    assert (html.status, html.headers["Content-Type"]) == (502, "text/html; charset=utf-8")
    assert json.json == ["not", "an", "object"]
    assert (raw.body, raw.headers["Content-Encoding"]) == (zipped, "gzip")


def test_a_redirect_names_another_address(hevo: Sandbox, call: Caller, pipeline: SandboxPipeline) -> None:
    hevo.inject("get_pipeline", Fault.redirect("http://127.0.0.1:1/elsewhere"))

    answer = call.get("/7")

    assert (answer.status, answer.headers["Location"]) == (302, "http://127.0.0.1:1/elsewhere")


def test_a_huge_body_comes_without_its_length(hevo: Sandbox, call: Caller, pipeline: SandboxPipeline) -> None:
    hevo.inject("get_pipeline", Fault.body_of_size(200_000))

    answer = call.get("/7")

    assert len(answer.body) == 200_000
    assert "Content-Length" not in answer.headers
    assert answer.data == []


def test_headers_without_end_are_too_many_for_any_client(
    hevo: Sandbox, call: Caller, pipeline: SandboxPipeline
) -> None:
    hevo.inject("get_pipeline", Fault.headers_without_end())

    with pytest.raises(http.client.HTTPException, match="more than 100 headers"):
        call.get("/7")


def test_headers_of_a_true_answer_can_be_set_or_left_out(
    hevo: Sandbox, call: Caller, pipeline: SandboxPipeline
) -> None:
    hevo.inject("get_pipeline", Fault.with_headers({"Date": None, "X-Request-Id": "r1"}))

    answer = call.get("/7")

    assert answer.json["id"] == 7
    assert "Date" not in answer.headers
    assert answer.headers["X-Request-Id"] == "r1"


def test_a_gateways_own_status(hevo: Sandbox, call: Caller, pipeline: SandboxPipeline) -> None:
    hevo.inject("get_pipeline", Fault.status(520, body="origin is down", headers={"Content-Type": "text/plain"}))

    answer = call.get("/7")

    assert (answer.status, answer.body) == (520, b"origin is down")


def test_faults_are_used_up_in_order(hevo: Sandbox, call: Caller, pipeline: SandboxPipeline) -> None:
    hevo.inject("get_pipeline", Fault.no_op(), Fault.status(500), Fault.status(429))

    assert [call.get("/7").status for _ in range(4)] == [200, 500, 429, 200]


def test_faults_can_be_repeated(hevo: Sandbox, call: Caller, pipeline: SandboxPipeline) -> None:
    hevo.inject("get_pipeline", Fault.status(500), times=2)
    hevo.inject("get_pipeline", Fault.status(502))

    assert [call.get("/7").status for _ in range(4)] == [500, 500, 502, 200]


def test_faults_for_ever_until_they_are_cleared(hevo: Sandbox, call: Caller, pipeline: SandboxPipeline) -> None:
    hevo.inject("get_pipeline", Fault.status(500), times=None)
    assert [call.get("/7").status for _ in range(3)] == [500, 500, 500]

    hevo.clear_faults()

    assert call.get("/7").status == 200


def test_a_fault_hits_its_own_route_only(hevo: Sandbox, call: Caller, pipeline: SandboxPipeline) -> None:
    hevo.inject("list_jobs", Fault.status(500))

    assert call.get("/7").status == 200
    assert call.get("/7/jobs").status == 500


def test_a_fault_for_any_route_comes_after_the_routes_own(
    hevo: Sandbox, call: Caller, pipeline: SandboxPipeline
) -> None:
    hevo.inject("*", Fault.status(503))
    hevo.inject("get_pipeline", Fault.status(500))

    assert [call.get("/7").status, call.get("/7").status, call.get("/7").status] == [500, 503, 200]


def test_a_route_that_does_not_exist_is_a_mistake_in_the_test(hevo: Sandbox) -> None:
    with pytest.raises(ValueError, match="sync_now"):
        hevo.inject("sync-now", Fault.status(500))


def test_a_source_of_faults_is_asked_when_none_is_queued(
    hevo: Sandbox, call: Caller, pipeline: SandboxPipeline
) -> None:
    hevo.fault_source = lambda route: Fault.status(418) if route == "get_pipeline" else None
    hevo.inject("get_pipeline", Fault.no_op())

    assert [call.get("/7").status, call.get("/7").status, call.get("/7/jobs").status] == [200, 418, 200]


def test_a_fault_after_applying_needs_credentials_to_apply(
    hevo: Sandbox, call: Caller, pipeline: SandboxPipeline
) -> None:
    hevo.inject("sync_now", Fault.status(503, after=True))

    assert call("POST", "/7/actions/sync-now", authorization="Basic wrong").status == 503
    assert pipeline.jobs == []


def test_a_hung_request_is_let_go_when_the_client_leaves(hevo: Sandbox, pipeline: SandboxPipeline) -> None:
    hevo.inject("get_pipeline", Fault.hang())
    with pytest.raises(TimeoutError):
        Caller(hevo, timeout=0.05).get("/7")

    # A connection that was opened later is served later: by then the server has seen the first one close.
    assert Caller(hevo).get("/7").status == 200
    assert hevo.connections_open <= 1


def test_stopping_cuts_hung_requests_off(hevo: Sandbox, pipeline: SandboxPipeline) -> None:
    hevo.inject("get_pipeline", Fault.hang())
    hung = threading.Event()
    hevo.on_request = lambda _: hung.set()
    with socket.create_connection((hevo.host, hevo.port), timeout=5.0) as client:
        client.sendall(b"GET /api/v1/pipelines/7 HTTP/1.1\r\nHost: hevo\r\n\r\n")
        assert hung.wait(5.0)

        hevo.stop()

        assert client.recv(100) == b""
