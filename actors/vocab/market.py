"""Market data after the dialect has spoken: what feeds publish and quote engines read."""

from __future__ import annotations

import enum

from actors.vocab.message import Message, Record

# (price_ticks, size_lots), best level first.
Level = tuple[int, int]


class Side(enum.IntEnum):
    """Of an order: ours. Of a trade: the taker's. The value is the sign of the position change."""

    BUY = 1
    SELL = -1

    @property
    def other(self) -> Side:
        return Side.SELL if self is Side.BUY else Side.BUY


class BookState(enum.IntEnum):
    """How far a book may be believed. Quotes are made on OK only."""

    SYNCING = 0
    OK = 1
    STALE = 2
    CROSSED = 3
    PARTIAL = 4  # built from deltas without a snapshot, top not yet confirmed by the book ticker
    DOWN = 5  # no connection


class TradeFlow(Record, frozen=True):
    """Trades that happened since the previous update of this symbol; conflation sums them, so nothing is lost."""

    buys_count: int = 0
    sells_count: int = 0
    buy_lots: int = 0
    sell_lots: int = 0
    low_ticks: int = 0
    high_ticks: int = 0
    last_ticks: int = 0


NO_TRADES = TradeFlow()


class BookUpdate(Message, frozen=True):
    """Newest top of one book after conflation; self-contained. Topic: the symbol.

    `recv_ns` is the feed host's monotonic clock at the socket for the *oldest* frame this update rests on;
    on another host only `age_us` (oldest frame to publish) may be used. `lag_us` is the venue's event
    stamp to our receipt, meaningful where both clocks are one (the sim).
    """

    venue: str
    symbol: str
    seq: int  # per publisher and symbol, +1 each update: a hole means lost messages
    state: BookState
    event_ns: int  # venue's clock, unix ns
    recv_ns: int
    age_us: int
    lag_us: int
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]
    trades: TradeFlow = NO_TRADES
    conflated_count: int = 0  # frames merged into this update beyond the first
    beat: bool = False  # re-sent only to say "still so"


class Trade(Message, frozen=True):
    """One public trade."""

    venue: str
    symbol: str
    trade_id: int
    event_ns: int
    recv_ns: int
    side: Side  # taker's
    price_ticks: int
    lots: int


class Mark(Record, frozen=True):
    """Reference prices of one symbol, floats in ticks; 0.0 where the venue has none."""

    symbol: str
    state: BookState
    bid_ticks: int
    ask_ticks: int
    mark_ticks: float
    index_ticks: float
    funding_rate: float
    next_funding_ms: int
    age_us: int
    imbalance: float = 0.0  # (bid lots - ask lots) / both, at the best prices

    @property
    def mid_ticks(self) -> float:
        return (self.bid_ticks + self.ask_ticks) / 2


class Marks(Message, frozen=True):
    """All symbols of one feed, every beat. Topic: `MARKS_TOPIC`. Read by risk (valuation) and gateways (collar)."""

    venue: str
    seq: int
    marks: tuple[Mark, ...]


MARKS_TOPIC = b"#marks"


class Kline(Record, frozen=True):
    """One closed candle; prices in ticks, volume in lots."""

    open_ms: int
    close_ms: int
    open_ticks: int
    high_ticks: int
    low_ticks: int
    close_ticks: int
    lots: int
    trades_count: int


class WarmUp(Message, frozen=True):
    """Recent history of one symbol, fetched once at start, oldest candle first."""

    venue: str
    symbol: str
    klines: tuple[Kline, ...]
