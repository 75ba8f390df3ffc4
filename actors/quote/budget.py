"""How many orders may still be sent: a token bucket that never exceeds its rate in any minute.

Binance allows 1 200 new orders a minute on a futures account: 22 a symbol at fifty symbols, for places and replaces
alike (cancels are free). The bucket holds `capacity` and refills with what is left of the minute, so that
capacity + one minute's refill = orders_per_min.
"""

from __future__ import annotations

from actors.vocab.units import NS_PER_S

# A fifth at once: a fill costs two orders (its own side again, the other side leaned), and fills come in clusters.
BURST_SHARE = 0.2


class OrderBudget:
    __slots__ = ("_per_ns", "_updated_ns", "capacity", "orders_per_min", "tokens")

    def __init__(self) -> None:
        self.orders_per_min = 0
        self.capacity = 0.0
        self.tokens = 0.0
        self._per_ns = 0.0
        self._updated_ns = 0

    def set_rate(self, orders_per_min: int, now_ns: int) -> None:
        """Change the rate; what was saved up under the old one stays, as far as the new bucket holds it."""
        if orders_per_min == self.orders_per_min:
            return
        self.refill(now_ns)
        first = self.orders_per_min == 0
        self.orders_per_min = max(0, orders_per_min)
        rate = float(self.orders_per_min)
        self.capacity = min(rate, max(1.0, min(max(2.0, rate * BURST_SHARE), rate / 2)))
        # At one order a minute nothing would be left to refill with; one in two minutes keeps it alive.
        self._per_ns = max(rate - self.capacity, rate / 2) / (60 * NS_PER_S)
        self.tokens = self.capacity if first else min(self.tokens, self.capacity)

    def refill(self, now_ns: int) -> float:
        """Return the orders that may be sent now."""
        gap_ns = now_ns - self._updated_ns
        if gap_ns > 0:
            self._updated_ns = now_ns
            self.tokens = min(self.capacity, self.tokens + gap_ns * self._per_ns)
        return self.tokens

    def take(self) -> None:
        """One order was sent."""
        self.tokens -= 1.0

    @property
    def scarcity(self) -> float:
        """1 with a full bucket, more as it empties: what a small improvement must be multiplied by to be worth it."""
        return self.capacity / max(1.0, self.tokens) if self.capacity > 0 else 1.0
