"""How many orders may still be sent: changes never more than the rate in any minute, missing sides twice as many.

Binance allows 1 200 new orders a minute on a futures account: about 22 a symbol at fifty symbols, for places and
replaces alike (cancels are free); risk moves the rates to who needs them (`risk/order_budgets.py`). Fills come in
clusters and each costs two orders, so what is needed may go at once; `reconcile.HOLD_BACK_*` keeps orders for it. What
is missing may go beyond the rate: few symbols need that at once, and the gateway, which keeps the account's count,
leaves a part of it to missing orders (`gateway/pacer.py`). Changes alone are metered: the venue counts ten seconds as
well, and a fleet whose quotes all follow one move of the market would fill that count.
"""

from __future__ import annotations

from collections import deque

from actors.vocab.units import NS_PER_S

MINUTE_NS = 60 * NS_PER_S
MISSING_TIMES = 2  # the rate: so many orders a minute, changes included, leave room for a missing side
SPELL_NS = 10 * NS_PER_S
SPELL_SHARE = 0.2  # of a minute's orders; a sixth would be even. Of USD-M's 1 200 a minute, 300 may go in ten seconds


class OrderBudget:
    __slots__ = ("_needed_ns", "_now_ns", "_sent_ns", "orders_per_min", "short")

    def __init__(self) -> None:
        self.orders_per_min = 0
        self.short = False  # a needed order was held back, or the next would be; whoever tells it clears it
        self._now_ns = 0
        self._sent_ns: deque[int] = deque()  # orders of the last minute, oldest first
        self._needed_ns: deque[int] = deque()  # those of them that did more than move a quote back

    def set_rate(self, orders_per_min: int, now_ns: int) -> None:
        """Orders of the last minute count against the new rate as they did against the old one."""
        self.orders_per_min = max(0, orders_per_min)
        self.refill(now_ns)

    def refill(self, now_ns: int) -> int:
        """Return the changes that may be sent now."""
        self._now_ns = max(self._now_ns, now_ns)
        since_ns = self._now_ns - MINUTE_NS
        for stamps in (self._sent_ns, self._needed_ns):
            while stamps and stamps[0] <= since_ns:
                stamps.popleft()
        return self.left

    @property
    def left(self) -> int:
        """The same, as of the last refill."""
        return max(0, self.orders_per_min - len(self._sent_ns))

    @property
    def may_place(self) -> bool:
        """Whether an order may go that is missing, or whose size or price is dangerous."""
        return len(self._sent_ns) < MISSING_TIMES * self.orders_per_min

    @property
    def may_change(self) -> bool:
        """Whether this spell has room for an order that moves a live quote."""
        since_ns, spell = self._now_ns - SPELL_NS, 0
        for stamp_ns in reversed(self._sent_ns):
            if stamp_ns <= since_ns:
                break
            spell += 1
        return spell < max(1.0, self.orders_per_min * SPELL_SHARE)

    def take(self, *, needed: bool = False) -> None:
        """One order was sent, at the moment of the last refill. `needed`: not only to move a quote back."""
        self._sent_ns.append(self._now_ns)
        if needed:
            self._needed_ns.append(self._now_ns)
            # The next fill would find nothing: told before it comes.
            self.short = self.short or self.left < 1

    def give_back(self, sent_ns: int) -> None:
        """The order of that moment was not written after all."""
        for stamps in (self._sent_ns, self._needed_ns):
            if sent_ns in stamps:
                stamps.remove(sent_ns)

    def needed_count(self, now_ns: int) -> int:
        """Needed orders of the last minute."""
        self.refill(now_ns)
        return len(self._needed_ns)

    @property
    def scarcity(self) -> float:
        """1 with nothing sent, more as less is left: what a small improvement is multiplied by to be worth an order."""
        return self.orders_per_min / max(1, self.left) if self.orders_per_min else 1.0
