"""What version 1.0.0 left in users' databases, and a sandbox and a clock as they were at that moment."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from airflow.providers.common.compat.sdk import AirflowTaskTimeout

from hevo_provider.sandbox import TERMINAL_STATUSES, Sandbox
from hevo_provider.sandbox.pipelines import SandboxPipeline
from tests.stage.clock import VirtualClock
from tests.stage.tasks import Deferral, TaskInstance, event_of, play, run_in_triggerer, work

FOLDER = Path(__file__).parent / "1.0.0"
STARTS = ("sync_now", "resync", "resync_objects")


def read(file: str) -> dict[str, Any]:
    """Read a file of the folder: what was stored, by the situation in which it was."""
    entries: dict[str, Any] = json.loads((FOLDER / f"{file}.json").read_text(encoding="utf-8"))
    return entries


def restore(entry: dict[str, Any], hevo: Sandbox, clock: VirtualClock) -> dict[str, Any]:
    """Make time and pipeline what they were; return the entry, about the sandbox's jobs."""
    clock.advance(entry["time"] - clock.now())
    stored, text = entry["hevo"], json.dumps(entry)
    pipeline = hevo.add_pipeline(7, **stored["pipeline"])
    for each in stored["objects"]:
        pipeline.add_object(each["name"], object_id=each["object_id"])
    for each in stored["jobs"]:
        job = pipeline.start_job(each["type"], started_by=each["started_by"], ago=clock.now() - each["created_at"])
        for name in ("created_at", "appear_after", "duration", "object_names"):
            setattr(job, name, each[name])
        if each["ends"] in TERMINAL_STATUSES:
            job.ends = each["ends"]
        else:
            job.status_override = each["ends"]
        text = text.replace(each["job_id"], job.id)  # the sandbox gives its jobs ids of its own
    if stored["restarting_until"] is not None:
        _restart(pipeline, stored["restarting_until"], hevo, clock)
    restored: dict[str, Any] = json.loads(text)
    return restored


def _restart(pipeline: SandboxPipeline, until: float, hevo: Sandbox, clock: VirtualClock) -> None:
    pipeline.status = "RESTARTING"

    def is_over(_: object) -> None:
        if clock.now() >= until:
            hevo.on_request = None
            pipeline.status = "INITIALIZED"

    hevo.on_request = is_over


def load(path: str) -> Any:
    """Import what a class path names, as Airflow does."""
    module, _, name = path.rpartition(".")
    return getattr(import_module(module), name)


def task_of(entry: dict[str, Any]) -> Any:
    """Make the task that the entry belongs to, as it stands in the user's DAG."""
    return load(entry["task"]["class"])(task_id="task", pipeline_id=7, **entry["task"]["parameters"])


def trigger_of(entry: dict[str, Any]) -> Any:
    """Make the trigger from its row."""
    return load(entry["trigger"]["classpath"])(**entry["trigger"]["kwargs"])


def go_on_from_trigger(entry: dict[str, Any], ti: TaskInstance) -> Any:
    """Let a triggerer take up the stored trigger, and take the task to its end: what it returns."""
    return go_on_from_event({**entry, "event": run_in_triggerer(event_of(trigger_of(entry)))}, ti)


def go_on_from_event(entry: dict[str, Any], ti: TaskInstance) -> Any:
    """Let a worker take up the stored event, and take the task to its end: what it returns."""
    task = task_of(entry)
    result = work(lambda: getattr(task, entry["next_method"])(ti.context, entry["event"]))
    return play(task, ti, result) if isinstance(result, Deferral) else result


def ending(hevo: Sandbox, ti: TaskInstance, go_on: Callable[[], Any]) -> dict[str, Any]:
    """
    Go on, and return how it ended: the job or the error, what was published, and what was sent to Hevo.

    Jobs are numbers in the order in which they were started.
    """
    pipeline = hevo.pipelines[7]
    returned: Any = None
    error: BaseException | None = None
    try:
        returned = go_on()
    except (Exception, AirflowTaskTimeout) as failure:  # noqa: BLE001 - its kind is compared
        error = failure
    number = {job.id: number for number, job in enumerate(pipeline.jobs)}
    facts = ti.xcoms.get("hevo_job")
    return {
        "returns": None if returned is None else number[returned],
        "raises": None if error is None else type(error).__name__,
        "publishes": None
        if facts is None
        else {
            "job": number[facts["job_id"]],
            **{name: facts[name] for name in ("job_type", "status", "objects_success")},
        },
        "starts": [request.route for request in hevo.requests_of(*STARTS)],
        "cancels": [number for number, job in enumerate(pipeline.jobs) if job.cancel_requests],
    }
