"""The closed form of Guéant, Lehalle and Fernandez-Tapia, against tables made two independent ways."""

from __future__ import annotations

import math

import pytest

from actors.quote.models import quadratic
from actors.quote.models.quadratic import Curve, curve, distances, side

# The paper's figure parameters: tick, second.
SIGMA, A, K, GAMMA = 0.3, 0.9, 0.3, 0.01
# Avellaneda and Stoikov's market.
AS_SIGMA, AS_A, AS_K, AS_GAMMA = 2.0, 140.0, 1.5, 0.1


def equal_sides(
    *, a: float, k: float, gamma: float, xi: float | None = None, size: float = 1, impact: float = 0
) -> Curve:
    one = side(a=a, k=k, xi=gamma if xi is None else xi, size=size, impact=impact)
    return curve(one, one, gamma=gamma, size=size)


def test_constants_of_the_reference_market() -> None:
    line = equal_sides(a=A, k=K, gamma=GAMMA)

    assert line.bid_offset == line.ask_offset == pytest.approx(3.278982, abs=5e-7)
    assert line.skew(sigma=SIGMA, gamma=GAMMA) == pytest.approx(0.067866, abs=5e-7)
    assert line.bid_offset + line.skew(sigma=SIGMA, gamma=GAMMA) / 2 == pytest.approx(3.312915, abs=5e-7)


@pytest.mark.parametrize(
    ("q", "bid", "ask"),
    [
        (-20, 1.95560, 4.67023),
        (-5, 2.97359, 3.65224),
        (0, 3.31292, 3.31292),
        (1, 3.38078, 3.24505),
        (10, 3.99157, 2.63426),
    ],
)
def test_quotes_of_the_reference_market(q: float, bid: float, ask: float) -> None:
    line = equal_sides(a=A, k=K, gamma=GAMMA)

    assert distances(q, line, sigma=SIGMA, gamma=GAMMA) == pytest.approx((bid, ask), abs=5.1e-6)


def test_drift_leans_into_it() -> None:
    line = equal_sides(a=A, k=K, gamma=GAMMA)

    found = distances(3, line, sigma=SIGMA, gamma=GAMMA, drift=0.005)

    assert found == pytest.approx((3.139480, 3.486350), abs=5.1e-7)


def test_impact_widens_and_leans_more() -> None:
    line = equal_sides(a=A, k=K, gamma=GAMMA, impact=0.1)

    assert distances(3, line, sigma=SIGMA, gamma=GAMMA) == pytest.approx((3.568301, 3.158040), abs=5.1e-7)
    plain = equal_sides(a=A, k=K, gamma=GAMMA)
    assert line.c2 / plain.c2 == pytest.approx(math.exp(K * 0.1 / 4))
    assert line.bid_offset - plain.bid_offset == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("size", "c1", "c2"), [(1, 15.590451013297574, 0.9133085734604556), (2, 12.121974718, 0.744996733)]
)
def test_printed_digits_of_hftbacktest(size: float, c1: float, c2: float) -> None:
    """nkaz001/hftbacktest at 5f3ec40, examples/GLFT Market Making Model and Grid Trading (MIT)."""
    line = equal_sides(a=2.986162360812285, k=0.04235741115084049, gamma=0.05, size=size)

    assert line.bid_offset == pytest.approx(c1, rel=1e-9)
    assert line.c2 == pytest.approx(c2, rel=1e-9)
    if size == 1:
        assert line.skew(sigma=10.69, gamma=0.05) == pytest.approx(9.76326865029227, rel=1e-14)
        bid, _ = distances(0, line, sigma=10.69, gamma=0.05)
        assert bid == pytest.approx(20.47208533844371, rel=1e-14)


def test_position_reverts_as_fast_as_the_formula_says() -> None:
    """dq/dt ≈ -2k λ(h) skew q with h the half spread: 0.01357/s, a half-life of 51 s."""
    line = equal_sides(a=A, k=K, gamma=GAMMA)
    skew = line.skew(sigma=SIGMA, gamma=GAMMA)

    def flow(q: float) -> float:
        bid, ask = distances(q, line, sigma=SIGMA, gamma=GAMMA)
        return A * math.exp(-K * bid) - A * math.exp(-K * ask)

    slope = (flow(-0.01) - flow(0.01)) / 0.02
    half = line.bid_offset + skew / 2

    assert slope == pytest.approx(2 * K * A * math.exp(-K * half) * skew, rel=1e-6)
    assert slope == pytest.approx(0.01357, abs=6e-6)
    assert math.log(2) / slope == pytest.approx(51, abs=0.5)


def test_model_b_is_the_limit_of_little_aversion_in_the_fill() -> None:
    """xi → 0: c1 = 1/k and the bracket becomes e."""
    line = equal_sides(a=A, k=K, gamma=GAMMA, xi=0.0)
    near = equal_sides(a=A, k=K, gamma=GAMMA, xi=1e-7)

    assert line.bid_offset == 1 / K
    assert line.c2 == pytest.approx(math.sqrt(GAMMA * math.e / (2 * A * K)))
    assert near.bid_offset == pytest.approx(line.bid_offset, rel=1e-6)
    assert near.c2 == pytest.approx(line.c2, rel=1e-6)


@pytest.mark.parametrize(
    ("left", "skew"), [(0.5, 0.051671980), (0.1, 0.033560515), (0.02, 0.007936796), (1e9, 0.051717216)]
)
def test_skew_grows_like_tanh_with_the_time_left(left: float, skew: float) -> None:
    line = equal_sides(a=AS_A, k=AS_K, gamma=AS_GAMMA)

    assert line.skew(sigma=AS_SIGMA, gamma=AS_GAMMA, horizon=left) == pytest.approx(skew, abs=5.1e-10)
    # Avellaneda-Stoikov's straight line is its tangent at the end, and above it everywhere.
    assert skew < AS_GAMMA * AS_SIGMA**2 * left
    assert line.skew(sigma=AS_SIGMA, gamma=AS_GAMMA) == pytest.approx(0.051717216, abs=5.1e-10)


@pytest.mark.parametrize(
    ("bid_a", "ask_a", "bid_k", "drift"), [(1.1, 0.7, 0.3, 0.004), (0.9, 0.9, 0.25, 0.0), (0.5, 1.0, 0.4, -0.01)]
)
@pytest.mark.parametrize("horizon", [5.0, 60.0, 1_000.0])
def test_lean_solves_its_equation(bid_a: float, ask_a: float, bid_k: float, drift: float, horizon: float) -> None:
    """B' = -μ - s (flow_a - flow_b)... integrated step by step from B(0) = 0 meets the closed form."""
    bid, ask = side(a=bid_a, k=bid_k, xi=GAMMA), side(a=ask_a, k=K, xi=GAMMA)
    line = curve(bid, ask, gamma=GAMMA)
    steps = 20_000
    dt = horizon / steps
    lean = 0.0
    for step in range(steps):
        skew = line.skew(sigma=SIGMA, gamma=GAMMA, horizon=(step + 0.5) * dt)
        pull = skew * (ask.flow - bid.flow + (bid.curve - ask.curve) * skew / 2)
        rate = skew * (bid.curve + ask.curve)
        middle = lean - dt / 2 * (drift + pull + rate * lean)
        lean -= dt * (drift + pull + rate * middle)

    found = line.lean(sigma=SIGMA, gamma=GAMMA, drift=drift, horizon=horizon)

    assert found == pytest.approx(lean, rel=1e-5, abs=1e-9)
    forever = line.lean(sigma=SIGMA, gamma=GAMMA, drift=drift)
    assert line.lean(sigma=SIGMA, gamma=GAMMA, drift=drift, horizon=1e7) == pytest.approx(forever)


def test_shrink_of_two_markets() -> None:
    """C of the multi-asset case."""
    assert quadratic.shrink(k=0.3, xi=0.01) == pytest.approx(0.361865, abs=5e-7)
    assert quadratic.shrink(k=0.4, xi=0.01) == pytest.approx(0.363347, abs=5e-7)
    assert quadratic.shrink(k=0.4, xi=0.0) == math.exp(-1)
