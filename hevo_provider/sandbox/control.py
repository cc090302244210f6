"""
The sandbox's own page, and calls that make things go wrong: by click, or by ``curl``, without a key.

Hevo has none of these. They lie outside of its API's paths, no fault and no limit applies to them, and they are not in
the record of requests.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias

from hevo_provider.sandbox.api import numeric_id
from hevo_provider.sandbox.faults import Fault, error_body
from hevo_provider.sandbox.jobs import SandboxJob
from hevo_provider.sandbox.limit import Limit
from hevo_provider.sandbox.pipelines import RefusedError, SandboxPipeline
from hevo_provider.sandbox.requests import Request
from hevo_provider.sandbox.world import World

CONNECTION_ID = "hevo_airflow_conn_id"
_STATE = "/sandbox/state"
_ACTIVE = "active"
_LONGEST = 3600.0
_MOST_REQUESTS_ALLOWED = 10_000
_JOBS_OF_THE_SHOWN_PIPELINE = 30
_PAGE_HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    # All of the page is in its one file: it loads nothing from elsewhere, and no other site may frame it.
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; "
        "img-src data:; frame-ancestors 'none'"
    ),
}


class Controlled(Protocol):
    """What the calls need of the sandbox."""

    key: str
    secret: str
    limit: Limit | None
    unauthorized: bool
    pipelines: dict[int, SandboxPipeline]

    @property
    def url(self) -> str: ...  # noqa: D102

    @property
    def latest_requests(self) -> Sequence[Request]: ...  # noqa: D102

    def inject(self, route: str, *faults: Fault, times: int | None = 1, seconds: float | None = None) -> None: ...  # noqa: D102

    def clear_faults(self, route: str | None = None) -> None: ...  # noqa: D102

    def waiting_faults(self) -> list[tuple[str, Fault, float | None]]: ...  # noqa: D102

    def requests_in_the_last_minute(self) -> int: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Shown:
    """An answer of the page or of a call."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Control:
    """
    A call, as the page offers it.

    :param path: what is POSTed to; words in braces stand for ids.
    :param of: what it is about.
    """

    path: str
    label: str
    what: str
    of: Literal["all", "pipeline", "job"]


_Act: TypeAlias = "Callable[[ControlPage, Mapping[str, str]], str]"
_ACTS: dict[str, _Act] = {}
CONTROLS: list[Control] = []
"""All calls, in the order in which the page shows them."""


def _control(path: str, label: str, what: str, of: Literal["all", "pipeline", "job"] = "all") -> Callable[[_Act], _Act]:
    """Make a method of :class:`ControlPage`, which returns what it has done, a call."""

    def add(method: _Act) -> _Act:
        _ACTS[path] = method
        CONTROLS.append(Control(path, label, what, of))
        return method

    return add


class ControlPage:
    """
    The page at ``/`` and at each pipeline's address, its data, and the calls.

    :param hevo: the sandbox.
    :param world: its clock and lock.
    """

    def __init__(self, hevo: Controlled, world: World) -> None:
        self._hevo = hevo
        self._world = world
        self._credentials = (hevo.key, hevo.secret)
        self._rotations = 0

    def answer(self, method: str, path: str, query: Mapping[str, str]) -> Shown | None:
        """Answer a request that is for the page or a call; None if it is for the API."""
        parts = path.strip("/").split("/")
        if path == "/" or (parts[0], *parts[2:]) == ("pipeline", "overview"):
            return Shown(200, _PAGE_HEADERS, _page())
        if parts[0] != "sandbox":
            return None
        try:
            with self._world.lock:
                if path == _STATE:
                    return _json(200, self._state(numeric_id(query.get("pipeline"))))
                return _json(200, {"message": self._act(method, parts, query)})
        except RefusedError as refused:
            return _json(refused.status, error_body(refused.status, refused.message))

    def _act(self, method: str, parts: list[str], query: Mapping[str, str]) -> str:
        for path, act in _ACTS.items():
            pattern = path.strip("/").split("/")
            ids = {word.strip("{}"): part for word, part in zip(pattern, parts, strict=False) if word.startswith("{")}
            if len(pattern) == len(parts) and path.format(**ids) == "/" + "/".join(parts):
                if method != "POST":
                    raise RefusedError(405, f"Send it as a POST: curl -X POST {self._hevo.url}{path.format(**ids)}")
                return act(self, {**query, **ids})
        raise RefusedError(404, f"There is no such call; {self._hevo.url}/ shows all of them")

    @_control(
        "/sandbox/lost-answer",
        "Lose an answer",
        "The next Sync Now is done, but answered 502.",
    )
    def _lose_an_answer(self, _: Mapping[str, str]) -> str:
        self._hevo.clear_faults("sync_now")
        self._hevo.inject("sync_now", Fault.html(502, after=True))
        return "The next Sync Now is done, but answered 502"

    @_control("/sandbox/outage", "502 for a minute", "A gateway answers in place of Hevo.")
    def _break_down(self, given: Mapping[str, str]) -> str:
        return self._for_a_while(given, Fault.html(502), "Every request is answered 502")

    @_control("/sandbox/hang", "Hang for a minute", "Requests are never answered.")
    def _hang(self, given: Mapping[str, str]) -> str:
        return self._for_a_while(given, Fault.hang(), "No request is answered")

    def _for_a_while(self, given: Mapping[str, str], fault: Fault, what: str) -> str:
        seconds = _number(given, "seconds", 60.0, _LONGEST)
        self._hevo.clear_faults("*")
        self._hevo.inject("*", fault, seconds=seconds)
        return f"{what} for {seconds:g} s"

    @_control(
        "/sandbox/rotate-key",
        "Rotate the key",
        "The old key is answered 401 from now on.",
    )
    def _rotate_key(self, _: Mapping[str, str]) -> str:
        self._rotations += 1
        key, secret = self._credentials
        self._hevo.key, self._hevo.secret = f"{key}-{self._rotations + 1}", f"{secret}-{self._rotations + 1}"
        return f"Tell Airflow the new key: {self._connect()}"

    @_control(
        "/sandbox/limit",
        "Limit requests",
        "More than ten in 60 s are answered 429.",
    )
    def _limit(self, given: Mapping[str, str]) -> str:
        allowed = int(_number(given, "allowed", 10, _MOST_REQUESTS_ALLOWED))
        self._hevo.limit = Limit(allowed)
        return f"At most {allowed} requests in any 60 seconds are answered"

    @_control("/sandbox/recover", "End all of it", "No fault, no limit, the first key.")
    def _recover(self, _: Mapping[str, str]) -> str:
        self._hevo.clear_faults()
        self._hevo.limit = None
        self._hevo.unauthorized = False
        self._hevo.key, self._hevo.secret = self._credentials
        return "All is well again"

    @_control(
        "/sandbox/pipelines/{pipeline_id}/job",
        "A job of somebody else",
        "Hevo's schedule or a colleague starts a job of this pipeline.",
        "pipeline",
    )
    def _start_job(self, given: Mapping[str, str]) -> str:
        pipeline = self._pipeline(given)
        pipeline.refuse_unless_startable()
        job = pipeline.start_job(started_by="somebody")
        return f"Somebody has started job {job.id} of pipeline {pipeline.id}"

    @_control(
        f"/sandbox/pipelines/{{pipeline_id}}/jobs/{_ACTIVE}/fail",
        "Fail its job",
        "The active job of this pipeline fails now.",
        "pipeline",
    )
    @_control("/sandbox/pipelines/{pipeline_id}/jobs/{job_id}/fail", "Fail", "This job fails now.", "job")
    def _fail_job(self, given: Mapping[str, str]) -> str:
        pipeline = self._pipeline(given)
        wanted = given.get("job_id", _ACTIVE)
        jobs = [job for job in pipeline.jobs if job.id == wanted or (wanted == _ACTIVE and job.active)]
        if not jobs:
            which = "active job" if wanted == _ACTIVE else f"job {wanted}"
            raise RefusedError(404, f"Pipeline {pipeline.id} has no {which}")
        job = jobs[-1]
        if not job.active:
            raise RefusedError(409, f"Job {job.id} is {job.status} already")
        job.end("FAILED")
        return f"Job {job.id} of pipeline {pipeline.id} has failed"

    def _pipeline(self, given: Mapping[str, str]) -> SandboxPipeline:
        number = numeric_id(given["pipeline_id"])
        if number is None or number not in self._hevo.pipelines:
            raise RefusedError(404, f"There is no pipeline {given['pipeline_id']}")
        return self._hevo.pipelines[number]

    def _connect(self) -> str:
        add = (
            f"airflow connections add {CONNECTION_ID} --conn-type hevo --conn-host {self._hevo.url}"
            f" --conn-login {self._hevo.key} --conn-password {self._hevo.secret}"
        )
        return f"airflow connections delete {CONNECTION_ID}; {add}" if self._rotations else add

    def _state(self, shown: int | None) -> dict[str, Any]:
        now = self._world.clock()
        pipelines = dict(sorted(self._hevo.pipelines.items()))
        return {
            "url": self._hevo.url,
            "connect": self._connect(),
            "requests_in_the_last_minute": self._hevo.requests_in_the_last_minute(),
            "controls": [
                {"path": each.path, "label": each.label, "what": each.what, "of": each.of} for each in CONTROLS
            ],
            "troubles": self._troubles(now),
            "pipelines": [
                _pipeline(each, now, _JOBS_OF_THE_SHOWN_PIPELINE if number == shown else 1)
                for number, each in pipelines.items()
            ],
            "requests": [_request(each) for each in reversed(self._hevo.latest_requests)],
        }

    def _troubles(self, now: float) -> list[dict[str, Any]]:
        """Tell what goes wrong at present: in words, and for how many seconds more, if that is known."""
        found = [
            {
                "what": f"{'Every' if until else 'The next'} {_asked(route)} is {_answered(fault)}",
                "seconds": None if until is None else round(until - now),
            }
            for route, fault, until in self._hevo.waiting_faults()
        ]
        if (self._hevo.key, self._hevo.secret) != self._credentials:
            found.append({"what": f"The key is {self._hevo.key}, no longer {self._credentials[0]}", "seconds": None})
        if self._hevo.limit is not None:
            found.append({"what": f"{self._hevo.limit.allowed} requests in any 60 s are answered", "seconds": None})
        return found


@cache
def _page() -> bytes:
    return Path(__file__).with_name("page.html").read_bytes()


def _json(status: int, data: object) -> Shown:
    headers = {"Content-Type": "application/json", "Cache-Control": "no-store"}
    return Shown(status, headers, json.dumps(data).encode() + b"\n")


def _number(given: Mapping[str, str], name: str, usual: float, most: float) -> float:
    written = given.get(name, str(usual))
    try:
        number = float(written)
    except ValueError:
        number = 0.0
    if not 1 <= number <= most:
        raise RefusedError(400, f"{name} must be a number from 1 to {most:g}, not {written!r}")
    return number


def _asked(route: str) -> str:
    return "request" if route == "*" else route


def _answered(fault: Fault) -> str:
    done = "done, but " if fault.after else ""
    if fault.kind == "answer":
        return f"{done}answered {fault.code}"
    return f"{done}never answered" if fault.kind == "hang" else f"{done}answered with a fault: {fault.kind}"


def _pipeline(pipeline: SandboxPipeline, now: float, most: int) -> dict[str, Any]:
    jobs = pipeline.jobs
    schedule = pipeline.fields.get("schedule")
    return {
        "id": pipeline.id,
        "name": pipeline.name,
        "status": pipeline.status,
        "every_minutes": schedule.get("frequency_minutes") if isinstance(schedule, dict) else None,
        "count": len(jobs),
        "jobs": [_job(each, now) for each in reversed(jobs[-most:])],
    }


def _job(job: SandboxJob, now: float) -> dict[str, Any]:
    return {
        "id": job.id,
        "type": job.type,
        "status": job.status,
        "active": job.active,
        "visible": job.visible,
        "started_by": job.started_by,
        "created": job.created_at,
        "seconds": (job.ended_at or now) - job.created_at,
        "events": job.events_loaded,
        "share": job.events_ingested / max(1, job.total_events),
    }


def _request(request: Request) -> dict[str, Any]:
    return {
        "at": request.at,
        "status": request.status,
        "method": request.method,
        "path": request.path,
        "pipeline": request.pipeline_id,
        "fault": None if request.fault is None else request.fault.kind,
    }
