"""The sandbox refuses what is over its limit, as Hevo does."""

from __future__ import annotations

import pytest

from hevo_provider.sandbox import Limit, Sandbox
from tests.sandbox.caller import Caller, VirtualClock


def test_so_many_requests_are_answered_in_any_sixty_seconds(hevo: Sandbox, clock: VirtualClock) -> None:
    hevo.limit = Limit(6)
    call = Caller(hevo)
    answered: list[float] = []
    for _ in range(180):
        if call.get().status == 200:
            answered.append(hevo.clock())
        clock.advance(1.0)

    assert len(answered) == 18
    assert all(later - earlier >= 60 for earlier, later in zip(answered, answered[6:], strict=False))


@pytest.mark.parametrize("status", [400, 403, 429, 500, 503])
def test_the_others_are_told_under_whatever_status_and_by_whatever_header(hevo: Sandbox, status: int) -> None:
    call = Caller(hevo)
    hevo.limit = Limit(0, status=status)
    silent = call.get()
    hevo.limit = Limit(0, status=status, retry_after=7)
    told = call.get()

    assert silent.status == told.status == status
    assert silent.json["message"] == "Request rate limit exceeded"
    assert "Retry-After" not in silent.headers
    assert told.headers["Retry-After"] == "7"


def test_it_can_tell_when_there_is_room(hevo: Sandbox, clock: VirtualClock) -> None:
    hevo.limit = Limit(1, retry_after="room")
    call = Caller(hevo)
    call.get()
    clock.advance(13.0)

    assert call.get().headers["Retry-After"] == "47"
    clock.advance(47.0)
    assert call.get().status == 200


def test_others_may_use_the_key_too(hevo: Sandbox, clock: VirtualClock) -> None:
    hevo.limit, hevo.foreign_requests = Limit(100), 30
    call = Caller(hevo)
    answered = 0
    for _ in range(600):
        answered += call.get().status == 200
        clock.advance(0.5)

    assert 5 * 65 <= answered <= 5 * 75


def test_a_request_with_a_wrong_key_does_not_count(hevo: Sandbox) -> None:
    hevo.limit = Limit(1)
    call = Caller(hevo)
    hevo.unauthorized = True
    assert [call.get().status for _ in range(3)] == [401] * 3
    hevo.unauthorized = False

    assert [call.get().status for _ in range(2)] == [200, 429]
