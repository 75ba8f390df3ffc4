"""Is the volatility of now calm, normal or wild for this symbol?"""

from __future__ import annotations

import math

from actors.vocab.units import NS_PER_S

SLOW_MEAN_S = 1_800.0  # what "usual" means
WARM_S = 60.0

# Enter and leave on different ratios of now to usual.
WILD_ABOVE, WILD_UNTIL = 2.0, 1.5
CALM_BELOW, CALM_UNTIL = 0.5, 0.7


def next_regime(regime: str, ratio: float) -> str:
    """calm, normal or wild; the old regime stays until its leaving threshold is passed. No number changes nothing."""
    if not math.isfinite(ratio):
        return regime
    if ratio > WILD_ABOVE or (regime == "wild" and ratio > WILD_UNTIL):
        return "wild"
    if ratio < CALM_BELOW or (regime == "calm" and ratio < CALM_UNTIL):
        return "calm"
    return "normal"


class VolatilityRegime:
    """Volatility against its own slow mean of squares; fed about once a second with any unit.

    Warm-up: `WARM_S` of samples. Stale: keeps its last word; a gap is no sample. Neutral: normal, ratio 1.
    """

    __slots__ = ("_mean_square", "_updated_ns", "_watched_s", "ratio", "regime")

    def __init__(self) -> None:
        self._mean_square = 0.0
        self._watched_s = 0.0
        self._updated_ns = 0
        self.ratio = 1.0
        self.regime = "normal"

    def note(self, volatility: float, now_ns: int) -> str:
        """Take a sample, return the regime. A volatility that is not positive and finite changes nothing."""
        if not 0.0 < volatility < math.inf:
            return self.regime
        square = volatility * volatility
        gap_s = (now_ns - self._updated_ns) / NS_PER_S if self._updated_ns else 0.0
        if not self._mean_square:
            self._mean_square = square
        elif gap_s > 0.0:
            # Until the slow mean has seen its time, it is the plain mean of what it has seen.
            self._watched_s += min(gap_s, WARM_S)
            gain = -math.expm1(-gap_s / min(SLOW_MEAN_S, max(self._watched_s, gap_s)))
            self._mean_square += gain * (square - self._mean_square)
        self._updated_ns = max(now_ns, self._updated_ns)
        if self._watched_s >= WARM_S:
            self.ratio = volatility / math.sqrt(self._mean_square)
            self.regime = next_regime(self.regime, self.ratio)
        return self.regime
