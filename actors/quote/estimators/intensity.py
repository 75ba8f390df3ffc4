"""Arrival intensity λ(δ) = A e^(-kδ): how often somebody trades at least δ away from the mid, per side.

What is counted: time is cut into intervals of the life of a quote; of each, the deepest trade on a side, measured from
the mid at the interval's start. A is then arrivals per second, bounded by one an interval, and a quote at δ is filled
in an interval with probability λ(δ) dt: the scheme of Avellaneda and Stoikov 2008, §3.3. Distances are from the mid,
never from the best price, in whatever unit the caller has: k is one over it. (hftbacktest's example counts on a grid of
half ticks and so prints a k per half tick, half of the k per tick.)

Two estimators:
- `fit_mle`, exponential depths: A = N / T, k = N / Σδ. Two divisions on running sums, so `IntensityWatch` keeps it up
  to date inside the engine, in constant time a trade: nothing iterates there, and fifty actors need no fitting process.
- `fit_glm`, Poisson regression of counts on distance by Newton's method, for studies and tuning outside the loop. It
  weighs a level by what was counted there, as a line through log counts does not.
Where depths are exponential both agree; a GLM that differs much says they are not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from actors.vocab.market import Kline, TradeFlow
from actors.vocab.units import BPS, NS_PER_S

NEWTON_STEPS_MAX = 50
NEWTON_ENOUGH = 1e-12
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
    gives 1/k for one interval. The rate is the chance that a side, half of the candle's trades, trades in an interval.
    Candles of a market that trends or gaps read too deep; the watch's own counts outweigh them soon.
    """
    reach_bps = seconds = trades = 0.0
    for one in klines:
        span_s = (one.close_ms - one.open_ms + 1) / 1000
        if span_s <= 0 or not 0 < one.low_ticks <= one.open_ticks <= one.high_ticks:
            continue
        reach = (one.high_ticks - one.low_ticks) / one.open_ticks / BPS / 2
        reach_bps += reach * math.sqrt(interval_s / span_s) * span_s
        seconds += span_s
        trades += one.trades_count
    if reach_bps <= 0 or trades <= 0:
        return None
    chance = -math.expm1(-trades / seconds / 2 * interval_s)
    return Fit(chance / interval_s, seconds / reach_bps)


class Bounds(NamedTuple):
    """Estimates are kept inside; k in one over bps."""

    k_min: float
    k_max: float


class IntensityWatch:
    """Live A and k of both sides in one over bps: `fit_mle` on sums that forget, begun from a prior.

    The prior counts as `prior_s` seconds of watching that are never forgotten: it is the neutral value, the smoothing
    and the warm-up in one (after ten times `prior_s` it weighs a tenth). Own counts halve every `half_life_s`, in
    silence too, so a stale estimate returns to the prior by itself. A quiet market is no silence: its time counts,
    and A falls.
    """

    __slots__ = (
        "_arrivals",
        "_bounds",
        "_depths_bps",
        "_high_ticks",
        "_interval_ns",
        "_low_ticks",
        "_mid_ticks",
        "_prior",
        "_prior_s",
        "_seconds",
        "_since_ns",
        "_theta_s",
        "ask",
        "bid",
    )

    def __init__(
        self, *, prior: Fit, interval_ns: int, half_life_s: float, prior_s: float = 20.0, bounds: Bounds
    ) -> None:
        self._interval_ns = interval_ns
        self._theta_s = half_life_s / math.log(2)
        self._prior_s = prior_s
        self._bounds = bounds
        # What reaches our bids (sells below the mid) and our asks (buys above it).
        self._arrivals = [0.0, 0.0]
        self._depths_bps = [0.0, 0.0]
        self._seconds = 0.0
        self._mid_ticks = 0.0  # at the start of the interval; 0: no interval is open
        self._since_ns = 0
        self._low_ticks = self._high_ticks = 0.0  # deepest sell and buy of the interval; 0: none
        self.seed(prior)

    def seed(self, prior: Fit) -> None:
        """Begin from, and return to, this fit."""
        self._prior = Fit(prior.a_per_s, self._bounded(prior.k))
        self.bid = self.ask = self._prior
        self._refit()

    def on_trades(self, flow: TradeFlow) -> None:
        """Trades since the last book. A message tells the lowest and the highest price of all its trades: a sell
        above a buy within one message would be taken for the deeper one."""
        if flow.buys_count and flow.high_ticks > self._high_ticks:
            self._high_ticks = float(flow.high_ticks)
        if flow.sells_count and (flow.low_ticks < self._low_ticks or not self._low_ticks):
            self._low_ticks = float(flow.low_ticks)

    def on_mid(self, mid_ticks: float, now_ns: int) -> None:
        """The mid of a good book, after its trades. Closes the interval when its time has come."""
        gap_ns = now_ns - self._since_ns
        if self._mid_ticks and 0 <= gap_ns < self._interval_ns:
            return
        if self._mid_ticks and gap_ns > 0:
            self._close(gap_ns / NS_PER_S)
        elif self._since_ns and gap_ns > 0:
            self._forget(gap_ns / NS_PER_S)
            self._refit()
        self._low_ticks = self._high_ticks = 0.0
        self._mid_ticks = mid_ticks if 0.0 < mid_ticks < math.inf else 0.0
        self._since_ns = now_ns

    def skip_gap(self) -> None:
        """Data were lost: what this interval would have shown is not known."""
        self._mid_ticks = self._low_ticks = self._high_ticks = 0.0

    def _close(self, seconds: float) -> None:
        self._forget(seconds)
        mid = self._mid_ticks
        below, above = mid - self._low_ticks if self._low_ticks else 0.0, self._high_ticks - mid
        for side, depth in enumerate((below, above)):
            if depth > 0.0:
                self._arrivals[side] += 1.0
                self._depths_bps[side] += depth / mid / BPS
        self._seconds += seconds
        self._refit()

    def _forget(self, seconds: float) -> None:
        keep = math.exp(-seconds / self._theta_s)
        self._seconds *= keep
        for side in (0, 1):
            self._arrivals[side] *= keep
            self._depths_bps[side] *= keep

    def _refit(self) -> None:
        self.bid, self.ask = self._fit(0), self._fit(1)

    def _fit(self, side: int) -> Fit:
        prior, prior_s = self._prior, self._prior_s
        prior_arrivals = prior.a_per_s * prior_s
        found = fit_mle(
            arrivals=self._arrivals[side] + prior_arrivals,
            depth_sum=self._depths_bps[side] + prior_arrivals / prior.k,
            seconds=self._seconds + prior_s,
        )
        return prior if found is None else Fit(found.a_per_s, self._bounded(found.k))

    def _bounded(self, k: float) -> float:
        return max(self._bounds.k_min, min(self._bounds.k_max, k))
