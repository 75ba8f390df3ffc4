"""Public frames to events, exactly; what to subscribe; and both roles against each other."""

from __future__ import annotations

import json
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.venues.binance import common
from actors.venues.binance.common import PublicSizes, StepCache, TextRoom
from actors.venues.binance.market import BinanceMarket
from actors.venues.binance.server_streams import combined
from actors.vocab.errors import ConfigError, VenueFault
from actors.vocab.instruments import Instrument
from actors.vocab.market import Kline, Side
from actors.vocab.venue_io import (
    DepthDelta,
    DepthSnapshot,
    KlineEvent,
    Liquidation,
    MarkPrice,
    PartialDepth,
    PublicTrade,
    StreamNotice,
    TopOfBook,
)
from tests.venues.binance.examples import (
    NOW_MS,
    PERP_BTC,
    ROWS,
    SPOT_BTC,
    VENUES,
    carry,
    ids,
    levels,
    lots,
    moments_ms,
    sides,
    steady,
    ticks,
    wire,
)

PERP = BinanceMarket("binance_perp", ROWS["binance_perp"])
SPOT = BinanceMarket("binance_spot", ROWS["binance_spot"])
MS = 1_000_000


def wrapped(stream: str, data: str) -> bytes:
    return combined(stream, data.encode())


# --- exactness ------------------------------------------------------------------------------------------------------


@steady
@given(
    st.sampled_from(["0.1", "0.01", "0.00000001", "1", "10", "0.5", "0.25"]),
    st.integers(0, 10**12),
    st.integers(0, 6),
)
def test_texts_become_exactly_their_steps(step: str, count: int, zeros: int) -> None:
    """However a venue pads a number, it is the count of steps that Decimal says."""
    text = format(Decimal(step) * count, "f")
    padded = text + ("0" * zeros if "." in text else "." + "0" * zeros if zeros else "")
    cache = StepCache(Decimal(step), "price", TextRoom())

    assert cache[padded] == count
    assert cache[padded] == count  # from the cache


@pytest.mark.parametrize("text", ["0.05", "-0.1", "x", "", "NaN", "Infinity", "1e"])
def test_what_is_off_the_grid_is_the_venues_fault(text: str) -> None:
    with pytest.raises(VenueFault, match="price"):
        StepCache(Decimal("0.1"), "price", TextRoom())[text]


@pytest.mark.parametrize(
    ("text", "count"), [("25.42618900", 2_542_618), ("0.000001", 1), ("0.00000", 0), ("1", 100_000)]
)
def test_public_sizes_may_hold_parts_of_a_lot_and_never_vanish_by_rounding(text: str, count: int) -> None:
    assert PublicSizes(Decimal("0.00001"), "size", TextRoom())[text] == count
    for negative in ("-1", "-0.000001"):
        with pytest.raises(VenueFault):
            PublicSizes(Decimal("0.00001"), "size", TextRoom())[negative]


def test_the_caches_of_all_symbols_share_one_bound() -> None:
    room = TextRoom()
    room.texts_max = 10
    cache = StepCache(Decimal(1), "size", room)
    assert [cache[str(n)] for n in range(25)] == list(range(25))
    assert len(cache) <= 10
    for symbols in (1, 50, 180):
        room.share(symbols)
        assert 2 * symbols * room.texts_max <= common.TEXTS_ALL


# --- frames, by hand from the manual --------------------------------------------------------------------------------


def test_perp_diff_depth_raw_and_combined() -> None:
    data = (
        '{"e":"depthUpdate","E":123456789,"T":123456788,"s":"BTCUSDT","U":157,"u":160,"pu":149,'
        '"b":[["61800.20","10"],["61800.1","0.000"]],"a":[["61800.30","0.100"]]}'
    )
    expected = DepthDelta("BTCUSDT", 157, 160, 149, 123456789 * MS, [(618002, 10_000), (618001, 0)], [(618003, 100)])
    assert PERP.decode(data) == expected
    for stream in ("btcusdt@depth@100ms", "btcusdt@depth@0ms", "btcusdt@depth"):
        assert PERP.decode(wrapped(stream, data)) == expected
        assert PERP.decode(wrapped(stream, data).decode()) == expected


def test_a_partial_depth_of_a_perpetual_is_told_from_a_diff_by_its_stream() -> None:
    data = '{"e":"depthUpdate","E":5,"T":5,"s":"BTCUSDT","U":1,"u":9,"pu":1,"b":[["10.0","1"]],"a":[]}'

    assert PERP.decode(wrapped("btcusdt@depth5@100ms", data)) == PartialDepth("BTCUSDT", 9, 5 * MS, [(100, 1000)], [])


def test_spot_partial_depth_takes_its_symbol_from_the_stream() -> None:
    data = '{"lastUpdateId":160,"bids":[["0.02","10"]],"asks":[["0.03","100"]]}'

    for spelled in (
        wrapped("btcusdt@depth10@100ms", data),
        wrapped("btcusdt@depth10@100ms", data).replace(b":", b": "),
    ):
        assert SPOT.decode(spelled) == PartialDepth("BTCUSDT", 160, 0, [(2, 1_000_000)], [(3, 10_000_000)])
    with pytest.raises(VenueFault, match="no symbol"):
        SPOT.decode(data)


def test_book_tickers_with_and_without_a_type() -> None:
    spot = '{"u":400900217,"s":"BTCUSDT","b":"25.35000000","B":"31.21","a":"25.36","A":"40.66"}'
    perp = '{"e":"bookTicker","u":7,"E":9,"T":8,"s":"BTCUSDT","b":"25.3","B":"31.21","a":"25.4","A":"40.66","st":1}'

    spot_top = TopOfBook("BTCUSDT", 400900217, 0, 2535, 3_121_000, 2536, 4_066_000)
    assert SPOT.decode(spot) == SPOT.decode(wrapped("btcusdt@bookTicker", spot)) == spot_top
    perp_top = TopOfBook("BTCUSDT", 7, 9 * MS, 253, 31_210, 254, 40_660)
    assert PERP.decode(perp) == PERP.decode(wrapped("btcusdt@bookTicker", perp)) == perp_top


def test_trades_carry_the_takers_side() -> None:
    spot = '{"e":"trade","E":3,"s":"BTCUSDT","t":12345,"p":"0.01","q":"100","T":2,"m":true,"M":true}'
    agg = '{"e":"aggTrade","E":3,"s":"BTCUSDT","a":26,"p":"0.1","q":"0.010","nq":"0.010","f":1,"l":2,"T":2,"m":false}'

    assert SPOT.decode(spot) == PublicTrade("BTCUSDT", 12345, 3 * MS, Side.SELL, 1, 10_000_000)
    assert PERP.decode(wrapped("btcusdt@aggTrade", agg)) == PublicTrade("BTCUSDT", 26, 3 * MS, Side.BUY, 1, 10)


def test_deals_of_the_insurance_fund_are_no_trades() -> None:
    data = '{"e":"trade","E":3,"T":3,"s":"BTCUSDT","t":1,"p":"0.15","q":"1","X":"INSURANCE_FUND","m":true}'

    assert PERP.decode(wrapped("btcusdt@trade", data)) is None


def test_mark_price_and_liquidation() -> None:
    mark = (
        '{"e":"markPriceUpdate","E":1562305380000,"s":"BTCUSDT","p":"11794.15000000","i":"11784.62659091",'
        '"P":"11784.25641265","r":"0.00038167","T":1562306400000}'
    )
    event = PERP.decode(wrapped("btcusdt@markPrice@1s", mark))
    assert isinstance(event, MarkPrice)
    assert (event.mark_ticks, event.funding_rate, event.next_funding_ms) == (
        pytest.approx(117941.5),
        0.00038167,
        1562306400000,
    )
    closed = (
        '{"e":"forceOrder","E":1568014460893,"o":{"s":"BTCUSDT","S":"SELL","o":"LIMIT","f":"IOC","q":"0.014",'
        '"p":"9910.07","ap":"9910","X":"FILLED","l":"0.014","z":"0.014","T":1568014460893}}'
    )
    assert PERP.decode(closed) == Liquidation("BTCUSDT", 1568014460893 * MS, Side.SELL, 99101, 14)


def test_a_stream_that_all_symbols_share_tells_the_symbol_inside() -> None:
    order = '{"e":"forceOrder","E":7,"o":{"s":"%s","S":"SELL","q":"0.014","p":"9910","ap":"9910","X":"FILLED"}}'
    expected = Liquidation("BTCUSDT", 7 * MS, Side.SELL, 99_100, 14)

    for _ in range(2):  # no first frame decides for the ones after it
        assert PERP.decode(wrapped("!forceOrder@arr", order % "BTCUSDT")) == expected
        assert PERP.decode(wrapped("!forceOrder@arr", order % "DOGEUSDT")) is None


def test_klines() -> None:
    data = (
        '{"e":"kline","E":9,"s":"BTCUSDT","k":{"t":0,"T":59999,"s":"BTCUSDT","i":"1m","f":100,"L":200,"o":"0.10",'
        '"c":"0.20","h":"0.25","l":"0.05","v":"1000","n":100,"x":true,"q":"1.0","V":"500","Q":"0.5","B":"1"}}'
    )
    assert SPOT.decode(wrapped("btcusdt@kline_1m", data)) == KlineEvent(
        "BTCUSDT", 9 * MS, True, Kline(0, 59999, 10, 25, 5, 20, 100_000_000, 100)
    )


@pytest.mark.parametrize(
    ("frame", "notice"),
    [
        ('{"result":null,"id":3}', StreamNotice("subscribed", 3, "null")),
        ('{"id":3,"result":["btcusdt@trade"]}', StreamNotice("subscribed", 3, '["btcusdt@trade"]')),
        ('{"code":2,"msg":"Invalid request","id":3}', StreamNotice("error", 3, "2 Invalid request")),
        ('{"error":{"code":2,"msg":"Invalid request"},"id":"a"}', StreamNotice("error", 0, "2 Invalid request")),
        ('{"e":"serverShutdown","E":1}', StreamNotice("shutdown", 0, "the venue announces a restart")),
        (
            '{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1}}',
            StreamNotice("shutdown", 0, "the venue announces a restart"),
        ),
        ("{}", StreamNotice("other", 0, "{}")),
    ],
)
def test_frames_about_the_connection(frame: str, notice: StreamNotice) -> None:
    assert PERP.decode(frame) == notice


@pytest.mark.parametrize(
    "frame",
    [
        wrapped("dogeusdt@trade", '{"e":"trade","E":3,"s":"DOGEUSDT","t":1,"p":"1","q":"1","T":2,"m":true}'),
        wrapped("dogeusdt@bookTicker", '{"u":1,"s":"DOGEUSDT","b":"1","B":"1","a":"1","A":"1"}'),
        wrapped("dogeusdt@depth@100ms", '{"e":"depthUpdate","E":3,"s":"DOGEUSDT","U":1,"u":2,"b":[],"a":[]}'),
        wrapped("btcusdt@miniTicker", '{"e":"24hrMiniTicker","E":3,"s":"BTCUSDT","c":"1"}'),
    ],
)
def test_what_we_did_not_ask_for_is_none(frame: bytes) -> None:
    assert SPOT.decode(frame) is None


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe",
        wrapped("btcusdt@trade", '{"e":"trade"}'),
        wrapped("btcusdt@trade", '{"e":"trade","E":3,"s":"BTCUSDT","t":1,"p":"1.001","q":"1","T":2,"m":true}'),
        wrapped("btcusdt@depth", '{"e":"depthUpdate","E":3,"s":"BTCUSDT","U":1,"u":2,"b":[["1"]],"a":[]}'),
        wrapped("btcusdt@markPrice", '{"e":"markPriceUpdate","E":3,"s":"BTCUSDT","p":"x"}'),
        b'{"stream":"btcusdt@trade","data":{"e":"\xff"}}',
        b'{"e":"\xff"}',
    ],
)
def test_unreadable_frames_are_the_venues_fault(frame: bytes) -> None:
    with pytest.raises(VenueFault):
        SPOT.decode(frame)


# --- both roles -----------------------------------------------------------------------------------------------------

perp_symbols = st.sampled_from([row.symbol for row in ROWS["binance_perp"]])
spot_symbols = st.sampled_from([row.symbol for row in ROWS["binance_spot"]])


def events(symbols, *, perp: bool):
    # What the venue's frame does not carry cannot come back: book tickers of spot have no time, its deltas no `pu`.
    moments_ns = moments_ms.map(lambda ms: ms * MS)
    klines = st.builds(
        Kline,
        open_ms=moments_ms,
        close_ms=moments_ms,
        open_ticks=ticks,
        high_ticks=ticks,
        low_ticks=ticks,
        close_ticks=ticks,
        lots=lots,
        trades_count=lots,
    ).map(lambda k: msgspec.structs.replace(k, close_ms=k.open_ms + 59_999))
    common_events = [
        st.builds(DepthDelta, symbols, ids, ids, ids if perp else st.just(-1), moments_ns, levels, levels),
        st.builds(PartialDepth, symbols, ids, moments_ns if perp else st.just(0), levels, levels),
        st.builds(TopOfBook, symbols, ids, moments_ns if perp else st.just(0), ticks, lots, ticks, lots),
        st.builds(PublicTrade, symbols, ids, moments_ns, sides, ticks, lots),
        st.builds(KlineEvent, symbols, moments_ns, st.booleans(), klines),
    ]
    return st.one_of(*common_events, *([st.builds(Liquidation, symbols, moments_ns, sides, ticks, lots)] * perp))


@steady
@given(events(perp_symbols, perp=True))
def test_perp_events_survive_the_wire(event) -> None:
    check_round_trip("binance_perp", PERP, event)


@steady
@given(events(spot_symbols, perp=False))
def test_spot_events_survive_the_wire(event) -> None:
    check_round_trip("binance_spot", SPOT, event)


SERVERS = {venue: wire(venue).server for venue in VENUES}


def check_round_trip(venue: str, client: BinanceMarket, event) -> None:
    server = SERVERS[venue]
    streams = server.streams_of(event)
    assert streams
    for stream in streams:
        raw = server.frame_of(event, stream)
        json.loads(raw)
        assert client.decode(combined(stream, raw)) == event, stream
        if not isinstance(event, PartialDepth):
            assert client.decode(raw) == event, stream


@steady
@given(perp_symbols, moments_ms, st.integers(1, 10**9), st.integers(1, 10**9), st.integers(-(10**6), 10**6), moments_ms)
def test_mark_prices_survive_to_eight_digits(
    symbol: str, at_ms: int, mark: int, index: int, rate: int, next_ms: int
) -> None:
    event = MarkPrice(symbol, at_ms * MS, mark / 10, index / 10, rate / 1e8, next_ms)
    for stream in SERVERS["binance_perp"].streams_of(event):
        back = PERP.decode(combined(stream, SERVERS["binance_perp"].frame_of(event, stream)))
        assert isinstance(back, MarkPrice)
        assert (back.symbol, back.event_ns, back.next_funding_ms) == (symbol, at_ms * MS, next_ms)
        # eight digits of the price are 0.1 of the smallest tick here
        assert back.mark_ticks == pytest.approx(mark / 10, abs=0.11)
        assert back.index_ticks == pytest.approx(index / 10, abs=0.11)
        assert back.funding_rate == pytest.approx(rate / 1e8, abs=1e-9)


# --- REST -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("market", "levels_count", "path", "weight"),
    [
        (PERP, 7, "/fapi/v1/depth?symbol=BTCUSDT&limit=10", 2),
        (PERP, 1000, "/fapi/v1/depth?symbol=BTCUSDT&limit=1000", 20),
        (PERP, 9999, "/fapi/v1/depth?symbol=BTCUSDT&limit=1000", 20),
        (SPOT, 7, "/api/v3/depth?symbol=BTCUSDT&limit=7", 5),
        (SPOT, 1000, "/api/v3/depth?symbol=BTCUSDT&limit=1000", 50),
        (SPOT, 9999, "/api/v3/depth?symbol=BTCUSDT&limit=5000", 250),
    ],
)
def test_snapshots_are_asked_in_the_venues_sizes(
    market: BinanceMarket, levels_count: int, path: str, weight: int
) -> None:
    request = market.snapshot_request("BTCUSDT", levels_count)
    assert (request.path_query, request.weight) == (path, weight)


@pytest.mark.parametrize("venue", VENUES)
@steady
@given(ids, levels, levels)
def test_snapshots_and_klines_survive_the_wire(venue: str, seq: int, bids, asks) -> None:
    ends = wire(venue)
    snapshot = DepthSnapshot("BTCUSDT", seq, bids, asks)
    call = carry(ends.server, ends.market.snapshot_request("BTCUSDT", 100), request_no=1)
    assert (call.kind, call.symbols, call.limit) == ("depth", ("BTCUSDT",), 100)
    answer = ends.server.answer_depth(call, snapshot, now_ms=NOW_MS)
    assert ends.market.decode_snapshot("BTCUSDT", answer.body) == snapshot


def test_the_running_candle_is_left_out() -> None:
    ends = wire("binance_perp")
    candles = [Kline(n * 60_000, n * 60_000 + 59_999, 5, 9, 3, 7, 100 + n, n) for n in range(4)]
    call = carry(ends.server, ends.market.klines_request("BTCUSDT", "1m", 3), request_no=1)
    assert (call.limit, call.interval_ms) == (4, 60_000)
    body = ends.server.answer_klines(call, candles).body

    assert ends.market.decode_klines("BTCUSDT", body) == candles[:3]


def test_unreadable_answers_are_the_venues_fault() -> None:
    with pytest.raises(VenueFault, match="BTCUSDT: depth snapshot"):
        PERP.decode_snapshot("BTCUSDT", b'{"code":-1121,"msg":"Invalid symbol."}')
    with pytest.raises(VenueFault, match="BTCUSDT: klines"):
        PERP.decode_klines("BTCUSDT", b"<html>")
    with pytest.raises(VenueFault, match="BTCUSDT: depth snapshot"):
        PERP.decode_snapshot("BTCUSDT", b'{"lastUpdateId":1,"bids":[["\xff","1"]],"asks":[]}')
    with pytest.raises(ConfigError, match="interval '7m'"):
        PERP.klines_request("BTCUSDT", "7m", 3)
    with pytest.raises(ConfigError, match="no instrument 'DOGEUSDT'"):
        PERP.snapshot_request("DOGEUSDT", 5)


# --- subscriptions --------------------------------------------------------------------------------------------------


def many(venue: str, count: int) -> BinanceMarket:
    rows = [
        Instrument(
            f"C{n}USDT", venue, "perp" if venue == "binance_perp" else "spot", f"C{n}USDT", f"C{n}", "USDT", "1", "1"
        )
        for n in range(count)
    ]
    return BinanceMarket(venue, rows)


def test_perpetual_streams_go_to_their_routes() -> None:
    public, market = PERP.plan(["BTCUSDT"], "wss://fstream.binance.com")

    assert public.url == "wss://fstream.binance.com/public/stream"
    assert json.loads(public.subscribe_frames[0]) == {
        "method": "SUBSCRIBE",
        "params": ["btcusdt@depth@100ms", "btcusdt@bookTicker"],
        "id": 1,
    }
    assert market.url == "wss://fstream.binance.com/market/stream"
    assert json.loads(market.subscribe_frames[0])["params"] == [
        "btcusdt@aggTrade",
        "btcusdt@markPrice@1s",
        "btcusdt@forceOrder",
    ]


@pytest.mark.parametrize("venue", VENUES)
@pytest.mark.parametrize("count", [1, 50, 341, 342, 700])
def test_plans_stay_under_the_venues_limits(venue: str, count: int) -> None:
    market = many(venue, count)
    symbols = [f"C{n}USDT" for n in range(count)]
    plans = market.plan(symbols, "wss://x/")

    per_second = 5 if venue == "binance_spot" else 10
    subscribed: list[str] = []
    for plan in plans:
        names = [name for frame in plan.subscribe_frames for name in json.loads(frame)["params"]]
        assert len(names) <= 1024
        assert all(len(json.loads(frame)["params"]) <= 100 for frame in plan.subscribe_frames)
        assert plan.frame_interval_ms * per_second > 1000
        assert 0 < plan.max_age_s < 24 * 3600
        assert {name.partition("@")[0].upper() for name in names} == set(plan.symbols)
        subscribed += names
    assert len(set(subscribed)) == len(subscribed) == count * (5 if venue == "binance_perp" else 3)
    assert len({plan.name for plan in plans}) == len(plans)


def test_other_streams_may_be_asked_for() -> None:
    market = BinanceMarket("binance_perp", [PERP_BTC], streams=("depth@0ms", "aggTrade"))
    assert [plan.url for plan in market.plan(["BTCUSDT"], "ws://h")] == ["ws://h/public/stream", "ws://h/market/stream"]
    assert len(BinanceMarket("binance_spot", [SPOT_BTC], streams=("trade",)).plan(["BTCUSDT"], "ws://h")) == 1


@pytest.mark.parametrize("stream", ["", "btcusdt@bookTicker"])
def test_new_steps_are_used_from_now_on(stream: str) -> None:
    """Of a stream that has spoken before, too."""
    market = BinanceMarket("binance_spot", [SPOT_BTC])
    raw = '{"u":1,"s":"BTCUSDT","b":"25.35","B":"1","a":"25.36","A":"1"}'
    data = wrapped(stream, raw) if stream else raw
    before = market.decode(data)
    market.use([msgspec.structs.replace(SPOT_BTC, tick_size="0.001", version=2)])
    after = market.decode(data)

    assert isinstance(before, TopOfBook)
    assert isinstance(after, TopOfBook)
    assert (before.bid_ticks, after.bid_ticks) == (2535, 25350)
    assert BinanceMarket("binance_spot").decode(data) is None
