"""Order counts of one account in windows aligned to the venue's clock, as Binance documents them.

Source: exchangeInfo `rateLimits` of USD-M (300 per 10 s, 1 200 per minute) and spot (50 per 10 s, 160 000 per day),
read 2026-07.
A place and a replace count one each; cancels and queries are free.
"""

from __future__ import annotations

import msgspec

from actors.vocab.instruments import Market
from actors.vocab.message import Record
from actors.vocab.units import NS_PER_MS, NS_PER_S
from actors.vocab.venue_io import RateUsage

# (seconds, orders, the venue's word)
WINDOWS: dict[Market, tuple[tuple[int, int, str], ...]] = {
    "perp": ((10, 300, "TEN_SECONDS"), (60, 1_200, "MINUTE")),
    "spot": ((10, 50, "TEN_SECONDS"), (86_400, 160_000, "DAY")),
}


class Full(Record, frozen=True):
    """Which limit was passed, and when it opens again."""

    text: str
    retry_after_ms: int


class _Window(msgspec.Struct):
    span_ns: int
    limit: int
    word: str
    slot: int = -1
    used: int = 0


class OrderLimits:
    """Counts; a refused order counts too, as at the venue."""

    def __init__(self, market: Market) -> None:
        self._windows = [_Window(span_s * NS_PER_S, limit, word) for span_s, limit, word in WINDOWS[market]]

    def take(self, now_ns: int) -> Full | None:
        """Count one order; not None when it is one too many."""
        full = None
        for window in self._windows:
            self._turn(window, now_ns)
            window.used += 1
            if window.used > window.limit and full is None:
                left_ns = window.span_ns - now_ns % window.span_ns
                text = f"Too many new orders; current limit is {window.limit} orders per {window.word}."
                full = Full(text, -(-left_ns // NS_PER_MS))
        return full

    def usage(self, now_ns: int) -> RateUsage:
        used = {}
        for window in self._windows:
            self._turn(window, now_ns)
            used[window.span_ns // NS_PER_S] = window.used
        return RateUsage(orders_10s=used.get(10, -1), orders_1m=used.get(60, -1), orders_1d=used.get(86_400, -1))

    def _turn(self, window: _Window, now_ns: int) -> None:
        slot = now_ns // window.span_ns
        if slot != window.slot:
            window.slot, window.used = slot, 0
