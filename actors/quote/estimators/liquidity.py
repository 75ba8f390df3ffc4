"""Depth of a book against its usual depth, and the liquidity regime.

- depth: USD on the thinner side of the published levels, against its own slow mean;
- depth score: half of that ratio, at most 1: 0.5 is usual, below 0.3 less than 60 % of the usual depth is there;
- regime: broken, thin, normal or deep, from depth and spread ratios, with hysteresis so that it does not flicker
  between two opinions. Broken is a book that is hardly one: a twentieth of its depth, ten times its spread, or no
  ratio at all (one side missing).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from actors.vocab.market import Level
from actors.vocab.units import NS_PER_S

SLOW_MEAN_S = 600.0  # what "usual" means for depth and spread

# Enter and leave on different ratios of now to usual.
EMPTY_BELOW, EMPTY_UNTIL = 0.05, 0.1  # depth
TORN_ABOVE, TORN_UNTIL = 10.0, 6.0  # spread
THIN_BELOW, THIN_UNTIL = 0.5, 0.7  # depth
WIDE_ABOVE, WIDE_UNTIL = 2.0, 1.5  # spread
DEEP_ABOVE, DEEP_UNTIL = 2.0, 1.5  # depth


def side_usd(levels: Sequence[Level], usd_per_tick_lot: float) -> float:
    return sum(ticks * lots for ticks, lots in levels) * usd_per_tick_lot


def depth_score(ratio: float) -> float:
    """Depth against its usual value as a score in [0, 1]; 0.5 is usual."""
    return max(0.0, min(1.0, ratio / 2)) if math.isfinite(ratio) else 0.0


def next_regime(regime: str, *, depth_ratio: float, spread_ratio: float) -> str:
    """The old regime stays until its leaving threshold is passed; ratios that are no numbers are a broken book."""
    if not (math.isfinite(depth_ratio) and math.isfinite(spread_ratio)):
        return "broken"
    broken_now = depth_ratio < EMPTY_BELOW or spread_ratio > TORN_ABOVE
    if broken_now or (regime == "broken" and (depth_ratio < EMPTY_UNTIL or spread_ratio > TORN_UNTIL)):
        return "broken"
    thin_now = depth_ratio < THIN_BELOW or spread_ratio > WIDE_ABOVE
    if thin_now or (regime == "thin" and (depth_ratio < THIN_UNTIL or spread_ratio > WIDE_UNTIL)):
        return "thin"
    deep_now = depth_ratio > DEEP_ABOVE and spread_ratio <= 1.0
    if deep_now or (regime == "deep" and depth_ratio > DEEP_UNTIL):
        return "deep"
    return "normal"


class LiquidityWatch:
    """Slow means of depth and spread and the regime; fed a few times a minute.

    Warm-up: none, the first sample is usual by definition, and a symbol whose feed begins in a bad moment finds out
    within `SLOW_MEAN_S`. Stale: `lost` says that there is no book. Neutral: score 0.5, normal.
    """

    __slots__ = ("_depth_mean", "_spread_mean", "_updated_ns", "regime")

    def __init__(self) -> None:
        self._depth_mean = self._spread_mean = 0.0
        self._updated_ns = 0
        self.regime = "normal"

    def note(self, *, depth_usd: float, spread: float, now_ns: int) -> float:
        """Take a sample of a good book; returns its depth ratio. One without depth or spread is broken."""
        if not (0.0 < depth_usd < math.inf and 0.0 < spread < math.inf):
            self.regime = "broken"
            return 0.0
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

    def lost(self) -> None:
        """There is no book to look at; the next good one says which regime it is."""
        self.regime = "broken"
