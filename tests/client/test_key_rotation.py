"""A key is rotated while jobs run: the connection is read again once, for all who use it, and work goes on."""

from __future__ import annotations

import asyncio

import pytest

from hevo_provider.client.access import Credentials
from hevo_provider.exceptions import HevoAuthError, HevoConfigError, HevoTransportError
from hevo_provider.sandbox import Fault, Sandbox
from tests.stage.clients import connect
from tests.stage.clock import START, VirtualClock


class Vault:
    """Hands out what are said to be the present credentials, and counts how often."""

    def __init__(self, hevo: Sandbox, secret: str | None = None) -> None:
        self.asked = 0
        self.is_out_of_reach = False
        self._hevo = hevo
        self._secret = secret

    def rotate(self, secret: str) -> None:
        self._secret = secret

    async def __call__(self) -> Credentials:
        self.asked += 1
        await asyncio.sleep(0.01)
        if self.is_out_of_reach:
            raise HevoTransportError("Airflow's API is restarting", sent=False)
        return Credentials(self._hevo.key, self._secret or self._hevo.secret)


async def test_a_refused_key_is_looked_up_once_and_the_request_goes_on(hevo: Sandbox, clock: VirtualClock) -> None:
    hevo.add_pipeline(7)
    vault = Vault(hevo)

    async with connect(hevo, clock, reauthenticate=vault) as client:
        hevo.secret = "the-new-secret"
        assert (await client.get_pipeline(7)).id == 7
        assert (await client.get_pipeline(7)).id == 7

    assert [request.authorized for request in hevo.requests] == [False, True, True]
    assert vault.asked == 1


async def test_an_action_is_sent_again_too_because_a_refused_one_was_not_applied(
    hevo: Sandbox, clock: VirtualClock
) -> None:
    pipeline = hevo.add_pipeline(7)

    async with connect(hevo, clock, reauthenticate=Vault(hevo)) as client:
        hevo.secret = "the-new-secret"
        await client.sync_now(7)

    assert len(pipeline.jobs) == 1


async def test_a_second_refusal_is_final(hevo: Sandbox, clock: VirtualClock) -> None:
    vault = Vault(hevo, secret="still-the-wrong-one")

    async with connect(hevo, clock, reauthenticate=vault) as client:
        hevo.secret = "the-new-secret"
        with pytest.raises(HevoAuthError, match="401"):
            await client.get_pipeline(7)

    assert len(hevo.requests) == 2
    assert vault.asked == 1


async def test_a_page_of_an_edge_is_no_reason_to_read_the_connection_again(hevo: Sandbox, clock: VirtualClock) -> None:
    hevo.add_pipeline(7)
    hevo.inject("get_pipeline", Fault.html(401), Fault.html(403))
    vault = Vault(hevo)

    async with connect(hevo, clock, reauthenticate=vault) as client:
        assert (await client.get_pipeline(7)).id == 7

    assert vault.asked == 0


async def test_without_anyone_to_ask_the_first_refusal_is_final(hevo: Sandbox, clock: VirtualClock) -> None:
    async with connect(hevo, clock, secret="wrong-secret") as client:
        with pytest.raises(HevoAuthError):
            await client.get_pipeline(7)

    assert len(hevo.requests) == 1


async def test_a_thousand_requests_refused_at_once_make_one_look_up(hevo: Sandbox, clock: VirtualClock) -> None:
    hevo.add_pipeline(7)
    vault = Vault(hevo)

    async with connect(hevo, clock, reauthenticate=vault, timeout=60) as client:
        hevo.secret = "the-new-secret"
        pipelines = await asyncio.gather(*(client.get_pipeline(7) for _ in range(1000)))

    assert len(pipelines) == 1000
    assert vault.asked == 1


async def test_many_requests_refused_for_good_do_not_look_up_one_by_one(hevo: Sandbox, clock: VirtualClock) -> None:
    vault = Vault(hevo, secret="still-the-wrong-one")

    async with connect(hevo, clock, reauthenticate=vault, timeout=60) as client:
        hevo.secret = "the-new-secret"
        # As many as may be under way at once: none waits for another, and so none is given up for it.
        results = await asyncio.gather(*(client.get_pipeline(7) for _ in range(90)), return_exceptions=True)

    assert all(isinstance(result, HevoAuthError) for result in results)
    assert vault.asked == 1


async def test_a_key_can_be_rotated_again_and_again(hevo: Sandbox, clock: VirtualClock) -> None:
    hevo.add_pipeline(7)
    vault = Vault(hevo)

    async with connect(hevo, clock, reauthenticate=vault) as client:
        for number in range(3):
            hevo.secret = f"secret-number-{number}"
            assert (await client.get_pipeline(7)).id == 7
            clock.advance(3600)

    assert vault.asked == 3


async def test_a_connection_that_became_unusable_is_an_error_of_the_configuration(
    hevo: Sandbox, clock: VirtualClock
) -> None:
    async def look_up() -> Credentials:
        return Credentials("", "")

    hevo.inject("get_pipeline", Fault.status(401))
    async with connect(hevo, clock, reauthenticate=look_up) as client:
        with pytest.raises(HevoConfigError, match="no API key"):
            await client.get_pipeline(7)


async def test_a_look_up_that_is_cancelled_leaves_it_to_the_next(hevo: Sandbox, clock: VirtualClock) -> None:
    hevo.add_pipeline(7)
    vault = Vault(hevo)

    async with connect(hevo, clock, reauthenticate=vault) as client:
        hevo.secret = "the-new-secret"
        first = asyncio.ensure_future(client.get_pipeline(7))
        second = asyncio.ensure_future(client.get_pipeline(7))
        while not vault.asked:  # noqa: ASYNC110 - it happens in this very loop
            await asyncio.sleep(0)
        first.cancel()

        assert (await second).id == 7
        with pytest.raises(asyncio.CancelledError):
            await first


async def test_a_look_up_that_fails_is_not_repeated_by_each_who_waited_for_it(
    hevo: Sandbox, clock: VirtualClock
) -> None:
    vault = Vault(hevo)
    vault.is_out_of_reach = True

    async with connect(hevo, clock, reauthenticate=vault, timeout=60) as client:
        hevo.secret = "the-new-secret"
        asked = [client.get_pipeline(7, retry_limit=0) for _ in range(90)]
        results = await asyncio.gather(*asked, return_exceptions=True)

    assert all(isinstance(result, HevoTransportError) for result in results)
    assert vault.asked < 10, "as often as refusals came in apart from each other, not 90 times"
    assert clock.now() - START <= 1


async def test_a_look_up_that_failed_is_repeated_for_the_next_who_is_refused(
    hevo: Sandbox, clock: VirtualClock
) -> None:
    hevo.add_pipeline(7)
    vault = Vault(hevo)
    vault.is_out_of_reach = True

    async with connect(hevo, clock, reauthenticate=vault) as client:
        hevo.secret = "the-new-secret"
        with pytest.raises(HevoTransportError):
            await client.get_pipeline(7, retry_limit=0)
        vault.is_out_of_reach = False
        assert (await client.get_pipeline(7, retry_limit=0)).id == 7

    assert clock.now() - START <= 1


async def test_a_connection_that_holds_nothing_new_is_looked_up_once_a_second_however_many_are_refused(
    hevo: Sandbox, clock: VirtualClock
) -> None:
    vault = Vault(hevo, secret=hevo.secret)

    async with connect(hevo, clock, reauthenticate=vault, timeout=60) as client:
        hevo.secret = "the-new-secret"
        for _ in range(5):
            asked = [client.get_pipeline(7, retry_limit=0) for _ in range(20)]
            results = await asyncio.gather(*asked, return_exceptions=True)
            assert all(isinstance(result, HevoAuthError) for result in results)

    assert vault.asked <= 1 + clock.now() - START


async def test_a_key_that_is_rotated_in_the_connection_a_moment_later_is_used_by_the_next_who_is_refused(
    hevo: Sandbox, clock: VirtualClock
) -> None:
    hevo.add_pipeline(7)
    vault = Vault(hevo, secret=hevo.secret)

    async with connect(hevo, clock, reauthenticate=vault) as client:
        hevo.secret = "the-new-secret"
        with pytest.raises(HevoAuthError):
            await client.get_pipeline(7)
        vault.rotate("the-new-secret")
        assert (await client.get_pipeline(7)).id == 7

    assert vault.asked == 2
    assert clock.now() - START <= 1


async def test_one_refusal_by_mistake_fails_nothing_although_the_connection_holds_nothing_new(
    hevo: Sandbox, clock: VirtualClock
) -> None:
    hevo.add_pipeline(7)
    hevo.inject("get_pipeline", Fault.status(401))

    async with connect(hevo, clock, reauthenticate=Vault(hevo)) as client:
        assert (await client.get_pipeline(7)).id == 7
