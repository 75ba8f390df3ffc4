"""How good a run was, in the numbers that traders compare: ratios of equity, drawdown, inventory, markouts.

All are pure functions of evenly spaced samples or of fills. None says more than its sampling: a Sharpe ratio from one
day of ten-second samples is not a yearly one, so the interval is reported beside it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from actors.risk.markouts import HORIZONS_S, FillTrace

DAY_S = 86_400.0
DAYS_PER_YEAR = 365.0  # crypto has no holidays
# Of the best sizes, seen from our side of the fill: below, most of the queue stood against us.
LEAN = 1 / 3
BUCKETS = ("book against us", "book even", "book with us")


def sharpe(equity_usd: Sequence[float], *, interval_s: float, days_per_year: float = DAYS_PER_YEAR) -> float | None:
    """Mean over standard deviation (ddof 1) of the differences, times the root of how many there are in a year.

    None where it has no meaning: fewer than three samples, or no variation. Source: hftbacktest, stats/metrics.py.
    """
    steps = np.diff(np.asarray(equity_usd, dtype=float))
    if len(steps) < 2 or not (spread := float(np.std(steps, ddof=1))):
        return None
    return float(np.mean(steps)) / spread * math.sqrt(DAY_S / interval_s * days_per_year)


def sortino(equity_usd: Sequence[float], *, interval_s: float, days_per_year: float = DAYS_PER_YEAR) -> float | None:
    """The same over the root mean square of the losses alone; None without a loss."""
    steps = np.diff(np.asarray(equity_usd, dtype=float))
    if len(steps) < 2 or not (downside := math.sqrt(float(np.mean(np.minimum(steps, 0.0) ** 2)))):
        return None
    return float(np.mean(steps)) / downside * math.sqrt(DAY_S / interval_s * days_per_year)


def max_drawdown(equity_usd: Sequence[float]) -> float:
    """Largest fall from a peak, in the unit of equity; 0 for an empty series."""
    curve: NDArray[np.float64] = np.asarray(equity_usd, dtype=float)
    return float(np.max(np.maximum.accumulate(curve) - curve)) if len(curve) else 0.0


def half_life(positions: Sequence[float], *, interval_s: float = 1.0) -> float | None:
    """Time after which half of a position is gone: ln ½ / ln φ with φ = Σ q_t q_(t-1) / Σ q_(t-1)², times the interval.

    None where the position does not revert (φ outside 0 … 1) or was never there.
    """
    held: NDArray[np.float64] = np.asarray(positions, dtype=float)
    if len(held) < 2:
        return None
    before, after = held[:-1], held[1:]
    scale = float(np.dot(before, before))
    phi = float(np.dot(after, before)) / scale if scale else 0.0
    return math.log(0.5) / math.log(phi) * interval_s if 0.0 < phi < 1.0 else None


class MarkoutRow(msgspec.Struct, frozen=True):
    """Mean markouts of a group of fills, weighted by notional; None where no fill is old enough."""

    side: str  # buy | sell | both
    bucket: str
    fills_count: int
    notional_usd: float
    edge_bps: float | None  # of the fill itself against the mid: what the spread earned
    after_bps: tuple[float | None, ...]  # of the mid since the fill, at HORIZONS_S

    @property
    def kept_bps(self) -> tuple[float | None, ...]:
        """Edge plus what the mid did: what the fill was worth at each horizon, before fees."""
        return tuple(
            None if self.edge_bps is None or after is None else self.edge_bps + after for after in self.after_bps
        )


def markout_rows(fills: Iterable[FillTrace]) -> list[MarkoutRow]:
    """Both sides over all buckets first, then each side in each bucket that has fills."""
    known = [fill for fill in fills if fill.mid > 0.0]
    rows = [_row(known, "both", "all")]
    for side, name in ((1, "buy"), (-1, "sell")):
        for bucket in BUCKETS:
            chosen = [fill for fill in known if fill.side == side and bucket_of(fill) == bucket]
            if chosen:
                rows.append(_row(chosen, name, bucket))
    return rows


def bucket_of(fill: FillTrace) -> str:
    """Where the book leaned when we were filled: bids stand with a buyer, asks with a seller."""
    lean = fill.side * fill.imbalance
    return BUCKETS[0] if lean < -LEAN else BUCKETS[2] if lean > LEAN else BUCKETS[1]


def edge_usd(fill: FillTrace) -> float:
    """What the fill earned against the mid: side * (mid - price) * size."""
    return fill.side * (fill.mid - fill.price) * fill.size


def adverse_usd(fills: Iterable[FillTrace], horizon_s: int) -> float:
    """What the mid took back within `horizon_s` of each fill that is old enough: the adverse part of the capture."""
    total = 0.0
    for fill in fills:
        after = getattr(fill, f"markout_{horizon_s}s_bps")
        if after is not None:
            total += after * 1e-4 * fill.mid * fill.size
    return total


def _row(fills: Sequence[FillTrace], side: str, bucket: str) -> MarkoutRow:
    weights = [fill.price * fill.size for fill in fills]
    edges = [edge_usd(fill) / (fill.mid * fill.size) * 1e4 for fill in fills]
    after = tuple(
        _mean([getattr(fill, f"markout_{horizon}s_bps") for fill in fills], weights) for horizon in HORIZONS_S
    )
    return MarkoutRow(side, bucket, len(fills), sum(weights), _mean(edges, weights), after)


def _mean(values: Sequence[float | None], weights: Sequence[float]) -> float | None:
    pairs = [(value, weight) for value, weight in zip(values, weights, strict=True) if value is not None]
    total = sum(weight for _value, weight in pairs)
    return sum(value * weight for value, weight in pairs) / total if total else None
