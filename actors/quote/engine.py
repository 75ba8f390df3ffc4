"""The brain of one quoted symbol at one venue account: events in, messages out.

`handle(event, now_ns)` returns what to send, in order. LeaseRequest and LeaseRelease go to risk, SignalInputs to
whoever listens on "signals", everything else to the gateway. The path of a book update is

    book -> signals -> model -> ladder -> reconcile -> wallet -> LeasedOrder | LeasedReplace | CancelOrder

Promises:
- nothing is placed or replaced except by the wallet; when the lease runs out everything is cancelled;
- nothing is placed before the gateway has told position and orders, nor on a book that is old, crossed or unsure;
- the order budget of the lease is kept in every minute; cancels are free and never wait;
- at every moment each side has one reason code with its figures (`reasons`).

It begins empty and learns position and orders from the gateway; nothing survives a restart and nothing needs to.
Books are kept by venue; the fair price comes from the own venue's book. Further venues will blend in `_fair`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from actors.quote.book import BookView
from actors.quote.budget import OrderBudget
from actors.quote.events import Backlog, FeedLink, GatewayLink, InstrumentRow, RiskLink, Timer
from actors.quote.inputs import LiquidityWatch, TradeFlowWatch, depth_score, side_usd
from actors.quote.ladder import (
    SpreadLimits,
    Wish,
    ask_wishes,
    bid_wishes,
    bounded,
    edges_ticks,
    lots_min_at,
    scaled_lots,
    spread_floor_bps,
)
from actors.quote.orders import OwnOrder, OwnOrders, Pending
from actors.quote.position import Booked, PositionKeeper
from actors.quote.pricing import PricingModel, make_model
from actors.quote.reconcile import Kind, Move, Terms, moves, ranked, tolerance_ticks
from actors.quote.signals import best_of_others, fair_ticks
from actors.quote.uptime import TwoSided
from actors.quote.views import NEUTRAL, Effect, effect
from actors.quote.volatility import EwmaVolatility, bps_per_root_min, kline_variance_per_s
from actors.risk.leases import Refusal, Wallet
from actors.vocab.config import FleetSettings
from actors.vocab.control import Instruments, Stop
from actors.vocab.instruments import Instrument
from actors.vocab.leases import LeaseGrant, LeaseRelease, LeaseRequest, RiskState
from actors.vocab.market import NO_TRADES, BookState, BookUpdate, Level, Side, WarmUp
from actors.vocab.message import Message
from actors.vocab.opinions import RegimeView, SignalInputs
from actors.vocab.orders import (
    DONE_STATES,
    CancelAll,
    CancelOrder,
    Cause,
    Fill,
    FillsAgain,
    HolderHello,
    HolderState,
    LeasedOrder,
    LeasedReplace,
    OrderState,
    OrderUpdate,
    PositionAdjust,
)
from actors.vocab.reasons import Reason
from actors.vocab.units import BPS, NS_PER_MS, NS_PER_S

Command = (
    LeasedOrder
    | LeasedReplace
    | CancelOrder
    | CancelAll
    | HolderHello
    | FillsAgain
    | LeaseRequest
    | LeaseRelease
    | SignalInputs
)
Event = Message | Timer | Backlog | GatewayLink | RiskLink | FeedLink | InstrumentRow

# A withdrawal without an answer is repeated, and a gateway that owes us something is asked again, this often.
REPEAT_NS = NS_PER_S
# Least time between two lease requests that a changed wish causes.
WISH_GAP_NS = 20 * NS_PER_MS
# Order sizes are worked out anew when the price has moved by this share: sizes that follow every tick would make
# every quote differ from its wish.
RESIZE_SHARE = 0.01
# The lease asked for leaves this many whole ladders on top of the position: a fill can be answered at once.
LADDERS_WANTED = 2

_ORDERED_TO_STOP = {RiskState.CIRCUIT_BREAKER: Reason.CIRCUIT_BREAKER, RiskState.FULL_STOP: Reason.FULL_STOP}
_BUY, _SELL = Side.BUY, Side.SELL


class Counters:
    """Everything counted since the start; plain numbers, shown as they are."""

    def __init__(self) -> None:
        self.updates = 0
        self.decisions = 0
        self.placed = 0
        self.replaced = 0
        self.cancelled = 0
        self.pulls = 0  # times all quotes of the symbol were withdrawn at once
        self.fills = 0
        self.fills_repaired = 0
        self.rejected = 0
        self.refused_by_wallet = 0
        self.budget_waits = 0  # moves put off for want of orders
        self.answer_waits = 0  # moves put off because too many commands were unanswered
        self.cross_waits = 0  # moves put off because our own other side was in the way
        self.strays = 0  # answers about orders that are not ours any more


class QuoteEngine:
    """See the module. `holder` is this life's incarnation; `own_in_book` is False where the public book cannot
    contain our orders (a replay, paper trading); `refs` numbers the orders, shared by all engines of one holder."""

    def __init__(
        self,
        *,
        venue: str,
        symbol: str,
        holder: str,
        settings: FleetSettings,
        own_in_book: bool = True,
        refs: Iterator[int] | None = None,
    ) -> None:
        quote = settings.quote
        self.venue = venue
        self.symbol = symbol
        self.holder = holder
        self.counters = Counters()
        self.wallet = Wallet(venue, symbol, holder)
        self.position = PositionKeeper()
        self.own = OwnOrders(refs if refs is not None else itertools.count(1))
        self.budget = OrderBudget()
        self.uptime = TwoSided()
        self.volatility = EwmaVolatility.with_half_life(
            quote.volatility_half_life_s, sample_ns=quote.volatility_sample_ms * NS_PER_MS
        )
        self.instrument: Instrument | None = None
        self.stopped = False  # an ordered stop is complete: no order of ours lives, the lease is given back
        # Receipt of the oldest frame behind the last decision that a book caused; 0 when the last event made none.
        self.decided_recv_ns = 0

        self._settings = quote
        self._fees = settings.fees
        self._model: PricingModel = make_model(quote)
        self._own_in_book = own_in_book
        self._renew_ns = settings.risk.renew_interval_ms * NS_PER_MS
        self._opinion_ns = int(settings.llm.opinion_interval_s * NS_PER_S / 2) if settings.llm.enabled else 0
        self._answer_ns = quote.answer_timeout_ms * NS_PER_MS
        self._refresh_ns = quote.refresh_interval_ms * NS_PER_MS
        # venue -> its book; the own venue's is the one that quotes are made on
        self._books: dict[str, BookView] = {}
        self._beat_ms = settings.feed.beat_interval_ms
        self._book = self._book_of(venue)
        self._flow = TradeFlowWatch()
        self._liquidity = LiquidityWatch()
        self._limits = SpreadLimits(quote.spread_bps_min, quote.spread_bps_max, quote.skew_bps_max)

        self._gateway = ""
        self._gateway_up = False
        self._reconciled = False
        self._hello_ns = 0
        self._hello_ref = 0  # orders up to here went out before the hello on this link
        self._hello_answered = False
        self._dying_buy_lots = 0
        self._dying_sell_lots = 0
        self._risk_up = False
        self._request_no = 0
        self._requested_ns = 0
        self._asked_long = self._asked_short = 0
        self._stopping = ""
        self._released = False
        self._signals_ns = 0

        self._view: RegimeView | None = None
        self._view_ns = 0
        self._usd_per_tick_lot = 0.0
        self._min_notional_usd = 0.0
        self._sized_at_ticks = 0.0
        self._order_lots = 0
        self._cap_lots = 0
        self._lots_min = 1

        self._fair_ticks = 0.0
        self._decided_top: tuple[Level, Level] | None = None
        self._dirty = True  # something besides the book has changed since the last decision
        self._own_version = -1  # of `own`, when two-sidedness was last looked at
        self._lots_version = -1  # of `own`, when the two below were made
        self._own_bids: dict[int, int] = {}
        self._own_asks: dict[int, int] = {}
        # slot -> (not before, consecutive rejects)
        self._backoff: dict[int, tuple[int, int]] = {}
        self._reject_text = ""
        # Why a side has no order, when nothing stops the whole symbol.
        self._side_reasons: dict[Side, tuple[Reason, str]] = {
            side: (Reason.STARTING, "nothing decided yet") for side in Side
        }
        self._stop_reason: tuple[Reason, str] | None = (Reason.STARTING, "nothing received yet")

        self._handlers: dict[type, Callable[[Any, int], list[Command]]] = {
            BookUpdate: self._on_book,
            Backlog: self._on_backlog,
            Timer: self._on_timer,
            Fill: self._on_fill,
            OrderUpdate: self._on_order,
            LeaseGrant: self._on_grant,
            HolderState: self._on_holder_state,
            PositionAdjust: self._on_adjust,
            RegimeView: self._on_view,
            WarmUp: self._on_warm_up,
            Instruments: self._on_instruments,
            InstrumentRow: self._on_instrument,
            GatewayLink: self._on_gateway_link,
            RiskLink: self._on_risk_link,
            FeedLink: self._on_feed_link,
            Stop: self._on_stop,
        }

    def handle(self, event: Event, now_ns: int) -> list[Command]:
        """Take one event, return what to send. An event that is not for a quote engine is a fault of the caller."""
        self.decided_recv_ns = 0
        commands = self._handlers[type(event)](event, now_ns)
        if self.own.version != self._own_version:
            self._note_own(now_ns)
        if self._stopping and not self._released and not self.own.by_ref:
            self._released = self.stopped = True
            commands.append(LeaseRelease(self.venue, self.symbol, self.holder))
        return commands

    # --- books ---------------------------------------------------------------------------------------------

    def _on_book(self, update: BookUpdate, now_ns: int) -> list[Command]:
        if not self._note_book(update, now_ns):
            return []
        return self._decide(now_ns, Cause.BOOK)

    def _on_backlog(self, backlog: Backlog, now_ns: int) -> list[Command]:
        """All that waited is counted; the newest of our venue is decided on."""
        fresh = False
        for update in backlog.updates:
            fresh |= self._note_book(update, now_ns)
        return self._decide(now_ns, Cause.BOOK) if fresh else []

    def _note_book(self, update: BookUpdate, now_ns: int) -> bool:
        """True when it may change what we want."""
        book = self._books.get(update.venue)
        if book is None:
            book = self._book_of(update.venue)
        self.counters.updates += 1
        if not book.note(update, now_ns) or book is not self._book:
            return False
        if update.trades is not NO_TRADES:
            self._flow.note(update.trades, now_ns)
        if update.state is BookState.OK and update.bids and update.asks:
            self.volatility.update((update.bids[0][0] + update.asks[0][0]) / 2, book.fresh_ns)
        elif update.state is not BookState.OK:
            # The move over a hole in the data is not a sample of volatility.
            self.volatility.skip_gap()
        return True

    def _book_of(self, venue: str) -> BookView:
        book = self._books[venue] = BookView(beat_interval_ms=self._beat_ms, age_ms_max=self._settings.book_age_ms_max)
        return book

    def _on_feed_link(self, event: FeedLink, now_ns: int) -> list[Command]:
        book = self._books.get(event.venue) or self._book_of(event.venue)
        book.feed_up = event.up
        book.same_host = event.same_host
        if not event.up:
            book.forget()
            self.volatility.skip_gap()
        return self._again(now_ns, Cause.TIMER)

    def _on_warm_up(self, event: WarmUp, now_ns: int) -> list[Command]:
        variance = kline_variance_per_s(event.klines)
        if event.venue == self.venue and variance is not None:
            self.volatility.seed(variance)
        return []

    # --- gateway: orders, fills, position ---------------------------------------------------------------------

    def _on_gateway_link(self, event: GatewayLink, now_ns: int) -> list[Command]:
        self._gateway_up = event.up
        self._reconciled = False
        self._dirty = True
        if not event.up:
            # Nothing can be sent; the gateway's own silence rule withdraws our orders, and they count until told.
            return self._decide(now_ns, Cause.TIMER)
        self._gateway = event.gateway
        self._hello_ref = self.own.last_ref
        self._hello_answered = False
        return [self._hello(now_ns)]

    def _hello(self, now_ns: int) -> HolderHello:
        self._hello_ns = now_ns
        return HolderHello(self.venue, self.symbol, self.holder, self._gateway)

    def _on_holder_state(self, state: HolderState, now_ns: int) -> list[Command]:
        """The gateway's truth: position, last fill, and which of our orders exist."""
        if state.gateway != self._gateway or not self._gateway_up:
            self.counters.strays += 1
            return []
        self.position.adopt(state)
        self._dying_buy_lots, self._dying_sell_lots = state.dying_buy_lots, state.dying_sell_lots
        first = not self._hello_answered
        self._hello_answered = True
        forgotten_ns = now_ns - self._answer_ns
        self.own.forget_all_but(state.open_refs, up_to_ref=self._hello_ref if first else 0, sent_before_ns=forgotten_ns)
        self.own.settle()
        began = state.complete and not self._reconciled
        self._reconciled = state.complete
        commands: list[Command] = []
        for order in list(self.own.by_ref.values()):
            # Whether a command that was on its way when the link broke arrived can't be known: the order goes.
            lost = (first and order.ref <= self._hello_ref and order.pending) or order.sent_ns < forgotten_ns
            if lost and order.pending and order.pending is not Pending.CANCEL:
                commands.append(self._cancel(order, Cause.TIMER, now_ns))
        if began:
            commands += self._renew(now_ns)
        return commands + self._again(now_ns, Cause.TIMER)

    def _on_order(self, update: OrderUpdate, now_ns: int) -> list[Command]:
        order = self.own.on_update(update, now_ns)
        if order is None:
            self.counters.strays += 1
            if update.state not in DONE_STATES and update.holder == self.holder and self._gateway_up:
                # It lives although we have given it up: its size is not counted here, so it must go.
                return [CancelOrder(self.venue, self.symbol, self.holder, update.ref, Cause.TIMER)]
            return []
        if update.state is OrderState.REJECTED:
            self._back_off(order.slot, update.reason, now_ns)
        elif update.state in (OrderState.OPEN, OrderState.PARTLY_FILLED):
            if update.reason:
                self._back_off(order.slot, update.reason, now_ns)
            else:
                self._backoff.pop(order.slot, None)
        return self._again(now_ns, Cause.FILL if update.state is OrderState.FILLED else Cause.TIMER)

    def _back_off(self, slot: int, text: str, now_ns: int) -> None:
        self.counters.rejected += 1
        self._reject_text = text
        count = self._backoff.get(slot, (0, 0))[1] + 1
        wait_ms = min(self._settings.reject_backoff_ms * 2 ** min(count - 1, 16), self._settings.reject_backoff_max_ms)
        self._backoff[slot] = (now_ns + wait_ms * NS_PER_MS, count)

    def _on_fill(self, fill: Fill, now_ns: int) -> list[Command]:
        if fill.venue != self.venue or fill.symbol != self.symbol:
            return []
        booked = self.position.on_fill(fill)
        if booked is Booked.DUPLICATE:
            return []
        ours = fill.holder == self.holder
        if ours:
            self.counters.fills += 1
            self.own.on_fill(fill.ref, fill.lots)
        if booked is Booked.REPAIRED:
            self.counters.fills_repaired += 1
            return self._again(now_ns, Cause.FILL)
        commands: list[Command] = []
        if booked is Booked.NEW_AFTER_HOLE:
            commands.append(FillsAgain(self.venue, self.position.hole_from_no))
        commands += self._again(now_ns, Cause.FILL)
        return commands + self._renew_if_wished(now_ns)

    def _on_adjust(self, adjust: PositionAdjust, now_ns: int) -> list[Command]:
        if adjust.venue != self.venue or adjust.symbol != self.symbol or not self.position.on_adjust(adjust):
            return []
        return self._again(now_ns, Cause.FILL) + self._renew_if_wished(now_ns)

    # --- risk ------------------------------------------------------------------------------------------------

    def _on_risk_link(self, event: RiskLink, now_ns: int) -> list[Command]:
        """The lease runs on without the link, to its end and no further."""
        self._risk_up = event.up
        self._dirty = True
        if not event.up or not self._reconciled:
            return []
        return self._renew(now_ns)

    def _on_grant(self, grant: LeaseGrant, now_ns: int) -> list[Command]:
        if not self.wallet.on_grant(grant, now_ns):
            self.counters.strays += 1
            return []
        self.budget.set_rate(self.wallet.orders_per_min, now_ns)
        return self._again(now_ns, Cause.LEASE)

    def _wanted_lots(self) -> tuple[int, int]:
        """Worst-case (long, short) that the ladder would like, position included.

        In whole ladders, so that a partial fill changes nothing, and up to the own cap. Spot can't go short: what
        it may sell is what it holds.
        """
        position = self.position.lots
        ladder = self._order_lots * self._settings.levels_count
        if self._stopping or ladder <= 0:
            return max(0, position), max(0, -position)
        long_lots = min(self._cap_lots, _up_to_multiple(position, ladder) + LADDERS_WANTED * ladder)
        short_lots = min(self._cap_lots, _up_to_multiple(-position, ladder) + LADDERS_WANTED * ladder)
        if self.instrument is not None and self.instrument.market == "spot":
            short_lots = 0
        return max(0, position, long_lots), max(0, -position, short_lots)

    def _renew(self, now_ns: int) -> list[Command]:
        if not self._risk_up or self._released:
            return []
        mid = self._size_up(now_ns)
        self._request_no += 1
        self._requested_ns = now_ns
        self._asked_long, self._asked_short = self._wanted_lots()
        self.wallet.on_request_sent(self._request_no, now_ns)
        return [
            LeaseRequest(
                venue=self.venue,
                symbol=self.symbol,
                holder=self.holder,
                request_no=self._request_no,
                position_lots=self.position.lots,
                want_long_lots=self._asked_long,
                want_short_lots=self._asked_short,
                last_fill_no=self.position.last_fill_no,
                mid_ticks=mid,
            )
        ]

    def _size_up(self, now_ns: int) -> float:
        """Mid of a good book, else 0. The first request needs sizes before the first decision has made them."""
        book = self._book
        if self.instrument is None or book.problem(now_ns) is not None:
            return 0.0
        mid = (book.bids[0][0] + book.asks[0][0]) / 2
        if self._sized_at_ticks == 0.0:
            self._resize(mid)
        return mid

    def _renew_if_wished(self, now_ns: int) -> list[Command]:
        """Ask at once when more is wished than was asked for last; less can wait for the next renewal."""
        if not self._reconciled or now_ns - self._requested_ns < WISH_GAP_NS:
            return []
        want_long, want_short = self._wanted_lots()
        if want_long <= self._asked_long and want_short <= self._asked_short:
            return []
        return self._renew(now_ns)

    # --- the rest ----------------------------------------------------------------------------------------------

    def _on_view(self, view: RegimeView, now_ns: int) -> list[Command]:
        self._view, self._view_ns = view, now_ns
        return self._again(now_ns, Cause.TIMER)

    def _on_instruments(self, event: Instruments, now_ns: int) -> list[Command]:
        if event.venue != self.venue:
            return []
        for row in event.rows:
            if row.symbol == self.symbol:
                return self._on_instrument(InstrumentRow(row), now_ns)
        return []

    def _on_instrument(self, event: InstrumentRow, now_ns: int) -> list[Command]:
        row, old = event.row, self.instrument
        if old is not None and row.version < old.version:
            return []
        self.instrument = row
        self._usd_per_tick_lot = row.usd_per_tick_lot
        self._min_notional_usd = float(row.min_notional)
        fee_bps = self._fees.maker_bps if self._fees.maker_bps is not None else row.maker_fee_bps
        quote = self._settings
        self._limits = SpreadLimits(
            floor_bps=spread_floor_bps(
                maker_fee_bps=fee_bps,
                adverse_bps=quote.adverse_bps,
                spread_bps_min=quote.spread_bps_min,
                respects_fees=self._model.respects_fees,
            ),
            cap_bps=quote.spread_bps_max,
            skew_bps_max=quote.skew_bps_max,
        )
        self._sized_at_ticks = 0.0
        commands: list[Command] = []
        if old is not None and (old.tick_size, old.lot_size) != (row.tick_size, row.lot_size):
            # Every number we hold counts the old steps: withdraw, and learn position and book anew.
            for book in self._books.values():
                book.forget()
            self.volatility.skip_gap()
            self._reconciled = False
            commands += self._pull((Reason.STARTING, "steps of the instrument changed"), now_ns)
            if self._gateway_up:
                commands.append(self._hello(now_ns))
        return commands + self._again(now_ns, Cause.TIMER)

    def _on_stop(self, event: Stop, now_ns: int) -> list[Command]:
        self._stopping = event.reason or "asked to"
        return self._again(now_ns, Cause.OPERATOR)

    def _on_timer(self, event: Timer, now_ns: int) -> list[Command]:
        commands: list[Command] = []
        if self._gateway_up and now_ns - self._hello_ns >= REPEAT_NS and self._gateway_owes(now_ns):
            commands.append(self._hello(now_ns))
        if self._reconciled and now_ns - self._requested_ns >= self._renew_ns:
            commands += self._renew(now_ns)
        else:
            commands += self._renew_if_wished(now_ns)
        if self._opinion_ns and now_ns - self._signals_ns >= self._opinion_ns:
            commands += self._signals(now_ns)
        commands += self._again(now_ns, Cause.TIMER)
        return commands

    def _gateway_owes(self, now_ns: int) -> bool:
        """True when its answer is overdue: the state itself, an order's outcome, or a fill."""
        if not self._reconciled or self._dying_buy_lots or self._dying_sell_lots:
            return True
        owed_ns = self.own.owed_since_ns
        if owed_ns and now_ns - owed_ns > REPEAT_NS:
            return True
        return any(order.pending and now_ns - order.sent_ns > self._answer_ns for order in self.own.by_ref.values())

    def _signals(self, now_ns: int) -> list[Command]:
        """What the language model is asked; nothing while there is no good book."""
        book = self._book
        if self.instrument is None or book.problem(now_ns) is not None or not self.volatility.ready:
            return []
        self._signals_ns = now_ns
        unit = self._usd_per_tick_lot
        depth_usd = min(side_usd(book.bids, unit), side_usd(book.asks, unit))
        bid, ask = book.bids[0][0], book.asks[0][0]
        ratio = self._liquidity.note(depth_usd=depth_usd, spread=(ask - bid) / bid, now_ns=now_ns)
        traded_ns = self._flow.last_trade_ns
        return [
            SignalInputs(
                symbol=self.symbol,
                mid_price=(bid + ask) / 2 * self.instrument.tick_float,
                depth_score=depth_score(ratio),
                volatility_bps=bps_per_root_min(self.volatility.bps),
                toxic_flow=self._flow.toxic_flow(),
                ms_since_trade=(now_ns - traded_ns) // NS_PER_MS if traded_ns else -1,
                liquidity_regime=self._liquidity.regime,
            )
        ]

    # --- the decision --------------------------------------------------------------------------------------------

    def _again(self, now_ns: int, cause: Cause) -> list[Command]:
        """Decide although the book may be the same."""
        self._dirty = True
        return self._decide(now_ns, cause)

    def _gate(self, now_ns: int) -> tuple[Reason, str] | None:
        """What stops the whole symbol; the first that holds is the one to be mended first."""
        if self._stopping:
            return Reason.STOPPING, self._stopping
        if self.instrument is None:
            return Reason.STARTING, "instrument not known yet"
        if not self.instrument.trading:
            return Reason.HALTED, "by the venue"
        if not self._gateway_up:
            return Reason.NO_GATEWAY, "no link"
        if not self._reconciled:
            return Reason.NOT_RECONCILED, "gateway has not told position and orders yet"
        book = self._book
        problem = book.problem(now_ns)
        if problem is not None:
            return problem
        needed = self._settings.warm_up_updates
        if book.updates_count < needed:
            return Reason.WARM_UP, f"{book.updates_count}/{needed}"
        if not self.wallet.alive(now_ns):
            if self.wallet.token is not None:
                return Reason.NO_LEASE, "expired" if self._risk_up else "expired, risk is down"
            return Reason.NO_LEASE, "not granted yet" if self._risk_up else "risk is down"
        ordered = _ORDERED_TO_STOP.get(self.wallet.state)
        if ordered is not None:
            return ordered, self.wallet.state_reason
        return None

    def _decide(self, now_ns: int, cause: Cause) -> list[Command]:
        gate = self._gate(now_ns)
        if gate is not None:
            return self._pull(gate, now_ns)
        top = self._top()
        if top is None:
            return self._pull((Reason.NO_BOOK, "one side holds nothing but our own orders"), now_ns)
        book = self._book
        if not self._dirty and self._decided_top == top and self._stop_reason is None:
            book.pending_recv_ns = 0  # the same prices and sizes: no decision to be made on them
            return []
        recv_ns = 0
        if cause is Cause.BOOK:
            self.decided_recv_ns = recv_ns = book.pending_recv_ns
            book.pending_recv_ns = 0
        self._decided_top = top
        self._dirty = False
        self._stop_reason = None
        self.counters.decisions += 1
        sized_at = self._sized_at_ticks
        commands = self._quote(top, cause, recv_ns, now_ns)
        if self._sized_at_ticks != sized_at:
            commands += self._renew_if_wished(now_ns)
        return commands

    def _top(self) -> tuple[Level, Level] | None:
        """Best levels of the others."""
        book = self._book
        if not self._own_in_book:
            return book.bids[0], book.asks[0]
        if self.own.version != self._lots_version:
            self._lots_version = self.own.version
            self._own_bids = self.own.lots_by_price(_BUY)
            self._own_asks = self.own.lots_by_price(_SELL)
        bid = best_of_others(book.bids, self._own_bids) if self._own_bids else book.bids[0]
        ask = best_of_others(book.asks, self._own_asks) if self._own_asks else book.asks[0]
        return None if bid is None or ask is None else (bid, ask)

    def _quote(self, top: tuple[Level, Level], cause: Cause, recv_ns: int, now_ns: int) -> list[Command]:
        """Fair price, model, ladder, comparison with what is live."""
        (bid_ticks, bid_lots), (ask_ticks, ask_lots) = top
        settings = self._settings
        fair = self._fair_ticks = fair_ticks(
            bid_ticks, bid_lots, ask_ticks, ask_lots, weight=settings.microprice_weight
        )
        if abs(fair - self._sized_at_ticks) > RESIZE_SHARE * fair:
            self._resize(fair)
        if self._order_lots < self._lots_min:
            return self._pull(
                (
                    Reason.BELOW_MIN_NOTIONAL,
                    f"an order of {settings.order_usd:g} USD is {self._order_lots} lots, "
                    f"the venue takes {self._lots_min} or more",
                ),
                now_ns,
            )
        view = effect(self._view, (now_ns - self._view_ns) / NS_PER_S) if self._view is not None else NEUTRAL
        position = self.position.lots
        centre_spread = bounded(
            *self._model.centre_and_spread_bps(
                position / self._order_lots,
                position / max(1, self._cap_lots),
                max(self.volatility.bps, settings.volatility_bps_min),
            ),
            self._limits,
            view_floor_bps=view.spread_floor_bps,
        )
        if centre_spread is None:
            return self._pull((Reason.NO_PRICE, f"model {settings.model} gave no number"), now_ns)
        centre_bps, spread_bps = centre_spread
        bid_edge, ask_edge = edges_ticks(fair_ticks=fair, centre_bps=centre_bps, spread_bps=spread_bps)
        room_buy, room_sell = self._rooms(view, fair)
        lots_buy, lots_sell = self._sizes(view)
        step = settings.level_step_bps * BPS * fair
        bids = bid_wishes(
            edge_ticks=bid_edge,
            step_ticks=step,
            ask_limit_ticks=ask_ticks,
            levels_count=settings.levels_count,
            lots_each=lots_buy,
            room_lots=room_buy,
            lots_min=self._lots_min,
        )
        asks = ask_wishes(
            edge_ticks=ask_edge,
            step_ticks=step,
            bid_limit_ticks=bid_ticks,
            levels_count=settings.levels_count,
            lots_each=lots_sell,
            room_lots=room_sell,
            lots_min=self._lots_min,
        )
        self._explain(_BUY, bids, lots_buy, room_buy)
        self._explain(_SELL, asks, lots_sell, room_sell)
        self.budget.refill(now_ns)
        terms = Terms(
            fair_ticks=fair,
            spread_ticks=spread_bps * BPS * fair,
            tolerance_ticks=tolerance_ticks(
                fair_ticks=fair,
                tolerance_bps=settings.refresh_tolerance_bps,
                tolerance_share=settings.refresh_tolerance_share,
                spread_bps=spread_bps,
            ),
            severe_ticks=fair * settings.refresh_tolerance_bps * BPS,
            usd_per_tick_lot=self._usd_per_tick_lot,
            refresh_interval_ns=self._refresh_ns,
            scarcity=self.budget.scarcity,
            now_ns=now_ns,
        )
        by_slot = self.own.by_slot
        levels = settings.levels_count
        found = moves(_BUY, bids, by_slot, levels_count=levels, room_lots=room_buy, terms=terms)
        found += moves(_SELL, asks, by_slot, levels_count=levels, room_lots=room_sell, terms=terms)
        return self._carry_out(ranked(found), cause, recv_ns, now_ns) if found else []

    def _resize(self, fair: float) -> None:
        """Order size, cap and the venue's minimum in lots, at this price."""
        settings = self._settings
        lot_usd = fair * self._usd_per_tick_lot
        assert self.instrument is not None  # the gate has seen it
        self._sized_at_ticks = fair
        self._order_lots = min(math.floor(settings.order_usd / lot_usd + 1e-9), self.instrument.lots_max)
        self._cap_lots = math.floor(settings.position_usd_max / lot_usd + 1e-9)
        # Quotes stand off the fair price: a bid far below it needs more lots for the same notional.
        far = fair * (1 - (settings.skew_bps_max + settings.spread_bps_max) * BPS)
        self._lots_min = lots_min_at(
            price_ticks=max(far, fair / 2),
            lots_min=self.instrument.lots_min,
            min_notional_usd=self._min_notional_usd,
            usd_per_tick_lot=self._usd_per_tick_lot,
        )

    def _rooms(self, view: Effect, fair: float) -> tuple[int, int]:
        """Most lots that all bids, and all asks, may have together."""
        wallet, position = self.wallet, self.position.lots
        cap = self._cap_lots
        if view.position_usd_max < math.inf:
            cap = min(cap, math.floor(view.position_usd_max / (fair * self._usd_per_tick_lot)))
        room_buy = min(cap, wallet.long_lots) - position - self._dying_buy_lots
        room_sell = min(cap, wallet.short_lots) + position - self._dying_sell_lots
        if wallet.state is RiskState.REDUCE_ONLY:
            room_buy = min(room_buy, -position - self._dying_buy_lots)
            room_sell = min(room_sell, position - self._dying_sell_lots)
        return max(0, room_buy), max(0, room_sell)

    def _sizes(self, view: Effect) -> tuple[int, int]:
        """Lots of one bid and of one ask."""
        lots, least, factor = self._order_lots, self._lots_min, self.wallet.quantity_factor
        if factor >= 1.0 and view is NEUTRAL:
            return lots, lots
        return (
            scaled_lots(lots=lots, factor=factor * view.bid_factor, lots_min=least),
            scaled_lots(lots=lots, factor=factor * view.ask_factor, lots_min=least),
        )

    def _explain(self, side: Side, wishes: Sequence[Wish], lots_each: int, room_lots: int) -> None:
        """Note why a side has no wish, or that it has one."""
        if wishes:
            self._side_reasons[side] = _ON_ITS_WAY
        elif lots_each == 0:
            self._side_reasons[side] = (Reason.MODEL_HOLD, "size factor 0")
        elif self.wallet.state is RiskState.REDUCE_ONLY:
            self._side_reasons[side] = (Reason.REDUCE_ONLY, self.wallet.state_reason)
        elif room_lots < self._lots_min:
            envelope = self.wallet.long_lots if side is _BUY else self.wallet.short_lots
            bound = f"lease {envelope}" if envelope < self._cap_lots else f"cap {self._cap_lots}"
            self._side_reasons[side] = (
                Reason.LEASE_FULL,
                f"position {self.position.lots}, {bound}, room {room_lots} lots",
            )
        else:
            self._side_reasons[side] = (Reason.NO_PRICE, "below one tick")

    # --- carrying out ------------------------------------------------------------------------------------------

    def _pull(self, reason: tuple[Reason, str], now_ns: int) -> list[Command]:
        """Withdraw everything; again after a while if orders still live. Nothing is sent without a link."""
        self._stop_reason = reason
        self._decided_top = None
        self._book.pending_recv_ns = 0
        if not self._gateway_up:
            return []
        waiting = [
            order
            for order in self.own.by_ref.values()
            if order.pending is not Pending.CANCEL or now_ns - order.sent_ns >= REPEAT_NS
        ]
        if not waiting:
            return []
        self.counters.pulls += 1
        for order in self.own.by_ref.values():
            self.own.cancelled(order, now_ns=now_ns)
        return [CancelAll(self.venue, self.symbol, self.holder, f"{reason[0].value}: {reason[1]}")]

    def _carry_out(self, wanted: list[Move], cause: Cause, recv_ns: int, now_ns: int) -> list[Command]:
        """Send the moves that answers, budget, our own other side and the wallet allow, most valuable first."""
        commands: list[Command] = []
        unanswered = self.own.unanswered_count
        for move in wanted:
            if move.kind is Kind.CANCEL:
                assert move.order is not None
                commands.append(self._cancel(move.order, cause, now_ns, recv_ns))
                continue
            if not self._may_move(move, unanswered, now_ns):
                if move.severe and move.order is not None and self.budget.tokens < 1.0:
                    commands.append(self._cancel(move.order, cause, now_ns, recv_ns))
                continue
            command = self._spend(move, cause, recv_ns, now_ns)
            if command is not None:
                commands.append(command)
                unanswered += 1
        return commands

    def _may_move(self, move: Move, unanswered: int, now_ns: int) -> bool:
        counters = self.counters
        if self._backoff and now_ns < self._backoff.get(move.slot, (0, 0))[0]:
            if move.kind is Kind.PLACE:
                self._side_reasons[move.side] = (Reason.REJECTED, self._reject_text)
            return False
        if unanswered >= self._settings.unanswered_max:
            counters.answer_waits += 1
            return False
        # A bucket of one or two orders can't hold two back.
        hold_back = min(move.hold_back, max(0.0, self.budget.capacity - 1.0))
        if self.budget.tokens - 1.0 < hold_back:
            counters.budget_waits += 1
            if move.kind is Kind.PLACE:
                self._side_reasons[move.side] = (
                    Reason.ORDER_BUDGET,
                    f"{self.budget.orders_per_min} a minute granted, {self.budget.tokens:.1f} left",
                )
            return False
        opposite = self.own.nearest_ticks(move.side.other)
        if opposite is not None and (move.price_ticks - opposite) * move.side >= 0:
            # Our own other side stands (or may still stand) there; its answer brings us back here.
            counters.cross_waits += 1
            return False
        return True

    def _spend(
        self, move: Move, cause: Cause, recv_ns: int, now_ns: int
    ) -> LeasedOrder | LeasedReplace | CancelOrder | None:
        """Ask the wallet for one order."""
        live_buy = self.own.exposed_lots(_BUY) + self._dying_buy_lots
        live_sell = self.own.exposed_lots(_SELL) + self._dying_sell_lots
        age_us = max(0, now_ns - recv_ns) // 1000 if recv_ns else 0
        order = move.order
        if order is None:
            ref = self.own.next_ref()
            placed = self.wallet.place(
                ref=ref,
                slot=move.slot,
                side=move.side,
                price_ticks=move.price_ticks,
                lots=move.rest_lots,
                post_only=True,
                reduce_only=self._reduce_only(),
                position_lots=self.position.lots,
                live_buy_lots=live_buy,
                live_sell_lots=live_sell,
                value_usd=move.value_usd,
                cause=cause,
                recv_ns=recv_ns,
                age_us=age_us,
                now_ns=now_ns,
            )
            if isinstance(placed, Refusal):
                self._refused(move, placed)
                return None
            self.own.placed(
                ref=ref,
                slot=move.slot,
                side=move.side,
                price_ticks=move.price_ticks,
                lots=move.rest_lots,
                now_ns=now_ns,
            )
            self.counters.placed += 1
            self.budget.take()
            return placed
        done = order.lots - order.rest_lots
        rest = move.rest_lots
        grow_max = self._grow_max(move.side, live_buy, live_sell)
        if rest > order.rest_lots + grow_max:
            rest = order.rest_lots + grow_max
        replaced = self.wallet.replace(
            ref=order.ref,
            slot=order.slot,
            side=order.side,
            price_ticks=move.price_ticks,
            lots=done + rest,
            old_lots=order.lots,
            position_lots=self.position.lots,
            live_buy_lots=live_buy,
            live_sell_lots=live_sell,
            value_usd=move.value_usd,
            cause=cause,
            recv_ns=recv_ns,
            age_us=age_us,
            now_ns=now_ns,
        )
        if isinstance(replaced, Refusal):
            self._refused(move, replaced)
            return self._cancel(order, cause, now_ns, recv_ns)
        self.own.replaced(order, price_ticks=move.price_ticks, lots=done + rest, now_ns=now_ns)
        self.counters.replaced += 1
        self.budget.take()
        return replaced

    def _grow_max(self, side: Side, live_buy: int, live_sell: int) -> int:
        """Lots that may be added to a live order, everything else of its side at its worst."""
        if side is _BUY:
            return max(0, self.wallet.long_lots - self.position.lots - live_buy)
        return max(0, self.wallet.short_lots + self.position.lots - live_sell)

    def _reduce_only(self) -> bool:
        """The venue holds us to it as well; spot venues don't know the flag."""
        return (
            self.wallet.state is RiskState.REDUCE_ONLY
            and self.instrument is not None
            and self.instrument.market == "perp"
        )

    def _refused(self, move: Move, refusal: Refusal) -> None:
        self.counters.refused_by_wallet += 1
        self._side_reasons[move.side] = (refusal.reason, refusal.text)

    def _cancel(self, order: OwnOrder, cause: Cause, now_ns: int, recv_ns: int = 0) -> CancelOrder:
        self.own.cancelled(order, now_ns=now_ns)
        self.counters.cancelled += 1
        return CancelOrder(self.venue, self.symbol, self.holder, order.ref, cause, recv_ns)

    def _note_own(self, now_ns: int) -> None:
        """Orders changed: are both sides live?"""
        self._own_version = self.own.version
        self._dirty = True
        self.uptime.set(live=self.own.side_live(_BUY) and self.own.side_live(_SELL), now_ns=now_ns)

    # --- what others may look at ----------------------------------------------------------------------------------

    def reasons(self) -> dict[Side, tuple[Reason, str]]:
        """One reason code with its figures per side, as of the last event."""
        if self._stop_reason is not None:
            return {side: self._stop_reason for side in Side}
        quoting = (Reason.QUOTING, self.wallet.state_reason)
        return {side: quoting if self.own.side_live(side) else self._side_reasons[side] for side in Side}

    def status(self, now_ns: int) -> dict[str, Any]:
        """Everything the operator's view shows of this symbol, JSON-able; quotes as the venue would spell them."""
        row = self.instrument
        bid, ask = self._live_ticks(_BUY), self._live_ticks(_SELL)
        reasons = self.reasons()
        return {
            "venue": self.venue,
            "symbol": self.symbol,
            "bid": row.price_text(bid) if row is not None and bid else "",
            "ask": row.price_text(ask) if row is not None and ask else "",
            "spread_bps": (ask - bid) / (ask + bid) * 2 / BPS if bid and ask else 0.0,
            "fair": self._fair_ticks * row.tick_float if row is not None else 0.0,
            "position_lots": self.position.lots,
            "position": self.position.lots * row.lot_float if row is not None else 0.0,
            "position_usd": self.position.lots * self._fair_ticks * self._usd_per_tick_lot,
            "state": self.wallet.state.name,
            "state_reason": self.wallet.state_reason,
            "bid_code": reasons[_BUY][0].name,
            "bid_reason": " ".join(reasons[_BUY]).strip(),
            "ask_code": reasons[_SELL][0].name,
            "ask_reason": " ".join(reasons[_SELL]).strip(),
            "two_sided": self.uptime.live,
            "two_sided_share": self.uptime.share(now_ns),
            "two_sided_ns": self.uptime.live_ns(now_ns),
            "first_quote_ns": self.uptime.first_ns,
            "volatility_bps": self.volatility.bps,
            "lease_left_ms": self.wallet.lease_left_ms(now_ns),
            "lease_long_lots": self.wallet.long_lots,
            "lease_short_lots": self.wallet.short_lots,
            "orders_per_min": self.wallet.orders_per_min,
            "seq_holes": self._book.holes_count,
            "fill_holes": self.position.holes_count,
            "position_mismatches": self.position.mismatches_count,
            "open_orders": len(self.own.by_ref),
            "stopped": self.stopped,
            "counters": dict(vars(self.counters)),
        }

    def _live_ticks(self, side: Side) -> int:
        prices = [order.price_ticks for order in self.own.by_ref.values() if order.side == side and order.live]
        if not prices:
            return 0
        return max(prices) if side is _BUY else min(prices)


_ON_ITS_WAY = (Reason.STARTING, "order on its way")


def _up_to_multiple(lots: int, step: int) -> int:
    return -(-lots // step) * step
