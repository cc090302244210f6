"""Key and secret show nowhere in what a task leaves behind: log, error, XCom, record, trigger, event."""

from __future__ import annotations

import json
import logging
import traceback
from base64 import b64encode
from collections.abc import Callable
from typing import Any

import pytest

from hevo_provider.operators import HevoPipelineOperator
from hevo_provider.sandbox import Fault, Sandbox
from hevo_provider.sensors import HevoSensor
from tests.stage.marks import in_both_modes
from tests.stage.sensors import sense
from tests.stage.tasks import Deferral, TaskInstance, event_of, play, run_in_triggerer, work

of_both = pytest.mark.parametrize("kind", [HevoPipelineOperator, HevoSensor])


def secrets_of(hevo: Sandbox) -> list[str]:
    return [hevo.key, hevo.secret, b64encode(f"{hevo.key}:{hevo.secret}".encode()).decode()]


def follow(kind: Any, ti: TaskInstance, *, deferrable: bool) -> None:
    if kind is HevoSensor:
        sense("deferrable" if deferrable else "poke", ti)
    else:
        play(kind(task_id="task", pipeline_id=7, deferrable=deferrable, on_active_job="follow"), ti)


def everything_about(error: BaseException | None) -> str:
    text = ""
    while error is not None:
        text += "".join(traceback.format_exception(error)) + repr(error) + repr(vars(error))
        error = error.__cause__ or error.__context__
    return text


@of_both
@in_both_modes
@pytest.mark.parametrize(
    "fault",
    [
        None,
        Fault.status(401),
        Fault.status(400),
        Fault.status(503),
        Fault.reset(),
        Fault.truncated(),
        Fault.html(),
        Fault.json([]),
        Fault.redirect("https://elsewhere.example.com/"),
    ],
    ids=lambda fault: "none" if fault is None else f"{fault.kind} {fault.code} {fault.body[:9]!r}",
)
def test_whatever_happens_no_secret_is_told(
    hevo: Sandbox,
    ti: TaskInstance,
    story: Callable[[], str],
    caplog: pytest.LogCaptureFixture,
    kind: Any,
    deferrable: bool,
    fault: Fault | None,
) -> None:
    caplog.set_level(logging.DEBUG)
    hevo.add_pipeline(7, ends="FAILED").start_job(appear_after=0, duration=20, ends="FAILED")
    if fault is not None:
        hevo.inject("*", Fault.no_op(), Fault.no_op(), *[fault] * 3)

    with pytest.raises(Exception) as failure:  # noqa: PT011 - whichever it is
        follow(kind, ti, deferrable=deferrable)

    assert ti.store is not None
    told = [caplog.text, story(), everything_about(failure.value), json.dumps(ti.xcoms), str(ti.store.values)]
    assert not [secret for secret in secrets_of(hevo) for text in told if secret in text]


@of_both
def test_what_is_stored_of_a_deferred_task_and_its_event_hold_no_secret(
    hevo: Sandbox, ti: TaskInstance, kind: Any
) -> None:
    hevo.add_pipeline(7, ends="FAILED").start_job(appear_after=0, duration=20, ends="FAILED")
    more = {"on_active_job": "follow"} if kind is HevoPipelineOperator else {}

    left_behind = work(lambda: kind(task_id="task", pipeline_id=7, **more).execute(ti.context))

    assert isinstance(left_behind, Deferral)
    trigger = left_behind.trigger()
    told = [json.dumps(left_behind.kwargs), repr(trigger), json.dumps(run_in_triggerer(event_of(trigger)))]
    assert not [secret for secret in secrets_of(hevo) for text in told if secret in text]
