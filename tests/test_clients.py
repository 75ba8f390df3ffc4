"""Clients that were not written here talk to the simulated venue; nothing about them is changed but the addresses."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from actors.sim.actor import SimVenueActor, VenueEndpoint
from actors.vocab.config import FleetSettings
from actors.vocab.config.sim import SimSettings
from pipelines.universe import read_universe

ccxt = pytest.importorskip("ccxt", reason="needs the `clients` extra")
ccxtpro = pytest.importorskip("ccxt.pro", reason="needs the `clients` extra")

pytestmark = [
    pytest.mark.clients,
    # The clients' own: sockets that they leave to the garbage collector, and calls of theirs that Python retires.
    pytest.mark.filterwarnings("default::ResourceWarning"),
    pytest.mark.filterwarnings("default::DeprecationWarning"),
    pytest.mark.filterwarnings("default::pytest.PytestUnraisableExceptionWarning"),
]

# Enough takers that a trade comes within a second.
SETTINGS = FleetSettings(sim=SimSettings(taker_rate_per_s=20.0))
SPOT_HOSTS = ("api.binance.com", "stream.binance.com", "ws-api.binance.com")


@asynccontextmanager
async def venues(tmp_path: Path) -> AsyncIterator[dict[str, VenueEndpoint]]:
    rows = read_universe().symbols[:3]
    markets = ("perp", "spot")
    actor = SimVenueActor(
        "sim:binance", SETTINGS.model_dump_json(), key_dir=str(tmp_path), markets=markets, universe=rows, seed=3
    )
    endpoints = await actor.start()
    try:
        yield endpoints
    finally:
        await actor.stop()


def key_of(endpoint: VenueEndpoint) -> tuple[str, str]:
    key = json.loads(Path(endpoint.key_file).read_text())
    return key["api_key"], key["secret"]


def moved(urls: Any, endpoints: dict[str, VenueEndpoint]) -> Any:
    """Every address of a ccxt client, with the venue's host behind ours: it tells services apart by parts of them."""
    if isinstance(urls, dict):
        return {name: moved(url, endpoints) for name, url in urls.items()}
    if not isinstance(urls, str):
        return urls
    parts = urlsplit(urls)
    endpoint = endpoints["binance_spot" if parts.hostname in SPOT_HOSTS else "binance_perp"]
    base = endpoint.stream_url if parts.scheme == "wss" else endpoint.rest_url
    return f"{base}/{parts.netloc}{parts.path}"


def ccxt_client(kind: Callable[[dict[str, Any]], Any], endpoints: dict[str, VenueEndpoint]) -> Any:
    api_key, secret = key_of(endpoints["binance_spot"])
    client = kind({"apiKey": api_key, "secret": secret})
    client.urls["api"] = moved(client.urls["api"], endpoints)
    return client


@pytest.mark.parametrize(("kind", "symbol"), [("binanceusdm", "BTC/USDT:USDT"), ("binance", "BTC/USDT")])
def test_ccxt_trades_and_watches(tmp_path: Path, kind: str, symbol: str) -> None:
    async def scene() -> None:
        async with venues(tmp_path) as endpoints:
            client = ccxt_client(getattr(ccxtpro, kind), endpoints)
            try:
                async with asyncio.timeout(60):
                    await trade(client)
                    await watch(client)
            finally:
                await client.close()

    async def trade(client: Any) -> None:
        markets = await client.load_markets()
        assert markets[symbol]["active"]
        book = await client.fetch_order_book(symbol, limit=20)
        bid, ask = book["bids"][0][0], book["asks"][0][0]
        assert bid < ask
        assert len(book["bids"]) == 20
        resting = await client.create_order(symbol, "limit", "buy", 0.01, book["bids"][10][0])
        assert [order["id"] for order in await client.fetch_open_orders(symbol)] == [resting["id"]]
        assert (await client.fetch_order(resting["id"], symbol))["status"] == "open"
        assert (await client.cancel_order(resting["id"], symbol))["status"] == "canceled"
        assert await client.fetch_open_orders(symbol) == []
        taken = await client.create_order(symbol, "market", "buy", 0.02)
        (fill,) = {row["order"] for row in await client.fetch_my_trades(symbol)}
        assert fill == taken["id"]
        balance = await client.fetch_balance()
        assert 0 < balance["USDT"]["total"] < 1_000_000  # a fee was paid, on spot a coin bought
        assert (await client.fetch_ticker(symbol))["last"] > 0
        assert len(await client.fetch_ohlcv(symbol, "1m", limit=5)) == 5
        if kind == "binanceusdm":
            (position,) = await client.fetch_positions([symbol])
            assert (position["side"], position["contracts"]) == ("long", 0.02)
        with pytest.raises(ccxt.InvalidOrder):
            await client.create_order(symbol, "limit", "buy", 0.01, ask * 1.001, {"postOnly": True})

    async def watch(client: Any) -> None:
        for _ in range(3):
            book = await client.watch_order_book(symbol)
            assert book["bids"][0][0] < book["asks"][0][0]
        trades = await client.watch_trades(symbol)
        assert {row["symbol"] for row in trades} == {symbol}
        orders = asyncio.ensure_future(client.watch_orders(symbol))
        await asyncio.sleep(0.5)  # its private stream has to be open before there is something to hear
        placed = await client.create_order(symbol, "limit", "buy", 0.01, book["bids"][5][0])
        assert [order["id"] for order in await orders] == [placed["id"]]

    asyncio.run(scene())


@pytest.mark.parametrize(("kind", "symbol"), [("binanceusdm", "ETH/USDT:USDT"), ("binance", "ETH/USDT")])
def test_blocking_ccxt_trades(tmp_path: Path, kind: str, symbol: str) -> None:
    def trade(client: Any) -> None:
        client.load_markets()
        price = client.fetch_order_book(symbol, limit=20)["bids"][5][0]
        placed = client.create_order(symbol, "limit", "buy", 0.1, price)
        assert [order["id"] for order in client.fetch_open_orders(symbol)] == [placed["id"]]
        client.cancel_order(placed["id"], symbol)
        assert client.fetch_my_trades(symbol) == []
        assert client.fetch_balance()["USDT"]["total"] == 1_000_000
        client.close()

    async def scene() -> None:
        async with venues(tmp_path) as endpoints:
            await asyncio.to_thread(trade, ccxt_client(getattr(ccxt, kind), endpoints))

    asyncio.run(scene())


def test_venues_own_futures_client_trades_and_watches(tmp_path: Path) -> None:
    pytest.importorskip("binance_sdk_derivatives_trading_usds_futures", reason="needs the `clients` extra")
    from binance_common.configuration import ConfigurationRestAPI, ConfigurationWebSocketStreams
    from binance_sdk_derivatives_trading_usds_futures.derivatives_trading_usds_futures import (
        DerivativesTradingUsdsFutures,
    )

    def trade(rest: Any) -> None:
        listed = rest.exchange_information().data()
        assert "BTCUSDT" in {row.symbol for row in listed.symbols}
        book = rest.order_book("BTCUSDT", limit=20).data()
        order = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "time_in_force": "GTX", "quantity": 0.01}
        placed = rest.new_order(**order, price=float(book.bids[10][0])).data()
        assert [row.order_id for row in rest.current_all_open_orders("BTCUSDT").data()] == [placed.order_id]
        assert rest.cancel_order("BTCUSDT", order_id=placed.order_id).data().status == "CANCELED"
        assert rest.current_all_open_orders("BTCUSDT").data() == []
        rest.new_order("BTCUSDT", "BUY", "MARKET", quantity=0.01)
        assert [row.qty for row in rest.account_trade_list("BTCUSDT").data()] == ["0.010"]
        (balance,) = [row for row in rest.futures_account_balance_v3().data() if row.asset == "USDT"]
        assert 0 < float(balance.balance) < 1_000_000

    async def scene() -> None:
        async with venues(tmp_path) as endpoints:
            endpoint = endpoints["binance_perp"]
            api_key, secret = key_of(endpoint)
            client = DerivativesTradingUsdsFutures(
                config_rest_api=ConfigurationRestAPI(api_key=api_key, api_secret=secret, base_path=endpoint.rest_url),
                config_ws_streams=ConfigurationWebSocketStreams(stream_url=endpoint.stream_url),
            )
            await asyncio.to_thread(trade, client.rest_api)
            await hears(client.websocket_streams, "diff_book_depth_streams", "aggregate_trade_streams")

    asyncio.run(scene())


def test_venues_own_spot_client_trades_and_watches(tmp_path: Path) -> None:
    pytest.importorskip("binance_sdk_spot", reason="needs the `clients` extra")
    from binance_common.configuration import ConfigurationRestAPI, ConfigurationWebSocketStreams
    from binance_sdk_spot.spot import Spot

    def coins(rest: Any) -> float:
        return {row.asset: float(row.free) for row in rest.get_account().data().balances}["BTC"]

    def trade(rest: Any) -> None:
        assert "BTCUSDT" in {row.symbol for row in rest.exchange_info().data().symbols}
        before = coins(rest)
        book = rest.depth("BTCUSDT", limit=20).data()
        order = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT_MAKER", "quantity": 0.01}
        placed = rest.new_order(**order, price=float(book.bids[10][0])).data()
        order_id = getattr(placed, "actual_instance", placed).order_id
        assert [row.order_id for row in rest.get_open_orders("BTCUSDT").data()] == [order_id]
        assert rest.delete_order("BTCUSDT", order_id=order_id).data().status == "CANCELED"
        assert rest.get_open_orders("BTCUSDT").data() == []
        rest.new_order("BTCUSDT", "BUY", "MARKET", quantity=0.01)
        assert {row.symbol for row in rest.my_trades("BTCUSDT").data()} == {"BTCUSDT"}
        assert 0 < coins(rest) - before <= 0.01

    async def scene() -> None:
        async with venues(tmp_path) as endpoints:
            endpoint = endpoints["binance_spot"]
            api_key, secret = key_of(endpoint)
            client = Spot(
                config_rest_api=ConfigurationRestAPI(api_key=api_key, api_secret=secret, base_path=endpoint.rest_url),
                config_ws_streams=ConfigurationWebSocketStreams(stream_url=endpoint.stream_url),
            )
            await asyncio.to_thread(trade, client.rest_api)
            await hears(client.websocket_streams, "diff_book_depth", "trade")

    asyncio.run(scene())


async def hears(streams: Any, *names: str) -> None:
    """Each of these streams of a venue's own client brings a message of the symbol."""
    connection = await streams.create_connection()
    try:
        async with asyncio.timeout(20):
            for name in names:
                heard: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
                stream = await getattr(connection, name)(symbol="btcusdt")
                stream.on("message", lambda data, heard=heard: heard.done() or heard.set_result(data))
                assert (await heard).s == "BTCUSDT"
                await stream.unsubscribe()
    finally:
        await connection.close_connection(close_session=True)
