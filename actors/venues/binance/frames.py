"""Public frames and answers of Binance as structs, and a decoder for each; field names are the venue's.

Only fields that somebody reads are here: what is not named is skipped, which is most of the speed.
"""

from __future__ import annotations

import msgspec

Pairs = list[tuple[str, str]]


class Depth(msgspec.Struct, gc=False):
    E: int
    U: int
    u: int
    b: Pairs
    a: Pairs
    pu: int = -1


class Partial(msgspec.Struct, gc=False):
    """Spot top N: no symbol, no time."""

    lastUpdateId: int
    bids: Pairs
    asks: Pairs


class Top(msgspec.Struct, gc=False):
    u: int
    b: str
    B: str
    a: str
    A: str
    E: int = 0


class Trade(msgspec.Struct, gc=False):
    E: int
    t: int
    p: str
    q: str
    m: bool
    X: str = "MARKET"


class AggTrade(msgspec.Struct, gc=False):
    E: int
    a: int
    p: str
    q: str
    m: bool


class Mark(msgspec.Struct, gc=False):
    E: int
    p: str
    i: str = "0"
    r: str = "0"
    T: int = 0


class LiquidationOrder(msgspec.Struct, gc=False):
    s: str
    S: str
    q: str
    p: str


class Liquidation(msgspec.Struct, gc=False):
    E: int
    o: LiquidationOrder


class Candle(msgspec.Struct, gc=False):
    t: int
    T: int
    o: str
    h: str
    l: str  # noqa: E741  the venue's name
    c: str
    v: str
    n: int
    x: bool


class Kline(msgspec.Struct, gc=False):
    E: int
    k: Candle


class Wrapped(msgspec.Struct, gc=False):
    stream: str
    data: msgspec.Raw


class Fault(msgspec.Struct):
    code: int = 0
    msg: str = ""


class Probe(msgspec.Struct):
    """Anything that came without a stream name: which kind is it?"""

    e: str = ""
    s: str = ""
    stream: str = ""
    id: int | str | None = None
    result: msgspec.Raw = msgspec.Raw()
    error: Fault | None = None
    code: int = 0
    msg: str = ""
    u: int = -1
    B: msgspec.Raw = msgspec.Raw()
    lastUpdateId: int = -1


class Snapshot(msgspec.Struct):
    lastUpdateId: int
    bids: Pairs
    asks: Pairs


class WrappedDepth(msgspec.Struct, gc=False):
    data: Depth


class WrappedPartial(msgspec.Struct, gc=False):
    data: Partial


class WrappedTop(msgspec.Struct, gc=False):
    data: Top


class WrappedTrade(msgspec.Struct, gc=False):
    data: Trade


class WrappedAggTrade(msgspec.Struct, gc=False):
    data: AggTrade


class WrappedMark(msgspec.Struct, gc=False):
    data: Mark


class WrappedLiquidation(msgspec.Struct, gc=False):
    data: Liquidation


class WrappedKline(msgspec.Struct, gc=False):
    data: Kline


read_wrapped = msgspec.json.Decoder(Wrapped).decode
read_probe = msgspec.json.Decoder(Probe).decode
# All of these read combined frames; a raw frame is put into a wrapper first, which its slower path can afford.
read_depth = msgspec.json.Decoder(WrappedDepth).decode
read_partial = msgspec.json.Decoder(WrappedPartial).decode
read_top = msgspec.json.Decoder(WrappedTop).decode
read_trade = msgspec.json.Decoder(WrappedTrade).decode
read_agg_trade = msgspec.json.Decoder(WrappedAggTrade).decode
read_mark = msgspec.json.Decoder(WrappedMark).decode
read_liquidation = msgspec.json.Decoder(WrappedLiquidation).decode
read_kline = msgspec.json.Decoder(WrappedKline).decode
read_snapshot = msgspec.json.Decoder(Snapshot).decode
read_candles = msgspec.json.Decoder(list[tuple[int, str, str, str, str, str, int, str, int, str, str, str]]).decode
