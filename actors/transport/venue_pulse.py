"""The streams of a simulated venue that go by the clock: partial depth, running candles, tickers, all marks at once.

They read the exchange and change nothing in it, so the market is the same whoever listens. Nothing is worked out for a
stream without a listener. A replay and paper trading have no pulse: they send what was recorded, or what comes.
"""

from __future__ import annotations

from collections.abc import Callable

from actors.sim.messages import Exchange
from actors.transport.venue_hub import StreamHub
from actors.venues.binance.server import BinanceServer, Ticker
from actors.venues.binance.server_paced import PacedStream, Pulse
from actors.vocab.market import Kline
from actors.vocab.units import NS_PER_MS
from actors.vocab.venue_io import KlineEvent, PartialDepth

BEAT_MS = 100  # the fastest pace; every other is a multiple of it, or one of 50
_AVERAGE_MS = 5 * 60_000
_TRADES_MAX = 1_000
_SECOND_MS = 1_000
_MINUTE_MS = 60_000


class VenuePulse:
    """`beat` is called about every BEAT_MS; `ticker` is the day of one symbol."""

    def __init__(
        self, *, exchange: Exchange, dialect: BinanceServer, hub: StreamHub, ticker: Callable[[str], Ticker]
    ) -> None:
        self._exchange = exchange
        self._dialect = dialect
        self._hub = hub
        self._ticker = ticker
        self._seen_changes = -1
        self._paced: list[PacedStream] = []  # those that have a listener
        self._slots: dict[str, int] = {}  # stream -> slot of its pace that was sent last; no more than `_paced`
        self._opens_ms: dict[str, int] = {}  # kline stream -> opening of the candle that it sent last

    def beat(self, now_ns: int) -> bool:
        """Publish what is due; was there anything?"""
        if self._hub.changes_count != self._seen_changes:
            self._look()
        now_ms, sent = now_ns // NS_PER_MS, False
        for paced in self._paced:
            slot = now_ms // paced.pace_ms
            if self._slots.get(paced.name) != slot:
                self._slots[paced.name] = slot
                sent = True
                for frame in self._frames(paced, now_ns):
                    self._hub.publish(paced.name, frame)
        return sent

    def _look(self) -> None:
        self._seen_changes = self._hub.changes_count
        read = (self._dialect.paced_stream(name) for name in self._hub.streams)
        self._paced = [paced for paced in read if paced is not None]
        names = {paced.name for paced in self._paced}
        self._slots = {name: slot for name, slot in self._slots.items() if name in names}
        self._opens_ms = {name: at for name, at in self._opens_ms.items() if name in names}

    def _frames(self, paced: PacedStream, now_ns: int) -> list[bytes]:
        dialect, exchange, now_ms = self._dialect, self._exchange, now_ns // NS_PER_MS
        match paced.pulse:
            case Pulse.PARTIAL:
                whole = exchange.depth(paced.symbol, paced.levels)
                part = PartialDepth(paced.symbol, whole.last_seq, now_ns, whole.bids, whole.asks)
                return [dialect.frame_of(part, paced.name)]
            case Pulse.KLINE:
                return [dialect.frame_of(event, paced.name) for event in self._candles(paced, now_ns)]
            case Pulse.AVERAGE:
                return [self._average(paced.symbol, now_ms)]
            case Pulse.MARKS:
                marks = [exchange.mark(row.symbol) for row in exchange.instruments()]
                return [_array([dialect.frame_of(mark, paced.name) for mark in marks])]
        mini = paced.pulse is Pulse.MINI_TICKER
        if paced.symbol:
            return [dialect.ticker_frame(self._ticker(paced.symbol), mini=mini, now_ms=now_ms)]
        days = [self._ticker(row.symbol) for row in exchange.instruments()]
        return [_array([dialect.ticker_frame(day, mini=mini, now_ms=now_ms) for day in days])]

    def _average(self, symbol: str, now_ms: int) -> bytes:
        """Of the trades of five minutes; the mid where there are none."""
        since_ns = (now_ms - _AVERAGE_MS) * NS_PER_MS
        trades = [each for each in self._exchange.recent_trades(symbol, _TRADES_MAX) if each.event_ns > since_ns]
        lots = sum(each.lots for each in trades)
        if not lots:
            top = self._exchange.top(symbol)
            return self._dialect.average_frame(symbol, (top.bid_ticks + top.ask_ticks) / 2, now_ms, now_ms=now_ms)
        ticks = sum(each.price_ticks * each.lots for each in trades) / lots
        return self._dialect.average_frame(symbol, ticks, trades[-1].event_ns // NS_PER_MS, now_ms=now_ms)

    # --- candles -------------------------------------------------------------------------------------------------

    def _candles(self, paced: PacedStream, now_ns: int) -> list[KlineEvent]:
        """The running candle; before it the one that has closed since, unless the exchange says so itself."""
        if paced.length_ms == _SECOND_MS:
            return [KlineEvent(paced.symbol, now_ns, True, self._second(paced.symbol, now_ns // NS_PER_MS))]
        running = self._exchange.running_kline(paced.symbol, paced.length_ms)
        if running is None:
            return []
        events = [KlineEvent(paced.symbol, now_ns, False, running)]
        before_ms = self._opens_ms.get(paced.name, running.open_ms)
        self._opens_ms[paced.name] = running.open_ms
        if before_ms != running.open_ms and paced.length_ms > _MINUTE_MS:
            closed = self._exchange.klines(paced.symbol, paced.length_ms, 1)
            events[:0] = [KlineEvent(paced.symbol, now_ns, True, each) for each in closed if each.open_ms == before_ms]
        return events

    def _second(self, symbol: str, now_ms: int) -> Kline:
        """The last whole second; without a trade it stands where the one before closed."""
        open_ms = (now_ms // _SECOND_MS - 1) * _SECOND_MS
        trades = self._exchange.recent_trades(symbol, _TRADES_MAX)
        within = [each for each in trades if open_ms <= each.event_ns // NS_PER_MS < open_ms + _SECOND_MS]
        if within:
            prices = [each.price_ticks for each in within]
        else:
            older = [each.price_ticks for each in trades if each.event_ns // NS_PER_MS < open_ms]
            top = self._exchange.top(symbol)
            prices = older[-1:] or [(top.bid_ticks + top.ask_ticks) // 2]
        return Kline(
            open_ms=open_ms,
            close_ms=open_ms + _SECOND_MS - 1,
            open_ticks=prices[0],
            high_ticks=max(prices),
            low_ticks=min(prices),
            close_ticks=prices[-1],
            lots=sum(each.lots for each in within),
            trades_count=len(within),
        )


def _array(frames: list[bytes]) -> bytes:
    return b"[" + b",".join(frames) + b"]"
