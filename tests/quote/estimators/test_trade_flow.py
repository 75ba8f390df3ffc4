"""One-sided flow of takers."""

from __future__ import annotations

import math

import pytest

from actors.quote.estimators.trade_flow import TradeFlowWatch
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
