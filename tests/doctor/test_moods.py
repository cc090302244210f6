"""The doctor against accounts in several moods: what it tells of each, and that a sandbox made of that is told alike."""

from __future__ import annotations

from pathlib import Path

import pytest

from hevo_provider.doctor.asker import MOST_REQUESTS
from hevo_provider.sandbox.like import read_alike
from tests.doctor.account import MOODS, Doctor, account
from tests.play import VirtualClock


@pytest.mark.parametrize("mood", MOODS.values(), ids=MOODS)
def test_a_mood_is_told_by_the_facts_that_it_concerns_and_by_no_others(
    mood, doctor: Doctor, clock: VirtualClock  # type: ignore[no-untyped-def]
) -> None:
    with account(mood, clock) as hevo:
        told = doctor(hevo)

    assert told.differing() == set(mood.differs), told.out
    assert told.status == (1 if mood.differs else 0)
    for fact, words in mood.seen:
        assert words in told.seen[fact]
