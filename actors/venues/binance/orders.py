"""Order rows of REST answers, websocket API answers and user streams: one struct for both markets, and its states.

Source: rest-api.md "New order" and "Query order", user-data-stream.md; USD-M "New Order", "Event: Order Update".
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import msgspec

from actors.venues.binance.common import Book, SymbolMap, ns, plain
from actors.venues.ledger import LedgerOrder
from actors.vocab.errors import VenueFault
from actors.vocab.market import Side
from actors.vocab.orders import OpenOrder, OrderState
from actors.vocab.venue_io import VenueAck, VenueOrder

STATES: Final = {
    "PENDING_NEW": OrderState.PENDING,
    "NEW": OrderState.OPEN,
    "PARTIALLY_FILLED": OrderState.PARTLY_FILLED,
    "FILLED": OrderState.FILLED,
    "PENDING_CANCEL": OrderState.CANCELLING,
    "CANCELED": OrderState.CANCELLED,
    "REJECTED": OrderState.REJECTED,
    "EXPIRED": OrderState.EXPIRED,
    "EXPIRED_IN_MATCH": OrderState.EXPIRED,  # self-trade prevention
    "NEW_INSURANCE": OrderState.OPEN,  # liquidation taken by the insurance fund
    "NEW_ADL": OrderState.OPEN,
}
# Server role; states that exist only on our side show as the venue would see them.
STATE_NAMES: Final = {
    OrderState.PENDING: "NEW",
    OrderState.OPEN: "NEW",
    OrderState.PARTLY_FILLED: "PARTIALLY_FILLED",
    OrderState.REPLACING: "NEW",
    OrderState.CANCELLING: "NEW",
    OrderState.UNKNOWN: "NEW",
    OrderState.FILLED: "FILLED",
    OrderState.CANCELLED: "CANCELED",
    OrderState.REJECTED: "REJECTED",
    OrderState.EXPIRED: "EXPIRED",
}
SIDES: Final = {"BUY": Side.BUY, "SELL": Side.SELL}

# USD-M user stream page: ids of orders that the venue itself made.
SYSTEM_ID_PREFIXES: Final = ("autoclose-", "adl_autoclose", "settlement_autoclose-", "delivery_autoclose-")


class OrderRow(msgspec.Struct):
    """An order as REST and websocket API show it. Spot's ACK answers lack most fields, hence the defaults."""

    symbol: str
    orderId: int
    clientOrderId: str = ""
    origClientOrderId: str = ""  # spot cancels: our id; `clientOrderId` is then the cancel's own
    side: str = ""
    status: str = "NEW"
    price: str = "0"
    origQty: str = "0"
    executedQty: str = "0"
    cummulativeQuoteQty: str = "0"  # spot, the venue's spelling
    cumQuote: str = "0"  # USD-M
    type: str = ""
    timeInForce: str = ""
    reduceOnly: bool = False
    time: int = 0
    updateTime: int = 0
    transactTime: int = 0

    @property
    def our_id(self) -> str:
        return self.origClientOrderId or self.clientOrderId

    @property
    def changed_ms(self) -> int:
        return self.updateTime or self.transactTime or self.time


def state_of(status: str) -> OrderState:
    try:
        return STATES[status]
    except KeyError:
        raise VenueFault(f"order status {status!r} is not in the manual") from None


def side_of(text: str) -> Side:
    try:
        return SIDES[text]
    except KeyError:
        raise VenueFault(f"order side {text!r} is not in the manual") from None


def is_system(client_id: str) -> bool:
    return client_id.startswith(SYSTEM_ID_PREFIXES)


def order_ticks(book: Book, price: str) -> int:
    """Ticks of an order or execution; the nearest where off the grid.

    Liquidations deal at averages, and orders from before a change of steps keep theirs: a rounded row beats a lost one.
    """
    try:
        return book.ticks[price]
    except VenueFault:
        return book.nearest_ticks(price)


def order_lots(book: Book, size: str) -> int:
    """Lots of an order or what is filled of it, rounded down where it holds parts of a lot.

    Old makers with finer sizes leave takers with odd rests, and one of those may reach an order of ours.
    """
    try:
        return book.lots[size]
    except VenueFault:
        return book.whole_lots(size)


def last_lots(book: Book, last: str, total: str) -> int:
    """Lots of one execution, so that executions always add up to the rounded `total` after them."""
    try:
        return book.lots[last]
    except VenueFault:
        before = Decimal(total) - Decimal(last)
        return order_lots(book, total) - book.whole_lots(format(before, "f"))


def to_ack(
    names: SymbolMap, row: OrderRow, request_no: int, *, client_id: str = "", ticks: int = 0, lots: int = 0
) -> VenueAck:
    """`client_id`, `ticks` and `lots` stand in for what a short answer leaves out."""
    book = names.book(row.symbol)
    return VenueAck(
        request_no=request_no,
        symbol=book.symbol,
        client_id=client_id or row.our_id,
        venue_order_id=str(row.orderId),
        state=state_of(row.status),
        price_ticks=order_ticks(book, row.price) or ticks,
        lots=order_lots(book, row.origQty) or lots,
        filled_lots=order_lots(book, row.executedQty),
        event_ns=ns(row.changed_ms),
    )


def to_order(names: SymbolMap, row: OrderRow, request_no: int) -> VenueOrder:
    book = names.book(row.symbol)
    return VenueOrder(
        request_no=request_no,
        symbol=book.symbol,
        client_id=row.our_id,
        venue_order_id=str(row.orderId),
        side=side_of(row.side),
        state=state_of(row.status),
        price_ticks=order_ticks(book, row.price),
        lots=order_lots(book, row.origQty),
        filled_lots=order_lots(book, row.executedQty),
        event_ns=ns(row.changed_ms),
    )


def to_open_order(names: SymbolMap, row: OrderRow) -> OpenOrder:
    book = names.book(row.symbol)
    return OpenOrder(
        client_id=row.our_id,
        venue_order_id=str(row.orderId),
        symbol=book.symbol,
        side=side_of(row.side),
        price_ticks=order_ticks(book, row.price),
        lots=order_lots(book, row.origQty),
        filled_lots=order_lots(book, row.executedQty),
        created_ms=row.time or row.changed_ms,
    )


def to_ledger_order(names: SymbolMap, row: OrderRow) -> LedgerOrder:
    book = names.book(row.symbol)
    quote = max(Decimal(row.cumQuote), Decimal(row.cummulativeQuoteQty))
    return LedgerOrder(
        symbol=book.symbol,
        client_id=row.our_id,
        venue_order_id=str(row.orderId),
        side=side_of(row.side),
        state=state_of(row.status),
        price_ticks=order_ticks(book, row.price),
        lots=order_lots(book, row.origQty),
        filled_lots=order_lots(book, row.executedQty),
        filled_quote=plain(quote),
        created_ms=row.time or row.changed_ms,
        updated_ms=row.changed_ms,
        post_only=row.type == "LIMIT_MAKER" or row.timeInForce == "GTX",
        reduce_only=row.reduceOnly,
        market=row.type == "MARKET",
    )
