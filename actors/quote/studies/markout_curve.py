"""Markouts of many fills: weighted means with errors that know that fills overlap."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from actors.vocab.units import BPS

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Mean(NamedTuple):
    value: float  # NaN where nothing was observed
    error: float  # one standard error; NaN for fewer than two blocks
    fills: int


NOTHING = Mean(float("nan"), float("nan"), 0)


def markouts_bps(side: Ints, price: Floats, mid: Floats) -> Floats:
    """side (mid - price) / price in bps, `side` the maker's; NaN where the mid is."""
    return side * (mid - price) / price / BPS


def block_mean(values: Floats, weights: Floats, block: Ints) -> Mean:
    """Weighted mean; its error from the sums of whole blocks, since fills a moment apart share most of their markout.

    `block` numbers the block of each value; blocks should be some horizons long. NaN values are left out. The error
    is that of a ratio of block sums: sqrt(Σ_b (Σ w (x - mean))²) / Σ w, with B / (B - 1).
    """
    good = np.isfinite(values) & np.isfinite(weights) & (weights > 0)
    if not good.any():
        return NOTHING
    values, weights, block = values[good], weights[good], block[good]
    total = weights.sum()
    mean = float((weights * values).sum() / total)
    _, index = np.unique(block, return_inverse=True)
    sums = np.bincount(index, weights=weights * (values - mean))
    count = len(sums)
    error = float(np.sqrt((sums**2).sum() * count / (count - 1)) / total) if count > 1 else float("nan")
    return Mean(mean, error, int(good.sum()))
