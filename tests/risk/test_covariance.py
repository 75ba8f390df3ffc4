"""Sampling, shrinkage against the paper's sums written out, and what makes a covariance unfit."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.risk.covariance import Array, estimate, nearest_psd, returns_bps

RNG_SEED = 20_261_127


def correlated(times: int, deviations: tuple[float, ...], correlation: float) -> Array:
    symbols = len(deviations)
    rng = np.random.default_rng(RNG_SEED)
    common = rng.standard_normal((times, 1))
    own = rng.standard_normal((times, symbols))
    return (math.sqrt(correlation) * common + math.sqrt(1 - correlation) * own) * np.array(deviations)


def ledoit_wolf_by_the_book(returns: Array) -> tuple[Array, float]:
    """The appendix of the 2004 paper, sum by sum, with a mean of zero."""
    times, symbols = returns.shape
    s = [[sum(y[i] * y[j] for y in returns) / times for j in range(symbols)] for i in range(symbols)]
    pairs = [(i, j) for i in range(symbols) for j in range(symbols) if i != j]
    r = sum(s[i][j] / math.sqrt(s[i][i] * s[j][j]) for i, j in pairs) / len(pairs)
    f = [[s[i][i] if i == j else r * math.sqrt(s[i][i] * s[j][j]) for j in range(symbols)] for i in range(symbols)]

    def theta(i: int, j: int) -> float:
        """θ_ii,ij"""
        return float(sum((y[i] ** 2 - s[i][i]) * (y[i] * y[j] - s[i][j]) for y in returns) / times)

    everywhere = [*pairs, *((i, i) for i in range(symbols))]
    pi = {(i, j): sum((y[i] * y[j] - s[i][j]) ** 2 for y in returns) / times for i, j in everywhere}
    rho = sum(pi[i, i] for i in range(symbols)) + sum(
        r / 2 * (math.sqrt(s[j][j] / s[i][i]) * theta(i, j) + math.sqrt(s[i][i] / s[j][j]) * theta(j, i))
        for i, j in pairs
    )
    gamma = sum((f[i][j] - s[i][j]) ** 2 for i, j in pairs)
    weight = max(0.0, min(1.0, (sum(pi.values()) - rho) / gamma / times))
    return weight * np.array(f) + (1 - weight) * np.array(s), weight


@pytest.mark.parametrize(("times", "correlation"), [(8, 0.6), (30, 0.6), (30, 0.1), (200, 0.8)])
def test_shrinkage_is_the_papers(times: int, correlation: float) -> None:
    returns = correlated(times, (1.0, 2.0, 0.5, 3.0), correlation)

    found = estimate(returns, step_s=1.0)

    expected, weight = ledoit_wolf_by_the_book(returns)
    assert found.shrinkage == pytest.approx(weight, abs=1e-12)
    assert found.covariance == pytest.approx(expected, rel=1e-12)


def test_shrinkage_comes_nearer_to_the_truth_than_the_sample() -> None:
    deviations = np.linspace(0.5, 3.0, 40)
    truth = np.outer(deviations, deviations) * (0.5 + 0.5 * np.eye(40))
    returns = correlated(60, tuple(deviations), 0.5)

    found = estimate(returns, step_s=1.0)

    sample = returns.T @ returns / 60
    assert 0 < found.shrinkage <= 1
    assert np.linalg.norm(found.covariance - truth) < 0.7 * np.linalg.norm(sample - truth)
    assert found.mean_correlation == pytest.approx(0.5, abs=0.1)


def test_the_unit_is_bps_squared_per_second() -> None:
    """1 bp up and down every 2 s is a variance of ½ bps² per second."""
    prices = np.array([[100.0 * math.exp((n % 2) * 1e-4)] for n in range(9)])

    assert estimate(returns_bps(prices), step_s=2.0).covariance == pytest.approx(np.array([[0.5]]))


def test_a_symbol_that_stood_still_has_the_least_variance() -> None:
    returns = correlated(50, (1.0, 2.0, 1.0), 0.5)
    returns[:, 1] = 0.0

    covariance = estimate(returns, step_s=1.0, variance_min=0.25).covariance

    assert covariance[1, 1] == pytest.approx(0.25)
    assert covariance[1, 0] == covariance[1, 2] == 0.0


def test_missing_prices_are_left_out_pair_by_pair() -> None:
    """The first symbol is missing for the second half: what is seen of the others stays as it is."""
    returns = correlated(400, (1.0, 2.0), 0.6)
    holed = returns.copy()
    holed[200:, 0] = np.nan

    sample = estimate(holed, step_s=1.0).covariance

    assert sample[1, 1] == pytest.approx(float((returns[:, 1] ** 2).mean()))
    assert sample[0, 0] == pytest.approx(float((returns[:200, 0] ** 2).mean()))
    assert sample[0, 1] == pytest.approx(float((returns[:200, 0] * returns[:200, 1]).mean()), rel=1e-9)


@pytest.mark.parametrize("price", [0.0, -1.0, math.nan])
def test_a_price_that_is_none_leaves_a_hole(price: float) -> None:
    found = returns_bps(np.array([[100.0], [price], [101.0], [102.0]]))

    assert np.isnan(found[:2, 0]).all()
    assert found[2, 0] == pytest.approx(1e4 * math.log(102 / 101))


@pytest.mark.parametrize(
    "returns", [np.empty((3, 0)), np.array([[1.0, np.nan], [np.nan, 1.0]]), np.full((4, 2), np.nan)]
)
def test_nothing_seen_is_an_error(returns: Array) -> None:
    with pytest.raises(ValueError, match=r"seen together|must be"):
        estimate(returns, step_s=1.0)


def test_negative_eigenvalues_are_clipped() -> None:
    impossible = np.array([[1.0, 0.9, -0.9], [0.9, 1.0, 0.9], [-0.9, 0.9, 1.0]])

    mended, clipped_count = nearest_psd(impossible)

    assert clipped_count == 1
    assert np.linalg.eigvalsh(mended)[0] == pytest.approx(0.0, abs=1e-12)
    possible = np.array([[1.0, 1.0], [1.0, 1.0]])
    assert nearest_psd(possible) == (pytest.approx(possible), 0)


@given(
    st.integers(1, 6).flatmap(
        lambda symbols: st.lists(
            st.lists(st.one_of(st.just(math.nan), st.floats(-50, 50)), min_size=symbols, max_size=symbols),
            min_size=2,
            max_size=8,
        )
    )
)
@settings(max_examples=80)
def test_whatever_was_seen_the_result_is_a_covariance(rows: list[list[float]]) -> None:
    rows.append([1.0] * len(rows[0]))  # each pair seen once

    found = estimate(np.array(rows), step_s=1.0, variance_min=0.01)

    assert np.isfinite(found.covariance).all()
    assert (found.covariance == found.covariance.T).all()
    values = np.linalg.eigvalsh(found.covariance)
    assert values[0] >= -1e-9 * max(1.0, values[-1])
    assert 0.0 <= found.shrinkage <= 1.0
