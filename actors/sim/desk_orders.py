"""The life of an order at a venue's desk: admitted, matched, booked, told, ended. Whatever happens to one is written to
the ledger and told to its account here.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from actors.sim.desk_state import DeskState
from actors.sim.matching import BookEvent, Expiry, Match
from actors.sim.messages import Execution, Private, SimCommand
from actors.sim.orders import SimOrder
from actors.vocab.orders import DONE_STATES, OrderState
from actors.vocab.units import NS_PER_MS
from actors.vocab.venue_io import PublicTrade, VenueFill


class DeskOrders(DeskState):
    """Carries out what was checked; asks nobody."""

    def _admit(self, order: SimOrder, now_ns: int, out: list[SimCommand]) -> None:
        """The order exists from here on."""
        order.state = OrderState.OPEN
        self.ledger.open_order(order)
        self._open.setdefault((order.account, order.symbol), {})[order.order_id] = order
        self._open_by_client_id[order.account, order.symbol, order.client_id] = order
        self._accounts[order.account].reserve(self._instruments[order.symbol], order, alive=not order.market)
        self._tell(order, Execution.NEW, "", now_ns, out)

    def _execute(self, order: SimOrder, now_ns: int, out: list[SimCommand]) -> None:
        """Hand the order to its book and settle what comes of it."""
        self._settle(order.symbol, self._book(order.symbol).place(order), now_ns, out)
        self._after_book_change(order.symbol, now_ns, out)

    def _settle(self, symbol: str, events: Sequence[BookEvent], now_ns: int, out: list[SimCommand]) -> None:
        """Book what a book says happened, in its order."""
        shrunk: list[SimOrder] = []
        for event in events:
            if isinstance(event, Expiry):
                self._forget(event.order)
                self._finish(event.order, OrderState.EXPIRED, Execution.EXPIRED, event.reason, now_ns, out)
                continue
            self._publish_trade(symbol, event, now_ns, out)
            for order, maker in ((event.maker, True), (event.taker, False)):
                if order is not None:
                    self._fill(order, event, maker, now_ns, out)
                    shrunk.append(order)
        for order in shrunk:
            self._keep_reducing(order.account, symbol, now_ns, out)

    def _publish_trade(self, symbol: str, match: Match, now_ns: int, out: list[SimCommand]) -> None:
        """The world sees the trade."""
        trade = PublicTrade(symbol, match.trade_id, now_ns, match.taker_side, match.price_ticks, match.lots)
        self._recent[symbol].append(trade)
        self._public(trade, now_ns, out)

    def _fill(self, order: SimOrder, match: Match, maker: bool, now_ns: int, out: list[SimCommand]) -> None:
        instrument = self._instruments[order.symbol]
        account = self._accounts[order.account]
        lots = match.lots
        fee_bps = self._maker_bps if maker else self._taker_bps
        booked = account.book(instrument, order.side, match.price_ticks, lots, fee_bps)
        order.filled_quote += match.price_ticks * lots * instrument.usd_per_tick_lot_exact
        order.told_lots += lots
        done = order.told_lots == order.lots
        order.state = OrderState.FILLED if done else OrderState.PARTLY_FILLED
        if done:
            self._forget(order)
        account.reserve(instrument, order, alive=not done and not order.market)
        fill = VenueFill(
            request_no=0,
            symbol=order.symbol,
            client_id=order.client_id,
            venue_order_id=str(order.order_id),
            trade_id=match.trade_id,
            side=order.side,
            price_ticks=match.price_ticks,
            lots=lots,
            maker=maker,
            fee=format(booked.fee, "f"),
            fee_asset=booked.fee_asset,
            event_ns=now_ns,
            system=order.system,
        )
        self._book_income(order, fill, booked.realized_pnl, booked.fee, now_ns)
        self.ledger.record(order, Execution.TRADE, now_ns)
        private = Private(
            account=order.account,
            event=fill,
            execution=Execution.TRADE,
            order=self.ledger.row(order),
            realized_pnl=format(booked.realized_pnl, "f"),
            balances=account.balances(account.touched_assets(instrument)),
            positions=account.positions(now_ns // NS_PER_MS, (order.symbol,)),
        )
        self._private(private, now_ns, out, late_ms=self.faults.on_fill())

    def _book_income(self, order: SimOrder, fill: VenueFill, realized: Decimal, fee: Decimal, now_ns: int) -> None:
        self.ledger.record_trade(order.account, fill, realized)
        for kind, amount, asset in (("REALIZED_PNL", realized, self._quote), ("COMMISSION", -fee, fill.fee_asset)):
            if amount:
                self.ledger.record_income(
                    order.account,
                    symbol=order.symbol,
                    kind=kind,
                    amount=amount,
                    asset=asset,
                    now_ns=now_ns,
                    trade_id=fill.trade_id,
                )

    def _keep_reducing(self, account: str, symbol: str, now_ns: int, out: list[SimCommand]) -> None:
        """Reduce-only orders never outlive nor exceed the position they reduce."""
        orders = [order for order in self._open.get((account, symbol), {}).values() if order.reduce_only]
        for order in orders:
            lots = self._accounts[account].position_lots(self._instruments[symbol])
            if lots * order.side >= 0:
                self._end(order, OrderState.EXPIRED, Execution.EXPIRED, "nothing left to reduce", now_ns, out)
            elif order.left_lots > abs(lots):
                self._book(symbol).shrink(order, order.filled_lots + abs(lots))
                self._accounts[account].reserve(self._instruments[symbol], order, alive=True)
                self._tell(order, Execution.AMENDMENT, "no larger than the position", now_ns, out)

    def _cancel_all(self, account: str, symbol: str, now_ns: int, out: list[SimCommand]) -> list[SimOrder]:
        orders = [*self._open.get((account, symbol), {}).values()]
        for order in orders:
            self._end(order, OrderState.CANCELLED, Execution.CANCELED, "", now_ns, out)
        return orders

    def _end(
        self, order: SimOrder, state: OrderState, execution: Execution, reason: str, now_ns: int, out: list[SimCommand]
    ) -> None:
        """Take a resting order out of its book."""
        self._book(order.symbol).remove(order)
        self._forget(order)
        self._finish(order, state, execution, reason, now_ns, out)
        self._after_book_change(order.symbol, now_ns, out)

    def _finish(
        self, order: SimOrder, state: OrderState, execution: Execution, reason: str, now_ns: int, out: list[SimCommand]
    ) -> None:
        order.state = state
        self._accounts[order.account].reserve(self._instruments[order.symbol], order, alive=False)
        self._tell(order, execution, reason, now_ns, out)

    def _forget(self, order: SimOrder) -> None:
        self._open.get((order.account, order.symbol), {}).pop(order.order_id, None)
        self._open_by_client_id.pop((order.account, order.symbol, order.client_id), None)

    def _find_open(self, account: str, symbol: str, client_id: str, venue_order_id: str) -> SimOrder | None:
        found = self.ledger.find(account, symbol, client_id=client_id, venue_order_id=venue_order_id)
        return found if found is not None and found.state not in DONE_STATES else None

    def _room_to_reduce(self, order: SimOrder) -> int:
        """Lots that a reduce-only order may still trade, trades of the same sweep that are not booked yet included."""
        position = self._accounts[order.account].position_lots(self._instruments[order.symbol])
        for each in self._open.get((order.account, order.symbol), {}).values():
            position += each.side * (each.filled_lots - each.told_lots)
        return max(0, -position * order.side)
