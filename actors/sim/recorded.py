"""A venue whose market is a recording: nothing moves but what was recorded, and our orders are filled beside it.

Fill rules, for an order of ours that rests at price p
 1. It joins behind the recorded size of its level. Trades at p and falls of that size move it forward by the queue
    model of the settings (`queue_models.py`); a size we have never seen recorded leaves the estimate alone.
 2. A recorded taker trading at p fills what goes beyond the queue ahead, in whole lots; our own orders at one price
    share the size of that trade, the older first.
 3. A recorded trade through p (below our bid, above our ask) fills it whole, at p.
 4. A recorded best price, or a changed level, at or through p on the other side fills it whole, at p.
An order that crosses on arrival takes the recorded levels up to its limit, at their prices and sizes.

Left out: what our orders would have done to the market (the recording goes on as if they were not there, so the same
recorded size may fill several takers of ours), hidden size, trades between two accounts of ours.

Orders reach the book after the latency model's entry time and answers leave after its response time, both in the
recording's time: never in the CPU's.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping, Sequence

from actors.sim.desk import Desk
from actors.sim.desk_state import NEVER_NS, OrderBook
from actors.sim.matching import NOTHING_TO_REDUCE, BookEvent, Expiry, Match
from actors.sim.messages import ClientRequest, SimCommand
from actors.sim.orders import SimOrder
from actors.sim.queue_models import (
    BehindShare,
    ConstantLatency,
    LatencyModel,
    filled_lots,
    front_after_depth,
    queue_model,
)
from actors.vocab.config.sim import SimSettings
from actors.vocab.errors import ConfigError, OurFault, check
from actors.vocab.instruments import Instrument
from actors.vocab.market import Kline, Level, Side
from actors.vocab.units import NS_PER_MS
from actors.vocab.venue_io import (
    DepthDelta,
    DepthSnapshot,
    KlineEvent,
    MarketEvent,
    MarkPrice,
    PartialDepth,
    PublicTrade,
    StreamNotice,
    TopOfBook,
)

# Removed levels stay as zeros, so that a snapshot that comes late does not bring them back; beyond this many they go.
_LEVELS_MAX = 20_000
_KLINES_MAX = 1_500
_BUY, _SELL = Side.BUY, Side.SELL  # an enum member costs two look-ups each time


class RecordedBook:
    """The recorded levels of one symbol and our orders beside them."""

    def __init__(
        self, symbol: str, behind: BehindShare | None, room_to_reduce: Callable[[SimOrder], int] | None = None
    ) -> None:
        self.symbol = symbol
        self.last_seq = -1
        self.trade_id = 0
        self._behind = behind
        self._room = room_to_reduce
        # price -> lots; zeros are levels known to be empty
        self._levels: dict[Side, dict[int, int]] = {Side.BUY: {}, Side.SELL: {}}
        self._top: TopOfBook | None = None  # newest of the book ticker
        self._best: dict[Side, int] = {}  # best prices of the levels; forgotten when they change
        self._orders: dict[Side, list[SimOrder]] = {Side.BUY: [], Side.SELL: []}  # resting, oldest first

    # --- what the desk asks --------------------------------------------------------------------------------------

    def best_bid(self) -> int:
        """0 when unknown. A book ticker tells each change of the top, so where there is one it is believed."""
        return self._top.bid_ticks if self._top is not None else self._best_of(Side.BUY)

    def best_ask(self) -> int:
        """As `best_bid`."""
        return self._top.ask_ticks if self._top is not None else self._best_of(Side.SELL)

    def crosses(self, side: Side, price_ticks: int) -> bool:
        if side > 0:
            return 0 < self.best_ask() <= price_ticks
        return self.best_bid() >= price_ticks > 0

    def place(self, order: SimOrder) -> list[BookEvent]:
        events: list[BookEvent] = []
        if order.market or self.crosses(order.side, order.price_ticks):
            self._expire_own(order, events)
            self._take(order, events)
        if order.left_lots > 0:
            if order.market:
                events.append(Expiry(order, "no more size to trade with"))
            elif not self._tradable(order):
                events.append(Expiry(order, NOTHING_TO_REDUCE))
            else:
                order.ahead_lots = self._levels[order.side].get(order.price_ticks, 0)
                order.traded_since_depth = 0.0
                self._orders[order.side].append(order)
        return events

    def remove(self, order: SimOrder) -> None:
        self._orders[order.side].remove(order)

    def shrink(self, order: SimOrder, lots: int) -> None:
        check(order.filled_lots < lots <= order.lots, f"{self.symbol}: shrink of {order.lots} to {lots} lots")
        order.lots = lots

    # --- what the recording says ---------------------------------------------------------------------------------

    def on_depth(self, event: DepthDelta) -> list[BookEvent]:
        if self._is_gap(event):
            # What was missed may have touched any level: only what is said from here on is known.
            for levels in self._levels.values():
                levels.clear()
        self.last_seq = event.last_seq
        return self._apply(event.bids, event.asks)

    def on_snapshot(self, snapshot: DepthSnapshot) -> None:
        """Levels that no delta has spoken of; deltas that came are newer, or say what the snapshot says."""
        for side, levels in ((Side.BUY, snapshot.bids), (Side.SELL, snapshot.asks)):
            known = self._levels[side]
            for price_ticks, lots in levels:
                known.setdefault(price_ticks, lots)
        self.last_seq = max(self.last_seq, snapshot.last_seq)
        self._best.clear()

    def on_partial(self, event: PartialDepth) -> list[BookEvent]:
        """The top N: what it does not name inside its range is empty."""
        bids = [*event.bids]
        asks = [*event.asks]
        for side, levels in ((Side.BUY, bids), (Side.SELL, asks)):
            if levels:
                named = {price_ticks for price_ticks, _ in levels}
                worst = levels[-1][0]
                gone = [
                    (price_ticks, 0)
                    for price_ticks, lots in self._levels[side].items()
                    if lots and side * price_ticks >= side * worst and price_ticks not in named
                ]
                levels += gone
        self.last_seq = event.last_seq
        return self._apply(bids, asks)

    def on_whole(self, snapshot: DepthSnapshot) -> list[BookEvent]:
        """The whole book as of now, whatever was missed before: what it does not name is empty."""
        self._top = None
        self.last_seq = snapshot.last_seq
        return self._apply(
            self._with_gone(Side.BUY, snapshot.bids),
            self._with_gone(Side.SELL, snapshot.asks),
        )

    def on_top(self, event: TopOfBook) -> list[BookEvent]:
        self._top = event
        events: list[BookEvent] = []
        if self._orders[_BUY] and event.ask_ticks:
            self._pass(_BUY, event.ask_ticks, events)
        if self._orders[_SELL] and event.bid_ticks:
            self._pass(_SELL, event.bid_ticks, events)
        return events

    def on_trade(self, trade: PublicTrade) -> list[BookEvent]:
        side = trade.side.other  # of the orders it may meet
        events: list[BookEvent] = []
        given = 0  # lots of this trade that older orders of ours at its price have had
        for order in [*self._orders[side]]:
            if side * order.price_ticks > side * trade.price_ticks:
                self._fill(order, order.left_lots, events)
            elif order.price_ticks == trade.price_ticks:
                given += self._queue_trade(order, trade.lots, given, events)
        return events

    def size_at(self, side: Side, price_ticks: int) -> int:
        """Recorded lots at a price; 0 when empty or unknown."""
        return self._levels[side].get(price_ticks, 0)

    def levels(self, side: Side, count: int) -> list[Level]:
        """Best first."""
        rows = sorted(((price, lots) for price, lots in self._levels[side].items() if lots), reverse=side > 0)
        return rows[:count]

    # --- inside --------------------------------------------------------------------------------------------------

    def _with_gone(self, side: Side, levels: Sequence[Level]) -> list[Level]:
        named = {price_ticks for price_ticks, _ in levels}
        return [*levels, *((price, 0) for price in self._levels[side] if price not in named)]

    def _is_gap(self, event: DepthDelta) -> bool:
        if self.last_seq < 0:
            return False
        if event.prev_seq >= 0:
            return event.prev_seq > self.last_seq
        return event.first_seq > self.last_seq + 1

    def _apply(self, bids: Sequence[Level], asks: Sequence[Level]) -> list[BookEvent]:
        before = [
            (order, self._levels[side].get(order.price_ticks)) for side in self._orders for order in self._orders[side]
        ]
        self._levels[_BUY].update(bids)
        self._levels[_SELL].update(asks)
        self._best.clear()
        events: list[BookEvent] = []
        if not before:
            self._prune()
            return events
        for order, prev in before:
            new = self._levels[order.side].get(order.price_ticks)
            if new is not None and new != prev:
                self._queue_depth(order, prev, new)
        # Looked at with the removed levels first, at the speed of C: they may make us look closer in vain, never miss.
        if asks and self._orders[_BUY] and min(asks)[0] <= max([order.price_ticks for order in self._orders[_BUY]]):
            best = min([price for price, lots in asks if lots], default=0)
            if best:
                self._pass(_BUY, best, events)
        if bids and self._orders[_SELL] and max(bids)[0] >= min([order.price_ticks for order in self._orders[_SELL]]):
            best = max([price for price, lots in bids if lots], default=0)
            if best:
                self._pass(_SELL, best, events)
        return events

    def _prune(self) -> None:
        for side, levels in self._levels.items():
            if len(levels) > _LEVELS_MAX:
                self._levels[side] = {price: lots for price, lots in levels.items() if lots}

    def _pass(self, side: Side, other_ticks: int, events: list[BookEvent]) -> None:
        """The other side stands at `other_ticks`: our orders there or beyond have traded (rule 4)."""
        limit = side * other_ticks
        for order in [*self._orders[side]]:
            if side * order.price_ticks >= limit:
                self._fill(order, order.left_lots, events)

    def _queue_depth(self, order: SimOrder, prev: int | None, new: int) -> None:
        if prev is None:
            order.ahead_lots = min(order.ahead_lots, new)
        else:
            order.ahead_lots = front_after_depth(
                front=order.ahead_lots,
                prev=prev,
                new=new,
                traded=order.traded_since_depth,
                behind=self._behind,
            )
        order.ahead_lots = max(order.ahead_lots, 0.0)
        order.traded_since_depth = 0.0

    def _queue_trade(self, order: SimOrder, traded: int, given: int, events: list[BookEvent]) -> int:
        """A trade of `traded` lots at our price, `given` of them to older orders of ours; returns this order's lots."""
        order.ahead_lots -= traded
        order.traded_since_depth += traded
        lots = max(0, min(filled_lots(order.ahead_lots) - given, order.left_lots))
        order.ahead_lots = max(order.ahead_lots, 0.0)
        if lots > 0:
            self._fill(order, lots, events)
        return lots

    def _fill(self, order: SimOrder, lots: int, events: list[BookEvent]) -> None:
        """Fill a resting order at its own price."""
        lots = min(lots, self._tradable(order))
        if lots > 0:
            self.trade_id += 1
            order.filled_lots += lots
            events.append(Match(self.trade_id, order.price_ticks, lots, order.side.other, order, None))
        if not order.left_lots:
            self._orders[order.side].remove(order)
        elif not self._tradable(order):
            self._orders[order.side].remove(order)
            events.append(Expiry(order, NOTHING_TO_REDUCE))

    def _take(self, order: SimOrder, events: list[BookEvent]) -> None:
        """Trade with the recorded levels; where only the best price is known, with its size there."""
        for price_ticks, size in self._offers(order.side):
            if not order.market and order.side * price_ticks > order.side * order.price_ticks:
                return
            lots = min(size, self._tradable(order))
            if lots <= 0:
                return
            self.trade_id += 1
            order.filled_lots += lots
            events.append(Match(self.trade_id, price_ticks, lots, order.side, None, order))

    def _offers(self, side: Side) -> list[Level]:
        """What a taker meets, best first; never better than the newest best price."""
        best = self.best_ask() if side > 0 else self.best_bid()
        levels = [level for level in self.levels(side.other, 1_000) if side * level[0] >= side * best]
        top = self._top
        if top is not None and best and (not levels or levels[0][0] != best):
            levels.insert(0, (best, top.ask_lots if side > 0 else top.bid_lots))
        return levels

    def _expire_own(self, order: SimOrder, events: list[BookEvent]) -> None:
        """Orders of the same account that it would meet leave first (EXPIRE_MAKER)."""
        for own in [*self._orders[order.side.other]]:
            meets = order.market or order.side * own.price_ticks <= order.side * order.price_ticks
            if own.account == order.account and meets:
                self._orders[own.side].remove(own)
                events.append(Expiry(own, "self-trade prevention"))

    def _tradable(self, order: SimOrder) -> int:
        if not order.reduce_only or self._room is None:
            return order.left_lots
        return min(order.left_lots, self._room(order))

    def _best_of(self, side: Side) -> int:
        best = self._best.get(side)
        if best is None:
            best = int(side) * max((side * price for price, lots in self._levels[side].items() if lots), default=0)
            self._best[side] = best
        return best


class RecordedExchange(Desk):
    """`messages.Exchange`, driven by `on_market`. Sends no public events: the recorded frames themselves go out.

    Its clock is the recording's: the first event may lie years before `start_ms`, and then time starts there.
    """

    def __init__(
        self,
        *,
        venue: str,
        instruments: Sequence[Instrument],
        settings: SimSettings,
        seed: int = 0,
        start_ms: int = 0,
        latency: LatencyModel | None = None,
        first_prices: Mapping[str, float] | None = None,
    ) -> None:
        """`first_prices` by symbol, in quote currency: what starting coins of spot accounts are counted by."""
        constant = ConstantLatency(
            int(settings.order_latency_ms * NS_PER_MS), int(settings.response_latency_ms * NS_PER_MS)
        )
        super().__init__(
            venue=venue,
            instruments=instruments,
            settings=settings,
            seed=seed,
            start_ms=start_ms,
            latency=latency or constant,
        )
        self._funding_ns = NEVER_NS  # paid when the recording's own next funding time moves on
        behind = queue_model(settings.queue_model)
        self._books = {symbol: RecordedBook(symbol, behind, self._room_to_reduce) for symbol in self._instruments}
        self._first_prices = dict(first_prices or {})
        self._marks: dict[str, MarkPrice] = {}
        self._last_trade_ticks: dict[str, int] = {}
        self._klines: dict[str, list[Kline]] = {symbol: [] for symbol in self._instruments}

    def on_market(self, event: MarketEvent | DepthSnapshot, now_ns: int) -> list[SimCommand]:
        """One recorded event; what was due before it is done before it."""
        out = self.advance(now_ns)
        if isinstance(event, StreamNotice):
            return out
        symbol = event.symbol
        book = self._books.get(symbol)
        if book is None:
            return out  # a symbol that this venue does not list
        happened: list[BookEvent] = []
        # The most frequent first: this is asked of every frame.
        if isinstance(event, TopOfBook):
            happened = book.on_top(event)
        elif isinstance(event, PublicTrade):
            self._recent[symbol].append(event)
            self._last_trade_ticks[symbol] = event.price_ticks
            happened = book.on_trade(event)
        elif isinstance(event, DepthDelta):
            happened = book.on_depth(event)
        elif isinstance(event, PartialDepth):
            happened = book.on_partial(event)
        elif isinstance(event, DepthSnapshot):
            book.on_snapshot(event)
        elif isinstance(event, MarkPrice):
            self._on_mark(event, now_ns, out)
        elif isinstance(event, KlineEvent):
            self._on_kline(event)
        if happened:
            self._settle(symbol, happened, now_ns, out)
        return out

    def on_snapshot(self, snapshot: DepthSnapshot, now_ns: int) -> list[SimCommand]:
        """As `on_market`."""
        return self.on_market(snapshot, now_ns)

    def join(self, whole: DepthSnapshot, now_ns: int) -> list[SimCommand]:
        """Go on from the whole book of a symbol: paper trading, when the venue's stream has been joined (again)."""
        out = self.advance(now_ns)
        happened = self._books[whole.symbol].on_whole(whole)
        if happened:
            self._settle(whole.symbol, happened, now_ns, out)
        return out

    # --- messages.Exchange ---------------------------------------------------------------------------------------

    def handle(self, request: ClientRequest, now_ns: int) -> list[SimCommand]:
        self._follow(now_ns)
        return super().handle(request, now_ns)

    def advance(self, now_ns: int) -> list[SimCommand]:
        if now_ns < self.now_ns:
            self._follow(now_ns)
        out: list[SimCommand] = []
        while (due_ns := self._next_desk_ns()) <= now_ns:
            self.now_ns = max(self.now_ns, due_ns)
            self._do_desk(self.now_ns, out)
        self.now_ns = now_ns
        return out

    def next_due_ns(self) -> int:
        return self._next_desk_ns()

    def depth(self, symbol: str, levels: int) -> DepthSnapshot:
        book = self._books[symbol]
        return DepthSnapshot(
            symbol, max(book.last_seq, 0), book.levels(Side.BUY, levels), book.levels(Side.SELL, levels)
        )

    def top(self, symbol: str) -> TopOfBook:
        book = self._books[symbol]
        bid, ask = book.best_bid(), book.best_ask()
        bid_lots, ask_lots = book.size_at(Side.BUY, bid), book.size_at(Side.SELL, ask)
        return TopOfBook(symbol, max(book.last_seq, 0), self.now_ns, bid, bid_lots, ask, ask_lots)

    def mark(self, symbol: str) -> MarkPrice:
        recorded = self._marks.get(symbol)
        if recorded is not None:
            return recorded
        mark = self.mark_ticks(symbol)
        return MarkPrice(symbol, self.now_ns, mark, mark, 0.0, 0)

    def klines(self, symbol: str, interval_ms: int, count: int) -> list[Kline]:
        """Closed candles of this interval that the recording has shown so far; none is made up."""
        if interval_ms < 60_000 or interval_ms % 60_000:
            raise ValueError(f"{symbol}: candles of {interval_ms} ms; only whole minutes are kept")
        found = [each for each in self._klines[symbol] if each.close_ms - each.open_ms + 1 == interval_ms]
        return found[-count:] if count > 0 else []

    def running_kline(self, symbol: str, interval_ms: int) -> Kline | None:
        return None

    def mark_ticks(self, symbol: str) -> float:
        """Recorded mark; else mid; else the last trade; 0.0 before anything was recorded."""
        recorded = self._marks.get(symbol)
        if recorded is not None:
            return recorded.mark_ticks
        book = self._books[symbol]
        bid, ask = book.best_bid(), book.best_ask()
        if bid and ask:
            return (bid + ask) / 2
        return float(self._last_trade_ticks.get(symbol, 0))

    def _opening_ticks(self, symbol: str) -> float:
        """No frame has been played yet when accounts open."""
        return self._first_prices.get(symbol, 0.0) / self._instruments[symbol].tick_float

    def funding_rate(self, symbol: str) -> float:
        recorded = self._marks.get(symbol)
        return recorded.funding_rate if recorded is not None else 0.0

    # --- desk ----------------------------------------------------------------------------------------------------

    def _book(self, symbol: str) -> OrderBook:
        return self._books[symbol]

    def change_instrument(self, instrument: Instrument, now_ns: int) -> list[SimCommand]:
        """Filters and halts only: a recording is spelled in the steps of its time."""
        listed = self._instruments.get(instrument.symbol)
        if listed is not None and (listed.tick, listed.lot) != (instrument.tick, instrument.lot):
            raise ConfigError(f"{self.venue} {instrument.symbol}: the steps of a recording cannot change")
        return super().change_instrument(instrument, now_ns)

    def _restep(self, instrument: Instrument, now_ns: int) -> None:
        raise OurFault(f"{self.venue} {instrument.symbol}: the steps of a recording cannot change")

    def _after_book_change(self, symbol: str, now_ns: int, out: list[SimCommand]) -> None:
        """The recorded book does not know our orders."""

    def _publish_trade(self, symbol: str, match: Match, now_ns: int, out: list[SimCommand]) -> None:
        """The world does not see our trades: its own are recorded."""

    def _public(self, event: MarketEvent, now_ns: int, out: list[SimCommand]) -> None:
        """Recorded frames go out as they are, past this brain."""

    # --- inside --------------------------------------------------------------------------------------------------

    def _on_mark(self, event: MarkPrice, now_ns: int, out: list[SimCommand]) -> None:
        before = self._marks.get(event.symbol)
        if before is not None and 0 < before.next_funding_ms < event.next_funding_ms:
            self._fund_symbol(event.symbol, before.funding_rate, now_ns, out)
        self._marks[event.symbol] = event

    def _on_kline(self, event: KlineEvent) -> None:
        if event.closed:
            kept = self._klines[event.symbol]
            kept.append(event.kline)
            del kept[:-_KLINES_MAX]

    def _follow(self, now_ns: int) -> None:
        """Let time go where the recording begins: requests made before it do not wait for the old clock."""
        if now_ns >= self.now_ns:
            return
        behind_ns = self.now_ns - now_ns
        self.now_ns = now_ns
        for waiting in self._waiting:
            waiting.due_ns -= behind_ns
        heapq.heapify(self._waiting)
        self._countdowns = {key: due_ns - behind_ns for key, due_ns in self._countdowns.items()}
        self._countdown_ns = min(self._countdowns.values(), default=NEVER_NS)
