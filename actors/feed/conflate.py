"""What happened to one symbol since its last update: merged, counted, never queued.

State (the book) needs no merging: only the newest matters. Flow (trades) is summed, so that nothing is lost, and the
stamps are those of the *oldest* frame, so that waiting cannot hide.
"""

from __future__ import annotations

from typing import Final

from actors.vocab.market import NO_TRADES, Side, TradeFlow
from actors.vocab.units import NS_PER_S

# A larger distance is no lag but a recording played at another time.
LAG_NS_MAX: Final = 60 * NS_PER_S


class Pending:
    """Accumulates between two updates of one symbol. Bounded: a few numbers, however many frames come."""

    __slots__ = (
        "_buy_lots",
        "_buys_count",
        "_high_ticks",
        "_last_ticks",
        "_low_ticks",
        "_sell_lots",
        "_sells_count",
        "event_ns",
        "frames_count",
        "oldest_event_ns",
        "oldest_event_recv_ns",
        "oldest_recv_ns",
    )

    def __init__(self) -> None:
        self.event_ns = 0  # newest stamp of the venue; survives `clear`, as the state that it dates does
        self.clear()

    def clear(self) -> None:
        self.frames_count = 0
        self.oldest_recv_ns = 0
        self.oldest_event_ns = 0  # venue's stamp of the oldest frame that has one, and when that frame came
        self.oldest_event_recv_ns = 0
        self._buys_count = self._sells_count = 0
        self._buy_lots = self._sell_lots = 0
        self._low_ticks = self._high_ticks = self._last_ticks = 0

    def frame(self, recv_ns: int, event_ns: int) -> None:
        """Count one frame that changed something. `event_ns` 0: it has no stamp."""
        if event_ns > self.event_ns:
            self.event_ns = event_ns
        if not self.frames_count:
            self.oldest_recv_ns = recv_ns
        if event_ns and not self.oldest_event_ns:
            self.oldest_event_ns = event_ns
            self.oldest_event_recv_ns = recv_ns
        self.frames_count += 1

    def trade(self, side: Side, price_ticks: int, lots: int) -> None:
        if side > 0:
            self._buys_count += 1
            self._buy_lots += lots
        else:
            self._sells_count += 1
            self._sell_lots += lots
        if not self._last_ticks or price_ticks < self._low_ticks:
            self._low_ticks = price_ticks
        if price_ticks > self._high_ticks:
            self._high_ticks = price_ticks
        self._last_ticks = price_ticks

    @property
    def trades(self) -> TradeFlow:
        if not self._last_ticks:
            return NO_TRADES
        return TradeFlow(
            buys_count=self._buys_count,
            sells_count=self._sells_count,
            buy_lots=self._buy_lots,
            sell_lots=self._sell_lots,
            low_ticks=self._low_ticks,
            high_ticks=self._high_ticks,
            last_ticks=self._last_ticks,
        )

    def lag_us(self, wall_offset_ns: int) -> int:
        """Venue's stamp to our receipt, of the oldest stamped frame; 0 where none had a stamp of our days."""
        if not self.oldest_event_ns:
            return 0
        lag_ns = self.oldest_event_recv_ns + wall_offset_ns - self.oldest_event_ns
        return lag_ns // 1_000 if abs(lag_ns) < LAG_NS_MAX else 0
