"""The doctor against accounts in several moods: what it tells of each, and of a sandbox that is made alike."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from hevo_provider.doctor.asker import MOST_REQUESTS
from hevo_provider.sandbox.like import read_alike
from hevo_provider.sandbox.limit import Limit
from tests.doctor.account import MOODS, Doctor, Mood, account
from tests.stage.clock import VirtualClock

ALLOWED_IN_A_MINUTE = 100


@pytest.mark.parametrize("mood", MOODS.values(), ids=MOODS)
def test_a_mood_is_told_by_the_facts_that_it_concerns_and_by_no_others_in_sixty_requests_that_read(
    mood: Mood, doctor: Doctor, clock: VirtualClock
) -> None:
    with account(mood, clock) as hevo:
        told = doctor(hevo)

    assert told.differing() == set(mood.differs), told.out
    assert told.status == (1 if mood.differs else 0)
    for fact, words in mood.seen:
        assert words in told.seen[fact]
    assert len(hevo.requests) <= MOST_REQUESTS
    assert {request.method for request in hevo.requests} == {"GET"}


@pytest.mark.parametrize("mood", MOODS.values(), ids=MOODS)
def test_a_sandbox_that_was_made_like_the_account_is_told_the_same(
    mood: Mood, doctor: Doctor, clock: VirtualClock, tmp_path: Path
) -> None:
    file = tmp_path / "seen.json"
    with account(mood, clock) as hevo:
        of_the_account = doctor(hevo, "--json", str(file))

    with read_alike(file, clock=clock.now) as alike:
        of_the_sandbox = doctor(alike)

    assert of_the_sandbox.verdicts == of_the_account.verdicts
    assert of_the_sandbox.status == of_the_account.status
    for fact, words in mood.seen:
        assert words in of_the_sandbox.seen[fact]


@pytest.mark.parametrize("answers", [1, 10, 25])
def test_where_the_limit_is_met_all_is_asked_nevertheless_only_more_slowly(
    answers: int, doctor: Doctor, clock: VirtualClock
) -> None:
    patient = MOODS["contract kept"]
    with account(patient, clock) as hevo:
        usually = doctor(hevo)
    limited = replace(patient.manner, limit=Limit(answers))
    with account(replace(patient, manner=limited), clock) as hevo:
        told = doctor(hevo)

    assert {fact: verdict for fact, verdict in told.verdicts.items() if fact != "limit-answer"} == {
        fact: verdict for fact, verdict in usually.verdicts.items() if fact != "limit-answer"
    }
    assert "Not all was asked" not in told.err


def test_requests_are_spread_so_that_others_who_use_the_key_have_some_too(doctor: Doctor, clock: VirtualClock) -> None:
    with account(MOODS["contract kept"], clock) as hevo:
        doctor(hevo, "--sync", "2", stdin="y\n")

    times = [request.at for request in hevo.requests]
    busiest = max(sum(start <= at < start + 60.0 for at in times) for start in times)
    assert busiest <= MOST_REQUESTS < ALLOWED_IN_A_MINUTE
    assert min(later - earlier for earlier, later in pairwise(times)) >= 1.0
