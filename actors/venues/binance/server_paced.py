"""Streams of a simulated Binance that go by the clock: which they are, and how often the venue sends them.

What happens to a book is sent as it happens (`server_streams.py`); these show how things stand, at a pace of their own.
Source: web-socket-streams.md (2026-07-21), USD-M "Websocket Market Streams", read 2026-07.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from typing import Final

import msgspec

from actors.venues.binance.common import KLINE_INTERVALS_MS
from actors.venues.binance.server_streams import Speller
from actors.vocab.instruments import Market

# The venue sends running candles every 250 ms (USD-M) or 2 s; one pace for all is enough for whoever watches them.
KLINE_PACE_MS: Final = 1_000
_TICKER_PACE_MS: Final = {"spot": 1_000, "perp": 2_000}
_MARKS_PACE_MS: Final = {"!markPrice@arr": 3_000, "!markPrice@arr@1s": 1_000}
_PARTIAL: Final = re.compile(r"depth(5|10|20)(?:@(100|500)ms)?")
_PARTIAL_PACE_MS: Final = {"spot": {"": 1_000, "100": 100}, "perp": {"": 250, "100": 100, "500": 500}}


class Pulse(enum.Enum):
    """What a paced stream shows."""

    PARTIAL = "partial depth"
    TICKER = "ticker"
    MINI_TICKER = "mini ticker"
    AVERAGE = "average price"
    KLINE = "running candle"
    MARKS = "mark prices"


class PacedStream(msgspec.Struct, frozen=True):
    """One paced stream. `symbol` is our name, "" for all; `levels` or `length_ms` where it has some."""

    name: str
    pulse: Pulse
    pace_ms: int
    symbol: str = ""
    levels: int = 0
    length_ms: int = 0


class PacedStreams:
    """Reads stream names. `spellers` is shared with the stream writer and follows its `use`."""

    def __init__(self, market: Market, spellers: Mapping[str, Speller]) -> None:
        self._market = market
        self._spellers = spellers

    def read(self, name: str) -> PacedStream | None:
        """None for streams that go by events, and for those that are not simulated."""
        market = self._market
        if name.startswith("!"):
            return self._of_all(name)
        stream, _, suffix = name.partition("@")
        symbol = next((each.instrument.symbol for each in self._spellers.values() if each.stream == stream), "")
        if not symbol:
            return None
        partial = _PARTIAL.fullmatch(suffix)
        if partial:
            pace_ms = _PARTIAL_PACE_MS[market].get(partial[2] or "")
            return PacedStream(name, Pulse.PARTIAL, pace_ms, symbol, levels=int(partial[1])) if pace_ms else None
        if suffix.startswith("kline_"):
            length_ms = KLINE_INTERVALS_MS.get(suffix.removeprefix("kline_"), 0)
            if not length_ms or (market == "perp" and length_ms < 60_000):
                return None
            return PacedStream(name, Pulse.KLINE, KLINE_PACE_MS, symbol, length_ms=length_ms)
        pulse = {"ticker": Pulse.TICKER, "miniTicker": Pulse.MINI_TICKER}.get(suffix)
        if pulse is not None:
            return PacedStream(name, pulse, _TICKER_PACE_MS[market], symbol)
        if suffix == "avgPrice" and market == "spot":
            return PacedStream(name, Pulse.AVERAGE, 1_000, symbol)
        return None

    def _of_all(self, name: str) -> PacedStream | None:
        if name == "!miniTicker@arr":
            return PacedStream(name, Pulse.MINI_TICKER, 1_000)
        if self._market == "spot":
            return None
        if name == "!ticker@arr":
            return PacedStream(name, Pulse.TICKER, 1_000)
        pace_ms = _MARKS_PACE_MS.get(name)
        return PacedStream(name, Pulse.MARKS, pace_ms) if pace_ms else None
