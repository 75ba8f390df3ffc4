"""Answers to orders of a simulated Binance: acknowledgements, refusals, and the two halves of a cancelReplace."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

from actors.venues.binance.calls import OrderCall, Reply
from actors.venues.binance.common import plain
from actors.venues.binance.errors import spell
from actors.venues.binance.orders import STATE_NAMES
from actors.venues.binance.server_forms import Forms
from actors.venues.ledger import LedgerOrder, LedgerTrade
from actors.venues.server_requests import CancelReplace
from actors.vocab.errors import OurFault
from actors.vocab.market import Side
from actors.vocab.units import NS_PER_MS
from actors.vocab.venue_io import (
    FaultKind,
    RateUsage,
    VenueAck,
    VenueCancel,
    VenueCancelAll,
    VenueCountdownAck,
    VenueEvent,
    VenueOrder,
    VenuePlace,
    VenueReject,
    VenueReplace,
)

_ACK_FIELDS: Final = ("symbol", "orderId", "orderListId", "clientOrderId", "transactTime")
PARTLY_REPLACED: Final = "Order cancel-replace partially failed."


class OrderReplies(Forms):
    """Spells what the exchange said about one request."""

    def order(
        self,
        call: OrderCall,
        event: VenueEvent,
        *,
        now_ms: int,
        order: LedgerOrder | None,
        replaced: LedgerOrder | None,
        uncancelled: VenueReject | None,
        fills: Sequence[LedgerTrade],
        cancelled: Sequence[LedgerOrder],
        usage: RateUsage,
        status: int,
    ) -> Reply:
        if isinstance(event, VenueReject):
            return self._reject(call, event, replaced, uncancelled, usage, status, now_ms)
        if isinstance(event, VenueCountdownAck):
            name = self._spellers[event.symbol].name
            return self.value({"symbol": name, "countdownTime": str(event.countdown_ms)}, call.ws_id, usage)
        if isinstance(call.request, VenueCancelAll):
            done = {"code": 200, "msg": "The operation of cancel all open order is done."}
            rows = [self._old_row(row) for row in cancelled]
            return self.value(done if self._perp else rows, call.ws_id, usage)
        if not isinstance(event, VenueAck | VenueOrder):
            raise OurFault(f"{call.operation} is not answered by {event!r}")
        row = self._row(call, event, order)
        if isinstance(call.request, VenuePlace | CancelReplace):
            row = self._placed(call, row, event, fills)
        if isinstance(call.request, VenueReplace) and not self._perp:
            if uncancelled is not None:
                halves = _halves("FAILURE", "SUCCESS", self._why(uncancelled), row)
                return self._partly(call, halves, usage)
            if replaced is None:
                raise OurFault(f"{event.symbol}: a cancelReplace is answered with the row of the order that it ended")
            return self.value(_halves("SUCCESS", "SUCCESS", self._old_row(replaced), row), call.ws_id, usage)
        return self.value(row, call.ws_id, usage)

    def _reject(
        self,
        call: OrderCall,
        event: VenueReject,
        replaced: LedgerOrder | None,
        uncancelled: VenueReject | None,
        usage: RateUsage,
        status: int,
        now_ms: int,
    ) -> Reply:
        if isinstance(call.request, VenueReplace) and not self._perp and status == 0 and event.kind not in _AT_THE_DOOR:
            return self._half_replaced(call, event, replaced, uncancelled, usage)
        wait_s = -(-event.retry_after_ms // 1000)
        return self.refuse(
            call,
            event.kind,
            event.code,
            event.text,
            usage=usage,
            retry_after_s=wait_s,
            status=status,
            now_ms=now_ms,
        )

    def _half_replaced(
        self,
        call: OrderCall,
        event: VenueReject,
        replaced: LedgerOrder | None,
        uncancelled: VenueReject | None,
        usage: RateUsage,
    ) -> Reply:
        """-2021 when the old order has ended and the new one failed, -2022 when the cancel failed already."""
        why = self._why(event)
        if replaced is not None:
            return self._partly(call, _halves("SUCCESS", "FAILURE", self._old_row(replaced), why), usage)
        if uncancelled is not None:
            data = _halves("FAILURE", "FAILURE", self._why(uncancelled), why)
        else:
            data = _halves("FAILURE", "NOT_ATTEMPTED", why, None)
        return self.error(-2022, "Order cancel-replace failed.", 400, call.ws_id, data=data, usage=usage)

    def _partly(self, call: OrderCall, halves: dict[str, Any], usage: RateUsage) -> Reply:
        return self.error(-2021, PARTLY_REPLACED, 409, call.ws_id, data=halves, usage=usage)

    def _why(self, event: VenueReject) -> dict[str, Any]:
        code, text, _ = spell(self._market, event.kind, event.code, event.text)
        return {"code": code, "msg": text}

    def _placed(
        self, call: OrderCall, row: dict[str, Any], event: VenueAck | VenueOrder, fills: Sequence[LedgerTrade]
    ) -> dict[str, Any]:
        """As much of a new order as its `newOrderRespType` asks for (rest-api.md § New order, USD-M "New Order")."""
        options = dict(call.options)
        wanted = options.get("newOrderRespType", "")
        if self._perp:
            # An acknowledgement is given before the order meets the book.
            unmatched = {"status": "NEW", "executedQty": "0", "avgPrice": "0.00", "cumQuote": "0"}
            return row if wanted == "RESULT" else row | unmatched
        wanted = wanted or ("FULL" if options.get("type") in ("LIMIT", "MARKET") else "ACK")
        if wanted == "FULL":
            row["fills"] = self._fills(event.filled_lots, fills)
        if wanted == "ACK":
            return {name: row[name] for name in _ACK_FIELDS}
        return row

    def _fills(self, filled_lots: int, fills: Sequence[LedgerTrade]) -> list[dict[str, Any]]:
        """The first `filled_lots` of an order: it may have traded on since its answer left the book."""
        rows: list[dict[str, Any]] = []
        for trade in fills:
            if filled_lots <= 0:
                break
            fill = trade.fill
            filled_lots -= fill.lots
            s = self._spellers[fill.symbol]
            rows.append(
                {
                    "price": s.prices[fill.price_ticks],
                    "qty": s.sizes[fill.lots],
                    "commission": fill.fee,
                    "commissionAsset": fill.fee_asset,
                    "tradeId": fill.trade_id,
                }
            )
        return rows

    def _row(self, call: OrderCall, event: VenueAck | VenueOrder, order: LedgerOrder | None) -> dict[str, Any]:
        row = order or _from_event(call, event)
        spelled = self.order_row(row)
        # The event tells the moment of the answer; the row may have moved on since.
        s = self._spellers[event.symbol]
        spelled |= {
            "status": STATE_NAMES[event.state],
            "price": s.prices[event.price_ticks],
            "origQty": s.sizes[event.lots],
            "executedQty": s.sizes[event.filled_lots],
        }
        time_ms = event.event_ns // NS_PER_MS
        if isinstance(call.request, VenueCancel) and not self._perp:
            spelled["origClientOrderId"] = spelled["clientOrderId"]
            spelled["clientOrderId"] = f"cancel_{event.venue_order_id}"
        if not self._perp and isinstance(event, VenueAck):
            spelled["transactTime"] = time_ms
            spelled["updateTime"] = time_ms
        else:
            spelled["updateTime"] = time_ms
        return spelled

    def _old_row(self, row: LedgerOrder) -> dict[str, Any]:
        """The cancelled half of a cancelReplace."""
        spelled = self.order_row(row)
        spelled["origClientOrderId"] = row.client_id
        spelled["clientOrderId"] = f"cancel_{row.venue_order_id}"
        spelled["transactTime"] = row.updated_ms
        return spelled

    def order_row(self, row: LedgerOrder) -> dict[str, Any]:
        """One order as queries show it."""
        return self._perp_order(row) if self._perp else self._spot_order(row)

    def _order_common(self, row: LedgerOrder) -> dict[str, Any]:
        s = self._spellers[row.symbol]
        return {
            "symbol": s.name,
            "orderId": int(row.venue_order_id or 0),
            "clientOrderId": row.client_id,
            "price": s.prices[row.price_ticks],
            "origQty": s.sizes[row.lots],
            "executedQty": s.sizes[row.filled_lots],
            "status": STATE_NAMES[row.state],
            "side": row.side.name,
            "stopPrice": "0",
            "time": row.created_ms,
            "updateTime": row.updated_ms,
            "selfTradePreventionMode": "EXPIRE_MAKER",
        }

    def _perp_order(self, row: LedgerOrder) -> dict[str, Any]:
        kind = "MARKET" if row.market else "LIMIT"
        return {
            **self._order_common(row),
            "avgPrice": self._average(row),
            "cumQuote": row.filled_quote,
            "timeInForce": "GTX" if row.post_only and not row.market else "GTC",
            "type": kind,
            "origType": kind,
            "reduceOnly": row.reduce_only,
            "closePosition": False,
            "positionSide": "BOTH",
            "workingType": "CONTRACT_PRICE",
            "priceProtect": False,
            "priceMatch": "NONE",
            "goodTillDate": 0,
        }

    def _spot_order(self, row: LedgerOrder) -> dict[str, Any]:
        return {
            **self._order_common(row),
            "orderListId": -1,
            "cummulativeQuoteQty": row.filled_quote,
            "timeInForce": "GTC",
            "type": "MARKET" if row.market else "LIMIT_MAKER" if row.post_only else "LIMIT",
            "icebergQty": "0",
            "isWorking": True,
            "workingTime": row.created_ms,
            "origQuoteOrderQty": "0",
        }

    def _average(self, row: LedgerOrder) -> str:
        if not row.filled_lots:
            return "0"
        lot = self._spellers[row.symbol].instrument.lot
        return plain((Decimal(row.filled_quote) / (row.filled_lots * lot)).quantize(Decimal("1e-8")))


# Refused before the cancel part was tried: such an answer is a plain error, not a half replace.
_AT_THE_DOOR: Final = frozenset(
    {
        FaultKind.UNKNOWN_OUTCOME,
        FaultKind.RATE_LIMIT,
        FaultKind.BANNED,
        FaultKind.CLOCK,
        FaultKind.AUTH,
        FaultKind.BUSY,
        FaultKind.BAD_REQUEST,
    }
)


def _halves(cancel: str, place: str, cancelled: Any, placed: Any) -> dict[str, Any]:
    return {
        "cancelResult": cancel,
        "newOrderResult": place,
        "cancelResponse": cancelled,
        "newOrderResponse": placed,
    }


def _from_event(call: OrderCall, event: VenueAck | VenueOrder) -> LedgerOrder:
    """The order's row as far as event and request tell."""
    request = call.request
    place = request if isinstance(request, VenuePlace) else None
    side: Side = event.side if isinstance(event, VenueOrder) else getattr(request, "side", Side.BUY)
    time_ms = event.event_ns // NS_PER_MS
    return LedgerOrder(
        symbol=event.symbol,
        client_id=event.client_id,
        venue_order_id=event.venue_order_id,
        side=side,
        state=event.state,
        price_ticks=event.price_ticks,
        lots=event.lots,
        filled_lots=event.filled_lots,
        filled_quote="0",
        created_ms=time_ms,
        updated_ms=time_ms,
        post_only=place.post_only if place else True,
        reduce_only=place.reduce_only if place else False,
        market=place.market if place else False,
    )
