"""Two-scale variance and realized kernels: a worked case, and noise that must not count."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.quote.estimators.noise_robust import (
    noise_variance,
    parzen,
    realized_kernel,
    realized_variance,
    two_scale_variance,
)

PRICES = [100, 100.02, 100.01, 100.04, 100.02, 100.05, 100.03, 100.06, 100.04, 100.07, 100.05, 100.08, 100.09]


def test_the_worked_case() -> None:
    assert realized_variance(PRICES) == pytest.approx(6.694234349e-7, rel=1e-9)
    assert noise_variance(PRICES) == pytest.approx(6.694234349e-7 / 24, rel=1e-9)
    assert two_scale_variance(PRICES, scale=3, adjusted=False) == pytest.approx(1.038055621e-7, rel=1e-9)
    assert two_scale_variance(PRICES, scale=3) == pytest.approx(1.437307784e-7, rel=1e-9)
    assert realized_kernel(PRICES, lags=4) == pytest.approx(2.304185792e-7, rel=1e-9)
    assert realized_kernel(PRICES, lags=4, flat_top=True) == pytest.approx(2.716199176e-7, rel=1e-9)


@pytest.mark.parametrize(("x", "weight"), [(0, 1), (0.5, 0.25), (0.75, 0.03125), (1, 0), (2, 0)])
def test_parzen_weights(x: float, weight: float) -> None:
    assert parzen(x) == pytest.approx(weight)


def test_noise_hardly_counts() -> None:
    """A walk of known variance behind noise as large as five steps: plain RV is off by fifty times."""
    rng = random.Random(3)
    level, prices = 0.0, []
    for _ in range(20_000):
        level += rng.gauss(0, 1e-5)
        prices.append(math.exp(level + rng.gauss(0, 5e-5)))
    truth = 19_999 * 1e-10

    assert realized_variance(prices) > 40 * truth
    assert two_scale_variance(prices, scale=200) == pytest.approx(truth, rel=0.15)
    assert realized_kernel(prices, lags=300) == pytest.approx(truth, rel=0.25)


@pytest.mark.parametrize("prices", [[], [100.0], [100.0, 101.0]])
def test_too_few_prices_are_no_variance(prices: list[float]) -> None:
    assert two_scale_variance(prices, scale=3) == 0.0
    assert realized_variance(prices[:1]) == noise_variance(prices[:1]) == realized_kernel(prices[:1], lags=4) == 0.0


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf])
def test_prices_that_are_none_are_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="positive and finite"):
        realized_variance([100.0, bad])


@given(st.lists(st.floats(1, 1e6), max_size=40), st.integers(2, 6))
def test_variances_are_never_negative(prices: list[float], scale: int) -> None:
    for found in (
        two_scale_variance(prices, scale=scale),
        realized_kernel(prices, lags=scale),
        realized_kernel(prices, lags=scale, flat_top=True),
    ):
        assert 0.0 <= found < math.inf
