"""Depth of a book against its usual depth, and the liquidity regime.

- depth: USD on the thinner side of the published levels; its mean of some seconds against that of some minutes. On fine
  ticks those levels reach less than a basis point and single samples are noise;
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
# What "now" means. On BTC and ETH of 2024-08-08 single samples change the regime 17 to 20 times a minute, this mean at
# most 0.4 times; a book that loses nine tenths of its depth at once is thin eight seconds later.
FAST_MEAN_S = 10.0
# Spreads below a basis point are all tight: fees are whole ones, and a book of 0.002 bps that opens to 0.2 for a moment
# is not torn by the hundredfold.
SPREAD_TIGHT = 1e-4

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
    """Fast and slow means of depth and spread, and the regime; fed about once a second.

    Warm-up: until a mean's time has passed it is the plain mean of all since the start, so that the first sample is
    usual by definition and soon outvoted. Stale: `lost` says that there is no book. Neutral: score 0.5, normal.
    """

    __slots__ = ("_began_ns", "_depth", "_depth_usual", "_spread", "_spread_usual", "_updated_ns", "regime")

    def __init__(self) -> None:
        self._depth = self._depth_usual = self._spread = self._spread_usual = 0.0
        self._began_ns = self._updated_ns = 0
        self.regime = "normal"

    def note(self, *, depth_usd: float, spread: float, now_ns: int) -> float:
        """Take a sample of a good book; returns depth now over usual depth. One without depth or spread is broken."""
        if not (0.0 < depth_usd < math.inf and 0.0 < spread < math.inf):
            self.regime = "broken"
            return 0.0
        spread = max(spread, SPREAD_TIGHT)
        if self._updated_ns == 0:
            self._began_ns = now_ns
            self._depth = self._depth_usual = depth_usd
            self._spread = self._spread_usual = spread
        else:
            fast, slow = self._gain(FAST_MEAN_S, now_ns), self._gain(SLOW_MEAN_S, now_ns)
            self._depth += fast * (depth_usd - self._depth)
            self._depth_usual += slow * (depth_usd - self._depth_usual)
            self._spread += fast * (spread - self._spread)
            self._spread_usual += slow * (spread - self._spread_usual)
        self._updated_ns = now_ns
        depth_ratio = self._depth / self._depth_usual
        self.regime = next_regime(self.regime, depth_ratio=depth_ratio, spread_ratio=self._spread / self._spread_usual)
        return depth_ratio

    def _gain(self, mean_s: float, now_ns: int) -> float:
        """Weight of a new sample: of an exponential mean, and before `mean_s` have passed of a plain one."""
        span_ns, since_ns = now_ns - self._updated_ns, now_ns - self._began_ns
        return max(1.0 - math.exp(-span_ns / (mean_s * NS_PER_S)), span_ns / (since_ns + NS_PER_S))

    def lost(self) -> None:
        """There is no book to look at; the next good one says which regime it is."""
        self.regime = "broken"
