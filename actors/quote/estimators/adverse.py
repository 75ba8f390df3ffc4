"""Adverse selection: how far the price moves against us after our fills, from their markouts.

    MO_h = side (m_{t+h} - p) / p          what a fill is worth after h
    MO_0 = side (m_t - p) / p              its effective half spread
    MO_h - MO_0                            adverse selection, below 0 when the price moved against us

A passive fill drifts against its maker by construction (arXiv:2407.16527); the width that pays for it is what is
estimated here, and the floor of the spread and the models' adverse term take it.
"""

from __future__ import annotations

from collections import deque

from actors.risk.markouts import HORIZONS_S
from actors.vocab.market import Side
from actors.vocab.units import BPS, NS_PER_S

PENDING_MAX = 1_000  # fills waiting for one horizon; full: the oldest is dropped


def markout_bps(side: Side, price: float, mid: float) -> float:
    """side (mid - price) / price in bps: what a fill at `price` is worth at `mid`, above 0 when good for us."""
    return side * (mid - price) / price / BPS


class AdverseWatch:
    """Mean adverse move after our own fills, in bps a fill, at 1, 5 and 30 s; `width_bps` is that of one horizon.

    Warm-up: a prior of `PRIOR_FILLS` fills at the neutral value, the one of the settings. Smoothing and staleness: a
    fill weighs half after `HALF_LIFE_FILLS` further ones; a symbol without fills has nothing to adapt to and keeps
    its value. Bounded to [0, `width_bps_max`]: flow that pays us narrows nothing below 0. A fill is settled at the
    first mid after its horizon, at most one timer late; one whose horizon fell into a gap is left out.
    """

    __slots__ = ("_horizon_s", "_neutral_bps", "_sums", "_waiting", "_weights", "_width_bps_max")

    PRIOR_FILLS = 20.0
    HALF_LIFE_FILLS = 50.0
    LATE_NS_MAX = NS_PER_S

    def __init__(self, *, neutral_bps: float, horizon_s: int = 5, width_bps_max: float = 20.0) -> None:
        if horizon_s not in HORIZONS_S:
            raise ValueError(f"horizon_s must be one of {HORIZONS_S}, found {horizon_s}")
        self._neutral_bps = neutral_bps
        self._horizon_s = horizon_s
        self._width_bps_max = width_bps_max
        # horizon -> (due, side, mid at the fill), in time order
        self._waiting: dict[int, deque[tuple[int, Side, float]]] = {
            horizon: deque(maxlen=PENDING_MAX) for horizon in HORIZONS_S
        }
        self._sums = dict.fromkeys(HORIZONS_S, 0.0)  # of MO_h - MO_0, weighted
        self._weights = dict.fromkeys(HORIZONS_S, 0.0)

    def on_fill(self, side: Side, mid_ticks: float, now_ns: int) -> None:
        """`side` is ours. A fill at which no mid is known has no markout."""
        if mid_ticks > 0.0:
            for horizon, waiting in self._waiting.items():
                waiting.append((now_ns + horizon * NS_PER_S, side, mid_ticks))

    def skip_gap(self) -> None:
        """Forget the fills that wait: mids to come are not to be compared with theirs."""
        for waiting in self._waiting.values():
            waiting.clear()

    def settle(self, mid_ticks: float, now_ns: int) -> bool:
        """Book every fill whose horizon has come, at the mid of a good book; 0 where there is none. True when any."""
        booked = False
        for horizon, waiting in self._waiting.items():
            while waiting and waiting[0][0] <= now_ns:
                due_ns, side, before = waiting.popleft()
                if mid_ticks > 0.0 and now_ns - due_ns <= self.LATE_NS_MAX:
                    keep = 0.5 ** (1.0 / self.HALF_LIFE_FILLS)
                    self._sums[horizon] = keep * self._sums[horizon] + side * (mid_ticks - before) / before / BPS
                    self._weights[horizon] = keep * self._weights[horizon] + 1.0
                    booked = True
        return booked

    def mean_bps(self, horizon_s: int) -> float | None:
        """MO_h - MO_0 as it was measured, without prior or bounds; None before the first."""
        weight = self._weights[horizon_s]
        return self._sums[horizon_s] / weight if weight > 0.0 else None

    @property
    def width_bps(self) -> float:
        """What one side should stand further off, in [0, `width_bps_max`]."""
        prior = self.PRIOR_FILLS
        lost = self._neutral_bps * prior - self._sums[self._horizon_s]
        return max(0.0, min(self._width_bps_max, lost / (prior + self._weights[self._horizon_s])))
