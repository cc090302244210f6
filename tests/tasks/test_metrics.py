"""What Airflow's ``Stats`` are told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from airflow.providers.common.compat import sdk

from hevo_provider import metrics
from hevo_provider.exceptions import HevoJobFailedError
from hevo_provider.sandbox import Fault, Limit, Sandbox
from hevo_provider.sensors import HevoSensor
from tests.stage.clients import limited_to
from tests.stage.marks import in_both_modes
from tests.stage.tasks import TaskInstance, operator, play


@dataclass
class Told:
    """A ``Stats`` that remembers."""

    counters: dict[str, int] = field(default_factory=dict)
    timers: dict[str, float] = field(default_factory=dict)
    gauges: dict[str, float] = field(default_factory=dict)
    tags: list[dict[str, str]] = field(default_factory=list)

    def incr(self, name: str, count: int = 1, *, tags: dict[str, str] | None = None) -> None:
        self.counters[name] = self.counters.get(name, 0) + count
        self.tags += [] if tags is None else [tags]

    def gauge(self, name: str, value: float) -> None:
        self.gauges[name] = value

    def timing(self, name: str, time: timedelta, *, tags: dict[str, str]) -> None:
        assert name not in self.timers
        self.timers[name] = time.total_seconds()
        self.tags.append(tags)


@pytest.fixture
def stats(monkeypatch: pytest.MonkeyPatch) -> Told:
    told = Told()
    monkeypatch.setattr(sdk, "Stats", told, raising=False)
    return told


@in_both_modes
def test_a_run_that_goes_well_is_a_start_an_end_and_two_durations(
    hevo: Sandbox, ti: TaskInstance, stats: Told, deferrable: bool
) -> None:
    hevo.add_pipeline(7, duration=600)

    play(operator(deferrable=deferrable), ti)

    assert stats.counters == {"hevo.jobs.started": 1, "hevo.jobs.ended.completed": 1}
    assert stats.timers["hevo.jobs.duration"] == 600
    assert 600 <= stats.timers["hevo.jobs.wait"] <= 620
    assert all(tags == {"pipeline_id": "7"} for tags in stats.tags)


def test_a_job_that_ends_badly_is_counted_under_its_status(hevo: Sandbox, ti: TaskInstance, stats: Told) -> None:
    hevo.add_pipeline(7, ends="COMPLETED_WITH_FAILURES")

    with pytest.raises(HevoJobFailedError):
        play(operator(), ti)

    assert stats.counters == {"hevo.jobs.started": 1, "hevo.jobs.ended.completed_with_failures": 1}


def test_a_start_of_unknown_fate_is_counted_as_such(hevo: Sandbox, ti: TaskInstance, stats: Told) -> None:
    hevo.add_pipeline(7)
    hevo.inject("sync_now", Fault.status(502, after=True))

    play(operator(), ti)

    assert stats.counters["hevo.jobs.start_unknown"] == 1
    assert "hevo.jobs.started" not in stats.counters


def test_a_job_that_was_followed_was_not_started(hevo: Sandbox, ti: TaskInstance, stats: Told) -> None:
    hevo.add_pipeline(7).start_job(duration=60)

    play(operator(on_active_job="follow"), ti)

    assert stats.counters == {"hevo.jobs.ended.completed": 1}


def test_a_task_that_does_not_wait_counts_its_start_only(hevo: Sandbox, ti: TaskInstance, stats: Told) -> None:
    hevo.add_pipeline(7)

    play(operator(wait_for_completion=False), ti)

    assert stats.counters == {"hevo.jobs.started": 1}


def test_a_request_of_a_worker_that_is_sent_again_is_counted(hevo: Sandbox, ti: TaskInstance, stats: Told) -> None:
    hevo.add_pipeline(7)
    hevo.inject("get_pipeline", Fault.status(503), times=2)

    play(operator(), ti)

    assert stats.counters["hevo.api.retries"] == 2


def test_a_poll_of_the_triggerer_without_an_answer_is_counted(hevo: Sandbox, ti: TaskInstance, stats: Told) -> None:
    hevo.add_pipeline(7, duration=600)
    hevo.inject("get_job", Fault.status(503), times=3)

    play(operator(), ti)

    assert stats.counters["hevo.api.retries"] == 3


def test_a_poll_that_goes_well_costs_no_metric(hevo: Sandbox, ti: TaskInstance, stats: Told) -> None:
    hevo.add_pipeline(7, duration=3600)

    play(operator(), ti)

    assert len(hevo.requests_of("get_job")) > 100
    assert sum(stats.counters.values()) == 2


def test_a_sensor_counts_the_end_that_it_saw(hevo: Sandbox, ti: TaskInstance, stats: Told) -> None:
    hevo.add_pipeline(7).start_job(duration=60)

    play(HevoSensor(task_id="task", pipeline_id=7), ti)

    assert stats.counters == {"hevo.jobs.ended.completed": 1}


def test_stats_that_fail_cost_no_task(hevo: Sandbox, ti: TaskInstance, monkeypatch: pytest.MonkeyPatch) -> None:
    hevo.add_pipeline(7)
    monkeypatch.setattr(sdk, "Stats", None, raising=False)

    assert play(operator(), ti) == hevo.pipelines[7].jobs[0].id


def test_every_name_is_in_the_list_of_names(hevo: Sandbox, ti: TaskInstance, stats: Told) -> None:
    hevo.add_pipeline(7)
    hevo.inject("sync_now", Fault.status(502, after=True))
    play(operator(), ti)
    metrics.count_retry()

    for name in [*stats.counters, *stats.timers]:
        listed = name.replace("ended.completed", "ended.<status>")

        assert f"``{listed}``" in str(metrics.__doc__)


def test_what_the_limit_does_is_told_in_metrics_and_in_the_log_of_triggerer_and_task(
    hevo: Sandbox, ti: TaskInstance, stats: Told, story: Callable[[], str], caplog: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    limited_to(4, hevo, monkeypatch)
    hevo.limit = Limit(3)
    hevo.add_pipeline(7, duration=1800)

    play(operator(poll_interval=5), ti)

    answered = [request for request in hevo.requests if request.status == 200]
    assert stats.counters["hevo.api.refused"] == pytest.approx(len(hevo.requests) - len(answered), abs=3)
    assert stats.counters["hevo.api.requests"] == pytest.approx(len(hevo.requests), abs=8)
    assert stats.gauges["hevo.api.stretch"] >= 3
    assert caplog.text.count("Hevo allows 4 requests a minute; 1 wait uses them: each is asked for about every") == 1
    assert story().count("so this job is polled about every") == 1
