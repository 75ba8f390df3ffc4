"""Paper trading: a simulated venue that repeats another one, over real sockets, in this process."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from actors.feed.actor import FeedActor
from actors.sim.actor import SimVenueActor, VenueEndpoint
from actors.sim.messages import Exchange
from actors.vocab.config import FleetSettings
from actors.vocab.control import VenueAccount
from actors.vocab.errors import ConfigError
from actors.vocab.instruments import Market
from actors.vocab.market import BookState, Level, Side
from actors.vocab.venue_io import DepthDelta, PublicTrade, TopOfBook
from pipelines.universe import read_universe
from tests.fakes import FakeRegistry, run_description, short_dir, until
from tests.feed.test_actor import Reader
from tests.sim.test_actor import Client
from tests.transport.venue_fakes import Venue, running

VENUE = "binance_perp"
SYMBOL = "BTCUSDT"
SETTINGS = FleetSettings.model_validate(
    {"sim": {"order_latency_ms": 0.0, "response_latency_ms": 0.0}, "feed": {"resync_backoff_ms": 10}}
)
ORDER = {"symbol": SYMBOL, "side": "BUY", "type": "LIMIT", "timeInForce": "GTX", "quantity": "0.100"}


def paper_of(folder: Path, rest_url: str, stream_url: str, *symbols: str, market: Market = "perp") -> SimVenueActor:
    return SimVenueActor(
        "sim:binance",
        SETTINGS.model_dump_json(),
        key_dir=str(folder / "paper"),
        symbols=symbols or (SYMBOL,),
        upstream={market: (rest_url, stream_url)},
        seed=1,
    )


@asynccontextmanager
async def scripted(folder: Path) -> AsyncIterator[tuple[Venue, SimVenueActor, Client]]:
    """A venue that says what it is told to, and the one that repeats it."""
    async with running() as venue:
        paper = paper_of(folder, f"http://{venue.host}", f"ws://{venue.host}")
        try:
            endpoint = (await paper.start())[VENUE]
            await until(lambda: len(venue.server.hub.streams) == 5, what="all subscriptions of the upstream")
            async with aiohttp.ClientSession() as http:
                yield venue, paper, Client(endpoint, http)
        finally:
            await paper.stop()


def delta(first: int, last: int, prev: int, bids: list[tuple[int, int]] | None = None) -> DepthDelta:
    return DepthDelta(SYMBOL, first, last, prev, 1_700_000_000_000_000_000, bids or [], [])


def sell(number: int, lots: int, ticks: int = 1000) -> PublicTrade:
    return PublicTrade(SYMBOL, number, 1_700_000_000_000_000_000, Side.SELL, ticks, lots)


async def joined(venue: Venue, paper: SimVenueActor, first: DepthDelta) -> None:
    """Say a change that the snapshot (number 99) joins on to."""
    venue.say(first)
    await until(lambda: paper._upstreams["perp"].is_ready(SYMBOL), what="the book")


async def depth(client: Client) -> tuple[int, Any]:
    status, body = await client.raw(f"/fapi/v1/depth?symbol={SYMBOL}&limit=100")
    return status, json.loads(body)


async def filled(client: Client, order: dict[str, Any]) -> str:
    """Size filled so far."""
    row = await client.signed("GET", "/fapi/v1/order", symbol=SYMBOL, orderId=order["orderId"])
    return str(row["executedQty"])


def test_an_order_is_filled_by_queue_position_on_the_upstreams_trades(tmp_path: Path) -> None:
    async def scene() -> tuple[Any, ...]:
        async with scripted(tmp_path) as (venue, paper, client):
            early = await client.signed("POST", "/fapi/v1/order", **ORDER, price="100.0")
            busy = await depth(client)
            await joined(venue, paper, delta(95, 99, 94))
            order = await client.signed("POST", "/fapi/v1/order", **ORDER, price="100.0")
            upstream = paper._upstreams["perp"]
            fills = []
            for number, lots in enumerate((4, 2, 30), start=1):  # five lots stand ahead of us
                venue.say(sell(number, lots))
                await until(lambda count=number: upstream.frames_count == 1 + count)
                fills.append(await filled(client, order))
            venue.say(sell(4, 1, 999))  # through our price
            await until(lambda: upstream.frames_count == 5)
            return early, busy, fills, await filled(client, order), venue.exchange.requests

    early, busy, fills, last, asked = asyncio.run(scene())

    assert early["code"] == -1008  # the queue is not known yet
    assert (busy[0], busy[1]["code"]) == (503, -1008)
    assert fills == ["0.000", "0.001", "0.031"]
    assert last == "0.100"
    assert asked == []  # nothing of ours reaches the venue that is repeated


def test_depth_is_snapshot_and_changes_and_a_gap_is_mended_by_another_snapshot(tmp_path: Path) -> None:
    async def scene() -> tuple[Any, ...]:
        async with scripted(tmp_path) as (venue, paper, client):
            upstream = paper._upstreams["perp"]
            await joined(venue, paper, delta(95, 99, 94))
            venue.say(delta(100, 103, 99, [(998, 7), (1000, 3)]))
            await until(lambda: upstream.frames_count == 2)
            whole = await depth(client)
            order = await client.signed("POST", "/fapi/v1/order", **ORDER, price="99.8")
            venue.say(delta(120, 125, 119, [(998, 9)]))
            await until(lambda: upstream.frames_count == 3)
            torn = await depth(client)
            cancelled = await client.signed("DELETE", "/fapi/v1/order", symbol=SYMBOL, orderId=order["orderId"])
            # The venue still says 99: too old for what came after the gap.
            await until(lambda: upstream.status()["counters"]["snapshots_too_old"])
            venue.exchange.seq = 125
            await until(lambda: upstream.is_ready(SYMBOL), what="the book")
            return whole, torn, cancelled, await depth(client), upstream.status()["counters"]["gaps"]

    whole, torn, cancelled, again, gaps = asyncio.run(scene())

    assert (whole[1]["lastUpdateId"], whole[1]["bids"]) == (103, [["100.0", "0.003"], ["99.8", "0.007"]])
    assert torn[0] == 503
    assert cancelled["status"] == "CANCELED"  # whatever the market does
    assert (again[1]["lastUpdateId"], again[1]["bids"]) == (125, [["100.0", "0.005"], ["99.8", "0.009"]])
    assert gaps == 1


def test_frames_come_under_their_streams_byte_for_byte_and_other_questions_are_passed_on(tmp_path: Path) -> None:
    async def scene() -> tuple[Any, ...]:
        async with scripted(tmp_path) as (venue, paper, client):
            names = (f"{SYMBOL.lower()}@depth@100ms", f"{SYMBOL.lower()}@bookTicker")
            there = await client.http.ws_connect(f"ws://{venue.host}/public/stream?streams={'/'.join(names)}")
            here = await client.http.ws_connect(f"{client.endpoint.stream_url}/public/stream?streams={'/'.join(names)}")
            await until(lambda: len(paper._servers["perp"].hub.streams) == 2 and len(venue.server.listeners()) == 3)
            venue.say(
                delta(95, 99, 94, [(1000, 8)]), TopOfBook(SYMBOL, 98, 1_700_000_000_000_000_000, 1000, 8, 1001, 6)
            )
            sent = [(await there.receive()).data for _ in range(2)]
            passed_on = [(await here.receive()).data for _ in range(2)]
            asked = "/fapi/v1/klines?symbol=BTCUSDT&interval=1m&limit=2"
            async with client.http.get(f"http://{venue.host}{asked}") as answer:
                theirs = answer.status, await answer.read()
            return sent, passed_on, theirs, await client.raw(asked)

    sent, passed_on, theirs, ours = asyncio.run(scene())

    assert passed_on == sent
    assert ours == theirs
    assert ours[0] == 200


def test_what_two_connections_of_a_handover_say_is_passed_on_once(tmp_path: Path) -> None:
    async def scene() -> list[str]:
        async with scripted(tmp_path) as (venue, paper, client):
            upstream = paper._upstreams["perp"]
            ws = await client.listen("/market/stream", f"{SYMBOL.lower()}@aggTrade")
            market = next(name for name in upstream._sessions if ":market:" in name)
            upstream._sessions[market].reconnect("test")
            wanted = f"{SYMBOL.lower()}@aggTrade"
            hub = venue.server.hub
            await until(lambda: sum(wanted in each.streams for each in hub.listeners) == 2, what="the second socket")
            for number in (1, 2):
                venue.say(sell(number, 1))
            heard = [(await ws.receive_json())["data"]["a"] for _ in range(2)]
            venue.say(sell(3, 1))
            heard.append((await ws.receive_json())["data"]["a"])
            return heard

    assert asyncio.run(scene()) == [1, 2, 3]


def levels(exchange: Exchange, symbol: str) -> tuple[list[Level], list[Level]]:
    whole = exchange.depth(symbol, 200)
    return whole.bids, whole.asks


@asynccontextmanager
async def markets(
    folder: Path, market: Market
) -> AsyncIterator[tuple[SimVenueActor, SimVenueActor, Reader, FeedActor]]:
    """A venue with a market of its own, the one that repeats it, and a feed of ours on that."""
    symbols = ("BTCUSDT", "ETHUSDT")
    rows = tuple(row for row in read_universe().symbols if row.symbol in symbols)
    # Slow enough for a moment in which all that has changed has been said.
    slow = FleetSettings.model_validate({"sim": {"frames_per_s": 40.0}}).model_dump_json()
    real = SimVenueActor("sim:real", slow, key_dir=str(folder / "real"), universe=rows, markets=(market,), seed=1)
    venue = f"binance_{market}"
    there = (await real.start())[venue]
    paper = paper_of(folder, there.rest_url, there.stream_url, *symbols, market=market)
    endpoint: VenueEndpoint = (await paper.start())[venue]
    account = VenueAccount(venue, "binance", market, endpoint.rest_url, endpoint.stream_url, "", "", "", "sim")
    registry = FakeRegistry(run_description(folder, accounts=(account,), symbols=symbols))
    feed, reader = FeedActor(f"feed:{venue}:0", registry, venue, 0, 1), Reader(registry)
    running_feed = asyncio.ensure_future(feed.run())
    try:
        await reader.start()
        yield real, paper, reader, feed
    finally:
        await feed.stop()
        await reader.host.stop()
        await registry.close()
        await paper.stop()
        await real.stop()
        await asyncio.gather(running_feed, return_exceptions=True)


@pytest.mark.parametrize("market", ["perp", "spot"])
def test_books_equal_the_upstreams_and_quotes_have_nothing_to_stand_on_without_it(market: Market) -> None:
    async def scene(folder: Path) -> None:
        async with markets(folder, market) as (real, paper, reader, feed):
            books = reader.books
            await until(lambda: all(reader.state(s) is BookState.OK for s in books), timeout_s=20, what="books")
            await until(lambda: set(reader.warm) == set(books), timeout_s=20, what="history")
            ours, theirs = paper._exchanges[market], real._exchanges[market]
            # A spot account begins with coins for as much as the settings say, by the newest price.
            coins_usd = SETTINGS.sim.spot_coins_usd * len(books) * (market == "spot")
            assert float(ours.equity("sim")) == pytest.approx(SETTINGS.sim.balance_usd + coins_usd, rel=0.01)
            for symbol in books:
                await until(lambda s=symbol: levels(ours, s) == levels(theirs, s), timeout_s=20, what="one book")

            await real.inject("disconnect_public")
            await until(lambda: reader.state(SYMBOL) is BookState.DOWN, timeout_s=20, what="the loss")
            await until(lambda: reader.state(SYMBOL) is BookState.OK, timeout_s=20, what="the way back")

            await real.stop()
            await until(lambda: not any(reader.state(s) is BookState.OK for s in books), what="the end")
            await until(lambda: "503" in feed._connection_reason(), what="the reason")
            status = (await paper.status())["upstream"][f"binance_{market}"]
            assert status["books_joined_count"] == 0
            assert "venue stops" in status["reason"] or "127.0.0.1" in status["reason"]

    with short_dir() as folder:
        asyncio.run(scene(folder))


def test_an_upstream_that_is_down_is_waited_for_and_its_reason_shown(tmp_path: Path) -> None:
    async def scene() -> tuple[str, bool, dict[str, VenueEndpoint]]:
        paper = paper_of(tmp_path, "http://127.0.0.1:1", "ws://127.0.0.1:1")
        starting = asyncio.ensure_future(paper.start())
        await until(lambda: "perp" in paper._upstreams and paper._upstreams["perp"].reason)
        reason = (await paper.status())["upstream"][VENUE]["reason"]
        waits = not starting.done()
        await paper.stop()
        return reason, waits, await starting

    reason, waits, endpoints = asyncio.run(scene())

    assert reason.startswith("binance_perp: http://127.0.0.1:1")
    assert waits
    assert endpoints == {}


def test_a_symbol_that_the_upstream_does_not_list_is_named(tmp_path: Path) -> None:
    async def scene() -> None:
        async with running() as venue:
            paper = paper_of(tmp_path, f"http://{venue.host}", f"ws://{venue.host}", SYMBOL, "NONEUSDT")
            try:
                with pytest.raises(ConfigError, match="does not list NONEUSDT"):
                    await paper.start()
            finally:
                await paper.stop()

    asyncio.run(scene())
