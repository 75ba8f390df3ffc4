"""What a client of any make sees of a simulated venue: real sockets, and the exchange that makes its own market."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

import aiohttp
import pytest

from actors.sim.exchange import SimExchange
from actors.sim.flow import MarketProfile
from actors.transport.identity import SystemClock
from actors.transport.venue_desk import VenueClock
from actors.transport.venue_server import VenueServer
from actors.venues.binance.calls import ServerAccount
from actors.venues.binance.server import BinanceServer
from actors.venues.dialect import Credentials
from actors.vocab.instruments import Market
from actors.vocab.units import NS_PER_MS
from tests.sim.desk_helpers import instrument, still
from tests.transport.venue_fakes import KEY, SECRET, Venue

T = TypeVar("T")
SYMBOL = "AAAUSDT"


@contextlib.asynccontextmanager
async def trading(market: Market, **changes: Any) -> AsyncIterator[Venue]:
    """A venue of one symbol at 100 USDT, tick 0.01, lot 0.1; nobody takes."""
    clock = VenueClock(SystemClock())
    exchange = SimExchange(
        venue=f"binance_{market}",
        instruments=[instrument(market=market, **changes)],
        prices={SYMBOL: 100.0},
        settings=still(spot_coins_usd=50_000.0),
        seed=1,
        start_ms=clock.now_ns() // NS_PER_MS,
        profiles={SYMBOL: MarketProfile(0.8, 1_000_000.0)},
    )
    exchange.open_account("sim", clock.now_ns())
    dialect = BinanceServer(exchange.venue, exchange.instruments(), [ServerAccount("sim", Credentials(KEY, SECRET))])
    server = VenueServer(dialect=dialect, exchange=exchange, clock=clock, market=market)
    port = await server.start()
    async with aiohttp.ClientSession() as http:
        try:
            yield Venue(server, exchange, port, http)  # type: ignore[arg-type]  # a real exchange, no fake
        finally:
            await server.stop()


def seen(market: Market, scene: Callable[[Venue], Awaitable[T]], **changes: Any) -> T:
    async def play() -> T:
        async with trading(market, **changes) as venue:
            return await scene(venue)

    return asyncio.run(play())


ORDER = {"symbol": SYMBOL, "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "2", "price": "90"}
PATHS = {"spot": "/api/v3", "perp": "/fapi/v1"}


async def place(venue: Venue, market: Market, **changes: str) -> tuple[int, Any]:
    """An order at 90, far below the market; a change to "" leaves the parameter out."""
    params = {name: value for name, value in {**ORDER, **changes}.items() if value}
    status, body, _ = await venue.signed("POST", f"{PATHS[market]}/order", **params)
    return status, body


# --- cancelReplace ------------------------------------------------------------------------------------------------


async def replace(venue: Venue, old: str, **changes: str) -> tuple[int, Any]:
    params = {**ORDER, "cancelReplaceMode": "STOP_ON_FAILURE", "cancelOrigClientOrderId": old, **changes}
    status, body, _ = await venue.signed(
        "POST", "/api/v3/order/cancelReplace", **{name: value for name, value in params.items() if value}
    )
    return status, body


def test_the_new_order_of_a_cancel_replace_is_what_its_own_parameters_say() -> None:
    async def scene(venue: Venue) -> Any:
        await place(venue, "spot", newClientOrderId="old")
        return await replace(venue, "old", side="SELL", price="110", quantity="3", newClientOrderId="new")

    status, body = seen("spot", scene)

    assert (status, body["cancelResult"], body["newOrderResult"]) == (200, "SUCCESS", "SUCCESS")
    new = body["newOrderResponse"]
    assert (new["side"], new["price"], new["origQty"], new["type"]) == ("SELL", "110.00", "3.0", "LIMIT")


def test_the_cancelled_half_of_a_cancel_replace_is_the_old_orders_row() -> None:
    async def scene(venue: Venue) -> Any:
        _, old = await place(venue, "spot", newClientOrderId="old")
        _, body = await replace(venue, "old", price="80", quantity="5", newClientOrderId="old")
        return old, body["cancelResponse"]

    old, row = seen("spot", scene)

    assert (row["orderId"], row["origClientOrderId"], row["status"]) == (old["orderId"], "old", "CANCELED")
    assert (row["price"], row["origQty"]) == ("90.00", "2.0")


def test_a_post_only_replacement_at_a_taking_price_fails_after_the_cancel() -> None:
    async def scene(venue: Venue) -> Any:
        await place(venue, "spot", newClientOrderId="old")
        answer = await replace(venue, "old", type="LIMIT_MAKER", timeInForce="", price="110")
        return answer, (await venue.signed("GET", "/api/v3/openOrders", symbol=SYMBOL))[1]

    (status, body), left = seen("spot", scene)

    assert (status, body["code"], body["data"]["newOrderResponse"]["code"]) == (409, -2021, -2010)
    assert (body["data"]["cancelResult"], body["data"]["newOrderResult"]) == ("SUCCESS", "FAILURE")
    assert left == []


def test_a_failed_cancel_stops_the_replacement_or_does_not_as_the_mode_says() -> None:
    async def scene(venue: Venue) -> list[Any]:
        return [
            await replace(venue, "nothing"),
            await replace(venue, "nothing", cancelReplaceMode="ALLOW_FAILURE"),
            await replace(
                venue, "nothing", cancelReplaceMode="ALLOW_FAILURE", type="LIMIT_MAKER", timeInForce="", price="110"
            ),
        ]

    stopped, placed, neither = seen("spot", scene)

    assert (stopped[0], stopped[1]["code"], stopped[1]["data"]["newOrderResult"]) == (400, -2022, "NOT_ATTEMPTED")
    data = placed[1]["data"]
    assert (placed[0], placed[1]["code"], data["cancelResponse"]["code"]) == (409, -2021, -2011)
    assert (data["newOrderResult"], data["newOrderResponse"]["status"]) == ("SUCCESS", "NEW")
    assert (neither[0], neither[1]["code"], neither[1]["data"]["newOrderResult"]) == (400, -2022, "FAILURE")


# --- the websocket API --------------------------------------------------------------------------------------------


def test_the_user_stream_opens_by_signature_alone_where_nobody_logged_on() -> None:
    async def scene(venue: Venue) -> list[Any]:
        ws = await venue.dial("/ws-api/v3")
        asked = [
            ("userDataStream.subscribe", {}),
            ("userDataStream.subscribe", {"apiKey": KEY}),
            ("session.subscriptions", {}),
            ("userDataStream.subscribe.signature", venue.ws_params()),
            ("session.subscriptions", {}),
            ("userDataStream.subscribe.signature", venue.ws_params()),
        ]
        answers = []
        for method, params in asked:
            await ws.send_json({"id": method[-36:], "method": method, "params": params})
            answers.append(await ws.receive_json())
        return answers

    bare, keyed, none, signed, one, again = seen("spot", scene)

    assert [(bare["status"], bare["error"]["code"]), (keyed["status"], keyed["error"]["code"])] == [(401, -2015)] * 2
    assert (none["result"], signed["status"]) == ([], 200)
    assert one["result"] == [signed["result"]]
    assert (again["status"], again["error"]["code"]) == (400, -2035)


def test_a_request_id_has_36_characters_at_most() -> None:
    async def scene(venue: Venue) -> list[Any]:
        api, streams = await venue.dial("/ws-api/v3"), await venue.dial("/ws")
        answers = []
        for number in ("i" * 36, "i" * 37, 1.5, -7, None):
            await api.send_json({"id": number, "method": "ping"})
            answers.append((await api.receive_json())["status"])
        await streams.send_json({"id": "i" * 37, "method": "SUBSCRIBE", "params": ["aaausdt@trade"]})
        return [*answers, (await streams.receive_json())["error"]["code"]]

    assert seen("spot", scene) == [200, 400, 400, 200, 200, 2]


# --- public data --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("market", ["spot", "perp"])
def test_candles_are_those_of_the_asked_time(market: Market) -> None:
    async def scene(venue: Venue) -> list[Any]:
        path, common = f"{PATHS[market]}/klines", {"symbol": SYMBOL, "interval": "5m"}
        _, newest, _ = await venue.get(path, limit="1", **common)
        start_ms = newest[0][0] - 36_000_000
        spans = [
            {"startTime": start_ms, "limit": 3},
            {"startTime": start_ms + 1, "endTime": start_ms + 600_000},
            {"endTime": start_ms, "limit": 2},
            {"startTime": newest[0][0] + 3_600_000},
        ]
        got = [(await venue.get(path, **common, **{k: str(v) for k, v in span.items()}))[1] for span in spans]
        return [[(row[0] - start_ms) // 300_000 for row in rows] for rows in got]

    assert seen(market, scene) == [[0, 1, 2], [1, 2], [-1, 0], []]


def test_the_same_candle_comes_whatever_span_it_was_asked_in() -> None:
    async def scene(venue: Venue) -> list[Any]:
        common = {"symbol": SYMBOL, "interval": "1m"}
        _, whole, _ = await venue.get("/api/v3/klines", limit="900", **common)
        _, one, _ = await venue.get("/api/v3/klines", startTime=str(whole[7][0]), limit="1", **common)
        return [whole[7], one[0]]

    whole, one = seen("spot", scene)

    assert whole == one


# --- filters and refusals -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("market", "changes", "code"),
    [
        ("spot", {"quantity": "100001"}, -1013),  # above maxNotional, before anybody asks for the money
        ("spot", {"type": "LIMIT_MAKER"}, -1106),
        ("spot", {"type": "MARKET", "price": ""}, -1106),
        ("spot", {"newOrderRespType": "SOME"}, -1100),
        ("perp", {"newOrderRespType": "FULL"}, -1100),
        ("perp", {"side": "SELL", "price": "10000000.01"}, -4002),
        ("perp", {"quantity": "-1"}, -4003),
        ("perp", {"price": "-1"}, -4001),
        ("perp", {"timeInForce": "IOC"}, -1115),
    ],
)
def test_orders_beyond_what_is_published_are_refused(market: Market, changes: dict[str, str], code: int) -> None:
    status, body = seen(market, lambda venue: place(venue, market, **changes))

    assert (status, body["code"]) == (400, code)


def test_what_is_enforced_is_published() -> None:
    async def scene(venue: Venue) -> Any:
        return (await venue.get(f"{'/fapi/v1' if 'perp' in venue.exchange.venue else '/api/v3'}/exchangeInfo"))[1]

    spot, perp = (seen(market, scene)["symbols"][0] for market in ("spot", "perp"))

    assert "PERCENT_PRICE_BY_SIDE" in {row["filterType"] for row in spot["filters"]}
    assert perp["timeInForce"] == ["GTC", "GTX"]


def test_an_amendment_keeps_the_side() -> None:
    async def scene(venue: Venue) -> list[int]:
        await place(venue, "perp", newClientOrderId="old")
        found = []
        for side in ("SELL", "BUY"):
            params = {"symbol": SYMBOL, "side": side, "quantity": "3", "price": "91", "origClientOrderId": "old"}
            found.append((await venue.signed("PUT", "/fapi/v1/order", **params))[0])
        return found

    assert seen("perp", scene) == [400, 200]


# --- answers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("market", ["spot", "perp"])
def test_order_counts_are_told_when_asked_for(market: Market) -> None:
    async def scene(venue: Venue) -> Any:
        for _ in range(3):
            await place(venue, market)
        return (await venue.signed("GET", f"{PATHS[market]}/rateLimit/order"))[1]

    # A window of ten seconds may end meanwhile; the longer one not, but once in a day of tests.
    assert max(row["count"] for row in seen(market, scene)) == 3


def test_every_answer_of_the_websocket_api_tells_the_weight() -> None:
    async def scene(venue: Venue) -> list[Any]:
        ws = await venue.dial("/ws-api/v3")
        answers = []
        for method, params in (
            ("time", {}),
            ("order.place", venue.ws_params(**ORDER)),
            ("order.place", venue.ws_params(**{**ORDER, "quantity": "0"})),
        ):
            await ws.send_json({"id": 1, "method": method, "params": params})
            answers.append([row["rateLimitType"] for row in (await ws.receive_json())["rateLimits"]])
        return answers

    weight = "REQUEST_WEIGHT"
    assert seen("spot", scene) == [[weight], [weight, "ORDERS", "ORDERS"], [weight]]


@pytest.mark.parametrize(
    "changes", [{"type": "MARKET", "price": "", "timeInForce": "", "side": "SELL"}, {"price": "110"}]
)
def test_a_spot_answer_is_as_full_as_it_was_asked_to_be(changes: dict[str, str]) -> None:
    async def scene(venue: Venue) -> list[Any]:
        kinds = ("", "FULL", "RESULT", "ACK")
        answers = [(await place(venue, "spot", **changes, newOrderRespType=kind))[1] for kind in kinds]
        return [*answers, (await place(venue, "spot", type="LIMIT_MAKER", timeInForce=""))[1]]

    usual, full, result, short, maker = seen("spot", scene)

    for answer in (usual, full):
        assert answer["status"] == "FILLED"
        assert sum(float(fill["qty"]) for fill in answer["fills"]) == float(answer["executedQty"]) == 2.0
        assert set(answer["fills"][0]) == {"price", "qty", "commission", "commissionAsset", "tradeId"}
    assert (result["status"], "fills" in result) == ("FILLED", False)
    for answer in (short, maker):
        assert set(answer) == {"symbol", "orderId", "orderListId", "clientOrderId", "transactTime"}


def test_a_perpetual_order_is_acknowledged_before_it_matches() -> None:
    async def scene(venue: Venue) -> list[Any]:
        return [(await place(venue, "perp", price="103", newOrderRespType=kind))[1] for kind in ("", "ACK", "RESULT")]

    assert [(row["status"], float(row["executedQty"])) for row in seen("perp", scene)] == [
        ("NEW", 0.0),
        ("NEW", 0.0),
        ("FILLED", 2.0),
    ]


def test_a_cancel_of_all_on_spot_lists_what_it_ended() -> None:
    async def scene(venue: Venue) -> Any:
        for name in ("one", "two"):
            await place(venue, "spot", newClientOrderId=name)
        return (await venue.signed("DELETE", "/api/v3/openOrders", symbol=SYMBOL))[1]

    rows = seen("spot", scene)

    assert [(row["origClientOrderId"], row["status"]) for row in rows] == [("one", "CANCELED"), ("two", "CANCELED")]


def test_positions_show_the_margin_that_the_balance_lacks() -> None:
    async def scene(venue: Venue) -> list[Any]:
        await place(venue, "perp", price="103", quantity="4")
        await place(venue, "perp")
        risk = (await venue.signed("GET", "/fapi/v3/positionRisk"))[1][0]
        account = (await venue.signed("GET", "/fapi/v3/account"))[1]
        return [risk, account]

    risk, account = seen("perp", scene)

    assert float(risk["positionInitialMargin"]) == pytest.approx(4 * float(risk["entryPrice"]) / 20)
    assert float(risk["openOrderInitialMargin"]) == pytest.approx(2 * 90 / 20)
    assert float(risk["initialMargin"]) == float(account["totalInitialMargin"])
    bound = float(account["totalMarginBalance"]) - float(account["availableBalance"])
    assert float(risk["initialMargin"]) == pytest.approx(bound)


def test_reports_have_an_id_each() -> None:
    async def scene(venue: Venue) -> list[int]:
        ws = await venue.dial("/ws-api/v3")
        await ws.send_json({"id": 1, "method": "userDataStream.subscribe.signature", "params": venue.ws_params()})
        await ws.receive_json()
        await place(venue, "spot", price="110")
        found = []
        while len(found) < 2:
            event = (await ws.receive_json())["event"]
            if event["e"] == "executionReport":
                found.append(event["I"])
        return found

    first, second = seen("spot", scene)

    assert first < second


def test_funding_rates_are_those_that_were_paid() -> None:
    async def scene(venue: Venue) -> list[Any]:
        exchange = venue.server.exchange
        before = (await venue.get("/fapi/v1/fundingRate", symbol=SYMBOL))[1]
        due_ns = exchange.mark(SYMBOL).next_funding_ms * NS_PER_MS
        exchange._fund(due_ns, [])  # type: ignore[attr-defined]  # hours from now
        venue.server.desk.clock.hold(due_ns)
        return [before, due_ns, (await venue.get("/fapi/v1/fundingRate", symbol=SYMBOL))[1]]

    before, due_ns, after = seen("perp", scene)

    assert before == []
    assert [row["fundingTime"] for row in after] == [due_ns // NS_PER_MS]


# --- streams that go by the clock ---------------------------------------------------------------------------------


async def heard(venue: Venue, path: str, count: int = 1) -> list[Any]:
    ws = await venue.dial(path)
    async with asyncio.timeout(5):
        return [await ws.receive_json() for _ in range(count)]


@pytest.mark.parametrize(
    ("market", "path", "keys"),
    [
        ("spot", "/ws/aaausdt@depth5@100ms", {"lastUpdateId", "bids", "asks"}),
        ("spot", "/ws/aaausdt@depth20", {"lastUpdateId", "bids", "asks"}),
        ("spot", "/ws/aaausdt@ticker", {"e", "E", "s", *"pPwxcQbBaAohlvqOCFLn"}),
        ("spot", "/ws/aaausdt@miniTicker", {"e", "E", "s", *"cohlvq"}),
        ("spot", "/ws/aaausdt@avgPrice", {"e", "E", "s", "i", "w", "T"}),
        ("spot", "/ws/aaausdt@kline_1s", {"e", "E", "s", "k"}),
        ("spot", "/ws/aaausdt@kline_1m", {"e", "E", "s", "k"}),
        ("perp", "/public/ws/aaausdt@depth5@100ms", {"e", "E", "T", "s", "U", "u", "pu", "b", "a"}),
        ("perp", "/public/ws/aaausdt@depth20", {"e", "E", "T", "s", "U", "u", "pu", "b", "a"}),
        ("perp", "/market/ws/aaausdt@ticker", {"e", "E", "s", *"pPwcQohlvqOCFLn"}),
        ("perp", "/market/ws/aaausdt@kline_5m", {"e", "E", "s", "k"}),
    ],
)
def test_a_stream_shows_how_things_stand_at_once(market: Market, path: str, keys: set[str]) -> None:
    (frame,) = seen(market, lambda venue: heard(venue, path))

    assert set(frame) == keys


@pytest.mark.parametrize("name", ["!markPrice@arr", "!markPrice@arr@1s", "!miniTicker@arr", "!ticker@arr"])
def test_a_stream_of_all_symbols_is_an_array(name: str) -> None:
    ((row,),) = seen("perp", lambda venue: heard(venue, f"/market/ws/{name}"))

    assert row["s"] == SYMBOL


def test_partial_depth_keeps_its_own_pace() -> None:
    async def scene(venue: Venue) -> float:
        loop = asyncio.get_running_loop()
        began = loop.time()
        frames = await heard(venue, "/ws/aaausdt@depth5@100ms", 6)
        assert [len(frame["bids"]) for frame in frames] == [5] * 6
        return loop.time() - began

    assert 0.3 < seen("spot", scene) < 2.0


def test_a_running_candle_is_open_and_holds_the_minutes_before() -> None:
    async def scene(venue: Venue) -> list[Any]:
        await place(venue, "spot", price="110")
        hour = (await heard(venue, "/ws/aaausdt@kline_1h"))[0]["k"]
        minute = (await heard(venue, "/ws/aaausdt@kline_1m"))[0]["k"]
        return [hour, minute]

    hour, minute = seen("spot", scene)

    for candle, length_ms in ((hour, 3_600_000), (minute, 60_000)):
        assert (candle["x"], candle["T"] - candle["t"] + 1) == (False, length_ms)
        assert candle["t"] % length_ms == 0
    assert float(hour["l"]) <= float(minute["l"])
    assert float(hour["v"]) >= float(minute["v"])


def test_streams_without_a_listener_cost_nothing() -> None:
    async def scene(venue: Venue) -> int:
        await asyncio.sleep(0.15)
        return venue.server.hub.frames_sent_count

    assert seen("spot", scene) == 0


@pytest.mark.parametrize("path", ["/ws/aaausdt@trade", "/stream", "/ws-api/v3"])
def test_times_in_microseconds_are_refused_and_not_sent_as_something_else(path: str) -> None:
    async def scene(venue: Venue) -> int:
        await (await venue.dial(f"{path}?timeUnit=MILLISECOND")).close()
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await venue.dial(f"{path}?timeUnit=MICROSECOND")
        return refused.value.status

    assert seen("spot", scene) == 404
