"""Markouts of many fills and their errors."""

from __future__ import annotations

import math

import numpy as np
import pytest

from actors.quote.studies.markout_curve import block_mean, markouts_bps


def test_markouts_of_a_buy_and_a_sell() -> None:
    found = markouts_bps(np.array([1, 1, 1, -1]), np.full(4, 99.98), np.array([100, 99.99, 99.95, 100]))

    assert found == pytest.approx([2.0004, 1.0002, -3.0006, -2.0004], abs=5e-5)


def test_mean_is_weighted_and_leaves_out_what_is_unknown() -> None:
    found = block_mean(np.array([1.0, 4.0, math.nan, 9.0]), np.array([3.0, 1.0, 5.0, 0.0]), np.arange(4))

    assert found.value == pytest.approx(7 / 4)
    assert found.fills == 2


def test_error_counts_blocks_and_not_fills() -> None:
    """The same hundred values, once as a hundred blocks and once as four of 25 alike: five times the error."""
    values = np.repeat([1.0, -1.0, 1.0, -1.0], 25)
    alone = block_mean(values, np.ones(100), np.arange(100))
    together = block_mean(values, np.ones(100), np.repeat(np.arange(4), 25))

    assert alone.error == pytest.approx(np.std(values, ddof=1) / 10)
    assert together.error == pytest.approx(np.std([1, -1, 1, -1], ddof=1) / 2)


def test_nothing_observed_is_no_mean() -> None:
    for found in (
        block_mean(np.array([]), np.array([]), np.array([], dtype=int)),
        block_mean(np.array([math.nan]), np.array([1.0]), np.array([0])),
    ):
        assert math.isnan(found.value)
        assert found.fills == 0
    assert math.isnan(block_mean(np.array([1.0]), np.array([1.0]), np.array([0])).error)
