"""From a call that the dialect has read to the answer it spells: asks the exchange, its ledger, or the user streams."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import assert_never

from actors.sim.messages import Private
from actors.sim.messages import Reply as Answered
from actors.transport.venue_desk import Desk
from actors.transport.venue_hub import Listener
from actors.transport.venue_users import UserStreams
from actors.venues.binance.calls import Call, Done, LedgerQuery, MarketQuery, OrderCall, PrivateCall, Reply
from actors.venues.binance.server import BinanceServer, Ticker
from actors.venues.ledger import LedgerOrder, LedgerTrade
from actors.vocab.market import Kline
from actors.vocab.units import NS_PER_MS
from actors.vocab.venue_io import FaultKind, MarkPrice, VenuePlace, VenueReplace

# After this long without an answer of the exchange the venue says that it does not know what happened (-1007).
ANSWER_TIMEOUT_S = 10.0
# Minutes that a candle query may reach back: ten days. What a simulated venue has not kept it makes anew, 25 us each,
# on the loop that all its clients share.
HISTORY_MINUTES_MAX = 15_000

_HOUR_MS = 3_600_000


class VenueAnswers:
    """`recorded_depth` stands before the exchange's own snapshot in a replay: the recorded body, "" for none to give,
    None to ask the exchange."""

    def __init__(
        self,
        *,
        dialect: BinanceServer,
        desk: Desk,
        users: UserStreams,
        recorded_depth: Callable[[str], bytes | None] | None = None,
        is_ready: Callable[[str], bool] | None = None,
    ) -> None:
        """`is_ready`: may this symbol be traded and its book be shown? Where not, the venue is busy."""
        self._dialect = dialect
        self._desk = desk
        self._users = users
        self._recorded_depth = recorded_depth
        self._is_ready = is_ready

    @property
    def _now_ms(self) -> int:
        return self._desk.clock.now_ns() // NS_PER_MS

    async def answer(self, call: Call, *, connection: int, listener: Listener | None = None) -> Reply:
        """`listener` is the websocket that the call came by; `connection` its number, 0 for HTTP."""
        if isinstance(call, OrderCall):
            return await self._order(call, connection)
        return self.answer_at_once(call, listener)

    def answer_at_once(self, call: Done | MarketQuery | LedgerQuery | PrivateCall, listener: Listener | None) -> Reply:
        """Everything that needs no turn of the exchange."""
        if isinstance(call, Done):
            return call.reply
        if isinstance(call, MarketQuery):
            return self._market(call)
        if isinstance(call, LedgerQuery):
            return self._ledger(call)
        if isinstance(call, PrivateCall):
            return self._private(call, listener)
        assert_never(call)

    async def _order(self, call: OrderCall, connection: int) -> Reply:
        if self._desk.is_full or (
            isinstance(call.request, VenuePlace | VenueReplace) and self._busy(call.request.symbol)
        ):
            return self._dialect.refuse(call, FaultKind.BUSY)
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                told = await self._desk.submit(call.account, connection, call.request)
        except TimeoutError:
            self._desk.forget(call.request.request_no)
            return self._dialect.refuse(call, FaultKind.UNKNOWN_OUTCOME)
        return self.spell(call, told)

    def spell(self, call: OrderCall, told: Answered) -> Reply:
        """The exchange's answer as the venue writes it, now."""
        return self._dialect.answer_order(
            call,
            told.event,
            now_ms=self._now_ms,
            order=told.order,
            replaced=told.replaced,
            uncancelled=told.uncancelled,
            fills=self._fills(call, told),
            cancelled=told.cancelled,
            usage=self._desk.exchange.usage(call.account, self._desk.clock.now_ns()),
            status=told.status,
        )

    def _fills(self, call: OrderCall, told: Answered) -> Sequence[LedgerTrade]:
        """Trades of an order that has just been placed and has dealt at once."""
        order = told.order
        if order is None or not order.filled_lots or not isinstance(call.request, VenuePlace | VenueReplace):
            return ()
        return self._desk.exchange.ledger.trades(call.account, order.symbol, venue_order_id=order.venue_order_id)

    def _market(self, call: MarketQuery) -> Reply:
        dialect, exchange = self._dialect, self._desk.exchange
        symbol = call.symbols[0]
        match call.kind:
            case "depth":
                return self._depth(call, symbol)
            case "klines":
                return dialect.answer_klines(call, self._klines(call, symbol))
            case "trades":
                return dialect.answer_trades(call, exchange.recent_trades(symbol, call.limit))
            case "book_tickers":
                return dialect.answer_book_tickers(call, [exchange.top(name) for name in call.symbols])
            case "prices":
                return dialect.answer_prices(call, [exchange.top(name) for name in call.symbols])
            case "mark_prices":
                marks = [exchange.mark(name) for name in call.symbols]
                return dialect.answer_mark_prices(call, marks, now_ms=self._now_ms)
            case "funding_rates":
                return dialect.answer_funding_rates(call, self._fundings(call))
            case "tickers":
                return dialect.answer_tickers(call, [self.ticker(name) for name in call.symbols])
        return dialect.refuse(call, FaultKind.BAD_REQUEST, text=f"{call.operation} is not simulated")

    def _klines(self, call: MarketQuery, symbol: str) -> list[Kline]:
        """Candles that open within [startTime, endTime]: the first of them where a start is named, else the last."""
        klines = self._desk.exchange.klines
        if not call.start_ms and not call.end_ms:
            return klines(symbol, call.interval_ms, call.limit)
        oldest_ms = call.start_ms or call.end_ms - call.limit * call.interval_ms
        minutes_max = HISTORY_MINUTES_MAX // (call.interval_ms // 60_000)
        count = min(max(0, self._now_ms - oldest_ms) // call.interval_ms + 1, max(minutes_max, call.limit))
        found = [
            each
            for each in klines(symbol, call.interval_ms, count)
            if call.start_ms <= each.open_ms <= (call.end_ms or self._now_ms)
        ]
        return found[: call.limit] if call.start_ms else found[-call.limit :]

    def _fundings(self, call: MarketQuery) -> list[MarkPrice]:
        """Fundings paid within [startTime, endTime]: the first of them where a start is named, else the last."""
        rows = [row for name in call.symbols for row in self._desk.exchange.fundings(name)]
        until_ms = call.end_ms or self._now_ms
        found = [row for row in rows if call.start_ms <= row.event_ns // NS_PER_MS <= until_ms]
        found.sort(key=lambda row: row.event_ns)
        return found[: call.limit] if call.start_ms else found[-call.limit :]

    def _busy(self, symbol: str) -> bool:
        return self._is_ready is not None and not self._is_ready(symbol)

    def _depth(self, call: MarketQuery, symbol: str) -> Reply:
        if self._busy(symbol):
            return self._dialect.refuse(call, FaultKind.BUSY)
        recorded = self._recorded_depth(symbol) if self._recorded_depth is not None else None
        if recorded == b"":
            # What the venue says when it has no book to give; the feed then builds one from deltas.
            return self._dialect.refuse(call, FaultKind.REJECTED, code=-1000, text=f"no snapshot of {symbol} recorded")
        if recorded is not None and call.ws_id is None:
            return Reply(200, recorded, (("Content-Type", "application/json"),))
        return self._dialect.answer_depth(call, self._desk.exchange.depth(symbol, call.limit), now_ms=self._now_ms)

    def ticker(self, symbol: str) -> Ticker:
        """The day as one candle, out of hours; a young venue shows the hours it has."""
        exchange = self._desk.exchange
        hours = exchange.klines(symbol, _HOUR_MS, 24)
        trades = exchange.recent_trades(symbol, 1)
        top = exchange.top(symbol)
        last_ticks = trades[-1].price_ticks if trades else (top.bid_ticks + top.ask_ticks) // 2
        day = Kline(
            open_ms=hours[0].open_ms if hours else self._now_ms - 24 * _HOUR_MS,
            close_ms=self._now_ms,
            open_ticks=hours[0].open_ticks if hours else last_ticks,
            high_ticks=max((hour.high_ticks for hour in hours), default=last_ticks),
            low_ticks=min((hour.low_ticks for hour in hours), default=last_ticks),
            close_ticks=last_ticks,
            lots=sum(hour.lots for hour in hours),
            trades_count=sum(hour.trades_count for hour in hours),
        )
        return Ticker(top=top, day=day, last_ticks=last_ticks, last_lots=trades[-1].lots if trades else 0)

    def _ledger(self, call: LedgerQuery) -> Reply:
        dialect, exchange = self._dialect, self._desk.exchange
        ledger = exchange.ledger
        match call.kind:
            case "orders":
                return dialect.answer_orders(call, self._orders(call))
            case "own_trades":
                trades = ledger.trades(
                    call.account,
                    call.symbol,
                    from_trade_id=call.from_id,
                    since_ms=call.start_ms,
                    until_ms=call.end_ms,
                    venue_order_id=call.order_id,
                    limit=call.limit,
                )
                return dialect.answer_own_trades(call, trades)
            case "income":
                income = ledger.income(
                    call.account,
                    call.symbol,
                    kind=call.income_kind,
                    since_ms=call.start_ms,
                    until_ms=call.end_ms,
                    limit=call.limit,
                )
                return dialect.answer_income(call, income)
            case "amendments":
                changes = ledger.amendments(
                    call.account, call.symbol, client_id=call.client_id, venue_order_id=call.order_id
                )
                since_ms, until_ms = call.start_ms, call.end_ms
                asked = [
                    row for row in changes if since_ms <= row.time_ms and (not until_ms or row.time_ms <= until_ms)
                ]
                return dialect.answer_amendments(call, asked[-call.limit :])
            case "account":
                return dialect.answer_account(call, exchange.account_state(call.account), now_ms=self._now_ms)
            case "order_counts":
                return dialect.answer_order_counts(call, exchange.usage(call.account, self._desk.clock.now_ns()))
        return dialect.refuse(call, FaultKind.BAD_REQUEST, text=f"{call.operation} is not simulated")

    def _orders(self, call: LedgerQuery) -> list[LedgerOrder]:
        ledger = self._desk.exchange.ledger
        if call.order_id or call.client_id:
            row = ledger.order(call.account, call.symbol, client_id=call.client_id, venue_order_id=call.order_id)
            return [row] if row is not None else []
        return ledger.orders(
            call.account,
            call.symbol,
            from_order_id=call.from_id,
            since_ms=call.start_ms,
            until_ms=call.end_ms,
            limit=0 if call.open_only else call.limit,
            open_only=call.open_only,
        )

    def _private(self, call: PrivateCall, listener: Listener | None) -> Reply:
        dialect, users, now_ns = self._dialect, self._users, self._desk.clock.now_ns()
        match call.action:
            case "start":
                return dialect.answer_private(call, listen_key=users.start(call.account, now_ns))
            case "keep":
                return dialect.answer_private(call, listen_key=users.keep(call.account, now_ns))
            case "close":
                users.close(call.account)
                return dialect.answer_private(call)
            case "subscribe" if listener is not None:
                return dialect.answer_private(call, subscription_id=users.subscribe(listener, call.account))
            case "subscriptions" if listener is not None:
                return dialect.answer_private(call, subscriptions=users.subscriptions(listener))
            case "unsubscribe" if listener is not None:
                users.unsubscribe(listener, call.subscription_id)
                return dialect.answer_private(call, subscription_id=call.subscription_id)
        return dialect.refuse(call, FaultKind.BAD_REQUEST, text=f"{call.operation} needs a websocket")

    def private_frames(self, told: Private) -> list[bytes]:
        """What the account's streams say about one private event, in the venue's order."""
        return self._dialect.private_frames(
            told.event,
            now_ms=self._now_ms,
            order=told.order,
            execution=told.execution,
            realized_pnl=told.realized_pnl,
            balances=told.balances,
            positions=told.positions,
            reason=told.reason,
        )
