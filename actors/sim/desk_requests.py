"""Requests at a venue's desk: counted against the limits, met by faults, checked against the filters, carried out and
answered.
"""

from __future__ import annotations

import msgspec

from actors.sim import filters
from actors.sim.desk_queries import DeskQueries
from actors.sim.desk_state import NEVER_NS
from actors.sim.faults import Fate, RequestFate
from actors.sim.filters import Refusal
from actors.sim.messages import ClientRequest, Execution, Reply, SimCommand
from actors.sim.orders import SimOrder
from actors.venues.server_requests import CancelReplace
from actors.vocab.instruments import Instrument
from actors.vocab.orders import OrderState
from actors.vocab.units import NS_PER_MS
from actors.vocab.venue_io import (
    FaultKind,
    VenueCancel,
    VenueCancelAll,
    VenueCountdown,
    VenueCountdownAck,
    VenueOpenOrders,
    VenuePlace,
    VenueReplace,
)


class DeskRequests(DeskQueries):
    """`_receive` is where a request reaches the matching engine."""

    def _limited(self, request: ClientRequest, now_ns: int) -> Reply | None:
        asked = request.request
        if not isinstance(asked, VenuePlace | VenueReplace):
            return None
        limits = self._limits[request.account]
        full = limits.take(now_ns)
        if full is None:
            return None
        return self._reject(
            request,
            Refusal(FaultKind.RATE_LIMIT, -1015, full.text),
            client_id=asked.client_id,
            retry_after_ms=full.retry_after_ms,
        )

    def _refused_by_fault(self, request: ClientRequest, fate: Fate) -> Reply:
        asked = request.request
        client_id = getattr(asked, "client_id", "")
        if fate is Fate.REFUSE_429:
            refusal = Refusal(FaultKind.RATE_LIMIT, -1003, "Too many requests.")
            return self._reject(request, refusal, client_id=client_id, retry_after_ms=1_000, status=429)
        refusal = Refusal(
            FaultKind.BUSY,
            -1008,
            "Server is currently overloaded with other requests. Please try again in a few minutes.",
        )
        return self._reject(request, refusal, client_id=client_id, status=503)

    def _receive(self, request: ClientRequest, fate: RequestFate, now_ns: int, out: list[SimCommand]) -> None:
        """A request has reached the matching engine."""
        if fate.fate in (Fate.ANSWER_5XX, Fate.NO_ANSWER):
            if fate.executed:
                self._perform(request, now_ns, out)
            if fate.fate is Fate.ANSWER_5XX:
                text = "Unknown error, please check your request or try again later."
                refusal = Refusal(FaultKind.UNKNOWN_OUTCOME, -1000, text)
                client_id = getattr(request.request, "client_id", "")
                self._answer(self._reject(request, refusal, client_id=client_id, status=503), 0, now_ns, out)
            return
        at = len(out)
        reply = self._perform(request, now_ns, out)
        if fate.answer_delay_ms == 0 and self._latency.response_ns(now_ns) == 0:
            out.insert(at, reply)  # before the private events that it caused
        else:
            self._answer(reply, fate.answer_delay_ms, now_ns, out)

    def _answer(self, reply: Reply, delay_ms: int, now_ns: int, out: list[SimCommand]) -> None:
        due_ns = now_ns + self._latency.response_ns(now_ns) + delay_ms * NS_PER_MS
        if due_ns <= now_ns:
            out.append(reply)
        else:
            self._later(due_ns, command=reply)

    def _perform(self, request: ClientRequest, now_ns: int, out: list[SimCommand]) -> Reply:
        asked = request.request
        symbol = getattr(asked, "symbol", "")
        if symbol and symbol not in self._instruments:
            return self._reject(request, filters.INVALID_SYMBOL, client_id=getattr(asked, "client_id", ""))
        match asked:
            case VenuePlace():
                return self._place(request, asked, now_ns, out)
            case VenueReplace():
                return self._replace(request, asked, now_ns, out)
            case VenueCancel():
                return self._cancel(request, asked, now_ns, out)
            case VenueCancelAll():
                return self._cancel_all_request(request, asked, now_ns, out)
            case VenueCountdown():
                return self._countdown(request, asked, now_ns)
            case _:
                return self._query(request, now_ns)

    def _place(self, request: ClientRequest, asked: VenuePlace, now_ns: int, out: list[SimCommand]) -> Reply:
        instrument = self._instruments[asked.symbol]
        order = SimOrder(
            account=request.account,
            symbol=asked.symbol,
            order_id=self._order_id + 1,
            client_id=asked.client_id,
            side=asked.side,
            price_ticks=0 if asked.market else asked.price_ticks,
            lots=asked.lots,
            created_ns=now_ns,
            post_only=asked.post_only and not asked.market,
            reduce_only=asked.reduce_only,
            market=asked.market,
        )
        refusal = self._refusal(instrument, order)
        if refusal is not None:
            return self._refuse(request, refusal, asked.symbol, asked.client_id, now_ns)
        self._order_id += 1
        if order.reduce_only:
            order.lots = min(order.lots, abs(self._accounts[order.account].position_lots(instrument)))
        self._admit(order, now_ns, out)
        ack = self._ack(request, order, now_ns)
        self._execute(order, now_ns, out)
        # What may take is answered with what it took; a post-only order has taken nothing.
        return ack if order.post_only else self._ack(request, order, now_ns)

    def _refusal(self, instrument: Instrument, order: SimOrder) -> Refusal | None:
        """First reason against a new order."""
        perp = self.market == "perp"
        orders = self._open.get((order.account, order.symbol), {})
        if (order.account, order.symbol, order.client_id) in self._open_by_client_id:
            return filters.DUPLICATE_PERP if perp else filters.DUPLICATE_SPOT
        return self._terms_refusal(instrument, order, len(orders))

    def _terms_refusal(self, instrument: Instrument, order: SimOrder, open_orders_count: int) -> Refusal | None:
        """First reason against an order of this price and size: filters, direction, money, post-only."""
        perp = self.market == "perp"
        mark = self.mark_ticks(order.symbol)
        broken = filters.check_order(
            instrument,
            side=order.side,
            price_ticks=order.price_ticks,
            lots=order.lots,
            market=order.market,
            reduce_only=order.reduce_only,
            mark_ticks=mark,
            open_orders_count=open_orders_count,
        )
        if broken is not None:
            return broken
        account = self._accounts[order.account]
        if order.reduce_only:
            if not perp or account.position_lots(instrument) * order.side >= 0:
                return filters.REDUCE_ONLY
        elif not account.affords(instrument, order, int(mark * 1.01) if order.market else order.price_ticks):
            return filters.FUNDS_PERP if perp else filters.FUNDS_SPOT
        book = self._book(order.symbol)
        if order.market and not (book.best_ask() if order.side > 0 else book.best_bid()):
            return filters.NO_SIZE
        if order.post_only and book.crosses(order.side, order.price_ticks):
            return filters.POST_ONLY_PERP if perp else filters.POST_ONLY_SPOT
        return None

    def _replace(self, request: ClientRequest, asked: VenueReplace, now_ns: int, out: list[SimCommand]) -> Reply:
        order = self._find_open(request.account, asked.symbol, asked.client_id, asked.venue_order_id)
        in_place = self.market == "perp" or not asked.new_client_id
        if order is None and isinstance(asked, CancelReplace) and asked.allow_failure:
            unknown = self._reject(request, filters.UNKNOWN_CANCEL, client_id=asked.client_id).event
            placed = self._place(request, self._place_of(asked), now_ns, out)
            return msgspec.structs.replace(placed, uncancelled=unknown)
        if order is None:
            refusal = filters.UNKNOWN_QUERY if self.market == "perp" else filters.UNKNOWN_CANCEL
            return self._refuse(request, refusal, asked.symbol, asked.client_id, now_ns)
        if not in_place:
            return self._cancel_replace(request, asked, order, now_ns, out)
        return self._amend(request, asked, order, now_ns, out)

    def _amend(
        self, request: ClientRequest, asked: VenueReplace, order: SimOrder, now_ns: int, out: list[SimCommand]
    ) -> Reply:
        """Change an order where it stands; it keeps its ids, and its place in the queue only when it gets smaller."""
        instrument = self._instruments[order.symbol]
        price, lots = asked.price_ticks, asked.lots
        if asked.side != order.side:
            return self._refuse(request, filters.OTHER_SIDE, asked.symbol, asked.client_id, now_ns)
        if (price, lots) == (order.price_ticks, order.lots):
            refusal = filters.UNCHANGED_PERP if self.market == "perp" else filters.UNCHANGED_SPOT
            return self._refuse(request, refusal, asked.symbol, asked.client_id, now_ns)
        before = (order.price_ticks, order.lots)
        if lots <= order.filled_lots and order.filled_lots:
            # Manual: a partly filled order whose new quantity is not above the executed one is cancelled.
            self._end(order, OrderState.CANCELLED, Execution.CANCELED, "amended to its filled size", now_ns, out)
            return self._ack(request, order, now_ns)
        wish = msgspec.structs.replace(order, price_ticks=price, lots=lots)
        refusal_or_none = self._terms_refusal(instrument, wish, 0)
        if refusal_or_none is not None:
            if refusal_or_none.kind is FaultKind.POST_ONLY:
                # Manual: a GTX order whose new price would take is cancelled by the amendment.
                self._end(order, OrderState.CANCELLED, Execution.CANCELED, "amendment would have taken", now_ns, out)
            return self._refuse(request, refusal_or_none, asked.symbol, asked.client_id, now_ns)
        book = self._book(order.symbol)
        order.amendments_count += 1
        shrinks = price == order.price_ticks and lots < order.lots
        if shrinks:
            book.shrink(order, lots)
        else:
            book.remove(order)
            order.price_ticks, order.lots = price, lots
        self._accounts[order.account].reserve(instrument, order, alive=True)
        self.ledger.record_amendment(order, price_ticks_before=before[0], lots_before=before[1], now_ns=now_ns)
        self._tell(order, Execution.AMENDMENT, "", now_ns, out)
        ack = self._ack(request, order, now_ns)
        if shrinks:
            self._after_book_change(order.symbol, now_ns, out)
        else:
            self._execute(order, now_ns, out)
        return ack

    def _cancel_replace(
        self, request: ClientRequest, asked: VenueReplace, order: SimOrder, now_ns: int, out: list[SimCommand]
    ) -> Reply:
        """Spot: cancel, then place under the new id with `lots` as its whole size."""
        self._end(order, OrderState.CANCELLED, Execution.CANCELED, "replaced", now_ns, out)
        replaced = self.ledger.row(order)
        placed = self._place(request, self._place_of(asked, order.post_only), now_ns, out)
        return msgspec.structs.replace(placed, replaced=replaced)

    def _place_of(self, asked: VenueReplace, post_only: bool = True) -> VenuePlace:
        """The second half of a cancel-replace; `post_only` where the request does not say."""
        free = asked if isinstance(asked, CancelReplace) else None
        return VenuePlace(
            request_no=asked.request_no,
            symbol=asked.symbol,
            client_id=asked.new_client_id,
            side=asked.side,
            price_ticks=asked.price_ticks,
            lots=asked.lots,
            post_only=free.post_only if free else post_only,
            market=free is not None and free.market,
        )

    def _cancel(self, request: ClientRequest, asked: VenueCancel, now_ns: int, out: list[SimCommand]) -> Reply:
        order = self._find_open(request.account, asked.symbol, asked.client_id, asked.venue_order_id)
        if order is None:
            return self._reject(request, filters.UNKNOWN_CANCEL, client_id=asked.client_id)
        self._end(order, OrderState.CANCELLED, Execution.CANCELED, "", now_ns, out)
        return self._ack(request, order, now_ns)

    def _cancel_all_request(
        self, request: ClientRequest, asked: VenueCancelAll, now_ns: int, out: list[SimCommand]
    ) -> Reply:
        symbols = [asked.symbol] if asked.symbol else list(self._instruments)
        cancelled = [order for symbol in symbols for order in self._cancel_all(request.account, symbol, now_ns, out)]
        if not cancelled and self.market == "spot":
            return self._reject(request, filters.UNKNOWN_CANCEL)  # as the venue says when there was nothing
        event = VenueOpenOrders(request_no=asked.request_no, symbol=asked.symbol, orders=())
        rows = tuple(self.ledger.row(order) for order in cancelled)
        return Reply(request.connection, asked.request_no, event, cancelled=rows)

    def _countdown(self, request: ClientRequest, asked: VenueCountdown, now_ns: int) -> Reply:
        if self.market != "perp":
            return self._reject(request, filters.NO_COUNTDOWN)
        key = (request.account, asked.symbol)
        if asked.countdown_ms > 0:
            self._countdowns[key] = now_ns + asked.countdown_ms * NS_PER_MS
        else:
            self._countdowns.pop(key, None)
        self._countdown_ns = min(self._countdowns.values(), default=NEVER_NS)
        event = VenueCountdownAck(asked.request_no, asked.symbol, asked.countdown_ms)
        return Reply(request.connection, asked.request_no, event)
