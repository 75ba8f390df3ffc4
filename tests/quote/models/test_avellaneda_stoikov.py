"""Avellaneda and Stoikov 2008: the quote cases, and the paper's own simulation without a random number."""

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
    found = indifference_prices_stationary(mid=100, position=q, gamma=0.1, sigma=2, position_max=10)

    assert found == pytest.approx((bid, ask), abs=5e-10)


def paper_simulation(gamma: float, *, skewed: bool) -> tuple[float, float, float, float]:
    """Exact moments of the paper's scheme (section 3.3): profit, its deviation, deviation of the final position and
    mean spread. 200 steps, each side filled with probability A exp(-k distance) dt, price steps of 2 sqrt(dt).

    Distances depend on position and time only, so that mass and first two moments of the profit per position can be
    carried forward over the four outcomes of each step; no path is drawn.
    """
    steps, dt, sigma, k, a, q_max = 200, 0.005, 2.0, 1.5, 140.0, 60
    spreads = [total_spread(gamma=gamma, sigma=sigma, horizon=1 - step * dt, k=k) for step in range(steps)]
    mean_spread = sum(spreads) / steps
    width = 2 * q_max + 1
    mass, first, second = [0.0] * width, [0.0] * width, [0.0] * width
    mass[q_max] = 1.0
    for step in range(steps):
        new_mass, new_first, new_second = [0.0] * width, [0.0] * width, [0.0] * width
        for index in range(width):
            if mass[index] == 0.0:
                continue
            q = index - q_max
            if skewed:
                below, above = side_distances(position=q, gamma=gamma, sigma=sigma, horizon=1 - step * dt, k=k)
            else:
                below = above = mean_spread / 2
            buy = min(1.0, a * math.exp(-k * below) * dt)
            sell = min(1.0, a * math.exp(-k * above) * dt)
            for bought, sold, chance in (
                (0, 0, (1 - buy) * (1 - sell)),
                (1, 0, buy * (1 - sell)),
                (0, 1, (1 - buy) * sell),
                (1, 1, buy * sell),
            ):
                to = index + bought - sold
                if chance == 0.0 or not 0 <= to < width:
                    continue
                earned = bought * below + sold * above
                new_mass[to] += chance * mass[index]
                new_first[to] += chance * (first[index] + earned * mass[index])
                new_second[to] += chance * (second[index] + 2 * earned * first[index] + earned * earned * mass[index])
        for index in range(width):
            q = index - q_max
            new_second[index] += q * q * sigma * sigma * dt * new_mass[index]
        mass, first, second = new_mass, new_first, new_second
    profit = sum(first)
    deviation = math.sqrt(sum(second) - profit * profit)
    mean_q = sum((index - q_max) * share for index, share in enumerate(mass))
    deviation_q = math.sqrt(sum((index - q_max - mean_q) ** 2 * share for index, share in enumerate(mass)))
    return profit, deviation, deviation_q, mean_spread


@pytest.mark.parametrize(
    ("gamma", "skewed", "expected"),
    [
        (0.1, True, (64.8925, 6.5432, 2.9268, 1.4918)),
        (0.1, False, (68.2228, 13.4558, 8.3994, 1.4918)),
        (0.01, True, (68.3996, 8.9606, 5.2125, 1.3490)),
        (0.01, False, (68.6661, 13.6775, 8.7117, 1.3490)),
    ],
)
def test_formula_earns_what_the_paper_says(
    gamma: float, skewed: bool, expected: tuple[float, float, float, float]
) -> None:
    """Within rounding of the exact moments; the published 1000-path means lie within one standard error of them."""
    assert paper_simulation(gamma, skewed=skewed) == pytest.approx(expected, abs=5e-4)


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
