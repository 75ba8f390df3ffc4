"""Γ against the reference case of the paper's formulas, the full HJB equation, and GLFT for one symbol."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.risk import joint_skew
from actors.risk.joint_skew import (
    Array,
    fill_capture,
    fill_curve,
    quote_distances,
    risk_free_half_spread,
    skew_after_fill,
    skews,
    widths,
)

# Two symbols: σ = (.3, .2) per √s, ρ = .6, A = (.9, .6) per s, k = (.3, .4), γ = .01, order size 1.
GAMMA = 0.01
SIGMA = np.array([0.3, 0.2])
COVARIANCE = np.outer(SIGMA, SIGMA) * np.array([[1.0, 0.6], [0.6, 1.0]])
A = np.array([0.9, 0.6])
K = np.array([0.3, 0.4])
ONE = np.ones(2)


def skew_matrix(
    covariance: Array,
    *,
    gamma: float,
    xi: float,
    a_per_s: Array,
    k: Array,
    size: Array,
    horizon_s: float = math.inf,
) -> Array:
    """By the paper's own letters."""
    curve = fill_curve(xi=xi, a_per_s=a_per_s, k=k, size=size)
    return joint_skew.skew_matrix(covariance, gamma=gamma, curve=curve, horizon_s=horizon_s)


def matrix(horizon_s: float = math.inf) -> Array:
    return skew_matrix(COVARIANCE, gamma=GAMMA, xi=GAMMA, a_per_s=A, k=K, size=ONE, horizon_s=horizon_s)


def test_gamma_of_the_reference_case() -> None:
    capture = fill_capture(xi=GAMMA, k=K, size=ONE)

    assert capture == pytest.approx(np.array([0.361865, 0.363347]), abs=5e-7)
    curve = fill_curve(xi=GAMMA, a_per_s=A, k=K, size=ONE)
    assert curve == pytest.approx(np.array([0.195407, 0.174407]), abs=5e-7)
    expected = np.array([[0.658196041, 0.175068415], [0.175068415, 0.441599117]])
    assert matrix() / math.sqrt(GAMMA) == pytest.approx(expected, abs=5e-10)


# q -> bid distances, ask distances.
QUOTES = [
    ((0, 0), (3.311892, 2.491341), (3.311892, 2.491341)),
    ((3, 0), (3.509351, 2.543862), (3.114433, 2.438821)),
    ((3, -3), (3.456830, 2.411382), (3.166954, 2.571300)),
]
# The same by the HJB equation on a grid of |q| ≤ 20, 400 s before its end. Stationary, its first row is (3.312075,
# 2.491527) on this grid and (3.312015, 2.491414) on one twice as wide: the bound is felt, and the end too.
HJB = {
    (0, 0): ((3.312049, 2.491400), (3.312049, 2.491400)),
    (3, 0): ((3.510458, 2.544125), (3.113646, 2.438678)),
    (3, -3): ((3.457817, 2.411224), (3.166326, 2.571662)),
}
# The closed form is a quadratic approximation of the equation; near flat it is this good, in price units.
APPROXIMATION_ERROR = 0.0012


@pytest.mark.parametrize(("position", "bids", "asks"), QUOTES)
def test_quotes_of_the_reference_case(
    position: tuple[int, int], bids: tuple[float, float], asks: tuple[float, float]
) -> None:
    bid, ask = quote_distances(matrix(), np.array(position, dtype=float), xi=GAMMA, k=K, size=ONE)

    assert bid == pytest.approx(np.array(bids), abs=1e-6)
    assert ask == pytest.approx(np.array(asks), abs=1e-6)
    assert bid == pytest.approx(np.array(HJB[position][0]), abs=APPROXIMATION_ERROR)
    assert ask == pytest.approx(np.array(HJB[position][1]), abs=APPROXIMATION_ERROR)


def hjb_values(position_max: int, seconds: float, step_s: float) -> Array:
    """θ(q) on the grid |q_i| ≤ position_max, marched from the end by Runge and Kutta's fourth order.

    θ' = -½ γ q'Σq + Σ_i [h_i(θ(q) - θ(q + e_i)) + h_i(θ(q) - θ(q - e_i))], h_i(p) = A_i C_i / k_i exp(-k_i p): the
    equation that the closed form approximates, at γ = ξ and order size 1.
    """
    q = np.arange(-position_max, position_max + 1, dtype=float)
    q1, q2 = np.meshgrid(q, q, indexing="ij")
    risk = GAMMA / 2 * (COVARIANCE[0, 0] * q1**2 + 2 * COVARIANCE[0, 1] * q1 * q2 + COVARIANCE[1, 1] * q2**2)
    gain = A * fill_capture(xi=GAMMA, k=K, size=ONE) / K

    def slope(theta: Array) -> Array:
        change = -risk
        for axis in range(2):
            step = np.exp(K[axis] * np.diff(theta, axis=axis))  # of a buy; of the sale back it is the inverse
            pad_up = [(0, 0), (0, 0)]
            pad_down = [(0, 0), (0, 0)]
            pad_up[axis], pad_down[axis] = (0, 1), (1, 0)
            change = change + gain[axis] * (np.pad(step, pad_up) + np.pad(1 / step, pad_down))
        return change

    theta = np.zeros_like(q1)
    for _ in range(round(seconds / step_s)):
        k1 = slope(theta)
        k2 = slope(theta + step_s / 2 * k1)
        k3 = slope(theta + step_s / 2 * k2)
        theta = theta + step_s / 6 * (k1 + 2 * k2 + 2 * k3 + slope(theta + step_s * k3))
        theta -= theta[position_max, position_max]
    return theta


def test_the_hjb_equation_solved_here_gives_the_documented_numbers() -> None:
    theta = hjb_values(20, seconds=400, step_s=0.5)
    base = risk_free_half_spread(xi=GAMMA, k=K, size=ONE)

    for (q1, q2), (bids, asks) in HJB.items():
        here = theta[20 + q1, 20 + q2]
        bid = base + here - np.array([theta[21 + q1, 20 + q2], theta[20 + q1, 21 + q2]])
        ask = base + here - np.array([theta[19 + q1, 20 + q2], theta[20 + q1, 19 + q2]])
        assert bid == pytest.approx(np.array(bids), abs=2e-6)
        assert ask == pytest.approx(np.array(asks), abs=2e-6)


@pytest.mark.parametrize(
    ("horizon_s", "first", "between", "second"),
    [
        (50.0, 0.0387498, 0.0149654, 0.0181255),
        (200.0, 0.0645133, 0.0193672, 0.0395524),
        (math.inf, 0.0658196, 0.0175068, 0.0441599),
    ],
)
def test_finite_horizon(horizon_s: float, first: float, between: float, second: float) -> None:
    assert matrix(horizon_s) == pytest.approx(np.array([[first, between], [between, second]]), abs=5e-8)


def test_a_short_horizon_is_avellaneda_and_stoikovs() -> None:
    assert matrix(1e-3) / 1e-3 == pytest.approx(GAMMA * COVARIANCE, rel=1e-6)


def test_one_symbol_is_glft() -> None:
    """The GLFT paper's figure market: skew 0.067866, half spread 3.312915; tanh skew on the 2008 market."""
    one = np.ones(1)
    alone = skew_matrix(np.array([[0.09]]), gamma=GAMMA, xi=GAMMA, a_per_s=0.9 * one, k=0.3 * one, size=one)

    assert alone[0, 0] == pytest.approx(0.067866, abs=5e-7)
    base = risk_free_half_spread(xi=GAMMA, k=0.3 * one, size=one)
    assert base[0] == pytest.approx(3.278982, abs=5e-7)
    assert (base + widths(alone, size=one))[0] == pytest.approx(3.312915, abs=5e-7)

    for horizon_s, expected in ((math.inf, 0.051717216), (0.5, 0.051671980), (0.1, 0.033560515), (0.02, 0.007936796)):
        as2008 = skew_matrix(
            np.array([[4.0]]), gamma=0.1, xi=0.1, a_per_s=140 * one, k=1.5 * one, size=one, horizon_s=horizon_s
        )
        assert as2008[0, 0] == pytest.approx(expected, abs=5e-10)


def test_a_running_penalty_in_place_of_utility_has_the_limit_of_small_xi() -> None:
    none = skew_matrix(COVARIANCE, gamma=GAMMA, xi=0.0, a_per_s=A, k=K, size=ONE)
    little = skew_matrix(COVARIANCE, gamma=GAMMA, xi=1e-7, a_per_s=A, k=K, size=ONE)

    assert little == pytest.approx(none, rel=1e-6)
    assert fill_capture(xi=0.0, k=K, size=ONE) == pytest.approx(np.full(2, math.exp(-1)))
    assert risk_free_half_spread(xi=0.0, k=K, size=ONE) == pytest.approx(1 / K)


def test_symbols_that_do_not_move_together_are_glft_each() -> None:
    apart = skew_matrix(np.diag(np.diagonal(COVARIANCE)), gamma=GAMMA, xi=GAMMA, a_per_s=A, k=K, size=ONE)

    for no in range(2):
        alone = skew_matrix(
            COVARIANCE[no : no + 1, no : no + 1],
            gamma=GAMMA,
            xi=GAMMA,
            a_per_s=A[no : no + 1],
            k=K[no : no + 1],
            size=ONE[:1],
        )
        assert apart[no, no] == pytest.approx(alone[0, 0])
    assert apart[0, 1] == pytest.approx(0.0, abs=1e-15)


def test_orders_of_two_lots_may_be_counted_as_one() -> None:
    """q in orders, γ z and Σ: the same skew. It fixes what z means, lots in one order."""
    lots = np.array([2.0, 2.0])
    in_lots = skew_matrix(COVARIANCE, gamma=GAMMA, xi=GAMMA, a_per_s=A, k=K, size=lots)
    in_orders = skew_matrix(COVARIANCE, gamma=2 * GAMMA, xi=2 * GAMMA, a_per_s=A, k=K, size=ONE)

    assert skews(in_lots, np.array([4.0, -6.0])) == pytest.approx(skews(in_orders, np.array([2.0, -3.0])))
    assert widths(in_lots, size=lots) == pytest.approx(widths(in_orders, size=ONE))


def test_two_venues_of_one_coin_share_its_risk() -> None:
    """A singular covariance: what is held at one venue shifts the other's quotes just as far."""
    same = np.full((2, 2), 0.09)
    shared = skew_matrix(same, gamma=GAMMA, xi=GAMMA, a_per_s=np.full(2, 0.9), k=np.full(2, 0.3), size=ONE)

    assert np.isfinite(shared).all()
    assert skews(shared, np.array([3.0, -3.0])) == pytest.approx(np.zeros(2), abs=1e-12)
    bought = skews(shared, np.array([3.0, 0.0]))
    assert bought[0] == pytest.approx(bought[1])
    assert bought[0] > 0


@pytest.mark.parametrize(
    "changes",
    [
        {"gamma": 0.0},
        {"gamma": math.nan},
        {"horizon_s": 0.0},
        {"curve": np.array([0.0, 1.0])},
        {"curve": np.array([math.nan, 1.0])},
        {"curve": np.ones(3)},
        {"covariance": np.array([[1.0, math.nan], [math.nan, 1.0]])},
        {"covariance": np.ones((2, 3))},
    ],
)
def test_parameters_outside_their_domain_are_errors(changes: dict[str, object]) -> None:
    terms: dict[str, object] = {"covariance": COVARIANCE, "gamma": GAMMA, "curve": np.ones(2)} | changes
    covariance = terms.pop("covariance")

    with pytest.raises(ValueError, match="must be"):
        joint_skew.skew_matrix(covariance, **terms)  # type: ignore[arg-type]


@given(
    st.lists(st.floats(-4, 4), min_size=9, max_size=9),
    st.lists(st.tuples(st.integers(0, 2), st.integers(-3, 3)), max_size=30),
)
@settings(max_examples=60)
def test_fills_one_by_one_are_the_whole_book_at_once(entries: list[float], fills: list[tuple[int, int]]) -> None:
    root = np.array(entries).reshape(3, 3)
    shares = skew_matrix(
        root @ root.T, gamma=0.1, xi=0.1, a_per_s=np.ones(3), k=np.array([0.3, 0.7, 1.5]), size=np.ones(3)
    )
    positions = np.zeros(3)
    skew = skews(shares, positions)

    for symbol_no, change in fills:
        positions[symbol_no] += change
        skew = skew_after_fill(skew, shares, symbol_no=symbol_no, change=change)

    assert skew == pytest.approx(skews(shares, positions), abs=1e-9)
    assert float(positions @ skew) >= -1e-9  # on balance the skew works against the position
