"""The front door of the simulated venue: who may enter, what is refused and how, what a request becomes."""

from __future__ import annotations

import json

import msgspec
import pytest

from actors.venues.binance.calls import Done, LedgerQuery, MarketQuery, OrderCall, PrivateCall, ServerAccount
from actors.venues.binance.server import BinanceServer, Ticker, combined, notice, wrap_private
from actors.venues.binance.signer import Signer
from actors.venues.dialect import Credentials
from actors.venues.ledger import LedgerAccount, LedgerBalance, LedgerPosition
from actors.vocab.errors import ConfigError, OurFault
from actors.vocab.market import Kline, Side
from actors.vocab.venue_io import (
    FaultKind,
    MarkPrice,
    PublicTrade,
    RateUsage,
    StreamNotice,
    TopOfBook,
    VenuePlace,
    VenueReplace,
)
from tests.venues.binance.examples import KEYS, NOW_MS, NOW_NS, PERP_BTC, ROWS, VENUES, lower, wire
from tests.venues.binance.test_signer import ed25519_pem

ENDS = {venue: wire(venue) for venue in VENUES}
PERP, SPOT = ENDS["binance_perp"].server, ENDS["binance_spot"].server
HEADERS = {"x-mbx-apikey": "test-key"}
ORDER = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "1", "price": "60000"}


def signed(params: dict[str, str], *, at_ms: int = NOW_MS) -> str:
    return Signer(KEYS).rest_query({**params, "timestamp": str(at_ms)})


def ask(
    server: BinanceServer, method: str, path: str, params: dict[str, str] | str, *, body: str = "", headers=HEADERS
):
    query = params if isinstance(params, str) else signed(params)
    return server.http(method, path, query, headers, body.encode(), now_ms=NOW_MS, request_no=1)


def fault(call) -> tuple[int, int]:
    """(HTTP status, code) of a refusal at the door."""
    assert isinstance(call, Done), call
    return call.reply.status, json.loads(call.reply.body)["code"]


# --- who may enter --------------------------------------------------------------------------------------------------


def test_signature_may_stand_in_query_or_body() -> None:
    whole = signed(ORDER)
    query_only = ask(PERP, "POST", "/fapi/v1/order", whole)
    body_only = ask(PERP, "POST", "/fapi/v1/order", "", body=whole)
    assert isinstance(query_only, OrderCall)
    assert query_only == body_only

    query = "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC"
    body = f"quantity=1&price=60000&timestamp={NOW_MS}"
    mixed = ask(PERP, "POST", "/fapi/v1/order", query, body=f"{body}&signature={Signer(KEYS).sign(query + body)}")
    assert isinstance(mixed, OrderCall)
    assert msgspec.structs.replace(query_only.request, client_id="") == msgspec.structs.replace(
        mixed.request, client_id=""
    )


def test_a_name_in_both_places_is_the_querys() -> None:
    query, body = f"symbol=BTCUSDT&timestamp={NOW_MS}", "symbol=1000PEPEUSDT"
    call = ask(PERP, "GET", "/fapi/v1/openOrders", query, body=f"{body}&signature={Signer(KEYS).sign(query + body)}")
    assert isinstance(call, LedgerQuery)
    assert call.symbol == "BTCUSDT"


@pytest.mark.parametrize(
    ("query", "headers", "expected"),
    [
        (signed({}), {}, (401, -2014)),
        (signed({}), {"x-mbx-apikey": "other"}, (401, -2015)),
        (f"timestamp={NOW_MS}", HEADERS, (400, -1102)),
        (f"timestamp={NOW_MS}&signature=00", HEADERS, (400, -1022)),
        (signed({}) + "0", HEADERS, (400, -1022)),
        (signed({}, at_ms=NOW_MS - 5_001), HEADERS, (400, -1021)),
        (signed({}, at_ms=NOW_MS + 1_000), HEADERS, (400, -1021)),
        (signed({"recvWindow": "60001"}), HEADERS, (400, -1131)),
        (signed({"recvWindow": "x"}), HEADERS, (400, -1131)),
        (Signer(KEYS).rest_query({"recvWindow": "100"}), HEADERS, (400, -1102)),
    ],
    ids=[
        "no key",
        "unknown key",
        "no signature",
        "wrong signature",
        "altered after signing",
        "too old",
        "too far ahead",
        "window too wide",
        "window no number",
        "no timestamp",
    ],
)
def test_strangers_are_refused_as_the_venue_does(query: str, headers: dict[str, str], expected) -> None:
    for server, path in ((PERP, "/fapi/v1/openOrders"), (SPOT, "/api/v3/openOrders")):
        assert fault(ask(server, "GET", path, query, headers=headers)) == expected


@pytest.mark.parametrize("at_ms", [NOW_MS - 5_000, NOW_MS + 999])
def test_the_time_window_is_inclusive(at_ms: int) -> None:
    assert isinstance(ask(PERP, "GET", "/fapi/v1/openOrders", signed({}, at_ms=at_ms)), LedgerQuery)
    assert isinstance(ask(SPOT, "GET", "/api/v3/openOrders", signed({}, at_ms=at_ms * 1000)), LedgerQuery)  # µs


def test_two_accounts_may_not_share_a_key() -> None:
    with pytest.raises(ConfigError, match="share"):
        BinanceServer("binance_perp", [PERP_BTC], [ServerAccount("a", KEYS), ServerAccount("b", KEYS)])


def test_each_key_is_its_own_account() -> None:
    other = Credentials("other-key", ed25519_pem(), "ed25519")
    server = BinanceServer("binance_spot", ROWS["binance_spot"], [ServerAccount("a", KEYS), ServerAccount("b", other)])
    query = Signer(other).rest_query({"timestamp": str(NOW_MS)})
    call = server.http("GET", "/api/v3/account", query, {"x-mbx-apikey": "other-key"}, b"", now_ms=NOW_MS, request_no=1)

    assert isinstance(call, LedgerQuery)
    assert call.account == "b"


# --- the websocket API ----------------------------------------------------------------------------------------------


def ws(server: BinanceServer, method: str, params: dict, *, call_id="5", logon: str = ""):
    frame = msgspec.json.encode({"id": call_id, "method": method, "params": params})
    return server.ws_api(frame, now_ms=NOW_MS, request_no=1, logon=logon)


def test_logon_by_ed25519_then_unsigned_orders() -> None:
    keys = Credentials("k", ed25519_pem(), "ed25519")
    server = BinanceServer("binance_spot", ROWS["binance_spot"], [ServerAccount("a", keys)])
    done = ws(server, "session.logon", Signer(keys).ws_params({"timestamp": NOW_MS}))
    assert isinstance(done, Done)
    assert (done.logon, json.loads(done.reply.body)["result"]["apiKey"]) == ("a", "k")

    call = ws(server, "order.place", {**ORDER, "timestamp": NOW_MS}, logon="a")
    assert isinstance(call, OrderCall)
    assert call.account == "a"
    stale = ws(server, "order.place", {**ORDER, "timestamp": NOW_MS - 9_000}, logon="a")
    assert isinstance(stale, Done)
    assert (stale.logon, json.loads(stale.reply.body)["error"]["code"]) == ("a", -1021)
    out = ws(server, "session.logout", {}, logon="a")
    assert isinstance(out, Done)
    assert out.logon == ""


def test_hmac_keys_sign_every_request() -> None:
    refused = ws(SPOT, "session.logon", Signer(KEYS).ws_params({"timestamp": NOW_MS}))
    assert isinstance(refused, Done)
    assert (refused.logon, json.loads(refused.reply.body)["error"]["code"]) == ("", -4056)


@pytest.mark.parametrize("call_id", ["a", 7, None])
def test_answers_carry_the_callers_id_as_sent(call_id) -> None:
    done = ws(SPOT, "ping", {}, call_id=call_id)
    assert isinstance(done, Done)
    assert json.loads(done.reply.body) == {"id": call_id, "status": 200, "result": {}, "rateLimits": []}


@pytest.mark.parametrize(
    ("frame", "code"),
    [(b"{", -1135), (b"[]", -1135), (b'{"id":1,"method":"no.such"}', -1000), (b'{"id":1,"method":"depth"}', -1102)],
)
def test_bad_websocket_requests(frame: bytes, code: int) -> None:
    done = SPOT.ws_api(frame, now_ms=NOW_MS, request_no=1)
    assert isinstance(done, Done)
    answer = json.loads(done.reply.body)
    assert (answer["status"], answer["error"]["code"]) == (400, code)


def test_numbers_in_websocket_parameters_are_taken() -> None:
    call = ws(PERP, "order.cancel", Signer(KEYS).ws_params({"symbol": "BTCUSDT", "orderId": 77, "timestamp": NOW_MS}))
    assert isinstance(call, OrderCall)
    assert (call.request.client_id, call.request.venue_order_id) == ("", "77")


# --- orders ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "perp", "spot"),
    [
        ({"symbol": "NOSUCH"}, -1121, -1121),
        ({"symbol": ""}, -1102, -1102),
        ({"side": "LONG"}, -1117, -1117),
        ({"type": "ICEBERG"}, -1116, -1116),
        ({"timeInForce": "IOC"}, -1115, -1115),
        ({"quantity": "0.000001"}, -4023, -1013),
        ({"quantity": "0"}, -4003, -1013),
        ({"quantity": "9999999"}, -4005, -1013),
        ({"quantity": "x"}, -1100, -1100),
        ({"price": "60000.001"}, -4014, -1013),
        ({"price": "0"}, -4001, -1013),
        ({"quantity": "0.001", "price": "10.0"}, -4164, -1013),
        ({"newClientOrderId": "a b"}, -4015, -1100),
        ({"positionSide": "LONG"}, -4061, -4061),
    ],
)
def test_filters_are_refused_as_each_market_does(change: dict[str, str], perp: int, spot: int) -> None:
    order = {**ORDER, **change}
    assert fault(ask(PERP, "POST", "/fapi/v1/order", order)) == (400, perp)
    assert fault(ask(SPOT, "POST", "/api/v3/order", order)) == (400, spot)


def test_reduce_only_is_exempt_from_the_notional_filter() -> None:
    small = {**ORDER, "quantity": "0.001", "price": "10.0", "reduceOnly": "true"}
    call = ask(PERP, "POST", "/fapi/v1/order", small)
    assert isinstance(call, OrderCall)
    assert isinstance(call.request, VenuePlace)
    assert call.request.reduce_only


def test_conditional_orders_have_their_own_endpoint() -> None:
    assert fault(ask(PERP, "POST", "/fapi/v1/order", {**ORDER, "type": "STOP_MARKET"})) == (400, -4120)


def test_an_order_without_a_client_id_gets_one() -> None:
    call = ask(SPOT, "POST", "/api/v3/order", ORDER)
    assert isinstance(call, OrderCall)
    assert isinstance(call.request, VenuePlace)
    assert ENDS["binance_spot"].trading.client_id_ok(call.request.client_id)


def test_an_order_test_places_nothing() -> None:
    done = ask(SPOT, "POST", "/api/v3/order/test", ORDER)
    assert isinstance(done, Done)
    assert (done.reply.status, done.reply.body) == (200, b"{}")


def test_a_cancel_needs_one_of_the_two_ids() -> None:
    assert fault(ask(PERP, "DELETE", "/fapi/v1/order", {"symbol": "BTCUSDT"})) == (400, -1102)
    assert fault(ask(PERP, "DELETE", "/fapi/v1/order", {"symbol": "BTCUSDT", "orderId": "x"})) == (400, -1100)


def test_cancel_replace_by_order_id() -> None:
    params = {
        **ORDER,
        "type": "LIMIT_MAKER",
        "timeInForce": "",
        "cancelReplaceMode": "STOP_ON_FAILURE",
        "cancelOrderId": "9",
        "newClientOrderId": "n",
    }
    call = ask(SPOT, "POST", "/api/v3/order/cancelReplace", params)
    assert isinstance(call, OrderCall)
    assert isinstance(call.request, VenueReplace)
    assert (call.request.venue_order_id, call.request.client_id, call.request.new_client_id) == ("9", "", "n")
    params["cancelReplaceMode"] = "SOMEHOW"
    assert fault(ask(SPOT, "POST", "/api/v3/order/cancelReplace", params)) == (400, -1145)


def test_unknown_paths() -> None:
    assert fault(ask(PERP, "GET", "/fapi/v1/nothing", "")) == (404, -5000)
    assert fault(ask(SPOT, "POST", "/api/v3/time", "")) == (404, -5000)


@pytest.mark.parametrize(
    ("path", "params", "code"),
    [
        ("/fapi/v1/positionSide/dual", {"dualSidePosition": "false"}, -4059),
        ("/fapi/v1/marginType", {"symbol": "BTCUSDT", "marginType": "CROSSED"}, -4046),
        ("/fapi/v1/multiAssetsMargin", {"multiAssetsMargin": "false"}, -4171),
    ],
)
def test_switches_stand_already(path: str, params: dict[str, str], code: int) -> None:
    assert fault(ask(PERP, "POST", path, params)) == (400, code)


def test_leverage_and_its_brackets() -> None:
    done = ask(PERP, "POST", "/fapi/v1/leverage", {"symbol": "BTCUSDT", "leverage": "20"})
    assert isinstance(done, Done)
    assert json.loads(done.reply.body)["leverage"] == 20
    assert fault(ask(PERP, "POST", "/fapi/v1/leverage", {"symbol": "BTCUSDT", "leverage": "5"})) == (400, -4028)
    brackets = ask(PERP, "GET", "/fapi/v1/leverageBracket", {})
    assert isinstance(brackets, Done)
    assert [row["symbol"] for row in json.loads(brackets.reply.body)] == ["BTCUSDT", "1000PEPEUSDT"]


# --- public data ----------------------------------------------------------------------------------------------------


def public(server: BinanceServer, path: str, query: str = "") -> object:
    return server.http("GET", path, query, {}, b"", now_ms=NOW_MS, request_no=1)


def test_market_queries() -> None:
    depth = public(SPOT, "/api/v3/depth", "symbol=BTCUSDT&limit=9999")
    assert isinstance(depth, MarketQuery)
    assert (depth.kind, depth.symbols, depth.limit) == ("depth", ("BTCUSDT",), 5000)
    assert fault(public(PERP, "/fapi/v1/depth", "symbol=BTCUSDT&limit=7")) == (400, -4021)
    assert fault(public(PERP, "/fapi/v1/klines", "symbol=BTCUSDT&interval=1s")) == (400, -1120)
    everything = public(PERP, "/fapi/v1/ticker/bookTicker")
    assert isinstance(everything, MarketQuery)
    assert (everything.symbols, everything.listed) == (("BTCUSDT", "1000PEPEUSDT"), True)
    some = public(SPOT, "/api/v3/ticker/24hr", "symbols=%5B%22ETHBTC%22%5D")
    assert isinstance(some, MarketQuery)
    assert (some.kind, some.symbols, some.listed) == ("tickers", ("ETHBTC",), True)


def test_weights() -> None:
    def weight(server: BinanceServer, call) -> int:
        return server.weight_of(call)

    assert weight(PERP, public(PERP, "/fapi/v1/depth", "symbol=BTCUSDT&limit=1000")) == 20
    assert weight(SPOT, public(SPOT, "/api/v3/depth", "symbol=BTCUSDT&limit=1000")) == 50
    assert weight(PERP, ask(PERP, "POST", "/fapi/v1/order", ORDER)) == 0
    assert weight(PERP, ask(PERP, "GET", "/fapi/v1/openOrders", {})) == 40
    assert weight(PERP, ask(PERP, "GET", "/fapi/v1/openOrders", {"symbol": "BTCUSDT"})) == 1
    assert weight(SPOT, ask(SPOT, "GET", "/api/v3/account", {})) == 20


def test_single_symbols_are_answered_without_a_list() -> None:
    top = TopOfBook("BTCUSDT", 5, NOW_NS, 600_000, 1, 600_002, 2)
    one = public(PERP, "/fapi/v1/ticker/bookTicker", "symbol=BTCUSDT")
    assert isinstance(one, MarketQuery)
    assert json.loads(PERP.answer_book_tickers(one, [top]).body)["bidPrice"] == "60000.0"
    price = public(PERP, "/fapi/v2/ticker/price", "symbol=BTCUSDT")
    assert isinstance(price, MarketQuery)
    assert json.loads(PERP.answer_prices(price, [top]).body)["price"] == "60000.1"
    mark = public(PERP, "/fapi/v1/premiumIndex", "symbol=BTCUSDT")
    assert isinstance(mark, MarketQuery)
    row = json.loads(
        PERP.answer_mark_prices(
            mark, [MarkPrice("BTCUSDT", NOW_NS, 600_000.5, 600_001.0, 0.0001, 9)], now_ms=NOW_MS
        ).body
    )
    assert (row["markPrice"], row["lastFundingRate"], row["nextFundingTime"]) == ("60000.05000000", "0.00010000", 9)


def test_trades_and_tickers() -> None:
    trade = PublicTrade("BTCUSDT", 5, NOW_NS, Side.SELL, 600_000, 20)
    plain = public(PERP, "/fapi/v1/trades", "symbol=BTCUSDT")
    assert isinstance(plain, MarketQuery)
    assert json.loads(PERP.answer_trades(plain, [trade]).body) == [
        {"id": 5, "price": "60000.0", "qty": "0.020", "quoteQty": "1200", "time": NOW_MS, "isBuyerMaker": True}
    ]
    grouped = public(PERP, "/fapi/v1/aggTrades", "symbol=BTCUSDT")
    assert isinstance(grouped, MarketQuery)
    assert json.loads(PERP.answer_trades(grouped, [trade]).body)[0]["a"] == 5
    day = public(PERP, "/fapi/v1/ticker/24hr", "symbol=BTCUSDT")
    assert isinstance(day, MarketQuery)
    ticker = Ticker(
        TopOfBook("BTCUSDT", 5, NOW_NS, 599_999, 1, 600_001, 2),
        Kline(0, 86_399_999, 500_000, 700_000, 400_000, 600_000, 1_000, 50),
        600_000,
    )
    row = json.loads(PERP.answer_tickers(day, [ticker]).body)
    assert (row["priceChange"], row["priceChangePercent"], row["lastPrice"]) == ("10000", "20", "60000.0")


def test_recorded_answer_shapes_of_accounts() -> None:
    account = LedgerAccount(
        balances=(LedgerBalance("USDT", "100.5", "20", "-0.5"),),
        positions=(LedgerPosition("BTCUSDT", 20, 600_000.0, 600_010.0, "0.02"),),
        maker_rate="0.0002",
        taker_rate="0.0005",
    )
    call = ask(PERP, "GET", "/fapi/v3/account", {})
    assert isinstance(call, LedgerQuery)
    row = json.loads(PERP.answer_account(call, account, now_ms=NOW_MS).body)
    assert (row["totalMarginBalance"], row["availableBalance"]) == ("100", "80")
    assert row["positions"][0]["notional"] == "1200.02000000"
    rates = ask(PERP, "GET", "/fapi/v1/commissionRate", {"symbol": "BTCUSDT"})
    assert isinstance(rates, LedgerQuery)
    assert json.loads(PERP.answer_account(rates, account, now_ms=NOW_MS).body)["makerCommissionRate"] == "0.0002"


def test_counts_are_headers_and_only_known_ones() -> None:
    call = ask(PERP, "POST", "/fapi/v1/order", ORDER)
    reply = PERP.refuse(call, FaultKind.RATE_LIMIT, usage=RateUsage(orders_10s=301), retry_after_s=7)
    headers = lower(reply.headers)

    assert (reply.status, headers["retry-after"], headers["x-mbx-order-count-10s"]) == (429, "7", "301")
    assert "x-mbx-used-weight-1m" not in headers
    assert lower(PERP.with_usage(reply, RateUsage(weight_1m=5)).headers)["x-mbx-used-weight-1m"] == "5"


# --- streams --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("venue", "path", "query", "expected"),
    [
        ("binance_spot", "/ws", "", ("", (), False, "")),
        ("binance_spot", "/ws/btcusdt@trade", "", ("", ("btcusdt@trade",), False, "")),
        ("binance_spot", "/stream", "streams=a@trade/b@trade", ("", ("a@trade", "b@trade"), True, "")),
        ("binance_perp", "/public/stream", "", ("public", (), True, "")),
        ("binance_perp", "/market/ws/btcusdt@aggTrade", "", ("market", ("btcusdt@aggTrade",), False, "")),
        ("binance_perp", "/ws", "", ("public", (), False, "")),
        ("binance_perp", "/private/ws/key", "", ("private", (), False, "key")),
        ("binance_perp", "/private/ws", "listenKey=key&events=ACCOUNT_UPDATE", ("private", (), False, "key")),
    ],
)
def test_stream_paths(venue: str, path: str, query: str, expected) -> None:
    dial = ENDS[venue].server.stream_dial(path, query)
    assert dial is not None
    assert (dial.route, dial.streams, dial.combined, dial.listen_key) == expected


def test_other_paths_are_no_streams() -> None:
    assert SPOT.stream_dial("/ws-api/v3", "") is None
    assert PERP.stream_dial("/fapi/v1/time", "") is None


def test_stream_commands() -> None:
    command = SPOT.stream_command('{"method":"SUBSCRIBE","params":["a@trade"],"id":1}')
    assert (command.method, command.streams, json.loads(command.ack)) == (
        "SUBSCRIBE",
        ("a@trade",),
        {"result": None, "id": 1},
    )
    listed = SPOT.stream_command('{"method":"LIST_SUBSCRIPTIONS","id":"x"}')
    assert json.loads(SPOT.stream_list_ack(listed, ["a@trade"], combined=False)) == {"result": ["a@trade"], "id": "x"}
    switched = SPOT.stream_command('{"method":"SET_PROPERTY","params":["combined",true],"id":4}')
    assert switched.combined is True
    for bad in ("{", '{"method":"SUBSCRIBE","id":1}', '{"method":"DANCE","params":["a"],"id":1}'):
        refused = SPOT.stream_command(bad)
        assert refused.method == ""
        assert json.loads(refused.ack)["error"]["msg"].startswith("Invalid")


@pytest.mark.parametrize(
    ("stream", "route"),
    [
        ("btcusdt@depth@100ms", "public"),
        ("btcusdt@bookTicker", "public"),
        ("!bookTicker", "public"),
        ("btcusdt@aggTrade", "market"),
        ("btcusdt@markPrice@1s", "market"),
        ("!forceOrder@arr", "market"),
    ],
)
def test_routes_of_streams(stream: str, route: str) -> None:
    assert (PERP.route_of(stream), SPOT.route_of(stream)) == (route, "")


def test_every_event_of_a_perpetual_lies_on_the_route_that_the_client_dials() -> None:
    plans = ENDS["binance_perp"].market.plan(["BTCUSDT"], "ws://h")
    for plan in plans:
        route = plan.url.split("/")[3]
        for frame in plan.subscribe_frames:
            assert {PERP.route_of(name) for name in json.loads(frame)["params"]} == {route}


def test_shutdowns_and_wrappers() -> None:
    assert json.loads(notice(StreamNotice("shutdown", 5, ""))) == {"e": "serverShutdown", "E": 5}
    with pytest.raises(OurFault):
        notice(StreamNotice("subscribed", 5, ""))
    assert json.loads(wrap_private(b'{"e":"x"}', 3)) == {"subscriptionId": 3, "event": {"e": "x"}}
    assert json.loads(combined("a@b", b"{}")) == {"stream": "a@b", "data": {}}


def test_listen_keys_need_only_the_key() -> None:
    call = PERP.http("DELETE", "/fapi/v1/listenKey", "", HEADERS, b"", now_ms=NOW_MS, request_no=1)
    assert isinstance(call, PrivateCall)
    assert (call.action, call.account) == ("close", "main")
    assert fault(PERP.http("POST", "/fapi/v1/listenKey", "", {}, b"", now_ms=NOW_MS, request_no=1)) == (401, -2014)


def test_a_session_that_logged_on_subscribes_without_a_signature() -> None:
    frame = '{"id": "s", "method": "userDataStream.subscribe"}'
    call = SPOT.ws_api(frame, now_ms=NOW_MS, request_no=1, logon="main")
    assert isinstance(call, PrivateCall)
    assert (call.account, call.action) == ("main", "subscribe")
    refused = SPOT.ws_api(frame, now_ms=NOW_MS, request_no=1)
    assert isinstance(refused, Done)
    assert refused.reply.status == 401
