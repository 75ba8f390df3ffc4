"""User stream frames: the manual's own, and both roles against each other."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.venues.binance.server_private import wrap_private
from actors.venues.ledger import LedgerBalance, LedgerOrder, LedgerPosition
from actors.vocab.errors import OurFault, VenueFault
from actors.vocab.market import Side
from actors.vocab.orders import OrderState
from actors.vocab.venue_io import (
    Balance,
    Position,
    StreamDown,
    StreamKind,
    VenueBalances,
    VenueFill,
    VenueFunding,
    VenueOrder,
    VenuePositions,
)
from tests.venues.binance.examples import (
    NOW_MS,
    NOW_NS,
    ROWS,
    VENUES,
    cents,
    client_ids,
    ids,
    lots,
    moments_ms,
    sides,
    some_lots,
    steady,
    ticks,
    wire,
)

ENDS = {venue: wire(venue) for venue in VENUES}
# States a report can show; ours alone are sent as NEW.
SEEN = [
    OrderState.OPEN,
    OrderState.PARTLY_FILLED,
    OrderState.FILLED,
    OrderState.CANCELLED,
    OrderState.EXPIRED,
    OrderState.REJECTED,
]


def through(venue: str, frames: list[bytes]):
    """Every frame as the venue sends it, to events."""
    sent = [wrap_private(frame, 0) for frame in frames] if venue == "binance_spot" else frames
    return [event for frame in sent for event in ENDS[venue].trading.decode_private(frame)]


@st.composite
def orders(draw, venue: str) -> VenueOrder:
    state = draw(st.sampled_from(SEEN))
    return VenueOrder(
        request_no=0,
        symbol=draw(st.sampled_from([row.symbol for row in ROWS[venue]])),
        client_id=draw(client_ids),
        venue_order_id=str(draw(ids)),
        side=draw(sides),
        state=state,
        price_ticks=draw(ticks),
        lots=draw(some_lots),
        filled_lots=draw(lots),
        event_ns=draw(moments_ms) * 1_000_000,
        reason="expired" if state is OrderState.EXPIRED else "",
    )


def row_of(order: VenueOrder, created_ms: int = 1) -> LedgerOrder:
    return LedgerOrder(
        order.symbol,
        order.client_id,
        order.venue_order_id,
        order.side,
        order.state,
        order.price_ticks,
        order.lots,
        order.filled_lots,
        "1.5",
        created_ms,
        order.event_ns // 1_000_000,
    )


@pytest.mark.parametrize("venue", VENUES)
@steady
@given(data=st.data())
def test_orders_survive_the_wire(venue: str, data) -> None:
    order = data.draw(orders(venue))
    row = data.draw(st.sampled_from([None, row_of(order)]))
    back = through(venue, ENDS[venue].server.private_frames(order, order=row, now_ms=NOW_MS))

    assert [msgspec.structs.replace(event, reason=order.reason) for event in back] == [order]


@pytest.mark.parametrize("venue", VENUES)
@steady
@given(data=st.data(), trade_id=ids, size=some_lots, maker=st.booleans(), fee=cents)
def test_a_fill_and_the_order_it_led_to_survive_the_wire(venue, data, trade_id, size, maker, fee) -> None:
    order = msgspec.structs.replace(data.draw(orders(venue)), state=data.draw(st.sampled_from(SEEN[1:3])), reason="")
    fill = VenueFill(
        0,
        order.symbol,
        order.client_id,
        order.venue_order_id,
        trade_id,
        order.side,
        order.price_ticks,
        size,
        maker,
        fee,
        "USDT",
        order.event_ns,
    )
    back = through(venue, ENDS[venue].server.private_frames(fill, order=row_of(order), now_ms=NOW_MS))

    assert back == [fill, order]


def test_a_fill_is_told_with_its_order() -> None:
    fill = VenueFill(0, "BTCUSDT", "a", "1", 2, Side.BUY, 10, 1, True, "0", "USDT", NOW_NS)
    with pytest.raises(OurFault, match="row after it"):
        ENDS["binance_perp"].server.private_frames(fill, now_ms=NOW_MS)


def test_funding_names_its_symbol_and_wallet() -> None:
    funding = VenueFunding("BTCUSDT", "USDT", "-0.37500000", "FUNDING_FEE", NOW_NS)
    frames = ENDS["binance_perp"].server.private_frames(
        funding,
        now_ms=NOW_MS,
        balances=[LedgerBalance("USDT", "999.625")],
        positions=[LedgerPosition("BTCUSDT", 20, 600_000.5, 600_001.0, "0.5")],
    )
    assert through("binance_perp", frames) == [
        funding,
        VenueBalances(0, (Balance("USDT", "999.625"),)),
        VenuePositions(0, (Position("BTCUSDT", 20, pytest.approx(600_000.5)),)),
    ]


def test_a_trade_changes_balance_and_position_without_being_funding() -> None:
    order = VenueOrder(0, "BTCUSDT", "a", "1", Side.BUY, OrderState.FILLED, 600_000, 20, 20, NOW_NS)
    fill = VenueFill(0, "BTCUSDT", "a", "1", 5, Side.BUY, 600_000, 20, True, "0.2", "USDT", NOW_NS)
    frames = ENDS["binance_perp"].server.private_frames(
        fill,
        now_ms=NOW_MS,
        order=row_of(order),
        balances=[LedgerBalance("USDT", "999.8")],
        positions=[LedgerPosition("BTCUSDT", 20, 600_000.0, 600_000.0)],
        realized_pnl="1.25",
    )
    events = through("binance_perp", frames)

    assert [type(event).__name__ for event in events] == ["VenueBalances", "VenuePositions", "VenueFill", "VenueOrder"]
    assert json.loads(frames[1])["o"]["rp"] == "1.25"


def test_spot_transfers_and_balances() -> None:
    deposit = VenueFunding("", "BTC", "0.5", "balanceUpdate", NOW_NS)
    frames = ENDS["binance_spot"].server.private_frames(
        deposit, now_ms=NOW_MS, balances=[LedgerBalance("BTC", "1.5", "0.25")]
    )
    assert through("binance_spot", frames) == [deposit, VenueBalances(0, (Balance("BTC", "1.5", "0.25"),))]


def test_spot_cancels_move_our_id_to_c() -> None:
    order = VenueOrder(0, "BTCUSDT", "mnt-1", "9", Side.BUY, OrderState.CANCELLED, 10, 5, 0, NOW_NS)
    (frame,) = ENDS["binance_spot"].server.private_frames(order, now_ms=NOW_MS)
    report = json.loads(frame)

    assert (report["x"], report["C"]) == ("CANCELED", "mnt-1")
    assert report["c"] != "mnt-1"
    assert through("binance_spot", [frame]) == [order]


@pytest.mark.parametrize("client_id", ["autoclose-1", "adl_autoclose", "settlement_autoclose-3"])
def test_orders_of_the_venue_itself_are_marked(client_id: str) -> None:
    order = VenueOrder(0, "BTCUSDT", client_id, "9", Side.BUY, OrderState.FILLED, 10, 5, 5, NOW_NS)
    fill = VenueFill(0, "BTCUSDT", client_id, "9", 5, Side.BUY, 10, 5, False, "0", "USDT", NOW_NS)
    frames = ENDS["binance_perp"].server.private_frames(fill, now_ms=NOW_MS, order=row_of(order))
    found = through("binance_perp", frames)[0]

    assert isinstance(found, VenueFill)
    assert found.system


def test_an_amendment_tells_the_new_price_and_size() -> None:
    order = VenueOrder(0, "BTCUSDT", "a", "9", Side.BUY, OrderState.OPEN, 601, 7, 0, NOW_NS)
    (frame,) = ENDS["binance_perp"].server.private_frames(order, now_ms=NOW_MS, execution="AMENDMENT")

    assert json.loads(frame)["o"]["x"] == "AMENDMENT"
    assert through("binance_perp", [frame]) == [order]


@pytest.mark.parametrize(
    ("venue", "frame", "kinds"),
    [
        ("binance_perp", '{"e":"listenKeyExpired","E":1,"listenKey":"k"}', [StreamKind.PRIVATE]),
        ("binance_perp", '{"e":"serverShutdown","E":1}', [StreamKind.PRIVATE]),
        ("binance_spot", '{"subscriptionId":0,"event":{"e":"eventStreamTerminated","E":1}}', [StreamKind.PRIVATE]),
        ("binance_spot", '{"event":{"e":"serverShutdown","E":1}}', [StreamKind.ORDER]),
        ("binance_perp", '{"event":{"e":"serverShutdown","E":1}}', [StreamKind.ORDER]),
        ("binance_perp", '{"stream":"k","data":{"e":"listenKeyExpired","E":1}}', [StreamKind.PRIVATE]),
    ],
)
def test_ends_of_streams_are_told(venue: str, frame: str, kinds: list[StreamKind]) -> None:
    events = ENDS[venue].trading.decode_private(frame)
    assert [event.stream for event in events if isinstance(event, StreamDown)] == kinds == [e.stream for e in events]


@pytest.mark.parametrize(
    "frame",
    [
        '{"e":"TRADE_LITE","E":1,"T":1,"s":"BTCUSDT","q":"0.001","p":"0","m":false,"c":"a","S":"BUY","L":"1","l":"1"}',
        '{"e":"ACCOUNT_CONFIG_UPDATE","E":1,"T":1,"ac":{"s":"BTCUSDT","l":25}}',
        '{"e":"MARGIN_CALL","E":1,"cw":"3.16812045","p":[]}',
        '{"e":"ALGO_UPDATE","E":1,"T":1,"o":{}}',
        '{"subscriptionId":0,"event":{"e":"listStatus","E":1,"s":"BTCUSDT"}}',
        '{"result":null,"id":"1"}',
    ],
)
def test_what_tells_nothing_new_is_left_out(frame: str) -> None:
    assert ENDS["binance_perp"].trading.decode_private(frame) == []


@pytest.mark.parametrize("frame", ["", "[]", "{", '{"e":"executionReport","s":"BTCUSDT"}', b"\xff"])
def test_unreadable_frames_are_the_venues_fault(frame) -> None:
    with pytest.raises(VenueFault):
        ENDS["binance_spot"].trading.decode_private(frame)


def test_orders_in_other_symbols_are_left_alone() -> None:
    order = VenueOrder(0, "BTCUSDT", "a", "9", Side.BUY, OrderState.OPEN, 601, 7, 0, NOW_NS)
    (frame,) = ENDS["binance_perp"].server.private_frames(order, now_ms=NOW_MS)

    assert through("binance_perp", [frame.replace(b"BTCUSDT", b"DOGEUSDT")]) == []


def test_odd_rests_of_takers_add_up_to_whole_lots() -> None:
    """A taker that first met an old maker's dust fills us by parts of a lot; no fill may be lost, none invented."""
    reader = ENDS["binance_spot"].trading
    base = VenueOrder(0, "BTCUSDT", "a", "9", Side.SELL, OrderState.PARTLY_FILLED, 6_000_000, 3_000, 0, NOW_NS)
    fill = VenueFill(0, "BTCUSDT", "a", "9", 5, Side.SELL, 6_000_000, 1, True, "0", "USDT", NOW_NS)
    (frame,) = ENDS["binance_spot"].server.private_frames(fill, now_ms=NOW_MS, order=row_of(base))
    report = json.loads(frame)
    total = 0
    for last, filled in (("0.009811", "0.009811"), ("0.000009", "0.00982"), ("0.00018", "0.01"), ("0.02", "0.03")):
        events = reader.decode_private(json.dumps(report | {"l": last, "z": filled}))
        total += sum(event.lots for event in events if isinstance(event, VenueFill))
        order = events[-1]
        assert isinstance(order, VenueOrder)
        assert order.filled_lots == total

    assert total == 3_000


@pytest.mark.parametrize("field", ["l", "z", "L", "p", "q"])
def test_numbers_that_are_none_are_the_venues_fault(field: str) -> None:
    order = VenueOrder(0, "BTCUSDT", "a", "9", Side.BUY, OrderState.OPEN, 601, 7, 0, NOW_NS)
    (frame,) = ENDS["binance_spot"].server.private_frames(order, now_ms=NOW_MS, execution="TRADE")
    report = json.loads(frame) | {"l": "1", "z": "1", "L": "5"} | {field: "many"}
    with pytest.raises(VenueFault):
        ENDS["binance_spot"].trading.decode_private(json.dumps(report))
