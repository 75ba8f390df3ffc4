"""What the ladder asks of risk, and when."""

from __future__ import annotations

import pytest

from actors.quote.budget import OrderBudget
from actors.quote.lease import LeaseKeeper, wanted_lots
from actors.quote.sizes import Sizes
from actors.risk.leases import Wallet
from actors.vocab.units import NS_PER_MS, NS_PER_S
from tests.quote.stage import BTC, HOLDER, SYMBOL, T0, VENUE, settings

MS = NS_PER_MS


def sizes() -> Sizes:
    """Orders of 4 lots, a cap of 33."""
    found = Sizes(settings().quote)
    found.follow(600_000.0, BTC)
    return found


@pytest.mark.parametrize(
    ("position", "stock", "closing", "expected"),
    [
        (0, None, False, (8, 8)),
        (4, None, False, (12, 4)),
        (1, None, False, (12, 8)),  # a partial fill asks for the next whole ladder, and for no less on the other side
        (-4, None, False, (4, 12)),
        (30, None, False, (33, 0)),  # the cap
        (40, None, False, (40, 0)),  # beyond the cap the position itself is still in the wish
        (-40, None, False, (0, 40)),
        (6, 0, False, (16, 0)),  # spot without coins of its own
        (0, 6, False, (8, 6)),
        (-4, 6, False, (4, 6)),
        (0, 50, False, (8, 8)),
        (6, None, True, (6, 0)),
        (-6, None, True, (0, 6)),
    ],
)
def test_wishes_hold_the_position_and_two_ladders(
    position: int, stock: int | None, closing: bool, expected: tuple[int, int]
) -> None:
    assert wanted_lots(position_lots=position, sizes=sizes(), short_lots_max=stock, closing=closing) == expected


def test_sizes_follow_the_price_in_steps() -> None:
    found = sizes()
    assert (found.order_lots, found.cap_lots, found.lots_min) == (4, 33, 1)

    assert not found.follow(605_000.0, BTC)
    assert found.follow(700_000.0, BTC)
    assert (found.order_lots, found.cap_lots) == (3, 28)


def test_sizes_are_nothing_before_a_price() -> None:
    found = Sizes(settings().quote)

    assert wanted_lots(position_lots=3, sizes=found, short_lots_max=None, closing=False) == (3, 0)


def test_more_is_asked_at_once_and_less_after_a_while() -> None:
    budget = OrderBudget()
    keeper = LeaseKeeper(Wallet(VENUE, SYMBOL, HOLDER), renew_interval_ns=500 * MS)

    def ask(wants: tuple[int, int], now_ns: int) -> tuple[int, int]:
        request = keeper.request(wants, position_lots=0, last_fill_no=0, mid_ticks=0.0, budget=budget, now_ns=now_ns)
        return request.want_long_lots, request.want_short_lots

    assert keeper.due(T0)
    assert ask((8, 8), T0) == (8, 8)
    assert not keeper.due(T0 + 499 * MS)
    assert not keeper.wishes_more((12, 4), T0 + 10 * MS)  # just asked
    assert keeper.wishes_more((12, 4), T0 + 20 * MS)
    assert not keeper.wishes_more((8, 4), T0 + 20 * MS)
    assert ask((12, 4), T0 + 20 * MS) == (12, 8)
    assert ask((8, 8), T0 + 5 * NS_PER_S) == (12, 8)
    assert ask((8, 4), T0 + 11 * NS_PER_S) == (8, 8)
    assert ask((8, 4), T0 + 15 * NS_PER_S) == (8, 4)


def test_a_want_of_orders_is_told_once_and_soon() -> None:
    budget = OrderBudget()
    budget.set_rate(1, T0)
    budget.refill(T0)
    budget.take(needed=True)
    keeper = LeaseKeeper(Wallet(VENUE, SYMBOL, HOLDER), renew_interval_ns=500 * MS)

    def ask(now_ns: int) -> tuple[int, bool, int]:
        request = keeper.request((8, 8), position_lots=0, last_fill_no=0, mid_ticks=0.0, budget=budget, now_ns=now_ns)
        return request.orders_needed, request.orders_short, request.orders_held

    assert ask(T0) == (1, True, 1)
    assert not keeper.wishes_more((8, 8), T0 + 100 * MS, short=True)
    assert keeper.wishes_more((8, 8), T0 + 200 * MS, short=True)
    assert ask(T0 + 200 * MS) == (1, False, 1)
