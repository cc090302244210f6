"""The budget of an API key: how many requests are sent when, and whose come first."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest

from hevo_provider.client.budget import TURN, Budget, Purpose, Turn, asking_as
from hevo_provider.client.pace import BURST, LONGEST_REST, MARGIN, SLOWEST
from hevo_provider.exceptions import HevoRateLimitError
from hevo_provider.sandbox import Limit, Sandbox
from hevo_provider.sandbox.limit import Window
from tests.stage.clients import connect
from tests.stage.clock import START, VirtualClock


async def let_through(budget: Budget, clock: VirtualClock, turns: list[Turn]) -> list[tuple[Turn, float]]:
    """Let them all ask at once: in which order, and when, they were let through."""
    order: list[tuple[Turn, float]] = []

    async def ask(turn: Turn) -> None:
        assert await budget.enter(turn)
        order.append((turn, clock.now() - START))

    await asyncio.gather(*(ask(turn) for turn in turns))
    return order


async def test_no_more_than_the_limit_in_any_minute_and_evenly_after_a_small_burst(clock: VirtualClock) -> None:
    order = await let_through(Budget(clock.clock, 100), clock, [Turn(Purpose.WAIT) for _ in range(400)])

    at = [moment for _, moment in order]
    assert at[BURST - 1] == 0
    # A request may be longer on its way than the one that leaves a minute later.
    assert all(later - earlier >= 60 + MARGIN - 0.01 for earlier, later in zip(at, at[100:], strict=False))
    assert at[-1] <= 4 * 60 * 1.05
    assert max(later - earlier for earlier, later in pairwise(at)) < 4


async def test_the_order_is_cancels_starts_searches_waits_and_watched_assets(clock: VirtualClock) -> None:
    budget = Budget(clock.clock, 60)
    await let_through(budget, clock, [Turn(Purpose.WAIT) for _ in range(BURST)])

    order = await let_through(budget, clock, [Turn(purpose, interval=15) for purpose in reversed(Purpose)])

    assert [turn.purpose for turn, _ in order] == sorted(Purpose)


async def test_the_most_urgent_wait_comes_first(clock: VirtualClock) -> None:
    budget = Budget(clock.clock, 60)
    await let_through(budget, clock, [Turn(Purpose.WAIT) for _ in range(BURST)])
    turns = [Turn(Purpose.WAIT, urgency=lambda _, chance=chance: chance) for chance in (0.1, 0.9, 0.5)]  # type: ignore[misc]
    budget.waits.update(dict.fromkeys(turns))

    order = await let_through(budget, clock, turns)

    assert [turns.index(turn) for turn, _ in order] == [1, 2, 0]


async def test_no_wait_starves_however_unlikely_its_end_is(clock: VirtualClock) -> None:
    budget = Budget(clock.clock, 60)
    asked: dict[int, list[float]] = {number: [] for number in range(60)}

    async def wait(number: int) -> None:
        turn = Turn(Purpose.WAIT, urgency=lambda _: 1.0 if number % 2 else 0.0)
        budget.waits[turn] = None
        while clock.now() < START + 900:
            await budget.enter(turn)
            asked[number].append(clock.now())

    await asyncio.gather(*(wait(number) for number in range(60)))

    even_round = 60.0
    for moments in asked.values():
        gaps = [later - earlier for earlier, later in pairwise([START, *moments])]
        assert max(gaps) <= 3 * even_round + 5


async def test_no_wait_starves_while_starts_come_without_end(clock: VirtualClock) -> None:
    budget, even_round = Budget(clock.clock, 60), 40.0
    asked: list[list[float]] = [[] for _ in range(40)]

    async def wait(moments: list[float]) -> None:
        turn = Turn(Purpose.WAIT, interval=15)
        budget.waits[turn] = None
        while clock.now() < START + 14 * even_round:
            await budget.enter(turn)
            moments.append(clock.now())
            await clock.sleep(15)

    async def start() -> None:
        await clock.sleep(2 * even_round)
        while clock.now() < START + 14 * even_round:
            await budget.enter(Turn(Purpose.START), 3)

    await asyncio.gather(*(start() for _ in range(50)), *(wait(moments) for moments in asked))

    assert max(later - earlier for moments in asked for earlier, later in pairwise(moments)) <= 3 * even_round
    assert sum(map(len, asked)) <= (2 + 12 * 0.45) * 40  # starts have more than half


async def test_waits_that_are_not_late_keep_no_start_waiting(clock: VirtualClock) -> None:
    budget = Budget(clock.clock, 60)
    await let_through(budget, clock, [Turn(Purpose.WAIT) for _ in range(BURST)])
    waits = [Turn(Purpose.WAIT, interval=15) for _ in range(10)]
    budget.waits.update(dict.fromkeys(waits))

    order = await let_through(budget, clock, waits + [Turn(Purpose.START) for _ in range(30)])

    assert all(turn.purpose is Purpose.START for turn, _ in order[:30])


async def test_a_wait_that_would_starve_comes_before_searches_and_not_before_cancels(clock: VirtualClock) -> None:
    budget, wait = Budget(clock.clock, 60), Turn(Purpose.WAIT)
    budget.waits[wait] = None
    await let_through(budget, clock, [Turn(Purpose.WAIT) for _ in range(BURST - 1)] + [wait])
    budget.refused(30, clock.now())

    order = await let_through(budget, clock, [wait, *(Turn(purpose) for purpose in (Purpose.SEARCH, Purpose.CANCEL))])

    assert [turn.purpose for turn, _ in order] == [Purpose.CANCEL, Purpose.WAIT, Purpose.SEARCH]


async def test_who_was_refused_has_not_been_asked_for(hevo: Sandbox, clock: VirtualClock) -> None:
    hevo.add_pipeline(7)
    turn = Turn(Purpose.WAIT)
    async with connect(hevo, clock, budget=Budget(clock.clock, 100), retry_limit=0) as client:
        with asking_as(turn):
            await client.get_pipeline(7)
            asked_at = turn.asked_at
            clock.advance(30)
            hevo.limit = Limit(0)
            with pytest.raises(HevoRateLimitError):
                await client.get_pipeline(7)

    assert asked_at is not None
    assert turn.asked_at == asked_at


async def test_there_is_room_left_for_starts_that_are_on_their_way(clock: VirtualClock) -> None:
    budget = Budget(clock.clock, 60)
    await let_through(budget, clock, [Turn(Purpose.START) for _ in range(60)])
    clock.advance(8)
    assert budget.pace.pause() == 0

    budget.pace.keep_room()

    assert budget.pace.pause() == pytest.approx(10 - 8, abs=2)
    assert budget.pace.pause(of_a_start=True) == 0


async def test_who_has_no_time_is_told_in_time(clock: VirtualClock) -> None:
    budget = Budget(clock.clock, 60)
    budget.refused(200, clock.now())

    assert not await budget.enter(Turn(Purpose.WAIT), within=30)
    assert clock.now() - START == pytest.approx(30, abs=1)


async def test_who_is_cancelled_in_the_queue_holds_up_nobody(clock: VirtualClock) -> None:
    budget = Budget(clock.clock, 60)
    budget.refused(20, clock.now())
    waiting = [asyncio.ensure_future(budget.enter(Turn(Purpose.WAIT))) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    await asyncio.wait(waiting)

    assert [task.cancelled() for task in waiting] == [True, False, False]
    assert [task.result() for task in waiting[1:]] == [True, True]


async def test_who_is_cancelled_when_its_turn_has_come_holds_up_nobody(clock: VirtualClock) -> None:
    budget = Budget(clock.clock, 60)
    await let_through(budget, clock, [Turn(Purpose.WAIT) for _ in range(BURST)])

    def cancel(_: float) -> float:
        if budget.pace.pause() == 0:
            cancelled.cancel()
        return 1.0

    cancelled = asyncio.ensure_future(budget.enter(Turn(Purpose.START, urgency=cancel)))
    await asyncio.sleep(0)
    order = await let_through(budget, clock, [Turn(Purpose.WAIT, interval=15) for _ in range(3)])

    assert cancelled.cancelled()
    assert [at for _, at in order] == [pytest.approx(at, abs=0.1) for at in (1, 2, 3)]


async def test_starts_that_are_cancelled_keep_no_other_waiting(clock: VirtualClock) -> None:
    budget = Budget(clock.clock, 60)
    await let_through(budget, clock, [Turn(Purpose.WAIT) for _ in range(BURST)])
    starts = [asyncio.ensure_future(budget.enter(Turn(Purpose.START))) for _ in range(10)]
    await asyncio.sleep(0)
    for start in starts:
        start.cancel()
    await asyncio.wait(starts)

    assert budget.expected_pause() <= 1


async def test_the_queue_outlives_the_first_who_waits_and_is_not_taken_for_its_task(clock: VirtualClock) -> None:
    seen: list[Turn | None] = []

    async def sleep(seconds: float) -> None:
        seen.append(TURN.get())
        await clock.sleep(seconds)

    budget = Budget(replace(clock.clock, sleep=sleep), 60)
    budget.refused(5, clock.now())
    with asking_as(Turn(Purpose.WAIT)) as first:
        await let_through(budget, clock, [first, Turn(Purpose.WAIT)])

    assert set(seen) == {None}


async def test_after_a_refusal_there_is_no_burst(clock: VirtualClock) -> None:
    budget = Budget(clock.clock, 100)
    budget.refused(None, clock.now())

    at = [moment for _, moment in await let_through(budget, clock, [Turn(Purpose.WAIT) for _ in range(BURST)])]

    assert at[-1] - at[0] >= 2


async def test_while_hevo_answers_nothing_the_pace_goes_no_lower_than_to_see_when_it_does_and_comes_back_as_far(
    clock: VirtualClock,
) -> None:
    budgets = []
    for refusals in (1, 20):
        budget = Budget(clock.clock, 100)
        await let_through(budget, clock, [Turn(Purpose.WAIT) for _ in range(200)])
        budget.pace.answered()
        for _ in range(refusals):
            clock.advance(20)
            budget.refused(None, clock.now())
        budgets.append(budget)
        assert budget.pace.per_minute >= 100 * SLOWEST
        clock.advance(15)

    once, often = (budget.pace.per_minute for budget in budgets)
    assert often >= 60
    assert once >= 60


async def test_a_refusal_halves_the_pace_and_it_comes_back(clock: VirtualClock) -> None:
    budget = Budget(clock.clock, 100)
    await let_through(budget, clock, [Turn(Purpose.WAIT) for _ in range(200)])
    before = budget.round
    budget.waits.update(dict.fromkeys([Turn(Purpose.WAIT) for _ in range(100)]))
    assert before == 0
    assert budget.round == pytest.approx(60, abs=2)

    budget.refused(None, clock.now())
    assert budget.round == pytest.approx(120, abs=5)
    clock.advance(15)
    assert 65 <= budget.round <= 85
    clock.advance(400)
    assert budget.round == pytest.approx(60, abs=2)


async def test_where_others_take_nearly_all_there_is_a_pace_left_to_see_when_they_end(clock: VirtualClock) -> None:
    budget = Budget(clock.clock, 100)
    for _ in range(40):
        clock.advance(20)
        budget.pace.answered()
        budget.refused(None, clock.now())

    clock.advance(15)
    assert budget.pace.per_minute >= 100 * SLOWEST - 1


async def test_what_was_under_way_when_the_pace_was_halved_does_not_halve_it_again(clock: VirtualClock) -> None:
    budget = Budget(clock.clock, 100)
    budget.waits[Turn(Purpose.WAIT)] = None
    sent_at = clock.now()
    for _ in range(20):
        clock.advance(0.01)
        budget.refused(None, sent_at)

    assert budget.round == pytest.approx(1.2, abs=0.05)


async def test_two_clients_of_one_key_have_one_budget_and_another_key_has_its_own(
    hevo: Sandbox, clock: VirtualClock
) -> None:
    async with connect(hevo, clock) as one, connect(hevo, clock) as other, connect(hevo, clock, key="new") as third:
        assert one.budget is other.budget
        assert one.budget is not third.budget


async def test_it_is_told_once_what_the_limit_does_and_once_when_it_is_enough_again(
    clock: VirtualClock, story: Callable[[], str]
) -> None:
    budget = Budget(clock.clock, 100)
    turns = [Turn(Purpose.WAIT, interval=15) for _ in range(400)]
    budget.waits.update(dict.fromkeys(turns))
    await let_through(budget, clock, turns)

    assert story().count("Hevo allows 100 requests a minute; 400 waits share them: each is asked for about every 4 min")
    budget.waits.clear()
    await let_through(budget, clock, turns[:40])
    assert story().count("is enough again") == 1


async def test_a_process_that_comes_later_has_its_fair_share_within_minutes(clock: VirtualClock) -> None:
    window, answered = Window(), [[0.0], [0.0]]

    async def use(number: int, since: float) -> None:
        budget, turn = Budget(clock.clock, 100), Turn(Purpose.WAIT)
        await clock.sleep(since)
        while clock.now() < START + 1800:
            await budget.enter(turn)
            if window.refusal(Limit(100), clock.now(), 0.0) is None:
                budget.pace.answered()
                answered[number].append(clock.now() - START)
            else:
                budget.refused(None, clock.now())

    await asyncio.gather(use(0, 0.0), use(1, 300.0))

    first, later = (sum(at > 900 for at in times) for times in answered)
    assert later / (first + later) == pytest.approx(0.5, abs=0.1)
    assert first + later >= 0.85 * 15 * 100


@pytest.mark.parametrize(
    ("asked_for", "rests"),
    [((40,), 40), ((40, 5), 40), ((40, None), 40), ((7 * 86_400,), LONGEST_REST)],
    ids=["once", "then less", "then nothing", "a week"],
)
async def test_nothing_is_sent_before_the_time_that_hevo_asks_for_within_reason(
    clock: VirtualClock, asked_for: tuple[float | None, ...], rests: float
) -> None:
    budget = Budget(clock.clock, 100)
    for retry_after in asked_for:
        budget.refused(retry_after, clock.now())

    assert [at for _, at in await let_through(budget, clock, [Turn(Purpose.CANCEL)])] == [pytest.approx(rests, abs=1)]


async def test_a_limit_that_is_changed_in_the_connection_holds_from_then_on(clock: VirtualClock) -> None:
    budget = Budget(clock.clock, 60)
    await let_through(budget, clock, [Turn(Purpose.WAIT) for _ in range(BURST)])

    budget.limit_to(600)

    order = await let_through(budget, clock, [Turn(Purpose.WAIT) for _ in range(BURST + 10)])
    assert order[-1][1] == pytest.approx(1, abs=0.2)


async def test_a_start_knows_how_long_those_before_it_will_take(clock: VirtualClock) -> None:
    budget = Budget(clock.clock, 60)
    await let_through(budget, clock, [Turn(Purpose.WAIT) for _ in range(BURST)])
    starts = [asyncio.ensure_future(budget.enter(Turn(Purpose.START))) for _ in range(10)]
    await asyncio.sleep(0)

    assert budget.expected_pause() == pytest.approx(10 * BURST, abs=2)
    await asyncio.gather(*starts)


async def test_who_comes_later_does_not_overtake_the_queue(clock: VirtualClock) -> None:
    budget = Budget(clock.clock, 60)
    await let_through(budget, clock, [Turn(Purpose.WAIT) for _ in range(BURST)])
    first = asyncio.ensure_future(budget.enter(Turn(Purpose.WAIT), BURST))
    await asyncio.sleep(0)
    clock.advance(BURST)

    assert not budget.passes(Turn(Purpose.WAIT))
    assert await first


async def test_what_was_waited_for_the_limit_is_known(clock: VirtualClock) -> None:
    budget, turn = Budget(clock.clock, 60), Turn(Purpose.WAIT)
    await let_through(budget, clock, [Turn(Purpose.WAIT) for _ in range(BURST)])

    await budget.enter(turn)

    assert turn.waited == pytest.approx(1, abs=0.1)


async def test_an_order_that_fails_keeps_nobody_waiting(clock: VirtualClock) -> None:
    budget = Budget(clock.clock, 60)
    await let_through(budget, clock, [Turn(Purpose.WAIT) for _ in range(BURST)])

    assert len(await let_through(budget, clock, [Turn(Purpose.WAIT, urgency=lambda _: 1 / 0) for _ in range(3)])) == 3
