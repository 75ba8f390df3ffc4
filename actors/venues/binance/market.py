"""Binance public market data, client role: what to subscribe, and frames to events.

`decode` is the hottest function of a feed. It finds the kind of a combined-stream frame by its name, decodes exactly
the fields needed into structs, and turns decimal text into ticks and lots by exact caches (`StepCache`): a book shows
the same few thousand texts again and again, so a look-up beats both float and Decimal arithmetic and cannot round.

Source: web-socket-streams.md (2026-07-21); USD-M "Websocket Market Streams" and change notice of 2026-03-06.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from actors.venues.binance.common import PATHS, UNREADABLE, Book, SymbolMap, depth_limit, interval_ms, market_of
from actors.venues.binance.frames import (
    Pairs,
    Probe,
    read_agg_trade,
    read_candles,
    read_depth,
    read_kline,
    read_liquidation,
    read_mark,
    read_partial,
    read_probe,
    read_snapshot,
    read_top,
    read_trade,
    read_wrapped,
)
from actors.venues.binance.metadata import decode_exchange_info
from actors.venues.dialect import HttpRequest, StreamPlan
from actors.vocab.errors import VenueFault
from actors.vocab.instruments import Instrument
from actors.vocab.market import Kline, Side
from actors.vocab.units import NS_PER_MS
from actors.vocab.venue_io import (
    DepthDelta,
    DepthSnapshot,
    KlineEvent,
    Liquidation,
    MarketEvent,
    MarkPrice,
    PartialDepth,
    PublicTrade,
    StreamNotice,
    TopOfBook,
)

STREAMS: Final = {
    "perp": ("depth@100ms", "bookTicker", "aggTrade", "markPrice@1s", "forceOrder"),
    "spot": ("depth@100ms", "bookTicker", "trade"),
}
# The other USD-M streams live on /market. The raw trade stream is not in the manual; clients that follow the venue
# closely (ccxt 4.5) ask for it here.
PUBLIC_ROUTE: Final = ("depth", "bookTicker", "rpiDepth", "trade")

STREAMS_PER_CONNECTION_MAX: Final = 1024
PARAMS_PER_FRAME: Final = 100
# The venue takes 5 (spot) and 10 (USD-M) frames a second, pongs included: leave room for those.
FRAME_INTERVAL_MS: Final = {"spot": 250, "perp": 125}
MAX_AGE_S: Final = 23.5 * 3600  # the venue hangs up at 24 h

_Reader = Callable[[Book, bytes], MarketEvent | None]

_BUY: Final = Side.BUY  # an enum member costs two look-ups each time
_SELL: Final = Side.SELL


class BinanceMarket:
    """`MarketDialect` of "binance_perp" or "binance_spot".

    `streams` replaces the usual stream suffixes (`STREAMS`), as a replay of a recording with others needs it.
    """

    def __init__(
        self, venue: str, instruments: Sequence[Instrument] = (), *, streams: Sequence[str] | None = None
    ) -> None:
        self.venue = venue
        self._market = market_of(venue)
        self._paths = PATHS[self._market]
        self._streams = tuple(streams if streams is not None else STREAMS[self._market])
        self._map = SymbolMap(venue, instruments)
        self._books = self._map.books
        # What the combined frames of a stream begin with -> how to read them, and whose they are; holds the streams
        # of our symbols that have spoken. Recorded and live frames are spelled without a space.
        self._known: dict[bytes, tuple[_Reader, Book]] = {}
        self._by_channel: dict[str, _Reader] = {
            "bookTicker": self._on_top,
            "trade": self._on_trade,
            "aggTrade": self._on_agg_trade,
            "markPrice": self._on_mark,
            "forceOrder": self._on_liquidation,
            "kline": self._on_kline,
        }
        # "e" of frames without a stream name -> the same readers; a raw partial depth cannot be told from a diff.
        self._by_type: dict[str, _Reader] = {
            "depthUpdate": self._on_diff_depth,
            "bookTicker": self._on_top,
            "trade": self._on_trade,
            "aggTrade": self._on_agg_trade,
            "markPriceUpdate": self._on_mark,
            "forceOrder": self._on_liquidation,
            "kline": self._on_kline,
        }

    # --- REST ---------------------------------------------------------------------------------------------------

    def use(self, instruments: Sequence[Instrument]) -> None:
        self._map.use(instruments)
        self._known.clear()

    def instruments_request(self) -> HttpRequest:
        if self._market == "perp":
            return HttpRequest("GET", self._paths.exchange_info, weight=1)
        # Permission sets are nine tenths of the spot answer and nothing here reads them.
        return HttpRequest("GET", f"{self._paths.exchange_info}?showPermissionSets=false", weight=20)

    def decode_instruments(self, body: bytes, symbols: Sequence[str]) -> list[Instrument]:
        return decode_exchange_info(self.venue, body, symbols)

    def snapshot_request(self, symbol: str, levels: int) -> HttpRequest:
        limit, weight = depth_limit(self._market, levels)
        name = self._map.instrument(symbol).venue_symbol
        return HttpRequest("GET", f"{self._paths.depth}?symbol={name}&limit={limit}", weight=weight)

    def decode_snapshot(self, symbol: str, body: bytes) -> DepthSnapshot:
        book = self._map.book(self._map.instrument(symbol).venue_symbol)
        try:
            data = read_snapshot(body)
        except UNREADABLE as error:
            raise VenueFault(f"{self.venue} {symbol}: depth snapshot is not readable: {error}") from error
        ticks, lots = book.ticks, book.public_lots
        return DepthSnapshot(
            symbol,
            data.lastUpdateId,
            [(ticks[p], lots[q]) for p, q in data.bids],
            [(ticks[p], lots[q]) for p, q in data.asks],
        )

    def klines_request(self, symbol: str, interval: str, count: int) -> HttpRequest:
        interval_ms(interval)
        name = self._map.instrument(symbol).venue_symbol
        # One more than wanted: the newest candle is still open and will be dropped.
        limit = min(count + 1, 1000)
        weight = 2 if self._market == "spot" else (1 if limit < 100 else 2 if limit < 500 else 5)
        return HttpRequest(
            "GET", f"{self._paths.klines}?symbol={name}&interval={interval}&limit={limit}", weight=weight
        )

    def decode_klines(self, symbol: str, body: bytes) -> list[Kline]:
        """Closed candles, oldest first: the last row is the running one and is left out."""
        book = self._map.book(self._map.instrument(symbol).venue_symbol)
        try:
            rows = read_candles(body)
        except UNREADABLE as error:
            raise VenueFault(f"{self.venue} {symbol}: klines are not readable: {error}") from error
        return [
            Kline(
                open_ms=row[0],
                close_ms=row[6],
                open_ticks=book.nearest_ticks(row[1]),
                high_ticks=book.nearest_ticks(row[2]),
                low_ticks=book.nearest_ticks(row[3]),
                close_ticks=book.nearest_ticks(row[4]),
                lots=book.whole_lots(row[5]),
                trades_count=row[8],
            )
            for row in rows[:-1]
        ]

    # --- streams ------------------------------------------------------------------------------------------------

    def plan(self, symbols: Sequence[str], stream_url: str) -> list[StreamPlan]:
        """One connection per route and 1024 streams. `stream_url` is scheme, host and an optional path prefix."""
        plans: list[StreamPlan] = []
        for route, suffixes in self._routes():
            per_connection = STREAMS_PER_CONNECTION_MAX // len(suffixes)
            for first in range(0, len(symbols), per_connection):
                part = tuple(symbols[first : first + per_connection])
                plans.append(self._plan(route, suffixes, part, first // per_connection, stream_url.rstrip("/")))
        return plans

    def _routes(self) -> list[tuple[str, tuple[str, ...]]]:
        if self._market == "spot":
            routes = [("", self._streams)]
        else:
            public = tuple(item for item in self._streams if item.startswith(PUBLIC_ROUTE))
            other = tuple(item for item in self._streams if item not in public)
            routes = [("public", public), ("market", other)]
        return [(route, suffixes) for route, suffixes in routes if suffixes]

    def _plan(
        self, route: str, suffixes: tuple[str, ...], symbols: tuple[str, ...], number: int, stream_url: str
    ) -> StreamPlan:
        names = [
            f"{self._map.instrument(symbol).venue_symbol.lower()}@{suffix}" for symbol in symbols for suffix in suffixes
        ]
        frames = tuple(
            msgspec.json.encode(
                {"method": "SUBSCRIBE", "params": names[first : first + PARAMS_PER_FRAME], "id": frame_no}
            ).decode()
            for frame_no, first in enumerate(range(0, len(names), PARAMS_PER_FRAME), start=1)
        )
        return StreamPlan(
            name=f"{self.venue}:{route or 'stream'}:{number}",
            url=f"{stream_url}/{route}/stream" if route else f"{stream_url}/stream",
            subscribe_frames=frames,
            symbols=symbols,
            frame_interval_ms=FRAME_INTERVAL_MS[self._market],
            max_age_s=MAX_AGE_S,
        )

    # --- frames -------------------------------------------------------------------------------------------------

    def decode(self, frame: bytes | str) -> MarketEvent | None:
        """One event per frame; None for symbols and kinds that we did not ask for.

        `VenueFault` when the frame is unreadable or a price is off the instrument's grid. Sizes: see `PublicSizes`.
        """
        if isinstance(frame, str):
            frame = frame.encode()
        try:
            known = self._known.get(frame.partition(b'",')[0])
            if known is None:
                return self._decode_other(frame)
            read, book = known
            return read(book, frame)
        except UNREADABLE as error:
            raise VenueFault(f"{self.venue}: frame is not readable: {error}: {frame[:200]!r}") from error

    def _decode_other(self, frame: bytes) -> MarketEvent | None:
        """First frames of a stream, raw frames, combined frames of unusual spelling, frames about the connection."""
        probe = read_probe(frame)
        if probe.stream:
            return self._by_stream(probe.stream, frame)
        # Spot's book tickers carry no type.
        kind = probe.e or ("bookTicker" if probe.u >= 0 and probe.B else "")
        reader = self._by_type.get(kind)
        if reader is None:
            return self._notice(probe, frame)
        wrapped = b'{"data":%s}' % frame
        book = self._books.get(probe.s or read_liquidation(wrapped).data.o.s)
        return reader(book, wrapped) if book is not None else None

    def _by_stream(self, stream: str, frame: bytes) -> MarketEvent | None:
        """A combined frame. Streams of one symbol of ours are known from now on; others tell their symbol inside."""
        name, _, channel = stream.partition("@")
        book = self._books.get(name.upper())
        reader = self._reader_of(channel)
        if book is None or reader is None:
            return self._decode_other(bytes(read_wrapped(frame).data))
        self._known[b'{"stream":"%s' % stream.encode()] = reader, book
        return reader(book, frame)

    def _reader_of(self, channel: str) -> _Reader | None:
        """`depth…` is a diff, `depth5|10|20…` a whole top, and both have the same fields on USD-M."""
        if channel.startswith("depth"):
            return self._on_partial if channel[5:6].isdigit() else self._on_diff_depth
        return self._by_channel.get(channel.partition("@")[0].partition("_")[0])

    def _notice(self, probe: Probe, frame: bytes) -> MarketEvent | None:
        number = probe.id if isinstance(probe.id, int) else 0
        if probe.e == "serverShutdown":
            return StreamNotice("shutdown", 0, "the venue announces a restart")
        if probe.error is not None:
            return StreamNotice("error", number, f"{probe.error.code} {probe.error.msg}")
        if probe.code or probe.msg:
            return StreamNotice("error", number, f"{probe.code} {probe.msg}")
        if probe.result:
            return StreamNotice("subscribed", number, bytes(probe.result).decode())
        if probe.lastUpdateId >= 0:
            raise VenueFault(f"{self.venue}: a partial depth without its stream name has no symbol")
        if probe.e:
            return None
        return StreamNotice("other", number, frame[:200].decode("utf-8", "replace"))

    def _on_diff_depth(self, book: Book, frame: bytes) -> DepthDelta:
        data = read_depth(frame).data
        ticks, lots = book.ticks, book.public_lots
        return DepthDelta(
            book.symbol,
            data.U,
            data.u,
            data.pu,
            data.E * NS_PER_MS,
            [(ticks[p], lots[q]) for p, q in data.b],
            [(ticks[p], lots[q]) for p, q in data.a],
        )

    def _on_partial(self, book: Book, frame: bytes) -> PartialDepth:
        if self._market == "perp":
            full = read_depth(frame).data
            return PartialDepth(book.symbol, full.u, full.E * NS_PER_MS, _levels(book, full.b), _levels(book, full.a))
        top = read_partial(frame).data
        return PartialDepth(book.symbol, top.lastUpdateId, 0, _levels(book, top.bids), _levels(book, top.asks))

    def _on_top(self, book: Book, frame: bytes) -> TopOfBook:
        data = read_top(frame).data
        ticks, lots = book.ticks, book.public_lots
        return TopOfBook(
            book.symbol,
            data.u,
            data.E * NS_PER_MS,
            ticks[data.b],
            lots[data.B],
            ticks[data.a],
            lots[data.A],
        )

    def _on_trade(self, book: Book, frame: bytes) -> PublicTrade | None:
        data = read_trade(frame).data
        # USD-M also reports insurance fund and ADL deals here ("X"): no taker chose their price.
        if data.X != "MARKET":
            return None
        return PublicTrade(
            book.symbol,
            data.t,
            data.E * NS_PER_MS,
            _SELL if data.m else _BUY,
            book.ticks[data.p],
            book.public_lots[data.q],
        )

    def _on_agg_trade(self, book: Book, frame: bytes) -> PublicTrade:
        data = read_agg_trade(frame).data
        return PublicTrade(
            book.symbol,
            data.a,
            data.E * NS_PER_MS,
            _SELL if data.m else _BUY,
            book.ticks[data.p],
            book.public_lots[data.q],
        )

    def _on_mark(self, book: Book, frame: bytes) -> MarkPrice:
        data = read_mark(frame).data
        tick = book.instrument.tick_float
        try:
            mark, index, rate = float(data.p) / tick, float(data.i) / tick, float(data.r or 0)
        except ValueError as error:
            raise VenueFault(f"{self.venue} {book.symbol}: mark price is no number: {error}") from error
        return MarkPrice(book.symbol, data.E * NS_PER_MS, mark, index, rate, data.T)

    def _on_liquidation(self, book: Book, frame: bytes) -> Liquidation:
        data = read_liquidation(frame).data
        order = data.o
        side = Side.BUY if order.S == "BUY" else Side.SELL
        # The bankruptcy price may lie off the grid; nobody trades on it here.
        return Liquidation(
            book.symbol, data.E * NS_PER_MS, side, book.nearest_ticks(order.p), book.public_lots[order.q]
        )

    def _on_kline(self, book: Book, frame: bytes) -> KlineEvent:
        data = read_kline(frame).data
        k = data.k
        kline = Kline(
            open_ms=k.t,
            close_ms=k.T,
            open_ticks=book.ticks[k.o],
            high_ticks=book.ticks[k.h],
            low_ticks=book.ticks[k.l],
            close_ticks=book.ticks[k.c],
            lots=book.whole_lots(k.v),
            trades_count=k.n,
        )
        return KlineEvent(book.symbol, data.E * NS_PER_MS, k.x, kline)


def _levels(book: Book, pairs: Pairs) -> list[tuple[int, int]]:
    return [(book.ticks[p], book.public_lots[q]) for p, q in pairs]
