"""Order-flow imbalance: what was added to and taken from the best bid and ask."""

from __future__ import annotations

import math

from actors.vocab.market import Level
from actors.vocab.units import NS_PER_S


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


class OrderFlowWatch:
    """The same as a share of all that was added and taken, exponentially weighted: in [-1, 1], above 0 for buyers.

    Warm-up: events worth `EVENTS_HALF` count half. Stale: both sums fade alike over `mean_s`, and what little is left
    counts less and less, so silence returns to 0. Neutral: 0. The imbalance moves with the price of the same moment;
    what it says of the next one is little.
    """

    __slots__ = ("_ask", "_at_ns", "_bid", "_events", "_gross", "_mean_ns", "_net")

    EVENTS_HALF = 10.0

    def __init__(self, *, mean_s: float = 10.0) -> None:
        self._mean_ns = mean_s * NS_PER_S
        self._at_ns = 0  # moment for which the sums hold
        self._bid: Level | None = None  # None: nothing to compare with
        self._ask: Level | None = None
        self._net = self._gross = self._events = 0.0

    def update(self, bid: Level, ask: Level, now_ns: int) -> None:
        """Take the top of a good book; one that is the same as the last is no event."""
        last_bid, last_ask = self._bid, self._ask
        if bid == last_bid and ask == last_ask:
            return
        self._fade(now_ns)
        if last_bid is not None and last_ask is not None:
            bought = (bid[1] if bid[0] >= last_bid[0] else 0) - (last_bid[1] if bid[0] <= last_bid[0] else 0)
            sold = (ask[1] if ask[0] <= last_ask[0] else 0) - (last_ask[1] if ask[0] >= last_ask[0] else 0)
            self._net += bought - sold
            self._gross += abs(bought) + abs(sold)
            self._events += 1.0
        self._bid, self._ask = bid, ask

    def skip_gap(self) -> None:
        """The change over a hole in the data is no event."""
        self._bid = self._ask = None

    def share(self, now_ns: int) -> float:
        """In [-1, 1]; 0 while nothing is known."""
        self._fade(now_ns)
        if self._gross <= 0.0:
            return 0.0
        return self._net / self._gross * self._events / (self._events + self.EVENTS_HALF)

    def _fade(self, now_ns: int) -> None:
        if now_ns > self._at_ns:
            keep = math.exp((self._at_ns - now_ns) / self._mean_ns)
            self._net *= keep
            self._gross *= keep
            self._events *= keep
            self._at_ns = now_ns
