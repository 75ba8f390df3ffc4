"""Order-flow imbalance against its definition."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.quote.estimators.order_flow import OrderFlowImbalance, OrderFlowWatch
from actors.vocab.units import NS_PER_S


def test_order_flow_imbalance_uses_weak_inequalities() -> None:
    """The case of Cont, Kukanov and Stoikov's definition, worked by hand."""
    tops = [
        (100, 10, 100.02, 12),
        (100, 14, 100.02, 12),
        (100, 14, 100.02, 5),
        (100.01, 3, 100.02, 5),
        (100.01, 3, 100.03, 20),
        (100, 9, 100.03, 20),
        (100, 9, 100.01, 4),
    ]
    flow = OrderFlowImbalance()

    assert [flow.update(*top) for top in tops] == [0, 4, 7, 3, 5, -3, -4]
    assert flow.take() == 12
    assert flow.take() == 0


def test_share_of_buyers_is_one_after_many_bids_added() -> None:
    """Only bids grow: net is gross, and 100 events count 100/110."""
    watch = OrderFlowWatch(mean_s=1e9)
    for lots in range(101):
        watch.update((100, 10 + lots), (101, 10), NS_PER_S)

    assert watch.share(NS_PER_S) == pytest.approx(100 / 110)


def test_what_is_added_on_both_sides_cancels() -> None:
    watch = OrderFlowWatch()
    for lots in range(101):
        watch.update((100, 10 + lots), (101, 10 + lots), NS_PER_S)

    assert watch.share(NS_PER_S) == 0.0


def test_silence_and_gaps_return_to_neutral() -> None:
    watch = OrderFlowWatch(mean_s=10)
    assert watch.share(0) == 0.0
    for lots in range(101):
        watch.update((100, 10 + lots), (101, 10), NS_PER_S)
    watch.skip_gap()
    watch.update((200, 1_000_000), (201, 1), 2 * NS_PER_S)  # nothing to compare with
    assert watch.share(2 * NS_PER_S) == pytest.approx(90 / 100, abs=0.01)
    assert watch.share(101 * NS_PER_S) < 0.001


@given(st.lists(st.tuples(*[st.integers(0, 9)] * 4, st.integers(-5, 100)), max_size=50))
def test_share_stays_a_share(tops: list[tuple[int, int, int, int, int]]) -> None:
    watch = OrderFlowWatch()
    for bid, bid_lots, ask, ask_lots, at_s in tops:
        watch.update((bid, bid_lots), (ask, ask_lots), at_s * NS_PER_S)
        assert -1.0 <= watch.share(at_s * NS_PER_S) <= 1.0
