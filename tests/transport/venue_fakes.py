"""A scripted exchange behind a real venue server: acks every order, keeps nothing, says what it is told to."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any, Literal
from urllib.parse import urlencode

import aiohttp

from actors.sim.ledger import Ledger
from actors.sim.messages import ClientRequest, Exchange, Execution, Private, Public, Reply, SimCommand
from actors.transport.identity import SystemClock
from actors.transport.venue_desk import VenueClock
from actors.transport.venue_server import VenueServer
from actors.venues.binance.calls import ServerAccount
from actors.venues.binance.server import BinanceServer
from actors.venues.dialect import Credentials
from actors.venues.ledger import LedgerAccount
from actors.vocab.instruments import Instrument
from actors.vocab.market import Kline, Side
from actors.vocab.orders import OrderState
from actors.vocab.units import NS_PER_MS
from actors.vocab.venue_io import (
    DepthSnapshot,
    FaultKind,
    MarketEvent,
    MarkPrice,
    PublicTrade,
    RateUsage,
    TopOfBook,
    VenueAck,
    VenueCancel,
    VenueOrder,
    VenuePlace,
    VenueReject,
)

KEY, SECRET = "k" * 64, "s" * 64
FOREVER_NS = 1 << 62


def instrument(market: Literal["perp", "spot"]) -> Instrument:
    return Instrument(
        symbol="BTCUSDT",
        venue=f"binance_{market}",
        market=market,
        venue_symbol="BTCUSDT",
        base="BTC",
        quote="USDT",
        tick_size="0.1",
        lot_size="0.001",
        min_notional="5",
    )


class FakeExchange(Exchange):
    """`silent` requests are taken and never answered."""

    def __init__(self, market: Literal["perp", "spot"]) -> None:
        self.instrument = instrument(market)
        self.venue = self.instrument.venue
        self.ledger = Ledger()
        self.requests: list[ClientRequest] = []
        self.due: list[SimCommand] = []
        self.due_ns = FOREVER_NS
        self.silent = False
        self.seq = 99  # of the book

    def instruments(self) -> tuple[Instrument, ...]:
        return (self.instrument,)

    def change_instrument(self, instrument: Instrument, now_ns: int) -> list[SimCommand]:
        raise NotImplementedError

    def handle(self, request: ClientRequest, now_ns: int) -> list[SimCommand]:
        self.requests.append(request)
        if self.silent:
            return []
        asked = request.request
        if isinstance(asked, VenuePlace):
            ack = VenueAck(
                request_no=asked.request_no,
                symbol=asked.symbol,
                client_id=asked.client_id,
                venue_order_id="7",
                state=OrderState.OPEN,
                price_ticks=asked.price_ticks,
                lots=asked.lots,
                filled_lots=0,
                event_ns=now_ns,
            )
            told = VenueOrder(
                request_no=0,
                symbol=asked.symbol,
                client_id=asked.client_id,
                venue_order_id="7",
                side=asked.side,
                state=OrderState.OPEN,
                price_ticks=asked.price_ticks,
                lots=asked.lots,
                filled_lots=0,
                event_ns=now_ns,
            )
            return [
                Private(request.account, told, execution=Execution.NEW),
                Reply(request.connection, asked.request_no, ack),
            ]
        kind = FaultKind.UNKNOWN_ORDER if isinstance(asked, VenueCancel) else FaultKind.BAD_REQUEST
        return [Reply(request.connection, asked.request_no, VenueReject(asked.request_no, kind, 0, ""))]

    def advance(self, now_ns: int) -> list[SimCommand]:
        if now_ns < self.due_ns:
            return []
        due, self.due, self.due_ns = self.due, [], FOREVER_NS
        return due

    def next_due_ns(self) -> int:
        return self.due_ns

    def say(self, *events: MarketEvent) -> list[SimCommand]:
        """Public commands for `desk.carry`."""
        return [Public(event) for event in events]

    def open_account(self, account: str, now_ns: int, balances: dict[str, Decimal] | None = None) -> None:
        return None

    def depth(self, symbol: str, levels: int) -> DepthSnapshot:
        return DepthSnapshot(symbol, self.seq, [(1000, 5)][:levels], [(1001, 6)][:levels])

    def top(self, symbol: str) -> TopOfBook:
        return TopOfBook(symbol, 99, 0, 1000, 5, 1001, 6)

    def mark(self, symbol: str) -> MarkPrice:
        return MarkPrice(symbol, 0, 1000.5, 1000.5, 0.0001, 0)

    def fundings(self, symbol: str) -> list[MarkPrice]:
        return []

    def recent_trades(self, symbol: str, count: int) -> list[PublicTrade]:
        return [PublicTrade(symbol, 1, 0, Side.BUY, 1001, 2)]

    def klines(self, symbol: str, interval_ms: int, count: int) -> list[Kline]:
        return [Kline(0, interval_ms - 1, 1000, 1002, 999, 1001, 3, 1)]

    def running_kline(self, symbol: str, interval_ms: int) -> Kline | None:
        return None

    def account_state(self, account: str) -> LedgerAccount:
        return LedgerAccount(balances=())

    def equity(self, account: str) -> Decimal:
        return Decimal(0)

    def usage(self, account: str, now_ns: int) -> RateUsage:
        return RateUsage(orders_10s=len(self.requests), orders_1m=len(self.requests))


class Venue:
    """One running server with a client session beside it."""

    def __init__(self, server: VenueServer, exchange: FakeExchange, port: int, http: aiohttp.ClientSession) -> None:
        self.server = server
        self.exchange = exchange
        self.http = http
        self.host = f"127.0.0.1:{port}"

    async def get(self, path: str, **params: str) -> tuple[int, Any, dict[str, str]]:
        return await self._call("GET", path, params)

    async def signed(self, method: str, path: str, **params: str) -> tuple[int, Any, dict[str, str]]:
        params["timestamp"] = str(self.server.desk.clock.now_ns() // NS_PER_MS)
        return await self._call(method, path, {**params, "signature": sign(urlencode(params))})

    async def _call(self, method: str, path: str, params: dict[str, str]) -> tuple[int, Any, dict[str, str]]:
        url = f"http://{self.host}{path}?{urlencode(params)}"
        async with self.http.request(method, url, headers={"X-MBX-APIKEY": KEY}) as answer:
            return answer.status, await answer.json(), dict(answer.headers)

    async def dial(self, path: str) -> aiohttp.ClientWebSocketResponse:
        return await self.http.ws_connect(f"ws://{self.host}{path}", autoping=False, max_msg_size=0)

    def ws_params(self, **params: str) -> dict[str, str]:
        params |= {"apiKey": KEY, "timestamp": str(self.server.desk.clock.now_ns() // NS_PER_MS)}
        payload = "&".join(f"{name}={params[name]}" for name in sorted(params))
        return {**params, "signature": sign(payload)}

    def say(self, *events: MarketEvent) -> None:
        self.server.desk.carry(self.exchange.say(*events))


def sign(payload: str) -> str:
    return hmac.new(SECRET.encode(), payload.encode(), hashlib.sha256).hexdigest()


@contextlib.asynccontextmanager
async def running(market: Literal["perp", "spot"] = "perp") -> AsyncIterator[Venue]:
    exchange = FakeExchange(market)
    account = ServerAccount("sim", Credentials(KEY, SECRET))
    server = VenueServer(
        dialect=BinanceServer(exchange.venue, exchange.instruments(), [account]),
        exchange=exchange,
        clock=VenueClock(SystemClock()),
        market=market,
    )
    port = await server.start()
    async with aiohttp.ClientSession() as http:
        try:
            yield Venue(server, exchange, port, http)
        finally:
            await server.stop()


async def soon(condition: Any, timeout_s: float = 2.0) -> None:
    """Poll until `condition()` holds."""
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110  the server tells nobody when a socket has come or gone
            await asyncio.sleep(0.001)
