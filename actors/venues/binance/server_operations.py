"""Operations of a simulated Binance: parameters of an authenticated request to a `Call`.

Static filters are checked here because they come before the order exists: step, smallest and largest size, smallest
notional of a limit order. What needs the book or the account (post-only, funds, open-order counts) is the exchange's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import msgspec

from actors.venues.binance.calls import Call, Done, LedgerQuery, MarketQuery, OrderCall, PrivateCall
from actors.venues.binance.common import (
    CLIENT_ID,
    DEPTH_WEIGHTS,
    KLINE_INTERVALS_MS,
    UNREADABLE,
    SymbolMap,
    market_of,
)
from actors.venues.binance.metadata import PRICE_TICKS_MAX, SPOT_NOTIONAL_MAX, encode_exchange_info
from actors.venues.binance.server_auth import Refused
from actors.venues.binance.server_endpoints import OPEN_ORDERS_WEIGHTS, WEIGHTS
from actors.venues.binance.server_forms import Forms
from actors.venues.server_requests import CancelReplace
from actors.vocab.errors import VenueFault
from actors.vocab.instruments import Instrument
from actors.vocab.market import Side
from actors.vocab.venue_io import (
    VenueCancel,
    VenueCancelAll,
    VenueCountdown,
    VenuePlace,
    VenueQueryOrder,
    VenueReplace,
    VenueRequest,
)

Params = Mapping[str, str]


_DEPTH_LIMITS_PERP: Final = frozenset(limit for limit, _ in DEPTH_WEIGHTS["perp"])
_ROWS_DEFAULT: Final = {"income": 100}
_ROWS_MAX: Final = 1000


class Operations:
    """Turns one authenticated request into a `Call`. Raises `Refused`; `server.py` spells that."""

    def __init__(self, venue: str, names: SymbolMap, forms: Forms) -> None:
        self._venue = venue
        self._market = market_of(venue)
        self._names = names
        self._forms = forms
        # operation -> (params, account, context) -> Call
        self._by_name: dict[str, Callable[[_Asked], Call]] = {
            "ping": lambda asked: self._done(asked, {}),
            "time": lambda asked: self._done(asked, {"serverTime": asked.now_ms}),
            "exchangeInfo": self._exchange_info,
            "depth": self._depth,
            "klines": self._klines,
            "trades": lambda asked: self._of_one(asked, "trades"),
            "aggTrades": lambda asked: self._of_one(asked, "trades"),
            "bookTicker": lambda asked: self._of_some(asked, "book_tickers"),
            "price": lambda asked: self._of_some(asked, "prices"),
            "ticker24hr": lambda asked: self._of_some(asked, "tickers"),
            "premiumIndex": lambda asked: self._of_some(asked, "mark_prices"),
            "fundingRate": lambda asked: self._of_some(asked, "funding_rates", rows=100),
            "fundingInfo": lambda asked: self._done(asked, []),  # every symbol keeps the default interval
            "order.place": self._place,
            "order.test": self._test,
            "order.modify": self._modify,
            "order.cancelReplace": self._cancel_replace,
            "order.cancel": self._cancel,
            "order.status": self._status,
            "openOrders.cancelAll": self._cancel_all,
            "openOrders.status": lambda asked: self._rows(asked, "orders", one=False, open_only=True),
            "allOrders": lambda asked: self._rows(asked, "orders", from_name="orderId"),
            "myTrades": lambda asked: self._rows(asked, "own_trades", from_name="fromId", order_id=True),
            "amendments": lambda asked: self._rows(asked, "amendments", order_id=True),
            "income": lambda asked: self._rows(asked, "income", one=False),
            "account.status": lambda asked: self._rows(asked, "account", one=False),
            "account.balance": lambda asked: self._rows(asked, "account", one=False),
            "account.position": lambda asked: self._rows(asked, "account", one=False),
            "commission": lambda asked: self._rows(asked, "account", one=False),
            "accountConfig": lambda asked: self._rows(asked, "account", one=False),
            "countdown": self._countdown,
            "leverageBracket": lambda asked: self._listed(asked, _bracket),
            "symbolConfig": lambda asked: self._listed(asked, _symbol_config),
            "positionMode": lambda asked: self._done(asked, {"dualSidePosition": False}),
            "positionMode.set": self._set_position_mode,
            "multiAssets": lambda asked: self._done(asked, {"multiAssetsMargin": False}),
            "multiAssets.set": lambda asked: self._already(-4171, "No need to change multi-assets mode."),
            "leverage.set": self._set_leverage,
            "marginType.set": lambda asked: self._already(-4046, "No need to change margin type."),
            "rateLimits": lambda asked: self._rows(asked, "order_counts", one=False),
            "coins": lambda asked: self._done(asked, []),
            "marginPairs": lambda asked: self._done(asked, []),
            # Nothing is margined in coin; clients load all kinds of contract at once.
            "coinMargined": lambda asked: self._done(asked, {"symbols": []}),
            "userDataStream.start": lambda asked: self._private(asked, "start"),
            "userDataStream.ping": lambda asked: self._private(asked, "keep"),
            "userDataStream.stop": lambda asked: self._private(asked, "close"),
            "userDataStream.subscribe": lambda asked: self._private(asked, "subscribe"),
            "session.subscriptions": lambda asked: self._private(asked, "subscriptions"),
            "userDataStream.unsubscribe": lambda asked: self._private(asked, "unsubscribe"),
        }

    def call(
        self, name: str, params: Params, account: str, *, now_ms: int, request_no: int, ws_id: str | None = None
    ) -> Call:
        return self._by_name[name](_Asked(name, params, account, now_ms, request_no, ws_id))

    def weight_of(self, call: Call) -> int:
        if isinstance(call, MarketQuery) and call.kind == "depth":
            for limit, weight in DEPTH_WEIGHTS[self._market]:
                if call.limit <= limit:
                    return weight
        name = getattr(call, "operation", "")
        if isinstance(call, LedgerQuery) and call.open_only and not call.symbol:
            return OPEN_ORDERS_WEIGHTS[self._market]
        return WEIGHTS[self._market].get(name, 1)

    def _done(self, asked: _Asked, value: Any) -> Done:
        return Done(self._forms.value(value, asked.ws_id))

    # --- public data --------------------------------------------------------------------------------------------

    def _exchange_info(self, asked: _Asked) -> Done:
        rows = list(self._names.by_symbol.values())
        wanted = asked.params.get("symbol", "")
        names = [wanted] if wanted else _json_list(asked.params.get("symbols", ""))
        if names:
            rows = [self._instrument(name) for name in names]
        return Done(self._forms.raw(encode_exchange_info(self._venue, rows, asked.now_ms), asked.ws_id))

    def _depth(self, asked: _Asked) -> MarketQuery:
        limit = asked.integer("limit", 500 if self._market == "perp" else 100)
        if self._market == "perp" and limit not in _DEPTH_LIMITS_PERP:
            raise Refused(-4021, f"Depth limit {limit} is not valid.")
        if limit < 1:
            raise Refused(-1130, "Data sent for parameter 'limit' is not valid.")
        symbol = self._instrument(asked.text("symbol")).symbol
        return asked.market_query("depth", (symbol,), limit=min(limit, DEPTH_WEIGHTS[self._market][-1][0]))

    def _klines(self, asked: _Asked) -> MarketQuery:
        length_ms = KLINE_INTERVALS_MS.get(asked.text("interval"))
        if length_ms is None or length_ms < 60_000:  # candles of a second are not kept
            raise Refused(-1120, "Invalid interval.")
        symbol = self._instrument(asked.text("symbol")).symbol
        return asked.market_query("klines", (symbol,), limit=asked.rows(500, 1500), interval_ms=length_ms)

    def _of_one(self, asked: _Asked, kind: str) -> MarketQuery:
        symbol = self._instrument(asked.text("symbol")).symbol
        return asked.market_query(kind, (symbol,), limit=asked.rows(500, _ROWS_MAX))

    def _of_some(self, asked: _Asked, kind: str, rows: int = 500) -> MarketQuery:
        one = asked.params.get("symbol", "")
        names = [one] if one else _json_list(asked.params.get("symbols", ""))
        symbols = tuple(self._instrument(name).symbol for name in names) or tuple(self._names.by_symbol)
        return asked.market_query(kind, symbols, limit=asked.rows(rows, _ROWS_MAX), listed=not one)

    # --- orders -------------------------------------------------------------------------------------------------

    def _place(self, asked: _Asked) -> OrderCall:
        self._check_response_type(asked)
        row, side, kind = self._order_head(asked)
        lots = self._lots(row, asked.text("quantity"))
        market = kind == "MARKET"
        ticks = 0 if market else self._ticks(row, asked.text("price"))
        reduce_only = asked.params.get("reduceOnly", "false").lower() == "true"
        if not market and not (reduce_only and self._market == "perp"):
            self._check_notional(row, ticks, lots)
        return asked.order_call(
            VenuePlace(
                request_no=asked.request_no,
                symbol=row.symbol,
                client_id=self._client_id(asked, "newClientOrderId"),
                side=side,
                price_ticks=ticks,
                lots=lots,
                post_only=self._post_only(asked, kind),
                reduce_only=reduce_only,
                market=market,
            )
        )

    def _check_response_type(self, asked: _Asked) -> None:
        """`server_orders.py` reads it."""
        known = ("ACK", "RESULT") if self._market == "perp" else ("ACK", "RESULT", "FULL")
        if asked.params.get("newOrderRespType", "ACK") not in known:
            raise Refused(-1100, "Illegal characters found in parameter 'newOrderRespType'.")

    def _test(self, asked: _Asked) -> Done:
        self._place(asked)
        return self._done(asked, {})

    def _order_head(self, asked: _Asked) -> tuple[Instrument, Side, str]:
        row = self._instrument(asked.text("symbol"))
        side = asked.text("side")
        if side not in Side.__members__:
            raise Refused(-1117, "Invalid side.")
        kind = asked.text("type")
        known = ("LIMIT", "MARKET") if self._market == "perp" else ("LIMIT", "MARKET", "LIMIT_MAKER")
        if kind not in known:
            if self._market == "perp" and kind.startswith(("STOP", "TAKE_PROFIT", "TRAILING")):
                raise Refused(
                    -4120,
                    "Order type not supported for this endpoint. Please use the Algo Order API endpoints instead.",
                )
            raise Refused(-1116, "Invalid orderType.")
        if asked.params.get("positionSide", "BOTH") != "BOTH":
            raise Refused(-4061, "Order's position side does not match user's setting.")
        if kind == "MARKET" and "quoteOrderQty" in asked.params:
            raise Refused(-2010, "Quote order qty market orders are not support for this symbol.")
        return row, Side[side], kind

    def _post_only(self, asked: _Asked, kind: str) -> bool:
        if kind in ("MARKET", "LIMIT_MAKER"):
            if asked.params.get("timeInForce"):
                raise Refused(-1106, "Parameter 'timeInForce' sent when not required.")
            return kind == "LIMIT_MAKER"
        in_force = asked.text("timeInForce")
        if in_force == "GTX" and self._market == "perp":
            return True
        if in_force != "GTC":
            raise Refused(-1115, "Invalid timeInForce.")
        return False

    def _modify(self, asked: _Asked) -> OrderCall:
        row = self._instrument(asked.text("symbol"))
        side = asked.text("side")
        if side not in Side.__members__:
            raise Refused(-1117, "Invalid side.")
        lots, ticks = self._lots(row, asked.text("quantity")), self._ticks(row, asked.text("price"))
        client_id, order_id = self._which(asked)
        return asked.order_call(
            VenueReplace(
                request_no=asked.request_no,
                symbol=row.symbol,
                client_id=client_id,
                new_client_id=client_id,
                venue_order_id=order_id,
                side=Side[side],
                price_ticks=ticks,
                lots=lots,
            )
        )

    def _cancel_replace(self, asked: _Asked) -> OrderCall:
        """`lots` is the new order's size: the client has taken the filled part off already.

        The new order's filters come before the cancel (rest-api.md § Cancel an Existing Order and Send a New Order).
        """
        self._check_response_type(asked)
        row, side, kind = self._order_head(asked)
        mode = asked.text("cancelReplaceMode")
        if mode not in ("STOP_ON_FAILURE", "ALLOW_FAILURE"):
            raise Refused(-1145, "Invalid cancelReplaceMode.")
        if asked.params.get("cancelRestrictions"):
            raise Refused(-1104, "Not all sent parameters were read; 'cancelRestrictions' is not simulated.")
        market = kind == "MARKET"
        lots = self._lots(row, asked.text("quantity"))
        ticks = 0 if market else self._ticks(row, asked.text("price"))
        if not market:
            self._check_notional(row, ticks, lots)
        client_id, order_id = self._which(asked, client="cancelOrigClientOrderId", order="cancelOrderId")
        return asked.order_call(
            CancelReplace(
                request_no=asked.request_no,
                symbol=row.symbol,
                client_id=client_id,
                new_client_id=self._client_id(asked, "newClientOrderId"),
                venue_order_id=order_id,
                side=side,
                price_ticks=ticks,
                lots=lots,
                post_only=self._post_only(asked, kind),
                market=market,
                allow_failure=mode == "ALLOW_FAILURE",
            )
        )

    def _cancel(self, asked: _Asked) -> OrderCall:
        row = self._instrument(asked.text("symbol"))
        client_id, order_id = self._which(asked)
        return asked.order_call(VenueCancel(asked.request_no, row.symbol, client_id, order_id))

    def _status(self, asked: _Asked) -> OrderCall:
        row = self._instrument(asked.text("symbol"))
        client_id, order_id = self._which(asked)
        return asked.order_call(VenueQueryOrder(asked.request_no, row.symbol, client_id, order_id))

    def _cancel_all(self, asked: _Asked) -> OrderCall:
        row = self._instrument(asked.text("symbol"))
        return asked.order_call(VenueCancelAll(asked.request_no, row.symbol))

    def _countdown(self, asked: _Asked) -> OrderCall:
        row = self._instrument(asked.text("symbol"))
        return asked.order_call(VenueCountdown(asked.request_no, row.symbol, asked.integer("countdownTime", -1)))

    def _which(self, asked: _Asked, *, client: str = "origClientOrderId", order: str = "orderId") -> tuple[str, str]:
        """Our id and the venue's; one suffices, and the venue's wins where both are sent (rest-api.md)."""
        order_id, client_id = asked.params.get(order, ""), asked.params.get(client, "")
        if not order_id and not client_id:
            raise Refused(-1102, f"Param '{client}' or '{order}' must be sent, but both were empty/null!")
        if order_id and not order_id.isdigit():
            raise Refused(-1100, f"Illegal characters found in parameter '{order}'.")
        return ("" if order_id else client_id), order_id

    def _client_id(self, asked: _Asked, name: str) -> str:
        """The venue makes one where the client sent none."""
        client_id = asked.params.get(name, "")
        if not client_id:
            return f"x{asked.now_ms}n{asked.request_no}"
        if CLIENT_ID[self._market].fullmatch(client_id) is None:
            if self._market == "perp":
                raise Refused(-4015, "Client order id is not valid.")
            raise Refused(
                -1100,
                f"Illegal characters found in parameter '{name}'; legal range is '^[a-zA-Z0-9-_]{{1,36}}$'.",
            )
        return client_id

    def _instrument(self, venue_symbol: str) -> Instrument:
        book = self._names.books.get(venue_symbol)
        if book is None:
            raise Refused(-1121, "Invalid symbol.")
        return book.instrument

    def _ticks(self, row: Instrument, text: str) -> int:
        ticks = self._steps(row, text, price=True)
        if ticks <= 0:
            raise (
                Refused(-4001, "Price less than 0.")
                if self._market == "perp"
                else Refused(-1013, "Filter failure: PRICE_FILTER")
            )
        if ticks > PRICE_TICKS_MAX:
            raise (
                Refused(-4002, "Price greater than max price.")
                if self._market == "perp"
                else Refused(-1013, "Filter failure: PRICE_FILTER")
            )
        return ticks

    def _lots(self, row: Instrument, text: str) -> int:
        lots = self._steps(row, text, price=False)
        if self._market == "spot" and not row.lots_min <= lots <= row.lots_max:
            raise Refused(-1013, "Filter failure: LOT_SIZE")
        if lots < row.lots_min:
            raise (
                Refused(-4003, "Quantity less than or equal to zero.")
                if lots <= 0
                else Refused(-4004, "Quantity less than minimum quantity.")
            )
        if lots > row.lots_max:
            raise Refused(-4005, "Quantity greater than max quantity.")
        return lots

    def _steps(self, row: Instrument, text: str, *, price: bool) -> int:
        book = self._names.books[row.venue_symbol]
        try:
            return (book.ticks if price else book.lots)[text]
        except VenueFault:
            pass
        try:
            value = Decimal(text)
        except InvalidOperation:
            name = "price" if price else "quantity"
            raise Refused(-1100, f"Illegal characters found in parameter '{name}'.") from None
        if self._market == "spot":
            raise Refused(-1013, f"Filter failure: {'PRICE_FILTER' if price else 'LOT_SIZE'}")
        if value <= 0:
            raise (
                Refused(-4001, "Price less than 0.")
                if price
                else Refused(-4003, "Quantity less than or equal to zero.")
            )
        if price:
            raise Refused(-4014, "Price not increased by tick size.")
        raise Refused(-4023, "Qty not increased by step size.")

    def _check_notional(self, row: Instrument, ticks: int, lots: int) -> None:
        usd = ticks * lots * row.usd_per_tick_lot_exact
        too_much = self._market == "spot" and usd > Decimal(SPOT_NOTIONAL_MAX)
        if usd >= Decimal(row.min_notional) and not too_much:
            return
        if self._market == "spot":
            raise Refused(-1013, "Filter failure: NOTIONAL")
        raise Refused(
            -4164, f"Order's notional must be no smaller than {row.min_notional} (unless you choose reduce only)."
        )

    # --- accounts -----------------------------------------------------------------------------------------------

    def _rows(
        self,
        asked: _Asked,
        kind: str,
        *,
        one: bool = True,
        open_only: bool = False,
        from_name: str = "",
        order_id: bool = False,
    ) -> LedgerQuery:
        """`one`: the symbol is mandatory. `from_name` names the parameter that rows start from."""
        name = asked.text("symbol") if one else asked.params.get("symbol", "")
        return LedgerQuery(
            account=asked.account,
            kind=kind,
            symbol=self._instrument(name).symbol if name else "",
            limit=0 if open_only else asked.rows(_ROWS_DEFAULT.get(kind, 500), _ROWS_MAX),
            start_ms=asked.integer("startTime", 0),
            end_ms=asked.integer("endTime", 0),
            from_id=asked.integer(from_name, 0) if from_name else 0,
            order_id=asked.params.get("orderId", "") if order_id else "",
            client_id=asked.params.get("origClientOrderId", ""),
            income_kind=asked.params.get("incomeType", ""),
            open_only=open_only,
            ws_id=asked.ws_id,
            operation=asked.name,
        )

    def _listed(self, asked: _Asked, spell: Callable[[Instrument], dict[str, Any]]) -> Done:
        name = asked.params.get("symbol", "")
        rows = [self._instrument(name)] if name else list(self._names.by_symbol.values())
        return self._done(asked, [spell(row) for row in rows])

    def _set_position_mode(self, asked: _Asked) -> Done:
        if asked.text("dualSidePosition").lower() == "true":
            raise Refused(-4061, "Hedge mode is not offered by this venue.")
        return self._already(-4059, "No need to change position side.")

    def _set_leverage(self, asked: _Asked) -> Done:
        leverage = asked.integer("leverage", 0)
        if leverage != LEVERAGE:  # margin is taken at one leverage here: to agree to another would be a lie
            raise Refused(-4028, f"Leverage {leverage} is not valid")
        symbol = self._instrument(asked.text("symbol")).venue_symbol
        return self._done(asked, {"leverage": leverage, "maxNotionalValue": str(NOTIONAL_CAP), "symbol": symbol})

    def _already(self, code: int, text: str) -> Done:
        raise Refused(code, text)

    def _private(self, asked: _Asked, action: str) -> PrivateCall:
        return PrivateCall(
            account=asked.account,
            action=action,
            listen_key=asked.params.get("listenKey", ""),
            subscription_id=asked.integer("subscriptionId", 0),
            ws_id=asked.ws_id,
            operation=asked.name,
        )


LEVERAGE: Final = 20
NOTIONAL_CAP: Final = 100_000_000


def _bracket(row: Instrument) -> dict[str, Any]:
    return {
        "symbol": row.venue_symbol,
        "brackets": [
            {
                "bracket": 1,
                "initialLeverage": LEVERAGE,
                "notionalCap": NOTIONAL_CAP,
                "notionalFloor": 0,
                "maintMarginRatio": 0.025,
                "cum": 0.0,
            }
        ],
    }


def _symbol_config(row: Instrument) -> dict[str, Any]:
    return {
        "symbol": row.venue_symbol,
        "marginType": "CROSSED",
        "isAutoAddMargin": False,
        "leverage": LEVERAGE,
        "maxNotionalValue": str(NOTIONAL_CAP),
    }


class _Asked:
    """One request on its way through `Operations`."""

    __slots__ = ("account", "name", "now_ms", "params", "request_no", "ws_id")

    def __init__(
        self, name: str, params: Params, account: str, now_ms: int, request_no: int, ws_id: str | None
    ) -> None:
        self.name = name
        self.params = params
        self.account = account
        self.now_ms = now_ms
        self.request_no = request_no
        self.ws_id = ws_id

    def text(self, name: str) -> str:
        """A mandatory parameter."""
        value = self.params.get(name, "")
        if not value:
            raise Refused(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")
        return value

    def integer(self, name: str, default: int) -> int:
        value = self.params.get(name, "")
        if not value:
            if default < 0:
                self.text(name)
            return default
        if not value.isdigit():
            raise Refused(-1100, f"Illegal characters found in parameter '{name}'; legal range is '^[0-9]{{1,20}}$'.")
        return int(value)

    def rows(self, default: int, most: int) -> int:
        limit = self.integer("limit", default)
        if limit < 1:
            raise Refused(-1130, "Data sent for parameter 'limit' is not valid.")
        return min(limit, most)

    def market_query(
        self, kind: str, symbols: tuple[str, ...], *, limit: int, interval_ms: int = 60_000, listed: bool = False
    ) -> MarketQuery:
        return MarketQuery(
            kind=kind,
            symbols=symbols,
            limit=limit,
            interval_ms=interval_ms,
            start_ms=self.integer("startTime", 0),
            end_ms=self.integer("endTime", 0),
            from_id=self.integer("fromId", 0),
            listed=listed,
            ws_id=self.ws_id,
            operation=self.name,
        )

    def order_call(self, request: VenueRequest) -> OrderCall:
        return OrderCall(self.account, request, self.name, self.ws_id, tuple(self.params.items()))


def _json_list(text: str) -> list[str]:
    if not text:
        return []
    try:
        return msgspec.json.decode(text.encode(), type=list[str])
    except UNREADABLE:
        raise Refused(-1100, "Illegal characters found in parameter 'symbols'.") from None
