"""What a request to a simulated Binance turns into: the words between `server.py` and the shell that carries it.

Path of a request: bytes → `BinanceServer.http` or `.ws_api` → one `Call` → the shell asks exchange or ledger →
`BinanceServer.answer_*(call, …)` → one `Reply`. A `Done` needs no asking.
"""

from __future__ import annotations

import msgspec

from actors.venues.dialect import Credentials
from actors.vocab.venue_io import VenueRequest


class ServerAccount(msgspec.Struct, frozen=True):
    """One account of the simulated venue; `credentials` verify signatures (for ed25519/rsa the PEM public key)."""

    account_id: str
    credentials: Credentials


class Reply(msgspec.Struct, frozen=True):
    """Answer of an HTTP call, or of the websocket API where `body` is the whole frame and headers are unused."""

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()


class OrderCall(msgspec.Struct, frozen=True):
    """For the exchange: `ClientRequest(connection, account, request)`; then `answer_order(call, event)`.

    `request.request_no` is the number that the shell gave (`request_no=` of `http`/`ws_api`).
    """

    account: str
    request: VenueRequest
    operation: str
    ws_id: str | None = None  # JSON text of the websocket API's id; None: came over HTTP
    options: tuple[tuple[str, str], ...] = ()  # parameters as sent


class MarketQuery(msgspec.Struct, frozen=True):
    """Public data wanted. `kind` names the `answer_<kind>` method of `BinanceServer` to call."""

    kind: str  # depth | klines | trades | book_tickers | prices | tickers | mark_prices | funding_rates
    symbols: tuple[str, ...]  # our names; never empty: all symbols when none was named
    limit: int = 500
    interval_ms: int = 60_000
    start_ms: int = 0
    end_ms: int = 0
    from_id: int = 0
    listed: bool = False  # answer as a list (no symbol was named)
    ws_id: str | None = None
    operation: str = ""


class LedgerQuery(msgspec.Struct, frozen=True):
    """Account data wanted. `kind` names the `answer_<kind>` method of `BinanceServer` to call."""

    account: str
    kind: str  # orders | own_trades | income | amendments | account | order_counts
    symbol: str = ""  # empty: all; our name
    limit: int = 500
    start_ms: int = 0
    end_ms: int = 0
    from_id: int = 0  # order or trade id, inclusive
    order_id: str = ""
    client_id: str = ""
    income_kind: str = ""
    open_only: bool = False
    ws_id: str | None = None
    operation: str = ""


class PrivateCall(msgspec.Struct, frozen=True):
    """The private stream: "start" | "keep" | "close" a listen key (USD-M), "subscribe" | "unsubscribe" |
    "subscriptions" (spot).

    The shell carries it out, then `answer_private(call, …)`.
    """

    account: str
    action: str
    listen_key: str = ""
    subscription_id: int = 0
    ws_id: str | None = None
    operation: str = ""


class Done(msgspec.Struct, frozen=True):
    """Nothing to ask: the answer is ready (ping, time, exchangeInfo, refusals, mode switches, session.logon)."""

    reply: Reply
    logon: str = ""  # account that this websocket connection is logged on to from now


Call = OrderCall | MarketQuery | LedgerQuery | PrivateCall | Done


class StreamDial(msgspec.Struct, frozen=True):
    """What the path of a stream connection asks for."""

    route: str  # "" (spot), "public" | "market" | "private" (USD-M); an unrouted USD-M path is "public"
    streams: tuple[str, ...]
    combined: bool
    listen_key: str = ""


class StreamCommand(msgspec.Struct, frozen=True):
    """A SUBSCRIBE, UNSUBSCRIBE, LIST_SUBSCRIPTIONS or SET_PROPERTY frame; `ack` is what to answer.

    For LIST_SUBSCRIPTIONS and GET_PROPERTY the shell answers `stream_list_ack(command, …)`; `ack` is empty then.
    """

    method: str
    streams: tuple[str, ...]
    ack: bytes
    combined: bool | None = None
    request_id: str = "null"  # JSON text
