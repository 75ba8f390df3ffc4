"""Arrival intensity λ(δ) = A e^(-kδ): how often somebody trades beyond δ from the mid, per side.

What is counted: time is cut into intervals of the life of a quote; of each, the deepest trade on a side, from the mid
at the interval's start, and only if it went strictly beyond the best price of then: an order at the best price itself
has a queue before it, an order behind the deepest trade has none. A quote at δ is then filled in an interval with
probability λ(δ) dt, the scheme of Avellaneda and Stoikov 2008, §3.3: at most one an interval. Distances are from the
mid, in whatever unit the caller has: k is one over it. (hftbacktest's example counts on a grid of half ticks
and so prints a k per half tick, half of the k per tick.)

Two estimators:
- `fit_mle`: exponential depths, A = N / T, k = N / Σδ. Depths beyond the best price are whole ticks, so the live form
  is the geometric one: `geometric_decay`. A few divisions on running sums: `IntensityWatch` keeps it up to date inside
  the engine in constant time; nothing iterates there, and fifty actors need no fitting process.
- `fit_glm`: Poisson regression of counts on distance by Newton's method, for studies and tuning outside the loop. It
  weighs a level by what was counted there, as a line through log counts does not.
Counting the trades at the best price as depths would be wrong by twice on a busy symbol: most arrivals go no further,
and those that do are another, flatter exponential, the one that quotes a basis point away live by.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from actors.vocab.market import Kline, TradeFlow
from actors.vocab.units import BPS, NS_PER_S

NEWTON_STEPS_MAX = 50
NEWTON_ENOUGH = 1e-12
A_PER_S_MAX = 10_000.0
PRIOR_S_MAX = 3_600.0
EXPONENT_MAX = 700.0  # e^709 is the largest float


class Fit(NamedTuple):
    """λ(δ) = a_per_s · exp(-k δ)."""

    a_per_s: float
    k: float  # one over the unit of the distances

    def rate_per_s(self, distance: float) -> float:
        return self.a_per_s * math.exp(-self.k * distance)


def fit_mle(*, arrivals: float, depth_sum: float, seconds: float) -> Fit | None:
    """Exponential depths: A = N / T, k = N / Σδ. None without time, arrivals or depth. se(k) = k / sqrt(N)."""
    if not (0.0 < arrivals < math.inf and 0.0 < depth_sum < math.inf and 0.0 < seconds < math.inf):
        return None
    return Fit(arrivals / seconds, arrivals / depth_sum)


def geometric_decay(*, arrivals: float, steps_sum: float) -> float:
    """k per step of depths of 1, 2, 3 … steps: -ln(1 - N / Σδ), the likelihood's maximum; near N / Σδ for deep ones.

    Infinite where no depth exceeds a step.
    """
    share = arrivals / steps_sum
    return -math.log1p(-share) if share < 1.0 else math.inf


def fit_glm(distances: Sequence[float], counts: Sequence[float], seconds: float) -> Fit | None:
    """Poisson regression ln E[count] = ln(A T) - k δ, by Newton's method on the concave likelihood.

    None where it has no maximum with k > 0: fewer than two distances, nothing counted, counts that do not fall, or
    all of them at one end. ValueError for what is no count, distance or time.
    """
    if len(distances) != len(counts):
        raise ValueError(f"{len(distances)} distances and {len(counts)} counts")
    if not all(map(math.isfinite, distances)) or not all(0.0 <= count < math.inf for count in counts):
        raise ValueError("distances and counts must be finite, counts not negative")
    if not 0.0 < seconds < math.inf:
        raise ValueError(f"seconds must be positive, found {seconds}")
    total = sum(counts)
    if len(set(distances)) < 2 or total <= 0:
        return None
    centre = sum(distances) / len(distances)
    if sum(counts[i] for i, at in enumerate(distances) if at > min(distances)) <= 0:
        return None  # the likelihood rises for ever with k
    xs = [at - centre for at in distances]
    level, slope = math.log(total / len(xs)), 0.0
    best = _log_likelihood(xs, counts, level, slope)
    for _ in range(NEWTON_STEPS_MAX):
        means = [math.exp(level + slope * x) for x in xs]
        g0 = sum(count - mean for count, mean in zip(counts, means, strict=True))
        g1 = sum(x * (count - mean) for x, count, mean in zip(xs, counts, means, strict=True))
        h00, h01 = sum(means), sum(x * mean for x, mean in zip(xs, means, strict=True))
        h11 = sum(x * x * mean for x, mean in zip(xs, means, strict=True))
        determinant = h00 * h11 - h01 * h01
        if determinant <= 0.0:
            return None
        step0, step1 = (h11 * g0 - h01 * g1) / determinant, (h00 * g1 - h01 * g0) / determinant
        share = 1.0
        while (found := _log_likelihood(xs, counts, level + share * step0, slope + share * step1)) < best:
            share /= 2
            if share < NEWTON_ENOUGH:
                break
        else:
            level, slope, best = level + share * step0, slope + share * step1, found
        if abs(share * step0) + abs(share * step1) < NEWTON_ENOUGH or share < NEWTON_ENOUGH:
            break
    a_per_s = math.exp(min(EXPONENT_MAX, level - slope * centre)) / seconds
    return Fit(a_per_s, -slope) if slope < 0.0 < a_per_s < math.inf else None


def _log_likelihood(xs: Sequence[float], counts: Sequence[float], level: float, slope: float) -> float:
    """Σ count · η - e^η with η = level + slope · x."""
    total = 0.0
    for x, count in zip(xs, counts, strict=True):
        linear = level + slope * x
        if linear > EXPONENT_MAX:
            return -math.inf
        total += count * linear - math.exp(linear)
    return total


def exceedances(depths: Sequence[float], levels: Sequence[float]) -> list[int]:
    """For each level, how many depths lie strictly beyond it: our order at a level is then certainly filled."""
    return [sum(depth > level for depth in depths) for level in levels]


def fit_klines(klines: Sequence[Kline], *, interval_s: float) -> Fit | None:
    """A first guess from candles, distances in bps; None where they hold no usable one.

    The mean of high - open and open - low is how far a side reaches in a candle; a walk reaches sqrt(t) as far, which
    gives 1/k for one interval, but nothing reaches less than a tick. The rate is the chance that a side, half of the
    candle's trades, trades in an interval, and half of that: the price moves the other way as often.
    Right within a factor of two on recordings of a busy and of a quiet symbol; own counts outweigh it soon.
    """
    reach_bps = seconds = trades = ticks_bps = 0.0
    for one in klines:
        span_s = (one.close_ms - one.open_ms + 1) / 1000
        if span_s <= 0 or not 0 < one.low_ticks <= one.open_ticks <= one.high_ticks:
            continue
        tick_bps = 1.0 / one.open_ticks / BPS
        reach_bps += (one.high_ticks - one.low_ticks) * tick_bps / 2 * math.sqrt(interval_s / span_s) * span_s
        ticks_bps += tick_bps * span_s
        seconds += span_s
        trades += one.trades_count
    if reach_bps <= 0 or trades <= 0:
        return None
    chance = -math.expm1(-trades / seconds / 2 * interval_s)
    return Fit(chance / interval_s / 2, seconds / max(reach_bps, ticks_bps))


class Bounds(NamedTuple):
    """Estimates are kept inside; k in one over bps."""

    k_min: float
    k_max: float


class IntensityWatch:
    """Live A and k of both sides in one over bps, on sums that forget, begun from a prior.

    The prior counts as the time in which it expects `prior_arrivals` (an hour at most), never forgotten: it is the
    neutral value, the smoothing and the warm-up in one, and a quiet symbol keeps nearer to it. Own counts halve every
    `half_life_s`, in silence too, so a stale estimate returns to the prior by itself. A quiet market is no silence:
    its time counts, and A falls.
    """

    __slots__ = (
        "_arrivals",
        "_ask_ticks",
        "_bid_ticks",
        "_bounds",
        "_half_ticks",
        "_high_ticks",
        "_interval_ns",
        "_low_ticks",
        "_prior",
        "_prior_arrivals",
        "_prior_s",
        "_seconds",
        "_since_ns",
        "_steps",
        "_theta_s",
        "_tick_bps",
        "ask",
        "bid",
    )

    def __init__(
        self, *, prior: Fit, interval_ns: int, half_life_s: float, prior_arrivals: float = 10.0, bounds: Bounds
    ) -> None:
        self._interval_ns = interval_ns
        self._theta_s = half_life_s / math.log(2)
        self._prior_arrivals = prior_arrivals
        self._bounds = bounds
        # What passes the best bid (sells) and the best ask (buys): arrivals, and the ticks that they went beyond it.
        self._arrivals = [0.0, 0.0]
        self._steps = [0.0, 0.0]
        self._seconds = 0.0
        self._half_ticks = 0.0  # half the spread, weighted by time
        self._tick_bps = 0.0  # 0: no interval has been closed yet
        self._bid_ticks = self._ask_ticks = 0  # best prices at the start of the interval; 0: none is open
        self._since_ns = 0
        self._low_ticks = self._high_ticks = 0  # deepest sell and buy of the interval; 0: none
        self.seed(prior)

    def seed(self, prior: Fit) -> None:
        """Begin from, and return to, this fit."""
        self._prior = Fit(prior.a_per_s, self._bounded(prior.k))
        self._prior_s = min(PRIOR_S_MAX, self._prior_arrivals / prior.a_per_s)
        self._refit()

    def on_trades(self, flow: TradeFlow) -> None:
        """Trades since the last book. A message tells the lowest and the highest price of all its trades: a sell
        above a buy within one message would be taken for the deeper one."""
        if flow.buys_count and flow.high_ticks > self._high_ticks:
            self._high_ticks = flow.high_ticks
        if flow.sells_count and (flow.low_ticks < self._low_ticks or not self._low_ticks):
            self._low_ticks = flow.low_ticks

    def on_top(self, bid_ticks: int, ask_ticks: int, now_ns: int) -> bool:
        """Best prices of a good book, after its trades. Closes the interval when its time has come; True when the
        fits are new."""
        gap_ns = now_ns - self._since_ns
        is_open = self._bid_ticks > 0
        if is_open and 0 <= gap_ns < self._interval_ns:
            return False
        if gap_ns > 0 and (is_open or self._since_ns):
            self._forget(gap_ns / NS_PER_S)
            if is_open:
                self._count(gap_ns / NS_PER_S)
            self._refit()
        self._low_ticks = self._high_ticks = 0
        good = 0 < bid_ticks < ask_ticks
        self._bid_ticks, self._ask_ticks = (bid_ticks, ask_ticks) if good else (0, 0)
        self._since_ns = now_ns
        return True

    def skip_gap(self) -> None:
        """Data were lost: what this interval would have shown is not known."""
        self._bid_ticks = self._ask_ticks = self._low_ticks = self._high_ticks = 0

    def _count(self, seconds: float) -> None:
        bid, ask = self._bid_ticks, self._ask_ticks
        beyond = (bid - self._low_ticks if self._low_ticks > 0 else 0, self._high_ticks - ask)
        for side in (0, 1):
            if beyond[side] > 0:
                self._arrivals[side] += 1.0
                self._steps[side] += beyond[side]
        self._seconds += seconds
        share = min(1.0, seconds / self._seconds)
        self._half_ticks += share * ((ask - bid) / 2 - self._half_ticks)
        self._tick_bps = 2.0 / (bid + ask) / BPS

    def _forget(self, seconds: float) -> None:
        keep = math.exp(-seconds / self._theta_s)
        self._seconds *= keep
        for side in (0, 1):
            self._arrivals[side] *= keep
            self._steps[side] *= keep

    def _refit(self) -> None:
        self.bid, self.ask = self._fit(0), self._fit(1)

    def _fit(self, side: int) -> Fit:
        """Prior and counts together: arrivals beyond the best price, then back to the mid along the fitted curve."""
        prior, tick_bps, half_ticks = self._prior, self._tick_bps, self._half_ticks
        if tick_bps <= 0.0:
            return prior
        half_bps = half_ticks * tick_bps
        prior_arrivals = prior.a_per_s * math.exp(-prior.k * half_bps) * self._prior_s
        arrivals = self._arrivals[side] + prior_arrivals
        steps = self._steps[side] - prior_arrivals / math.expm1(-prior.k * tick_bps)
        if arrivals <= 0.0 or steps <= 0.0:
            return prior
        k = self._bounded(geometric_decay(arrivals=arrivals, steps_sum=steps) / tick_bps)
        beyond_per_s = arrivals / (self._seconds + self._prior_s)
        # Inside a wide spread the curve is drawn on, not measured: A may be large where nobody ever trades.
        return Fit(min(A_PER_S_MAX, beyond_per_s * math.exp(min(EXPONENT_MAX, k * half_bps))), k)

    def _bounded(self, k: float) -> float:
        return max(self._bounds.k_min, min(self._bounds.k_max, k))
