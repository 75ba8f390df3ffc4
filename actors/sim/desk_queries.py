"""What a venue's desk answers to questions: orders, open orders, trades, balances, positions, the time."""

from __future__ import annotations

import msgspec

from actors.sim import filters
from actors.sim.desk_orders import DeskOrders
from actors.sim.messages import ClientRequest, Reply
from actors.vocab.errors import OurFault
from actors.vocab.orders import OpenOrder
from actors.vocab.units import NS_PER_MS
from actors.vocab.venue_io import (
    Balance,
    Position,
    VenueBalances,
    VenueBalancesQuery,
    VenueEvent,
    VenueOpenOrders,
    VenueOpenOrdersQuery,
    VenuePositions,
    VenuePositionsQuery,
    VenueQueryOrder,
    VenueTime,
    VenueTimeQuery,
    VenueTrades,
    VenueTradesQuery,
)

TRADES_PAGE = 500


class DeskQueries(DeskOrders):
    """Reads accounts and ledger; changes nothing."""

    def _query(self, request: ClientRequest, now_ns: int) -> Reply:
        asked, account = request.request, request.account
        event: VenueEvent
        match asked:
            case VenueQueryOrder():
                found = self.ledger.find(
                    account, asked.symbol, client_id=asked.client_id, venue_order_id=asked.venue_order_id
                )
                if found is None:
                    return self._reject(request, filters.UNKNOWN_QUERY, client_id=asked.client_id)
                event = self._order_event(found, asked.request_no, "")
                return Reply(request.connection, asked.request_no, event, order=self.ledger.row(found))
            case VenueOpenOrdersQuery():
                event = VenueOpenOrders(asked.request_no, asked.symbol, self._open_orders(account, asked.symbol))
            case VenueTradesQuery():
                event = self._trades(account, asked)
            case VenuePositionsQuery():
                rows = self._accounts[account].positions(now_ns // NS_PER_MS)
                event = VenuePositions(
                    asked.request_no, tuple(Position(row.symbol, row.position_lots, row.entry_ticks) for row in rows)
                )
            case VenueBalancesQuery():
                assets = self._accounts[account].balances()
                event = VenueBalances(
                    asked.request_no, tuple(Balance(row.asset, row.wallet, row.locked) for row in assets)
                )
            case VenueTimeQuery():
                event = VenueTime(asked.request_no, now_ns // NS_PER_MS)
            case _:
                raise OurFault(f"{self.venue}: no handler for {type(asked).__name__}")
        return Reply(request.connection, asked.request_no, event)

    def _open_orders(self, account: str, symbol: str) -> tuple[OpenOrder, ...]:
        return tuple(
            OpenOrder(
                client_id=order.client_id,
                venue_order_id=str(order.order_id),
                symbol=order.symbol,
                side=order.side,
                price_ticks=order.price_ticks,
                lots=order.lots,
                filled_lots=order.filled_lots,
                created_ms=order.created_ns // NS_PER_MS,
            )
            for (owner, listed), orders in self._open.items()
            if owner == account and (not symbol or listed == symbol)
            for order in orders.values()
        )

    def _trades(self, account: str, asked: VenueTradesQuery) -> VenueTrades:
        rows = self.ledger.trades(
            account,
            asked.symbol,
            from_trade_id=max(asked.from_trade_id, 1) if not asked.since_ms else asked.from_trade_id,
            since_ms=asked.since_ms,
            venue_order_id=asked.venue_order_id,
            limit=TRADES_PAGE + 1,
        )
        fills = tuple(msgspec.structs.replace(row.fill, request_no=asked.request_no) for row in rows[:TRADES_PAGE])
        return VenueTrades(asked.request_no, asked.symbol, fills, complete=len(rows) <= TRADES_PAGE)
