"""
The one POST that starts a job, when nobody can tell whether it was applied: exactly one job, and the task succeeds.

All of it happens in no time: the pauses on the virtual clock, the time-outs of requests on the wire's.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from itertools import product
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowTaskTimeout

from hevo_provider.client import HevoAsyncClient
from hevo_provider.client.responses import Response
from hevo_provider.exceptions import (
    HevoJobFailedError,
    HevoJobNotFoundError,
    HevoPipelineBusyError,
    HevoPipelineStateError,
    HevoRunError,
    HevoTransportError,
)
from hevo_provider.runs.start import put_off
from hevo_provider.sandbox import Fault, Request, Sandbox, SandboxPipeline
from tests.stage.clients import WireTime, run_of
from tests.stage.clock import START, VirtualClock
from tests.stage.failures import fails, told_by
from tests.stage.marks import for_every_action, in_alternating_modes, in_both_modes
from tests.stage.tasks import ACTIONS, TaskInstance, deferred, operator, operator_of, play

NO_WORKER = {"error": "No worker is free", "message": "try later"}  # under a 200
IN_PROGRESS = {"error": "Internal Server Error", "message": "job is in progress"}

LOST: dict[str, Callable[..., Fault]] = {
    "reset": Fault.reset,
    "time-out": Fault.hang,
    "gateway-error": partial(Fault.status, 503),
}
GARBLED: dict[str, Callable[..., Fault]] = {
    "in-the-words-of-a-refusal": partial(Fault.status, 500, body=IN_PROGRESS),
    "cut-off-in-its-middle": Fault.truncated,
    "page-of-a-proxy": Fault.html,
    "time-out-of-a-gateway": partial(Fault.status, 408),
    "too-early-for-a-gateway": partial(Fault.status, 425),
    "gateway-that-took-us-for-gone": partial(Fault.status, 499),
    "error-under-a-200": partial(Fault.json, NO_WORKER),
}

applied_or_not = pytest.mark.parametrize("applied", [True, False], ids=["applied", "not-applied"])


@pytest.fixture(autouse=True)
def _no_waiting_for_time_outs(hevo: Sandbox, wire: WireTime) -> None:
    wire.pass_where_nothing_comes(hevo)


def sent_at(hevo: Sandbox, action: str = "sync_now") -> list[float]:
    """Return the seconds since the start of the test at which the action arrived at Hevo."""
    return [request.at - START for request in hevo.requests_of(action)]


def restart_before_the_second_call(hevo: Sandbox, pipeline: SandboxPipeline) -> None:
    """Let a resync begin in Hevo after the last poll for the job of a lost call, and before the call is repeated."""

    def on_request(request: Request) -> None:  # once its answer is made
        if request.route == "get_pipeline" and request.at > START + 61 and not pipeline.jobs:
            pipeline.start_through_api("RESYNC", restarts=True)

    hevo.on_request = on_request


SITUATIONS = {
    "sync-shows-at-once": ("SYNC_NOW", 0.0, False),
    "sync-beside-others": ("SYNC_NOW", 15.0, True),
    "sync-alone": ("SYNC_NOW", 15.0, False),
    "resync-beside-others": ("RESYNC", 15.0, True),
    "objects-alone": ("RESYNC_OBJECTS", 15.0, False),
}


# What was lost is forgotten as soon as the fate is unknown: one loss is played in each situation, each loss in one.
@pytest.mark.parametrize(
    ("lost", "situation", "deferrable"),
    [
        *product(["reset"], SITUATIONS, [True, False]),
        ("time-out", "sync-alone", True),
        ("time-out", "resync-beside-others", False),
        ("gateway-error", "sync-alone", True),
        ("gateway-error", "objects-alone", False),
    ],
)
@applied_or_not
def test_an_answer_that_is_lost_costs_no_second_job(
    hevo: Sandbox, ti: TaskInstance, lost: str, applied: bool, situation: str, deferrable: bool
) -> None:
    action, appear_after, parallel_jobs = SITUATIONS[situation]
    pipeline = hevo.add_pipeline(
        7, appear_after=appear_after, duration=90, restarting_for=20, parallel_jobs=parallel_jobs
    )
    hevo.inject(action.lower(), LOST[lost](after=applied))

    job_id = play(operator_of(action, deferrable=deferrable), ti)

    assert [job.id for job in pipeline.jobs] == [job_id]
    assert ti.xcoms["hevo_job"]["status"] == "COMPLETED"


# Each answer for a sync; those that are read by the words in them for every action, and in both modes.
@pytest.mark.parametrize(
    ("garbled", "action", "deferrable"),
    [
        *product(GARBLED, ["SYNC_NOW"], [True]),
        *product(["in-the-words-of-a-refusal", "error-under-a-200"], ["SYNC_NOW"], [False]),
        *product(["in-the-words-of-a-refusal", "error-under-a-200"], ["RESYNC", "RESYNC_OBJECTS"], [True, False]),
    ],
)
@applied_or_not
def test_an_answer_that_makes_no_sense_costs_no_second_job(
    hevo: Sandbox, ti: TaskInstance, garbled: str, applied: bool, action: str, deferrable: bool
) -> None:
    pipeline = hevo.add_pipeline(7, appear_after=15, duration=90)
    hevo.inject(action.lower(), GARBLED[garbled](after=applied))

    job_id = play(operator_of(action, deferrable=deferrable), ti)

    assert [job.id for job in pipeline.jobs] == [job_id]
    assert ti.xcoms["hevo_job"]["status"] == "COMPLETED"


@in_both_modes
@applied_or_not
@pytest.mark.parametrize("refusal", [409, 500])
def test_a_job_that_outlasts_the_search_without_showing_is_not_started_twice(
    hevo: Sandbox, ti: TaskInstance, refusal: int, applied: bool, deferrable: bool
) -> None:
    """Longer than Hevo was ever seen to need: what saves the run is that Hevo refuses the second call."""
    pipeline = hevo.add_pipeline(7, appear_after=90, duration=300, refusal=refusal)
    hevo.inject("sync_now", Fault.reset(after=applied))

    job_id = play(operator(deferrable=deferrable, retry_limit=20), ti)

    assert [job.id for job in pipeline.jobs] == [job_id]


@in_both_modes
def test_nothing_is_sent_again_before_hevo_has_shown_no_job_for_a_minute(
    hevo: Sandbox, ti: TaskInstance, deferrable: bool
) -> None:
    hevo.add_pipeline(7)
    hevo.inject("sync_now", Fault.reset())
    hevo.inject("list_jobs", Fault.no_op(), *[Fault.status(503)] * 5)

    play(operator(deferrable=deferrable), ti)

    first, second = sent_at(hevo)
    polls = [request for request in hevo.requests_of("list_jobs") if request.status == 200 and request.at > START]
    assert second - (polls[0].at - START) >= 60
    assert first == 0


@in_both_modes
@pytest.mark.parametrize("unreadable", [Fault.status(503), Fault.status(404), Fault.html()], ids=["503", "404", "page"])
def test_time_in_which_hevo_cannot_be_read_does_not_count_into_the_minute(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, unreadable: Fault, deferrable: bool
) -> None:
    """The list is read once and then not for minutes; the job shows twenty seconds after it is read again."""
    pipeline = hevo.add_pipeline(7, appear_after=1e6, duration=300)
    hevo.inject("sync_now", Fault.reset(after=True))
    hevo.fault_source = lambda _: unreadable if START + 3 < clock.now() < START + 200 else None

    def show_soon(request: Request) -> None:
        if request.status == 200 and request.at > START + 200 and pipeline.jobs[0].appear_after == 1e6:
            pipeline.jobs[0].appear_after = request.at - START + 20

    hevo.on_request = show_soon

    job_id = play(operator(deferrable=deferrable), ti)

    assert [job.id for job in pipeline.jobs] == [job_id]
    assert sent_at(hevo) == [0]


@in_alternating_modes("status, refusal", [400, 401, 403, 404, 503], [409, 500])
def test_a_refusal_that_the_list_of_jobs_cannot_confirm_proves_nothing(
    hevo: Sandbox, ti: TaskInstance, refusal: int, status: int, deferrable: bool
) -> None:
    pipeline = hevo.add_pipeline(7, duration=90)
    hevo.inject("sync_now", Fault.status(refusal, body=IN_PROGRESS, after=True))
    hevo.inject("list_jobs", Fault.no_op(), *[Fault.status(status)] * 4)

    job_id = play(operator(deferrable=deferrable), ti)

    assert [job.id for job in pipeline.jobs] == [job_id]


@in_both_modes
@pytest.mark.parametrize("on_active_job", ["start", "follow", "wait", "fail"])
def test_beside_anothers_job_a_500_in_the_words_of_a_refusal_does_not_hide_that_the_own_job_failed(
    hevo: Sandbox, ti: TaskInstance, on_active_job: str, deferrable: bool
) -> None:
    """The list hid the other job when it was first read; by the time of the refusal it shows."""
    pipeline = hevo.add_pipeline(7, parallel_jobs=True, duration=30, ends="FAILED")
    other = pipeline.start_job(ago=8, appear_after=3600, duration=600, ends="COMPLETED")
    hevo.on_request = lambda request: setattr(other, "appear_after", 0) if request.route == "sync_now" else None
    hevo.inject("sync_now", Fault.status(500, body=IN_PROGRESS, after=True))

    with pytest.raises(HevoJobFailedError) as failure:
        play(operator(deferrable=deferrable, on_active_job=on_active_job), ti)

    assert [job.id for job in pipeline.jobs_started_by_api] == [failure.value.job_id]


@in_both_modes
@pytest.mark.parametrize("words", ["connection already closed", "The scheduler is inactive"])
def test_a_500_that_does_not_speak_of_a_running_job_is_no_refusal(
    hevo: Sandbox, ti: TaskInstance, words: str, deferrable: bool
) -> None:
    pipeline = hevo.add_pipeline(7, parallel_jobs=True)
    pipeline.start_job(ago=60, duration=3600)
    hevo.inject("sync_now", Fault.json({"error": words}, status=500))

    job_id = play(operator(deferrable=deferrable, on_active_job="start"), ti)

    assert [job.id for job in pipeline.jobs_started_by_api] == [job_id]


@in_both_modes
def test_a_call_that_never_arrives_is_given_up_after_three(hevo: Sandbox, ti: TaskInstance, deferrable: bool) -> None:
    pipeline = hevo.add_pipeline(7)
    hevo.inject("sync_now", Fault.status(502), times=None)

    with fails(HevoJobNotFoundError, says=r"SYNC_NOW was sent 3 times and no job appeared.*502"):
        play(operator(deferrable=deferrable), ti)

    assert len(sent_at(hevo)) == 3
    assert pipeline.jobs == []


@in_both_modes
@for_every_action
def test_a_200_with_an_error_again_and_again_fails_the_task_with_hevos_words_and_was_never_accepted(
    hevo: Sandbox, ti: TaskInstance, story: Callable[[], str], action: str, deferrable: bool
) -> None:
    pipeline = hevo.add_pipeline(7)
    hevo.inject(action.lower(), Fault.json(NO_WORKER), times=None)

    with fails(HevoJobNotFoundError, says=r"sent 3 times and no job appeared.*No worker is free: try later"):
        play(operator_of(action, deferrable=deferrable, timeout=600), ti)

    told = story()
    assert pipeline.jobs == []
    assert told.count("was applied is not known (Hevo answered 200 with an error: No worker is free: try later)") == 3
    assert "accepted" not in told


@in_both_modes
@pytest.mark.parametrize("fault", [Fault.json(NO_WORKER), Fault.json(NO_WORKER, status=429)], ids=["200", "429"])
def test_a_task_whose_time_is_over_before_hevo_took_its_call_fails_with_hevos_words(
    hevo: Sandbox, ti: TaskInstance, fault: Fault, deferrable: bool
) -> None:
    hevo.add_pipeline(7)
    hevo.inject("sync_now", fault, times=None)

    with fails(AirflowTaskTimeout, says="No worker is free: try later"):
        play(operator(deferrable=deferrable, timeout=100), ti)


@in_both_modes
def test_a_call_that_is_given_up_after_three_is_told_with_what_hevo_said_last(
    hevo: Sandbox, ti: TaskInstance, deferrable: bool
) -> None:
    pipeline = hevo.add_pipeline(7, refusal_message="a job is queued that nobody can see")
    pipeline.start_job(appear_after=3600, duration=3600)
    hevo.inject("sync_now", Fault.status(502))

    with fails(HevoJobNotFoundError, says="a job is queued that nobody can see") as failure:
        play(operator(deferrable=deferrable), ti)

    assert [request.status for request in hevo.requests_of("sync_now")] == [502, 409, 409]
    assert "Hevo answered 502" not in told_by(failure.value)


@in_both_modes
def test_a_resync_that_hevo_begins_just_before_it_would_be_sent_again_is_not_sent_again(
    hevo: Sandbox, ti: TaskInstance, deferrable: bool
) -> None:
    """A gateway passes the call on late: the pipeline is RESTARTING, and its job shows long after that is over."""
    pipeline = hevo.add_pipeline(7, parallel_jobs=True, restarting_for=20, appear_after=45)
    hevo.inject("resync", Fault.reset())
    restart_before_the_second_call(hevo, pipeline)

    job_id = play(operator(action="RESYNC", deferrable=deferrable), ti)

    assert [job.id for job in pipeline.jobs] == [job_id]
    assert sent_at(hevo, "resync") == [0]


@in_both_modes
@for_every_action
def test_too_many_calls_are_waited_out_and_the_action_is_sent_again_when_hevo_allows_it(
    hevo: Sandbox, ti: TaskInstance, action: str, deferrable: bool
) -> None:
    pipeline = hevo.add_pipeline(7, duration=30)
    hevo.inject(action.lower(), Fault.status(429, headers={"Retry-After": "3"}))
    hevo.inject(action.lower(), Fault.status(429, headers={"Retry-After": "100"}))

    job_id = play(operator_of(action, deferrable=deferrable), ti)

    assert sent_at(hevo, action.lower()) == [0, 3, pytest.approx(103, abs=1)]
    assert [job.id for job in pipeline.jobs] == [job_id]


@in_both_modes
def test_a_job_that_another_starts_while_hevo_lets_the_action_wait_is_not_taken_for_its_own(
    hevo: Sandbox, ti: TaskInstance, deferrable: bool
) -> None:
    pipeline = hevo.add_pipeline(7, parallel_jobs=True, duration=60, appear_after=10)
    hevo.inject("sync_now", Fault.status(429, headers={"Retry-After": "4"}))

    def on_request(request: Request) -> None:
        if request.status == 429:
            pipeline.start_job(appear_after=0, duration=300)

    hevo.on_request = on_request

    job_id = play(operator(deferrable=deferrable), ti)

    assert [job.id for job in pipeline.jobs[1:]] == [job_id]


@in_both_modes
def test_of_two_jobs_the_one_that_began_when_the_last_call_set_out_is_taken_for_its_own(
    hevo: Sandbox, ti: TaskInstance, deferrable: bool
) -> None:
    pipeline = hevo.add_pipeline(7, parallel_jobs=True, duration=60, appear_after=8)
    hevo.inject("sync_now", Fault.status(429, headers={"Retry-After": "4"}), Fault.reset(after=True))

    def on_request(request: Request) -> None:
        if request.status == 429:
            pipeline.start_job(appear_after=12, duration=300)

    hevo.on_request = on_request

    job_id = play(operator(deferrable=deferrable), ti)

    assert [job.id for job in pipeline.jobs[1:]] == [job_id]


@in_both_modes
@pytest.mark.parametrize("times", [1, 7])
def test_a_refused_connection_is_tried_again(
    hevo: Sandbox, ti: TaskInstance, monkeypatch: pytest.MonkeyPatch, times: int, deferrable: bool
) -> None:
    pipeline = hevo.add_pipeline(7)
    refused = [HevoTransportError("Connection refused", sent=False)] * times
    send = HevoAsyncClient._send

    async def refuse_at_first(self: HevoAsyncClient, method: str, *rest: Any) -> Response:
        if method == "POST" and refused:
            raise refused.pop()
        return await send(self, method, *rest)

    monkeypatch.setattr(HevoAsyncClient, "_send", refuse_at_first)

    job_id = play(operator(deferrable=deferrable), ti)

    assert [job.id for job in pipeline.jobs] == [job_id]
    assert sent_at(hevo)[0] < 60, "what did not arrive needs no search for its job"


@in_both_modes
def test_an_action_that_may_only_be_sent_when_time_is_over_is_not_sent(
    hevo: Sandbox, ti: TaskInstance, deferrable: bool
) -> None:
    pipeline = hevo.add_pipeline(7)
    other = pipeline.start_job(duration=60, appear_after=0)

    with pytest.raises(AirflowTaskTimeout):
        play(operator(on_active_job="wait", timeout=60, deferrable=deferrable), ti)

    assert pipeline.jobs == [other]
    assert sent_at(hevo) == []


@in_both_modes
def test_an_action_that_hevo_never_has_time_for_is_not_sent_without_pause(
    hevo: Sandbox, ti: TaskInstance, deferrable: bool
) -> None:
    hevo.add_pipeline(7)
    hevo.inject("sync_now", Fault.status(429), times=None)

    with pytest.raises(AirflowTaskTimeout):
        play(operator(timeout=600, deferrable=deferrable), ti)

    assert 10 < len(sent_at(hevo)) < 25, "its pauses grow"


# What is refused again and again costs few starts of workers

AN_HOUR = 3600.0


def started_workers(task: Any, ti: TaskInstance) -> int:
    """Play the task to the end of its time: how many workers it took, but for the one that says so."""
    resume, workers = task.execute_complete, 1

    def counted(context: Any, event: Any) -> Any:
        nonlocal workers
        workers += event["event"] == "start"
        return resume(context, event)

    task.execute_complete = counted
    with pytest.raises(AirflowTaskTimeout):
        play(task, ti)
    return workers


@pytest.mark.parametrize(
    ("action", "headers"),
    [("SYNC_NOW", {}), ("RESYNC", {"Retry-After": "1"}), ("RESYNC_OBJECTS", {"Retry-After": "30"})],
    ids=ACTIONS,
)
def test_an_action_that_hevo_never_has_time_for_takes_a_worker_every_two_minutes_at_most(
    hevo: Sandbox, ti: TaskInstance, story: Callable[[], str], action: str, headers: dict[str, str]
) -> None:
    hevo.add_pipeline(7)
    hevo.inject(action.lower(), Fault.status(429, headers=headers), times=None)

    workers = started_workers(operator_of(action, timeout=AN_HOUR), ti)

    assert workers <= AN_HOUR / 120
    assert len(re.findall(r"trying again in \d+ s \(Hevo answered 429 to ", story())) == workers, "each says why"


@pytest.mark.parametrize("poll_interval", [1, 15, 60])
def test_a_job_that_hevo_names_and_never_shows_takes_a_worker_every_two_minutes_at_most(
    hevo: Sandbox, ti: TaskInstance, story: Callable[[], str], poll_interval: float
) -> None:
    pipeline = hevo.add_pipeline(7)
    pipeline.start_job(appear_after=1e6, duration=1e6)

    task = operator(on_active_job="wait", timeout=AN_HOUR, poll_interval=poll_interval)
    workers = started_workers(task, ti)

    assert workers <= AN_HOUR / 120
    assert len(re.findall(r"trying again in \d+ s \(Hevo answered 409 to ", story())) == workers, "each says why"
    assert len(pipeline.jobs) == 1


def over_the_limit(status: int, **headers: str) -> Fault:
    names = {"Retry-After": headers["retry_after"]} if headers else {}
    return Fault.status(status, body={"message": "request rate limit exceeded"}, headers=names)


@pytest.mark.parametrize(
    ("route", "fault", "parameters", "pause"),
    [
        ("sync_now", over_the_limit(429), {"poll_interval": 5}, 0),  # the triggerer knows when there is room
        ("sync_now", over_the_limit(429, retry_after="6"), {}, 6),
        ("sync_now", over_the_limit(429, retry_after="90"), {}, 90),
        ("sync_now", over_the_limit(429, retry_after="9000"), {}, 300),
        ("sync_now", over_the_limit(400), {}, 0),
        ("sync_now", Fault.status(409), {"on_active_job": "wait", "poll_interval": 5}, 5),
        ("sync_now", Fault.status(409), {"on_active_job": "wait", "poll_interval": 60}, 20),
        ("sync_now", Fault.status(409), {"on_active_job": "cancel", "poll_interval": 60}, 20),
        ("get_pipeline", over_the_limit(429), {"poll_interval": 45}, 0),
        ("get_pipeline", over_the_limit(429, retry_after="6"), {"poll_interval": 45}, 6),
    ],
)
def test_what_hevo_has_no_time_for_is_put_off(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, route: str, fault: Fault, parameters: Any, pause: float
) -> None:
    hevo.add_pipeline(7)
    hevo.inject(route, fault, times=None)

    left_behind = deferred(operator(**parameters), ti)

    assert left_behind.kwargs["not_before"] == pytest.approx(clock.now() + pause, abs=0.01)


@pytest.mark.parametrize(
    ("given", "pause"), [({"poll_interval": 45}, 45), ({"put_off": 5000}, 300)], ids=["first", "for days"]
)
def test_a_start_is_put_off_for_a_poll_interval_at_first_and_never_for_longer_than_five_minutes(
    clock: VirtualClock, given: dict[str, Any], pause: float
) -> None:
    assert put_off(run_of(pipeline_id=7, **given), HevoRunError("busy"), clock.now()).not_before == clock.now() + pause


@in_both_modes
@pytest.mark.parametrize("fault", [Fault.status(429), Fault.status(409)], ids=["429", "409"])
def test_what_hevo_refuses_for_minutes_is_sent_soon_after_it_would_be_taken(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, fault: Fault, deferrable: bool
) -> None:
    pipeline = hevo.add_pipeline(7, duration=30)
    hevo.fault_source = lambda route: fault if route == "sync_now" and clock.now() < START + 600 else None

    job_id = play(operator(on_active_job="wait", deferrable=deferrable), ti)

    assert [job.id for job in pipeline.jobs] == [job_id]
    assert pipeline.jobs[0].created_at - START <= 600 + 320


# What Hevo has refused was not applied: nobody searches for its job, in this try or the next.


@in_both_modes
def test_a_refusal_because_of_a_job_that_never_shows_is_told_as_a_refusal(
    hevo: Sandbox, ti: TaskInstance, story: Callable[[], str], deferrable: bool
) -> None:
    pipeline = hevo.add_pipeline(7, refusal_message="a job is queued that nobody can see")
    pipeline.start_job(appear_after=1e6, duration=1e6)

    with fails(HevoJobNotFoundError, says=r"Hevo refused SYNC_NOW .*nobody can see") as failure:
        play(operator(deferrable=deferrable, on_active_job="start"), ti)

    assert "accepted" not in story() + told_by(failure.value)


@in_both_modes
def test_a_restart_after_a_lost_answer_is_not_told_as_hevos_word_that_it_accepted_the_call(
    hevo: Sandbox, ti: TaskInstance, story: Callable[[], str], deferrable: bool
) -> None:
    hevo.add_pipeline(7, restarting_for=20, appear_after=1e6)
    hevo.inject("resync", Fault.status(502, after=True))

    with fails(HevoJobNotFoundError, says=r"the pipeline was RESTARTING after RESYNC.*502") as failure:
        play(operator_of("RESYNC", deferrable=deferrable), ti)

    assert "accepted" not in story() + told_by(failure.value)


@in_alternating_modes("on_active_job, refusal", ["wait", "start", "follow"], [409, 500])
def test_each_refusal_is_told_in_the_log(
    hevo: Sandbox, ti: TaskInstance, story: Callable[[], str], refusal: int, on_active_job: str, deferrable: bool
) -> None:
    pipeline = hevo.add_pipeline(7, baseline_lag=8, refusal=refusal)
    pipeline.start_job(ago=2, duration=100)

    play(operator(on_active_job=on_active_job, deferrable=deferrable), ti)

    refusals = [request for request in hevo.requests_of("sync_now") if request.status == refusal]
    assert story().count(f"Hevo refused SYNC_NOW (Hevo answered {refusal} to POST") == len(refusals) > 0


@in_both_modes
@pytest.mark.parametrize("refusal", [409, 500])
def test_a_task_that_was_refused_waits_for_the_other_job_and_then_starts_its_own(
    hevo: Sandbox, ti: TaskInstance, refusal: int, deferrable: bool
) -> None:
    pipeline = hevo.add_pipeline(7, appear_after=5, baseline_lag=8, refusal=refusal)
    other = pipeline.start_job(ago=2, duration=50)

    job_id = play(operator(on_active_job="wait", deferrable=deferrable), ti)

    assert [job.id for job in pipeline.jobs] == [other.id, job_id]


@in_both_modes
def test_the_retry_of_a_task_that_was_refused_does_not_take_the_other_job_for_its_own(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, deferrable: bool
) -> None:
    pipeline = hevo.add_pipeline(7, baseline_lag=15)
    other = pipeline.start_job(ago=2, duration=3600)
    with fails(HevoPipelineBusyError, says="a job is active that does not show yet"):
        play(operator(deferrable=deferrable), ti)

    clock.advance(20)
    ti.next_try()
    with fails(HevoPipelineBusyError, says=other.id):
        play(operator(deferrable=deferrable), ti)


@in_both_modes
def test_the_retry_after_a_bad_request_sends_the_action_without_a_search(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, deferrable: bool
) -> None:
    pipeline = hevo.add_pipeline(7)
    hevo.inject("sync_now", Fault.status(400))
    with pytest.raises(HevoPipelineStateError):
        play(operator(deferrable=deferrable), ti)

    clock.advance(20)
    ti.next_try()
    job_id = play(operator(deferrable=deferrable), ti)

    assert [job.id for job in pipeline.jobs] == [job_id]
    assert sent_at(hevo) == [0, 20]


@in_both_modes
def test_the_retry_after_a_lost_answer_and_a_bad_request_finds_the_job_of_the_first_call(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, deferrable: bool
) -> None:
    pipeline = hevo.add_pipeline(7, appear_after=90, duration=20)
    hevo.inject("sync_now", Fault.reset(after=True), Fault.status(400))
    with pytest.raises(HevoPipelineStateError):
        play(operator(deferrable=deferrable), ti)

    clock.advance(60)
    ti.next_try()
    job_id = play(operator(deferrable=deferrable), ti)

    assert [job.id for job in pipeline.jobs] == [job_id]


@in_both_modes
def test_refused_beside_anothers_job_it_follows_that_of_its_lost_call_which_shows_only_then(
    hevo: Sandbox, ti: TaskInstance, deferrable: bool
) -> None:
    pipeline = hevo.add_pipeline(7, parallel_jobs=True, appear_after=1e6, duration=20)
    pipeline.start_job(ago=60, appear_after=0, duration=3600)
    hevo.inject("sync_now", Fault.reset(after=True), Fault.status(409, body=IN_PROGRESS))

    def show_now(request: Request) -> None:
        if request.status == 409:
            pipeline.jobs[1].appear_after = 0

    hevo.on_request = show_now

    job_id = play(operator(deferrable=deferrable, on_active_job="start"), ti)

    assert [job.id for job in pipeline.jobs_started_by_api] == [job_id]


@in_both_modes
def test_a_job_that_is_only_taken_for_the_tasks_own_is_never_cancelled(
    hevo: Sandbox, ti: TaskInstance, deferrable: bool
) -> None:
    pipeline = hevo.add_pipeline(7, duration=None)
    hevo.inject("sync_now", Fault.reset(after=True))

    with fails(AirflowTaskTimeout, says="may still run"):
        play(operator(deferrable=deferrable, timeout=600), ti)

    assert [job.cancel_requests for job in pipeline.jobs] == [0]


@in_both_modes
def test_a_pipeline_that_another_user_restarts_meanwhile_is_not_cancelled_either(
    hevo: Sandbox, ti: TaskInstance, deferrable: bool
) -> None:
    """RESTARTING after our own call means that it was applied, but the proof is not good enough to cancel a job."""
    pipeline = hevo.add_pipeline(7, duration=None, restarting_for=20)
    hevo.inject("resync", Fault.reset())
    restart_before_the_second_call(hevo, pipeline)

    with fails(AirflowTaskTimeout, says="may still run"):
        play(operator(action="RESYNC", deferrable=deferrable, timeout=600), ti)

    assert [job.cancel_requests for job in pipeline.jobs] == [0]
