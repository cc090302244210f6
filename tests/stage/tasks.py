"""
A task's way through worker and triggerer, played.

The operator, the trigger and the HTTP between them and the sandbox are real. Airflow is played: what it stores is
serialized here too, so that nothing can lean on an object that would not survive the database.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import import_module
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import BaseOperator, TaskDeferred
from airflow.triggers.base import BaseTrigger

from hevo_provider.operators import HevoPipelineOperator, HevoResyncObjectsOperator
from tests.stage.clock import VirtualClock

ACTIONS = ("SYNC_NOW", "RESYNC", "RESYNC_OBJECTS")


def operator(**parameters: Any) -> HevoPipelineOperator:
    """Make the operator as a DAG's author would, for pipeline 7 unless another is named."""
    return HevoPipelineOperator(task_id="task", **{"pipeline_id": 7, **parameters})


def operator_of(action: str, **parameters: Any) -> HevoPipelineOperator | HevoResyncObjectsOperator:
    """Make the operator for one of the ``ACTIONS``: what is promised of one holds for all."""
    if action == "RESYNC_OBJECTS":
        return HevoResyncObjectsOperator(
            task_id="task", pipeline_id=7, objects=["cust*", "public.orders"], **parameters
        )
    return operator(action=action, **parameters)


class StateStore:
    """Airflow 3.3's ``context["task_state_store"]``, without Airflow."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}

    def get(self, key: str) -> Any:
        return json.loads(self.values[key]) if key in self.values else None

    def set(self, key: str, value: Any) -> None:
        self.values[key] = json.dumps(value)

    def delete(self, key: str) -> None:
        self.values.pop(key, None)


@dataclass
class TaskInstance:
    """One task of one DAG run, over its tries."""

    clock: VirtualClock
    retries: int = 0
    dag_id: str = "dag"
    task_id: str = "task"
    run_id: str = "run"
    map_index: int = -1
    try_number: int = 1
    xcoms: dict[str, Any] = field(default_factory=dict)
    store: StateStore | None = field(default_factory=StateStore)

    def __post_init__(self) -> None:
        self.max_tries = self.retries
        self.start_date = datetime.fromtimestamp(self.clock.now(), UTC)

    def xcom_push(self, key: str, value: Any) -> None:
        self.xcoms[key] = json.loads(json.dumps(value))

    def next_try(self, *, cleared: bool = False) -> None:
        """Start another try: Airflow's own retry, or after a user's clear, which grants more tries."""
        self.try_number += 1
        self.max_tries += self.retries + 1 if cleared else 0
        self.xcoms.clear()
        self.start_date = datetime.fromtimestamp(self.clock.now(), UTC)

    @property
    def context(self) -> Any:
        stored = {} if self.store is None else {"task_state_store": self.store}
        return {"ti": self, "task_instance": self, **stored}


@dataclass(frozen=True)
class Deferral:
    """What a worker leaves behind in the database when a task defers."""

    kwargs: dict[str, Any]
    method: str
    path: str = "hevo_provider.triggers.HevoJobTrigger"

    def trigger(self) -> Any:
        """Start the trigger from what was stored, as any triggerer would."""
        module, _, name = self.path.rpartition(".")
        return getattr(import_module(module), name)(**json.loads(json.dumps(self.kwargs)))


def work(function: Callable[[], Any]) -> Any:
    """Let a worker run ``execute`` or ``execute_complete``: what it returns, or the deferral. Its errors are raised."""
    try:
        return function()
    except TaskDeferred as deferred:
        path, kwargs = deferred.trigger.serialize()
        assert path.startswith("hevo_provider.triggers.")
        return Deferral(kwargs, deferred.method_name, path)


def run_guarded(task: Any, method: str, *args: Any) -> Any:
    """Call a task's method as Airflow's task runner does, with the guard on ``execute`` that its test mode lifts."""
    module: Any = sys.modules[BaseOperator.__module__]
    guard = module.ExecutorSafeguard
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(guard, "test_mode", False)
        if hasattr(guard, "tracker"):  # Airflow 3
            context = copy_context()
            context.run(guard.tracker.set, task)
            return context.run(getattr(task, method), *args)
        told = {f"{type(task).__name__}__sentinel": module._sentinel} if method == "execute" else {}
        return getattr(task, method)(*args, **told)


def deferred(task: Any, ti: TaskInstance) -> Deferral:
    """Let a worker run a task that defers: what it leaves behind."""
    result = work(lambda: task.execute(ti.context))
    assert isinstance(result, Deferral)
    return result


async def event_of(trigger: BaseTrigger) -> Any:
    """Let a triggerer run a trigger: the payload of its one event."""
    events = [event async for event in trigger.run()]
    assert len(events) == 1, "a trigger sends exactly one event"
    return json.loads(json.dumps(events[0].payload))


def run_in_triggerer(coroutine: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(coroutine)


def play(operator: Any, ti: TaskInstance, left_behind: Any = None) -> Any:
    """
    Take a task through as many workers and triggerers as it needs: what it returns. Its errors are raised.

    With ``left_behind``, a deferral, it goes on from there.
    """
    result = left_behind or work(lambda: operator.execute(ti.context))
    while isinstance(result, Deferral):
        event = run_in_triggerer(event_of(result.trigger()))
        method = getattr(operator, result.method)
        result = work(lambda method=method, event=event: method(ti.context, event))  # type: ignore[misc]
    return result
