"""Wishes against live orders: which moves, and which of them first."""

from __future__ import annotations

import pytest

from actors.quote.ladder import Wish
from actors.quote.orders import OwnOrder, Pending
from actors.quote.reconcile import (
    HOLD_BACK_PLACE,
    HOLD_BACK_TIGHT,
    HOLD_BACK_WIDE,
    Kind,
    Terms,
    moves,
    ranked,
    slot_of,
    tolerance_ticks,
)
from actors.vocab.market import Side
from actors.vocab.orders import OrderState
from actors.vocab.units import NS_PER_S

NOW = 100 * NS_PER_S
# Fair 10 000 ticks, spread 40, tolerance 5; a tick on a lot is 0.1 USD; slots change once a second.
TERMS = Terms(
    fair_ticks=10_000.0,
    spread_ticks=40.0,
    tolerance_ticks=5.0,
    severe_ticks=2.0,
    usd_per_tick_lot=0.1,
    refresh_interval_ns=NS_PER_S,
    scarcity=1.0,
    now_ns=NOW,
)


def live(side: Side, price: int, lots: int, *, level: int = 0, age_s: float = 10.0, filled: int = 0) -> OwnOrder:
    order = OwnOrder(
        ref=1,
        slot=slot_of(side, level),
        side=side,
        price_ticks=price,
        lots=lots,
        now_ns=NOW - int(age_s * NS_PER_S),
    )
    order.pending, order.known, order.state, order.filled_lots = Pending.NONE, True, OrderState.OPEN, filled
    return order


def bids(*wishes: Wish, orders: tuple[OwnOrder, ...] = (), room: int = 100, terms: Terms = TERMS, levels: int = 1):  # type: ignore[no-untyped-def]
    found = moves(Side.BUY, wishes, {order.slot: order for order in orders}, levels, room, terms)
    return [(move.kind, move.slot, move.price_ticks, move.rest_lots) for move in found]


def test_missing_order_is_placed() -> None:
    assert bids(Wish(9_980, 4)) == [(Kind.PLACE, 0, 9_980, 4)]


def test_unwanted_order_is_cancelled_once() -> None:
    order = live(Side.BUY, 9_980, 4)
    assert bids(orders=(order,)) == [(Kind.CANCEL, 0, 9_980, 0)]

    order.pending = Pending.CANCEL
    assert bids(orders=(order,)) == []


@pytest.mark.parametrize("price", [9_976, 9_980, 9_985])
def test_order_near_its_wish_keeps_its_place_in_the_queue(price: int) -> None:
    assert bids(Wish(9_980, 4), orders=(live(Side.BUY, price, 4),)) == []


@pytest.mark.parametrize("price", [9_974, 9_986])
def test_order_far_from_its_wish_is_replaced_not_cancelled(price: int) -> None:
    assert bids(Wish(9_980, 4), orders=(live(Side.BUY, price, 4),)) == [(Kind.REPLACE, 0, 9_980, 4)]


def test_unanswered_order_is_left_alone() -> None:
    order = live(Side.BUY, 9_900, 4)
    order.pending = Pending.REPLACE

    assert bids(Wish(9_980, 4), orders=(order,)) == []


@pytest.mark.parametrize(
    ("price", "hold_back"),
    [(9_986, HOLD_BACK_TIGHT), (9_960, HOLD_BACK_WIDE), (9_959, HOLD_BACK_TIGHT), (10_003, HOLD_BACK_PLACE)],
)
def test_quote_out_of_the_market_may_use_as_much_of_the_budget_as_one_that_is_too_tight(
    price: int, hold_back: float
) -> None:
    (move,) = moves(Side.BUY, (Wish(9_980, 4),), {0: live(Side.BUY, price, 4)}, 1, 100, TERMS)
    assert move.hold_back == hold_back


def test_slot_waits_for_the_refresh_interval_unless_it_is_dangerous() -> None:
    assert bids(Wish(9_980, 4), orders=(live(Side.BUY, 9_970, 4, age_s=0.5),)) == []
    assert bids(Wish(9_980, 4), orders=(live(Side.BUY, 9_990, 4, age_s=0.5),)) == []
    assert bids(Wish(9_970, 4), orders=(live(Side.BUY, 9_991, 4, age_s=0.5),)) != []  # four tolerances too tight
    assert bids(Wish(9_980, 4), orders=(live(Side.BUY, 10_003, 4, age_s=0.5),)) != []  # beyond the fair price
    assert bids(Wish(9_980, 4), orders=(live(Side.BUY, 9_980, 9, age_s=0.5),), room=8) != []  # beyond the room


def test_scarce_orders_are_not_spent_on_small_gaps() -> None:
    scarce = TERMS._replace(scarcity=3.0)

    assert bids(Wish(9_980, 4), orders=(live(Side.BUY, 9_969, 4),), terms=scarce) == []
    assert bids(Wish(9_980, 4), orders=(live(Side.BUY, 9_964, 4),), terms=scarce) != []
    # Too tight weighs half as much.
    assert bids(Wish(9_980, 4), orders=(live(Side.BUY, 9_989, 4),), terms=scarce) == []
    assert bids(Wish(9_980, 4), orders=(live(Side.BUY, 9_991, 4),), terms=scarce) != []


@pytest.mark.parametrize(
    ("lots", "filled", "moved"),
    [(4, 0, False), (5, 0, False), (6, 0, True), (4, 2, False), (4, 3, True)],
)
def test_size_may_differ_a_little(lots: int, filled: int, moved: bool) -> None:
    found = bids(Wish(9_980, 4), orders=(live(Side.BUY, 9_980, lots, filled=filled),))

    assert bool(found) is moved


def test_levels_beyond_the_wish_are_cancelled() -> None:
    orders = (live(Side.BUY, 9_980, 4), live(Side.BUY, 9_970, 4, level=1))

    assert bids(Wish(9_980, 4), orders=orders, levels=2) == [(Kind.CANCEL, 2, 9_970, 0)]


def test_cancels_first_then_missing_sides_then_what_is_worth_most() -> None:
    """Too tight by 10 counts 20, a missing side half the spread: 20 as well; too wide by 10 counts 5."""
    tight = moves(Side.BUY, [Wish(9_970, 4)], {0: live(Side.BUY, 9_981, 4)}, 1, 100, TERMS)
    wide = moves(Side.SELL, [Wish(10_020, 4)], {1: live(Side.SELL, 10_030, 4)}, 1, 100, TERMS)
    missing = moves(Side.SELL, [Wish(10_020, 4)], {}, 1, 100, TERMS)
    unwanted = moves(Side.SELL, [], {1: live(Side.SELL, 10_030, 4)}, 1, 100, TERMS)

    found = ranked([*wide, *missing, *tight, *unwanted])

    assert [(move.kind, round(move.value_usd, 3)) for move in found] == [
        (Kind.CANCEL, 0.0),
        (Kind.PLACE, 8.0),
        (Kind.REPLACE, 8.8),
        (Kind.REPLACE, 2.0),
    ]
    assert [move.hold_back for move in found] == [0.0, 0.0, 0.25, 0.5]


def test_quote_beyond_the_fair_price_may_take_the_last_order() -> None:
    (move,) = moves(Side.SELL, [Wish(10_020, 4)], {1: live(Side.SELL, 9_990, 4)}, 1, 100, TERMS)

    assert move.severe
    assert move.hold_back == 0.0


def test_tolerance_is_the_larger_of_both_allowances() -> None:
    assert tolerance_ticks(100_000.0, 0.6, 0.1, 5.0) == pytest.approx(6.0)
    assert tolerance_ticks(100_000.0, 0.6, 0.1, 50.0) == pytest.approx(50.0)


def test_a_good_place_in_the_queue_is_kept_against_a_small_price_error() -> None:
    """Tolerance 5 ticks, half a tolerance more for the best place: a gap of 7 is borne there and nowhere else."""
    terms = TERMS._replace(queue_keep=0.5)
    order = live(Side.BUY, 9_973, 4)
    assert bids(Wish(9_980, 4), orders=(order,), terms=terms) == [(Kind.REPLACE, 0, 9_980, 4)]

    order.queue_place = 1.0
    assert bids(Wish(9_980, 4), orders=(order,), terms=terms) == []
    order.queue_place = 0.5  # 6.25 ticks
    assert bids(Wish(9_980, 4), orders=(order,), terms=terms) != []
    order.queue_place = 1.0
    assert bids(Wish(9_981, 4), orders=(order,), terms=terms) != []


def test_no_place_is_worth_a_quote_beyond_the_fair_price() -> None:
    order = live(Side.BUY, 10_003, 4)
    order.queue_place = 1.0

    assert bids(Wish(9_997, 4), orders=(order,), terms=TERMS._replace(queue_keep=10.0)) != []


@pytest.mark.parametrize(
    ("price", "until_ns", "room", "stays"),
    [
        (9_950, NOW + 1, 100, True),
        (9_950, NOW, 100, False),  # its time is up
        (9_899, NOW + 1, 100, False),  # too far behind
        (10_001, NOW + 1, 100, False),  # beyond the fair price
        (9_950, NOW + 1, 3, False),  # more than may be held
    ],
)
def test_hanging_order_stays_inside_its_bounds(price: int, until_ns: int, room: int, stays: bool) -> None:
    order = live(Side.BUY, price, 4)
    order.hangs_until_ns = until_ns

    found = bids(Wish(9_980, 4), orders=(order,), room=room, terms=TERMS._replace(hang_ticks=100.0))

    assert (found == []) is stays


def test_hanging_order_goes_when_its_side_is_not_wanted() -> None:
    order = live(Side.BUY, 9_950, 4)
    order.hangs_until_ns = NOW + 1

    assert bids(orders=(order,), terms=TERMS._replace(hang_ticks=100.0)) == [(Kind.CANCEL, 0, 9_950, 0)]
