"""Orders at the venue: written, answered, lost, asked for, cancelled until their end is known, filled.

Nothing here asks for permission: the engine checks before it calls `place` and `replace`. Everything here assumes
that answers come late, twice, in the wrong order or not at all.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from actors.gateway.accounts import Entry
from actors.gateway.commands import Measured, RefreshInstruments, SyncClock, ToRisk
from actors.gateway.core import Core, Flight
from actors.gateway.lifecycle import LifeEvent
from actors.gateway.ordertable import TrackedOrder
from actors.gateway.pacer import Urgency
from actors.vocab.instruments import Instrument
from actors.vocab.market import Side
from actors.vocab.orders import Fill, LeasedOrder, LeasedReplace, OrderRow, OrderState, OrderUpdate
from actors.vocab.units import NS_PER_MS, NS_PER_US
from actors.vocab.venue_io import (
    FaultKind,
    VenueAck,
    VenueCancel,
    VenueFill,
    VenueOrder,
    VenuePlace,
    VenueQueryOrder,
    VenueReject,
    VenueReplace,
    VenueRequest,
    VenueTradesQuery,
)

# First wait before a cancel or a query is repeated; doubles up to the second figure. A cancel is answered in a few
# milliseconds, so a quarter of a second is already a loss.
REFRESH_INTERVAL_MS = 60_000  # instruments asked for out of turn at most this often: the list is heavy
RETRY_MS = 250
RETRY_MAX_MS = 2_000
# An order's end and its last fill come within milliseconds of each other; after this the trades are asked for.
SETTLE_MS = 500
SETTLE_TRIES_MAX = 8
# A venue that says "too many" without a time.
RATE_LIMIT_WAIT_MS = 1_000
# Timed-out requests wait this long for a late answer.
LATE_MAX_MS = 60_000

_SEEN = {
    OrderState.OPEN: LifeEvent.SEEN_LIVE,
    OrderState.PARTLY_FILLED: LifeEvent.SEEN_LIVE,
    OrderState.PENDING: LifeEvent.SEEN_LIVE,
    OrderState.FILLED: LifeEvent.SEEN_FILLED,
    OrderState.CANCELLED: LifeEvent.SEEN_CANCELLED,
    OrderState.EXPIRED: LifeEvent.SEEN_EXPIRED,
    OrderState.REJECTED: LifeEvent.SEEN_REJECTED,
}
_ALIVE = (OrderState.OPEN, OrderState.PARTLY_FILLED)
# States in which a place may still be without an answer.
_UNANSWERED = (OrderState.PENDING, OrderState.CANCELLING, OrderState.UNKNOWN)


class OrderDesk:
    """Keeps every order's state true to what the venue has said."""

    def __init__(self, core: Core, *, on_end: Callable[[TrackedOrder], None], owner: Callable[[str], str]) -> None:
        """`on_end(order)` is called when an order can fill no more; `owner(symbol)` names its current holder."""
        self._core = core
        self._on_end = on_end
        self._owner = owner
        # client id -> order that must be cancelled and has not ended
        self.dying: dict[str, TrackedOrder] = {}
        # client id -> order in UNKNOWN
        self.unknown: dict[str, TrackedOrder] = {}
        # client id -> ended order whose last fills are missing
        self.unsettled: dict[str, TrackedOrder] = {}
        self.wants_comparison = False  # fills were given up: positions should tell
        self._refresh_next_ns = 0  # instruments are not asked for again before
        self.fault = ""  # why nothing can be done any more: the venue refuses our key, or two symbols share coins

    # --- writing ----------------------------------------------------------------------------------------

    def place(
        self,
        m: LeasedOrder | LeasedReplace,
        client_id: str,
        *,
        lots: int,
        stamps: tuple[int, int, bool],
        after: TrackedOrder | None,
    ) -> None:
        """Write a new order; `stamps` are (frame_ns, received_ns, waited); `after` is the leg that it continues."""
        core = self._core
        order = TrackedOrder(
            symbol=m.symbol,
            client_id=client_id,
            holder=m.token.holder,
            ref=m.ref,
            slot=m.slot,
            side=m.side,
            price_ticks=m.price_ticks,
            lots=lots,
            term=m.token.term,
            grant_no=m.token.grant_no,
            written_ns=core.now_ns,
            uncertain_until_ns=0,
        )
        if after is not None:
            order.carried_lots = after.carried_lots + after.executed_lots
        kind = m if isinstance(m, LeasedOrder) else after
        if kind is not None:
            order.post_only, order.reduce_only = kind.post_only, kind.reduce_only
        core.table.add(order)
        core.touch(order.symbol)
        request = VenuePlace(
            core.next_request_no(),
            m.symbol,
            client_id,
            m.side,
            m.price_ticks,
            lots,
            order.post_only,
            order.reduce_only,
        )
        core.counters["placed"] += 1
        core.write(request, order=order, cause=m.cause, frame_ns=stamps[0], received_ns=stamps[1], waited=stamps[2])
        self._row(order)

    def replace(self, order: TrackedOrder, m: LeasedReplace, stamps: tuple[int, int, bool]) -> None:
        """Write a change of price and total size of a live order, in place."""
        core = self._core
        lots = m.lots - order.carried_lots
        order.pending_lots, order.pending_price_ticks = lots, m.price_ticks
        # Until the ack it stays under its old grant, which is the one that a fence asks about.
        order.pending_grant = (m.token.term, m.token.grant_no)
        order.apply(LifeEvent.REPLACE_SENT, core.now_ns)
        core.touch(order.symbol)
        request = VenueReplace(
            core.next_request_no(),
            order.symbol,
            order.client_id,
            order.client_id,
            order.venue_order_id,
            order.side,
            m.price_ticks,
            lots,
        )
        core.write(request, order=order, cause=m.cause, frame_ns=stamps[0], received_ns=stamps[1], waited=stamps[2])

    def cancel(self, order: TrackedOrder, why: str, *, urgency: Urgency = Urgency.CANCEL) -> None:
        """Cancel now, and again until the end is known."""
        if not order.is_open:
            return
        if not order.cancel_why:
            order.cancel_why = why
            order.cancel_next_ns = 0
        self.dying[order.client_id] = order
        self._send_cancel(order, urgency)

    def pump_cancels(self, urgency: Urgency = Urgency.CANCEL) -> int | None:
        """Write the cancels that are due; return when to come again for those without budget."""
        wake: int | None = None
        for order in list(self.dying.values()):
            if not order.is_open:
                del self.dying[order.client_id]
            elif not self._send_cancel(order, urgency) and order.cancel_next_ns <= self._core.now_ns:
                costs = self._core.limits.costs.get(VenueCancel, ())
                at_ns = self._core.budget.ready_ns(costs, urgency, self._core.now_ns)
                wake = at_ns if wake is None else min(wake, at_ns)
        return wake

    def _send_cancel(self, order: TrackedOrder, urgency: Urgency) -> bool:
        core = self._core
        if core.now_ns < order.cancel_next_ns:
            return False
        request = VenueCancel(core.next_request_no(), order.symbol, order.client_id, order.venue_order_id)
        if not core.can_write(request, urgency):
            return False
        order.cancel_next_ns = core.now_ns + _backoff_ns(order.cancel_tries)
        order.cancel_tries += 1
        before = order.state
        order.apply(LifeEvent.CANCEL_SENT, core.now_ns)
        core.write(request, order=order)
        self.unknown.pop(order.client_id, None)
        if before is not order.state:
            self._tell(order)
        return True

    def query(self, order: TrackedOrder) -> None:
        """Ask the venue what became of an order."""
        core = self._core
        request = VenueQueryOrder(core.next_request_no(), order.symbol, order.client_id)
        order.query_next_ns = core.now_ns + core.settings.ack_timeout_ms * NS_PER_MS
        if core.can_write(request, Urgency.CANCEL):
            core.counters["queries"] += 1
            core.write(request, order=order)
        else:
            order.query_next_ns = core.now_ns + RETRY_MS * NS_PER_MS

    # --- time -------------------------------------------------------------------------------------------

    def on_tick(self) -> list[Flight]:
        """Lose what was not answered in time, ask again, chase missing fills; return list queries that were lost."""
        core = self._core
        lost_asks: list[Flight] = []
        timeout_ns = core.settings.ack_timeout_ms * NS_PER_MS
        for number, flight in list(core.flights.items()):
            age_ns = core.now_ns - flight.written_ns
            if age_ns < timeout_ns:
                break  # oldest first
            if not flight.timed_out:
                flight.timed_out = True
                core.counters["timeouts"] += 1
                if flight.ask is not None:
                    lost_asks.append(flight)
                self._lost(flight)
            elif age_ns > LATE_MAX_MS * NS_PER_MS:
                del core.flights[number]
        for order in list(self.unknown.values()):
            if order.query_next_ns <= core.now_ns:
                self.query(order)
        for order in list(self.unsettled.values()):
            self._chase(order)
        return lost_asks

    def _chase(self, order: TrackedOrder) -> None:
        """An order has ended and fills of it are missing: ask for its trades.

        By its own number: trade ids are the whole market's, so those that we know say nothing of the one we miss.
        """
        core = self._core
        if order.is_open or not order.live_lots:
            del self.unsettled[order.client_id]
            core.table.touch(order)
        elif order.settle_ns <= core.now_ns and order.settle_tries <= SETTLE_TRIES_MAX:
            order.settle_tries += 1
            if order.settle_tries > SETTLE_TRIES_MAX:
                # Its lots count as live until positions have been compared: only then are they known to be in ours.
                core.counters["lost_fills"] += 1
                core.note("ERROR", f"{core.venue} {order!r}: {order.live_lots} filled lots without a trade")
                self.wants_comparison = True
                return
            order.settle_ns = core.now_ns + _backoff_ns(order.settle_tries)
            request = VenueTradesQuery(core.next_request_no(), order.symbol, venue_order_id=order.venue_order_id)
            if core.can_write(request, Urgency.CANCEL):
                core.write(request)

    def compared(self, symbol: str) -> None:
        """Our position is the venue's: fills that no trade was found for are in it."""
        core = self._core
        for order in list(self.unsettled.values()):
            if order.symbol == symbol and order.settle_tries > SETTLE_TRIES_MAX:
                order.venue_filled_lots = order.filled_lots
                del self.unsettled[order.client_id]
                core.table.touch(order)
                core.touch(symbol)

    def _lost(self, flight: Flight) -> None:
        order = flight.order
        if order is None:
            return
        if isinstance(flight.request, VenueQueryOrder):
            return  # `unknown` asks again
        if not order.is_open:
            return
        if isinstance(flight.request, VenueCancel) and order.state is not OrderState.CANCELLING:
            return  # the order has moved on; the dying loop repeats the cancel
        if isinstance(flight.request, VenuePlace) and order.state not in _UNANSWERED:
            return  # the private stream has answered for it
        self._move(order, LifeEvent.LOST, reason="no answer from the venue")

    # --- answers ----------------------------------------------------------------------------------------

    def on_ack(self, ack: VenueAck) -> None:
        core = self._core
        flight = core.flights.pop(ack.request_no, None)
        order = flight.order if flight is not None else None
        order = order or core.table.find(ack.symbol, ack.client_id, ack.venue_order_id)
        if order is None:
            return
        core.table.name(order, ack.venue_order_id)
        order.event_ns = max(order.event_ns, ack.event_ns)
        request: VenueRequest | None = flight.request if flight is not None else None
        ack_us = -1
        if flight is not None and isinstance(request, VenuePlace | VenueReplace):
            ack_us = (core.now_ns - flight.written_ns) // NS_PER_US
            core.out.append(Measured("order_to_ack", order.symbol, ack_us))
        if isinstance(request, VenueReplace):
            core.counters["replaced"] += 1
            if order.pending_lots == request.lots and order.pending_price_ticks == request.price_ticks:
                order.pending_lots = order.pending_price_ticks = -1
                order.term, order.grant_no = order.pending_grant
            order.lots, order.price_ticks = ack.lots or request.lots, ack.price_ticks or request.price_ticks
            order.resized_ns = core.now_ns
            event = LifeEvent.REPLACE_ACK
        elif isinstance(request, VenueCancel):
            event = LifeEvent.CANCEL_ACK
        else:
            core.counters["acked"] += 1
            event = LifeEvent.PLACE_ACK
        order.venue_filled_lots = max(order.venue_filled_lots, ack.filled_lots)
        seen = _SEEN.get(ack.state, LifeEvent.SEEN_LIVE)
        if seen is LifeEvent.SEEN_FILLED:
            order.venue_filled_lots = max(order.venue_filled_lots, order.lots)
        if seen is not LifeEvent.SEEN_LIVE:
            event = seen
        elif isinstance(request, VenueCancel) and ack.state in _ALIVE:
            event = LifeEvent.SEEN_LIVE  # taken, not done yet: the stream tells the end
        self._move(order, event, ack_us=ack_us)

    def on_order(self, seen: VenueOrder) -> TrackedOrder | None:
        """State of one order from the stream or a query; return None when it is none of ours that we know."""
        core = self._core
        flight = core.flights.pop(seen.request_no, None) if seen.request_no else None
        order = flight.order if flight is not None else None
        order = order or core.table.find(seen.symbol, seen.client_id, seen.venue_order_id)
        if order is None:
            return None
        core.table.name(order, seen.venue_order_id)
        asked_ns = flight.written_ns if flight is not None else 0
        dated = self._dated(order, seen, asked_ns)
        order.event_ns = max(order.event_ns, seen.event_ns)
        order.venue_filled_lots = max(order.venue_filled_lots, seen.filled_lots)
        event = _SEEN.get(seen.state, LifeEvent.SEEN_LIVE)
        if event is LifeEvent.SEEN_FILLED:
            order.venue_filled_lots = max(order.venue_filled_lots, seen.lots)
        if event is LifeEvent.SEEN_LIVE:
            # Dated news tell nothing of a lost replace: the queries go on.
            is_lost = dated and order.state is OrderState.UNKNOWN and order.pending_lots >= 0
            if is_lost or (not dated and not self._agree(order, seen, asked_ns)):
                return order
        lost = order.reason if order.state is OrderState.UNKNOWN and event is LifeEvent.SEEN_LIVE else ""
        self._move(order, event, reason=seen.reason or lost)
        return order

    def _dated(self, order: TrackedOrder, seen: VenueOrder, asked_ns: int) -> bool:
        """Whether price and size may be from before the newest replace that the venue has acknowledged.

        Answers and the private stream come on two connections, so the older news can arrive last. News of a larger
        size is believed where the stamps don't tell: what may still be filled is never counted too small.
        """
        if not order.resized_ns or asked_ns > order.resized_ns or seen.event_ns > order.event_ns:
            return False
        return seen.event_ns < order.event_ns or seen.lots < order.lots

    def _agree(self, order: TrackedOrder, seen: VenueOrder, asked_ns: int) -> bool:
        """Adopt price and size of a live order; False while a lost replace may still be carried out."""
        if order.pending_lots < 0:
            order.lots, order.price_ticks = seen.lots, seen.price_ticks
        elif (seen.lots, seen.price_ticks) == (order.pending_lots, order.pending_price_ticks):
            if order.state is OrderState.UNKNOWN or order.cancel_why:
                order.lots, order.price_ticks = seen.lots, seen.price_ticks
                order.pending_lots = order.pending_price_ticks = -1
                order.term, order.grant_no = order.pending_grant
        elif order.state is OrderState.UNKNOWN:
            if asked_ns < order.uncertain_until_ns:
                order.query_next_ns = max(order.query_next_ns, order.uncertain_until_ns)
                return False
            order.pending_lots = order.pending_price_ticks = -1
        return True

    def on_reject(self, reject: VenueReject) -> Flight | None:
        """A refusal; return its flight when it answers a list query, whose asker must hear of it."""
        core = self._core
        flight = core.flights.pop(reject.request_no, None)
        kind = reject.kind
        core.counters[f"reject_{kind.name.lower()}"] += 1
        if kind in (FaultKind.RATE_LIMIT, FaultKind.BANNED):
            wait_ms = max(reject.retry_after_ms, RATE_LIMIT_WAIT_MS)
            until_ns = core.now_ns + wait_ms * NS_PER_MS
            if kind is FaultKind.RATE_LIMIT and reject.code == core.limits.orders_full_code:
                # Too many orders are no reason to leave those that live: what pulls them costs no order count. Where
                # the longer count is the full one and no time was named, the usage told with the refusal closes it.
                core.budget.close_orders_until(until_ns)
            else:
                core.budget.close_until(until_ns)
            core.note("WARNING", f"{core.venue} asks to wait {wait_ms} ms: {reject.code} {reject.text}")
        elif kind is FaultKind.AUTH:
            self.fault = f"{core.venue} refuses our key: {reject.code} {reject.text}"
            core.note("ERROR", self.fault)
        elif kind is FaultKind.CLOCK:
            core.out.append(SyncClock())
        elif kind is FaultKind.FILTER and core.now_ns >= self._refresh_next_ns:
            self._refresh_next_ns = core.now_ns + REFRESH_INTERVAL_MS * NS_PER_MS
            core.note("WARNING", f"{core.venue}: instruments asked for again after {reject.code} {reject.text}")
            core.out.append(RefreshInstruments())
        elif kind is FaultKind.BAD_REQUEST:
            core.note("ERROR", f"{core.venue} calls a request of ours wrong: {reject.code} {reject.text}")
        if flight is None or flight.order is None:
            return flight
        text = f"{reject.code} {reject.text}"
        if isinstance(flight.request, VenuePlace):
            self._place_rejected(flight.order, kind, text)
        elif isinstance(flight.request, VenueReplace):
            self._replace_rejected(flight.order, flight.request, kind, text)
        elif isinstance(flight.request, VenueCancel):
            self._cancel_rejected(flight.order, kind, text)
        elif isinstance(flight.request, VenueQueryOrder):
            self._query_rejected(flight.order, flight.written_ns, kind)
        return None

    def _place_rejected(self, order: TrackedOrder, kind: FaultKind, text: str) -> None:
        # A duplicate id means that an order with it exists: ours, written in a way we lost track of.
        if kind in (FaultKind.UNKNOWN_OUTCOME, FaultKind.DUPLICATE_ID):
            if order.state in _UNANSWERED:
                self._move(order, LifeEvent.LOST, reason=text)
            return
        self._core.counters["rejected"] += 1
        self._move(order, LifeEvent.PLACE_REJECTED, reason=text)

    def _replace_rejected(self, order: TrackedOrder, request: VenueReplace, kind: FaultKind, text: str) -> None:
        if kind is FaultKind.UNKNOWN_OUTCOME:
            self._move(order, LifeEvent.LOST, reason=text)
            return
        order.pending_lots = order.pending_price_ticks = -1
        if kind is FaultKind.UNCHANGED:
            order.lots, order.price_ticks = request.lots, request.price_ticks
            self._move(order, LifeEvent.REPLACE_ACK)
        elif kind in (FaultKind.UNKNOWN_ORDER, FaultKind.POST_ONLY):
            # A post-only change that would take cancels the order (USD-M): ask which end it had.
            self._move(order, LifeEvent.NO_SUCH_ORDER, reason=text)
        else:
            self._core.counters["rejected"] += 1
            self._move(order, LifeEvent.REPLACE_REJECTED, reason=text, say=True)

    def _cancel_rejected(self, order: TrackedOrder, kind: FaultKind, text: str) -> None:
        if not order.is_open:
            return
        if kind is FaultKind.UNKNOWN_OUTCOME:
            if order.state is OrderState.CANCELLING:
                self._move(order, LifeEvent.LOST, reason=text)
        elif kind in (FaultKind.UNKNOWN_ORDER, FaultKind.UNCHANGED):
            # Ask first: repeating the cancel at once would bring the same answer.
            order.cancel_next_ns = self._core.now_ns + RETRY_MAX_MS * NS_PER_MS
            self._move(order, LifeEvent.NO_SUCH_ORDER, reason=text)
        elif order.state is OrderState.CANCELLING:
            self._move(order, LifeEvent.CANCEL_REJECTED, reason=text)

    def _query_rejected(self, order: TrackedOrder, asked_ns: int, kind: FaultKind) -> None:
        core = self._core
        if not order.is_open:
            return
        if kind is not FaultKind.UNKNOWN_ORDER:
            order.query_next_ns = core.now_ns + RETRY_MS * NS_PER_MS
        elif asked_ns < order.uncertain_until_ns:
            # Right after a write the venue may not list it yet, or may still carry it out.
            order.query_next_ns = min(core.now_ns + RETRY_MAX_MS * NS_PER_MS, order.uncertain_until_ns)
        else:
            self._move(order, LifeEvent.NOT_THERE, reason="the venue does not know it")

    def on_fill(self, fill: VenueFill, *, ours: bool) -> bool:
        """Book one execution; False when it was booked before."""
        core = self._core
        instrument = core.instruments.get(fill.symbol)
        if instrument is None or not core.ledger.is_numbered:
            return False
        order = core.table.find(fill.symbol, fill.client_id, fill.venue_order_id)
        booked = core.ledger.book(fill, order, instrument, ours=ours or order is not None)
        if booked is None:
            return False
        entries: list[Entry] = [booked]
        paid_in = self._fee_instrument(fill, instrument)
        if paid_in is not None:
            entries += core.ledger.move_base(paid_in, -Decimal(fill.fee or "0"), "fee in base", fill.event_ns)
        core.counters["fills"] += 1
        for entry in entries:
            core.touch(entry.symbol)
            owner = self._owner(entry.symbol)
            if core.risk_up:  # else it is sent with all that is not journalled when risk is back
                core.out.append(ToRisk(entry))
            if owner:
                core.tell(owner, entry)
            if isinstance(entry, Fill) and entry.foreign:
                core.note("WARNING", f"{core.venue} {fill.symbol}: fill of an order that is not ours: {entry!r}")
        if order is not None:
            order.event_ns = max(order.event_ns, fill.event_ns)
            absorbed = min(order.absorb_lots, fill.lots)
            order.absorb_lots -= absorbed
            order.filled_lots += fill.lots - absorbed
            order.venue_filled_lots = max(order.venue_filled_lots, order.filled_lots)
            last = order.filled_lots >= max(order.lots, order.pending_lots)
            self._move(order, LifeEvent.FILL_LAST if last else LifeEvent.FILL, say=True)
        return True

    def _fee_instrument(self, fill: VenueFill, instrument: Instrument) -> Instrument | None:
        """The spot symbol whose coin pays the fee: the traded one, another (BNB), or None."""
        if instrument.market != "spot" or fill.fee_asset == instrument.quote:
            return None
        if fill.fee_asset == instrument.base:
            return instrument
        return self._core.spot_of(fill.fee_asset)

    def adopt(
        self, symbol: str, client_id: str, venue_order_id: str, side: Side, price: int, lots: int
    ) -> TrackedOrder:
        """Take charge of an order of an older life: it is ours by its prefix and belongs to nobody."""
        core = self._core
        order = TrackedOrder(
            symbol=symbol,
            client_id=client_id,
            holder="",
            ref=0,
            slot=0,
            side=side,
            price_ticks=price,
            lots=lots,
            term=0,
            grant_no=-1,
            written_ns=core.now_ns,
            uncertain_until_ns=core.now_ns,
            state=OrderState.OPEN,
        )
        core.table.add(order)
        core.table.name(order, venue_order_id)
        core.touch(symbol)
        return order

    # --- moving -----------------------------------------------------------------------------------------

    def _move(
        self, order: TrackedOrder, event: LifeEvent, *, reason: str = "", ack_us: int = -1, say: bool = False
    ) -> None:
        """Apply one event and everything that follows from it."""
        core = self._core
        was_open = order.is_open
        changed = order.apply(event, core.now_ns)
        order.reason = reason  # of this event: a fill after a refusal must not look like another refusal
        core.touch(order.symbol)
        if order.state is OrderState.UNKNOWN:
            if changed:
                core.counters["unknown"] += 1
                self.unknown[order.client_id] = order
                self.query(order)
        else:
            self.unknown.pop(order.client_id, None)
        if not order.is_open:
            self.dying.pop(order.client_id, None)
            order.pending_lots = order.pending_price_ticks = -1
            if order.live_lots and order.client_id not in self.unsettled:
                order.settle_ns = core.now_ns + SETTLE_MS * NS_PER_MS
                self.unsettled[order.client_id] = order
        core.table.touch(order)
        if was_open and not order.is_open:
            self._count_end(order)
            self._row(order)
            self._on_end(order)
        elif order.is_open and not was_open:
            core.counters["revived"] += 1
            core.note("WARNING", f"{core.venue} {order!r} lives after all; cancelled")
            order.cancel_why = ""
            self.cancel(order, "lives after it was given up")
        elif changed and order.state is OrderState.OPEN:
            self._row(order)
        if changed or say or ack_us >= 0:
            self._tell(order, ack_us)

    def _count_end(self, order: TrackedOrder) -> None:
        if order.state is OrderState.FILLED:
            self._core.counters["filled"] += 1
        elif order.state in (OrderState.CANCELLED, OrderState.EXPIRED):
            self._core.counters["cancelled"] += 1

    def _tell(self, order: TrackedOrder, ack_us: int = -1) -> None:
        if not order.holder or order.successor is not None:
            return  # nobody's order, or a leg that its successor continues under the same reference
        self._core.tell(order.holder, self.update_of(order, ack_us))

    def update_of(self, order: TrackedOrder, ack_us: int = -1, reason: str = "") -> OrderUpdate:
        return OrderUpdate(
            self._core.venue,
            order.symbol,
            order.holder,
            order.ref,
            order.state,
            order.price_ticks,
            order.lots + order.carried_lots,
            order.filled_lots + order.carried_lots,
            reason or order.reason or order.cancel_why,
            ack_us,
        )

    def _row(self, order: TrackedOrder) -> None:
        core = self._core
        core.report(
            OrderRow(
                core.venue,
                order.symbol,
                order.client_id,
                order.holder,
                order.ref,
                order.state,
                order.side,
                order.price_ticks,
                order.lots,
                order.filled_lots,
                order.term,
                order.grant_no,
                order.reason,
                order.event_ns,
            )
        )


def _backoff_ns(tries: int) -> int:
    return min(RETRY_MAX_MS, RETRY_MS << min(tries, 8)) * NS_PER_MS
