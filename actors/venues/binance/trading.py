"""Order entry and account queries of both markets, client role: `TradingDialect`.

Orders, replaces and cancels go over the websocket API where an address for it is configured, everything else over
REST. What comes back is read in `replies.py`, the user stream in `private.py`.
Source: rest-api.md, web-socket-api.md (2026-07-21); USD-M "Trade" and "Account" pages, read 2026-07.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from actors.venues.binance.common import (
    BALANCE_PATH,
    CANCEL_REPLACE_PATH,
    CLIENT_ID,
    COUNTDOWN_PATH,
    INCOME_PATH,
    LISTEN_KEY_PATH,
    PATHS,
    POSITIONS_PATH,
    UNREADABLE,
    SymbolMap,
    market_of,
)
from actors.venues.binance.errors import SUBSCRIBED_ALREADY
from actors.venues.binance.private import PrivateReader
from actors.venues.binance.replies import ReplyReader
from actors.venues.binance.signer import Signer
from actors.venues.dialect import Credentials, HttpRequest, WsCall
from actors.vocab.errors import ConfigError, OurFault, VenueFault
from actors.vocab.instruments import Instrument
from actors.vocab.venue_io import (
    VenueBalancesQuery,
    VenueCancel,
    VenueCancelAll,
    VenueCountdown,
    VenueEvent,
    VenueFundingQuery,
    VenueOpenOrdersQuery,
    VenuePlace,
    VenuePositionsQuery,
    VenueQueryOrder,
    VenueReplace,
    VenueRequest,
    VenueTimeQuery,
    VenueTradesQuery,
)

# The key lives 60 minutes; the manual advises a refresh every 30.
LISTEN_KEY_KEEPALIVE_MS: Final = 30 * 60_000
TRADES_PER_PAGE: Final = 1000
INCOME_PER_PAGE: Final = 1000
PRIVATE_CALL_ID: Final = "private"

Params = dict[str, str]


class _Call(msgspec.Struct, frozen=True):
    """One request before it is signed: REST method and path, websocket method ("" where there is none)."""

    http: str
    path: str
    ws: str
    params: Params
    weight: int = 1
    signed: bool = True


class _ListenKey(msgspec.Struct):
    listenKey: str = ""


class _WsError(msgspec.Struct):
    code: int = 0


class _WsStatus(msgspec.Struct):
    status: int = 0
    error: _WsError | None = None


_listen_key = msgspec.json.Decoder(_ListenKey)
_ws_status = msgspec.json.Decoder(_WsStatus)


class BinanceTrading:
    """`TradingDialect` of one account. Pure: it signs and spells, the caller carries.

    `order_url` is only looked at for being there. On spot the user stream needs it as well, since spot has no other
    way to it. `stream_url` is scheme and host of the streams, for the address of the USD-M user stream.
    """

    def __init__(
        self,
        venue: str,
        credentials: Credentials,
        instruments: Sequence[Instrument] = (),
        *,
        order_url: str = "",
        stream_url: str = "",
        recv_window_ms: int = 5_000,
    ) -> None:
        self.venue = venue
        self._market = market_of(venue)
        self._paths = PATHS[self._market]
        self._signer = Signer(credentials)
        self._orders_by_ws = bool(order_url)
        self._stream_url = stream_url.rstrip("/")
        self._recv_window = str(recv_window_ms)
        self._names = SymbolMap(venue, instruments)
        self._replies = ReplyReader(venue, self._names)
        self._private = PrivateReader(venue, self._names)
        self.private_keepalive_ms = LISTEN_KEY_KEEPALIVE_MS if self._market == "perp" else 0
        self._listen_key = ""

    def use(self, instruments: Sequence[Instrument]) -> None:
        self._names.use(instruments)

    def client_id_ok(self, client_id: str) -> bool:
        return CLIENT_ID[self._market].fullmatch(client_id) is not None

    # --- requests -----------------------------------------------------------------------------------------------

    def encode(self, request: VenueRequest, *, timestamp_ms: int) -> HttpRequest | WsCall:
        """`OurFault` for what the venue cannot do (countdown on spot) and for a client id that it would refuse."""
        call = self._call(request)
        if self._orders_by_ws and call.ws:
            return self._ws_call(str(request.request_no), call.ws, call.params, timestamp_ms)
        return self._http(call, timestamp_ms)

    def signed_get(self, path: str, params: Mapping[str, str], *, timestamp_ms: int, weight: int = 1) -> HttpRequest:
        """Any signed read-only query; `audit.py` spells its own with it."""
        return self._http(_Call("GET", path, "", dict(params), weight), timestamp_ms)

    @property
    def names(self) -> SymbolMap:
        return self._names

    def _http(self, call: _Call, timestamp_ms: int) -> HttpRequest:
        headers = (("X-MBX-APIKEY", self._signer.api_key),)
        if not call.signed:
            return HttpRequest(call.http, call.path, weight=call.weight)
        params = {**call.params, "recvWindow": self._recv_window, "timestamp": str(timestamp_ms)}
        return HttpRequest(call.http, f"{call.path}?{self._signer.rest_query(params)}", headers, weight=call.weight)

    def _ws_call(self, call_id: str, method: str, params: Params, timestamp_ms: int) -> WsCall:
        signed = self._signer.ws_params({**params, "recvWindow": self._recv_window, "timestamp": timestamp_ms})
        frame = msgspec.json.encode({"id": call_id, "method": method, "params": signed})
        return WsCall(call_id, frame.decode())

    def _call(self, request: VenueRequest) -> _Call:
        paths, perp = self._paths, self._market == "perp"
        match request:
            case VenuePlace():
                # Successful orders weigh nothing against the address on either market; they have counts of their own.
                return _Call("POST", paths.order, "order.place", self._place(request), weight=0)
            case VenueReplace() if perp:
                return _Call("PUT", paths.order, "order.modify", self._modify(request), weight=1)
            case VenueReplace():
                params = self._cancel_replace(request)
                return _Call("POST", CANCEL_REPLACE_PATH, "order.cancelReplace", params, weight=1)
            case VenueCancel():
                params = {"symbol": self._name(request.symbol), "origClientOrderId": request.client_id}
                return _Call("DELETE", paths.order, "order.cancel", params)
            case VenueCancelAll():
                ws = "" if perp else "openOrders.cancelAll"
                return _Call("DELETE", paths.cancel_all, ws, {"symbol": self._name(request.symbol)})
            case VenueQueryOrder():
                params = {"symbol": self._name(request.symbol), "origClientOrderId": request.client_id}
                return _Call("GET", paths.order, "", params, weight=1 if perp else 4)
            case VenueOpenOrdersQuery():
                one = {"symbol": self._name(request.symbol)} if request.symbol else {}
                weight = (1 if one else 40) if perp else (6 if one else 80)
                return _Call("GET", paths.open_orders, "", one, weight)
            case VenueTradesQuery():
                return _Call("GET", paths.own_trades, "", self._trades(request), weight=5 if perp else 20)
            case VenuePositionsQuery():
                return _Call("GET", POSITIONS_PATH if perp else paths.account, "", {}, weight=5 if perp else 20)
            case VenueFundingQuery():
                if not perp:
                    raise OurFault("spot pays no funding")
                params = {
                    "incomeType": "FUNDING_FEE",
                    "startTime": str(request.since_ms),
                    "limit": str(INCOME_PER_PAGE),
                }
                return _Call("GET", INCOME_PATH, "", params, weight=30)
            case VenueBalancesQuery():
                return _Call("GET", BALANCE_PATH if perp else paths.account, "", {}, weight=5 if perp else 20)
            case VenueCountdown():
                if not perp:
                    raise OurFault("spot has no countdown: ask whether the venue has one before arming it")
                params = {"symbol": self._name(request.symbol), "countdownTime": str(request.countdown_ms)}
                return _Call("POST", COUNTDOWN_PATH, "", params, weight=10)
            case VenueTimeQuery():
                return _Call("GET", paths.time, "", {}, signed=False)

    def _name(self, symbol: str) -> str:
        return self._names.instrument(symbol).venue_symbol

    def _checked_id(self, client_id: str) -> str:
        if not self.client_id_ok(client_id):
            raise OurFault(f"client id {client_id!r} does not match {CLIENT_ID[self._market].pattern}")
        return client_id

    def _place(self, request: VenuePlace) -> Params:
        row = self._names.instrument(request.symbol)
        params = {"symbol": row.venue_symbol, "side": request.side.name}
        if request.market:
            params["type"] = "MARKET"
        elif request.post_only and self._market == "spot":
            params["type"] = "LIMIT_MAKER"
        else:
            params["type"] = "LIMIT"
            params["timeInForce"] = "GTX" if request.post_only else "GTC"
        params["quantity"] = row.size_text(request.lots)
        if not request.market:
            params["price"] = row.price_text(request.price_ticks)
        if request.reduce_only and self._market == "perp":
            params["reduceOnly"] = "true"
        params["newClientOrderId"] = self._checked_id(request.client_id)
        # RESULT tells whether a post-only order rests or has ended; ACK says NEW to both on USD-M.
        params["newOrderRespType"] = "RESULT"
        return params

    def _modify(self, request: VenueReplace) -> Params:
        """The order keeps its client id and its time in force: a GTX order that would take is cancelled."""
        row = self._names.instrument(request.symbol)
        return {
            "symbol": row.venue_symbol,
            "side": request.side.name,
            "origClientOrderId": request.client_id,
            "quantity": row.size_text(request.lots),
            "price": row.price_text(request.price_ticks),
        }

    def _cancel_replace(self, request: VenueReplace) -> Params:
        """Cancel, then place the unfilled rest post-only; nothing is placed when the cancel fails."""
        row = self._names.instrument(request.symbol)
        return {
            "symbol": row.venue_symbol,
            "side": request.side.name,
            "type": "LIMIT_MAKER",
            "cancelReplaceMode": "STOP_ON_FAILURE",
            "cancelOrigClientOrderId": request.client_id,
            "newClientOrderId": self._checked_id(request.new_client_id),
            "quantity": row.size_text(request.lots - request.filled_lots),
            "price": row.price_text(request.price_ticks),
            "newOrderRespType": "RESULT",
        }

    def _trades(self, request: VenueTradesQuery) -> Params:
        params = {"symbol": self._name(request.symbol), "limit": str(TRADES_PER_PAGE)}
        if request.venue_order_id:
            params["orderId"] = request.venue_order_id
        if request.from_trade_id:
            params["fromId"] = str(request.from_trade_id)
        elif request.since_ms:
            params["startTime"] = str(request.since_ms)
        return params

    # --- answers ------------------------------------------------------------------------------------------------

    def decode_http(
        self, request: VenueRequest, status: int, headers: Mapping[str, str], body: bytes
    ) -> list[VenueEvent]:
        return self._replies.http(request, status, headers, body)

    def decode_reply(self, request: VenueRequest, frame: bytes | str) -> list[VenueEvent]:
        return self._replies.ws(request, frame)

    def reply_call_id(self, frame: bytes | str) -> str | None:
        return self._replies.call_id(frame)

    # --- user stream --------------------------------------------------------------------------------------------

    def decode_private(self, frame: bytes | str) -> list[VenueEvent]:
        return self._private.read(frame)

    def private_open(self, *, timestamp_ms: int) -> HttpRequest | WsCall:
        if self._market == "perp":
            return HttpRequest("POST", LISTEN_KEY_PATH, (("X-MBX-APIKEY", self._signer.api_key),))
        if not self._orders_by_ws:
            raise ConfigError(f"{self.venue} has its user stream on the websocket API only: set order_url")
        params = self._signer.ws_params({"timestamp": timestamp_ms})
        frame = msgspec.json.encode(
            {"id": PRIVATE_CALL_ID, "method": "userDataStream.subscribe.signature", "params": params}
        )
        return WsCall(PRIVATE_CALL_ID, frame.decode())

    def private_url(self, status: int, answer: bytes | str) -> str | None:
        """`status` is the HTTP status; a websocket answer carries its own and `status` is not looked at."""
        text = answer if isinstance(answer, str) else answer.decode("utf-8", "replace")
        try:
            if self._market == "spot":
                answered = _ws_status.decode(text)
                status, key = answered.status, ""
                if answered.error is not None and answered.error.code == SUBSCRIBED_ALREADY:
                    status = 200  # this connection hears the stream, which is all that was wanted
            else:
                key = _listen_key.decode(text).listenKey
        except UNREADABLE as error:
            raise VenueFault(f"{self.venue}: answer about the user stream is not readable: {text[:200]}") from error
        if status != 200 or (self._market == "perp" and not key):
            raise VenueFault(f"{self.venue}: user stream refused with status {status}: {text[:300]}")
        self._listen_key = key
        return f"{self._stream_url}/private/ws/{key}" if key else None

    def private_keepalive(self, *, timestamp_ms: int) -> HttpRequest | None:
        """The venue prolongs the account's only key; it need not be named, nor the call be signed."""
        del timestamp_ms
        if not self._listen_key:
            return None
        return HttpRequest("PUT", LISTEN_KEY_PATH, (("X-MBX-APIKEY", self._signer.api_key),))
