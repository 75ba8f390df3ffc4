"""What is known of an order's place in its queue, from published sizes alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.quote.orders import AHEAD_UNKNOWN, OwnOrder, Pending
from actors.quote.queue_place import note_queues, queue_place
from actors.vocab.market import Level, Side

ASKS: tuple[Level, ...] = ((101, 1),)


def resting(price: int = 100) -> OwnOrder:
    order = OwnOrder(ref=1, slot=0, side=Side.BUY, price_ticks=price, lots=4, now_ns=0)
    order.pending, order.known = Pending.NONE, True
    return order


def test_joining_at_the_end_is_worth_nothing_and_those_who_come_later_make_it_so() -> None:
    order = resting()

    note_queues([order], ((100, 50),), ASKS)
    assert (order.ahead_lots, order.queue_place) == (50, 0.0)
    note_queues([order], ((100, 80),), ASKS)  # thirty joined behind
    assert (order.ahead_lots, order.queue_place) == (50, pytest.approx(30 / 80))
    note_queues([order], ((100, 20),), ASKS)  # sixty gone, from before or behind: twenty at most are before it
    assert (order.ahead_lots, order.queue_place) == (20, 0.0)
    note_queues([order], ((100, 100),), ASKS)
    assert (order.ahead_lots, order.queue_place) == (20, pytest.approx(0.8))


def test_a_level_that_others_stand_before_is_worth_less() -> None:
    order = resting()
    note_queues([order], ((100, 20),), ASKS)

    note_queues([order], ((102, 5), (101, 5), (100, 80)), ASKS)

    assert order.queue_place == pytest.approx(0.75 / 3)


def test_nothing_is_known_of_an_order_outside_the_published_levels_or_on_its_way() -> None:
    order = resting(90)
    note_queues([order], ((90, 20),), ASKS)
    note_queues([order], ((100, 80),), ASKS)
    assert (order.ahead_lots, order.queue_place) == (AHEAD_UNKNOWN, 0.0)

    order.pending = Pending.REPLACE
    note_queues([order], ((90, 80),), ASKS)
    assert order.ahead_lots == AHEAD_UNKNOWN


@given(sizes=st.lists(st.integers(0, 10**6), min_size=1, max_size=20), depth=st.integers(0, 20))
def test_place_is_a_share_and_what_is_ahead_never_grows(sizes: list[int], depth: int) -> None:
    order = resting()
    better = tuple((200 - level, 1) for level in range(depth))
    before = AHEAD_UNKNOWN
    for lots in sizes:
        note_queues([order], (*better, (100, lots)), ASKS)
        assert 0.0 <= order.queue_place <= 1.0 / (1 + depth)
        assert order.ahead_lots <= before
        before = order.ahead_lots


def test_a_level_that_is_gone_is_no_place() -> None:
    assert queue_place(ahead_lots=0, level_lots=0, depth=0) == 0.0
