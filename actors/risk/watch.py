"""How far a price moved inside a window, in constant time and memory."""

from __future__ import annotations

from collections import deque

from actors.risk.limits import move_pct

BUCKETS_COUNT = 20  # the window moves in steps of a twentieth


class PriceWindow:
    """Lowest and highest price of the last `window_ns`, rounded up to whole buckets."""

    __slots__ = ("_bucket_ns", "_buckets", "_high", "_low", "_next_ns", "_old_high", "_old_low")

    def __init__(self, window_ns: int) -> None:
        self._bucket_ns = max(1, window_ns // BUCKETS_COUNT)
        self._buckets: deque[tuple[float, float]] = deque(maxlen=BUCKETS_COUNT)  # (low, high), oldest first
        self._low = self._high = 0.0  # of the bucket being filled; 0.0: it is empty
        self._old_low = self._old_high = 0.0  # of all full buckets
        self._next_ns = 0

    def move_pct(self, price: float, now_ns: int) -> float:
        """Take a price, return its move against the window, in percent."""
        if now_ns >= self._next_ns:
            self._roll(now_ns)
        if not self._low:
            self._low = self._high = price
        elif price < self._low:
            self._low = price
        elif price > self._high:
            self._high = price
        low, high = self._low, self._high
        if self._old_low:
            low, high = min(low, self._old_low), max(high, self._old_high)
        return move_pct(price=price, low=low, high=high)

    def _roll(self, now_ns: int) -> None:
        missed = (now_ns - self._next_ns) // self._bucket_ns if self._next_ns else 0
        if self._low:
            self._buckets.append((self._low, self._high))
        for _ in range(min(missed, BUCKETS_COUNT)):  # silence ages the window too
            if self._buckets:
                self._buckets.popleft()
        self._low = self._high = 0.0
        self._old_low = min((low for low, _ in self._buckets), default=0.0)
        self._old_high = max((high for _, high in self._buckets), default=0.0)
        self._next_ns = now_ns + self._bucket_ns
