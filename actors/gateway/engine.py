"""The gateway's machine for one venue account: who may write what, and what must be pulled.

Starts closed. Opens when risk has told term and state, a block of client ids has come, and the account is
reconciled: private stream up, open orders read (those of an older life cancelled), missed fills booked, positions
compared. While closed everything of ours is cancelled and nothing new is written. The parts: `gate.py` (risk's
word), `fencing.py`, `holders.py`, `news.py` (what they are told), `writer.py` and `pacer.py` (what is written when),
`desk.py` (orders), `collar.py`, `accounts.py` (fills and positions),
`compare.py` (against the venue), `countdowns.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

from actors.gateway.collar import Collar
from actors.gateway.commands import (
    Command,
    Event,
    FromHolder,
    FromRisk,
    HolderLink,
    RiskLink,
    StopAsked,
    Stopped,
    Tick,
    ToRisk,
    WakeAt,
)
from actors.gateway.compare import Comparison
from actors.gateway.core import Core
from actors.gateway.countdowns import Countdowns
from actors.gateway.desk import OrderDesk
from actors.gateway.fencing import fence_is_met
from actors.gateway.gate import Gate, IdBlock
from actors.gateway.holders import Holders
from actors.gateway.limits import VenueLimits
from actors.gateway.news import News
from actors.gateway.ordertable import TrackedOrder
from actors.gateway.pacer import Urgency
from actors.gateway.writer import OrderWriter
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
from actors.vocab.market import Marks
from actors.vocab.orders import (
    CancelAll,
    CancelOrder,
    FillsAgain,
    HolderHello,
    LeasedOrder,
    LeasedReplace,
    OrderState,
    OrderUpdate,
)
from actors.vocab.units import NS_PER_MS
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
    VenueTime,
    VenueTrades,
)

# The shell sends a `Tick` this often: the grain of time-outs, ttls and renewals.
TICK_MS = 25
# A block of client ids that was asked for and did not come.
BLOCK_RETRY_MS = 1_000


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
        unix_ahead_ns: int = 0,
    ) -> None:
        """`started_ms` is unix time: fills of symbols without a known trade id are looked for from there.

        `unix_ahead_ns` is unix time less the clock of `handle`: limits are counted by the venue's minutes.
        """
        self.core = Core(
            venue=venue,
            incarnation=incarnation,
            settings=settings,
            limits=limits,
            orders_per_min_max=risk.orders_per_min_max,
            unix_ahead_ns=unix_ahead_ns,
        )
        self.gate = Gate()
        self.ids = IdBlock(settings.client_prefix)
        self.holders = Holders()
        self.collar = Collar(settings)
        self.desk = OrderDesk(self.core, on_end=lambda order: self.writer.order_ended(order), owner=self.holders.owner)
        self.comparison = Comparison(
            self.core,
            self.desk,
            started_ms=started_ms,
            publish=lambda entry: self.news.publish(entry),
            on_done=self._reconciled,
        )
        self.news = News(self.core, holders=self.holders, foreign_lots=self.comparison.foreign_lots)
        self.writer = OrderWriter(
            self.core,
            gate=self.gate,
            ids=self.ids,
            holders=self.holders,
            collar=self.collar,
            desk=self.desk,
            comparison=self.comparison,
        )
        self.countdowns = Countdowns(self.core, has_foreign=self.comparison.has_foreign)
        self._settings = settings
        self._risk = risk
        self._prefix = settings.client_prefix + "-"
        self._order_up = True  # until a websocket for orders says otherwise
        self._stopping = ""
        self._stop_kill = False
        self._stopped = False
        self._block_heard = False
        self._block_asked_ns = 0
        self._renew_next_ns = 0
        self._resend_fills = False
        self._report_now = False
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
            RateUsage: lambda usage: self.core.budget.correct(usage, self.core.now_ns, self.core.unix_ns),
            StreamUp: self._stream_up,
            StreamDown: self._stream_down,
        }
        self._holder_handlers: dict[type[Any], Callable[[str, Any], None]] = {
            LeasedOrder: self.writer.offer,
            LeasedReplace: self.writer.offer,
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
        return self.news.is_open

    @property
    def closed_reason(self) -> str:
        """Why nothing may be written; empty while open."""
        return self.writer.closed_reason

    def live_orders(self) -> list[TrackedOrder]:
        """Every order of ours that may be alive."""
        return [order for order in self.core.table.live() if order.is_open]

    def figures(self) -> dict[str, Any]:
        """Counters and states for status, plain JSON types."""
        counters, core = self.core.counters, self.core
        names = ("placed", "acked", "replaced", "cancelled", "rejected", "filled")
        return {
            "state": self.writer.closed_reason or "open",
            "risk_state": self.gate.state.name,
            "term": self.gate.term,
            "orders": {name: counters[name] for name in names},
            "orders_open_count": len(self.live_orders()),
            "fills_count": counters["fills"],
            "waiting_count": len(self.writer.pacer),
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
        instrument = self.core.instruments.get(symbol)
        return SymbolExposure(
            symbol,
            self.core.ledger.position(symbol),
            buys,
            sells,
            self.gate.fenced.get(symbol, 0),
            foreign_buys,
            foreign_sells,
            instrument.steps if instrument is not None else "",
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
            self.writer.drop(lambda intent: intent.slot[0] == event.peer, "holder silent")
            self._cancel_where(symbol, lambda order: order.holder == event.peer, "holder silent")

    def _hello(self, peer: str, m: HolderHello) -> None:
        core = self.core
        if m.gateway != core.incarnation:
            core.note("WARNING", f"{m.symbol}: {peer} greets {m.gateway}, an earlier life of this gateway")
            return
        instrument = core.instruments.get(m.symbol)
        if m.steps and instrument is not None and m.steps != instrument.steps:
            core.note("INFO", f"{m.symbol}: {peer} counts in {m.steps}, the gateway in {instrument.steps}")
            return  # whoever is behind will learn it in a moment, and the holder greets again
        if peer != m.holder or not self.holders.take(m.symbol, m.holder):
            core.note("WARNING", f"{m.symbol}: {peer} is not its newest quote actor any more")
            return
        self.writer.drop(
            lambda intent: intent.slot[1] == m.symbol and intent.slot[0] != m.holder, "a newer quote actor took over"
        )
        self._cancel_where(m.symbol, lambda order: order.holder != m.holder, "older quote actor")
        self.news.tell(m.symbol)

    def _cancel_order(self, peer: str, m: CancelOrder) -> None:
        core = self.core
        if peer != m.holder:
            return
        waiting = self.writer.pacer.drop(lambda intent: intent.slot[0] == m.holder and intent.body.ref == m.ref)
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
        self.writer.drop(
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
            # Ahead of the report of exposures: risk must not hear of a position before the fill that made it. Again
            # with the lease's answer, for a risk of a new term, which may not have listened yet.
            for entry in core.ledger.unacked():
                core.out.append(ToRisk(entry))
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
                trade_ids=row.trade_ids,
            )
        self.comparison.journal_told(m.since_ms, m.fundings)
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
        self.writer.drop(lambda _intent: True, "killed")
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
        core = self.core
        if m.venue != core.venue:
            return
        before, core.instruments = core.instruments, {row.symbol: row for row in m.rows}
        for symbol, row in core.instruments.items():
            old = before.get(symbol)
            if old is not None and old.steps != row.steps:
                self._rescale(old, row)

    def _rescale(self, old: Instrument, new: Instrument) -> None:
        """The venue's steps have changed: count in the new ones, pull what was written in the old, and look."""
        core, symbol, why = self.core, old.symbol, "steps of the instrument changed"
        core.note("WARNING", f"{core.venue} {symbol}: {why} from {old.steps} to {new.steps}")
        self.holders.dismiss(symbol)  # what its holder still sends may be in the old steps
        self.writer.drop(lambda intent: intent.slot[1] == symbol, why)
        ticks = Fraction(old.tick) / Fraction(new.tick)
        lots = Fraction(old.lot * old.multiplier) / Fraction(new.lot * new.multiplier)
        for order in core.table.live(symbol):
            order.rescale(ticks, lots)
            core.table.touch(order)
            order.successor = None
            self.desk.cancel(order, why)
        core.ledger.rescale(old, new)
        self.comparison.rescale(symbol, lots)
        core.touch(symbol)

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
            self.countdowns.refused(flight.request)

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
        self.countdowns.keep(is_open=self.news.is_open)
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
        self.writer.drop(lambda _intent: True, self._stopping)
        for order in self.live_orders():
            self.desk.cancel(order, self._stopping, urgency=Urgency.KILL if event.kill else Urgency.CANCEL)

    # --- after every event --------------------------------------------------------------------------------

    def _follow_up(self) -> None:
        core = self.core
        self.comparison.pump()
        self._judge()
        if core.touched:
            for symbol in list(core.touched):
                if fence_is_met(symbol, core=core, gate=self.gate, desk=self.desk, is_known=self.comparison.is_known):
                    self._report_now = True
                self.news.tell_dying(symbol)
            core.touched.clear()
        if self.desk.dying:
            urgency = Urgency.KILL if self.gate.is_killed or self._stop_kill else Urgency.CANCEL
            wake_ns = self.desk.pump_cancels(urgency)
            if wake_ns is not None:
                core.out.append(WakeAt(wake_ns))
        if len(self.writer.pacer):
            self.writer.pump()
        if self._report_now:
            self._renew()
        if self._stopping and not self._stopped and not core.table.live_count():
            self._stopped = True
            self.countdowns.disarm()
            core.out.append(Stopped())

    def _judge(self) -> None:
        """Open or close; a closing pulls everything."""
        reason = self._why_closed()
        self.writer.closed_reason = reason
        if self.news.is_open == (not reason):
            return
        self.news.is_open = not reason
        self.core.note("INFO" if self.news.is_open else "WARNING", f"{self.core.venue}: {reason or 'open'}")
        if not self.news.is_open:
            self.writer.drop(lambda _intent: True, reason)
            for order in self.live_orders():
                self.desk.cancel(order, reason)
        self.news.tell_all()

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

    # --- holders ------------------------------------------------------------------------------------------

    def _cancel_where(self, symbol: str, wanted: Callable[[TrackedOrder], bool], why: str) -> None:
        for order in self.core.table.live(symbol):
            if order.is_open and wanted(order):
                order.successor = None
                self.desk.cancel(order, why)

    def _pull_symbol(self, symbol: str, urgency: Urgency = Urgency.CANCEL) -> None:
        reason = self.gate.halt(symbol)
        self.writer.drop(lambda intent: intent.slot[1] == symbol, reason)
        for order in self.core.table.live(symbol):
            if order.is_open and (not order.cancel_why or urgency is Urgency.KILL):
                order.successor = None
                self.desk.cancel(order, reason, urgency=urgency)

    def _reconciled(self) -> None:
        self._report_now = True
        self.news.tell_all()


__all__ = ["TICK_MS", "GatewayEngine"]
