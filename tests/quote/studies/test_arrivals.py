"""Depths of a recording's trades and the fits on them."""

from __future__ import annotations

import numpy as np
import pytest

from actors.quote.studies.arrivals import Best, beyond_ticks, fit_side


def still(count: int, bid: float = 9_999.0, ask: float = 10_001.0) -> Best:
    return Best(np.full(count, bid), np.full(count, ask))


def test_deepest_trade_of_each_side_and_interval() -> None:
    """The fourth interval has no book; what trades at the best price itself goes beyond nothing."""
    best = still(4)
    best.bid_ticks[3] = np.nan
    below, above = beyond_ticks(
        best,
        interval=np.array([0, 0, 0, 1, 2, 3, 4, -1]),
        taker=np.array([-1, -1, 1, 1, 1, 1, 1, 1]),
        ticks=np.array([9_998.0, 9_996.0, 10_004.0, 10_001.0, 9_990.0, 10_009.0, 10_099.0, 10_099.0]),
    )

    assert below[:3] == pytest.approx([3, 0, 0])
    assert above[:3] == pytest.approx([3, 0, 0])
    assert np.isnan([below[3], above[3]]).all()


@pytest.mark.parametrize(("mid", "k_per_bp"), [(1_000_000, 0.8), (1_000, 0.2)])
def test_a_known_exponential_is_found_by_both_at_any_tick(mid: int, k_per_bp: float) -> None:
    """Ticks of a hundredth of a bp and of ten bps; 0.3 arrivals a second pass the best price."""
    rng, tick_bps = np.random.default_rng(4), 1e4 / mid
    deep = np.ceil(rng.exponential(1 / k_per_bp, 60_000) / tick_bps)
    best = still(60_000, mid - 1.0, mid + 1.0)

    found = fit_side(np.where(rng.random(60_000) < 0.15, deep, 0.0), best, interval_s=0.5)

    for fit in (found.mle, found.glm):
        assert fit is not None
        assert fit.k == pytest.approx(k_per_bp, rel=0.15)
        assert fit.rate_per_s(tick_bps) == pytest.approx(0.3, rel=0.15)


def test_a_side_that_nobody_reaches_has_no_fit() -> None:
    for values in (np.zeros(10), np.full(10, np.nan), np.zeros(0)):
        found = fit_side(values, still(len(values)), interval_s=1.0)
        assert (found.arrivals, found.mle, found.glm) == (0, None, None)


def test_depths_of_one_tick_alone_have_no_decay() -> None:
    found = fit_side(np.ones(10), still(10), interval_s=1.0)

    assert found.arrivals == 10
    assert found.mle is None
