"""Markouts: how the mid moved after each fill, signed for us, at fixed horizons. Negative means picked off."""

from __future__ import annotations

from collections import deque

import msgspec

from actors.vocab.market import Side
from actors.vocab.units import NS_PER_S

HORIZONS_S = (1, 5, 30)
PENDING_MAX = 20_000  # fills waiting for one horizon; full: the oldest is dropped and counted
TRACES_MAX = 100_000  # fills told one by one in the report; full: the oldest is dropped and counted


class FillTrace(msgspec.Struct, gc=False):
    """One fill and what came of it. Prices and sizes in the venue's units; completed as its horizons pass."""

    venue: str
    symbol: str
    event_ns: int  # venue's clock, unix
    side: int  # +1 we bought
    price: float
    size: float  # base currency
    mid: float  # when risk heard of it; 0.0 while there was none
    imbalance: float  # of the best sizes then, -1 to 1
    position: float  # base currency, after it
    fee_usd: float
    maker: bool
    # Markouts in bps at HORIZONS_S, None until then
    markout_1s_bps: float | None = None
    markout_5s_bps: float | None = None
    markout_30s_bps: float | None = None


class MarkoutSums:
    """Quantity-weighted sums of one symbol: per horizon and side, notional and notional times bps."""

    __slots__ = ("weighted_bps", "weights")

    def __init__(self) -> None:
        # (horizon_s, side) -> sum
        self.weights: dict[tuple[int, Side], float] = {}
        self.weighted_bps: dict[tuple[int, Side], float] = {}

    def add(self, horizon_s: int, side: Side, notional: float, bps: float) -> None:
        key = (horizon_s, side)
        self.weights[key] = self.weights.get(key, 0.0) + notional
        self.weighted_bps[key] = self.weighted_bps.get(key, 0.0) + notional * bps

    def mean_bps(self, horizon_s: int, side: Side | None = None) -> float | None:
        """Weighted mean over one side or both; None before the first."""
        sides = (Side.BUY, Side.SELL) if side is None else (side,)
        weight = sum(self.weights.get((horizon_s, each), 0.0) for each in sides)
        if not weight:
            return None
        return sum(self.weighted_bps.get((horizon_s, each), 0.0) for each in sides) / weight


class Pending:
    """One fill waiting for its horizon."""

    __slots__ = ("due_ns", "key", "mid2", "notional", "side", "trace")

    def __init__(
        self, due_ns: int, key: tuple[str, str], side: Side, mid2: float, notional: float, trace: FillTrace | None
    ) -> None:
        self.due_ns = due_ns
        self.key = key
        self.side = side
        self.mid2 = mid2
        self.notional = notional
        self.trace = trace


class Markouts:
    """All symbols. `add` at each fill, `settle` at each timer with the present mids."""

    def __init__(self) -> None:
        # One queue a horizon: fills arrive in time order, so each queue is sorted by due_ns.
        self._waiting: dict[int, deque[Pending]] = {horizon: deque() for horizon in HORIZONS_S}
        self.sums: dict[tuple[str, str], MarkoutSums] = {}  # (venue, symbol) -> sums
        self.traces: deque[FillTrace] = deque(maxlen=TRACES_MAX)
        self.dropped_count = 0

    def add(
        self,
        key: tuple[str, str],
        side: Side,
        mid2: int,
        notional_usd: float,
        now_ns: int,
        trace: FillTrace | None = None,
    ) -> None:
        """`mid2` is bid plus ask in ticks at the fill; a fill without a mid has no markout."""
        if trace is not None:
            self.dropped_count += len(self.traces) == TRACES_MAX
            self.traces.append(trace)
        if not mid2:
            return
        for horizon, waiting in self._waiting.items():
            if len(waiting) >= PENDING_MAX:
                waiting.popleft()
                self.dropped_count += 1
            waiting.append(Pending(now_ns + horizon * NS_PER_S, key, side, mid2, notional_usd, trace))

    def use_tick(self, key: tuple[str, str], old_per_new: float) -> None:
        """The mids of a symbol come in other ticks from now on; those at its fills are counted in them too."""
        for waiting in self._waiting.values():
            for fill in waiting:
                if fill.key == key:
                    fill.mid2 *= old_per_new

    def settle(self, mids2: dict[tuple[str, str], int], now_ns: int) -> None:
        """Book every fill whose horizon has come."""
        for horizon, waiting in self._waiting.items():
            while waiting and waiting[0].due_ns <= now_ns:
                fill = waiting.popleft()
                mid2 = mids2.get(fill.key, 0)
                if mid2:
                    bps = fill.side * (mid2 / fill.mid2 - 1.0) * 1e4
                    self.sums.setdefault(fill.key, MarkoutSums()).add(horizon, fill.side, fill.notional, bps)
                    if fill.trace is not None:
                        setattr(fill.trace, f"markout_{horizon}s_bps", bps)

    def mean_bps(self, horizon_s: int) -> float | None:
        """Over all symbols, weighted by notional."""
        weight = value = 0.0
        for sums in self.sums.values():
            for side in (Side.BUY, Side.SELL):
                weight += sums.weights.get((horizon_s, side), 0.0)
                value += sums.weighted_bps.get((horizon_s, side), 0.0)
        return value / weight if weight else None
