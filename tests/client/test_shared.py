"""One client for each connection in an event loop: opened by the first user and closed by the last."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from hevo_provider.client import HevoAsyncClient
from hevo_provider.client.shared import SharedClient, open_clients
from hevo_provider.hooks import HevoHook
from hevo_provider.sandbox import Sandbox
from tests.stage.clients import connect, settled
from tests.stage.clock import VirtualClock


async def turns_of_the_loop(number: int) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


class Opener:
    """Opens clients, slowly, and knows each of them."""

    def __init__(self, hevo: Sandbox, clock: VirtualClock) -> None:
        self.opened: list[HevoAsyncClient] = []
        self.closed: list[HevoAsyncClient] = []
        self.failure: Exception | None = None
        self._hevo, self._clock = hevo, clock

    async def __call__(self) -> HevoAsyncClient:
        await turns_of_the_loop(5)
        if self.failure is not None:
            raise self.failure
        client = connect(self._hevo, self._clock)
        self.opened.append(client)
        close = client.close

        async def closing() -> None:
            await turns_of_the_loop(5)
            await close()
            self.closed.append(client)

        client.close = closing  # type: ignore[method-assign]
        return client


@pytest.fixture
def opener(hevo: Sandbox, clock: VirtualClock) -> Opener:
    return Opener(hevo, clock)


@asynccontextmanager
async def user(opener: Opener, key: str = "conn") -> AsyncIterator[HevoAsyncClient]:
    async with SharedClient(key, opener) as client:
        yield client


async def use(opener: Opener, turns: int = 25) -> HevoAsyncClient:
    async with user(opener) as client:
        await turns_of_the_loop(turns)
        return client


async def test_all_users_of_a_connection_share_one_client(opener: Opener) -> None:
    clients = await asyncio.gather(*(use(opener) for _ in range(100)))

    assert len({id(client) for client in clients}) == 1
    assert opener.closed == opener.opened
    assert open_clients() == 0


async def test_other_connections_have_clients_of_their_own(opener: Opener) -> None:
    async with user(opener, "one") as one, user(opener, "other") as other:
        assert one is not other
        assert open_clients() == 2
    assert open_clients() == 0


async def test_the_client_is_open_until_the_last_user_leaves(hevo: Sandbox, opener: Opener) -> None:
    hevo.add_pipeline(7)

    async with user(opener) as last:
        async with user(opener):
            pass
        assert opener.closed == []
        assert (await last.get_pipeline(7)).id == 7
    assert opener.closed == [last]


async def test_who_comes_after_the_last_one_left_gets_a_new_client(opener: Opener) -> None:
    first = await use(opener)
    second = await use(opener)

    assert first is not second
    assert opener.closed == [first, second]


async def test_who_comes_while_the_client_is_being_closed_gets_a_new_one(hevo: Sandbox, opener: Opener) -> None:
    hevo.add_pipeline(7)
    leaving = asyncio.ensure_future(use(opener, 0))
    while not (opener.opened and open_clients() == 0):  # noqa: ASYNC110 - it happens in this very loop
        await asyncio.sleep(0)

    async with user(opener) as client:
        assert (await client.get_pipeline(7)).id == 7
    await leaving


@pytest.mark.parametrize("turns", range(12))
async def test_the_first_user_may_be_cancelled_at_any_moment(hevo: Sandbox, opener: Opener, turns: int) -> None:
    hevo.add_pipeline(7)
    first = asyncio.ensure_future(use(opener))
    await asyncio.sleep(0)
    second = asyncio.ensure_future(use(opener))
    await turns_of_the_loop(turns)

    first.cancel()

    await asyncio.wait([first])
    assert isinstance(await second, HevoAsyncClient)
    assert len(opener.opened) == 1
    assert opener.closed == opener.opened
    assert open_clients() == 0


@pytest.mark.parametrize("turns", range(12))
async def test_an_only_user_that_is_cancelled_again_and_again_leaves_nothing_open(opener: Opener, turns: int) -> None:
    only = asyncio.ensure_future(use(opener))
    await turns_of_the_loop(turns)

    while not only.done():
        only.cancel()
        await asyncio.sleep(0)

    assert await settled(lambda: opener.closed == opener.opened)
    assert open_clients() == 0


async def test_a_connection_that_cannot_be_opened_fails_for_all_who_wait(opener: Opener) -> None:
    opener.failure = LookupError("no such connection")

    results = await asyncio.gather(*(use(opener) for _ in range(10)), return_exceptions=True)

    assert [type(result) for result in results] == [LookupError] * 10
    assert open_clients() == 0


async def test_who_comes_after_a_failure_tries_again(opener: Opener) -> None:
    opener.failure = LookupError("no such connection")
    with pytest.raises(LookupError):
        await use(opener)
    opener.failure = None

    assert isinstance(await use(opener), HevoAsyncClient)


def test_each_event_loop_has_a_client_of_its_own(opener: Opener) -> None:
    first = asyncio.run(use(opener))
    second = asyncio.run(use(opener))

    assert first is not second
    assert opener.closed == [first, second]


async def test_hooks_of_one_connection_share_one_client_and_one_look_up(
    hevo: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    hevo.add_pipeline(7)
    look_ups = 0
    real = HevoHook._look_up

    async def counted(self: HevoHook) -> object:
        nonlocal look_ups
        look_ups += 1
        return await real(self)

    monkeypatch.setattr(HevoHook, "_look_up", counted)

    async def trigger() -> None:
        async with HevoHook().shared_client() as client:
            await client.get_pipeline(7)
            await turns_of_the_loop(25)

    await asyncio.gather(*(trigger() for _ in range(50)))

    assert look_ups == 1
    assert open_clients() == 0
