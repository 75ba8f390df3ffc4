"""Recorded venue frames, line by line: what each line is, and what one survey of a file says about its venue.

Format (hftbacktest's collectors): `<receive time> <raw JSON>` a line, receive time in unix ns (19 digits), us (16) or
ms (13). The JSON is a combined-stream frame `{"stream": …, "data": …}`, a raw frame, or a REST depth snapshot that
the recorder fetched (`lastUpdateId`). Frames keep the exact bytes that were recorded.

Pure: lines come in, records go out; `transport/venue_recording.py` opens files.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal

import msgspec

from actors.vocab.errors import ConfigError, OurFault
from actors.vocab.instruments import Instrument, Market

SNAPSHOT = "snapshot"
# Quote assets in the order in which a symbol's end is tried: longer ones first, so that FDUSD is not read as USD.
_QUOTES = ("FDUSD", "USDT", "USDC", "BUSD", "TUSD", "EUR", "TRY", "BTC", "ETH", "BNB")
_NS_PER_UNIT = {19: 1, 16: 1_000, 13: 1_000_000}  # digits of a unix time of our days -> unit
_UPPER_TAIL = re.compile(r"0+$")


class RecordedFrame(msgspec.Struct, frozen=True, gc=False):
    """One line of a recording. `recv_ns` is the recorder's unix clock, never going backwards within a file."""

    recv_ns: int
    symbol: str  # BTCUSDT; empty for a snapshot that names none
    channel: str  # depth | bookTicker | trade | aggTrade | markPrice | kline … | SNAPSHOT
    stream: str  # as recorded, or derived for a raw frame; empty for a snapshot
    data: bytes  # what a raw connection receives: the inner JSON as recorded; a snapshot's whole body
    combined: bytes  # what a combined connection receives: as recorded where the recording is combined


class SymbolFacts(msgspec.Struct, frozen=True):
    """What a survey saw of one symbol. Decimals are significant ones: trailing zeros of the venue do not count."""

    symbol: str
    price_decimals: int
    size_decimals: int
    first_price: float
    streams: tuple[str, ...]


class RecordingFacts(msgspec.Struct, frozen=True):
    """What one whole file holds."""

    name: str
    market: Market
    symbols: tuple[SymbolFacts, ...]
    frames_count: int
    snapshots: tuple[RecordedFrame, ...]  # each with its symbol; one that could be any symbol's is left out
    first_ns: int
    last_ns: int
    # Receive time less the venue's stamp, of the fastest and the slowest frame; the two clocks need not agree. Both 0
    # where no frame is stamped.
    fastest_ns: int = 0
    slowest_ns: int = 0


class _Line(msgspec.Struct, gc=False):
    """The few keys that say what a line is; everything else is validated as JSON and skipped."""

    stream: str = ""
    data: msgspec.Raw = msgspec.Raw()
    lastUpdateId: int = -1
    symbol: str = ""
    e: str = ""
    s: str = ""
    u: int = -1


class _Prices(msgspec.Struct, gc=False):
    """All prices and sizes that a frame or snapshot may carry. Old spot trades have integer order ids in `a`, `b`."""

    e: str = ""
    E: int = 0
    u: int = -1
    p: str = ""
    q: str = ""
    b: str | int | list[tuple[str, str]] = ""
    a: str | int | list[tuple[str, str]] = ""
    B: str = ""
    A: str = ""
    bids: list[tuple[str, str]] = []
    asks: list[tuple[str, str]] = []


class _Marks(msgspec.Struct, gc=False):
    """Keys that only one market has: `pu` and an event name in book tickers are USD-M, `M` is spot's, `ps` coin-M's."""

    e: str = ""
    pu: int | None = None
    ps: str | None = None
    M: bool | None = None
    X: str | None = None
    T: int | None = None


class _KlineFrame(msgspec.Struct, gc=False):
    class _Interval(msgspec.Struct, gc=False):
        i: str

    k: _Interval


_decode_line = msgspec.json.Decoder(_Line).decode
_decode_prices = msgspec.json.Decoder(_Prices).decode
_decode_marks = msgspec.json.Decoder(_Marks).decode
_decode_kline = msgspec.json.Decoder(_KlineFrame).decode
# Event name of a raw frame -> end of its stream name. Speeds are not in the frame; these are the usual ones.
_STREAM_OF_EVENT = {
    "depthUpdate": "depth@100ms",
    "trade": "trade",
    "aggTrade": "aggTrade",
    "bookTicker": "bookTicker",
    "markPriceUpdate": "markPrice@1s",
    "forceOrder": "forceOrder",
    "24hrTicker": "ticker",
    "24hrMiniTicker": "miniTicker",
}


def parse_line(line: bytes, *, name: str, line_no: int, not_before_ns: int = 0) -> RecordedFrame:
    """Read one line; `ConfigError` names file, line and remedy. `not_before_ns` keeps receive times from going back."""
    stamp, _, body = line.rstrip(b"\r\n").partition(b" ")
    unit = _NS_PER_UNIT.get(len(stamp)) if stamp.isdigit() else None
    if unit is None:
        raise _unusable(name, line_no, f"expected `<receive time> <JSON>`, found {_shown(line)}")
    try:
        head = _decode_line(body)
    except msgspec.DecodeError as error:
        raise _unusable(name, line_no, f"the JSON cannot be read ({error})") from None
    recv_ns = max(int(stamp) * unit, not_before_ns)
    if head.stream:
        return _combined(head, body, recv_ns)
    if head.lastUpdateId >= 0 and not head.e:
        return RecordedFrame(recv_ns, head.symbol.upper(), SNAPSHOT, "", body, b"")
    stream = _derived_stream(head, body)
    if not stream:
        raise _unusable(name, line_no, f"neither a stream frame nor a depth snapshot: {_shown(body)}")
    combined = b'{"stream":"%s","data":%s}' % (stream.encode(), body)
    return RecordedFrame(recv_ns, head.s.upper(), _channel(stream), stream, body, combined)


def live_frame(body: bytes, recv_ns: int) -> RecordedFrame | None:
    """A combined frame as a venue has just sent it; None for what belongs to no stream (acks). Unreadable: likewise."""
    try:
        head = _decode_line(body)
    except msgspec.DecodeError:
        return None
    return _combined(head, body, recv_ns) if head.stream else None


def parse_lines(lines: Iterable[bytes], *, name: str) -> Iterator[RecordedFrame]:
    """Read all lines lazily; blank ones are skipped."""
    last_ns = 0
    for line_no, line in enumerate(lines, start=1):
        if line.strip():
            frame = parse_line(line, name=name, line_no=line_no, not_before_ns=last_ns)
            last_ns = frame.recv_ns
            yield frame


def survey(frames: Iterable[RecordedFrame], *, name: str) -> RecordingFacts:
    """Read a whole recording once: which market, symbols, streams, and how fine its prices are.

    Steps are not in recorded frames. The finest decimals ever seen are the safest guess: an instrument made of them
    can spell every recorded price, and a coarser guess would stop the replay at the first finer one.
    """
    prices: dict[str, set[str]] = {}  # symbol -> every distinct price text
    sizes: dict[str, set[str]] = {}
    streams: dict[str, dict[str, None]] = {}
    firsts: dict[str, float] = {}
    market: Market | None = None
    snapshots: list[RecordedFrame] = []
    frames_count = first_ns = last_ns = 0
    lags_ns: tuple[int, int] | None = None
    for frame in frames:
        first_ns = first_ns or frame.recv_ns
        last_ns = frame.recv_ns
        market = market or _market_of(frame, name)
        content = _decode_content(frame, name)
        if frame.channel == SNAPSHOT:
            snapshots.append(frame)
            continue
        frames_count += 1
        if content.E:
            lag_ns = frame.recv_ns - content.E * _NS_PER_UNIT[13]
            lags_ns = (min(lags_ns[0], lag_ns), max(lags_ns[1], lag_ns)) if lags_ns else (lag_ns, lag_ns)
        symbol = frame.symbol
        if frame.stream:
            streams.setdefault(symbol, {})[frame.stream] = None
        seen = prices.setdefault(symbol, set())
        _collect(frame.channel, content, seen, sizes.setdefault(symbol, set()))
        if symbol not in firsts:
            if frame.channel == "bookTicker" and isinstance(content.b, str):
                firsts[symbol] = float(content.b)
            elif frame.channel in ("trade", "aggTrade"):
                firsts[symbol] = float(content.p)
    symbols = [symbol for symbol in prices if streams.get(symbol)]
    if not symbols:
        raise ConfigError(f"{name}: holds no market data frame; give a recording of public streams")
    if len(symbols) == 1:  # a recorder of one symbol: its snapshots need no name
        snapshots = [msgspec.structs.replace(frame, symbol=symbols[0]) for frame in snapshots]
    snapshots = [frame for frame in snapshots if frame.symbol in streams]
    for frame in snapshots:
        _collect(SNAPSHOT, _decode_content(frame, name), prices[frame.symbol], sizes[frame.symbol])
    return RecordingFacts(
        name=name,
        market=market or "spot",
        symbols=tuple(
            SymbolFacts(
                symbol=symbol,
                price_decimals=_decimals(prices[symbol]),
                size_decimals=_decimals(sizes[symbol]),
                first_price=firsts.get(symbol, 0.0) or _middle(prices[symbol]),
                streams=tuple(streams[symbol]),
            )
            for symbol in symbols
        ),
        frames_count=frames_count,
        snapshots=tuple(snapshots),
        first_ns=first_ns,
        last_ns=last_ns,
        fastest_ns=lags_ns[0] if lags_ns else 0,
        slowest_ns=lags_ns[1] if lags_ns else 0,
    )


def recorded_instrument(
    facts: SymbolFacts,
    *,
    venue: str,
    market: Market,
    maker_fee_bps: float,
    taker_fee_bps: float,
    known: Mapping[str, Instrument] | None = None,
) -> Instrument:
    """The instrument of a recorded symbol: the known one where it can spell all recorded prices, else inferred."""
    listed = (known or {}).get(facts.symbol)
    if (
        listed
        and _fits(listed.tick_size, facts.price_decimals)
        and _fits(listed.lot_size, facts.size_decimals)
        # A step much finer than anything recorded is from another year: queue positions would be wrong.
        and _decimals([listed.tick_size]) <= facts.price_decimals + 1
    ):
        return msgspec.structs.replace(
            listed, venue=venue, market=market, maker_fee_bps=maker_fee_bps, taker_fee_bps=taker_fee_bps
        )
    base, quote = split_symbol(facts.symbol)
    return Instrument(
        symbol=facts.symbol,
        venue=venue,
        market=market,
        venue_symbol=facts.symbol,
        base=base,
        quote=quote,
        tick_size=_step(facts.price_decimals),
        lot_size=_step(facts.size_decimals),
        min_notional="5",
        maker_fee_bps=maker_fee_bps,
        taker_fee_bps=taker_fee_bps,
    )


def split_symbol(symbol: str) -> tuple[str, str]:
    """BTCUSDT -> (BTC, USDT); ConfigError where the quote asset is not known."""
    for quote in _QUOTES:
        if symbol.endswith(quote) and len(symbol) > len(quote):
            return symbol[: -len(quote)], quote
    raise ConfigError(f"symbol {symbol}: its quote asset is not known; recordings of {', '.join(_QUOTES)} pairs work")


def _derived_stream(head: _Line, body: bytes) -> str:
    symbol = head.s.lower()
    if head.e == "kline":
        return f"{symbol}@kline_{_decode_kline(body).k.i}"
    if head.e in _STREAM_OF_EVENT:
        return f"{symbol}@{_STREAM_OF_EVENT[head.e]}" if symbol else ""
    # Spot's book ticker has no event name: update id and symbol are all it says of itself.
    return f"{symbol}@bookTicker" if not head.e and symbol and head.u >= 0 else ""


def _combined(head: _Line, body: bytes, recv_ns: int) -> RecordedFrame:
    symbol, _, channel = head.stream.partition("@")
    return RecordedFrame(recv_ns, symbol.upper(), channel.partition("@")[0], head.stream, bytes(head.data), body)


def _channel(stream: str) -> str:
    return stream.partition("@")[2].partition("@")[0]


def _market_of(frame: RecordedFrame, name: str) -> Market | None:
    """Which market a frame can only be of; None where it could be either."""
    marks = _decode_marks(frame.data)
    if marks.ps is not None or "_" in frame.symbol:
        raise ConfigError(
            f"{name}: {frame.symbol or 'its symbol'} is a coin-margined or dated contract; "
            "replay recordings of spot or USD-M perpetuals"
        )
    if frame.channel in ("markPrice", "forceOrder") or marks.pu is not None or marks.X is not None:
        return "perp"
    if frame.channel == "bookTicker":
        return "perp" if marks.e else "spot"
    if marks.M is not None or (frame.channel == "depth" and marks.e and marks.T is None):
        return "spot"
    return None


def _decode_content(frame: RecordedFrame, name: str) -> _Prices:
    try:
        return _decode_prices(frame.data)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{name}: a {frame.channel} frame at {frame.recv_ns} is not Binance's ({error})") from None


def _collect(channel: str, content: _Prices, prices: set[str], sizes: set[str]) -> None:
    if channel == "depth" or channel == SNAPSHOT or channel.startswith("depth"):
        for levels in (content.b, content.a, content.bids, content.asks):
            if isinstance(levels, list):
                for price, size in levels:
                    prices.add(price)
                    sizes.add(size)
    elif channel == "bookTicker":
        if isinstance(content.b, str) and isinstance(content.a, str):
            prices.update((content.b, content.a))
        sizes.update((content.B, content.A))
    elif channel in ("trade", "aggTrade"):
        prices.add(content.p)
        sizes.add(content.q)


def _decimals(texts: Iterable[str]) -> int:
    return max((len(_UPPER_TAIL.sub("", text.partition(".")[2])) for text in texts), default=0)


def _middle(prices: set[str]) -> float:
    ordered = sorted(map(float, prices))
    return ordered[len(ordered) // 2] if ordered else 0.0


def _step(decimals: int) -> str:
    return format(Decimal(1).scaleb(-decimals), "f")


def _fits(step: str, decimals: int) -> bool:
    """A power-of-ten step that can spell `decimals` decimals."""
    return Decimal(step) <= Decimal(1).scaleb(-decimals)


def _shown(line: bytes) -> str:
    return repr(line[:60].decode(errors="replace")) + ("…" if len(line) > 60 else "")


def _unusable(name: str, line_no: int, what: str) -> ConfigError:
    good = f", or keep the good part with `zcat -f {name} | head -n {line_no - 1} | gzip > good.gz`"
    return ConfigError(f"{name} line {line_no}: {what}; fetch the recording again{good if line_no > 1 else ''}")


def require_channels(facts: RecordingFacts) -> None:
    """A book needs depth frames; `ConfigError` otherwise."""
    for symbol in facts.symbols:
        if not any(_channel(stream).startswith("depth") for stream in symbol.streams):
            raise ConfigError(f"{facts.name}: {symbol.symbol} has no depth stream, so no book can be built from it")
    if facts.last_ns < facts.first_ns:
        raise OurFault(f"{facts.name}: receive times run backwards after parsing")
