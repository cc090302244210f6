"""The REST API of a running Airflow, 2.11 (v1) and 3.x (v2), as far as a test asks for it."""

from __future__ import annotations

import base64
import json
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, TypeVar

T = TypeVar("T")

ADMIN = "admin"  # user and password of the only account, in an Airflow that lives for one test run
FINISHED = ("success", "failed", "upstream_failed", "skipped", "removed")


class AirflowApiError(Exception):
    """Airflow answered with an error, or not at all."""


@dataclass(frozen=True)
class TaskEvent:
    """One line of Airflow's audit log about a task: it entered ``event`` (running, deferred, success …) at ``when``."""

    event: str
    when: datetime
    try_number: int | None


@dataclass(frozen=True)
class LogEntry:
    """One line of a task's log."""

    when: str
    level: str
    logger: str
    event: str


def wait_for(what: str, probe: Callable[[], T | None], timeout: float = 90.0, every: float = 0.2) -> T:
    """
    Ask until there is an answer.

    :param what: names the thing that is waited for, in the error.
    :param probe: returns something true once it is there; errors of the API count as "not yet".
    :param timeout: seconds until it is given up.
    :param every: seconds between two questions.
    :raises TimeoutError: with the last error of the API, if any.
    """
    deadline = time.monotonic() + timeout
    last: Exception | None = None
    while time.monotonic() < deadline:
        try:
            if found := probe():
                return found
        except AirflowApiError as error:
            last = error
        time.sleep(every)
    raise TimeoutError(f"{what}: not within {timeout:g} s" + (f" ({last})" if last else ""))


class AirflowApi:
    """
    Talk to the web server of one Airflow.

    :param base_url: where it listens, such as ``http://127.0.0.1:8080``.
    :param v3: whether it is an Airflow 3 (paths under ``/api/v2``, in the laboratory a token for all) or 2.11.
    """

    def __init__(self, base_url: str, *, v3: bool) -> None:
        self.base_url = base_url
        self.v3 = v3

    def call(self, method: str, path: str, body: object = None) -> Any:
        """
        Send one request below the API's root.

        :returns: the decoded JSON, or None if the answer has no body.
        :raises AirflowApiError: for every status but 2xx, and when nothing listens.
        """
        root = "/api/v2" if self.v3 else "/api/v1"
        text = self._send(method, root + path, None if body is None else json.dumps(body).encode(), who=self._who)
        return json.loads(text) if text else None

    def is_healthy(self) -> bool:
        """Whether the scheduler, at least one triggerer and, on 3.x, the DAG processor send heartbeats."""
        health = json.loads(self._send("GET", "/api/v2/monitor/health" if self.v3 else "/health"))
        if self.v3:  # the part that workers talk to is only built at its first request, which takes seconds
            self._send("GET", "/execution/health")
        parts = ("metadatabase", "scheduler", "triggerer", *(("dag_processor",) if self.v3 else ()))
        return all(health[part]["status"] == "healthy" for part in parts)

    def add_connection(self, connection_id: str, **fields: object) -> None:
        """Put a connection into Airflow's database, with ``conn_type``, ``host``, ``login`` and so on."""
        self.call("POST", "/connections", {"connection_id": connection_id, **fields})

    def change_connection(self, connection_id: str, **fields: object) -> None:
        """Change fields of a connection that is in the database."""
        names: list[str] | str = list(fields) if self.v3 else ",".join(fields)  # 2.11 hears only the last of a list
        mask = urllib.parse.urlencode({"update_mask": names}, doseq=True)
        known = self.call("GET", f"/connections/{connection_id}")
        body = {"connection_id": connection_id, "conn_type": known["conn_type"], **fields}
        self.call("PATCH", f"/connections/{connection_id}?{mask}", body)

    def connection_form(self, conn_type: str) -> dict[str, Any]:
        """Describe the form for a kind of connection, as the pages of Airflow 3 are told."""
        forms = json.loads(self._send("GET", "/ui/connections/hook_meta", who=self._who))
        return next(dict(form) for form in forms if form["connection_type"] == conn_type)

    def trigger(self, dag_id: str, run_id: str, conf: dict[str, object] | None = None) -> None:
        """Start a run as soon as the DAG has been parsed."""
        body: dict[str, object] = {"dag_run_id": run_id, "conf": conf or {}}
        if self.v3:
            body["logical_date"] = None
        wait_for(f"DAG {dag_id} to be parsed", lambda: self.call("GET", f"/dags/{dag_id}"))
        wait_for(f"run {run_id} to be accepted", lambda: self.call("POST", f"/dags/{dag_id}/dagRuns", body))

    def run_state(self, dag_id: str, run_id: str) -> str:
        """State of a DAG run."""
        return str(self.call("GET", f"/dags/{dag_id}/dagRuns/{run_id}")["state"])

    def tasks(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """Every task instance of a run, mapped ones included, as the API describes them."""
        listed = self.call("GET", f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances?limit=100")["task_instances"]
        return [dict(task) for task in listed]

    def task(self, dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> dict[str, Any]:
        """Describe one task instance."""
        return dict(self.call("GET", self._task_path(dag_id, run_id, task_id, map_index)))

    def wait_task(
        self,
        dag_id: str,
        run_id: str,
        task_id: str,
        states: Collection[str] = FINISHED,
        *,
        map_index: int = -1,
        timeout: float = 90.0,
    ) -> str:
        """
        Wait until a task is in one of the states.

        :returns: the state that it is in.
        :raises TimeoutError: after ``timeout`` seconds.
        """

        def state() -> str | None:
            now = self.task(dag_id, run_id, task_id, map_index)["state"]
            return now if now in states else None

        return wait_for(f"{dag_id}/{run_id}/{task_id} to be {' or '.join(states)}", state, timeout)

    def wait_run(self, dag_id: str, run_id: str, timeout: float = 120.0) -> str:
        """Wait until a run has ended, and return its state."""

        def state() -> str | None:
            now = self.run_state(dag_id, run_id)
            return now if now in ("success", "failed") else None

        return wait_for(f"run {dag_id}/{run_id} to end", state, timeout)

    def mark(self, dag_id: str, run_id: str, task_id: str, state: str) -> None:
        """Do what a user does with "mark as success" or "mark as failed" on a task."""
        body: dict[str, object] = {"new_state": state}
        if not self.v3:
            body["dry_run"] = False
        self._call_until_done("PATCH", self._task_path(dag_id, run_id, task_id, -1), body)

    def mark_run(self, dag_id: str, run_id: str, state: str) -> None:
        """Do what a user does with "mark as success" or "mark as failed" on a whole run."""
        self._call_until_done("PATCH", f"/dags/{dag_id}/dagRuns/{run_id}", {"state": state})

    def clear(self, dag_id: str, run_id: str, task_id: str) -> None:
        """Do what a user does with "clear task"."""
        body = {"dry_run": False, "dag_run_id": run_id, "task_ids": [task_id], "only_failed": False}
        self._call_until_done("POST", f"/dags/{dag_id}/clearTaskInstances", {**body, "reset_dag_runs": True})

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str = "return_value", map_index: int = -1) -> Any:
        """Read the value of an XCom as the Python object that the task pushed."""
        query = urllib.parse.urlencode({"map_index": map_index, "stringify": "false"})
        path = f"{self._task_path(dag_id, run_id, task_id, -1)}/xcomEntries/{key}"
        return self.call("GET", f"{path}?{query}")["value"]

    def asset_events(self, dag_id: str, run_id: str, task_id: str) -> list[dict[str, Any]]:
        """Extras of the events that a task has emitted for its outlets; 2.11 calls assets datasets."""
        kind = "asset" if self.v3 else "dataset"
        query = urllib.parse.urlencode({"source_dag_id": dag_id, "source_run_id": run_id, "source_task_id": task_id})
        return [event["extra"] for event in self.call("GET", f"/{kind}s/events?{query}")[f"{kind}_events"]]

    def log(self, dag_id: str, run_id: str, task_id: str, try_number: int = 1, map_index: int = -1) -> str:
        """Read the whole task log of one try, worker and triggerer together, as text."""
        query = urllib.parse.urlencode({"full_content": "true", "map_index": map_index})
        path = f"{self._task_path(dag_id, run_id, task_id, -1)}/logs/{try_number}?{query}"
        if not self.v3:
            return self._send("GET", f"/api/v1{path}", accept="text/plain", who=self._who).decode()
        return "\n".join(_log_line(entry) for entry in self.call("GET", path)["content"])

    def log_entries(self, dag_id: str, run_id: str, task_id: str, try_number: int = 1) -> list[LogEntry]:
        """Read the log of one try of a task on Airflow 3, without the lines that group others."""
        path = f"{self._task_path(dag_id, run_id, task_id, -1)}/logs/{try_number}?full_content=true"
        return [
            LogEntry(entry["timestamp"], entry.get("level", ""), entry.get("logger", ""), _event(entry))
            for entry in self.call("GET", path)["content"]
            if entry.get("timestamp")
        ]

    def events(self, dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> list[TaskEvent]:
        """Tell the states that a task went through, in order, from Airflow's audit log."""
        asked = {"dag_id": dag_id, "run_id": run_id, "task_id": task_id, "limit": 100}
        query = urllib.parse.urlencode(asked if map_index < 0 else asked | {"map_index": map_index})
        entries = self.call("GET", f"/eventLogs?{query}")["event_logs"]
        events = [
            TaskEvent(entry["event"], datetime.fromisoformat(entry["when"]), entry.get("try_number"))
            for entry in entries
        ]
        return sorted(events, key=lambda event: event.when)

    def _call_until_done(self, method: str, path: str, body: object) -> None:
        """Send a change, again where SQLite was locked by another part of Airflow, so that nothing was changed."""
        wait_for(f"{method} {path} to be done", lambda: (self.call(method, path, body), True)[1], timeout=30, every=1)

    def _task_path(self, dag_id: str, run_id: str, task_id: str, map_index: int) -> str:
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}"
        return path if map_index < 0 else f"{path}/{map_index}"

    @cached_property
    def _who(self) -> str:
        """The header that says who asks. Airflow 3.1 wants one even where everybody is an admin."""
        if self.v3:
            return f"Bearer {json.loads(self._send('GET', '/auth/token'))['access_token']}"
        return "Basic " + base64.b64encode(f"{ADMIN}:{ADMIN}".encode()).decode()

    def _send(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        accept: str = "application/json",
        who: str | None = None,
    ) -> bytes:
        headers = {"Accept": accept}
        if body is not None:  # 2.11 refuses an empty one that is said to be JSON
            headers["Content-Type"] = "application/json"
        if who is not None:
            headers["Authorization"] = who
        request = urllib.request.Request(self.base_url + path, body, headers, method=method)  # noqa: S310 - own loopback
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - own loopback
                text: bytes = answer.read()
        except urllib.error.HTTPError as error:
            with error:
                said = error.read().decode(errors="replace")[:600]
            raise AirflowApiError(f"{method} {path}: {error.code} {said}") from None
        except OSError as error:
            raise AirflowApiError(f"{method} {path}: {error}") from None
        return text


def _event(entry: dict[str, Any]) -> str:
    """Return what a line of the log says, with the error that it tells of."""
    details = [f"{each['exc_type']}: {each['exc_value']}" for each in entry.get("error_detail") or []]
    return "\n".join([entry["event"], *details])


def _log_line(entry: str | list[str] | dict[str, Any]) -> str:
    if isinstance(entry, dict):
        return " ".join(str(entry[key]) for key in ("timestamp", "level", "event", "error_detail") if entry.get(key))
    return entry if isinstance(entry, str) else " ".join(entry)
