"""Orders and queries through both roles: what the client asks is what the server reads, and back."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.venues.binance.calls import Done, LedgerQuery, OrderCall, PrivateCall
from actors.venues.binance.trading import BinanceTrading
from actors.venues.dialect import HttpRequest, WsCall
from actors.venues.ledger import LedgerAccount, LedgerBalance, LedgerOrder, LedgerPosition, LedgerTrade
from actors.venues.server_requests import CancelReplace
from actors.vocab.errors import ConfigError, OurFault, VenueFault
from actors.vocab.market import Side
from actors.vocab.orders import OpenOrder, OrderState
from actors.vocab.venue_io import (
    Balance,
    FaultKind,
    Position,
    RateUsage,
    VenueAck,
    VenueBalances,
    VenueBalancesQuery,
    VenueCancel,
    VenueCancelAll,
    VenueCountdown,
    VenueCountdownAck,
    VenueFill,
    VenueOpenOrders,
    VenueOpenOrdersQuery,
    VenueOrder,
    VenuePlace,
    VenuePositions,
    VenuePositionsQuery,
    VenueQueryOrder,
    VenueReject,
    VenueReplace,
    VenueTime,
    VenueTimeQuery,
    VenueTrades,
    VenueTradesQuery,
)
from tests.venues.binance.examples import (
    KEYS,
    NOW_MS,
    NOW_NS,
    ROWS,
    VENUES,
    Wire,
    carry,
    client_ids,
    lower,
    sides,
    steady,
    wire,
)

ENDS = {(venue, ws): wire(venue, ws=ws) for venue in VENUES for ws in (False, True)}
PLACE = VenuePlace(7, "BTCUSDT", "mnt-1", Side.BUY, 600_000, 1_000)


def read_back(ends: Wire, request, *, now_ms: int = NOW_MS):
    """Client to server: the call that the request becomes."""
    sent = ends.trading.encode(request, timestamp_ms=now_ms)
    if isinstance(sent, WsCall):
        return ends.server.ws_api(sent.frame, now_ms=now_ms, request_no=request.request_no)
    return carry(ends.server, sent, request_no=request.request_no, now_ms=now_ms)


def answered(ends: Wire, request, reply):
    """Server to client: the events that the reply becomes."""
    sent = ends.trading.encode(request, timestamp_ms=NOW_MS)
    if isinstance(sent, WsCall):
        assert ends.trading.reply_call_id(reply.body) == sent.call_id
        return ends.trading.decode_reply(request, reply.body)
    return ends.trading.decode_http(request, reply.status, lower(reply.headers), reply.body)


# --- requests survive the wire --------------------------------------------------------------------------------------


@st.composite
def order_requests(draw, venue: str):
    row = draw(st.sampled_from(ROWS[venue]))
    # Within every notional filter of the examples.
    price = draw(st.integers(10**6, 10**7))
    size = draw(st.integers(10**5, 9 * 10**6))
    number = draw(st.integers(1, 10**9))
    client_id, other_id = draw(client_ids), draw(client_ids)
    side = draw(sides)
    kind = draw(st.sampled_from(["place", "market", "replace", "cancel", "all", "query"]))
    perp = venue == "binance_perp"
    if kind == "place":
        reduce_only = perp and draw(st.booleans())
        return VenuePlace(number, row.symbol, client_id, side, price, size, draw(st.booleans()), reduce_only)
    if kind == "market":
        return VenuePlace(number, row.symbol, client_id, side, 0, size, False, False, True)
    if kind == "replace":
        new_id = client_id if perp else other_id
        return VenueReplace(number, row.symbol, client_id, new_id, "", side, price, size)
    if kind == "cancel":
        return VenueCancel(number, row.symbol, client_id)
    if kind == "all":
        return VenueCancelAll(number, row.symbol)
    return VenueQueryOrder(number, row.symbol, client_id)


@pytest.mark.parametrize("ws", [False, True])
@pytest.mark.parametrize("venue", VENUES)
@steady
@given(data=st.data())
def test_order_requests_survive_the_wire(venue: str, ws: bool, data) -> None:
    request = data.draw(order_requests(venue))
    call = read_back(ENDS[venue, ws], request)

    assert isinstance(call, OrderCall), call
    # A cancelReplace says more than our request does; what ours says is in it.
    said = type(request)(*(getattr(call.request, name) for name in request.__struct_fields__))
    assert (said, call.account) == (request, "main")
    if isinstance(call.request, CancelReplace):
        assert (call.request.post_only, call.request.allow_failure) == (True, False)


def test_spot_replaces_with_the_unfilled_rest() -> None:
    request = VenueReplace(1, "BTCUSDT", "old", "new", "5", Side.SELL, 6_000_000, 50_000, filled_lots=20_000)
    call = read_back(ENDS["binance_spot", False], request)

    assert isinstance(call, OrderCall)
    assert isinstance(call.request, VenueReplace)
    assert (call.request.lots, call.request.filled_lots) == (30_000, 0)


def test_perpetual_modifies_the_total() -> None:
    request = VenueReplace(1, "BTCUSDT", "old", "new", "5", Side.SELL, 600_000, 50_000, filled_lots=20_000)
    call = read_back(ENDS["binance_perp", False], request)

    assert isinstance(call, OrderCall)
    assert isinstance(call.request, VenueReplace)
    assert (call.request.lots, call.request.client_id) == (50_000, "old")


@pytest.mark.parametrize(
    ("venue", "expected"),
    [
        ("binance_perp", {"type": "LIMIT", "timeInForce": "GTX", "price": "60000.0", "quantity": "1.000"}),
        ("binance_spot", {"type": "LIMIT_MAKER", "price": "6000.00", "quantity": "0.01000"}),
    ],
)
def test_post_only_as_each_market_spells_it(venue: str, expected: dict[str, str]) -> None:
    sent = ENDS[venue, True].trading.encode(PLACE, timestamp_ms=NOW_MS)
    assert isinstance(sent, WsCall)
    frame = json.loads(sent.frame)

    assert (frame["id"], frame["method"]) == ("7", "order.place")
    params = frame["params"]
    for name in ("signature", "apiKey", "timestamp", "recvWindow", "newOrderRespType", "newClientOrderId", "side"):
        del params[name]
    assert params == {"symbol": "BTCUSDT", **expected}


def test_signature_is_last_and_the_body_is_empty() -> None:
    sent = ENDS["binance_perp", False].trading.encode(PLACE, timestamp_ms=NOW_MS)
    assert isinstance(sent, HttpRequest)

    assert sent.method == "POST"
    assert sent.path_query.startswith("/fapi/v1/order?symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTX&")
    assert "&signature=" in sent.path_query.rpartition("&")[0] + "&signature="
    assert sent.path_query.rpartition("&")[2].startswith("signature=")
    assert (sent.body, sent.headers) == (b"", (("X-MBX-APIKEY", "test-key"),))


def test_what_the_venue_cannot_do_is_our_fault() -> None:
    spot = ENDS["binance_spot", False].trading
    with pytest.raises(OurFault, match="no countdown"):
        spot.encode(VenueCountdown(1, "BTCUSDT", 1000), timestamp_ms=NOW_MS)
    for bad in ("", "a" * 37, "a b", "ä", "a.b"):
        assert not spot.client_id_ok(bad)
        with pytest.raises(OurFault, match="client id"):
            spot.encode(msgspec.structs.replace(PLACE, client_id=bad), timestamp_ms=NOW_MS)
    assert ENDS["binance_perp", False].trading.client_id_ok("a.b:/c_D-9")
    with pytest.raises(ConfigError, match="no instrument"):
        spot.encode(msgspec.structs.replace(PLACE, symbol="NOSUCH"), timestamp_ms=NOW_MS)


# --- answers survive the wire ---------------------------------------------------------------------------------------


def ack(request, **changes) -> VenueAck:
    base = VenueAck(
        request.request_no,
        request.symbol,
        getattr(request, "client_id", ""),
        "77",
        OrderState.OPEN,
        600_000,
        1_000,
        0,
        NOW_NS,
    )
    return msgspec.structs.replace(base, **changes)


@pytest.mark.parametrize("ws", [False, True])
@pytest.mark.parametrize("venue", VENUES)
@pytest.mark.parametrize("state", [OrderState.OPEN, OrderState.PARTLY_FILLED, OrderState.FILLED, OrderState.EXPIRED])
def test_a_placed_order_is_acknowledged(venue: str, ws: bool, state: OrderState) -> None:
    ends = ENDS[venue, ws]
    call = read_back(ends, PLACE)
    event = ack(PLACE, state=state, filled_lots=1_000 if state is OrderState.FILLED else 0)
    usage = RateUsage(orders_10s=3, orders_1m=40, weight_1m=12)
    reply = ends.server.answer_order(call, event, now_ms=NOW_MS, usage=usage)

    assert answered(ends, PLACE, reply) == [event, usage]


@pytest.mark.parametrize("ws", [False, True])
@pytest.mark.parametrize("venue", VENUES)
def test_a_cancel_answers_for_our_id(venue: str, ws: bool) -> None:
    ends = ENDS[venue, ws]
    request = VenueCancel(8, "BTCUSDT", "mnt-1")
    event = ack(request, state=OrderState.CANCELLED, filled_lots=400)
    reply = ends.server.answer_order(read_back(ends, request), event, now_ms=NOW_MS)

    assert answered(ends, request, reply) == [event]


@pytest.mark.parametrize("ws", [False, True])
def test_a_perpetual_modify_is_acknowledged(ws: bool) -> None:
    ends = ENDS["binance_perp", ws]
    request = VenueReplace(9, "BTCUSDT", "mnt-1", "mnt-1", "77", Side.BUY, 600_001, 2_000)
    event = ack(request, price_ticks=600_001, lots=2_000)
    reply = ends.server.answer_order(read_back(ends, request), event, now_ms=NOW_MS)

    assert answered(ends, request, reply) == [event]


REPLACE = VenueReplace(9, "BTCUSDT", "mnt-1", "mnt-2", "77", Side.BUY, 6_000_001, 2_000, filled_lots=500)
OLD = LedgerOrder(
    "BTCUSDT", "mnt-1", "77", Side.BUY, OrderState.CANCELLED, 6_000_000, 1_000, 500, "300.00", NOW_MS - 9, NOW_MS
)


@pytest.mark.parametrize("ws", [False, True])
def test_cancel_replace_tells_the_end_of_the_old_and_the_start_of_the_new(ws: bool) -> None:
    ends = ENDS["binance_spot", ws]
    event = ack(REPLACE, client_id="mnt-2", venue_order_id="78", price_ticks=6_000_001, lots=1_500)
    reply = ends.server.answer_order(read_back(ends, REPLACE), event, now_ms=NOW_MS, replaced=OLD)

    assert answered(ends, REPLACE, reply) == [
        VenueOrder(0, "BTCUSDT", "mnt-1", "77", Side.BUY, OrderState.CANCELLED, 6_000_000, 1_000, 500, NOW_NS),
        event,
    ]


@pytest.mark.parametrize("ws", [False, True])
def test_cancel_replace_where_the_new_order_fails_has_ended_the_old_one(ws: bool) -> None:
    ends = ENDS["binance_spot", ws]
    event = VenueReject(9, FaultKind.POST_ONLY, 0, "", "BTCUSDT", "mnt-2")
    reply = ends.server.answer_order(read_back(ends, REPLACE), event, now_ms=NOW_MS, replaced=OLD)
    old, reject = answered(ends, REPLACE, reply)

    assert reply.status == 409
    assert (old.client_id, old.state) == ("mnt-1", OrderState.CANCELLED)
    assert (reject.kind, reject.client_id, reject.code) == (FaultKind.POST_ONLY, "mnt-2", -2010)


@pytest.mark.parametrize("ws", [False, True])
def test_cancel_replace_of_an_unknown_order_places_nothing(ws: bool) -> None:
    ends = ENDS["binance_spot", ws]
    event = VenueReject(9, FaultKind.UNKNOWN_ORDER, 0, "", "BTCUSDT", "mnt-1")
    reply = ends.server.answer_order(read_back(ends, REPLACE), event, now_ms=NOW_MS)
    (reject,) = answered(ends, REPLACE, reply)

    assert reply.status == 400
    assert (reject.kind, reject.client_id, reject.code) == (FaultKind.UNKNOWN_ORDER, "mnt-1", -2011)


@pytest.mark.parametrize("ws", [False, True])
@pytest.mark.parametrize("venue", VENUES)
@pytest.mark.parametrize("kind", list(FaultKind))
def test_refusals_keep_their_kind(venue: str, ws: bool, kind: FaultKind) -> None:
    if (venue, kind) == ("binance_spot", FaultKind.UNCHANGED):
        return  # spot has no word for it
    ends = ENDS[venue, ws]
    wait_ms = 4_000 if kind in (FaultKind.RATE_LIMIT, FaultKind.BANNED) else 0
    event = VenueReject(7, kind, 0, "", "BTCUSDT", "mnt-1", retry_after_ms=wait_ms)
    reply = ends.server.answer_order(read_back(ends, PLACE), event, now_ms=NOW_MS)
    (back,) = answered(ends, PLACE, reply)

    assert (back.kind, back.request_no, back.symbol, back.client_id) == (kind, 7, "BTCUSDT", "mnt-1")
    assert back.retry_after_ms == wait_ms


def test_an_injected_status_is_sent_as_asked() -> None:
    ends = ENDS["binance_perp", False]
    event = VenueReject(7, FaultKind.UNKNOWN_OUTCOME, 0, "Unknown error", "BTCUSDT", "mnt-1")
    reply = ends.server.answer_order(read_back(ends, PLACE), event, now_ms=NOW_MS, status=503)

    assert reply.status == 503
    assert answered(ends, PLACE, reply)[0].kind is FaultKind.UNKNOWN_OUTCOME


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"symbol":"BTCUSDT"}', b'{"symbol":"X","orderId":1}'])
def test_an_unreadable_success_leaves_the_outcome_unknown(body: bytes) -> None:
    (event,) = ENDS["binance_perp", False].trading.decode_http(PLACE, 200, {}, body)

    assert isinstance(event, VenueReject)
    assert (event.kind, event.client_id) == (FaultKind.UNKNOWN_OUTCOME, "mnt-1")


@pytest.mark.parametrize("ws", [False, True])
@pytest.mark.parametrize("venue", VENUES)
def test_cancel_all(venue: str, ws: bool) -> None:
    ends = ENDS[venue, ws]
    request = VenueCancelAll(3, "BTCUSDT")
    done = VenueAck(3, "BTCUSDT", "", "", OrderState.CANCELLED, 0, 0, 0, 0)
    reply = ends.server.answer_order(read_back(ends, request), done, now_ms=NOW_MS)
    assert answered(ends, request, reply) == [done]

    nothing = ends.server.refuse(read_back(ends, request), FaultKind.UNKNOWN_ORDER)
    assert answered(ends, request, nothing) == [done]


def test_spot_cancel_all_names_what_it_ended() -> None:
    body = json.dumps(
        [
            {
                "symbol": "BTCUSDT",
                "origClientOrderId": "mnt-1",
                "orderId": 11,
                "clientOrderId": "pXLV6Hz6mprAcVYpVMTGgx",
                "transactTime": NOW_MS,
                "price": "0.09",
                "origQty": "0.18000",
                "executedQty": "0.00000",
                "status": "CANCELED",
                "side": "BUY",
            },
            {"orderListId": 1929, "contingencyType": "OCO", "symbol": "BTCUSDT"},
        ]
    ).encode()
    events = ENDS["binance_spot", False].trading.decode_http(VenueCancelAll(3, "BTCUSDT"), 200, {}, body)

    assert events[0] == VenueOrder(0, "BTCUSDT", "mnt-1", "11", Side.BUY, OrderState.CANCELLED, 9, 18_000, 0, NOW_NS)
    assert isinstance(events[1], VenueAck)


@pytest.mark.parametrize("venue", VENUES)
@pytest.mark.parametrize("found", [True, False])
def test_an_order_query(venue: str, found: bool) -> None:
    ends = ENDS[venue, False]
    request = VenueQueryOrder(4, "BTCUSDT", "mnt-1")
    call = read_back(ends, request)
    if not found:
        reply = ends.server.refuse(call, FaultKind.UNKNOWN_ORDER)
        (event,) = answered(ends, request, reply)
        assert (event.kind, event.code) == (FaultKind.UNKNOWN_ORDER, -2013)
        return
    order = VenueOrder(4, "BTCUSDT", "mnt-1", "77", Side.SELL, OrderState.PARTLY_FILLED, 600_000, 1_000, 10, NOW_NS)
    assert answered(ends, request, ends.server.answer_order(call, order, now_ms=NOW_MS)) == [order]


def test_queries_by_the_venues_id() -> None:
    ends = ENDS["binance_perp", False]
    sent = ends.trading.signed_get("/fapi/v1/order", {"symbol": "BTCUSDT", "orderId": "77"}, timestamp_ms=NOW_MS)
    call = carry(ends.server, sent, request_no=4)

    assert isinstance(call, OrderCall)
    assert call.request == VenueQueryOrder(4, "BTCUSDT", "", "77")


@pytest.mark.parametrize("venue", VENUES)
def test_open_orders(venue: str) -> None:
    ends = ENDS[venue, False]
    row = msgspec.structs.replace(OLD, state=OrderState.PARTLY_FILLED)
    for symbol in ("", "BTCUSDT"):
        request = VenueOpenOrdersQuery(5, symbol)
        call = read_back(ends, request)
        assert isinstance(call, LedgerQuery)
        assert (call.kind, call.symbol, call.open_only) == ("orders", symbol, True)
        assert answered(ends, request, ends.server.answer_orders(call, [row])) == [
            VenueOpenOrders(
                5, symbol, (OpenOrder("mnt-1", "77", "BTCUSDT", Side.BUY, 6_000_000, 1_000, 500, NOW_MS - 9),)
            )
        ]


def fill(trade_id: int) -> VenueFill:
    return VenueFill(6, "BTCUSDT", "", "77", trade_id, Side.SELL, 600_000, 5, True, "0.0012", "USDT", NOW_NS)


@pytest.mark.parametrize("venue", VENUES)
def test_own_trades_come_oldest_first_and_tell_a_full_page(venue: str) -> None:
    ends = ENDS[venue, False]
    request = VenueTradesQuery(6, "BTCUSDT", from_trade_id=3)
    call = read_back(ends, request)
    assert isinstance(call, LedgerQuery)
    assert (call.kind, call.from_id, call.limit) == ("own_trades", 3, 1000)

    reply = ends.server.answer_own_trades(call, [LedgerTrade(fill(4)), LedgerTrade(fill(3))])
    assert answered(ends, request, reply) == [VenueTrades(6, "BTCUSDT", (fill(3), fill(4)))]

    full = ends.server.answer_own_trades(call, [LedgerTrade(fill(n)) for n in range(3, 1003)])
    (page,) = answered(ends, request, full)
    assert isinstance(page, VenueTrades)
    assert not page.complete

    since = read_back(ends, VenueTradesQuery(6, "BTCUSDT", since_ms=99))
    assert isinstance(since, LedgerQuery)
    assert (since.start_ms, since.from_id) == (99, 0)

    of_order = read_back(ends, VenueTradesQuery(6, "BTCUSDT", venue_order_id="77"))
    assert isinstance(of_order, LedgerQuery)
    assert (of_order.order_id, of_order.from_id) == ("77", 0)


def test_perpetual_positions_and_balances() -> None:
    ends = ENDS["binance_perp", False]
    account = LedgerAccount(
        balances=(LedgerBalance("USDT", "1000.5", "200", "-3"),),
        positions=(LedgerPosition("BTCUSDT", -20, 600_000.0, 600_010.0, "-0.02", NOW_MS),),
    )
    request = VenuePositionsQuery(1)
    call = read_back(ends, request)
    (event,) = answered(ends, request, ends.server.answer_account(call, account, now_ms=NOW_MS))
    assert event == VenuePositions(1, (Position("BTCUSDT", -20, pytest.approx(600_000.0)),))

    balances = VenueBalancesQuery(2)
    call = read_back(ends, balances)
    reply = ends.server.answer_account(call, account, now_ms=NOW_MS)
    assert answered(ends, balances, reply) == [VenueBalances(2, (Balance("USDT", "1000.5", "200"),))]


def test_hedge_legs_are_added_up() -> None:
    body = json.dumps(
        [
            {"symbol": "BTCUSDT", "positionAmt": "0.010", "entryPrice": "60000.0", "positionSide": "LONG"},
            {"symbol": "BTCUSDT", "positionAmt": "-0.004", "entryPrice": "61000.0", "positionSide": "SHORT"},
            {"symbol": "DOGEUSDT", "positionAmt": "5", "entryPrice": "1", "positionSide": "BOTH"},
        ]
    ).encode()
    (event,) = ENDS["binance_perp", False].trading.decode_http(VenuePositionsQuery(1), 200, {}, body)

    assert isinstance(event, VenuePositions)
    assert [(row.symbol, row.position_lots) for row in event.positions] == [("BTCUSDT", 6)]


def test_spot_positions_are_whole_lots_of_the_base_asset() -> None:
    ends = ENDS["binance_spot", False]
    account = LedgerAccount(balances=(LedgerBalance("BTC", "0.100009", "0.02"), LedgerBalance("USDT", "5", "0")))
    request = VenuePositionsQuery(1)
    call = read_back(ends, request)
    (event,) = answered(ends, request, ends.server.answer_account(call, account, now_ms=NOW_MS))
    assert event == VenuePositions(1, (Position("BTCUSDT", 10_000, 0.0), Position("ETHBTC", 0, 0.0)))

    balances = VenueBalancesQuery(2)
    call = read_back(ends, balances)
    (event,) = answered(ends, balances, ends.server.answer_account(call, account, now_ms=NOW_MS))
    assert event == VenueBalances(2, (Balance("BTC", "0.100009", "0.02"), Balance("USDT", "5", "0")))


def test_countdown_and_time() -> None:
    ends = ENDS["binance_perp", False]
    request = VenueCountdown(1, "BTCUSDT", 120_000)
    call = read_back(ends, request)
    assert isinstance(call, OrderCall)
    assert call.request == request
    event = VenueCountdownAck(1, "BTCUSDT", 120_000)
    assert answered(ends, request, ends.server.answer_order(call, event, now_ms=NOW_MS)) == [event]
    for venue in VENUES:
        ends = ENDS[venue, False]
        done = read_back(ends, VenueTimeQuery(2))
        assert isinstance(done, Done)
        assert answered(ends, VenueTimeQuery(2), done.reply) == [VenueTime(2, NOW_MS)]


def test_usage_is_told_with_refusals_too() -> None:
    ends = ENDS["binance_perp", False]
    headers = {"x-mbx-used-weight-1m": "2401", "retry-after": "2"}
    reject, usage = ends.trading.decode_http(PLACE, 429, headers, b'{"code":-1003,"msg":"Too many requests"}')

    assert reject.retry_after_ms == 2_000
    assert usage == RateUsage(weight_1m=2401)


# --- user streams ---------------------------------------------------------------------------------------------------


def test_a_perpetual_user_stream_opens_by_its_key() -> None:
    ends = ENDS["binance_perp", False]
    trading = BinanceTrading("binance_perp", KEYS, ROWS["binance_perp"], stream_url="wss://fstream.binance.com/")
    assert trading.private_keepalive(timestamp_ms=NOW_MS) is None
    sent = trading.private_open(timestamp_ms=NOW_MS)
    assert isinstance(sent, HttpRequest)
    call = carry(ends.server, sent, request_no=1)
    assert isinstance(call, PrivateCall)
    assert (call.account, call.action) == ("main", "start")
    reply = ends.server.answer_private(call, listen_key="abc")

    assert trading.private_url(reply.status, reply.body) == "wss://fstream.binance.com/private/ws/abc"
    keep = trading.private_keepalive(timestamp_ms=NOW_MS)
    assert keep is not None
    assert trading.private_keepalive_ms == 30 * 60_000
    call = carry(ends.server, keep, request_no=2)
    assert isinstance(call, PrivateCall)
    assert call.action == "keep"
    assert ends.server.answer_private(call).status == 400
    dial = ends.server.stream_dial("/private/ws/abc", "")
    assert dial is not None
    assert (dial.route, dial.listen_key) == ("private", "abc")
    with pytest.raises(VenueFault, match="status 401"):
        trading.private_url(401, b'{"code":-2015,"msg":"Invalid API-key"}')


def test_a_spot_user_stream_opens_on_the_order_connection() -> None:
    ends = ENDS["binance_spot", True]
    sent = ends.trading.private_open(timestamp_ms=NOW_MS)
    assert isinstance(sent, WsCall)
    call = ends.server.ws_api(sent.frame, now_ms=NOW_MS, request_no=1)
    assert isinstance(call, PrivateCall)
    assert (call.account, call.action) == ("main", "subscribe")
    reply = ends.server.answer_private(call, subscription_id=4)

    assert json.loads(reply.body)["result"] == {"subscriptionId": 4}
    assert ends.trading.reply_call_id(reply.body) == sent.call_id
    assert ends.trading.private_url(0, reply.body) is None
    assert ends.trading.private_url(0, ends.server.answer_private(call, subscription_id=-1).body) is None
    assert (ends.trading.private_keepalive_ms, ends.trading.private_keepalive(timestamp_ms=NOW_MS)) == (0, None)
    with pytest.raises(VenueFault, match="refused"):
        ends.trading.private_url(0, b'{"id":"private","status":401,"error":{"code":-2015,"msg":"no"}}')
    with pytest.raises(ConfigError, match="order_url"):
        ENDS["binance_spot", False].trading.private_open(timestamp_ms=NOW_MS)


def test_events_have_no_call_id() -> None:
    trading = ENDS["binance_spot", True].trading
    assert trading.reply_call_id('{"subscriptionId":0,"event":{"e":"executionReport"}}') is None
    assert trading.reply_call_id('{"id":5,"status":200}') == "5"
    with pytest.raises(VenueFault):
        trading.reply_call_id("{")


def test_text_that_is_no_utf_8_is_an_unknown_outcome() -> None:
    trading, place = ENDS["binance_spot", True].trading, VenuePlace(1, "BTCUSDT", "a", Side.BUY, 1, 1)
    error = b'{"code":-2010,"msg":"\xff"}'

    for events in (
        trading.decode_http(place, 502, {}, error),
        trading.decode_reply(place, b'{"id":"1","status":400,"error":%s}' % error),
    ):
        assert [event.kind for event in events if isinstance(event, VenueReject)] == [FaultKind.UNKNOWN_OUTCOME]
    for read in (trading.reply_call_id, trading.decode_private):
        with pytest.raises(VenueFault):
            read(b'{"id":"\xff","e":"\xff"}')
