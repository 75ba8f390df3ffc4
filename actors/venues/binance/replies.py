"""Answers to our requests, REST and websocket API, to events. A refusal is a `VenueReject` with its kind, never raised.

An answer that we cannot read leaves the outcome unknown: it becomes a reject of that kind, so that the gateway asks.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec

from actors.venues.binance.common import UNREADABLE, SymbolMap, market_of, ns, plain
from actors.venues.binance.errors import kind_of, reject_of, retry_after_ms
from actors.venues.binance.orders import OrderRow, order_lots, order_ticks, side_of, to_ack, to_open_order, to_order
from actors.vocab.errors import ConfigError, VenueFault
from actors.vocab.market import Side
from actors.vocab.orders import OrderState
from actors.vocab.venue_io import (
    Balance,
    FaultKind,
    Position,
    RateUsage,
    VenueAck,
    VenueBalances,
    VenueBalancesQuery,
    VenueCancel,
    VenueCancelAll,
    VenueCountdown,
    VenueCountdownAck,
    VenueEvent,
    VenueFill,
    VenueFunding,
    VenueFundingQuery,
    VenueFundings,
    VenueOpenOrders,
    VenueOpenOrdersQuery,
    VenueOrder,
    VenuePlace,
    VenuePositions,
    VenuePositionsQuery,
    VenueQueryOrder,
    VenueReject,
    VenueReplace,
    VenueRequest,
    VenueTime,
    VenueTimeQuery,
    VenueTrades,
    VenueTradesQuery,
)

TRADES_PAGE_MAX = 1000
INCOME_PAGE_MAX = 1000


class _Funding(msgspec.Struct):
    """A row of USD-M's income list, asked for funding alone."""

    income: str
    asset: str
    time: int
    tranId: int | str
    symbol: str | None = ""


class TradeRow(msgspec.Struct):
    """userTrades and myTrades; `buyer`/`maker` on USD-M, `isBuyer`/`isMaker` on spot."""

    symbol: str
    id: int
    orderId: int
    price: str
    qty: str
    commission: str
    commissionAsset: str
    time: int
    side: str = ""
    buyer: bool = False
    maker: bool = False
    isBuyer: bool = False
    isMaker: bool = False
    realizedPnl: str = "0"

    @property
    def our_side(self) -> Side:
        return side_of(self.side) if self.side else Side.BUY if self.isBuyer or self.buyer else Side.SELL


class _PositionRow(msgspec.Struct):
    symbol: str
    positionAmt: str
    entryPrice: str = "0"


class _PerpBalance(msgspec.Struct):
    asset: str
    balance: str
    availableBalance: str = "0"


class _SpotBalance(msgspec.Struct):
    asset: str
    free: str
    locked: str


class _SpotAccount(msgspec.Struct):
    balances: list[_SpotBalance]


class _Time(msgspec.Struct):
    serverTime: int


class _Countdown(msgspec.Struct):
    symbol: str
    countdownTime: int | str


class _Fault(msgspec.Struct):
    code: int = 0
    msg: str = ""


class _CancelReplace(msgspec.Struct):
    cancelResult: str = ""
    newOrderResult: str = ""
    cancelResponse: msgspec.Raw = msgspec.Raw(b"{}")
    newOrderResponse: msgspec.Raw = msgspec.Raw(b"{}")


class _CancelReplaceFault(msgspec.Struct):
    code: int
    msg: str
    data: _CancelReplace


class _RateLimit(msgspec.Struct):
    rateLimitType: str
    interval: str
    intervalNum: int
    count: int = -1


class _WsFault(msgspec.Struct):
    code: int = 0
    msg: str = ""
    data: msgspec.Raw = msgspec.Raw()


class _WsReply(msgspec.Struct):
    id: str | int | None = None
    status: int = 0
    result: msgspec.Raw = msgspec.Raw()
    error: _WsFault | None = None
    rateLimits: list[_RateLimit] = []


class _Id(msgspec.Struct):
    id: str | int | None = None


class _RetryAfter(msgspec.Struct):
    retryAfter: int = 0  # unix ms, in the error data of websocket answers
    serverTime: int = 0


_order = msgspec.json.Decoder(OrderRow)
_orders = msgspec.json.Decoder(list[OrderRow])
_order_list = msgspec.json.Decoder(list[dict[str, Any]])
_trades = msgspec.json.Decoder(list[TradeRow])
_incomes = msgspec.json.Decoder(list[_Funding])
_positions = msgspec.json.Decoder(list[_PositionRow])
_perp_balances = msgspec.json.Decoder(list[_PerpBalance])
_spot_account = msgspec.json.Decoder(_SpotAccount)
_time = msgspec.json.Decoder(_Time)
_countdown = msgspec.json.Decoder(_Countdown, strict=False)
_cancel_replace = msgspec.json.Decoder(_CancelReplace)
_cancel_replace_fault = msgspec.json.Decoder(_CancelReplaceFault)
_fault = msgspec.json.Decoder(_Fault)
_ws_reply = msgspec.json.Decoder(_WsReply)
_id = msgspec.json.Decoder(_Id)
_retry_after = msgspec.json.Decoder(_RetryAfter)


class ReplyReader:
    """Reads the answers of one account. Keeps nothing between answers."""

    def __init__(self, venue: str, names: SymbolMap) -> None:
        self._venue = venue
        self._market = market_of(venue)
        self._names = names

    def call_id(self, frame: bytes | str) -> str | None:
        """`VenueFault` when the frame is no JSON object."""
        try:
            found = _id.decode(frame).id
        except UNREADABLE as error:
            raise VenueFault(f"{self._venue}: websocket answer is not readable: {error}") from error
        return None if found is None else str(found)

    def http(self, request: VenueRequest, status: int, headers: Mapping[str, str], body: bytes) -> list[VenueEvent]:
        usage = usage_of_headers(headers)
        if 200 <= status < 300:
            events = self._success(request, body)
        else:
            client_id = getattr(request, "client_id", "")
            reject = reject_of(
                self._market,
                request.request_no,
                status,
                headers,
                body,
                symbol=getattr(request, "symbol", ""),
                client_id=client_id,
            )
            events = self._refusal(request, reject, body)
        return [*events, usage] if usage else events

    def ws(self, request: VenueRequest, frame: bytes | str) -> list[VenueEvent]:
        try:
            reply = _ws_reply.decode(frame)
        except UNREADABLE as error:
            return [self._unreadable(request, str(error))]
        if reply.error is None and 200 <= reply.status < 300:
            events = self._success(request, bytes(reply.result))
        else:
            fault = reply.error or _WsFault()
            body = msgspec.json.encode({"code": fault.code, "msg": fault.msg, "data": fault.data or None})
            events = self._refusal(request, self._ws_reject(request, reply.status, fault), body)
        usage = usage_of_limits(reply.rateLimits)
        return [*events, usage] if usage else events

    def _ws_reject(self, request: VenueRequest, status: int, fault: _WsFault) -> VenueReject:
        kind = kind_of(self._market, fault.code, fault.msg, status)
        wait_ms = retry_after_ms(kind, "")
        if wait_ms and fault.data:
            try:
                times = _retry_after.decode(fault.data)
                wait_ms = max(0, times.retryAfter - times.serverTime) if times.retryAfter else wait_ms
            except UNREADABLE:
                pass  # the default wait stands
        return VenueReject(
            request_no=request.request_no,
            kind=kind,
            code=fault.code or -status,
            text=fault.msg or f"status {status}",
            symbol=getattr(request, "symbol", ""),
            client_id=getattr(request, "client_id", ""),
            retry_after_ms=wait_ms,
        )

    def _success(self, request: VenueRequest, body: bytes) -> list[VenueEvent]:
        try:
            return self._events(request, body)
        except (*UNREADABLE, VenueFault, ConfigError, ArithmeticError, ValueError) as error:
            return [self._unreadable(request, str(error))]

    def _unreadable(self, request: VenueRequest, why: str) -> VenueReject:
        return VenueReject(
            request_no=request.request_no,
            kind=FaultKind.UNKNOWN_OUTCOME,
            code=0,
            text=f"answer is not readable: {why}",
            symbol=getattr(request, "symbol", ""),
            client_id=getattr(request, "client_id", ""),
        )

    def _events(self, request: VenueRequest, body: bytes) -> list[VenueEvent]:
        names, number = self._names, request.request_no
        match request:
            case VenuePlace():
                return [self._place_ack(request, _order.decode(body))]
            case VenueReplace() if self._market == "perp":
                row = _order.decode(body)
                return [to_ack(names, row, number, ticks=request.price_ticks, lots=request.lots)]
            case VenueReplace():
                return self._replaced(request, _cancel_replace.decode(body))
            case VenueCancel():
                return [to_ack(names, _order.decode(body), number, client_id=request.client_id)]
            case VenueCancelAll():
                return self._all_cancelled(request, body)
            case VenueQueryOrder():
                return [to_order(names, _order.decode(body), number)]
            case VenueOpenOrdersQuery():
                return [self._open_orders(request, _orders.decode(body))]
            case VenueTradesQuery():
                return [self._own_trades(request, _trades.decode(body))]
            case VenuePositionsQuery():
                read = self._perp_positions if self._market == "perp" else self._spot_positions
                return [VenuePositions(number, read(body))]
            case VenueFundingQuery():
                return [self._fundings(request, _incomes.decode(body))]
            case VenueBalancesQuery():
                return [VenueBalances(number, self._balances(body))]
            case VenueCountdown():
                answer = _countdown.decode(body)
                return [VenueCountdownAck(number, names.book(answer.symbol).symbol, int(answer.countdownTime))]
            case VenueTimeQuery():
                return [VenueTime(number, _time.decode(body).serverTime)]

    def _place_ack(self, request: VenuePlace, row: OrderRow) -> VenueAck:
        ticks = 0 if request.market else request.price_ticks
        return to_ack(self._names, row, request.request_no, client_id=request.client_id, ticks=ticks, lots=request.lots)

    def _replaced(self, request: VenueReplace, answer: _CancelReplace) -> list[VenueEvent]:
        """The old order's end, then the acknowledgement of the new one."""
        old, new = _order.decode(answer.cancelResponse), _order.decode(answer.newOrderResponse)
        rest = request.lots - request.filled_lots
        ack = to_ack(
            self._names,
            new,
            request.request_no,
            client_id=request.new_client_id,
            ticks=request.price_ticks,
            lots=rest,
        )
        return [self._old_order(request, old), ack]

    def _old_order(self, request: VenueReplace, row: OrderRow) -> VenueOrder:
        order = to_order(self._names, row, 0)
        return msgspec.structs.replace(order, client_id=request.client_id)

    def _all_cancelled(self, request: VenueCancelAll, body: bytes) -> list[VenueEvent]:
        events: list[VenueEvent] = []
        if body.lstrip().startswith(b"["):  # spot lists what it cancelled; order lists among it are not ours
            rows = [row for row in _order_list.decode(body) if "orderId" in row]
            events += [to_order(self._names, msgspec.convert(row, OrderRow), 0) for row in rows]
        else:
            _fault.decode(body)
        return [*events, self._nothing_left(request)]

    def _nothing_left(self, request: VenueCancelAll) -> VenueAck:
        return VenueAck(request.request_no, request.symbol, "", "", OrderState.CANCELLED, 0, 0, 0, 0)

    def _open_orders(self, request: VenueOpenOrdersQuery, rows: list[OrderRow]) -> VenueOpenOrders:
        known = [row for row in rows if row.symbol in self._names.books]
        orders = tuple(to_open_order(self._names, row) for row in known)
        return VenueOpenOrders(request.request_no, request.symbol, orders)

    def _own_trades(self, request: VenueTradesQuery, rows: list[TradeRow]) -> VenueTrades:
        fills = tuple(to_fill(self._names, row, request.request_no) for row in sorted(rows, key=lambda row: row.id))
        return VenueTrades(request.request_no, request.symbol, fills, complete=len(rows) < TRADES_PAGE_MAX)

    def _fundings(self, request: VenueFundingQuery, rows: list[_Funding]) -> VenueFundings:
        books = self._names.books
        found = tuple(
            VenueFunding(
                symbol=books[row.symbol].symbol if row.symbol in books else "",
                asset=row.asset,
                amount=row.income,
                reason="FUNDING_FEE",
                event_ns=ns(row.time),
                tran_id=int(row.tranId),
            )
            for row in sorted(rows, key=lambda row: row.time)
        )
        return VenueFundings(request.request_no, found, complete=len(rows) < INCOME_PAGE_MAX)

    def _perp_positions(self, body: bytes) -> tuple[Position, ...]:
        """One per symbol; the two legs of hedge mode are added up."""
        net: dict[str, Position] = {}
        for row in _positions.decode(body):
            book = self._names.books.get(row.symbol)
            if book is None:
                continue
            lots = book.whole_lots(row.positionAmt)
            before = net.get(book.symbol)
            entry = float(row.entryPrice) * book.inv_tick if lots or before is None else before.entry_ticks
            net[book.symbol] = Position(book.symbol, lots + (before.position_lots if before else 0), entry)
        return tuple(net.values())

    def _spot_positions(self, body: bytes) -> tuple[Position, ...]:
        """Whole lots of each instrument's base asset, free and locked; what a fee nibbled off a lot is left out."""
        total = {row.asset: Decimal(row.free) + Decimal(row.locked) for row in _spot_account.decode(body).balances}
        return tuple(
            Position(row.symbol, int(total.get(row.base, Decimal(0)) // row.lot), 0.0)
            for row in self._names.by_symbol.values()
        )

    def _balances(self, body: bytes) -> tuple[Balance, ...]:
        if self._market == "perp":
            rows = _perp_balances.decode(body)
            return tuple(
                Balance(row.asset, row.balance, plain(Decimal(row.balance) - Decimal(row.availableBalance)))
                for row in rows
            )
        return tuple(
            Balance(row.asset, plain(Decimal(row.free) + Decimal(row.locked)), row.locked)
            for row in _spot_account.decode(body).balances
        )

    def _refusal(self, request: VenueRequest, reject: VenueReject, body: bytes) -> list[VenueEvent]:
        if isinstance(request, VenueReplace) and self._market == "spot" and reject.code in (-2021, -2022):
            return self._half_replaced(request, reject, body)
        if isinstance(request, VenueCancelAll) and reject.kind is FaultKind.UNKNOWN_ORDER:
            return [self._nothing_left(request)]  # spot refuses to cancel nothing
        return [reject]

    def _half_replaced(self, request: VenueReplace, reject: VenueReject, body: bytes) -> list[VenueEvent]:
        """-2022: the old order lives or was gone already, `client_id` names it. -2021: it ended, the new one failed."""
        try:
            data = _cancel_replace_fault.decode(body).data
            if data.cancelResult != "SUCCESS":
                why = _fault.decode(data.cancelResponse)
                return [self._because(reject, why, request.client_id)]
            old = self._old_order(request, _order.decode(data.cancelResponse))
            why = _fault.decode(data.newOrderResponse)
            return [old, self._because(reject, why, request.new_client_id)]
        except (*UNREADABLE, VenueFault) as error:
            return [self._unreadable(request, str(error))]

    def _because(self, reject: VenueReject, why: _Fault, client_id: str) -> VenueReject:
        kind = kind_of(self._market, why.code, why.msg) if why.code else FaultKind.UNKNOWN_OUTCOME
        return msgspec.structs.replace(
            reject, kind=kind, code=why.code or reject.code, text=why.msg or reject.text, client_id=client_id
        )


def to_fill(names: SymbolMap, row: TradeRow, request_no: int) -> VenueFill:
    book = names.book(row.symbol)
    return VenueFill(
        request_no=request_no,
        symbol=book.symbol,
        client_id="",
        venue_order_id=str(row.orderId),
        trade_id=row.id,
        side=row.our_side,
        price_ticks=order_ticks(book, row.price),
        lots=order_lots(book, row.qty),
        maker=row.maker or row.isMaker,
        fee=row.commission,
        fee_asset=row.commissionAsset,
        event_ns=ns(row.time),
    )


def usage_of_headers(headers: Mapping[str, str]) -> RateUsage | None:
    """The venue's counts, from headers with lower-case names; None without any."""
    usage = RateUsage(
        orders_10s=_count(headers.get("x-mbx-order-count-10s")),
        orders_1m=_count(headers.get("x-mbx-order-count-1m")),
        orders_1d=_count(headers.get("x-mbx-order-count-1d")),
        weight_1m=_count(headers.get("x-mbx-used-weight-1m")),
    )
    return None if usage == RateUsage() else usage


def usage_of_limits(limits: list[_RateLimit]) -> RateUsage | None:
    """The same from the `rateLimits` of a websocket answer."""
    counts = {(row.rateLimitType, row.interval, row.intervalNum): row.count for row in limits}
    usage = RateUsage(
        orders_10s=counts.get(("ORDERS", "SECOND", 10), -1),
        orders_1m=counts.get(("ORDERS", "MINUTE", 1), -1),
        orders_1d=counts.get(("ORDERS", "DAY", 1), -1),
        weight_1m=counts.get(("REQUEST_WEIGHT", "MINUTE", 1), -1),
    )
    return None if usage == RateUsage() else usage


def _count(text: str | None) -> int:
    return int(text) if text and text.isdigit() else -1
