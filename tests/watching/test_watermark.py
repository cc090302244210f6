"""Which ended jobs a watcher tells: each that it wants, once, whatever the order in which they show and end."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hevo_provider.models.answers import Job
from hevo_provider.runs.listing import Listing
from hevo_provider.watching.watermark import MOST_TOLD, Round, Watermark

START = 1_800_000_000  # seconds


def job(name: str, created: int | None, updated: int | None = None, status: str | None = "COMPLETED") -> Job:
    times = {"created_ts": created and created * 1000, "updated_ts": updated and updated * 1000}
    return Job.model_validate({"job_id": name, "type": "INCREMENTAL", "status": status, **times})


def run_of(name: str, created: int, seconds: int, touched: int) -> Job:
    """Return a job that has ended, and that Hevo has touched again since."""
    return job(name, created, touched).model_copy(update={"duration": seconds * 1000})


def round_of(now: int | None, *jobs: Job, complete: bool = True) -> Round:
    return Round(Listing(jobs, now and now * 1000, complete=complete))


def everything(_: Job) -> bool:
    return True


def told(watermark: Watermark, seen: Round) -> list[str]:
    return [each.job_id for each in watermark.news(seen, everything)]


def test_a_job_that_ended_before_the_first_poll_is_not_told_though_it_shows_after_it() -> None:
    watermark = Watermark.at(round_of(START))
    early, late = job("early", START - 20, START - 5), job("late", START - 3, START + 2)

    assert told(watermark, round_of(START + 10, early, late)) == ["late"]


def test_a_job_that_ended_long_before_the_first_poll_is_not_told_because_it_shows_late_and_is_touched() -> None:
    watermark = Watermark.at(round_of(START))
    old = run_of("old", START - 7200, 60, touched=START + 30)
    new = run_of("new", START + 10, 60, touched=START + 80)

    assert told(watermark, round_of(START + 90, new, old)) == ["new"]


def test_a_job_that_stood_in_line_before_the_first_poll_and_ended_after_it_is_told() -> None:
    watermark = Watermark.at(round_of(START))

    assert told(watermark, round_of(START + 90, run_of("queued", START - 1800, 60, touched=START + 60))) == ["queued"]


def test_after_a_long_absence_jobs_are_told_in_the_order_of_their_ends_though_one_was_touched_since() -> None:
    watermark = Watermark.at(round_of(START))
    first = run_of("first", START + 60, 60, touched=START + 10_000)
    second = run_of("second", START + 5000, 60, touched=START + 5060)

    assert told(watermark, round_of(START + 10_100, second, first)) == ["first", "second"]


def test_a_job_without_times_is_told_once() -> None:
    watermark = Watermark.at(round_of(START))
    seen = round_of(START + 60, job("a", None))
    assert told(watermark, seen) == ["a"]

    watermark = watermark.after(seen, seen.jobs)
    for days in range(1, 5):
        seen = round_of(START + days * 86400, job("a", None))
        assert told(watermark, seen) == []
        watermark = watermark.after(seen)


def completed(each: Job) -> bool:
    return each.status == "COMPLETED"


@pytest.mark.parametrize("minutes", [1, 30, 300])
def test_a_deferred_job_that_goes_on_is_told_when_it_completes(minutes: int) -> None:
    watermark = Watermark.at(round_of(START))
    for minute in range(1, minutes + 1):
        other = job(f"job-{minute}", START + 60 * minute - 30, START + 60 * minute - 10)
        seen = round_of(START + 60 * minute, other, job("a", START + 10, START + 20, "DEFERRED"))
        news = watermark.news(seen, completed)
        assert [each.job_id for each in news] == [other.job_id]
        watermark = watermark.after(seen, news)

    ended = job("a", START + 10, START + 60 * minutes + 20)
    assert watermark.news(round_of(START + 60 * minutes + 30, ended), completed) == (ended,)


def test_a_deferred_job_that_was_told_is_not_told_again() -> None:
    watermark, events = Watermark.at(round_of(START)), list[str]()
    for minute in range(1, 100):
        other = job(f"job-{minute}", START + 60 * minute - 30, START + 60 * minute - 10)
        seen = round_of(START + 60 * minute, other, job("a", START + 10, START + 20, "DEFERRED"))
        news = watermark.news(seen, everything)
        events += [each.job_id for each in news]
        watermark = watermark.after(seen, news)

    assert events.count("a") == 1


@pytest.mark.parametrize("status", ["EXPIRED", "DEFERRED", None])
def test_a_job_that_may_go_on_and_has_been_still_for_hours_is_no_longer_searched_for(status: str | None) -> None:
    still = job("a", START + 10, START + 20, status)
    watermark = Watermark.at(round_of(START)).after(round_of(START + 60, still))
    assert watermark.active == ("a",)

    assert watermark.after(round_of(START + 7 * 3600, still)).active == ()


def test_a_job_that_runs_is_searched_for_rather_than_those_of_unknown_status() -> None:
    strange = [job(f"job-{number}", START + 60, START + 60, "EXPIRED") for number in range(30)]
    seen = round_of(START + 90, *strange, job("long", START + 10, START + 10, "IN_PROGRESS"))

    assert "long" in Watermark.at(round_of(START)).after(seen).active


def test_a_job_that_runs_for_hours_without_a_sign_of_life_is_told_when_it_ends() -> None:
    watermark = Watermark.at(round_of(START, job("a", START - 10, START - 10, "IN_PROGRESS")))
    watermark = watermark.after(round_of(START + 36_000, job("a", START - 10, START - 10, "IN_PROGRESS")))

    assert told(watermark, round_of(START + 36_060, job("a", START - 10, START + 36_010))) == ["a"]


def test_a_list_that_leaves_out_what_it_showed_before_and_shows_it_again_tells_nothing_twice() -> None:
    watermark = Watermark.at(round_of(START))
    full, empty = round_of(START + 60, job("a", START + 10, START + 20)), round_of(START + 90)
    watermark = watermark.after(full, full.jobs).after(empty)

    assert told(watermark, full) == []


def test_without_hevos_clock_the_newest_job_stands_in_for_it() -> None:
    watermark = Watermark.at(round_of(None, job("old", START, START)))

    assert told(watermark, round_of(None, job("new", START + 700, START + 701), job("old", START, START))) == ["new"]


@pytest.mark.parametrize("before", [[], [job("old", START - 60, START - 50)]], ids=["no-jobs", "a-job"])
def test_one_wrong_date_of_tomorrow_loses_nothing_and_tells_nothing_twice(before: list[Job]) -> None:
    watermark, events = Watermark.at(round_of(START, *before)), list[str]()
    for number in range(1, 200):
        now = START + 60 * number
        jobs = [*before, *(job(f"j{n}", START + 60 * n - 30, START + 60 * n - 20) for n in range(1, number + 1))]
        seen = round_of(now + 86400 if number in {1, 30} else now, *jobs)
        news = watermark.news(seen, everything)
        events += [each.job_id for each in news]
        watermark = watermark.after(seen, news)

    assert events == [f"j{n}" for n in range(1, 200)]


def test_a_wrong_date_before_there_are_jobs_loses_none() -> None:
    watermark = Watermark.at(round_of(START)).after(round_of(START + 86400))

    assert told(watermark, round_of(START + 60, job("a", START + 30, START + 40))) == ["a"]


def test_a_wrong_date_at_the_first_poll_is_mended_by_the_next() -> None:
    watermark = Watermark.at(round_of(START + 86400)).after(round_of(START + 30))

    assert told(watermark, round_of(START + 60, job("a", START + 10, START + 40))) == ["a"]


def test_a_job_that_vanished_is_forgotten() -> None:
    watermark = Watermark.at(round_of(START, job("a", START - 10, status="IN_PROGRESS")))
    assert watermark.active == ("a",)

    assert watermark.after(round_of(START + 60)).active == ("a",)
    assert watermark.after(Round(round_of(START + 60).listing, gone=frozenset({"a"}))).active == ()


def test_it_does_not_grow_beyond_measure() -> None:
    seen = round_of(START, *(job(f"job-{number}", START - number) for number in range(1000)))

    watermark = Watermark.at(seen)

    assert len(watermark.told) <= MOST_TOLD
    assert told(watermark, seen) == []


@pytest.mark.parametrize("value", [None, 3, [], {}, {"told": 3}, {"since": 1, "floor": "x", "told": {}, "active": []}])
def test_what_is_no_watermark_is_not_read_as_one(value: object) -> None:
    with pytest.raises(ValueError, match="no watermark"):
        Watermark.from_json(value)


@dataclass(frozen=True)
class Life:
    """A job's times, in seconds after the first poll."""

    created: int
    duration: int
    shows_after: int


lives = st.builds(Life, st.integers(-3000, 20_000), st.integers(0, 9000), st.integers(0, 20))


@given(st.lists(lives, max_size=25), st.lists(st.integers(1, 4000), min_size=1, max_size=30), st.data())
def test_each_job_that_ends_after_the_first_poll_is_told_once(
    jobs: list[Life], pauses: list[int], data: st.DataObject
) -> None:
    def seen_at(now: int) -> Round:
        listed = []
        for number, life in enumerate(jobs):
            ended = life.created + life.duration
            if now >= life.created + life.shows_after:
                status = "COMPLETED" if now >= ended else "IN_PROGRESS"
                listed.append(job(f"job-{number}", START + life.created, START + min(now, ended), status))
        return round_of(START + now, *data.draw(st.permutations(listed)))

    watermark, now, events = Watermark.at(seen_at(0)), 0, list[str]()
    for pause in [*pauses, 40_000]:
        now += pause
        seen = seen_at(now)
        news = watermark.news(seen, everything)
        events += [each.job_id for each in news]
        watermark = Watermark.from_json(json.loads(json.dumps(watermark.after(seen, news).to_json())))

    due = {f"job-{number}" for number, life in enumerate(jobs) if life.created + life.duration > 0}
    maybe = {f"job-{number}" for number, life in enumerate(jobs) if life.created + life.duration == 0}
    assert len(events) == len(set(events))
    assert due <= set(events) <= due | maybe
