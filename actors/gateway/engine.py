"""The gateway's machine for one venue account: who may write what, and what must be pulled.

Starts closed. Opens when risk has told term and state, a block of client ids has come, and the account is
reconciled: private stream up, open orders read (those of an older life cancelled), missed fills booked, positions
compared. While closed everything of ours is cancelled and nothing new is written. The parts: `gate.py` (risk's
word), `holders.py`, `desk.py` (orders), `pacer.py` (budgets), `collar.py`, `accounts.py` (fills and positions),
`compare.py` (against the venue), `countdowns.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from actors.gateway.collar import Collar
from actors.gateway.commands import (
    Command,
    Event,
    FromHolder,
    FromRisk,
    HolderLink,
    Measured,
    RiskLink,
    StopAsked,
    Stopped,
    Tick,
    ToRisk,
    WakeAt,
)
from actors.gateway.compare import LIVE_STATES, Comparison
from actors.gateway.core import Core
from actors.gateway.countdowns import Countdowns
from actors.gateway.desk import OrderDesk
from actors.gateway.envelope import envelope_refusal, fits
from actors.gateway.gate import Gate, IdBlock
from actors.gateway.holders import Holders
from actors.gateway.limits import VenueLimits
from actors.gateway.ordertable import TrackedOrder
from actors.gateway.pacer import Intent, Pacer, Urgency
from actors.vocab.config.gateway import GatewaySettings
from actors.vocab.config.risk import RiskSettings
from actors.vocab.control import FrameToken, Instruments
from actors.vocab.errors import OurFault
from actors.vocab.instruments import Instrument
from actors.vocab.leases import (
    AccountLease,
    AccountLeaseRequest,
    BlockGrant,
    BlockRequest,
    Kill,
    SymbolExposure,
)
from actors.vocab.market import Marks, Side
from actors.vocab.orders import (
    CancelAll,
    CancelOrder,
    FillsAgain,
    HolderHello,
    HolderState,
    LeasedOrder,
    LeasedReplace,
    OrderState,
    OrderUpdate,
    PositionAdjust,
)
from actors.vocab.units import NS_PER_MS, NS_PER_US
from actors.vocab.venue_io import (
    FaultKind,
    RateUsage,
    StreamDown,
    StreamKind,
    StreamUp,
    VenueAck,
    VenueBalances,
    VenueCountdown,
    VenueCountdownAck,
    VenueFill,
    VenueFunding,
    VenueFundings,
    VenueOpenOrders,
    VenueOrder,
    VenuePlace,
    VenuePositions,
    VenueReject,
    VenueReplace,
    VenueTime,
    VenueTrades,
)

# The shell sends a `Tick` this often: the grain of time-outs, ttls and renewals.
TICK_MS = 25
# A block of client ids that was asked for and did not come.
BLOCK_RETRY_MS = 1_000
Leased = LeasedOrder | LeasedReplace


class GatewayEngine:
    """`handle(event, now_ns) -> commands`. No clock, no sockets; the same events give the same commands."""

    def __init__(
        self,
        *,
        venue: str,
        incarnation: str,
        settings: GatewaySettings,
        risk: RiskSettings,
        limits: VenueLimits,
        instruments: tuple[Instrument, ...] = (),
        started_ms: int = 0,
    ) -> None:
        """`started_ms` is unix time: fills of symbols without a known trade id are looked for from there."""
        self.core = Core(venue=venue, incarnation=incarnation, settings=settings, limits=limits)
        self.gate = Gate()
        self.ids = IdBlock(settings.client_prefix)
        self.holders = Holders()
        self.collar = Collar(settings)
        self.pacer: Pacer[Leased] = Pacer(self.core.budget, intents_max=settings.intents_max)
        self.desk = OrderDesk(self.core, on_end=self._order_ended, owner=self.holders.owner)
        self.comparison = Comparison(
            self.core, self.desk, started_ms=started_ms, publish=self._publish, on_done=self._reconciled
        )
        self.countdowns = Countdowns(self.core, has_foreign=self.comparison.has_foreign)
        self._settings = settings
        self._risk = risk
        self._prefix = settings.client_prefix + "-"
        # (symbol, dying buys, dying sells) last told to its holder
        self._told: dict[str, tuple[int, int]] = {}
        self._order_up = True  # until a websocket for orders says otherwise
        self._stopping = ""
        self._stop_kill = False
        self._stopped = False
        self._open = False
        self._block_heard = False
        self._block_asked_ns = 0
        self._renew_next_ns = 0
        self._resend_fills = False
        self._report_now = False
        self.closed_reason = "starting"
        self._handlers: dict[type[Any], Callable[[Any], None]] = {
            FromHolder: self._from_holder,
            HolderLink: self._holder_link,
            FromRisk: self._from_risk,
            RiskLink: self._risk_link,
            Marks: self._marks,
            Instruments: self._instruments,
            Tick: self._tick,
            StopAsked: self._stop_asked,
            VenueAck: self.desk.on_ack,
            VenueReject: self._reject,
            VenueOrder: self._venue_order,
            VenueFill: self._venue_fill,
            VenueOpenOrders: self.comparison.on_open_orders,
            VenueTrades: self.comparison.on_trades,
            VenuePositions: self.comparison.on_positions,
            VenueBalances: self._answered,
            VenueFunding: self._funding,
            VenueFundings: self.comparison.on_fundings,
            VenueCountdownAck: self._answered,
            VenueTime: self._answered,
            RateUsage: lambda usage: self.core.budget.correct(usage, self.core.now_ns),
            StreamUp: self._stream_up,
            StreamDown: self._stream_down,
        }
        self._holder_handlers: dict[type[Any], Callable[[str, Any], None]] = {
            LeasedOrder: self._leased,
            LeasedReplace: self._leased,
            CancelOrder: self._cancel_order,
            CancelAll: self._cancel_all,
            HolderHello: self._hello,
            FillsAgain: self._holder_again,
        }
        self._risk_handlers: dict[type[Any], Callable[[Any], None]] = {
            AccountLease: self._account_lease,
            BlockGrant: self._block_grant,
            Kill: self._kill,
            FillsAgain: self._risk_again,
        }
        if instruments:
            self.core.instruments = {row.symbol: row for row in instruments}

    # --- public -----------------------------------------------------------------------------------------

    def handle(self, event: Event, now_ns: int) -> list[Command]:
        """Take one event; return what to do, in order. `OurFault` on an event that nobody knows."""
        core = self.core
        core.now_ns = max(core.now_ns, now_ns)
        core.out = []
        handler = self._handlers.get(type(event))
        if handler is None:
            raise OurFault(f"gateway {core.venue} cannot handle a {type(event).__name__}")
        handler(event)
        self._follow_up()
        return core.out

    @property
    def is_open(self) -> bool:
        return self._open

    def live_orders(self) -> list[TrackedOrder]:
        """Every order of ours that may be alive."""
        return [order for order in self.core.table.live() if order.is_open]

    def figures(self) -> dict[str, Any]:
        """Counters and states for status, plain JSON types."""
        counters, core = self.core.counters, self.core
        names = ("placed", "acked", "replaced", "cancelled", "rejected", "filled")
        return {
            "state": self.closed_reason or "open",
            "risk_state": self.gate.state.name,
            "term": self.gate.term,
            "orders": {name: counters[name] for name in names},
            "orders_open_count": len(self.live_orders()),
            "fills_count": counters["fills"],
            "waiting_count": len(self.pacer),
            "reconcile": {
                "position_mismatch_count": counters["position_mismatches"],
                "orphan_orders_count": counters["orphan_orders"],
                "lost_fills_count": counters["lost_fills"],
                "foreign_orders_count": counters["foreign_orders"],
            },
            "counters": dict(sorted(counters.items())),
            "budget_used": {name.value: window.used for name, window in core.budget.windows.items()},
            "positions": {s: core.ledger.position(s) for s in core.ledger.symbols() if core.ledger.position(s)},
        }

    def exposure(self, symbol: str) -> SymbolExposure:
        """What leases are settled against."""
        buys, sells = self.core.table.worst(symbol)
        foreign_buys, foreign_sells = self.comparison.foreign_lots(symbol)
        return SymbolExposure(
            symbol,
            self.core.ledger.position(symbol),
            buys,
            sells,
            self.gate.fenced.get(symbol, 0),
            foreign_buys,
            foreign_sells,
        )

    # --- quote engines ----------------------------------------------------------------------------------

    def _from_holder(self, event: FromHolder) -> None:
        handler = self._holder_handlers.get(type(event.message))
        if handler is None:
            if isinstance(event.message, FrameToken):
                return  # carried on by the shell
            self.core.note("WARNING", f"{event.peer} sent a {type(event.message).__name__}, which is not for gateways")
            return
        handler(event.peer, event.message)

    def _holder_link(self, event: HolderLink) -> None:
        if event.up:
            self.holders.came(event.peer, same_host=event.same_host)
            return
        for symbol in self.holders.gone(event.peer):
            self._drop_intents(lambda intent: intent.slot[0] == event.peer, "holder silent")
            self._cancel_where(symbol, lambda order: order.holder == event.peer, "holder silent")

    def _hello(self, peer: str, m: HolderHello) -> None:
        core = self.core
        if m.gateway != core.incarnation:
            core.note("WARNING", f"{m.symbol}: {peer} greets {m.gateway}, an earlier life of this gateway")
            return
        if peer != m.holder or not self.holders.take(m.symbol, m.holder):
            core.note("WARNING", f"{m.symbol}: {peer} is not its newest quote actor any more")
            return
        self._drop_intents(
            lambda intent: intent.slot[1] == m.symbol and intent.slot[0] != m.holder, "a newer quote actor took over"
        )
        self._cancel_where(m.symbol, lambda order: order.holder != m.holder, "older quote actor")
        self._tell_state(m.symbol)

    def _leased(self, peer: str, m: Leased) -> None:
        reason = self._not_holder(peer, m.token.holder, m.symbol) or self.closed_reason
        instrument = self.core.instruments.get(m.symbol)
        if not reason and instrument is None:
            reason = f"{m.symbol} is unknown at {self.core.venue}"
        if reason:
            self._refuse(m, reason)
            return
        costs = self.core.limits.costs.get(VenuePlace if isinstance(m, LeasedOrder) else VenueReplace, ())
        intent = Intent((m.token.holder, m.symbol, m.slot), m, m.value_usd, self.core.now_ns, costs)
        superseded, refused = self.pacer.offer(intent)
        if superseded is not None and superseded.body.ref != m.ref:
            self._refuse(superseded.body, "superseded by a newer intent of its slot")
        elif superseded is not None and isinstance(superseded.body, LeasedOrder) and isinstance(m, LeasedReplace):
            # The order was not written yet, so its change is simply a newer wish for it.
            self.pacer.drop(lambda waiting: waiting is intent)
            body = superseded.body
            merged: Intent[Leased] = Intent(
                intent.slot, _with_change(body, m), m.value_usd, superseded.received_ns, superseded.costs
            )
            self.pacer.offer(merged)
        if refused is not None:
            self._refuse(refused.body, "pacer full")

    def _cancel_order(self, peer: str, m: CancelOrder) -> None:
        core = self.core
        if peer != m.holder:
            return
        waiting = self.pacer.drop(lambda intent: intent.slot[0] == m.holder and intent.body.ref == m.ref)
        order = core.table.of_ref(m.holder, m.ref)
        if order is None:
            state = OrderState.CANCELLED if waiting else OrderState.REJECTED
            reason = "cancelled before it was written" if waiting else "no such order here"
            core.tell(peer, OrderUpdate(core.venue, m.symbol, m.holder, m.ref, state, 0, 0, 0, reason))
            return
        order.successor = None
        if order.is_open:
            self.desk.cancel(order, "asked by its holder")
        else:
            core.tell(peer, self.desk.update_of(order))

    def _cancel_all(self, peer: str, m: CancelAll) -> None:
        if peer != m.holder:
            return
        self._drop_intents(
            lambda intent: intent.slot[0] == m.holder and intent.slot[1] == m.symbol, m.reason or "all cancelled"
        )
        self._cancel_where(m.symbol, lambda order: order.holder == m.holder, m.reason or "asked by its holder")

    def _holder_again(self, peer: str, m: FillsAgain) -> None:
        for entry in self.core.ledger.again(m.from_no, self.holders.symbols_of(peer)):
            self.core.tell(peer, entry)

    # --- risk -------------------------------------------------------------------------------------------

    def _from_risk(self, event: FromRisk) -> None:
        handler = self._risk_handlers.get(type(event.message))
        if handler is not None:
            handler(event.message)

    def _risk_link(self, event: RiskLink) -> None:
        core = self.core
        core.risk_up = event.up
        if event.up:
            self._resend_fills = True
            self._block_asked_ns = 0
            self._renew_next_ns = core.now_ns
            self._renew()
            waiting, core.rows_waiting = core.rows_waiting, []
            for row in waiting:
                core.report(row)

    def _account_lease(self, m: AccountLease) -> None:
        core = self.core
        if m.venue != core.venue or not self.gate.on_lease(m):
            return
        for fence in m.fences:
            core.touch(fence.symbol)
        if core.ledger.is_numbered:
            core.ledger.ack(m.acked_fill_no)
            if self._resend_fills:
                self._resend_fills = False
                for entry in core.ledger.unacked():
                    core.out.append(ToRisk(entry))
        elif self._block_heard:
            self._number_from(m.acked_fill_no)
        for symbol in m.halted_symbols:
            self._pull_symbol(symbol)

    def _block_grant(self, m: BlockGrant) -> None:
        core = self.core
        if m.venue != core.venue or m.gateway != core.incarnation:
            return
        self.ids.add(m)
        self._block_asked_ns = 0
        if self._block_heard:
            return
        self._block_heard = True
        for row in m.journalled:
            core.ledger.start(
                row.symbol,
                lots=row.position_lots,
                avg_price_ticks=row.avg_price_ticks,
                trade_id=row.trade_id,
                stock_lots=row.stock_lots,
            )
        self.comparison.journal_told(m.since_ms)
        if m.last_fill_no >= 0:
            self._number_from(m.last_fill_no)

    def _number_from(self, fill_no: int) -> None:
        self.core.ledger.number_from(fill_no)
        self._resend_fills = False  # nothing has been numbered yet
        self.comparison.numbered()

    def _kill(self, m: Kill) -> None:
        core = self.core
        if m.venue not in ("", core.venue):
            return
        self.gate.on_kill(m)
        core.note("WARNING", f"{core.venue} killed{' ' + m.symbol if m.symbol else ''}: {m.reason}")
        if m.symbol:
            self._pull_symbol(m.symbol, Urgency.KILL)
            return
        self._drop_intents(lambda _intent: True, "killed")
        for order in self.live_orders():
            order.cancel_next_ns = 0  # a kill does not wait for the backoff of an earlier cancel
            self.desk.cancel(order, f"kill: {m.reason}", urgency=Urgency.KILL)

    def _risk_again(self, m: FillsAgain) -> None:
        for entry in self.core.ledger.again(m.from_no):
            self.core.out.append(ToRisk(entry))

    # --- market and instruments -------------------------------------------------------------------------

    def _marks(self, m: Marks) -> None:
        if m.venue == self.core.venue:
            self.collar.on_marks(m, self.core.now_ns)

    def _instruments(self, m: Instruments) -> None:
        if m.venue == self.core.venue:
            self.core.instruments = {row.symbol: row for row in m.rows}

    # --- venue ------------------------------------------------------------------------------------------

    def _stream_up(self, m: StreamUp) -> None:
        if m.stream is StreamKind.ORDER:
            self._order_up = True
        elif m.stream is StreamKind.PRIVATE:
            self.comparison.stream_up()

    def _stream_down(self, m: StreamDown) -> None:
        if m.stream is StreamKind.ORDER:
            self._order_up = False
        elif m.stream is StreamKind.PRIVATE:
            self.comparison.stream_down()

    def _venue_order(self, m: VenueOrder) -> None:
        if self.desk.on_order(m) is None and self.core.ledger.is_numbered:
            self.comparison.on_unknown_order(m)

    def _venue_fill(self, m: VenueFill) -> None:
        booked = self.desk.on_fill(m, ours=m.client_id.startswith(self._prefix))
        if booked and self.collar.on_fill(m.symbol, m.side, self.core.now_ns):
            self.core.note("WARNING", f"{self.core.venue} {m.symbol}: too many {m.side.name} fills, side halted")
            self._cancel_where(m.symbol, lambda order: order.side is m.side, "too many fills")

    def _reject(self, m: VenueReject) -> None:
        flight = self.desk.on_reject(m)
        if flight is None:
            return
        if flight.ask is not None:
            self.comparison.failed(m.request_no)
        elif isinstance(flight.request, VenueCountdown) and m.kind is not FaultKind.UNCHANGED:
            self.countdowns.refused(flight.request.symbol)

    def _answered(self, m: VenueBalances | VenueCountdownAck | VenueTime) -> None:
        self.core.flights.pop(m.request_no, None)

    def _funding(self, m: VenueFunding) -> None:
        if self.core.ledger.is_numbered:
            self.comparison.on_funding(m)

    # --- time -------------------------------------------------------------------------------------------

    def _tick(self, _event: Tick) -> None:
        core = self.core
        for flight in self.desk.on_tick():
            self.comparison.failed(flight.request.request_no)
        self._renew()
        self.comparison.on_tick()
        if self._open:
            self.countdowns.arm()  # closed, the timers run out by themselves
        for symbol in self.gate.fences:
            core.touch(symbol)

    def _renew(self) -> None:
        """Ask risk for the account lease and, when ids run low, for a block."""
        core = self.core
        if not core.risk_up:
            return
        if core.now_ns >= self._renew_next_ns or self._report_now:
            self._report_now = False
            self._renew_next_ns = core.now_ns + self._risk.renew_interval_ms * NS_PER_MS
            # Nothing before the first comparison: an empty list is "not known yet", and risk books its worst case.
            symbols = tuple(self.exposure(symbol) for symbol in core.instruments) if self.comparison.is_known else ()
            number = self.gate.next_request_no(core.now_ns)
            core.out.append(
                ToRisk(
                    AccountLeaseRequest(
                        core.venue,
                        core.incarnation,
                        number,
                        core.ledger.last_no,
                        symbols,
                        core.budget.per_min(core.limits.costs.get(VenuePlace, ())),
                    )
                )
            )
        if self.ids.is_low and (
            not self._block_asked_ns or core.now_ns - self._block_asked_ns >= BLOCK_RETRY_MS * NS_PER_MS
        ):
            self._block_asked_ns = core.now_ns
            core.out.append(ToRisk(BlockRequest(core.venue, core.incarnation)))

    def _stop_asked(self, event: StopAsked) -> None:
        self._stopping = event.reason or "stopping"
        self._stop_kill = event.kill
        self._drop_intents(lambda _intent: True, self._stopping)
        for order in self.live_orders():
            self.desk.cancel(order, self._stopping, urgency=Urgency.KILL if event.kill else Urgency.CANCEL)

    # --- after every event --------------------------------------------------------------------------------

    def _follow_up(self) -> None:
        core = self.core
        self.comparison.pump()
        self._judge()
        if core.touched:
            for symbol in list(core.touched):
                self._check_fence(symbol)
                self._tell_dying(symbol)
            core.touched.clear()
        if self.desk.dying:
            urgency = Urgency.KILL if self.gate.is_killed or self._stop_kill else Urgency.CANCEL
            wake_ns = self.desk.pump_cancels(urgency)
            if wake_ns is not None:
                core.out.append(WakeAt(wake_ns))
        if len(self.pacer):
            self._pump()
        if self._report_now:
            self._renew()
        if self._stopping and not self._stopped and not core.table.live_count():
            self._stopped = True
            self.countdowns.disarm()
            core.out.append(Stopped())

    def _judge(self) -> None:
        """Open or close; a closing pulls everything."""
        reason = self._why_closed()
        self.closed_reason = reason
        if self._open == (not reason):
            return
        self._open = not reason
        self.core.note("INFO" if self._open else "WARNING", f"{self.core.venue}: {reason or 'open'}")
        if not self._open:
            self._drop_intents(lambda _intent: True, reason)
            for order in self.live_orders():
                self.desk.cancel(order, reason)
        self._tell_all_states()

    def _why_closed(self) -> str:
        if self._stopping:
            return self._stopping
        if self.desk.fault:
            return self.desk.fault
        reason = self.gate.closed(self.core.now_ns)
        if reason:
            return reason
        if not self.ids.left:
            return "no client ids"
        if not self.comparison.private_up:
            return "private stream down"
        if not self._order_up:
            return "order connection down"
        return "" if self.comparison.is_reconciled else "account not reconciled"

    def _pump(self) -> None:
        """Write what the budget allows, dearest first."""
        core = self.core
        while (intent := self.pacer.next(core.now_ns, self._ready)) is not None:
            self._write(intent)
        if len(self.pacer):
            wake_ns = self.pacer.wake_ns(core.now_ns, self._ready)
            if wake_ns is not None and wake_ns > core.now_ns:
                core.out.append(WakeAt(wake_ns))

    def _ready(self, intent: Intent[Leased]) -> bool:
        """A change waits for the answer to the one before; everything else goes when it may."""
        if isinstance(intent.body, LeasedOrder):
            return True
        order = self.core.table.of_ref(intent.slot[0], intent.body.ref)
        if order is None or not order.is_open:
            return True
        return order.successor is None and order.state in LIVE_STATES

    def _write(self, intent: Intent[Leased]) -> None:
        """Check everything once more, here and now, and write."""
        core = self.core
        m = intent.body
        replaced = core.table.of_ref(m.token.holder, m.ref) if isinstance(m, LeasedReplace) else None
        reason = self._refusal(m, intent, replaced)
        if reason:
            self._refuse(m, reason)
            return
        waited = core.now_ns > intent.received_ns
        if waited:
            core.out.append(Measured("pacer_wait", m.symbol, (core.now_ns - intent.received_ns) // NS_PER_US))
        stamps = (self._frame_ns(m, intent.received_ns), intent.received_ns, waited)
        if isinstance(m, LeasedOrder):
            self.desk.place(m, self.ids.take(), lots=m.lots, stamps=stamps, after=None)
        elif replaced is not None and not replaced.is_open:
            left = m.lots - replaced.carried_lots - replaced.filled_lots
            self.desk.place(m, self.ids.take(), lots=left, stamps=stamps, after=replaced)
        elif replaced is not None and core.limits.amends:
            self.desk.replace(replaced, m, stamps)
        elif replaced is not None:
            # This venue has no change in place: cancel first; `_order_ended` brings the change back.
            replaced.successor = intent
            self.desk.cancel(replaced, "replaced")

    def _refusal(self, m: Leased, intent: Intent[Leased], replaced: TrackedOrder | None) -> str:
        """Return why this must not be written; empty when it may."""
        core = self.core
        reason = self.closed_reason or self.gate.halt(m.symbol) or self.gate.token_refusal(m.symbol, m.token)
        if reason:
            return reason
        if core.now_ns >= intent.received_ns + m.lease_left_ms * NS_PER_MS:
            return "lease expired"
        instrument = core.instruments.get(m.symbol)
        if instrument is None or not instrument.trading:
            return f"{m.symbol} is not trading"
        lots, added = m.lots, m.lots
        if isinstance(m, LeasedReplace):
            if replaced is None:
                return "no such order here"
            if replaced.is_open and replaced.cancel_why:
                return "order is being cancelled"
            if not replaced.is_open and not replaced_may_go_on(replaced):
                return f"order is {replaced.state.name}"
            lots = m.lots - replaced.carried_lots - replaced.filled_lots
            if lots <= 0:
                return "nothing left to change"
            added = max(lots, replaced.live_lots)
        elif core.table.of_ref(m.token.holder, m.ref) is not None:
            return f"reference {m.ref} was used before"
        elif core.table.live_count(m.symbol) >= instrument.orders_open_max:
            return f"{instrument.orders_open_max} orders open already"
        reason = self.collar.refusal(instrument, m.side, m.price_ticks, lots, core.now_ns)
        if reason:
            return reason
        return self._envelope_refusal(m, added, replaced)

    def _envelope_refusal(self, m: Leased, added: int, replaced: TrackedOrder | None) -> str:
        core = self.core
        position = core.ledger.position(m.symbol)
        buys, sells = core.table.worst(m.symbol, without=replaced)
        foreign_buys, foreign_sells = self.comparison.foreign_lots(m.symbol)
        long_lots, short_lots = self.gate.bounds(m.side, m.long_lots, m.short_lots, position)
        if not core.limits.short:
            short_lots = min(short_lots, core.ledger.account(m.symbol).stock_lots)
        return envelope_refusal(
            side=m.side,
            lots=added,
            position_lots=position,
            live_buy_lots=buys + foreign_buys,
            live_sell_lots=sells + foreign_sells,
            long_lots=long_lots,
            short_lots=short_lots,
        )

    def _frame_ns(self, m: Leased, received_ns: int) -> int:
        """Oldest frame of the decision on our clock; stamps of another host are used as an age only."""
        if not m.recv_ns:
            return 0
        if self.holders.same_host(m.token.holder):
            return m.recv_ns
        return received_ns - m.age_us * NS_PER_US

    def _order_ended(self, order: TrackedOrder) -> None:
        """A leg is over: bring the change that waited for it back to the pacer, or let it go."""
        successor = order.successor
        if not isinstance(successor, Intent):
            return
        m = successor.body
        left = m.lots - order.carried_lots - max(order.filled_lots, order.venue_filled_lots)
        newer = self.pacer.waiting(successor.slot)
        if left <= 0 or order.state is OrderState.FILLED or self.closed_reason:
            order.successor = None
        elif newer is None:
            self.pacer.offer(successor)
        else:
            order.successor = newer if newer.body.ref == order.ref else None

    # --- holders ------------------------------------------------------------------------------------------

    def _not_holder(self, peer: str, holder: str, symbol: str) -> str:
        if peer != holder:
            return "token of another quote actor"
        if self.holders.owner(symbol) != holder:
            return "not the symbol's quote actor here: greet first"
        return ""

    def _refuse(self, m: Leased, reason: str) -> None:
        """Tell the holder; a refused change leaves the order as it is."""
        core = self.core
        core.counters["refused"] += 1
        order = core.table.of_ref(m.token.holder, m.ref)
        if order is not None:
            if isinstance(order.successor, Intent):
                order.successor = None
            core.tell(m.token.holder, self.desk.update_of(order, reason=reason))
            return
        core.tell(
            m.token.holder,
            OrderUpdate(
                core.venue,
                m.symbol,
                m.token.holder,
                m.ref,
                OrderState.REJECTED,
                m.price_ticks,
                m.lots,
                0,
                reason,
            ),
        )

    def _drop_intents(self, unwanted: Callable[[Intent[Leased]], bool], reason: str) -> None:
        for intent in self.pacer.drop(unwanted):
            self._refuse(intent.body, reason)

    def _cancel_where(self, symbol: str, wanted: Callable[[TrackedOrder], bool], why: str) -> None:
        for order in self.core.table.live(symbol):
            if order.is_open and wanted(order):
                order.successor = None
                self.desk.cancel(order, why)

    def _pull_symbol(self, symbol: str, urgency: Urgency = Urgency.CANCEL) -> None:
        reason = self.gate.halt(symbol)
        self._drop_intents(lambda intent: intent.slot[1] == symbol, reason)
        for order in self.core.table.live(symbol):
            if order.is_open and (not order.cancel_why or urgency is Urgency.KILL):
                order.successor = None
                self.desk.cancel(order, reason, urgency=urgency)

    def _reconciled(self) -> None:
        self._report_now = True
        self._tell_all_states()

    def _publish(self, entry: object) -> None:
        """An adjustment: to risk and to the symbol's holder, who also learns the new position."""
        if not isinstance(entry, PositionAdjust):
            return
        core = self.core
        if core.risk_up:
            core.out.append(ToRisk(entry))
        holder = self.holders.owner(entry.symbol)
        if holder:
            core.tell(holder, entry)
            self._tell_state(entry.symbol)
        core.touch(entry.symbol)

    def _dying_lots(self, symbol: str, holder: str) -> tuple[int, int]:
        """What may still be filled and is not the holder's: older incarnations', and orders that are not ours."""
        buys, sells = self.comparison.foreign_lots(symbol)
        for order in self.core.table.live(symbol):
            if order.holder != holder:
                if order.side is Side.BUY:
                    buys += order.live_lots
                else:
                    sells += order.live_lots
        return buys, sells

    def _tell_dying(self, symbol: str) -> None:
        holder = self.holders.owner(symbol)
        if holder and self._told.get(symbol) != self._dying_lots(symbol, holder):
            self._tell_state(symbol)

    def _tell_all_states(self) -> None:
        for symbol in self.holders.symbols():
            self._tell_state(symbol)

    def _tell_state(self, symbol: str) -> None:
        core = self.core
        holder = self.holders.owner(symbol)
        if not holder:
            return
        account = core.ledger.account(symbol)
        dying = self._told[symbol] = self._dying_lots(symbol, holder)
        refs = tuple(order.ref for order in core.table.live(symbol) if order.holder == holder and order.is_open)
        core.tell(
            holder,
            HolderState(
                core.venue,
                symbol,
                core.incarnation,
                account.lots,
                account.avg_price_ticks,
                core.ledger.last_no,
                dying[0],
                dying[1],
                self._open,
                refs,
                account.stock_lots,
            ),
        )

    # --- fences -------------------------------------------------------------------------------------------

    def _check_fence(self, symbol: str) -> None:
        """Pull what a fence forbids; confirm the fence once nothing of it can happen any more."""
        gate, core = self.gate, self.core
        line = gate.fences.get(symbol)
        if line is None or gate.fenced.get(symbol, 0) >= line.min_grant_no or not self.comparison.is_known:
            return
        older = [
            order
            for order in core.table.live(symbol)
            if order.live_lots and (order.term < gate.term or order.grant_no < line.min_grant_no)
        ]
        position = core.ledger.position(symbol)
        buys, sells = core.table.worst(symbol)
        if older and not fits(
            position_lots=position,
            live_buy_lots=buys,
            live_sell_lots=sells,
            long_lots=line.long_lots,
            short_lots=line.short_lots,
        ):
            for order in older:
                over = (
                    position + buys > line.long_lots if order.side is Side.BUY else position - sells < -line.short_lots
                )
                if over and order.is_open and not order.cancel_why:
                    order.successor = None
                    self.desk.cancel(order, "outside its new lease")
            return
        gate.fenced[symbol] = line.min_grant_no
        self._report_now = True


def replaced_may_go_on(order: TrackedOrder) -> bool:
    """An ended leg may be followed by its change only when that change ended it."""
    return isinstance(order.successor, Intent) and order.state in (OrderState.CANCELLED, OrderState.EXPIRED)


def _with_change(order: LeasedOrder, change: LeasedReplace) -> LeasedOrder:
    """An order not written yet, as its change wants it."""
    return LeasedOrder(
        order.venue,
        order.symbol,
        order.ref,
        change.slot,
        order.side,
        change.price_ticks,
        change.lots,
        order.post_only,
        order.reduce_only,
        change.token,
        change.long_lots,
        change.short_lots,
        change.lease_left_ms,
        change.value_usd,
        change.cause,
        change.recv_ns,
        change.age_us,
    )


__all__ = ["TICK_MS", "GatewayEngine"]
