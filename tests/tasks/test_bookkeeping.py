"""Airflow cannot keep what a task wants kept: the verdict stays what it is, and no job is left behind in silence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowException

from hevo_provider.exceptions import HevoJobFailedError
from hevo_provider.sandbox import Sandbox
from hevo_provider.sensors import HevoSensor
from tests.stage.clock import VirtualClock
from tests.stage.marks import in_alternating_modes, in_both_modes
from tests.stage.tasks import ACTIONS, Deferral, StateStore, TaskInstance, operator, operator_of, play, work


class FailingStore(StateStore):
    """Airflow's task state store with a backend that fails at some calls."""

    def __init__(self, *fails: str) -> None:
        super().__init__()
        self.fails = list(fails)
        self.calls: list[str] = []
        self.has_failed = False

    def _called(self, name: str) -> None:
        self.calls.append(name)
        if f"{name} {self.calls.count(name)}" in self.fails:
            self.has_failed = True
            raise ConnectionError("the state backend is down")

    def set(self, key: str, value: Any) -> None:
        self._called("set")
        super().set(key, value)

    def delete(self, key: str) -> None:
        self._called("delete")
        super().delete(key)


class Mute(TaskInstance):
    """A task instance that cannot push XComs."""

    def xcom_push(self, key: str, value: Any) -> None:
        raise AirflowException("XCom backend is down")


@in_both_modes
@pytest.mark.parametrize("action", ACTIONS)
def test_a_record_that_cannot_be_written_before_the_call_fails_the_try_and_nothing_is_sent(
    hevo: Sandbox, ti: TaskInstance, action: str, deferrable: bool
) -> None:
    pipeline = hevo.add_pipeline(7)
    ti.store = FailingStore("set 1")

    with pytest.raises(ConnectionError):
        play(operator_of(action, deferrable=deferrable), ti)

    assert pipeline.jobs == []
    ti.next_try()
    assert [play(operator_of(action, deferrable=deferrable), ti)] == [job.id for job in pipeline.jobs]


@in_both_modes
@pytest.mark.parametrize("fails", ["set 2", "set 3", "delete 1"])
def test_a_record_that_cannot_be_changed_after_the_call_changes_nothing(
    hevo: Sandbox, ti: TaskInstance, story: Callable[[], str], fails: str, deferrable: bool
) -> None:
    pipeline = hevo.add_pipeline(7)
    ti.store = FailingStore(fails)

    job_id = play(operator(deferrable=deferrable), ti)

    assert [job.id for job in pipeline.jobs] == [job_id]
    called = fails.split(maxsplit=1)[0] in ti.store.calls and ti.store.calls.count(fails.split(maxsplit=1)[0]) >= int(
        fails.split()[1]
    )
    assert ("the record of the run could not be changed" in story()) == called


@in_both_modes
def test_a_job_that_failed_fails_the_task_although_its_record_cannot_be_dropped(
    hevo: Sandbox, ti: TaskInstance, deferrable: bool
) -> None:
    pipeline = hevo.add_pipeline(7, ends="FAILED")
    ti.store = FailingStore("delete 1")

    with pytest.raises(HevoJobFailedError):
        play(operator(deferrable=deferrable), ti)

    pipeline.ends = "COMPLETED"
    ti.next_try()
    assert play(operator(deferrable=deferrable), ti) == pipeline.jobs[1].id


@in_alternating_modes("action, ends, remembers", ACTIONS, ["COMPLETED", "FAILED"], [True, False])
def test_xcoms_that_cannot_be_pushed_change_no_verdict(
    hevo: Sandbox,
    clock: VirtualClock,
    story: Callable[[], str],
    action: str,
    ends: str,
    remembers: bool,
    deferrable: bool,
) -> None:
    pipeline = hevo.add_pipeline(7, ends=ends)
    ti = Mute(clock, store=StateStore() if remembers else None)

    if ends == "FAILED":
        with pytest.raises(HevoJobFailedError):
            play(operator_of(action, deferrable=deferrable), ti)
    else:
        assert play(operator_of(action, deferrable=deferrable), ti) == pipeline.jobs[0].id

    assert len(pipeline.jobs) == 1
    assert "The XCom hevo_job could not be pushed" in story()


def test_a_wait_whose_mark_could_not_be_pushed_has_none_to_be_told_by(hevo: Sandbox, clock: VirtualClock) -> None:
    hevo.add_pipeline(7)

    left_behind = work(lambda: operator().execute(Mute(clock).context))

    assert isinstance(left_behind, Deferral)
    assert "run_mark" not in left_behind.kwargs


def test_a_sensor_succeeds_though_its_xcoms_cannot_be_pushed(hevo: Sandbox, clock: VirtualClock) -> None:
    job = hevo.add_pipeline(7).start_job(appear_after=0, duration=60)

    assert play(HevoSensor(task_id="task", pipeline_id=7), Mute(clock)) == job.id
