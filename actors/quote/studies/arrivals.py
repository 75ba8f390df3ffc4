"""Arrival intensity of a recording, counted as `estimators/intensity.py` says: the deepest trade of each interval."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from actors.quote.estimators.intensity import Fit, fit_glm, geometric_decay
from actors.vocab.units import BPS

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LEVELS_COUNT = 40
# The curve is fitted where quotes may stand: up to the depth that one arrival in twenty passes.
DEPTH_QUANTILE = 0.95


class Best(NamedTuple):
    """Best prices at the start of each interval, in ticks; NaN where there was no good book."""

    bid_ticks: Floats
    ask_ticks: Floats


class SideFit(NamedTuple):
    levels_bps: Floats
    rates_per_s: Floats  # measured: intervals whose deepest trade lies beyond the level, a second
    arrivals: int  # intervals whose deepest trade lies beyond the best price
    mle: Fit | None
    glm: Fit | None


def beyond_ticks(best: Best, interval: Ints, taker: Ints, ticks: Floats) -> tuple[Floats, Floats]:
    """Ticks that the deepest trade of each interval went beyond our best bid, and beyond our best ask.

    0 where none did, NaN where the best price is not known. Of each trade: its interval, the taker's side, the price.
    """
    count = len(best.bid_ticks)
    inside = (interval >= 0) & (interval < count)
    lowest, highest = np.full(count, np.inf), np.full(count, -np.inf)
    sold, bought = inside & (taker < 0), inside & (taker > 0)
    np.minimum.at(lowest, interval[sold], ticks[sold])
    np.maximum.at(highest, interval[bought], ticks[bought])
    known = np.isfinite(best.bid_ticks) & np.isfinite(best.ask_ticks)
    with np.errstate(invalid="ignore"):
        below, above = best.bid_ticks - lowest, highest - best.ask_ticks
    return np.where(known, np.maximum(below, 0.0), np.nan), np.where(known, np.maximum(above, 0.0), np.nan)


def fit_side(beyond: Floats, best: Best, interval_s: float) -> SideFit:
    """Both estimators on one side of `beyond_ticks`, distances in bps from the mid."""
    known = np.isfinite(beyond)
    steps, half = beyond[known], (best.ask_ticks[known] - best.bid_ticks[known]) / 2
    mids = (best.ask_ticks[known] + best.bid_ticks[known]) / 2
    seconds, reached = len(steps) * interval_s, steps > 0
    arrivals = int(reached.sum())
    if not arrivals:
        empty = np.zeros(0)
        return SideFit(empty, empty, 0, None, None)
    tick_bps = float(np.mean(1.0 / mids)) / BPS
    half_bps = float(np.mean(half)) * tick_bps
    deep = np.sort(steps[reached])
    # Whole ticks, few or many: between two of them nothing can trade.
    last = max(2.0, float(np.quantile(deep, DEPTH_QUANTILE)))
    grid = np.unique(np.rint(np.linspace(0.0, last, LEVELS_COUNT)))
    counts = arrivals - np.searchsorted(deep, grid, side="right")
    levels = half_bps + grid * tick_bps
    k = geometric_decay(arrivals=arrivals, steps_sum=float(steps.sum())) / tick_bps
    mle = Fit(arrivals / seconds * float(np.exp(min(700.0, k * half_bps))), k) if np.isfinite(k) else None
    return SideFit(levels, counts / seconds, arrivals, mle, fit_glm([*levels.tolist()], [*counts.tolist()], seconds))
