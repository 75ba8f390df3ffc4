"""From a leased order to a request: kept by the pacer while it must wait, checked once more where it leaves the house.

`offer` takes what quote engines ask for, `pump` writes what the budget allows, dearest first. Everything is checked at
that moment and not before: gate, token, ttl, collar, envelope. What may not be written is told to its holder.
"""

from __future__ import annotations

from collections.abc import Callable

from actors.gateway.collar import Collar
from actors.gateway.commands import (
    Measured,
    WakeAt,
)
from actors.gateway.compare import LIVE_STATES, Comparison
from actors.gateway.core import Core
from actors.gateway.desk import OrderDesk
from actors.gateway.envelope import envelope_refusal
from actors.gateway.gate import Gate, IdBlock
from actors.gateway.holders import Holders
from actors.gateway.ordertable import TrackedOrder
from actors.gateway.pacer import Intent, Pacer, Urgency
from actors.vocab.orders import (
    CHANGES_FULL,
    LeasedOrder,
    LeasedReplace,
    OrderState,
    OrderUpdate,
)
from actors.vocab.units import NS_PER_MS, NS_PER_US
from actors.vocab.venue_io import (
    VenuePlace,
    VenueReplace,
)

Leased = LeasedOrder | LeasedReplace


class OrderWriter:
    """The only maker of places and replaces."""

    def __init__(
        self,
        core: Core,
        *,
        gate: Gate,
        ids: IdBlock,
        holders: Holders,
        collar: Collar,
        desk: OrderDesk,
        comparison: Comparison,
    ) -> None:
        self._core = core
        self._gate = gate
        self._ids = ids
        self._holders = holders
        self._collar = collar
        self._desk = desk
        self._comparison = comparison
        self.pacer: Pacer[Leased] = Pacer(
            core.budget,
            intents_max=core.settings.intents_max,
            change_wait_ns=core.settings.change_wait_ms * NS_PER_MS,
        )
        self.closed_reason = "starting"  # why the gateway writes nothing; the engine judges it after every event

    def offer(self, peer: str, m: Leased) -> None:
        """Take one wish of a quote engine: it is written in this call, waits, or is refused."""
        reason = self._not_holder(peer, m.token.holder, m.symbol) or self.closed_reason
        instrument = self._core.instruments.get(m.symbol)
        if not reason and instrument is None:
            reason = f"{m.symbol} is unknown at {self._core.venue}"
        if reason:
            self.refuse(m, reason)
            return
        kind, urgency = (VenuePlace, Urgency.NORMAL) if isinstance(m, LeasedOrder) else (VenueReplace, Urgency.CHANGE)
        costs = self._core.limits.costs.get(kind, ())
        intent = Intent((m.token.holder, m.symbol, m.slot), m, m.value_usd, self._core.now_ns, costs, urgency)
        superseded, refused = self.pacer.offer(intent)
        if superseded is not None and superseded.body.ref != m.ref:
            self.refuse(superseded.body, "superseded by a newer intent of its slot")
        elif superseded is not None and isinstance(superseded.body, LeasedOrder) and isinstance(m, LeasedReplace):
            # The order was not written yet, so its change is simply a newer wish for it.
            self.pacer.drop(lambda waiting: waiting is intent)
            body = superseded.body
            merged: Intent[Leased] = Intent(
                intent.slot, _with_change(body, m), m.value_usd, superseded.received_ns, superseded.costs
            )  # a missing order still
            self.pacer.offer(merged)
        if refused is not None:
            self.refuse(refused.body, "pacer full")

    def order_ended(self, order: TrackedOrder) -> None:
        """A leg is over: bring the change that waited for it back to the pacer, or let it go."""
        successor = order.successor
        if not isinstance(successor, Intent):
            return
        m = successor.body
        left = m.lots - order.carried_lots - order.executed_lots
        newer = self.pacer.waiting(successor.slot)
        if left <= 0 or order.state is OrderState.FILLED or self.closed_reason:
            order.successor = None
        elif newer is None:
            successor.urgency = Urgency.NORMAL  # the side is empty now
            _superseded, refused = self.pacer.offer(successor)
            if refused is not None:
                self.refuse(refused.body, "pacer full")
        else:
            newer.urgency = Urgency.NORMAL
            order.successor = newer if newer.body.ref == order.ref else None

    def drop(self, unwanted: Callable[[Intent[Leased]], bool], reason: str) -> None:
        for intent in self.pacer.drop(unwanted):
            self.refuse(intent.body, reason)

    def refuse(self, m: Leased, reason: str) -> None:
        """Tell the holder; a refused change leaves the order as it is."""
        core = self._core
        core.counters["refused"] += 1
        order = core.table.of_ref(m.token.holder, m.ref)
        if order is not None:
            if isinstance(order.successor, Intent):
                order.successor = None
            core.tell(m.token.holder, self._desk.update_of(order, reason=reason))
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

    def pump(self) -> None:
        """Write what the budget allows, dearest first."""
        core = self._core
        while (intent := self.pacer.next(core.now_ns, self._ready)) is not None:
            self._write(intent)
        for intent in self.pacer.overdue(core.now_ns, self._ready) if len(self.pacer) else ():
            self.refuse(intent.body, CHANGES_FULL)
        if len(self.pacer):
            wake_ns = self.pacer.wake_ns(core.now_ns, self._ready)
            if wake_ns is not None and wake_ns > core.now_ns:
                core.out.append(WakeAt(wake_ns))

    def _ready(self, intent: Intent[Leased]) -> bool:
        """A change waits for the answer to the one before; everything else goes when it may."""
        if isinstance(intent.body, LeasedOrder):
            return True
        order = self._core.table.of_ref(intent.slot[0], intent.body.ref)
        if order is None or not order.is_open:
            return True
        return order.successor is None and order.state in LIVE_STATES

    def _write(self, intent: Intent[Leased]) -> None:
        """Check everything once more, here and now, and write."""
        core = self._core
        m = intent.body
        replaced = core.table.of_ref(m.token.holder, m.ref) if isinstance(m, LeasedReplace) else None
        reason = self._refusal(m, intent, replaced)
        if reason:
            self.refuse(m, reason)
            return
        waited = core.now_ns > intent.received_ns
        if waited:
            core.out.append(Measured("pacer_wait", m.symbol, (core.now_ns - intent.received_ns) // NS_PER_US))
        stamps = (self._frame_ns(m, intent.received_ns), intent.received_ns, waited)
        if isinstance(m, LeasedOrder):
            self._desk.place(m, self._ids.take(), lots=m.lots, stamps=stamps, after=None)
        elif replaced is not None and not replaced.is_open:
            left = m.lots - replaced.carried_lots - replaced.executed_lots
            self._desk.place(m, self._ids.take(), lots=left, stamps=stamps, after=replaced)
        elif replaced is not None and core.limits.amends:
            self._desk.replace(replaced, m, stamps)
        elif replaced is not None:
            # This venue has no change in place: cancel first; `_order_ended` brings the change back.
            replaced.successor = intent
            self._desk.cancel(replaced, "replaced")

    def _refusal(self, m: Leased, intent: Intent[Leased], replaced: TrackedOrder | None) -> str:
        """Return why this must not be written; empty when it may."""
        core = self._core
        reason = self.closed_reason or self._gate.halt(m.symbol) or self._gate.token_refusal(m.symbol, m.token)
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
            lots = m.lots - replaced.carried_lots - replaced.executed_lots
            if lots <= 0:
                return "nothing left to change"
            # What is filled and not booked yet is in no position: it comes on top of the rest.
            unbooked = replaced.executed_lots - replaced.filled_lots
            added = max(lots + unbooked, replaced.live_lots)
        elif core.table.of_ref(m.token.holder, m.ref) is not None:
            return f"reference {m.ref} was used before"
        elif core.table.live_count(m.symbol) >= instrument.orders_open_max:
            return f"{instrument.orders_open_max} orders open already"
        reason = self._collar.refusal(instrument, m.side, m.price_ticks, lots, core.now_ns)
        if reason:
            return reason
        return self._envelope_refusal(m, added, replaced)

    def _envelope_refusal(self, m: Leased, added: int, replaced: TrackedOrder | None) -> str:
        core = self._core
        position = core.ledger.position(m.symbol)
        buys, sells = core.table.worst(m.symbol, without=replaced)
        foreign_buys, foreign_sells = self._comparison.foreign_lots(m.symbol)
        long_lots, short_lots = self._gate.bounds(m.side, m.long_lots, m.short_lots, position)
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
        if self._holders.same_host(m.token.holder):
            return m.recv_ns
        return received_ns - m.age_us * NS_PER_US

    def _not_holder(self, peer: str, holder: str, symbol: str) -> str:
        if peer != holder:
            return "token of another quote actor"
        if self._holders.owner(symbol) != holder:
            return "not the symbol's quote actor here: greet first"
        return ""


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
