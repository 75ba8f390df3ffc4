"""Integrated variance of log prices seen through noise (bid-ask bounce, ticks): formulas on a list of prices.

A plain sum of squared returns counts each bounce as movement. All functions answer with the variance over the whole
span of the list (divide by its seconds for a rate), 0 where there are too few prices, and refuse prices that are not
positive and finite with ValueError: a recording is checked before, a live price list never holds one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise


def realized_variance(prices: Sequence[float]) -> float:
    """RV: the sum of squared log returns."""
    logs = _logs(prices)
    return sum((after - before) ** 2 for before, after in pairwise(logs))


def noise_variance(prices: Sequence[float]) -> float:
    """Variance of the noise in one log price, RV / 2n: at high frequency nearly all of RV is noise."""
    returns_count = len(prices) - 1
    return realized_variance(prices) / (2 * returns_count) if returns_count > 0 else 0.0


def two_scale_variance(prices: Sequence[float], *, scale: int, adjusted: bool = True) -> float:
    """TSRV = RV_K - (n̄/n) RV with n̄ = (n - K + 1) / K; never below 0.

    RV_K averages the RV of the K grids that take every K-th price; the second term is the noise left in it.
    `adjusted` divides by 1 - n̄/n, the small-sample correction. Source: Zhang, Mykland and Aït-Sahalia 2005, eq. 55
    and 64.
    """
    if scale < 2:
        raise ValueError(f"scale must be at least 2, found {scale}")
    logs = _logs(prices)
    returns_count = len(logs) - 1
    if returns_count < scale:
        return 0.0
    slow = sum((logs[i + scale] - logs[i]) ** 2 for i in range(returns_count - scale + 1)) / scale
    fast = sum((after - before) ** 2 for before, after in pairwise(logs))
    share = (returns_count - scale + 1) / scale / returns_count
    found = slow - share * fast
    return max(0.0, found / (1 - share) if adjusted else found)


def realized_kernel(prices: Sequence[float], *, lags: int, flat_top: bool = False) -> float:
    """γ0 + 2 Σ k(x_h) γ_h over h = 1..H with Parzen weights and γ_h = Σ r_i r_{i-h}.

    x_h = h / (H + 1) as in Barndorff-Nielsen, Hansen, Lunde and Shephard 2009, which is never negative; `flat_top`
    takes (h - 1) / H of their 2008 paper, which may be in a small sample and then is 0 here.
    """
    if lags < 1:
        raise ValueError(f"lags must be at least 1, found {lags}")
    logs = _logs(prices)
    returns = [after - before for before, after in pairwise(logs)]
    total = sum(r * r for r in returns)
    for lag in range(1, min(lags, len(returns) - 1) + 1):
        weight = parzen((lag - 1) / lags if flat_top else lag / (lags + 1))
        total += 2 * weight * sum(a * b for a, b in zip(returns[lag:], returns, strict=False))
    return max(0.0, total)


def parzen(x: float) -> float:
    """1 - 6x² + 6x³ up to ½, 2(1 - x)³ up to 1, 0 beyond."""
    if x <= 0.5:
        return 1 - 6 * x * x + 6 * x**3
    return 2 * (1 - x) ** 3 if x < 1 else 0.0


def _logs(prices: Sequence[float]) -> list[float]:
    if not all(0.0 < price < math.inf for price in prices):
        raise ValueError("prices must be positive and finite")
    return [math.log(price) for price in prices]
