"""Depth of a book against its usual depth, and the liquidity regime.

- depth: USD on the thinner side of the published levels, against its own slow mean;
- depth score: half of that ratio, at most 1: 0.5 is usual, below 0.3 less than 60 % of the usual depth is there;
- regime: from depth and spread ratios, with hysteresis so that it does not flicker between two opinions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from actors.vocab.market import Level
from actors.vocab.units import NS_PER_S

SLOW_MEAN_S = 600.0  # what "usual" means for depth and spread

# Enter and leave on different ratios of now to usual.
THIN_BELOW, THIN_UNTIL = 0.5, 0.7  # depth
WIDE_ABOVE, WIDE_UNTIL = 2.0, 1.5  # spread
DEEP_ABOVE, DEEP_UNTIL = 2.0, 1.5  # depth


def side_usd(levels: Sequence[Level], usd_per_tick_lot: float) -> float:
    return sum(ticks * lots for ticks, lots in levels) * usd_per_tick_lot


def depth_score(ratio: float) -> float:
    """Depth against its usual value as a score in [0, 1]; 0.5 is usual."""
    return max(0.0, min(1.0, ratio / 2)) if math.isfinite(ratio) else 0.0


def next_regime(regime: str, *, depth_ratio: float, spread_ratio: float) -> str:
    """normal, thin or deep; the old regime stays until its leaving threshold is passed."""
    thin_now = depth_ratio < THIN_BELOW or spread_ratio > WIDE_ABOVE
    if thin_now or (regime == "thin" and (depth_ratio < THIN_UNTIL or spread_ratio > WIDE_UNTIL)):
        return "thin"
    deep_now = depth_ratio > DEEP_ABOVE and spread_ratio <= 1.0
    if deep_now or (regime == "deep" and depth_ratio > DEEP_UNTIL):
        return "deep"
    return "normal"


class LiquidityWatch:
    """Slow means of depth and spread and the regime; fed a few times a minute."""

    __slots__ = ("_depth_mean", "_spread_mean", "_updated_ns", "regime")

    def __init__(self) -> None:
        self._depth_mean = self._spread_mean = 0.0
        self._updated_ns = 0
        self.regime = "normal"

    def note(self, *, depth_usd: float, spread: float, now_ns: int) -> float:
        """Take a sample of a good book; returns its depth ratio. The first sample is "usual" by definition."""
        if self._updated_ns == 0:
            self._depth_mean, self._spread_mean = depth_usd, spread
        depth_ratio = depth_usd / self._depth_mean if self._depth_mean > 0 else 1.0
        spread_ratio = spread / self._spread_mean if self._spread_mean > 0 else 1.0
        self.regime = next_regime(self.regime, depth_ratio=depth_ratio, spread_ratio=spread_ratio)
        if self._updated_ns:
            gain = 1.0 - math.exp((self._updated_ns - now_ns) / (SLOW_MEAN_S * NS_PER_S))
            self._depth_mean += gain * (depth_usd - self._depth_mean)
            self._spread_mean += gain * (spread - self._spread_mean)
        self._updated_ns = now_ns
        return depth_ratio
