"""The engine's estimators together: off by default, inside their bounds when asked for, told to the models."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pydantic import ValidationError

from actors.quote.estimators.microprice import fair_table
from actors.quote.events import InstrumentRow, Timer
from actors.quote.inputs import SignalWatch
from actors.quote.models.catalogue import estimates_of
from actors.vocab.config import QuoteSettings
from actors.vocab.market import BookState, Kline, Side, TradeFlow, WarmUp
from actors.vocab.units import NS_PER_S
from tests.quote.stage import BTC, MS, SYMBOL, T0, VENUE, book, engine, settings

EVERYTHING: dict[str, Any] = {
    "intensity": "live",
    "adverse": "live",
    "toxic_widening_bps": 2.0,
    "thin_widening_bps": 1.0,
    "wild_widening_bps": 1.5,
    "flow_drift_bps_per_s": 0.1,
    "volatility_estimator": "two_scale",
}
CANDLES = tuple(
    Kline(i * 60_000, i * 60_000 + 59_999, 600_000, 600_240, 599_760, 600_000, 6_000, 60) for i in range(30)
)


def quoted(**quote: Any) -> QuoteSettings:
    return settings(**quote).quote


def test_by_default_nothing_but_the_settings_is_told() -> None:
    """Trades, fills, a thin and wild market: the models hear what was set."""
    watch, base = SignalWatch(quoted()), estimates_of(quoted())
    for second in range(1, 120):
        now_ns = T0 + second * NS_PER_S
        watch.on_trades(TradeFlow(buys_count=5, buy_lots=50, high_ticks=600_900), now_ns)
        watch.on_top((600_000 + second * 50, 1), (600_010 + second * 50, 9), now_ns, now_ns)
        watch.on_fill(Side.SELL, 600_000.0, now_ns)

        assert watch.refresh(BTC, [(600_000, 1)], [(600_010, 9)], base, now_ns) is base


def test_live_intensity_begins_with_the_candles_and_follows_the_trades() -> None:
    watch = SignalWatch(quoted(intensity="live"))
    watch.warm_up(CANDLES)
    told = watch.refresh(BTC, [(600_000, 1)], [(600_010, 1)], estimates_of(quoted()), T0)
    # A minute ranges 8 bps, so a second reaches 4 / sqrt(60) of a bp a side.
    assert told.bid == told.ask == pytest.approx(((1 - math.exp(-0.5)) / 2, math.sqrt(60) / 4), rel=1e-3)

    for second in range(1, 600):
        now_ns = T0 + second * NS_PER_S
        watch.on_trades(TradeFlow(buys_count=1, buy_lots=1, high_ticks=600_010 + 120), now_ns)
        watch.on_top((600_000, 1), (600_010, 1), now_ns, now_ns)
    told = watch.refresh(BTC, [(600_000, 1)], [(600_010, 1)], told, T0 + 600 * NS_PER_S)

    assert told.ask.k_per_bp == pytest.approx(0.5, rel=0.1)  # each second somebody buys 2 bps beyond the best ask
    assert told.ask.a_per_s > 0.9
    assert told.bid.a_per_s < 0.05


def test_small_changes_are_no_news() -> None:
    """Models work their constants out anew for each new object."""
    watch = SignalWatch(quoted(intensity="live"))
    told = [estimates_of(quoted())]
    for second in range(1, 300):
        now_ns = T0 + second * NS_PER_S
        watch.on_top((600_000, 1), (600_010, 1), now_ns, now_ns)
        told.append(watch.refresh(BTC, [(600_000, 1)], [(600_010, 1)], told[-1], now_ns))

    changes = sum(after is not before for before, after in itertools.pairwise(told))
    assert 20 < changes < 200


def test_losing_fills_widen_and_one_sided_takers_too() -> None:
    watch = SignalWatch(quoted(adverse="live", toxic_widening_bps=2.0))
    base = estimates_of(quoted())
    for fill in range(100):
        now_ns = T0 + fill * 10 * NS_PER_S
        watch.on_fill(Side.BUY, 600_000.0, now_ns)
        watch.settle(600_000.0 - 180, now_ns + 5 * NS_PER_S)  # 3 bps lower
    told = watch.refresh(BTC, [(600_000, 1)], [(600_010, 1)], base, T0 + 1_000 * NS_PER_S)
    assert 2.0 < told.adverse_bps < 3.0

    for _ in range(100):
        watch.on_trades(TradeFlow(buys_count=1, buy_lots=10), T0 + 1_001 * NS_PER_S)
    wider = watch.refresh(BTC, [(600_000, 1)], [(600_010, 1)], told, T0 + 1_001 * NS_PER_S)
    assert wider.adverse_bps == pytest.approx(told.adverse_bps + 2.0 * 100 / 110, abs=0.02)


def test_a_thin_book_widens_and_a_deep_one_again_not() -> None:
    watch, told = SignalWatch(quoted(thin_widening_bps=1.0)), estimates_of(quoted())
    seen = []
    for second, lots in enumerate([1_000] * 60 + [100] * 20 + [1_000] * 20, start=1):
        told = watch.refresh(BTC, [(600_000, lots)], [(600_010, lots)], told, T0 + second * NS_PER_S)
        seen.append(told.adverse_bps)

    assert [width for width, _ in itertools.groupby(seen)] == [0.5, 1.5, 0.5]


def test_all_widenings_together_have_a_bound() -> None:
    watch = SignalWatch(quoted(**EVERYTHING | {"thin_widening_bps": 90.0, "adverse_bps_max": 4.0}))
    watch.skip_gap()
    told = estimates_of(quoted())
    for second, lots in enumerate([1_000] * 60 + [1] * 20, start=1):
        told = watch.refresh(BTC, [(600_000, lots)], [(600_010, lots)], told, T0 + second * NS_PER_S)

    assert told.adverse_bps == 4.0


def test_vpin_counts_in_buckets_of_an_average_minute() -> None:
    watch = SignalWatch(quoted(toxic_widening_bps=1.0))
    watch.on_trades(TradeFlow(buys_count=1, buy_lots=10), T0)
    watch.warm_up(CANDLES)  # 6 000 lots a minute
    assert watch.vpin is not None
    watch.on_trades(TradeFlow(buys_count=9, buy_lots=59_999), T0)
    assert watch.vpin.value() == 0.0
    watch.on_trades(TradeFlow(sells_count=1, sell_lots=1), T0)

    assert watch.vpin.value() == pytest.approx(1.0, abs=0.001)
    assert watch.toxic_flow() == watch.vpin.value()


@hypothesis_settings(max_examples=30)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 3),
            st.integers(1, 700_000),
            st.integers(1, 30),
            st.integers(0, 10**6),
            st.integers(0, 10**6),
            st.integers(0, 40),
        ),
        max_size=30,
    )
)
def test_no_market_makes_an_estimate_that_is_no_number(steps: list[tuple[int, int, int, int, int, int]]) -> None:
    watch, now_ns = SignalWatch(quoted(**EVERYTHING)), T0
    told = estimates_of(quoted())
    for kind, bid, spread, bid_lots, ask_lots, wait_s in steps:
        now_ns += wait_s * NS_PER_S
        if kind == 0:
            watch.skip_gap()
        elif kind == 1:
            watch.on_trades(TradeFlow(1, 1, bid_lots, ask_lots, bid, bid + spread), now_ns)
        elif kind == 2:
            watch.on_fill(Side.BUY, bid, now_ns)
            watch.settle(bid + spread, now_ns)
        else:
            watch.on_top((bid, bid_lots), (bid + spread, ask_lots), now_ns, now_ns)
            told = watch.refresh(BTC, [(bid, bid_lots)], [(bid + spread, ask_lots)], told, now_ns)
        numbers = [value for value in watch.figures(told, now_ns).values() if isinstance(value, float)]
        assert all(map(math.isfinite, numbers))
        assert told.bid.usable
        assert told.ask.usable
        assert 0.0 <= told.adverse_bps <= 20.0
        assert abs(told.drift_bps_per_s) <= 0.1


# --- in the engine ---------------------------------------------------------------------------------------------------


def test_the_engine_quotes_by_what_it_measured() -> None:
    quoter = engine(fleet=settings(**EVERYTHING))
    quoter.handle(WarmUp(VENUE, SYMBOL, CANDLES), T0)
    quoter.handle(InstrumentRow(BTC), T0)
    quoter.handle(book(1, T0), T0)
    quoter.handle(Timer(), T0 + 100 * MS)

    assert quoter.estimates.bid.k_per_bp == pytest.approx(math.sqrt(60) / 4, rel=1e-3)
    shown = quoter.status(T0 + 100 * MS)["signals"]
    assert shown["bid_k_per_bp"] == quoter.estimates.bid.k_per_bp
    assert shown["liquidity_regime"] == "normal"


def test_a_bad_book_is_broken_liquidity_and_no_sample() -> None:
    quoter = engine(fleet=settings(**EVERYTHING))
    quoter.handle(book(1, T0), T0)
    quoter.handle(book(2, T0 + MS, state=BookState.SYNCING, bids=(), asks=()), T0 + MS)
    quoter.handle(Timer(), T0 + 2 * MS)

    assert quoter.status(T0 + 2 * MS)["signals"]["liquidity_regime"] == "broken"


# --- fair value by table ---------------------------------------------------------------------------------------------

TABLE = {"tick_size": "0.1", "ticks": [[-2.0, 2.0]]}


def test_a_table_is_used_for_its_symbol_and_tick_alone() -> None:
    assert fair_table(quoted(), BTC) is None
    assert fair_table(quoted(fair_value="table", microprice_tables={"ETHUSDT": TABLE}), BTC) is None
    other_tick = {**TABLE, "tick_size": "0.01"}
    assert fair_table(quoted(fair_value="table", microprice_tables={SYMBOL: other_tick}), BTC) is None

    found = fair_table(quoted(fair_value="table", microprice_tables={SYMBOL: {**TABLE, "tick_size": "0.10"}}), BTC)
    assert found is not None
    assert found.fair_ticks(100, 1, 110, 9) == 103


@pytest.mark.parametrize(
    "bad",
    [
        {"fair_value": "table"},
        {"microprice_tables": {SYMBOL: {**TABLE, "ticks": []}}},
        {"microprice_tables": {SYMBOL: {**TABLE, "ticks": [[1.0], [1.0, 2.0]]}}},
        {"microprice_tables": {SYMBOL: {**TABLE, "ticks": [[]]}}},
        {"microprice_tables": {SYMBOL: {**TABLE, "ticks": [[math.nan]]}}},
        {"microprice_tables": {SYMBOL: {**TABLE, "tick_size": "x"}}},
        {"intensity_k_bps_min": 3.0, "intensity_k_bps_max": 2.0},
        {"adverse_horizon_s": 7},
    ],
)
def test_settings_that_cannot_be_meant_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        quoted(**bad)
