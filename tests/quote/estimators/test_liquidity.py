"""Depth score and liquidity regime."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Sequence

import pytest

from actors.quote.estimators.liquidity import LiquidityWatch, depth_score, next_regime, side_usd
from actors.vocab.units import NS_PER_S


@pytest.mark.parametrize(
    ("ratio", "score"), [(1.0, 0.5), (2.0, 1.0), (9.0, 1.0), (0.0, 0.0), (0.6, 0.3), (math.nan, 0.0)]
)
def test_depth_score_is_half_of_the_ratio_to_usual(ratio: float, score: float) -> None:
    assert depth_score(ratio) == pytest.approx(score)


def test_depth_in_usd() -> None:
    assert side_usd(((100, 2), (99, 3)), 0.5) == pytest.approx(248.5)


@pytest.mark.parametrize(
    ("before", "depth", "spread", "after"),
    [
        ("normal", 1.0, 1.0, "normal"),
        ("normal", 0.49, 1.0, "thin"),
        ("normal", 1.0, 2.1, "thin"),
        ("thin", 0.6, 1.0, "thin"),  # not far enough back
        ("thin", 1.0, 1.6, "thin"),
        ("thin", 0.75, 1.4, "normal"),
        ("normal", 0.6, 1.0, "normal"),
        ("normal", 2.1, 0.9, "deep"),
        ("normal", 2.1, 1.2, "normal"),
        ("deep", 1.6, 1.2, "deep"),
        ("deep", 1.4, 0.9, "normal"),
        ("deep", 0.4, 1.0, "thin"),
        ("normal", 0.04, 1.0, "broken"),
        ("deep", 1.0, 11.0, "broken"),
        ("broken", 0.09, 1.0, "broken"),  # not far enough back
        ("broken", 1.0, 7.0, "broken"),
        ("broken", 0.2, 1.0, "thin"),
        ("broken", 1.0, 1.0, "normal"),
        ("normal", math.nan, 1.0, "broken"),
        ("normal", 1.0, math.inf, "broken"),
    ],
)
def test_regime_has_hysteresis(before: str, depth: float, spread: float, after: str) -> None:
    assert next_regime(before, depth_ratio=depth, spread_ratio=spread) == after


def seconds_of(liquidity: LiquidityWatch, start_s: int, depths: Sequence[float], spread: float = 1e-4) -> list[str]:
    """Regimes after samples once a second."""
    regimes = []
    for second, depth in enumerate(depths, start=start_s):
        liquidity.note(depth_usd=depth, spread=spread, now_ns=1 + second * NS_PER_S)
        regimes.append(liquidity.regime)
    return regimes


def test_a_drained_book_is_thin_within_ten_seconds_and_stays_so_until_it_is_back() -> None:
    liquidity = LiquidityWatch()
    assert set(seconds_of(liquidity, 0, [1_000.0] * 600)) == {"normal"}

    drained = seconds_of(liquidity, 600, [100.0] * 30)
    # exp(-t / 10) * 0.9 + 0.1 < 0.5 after 8.1 s, and the usual depth has hardly moved.
    assert drained.index("thin") == 8
    assert set(drained[8:]) == {"thin"}

    filled = seconds_of(liquidity, 630, [1_000.0] * 30)
    assert 5 < filled.index("normal") < 15
    assert set(filled[15:]) == {"normal"}


def test_noise_on_fine_ticks_does_not_move_the_regime() -> None:
    """Depths of a tenth and of twice the usual one in turns at random, as the best levels of ETHUSDT show them."""
    rng, liquidity = random.Random(3), LiquidityWatch()
    regimes = seconds_of(liquidity, 0, [1_000.0 * rng.lognormvariate(0.0, 0.7) for _ in range(600)])
    assert regimes[:3] == ["normal"] * 3
    assert sum(before != after for before, after in itertools.pairwise(regimes)) <= 4


def test_a_first_sample_out_of_the_ordinary_is_soon_outvoted() -> None:
    liquidity = LiquidityWatch()
    seconds_of(liquidity, 0, [100.0, *[1_000.0] * 60])
    assert liquidity.note(depth_usd=1_000.0, spread=1e-4, now_ns=62 * NS_PER_S) == pytest.approx(1.0, abs=0.05)


def test_a_spread_of_a_tick_that_opens_below_a_basis_point_is_still_tight() -> None:
    liquidity = LiquidityWatch()
    seconds_of(liquidity, 0, [1_000.0] * 600, spread=2e-7)
    assert set(seconds_of(liquidity, 600, [1_000.0] * 30, spread=2e-5)) == {"normal"}
    assert "broken" in seconds_of(liquidity, 630, [1_000.0] * 30, spread=2e-3)


def test_a_torn_spread_is_broken_within_seconds() -> None:
    liquidity = LiquidityWatch()
    seconds_of(liquidity, 0, [1_000.0] * 600)
    assert seconds_of(liquidity, 600, [1_000.0] * 3, spread=1e-2)[-1] == "broken"


@pytest.mark.parametrize(("depth", "spread"), [(0.0, 1e-4), (1_000.0, 0.0), (1_000.0, -1e-4), (math.nan, 1e-4)])
def test_a_book_that_is_none_is_broken_and_never_usual(depth: float, spread: float) -> None:
    liquidity = LiquidityWatch()

    assert liquidity.note(depth_usd=depth, spread=spread, now_ns=1) == 0.0
    assert liquidity.regime == "broken"
    assert liquidity.note(depth_usd=1_000.0, spread=1e-4, now_ns=2) == 1.0
    assert liquidity.regime == "normal"


def test_a_lost_book_is_broken_until_the_next_good_one() -> None:
    liquidity = LiquidityWatch()
    liquidity.note(depth_usd=1_000.0, spread=1e-4, now_ns=1)
    liquidity.lost()
    assert liquidity.regime == "broken"

    liquidity.note(depth_usd=1_000.0, spread=1e-4, now_ns=2)
    assert liquidity.regime == "normal"
