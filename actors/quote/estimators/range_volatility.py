"""Volatility from open, high, low and close of candles: less noisy than closes alone, five to eight times.

Each function answers with the standard deviation of log returns per root candle, or None where too few candles are
usable; a candle whose prices are not positive or not in order is left out. Ranges of thinly traded candles are too
small (nobody traded at the true extremes), so these read low where a candle holds few trades.

Formulas as in the R package TTR; sources: Parkinson 1980, Garman and Klass 1980, Rogers and Satchell 1991, Yang and
Zhang 2000.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from statistics import fmean, median, variance

from actors.vocab.market import Kline


def parkinson(klines: Sequence[Kline]) -> float | None:
    """sqrt(mean(ln²(H/L)) / (4 ln 2)); assumes no drift."""
    return _root_mean(klines, lambda one: math.log(one.high_ticks / one.low_ticks) ** 2 / (4 * math.log(2)))


def garman_klass(klines: Sequence[Kline]) -> float | None:
    """sqrt(mean(½ ln²(H/L) - (2 ln 2 - 1) ln²(C/O))); assumes no drift."""

    def term(one: Kline) -> float:
        return (
            math.log(one.high_ticks / one.low_ticks) ** 2 / 2
            - (2 * math.log(2) - 1) * math.log(one.close_ticks / one.open_ticks) ** 2
        )

    return _root_mean(klines, term)


def rogers_satchell(klines: Sequence[Kline]) -> float | None:
    """sqrt(mean(ln(H/C) ln(H/O) + ln(L/C) ln(L/O))); right under any drift."""
    return _root_mean(klines, _rogers_satchell_term)


def yang_zhang(klines: Sequence[Kline]) -> float | None:
    """sqrt(var(open - close before) + k var(close - open) + (1 - k) RS²), k = .34 / (1.34 + (n + 1) / (n - 1)).

    n is the number of candles with a candle before them; variances have n - 1 below. None for n < 2.
    """
    used = usable(klines)
    count = len(used) - 1
    if count < 2:
        return None
    jumps = [math.log(after.open_ticks / before.close_ticks) for before, after in pairwise(used)]
    moves = [math.log(one.close_ticks / one.open_ticks) for one in used[1:]]
    k = 0.34 / (1.34 + (count + 1) / (count - 1))
    inside = fmean(map(_rogers_satchell_term, used[1:]))
    return math.sqrt(max(0.0, variance(jumps) + k * variance(moves) + (1 - k) * inside))


def close_to_close(klines: Sequence[Kline]) -> float | None:
    """Sample standard deviation (ddof 1) of log returns between closes."""
    used = usable(klines)
    if len(used) < 3:
        return None
    return math.sqrt(variance(math.log(after.close_ticks / before.close_ticks) for before, after in pairwise(used)))


ESTIMATORS: dict[str, Callable[[Sequence[Kline]], float | None]] = {
    "parkinson": parkinson,
    "garman_klass": garman_klass,
    "rogers_satchell": rogers_satchell,
    "yang_zhang": yang_zhang,
}


def variance_per_s(klines: Sequence[Kline], name: str) -> float | None:
    """The variance of log returns per second by the estimator of that name, from candles of one length; None where
    they are too few or have no length."""
    per_candle = ESTIMATORS[name](klines)
    spans_ms = [one.close_ms - one.open_ms + 1 for one in usable(klines) if one.close_ms > one.open_ms]
    if per_candle is None or not spans_ms:
        return None
    return per_candle**2 / (median(spans_ms) / 1000)


def usable(klines: Sequence[Kline]) -> list[Kline]:
    """Candles that have prices, in order."""
    return [
        one
        for one in klines
        if 0 < one.low_ticks <= min(one.open_ticks, one.close_ticks)
        and max(one.open_ticks, one.close_ticks) <= one.high_ticks
    ]


def _rogers_satchell_term(one: Kline) -> float:
    high, low = one.high_ticks, one.low_ticks
    opened, closed = one.open_ticks, one.close_ticks
    return math.log(high / closed) * math.log(high / opened) + math.log(low / closed) * math.log(low / opened)


def _root_mean(klines: Sequence[Kline], term: Callable[[Kline], float]) -> float | None:
    used = usable(klines)
    return math.sqrt(max(0.0, fmean(map(term, used)))) if used else None
