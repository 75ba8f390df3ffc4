"""Volatility of the price from irregular samples, and its seed from candles.

One unit inside: bps per root second. `1e4 * sqrt(variance of log returns per second)`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from actors.vocab.market import Kline
from actors.vocab.units import NS_PER_S

BPS_PER_ONE = 1e4
SECONDS_PER_YEAR = 365 * 86_400


class EwmaVolatility:
    """Time-weighted EWMA in ratio form: d = exp(-dt/theta); N = d*N + r^2; D = d*D + dt; variance/s = N/D.

    r is the log return between two samples. The ratio form is unbiased for irregular spacing; weighting r^2/dt
    by 1 - d would over-weight short gaps. A half-life h is theta = h / ln 2.

    Samples nearer than `sample_ns` to the last one are passed over (their move is in the next sample): at the
    spacing of single events a mid bounces by more than it moves.
    """

    __slots__ = ("_denominator_s", "_last_ns", "_last_price", "_numerator", "_sample_ns", "_theta_s")

    def __init__(self, *, theta_s: float, sample_ns: int = 0) -> None:
        if theta_s <= 0:
            raise ValueError(f"theta_s must be above 0, found {theta_s}")
        self._theta_s = theta_s
        self._sample_ns = sample_ns
        self._numerator = 0.0
        self._denominator_s = 0.0
        self._last_price = 0.0
        self._last_ns = 0

    @classmethod
    def with_half_life(cls, half_life_s: float, *, sample_ns: int = 0) -> EwmaVolatility:
        return cls(theta_s=half_life_s / math.log(2), sample_ns=sample_ns)

    def update(self, price: float, now_ns: int) -> None:
        """Take one sample; a price that is not positive and finite, or a clock that stands, changes nothing."""
        if not 0.0 < price < math.inf:
            return
        last = self._last_price
        if last == 0.0:
            self._last_price, self._last_ns = price, now_ns
            return
        gap_ns = now_ns - self._last_ns
        if gap_ns <= 0 or gap_ns < self._sample_ns:
            return
        gap_s = gap_ns / NS_PER_S
        move = math.log(price / last)
        decay = math.exp(-gap_s / self._theta_s)
        self._numerator = decay * self._numerator + move * move
        self._denominator_s = decay * self._denominator_s + gap_s
        self._last_price, self._last_ns = price, now_ns

    def skip_gap(self) -> None:
        """Forget the last price, keep the estimate: after a halt the jump over the hole is not a sample."""
        self._last_price = 0.0

    def seed(self, variance_per_s: float) -> None:
        """Start from a variance known from elsewhere, as if it had been watched for one `theta`: own samples
        outweigh it after that time. Ignored once samples of our own weigh more."""
        if 0.0 <= variance_per_s < math.inf and self._denominator_s < self._theta_s:
            self._numerator += variance_per_s * (self._theta_s - self._denominator_s)
            self._denominator_s = self._theta_s

    @property
    def ready(self) -> bool:
        return self._denominator_s > 0.0

    @property
    def per_root_s(self) -> float:
        """Standard deviation of log returns per root second; 0 before the second sample."""
        return math.sqrt(self._numerator / self._denominator_s) if self._denominator_s > 0.0 else 0.0

    @property
    def bps(self) -> float:
        """bps per root second."""
        return BPS_PER_ONE * self.per_root_s


def kline_variance_per_s(klines: Sequence[Kline]) -> float | None:
    """Zero-mean variance of log returns per second from closes of candles that follow each other without a hole.

    A candle lasts `close_ms - open_ms + 1` ms where the venue counts the last millisecond in, so spacing is taken
    from the opens: sum(r^2) / sum(dt). None with fewer than two usable candles.
    """
    squares = 0.0
    seconds = 0.0
    for before, after in pairwise(klines):
        span_ms = after.open_ms - before.open_ms
        whole = before.close_ms - before.open_ms
        # One millisecond of slack: venues close a candle at its last millisecond or at the next one's first.
        if span_ms <= 0 or before.close_ticks <= 0 or after.close_ticks <= 0 or span_ms > whole + 1:
            continue
        move = math.log(after.close_ticks / before.close_ticks)
        squares += move * move
        seconds += span_ms / 1000
    return squares / seconds if seconds > 0 else None


def bps_per_root_s(annual: float) -> float:
    """A yearly volatility (0.6 = 60 %) around the clock, in bps per root second."""
    return BPS_PER_ONE * annual / math.sqrt(SECONDS_PER_YEAR)


def bps_per_root_min(bps: float) -> float:
    """bps per root second as bps per root minute."""
    return bps * math.sqrt(60)
