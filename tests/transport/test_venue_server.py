"""A venue server over real sockets with a scripted exchange behind it."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest

from actors.sim.messages import Disconnect, Scope
from actors.transport import venue_answers, venue_server
from actors.transport.venue_hub import Listener
from actors.vocab.errors import ConfigError
from actors.vocab.market import Side
from actors.vocab.venue_io import DepthDelta, PublicTrade, TopOfBook, VenuePlace
from tests.transport.venue_fakes import Venue, running, sign, soon

TOP = TopOfBook("BTCUSDT", 12, 1_700_000_000_000_000_000, 1000, 5, 1001, 6)
DELTA = DepthDelta("BTCUSDT", 10, 12, 9, 1_700_000_000_000_000_000, [(1000, 5)], [])
TRADE = PublicTrade("BTCUSDT", 3, 1_700_000_000_000_000_000, Side.BUY, 1001, 2)
ORDER = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "quantity": "0.100", "price": "100.0"}


async def subscribe(ws: aiohttp.ClientWebSocketResponse, *streams: str) -> None:
    await ws.send_json({"method": "SUBSCRIBE", "params": list(streams), "id": 1})
    assert await ws.receive_json() == {"result": None, "id": 1}


def test_combined_and_raw_listeners_get_their_form() -> None:
    async def scene() -> list[Any]:
        async with running() as venue:
            raw = await venue.dial("/public/ws/btcusdt@bookTicker")
            wrapped = await venue.dial("/public/stream?streams=btcusdt@bookTicker/btcusdt@depth@100ms")
            await soon(lambda: len(venue.server.hub.listeners) == 2)
            venue.say(TOP, DELTA)
            return [await raw.receive_json(), await wrapped.receive_json(), await wrapped.receive_json()]

    raw, top, depth = asyncio.run(scene())

    assert raw == top["data"]
    assert (raw["e"], raw["u"], raw["b"], raw["B"]) == ("bookTicker", 12, "100.0", "0.005")
    assert top["stream"] == "btcusdt@bookTicker"
    assert (depth["stream"], depth["data"]["pu"]) == ("btcusdt@depth@100ms", 9)


def test_stream_is_silent_on_the_wrong_route_and_the_default_route_is_public() -> None:
    async def scene() -> list[Any]:
        async with running() as venue:
            public = await venue.dial("/stream")
            market = await venue.dial("/market/stream")
            for ws in (public, market):
                await subscribe(ws, "btcusdt@aggTrade", "btcusdt@bookTicker")
            venue.say(TOP, TRADE)
            return [(await ws.receive_json())["stream"] for ws in (public, market)]

    assert asyncio.run(scene()) == ["btcusdt@bookTicker", "btcusdt@aggTrade"]


def test_subscriptions_are_listed_ended_and_switched_to_raw_frames() -> None:
    async def scene() -> list[Any]:
        async with running("spot") as venue:
            ws = await venue.dial("/stream")
            await subscribe(ws, "btcusdt@trade", "btcusdt@bookTicker")
            await ws.send_json({"method": "UNSUBSCRIBE", "params": ["btcusdt@trade"], "id": 2})
            await ws.send_json({"method": "LIST_SUBSCRIPTIONS", "id": 3})
            await ws.send_json({"method": "SET_PROPERTY", "params": ["combined", False], "id": "x"})
            answers = [await ws.receive_json() for _ in range(3)]
            venue.say(TRADE, TOP)
            return [*answers, await ws.receive_json()]

    ended, listed, switched, frame = asyncio.run(scene())

    assert (ended["id"], listed, switched["id"]) == (2, {"result": ["btcusdt@bookTicker"], "id": 3}, "x")
    assert frame == {"u": 12, "s": "BTCUSDT", "b": "100.0", "B": "0.005", "a": "100.1", "A": "0.006"}


@pytest.mark.parametrize("path", ["/public/stream?streams=", "/public/stream"])
def test_too_many_streams_end_the_connection(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(venue_server, "STREAMS_PER_CONNECTION_MAX", 2)
    names = ["a@depth", "b@depth", "c@depth"]

    async def scene() -> aiohttp.WSMsgType:
        async with running() as venue:
            if path.endswith("="):
                ws = await venue.dial(path + "/".join(names))
            else:
                ws = await venue.dial(path)
                await ws.send_json({"method": "SUBSCRIBE", "params": names, "id": 1})
            return (await ws.receive()).type

    assert asyncio.run(scene()) is aiohttp.WSMsgType.CLOSE


def test_too_many_messages_a_second_end_the_connection() -> None:
    async def scene() -> tuple[list[aiohttp.WSMsgType], int]:
        async with running("spot") as venue:
            ws = await venue.dial("/ws")
            for number in range(6):
                await ws.send_json({"method": "LIST_SUBSCRIPTIONS", "id": number})
            return [(await ws.receive()).type for _ in range(6)], venue.server.counters["too_many_messages"]

    kinds, counted = asyncio.run(scene())

    assert kinds == [aiohttp.WSMsgType.TEXT] * 5 + [aiohttp.WSMsgType.CLOSE]
    assert counted == 1


def test_pings_are_answered_and_silent_listeners_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(venue_server, "KEEP_INTERVAL_S", 0.005)
    monkeypatch.setattr(venue_server, "PING_INTERVAL_S", {"perp": 0.01, "spot": 0.01})
    monkeypatch.setattr(venue_server, "PONG_TIMEOUT_S", {"perp": 0.05, "spot": 0.05})

    async def scene() -> tuple[bytes, aiohttp.WSMsgType]:
        async with running() as venue:
            ws = await venue.dial("/public/ws")
            await ws.ping(b"hello")
            seen = [await ws.receive(), await ws.receive()]
            pong = next(message for message in seen if message.type is aiohttp.WSMsgType.PONG)
            assert any(message.type is aiohttp.WSMsgType.PING for message in seen)
            await soon(lambda: not venue.server.listeners())  # never answered its ping
            return pong.data, seen[0].type

    assert asyncio.run(scene())[0] == b"hello"


def test_signed_order_is_acked_over_rest_with_its_counts() -> None:
    async def scene() -> tuple[Any, ...]:
        async with running() as venue:
            answer = await venue.signed("POST", "/fapi/v1/order", **ORDER, timeInForce="GTX", newClientOrderId="me-1")
            return (*answer, venue.exchange.requests)

    status, body, headers, requests = asyncio.run(scene())

    assert (status, body["orderId"], body["clientOrderId"], body["status"]) == (200, 7, "me-1", "NEW")
    assert headers["X-MBX-ORDER-COUNT-1M"] == "1"
    assert headers["X-MBX-USED-WEIGHT-1M"] == "0"
    assert [type(each.request) for each in requests] == [VenuePlace]
    assert (requests[0].account, requests[0].request.post_only) == ("sim", True)


@pytest.mark.parametrize(
    ("path", "params", "status", "code"),
    [
        ("/fapi/v1/nothing", {}, 404, -5000),
        ("/fapi/v1/depth", {"symbol": "NOPEUSDT"}, 400, -1121),
        ("/fapi/v1/openOrders", {"timestamp": "1", "signature": sign("timestamp=1")}, 400, -1021),
        ("/fapi/v1/openOrders", {"timestamp": "1", "signature": "00"}, 400, -1022),
    ],
)
def test_errors_are_the_venues(path: str, params: dict[str, str], status: int, code: int) -> None:
    async def scene() -> tuple[int, Any, dict[str, str]]:
        async with running() as venue:
            return await venue.get(path, **params)

    got, body, _ = asyncio.run(scene())

    assert (got, body["code"]) == (status, code)


@pytest.mark.parametrize(
    "path",
    [
        "time",
        "ping",
        "exchangeInfo",
        "depth?symbol=BTCUSDT",
        "klines?symbol=BTCUSDT&interval=1m",
        "trades?symbol=BTCUSDT",
    ],
)
@pytest.mark.parametrize("market", ["perp", "spot"])
def test_public_queries_answer(market: Any, path: str) -> None:
    async def scene() -> int:
        async with running(market) as venue:
            base = "/fapi/v1/" if market == "perp" else "/api/v3/"
            async with venue.http.get(f"http://{venue.host}{base}{path}") as answer:
                assert await answer.json() is not None
                return answer.status

    assert asyncio.run(scene()) == 200


@pytest.mark.parametrize(
    "path", ["/fapi/v1/ticker/24hr", "/fapi/v1/ticker/price", "/fapi/v1/ticker/bookTicker", "/fapi/v1/premiumIndex"]
)
def test_tickers_answer_with_and_without_a_symbol(path: str) -> None:
    async def scene() -> list[Any]:
        async with running() as venue:
            return [(await venue.get(path))[1], (await venue.get(path, symbol="BTCUSDT"))[1]]

    everything, one = asyncio.run(scene())

    assert (type(everything), type(one)) == (list, dict)
    assert everything[0]["symbol"] == one["symbol"] == "BTCUSDT"


def test_weight_over_the_limit_is_429_with_retry_after(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(venue_server, "WEIGHT_1M_MAX", {"perp": 25, "spot": 25})

    async def scene() -> list[tuple[int, Any, dict[str, str]]]:
        async with running() as venue:
            return [await venue.get("/fapi/v1/depth", symbol="BTCUSDT", limit="1000") for _ in range(2)]

    (first, _, head), (second, body, refused) = asyncio.run(scene())

    assert (first, head["X-MBX-USED-WEIGHT-1M"], second, body["code"]) == (200, "20", 429, -1003)
    assert 1 <= int(refused["Retry-After"]) <= 60


def test_request_that_is_never_answered_has_an_unknown_outcome(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(venue_answers, "ANSWER_TIMEOUT_S", 0.01)

    async def scene() -> tuple[int, Any, dict[str, str]]:
        async with running() as venue:
            venue.exchange.silent = True
            return await venue.signed("POST", "/fapi/v1/order", **ORDER, timeInForce="GTX")

    status, body, _ = asyncio.run(scene())

    assert (status >= 500 or status == 408, body["code"] in (-1006, -1007, -1000)) == (True, True)


def test_listen_key_opens_the_private_stream_of_its_account() -> None:
    async def scene() -> tuple[Any, Any]:
        async with running() as venue:
            _, started, _ = await venue._call("POST", "/fapi/v1/listenKey", {})
            _, again, _ = await venue._call("POST", "/fapi/v1/listenKey", {})
            assert started == again
            ws = await venue.dial(f"/private/ws/{started['listenKey']}")
            await soon(lambda: venue.server.users.listeners("sim"))
            await venue.signed("POST", "/fapi/v1/order", **ORDER, timeInForce="GTX", newClientOrderId="me-2")
            return started, await ws.receive_json()

    started, event = asyncio.run(scene())

    assert len(started["listenKey"]) == 64
    assert (event["e"], event["o"]["c"], event["o"]["x"]) == ("ORDER_TRADE_UPDATE", "me-2", "NEW")


def test_wrong_listen_key_is_turned_away() -> None:
    async def scene() -> aiohttp.WSMsgType:
        async with running() as venue:
            return (await (await venue.dial("/private/ws/nobody")).receive()).type

    assert asyncio.run(scene()) is aiohttp.WSMsgType.CLOSE


def test_websocket_api_places_and_tells_user_events_on_spot() -> None:
    async def scene() -> list[Any]:
        async with running("spot") as venue:
            ws = await venue.dial("/ws-api/v3")
            await ws.send_json({"id": "u", "method": "userDataStream.subscribe.signature", "params": venue.ws_params()})
            subscribed = await ws.receive_json()
            params = venue.ws_params(symbol="BTCUSDT", side="BUY", type="LIMIT_MAKER", quantity="0.1", price="100.0")
            await ws.send_json({"id": 5, "method": "order.place", "params": params})
            return [subscribed, await ws.receive_json(), await ws.receive_json()]

    subscribed, event, placed = asyncio.run(scene())

    assert (subscribed["id"], subscribed["status"], subscribed["result"]["subscriptionId"]) == ("u", 200, 0)
    assert (event["subscriptionId"], event["event"]["e"], event["event"]["x"]) == (0, "executionReport", "NEW")
    assert (placed["id"], placed["status"], placed["result"]["orderId"]) == (5, 200, 7)


def test_websocket_api_refuses_a_wrong_signature() -> None:
    async def scene() -> Any:
        async with running() as venue:
            ws = await venue.dial("/ws-fapi/v1")
            params = {**venue.ws_params(symbol="BTCUSDT"), "signature": "0" * 64}
            await ws.send_json({"id": 1, "method": "order.cancel", "params": params})
            return await ws.receive_json()

    answer = asyncio.run(scene())

    assert (answer["id"], answer["error"]["code"]) == (1, -1022)


@pytest.mark.parametrize(("scope", "cut"), [(Scope.PUBLIC, (True, False)), (Scope.ORDER, (False, True))])
def test_injected_disconnect_cuts_its_kind_of_connection_only(scope: Scope, cut: tuple[bool, bool]) -> None:
    async def scene() -> tuple[bool, bool]:
        async with running() as venue:
            stream, api = await venue.dial("/public/ws"), await venue.dial("/ws-fapi/v1")
            await soon(lambda: len(venue.server.listeners()) == 2)
            peer = {ws.get_extra_info("sockname")[1]: at for at, ws in enumerate((stream, api))}
            venue.server.disconnect(Disconnect(scope))
            await soon(lambda: len(venue.server.listeners()) == 1)
            left: Listener = venue.server.listeners()[0]
            alive = peer[int(left.peer.rpartition(":")[2])]
            return alive != 0, alive != 1

    assert asyncio.run(scene()) == cut


def test_port_in_use_is_one_clear_line() -> None:
    async def scene() -> None:
        async with running() as venue, running() as other:
            await other.server.stop()
            with pytest.raises(ConfigError, match=r"port \d+ on 127.0.0.1 is in use; choose another with --port"):
                await other.server.start(port=int(venue.host.rpartition(":")[2]))

    asyncio.run(scene())


def test_one_connection_gets_frames_in_the_order_in_which_they_were_said() -> None:
    async def scene(venue_count: int = 500) -> list[int]:
        async with running() as venue:
            ws = await venue.dial("/public/ws/btcusdt@bookTicker")
            await soon(lambda: bool(venue.server.hub.streams))
            await _say_many(venue, venue_count)
            return [(await ws.receive_json())["u"] for _ in range(venue_count)]

    assert asyncio.run(scene()) == list(range(500))


async def _say_many(venue: Venue, count: int) -> None:
    for number in range(count):
        venue.say(TopOfBook("BTCUSDT", number, 0, 1000, 5, 1001, 6))
