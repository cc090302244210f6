"""The sandbox's page and the calls that make things go wrong: without a key, and no part of Hevo's API."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hevo_provider.sandbox import Fault, Limit, Sandbox, control
from hevo_provider.sandbox.control import CONTROLS
from tests.sandbox.caller import Caller, Reply, VirtualClock

PAGE = Path(control.__file__).with_name("page.html").read_text(encoding="utf-8")


@pytest.fixture
def page(hevo: Sandbox) -> Caller:
    """Call without a key, as a browser and ``curl`` do."""
    hevo.add_pipeline(7, name="orders", duration=60.0)
    return Caller(hevo, root="", authorization="")


def told(reply: Reply) -> tuple[int, str]:
    return reply.status, reply.json["message"]


@pytest.mark.parametrize("path", ["/", "/pipeline/7/overview", "/pipeline/99/overview"])
def test_the_page_is_there_without_a_key(page: Caller, path: str) -> None:
    answer = page.get(path)

    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.body.decode() == PAGE


def test_a_host_without_a_page_can_be_played(page: Caller, hevo: Sandbox) -> None:
    hevo.has_page = False

    assert page.get("/pipeline/7/overview").status == 401
    assert [request.route for request in hevo.requests] == ["unknown"]


def test_the_page_loads_nothing_from_elsewhere(page: Caller) -> None:
    policy = page.get("/").headers["Content-Security-Policy"]

    assert "default-src 'none'" in policy
    assert set(re.findall(r"https?://[^\s\"'<>)]+", PAGE.replace("%3C", "<"))) == {"http://www.w3.org/2000/svg"}


def test_the_state_tells_pipelines_jobs_and_requests(
    page: Caller, hevo: Sandbox, call: Caller, clock: VirtualClock
) -> None:
    call.post("/7/actions/sync-now")
    clock.advance(30.0)
    hevo.recording = False  # as the command does

    call("GET", authorization="wrong")
    state = page.get("/sandbox/state").json

    (pipeline,) = state["pipelines"]
    (job,) = pipeline["jobs"]
    assert (pipeline["id"], pipeline["name"], pipeline["status"], pipeline["count"]) == (7, "orders", "INITIALIZED", 1)
    assert (job["status"], job["started_by"], job["visible"], job["events"]) == ("IN_PROGRESS", "api", True, 500)
    assert [(request["method"], request["status"]) for request in state["requests"]] == [("GET", 401), ("POST", 200)]
    assert state["requests_in_the_last_minute"] == 2
    assert (state["url"], state["troubles"]) == (hevo.url, [])


def test_of_a_pipeline_that_is_shown_more_jobs_are_told(page: Caller, hevo: Sandbox) -> None:
    jobs = [hevo.pipelines[7].start_job(ago=1000.0 - age) for age in range(40)]
    hevo.add_pipeline(8).start_job()

    shown, other = page.get("/sandbox/state?pipeline=7").json["pipelines"]

    assert [job["id"] for job in shown["jobs"]] == [job.id for job in reversed(jobs[-30:])]
    assert len(other["jobs"]) == 1


def test_neither_the_page_nor_a_call_counts_as_a_request(page: Caller, hevo: Sandbox) -> None:
    hevo.limit = Limit(1)
    hevo.inject("*", Fault.reset(), times=None)

    page.get("/")
    page.get("/sandbox/state")
    page.post("/sandbox/hang")

    assert hevo.requests == []


def test_a_job_of_somebody_else(page: Caller, hevo: Sandbox) -> None:
    status, message = told(page.post("/sandbox/pipelines/7/job"))

    (job,) = hevo.pipelines[7].jobs
    assert (status, job.started_by, job.active) == (200, "somebody", True)
    assert job.id in message


@pytest.mark.parametrize("which", ["active", "by id"])
def test_a_job_fails(page: Caller, hevo: Sandbox, which: str) -> None:
    job = hevo.pipelines[7].start_job()

    status, _ = told(page.post(f"/sandbox/pipelines/7/jobs/{job.id if which == 'by id' else which}/fail"))

    assert (status, job.status) == (200, "FAILED")


def test_every_request_is_answered_502_for_a_minute(page: Caller, call: Caller, clock: VirtualClock) -> None:
    page.post("/sandbox/outage")
    clock.advance(18.0)
    assert call.get("/7").status == 502
    assert page.get("/sandbox/state").json["troubles"] == [{"what": "Every request is answered 502", "seconds": 42}]

    clock.advance(42.0)

    assert call.get("/7").status == 200
    assert page.get("/sandbox/state").json["troubles"] == []


def test_no_request_is_answered_for_as_long_as_was_said(page: Caller, hevo: Sandbox, clock: VirtualClock) -> None:
    page.post("/sandbox/hang?seconds=5")
    with pytest.raises(TimeoutError):
        Caller(hevo, timeout=0.1).get("/7")
    assert page.get("/sandbox/state").json["troubles"] == [{"what": "Every request is never answered", "seconds": 5}]

    clock.advance(5.0)

    assert Caller(hevo).get("/7").status == 200


def test_the_answer_to_one_start_is_lost(page: Caller, hevo: Sandbox, call: Caller) -> None:
    page.post("/sandbox/lost-answer")

    assert call.post("/7/actions/sync-now").status == 502
    assert len(hevo.pipelines[7].jobs_started_by_api) == 1
    assert page.get("/sandbox/state").json["troubles"] == []


def test_the_key_is_rotated_and_how_to_tell_airflow_is_said(page: Caller, hevo: Sandbox, call: Caller) -> None:
    old = page.get("/sandbox/state").json["connect"]
    status, message = told(page.post("/sandbox/rotate-key"))

    assert status == 200
    assert message.endswith(f"--conn-login {hevo.key} --conn-password {hevo.secret}")
    assert "airflow connections delete" in message
    assert (hevo.key, hevo.secret) != ("sandbox-key", "sandbox-secret")
    assert old.endswith("--conn-login sandbox-key --conn-password sandbox-secret")
    assert call.get("/7").status == 200
    assert Caller(Sandbox(port=hevo.port)).get("/7").status == 401


def test_requests_are_limited(page: Caller, call: Caller) -> None:
    page.post("/sandbox/limit?allowed=2")

    assert [call.get("/7").status for _ in range(3)] == [200, 200, 429]


def test_all_of_it_ends(page: Caller, hevo: Sandbox, call: Caller) -> None:
    for path in ("outage", "lost-answer", "rotate-key", "limit?allowed=1"):
        page.post(f"/sandbox/{path}")
    hevo.unauthorized = True
    assert len(page.get("/sandbox/state").json["troubles"]) == 4

    page.post("/sandbox/recover")

    assert (hevo.key, hevo.secret) == ("sandbox-key", "sandbox-secret")
    assert [call.post("/7/actions/sync-now").status, call.get("/7").status] == [200, 200]
    assert page.get("/sandbox/state").json["troubles"] == []


@pytest.mark.parametrize(
    ("method", "path", "status", "says"),
    [
        ("POST", "/sandbox/nothing", 404, "There is no such call"),
        ("GET", "/sandbox/outage", 405, "curl -X POST http://127.0.0.1:"),
        ("POST", "/sandbox/outage?seconds=soon", 400, "seconds must be a number from 1 to 3600, not 'soon'"),
        ("POST", "/sandbox/outage?seconds=nan", 400, "seconds must be a number"),
        ("POST", "/sandbox/limit?allowed=0", 400, "allowed must be a number from 1 to 10000"),
        ("POST", "/sandbox/pipelines/99/job", 404, "There is no pipeline 99"),
        ("POST", "/sandbox/pipelines/x/job", 404, "There is no pipeline x"),
        ("POST", "/sandbox/pipelines/5/job", 400, "DISABLED"),
        ("POST", "/sandbox/pipelines/6/job", 409, "already in progress"),
        ("POST", "/sandbox/pipelines/7/jobs/active/fail", 404, "Pipeline 7 has no active job"),
        ("POST", "/sandbox/pipelines/7/jobs/none/fail", 404, "Pipeline 7 has no job none"),
    ],
)
def test_what_cannot_be_done_is_said(
    page: Caller, hevo: Sandbox, method: str, path: str, status: int, says: str
) -> None:
    hevo.add_pipeline(5, status="DISABLED")
    hevo.add_pipeline(6).start_job()

    answer = page(method, path)

    assert answer.status == status
    assert says in answer.json["message"]


def test_a_job_that_is_over_cannot_fail(page: Caller, hevo: Sandbox) -> None:
    job = hevo.pipelines[7].start_job(ago=100.0)

    status, message = told(page.post(f"/sandbox/pipelines/7/jobs/{job.id}/fail"))

    assert (status, message) == (409, f"Job {job.id} is COMPLETED already")


def test_the_page_is_told_of_every_call(page: Caller) -> None:
    offered = page.get("/sandbox/state").json["controls"]

    assert [each["path"] for each in offered] == [each.path for each in CONTROLS]
    assert {each["of"] for each in offered} == {"all", "pipeline", "job"}


def test_faults_can_be_injected_for_a_time(hevo: Sandbox, call: Caller, clock: VirtualClock) -> None:
    hevo.add_pipeline(7)
    hevo.inject("get_pipeline", Fault.status(503), Fault.no_op(), seconds=10.0)
    hevo.inject("get_pipeline", Fault.status(504))

    assert [call.get("/7").status for _ in range(4)] == [503, 200, 503, 200]
    clock.advance(10.0)
    assert [call.get("/7").status for _ in range(2)] == [504, 200]
