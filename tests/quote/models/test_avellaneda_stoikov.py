"""Avellaneda and Stoikov 2008: the quote cases. The paper's simulation is in tests/quote/studies."""

from __future__ import annotations

import math

import pytest

from actors.quote.models.avellaneda_stoikov import (
    avellaneda_stoikov,
    indifference_prices,
    indifference_prices_stationary,
    reservation_price,
    side_distances,
    total_spread,
)
from actors.quote.models.catalogue import estimates_of, make_model
from actors.quote.models.protocol import Intensity, NoPrice, Price, State
from actors.vocab.config import QuoteSettings

# s, q, gamma, sigma, T-t, k -> r, spread, bid, ask
CASES = [
    (100, 0, 0.1, 2, 1, 1.5, 100, 1.690770423, 99.154614789, 100.845385211),
    (100, 5, 0.1, 2, 1, 1.5, 98, 1.690770423, 97.154614789, 98.845385211),
    (100, -3, 0.1, 2, 0.5, 1.5, 100.6, 1.490770423, 99.854614789, 101.345385211),
    (100, 1, 1, 2, 1, 1.5, 96, 5.021651248, 93.489174376, 98.510825624),  # the ask lies below the mid
    (60000, 0.4, 0.002, 15, 60, 0.05, 59989.2, 66.220713153, 59956.089643, 60022.310357),
]


@pytest.mark.parametrize(("s", "q", "gamma", "sigma", "horizon", "k", "r", "spread", "bid", "ask"), CASES)
def test_quote_cases(
    s: float,
    q: float,
    gamma: float,
    sigma: float,
    horizon: float,
    k: float,
    r: float,
    spread: float,
    bid: float,
    ask: float,
) -> None:
    found = avellaneda_stoikov(mid=s, position=q, gamma=gamma, sigma=sigma, horizon=horizon, k=k)
    below, above = side_distances(position=q, gamma=gamma, sigma=sigma, horizon=horizon, k=k)

    assert reservation_price(mid=s, position=q, gamma=gamma, sigma=sigma, horizon=horizon) == pytest.approx(r)
    assert total_spread(gamma=gamma, sigma=sigma, horizon=horizon, k=k) == pytest.approx(spread, abs=5e-10)
    assert found == pytest.approx((bid, ask), abs=5e-7)
    assert (s - below, s + above) == pytest.approx(found, abs=1e-9)


def test_frozen_position_prices_are_centred_on_the_reservation_price() -> None:
    bid, ask = indifference_prices(mid=100, position=5, gamma=0.1, sigma=2, horizon=1)

    assert (bid + ask) / 2 == pytest.approx(98)
    assert ask - bid == pytest.approx(0.4)


@pytest.mark.parametrize(("q", "ask", "bid"), [(0, 100.082304991, 99.917011972), (5, 99.015599272, 98.783030650)])
def test_stationary_prices(q: float, ask: float, bid: float) -> None:
    found = indifference_prices_stationary(mid=100, position=q, gamma=0.1, position_max=10)

    assert found == pytest.approx((bid, ask), abs=5e-10)


def test_bounded_model_stops_at_the_bound_and_leans_on_both_sides_of_it() -> None:
    """Indifference prices as above, each quote (1/γ) ln(1+γ/k) outside of them."""
    settings = QuoteSettings(horizon="infinite", gamma=0.1, intensity_k_bps=1.5, order_usd=100, position_usd_max=1_000)
    model, estimates = make_model(settings), estimates_of(settings)
    base = 10 * math.log(1 + 0.1 / 1.5)

    flat = model.price(State(0.0, 0.0, 1.0), estimates)
    long = model.price(State(5.0, 0.5, 9.0), estimates)
    full = model.price(State(10.0, 1.0, 1.0), estimates)

    assert isinstance(flat, Price)
    assert isinstance(long, Price)
    assert isinstance(full, Price)
    assert flat.centre_bps + flat.spread_bps / 2 == pytest.approx(0.082304991 + base, abs=5e-9)
    assert long.centre_bps + long.spread_bps / 2 == pytest.approx(-0.984400728 + base, abs=5e-9)
    assert long.centre_bps - long.spread_bps / 2 == pytest.approx(-1.216969350 - base, abs=5e-9)
    assert (full.bid, full.ask) == (False, True)
    assert full.centre_bps + full.spread_bps / 2 == pytest.approx(10 * math.log(2 / 21) + base)


def test_model_speaks_bps_and_orders() -> None:
    """gamma 0.1 per bp and order, 1 bp per root second, 30 s: one order of position moves the centre by 3 bps."""
    settings = QuoteSettings(gamma=0.1, horizon_s=30, intensity_k_bps=0.7)
    model = make_model(settings)

    price = model.price(State(1.0, 0.125, 1.0), estimates_of(settings))

    assert price == pytest.approx(Price(-3.0, 3.0 + 20 * math.log(1 + 0.1 / 0.7), 3.0))
    assert model.price(State(-2.0, -0.25, 1.0), estimates_of(settings))[0] == pytest.approx(6.0)
    assert model.respects_fees


def test_a_side_whose_fills_thin_out_faster_is_quoted_nearer() -> None:
    settings = QuoteSettings(gamma=0.1, horizon_s=30, intensity_k_bps=0.7)
    estimates = estimates_of(settings)._replace(ask=Intensity(0.5, 1.4))

    price = make_model(settings).price(State(0.0, 0.0, 1.0), estimates)

    assert not isinstance(price, NoPrice)
    assert price.centre_bps - price.spread_bps / 2 == pytest.approx(-1.5 - 10 * math.log(1 + 0.1 / 0.7))
    assert price.centre_bps + price.spread_bps / 2 == pytest.approx(1.5 + 10 * math.log(1 + 0.1 / 1.4))


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf])
def test_an_intensity_that_is_none_gives_no_price_but_a_reason(bad: float) -> None:
    settings = QuoteSettings()

    said = make_model(settings).price(State(0.0, 0.0, 1.0), estimates_of(settings)._replace(bid=Intensity(0.5, bad)))

    assert isinstance(said, NoPrice)
    assert "bid intensity" in said.text
