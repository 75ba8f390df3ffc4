"""Answers of a simulated Binance: events, rows and refusals to the venue's JSON, for REST and the websocket API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec

from actors.venues.binance.calls import Call, LedgerQuery, MarketQuery, OrderCall, PrivateCall, Reply
from actors.venues.binance.common import SymbolMap, market_of, plain
from actors.venues.binance.errors import spell
from actors.venues.binance.orders import STATE_NAMES
from actors.venues.binance.server_auth import Refused, Session
from actors.venues.binance.server_streams import Speller, plain_float
from actors.venues.ledger import (
    LedgerAccount,
    LedgerAmendment,
    LedgerBalance,
    LedgerIncome,
    LedgerOrder,
    LedgerPosition,
    LedgerTrade,
)
from actors.vocab.errors import OurFault
from actors.vocab.market import Kline, Side
from actors.vocab.orders import OrderState
from actors.vocab.units import NS_PER_MS
from actors.vocab.venue_io import (
    DepthSnapshot,
    FaultKind,
    MarkPrice,
    PublicTrade,
    RateUsage,
    TopOfBook,
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

JSON: Final = (("Content-Type", "application/json;charset=UTF-8"),)
RETRY_AFTER_DEFAULT_S: Final = 10


class Ticker(msgspec.Struct, frozen=True):
    """What a 24 h ticker is made of: the newest top, the day as one candle, and the newest trade."""

    top: TopOfBook
    day: Kline
    last_ticks: int
    last_lots: int = 0


class ReplyWriter:
    """`names` and `spellers` are shared with the rest of the server and follow its `use`."""

    def __init__(self, venue: str, names: SymbolMap, spellers: Mapping[str, Speller]) -> None:
        self._market = market_of(venue)
        self._perp = self._market == "perp"
        self._names = names
        self._spellers = spellers

    # --- forms --------------------------------------------------------------------------------------------------

    def value(self, value: Any, ws_id: str | None, usage: RateUsage | None = None) -> Reply:
        return self.raw(msgspec.json.encode(value), ws_id, usage)

    def raw(self, body: bytes, ws_id: str | None, usage: RateUsage | None = None) -> Reply:
        """`body` is the JSON of the result."""
        if ws_id is None:
            return Reply(200, body, JSON + _headers(usage))
        limits = self._limits(usage)
        return Reply(200, b'{"id":%s,"status":200,"result":%s,"rateLimits":%s}' % (ws_id.encode(), body, limits))

    def error(
        self,
        code: int,
        text: str,
        status: int,
        ws_id: str | None,
        *,
        data: Any = None,
        usage: RateUsage | None = None,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> Reply:
        fault: dict[str, Any] = {"code": code, "msg": text}
        if data is not None:
            fault["data"] = data
        body = msgspec.json.encode(fault)
        if ws_id is None:
            return Reply(status, body, JSON + headers + _headers(usage))
        limits = self._limits(usage)
        frame = b'{"id":%s,"status":%d,"error":%s,"rateLimits":%s}' % (ws_id.encode(), status, body, limits)
        return Reply(status, frame)

    def refusal(self, refused: Refused, *, ws_id: str | None) -> Reply:
        return self.error(refused.code, refused.text, refused.status, ws_id)

    def refuse(
        self,
        call: Call,
        kind: FaultKind,
        code: int,
        text: str,
        *,
        usage: RateUsage | None = None,
        retry_after_s: int = 0,
        status: int = 0,
        now_ms: int = 0,
    ) -> Reply:
        query = getattr(call, "operation", "") == "order.status"
        code, text, usual = spell(self._market, kind, code, text, query=query)
        status = status or usual
        headers: tuple[tuple[str, str], ...] = ()
        data = None
        if status in (418, 429):
            wait_s = retry_after_s or RETRY_AFTER_DEFAULT_S
            headers = (("Retry-After", str(wait_s)),)
            data = {"serverTime": now_ms, "retryAfter": now_ms + wait_s * 1000}
        ws_id = getattr(call, "ws_id", None)
        return self.error(code, text, status, ws_id, data=data if ws_id else None, usage=usage, headers=headers)

    def with_usage(self, reply: Reply, usage: RateUsage) -> Reply:
        return msgspec.structs.replace(reply, headers=reply.headers + _headers(usage))

    def session(self, session: Session, ws_id: str) -> Reply:
        on = session.api_key is not None
        result = {
            "apiKey": session.api_key,
            "authorizedSince": session.now_ms if on else None,
            "connectedSince": session.now_ms,
            "returnRateLimits": True,
            "serverTime": session.now_ms,
            "userDataStream": False,
        }
        return self.value(result, ws_id)

    def _limits(self, usage: RateUsage | None) -> bytes:
        """`rateLimits` of a websocket answer."""
        if usage is None:
            return b"[]"
        weight, orders, minute = (2400, 300, 1200) if self._perp else (6000, 50, 0)
        rows = [
            _limit("REQUEST_WEIGHT", "MINUTE", 1, weight, usage.weight_1m),
            _limit("ORDERS", "SECOND", 10, orders, usage.orders_10s),
            _limit("ORDERS", "MINUTE", 1, minute, usage.orders_1m),
        ]
        return msgspec.json.encode([row for row in rows if row["count"] >= 0])

    # --- orders -------------------------------------------------------------------------------------------------

    def order(
        self,
        call: OrderCall,
        event: VenueEvent,
        *,
        now_ms: int,
        order: LedgerOrder | None,
        replaced: LedgerOrder | None,
        usage: RateUsage,
        status: int,
    ) -> Reply:
        if isinstance(event, VenueReject):
            return self._reject(call, event, replaced, usage, status, now_ms)
        if isinstance(event, VenueCountdownAck):
            name = self._spellers[event.symbol].name
            return self.value({"symbol": name, "countdownTime": str(event.countdown_ms)}, call.ws_id, usage)
        if isinstance(call.request, VenueCancelAll):
            done = {"code": 200, "msg": "The operation of cancel all open order is done."}
            return self.value(done if self._perp else [], call.ws_id, usage)
        if not isinstance(event, VenueAck | VenueOrder):
            raise OurFault(f"{call.operation} is not answered by {event!r}")
        row = self._row(call, event, order, now_ms)
        if isinstance(call.request, VenueReplace) and not self._perp:
            old = self._old_row(call.request, replaced, now_ms)
            both = {
                "cancelResult": "SUCCESS",
                "newOrderResult": "SUCCESS",
                "cancelResponse": old,
                "newOrderResponse": row,
            }
            return self.value(both, call.ws_id, usage)
        return self.value(row, call.ws_id, usage)

    def _reject(
        self,
        call: OrderCall,
        event: VenueReject,
        replaced: LedgerOrder | None,
        usage: RateUsage,
        status: int,
        now_ms: int,
    ) -> Reply:
        if isinstance(call.request, VenueReplace) and not self._perp and status == 0 and event.kind not in _AT_THE_DOOR:
            return self._half_replaced(call, call.request, event, replaced, usage)
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
        request: VenueReplace,
        event: VenueReject,
        replaced: LedgerOrder | None,
        usage: RateUsage,
    ) -> Reply:
        """-2021 when the old order has ended and the new one failed, -2022 when the cancel failed already."""
        code, text, _ = spell(self._market, event.kind, event.code, event.text)
        why = {"code": code, "msg": text}
        if event.client_id == request.new_client_id != request.client_id:
            data: dict[str, Any] = {
                "cancelResult": "SUCCESS",
                "newOrderResult": "FAILURE",
                "cancelResponse": self._old_row(request, replaced, 0),
                "newOrderResponse": why,
            }
            return self.error(-2021, "Order cancel-replace partially failed.", 409, call.ws_id, data=data, usage=usage)
        data = {
            "cancelResult": "FAILURE",
            "newOrderResult": "NOT_ATTEMPTED",
            "cancelResponse": why,
            "newOrderResponse": None,
        }
        return self.error(-2022, "Order cancel-replace failed.", 400, call.ws_id, data=data, usage=usage)

    def _row(
        self, call: OrderCall, event: VenueAck | VenueOrder, order: LedgerOrder | None, now_ms: int
    ) -> dict[str, Any]:
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
            if isinstance(call.request, VenuePlace):
                spelled["fills"] = []  # told by the user stream, never in the answer
        else:
            spelled["updateTime"] = time_ms
        return spelled

    def _old_row(self, request: VenueReplace, replaced: LedgerOrder | None, now_ms: int) -> dict[str, Any]:
        row = replaced or LedgerOrder(
            symbol=request.symbol,
            client_id=request.client_id,
            venue_order_id=request.venue_order_id or "0",
            side=request.side,
            state=OrderState.CANCELLED,
            price_ticks=request.price_ticks,
            lots=request.lots,
            filled_lots=0,
            filled_quote="0",
            created_ms=now_ms,
            updated_ms=now_ms,
        )
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

    # --- market data --------------------------------------------------------------------------------------------

    def depth(self, call: MarketQuery, snapshot: DepthSnapshot, now_ms: int) -> Reply:
        s = self._spellers[snapshot.symbol]
        stamp = f'"E":{now_ms},"T":{now_ms},' if self._perp else ""
        text = (
            f'{{"lastUpdateId":{snapshot.last_seq},{stamp}"bids":[{s.levels(snapshot.bids)}],'
            f'"asks":[{s.levels(snapshot.asks)}]}}'
        )
        return self.raw(text.encode(), call.ws_id)

    def klines(self, call: MarketQuery, klines: Sequence[Kline]) -> Reply:
        s = self._spellers[call.symbols[0]]
        value = s.instrument.usd_per_tick_lot_exact
        rows = [
            [
                k.open_ms,
                s.prices[k.open_ticks],
                s.prices[k.high_ticks],
                s.prices[k.low_ticks],
                s.prices[k.close_ticks],
                s.sizes[k.lots],
                k.close_ms,
                plain(k.lots * k.close_ticks * value),
                k.trades_count,
                s.sizes[k.lots // 2],
                plain(k.lots // 2 * k.close_ticks * value),
                "0",
            ]
            for k in klines
        ]
        return self.value(rows, call.ws_id)

    def trades(self, call: MarketQuery, trades: Sequence[PublicTrade]) -> Reply:
        spelled = self._agg_trade if call.operation == "aggTrades" else self._trade
        return self.value([spelled(trade) for trade in trades], call.ws_id)

    def _trade(self, trade: PublicTrade) -> dict[str, Any]:
        s = self._spellers[trade.symbol]
        quote = trade.lots * trade.price_ticks * s.instrument.usd_per_tick_lot_exact
        row: dict[str, Any] = {
            "id": trade.trade_id,
            "price": s.prices[trade.price_ticks],
            "qty": s.sizes[trade.lots],
            "quoteQty": plain(quote),
            "time": trade.event_ns // NS_PER_MS,
            "isBuyerMaker": trade.side is Side.SELL,
        }
        return row if self._perp else {**row, "isBestMatch": True}

    def _agg_trade(self, trade: PublicTrade) -> dict[str, Any]:
        s = self._spellers[trade.symbol]
        row: dict[str, Any] = {
            "a": trade.trade_id,
            "p": s.prices[trade.price_ticks],
            "q": s.sizes[trade.lots],
            "f": trade.trade_id,
            "l": trade.trade_id,
            "T": trade.event_ns // NS_PER_MS,
            "m": trade.side is Side.SELL,
        }
        return row if self._perp else {**row, "M": True}

    def book_tickers(self, call: MarketQuery, tops: Sequence[TopOfBook]) -> Reply:
        return self._some(call, [self._top(top) for top in tops])

    def _top(self, top: TopOfBook) -> dict[str, Any]:
        s = self._spellers[top.symbol]
        row: dict[str, Any] = {
            "symbol": s.name,
            "bidPrice": s.prices[top.bid_ticks],
            "bidQty": s.sizes[top.bid_lots],
            "askPrice": s.prices[top.ask_ticks],
            "askQty": s.sizes[top.ask_lots],
        }
        return {**row, "lastUpdateId": top.seq, "time": top.event_ns // NS_PER_MS} if self._perp else row

    def prices(self, call: MarketQuery, tops: Sequence[TopOfBook]) -> Reply:
        rows = []
        for top in tops:
            s = self._spellers[top.symbol]
            row: dict[str, Any] = {"symbol": s.name, "price": s.prices[(top.bid_ticks + top.ask_ticks) // 2]}
            rows.append({**row, "time": top.event_ns // NS_PER_MS} if self._perp else row)
        return self._some(call, rows)

    def tickers(self, call: MarketQuery, tickers: Sequence[Ticker]) -> Reply:
        return self._some(call, [self._ticker(ticker) for ticker in tickers])

    def _ticker(self, ticker: Ticker) -> dict[str, Any]:
        top, day = ticker.top, ticker.day
        s = self._spellers[top.symbol]
        change = ticker.last_ticks - day.open_ticks
        share = Decimal(change) / Decimal(day.open_ticks) * 100 if day.open_ticks else Decimal(0)
        last = s.prices[ticker.last_ticks]
        quote = plain(day.lots * day.close_ticks * s.instrument.usd_per_tick_lot_exact)
        row: dict[str, Any] = {
            "symbol": s.name,
            "priceChange": plain(change * s.instrument.tick),
            "priceChangePercent": plain(share.quantize(Decimal("0.001"))),
            "weightedAvgPrice": s.prices[day.close_ticks],
            "lastPrice": last,
            "lastQty": s.sizes[ticker.last_lots],
            "openPrice": s.prices[day.open_ticks],
            "highPrice": s.prices[day.high_ticks],
            "lowPrice": s.prices[day.low_ticks],
            "volume": s.sizes[day.lots],
            "quoteVolume": quote,
            "openTime": day.open_ms,
            "closeTime": day.close_ms,
            "firstId": 0,
            "lastId": 0,
            "count": day.trades_count,
        }
        if self._perp:
            return row
        return {**row, **self._top(top), "prevClosePrice": s.prices[day.open_ticks]}

    def mark_prices(self, call: MarketQuery, marks: Sequence[MarkPrice], now_ms: int) -> Reply:
        rows = []
        for mark in marks:
            s = self._spellers[mark.symbol]
            rows.append(
                {
                    "symbol": s.name,
                    "markPrice": s.price(mark.mark_ticks),
                    "indexPrice": s.price(mark.index_ticks),
                    "estimatedSettlePrice": s.price(mark.mark_ticks),
                    "lastFundingRate": plain_float(mark.funding_rate),
                    "interestRate": "0.00010000",
                    "nextFundingTime": mark.next_funding_ms,
                    "time": now_ms,
                }
            )
        return self._some(call, rows)

    def funding_rates(self, call: MarketQuery, marks: Sequence[MarkPrice]) -> Reply:
        rows = [
            {
                "symbol": self._spellers[mark.symbol].name,
                "fundingRate": plain_float(mark.funding_rate),
                "fundingTime": mark.event_ns // NS_PER_MS,
                "markPrice": self._spellers[mark.symbol].price(mark.mark_ticks),
            }
            for mark in marks
        ]
        return self.value(rows, call.ws_id)

    def _some(self, call: MarketQuery, rows: Sequence[dict[str, Any]]) -> Reply:
        """A list, or the one row where one symbol was named."""
        return self.value(rows if call.listed else rows[0], call.ws_id)

    # --- accounts -----------------------------------------------------------------------------------------------

    def orders(self, call: LedgerQuery, rows: Sequence[LedgerOrder]) -> Reply:
        return self.value([self.order_row(row) for row in rows], call.ws_id)

    def own_trades(self, call: LedgerQuery, rows: Sequence[LedgerTrade]) -> Reply:
        return self.value([self._own_trade(row) for row in rows], call.ws_id)

    def _own_trade(self, row: LedgerTrade) -> dict[str, Any]:
        fill = row.fill
        s = self._spellers[fill.symbol]
        buyer = fill.side is Side.BUY
        common: dict[str, Any] = {
            "symbol": s.name,
            "id": fill.trade_id,
            "orderId": int(fill.venue_order_id or 0),
            "price": s.prices[fill.price_ticks],
            "qty": s.sizes[fill.lots],
            "quoteQty": plain(fill.lots * fill.price_ticks * s.instrument.usd_per_tick_lot_exact),
            "commission": fill.fee,
            "commissionAsset": fill.fee_asset,
            "time": fill.event_ns // NS_PER_MS,
        }
        if self._perp:
            return {
                **common,
                "buyer": buyer,
                "maker": fill.maker,
                "side": fill.side.name,
                "positionSide": "BOTH",
                "realizedPnl": row.realized_pnl,
            }
        return {**common, "orderListId": -1, "isBuyer": buyer, "isMaker": fill.maker, "isBestMatch": True}

    def income(self, call: LedgerQuery, rows: Sequence[LedgerIncome]) -> Reply:
        spelled = [
            {
                "symbol": self._spellers[row.symbol].name if row.symbol else "",
                "incomeType": row.kind,
                "income": row.amount,
                "asset": row.asset,
                "info": row.kind,
                "time": row.time_ms,
                "tranId": row.tran_id,
                "tradeId": str(row.trade_id) if row.trade_id else "",
            }
            for row in rows
        ]
        return self.value(spelled, call.ws_id)

    def amendments(self, call: LedgerQuery, rows: Sequence[LedgerAmendment]) -> Reply:
        newest_first = sorted(rows, key=lambda row: row.amendment_id, reverse=True)
        return self.value([self._amendment(row) for row in newest_first], call.ws_id)

    def _amendment(self, row: LedgerAmendment) -> dict[str, Any]:
        s = self._spellers[row.symbol]
        return {
            "amendmentId": row.amendment_id,
            "symbol": s.name,
            "pair": s.name,
            "orderId": int(row.venue_order_id or 0),
            "clientOrderId": row.client_id,
            "time": row.time_ms,
            "amendment": {
                "price": {"before": s.prices[row.price_ticks_before], "after": s.prices[row.price_ticks]},
                "origQty": {"before": s.sizes[row.lots_before], "after": s.sizes[row.lots]},
                "count": row.amendments_count,
            },
            "priceMatch": "NONE",
        }

    def account(self, call: LedgerQuery, account: LedgerAccount, now_ms: int) -> Reply:
        if call.operation == "account.balance":
            return self.value(
                [_perp_balance(row, account.updated_ms or now_ms) for row in account.balances], call.ws_id
            )
        if call.operation == "account.position":
            rows = [row for row in account.positions if call.symbol in ("", row.symbol)]
            return self.value([self._position_risk(row) for row in rows], call.ws_id)
        if call.operation == "commission":
            return self.value(self._commission(call, account), call.ws_id)
        if call.operation == "accountConfig":
            return self.value(_account_config(account), call.ws_id)
        spelled = self._perp_account(account, now_ms) if self._perp else _spot_account(account)
        return self.value(spelled, call.ws_id)

    def _perp_account(self, account: LedgerAccount, now_ms: int) -> dict[str, Any]:
        wallet = sum((Decimal(row.wallet) for row in account.balances), Decimal(0))
        unrealized = sum((Decimal(row.unrealized) for row in account.balances), Decimal(0))
        margin = sum((Decimal(row.locked) for row in account.balances), Decimal(0))
        equity = wallet + unrealized
        return {
            "feeTier": 0,
            "canTrade": account.can_trade,
            "canDeposit": True,
            "canWithdraw": account.can_withdraw,
            "updateTime": account.updated_ms,
            "totalInitialMargin": plain(margin),
            "totalMaintMargin": "0",
            "totalWalletBalance": plain(wallet),
            "totalUnrealizedProfit": plain(unrealized),
            "totalMarginBalance": plain(equity),
            "totalPositionInitialMargin": plain(margin),
            "totalOpenOrderInitialMargin": "0",
            "totalCrossWalletBalance": plain(wallet),
            "totalCrossUnPnl": plain(unrealized),
            "availableBalance": plain(max(Decimal(0), equity - margin)),
            "maxWithdrawAmount": plain(max(Decimal(0), equity - margin)),
            "assets": [_perp_asset(row, account.updated_ms or now_ms) for row in account.balances],
            "positions": [self._account_position(row) for row in account.positions],
        }

    def _account_position(self, row: LedgerPosition) -> dict[str, Any]:
        s = self._spellers[row.symbol]
        notional = row.position_lots * row.mark_ticks * s.instrument.usd_per_tick_lot
        return {
            "symbol": s.name,
            "positionSide": "BOTH",
            "positionAmt": s.instrument.size_text(row.position_lots),
            "entryPrice": plain_float(row.entry_ticks * s.instrument.tick_float),
            "unrealizedProfit": row.unrealized,
            "isolatedMargin": "0",
            "notional": plain_float(notional),
            "isolatedWallet": "0",
            "initialMargin": "0",
            "maintMargin": "0",
            "leverage": "20",
            "isolated": False,
            "updateTime": row.updated_ms,
        }

    def _position_risk(self, row: LedgerPosition) -> dict[str, Any]:
        s = self._spellers[row.symbol]
        spelled = self._account_position(row)
        profit = spelled.pop("unrealizedProfit")
        return {
            **spelled,
            "breakEvenPrice": spelled["entryPrice"],
            "markPrice": s.price(row.mark_ticks),
            "unRealizedProfit": profit,
            "liquidationPrice": "0",
            "marginType": "cross",
            "isAutoAddMargin": "false",
            "marginAsset": s.instrument.quote,
            "positionInitialMargin": "0",
            "openOrderInitialMargin": "0",
            "adl": 0,
            "bidNotional": "0",
            "askNotional": "0",
        }

    def _commission(self, call: LedgerQuery, account: LedgerAccount) -> Any:
        name = self._spellers[call.symbol].name if call.symbol else ""
        if self._perp:
            return {
                "symbol": name,
                "makerCommissionRate": account.maker_rate,
                "takerCommissionRate": account.taker_rate,
            }
        rates = {"maker": account.maker_rate, "taker": account.taker_rate, "buyer": "0", "seller": "0"}
        none = {"maker": "0", "taker": "0", "buyer": "0", "seller": "0"}
        return {
            "symbol": name,
            "standardCommission": rates,
            "specialCommission": none,
            "taxCommission": none,
            "discount": {
                "enabledForAccount": False,
                "enabledForSymbol": False,
                "discountAsset": "BNB",
                "discount": "0.75",
            },
        }

    # --- user streams -------------------------------------------------------------------------------------------

    def private(self, call: PrivateCall, listen_key: str, subscription_id: int) -> Reply:
        if call.action == "subscribe":
            return self.value({"subscriptionId": subscription_id}, call.ws_id)
        if call.action in ("start", "keep"):
            if not listen_key:
                return self.error(-1125, "This listenKey does not exist.", 400, call.ws_id)
            return self.value({"listenKey": listen_key}, call.ws_id)
        return self.value({}, call.ws_id)


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


def _spot_account(account: LedgerAccount) -> dict[str, Any]:
    return {
        "makerCommission": _bps(account.maker_rate),
        "takerCommission": _bps(account.taker_rate),
        "buyerCommission": 0,
        "sellerCommission": 0,
        "commissionRates": {"maker": account.maker_rate, "taker": account.taker_rate, "buyer": "0", "seller": "0"},
        "canTrade": account.can_trade,
        "canWithdraw": account.can_withdraw,
        "canDeposit": True,
        "brokered": False,
        "requireSelfTradePrevention": False,
        "preventSor": False,
        "updateTime": account.updated_ms,
        "accountType": "SPOT",
        "balances": [
            {"asset": row.asset, "free": plain(Decimal(row.wallet) - Decimal(row.locked)), "locked": row.locked}
            for row in account.balances
        ],
        "permissions": ["SPOT"],
        "uid": 0,
    }


def _account_config(account: LedgerAccount) -> dict[str, Any]:
    return {
        "feeTier": 0,
        "canTrade": account.can_trade,
        "canDeposit": True,
        "canWithdraw": account.can_withdraw,
        "dualSidePosition": False,
        "updateTime": 0,
        "multiAssetsMargin": False,
        "tradeGroupId": -1,
    }


def _perp_asset(row: LedgerBalance, updated_ms: int) -> dict[str, Any]:
    wallet, unrealized, margin = Decimal(row.wallet), Decimal(row.unrealized), Decimal(row.locked)
    free = plain(max(Decimal(0), wallet + unrealized - margin))
    return {
        "asset": row.asset,
        "walletBalance": row.wallet,
        "unrealizedProfit": row.unrealized,
        "marginBalance": plain(wallet + unrealized),
        "maintMargin": "0",
        "initialMargin": row.locked,
        "positionInitialMargin": row.locked,
        "openOrderInitialMargin": "0",
        "crossWalletBalance": row.wallet,
        "crossUnPnl": row.unrealized,
        "availableBalance": free,
        "maxWithdrawAmount": free,
        "marginAvailable": True,
        "updateTime": updated_ms,
    }


def _perp_balance(row: LedgerBalance, updated_ms: int) -> dict[str, Any]:
    free = plain(Decimal(row.wallet) - Decimal(row.locked))
    return {
        "accountAlias": "sim",
        "asset": row.asset,
        "balance": row.wallet,
        "crossWalletBalance": row.wallet,
        "crossUnPnl": row.unrealized,
        "availableBalance": free,
        "maxWithdrawAmount": free,
        "marginAvailable": True,
        "updateTime": updated_ms,
    }


def _bps(rate: str) -> int:
    return int(Decimal(rate) * 10_000)


def _limit(kind: str, interval: str, count: int, limit: int, used: int) -> dict[str, Any]:
    return {"rateLimitType": kind, "interval": interval, "intervalNum": count, "limit": limit, "count": used}


def _headers(usage: RateUsage | None) -> tuple[tuple[str, str], ...]:
    if usage is None:
        return ()
    rows = (
        ("X-MBX-USED-WEIGHT-1M", usage.weight_1m),
        ("X-MBX-ORDER-COUNT-10S", usage.orders_10s),
        ("X-MBX-ORDER-COUNT-1M", usage.orders_1m),
    )
    return tuple((name, str(count)) for name, count in rows if count >= 0)
