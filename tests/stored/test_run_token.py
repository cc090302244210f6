"""A wait that version 1.0.0 began is killed, or only seems to be: the XCom that it left tells which (Airflow 3)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance
from airflow.sdk.execution_time.xcom import XCom

from hevo_provider.sandbox import Sandbox
from tests.stage.clock import VirtualClock, waking_at
from tests.stage.tasks import TaskInstance, event_of, run_in_triggerer
from tests.stored import read, restore, trigger_of

TRIGGERS = read("triggers")
OWN = "find: SYNC_NOW that Hevo accepted"
ANOTHERS = "watch: another's job, adopted"


@pytest.fixture
def airflow_has(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, dict[str, str]], None]:
    """Return a function that says what is in Airflow's database: the task's state and its XComs."""

    def has(state: str, xcoms: dict[str, str]) -> None:
        monkeypatch.setattr(RuntimeTaskInstance, "get_task_states", lambda **_: {"run": {"task": state}})
        monkeypatch.setattr(XCom, "get_one", lambda *, key, **_: xcoms.get(key))

    return has


def killed(entry: dict[str, Any], ti: TaskInstance) -> None:
    """Let a triggerer wait for a minute, and then end the wait as Airflow does when a user has acted."""
    trigger = trigger_of(entry)
    trigger.task_instance = ti

    async def wait() -> None:
        with waking_at(ti.clock.now() + 60, ti.clock) as reached:
            waiting = asyncio.ensure_future(event_of(trigger))
            await reached
        waiting.cancel("user-action")
        await asyncio.wait([waiting])
        await trigger.on_kill()

    run_in_triggerer(wait())


@pytest.mark.parametrize(
    ("name", "state", "token_is_its_own", "cancels"),
    [
        (OWN, "deferred", True, 0),
        (OWN, "deferred", False, 1),
        (OWN, "failed", True, 1),
        (ANOTHERS, "failed", True, 0),
    ],
    ids=["taken-over", "cleared-and-deferred-again", "marked-failed", "marked-failed-but-the-job-is-anothers"],
)
def test_the_job_is_cancelled_only_if_it_is_its_own_and_nobody_waits_for_it(
    hevo: Sandbox,
    ti: TaskInstance,
    clock: VirtualClock,
    airflow_has: Callable[[str, dict[str, str]], None],
    name: str,
    state: str,
    token_is_its_own: bool,
    cancels: int,
) -> None:
    entry = restore(TRIGGERS[name], hevo, clock)
    token = entry["trigger"]["kwargs"]["run_token"]
    airflow_has(state, {"hevo_run_token": token if token_is_its_own else "another"})

    killed(entry, ti)

    assert sum(job.cancel_requests for job in hevo.pipelines[7].jobs) == cancels


@pytest.mark.parametrize(("mark_is_its_own", "cancels"), [(True, 0), (False, 1)], ids=["taken-over", "cleared"])
def test_a_wait_of_today_is_told_by_its_mark_in_the_same_way(
    hevo: Sandbox,
    ti: TaskInstance,
    clock: VirtualClock,
    airflow_has: Callable[[str, dict[str, str]], None],
    mark_is_its_own: bool,
    cancels: int,
) -> None:
    stored = TRIGGERS[OWN]
    kwargs = dict(stored["trigger"]["kwargs"])
    mark = kwargs["run_mark"] = kwargs.pop("run_token")
    entry = restore({**stored, "trigger": {**stored["trigger"], "kwargs": kwargs}}, hevo, clock)
    airflow_has("deferred", {"hevo_run_mark": mark if mark_is_its_own else "another", "hevo_run_token": "of before"})

    killed(entry, ti)

    assert sum(job.cancel_requests for job in hevo.pipelines[7].jobs) == cancels


def test_what_1_0_0_has_stored_is_stored_under_its_own_name_again(hevo: Sandbox, clock: VirtualClock) -> None:
    entry = restore(TRIGGERS[OWN], hevo, clock)

    _, kwargs = trigger_of(entry).serialize()

    assert kwargs["run_token"] == entry["trigger"]["kwargs"]["run_token"]
    assert "run_mark" not in kwargs
