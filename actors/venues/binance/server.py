"""A simulated Binance's front door: authenticate, read, route; the server role of the dialect.

Path of a request: bytes → `http` or `ws_api` → one `Call` (calls.py) → the shell asks exchange or ledger →
`answer_…(call, …)` → one `Reply`. Streams: `stream_dial`, `stream_command`, `streams_of`, `frame_of`,
`private_frames`. Nothing here reads a clock or keeps state of an account; `now_ms` and counters are arguments.

Source: rest-api.md, web-socket-api.md, errors.md (2026-07-21); USD-M manual pages, read 2026-07. Left out on purpose:
IOC and FOK orders, stop orders, order lists, hedge mode, batch orders (each is refused as the venue refuses it);
times in microseconds (refused); rolling-window tickers and the streams rpiDepth, continuousKline, compositeIndex,
contractInfo, assetIndex and tradingSession (acknowledged and silent, as any unknown name is at the venue).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec

from actors.venues.binance.calls import (
    Call,
    Done,
    LedgerQuery,
    MarketQuery,
    OrderCall,
    PrivateCall,
    Reply,
    ServerAccount,
    StreamCommand,
    StreamDial,
)
from actors.venues.binance.common import UNREADABLE, SymbolMap, market_of
from actors.venues.binance.server_accounts import AccountReplies
from actors.venues.binance.server_auth import Door, Refused, Session
from actors.venues.binance.server_endpoints import HTTP_OPERATIONS, WS_OPERATIONS, Security
from actors.venues.binance.server_forms import Forms
from actors.venues.binance.server_market import MarketReplies, Ticker
from actors.venues.binance.server_operations import Operations
from actors.venues.binance.server_orders import OrderReplies
from actors.venues.binance.server_paced import PacedStream, PacedStreams
from actors.venues.binance.server_private import PrivateWriter, wrap_private
from actors.venues.binance.server_streams import StreamWriter, combined, notice
from actors.venues.ledger import (
    LedgerAccount,
    LedgerAmendment,
    LedgerBalance,
    LedgerIncome,
    LedgerOrder,
    LedgerPosition,
    LedgerTrade,
)
from actors.vocab.instruments import Instrument
from actors.vocab.market import Kline
from actors.vocab.venue_io import (
    DepthSnapshot,
    FaultKind,
    MarketEvent,
    MarkPrice,
    PublicTrade,
    RateUsage,
    TopOfBook,
    VenueEvent,
    VenueReject,
)

__all__ = ["BinanceServer", "Ticker", "combined", "notice", "wrap_private"]

NO_USAGE: Final = RateUsage()


class _Frame(msgspec.Struct):
    """A request of the websocket API or of a stream connection."""

    method: str
    id: Any = None
    params: Any = None


_frame = msgspec.json.Decoder(_Frame)


class BinanceServer:
    """Server role of "binance_perp" or "binance_spot" for some accounts."""

    def __init__(self, venue: str, instruments: Sequence[Instrument], accounts: Sequence[ServerAccount]) -> None:
        self.venue = venue
        self._market = market_of(venue)
        self._names = SymbolMap(venue, instruments)
        self._door = Door(self._market, accounts)
        self._streams = StreamWriter(venue, instruments)
        self._private = PrivateWriter(venue, self._streams.spellers)
        spellers = self._streams.spellers
        self._forms = Forms(venue, spellers)
        self._orders = OrderReplies(venue, spellers)
        self._public = MarketReplies(venue, spellers)
        self._accounts = AccountReplies(venue, spellers, self._orders)
        self._paced = PacedStreams(self._market, spellers)
        self._operations = Operations(venue, self._names, self._forms)

    def use(self, instruments: Sequence[Instrument]) -> None:
        """Speak of these instruments, with these steps, from now on."""
        self._names.use(instruments)
        self._streams.use(instruments)

    # --- requests -----------------------------------------------------------------------------------------------

    def http(
        self,
        method: str,
        path: str,
        query: str,
        headers: Mapping[str, str],
        body: bytes,
        *,
        now_ms: int,
        request_no: int,
    ) -> Call:
        """Read one HTTP request. `query` is the raw text after "?", header names are lower case."""
        try:
            operation = HTTP_OPERATIONS[self._market].get((method, path))
            if operation is None:
                raise Refused(-5000, f"Path {path}, Method {method} is invalid", 404)
            if not self.time_unit_ok(headers.get("x-mbx-time-unit", "")):
                raise Refused(-1100, "Illegal characters found in parameter 'X-MBX-TIME-UNIT'; it is MILLISECOND here.")
            text = body.decode("utf-8", "replace")
            params = _merged(query, text)
            account = ""
            if operation.security is not Security.NONE:
                account = self._door.by_key(headers.get("x-mbx-apikey", ""))
            if operation.security is Security.SIGNED:
                self._door.check_rest(account, query, text, params, now_ms)
            return self._operations.call(operation.name, params, account, now_ms=now_ms, request_no=request_no)
        except Refused as refusal:
            return Done(self._forms.refusal(refusal, ws_id=None))

    def ws_api(self, frame: bytes | str, *, now_ms: int, request_no: int, logon: str = "") -> Call:
        """Read one frame of the websocket API. `logon` is the account that this connection is logged on to, or ""."""
        ws_id = "null"
        try:
            try:
                request = _frame.decode(frame)
            except UNREADABLE:
                raise Refused(-1135, "Invalid JSON in request.", 400) from None
            if not _is_id(request.id):
                text = "Illegal characters found in parameter 'id'; legal range is '^[a-zA-Z0-9-_]{1,36}$'."
                raise Refused(-1100, text)
            ws_id = msgspec.json.encode(request.id).decode()
            operation = WS_OPERATIONS[self._market].get(request.method)
            if operation is None:
                raise Refused(-1000, f"Unknown method '{request.method}'.", 400)
            sent = request.params if isinstance(request.params, dict) else {}
            params = {name: _text(value) for name, value in sent.items()}
            account = self._ws_account(operation.security, sent, params, logon, now_ms)
            if operation.name in ("session.logon", "session.logout", "session.status"):
                who = {"session.logon": account, "session.logout": ""}.get(operation.name, logon)
                return self._session(operation.name, who, params, ws_id, now_ms)
            return self._operations.call(
                operation.name, params, account, now_ms=now_ms, request_no=request_no, ws_id=ws_id
            )
        except Refused as refusal:
            return Done(self._forms.refusal(refusal, ws_id=ws_id), logon=logon)

    def _ws_account(
        self, security: Security, sent: Mapping[str, Any], params: Mapping[str, str], logon: str, now_ms: int
    ) -> str:
        if security is Security.NONE:
            return ""
        if security is Security.SESSION:
            if not logon:
                raise Refused(-2015, "Invalid API-key, IP, or permissions for action.", 401)
            return logon
        if "apiKey" not in params and logon:
            if security is Security.SIGNED:
                self._door.check_time(params, now_ms)
            return logon
        account = self._door.by_key(params.get("apiKey", ""))
        if security is Security.SIGNED:
            self._door.check_ws(account, sent, params, now_ms)
        return account

    def _session(self, name: str, account: str, params: Mapping[str, str], ws_id: str, now_ms: int) -> Done:
        if name == "session.logon":
            self._door.check_logon(account)
        session = Session(api_key=self._door.key_of(account) if account else None, now_ms=now_ms)
        return Done(self._forms.session(session, ws_id), logon=account)

    def weight_of(self, call: Call) -> int:
        """What the call costs of the request weight of its address."""
        return self._operations.weight_of(call)

    # --- answers ------------------------------------------------------------------------------------------------

    def answer_order(
        self,
        call: OrderCall,
        event: VenueEvent,
        *,
        now_ms: int,
        order: LedgerOrder | None = None,
        replaced: LedgerOrder | None = None,
        uncancelled: VenueReject | None = None,
        fills: Sequence[LedgerTrade] = (),
        cancelled: Sequence[LedgerOrder] = (),
        usage: RateUsage = NO_USAGE,
        status: int = 0,
    ) -> Reply:
        """Answer of the exchange: `VenueAck`, `VenueOrder`, `VenueCountdownAck` or `VenueReject`.

        `order` is the row after it; without it the answer holds what event and request tell. Spot cancelReplace:
        `order` is the new order's, `replaced` the old one's row where it has ended, `uncancelled` why it has not where
        the new one was tried all the same. `fills` are the new order's, oldest first, for spot's FULL answers;
        `cancelled` are the rows that a cancel of all has ended. `status` overrides the HTTP status (injected faults).
        """
        return self._orders.order(
            call,
            event,
            now_ms=now_ms,
            order=order,
            replaced=replaced,
            uncancelled=uncancelled,
            fills=fills,
            cancelled=cancelled,
            usage=usage,
            status=status,
        )

    def refuse(
        self,
        call: Call,
        kind: FaultKind,
        code: int = 0,
        text: str = "",
        *,
        usage: RateUsage = NO_USAGE,
        retry_after_s: int = 0,
        status: int = 0,
        now_ms: int = 0,
    ) -> Reply:
        """Refuse any call; `code` 0 means the venue's usual one for `kind`. 429 and 418 carry Retry-After."""
        return self._forms.refuse(
            call, kind, code, text, usage=usage, retry_after_s=retry_after_s, status=status, now_ms=now_ms
        )

    def answer_depth(self, call: MarketQuery, snapshot: DepthSnapshot, *, now_ms: int) -> Reply:
        return self._public.depth(call, snapshot, now_ms)

    def answer_klines(self, call: MarketQuery, klines: Sequence[Kline]) -> Reply:
        """Oldest first; a client takes the last one for the running candle."""
        return self._public.klines(call, klines)

    def answer_trades(self, call: MarketQuery, trades: Sequence[PublicTrade]) -> Reply:
        """Oldest first; aggregated trades are spelled one to one."""
        return self._public.trades(call, trades)

    def answer_book_tickers(self, call: MarketQuery, tops: Sequence[TopOfBook]) -> Reply:
        return self._public.book_tickers(call, tops)

    def answer_prices(self, call: MarketQuery, tops: Sequence[TopOfBook]) -> Reply:
        """Last prices; the mid, rounded down to a tick, stands in for them."""
        return self._public.prices(call, tops)

    def answer_tickers(self, call: MarketQuery, tickers: Sequence[Ticker]) -> Reply:
        return self._public.tickers(call, tickers)

    def answer_mark_prices(self, call: MarketQuery, marks: Sequence[MarkPrice], *, now_ms: int) -> Reply:
        return self._public.mark_prices(call, marks, now_ms)

    def answer_funding_rates(self, call: MarketQuery, marks: Sequence[MarkPrice]) -> Reply:
        """History of funding: one `MarkPrice` a funding time, oldest first."""
        return self._public.funding_rates(call, marks)

    def answer_orders(self, call: LedgerQuery, rows: Sequence[LedgerOrder]) -> Reply:
        return self._accounts.orders(call, rows)

    def answer_own_trades(self, call: LedgerQuery, rows: Sequence[LedgerTrade]) -> Reply:
        return self._accounts.own_trades(call, rows)

    def answer_income(self, call: LedgerQuery, rows: Sequence[LedgerIncome]) -> Reply:
        return self._accounts.income(call, rows)

    def answer_amendments(self, call: LedgerQuery, rows: Sequence[LedgerAmendment]) -> Reply:
        """Newest first, as the venue has them; `rows` may come in any order."""
        return self._accounts.amendments(call, rows)

    def answer_account(self, call: LedgerQuery, account: LedgerAccount, *, now_ms: int) -> Reply:
        """Account, balances, positions or commission rates, as `call.operation` asks."""
        return self._accounts.account(call, account, now_ms)

    def answer_order_counts(self, call: LedgerQuery, usage: RateUsage) -> Reply:
        return self._accounts.order_counts(call, usage)

    def answer_private(
        self,
        call: PrivateCall,
        *,
        listen_key: str = "",
        subscription_id: int = 0,
        subscriptions: Sequence[int] = (),
    ) -> Reply:
        """`listen_key` "" on "start" or "keep" says that there is none. `subscriptions` lists the connection's;
        `subscription_id` -1 on "subscribe" says that the connection hears the account already."""
        return self._accounts.private(call, listen_key, subscription_id, subscriptions)

    def with_weight(self, reply: Reply, used: int) -> Reply:
        """Add the address's request weight to a reply of the websocket API."""
        return self._forms.with_weight(reply, used)

    def with_usage(self, reply: Reply, usage: RateUsage) -> Reply:
        """Add the venue's count headers to an HTTP reply."""
        return self._forms.with_usage(reply, usage)

    # --- streams ------------------------------------------------------------------------------------------------

    def stream_dial(self, path: str, query: str) -> StreamDial | None:
        """What a websocket path asks for; None for a path that is no stream (the websocket API is elsewhere).

        None as well for times in microseconds, which are not served.

        Raw `/ws[/<stream>]`, combined `/stream?streams=a/b`, on USD-M below `/public`, `/market` or `/private`.
        """
        route, rest = "", path
        if self._market == "perp":
            route = "public"  # since 2026-04-23 an unrouted address delivers public streams only
            for name in ("public", "market", "private"):
                if path.startswith(f"/{name}/"):
                    route, rest = name, path.removeprefix(f"/{name}")
        params = dict(parse_qsl(query))
        if not self.time_unit_ok(params.get("timeUnit", "")):
            return None
        if rest == "/stream" or rest.startswith("/stream/"):
            streams = tuple(name for name in params.get("streams", "").split("/") if name)
            return StreamDial(route, streams, combined=True, listen_key=params.get("listenKey", ""))
        if rest == "/ws" or rest.startswith("/ws/"):
            names = tuple(name for name in rest.removeprefix("/ws").split("/") if name)
            if route == "private":
                return StreamDial(route, (), combined=False, listen_key=(*names, params.get("listenKey", ""))[0])
            return StreamDial(route, names, combined=False)
        return None

    def time_unit_ok(self, unit: str) -> bool:
        """Times are milliseconds here; who asked for microseconds would misread them by a factor of a thousand."""
        return unit.upper() in ("", "MILLISECOND")

    def stream_command(self, frame: bytes | str) -> StreamCommand:
        """One frame of a client on a stream connection. What cannot be read is answered by an error in `ack`."""
        try:
            request = _frame.decode(frame)
        except UNREADABLE:
            return StreamCommand("", (), b'{"error":{"code":3,"msg":"Invalid JSON: expected value"},"id":null}')
        if not _is_id(request.id):
            text = "Invalid request: request ID must be an integer or a string of at most 36 characters"
            return StreamCommand("", (), b'{"error":{"code":2,"msg":"%s"},"id":null}' % text.encode())
        request_id = msgspec.json.encode(request.id).decode()
        params = request.params if isinstance(request.params, list) else []
        done = f'{{"result":null,"id":{request_id}}}'.encode()
        match request.method:
            case "SUBSCRIBE" | "UNSUBSCRIBE" if params and all(isinstance(name, str) for name in params):
                return StreamCommand(request.method, tuple(params), done, request_id=request_id)
            case "LIST_SUBSCRIPTIONS" | "GET_PROPERTY":
                return StreamCommand(request.method, (), b"", request_id=request_id)
            case "SET_PROPERTY" if len(params) == 2 and params[0] == "combined" and isinstance(params[1], bool):
                return StreamCommand(request.method, (), done, combined=params[1], request_id=request_id)
        text = f"Invalid request: method {request.method} or its params"
        error = msgspec.json.encode({"code": 2, "msg": text}).decode()
        return StreamCommand("", (), f'{{"error":{error},"id":{request_id}}}'.encode(), request_id=request_id)

    def stream_list_ack(self, command: StreamCommand, streams: Sequence[str], *, combined: bool) -> bytes:
        result = list(streams) if command.method == "LIST_SUBSCRIPTIONS" else combined
        return f'{{"result":{msgspec.json.encode(result).decode()},"id":{command.request_id}}}'.encode()

    def route_of(self, stream: str) -> str:
        """The USD-M route that delivers `stream`; "" on spot."""
        return self._streams.route_of(stream)

    def streams_of(self, event: MarketEvent) -> tuple[str, ...]:
        """Names under which the event is public."""
        return self._streams.streams_of(event)

    def frame_of(self, event: MarketEvent, stream: str) -> bytes:
        """Raw frame for one of `streams_of`; wrap with `combined` where the connection wants that."""
        return self._streams.frame_of(event, stream)

    def paced_stream(self, name: str) -> PacedStream | None:
        """What a stream that goes by the clock shows; None for every other name."""
        return self._paced.read(name)

    def ticker_frame(self, ticker: Ticker, *, mini: bool, now_ms: int) -> bytes:
        return self._public.ticker_frame(ticker, mini=mini, now_ms=now_ms)

    def average_frame(self, symbol: str, price_ticks: float, traded_ms: int, *, now_ms: int) -> bytes:
        return self._public.average_frame(symbol, price_ticks, traded_ms, now_ms=now_ms)

    def private_frames(
        self,
        event: VenueEvent,
        *,
        now_ms: int,
        order: LedgerOrder | None = None,
        execution: str = "",
        realized_pnl: str = "0",
        balances: Sequence[LedgerBalance] = (),
        positions: Sequence[LedgerPosition] = (),
        reason: str = "ORDER",
    ) -> list[bytes]:
        """See `PrivateWriter.frames`; on spot wrap each with `wrap_private`."""
        return self._private.frames(
            event,
            now_ms=now_ms,
            order=order,
            execution=execution,
            realized_pnl=realized_pnl,
            balances=balances,
            positions=positions,
            reason=reason,
        )


def _is_id(value: Any) -> bool:
    """int64, string of at most 36 characters, or nothing (web-socket-api.md § Request format)."""
    if isinstance(value, str):
        return len(value) <= 36
    if isinstance(value, int) and not isinstance(value, bool):
        return -(1 << 63) <= value < 1 << 63
    return value is None


def _merged(query: str, body: str) -> dict[str, str]:
    """Parameters of both places; the query wins (rest-api.md § General information on endpoints)."""
    merged = dict(parse_qsl(body, keep_blank_values=True)) if body else {}
    merged.update(parse_qsl(query, keep_blank_values=True))
    return merged


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
