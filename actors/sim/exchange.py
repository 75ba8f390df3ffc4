"""A venue that makes its own market: seeded flow into price-time queues, for all symbols of one venue.

Time is cut into small steps; in each, the symbols act one after the other, evenly staggered, so frames never come in
one clump. A symbol's depth event leaves every DEPTH_INTERVAL_MS, its top of book at each change. Frames per second are
steered: a symbol that owes frames stirs the size at its touch.

`SimExchange` has every method of `messages.Exchange`; what is common to all venues is in `desk.py`.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence

from actors.sim.desk import Desk
from actors.sim.flow import Draws, MarketProfile, SymbolFlow
from actors.sim.matching import Book
from actors.sim.messages import ClientRequest, Private, Public, Reply, SimCommand
from actors.sim.paths import STEP_MS, PricePath, history
from actors.sim.queue_models import ConstantLatency
from actors.vocab.config.sim import SimSettings
from actors.vocab.errors import ConfigError
from actors.vocab.instruments import Instrument
from actors.vocab.market import Kline
from actors.vocab.units import NS_PER_MS, NS_PER_S
from actors.vocab.venue_io import (
    DepthDelta,
    DepthSnapshot,
    KlineEvent,
    Liquidation,
    MarketEvent,
    MarkPrice,
    PublicTrade,
    TopOfBook,
)

__all__ = ["ClientRequest", "Private", "Public", "Reply", "SimCommand", "SimExchange"]

DEPTH_INTERVAL_MS = 100
_MARKS_PER_INTERVAL = DEPTH_INTERVAL_MS / 1000
_STEP_NS = STEP_MS * NS_PER_MS
_MINUTE_NS = 60 * NS_PER_S
_MICRO_MIN, _MICRO_MAX = 2, 200  # steps of a symbol within a depth interval
_STEERING = 1.04  # aimed at above the setting: the average must not lie below it
_DEBT_MAX = 5.0  # frames; trades in bursts are not paid back by silence beyond this
_PRICE_MARGIN = 20  # ticks a starting price must be worth at least, or the book has no room below it
# Binance's funding formula: premium + clamp(interest - premium, ±0.05 %), interest 0.01 % per interval.
_INTEREST = 0.0001
_PREMIUM_CLAMP = 0.0005
_RESTEP_HOLE = 1_000  # update ids skipped when the steps of a symbol change
_BASIS_DECAY = 0.9  # a second, of the basis in the mark
_LIQUIDATION_SHARE = 0.15  # of trades above LIQUIDATION_LEVELS touches in size: somebody was forced
_LIQUIDATION_TRADES = 6
KLINES_KEPT = 1500


class _Symbol:
    """One listed symbol: its book, its world, and what its streams have said last."""

    def __init__(self, book: Book, flow: SymbolFlow, path: PricePath, price_ticks: int, now_ns: int) -> None:
        self.symbol = book.symbol
        self.book = book
        self.flow = flow
        self.path = path
        self.window_seq = 1  # first id of the depth event that is being collected
        self.seq = 1  # newest id
        self.sent_seq = 0  # last id of the newest depth event
        self.top = book.top()
        self.credit = 0.0  # frames it owes (+) or is ahead (-)
        self.basis_ticks = 0.0
        self.premium = 0.0  # average of (mid - index) / index
        self.mark_ns = now_ns
        self.klines: deque[Kline] = deque(maxlen=KLINES_KEPT)
        self.minute_ns = now_ns // _MINUTE_NS * _MINUTE_NS
        self.candle = [price_ticks, price_ticks, price_ticks, price_ticks, 0, 0]  # open high low close lots trades


class SimExchange(Desk):
    """Guarantees: books are never crossed between calls; the same calls with the same times give the same commands.

    `prices` start the paths (quote currency, at `start_ms`, unix). `profiles` give volatility and depth by symbol.
    Two venues with one seed and one start show the same latent prices to coins whose profiles name the same path.
    """

    def __init__(
        self,
        *,
        venue: str,
        instruments: Sequence[Instrument],
        prices: Mapping[str, float],
        settings: SimSettings,
        seed: int,
        start_ms: int,
        profiles: Mapping[str, MarketProfile] | None = None,
    ) -> None:
        super().__init__(
            venue=venue,
            instruments=instruments,
            settings=settings,
            seed=seed,
            start_ms=start_ms,
            latency=ConstantLatency(int(settings.order_latency_ms * NS_PER_MS), 0),
        )
        self._seed = seed
        self._start_ns = self.now_ns
        self._draws = Draws(seed)
        self._prices = dict(prices)
        self._profiles = dict(profiles or {})
        self._symbols: dict[str, _Symbol] = {}
        self._past: dict[str, list[Kline]] = {}  # symbol -> minutes before the start, as many as were asked for
        for instrument in instruments:
            self._symbols[instrument.symbol] = self._list(instrument)
        self._ring = list(self._symbols.values())
        self._pace()
        self._tick = 0  # number of symbol steps done; time of the next one follows from it
        self._flow_ns = self._tick_ns(0)

    # --- messages.Exchange ---------------------------------------------------------------------------------------

    def next_due_ns(self) -> int:
        return min(self._flow_ns, self._next_desk_ns())

    def advance(self, now_ns: int) -> list[SimCommand]:
        out: list[SimCommand] = []
        while True:
            desk_ns = self._next_desk_ns()
            flow_ns = self._flow_ns
            if desk_ns <= flow_ns:
                if desk_ns > now_ns:
                    break
                self.now_ns = max(self.now_ns, desk_ns)
                self._do_desk(self.now_ns, out)
            else:
                if flow_ns > now_ns:
                    break
                self.now_ns = max(self.now_ns, flow_ns)
                self._do_flow(self.now_ns, out)
        self.now_ns = max(self.now_ns, now_ns)
        return out

    def depth(self, symbol: str, levels: int) -> DepthSnapshot:
        at = self._symbols[symbol]
        return DepthSnapshot(
            symbol=symbol,
            last_seq=at.seq,
            bids=at.book.bids.levels(levels),
            asks=at.book.asks.levels(levels),
        )

    def top(self, symbol: str) -> TopOfBook:
        at = self._symbols[symbol]
        return TopOfBook(symbol, at.seq, self.now_ns, *at.book.top())

    def mark(self, symbol: str) -> MarkPrice:
        return self._mark_event(self._symbols[symbol], self.now_ns)

    def klines(self, symbol: str, interval_ms: int, count: int) -> list[Kline]:
        if interval_ms < 60_000 or interval_ms % 60_000:
            raise ValueError(f"{symbol}: candles of {interval_ms} ms; only whole minutes are simulated")
        minutes = interval_ms // 60_000
        at = self._symbols[symbol]
        live = list(at.klines)
        # One interval more than asked for, so that the oldest one is whole.
        need = (count + 1) * minutes
        candles = [*self._history(symbol, max(0, need - len(live))), *live]
        if minutes == 1:
            return candles[-count:]
        groups: dict[int, list[Kline]] = {}
        for candle in candles:
            groups.setdefault(candle.open_ms // interval_ms, []).append(candle)
        return [_joined(group, interval_ms) for group in groups.values() if len(group) == minutes][-count:]

    def running_kline(self, symbol: str, interval_ms: int) -> Kline | None:
        at = self._symbols[symbol]
        minute_ms = at.minute_ns // NS_PER_MS
        open_ms = minute_ms // interval_ms * interval_ms
        closed = self.klines(symbol, 60_000, (minute_ms - open_ms) // 60_000) if minute_ms > open_ms else []
        return _joined([*closed, _kline(minute_ms, 60_000, at.candle)], interval_ms)

    def mark_ticks(self, symbol: str) -> float:
        at = self._symbols[symbol]
        return at.flow.index_ticks + at.basis_ticks

    def funding_rate(self, symbol: str) -> float:
        premium = self._symbols[symbol].premium
        return round(premium + min(max(_INTEREST - premium, -_PREMIUM_CLAMP), _PREMIUM_CLAMP), 8)

    def index_ticks(self, symbol: str) -> float:
        """Latent price: for tests and reports, never for clients."""
        return self._symbols[symbol].flow.index_ticks

    def _book(self, symbol: str) -> Book:
        return self._symbols[symbol].book

    # --- listing -------------------------------------------------------------------------------------------------

    def _list(self, instrument: Instrument) -> _Symbol:
        symbol = instrument.symbol
        price = self._prices.get(symbol)
        if price is None or price < _PRICE_MARGIN * instrument.tick_float:
            raise ConfigError(f"{self.venue} {symbol}: needs a starting price of at least {_PRICE_MARGIN} ticks")
        profile = self._profiles.get(symbol, MarketProfile())
        path = PricePath(
            name=profile.path or symbol,
            seed=self._seed,
            volatility=profile.volatility,
            correlation=self.settings.correlation,
        )
        book, flow = self._open_world(instrument, path)
        return _Symbol(book, flow, path, round(price / instrument.tick_float), self.now_ns)

    def _open_world(self, instrument: Instrument, path: PricePath) -> tuple[Book, SymbolFlow]:
        """A book with makers around where the path stands now."""
        book = Book(instrument.symbol, self._room_to_reduce)
        flow = SymbolFlow(
            instrument=instrument,
            price=self._prices[instrument.symbol],
            profile=self._profiles.get(instrument.symbol, MarketProfile()),
            path=path,
            book=book,
            draws=self._draws,
            settings=self.settings,
            at_step=(self.now_ns - self._start_ns) // _STEP_NS,
        )
        book.bids.take_dirty()
        book.asks.take_dirty()
        return book, flow

    def _restep(self, instrument: Instrument, now_ns: int) -> None:
        """New ticks need a new book. Its depth events leave a hole in the sequence: clients must take a snapshot."""
        at = self._symbols[instrument.symbol]
        ratio = at.flow.tick_float / instrument.tick_float
        trade_id = at.book.trade_id
        at.book, at.flow = self._open_world(instrument, at.path)
        at.book.trade_id = trade_id
        at.top = at.book.top()
        at.seq += _RESTEP_HOLE
        at.sent_seq = at.window_seq = at.seq
        at.basis_ticks *= ratio
        at.candle = [max(1, round(price * ratio)) for price in at.candle[:4]] + at.candle[4:]
        at.klines.clear()  # in the old steps
        self._past.pop(at.symbol, None)

    def _pace(self) -> None:
        """How long an interval of depth events is, and how many steps a symbol takes within it."""
        per_symbol = self.settings.frames_per_s * _STEERING / len(self._ring)
        self._credit_per_s = per_symbol
        per_interval = per_symbol * DEPTH_INTERVAL_MS / 1000
        # Asked for few frames, a venue acts less often: each step tends to send a top and a depth event.
        stretch = max(1, round(2 / max(per_interval - _MARKS_PER_INTERVAL, 0.02)))
        self._interval_ns = stretch * DEPTH_INTERVAL_MS * NS_PER_MS
        self._micro = min(max(_MICRO_MIN, math.ceil(per_interval)), _MICRO_MAX) if stretch == 1 else 1
        self._step_s = self._interval_ns / NS_PER_S / self._micro

    def _tick_ns(self, tick: int) -> int:
        return self._start_ns + tick * self._interval_ns // (self._micro * len(self._ring))

    # --- flow ----------------------------------------------------------------------------------------------------

    def _do_flow(self, now_ns: int, out: list[SimCommand]) -> None:
        """One step of one symbol."""
        count = len(self._ring)
        at = self._ring[self._tick % count]
        micro = self._tick // count
        self._tick += 1
        self._flow_ns = self._tick_ns(self._tick)
        at.credit = max(at.credit, -_DEBT_MAX) + self._credit_per_s * self._step_s
        events = at.flow.step((now_ns - self._start_ns) // _STEP_NS, self._step_s)
        if events:
            self._settle(at.symbol, events, now_ns, out)
            if len(events) >= _LIQUIDATION_TRADES and self.market == "perp":
                self._maybe_liquidation(at, now_ns, out)
        if at.credit >= 1:
            at.flow.stir_top()
        self._after_book_change(at.symbol, now_ns, out)
        # Symbols start their depth intervals at different steps, so that the work is even.
        if micro % self._micro == self._micro - 1:
            self._send_depth(at, now_ns, out)
        if now_ns - at.mark_ns >= NS_PER_S:
            self._second(at, now_ns, out)

    def _after_book_change(self, symbol: str, now_ns: int, out: list[SimCommand]) -> None:
        """Send the top when it changed."""
        at = self._symbols[symbol]
        top = at.book.top()
        if top != at.top:
            at.top = top
            at.seq += 1
            self._public(TopOfBook(symbol, at.seq, now_ns, *top), now_ns, out)

    def _send_depth(self, at: _Symbol, now_ns: int, out: list[SimCommand]) -> None:
        at.flow.stir_depth()
        self._after_book_change(at.symbol, now_ns, out)
        bids, asks = at.book.bids.take_dirty(), at.book.asks.take_dirty()
        if not bids and not asks:
            return
        at.seq += len(bids) + len(asks)
        perp = self.market == "perp"
        event = DepthDelta(
            symbol=at.symbol,
            first_seq=at.window_seq,
            last_seq=at.seq,
            prev_seq=at.sent_seq if perp else -1,
            event_ns=now_ns,
            bids=bids,
            asks=asks,
        )
        at.sent_seq = at.seq
        if perp:
            # Ids of a perpetual venue are shared with what a client never sees, so an event's first id does not
            # follow the last one's; but a snapshot taken now must lie inside the next event's span.
            at.seq += 1 + at.seq % 3
            at.window_seq = at.seq
        else:
            at.window_seq = at.seq + 1
        self._public(event, now_ns, out)

    def _second(self, at: _Symbol, now_ns: int, out: list[SimCommand]) -> None:
        """Once a second: the mark follows the basis, and at a minute's end its candle closes."""
        at.mark_ns += (now_ns - at.mark_ns) // NS_PER_S * NS_PER_S
        bid, _, ask, _ = at.top
        if bid and ask:
            basis = (bid + ask) / 2 - at.flow.index_ticks
            at.basis_ticks = _BASIS_DECAY * at.basis_ticks + (1 - _BASIS_DECAY) * basis
            at.premium += (basis / at.flow.index_ticks - at.premium) / 60
        if self.market == "perp":
            self._public(self._mark_event(at, now_ns), now_ns, out)
        while now_ns >= at.minute_ns + _MINUTE_NS:
            self._close_candle(at, now_ns, out)

    def _mark_event(self, at: _Symbol, now_ns: int) -> MarkPrice:
        return MarkPrice(
            symbol=at.symbol,
            event_ns=now_ns,
            mark_ticks=round(at.flow.index_ticks + at.basis_ticks, 4),
            index_ticks=round(at.flow.index_ticks, 4),
            funding_rate=self.funding_rate(at.symbol),
            next_funding_ms=self._funding_ns // NS_PER_MS if self.market == "perp" else 0,
        )

    def _close_candle(self, at: _Symbol, now_ns: int, out: list[SimCommand]) -> None:
        kline = _kline(at.minute_ns // NS_PER_MS, 60_000, at.candle)
        at.klines.append(kline)
        close = at.candle[3]
        at.candle = [close, close, close, close, 0, 0]
        at.minute_ns += _MINUTE_NS
        self._public(KlineEvent(at.symbol, now_ns, True, kline), now_ns, out)

    def _maybe_liquidation(self, at: _Symbol, now_ns: int, out: list[SimCommand]) -> None:
        last = self._recent[at.symbol][-1]
        if self._draws.uniform() < _LIQUIDATION_SHARE:
            self._public(Liquidation(at.symbol, now_ns, last.side, last.price_ticks, last.lots), now_ns, out)

    def _public(self, event: MarketEvent, now_ns: int, out: list[SimCommand]) -> None:
        if isinstance(event, PublicTrade):
            candle = self._symbols[event.symbol].candle
            candle[1] = max(candle[1], event.price_ticks)
            candle[2] = min(candle[2], event.price_ticks)
            candle[3] = event.price_ticks
            candle[4] += event.lots
            candle[5] += 1
        for delay_ms, sent in self.faults.on_public(event, now_ns):
            self._symbols[sent.symbol].credit -= 1  # type: ignore[union-attr]  # a venue sends no StreamNotice here
            if delay_ms:
                self._later(now_ns + delay_ms * NS_PER_MS, command=Public(sent))
            else:
                out.append(Public(sent))

    # --- candles -------------------------------------------------------------------------------------------------

    def _history(self, symbol: str, minutes: int) -> list[Kline]:
        """Minutes before the start, from the same seed as the path that follows."""
        if not minutes:
            return []
        known = self._past.get(symbol, [])
        if len(known) < minutes:
            # A minute that was shown keeps its turnover.
            known = self._past[symbol] = self._made_history(symbol, minutes, known[0].lots if known else 0)
        return known[-minutes:]

    def _made_history(self, symbol: str, minutes: int, lots: int) -> list[Kline]:
        instrument = self._instruments[symbol]
        profile = self._profiles.get(symbol, MarketProfile())
        start_ticks = self._prices[symbol] / instrument.tick_float
        first_ms = self._start_ns // _MINUTE_NS * 60_000 - minutes * 60_000
        factors = history(name=profile.path or symbol, seed=self._seed, volatility=profile.volatility, minutes=minutes)
        # A minute's turnover: what takers trade at the configured rate, a third of a touch each.
        touch = self._symbols[symbol].book.bids.makers
        lots = lots or max(1, int(self.settings.taker_rate_per_s * 20 * (sum(touch.values()) / max(1, len(touch))) / 3))
        return [
            Kline(
                open_ms=first_ms + number * 60_000,
                close_ms=first_ms + number * 60_000 + 59_999,
                open_ticks=max(1, round(factor[0] * start_ticks)),
                high_ticks=max(1, math.ceil(factor[1] * start_ticks)),
                low_ticks=max(1, math.floor(factor[2] * start_ticks)),
                close_ticks=max(1, round(factor[3] * start_ticks)),
                lots=lots,
                trades_count=int(self.settings.taker_rate_per_s * 60),
            )
            for number, factor in enumerate(factors)
        ]


def _kline(open_ms: int, span_ms: int, candle: Sequence[int]) -> Kline:
    opened, high, low, close, lots, trades_count = candle
    return Kline(open_ms, open_ms + span_ms - 1, opened, high, low, close, lots, trades_count)


def _joined(group: Sequence[Kline], interval_ms: int) -> Kline:
    return Kline(
        open_ms=group[0].open_ms,
        close_ms=group[0].open_ms + interval_ms - 1,
        open_ticks=group[0].open_ticks,
        high_ticks=max(candle.high_ticks for candle in group),
        low_ticks=min(candle.low_ticks for candle in group),
        close_ticks=group[-1].close_ticks,
        lots=sum(candle.lots for candle in group),
        trades_count=sum(candle.trades_count for candle in group),
    )
