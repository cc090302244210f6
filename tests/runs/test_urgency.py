"""How urgent a poll is: what holds for every job and every history."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hevo_provider.runs.urgency import Expectation, chance_of_a_first_poll, chance_of_end, expectation_of

SECONDS = st.floats(min_value=0, max_value=7 * 24 * 3600)
HISTORIES = st.lists(st.floats(min_value=0, max_value=24 * 3600), max_size=100).map(expectation_of)
HALF_AN_HOUR = expectation_of([1700, 1750, 1800, 1800, 1850, 1900])


@given(SECONDS, SECONDS, HISTORIES)
def test_it_is_a_chance_and_nothing_is_urgent_that_was_seen_just_now(
    seen: float, later: float, expected: Expectation
) -> None:
    assert 0 <= chance_of_end(seen, seen + later, expected) <= 1
    assert chance_of_end(seen, seen, expected) == 0


@given(SECONDS, SECONDS, SECONDS, HISTORIES)
def test_it_never_falls_while_a_job_is_not_polled(
    seen: float, later: float, still: float, expected: Expectation
) -> None:
    assert chance_of_end(seen, seen + later, expected) <= chance_of_end(seen, seen + later + still, expected) + 1e-9


@given(SECONDS, st.floats(min_value=60, max_value=7 * 24 * 3600), HISTORIES)
def test_no_job_is_never_worth_a_poll(seen: float, later: float, expected: Expectation) -> None:
    assert chance_of_end(seen, seen + later, expected) > 0


@given(SECONDS, SECONDS, st.floats(min_value=1, max_value=24 * 3600))
def test_jobs_without_a_history_share_evenly_whatever_their_age(one: float, other: float, gap: float) -> None:
    difference = chance_of_end(one, one + gap, ()) - chance_of_end(other, other + gap, ())

    assert abs(difference) < 1e-6


@given(st.lists(st.floats(min_value=1, max_value=24 * 3600), min_size=3, max_size=100))
def test_a_history_is_a_handful_of_numbers_in_order(durations: list[float]) -> None:
    expected = expectation_of(durations)

    assert len(expected) == 5
    assert list(expected) == sorted(expected)


def test_two_jobs_are_no_history() -> None:
    assert expectation_of([60.0, 61.0]) == ()


def test_a_poll_is_worth_most_where_such_jobs_end_and_more_so_before_than_long_after() -> None:
    early, due, overdue, long_overdue = (
        chance_of_end(age, age + 120, HALF_AN_HOUR) for age in (300.0, 1750.0, 2400.0, 10_000.0)
    )

    assert due > 5 * early
    assert due > 5 * overdue
    assert overdue > long_overdue > 0


@given(st.floats(min_value=1, max_value=24 * 3600))
def test_a_first_poll_comes_sooner_than_an_even_share(since: float) -> None:
    assert chance_of_a_first_poll(since) >= chance_of_end(0, since, ())
