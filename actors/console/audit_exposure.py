"""The invariant of leases once more, from the venues' ledgers alone: at every event, every order's worst case.

Per symbol and side: position plus live buys, or minus live sells, at the price of a lot that risk had frozen at that
moment. Sums per symbol, base asset (both sides apart), venue and over all, as in `risk/grants.py`.

The venue's rows carry milliseconds. Events of one millisecond are taken in this order: ends and cuts of orders, trades,
then new and larger orders. So an overrun shorter than a millisecond is not seen, and a replaced order is none.
A frozen price that changes is taken at its lower value within `CLOCK_SLACK_MS`: risk's stamp of the change and the
venue's of the orders that it made room for come from two clocks.
"""

from __future__ import annotations

import enum
import heapq
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from actors.console.audit_lives import CLOCK_SLACK_MS
from actors.console.audit_views import Clocks, Key, Ours, Use, Verdict, held_lots, moved_lots, verdict
from actors.risk.limits import lot_price_nusd, nusd, usd
from actors.venues.ledger import LedgerAmendment, LedgerBook, LedgerOrder
from actors.vocab.instruments import Instrument
from actors.vocab.orders import DONE_STATES
from actors.vocab.units import NS_PER_MS

_FOREVER_MS = 1 << 62


class Phase(enum.IntEnum):
    """Order of what happens within one millisecond."""

    PRICE_IN = 0
    PRICE_OUT = 1
    END = 2  # of an order that is older than this millisecond
    CUT = 3
    TRADE = 4
    OPEN = 5  # created, or made larger
    END_AT_ONCE = 6


class _Event(msgspec.Struct, frozen=True, order=True):
    """`lots` is what a trade filled, or the size of an order after the event; `number` keeps the venue's order."""

    at_ms: int
    phase: Phase
    number: int
    key: Key
    order_id: str = ""
    lots: int = 0
    moved_lots: int = 0  # of the position, signed
    price_nusd: int = 0


class _Order:
    __slots__ = ("filled", "is_live", "lots", "side")

    def __init__(self, row: LedgerOrder) -> None:
        self.side = int(row.side)
        self.lots = 0
        self.filled = 0
        self.is_live = False


class _Symbol:
    """One symbol's worst cases now."""

    __slots__ = ("base", "buys", "long", "position", "prices", "sells", "short", "spare_price", "venue", "worst")

    def __init__(self, venue: str, base: str, position: int) -> None:
        self.venue = venue
        self.base = base
        self.position = position
        self.buys = 0
        self.sells = 0
        self.prices: list[int] = []  # frozen prices that may be in force; the lowest counts
        self.spare_price = 0  # of the newest order, where risk's are not known
        self.long = self.short = self.worst = 0  # nano-USD, as counted in the sums

    @property
    def price(self) -> int:
        return min(self.prices) if self.prices else self.spare_price


class _Limit:
    """One limit, its sum, and the most it came to."""

    __slots__ = ("at_ms", "events_over", "first", "limit", "name", "top", "used")

    def __init__(self, name: str, limit_usd: float) -> None:
        self.name = name
        self.limit = nusd(limit_usd)
        self.used = 0
        self.top = 0
        self.at_ms = 0
        self.events_over = 0
        self.first = ""  # the first overrun, for a reader

    def look(self, event: _Event) -> None:
        if self.used > self.top:
            self.top, self.at_ms = self.used, event.at_ms
        if self.used > self.limit:
            if not self.events_over:
                self.first = f"first at {event.at_ms} by {event.phase.name} of {event.key[1]} {event.order_id}"
            self.events_over += 1

    def use(self) -> Use:
        return Use(self.name, usd(self.top), usd(self.limit), self.at_ms, self.events_over)


class ExposureReport(msgspec.Struct, frozen=True):
    verdict: Verdict
    uses: tuple[Use, ...]
    events_count: int
    overruns_count: int  # events at which some limit was exceeded
    notes: tuple[str, ...]


def replay_exposure(ours: Ours, books: Sequence[LedgerBook], clocks: Clocks) -> ExposureReport:
    """Run through every event of the books; which limits were exceeded, and how far each was used."""
    machine = _Machine(ours, books)
    events_count = 0
    for event in heapq.merge(*(sorted(_events(ours, book, clocks)) for book in books)):
        events_count += event.phase > Phase.PRICE_OUT
        machine.take(event)
    uses = machine.uses()
    over = [
        f"{limit.name}: {usd(limit.top):.2f} of {usd(limit.limit):.2f} USD at {limit.events_over} events, {limit.first}"
        for limit in machine.limits()
        if limit.events_over
    ]
    unpriced = sorted({key for key, at in machine.symbols.items() if at.spare_price and not at.prices})
    notes = (
        ["frozen prices of grants are not journalled, order prices are taken: " + _names(unpriced)] if unpriced else []
    )
    top = max(uses, key=lambda use: use.share, default=None)
    return ExposureReport(
        verdict=verdict(
            "worst-case exposure",
            f"{events_count} events",
            f"{top.limit} {top.share:.1%}" if top else "nothing",
            over,
        ),
        uses=tuple(sorted(uses, key=lambda use: -use.share)),
        events_count=events_count,
        overruns_count=machine.overruns_count,
        notes=tuple(notes),
    )


# --- the machine -------------------------------------------------------------------------------------------------


class _Machine:
    """Takes events in order, keeps every sum by difference."""

    def __init__(self, ours: Ours, books: Sequence[LedgerBook]) -> None:
        risk = ours.settings
        self.symbols: dict[Key, _Symbol] = {}
        self.overruns_count = 0
        self._orders: dict[tuple[str, str, str], _Order] = {}  # (venue, symbol, venue's id)
        self._gross = _Limit("gross", risk.gross_usd_max)
        self._venues: dict[str, _Limit] = {}
        self._bases: dict[str, tuple[_Limit, _Limit]] = {}
        self._symbols: dict[Key, _Limit] = {}
        for book in books:
            self._venues[book.venue] = _Limit(f"venue {book.venue}", risk.venue_usd_max)
            for instrument in book.instruments:
                stock_lots = ours.stock_lots((book.venue, instrument.symbol))
                self._add(book, instrument, stock_lots, risk.net_base_usd_max, risk.symbol_usd_max)
            for row in book.orders:
                self._orders[book.venue, row.symbol, row.venue_order_id] = _Order(row)

    def _add(
        self, book: LedgerBook, instrument: Instrument, stock_lots: int, base_usd: float, symbol_usd: float
    ) -> None:
        key, base = (book.venue, instrument.symbol), instrument.base
        opening = held_lots(book, instrument) - stock_lots - sum(moved_lots(book, instrument))
        self.symbols[key] = _Symbol(book.venue, base, opening)
        self._symbols[key] = _Limit(f"symbol {book.venue} {instrument.symbol}", symbol_usd)
        if base not in self._bases:
            self._bases[base] = (_Limit(f"{base} long", base_usd), _Limit(f"{base} short", base_usd))

    def limits(self) -> Iterator[_Limit]:
        yield self._gross
        yield from self._venues.values()
        for pair in self._bases.values():
            yield from pair
        yield from self._symbols.values()

    def uses(self) -> list[Use]:
        return [limit.use() for limit in self.limits() if limit.top]

    def take(self, event: _Event) -> None:
        at = self.symbols[event.key]
        if event.phase is Phase.PRICE_IN:
            at.prices.append(event.price_nusd)
        elif event.phase is Phase.PRICE_OUT:
            at.prices.remove(event.price_nusd)
        else:
            self._move(at, event)
        self._settle(at, event.key)
        if event.phase > Phase.PRICE_OUT:
            self._look(at, event)

    def _move(self, at: _Symbol, event: _Event) -> None:
        name = (*event.key, event.order_id)
        if event.phase is Phase.TRADE:
            at.position += event.moved_lots
            traded = self._orders.get(name)
            if traded is not None:  # else an order from before the book
                traded.filled += event.lots
                if traded.is_live:
                    _live(at, traded.side, -event.lots)
            return
        order = self._orders[name]
        if event.price_nusd:
            at.spare_price = event.price_nusd
        if order.is_live:
            _live(at, order.side, -(order.lots - order.filled))
        order.lots = event.lots
        order.is_live = event.phase in (Phase.OPEN, Phase.CUT)
        if order.is_live:
            _live(at, order.side, order.lots - order.filled)

    def _settle(self, at: _Symbol, key: Key) -> None:
        price = at.price
        long = max(0, at.position + at.buys) * price
        short = max(0, at.sells - at.position) * price
        worst = max(long, short)
        base_long, base_short = self._bases[at.base]
        base_long.used += long - at.long
        base_short.used += short - at.short
        for limit in (self._gross, self._venues[at.venue], self._symbols[key]):
            limit.used += worst - at.worst
        at.long, at.short, at.worst = long, short, worst

    def _look(self, at: _Symbol, event: _Event) -> None:
        touched = (self._gross, self._venues[at.venue], *self._bases[at.base], self._symbols[event.key])
        for limit in touched:
            limit.look(event)
        self.overruns_count += any(limit.used > limit.limit for limit in touched)


def _live(at: _Symbol, side: int, lots: int) -> None:
    if side > 0:
        at.buys += lots
    else:
        at.sells += lots


# --- the events --------------------------------------------------------------------------------------------------


def _events(ours: Ours, book: LedgerBook, clocks: Clocks) -> Iterator[_Event]:
    """All of one book, unsorted, stamped by the clock of risk's newest term."""
    yield from _prices(ours, book, clocks)
    amendments: defaultdict[tuple[str, str], list[LedgerAmendment]] = defaultdict(list)
    for change in book.amendments:
        amendments[change.symbol, change.venue_order_id].append(change)
    instruments = {row.symbol: row for row in book.instruments}
    for number, row in enumerate(book.orders):
        history = amendments[row.symbol, row.venue_order_id]
        for event in _order_events(book, row, history, instruments[row.symbol], number):
            yield msgspec.structs.replace(event, at_ms=clocks.of_venue(book.venue, event.at_ms))
    moves = {symbol: iter(moved_lots(book, instrument)) for symbol, instrument in instruments.items()}
    for number, trade in enumerate(book.trades):
        fill = trade.fill
        yield _Event(
            at_ms=clocks.of_venue(book.venue, fill.event_ns // NS_PER_MS),
            phase=Phase.TRADE,
            number=number,
            key=(book.venue, fill.symbol),
            order_id=fill.venue_order_id,
            lots=fill.lots,
            moved_lots=next(moves[fill.symbol]),
        )


def _order_events(
    book: LedgerBook, row: LedgerOrder, history: Sequence[LedgerAmendment], instrument: Instrument, number: int
) -> Iterator[_Event]:
    """Created, amended, ended."""
    key = (book.venue, row.symbol)
    lots = history[0].lots_before if history else row.lots
    price_ticks = history[0].price_ticks_before if history else row.price_ticks

    def event(at_ms: int, phase: Phase, place: int, size: int, ticks: int) -> _Event:
        price = lot_price_nusd(mid_ticks=ticks, usd_per_tick_lot=instrument.usd_per_tick_lot) if ticks else 0
        return _Event(at_ms, phase, number << 20 | place, key, row.venue_order_id, size, 0, price)

    yield event(row.created_ms, Phase.OPEN, 0, lots, price_ticks)
    for place, change in enumerate(history, start=1):
        cuts = change.lots < lots and change.time_ms > row.created_ms
        yield event(change.time_ms, Phase.CUT if cuts else Phase.OPEN, place, change.lots, change.price_ticks)
        lots = change.lots
    if row.state in DONE_STATES:
        ended_ms = max(row.updated_ms, row.created_ms)
        newest_ms = max((change.time_ms for change in history), default=row.created_ms)
        phase = Phase.END if ended_ms > newest_ms else Phase.END_AT_ONCE
        yield event(ended_ms, phase, len(history) + 1, lots, 0)


def _prices(ours: Ours, book: LedgerBook, clocks: Clocks) -> Iterator[_Event]:
    """When each frozen price of a lot may have been in force: from the slack before its row to that after the next."""
    by_symbol: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
    known = {row.symbol for row in book.instruments}
    for row in ours.history.grants:
        if row.venue == book.venue and row.symbol in known and row.price_nusd:
            prices = by_symbol[row.symbol]
            at_ms = clocks.of_risk(row.term, row.venue, row.wall_ms)
            if not prices or prices[-1][1] != row.price_nusd:
                prices.append((max(at_ms, prices[-1][0] if prices else 0), row.price_nusd))
    for symbol, prices in by_symbol.items():
        key = (book.venue, symbol)
        for number, (at_ms, price_nusd) in enumerate(prices):
            # The first one holds for whatever came before it.
            from_ms = at_ms - CLOCK_SLACK_MS if number else -_FOREVER_MS
            yield _Event(from_ms, Phase.PRICE_IN, number, key, price_nusd=price_nusd)
            if number + 1 < len(prices):
                until_ms = prices[number + 1][0] + CLOCK_SLACK_MS
                yield _Event(until_ms, Phase.PRICE_OUT, number, key, price_nusd=price_nusd)


def _names(keys: Iterable[Key]) -> str:
    return ", ".join(f"{venue} {symbol}" for venue, symbol in keys)
