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

from actors.venues.binance.common import PATHS, Book, SymbolMap, depth_limit, interval_ms, market_of
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

# Combined frames begin with the stream name; recorded and live ones are spelled without a space.
_HEAD: Final = b'{"stream":"'
_HEAD_SIZE: Final = len(_HEAD)

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
        # First letters after the "@" of a stream name -> reader of the combined frame. Two letters suffice to tell the
        # kinds apart; `depth` needs a second look, see `_on_depth`.
        self._by_name: dict[bytes, Callable[[bytes], MarketEvent | None]] = {
            b"de": self._on_depth,
            b"bo": self._on_top,
            b"tr": self._on_trade,
            b"ag": self._on_agg_trade,
            b"ma": self._on_mark,
            b"fo": self._on_liquidation,
            b"kl": self._on_kline,
        }
        # "e" -> reader of the combined frame, where the stream name does not tell.
        self._by_type: dict[str, Callable[[bytes], MarketEvent | None]] = {
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
        except msgspec.DecodeError as error:
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
        except msgspec.DecodeError as error:
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
            if frame.startswith(_HEAD):
                at = frame.find(b"@", _HEAD_SIZE, 64) + 1
                handler = self._by_name.get(frame[at : at + 2])
                if at and handler is not None:
                    return handler(frame)
            return self._decode_other(frame)
        except msgspec.DecodeError as error:
            raise VenueFault(f"{self.venue}: frame is not readable: {error}: {frame[:200]!r}") from error

    def _decode_other(self, frame: bytes) -> MarketEvent | None:
        """Raw frames, combined frames of unusual spelling, and frames about the connection."""
        probe = read_probe(frame)
        if probe.stream:
            return self._by_stream(probe.stream, frame)
        wrapped = b'{"data":%s}' % frame
        handler = self._by_type.get(probe.e)
        if handler is not None:
            return handler(wrapped)
        if probe.u >= 0 and probe.B and not probe.e:  # spot book tickers carry no type
            return self._on_top(wrapped)
        return self._notice(probe, frame)

    def _by_stream(self, stream: str, frame: bytes) -> MarketEvent | None:
        """A combined frame with spaces, or with its parts in another order, or of a stream that all symbols share."""
        inner = bytes(read_wrapped(frame).data)
        if stream.partition("@depth")[2][:1].isdigit():
            return self._on_partial(stream, frame)
        return self._decode_other(inner)

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

    def _on_depth(self, frame: bytes) -> MarketEvent | None:
        """`<symbol>@depth…` is a diff, `<symbol>@depth5|10|20…` a whole top, and both have the same fields on USD-M."""
        end = frame.find(b'"', _HEAD_SIZE)
        at = frame.find(b"@", _HEAD_SIZE, end) + 6
        if frame[at : at + 1].isdigit():
            return self._on_partial(frame[_HEAD_SIZE:end].decode(), frame)
        return self._on_diff_depth(frame)

    def _on_diff_depth(self, frame: bytes) -> DepthDelta | None:
        data = read_depth(frame).data
        book = self._books.get(data.s)
        if book is None:
            return None
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

    def _on_partial(self, stream: str, frame: bytes) -> PartialDepth | None:
        book = self._books.get(stream.partition("@")[0].upper())
        if book is None:
            return None
        if self._market == "perp":
            full = read_depth(frame).data
            return PartialDepth(book.symbol, full.u, full.E * NS_PER_MS, _levels(book, full.b), _levels(book, full.a))
        top = read_partial(frame).data
        return PartialDepth(book.symbol, top.lastUpdateId, 0, _levels(book, top.bids), _levels(book, top.asks))

    def _on_top(self, frame: bytes) -> TopOfBook | None:
        data = read_top(frame).data
        book = self._books.get(data.s)
        if book is None:
            return None
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

    def _on_trade(self, frame: bytes) -> PublicTrade | None:
        data = read_trade(frame).data
        book = self._books.get(data.s)
        # USD-M also reports insurance fund and ADL deals here ("X"): no taker chose their price.
        if book is None or data.X != "MARKET":
            return None
        return PublicTrade(
            book.symbol,
            data.t,
            data.E * NS_PER_MS,
            _SELL if data.m else _BUY,
            book.ticks[data.p],
            book.public_lots[data.q],
        )

    def _on_agg_trade(self, frame: bytes) -> PublicTrade | None:
        data = read_agg_trade(frame).data
        book = self._books.get(data.s)
        if book is None:
            return None
        return PublicTrade(
            book.symbol,
            data.a,
            data.E * NS_PER_MS,
            _SELL if data.m else _BUY,
            book.ticks[data.p],
            book.public_lots[data.q],
        )

    def _on_mark(self, frame: bytes) -> MarkPrice | None:
        data = read_mark(frame).data
        book = self._books.get(data.s)
        if book is None:
            return None
        tick = book.instrument.tick_float
        try:
            mark, index, rate = float(data.p) / tick, float(data.i) / tick, float(data.r or 0)
        except ValueError as error:
            raise VenueFault(f"{self.venue} {book.symbol}: mark price is no number: {error}") from error
        return MarkPrice(book.symbol, data.E * NS_PER_MS, mark, index, rate, data.T)

    def _on_liquidation(self, frame: bytes) -> Liquidation | None:
        data = read_liquidation(frame).data
        order = data.o
        book = self._books.get(order.s)
        if book is None:
            return None
        side = Side.BUY if order.S == "BUY" else Side.SELL
        # The bankruptcy price may lie off the grid; nobody trades on it here.
        return Liquidation(
            book.symbol, data.E * NS_PER_MS, side, book.nearest_ticks(order.p), book.public_lots[order.q]
        )

    def _on_kline(self, frame: bytes) -> KlineEvent | None:
        data = read_kline(frame).data
        book = self._books.get(data.s)
        if book is None:
            return None
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
