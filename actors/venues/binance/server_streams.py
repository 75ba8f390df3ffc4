"""Public stream frames of a simulated Binance, server role: events to exactly the bytes that the venue sends.

Bytes are put together by f-string: at 1 500 frames a second the sim shares two cores with the whole fleet, and a frame
costs about 2 us this way. Field sets are those of the manual, so that other clients read them too.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from actors.venues.binance.common import KLINE_INTERVALS_MS, TextRoom, market_of, plain
from actors.venues.binance.market import PUBLIC_ROUTE
from actors.vocab.errors import OurFault
from actors.vocab.instruments import Instrument
from actors.vocab.market import Level, Side
from actors.vocab.units import NS_PER_MS
from actors.vocab.venue_io import (
    DepthDelta,
    KlineEvent,
    Liquidation,
    MarketEvent,
    MarkPrice,
    PartialDepth,
    PublicTrade,
    StreamNotice,
    TopOfBook,
)

INTERVAL_NAMES: Final = {length: name for name, length in KLINE_INTERVALS_MS.items()}


class TextCache(dict[int, str]):
    """Whole steps -> decimal text; bounded by its `room`, then it starts again empty."""

    __slots__ = ("_room", "_size_text")

    def __init__(self, instrument: Instrument, *, price: bool, room: TextRoom) -> None:
        super().__init__()
        self._room = room
        self._size_text = instrument.price_text if price else instrument.size_text

    def __missing__(self, count: int) -> str:
        if len(self) >= self._room.texts_max:
            self.clear()
        text = self[count] = self._size_text(count)
        return text


class Speller:
    """One instrument as the server writes it."""

    __slots__ = ("instrument", "name", "prices", "sizes", "stream")

    def __init__(self, instrument: Instrument, room: TextRoom) -> None:
        self.instrument = instrument
        self.name = instrument.venue_symbol
        self.stream = instrument.venue_symbol.lower()
        self.prices = TextCache(instrument, price=True, room=room)
        self.sizes = TextCache(instrument, price=False, room=room)

    def price(self, price_ticks: float) -> str:
        """Text of a price that may lie between ticks (marks, averages): eight digits, the venue's usual."""
        return plain_float(price_ticks * self.instrument.tick_float)

    def levels(self, levels: Iterable[Level]) -> str:
        prices, sizes = self.prices, self.sizes
        return ",".join([f'["{prices[ticks]}","{sizes[lots]}"]' for ticks, lots in levels])


def plain_float(value: float) -> str:
    return format(value, ".8f")


class StreamWriter:
    """`streams_of` says where an event goes, `frame_of` spells it for one of those streams (raw form)."""

    def __init__(self, venue: str, instruments: Iterable[Instrument] = ()) -> None:
        self._perp = market_of(venue) == "perp"
        # symbol -> Speller, replaced as a whole by `use`
        self.spellers: dict[str, Speller] = {}
        self._room = TextRoom()
        # (event class, symbol) -> stream names; filled on demand, dropped by `use`
        self._streams: dict[tuple[type, str], tuple[str, ...]] = {}
        self.use(instruments)

    def use(self, instruments: Iterable[Instrument]) -> None:
        for row in instruments:
            self.spellers[row.symbol] = Speller(row, self._room)
        self._room.share(len(self.spellers))
        self._streams.clear()

    def route_of(self, stream: str) -> str:
        """USD-M: the route that alone delivers `stream`; spot has none."""
        if not self._perp:
            return ""
        suffix = stream.partition("@")[2] or stream.removeprefix("!")
        return "public" if suffix.startswith(PUBLIC_ROUTE) else "market"

    def streams_of(self, event: MarketEvent) -> tuple[str, ...]:
        """Every stream name under which this event is public; () for connection notices."""
        if isinstance(event, StreamNotice):
            return ()
        if isinstance(event, KlineEvent):
            return (f"{self.spellers[event.symbol].stream}@kline_{_interval(event)}",)
        if isinstance(event, PartialDepth):
            return self._partial_streams(event)
        key = (type(event), event.symbol)
        names = self._streams.get(key)
        if names is None:
            names = self._streams[key] = self._names(event)
        return names

    def frame_of(self, event: MarketEvent, stream: str) -> bytes:
        """Raw form of `event` for one of its streams. `OurFault` for an event that no stream carries."""
        text = self._text(event, stream)
        return text.encode()

    def _names(self, event: MarketEvent) -> tuple[str, ...]:
        if isinstance(event, StreamNotice):
            return ()
        name = self.spellers[event.symbol].stream
        suffixes: tuple[str, ...]
        if isinstance(event, DepthDelta):
            # Slower variants get the same frames: their chain is intact, only their rate is not.
            suffixes = (
                ("@depth@100ms", "@depth", "@depth@500ms", "@depth@0ms")
                if self._perp
                else (
                    "@depth@100ms",
                    "@depth",
                )
            )
        elif isinstance(event, TopOfBook):
            suffixes = ("@bookTicker",)
        elif isinstance(event, PublicTrade):
            suffixes = ("@aggTrade", "@trade")
        elif isinstance(event, MarkPrice):
            suffixes = ("@markPrice@1s", "@markPrice")
        else:
            suffixes = ("@forceOrder",)
        everyone = {TopOfBook: ("!bookTicker",), Liquidation: ("!forceOrder@arr",)}.get(type(event), ())
        return (*(name + suffix for suffix in suffixes), *everyone)

    def _partial_streams(self, event: PartialDepth) -> tuple[str, ...]:
        name = self.spellers[event.symbol].stream
        return tuple(
            f"{name}@depth{count}{rate}"
            for count in (5, 10, 20)
            for rate in ("@100ms", "", "@500ms")[: 3 if self._perp else 2]
        )

    def _text(self, event: MarketEvent, stream: str) -> str:
        if isinstance(event, TopOfBook):
            return self._top(event)
        if isinstance(event, DepthDelta):
            return self._depth(event)
        if isinstance(event, PublicTrade):
            return self._agg_trade(event) if stream.endswith("@aggTrade") else self._trade(event)
        if isinstance(event, MarkPrice):
            return self._mark(event)
        if isinstance(event, KlineEvent):
            return self._kline(event)
        if isinstance(event, Liquidation):
            return self._liquidation(event)
        if isinstance(event, PartialDepth):
            return self._partial(event, stream)
        raise OurFault(f"no stream carries {event!r}")

    def _top(self, event: TopOfBook) -> str:
        s = self.spellers[event.symbol]
        prices, sizes = s.prices, s.sizes
        core = (
            f'"u":{event.seq},"s":"{s.name}","b":"{prices[event.bid_ticks]}","B":"{sizes[event.bid_lots]}",'
            f'"a":"{prices[event.ask_ticks]}","A":"{sizes[event.ask_lots]}"'
        )
        if not self._perp:
            return f"{{{core}}}"
        ms = event.event_ns // NS_PER_MS
        return f'{{"e":"bookTicker",{core},"T":{ms},"E":{ms}}}'

    def _depth(self, event: DepthDelta) -> str:
        s = self.spellers[event.symbol]
        ms = event.event_ns // NS_PER_MS
        stamp = f'"T":{ms},' if self._perp else ""
        previous = f'"pu":{event.prev_seq},' if self._perp else ""
        return (
            f'{{"e":"depthUpdate","E":{ms},{stamp}"s":"{s.name}","U":{event.first_seq},"u":{event.last_seq},{previous}'
            f'"b":[{s.levels(event.bids)}],"a":[{s.levels(event.asks)}]}}'
        )

    def _partial(self, event: PartialDepth, stream: str) -> str:
        s = self.spellers[event.symbol]
        count = int("".join(filter(str.isdigit, stream.partition("@depth")[2].partition("@")[0])) or 20)
        bids, asks = s.levels(event.bids[:count]), s.levels(event.asks[:count])
        if not self._perp:
            return f'{{"lastUpdateId":{event.last_seq},"bids":[{bids}],"asks":[{asks}]}}'
        ms = event.event_ns // NS_PER_MS
        return (
            f'{{"e":"depthUpdate","E":{ms},"T":{ms},"s":"{s.name}","U":{event.last_seq},"u":{event.last_seq},'
            f'"pu":{event.last_seq},"b":[{bids}],"a":[{asks}]}}'
        )

    def _trade(self, event: PublicTrade) -> str:
        s = self.spellers[event.symbol]
        ms = event.event_ns // NS_PER_MS
        maker = "true" if event.side is Side.SELL else "false"
        tail = f'"X":"MARKET","m":{maker}' if self._perp else f'"m":{maker},"M":true'
        return (
            f'{{"e":"trade","E":{ms},"T":{ms},"s":"{s.name}","t":{event.trade_id},"p":"{s.prices[event.price_ticks]}",'
            f'"q":"{s.sizes[event.lots]}",{tail}}}'
        )

    def _agg_trade(self, event: PublicTrade) -> str:
        s = self.spellers[event.symbol]
        ms = event.event_ns // NS_PER_MS
        maker = "true" if event.side is Side.SELL else "false"
        size = s.sizes[event.lots]
        special = f'"nq":"{size}",' if self._perp else ""
        tail = "" if self._perp else ',"M":true'
        number = event.trade_id
        return (
            f'{{"e":"aggTrade","E":{ms},"s":"{s.name}","a":{number},"p":"{s.prices[event.price_ticks]}","q":"{size}",'
            f'{special}"f":{number},"l":{number},"T":{ms},"m":{maker}{tail}}}'
        )

    def _mark(self, event: MarkPrice) -> str:
        s = self.spellers[event.symbol]
        mark = s.price(event.mark_ticks)
        return (
            f'{{"e":"markPriceUpdate","E":{event.event_ns // NS_PER_MS},"s":"{s.name}","p":"{mark}","ap":"{mark}",'
            f'"i":"{s.price(event.index_ticks)}","P":"{mark}","r":"{plain_float(event.funding_rate)}",'
            f'"T":{event.next_funding_ms}}}'
        )

    def _liquidation(self, event: Liquidation) -> str:
        s = self.spellers[event.symbol]
        ms = event.event_ns // NS_PER_MS
        price, size = s.prices[event.price_ticks], s.sizes[event.lots]
        return (
            f'{{"e":"forceOrder","E":{ms},"o":{{"s":"{s.name}","S":"{event.side.name}","o":"LIMIT","f":"IOC",'
            f'"q":"{size}","p":"{price}","ap":"{price}","X":"FILLED","l":"{size}","z":"{size}","T":{ms}}}}}'
        )

    def _kline(self, event: KlineEvent) -> str:
        s, k = self.spellers[event.symbol], event.kline
        prices, size = s.prices, s.sizes[k.lots]
        quote = plain(k.lots * k.close_ticks * s.instrument.usd_per_tick_lot_exact)
        closed = "true" if event.closed else "false"
        return (
            f'{{"e":"kline","E":{event.event_ns // NS_PER_MS},"s":"{s.name}","k":{{"t":{k.open_ms},"T":{k.close_ms},'
            f'"s":"{s.name}","i":"{_interval(event)}","f":0,"L":0,"o":"{prices[k.open_ticks]}",'
            f'"c":"{prices[k.close_ticks]}","h":"{prices[k.high_ticks]}","l":"{prices[k.low_ticks]}","v":"{size}",'
            f'"n":{k.trades_count},"x":{closed},"q":"{quote}","V":"0","Q":"0","B":"0"}}}}'
        )


def _interval(event: KlineEvent) -> str:
    length_ms = event.kline.close_ms - event.kline.open_ms + 1
    try:
        return INTERVAL_NAMES[length_ms]
    except KeyError:
        raise OurFault(f"{event.symbol}: no kline interval is {length_ms} ms long") from None


def combined(stream: str, raw: bytes) -> bytes:
    """The form of a frame on a combined connection."""
    return b'{"stream":"%s","data":%s}' % (stream.encode(), raw)


def notice(event: StreamNotice) -> bytes:
    """Only shutdowns are announced out of turn; acks answer commands."""
    if event.kind != "shutdown":
        raise OurFault(f"{event.kind} notices answer a command, they are not sent by themselves")
    return b'{"e":"serverShutdown","E":%d}' % event.request_no
