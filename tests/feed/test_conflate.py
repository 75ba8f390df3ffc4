"""Merging keeps sums and the oldest stamps."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from actors.feed.conflate import Pending
from actors.vocab.market import NO_TRADES, Side, TradeFlow


def test_nothing_happened() -> None:
    assert Pending().trades is NO_TRADES
    assert Pending().lag_us(0) == 0


def test_trades_are_summed_and_stamps_are_those_of_the_oldest_frame() -> None:
    pending = Pending()
    pending.frame(1_000, 0)
    pending.frame(2_000_000, 500_000)
    pending.frame(9_000_000, 800_000)
    pending.trade(Side.BUY, 100, 3)
    pending.trade(Side.SELL, 98, 5)
    pending.trade(Side.BUY, 101, 1)

    assert pending.frames_count == 3
    assert pending.oldest_recv_ns == 1_000
    assert pending.event_ns == 800_000
    assert pending.lag_us(7_000) == (2_000_000 + 7_000 - 500_000) // 1_000  # of the oldest frame that has a stamp
    assert pending.trades == TradeFlow(2, 1, 4, 5, 98, 101, 101)

    pending.clear()
    assert pending.trades is NO_TRADES
    assert pending.event_ns == 800_000  # the state that it dates is still the newest


def test_lag_of_a_recording_is_no_lag() -> None:
    pending = Pending()
    pending.frame(0, 1)
    assert pending.lag_us(3_600_000_000_000) == 0


@given(st.lists(st.tuples(st.sampled_from(list(Side)), st.integers(1, 9), st.integers(1, 9))), st.integers(0, 20))
def test_two_updates_hold_together_what_one_would(trades: list[tuple[Side, int, int]], cut: int) -> None:
    pending = Pending()
    flows = []
    for part in (trades[:cut], trades[cut:]):
        for side, price, lots in part:
            pending.trade(side, price, lots)
        flows.append(pending.trades)
        pending.clear()
    assert sum(flow.buy_lots for flow in flows) == sum(lots for side, _, lots in trades if side is Side.BUY)
    assert sum(flow.sells_count for flow in flows) == sum(side is Side.SELL for side, _, _ in trades)
    assert max((flow.high_ticks for flow in flows), default=0) == max((price for _, price, _ in trades), default=0)
