"""How much of what the mid does next, or did meanwhile, a signal explains."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Line(NamedTuple):
    """y = slope x + constant by least squares."""

    slope: float
    r2: float
    t: float  # slope over its error, Newey-West over `lags`: overlapping horizons repeat themselves
    pairs: int


NOTHING = Line(float("nan"), float("nan"), float("nan"), 0)


def line(x: Floats, y: Floats, *, lags: int = 0) -> Line:
    """NOTHING for fewer than three pairs or an x that stands. Pairs with NaN are left out.

    The error of the slope allows for residuals that are alike over `lags` samples (Newey and West 1987, Bartlett
    weights).
    """
    good = np.isfinite(x) & np.isfinite(y)
    x, y = x[good], y[good]
    if len(x) < 3 or float(np.ptp(x)) <= 0.0:
        return NOTHING
    dx, dy = x - x.mean(), y - y.mean()
    spread = float((dx * dx).sum())
    slope = float((dx * dy).sum()) / spread
    residual = dy - slope * dx
    total = float((dy * dy).sum())
    moments = dx * residual
    variance = float((moments * moments).sum())
    for lag in range(1, min(lags, len(x) - 1) + 1):
        variance += 2 * (1 - lag / (lags + 1)) * float((moments[lag:] * moments[:-lag]).sum())
    error = float(np.sqrt(max(variance, 0.0))) / spread
    r2 = 1.0 - float((residual * residual).sum()) / total if total > 0 else 0.0
    return Line(slope, r2, slope / error if error > 0 else float("nan"), len(x))


def means_by_quantile(x: Floats, y: Floats, count: int) -> tuple[Floats, Floats]:
    """Mean of x and of y in `count` groups of equal size by x; fewer where x has few values."""
    good = np.isfinite(x) & np.isfinite(y)
    x, y = x[good], y[good]
    if not len(x):
        return np.zeros(0), np.zeros(0)
    edges = np.unique(np.quantile(x, np.linspace(0, 1, count + 1)))
    group = np.clip(np.searchsorted(edges, x, side="right") - 1, 0, max(0, len(edges) - 2))
    sizes = np.bincount(group)
    kept = sizes > 0
    return np.bincount(group, weights=x)[kept] / sizes[kept], np.bincount(group, weights=y)[kept] / sizes[kept]


def rms_error(estimate: Floats, truth: Floats) -> float:
    """Root of the mean square of the difference; NaN where nothing can be compared."""
    difference = estimate - truth
    difference = difference[np.isfinite(difference)]
    return float(np.sqrt((difference**2).mean())) if len(difference) else float("nan")
