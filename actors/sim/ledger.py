"""The venue's own record of an account: every order with each transition, every trade, every balance change.

Append-only and exact; what an audit compares ours with. The server role of the dialect serves it over REST. Nothing
is ever dropped: about 0.3 kB an order, so a busy hour of fifty symbols is some tens of megabytes.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TypeVar

import msgspec

from actors.sim.orders import SimOrder
from actors.venues.ledger import LedgerAmendment, LedgerIncome, LedgerOrder, LedgerTrade
from actors.vocab.instruments import Instrument
from actors.vocab.message import Record
from actors.vocab.orders import DONE_STATES, OrderState
from actors.vocab.units import NS_PER_MS
from actors.vocab.venue_io import VenueFill

_Row = TypeVar("_Row")


class Transition(Record, frozen=True):
    """One step in the life of an order; `event` is an `Execution` of messages.py."""

    at_ns: int
    event: str
    state: OrderState
    price_ticks: int
    lots: int
    filled_lots: int


class Rejection(Record, frozen=True):
    """A place or replace that the venue refused; such an order never existed."""

    at_ns: int
    symbol: str
    client_id: str
    code: int
    text: str


class _Pages(msgspec.Struct):
    """One account's rows."""

    orders: list[SimOrder] = []  # by order_id, ascending
    by_client_id: dict[tuple[str, str], SimOrder] = {}  # (symbol, client_id) -> newest order with that id
    transitions: dict[int, list[Transition]] = {}  # order_id -> oldest first
    trades: dict[str, list[LedgerTrade]] = {}  # symbol -> ascending trade_id
    income: list[LedgerIncome] = []
    amendments: dict[int, list[LedgerAmendment]] = {}  # order_id -> oldest first
    rejections: list[Rejection] = []


_NOTHING = _Pages()


class Ledger:
    """Ledger of all accounts of one venue. Written by the desk alone; the reading methods may be called any time."""

    def __init__(self) -> None:
        self._pages: defaultdict[str, _Pages] = defaultdict(_Pages)
        self._tran_id = 0
        self._amendment_id = 0

    # --- reading -------------------------------------------------------------------------------------------------

    def accounts(self) -> tuple[str, ...]:
        return tuple(self._pages)

    def orders(
        self,
        account: str,
        symbol: str = "",
        *,
        from_order_id: int = 0,
        since_ms: int = 0,
        until_ms: int = 0,
        limit: int = 0,
        open_only: bool = False,
    ) -> list[LedgerOrder]:
        """Orders in their newest state, oldest first; `limit` 0 gives all.

        With `from_order_id` or `since_ms` the first rows from there on, otherwise the newest ones. The span is the
        creation time, `until_ms` inclusive, 0: open end. `symbol` empty: all.
        """
        orders = self._read(account).orders
        if from_order_id:
            orders = orders[bisect_left(orders, from_order_id, key=lambda order: order.order_id) :]
        rows = [
            order
            for order in orders
            if (not symbol or order.symbol == symbol)
            and (not open_only or order.state not in DONE_STATES)
            and _within(order.created_ns // NS_PER_MS, since_ms, until_ms)
        ]
        return [self.row(order) for order in _page(rows, limit, forward=bool(from_order_id or since_ms))]

    def order(self, account: str, symbol: str, *, client_id: str = "", venue_order_id: str = "") -> LedgerOrder | None:
        """One order by either id; a client id that was used again means its newest order."""
        found = self.find(account, symbol, client_id=client_id, venue_order_id=venue_order_id)
        return self.row(found) if found else None

    def trades(
        self,
        account: str,
        symbol: str,
        *,
        from_trade_id: int = 0,
        since_ms: int = 0,
        until_ms: int = 0,
        venue_order_id: str = "",
        limit: int = 0,
    ) -> list[LedgerTrade]:
        """Executions, oldest first, trade ids inclusive. Paging as in `orders`."""
        trades = self._read(account).trades.get(symbol, [])
        if from_trade_id:
            trades = trades[bisect_left(trades, from_trade_id, key=lambda trade: trade.fill.trade_id) :]
        rows = [
            trade
            for trade in trades
            if (not venue_order_id or trade.fill.venue_order_id == venue_order_id)
            and _within(trade.fill.event_ns // NS_PER_MS, since_ms, until_ms)
        ]
        return _page(rows, limit, forward=bool(from_trade_id or since_ms))

    def income(
        self,
        account: str,
        symbol: str = "",
        *,
        kind: str = "",
        since_ms: int = 0,
        until_ms: int = 0,
        limit: int = 0,
    ) -> list[LedgerIncome]:
        """Balance changes, oldest first. Paging as in `orders`."""
        rows = [
            row
            for row in self._read(account).income
            if (not symbol or row.symbol == symbol)
            and (not kind or row.kind == kind)
            and _within(row.time_ms, since_ms, until_ms)
        ]
        return _page(rows, limit, forward=bool(since_ms))

    def amendments(
        self, account: str, symbol: str, *, client_id: str = "", venue_order_id: str = ""
    ) -> list[LedgerAmendment]:
        """Changes of one order, or of every order of the symbol when no id is given; oldest first."""
        pages = self._read(account)
        if client_id or venue_order_id:
            found = self.find(account, symbol, client_id=client_id, venue_order_id=venue_order_id)
            return list(pages.amendments.get(found.order_id, [])) if found else []
        rows = [row for history in pages.amendments.values() for row in history if row.symbol == symbol]
        return sorted(rows, key=lambda row: row.amendment_id)

    def symbols_traded(self, account: str) -> tuple[str, ...]:
        return tuple(self._read(account).trades)

    def transitions(self, account: str, venue_order_id: str) -> list[Transition]:
        """The whole life of one order, in nanoseconds of the venue's clock."""
        return list(self._read(account).transitions.get(int(venue_order_id), []))

    def rejections(self, account: str) -> list[Rejection]:
        return list(self._read(account).rejections)

    def row(self, order: SimOrder) -> LedgerOrder:
        """The order as a row of what it is now."""
        return LedgerOrder(
            symbol=order.symbol,
            client_id=order.client_id,
            venue_order_id=str(order.order_id),
            side=order.side,
            state=order.state,
            price_ticks=order.price_ticks,
            lots=order.lots,
            filled_lots=order.told_lots,
            filled_quote=format(order.filled_quote, "f"),
            created_ms=order.created_ns // NS_PER_MS,
            updated_ms=order.updated_ns // NS_PER_MS,
            post_only=order.post_only,
            reduce_only=order.reduce_only,
            market=order.market,
        )

    def _read(self, account: str) -> _Pages:
        return self._pages.get(account, _NOTHING)

    def find(self, account: str, symbol: str, *, client_id: str = "", venue_order_id: str = "") -> SimOrder | None:
        """For the desk: the order itself."""
        pages = self._read(account)
        if venue_order_id:
            if not venue_order_id.isdigit():
                return None
            order_id = int(venue_order_id)
            at = bisect_left(pages.orders, order_id, key=lambda order: order.order_id)
            found = pages.orders[at] if at < len(pages.orders) and pages.orders[at].order_id == order_id else None
            return found if found is not None and found.symbol == symbol else None
        return pages.by_client_id.get((symbol, client_id))

    # --- writing, by the desk ------------------------------------------------------------------------------------

    def open_order(self, order: SimOrder) -> None:
        pages = self._pages[order.account]
        pages.orders.append(order)
        pages.by_client_id[order.symbol, order.client_id] = order

    def record(self, order: SimOrder, event: str, now_ns: int) -> None:
        """Append what `order` is after `event`."""
        order.updated_ns = now_ns
        self._pages[order.account].transitions.setdefault(order.order_id, []).append(
            Transition(
                at_ns=now_ns,
                event=event,
                state=order.state,
                price_ticks=order.price_ticks,
                lots=order.lots,
                filled_lots=order.told_lots,
            )
        )

    def record_amendment(self, order: SimOrder, *, price_ticks_before: int, lots_before: int, now_ns: int) -> None:
        self._amendment_id += 1
        self._pages[order.account].amendments.setdefault(order.order_id, []).append(
            LedgerAmendment(
                symbol=order.symbol,
                client_id=order.client_id,
                venue_order_id=str(order.order_id),
                amendment_id=self._amendment_id,
                time_ms=now_ns // NS_PER_MS,
                price_ticks_before=price_ticks_before,
                price_ticks=order.price_ticks,
                lots_before=lots_before,
                lots=order.lots,
                amendments_count=order.amendments_count,
            )
        )

    def record_trade(self, account: str, fill: VenueFill, realized_pnl: Decimal) -> None:
        row = LedgerTrade(fill=fill, realized_pnl=format(realized_pnl, "f"))
        self._pages[account].trades.setdefault(fill.symbol, []).append(row)

    def record_income(
        self, account: str, *, symbol: str, kind: str, amount: Decimal, asset: str, now_ns: int, trade_id: int = 0
    ) -> None:
        self._tran_id += 1
        self._pages[account].income.append(
            LedgerIncome(
                symbol=symbol,
                kind=kind,
                amount=format(amount, "f"),
                asset=asset,
                time_ms=now_ns // NS_PER_MS,
                tran_id=self._tran_id,
                trade_id=trade_id,
            )
        )

    def rescale(self, old: Instrument, new: Instrument) -> None:
        """Spell the rows of a symbol in its new steps, rounded where a price or size lies off them.

        Amounts of money are decimals and stay. Transitions and amendments keep the steps of their time.
        """
        for pages in self._pages.values():
            for order in pages.orders:
                if order.symbol == new.symbol:
                    order.price_ticks = round(order.price_ticks * old.tick / new.tick)
                    order.lots = _lots(order.lots, old, new)
                    order.filled_lots = order.told_lots = _lots(order.filled_lots, old, new)
            trades = pages.trades.get(new.symbol, [])
            for at, row in enumerate(trades):
                fill = msgspec.structs.replace(
                    row.fill,
                    price_ticks=round(row.fill.price_ticks * old.tick / new.tick),
                    lots=_lots(row.fill.lots, old, new),
                )
                trades[at] = msgspec.structs.replace(row, fill=fill)

    def restore(
        self,
        account: str,
        *,
        orders: Sequence[SimOrder],
        transitions: Mapping[int, Sequence[Transition]],
        trades: Mapping[str, Sequence[LedgerTrade]],
        income: Sequence[LedgerIncome],
        amendments: Mapping[int, Sequence[LedgerAmendment]],
        rejections: Sequence[Rejection],
    ) -> None:
        """Fill an account that has no rows yet with saved ones, for reading; `orders` by ascending id."""
        self._pages[account] = _Pages(
            orders=list(orders),
            by_client_id={(order.symbol, order.client_id): order for order in orders},
            transitions={order_id: list(steps) for order_id, steps in transitions.items()},
            trades={symbol: list(rows) for symbol, rows in trades.items()},
            income=list(income),
            amendments={order_id: list(rows) for order_id, rows in amendments.items()},
            rejections=list(rejections),
        )

    def record_rejection(self, account: str, rejection: Rejection) -> None:
        self._pages[account].rejections.append(rejection)


def _lots(lots: int, old: Instrument, new: Instrument) -> int:
    return round(lots * old.lot * old.multiplier / (new.lot * new.multiplier))


def _within(time_ms: int, since_ms: int, until_ms: int) -> bool:
    return time_ms >= since_ms and (not until_ms or time_ms <= until_ms)


def _page(rows: list[_Row], limit: int, *, forward: bool) -> list[_Row]:
    if not limit or len(rows) <= limit:
        return list(rows)
    return rows[:limit] if forward else rows[-limit:]
