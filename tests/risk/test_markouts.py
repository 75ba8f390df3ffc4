from __future__ import annotations

import pytest

from actors.risk.markouts import PENDING_MAX, Markouts
from actors.vocab.market import Side
from actors.vocab.units import NS_PER_S

KEY = ("v", "S")


def test_each_horizon_sees_its_own_mid_signed_for_us() -> None:
    markouts = Markouts()
    markouts.add(KEY, Side.BUY, 20_000, 100.0, 0)

    markouts.settle({KEY: 20_002}, 1 * NS_PER_S)
    markouts.settle({KEY: 19_990}, 5 * NS_PER_S)

    assert markouts.mean_bps(1) == pytest.approx(1.0)
    assert markouts.mean_bps(5) == pytest.approx(-5.0)
    assert markouts.mean_bps(30) is None


def test_means_are_weighted_and_kept_by_side() -> None:
    markouts = Markouts()
    markouts.add(KEY, Side.BUY, 20_000, 300.0, 0)
    markouts.add(KEY, Side.SELL, 20_000, 100.0, 0)
    markouts.settle({KEY: 20_002}, 1 * NS_PER_S)

    sums = markouts.sums[KEY]

    assert sums.mean_bps(1, Side.BUY) == pytest.approx(1.0)
    assert sums.mean_bps(1, Side.SELL) == pytest.approx(-1.0)
    assert sums.mean_bps(1) == pytest.approx(0.5)


def test_a_full_queue_drops_the_oldest_and_counts_it() -> None:
    markouts = Markouts()
    for _ in range(PENDING_MAX + 1):
        markouts.add(KEY, Side.BUY, 20_000, 1.0, 0)

    assert markouts.dropped_count == 3  # one a horizon


def test_a_fill_without_a_mid_has_no_markout() -> None:
    markouts = Markouts()
    markouts.add(KEY, Side.BUY, 0, 1.0, 0)
    markouts.settle({KEY: 20_000}, 60 * NS_PER_S)

    assert markouts.mean_bps(1) is None


def test_a_new_tick_moves_no_markout() -> None:
    markouts = Markouts()
    markouts.add(KEY, Side.BUY, 20_000, 100.0, 0)
    markouts.use_tick(KEY, 10.0)
    markouts.settle({KEY: 200_020}, 1 * NS_PER_S)

    assert markouts.mean_bps(1) == pytest.approx(1.0)
