"""Covariance of the prices of many symbols, from mids sampled together: shrunk, and fit to be a covariance.

Unit: bps of each symbol's own price, so an entry is in bps² per second. Positions are then counted in orders, which
are of equal worth in USD: one bp on one order of any symbol is the same money (see `vocab/config/quote.py`).

Mids are sampled by the previous tick: at each sampling time the newest mid counts, however old the tick. Returns over
less than a second or so hide correlation, as one price has moved and the other not yet (Epps 1979); NaN stands where a
symbol had no good price.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

BPS_PER_ONE = 1e4


class Estimate(NamedTuple):
    """`covariance` is symmetric and positive semi-definite, in bps² per second."""

    covariance: Array
    shrinkage: float  # weight of the target, 0 to 1
    mean_correlation: float  # of the sample: the target's only correlation
    clipped_count: int  # eigenvalues that were negative


def returns_bps(prices: Array) -> Array:
    """Log returns in bps between successive rows; NaN where either price is missing, not positive or infinite."""
    logs = np.log(np.where((prices > 0) & np.isfinite(prices), prices, np.nan))
    return BPS_PER_ONE * np.diff(logs, axis=0)


def estimate(returns: Array, *, step_s: float, variance_min: float = 0.0) -> Estimate:
    """Covariance per second of returns over `step_s` each, mean taken as zero.

    `returns` is (times, symbols); NaN is left out pair by pair, and each pair must have been seen at least once.
    Variances are raised to `variance_min` (bps² per second), so that a symbol that stood still is not free of risk.
    ValueError when nothing can be estimated.
    """
    if returns.ndim != 2 or not returns.shape[1]:
        raise ValueError(f"returns must be (times, symbols), found shape {returns.shape}")
    seen = np.isfinite(returns)
    moves = np.where(seen, returns, 0.0)
    counts = seen.astype(np.float64)
    counts = counts.T @ counts
    if counts.min() < 1:
        raise ValueError("two symbols were never seen together")
    sample = moves.T @ moves / counts
    shrunk, weight, correlation = _shrink(moves, counts, sample)
    shrunk = shrunk / step_s
    raised = np.maximum(np.diagonal(shrunk), variance_min)
    shrunk = shrunk + np.diag(raised - np.diagonal(shrunk))
    covariance, clipped_count = nearest_psd(shrunk)
    return Estimate(covariance, weight, correlation, clipped_count)


def nearest_psd(symmetric: Array) -> tuple[Array, int]:
    """Set negative eigenvalues to zero: the nearest positive semi-definite matrix in the Frobenius norm (Higham 1988).

    Returns the matrix itself where nothing was negative beyond rounding, and how many eigenvalues were.
    """
    values, vectors = np.linalg.eigh(symmetric)
    rounding = max(abs(values[0]), abs(values[-1])) * len(values) * np.finfo(np.float64).eps
    negative = int(np.count_nonzero(values < -rounding))
    if not negative:
        return symmetric, 0
    clipped = (vectors * np.maximum(values, 0.0)) @ vectors.T
    return (clipped + clipped.T) / 2, negative


def _shrink(moves: Array, counts: Array, sample: Array) -> tuple[Array, float, float]:
    """Ledoit and Wolf 2004, "Honey, I shrunk the sample covariance matrix", appendix: constant-correlation target.

    Returns (shrunk, weight, mean correlation). That target suits coins, which move together. Weight = κ/T within 0 and
    1, κ = (π - ρ)/γ: variance of the sample, less what it shares with the target's, over their squared distance.
    Pairs seen less often than others count by their own number; T is the mean of these.
    """
    symbols_count = len(sample)
    variances = np.diagonal(sample).copy()
    moving = variances > 0
    if symbols_count < 2 or np.count_nonzero(moving) < 2:
        return sample, 0.0, 0.0
    deviations = np.sqrt(variances)
    divisors = np.where(moving, deviations, np.inf)  # of a symbol that stood still nothing is learnt
    apart = np.outer(moving, moving) & ~np.eye(symbols_count, dtype=bool)
    correlation = float((sample / np.outer(divisors, divisors))[apart].mean())
    ratios = deviations[None, :] / divisors[:, None]  # sqrt(s_jj / s_ii)
    target = correlation * np.outer(deviations, deviations)
    np.fill_diagonal(target, variances)

    squares = moves * moves
    spread = squares.T @ squares / counts - sample * sample  # π_ij
    third = (squares * moves).T @ moves / counts - variances[:, None] * sample  # θ_ii,ij
    shared = float(np.trace(spread)) + correlation * float((ratios * third)[apart].sum())
    distance = float(((target - sample) ** 2).sum())
    if distance <= 0:
        return sample, 0.0, correlation
    weight = (float(spread.sum()) - shared) / distance / float(counts.mean())
    weight = min(1.0, max(0.0, weight))
    return weight * target + (1 - weight) * sample, weight, correlation
