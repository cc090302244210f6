"""
Stand-in servers, in a process of their own: ``python -m benchmarks.server``.

One small HTTP server that plays Hevo and the services of the other providers. It does as little as it can, so that it
never is what limits a measurement: jobs have no state, their end follows from the pipeline's number and the clock.
``/_/…`` is for the benchmark itself.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from dataclasses import dataclass, field
from email.utils import formatdate
from urllib.parse import parse_qsl

BACKLOG = 4096
LISTENING = "listening on"

# 600 bytes, as Hevo sends them.
JOB = {
    "type": "INCREMENTAL",
    "events_ingested": 120_034,
    "events_loaded": 120_034,
    "events_failed": 0,
    "objects_success": 41,
    "objects_queued": 0,
    "objects_skipped": 0,
    "objects_failed": 0,
    "billable_events": 120_034,
    "non_billable_events": 0,
    "duration": 731_000,
    "min_latency": 120,
    "max_latency": 2400,
    "mean_latency": 610,
    "started_by": "00000000-0000-4000-8000-000000000000",
    "stages": [{"name": "INGESTION", "status": "IN_PROGRESS"}, {"name": "LOAD", "status": "PENDING"}],
}


@dataclass
class World:
    """
    What the server knows.

    :param latency: seconds before each answer.
    :param first_end: epoch seconds at which the first job ends; None: none ever does.
    :param span: seconds over which the ends of the jobs are spread.
    :param hung: highest number of a pipeline whose job is never answered.
    :param slow: seconds that the answer for pipeline 1 takes.
    """

    latency: float = 0.0
    first_end: float | None = None
    span: float = 1.0
    hung: int = 0
    slow: float = 0.0
    requests: int = 0
    connections: int = 0
    last_seen: dict[int, float] = field(default_factory=dict)
    created: dict[int, int] = field(default_factory=dict)
    longest_gap: float = 0.0

    def end_of(self, number: int) -> float | None:
        """Return when the job of a pipeline ends, by epoch seconds: spread, but the same each time."""
        return None if self.first_end is None else self.first_end + (number * 7919 % 10_000) / 10_000 * self.span

    def control(self, command: str, query: dict[str, float]) -> dict[str, float]:
        """Change what is played, or tell what was seen since the last reset."""
        if command == "set":
            for name, value in query.items():
                setattr(self, name, value)
        now = time.monotonic()
        if command == "reset":
            self.requests, self.connections, self.longest_gap = 0, 0, 0.0
            self.last_seen = dict.fromkeys(self.last_seen, now)
        open_gaps = (now - seen for number, seen in self.last_seen.items() if number > self.hung)
        longest_gap = max(self.longest_gap, max(open_gaps, default=0.0))  # who has given up asking has the longest
        return {"requests": self.requests, "connections": self.connections, "longest_gap": longest_gap}

    def note(self, number: int) -> None:
        """Note when somebody asked, to find the longest time that anybody did not."""
        now = time.monotonic()
        self.longest_gap = max(self.longest_gap, now - self.last_seen.get(number, now))
        self.last_seen[number] = now


def job_json(number: int, world: World) -> dict[str, object]:
    """Return Hevo's answer about a pipeline's job."""
    end = world.end_of(number)
    now = time.time()
    over = end is not None and now >= end
    stamp = int((end if over and end is not None else now) * 1000)
    status = "COMPLETED" if over else "IN_PROGRESS"
    created = world.created.setdefault(number, int(now * 1000))
    job_id = f"00000000-0000-4000-8000-{number:012d}"
    return {"job_id": job_id, "status": status, "created_ts": created, "updated_ts": stamp, **JOB}


def hevo_answer(method: str, parts: list[str], world: World) -> object:
    """Play Hevo: ``pipelines/{number}[/jobs[/{job_id}] | /actions/sync-now]``; None: no answer at all."""
    number = int(parts[1])
    match parts[2:]:
        case []:
            return {"id": number, "name": f"pipeline {number}", "status": "INITIALIZED"}
        case ["jobs"]:
            jobs = (
                [] if world.latency else [job_json(number, world)]
            )  # where only the start is measured: none is active
            return {"data": jobs, "has_more": False, "next_cursor": None}
        case ["jobs", _]:
            return None if number <= world.hung else job_json(number, world)
    return {"message": f"{method} accepted"}


def fivetran_answer() -> object:
    """Play Fivetran: a connector that is syncing."""
    status = {"setup_state": "connected", "sync_state": "syncing", "update_state": "on_schedule"}
    times = {"succeeded_at": "2026-01-01T00:00:00.000000Z", "failed_at": "2025-01-01T00:00:00.000000Z"}
    data = {"id": "c", "service": "postgres", "schema": "shop", "paused": False, "status": status, **times}
    return {"code": "Success", "data": data | {"config": {"filler": "x" * 250}}}


def airbyte_answer(number: int) -> object:
    """Play Airbyte: a job that is running."""
    times = {"startTime": "2026-01-01T00:00:00Z", "lastUpdatedAt": "2026-01-01T00:00:00Z"}
    job = {"jobId": number, "status": "running", "jobType": "sync", "connectionId": "x" * 300, **times}
    return job | {"duration": "PT5M", "bytesSynced": 1000, "rowsSynced": 100}


def dbt_answer(number: int) -> object:
    """Play dbt Cloud: a run that is running."""
    return {"status": {"code": 200}, "data": {"id": number, "status": 3, "filler": "x" * 500}}


class Http(asyncio.Protocol):
    """As much HTTP as the clients here need: requests that come one by one, with bodies that do not matter."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._loop = asyncio.get_running_loop()
        self._received = b""
        self._counted = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep it for the answers."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer once the whole request is there."""
        self._received += data
        head, found, rest = self._received.partition(b"\r\n\r\n")
        if not found:
            return
        length = 0
        if not head.startswith(b"GET"):
            length = next((int(h[15:]) for h in head.split(b"\r\n") if h.lower().startswith(b"content-length:")), 0)
        if len(rest) >= length:
            self._received = rest[length:]
            method, target, _ = head.split(b" ", 2)
            self._answer(method.decode(), target.decode())

    def _answer(self, method: str, target: str) -> None:
        world = self._world
        path, _, query = target.partition("?")
        parts = path.strip("/").split("/")
        if parts[0] == "_":
            self._send(world.control(parts[1], {name: float(value) for name, value in parse_qsl(query)}))
            return
        world.connections += not self._counted
        self._counted = True
        world.requests += 1
        number = int(parts[-1].rpartition("-")[2]) if parts[-1][-1].isdigit() else 0
        if number > world.hung:
            world.note(number)
        match parts:
            case ["api", "v1", *of_hevo]:
                value = hevo_answer(method, of_hevo, world)
            case ["v1", *_]:
                value = fivetran_answer()
            case ["api", "v2", *_]:
                value = dbt_answer(number)
            case _:
                value = airbyte_answer(number)
        if value is None:
            return
        pause = world.slow if number == 1 and world.slow else world.latency
        if pause:
            self._loop.call_later(pause, self._send, value)
        else:
            self._send(value)

    def _send(self, value: object) -> None:
        body = json.dumps(value).encode()
        date = formatdate(usegmt=True)
        head = (
            f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nDate: {date}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        if not self._transport.is_closing():
            self._transport.write(head.encode() + body)


async def serve() -> None:
    """Serve on a free port of loopback, and say which."""
    world = World()
    server = await asyncio.get_running_loop().create_server(lambda: Http(world), "127.0.0.1", 0, backlog=BACKLOG)
    sys.stdout.write(f"{LISTENING} {server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve())
