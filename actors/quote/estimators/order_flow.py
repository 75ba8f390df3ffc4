"""Order-flow imbalance: what was added to and taken from the best bid and ask."""

from __future__ import annotations


class OrderFlowImbalance:
    """Running sum of signed top-of-book events, in lots.

    Source: Cont, Kukanov and Stoikov 2014, e_n with weak inequalities (an unchanged price counts on both sides,
    so that only the change of size remains).
    """

    __slots__ = ("_ask_lots", "_ask_ticks", "_bid_lots", "_bid_ticks", "_started", "total_lots")

    def __init__(self) -> None:
        self._started = False
        self._bid_ticks = self._bid_lots = self._ask_ticks = self._ask_lots = 0.0
        self.total_lots = 0.0

    def update(self, bid_ticks: float, bid_lots: float, ask_ticks: float, ask_lots: float) -> float:
        """Return e_n of this change of the top; 0 for the first top seen."""
        event = 0.0
        if self._started:
            if bid_ticks >= self._bid_ticks:
                event += bid_lots
            if bid_ticks <= self._bid_ticks:
                event -= self._bid_lots
            if ask_ticks <= self._ask_ticks:
                event -= ask_lots
            if ask_ticks >= self._ask_ticks:
                event += self._ask_lots
        self._started = True
        self._bid_ticks, self._bid_lots = bid_ticks, bid_lots
        self._ask_ticks, self._ask_lots = ask_ticks, ask_lots
        self.total_lots += event
        return event

    def take(self) -> float:
        """Return the sum since the last call and start again at 0."""
        total, self.total_lots = self.total_lots, 0.0
        return total
