"""Small events of one made-up instrument, a dialect that hands events through, and engines fed with them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, cast

from actors.feed.engine import FeedEngine
from actors.feed.messages import ConnectionUp, FeedCommand, Publish
from actors.venues.dialect import MarketDialect
from actors.vocab.config.feed import FeedSettings
from actors.vocab.errors import VenueFault
from actors.vocab.instruments import Instrument
from actors.vocab.market import BookUpdate, Level, Side
from actors.vocab.units import NS_PER_MS
from actors.vocab.venue_io import DepthDelta, DepthSnapshot, MarketEvent, PublicTrade, TopOfBook

SYMBOL = "BTCUSDT"
CONNECTION = "public"
MS = NS_PER_MS


def instrument(symbol: str = SYMBOL, *, venue: str = "binance_perp", **changes: str) -> Instrument:
    market = "perp" if venue.endswith("perp") else "spot"
    steps = {"tick_size": "0.1", "lot_size": "0.001"} | changes
    return Instrument(
        symbol=symbol,
        venue=venue,
        market=cast("Any", market),
        venue_symbol=symbol,
        base=symbol.removesuffix("USDT"),
        quote="USDT",
        **steps,
    )


def delta(
    first: int,
    last: int,
    *,
    prev: int = -1,
    bids: Sequence[Level] = (),
    asks: Sequence[Level] = (),
    symbol: str = SYMBOL,
    event_ns: int = 0,
) -> DepthDelta:
    return DepthDelta(symbol, first, last, prev, event_ns, list(bids), list(asks))


def snapshot(
    last: int, bids: Sequence[Level] = ((100, 5),), asks: Sequence[Level] = ((110, 5),), *, symbol: str = SYMBOL
) -> DepthSnapshot:
    return DepthSnapshot(symbol, last, list(bids), list(asks))


def top(
    seq: int, bid: Level = (100, 5), ask: Level = (110, 5), *, symbol: str = SYMBOL, event_ns: int = 0
) -> TopOfBook:
    return TopOfBook(symbol, seq, event_ns, bid[0], bid[1], ask[0], ask[1])


def trade(
    trade_id: int, price: int = 100, lots: int = 1, side: Side = Side.BUY, *, symbol: str = SYMBOL
) -> PublicTrade:
    return PublicTrade(symbol, trade_id, 0, side, price, lots)


class HandedThrough:
    """A dialect whose frames are events already: `on_frame` may be given them as they are."""

    def __init__(self) -> None:
        self.used: list[tuple[Instrument, ...]] = []

    def use(self, instruments: Sequence[Instrument]) -> None:
        self.used.append(tuple(instruments))

    def decode(self, frame: object) -> MarketEvent | None:
        if frame == "unreadable":
            raise VenueFault("no JSON")
        return cast("MarketEvent | None", None if frame == "foreign" else frame)


class Desk:
    """An engine with its connection up, and a clock of milliseconds."""

    def __init__(
        self, *symbols: str, venue: str = "binance_perp", connected: bool = True, seed: int = 7, **settings: Any
    ) -> None:
        self.symbols = symbols or (SYMBOL,)
        self.dialect = HandedThrough()
        self.engine = FeedEngine(
            venue=venue,
            dialect=cast("MarketDialect", self.dialect),
            instruments=[instrument(symbol, venue=venue) for symbol in self.symbols],
            settings=FeedSettings(**settings),
            rng=random.Random(seed),
        )
        self.now_ms = 1_000
        if connected:
            self.handle(ConnectionUp(CONNECTION, self.symbols))

    @property
    def now_ns(self) -> int:
        return self.now_ms * MS

    def frame(self, event: object, *, connection: str = CONNECTION) -> list[FeedCommand]:
        return list(self.engine.on_frame(connection, cast("bytes", event), self.now_ns))

    def handle(self, event: Any) -> list[FeedCommand]:
        return self.engine.handle(event, self.now_ns)

    def later(self, ms: int) -> Desk:
        self.now_ms += ms
        return self

    def updates(self) -> list[BookUpdate]:
        return [command.update for command in self.engine.flush(self.now_ns)]


def published(commands: Sequence[FeedCommand]) -> list[BookUpdate]:
    return [command.update for command in commands if isinstance(command, Publish)]
