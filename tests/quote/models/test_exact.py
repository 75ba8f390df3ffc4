"""The bounded solution, against the reference table and against the closed form."""

from __future__ import annotations

import math

import numpy as np
import pytest

from actors.quote.models import quadratic
from actors.quote.models.exact import Problem, best_certain, quotes_at, smallest_eigenvalue, stationary_quotes

REFERENCE = Problem(bound=30, gamma=0.01, sigma=0.3, k=0.3, bid_a=0.9, ask_a=0.9)
PAPER_2008 = Problem(bound=60, gamma=0.1, sigma=2.0, k=1.5, bid_a=140.0, ask_a=140.0)


@pytest.mark.parametrize(
    ("q", "bid", "ask"),
    [
        (-20, 1.95920, 4.66554),
        (-5, 2.97252, 3.65348),
        (0, 3.31305, 3.31305),
        (1, 3.38117, 3.24492),
        (10, 3.99293, 2.63280),
    ],
)
def test_reference_market_with_600_s_left_and_for_ever(q: int, bid: float, ask: float) -> None:
    for found in (quotes_at(REFERENCE, 600.0), stationary_quotes(REFERENCE)):
        assert (found.bid[q + 30], found.ask[q + 30]) == pytest.approx((bid, ask), abs=6e-6)


def test_smallest_eigenvalue() -> None:
    assert smallest_eigenvalue(REFERENCE) == pytest.approx(-0.644734, abs=5e-7)


@pytest.mark.parametrize("problem", [REFERENCE, PAPER_2008, REFERENCE._replace(bid_a=2.0, drift=0.01, impact=0.3)])
def test_smallest_eigenvalue_is_the_eigen_solvers(problem: Problem) -> None:
    to_bid, to_ask = problem.etas
    beside = np.full(2 * problem.bound, -math.sqrt(to_bid * to_ask))
    matrix = np.diag(problem.diagonal) + np.diag(beside, 1) + np.diag(beside, -1)

    assert smallest_eigenvalue(problem) == pytest.approx(np.linalg.eigvalsh(matrix)[0], rel=1e-10)


def test_nothing_is_bought_at_the_bound_and_nothing_sold_at_the_other() -> None:
    found = stationary_quotes(REFERENCE)

    assert math.isinf(found.bid[-1])
    assert math.isinf(found.ask[0])
    assert np.isfinite(found.bid[:-1]).all()
    assert np.isfinite(found.ask[1:]).all()
    assert (np.diff(found.bid[:-1]) > 0).all()  # longer: less eager to buy, at every position


def test_market_of_2008() -> None:
    found = quotes_at(PAPER_2008, 1.0)

    assert found.bid[60] == pytest.approx(0.671628, abs=5e-7)
    assert (found.bid[63], found.ask[63]) == pytest.approx((0.828496, 0.514383), abs=6e-7)
    assert best_certain(PAPER_2008, 1.0) == pytest.approx(64.1335, abs=5e-5)


def test_far_positions_are_as_right_as_near_ones() -> None:
    """Where an eigenvector's components are below 1e-60 the two ways of solving still agree."""
    left, forever = quotes_at(PAPER_2008, 3.0), stationary_quotes(PAPER_2008)

    assert left.bid[:-1] == pytest.approx(forever.bid[:-1], abs=1e-9)
    assert left.ask[1:] == pytest.approx(forever.ask[1:], abs=1e-9)


@pytest.mark.parametrize(("drift", "impact", "ask_a"), [(0.002, 0.0, 0.9), (0.0, 0.1, 0.9), (0.0, 0.0, 0.85)])
def test_closed_form_is_near(drift: float, impact: float, ask_a: float) -> None:
    exact = stationary_quotes(REFERENCE._replace(drift=drift, impact=impact, ask_a=ask_a))
    sides = (quadratic.side(a=a, k=0.3, xi=0.01, impact=impact) for a in (0.9, ask_a))
    line = quadratic.curve(*sides, gamma=0.01)

    for q in (-5, 0, 5):
        near = quadratic.distances(q, line, sigma=0.3, gamma=0.01, drift=drift)
        assert (exact.bid[q + 30], exact.ask[q + 30]) == pytest.approx(near, abs=0.006)


@pytest.mark.parametrize("horizon", [5.0, 30.0, 60.0])
def test_closed_form_with_an_end_is_near(horizon: float) -> None:
    exact = quotes_at(REFERENCE._replace(drift=0.004, ask_a=0.85), horizon)
    line = quadratic.curve(*(quadratic.side(a=a, k=0.3, xi=0.01) for a in (0.9, 0.85)), gamma=0.01)

    for q in (-5, 0, 5):
        near = quadratic.distances(q, line, sigma=0.3, gamma=0.01, drift=0.004, horizon=horizon)
        assert (exact.bid[q + 30], exact.ask[q + 30]) == pytest.approx(near, abs=0.001)


def test_certain_gain_grows_by_minus_the_eigenvalue() -> None:
    gained = best_certain(REFERENCE, 4_000.0) - best_certain(REFERENCE, 3_000.0)

    assert gained / 1_000 == pytest.approx(-smallest_eigenvalue(REFERENCE) / REFERENCE.k)
