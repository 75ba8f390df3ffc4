"""The account compared with the venue: at start, after the private stream came back, and every half minute.

Reads the answers to what `reconcile.py` asks. The venue's open orders tell orphans (ours, of an older life: cancelled)
and foreign orders (counted, never touched); its trades tell fills we have not seen; its positions tell whether the
sum of our fills is true. Until the first comparison is over our count is not the truth and is told to nobody.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from math import ceil

from actors.gateway.accounts import Entry
from actors.gateway.commands import WakeAt
from actors.gateway.core import Core
from actors.gateway.desk import OrderDesk
from actors.gateway.funding import Fundings
from actors.gateway.limits import cost_of
from actors.gateway.pacer import Urgency
from actors.gateway.reconcile import Ask, AskOrders, AskPositions, FundingFrom, Reconciler, TradesFrom, Why
from actors.vocab.leases import FundingPaid
from actors.vocab.market import Side
from actors.vocab.orders import OpenOrder, OrderState
from actors.vocab.units import NS_PER_MS, NS_PER_S
from actors.vocab.venue_io import (
    VenueFill,
    VenueFunding,
    VenueFundingQuery,
    VenueFundings,
    VenueOpenOrders,
    VenueOpenOrdersQuery,
    VenueOrder,
    VenuePositions,
    VenuePositionsQuery,
    VenueTrades,
    VenueTradesQuery,
)

LIVE_STATES = (OrderState.OPEN, OrderState.PARTLY_FILLED)
# A fill may reach the position list before it reaches us. So a difference is adopted only when it is the same in two
# looks after its trades were read, a quarter of a second apart; one that keeps changing waits for the next comparison.
LOOKS_MAX = 5
LOOK_WAIT_MS = 250
# The first comparison looks on after that, a tenth as often: others may trade one symbol without a pause.
LATE_LOOK_WAIT_MS = 2_500
# Before the newest journalled trade: an outage of the private stream, and the comparison after it that the death of an
# earlier life cut short.
MISSED_MAX_MS = 120_000


class Comparison:
    """Runs one comparison at a time and keeps what it found out."""

    def __init__(
        self,
        core: Core,
        desk: OrderDesk,
        *,
        started_ms: int,
        publish: Callable[[Entry], None],
        on_done: Callable[[], None],
    ) -> None:
        """`publish` tells an adjustment; `on_done` is called when the account has become reconciled."""
        self._core = core
        self._desk = desk
        self._publish = publish
        self._on_done = on_done
        self._prefix = core.settings.client_prefix + "-"
        self._since_ms = started_ms
        self._next_ns = 0
        self._reconciler = Reconciler()
        self._fundings = Fundings(started_ms)
        # symbol -> venue order id -> (side, unfilled lots) of orders that are not ours
        self._foreign: dict[str, dict[str, tuple[Side, int]]] = {}
        # (symbol, venue order id) of those the stream has told of since open orders were asked for: its word is newer
        self._foreign_told: dict[tuple[str, str], None] = {}
        # fills counted per symbol when positions were asked for: a fill in between makes the answer useless
        self._fills_before: dict[str, int] = {}
        self._positions_asked_ms = 0
        self._differed: dict[str, int] = {}  # symbol -> venue's lots less ours at the last look
        self._compared: set[str] = set()  # symbols looked at in this comparison without a fill in between
        self._journal_told = False  # the journal knows an earlier life: positions go on from there
        self._fundings_told = False  # and which payments an earlier life has booked
        self.private_up = False
        self.is_known = False  # orders and positions have been read once: from then on our count is the truth
        self.is_reconciled = False  # and no fill can have been missed since

    # --- when -----------------------------------------------------------------------------------------------

    def journal_told(self, since_ms: int, fundings: tuple[FundingPaid, ...] | None) -> None:
        """Risk's journal has spoken; `since_ms` 0: this is the first life on the account."""
        self._journal_told = since_ms > 0
        if since_ms and fundings is not None:
            self._fundings.journalled(fundings, since_ms)
            self._fundings_told = True
        if since_ms:
            self._since_ms = min(self._since_ms, since_ms) if self._since_ms else since_ms

    def numbered(self) -> None:
        """Fills can be numbered: comparing may begin."""
        if self.private_up:
            self._begin(Why.START)

    def stream_up(self) -> None:
        self.private_up = True
        if self._core.ledger.is_numbered:
            self._begin(Why.RECONNECT if self.is_known else Why.START)

    def stream_down(self) -> None:
        """Fills go unseen now. Worst cases hold, but nobody should quote on what may have changed."""
        self.private_up = False
        self.is_reconciled = False
        self._reconciler.finish()

    def on_tick(self) -> None:
        if not self.is_reconciled or self._reconciler.stage:
            return
        if self._core.now_ns >= self._next_ns or self._desk.wants_comparison:
            self._begin(Why.PERIODIC)

    def failed(self, request_no: int) -> None:
        """A question was refused or lost: it is asked again, later each time."""
        self._reconciler.failed(request_no, self._core.now_ns)

    def pump(self) -> None:
        """Write the questions that are due, as far as the budget allows."""
        core, reconciler = self._core, self._reconciler
        reconciler.advance()
        while (ask := reconciler.due(core.now_ns)) is not None:
            number = core.next_request_no()
            request: VenueOpenOrdersQuery | VenueTradesQuery | VenuePositionsQuery | VenueFundingQuery
            if isinstance(ask, AskOrders):
                request = VenueOpenOrdersQuery(number)
                self._foreign_told.clear()
            elif isinstance(ask, AskPositions):
                request = VenuePositionsQuery(number)
                self._positions_asked_ms = core.unix_ns // NS_PER_MS
                self._fills_before = {symbol: core.ledger.account(symbol).fills_count for symbol in core.instruments}
            elif isinstance(ask, FundingFrom):
                request = VenueFundingQuery(number, ask.since_ms)
            else:
                request = VenueTradesQuery(number, ask.symbol, ask.trade_id, ask.since_ms)
            if not core.can_write(request, Urgency.CANCEL):
                at_ns = core.budget.ready_ns(cost_of(core.limits, request), Urgency.CANCEL, core.now_ns)
                core.out.append(WakeAt(at_ns))
                return
            core.write(request, ask=ask)
            reconciler.written(ask, number)

    def _begin(self, why: Why) -> None:
        if why is Why.START:
            self._refuse_shared_coins()
        if self._desk.fault:
            return
        if why is not Why.PERIODIC:
            self._core.note("INFO", f"{self._core.venue}: reconciling ({why})")
        self._differed = {}
        self._compared.clear()
        self._desk.wants_comparison = False
        self._reconciler.begin(why, [*self._trades_wanted(why), *self._funding_wanted(why)])

    def _refuse_shared_coins(self) -> None:
        """One balance cannot be the stock of two symbols, nor tell which of them a coin belongs to."""
        core = self._core
        seen: dict[str, str] = {}
        for row in core.instruments.values():
            other = seen.setdefault(row.base, row.symbol)
            if row.market == "spot" and other != row.symbol:
                self._desk.fault = (
                    f"{core.venue}: {other} and {row.symbol} share one balance of {row.base}; "
                    "leave one of them out of the run's symbols"
                )
                core.note("ERROR", self._desk.fault)
                return

    def _trades_wanted(self, why: Why) -> list[TradesFrom]:
        """Which trades may have been missed."""
        core = self._core
        if why is Why.PERIODIC or (why is Why.START and not self._journal_told):
            return []
        return [
            self._trades_from(symbol)
            for symbol in core.instruments
            # Start: everything the journal may lack. Reconnect: only where something can have been filled.
            if why is Why.START or core.ledger.account(symbol).last_id or core.table.live_count(symbol)
        ]

    def _funding_wanted(self, why: Why) -> list[Ask]:
        """Payments move no position, so nothing else would ever show that one was missed."""
        missed = why is Why.RECONNECT or (why is Why.START and self._fundings_told)
        if not missed or VenueFundingQuery not in self._core.limits.costs:
            return []
        return [FundingFrom(self._fundings.since_ms)]

    def _trades_from(self, symbol: str) -> TradesFrom:
        """What may be missing lies above the trades that were all known, however new the newest known one is."""
        account = self._core.ledger.account(symbol)
        known_id = max(account.floor_id, account.agreed_id)
        if known_id:
            return TradesFrom(symbol, known_id + 1)
        return TradesFrom(symbol, 0, max(self._since_ms, account.agreed_ms))

    # --- orders ---------------------------------------------------------------------------------------------

    def has_foreign(self, symbol: str) -> bool:
        return bool(self._foreign.get(symbol))

    def foreign_lots(self, symbol: str) -> tuple[int, int]:
        """Return (buy lots, sell lots) of live orders that are not ours."""
        rows = self._foreign.get(symbol)
        if not rows:
            return 0, 0
        buys = sum(lots for side, lots in rows.values() if side is Side.BUY)
        return buys, sum(lots for _side, lots in rows.values()) - buys

    def rescale(self, symbol: str, lots: Fraction) -> None:
        """`lots` new lots are one old one now: others' orders count in them, and positions are compared soon."""
        rows = self._foreign.get(symbol, {})
        for order_id, (side, size_lots) in rows.items():
            rows[order_id] = (side, ceil(size_lots * lots))
        self._next_ns = self._core.now_ns

    def on_unknown_order(self, m: VenueOrder) -> None:
        """The private stream told of an order that this life did not write."""
        alive = m.state in LIVE_STATES
        if m.client_id.startswith(self._prefix):
            if alive:
                self._orphan(
                    OpenOrder(m.client_id, m.venue_order_id, m.symbol, m.side, m.price_ticks, m.lots, m.filled_lots, 0)
                )
            return
        self._foreign_told[(m.symbol, m.venue_order_id)] = None
        orders = self._foreign.setdefault(m.symbol, {})
        if alive and m.lots > m.filled_lots:
            if m.venue_order_id not in orders:
                self._core.counters["foreign_orders"] += 1
            orders[m.venue_order_id] = (m.side, m.lots - m.filled_lots)
        else:
            orders.pop(m.venue_order_id, None)
        self._core.touch(m.symbol)

    def on_open_orders(self, m: VenueOpenOrders) -> None:
        core = self._core
        flight = core.flights.pop(m.request_no, None)
        if flight is None or self._reconciler.answered(m.request_no) is None:
            return
        ours = {row.client_id: row for row in m.orders if row.client_id.startswith(self._prefix)}
        self._take_foreign([row for row in m.orders if row.client_id not in ours])
        for row in ours.values():
            order = core.table.find(row.symbol, row.client_id, row.venue_order_id)
            if order is None:
                self._orphan(row)
                continue
            core.table.name(order, row.venue_order_id)
            order.venue_filled_lots = max(order.venue_filled_lots, row.filled_lots)
        for order in core.table.live():
            missing = order.state in LIVE_STATES and order.client_id not in ours
            if missing and order.written_ns < flight.written_ns:
                self._desk.query(order)

    def _take_foreign(self, rows: list[OpenOrder]) -> None:
        before, self._foreign = self._foreign, {}
        for symbol, number in self._foreign_told:
            if number in before.get(symbol, {}):
                self._foreign.setdefault(symbol, {})[number] = before[symbol][number]
        for row in rows:
            if (row.symbol, row.venue_order_id) in self._foreign_told:
                continue
            if row.venue_order_id not in before.get(row.symbol, {}):
                self._core.counters["foreign_orders"] += 1
            orders = self._foreign.setdefault(row.symbol, {})
            orders[row.venue_order_id] = (row.side, row.lots - row.filled_lots)
        for symbol in [*before, *self._foreign]:
            self._core.touch(symbol)

    def _orphan(self, row: OpenOrder) -> None:
        """An order with our prefix that this life did not write: of an older life, so it goes."""
        self._core.counters["orphan_orders" if self.is_known else "older_life_orders"] += 1
        order = self._desk.adopt(row.symbol, row.client_id, row.venue_order_id, row.side, row.price_ticks, row.lots)
        # What it filled before is in the position already, or in the trades that are read next.
        order.filled_lots = order.venue_filled_lots = order.absorb_lots = row.filled_lots
        self._desk.cancel(order, "order of an older life")

    # --- trades and positions -------------------------------------------------------------------------------

    def on_trades(self, m: VenueTrades) -> None:
        core = self._core
        core.flights.pop(m.request_no, None)
        before = core.counters["fills"]
        doubtful = False
        settled_ns = self._settled_ns(m)
        for fill in m.fills:
            if fill.event_ns < settled_ns:
                continue
            if self._may_be_ours(fill):
                doubtful = True
            else:
                self._desk.on_fill(fill, ours=self._is_ours(fill))
        core.counters["recovered_fills"] += core.counters["fills"] - before
        if doubtful:
            self._reconciler.failed(m.request_no, core.now_ns)  # read again: by then that order has a name, or an end
            return
        ask = self._reconciler.answered(m.request_no) if m.request_no else None
        if isinstance(ask, TradesFrom) and not m.complete and m.fills:
            self._reconciler.more(TradesFrom(ask.symbol, m.fills[-1].trade_id + 1))

    def _settled_ns(self, m: VenueTrades) -> int:
        """Trades before this time are left alone: an earlier life missed them and has adopted the difference since."""
        journalled_id = self._core.ledger.account(m.symbol).journalled_id
        times = [fill.event_ns for fill in m.fills if fill.trade_id <= journalled_id]
        return max(times) - MISSED_MAX_MS * NS_PER_MS if times else 0

    def _is_ours(self, fill: VenueFill) -> bool:
        """A trade list need not carry client ids. What an older life left is taken for ours; later on we know our
        orders by the venue's numbers, so a trade of any other was made by hand, or by the venue."""
        return fill.client_id.startswith(self._prefix) if fill.client_id else not self.is_known

    def _may_be_ours(self, fill: VenueFill) -> bool:
        """Whether it may belong to an order of ours whose number the venue has not told yet."""
        table = self._core.table
        if fill.client_id or not self.is_known or table.find(fill.symbol, "", fill.venue_order_id) is not None:
            return False
        if self._core.ledger.account(fill.symbol).repeat(fill.trade_id, fill.side):
            return False
        return any(
            order.is_open and not order.venue_order_id and order.side is fill.side for order in table.live(fill.symbol)
        )

    def on_funding(self, m: VenueFunding) -> None:
        """The private stream tells of a payment or another change of the account's money."""
        if "funding" not in m.reason.lower() or self._fundings.is_new_on_stream(m):
            self._book_funding(m)

    def on_fundings(self, m: VenueFundings) -> None:
        self._core.flights.pop(m.request_no, None)
        ask = self._reconciler.answered(m.request_no)
        for row in m.rows:
            if self._fundings.is_new_in_list(row):
                self._core.counters["recovered_fundings"] += 1
                self._book_funding(row)
        if isinstance(ask, FundingFrom) and not m.complete and m.rows:
            self._reconciler.more(FundingFrom(self._fundings.since_ms))

    def _book_funding(self, m: VenueFunding) -> None:
        core = self._core
        spot = core.spot_of(m.asset)
        if spot is not None:
            entries = core.ledger.move_base(spot, Decimal(m.amount), m.reason, m.event_ns)
        else:
            entries = [core.ledger.note(m.symbol, m.amount, m.asset, m.reason, m.event_ns)]
        for entry in entries:
            self._publish(entry)

    def on_positions(self, m: VenuePositions) -> None:
        """Compare; where the venue differs look again, and adopt what stays different."""
        core, reconciler = self._core, self._reconciler
        if not m.request_no or core.flights.pop(m.request_no, None) is None:
            return  # changed entries of the private stream: our fills tell the same
        if reconciler.answered(m.request_no) is None:
            return
        account = core.ledger.account
        told = {
            row.symbol: (row.position_lots - account(row.symbol).stock_lots, row.entry_ticks) for row in m.positions
        }
        fresh = not self.is_known and not self._journal_told
        quiet = self._quiet()
        self._compared.difference_update(self._differed)  # what differed must be looked at again
        self._compared.update(quiet)
        before, self._differed = (
            self._differed,
            self._differences(quiet, {symbol: lots for symbol, (lots, _) in told.items()}),
        )
        sure = {
            symbol: lots
            for symbol, lots in self._differed.items()
            if fresh or (reconciler.looks_count >= 2 and before.get(symbol) == lots)
        }
        for symbol, lots in sure.items():
            self._adopt(symbol, lots, told.get(symbol, (0, 0.0))[1], fresh=fresh)
            del self._differed[symbol]
        for symbol in quiet:
            if symbol not in self._differed:
                account(symbol).agreed_id = account(symbol).last_id
                account(symbol).agreed_ms = self._positions_asked_ms
                self._desk.compared(symbol)
        if self._looks_on():
            again = [self._trades_from(symbol) for symbol in self._differed]
            wait_ms = LOOK_WAIT_MS if reconciler.looks_count < LOOKS_MAX else LATE_LOOK_WAIT_MS
            reconciler.look_again(again, core.now_ns + wait_ms * NS_PER_MS)
            return
        self._done()

    def _quiet(self) -> list[str]:
        """Symbols without a fill since positions were asked for."""
        ledger, before = self._core.ledger, self._fills_before
        return [
            symbol for symbol in self._core.instruments if ledger.account(symbol).fills_count == before.get(symbol, 0)
        ]

    def _looks_on(self) -> bool:
        """Whether positions must be read again. At start until each symbol was quiet in one look: not before is its
        position, or its stock, known."""
        unseen = len(self._compared) < len(self._core.instruments)
        if self._reconciler.looks_count >= LOOKS_MAX:
            return unseen and not self.is_known
        return unseen or bool(self._differed)

    def _differences(self, symbols: list[str], told: dict[str, int]) -> dict[str, int]:
        ledger = self._core.ledger
        return {
            symbol: told.get(symbol, 0) - ledger.position(symbol)
            for symbol in symbols
            if told.get(symbol, 0) != ledger.position(symbol)
        }

    def _adopt(self, symbol: str, difference: int, entry_ticks: float, *, fresh: bool) -> None:
        core = self._core
        instrument = core.instruments[symbol]
        if instrument.market == "spot" and difference > 0 and not core.ledger.account(symbol).is_started:
            self._publish(core.ledger.bring_in(instrument, difference))
            return
        ours = core.ledger.position(symbol)
        reason = "found at start" if fresh else "venue differs from fills"
        if not fresh and instrument.market == "spot" and abs(difference) <= 1:
            # Fees in the base coin leave parts of a lot, and nobody told us which part was there before us.
            reason = "fee dust"
        elif not fresh:
            core.counters["position_mismatches"] += 1
            core.note(
                "WARNING", f"{core.venue} {symbol}: venue says {ours + difference} lots, fills say {ours}; adopted"
            )
        entry = core.ledger.adopt(instrument, ours + difference, entry_ticks, reason, 0)
        if entry is not None:
            self._publish(entry)

    def _done(self) -> None:
        core, why = self._core, self._reconciler.why
        self._reconciler.finish()
        self._next_ns = core.now_ns + int(core.settings.reconcile_interval_s * NS_PER_S)
        self.is_known = True
        for symbol in self._compared.difference(self._differed):
            core.ledger.account(symbol).is_started = True
        for order in core.table.live():
            order.absorb_lots = 0
        if not self.is_reconciled and self.private_up:
            self.is_reconciled = True
            core.note("INFO", f"{core.venue}: account reconciled ({why})")
            self._on_done()
