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
from collections.abc import Callable, Iterator
from typing import Any

from actors.quote.book import BookView
from actors.quote.budget import OrderBudget
from actors.quote.counters import Counters
from actors.quote.events import Backlog, FeedLink, GatewayLink, InstrumentRow, RiskLink, Timer
from actors.quote.figures import figures
from actors.quote.inputs import SignalWatch
from actors.quote.joint import JointTerms
from actors.quote.lease import LeaseKeeper, wanted_lots
from actors.quote.models.protocol import Estimates
from actors.quote.neighbours import OwnPrices
from actors.quote.orders import OwnOrders, Pending
from actors.quote.placer import Occasion, Placer
from actors.quote.position import Booked, PositionKeeper
from actors.quote.queue_place import note_queues
from actors.quote.quoter import NoQuote, Quoter
from actors.quote.reconcile import Kind
from actors.quote.signals import best_of_others
from actors.quote.uptime import TwoSided
from actors.quote.views import NEUTRAL, Effect, effect, widening_bps
from actors.risk.leases import Wallet
from actors.vocab.config import FleetSettings
from actors.vocab.control import Instruments, Stop
from actors.vocab.instruments import Instrument
from actors.vocab.leases import LeaseGrant, LeaseRelease, LeaseRequest, RiskState
from actors.vocab.market import BookState, BookUpdate, Level, Side, WarmUp
from actors.vocab.message import Message
from actors.vocab.opinions import FLEET_SCOPE, RegimeView, RiskView, SignalInputs
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
from actors.vocab.portfolio import FillCurve, PortfolioView
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
    | FillCurve
)
Event = Message | Timer | Backlog | GatewayLink | RiskLink | FeedLink | InstrumentRow

# A withdrawal without an answer is repeated, and a gateway that owes us something is asked again, this often.
REPEAT_NS = NS_PER_S

_ORDERED_TO_STOP = {RiskState.CIRCUIT_BREAKER: Reason.CIRCUIT_BREAKER, RiskState.FULL_STOP: Reason.FULL_STOP}
_BUY, _SELL = Side.BUY, Side.SELL


class QuoteEngine:
    """See the module. `holder` is this life's incarnation; `own_in_book` is False where the public book cannot
    contain our orders (a replay, paper trading); `refs` numbers the orders, shared by all engines of one holder;
    `own_prices` is shared by the engines of one symbol, which then never cross each other's orders."""

    def __init__(
        self,
        *,
        venue: str,
        symbol: str,
        holder: str,
        settings: FleetSettings,
        own_in_book: bool = True,
        refs: Iterator[int] | None = None,
        own_prices: OwnPrices | None = None,
    ) -> None:
        quote = settings.quote
        self.venue = venue
        self.symbol = symbol
        self.holder = holder
        self.counters = Counters()
        self.wallet = Wallet(venue, symbol, holder)
        self.position = PositionKeeper()
        self.own = OwnOrders(refs if refs is not None else itertools.count(1))
        self.own.hanging_ns = int(quote.hanging_s_max * NS_PER_S)
        self.budget = OrderBudget()
        self.uptime = TwoSided()
        self.signals = SignalWatch(quote)
        self.volatility = self.signals.volatility
        self.instrument: Instrument | None = None
        # For the model `portfolio` alone
        self.joint: JointTerms | None = None
        if quote.model == "portfolio":
            age_ms_max = settings.portfolio.view_age_ms_max
            self.joint = JointTerms(age_ms_max=age_ms_max, gamma=quote.gamma, xi=quote.utility_xi)
        self.stopped = False  # an ordered stop is complete: no order of ours lives, the lease is given back
        # Receipt of the oldest frame behind the last decision that a book caused; 0 when the last event made none.
        self.decided_recv_ns = 0

        self._settings = quote
        self._lease = LeaseKeeper(self.wallet, renew_interval_ns=settings.risk.renew_interval_ms * NS_PER_MS)
        self._own_prices = own_prices if own_prices is not None else OwnPrices()
        self._placer = Placer(
            settings=quote,
            wallet=self.wallet,
            own=self.own,
            position=self.position,
            budget=self.budget,
            counters=self.counters,
        )
        self._quoter = Quoter(
            settings=settings,
            wallet=self.wallet,
            own=self.own,
            position=self.position,
            budget=self.budget,
            volatility=self.volatility,
            placer=self._placer,
            own_prices=self._own_prices,
        )
        self._own_in_book = own_in_book
        self._opinion_ns = int(settings.llm.opinion_interval_s * NS_PER_S / 2) if settings.llm.enabled else 0
        self._answer_ns = quote.answer_timeout_ms * NS_PER_MS
        # venue -> its book; the own venue's is the one that quotes are made on
        self._books: dict[str, BookView] = {}
        self._beat_ms = settings.feed.beat_interval_ms
        self._book = self._book_of(venue)

        self._gateway = ""
        self._gateway_up = False
        self._reconciled = False
        self._hello_ns = 0
        self._hello_ref = 0  # orders up to here went out before the hello on this link
        self._hello_answered = False
        self._risk_up = False
        self._stopping = ""
        self._released = False
        self._signals_ns = 0

        self._view: RegimeView | None = None
        self._view_ns = 0
        self._verdicts: dict[str, tuple[RiskView, int]] = {}  # scope, ours or the fleet's -> newest, and when it came
        self._decided_top: tuple[Level, Level] | None = None
        self._dirty = True  # something besides the book has changed since the last decision
        self._own_version = -1  # of `own`, when two-sidedness was last looked at
        self._lots_version = -1  # of `own`, when the two below were made
        self._own_bids: dict[int, int] = {}
        self._own_asks: dict[int, int] = {}
        # What stops the whole symbol; None while it is quoted as far as each side may.
        self._stop_reason: tuple[Reason, str] | None = (Reason.STARTING, "nothing received yet")

        self._handlers: dict[type, Callable[[Any, int], list[Command]]] = {
            BookUpdate: self._on_book,
            Backlog: self._on_backlog,
            Timer: self._on_timer,
            Fill: self._on_fill,
            OrderUpdate: self._on_order,
            LeaseGrant: self._on_grant,
            PortfolioView: self._on_portfolio,
            HolderState: self._on_holder_state,
            PositionAdjust: self._on_adjust,
            RegimeView: self._on_view,
            RiskView: self._on_verdict,
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
        trades = update.trades
        if trades.buys_count or trades.sells_count:  # by value: one that came over a link is another object
            self.signals.on_trades(trades, now_ns)
        if update.state is BookState.OK and update.bids and update.asks:
            top = self._top()
            if top is not None:  # without our own orders: a mid that they move would widen them
                self.signals.on_top(*top, book.fresh_ns, now_ns)
        else:
            # The move over a hole in the data is not a sample of anything.
            self.signals.skip_gap()
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
            self.signals.skip_gap()
        return self._again(now_ns, Cause.TIMER)

    def _on_warm_up(self, event: WarmUp, now_ns: int) -> list[Command]:
        if event.venue == self.venue:
            self.signals.warm_up(event.klines)
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
        return HolderHello(self.venue, self.symbol, self.holder, self._gateway, self._steps)

    @property
    def _steps(self) -> str:
        return self.instrument.steps if self.instrument is not None else ""

    def _on_holder_state(self, state: HolderState, now_ns: int) -> list[Command]:
        """The gateway's truth: position, last fill, and which of our orders exist."""
        if state.gateway != self._gateway or not self._gateway_up:
            self.counters.strays += 1
            return []
        self.position.adopt(state)
        placer = self._placer
        placer.dying_buy_lots, placer.dying_sell_lots = state.dying_buy_lots, state.dying_sell_lots
        first = not self._hello_answered
        self._hello_answered = True
        forgotten_ns = now_ns - self._answer_ns
        self.own.forget_all_but(state.open_refs, up_to_ref=self._hello_ref if first else 0, sent_before_ns=forgotten_ns)
        self.own.settle()
        began = state.complete and not self._reconciled
        self._reconciled = state.complete
        commands: list[Command] = []
        occasion = Occasion(Cause.TIMER, 0, now_ns)
        for order in list(self.own.by_ref.values()):
            # Whether a command that was on its way when the link broke arrived can't be known: the order goes.
            lost = (first and order.ref <= self._hello_ref) or order.sent_ns < forgotten_ns
            if order.pending and lost:
                commands.append(placer.cancel(order, occasion))
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
        if update.state is OrderState.REJECTED or order.refused:
            kind = Kind.REPLACE if order.refused else Kind.PLACE
            self._placer.on_reject(order, kind, update.reason, now_ns)
        elif update.state in (OrderState.OPEN, OrderState.PARTLY_FILLED):
            self._placer.on_accept(order.slot)
        return self._again(now_ns, Cause.FILL if update.state is OrderState.FILLED else Cause.TIMER)

    def _on_fill(self, fill: Fill, now_ns: int) -> list[Command]:
        if fill.venue != self.venue or fill.symbol != self.symbol:
            return []
        booked = self.position.on_fill(fill)
        if booked is Booked.DUPLICATE:
            return []
        ours = fill.holder == self.holder
        if ours:
            self.counters.fills += 1
            self.own.on_fill(fill.ref, fill.lots, now_ns)
            self.signals.on_fill(fill.side, self._mid_ticks(now_ns), now_ns)
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
        if self.joint is not None:
            self.joint.forget_told()
        if not event.up or not self._reconciled:
            return []
        return self._renew(now_ns)

    def _on_grant(self, grant: LeaseGrant, now_ns: int) -> list[Command]:
        if (grant.steps and grant.steps != self._steps) or not self.wallet.on_grant(grant, now_ns):
            self.counters.strays += 1
            return []
        self.budget.set_rate(self.wallet.orders_per_min, now_ns)
        return self._again(now_ns, Cause.LEASE)

    def _on_portfolio(self, view: PortfolioView, now_ns: int) -> list[Command]:
        if self.joint is None or not self.joint.hear(view, now_ns):
            return []
        return self._use_joint(self.joint, now_ns)

    def _keep_joint(self, joint: JointTerms, now_ns: int) -> list[Command]:
        """Time has passed: what risk told may be too old, and what we measure may be news to it."""
        commands = self._use_joint(joint, now_ns) if joint.expire(now_ns) else []
        news = joint.to_tell(self.venue, self.symbol, self._quoter.estimates, now_ns) if self._risk_up else None
        return commands if news is None else [*commands, news]

    def _use_joint(self, joint: JointTerms, now_ns: int) -> list[Command]:
        self._quoter.take(self._quoter.estimates._replace(portfolio=joint.terms))
        return self._again(now_ns, Cause.FILL)

    def _wants(self) -> tuple[int, int]:
        spot = self.instrument is not None and self.instrument.market == "spot"
        return wanted_lots(
            position_lots=self.position.lots,
            sizes=self._quoter.sizes,
            short_lots_max=self.position.stock_lots if spot else None,
            closing=bool(self._stopping),
        )

    def _renew(self, now_ns: int) -> list[Command]:
        if not self._risk_up or self._released:
            return []
        mid = self._size_up(now_ns)
        return [
            self._lease.request(
                self._wants(),
                position_lots=self.position.lots,
                last_fill_no=self.position.last_fill_no,
                mid_ticks=mid,
                budget=self.budget,
                now_ns=now_ns,
                steps=self._steps,
            )
        ]

    def _renew_if_wished(self, now_ns: int) -> list[Command]:
        """Ask at once when more is wished than was asked for last; less can wait for the next renewal."""
        if self._reconciled and self._lease.wishes_more(self._wants(), now_ns, short=self.budget.short):
            return self._renew(now_ns)
        return []

    def _size_up(self, now_ns: int) -> float:
        """Mid of a good book, else 0. The first request needs sizes before the first decision has made them."""
        mid = self._mid_ticks(now_ns) if self.instrument is not None else 0.0
        if not mid:
            return 0.0
        self._quoter.size_up(mid)
        return mid

    # --- the rest ----------------------------------------------------------------------------------------------

    def _on_view(self, view: RegimeView, now_ns: int) -> list[Command]:
        self._view, self._view_ns = view, now_ns
        return self._again(now_ns, Cause.TIMER)

    def _on_verdict(self, view: RiskView, now_ns: int) -> list[Command]:
        if view.scope not in (FLEET_SCOPE, self.symbol):
            return []
        self._verdicts[view.scope] = view, now_ns
        return self._again(now_ns, Cause.TIMER)

    def _effect(self, now_ns: int) -> Effect:
        """What the model's views, at their ages, do to the quotes of this decision."""
        found = NEUTRAL if self._view is None else effect(self._view, (now_ns - self._view_ns) / NS_PER_S)
        add = max((widening_bps(one, (now_ns - at) / NS_PER_S) for one, at in self._verdicts.values()), default=0.0)
        return found._replace(spread_add_bps=add) if add else found

    def _on_instruments(self, event: Instruments, now_ns: int) -> list[Command]:
        if event.venue != self.venue:
            return []
        for row in event.rows:
            if row.symbol == self.symbol:
                return self._on_instrument(InstrumentRow(row), now_ns)
        return []

    def _on_instrument(self, event: InstrumentRow, now_ns: int) -> list[Command]:
        row, old = event.row, self.instrument
        self.instrument = row
        self._quoter.use(row)
        commands: list[Command] = []
        if old is not None and old.steps != row.steps:
            # Every number we hold counts the old steps: withdraw, and learn position and book anew.
            for book in self._books.values():
                book.forget()
            self.signals.rescale(old.lot_float / row.lot_float)
            self._lease.forget()
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
        if self._reconciled and self._lease.due(now_ns):
            commands += self._renew(now_ns)
        else:
            commands += self._renew_if_wished(now_ns)
        self._refresh(now_ns)
        if self._opinion_ns and now_ns - self._signals_ns >= self._opinion_ns:
            commands += self._signals(now_ns)
        if self.joint is not None:
            commands += self._keep_joint(self.joint, now_ns)
        commands += self._again(now_ns, Cause.TIMER)
        return commands

    def _gateway_owes(self, now_ns: int) -> bool:
        """True when its answer is overdue: the state itself, an order's outcome, or a fill."""
        if not self._reconciled or self._placer.dying_buy_lots or self._placer.dying_sell_lots:
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
        return [self.signals.inputs(self.instrument, book.bids[0][0], book.asks[0][0], now_ns)]

    def _refresh(self, now_ns: int) -> None:
        """What the models know besides the book, once a second while the book is good."""
        mid = self._mid_ticks(now_ns)
        self.signals.settle(mid, now_ns)
        if mid and self.instrument is not None and self.signals.due(now_ns):
            quoter, book = self._quoter, self._book
            estimates = self.signals.refresh(self.instrument, book.bids, book.asks, quoter.estimates, now_ns)
            if estimates is not quoter.estimates:
                quoter.take(estimates)

    def _mid_ticks(self, now_ns: int) -> float:
        """Mid of a good book, else 0."""
        book = self._book
        return (book.bids[0][0] + book.asks[0][0]) / 2 if book.problem(now_ns) is None else 0.0

    # --- the decision --------------------------------------------------------------------------------------------

    def _again(self, now_ns: int, cause: Cause) -> list[Command]:
        """Decide although the book may be the same."""
        self._dirty = True
        return self._decide(now_ns, cause)

    def _gate(self, now_ns: int) -> tuple[Reason, str] | None:
        """What stops the whole symbol; the first that holds is the one to be mended first."""
        if self._stopping:
            return Reason.STOPPING, self._stopping
        ordered = _ORDERED_TO_STOP.get(self.wallet.state)
        if ordered is not None:
            # Before all that follows from it: a stop closes the gateway, and then the lease runs out.
            return ordered, self.wallet.state_reason
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
        return None

    def _decide(self, now_ns: int, cause: Cause) -> list[Command]:
        gate = self._gate(now_ns)
        if gate is not None:
            return self._pull(gate, now_ns)
        top = self._top()
        if top is None:
            return self._pull((Reason.NO_BOOK, "one side holds nothing but our own orders"), now_ns)
        book = self._book
        if cause is not Cause.BOOK and self._settings.queue_keep:
            # After an answer and at each timer; between two updates of a quiet book there is nothing new to see.
            note_queues(self.own.by_ref.values(), book.bids, book.asks)
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
        view = self._effect(now_ns) if self._view is not None or self._verdicts else NEUTRAL
        had_lots = self._quoter.sizes.order_lots
        placed = self._quoter.quote(top, view, Occasion(cause, recv_ns, now_ns))
        if isinstance(placed, NoQuote):
            return self._pull(placed, now_ns)
        if self._quoter.sizes.order_lots != had_lots:
            return [*placed, *self._renew_if_wished(now_ns)]
        return [*placed] if placed else []

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

    def _pull(self, reason: tuple[Reason, str], now_ns: int) -> list[Command]:
        """Withdraw everything; again after a while if orders still live. Nothing is sent without a link."""
        self._stop_reason = reason
        self._decided_top = None
        self._book.pending_recv_ns = 0
        if not self._gateway_up:
            return []
        orders = self.own.by_ref.values()
        if not any(order.pending is not Pending.CANCEL or now_ns - order.sent_ns >= REPEAT_NS for order in orders):
            return []
        self.counters.pulls += 1
        for order in orders:
            self.own.cancelled(order, now_ns=now_ns)
        return [CancelAll(self.venue, self.symbol, self.holder, " ".join(reason).strip())]

    def _note_own(self, now_ns: int) -> None:
        """Orders changed: are both sides live?"""
        self._own_version = self.own.version
        self._dirty = True
        if self.instrument is not None:
            self._own_prices.note(self.venue, self.own, self.instrument.tick_float)
        self.uptime.set(live=self.own.side_live(_BUY) and self.own.side_live(_SELL), now_ns=now_ns)

    # --- what others may look at ----------------------------------------------------------------------------------

    def reasons(self) -> dict[Side, tuple[Reason, str]]:
        """One reason code with its figures per side, as of the last event."""
        if self._stop_reason is not None:
            return {side: self._stop_reason for side in Side}
        alone = f"alone: {self.joint.problem}" if self.joint is not None and self.joint.problem else ""
        quoting = (Reason.QUOTING, self.wallet.state_reason or alone)
        hindrances = self._placer.hindrances
        return {side: quoting if self.own.side_live(side) else hindrances.get(side, _ON_ITS_WAY) for side in Side}

    def status(self, now_ns: int) -> dict[str, Any]:
        """Everything the operator's view shows of this symbol; see `figures.py`."""
        return figures(self, now_ns)

    @property
    def market_spread_bps(self) -> float:
        """Between the best prices of the book, ours among them; 0 while a side is empty."""
        bids, asks = self._book.bids, self._book.asks
        return (asks[0][0] - bids[0][0]) / (asks[0][0] + bids[0][0]) * 2 / BPS if bids and asks else 0.0

    @property
    def fair_ticks(self) -> float:
        """Fair price of the last decision; 0 before the first."""
        return self._quoter.fair_ticks

    @property
    def estimates(self) -> Estimates:
        """What the model knows besides the book."""
        return self._quoter.estimates

    @property
    def seq_holes_count(self) -> int:
        return self._book.holes_count


_ON_ITS_WAY = (Reason.STARTING, "order on its way")
