"""How one-sided the takers are, from the aggressor sides of public trades.

Toxic flow is |buys - sells| / (buys + sells), exponentially weighted: the signed-trade form of VPIN, shrunk toward 0
while few trades, or a few large ones among many small, make up the flow: n trades of equal size and random side show
an imbalance of about 1/sqrt(n) that means nothing.
"""

from __future__ import annotations

import math

from actors.vocab.market import TradeFlow
from actors.vocab.units import NS_PER_S

FLOW_MEAN_S = 60.0  # memory of the trade flow
FLOW_TRADES_HALF = 10.0  # effective trades at which the imbalance counts half


class TradeFlowWatch:
    """Exponentially weighted buys and sells, in lots."""

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
