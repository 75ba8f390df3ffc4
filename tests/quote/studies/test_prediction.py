"""Least squares with honest errors, and groups by quantile."""

from __future__ import annotations

import math

import numpy as np
import pytest

from actors.quote.studies.prediction import line, means_by_quantile, rms_error


def test_a_line_through_points() -> None:
    """Worked by hand: x 0..3, y 0, 1, 1, 2: slope 0.6, R² 0.9."""
    found = line(np.arange(4.0), np.array([0.0, 1.0, 1.0, 2.0]))

    assert found.slope == pytest.approx(0.6)
    assert found.r2 == pytest.approx(0.9)
    assert found.pairs == 4


def test_repeated_samples_do_not_count_as_new_ones() -> None:
    """Each pair ten times over: without lags the slope looks three times as sure."""
    rng = np.random.default_rng(3)
    x, noise = rng.normal(size=400), rng.normal(size=400)
    y = 0.2 * x + noise
    once, repeated = line(x, y), line(np.repeat(x, 10), np.repeat(y, 10))
    honest = line(np.repeat(x, 10), np.repeat(y, 10), lags=30)

    assert repeated.t == pytest.approx(once.t * math.sqrt(10), rel=0.05)
    assert honest.t == pytest.approx(once.t, rel=0.3)


@pytest.mark.parametrize(
    ("x", "y"), [([1.0, 2.0], [1.0, 2.0]), ([1.0] * 9, list(range(9))), ([math.nan] * 9, [1.0] * 9)]
)
def test_what_gives_no_line(x: list[float], y: list[float]) -> None:
    found = line(np.array(x), np.array(y, dtype=float))

    assert math.isnan(found.slope)
    assert found.pairs == 0


def test_groups_of_equal_size() -> None:
    x = np.arange(100.0)
    means_x, means_y = means_by_quantile(x, 2 * x, 4)

    assert means_y == pytest.approx(2 * means_x)
    assert len(means_x) == 4
    assert means_by_quantile(np.array([math.nan]), np.array([1.0]), 4)[0].size == 0
    assert len(means_by_quantile(np.ones(9), x[:9], 4)[0]) == 1


def test_error_leaves_out_what_is_not_known() -> None:
    assert rms_error(np.array([1.0, 4.0, math.nan]), np.array([1.0, 1.0, 1.0])) == pytest.approx(math.sqrt(4.5))
    assert math.isnan(rms_error(np.zeros(0), np.zeros(0)))
