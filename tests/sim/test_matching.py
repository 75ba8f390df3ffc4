"""The fill rules of matching.py, one by one, and the book's invariants under anything."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from actors.sim.matching import Book, BookEvent, Expiry, Match
from actors.sim.orders import SimOrder
from actors.vocab.market import Side

BUY, SELL = Side.BUY, Side.SELL


def order(side: Side, price_ticks: int, lots: int, *, account: str = "us", number: int = 1, **more: bool) -> SimOrder:
    return SimOrder(account, "AAAUSDT", number, f"o{number}", side, price_ticks, lots, 0, **more)


def book(*, bids: dict[int, int], asks: dict[int, int]) -> Book:
    made = Book("AAAUSDT")
    for price, lots in bids.items():
        made.make(BUY, price, lots)
    for price, lots in asks.items():
        made.make(SELL, price, lots)
    return made


def trades(events: list[BookEvent]) -> list[tuple[int, int, bool]]:
    """(price, lots, did it involve an order of ours as maker)"""
    return [(each.price_ticks, each.lots, each.maker is not None) for each in events if isinstance(each, Match)]


def test_makers_in_front_trade_before_our_order_and_later_ones_after_it() -> None:
    at = book(bids={99: 50}, asks={101: 50})
    ours = order(BUY, 99, 10)
    at.place(ours)
    at.make(BUY, 99, 80)  # 30 more join behind us

    assert trades(at.take(SELL, 50)) == [(99, 50, False)]
    assert trades(at.take(SELL, 15)) == [(99, 10, True), (99, 5, False)]
    assert at.bids.levels(5) == [(99, 25)]


def test_a_partial_fill_keeps_the_rest_in_front() -> None:
    at = book(bids={}, asks={101: 50})
    ours = order(BUY, 99, 10)
    at.place(ours)
    at.make(BUY, 99, 20)

    at.take(SELL, 4)

    assert (ours.filled_lots, ours.ahead_lots) == (4, 0)
    assert trades(at.take(SELL, 7)) == [(99, 6, True), (99, 1, False)]


def test_cancels_of_makers_move_us_forward_in_proportion_rounded_to_our_disadvantage() -> None:
    at = book(bids={99: 90}, asks={101: 50})
    ours = order(BUY, 99, 10)
    at.place(ours)
    at.make(BUY, 99, 120)  # 30 behind

    at.make(BUY, 99, 109)  # 11 of 120 cancel: floor(11 * 90 / 120) = 8 were ahead

    assert ours.ahead_lots == 82


def test_a_limit_order_takes_up_to_its_price_and_rests_with_the_rest() -> None:
    at = book(bids={99: 50}, asks={101: 5, 102: 5, 103: 5})
    ours = order(BUY, 102, 20)

    assert trades(at.place(ours)) == [(101, 5, False), (102, 5, False)]
    assert (ours.left_lots, at.best_bid(), at.best_ask()) == (10, 102, 103)


def test_the_unfilled_rest_of_a_market_order_expires() -> None:
    at = book(bids={}, asks={101: 5})
    ours = order(BUY, 0, 20, market=True)

    events = at.place(ours)

    assert [type(each) for each in events] == [Match, Expiry]
    assert ours.filled_lots == 5
    assert not at.asks.keys


def test_our_resting_order_expires_before_we_trade_with_ourselves() -> None:
    at = book(bids={}, asks={102: 5})
    resting = order(SELL, 101, 10)
    at.place(resting)

    events = at.place(order(BUY, 102, 5, number=2))

    assert isinstance(events[0], Expiry)
    assert events[0].order is resting
    assert trades(events) == [(102, 5, False)]
    assert resting.filled_lots == 0


def test_two_accounts_trade_with_each_other() -> None:
    at = book(bids={}, asks={})
    seller = order(SELL, 101, 10, account="them")
    at.place(seller)
    buyer = order(BUY, 101, 4, number=2)

    (match,) = at.place(buyer)

    assert isinstance(match, Match)
    assert (match.maker, match.taker, match.lots) == (seller, buyer, 4)


def test_makers_that_cross_us_are_the_takers() -> None:
    at = book(bids={99: 5}, asks={105: 5})
    ours = order(BUY, 102, 10)
    at.place(ours)

    events = at.make(SELL, 101, 30)

    assert trades(events) == [(102, 10, True)]
    assert at.asks.levels(1) == [(101, 20)]


def test_a_shrink_keeps_the_place_and_a_removal_gives_it_up() -> None:
    at = book(bids={99: 50}, asks={101: 5})
    ours = order(BUY, 99, 10)
    at.place(ours)
    at.take(SELL, 30)

    at.shrink(ours, 4)
    assert (ours.lots, ours.ahead_lots) == (4, 20)

    at.remove(ours)
    at.make(BUY, 99, 60)
    at.place(ours)
    assert ours.ahead_lots == 60


def test_a_reduce_only_order_stops_at_the_position() -> None:
    at = Book("AAAUSDT", room_to_reduce=lambda order: 3 - order.filled_lots)
    at.make(BUY, 99, 50)
    resting = order(SELL, 101, 10, reduce_only=True)
    at.place(resting)

    events = at.take(BUY, 8)

    assert [type(each) for each in events] == [Match, Expiry]
    assert resting.filled_lots == 3
    assert at.best_ask() == 0


def test_dirty_levels_are_absolute_and_told_once() -> None:
    at = book(bids={99: 50}, asks={101: 5})
    at.bids.take_dirty()
    at.place(order(BUY, 99, 10))
    at.make(BUY, 98, 7)
    at.make(BUY, 98, 0)

    assert at.bids.take_dirty() == [(99, 60), (98, 0)]
    assert at.bids.take_dirty() == []


ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["make", "place", "take", "cancel", "shrink"]),
        st.sampled_from([BUY, SELL]),
        st.integers(90, 110),
        st.integers(0, 40),
        st.sampled_from(["us", "them"]),
    ),
    max_size=60,
)


@settings(max_examples=200)
@given(ACTIONS)
def test_the_book_is_never_crossed_and_no_queue_is_negative(
    actions: list[tuple[str, Side, int, int, str]],
) -> None:
    """Whatever happens: sides apart, sizes positive, queues within their level, every lot accounted for."""
    at = Book("AAAUSDT")
    bought = sold = 0
    resting: list[SimOrder] = []
    for number, (action, side, price, lots, account) in enumerate(actions):
        events: list[BookEvent] = []
        if action == "make":
            events = at.make(side, price, lots)
        elif action == "place" and lots:
            new = order(side, price, lots, account=account, number=number)
            resting.append(new)
            events = at.place(new)
        elif action == "take" and lots:
            events = at.take(side, lots)
        elif action in ("cancel", "shrink"):
            live = [each for each in at.orders()]
            if live and action == "cancel":
                at.remove(live[lots % len(live)])
            elif live and live[0].left_lots > 1:
                at.shrink(live[0], live[0].lots - 1)
        for event in events:
            if isinstance(event, Match):
                bought += event.lots
                sold += event.lots
                assert event.lots > 0
        assert not (at.best_bid() and at.best_ask()) or at.best_bid() < at.best_ask()
        for half in (at.bids, at.asks):
            assert half.keys == sorted({*half.makers, *half.ours})
            assert all(lots > 0 for lots in half.makers.values())
            for key, queue in half.ours.items():
                assert queue
                assert [each.ahead_lots for each in queue] == sorted(each.ahead_lots for each in queue)
                for each in queue:
                    assert 0 <= each.ahead_lots <= half.makers.get(key, 0)
                    assert each.left_lots > 0
    assert bought == sold
    assert all(0 <= each.filled_lots <= each.lots for each in resting)
