"""Absolute and relative price bands, alone and in an engine."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.quote.bands import Band, PriceBands
from actors.vocab.config import QuoteSettings
from actors.vocab.market import Side
from actors.vocab.reasons import Reason
from actors.vocab.units import NS_PER_S
from tests.quote import stage
from tests.quote.stage import BTC, MS, SYMBOL, T0, book


def test_no_band_is_the_default() -> None:
    bands = PriceBands(QuoteSettings())
    bands.use(BTC)

    assert bands.at(600_000.0, T0) == Band(0.0, math.inf)


def test_absolute_prices_become_ticks() -> None:
    bands = PriceBands(QuoteSettings(price_bands={SYMBOL: (50_000.0, 70_000.0), "ETHUSDT": (1.0, 2.0)}))
    bands.use(BTC)

    assert bands.at(600_000.0, T0) == pytest.approx(Band(500_000.0, 700_000.0))


def test_relative_band_follows_with_its_half_life() -> None:
    """Mean 600 000 ticks; the price jumps by 1 % and stays: half of it after one half-life, within a few per mille."""
    bands = PriceBands(QuoteSettings(band_bps=50.0, band_half_life_s=100.0))
    bands.use(BTC)

    assert bands.at(600_000.0, T0) == pytest.approx(Band(597_000.0, 603_000.0))
    for second in range(1, 101):
        low, high = bands.at(606_000.0, T0 + second * NS_PER_S)

    assert (low + high) / 2 == pytest.approx(603_000.0, rel=1e-4)
    assert high / low == pytest.approx(1.005 / 0.995)


def test_a_long_silence_counts_as_a_new_beginning() -> None:
    bands = PriceBands(QuoteSettings(band_bps=50.0, band_half_life_s=1.0))
    bands.use(BTC)
    bands.at(600_000.0, T0)

    assert bands.at(500_000.0, T0 + 60 * NS_PER_S) == pytest.approx(Band(497_500.0, 502_500.0))


def test_the_narrower_band_holds() -> None:
    bands = PriceBands(QuoteSettings(band_bps=50.0, price_bands={SYMBOL: (59_900.0, 70_000.0)}))
    bands.use(BTC)

    assert bands.at(600_000.0, T0) == pytest.approx(Band(599_000.0, 603_000.0))


def test_a_side_outside_the_band_is_not_quoted_and_says_so() -> None:
    fleet = stage.settings(price_bands={SYMBOL: (50_000.0, 60_000.0)})
    quoter = stage.engine(fleet=fleet)

    placed = stage.by_side(stage.ready(quoter, first=book(1, T0)))

    assert [side for side, _, _ in placed] == [Side.BUY]
    code, text = quoter.reasons()[Side.SELL]
    assert code is Reason.PRICE_BAND
    assert "500000 to 600000 ticks" in text


def test_live_orders_outside_a_band_that_moved_are_withdrawn() -> None:
    """The book jumps by 2 %, faster than the mean follows: bids stop at the band's edge, asks leave."""
    quoter = stage.quoting(fleet=stage.settings(band_bps=100.0, refresh_interval_ms=1))

    later = T0 + 10 * MS
    stage.answer(quoter, quoter.handle(book(2, later, 611_995, 612_005), later), later)

    assert quoter.reasons()[Side.SELL][0] is Reason.PRICE_BAND
    assert [order.side for order in quoter.own.by_ref.values()] == [Side.BUY]
    assert all(order.price_ticks <= 606_001 for order in quoter.own.by_ref.values())


@given(
    fair=st.floats(100, 1e7),
    reference=st.floats(100, 1e7),
    band_bps=st.floats(0.1, 5_000),
    low=st.floats(1, 1e6),
    width=st.floats(1e-3, 1e6),
)
def test_band_is_inside_both(fair: float, reference: float, band_bps: float, low: float, width: float) -> None:
    bands = PriceBands(QuoteSettings(band_bps=band_bps, price_bands={SYMBOL: (low, low + width)}))
    bands.use(BTC)
    bands.at(reference, T0)
    found = bands.at(fair, T0 + NS_PER_S)

    assert found.low_ticks >= low / BTC.tick_float * (1 - 1e-9)
    assert found.high_ticks <= (low + width) / BTC.tick_float * (1 + 1e-9)
    assert found.high_ticks <= max(fair, reference) * (1 + band_bps * 1e-4) * (1 + 1e-9)


@pytest.mark.parametrize("band", [(0.0, 1.0), (2.0, 1.0), (-1.0, 1.0), (1.0, 1.0)])
def test_impossible_bands_are_refused_by_name(band: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="price_bands of BTCUSDT"):
        QuoteSettings(price_bands={SYMBOL: band})
