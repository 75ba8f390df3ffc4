"""Checks that know nothing of models, wallets or risk: price near the reference, size sane, no fill storm.

They stand between a mad quote engine and the venue; every answer is a reason as an operator would read it, empty
when the order may pass.
"""

from __future__ import annotations

from collections import deque

from actors.vocab.config.gateway import GatewaySettings
from actors.vocab.instruments import Instrument
from actors.vocab.market import BookState, Marks, Side
from actors.vocab.units import NS_PER_MS, NS_PER_S


class Collar:
    """Reference prices and fill counts of one account."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._settings = settings
        # symbol -> (reference price in ticks, received_ns)
        self._reference: dict[str, tuple[float, int]] = {}
        # (symbol, side) -> times of its last fills, at most fills_per_side_max + 1 of them
        self._fills: dict[tuple[str, Side], deque[int]] = {}
        # sides with too many fills -> when they may be used again
        self._halted_until_ns: dict[tuple[str, Side], int] = {}

    def on_marks(self, marks: Marks, now_ns: int) -> None:
        """Take the newest references. Age counts from receipt: a quiet book is as good as a busy one."""
        for mark in marks.marks:
            usable = mark.state in (BookState.OK, BookState.PARTIAL) and 0 < mark.bid_ticks < mark.ask_ticks
            price = mark.mid_ticks if usable else mark.mark_ticks
            if price > 0:
                self._reference[mark.symbol] = (price, now_ns)

    def on_fill(self, symbol: str, side: Side, now_ns: int) -> bool:
        """Count a fill; True when this one halts the side, for one window from now."""
        window_ns = int(self._settings.fills_window_s * NS_PER_S)
        times = self._fills.setdefault((symbol, side), deque(maxlen=self._settings.fills_per_side_max + 1))
        times.append(now_ns)
        if len(times) <= self._settings.fills_per_side_max or times[0] <= now_ns - window_ns:
            return False
        new = now_ns >= self._halted_until_ns.get((symbol, side), 0)
        self._halted_until_ns[(symbol, side)] = now_ns + window_ns
        return new

    def reference_ticks(self, symbol: str, now_ns: int) -> float:
        """Return the reference price; 0.0 when there is none young enough."""
        price, received_ns = self._reference.get(symbol, (0.0, 0))
        return price if now_ns - received_ns <= self._settings.marks_age_ms_max * NS_PER_MS else 0.0

    def refusal(self, instrument: Instrument, side: Side, price_ticks: int, lots: int, now_ns: int) -> str:
        """Return why this order may not be written; empty when it may."""
        settings = self._settings
        if lots <= 0 or price_ticks <= 0:
            return f"price {price_ticks} ticks and size {lots} lots must be positive"
        notional_usd = instrument.notional_usd(price_ticks, lots)
        if notional_usd > settings.order_usd_max:
            return f"collar: order of {notional_usd:.0f} USD above {settings.order_usd_max:.0f}"
        reference = self.reference_ticks(instrument.symbol, now_ns)
        if not reference:
            return "collar: no reference price"
        distance_bps = abs(price_ticks - reference) / reference * 1e4
        if distance_bps > settings.collar_bps:
            return f"collar: {distance_bps:.0f} bps from the reference price, above {settings.collar_bps:.0f}"
        if now_ns < self._halted_until_ns.get((instrument.symbol, side), 0):
            return f"collar: more than {settings.fills_per_side_max} fills in {settings.fills_window_s:g} s"
        return ""
