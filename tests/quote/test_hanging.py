"""The partner of a filled order hangs: it stays for a while where the pair was quoted."""

from __future__ import annotations

import pytest

from actors.quote.engine import Command, QuoteEngine
from actors.quote.events import Timer
from actors.vocab.market import Side
from actors.vocab.orders import OrderState
from actors.vocab.units import NS_PER_S
from tests.quote import stage
from tests.quote.stage import MS, T0, answer, book, fill, quoting, replaces, update


def both(quoter: QuoteEngine) -> dict[Side, tuple[int, int, int]]:
    """side -> (ref, price, lots) of the live orders."""
    return {order.side: (order.ref, order.price_ticks, order.lots) for order in quoter.own.by_ref.values()}


# The model leans far at a full order of position, and slots may change at once.
HANGING = {"gamma": 50.0, "refresh_interval_ms": 1, "hanging_s_max": 30.0, "hanging_bps_max": 50.0}


def filled_bid(quoter: QuoteEngine, now_ns: int, *, state_first: bool = False) -> list[Command]:
    """Our bid fills whole; what the engine says to it, answered."""
    ref, price, lots = both(quoter)[Side.BUY]
    events = [
        fill(1, ref, Side.BUY, price, lots, lots),
        update(ref, OrderState.FILLED, price=price, lots=lots, filled=lots),
    ]
    said: list[Command] = []
    for event in reversed(events) if state_first else events:
        commands = quoter.handle(event, now_ns)
        said += commands
        answer(quoter, commands, now_ns)
    return said


def beaten(quoter: QuoteEngine, from_ns: int, seconds: int) -> int:
    """Let time pass with a book that stands; the ask's price afterwards."""
    for step in range(1, seconds * 10 + 1):
        now_ns = from_ns + step * 100 * MS
        answer(quoter, stage.renewed(quoter, quoter.handle(book(1 + step, now_ns, beat=True), now_ns), now_ns), now_ns)
        commands = quoter.handle(Timer(), now_ns)
        answer(quoter, [*commands, *stage.renewed(quoter, commands, now_ns)], now_ns)
    return both(quoter)[Side.SELL][1]


@pytest.mark.parametrize("state_first", [False, True])
def test_ask_stays_after_the_bid_was_filled_and_moves_when_its_time_is_up(state_first: bool) -> None:
    quoter = quoting(fleet=stage.settings(**HANGING))
    ask = both(quoter)[Side.SELL]

    said = filled_bid(quoter, T0 + 10 * MS, state_first=state_first)

    assert [command for command in replaces(said) if command.side is Side.SELL] == []
    assert both(quoter)[Side.SELL] == ask
    assert beaten(quoter, T0 + 10 * MS, 25) == ask[1]
    assert beaten(quoter, T0 + 10 * MS + 25 * NS_PER_S, 10) < ask[1]


def test_without_the_setting_the_ask_follows_the_position_at_once() -> None:
    quoter = quoting(fleet=stage.settings(**(HANGING | {"hanging_s_max": 0.0})))
    ask = both(quoter)[Side.SELL]

    filled_bid(quoter, T0 + 10 * MS)

    assert both(quoter)[Side.SELL][1] < ask[1]


def test_a_part_fill_leaves_nothing_hanging() -> None:
    quoter = quoting(fleet=stage.settings(**HANGING))
    ref, price, _ = both(quoter)[Side.BUY]

    quoter.handle(fill(1, ref, Side.BUY, price, 1, 1), T0 + 10 * MS)

    assert all(order.hangs_until_ns == 0 for order in quoter.own.by_ref.values())


def test_hanging_order_far_from_a_market_that_moved_is_brought_back() -> None:
    quoter = quoting(fleet=stage.settings(**HANGING))
    ask = both(quoter)[Side.SELL]
    later = T0 + 20 * MS
    filled_bid(quoter, T0 + 10 * MS)

    commands = quoter.handle(book(2, later, 593_995, 594_005), later)  # a whole percent down
    while commands:  # the ask waits for our own bid to be out of its way
        commands = answer(quoter, commands, later)

    assert both(quoter)[Side.SELL][1] < ask[1]
