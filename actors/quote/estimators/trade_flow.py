"""How one-sided the takers are, from the aggressor sides of public trades: by time, and by volume (VPIN).

Toxic flow is |buys - sells| / (buys + sells), exponentially weighted: the signed-trade form of VPIN, shrunk toward 0
while few trades, or a few large ones among many small, make up the flow: n trades of equal size and random side show
an imbalance of about 1/sqrt(n) that means nothing.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from statistics import NormalDist, stdev

from actors.vocab.market import TradeFlow
from actors.vocab.units import NS_PER_S

FLOW_MEAN_S = 60.0  # memory of the trade flow
FLOW_TRADES_HALF = 10.0  # effective trades at which the imbalance counts half


class TradeFlowWatch:
    """Exponentially weighted buys and sells, in lots.

    Warm-up: built in, few effective trades count little. Stale: the share keeps its value while its trades fade, so
    `toxic_flow` without new trades is what the last ones said; a gap adds none. Neutral: 0.
    """

    __slots__ = ("_buys", "_sells", "_squares", "_updated_ns", "last_trade_ns")

    def __init__(self) -> None:
        self._buys = self._sells = self._squares = 0.0
        self._updated_ns = 0
        self.last_trade_ns = 0

    def note(self, flow: TradeFlow, now_ns: int) -> None:
        if flow.buys_count + flow.sells_count == 0:
            return
        if self._updated_ns:
            decay = math.exp((self._updated_ns - now_ns) / (FLOW_MEAN_S * NS_PER_S))
            self._buys *= decay
            self._sells *= decay
            self._squares *= decay * decay
        self._buys += flow.buy_lots
        self._sells += flow.sell_lots
        # An update's trades of one side were one decision more often than not (a sweep): they count as one trade.
        self._squares += flow.buy_lots**2 + flow.sell_lots**2
        self._updated_ns = self.last_trade_ns = now_ns

    def toxic_flow(self) -> float:
        """In [0, 1]; one-sided flow of many trades is 1."""
        total = self._buys + self._sells
        if total <= 0:
            return 0.0
        effective = total * total / self._squares  # Kish's effective sample size of weighted trades
        return abs(self._buys - self._sells) / total * effective / (effective + FLOW_TRADES_HALF)


class Vpin:
    """Volume-synchronized probability of informed trading: Σ |V_buy - V_sell| / (n V) over n buckets of V lots.

    Source: Easley, López de Prado and O'Hara 2012, with the aggressor's side from the wire instead of their bulk
    classification. Andersen and Bondarenko 2014 find that it says little beyond volume and volatility.
    Warm-up: `WARM_BUCKETS` whole buckets. Stale: never by time; its clock is volume. Neutral: 0.
    """

    __slots__ = ("_bucket_lots", "_buy_lots", "_imbalances", "_sell_lots")

    WARM_BUCKETS = 10

    def __init__(self, *, bucket_lots: float, buckets_count: int = 50) -> None:
        if not (bucket_lots > 0 and buckets_count >= 1):
            raise ValueError(f"buckets must hold something, found {buckets_count} of {bucket_lots} lots")
        self._bucket_lots = bucket_lots
        self._buy_lots = self._sell_lots = 0.0  # of the bucket being filled
        self._imbalances: deque[float] = deque(maxlen=buckets_count)

    def note(self, buy_lots: float, sell_lots: float) -> None:
        """Trades of both sides; what does not fit into the bucket goes on into the next, in the same proportion."""
        total = buy_lots + sell_lots
        if not 0.0 < total < math.inf:
            return
        buckets, full = self._imbalances, self._bucket_lots
        share = buy_lots / total
        room = full - self._buy_lots - self._sell_lots
        # More than a whole ring of buckets would only replace itself.
        total = min(total, room + full * (buckets.maxlen or 1))
        while total >= room:
            self._buy_lots += share * room
            self._sell_lots += (1.0 - share) * room
            buckets.append(abs(self._buy_lots - self._sell_lots) / full)
            self._buy_lots = self._sell_lots = 0.0
            total -= room
            room = full
        self._buy_lots += share * total
        self._sell_lots += (1.0 - share) * total

    def rescale(self, lots: float) -> None:
        """`lots` new lots are one old one now."""
        self._bucket_lots *= lots
        self._buy_lots *= lots
        self._sell_lots *= lots

    @property
    def buckets_count(self) -> int:
        return len(self._imbalances)

    def value(self) -> float:
        """In [0, 1]; 0 before the warm-up."""
        buckets = self._imbalances
        return sum(buckets) / len(buckets) if len(buckets) >= min(self.WARM_BUCKETS, buckets.maxlen or 1) else 0.0


def bulk_vpin(moves: Sequence[float]) -> float:
    """VPIN of buckets whose sides are guessed from their price moves: V_buy = V Φ(ΔP / σ), so mean |2Φ(ΔP/σ) - 1|.

    The original's bulk classification, with the sample deviation; studies show it beside the signed form. 0 for fewer
    than two moves or where nothing moved.
    """
    spread = stdev(moves) if len(moves) > 1 else 0.0
    if spread <= 0.0:
        return 0.0
    normal = NormalDist()
    return sum(abs(2 * normal.cdf(move / spread) - 1) for move in moves) / len(moves)
