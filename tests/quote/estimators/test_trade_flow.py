"""One-sided flow of takers, by time and by volume."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.quote.estimators.trade_flow import TradeFlowWatch, Vpin, bulk_vpin
from actors.vocab.market import TradeFlow
from actors.vocab.units import NS_PER_S


def test_one_sided_flow_is_toxic_once_there_is_enough_of_it() -> None:
    flow = TradeFlowWatch()
    assert flow.toxic_flow() == 0.0
    flow.note(TradeFlow(), NS_PER_S)
    assert flow.last_trade_ns == 0

    flow.note(TradeFlow(buys_count=1, buy_lots=10), NS_PER_S)
    assert flow.toxic_flow() == pytest.approx(1 / 11)
    for _ in range(29):
        flow.note(TradeFlow(buys_count=1, buy_lots=10), NS_PER_S)
    assert flow.toxic_flow() == pytest.approx(30 / 40)
    for _ in range(30):
        flow.note(TradeFlow(sells_count=1, sell_lots=10), NS_PER_S)
    assert flow.toxic_flow() == 0.0


def test_one_large_trade_among_small_ones_is_not_toxic() -> None:
    flow = TradeFlowWatch()
    for _ in range(15):
        flow.note(TradeFlow(buys_count=1, buy_lots=1, sells_count=1, sell_lots=1), NS_PER_S)
    flow.note(TradeFlow(buys_count=8, buy_lots=1_000), NS_PER_S)

    assert flow.toxic_flow() < 0.1


def test_old_flow_fades() -> None:
    """A minute later the old buys weigh 1/e: (e - 1) / (e + 1) of what flows is one-sided."""
    flow = TradeFlowWatch()
    for side in ({"buys_count": 1, "buy_lots": 10}, {"sells_count": 1, "sell_lots": 10}):
        at_ns = NS_PER_S if "buys_count" in side else 61 * NS_PER_S
        for _ in range(10_000):
            flow.note(TradeFlow(**side), at_ns)

    assert flow.toxic_flow() == pytest.approx((math.e - 1) / (math.e + 1), rel=1e-3)


def test_vpin_of_signed_trades() -> None:
    """Four buckets of 100 lots: 60/40, 20/80, 55/45, 90/10."""
    vpin = Vpin(bucket_lots=100, buckets_count=4)
    for buys, sells in ((60, 40), (20, 80), (55, 45), (90, 10)):
        vpin.note(buys, sells)

    assert vpin.value() == pytest.approx(0.425)


def test_vpin_by_bulk_classification() -> None:
    assert bulk_vpin([0.1, -0.2, 0.3, 0, -0.1]) == pytest.approx(0.475278950, rel=1e-8)
    assert bulk_vpin([]) == bulk_vpin([1.0]) == bulk_vpin([0.0, 0.0]) == 0.0


def test_vpin_says_nothing_before_its_warm_up() -> None:
    vpin = Vpin(bucket_lots=100)
    vpin.note(999, 0)
    assert (vpin.buckets_count, vpin.value()) == (9, 0.0)

    vpin.note(1, 0)
    assert (vpin.buckets_count, vpin.value()) == (10, 1.0)


@given(
    st.lists(st.tuples(st.floats(allow_infinity=True), st.floats(allow_infinity=True)), max_size=30),
    st.floats(0.01, 1e6),
)
def test_vpin_is_a_share_whatever_trades(trades: list[tuple[float, float]], bucket_lots: float) -> None:
    vpin = Vpin(bucket_lots=bucket_lots, buckets_count=5)
    for buys, sells in trades:
        vpin.note(abs(buys), abs(sells))

    assert 0.0 <= vpin.value() <= 1.0 + 1e-9


def test_volume_is_kept_over_bucket_borders() -> None:
    """70 buys of 100 go into the first bucket's rest of 50, in proportion; the rest opens the next."""
    whole, parts = Vpin(bucket_lots=50, buckets_count=3), Vpin(bucket_lots=50, buckets_count=3)
    whole.note(35, 15)
    whole.note(70, 30)
    for _ in range(10):
        parts.note(10.5, 4.5)

    assert whole.value() == pytest.approx(parts.value()) == pytest.approx(0.4)
