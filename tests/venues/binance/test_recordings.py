"""Frames that real feeds sent: every one is read, none is misread.

The reference here is slow and obvious: the standard library's JSON and Decimal, field by field.
"""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from actors.venues.binance.market import BinanceMarket
from actors.venues.binance.metadata import decode_exchange_info
from actors.venues.binance.trading import BinanceTrading
from actors.venues.dialect import Credentials
from actors.vocab.errors import VenueFault
from actors.vocab.instruments import Instrument
from actors.vocab.market import Side
from actors.vocab.units import NS_PER_MS
from actors.vocab.venue_io import (
    DepthDelta,
    MarketEvent,
    MarkPrice,
    PublicTrade,
    StreamNotice,
    TopOfBook,
    VenueBalances,
    VenueFill,
    VenueOrder,
    VenueTradesQuery,
)

DATA = Path(__file__).resolve().parents[3].parent / "shared" / "data"

pytestmark = [
    pytest.mark.recordings,
    pytest.mark.skipif(not DATA.exists(), reason="../shared/data is not here"),
]


def perp(symbol: str, tick: str, lot: str) -> Instrument:
    return Instrument(symbol, "binance_perp", "perp", symbol, symbol, "USDT", tick, lot)


def spot(symbol: str, tick: str, lot: str) -> Instrument:
    return Instrument(symbol, "binance_spot", "spot", symbol, symbol, "USDT", tick, lot)


# file, instrument, frames by kind as the collection's README counts them
FILES = [
    (
        "hftbacktest/binance_usdm/btcusdt_20240808.gz",
        perp("BTCUSDT", "0.1", "0.001"),
        {"TopOfBook": 66089, "PublicTrade": 21313, "DepthDelta": 6551},
    ),
    (
        "hftbacktest/binance_usdm/ethusdt_20240808.gz",
        perp("ETHUSDT", "0.01", "0.001"),
        {"TopOfBook": 53992, "PublicTrade": 14076, "DepthDelta": 6586},
    ),
    (
        "hftbacktest/binance_usdm/btcusdt_20230405.dat.gz",
        perp("BTCUSDT", "0.1", "0.001"),
        {"TopOfBook": 37440, "PublicTrade": 10737, "NoneType": 1, "DepthDelta": 11788, "MarkPrice": 415},
    ),
    (
        "hftbacktest/binance_spot/btcusdt_20240808.gz",
        spot("BTCUSDT", "0.01", "0.00001"),
        {"TopOfBook": 28040, "PublicTrade": 9757, "DepthDelta": 3451},
    ),
    (
        "hftbacktest_playground/binance_spot/nexousdt_20240724.dat.gz",
        spot("NEXOUSDT", "0.001", "0.01"),
        {"TopOfBook": 33000, "PublicTrade": 12280, "DepthDelta": 66994},
    ),
]


def frames(path: Path) -> Iterator[bytes]:
    with gzip.open(path) as lines:
        for line in lines:
            yield line.partition(b" ")[2].strip()


def steps(text: str, step: str) -> int:
    quotient = Decimal(text) / Decimal(step)
    assert quotient == int(quotient), text
    return int(quotient)


def obvious(frame: bytes, row: Instrument) -> MarketEvent:
    data = json.loads(frame)["data"]
    at_ns = data.get("E", 0) * NS_PER_MS

    def price(text: str) -> int:
        return steps(text, row.tick_size)

    def size(text: str) -> int:
        quotient = Decimal(text) / Decimal(row.lot_size)
        return int(quotient) or int(quotient > 0)  # old orders rest in parts of today's lot

    def side(pairs: list[list[str]]) -> list[tuple[int, int]]:
        return [(price(p), size(q)) for p, q in pairs]

    kind = data.get("e", "bookTicker")
    if kind == "depthUpdate":
        return DepthDelta(row.symbol, data["U"], data["u"], data.get("pu", -1), at_ns, side(data["b"]), side(data["a"]))
    if kind == "bookTicker":
        return TopOfBook(
            row.symbol, data["u"], at_ns, price(data["b"]), size(data["B"]), price(data["a"]), size(data["A"])
        )
    if kind == "trade":
        taker = Side.SELL if data["m"] else Side.BUY
        return PublicTrade(row.symbol, data["t"], at_ns, taker, price(data["p"]), size(data["q"]))
    assert kind == "markPriceUpdate", kind
    return MarkPrice(
        row.symbol,
        at_ns,
        float(data["p"]) / row.tick_float,
        float(data["i"]) / row.tick_float,
        float(data["r"]),
        data["T"],
    )


@pytest.mark.parametrize(("name", "row", "counts"), FILES, ids=[name for name, _, _ in FILES])
def test_every_recorded_frame_is_read(name: str, row: Instrument, counts: dict[str, int]) -> None:
    market = BinanceMarket(row.venue, [row])
    found: Counter[str] = Counter()
    for number, frame in enumerate(frames(DATA / name)):
        if frame.startswith(b'{"lastUpdateId"'):
            # The recorder wrote the REST snapshot in between: it belongs to the snapshot's reader.
            assert len(market.decode_snapshot(row.symbol, frame).bids) == 1000
            with pytest.raises(VenueFault, match="no symbol"):
                market.decode(frame)
            continue
        event = market.decode(frame)
        found[type(event).__name__] += 1
        if event is None:
            assert json.loads(frame)["data"]["X"] == "INSURANCE_FUND"
        elif number % 23 == 0:
            assert event == obvious(frame, row), frame
    assert found == counts


def test_coin_margined_frames_of_another_instrument_are_left_alone() -> None:
    market = BinanceMarket("binance_perp", [perp("BTCUSDT", "0.1", "0.001")])
    path = DATA / "hftbacktest/binance_coinm/btcusd_perp_20240809.gz"
    assert {type(market.decode(frame)) for frame in frames(path)} == {type(None)}


def test_a_2021_connection_of_ten_symbols() -> None:
    """`cryptofeed text`: received frames are `<unix s>: <text>`, the configuration and connects are not frames."""
    path = DATA / "cryptofeed/binance_futures/2021-04-05/BINANCE_FUTURES-1125a2.0.gz"
    rows = [perp(name, "0.00001", "0.1") for name in ("SANDUSDT", "BATUSDT", "CTKUSDT", "CHRUSDT")]
    market = BinanceMarket("binance_perp", [*rows, perp("NEOUSDT", "0.001", "0.01")])
    found: Counter[str] = Counter()
    with gzip.open(path) as lines:
        for line in lines:
            match = re.match(rb"\d+\.\d+: (\{.*)", line)
            if match:
                found[type(market.decode(match[1])).__name__] += 1
    assert found == {"TopOfBook": 3424, "PublicTrade": 574, "DepthDelta": 4423}


# --- fixtures of other projects -------------------------------------------------------------------------------------


def fixtures(*patterns: str) -> list[Path]:
    return sorted(path for pattern in patterns for path in DATA.glob(pattern))


def named(text: str) -> set[str]:
    return set(re.findall(r'"s"\s*:\s*"([A-Z0-9_]+)"', text))


def fine(venue: str, symbols: set[str]) -> list[Instrument]:
    """Instruments so fine that every documented number lies on their grid."""
    make = perp if venue == "binance_perp" else spot
    return [make(name, "0.00000001", "0.00000001") for name in sorted(symbols)]


def test_market_fixtures_are_read() -> None:
    paths = fixtures("nautilus/binance/futures/market_data_json/*.json")
    kinds = {}
    for path in paths:
        text = path.read_text()
        kinds[path.stem] = type(BinanceMarket("binance_perp", fine("binance_perp", named(text))).decode(text)).__name__
    assert kinds == {
        "agg_trade_stream": "PublicTrade",
        "book_ticker_stream": "TopOfBook",
        "depth_update_stream": "DepthDelta",
        "kline_stream_closed": "KlineEvent",
        "liquidation_stream": "Liquidation",
        "mark_price_stream": "MarkPrice",
        "ticker_stream": "NoneType",
    }


@pytest.mark.parametrize(
    ("venue", "patterns"),
    [
        (
            "binance_perp",
            (
                "nautilus/binance/futures/user_data_json/order_update*.json",
                "nautilus/history/binance/resources/ws_messages/ws_futures_order*.json",
            ),
        ),
        (
            "binance_spot",
            (
                "nautilus/binance/spot/user_data_json/execution_report*.json",
                "nautilus/history/binance/resources/ws_messages/ws_spot_execution*.json",
            ),
        ),
    ],
)
def test_order_reports_are_read_field_by_field(venue: str, patterns: tuple[str, ...]) -> None:
    paths = fixtures(*patterns)
    assert len(paths) >= 10
    for path in paths:
        text = path.read_text()
        frame = json.loads(text)
        report = frame.get("event") or frame.get("data") or frame
        report = report.get("o") if isinstance(report.get("o"), dict) else report
        trading = BinanceTrading(venue, Credentials("k", "s"), fine(venue, named(text)))
        events = trading.decode_private(text)
        order = events[-1]
        assert isinstance(order, VenueOrder), path.name
        assert (order.lots, order.filled_lots) == (steps(report["q"], "1e-8"), steps(report["z"], "1e-8")), path.name
        assert order.venue_order_id == str(report["i"])
        traded = report["x"] in ("TRADE", "CALCULATED") and Decimal(report["l"]) > 0
        assert isinstance(events[0], VenueFill) == traded, path.name
        if isinstance(events[0], VenueFill):
            assert events[0].lots == steps(report["l"], "1e-8")
            assert events[0].price_ticks > 0, path.name
            assert events[0].trade_id == report["t"]
            assert events[0].system == bool(
                re.match("autoclose-|adl_autoclose|settlement_autoclose-|delivery_autoclose-", report["c"])
            )


def test_other_private_fixtures_tell_balances_or_nothing() -> None:
    perp_paths = fixtures(
        "nautilus/binance/futures/user_data_json/*.json",
        "nautilus/history/binance/resources/ws_messages/ws_futures_*lite.json",
        "nautilus/history/binance/resources/ws_messages/ws_futures_algo*.json",
    )
    for path in perp_paths:
        if path.stem.startswith("order_update"):
            continue
        text = path.read_text()
        trading = BinanceTrading("binance_perp", Credentials("k", "s"), fine("binance_perp", named(text)))
        events = trading.decode_private(text)
        told = path.stem.startswith("account_update")
        assert bool(events) == told, path.name
        assert any(isinstance(event, VenueBalances) for event in events) == told, path.name


def blocks(path: Path) -> tuple[list[str], bytes]:
    """jkorf: method, path and signed flag in a line each, then the answer (JSON with // comments)."""
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    body = "\n".join(re.sub(r"\s//.*$", "", line) for line in lines[3:])
    return lines[:3], body.encode()


def test_documented_trades_are_read() -> None:
    for venue, name, symbol in (
        ("binance_perp", "UsdFutures/Trading/GetUserTrades.txt", "BTCUSDT"),
        ("binance_spot", "Spot/Trading/GetUserTrades.txt", "BNBBTC"),
    ):
        head, body = blocks(DATA / "jkorf/binance/Endpoints" / name)
        trading = BinanceTrading(venue, Credentials("k", "s"), fine(venue, {symbol}))
        request = VenueTradesQuery(1, symbol)
        sent = trading.encode(request, timestamp_ms=1)
        assert getattr(sent, "path_query", "").startswith(head[1])
        (trades,) = trading.decode_http(request, 200, {}, body)
        (row,), (fill,) = json.loads(body), trades.fills
        assert (fill.trade_id, fill.lots, fill.price_ticks) == (
            row["id"],
            steps(row["qty"], "1e-8"),
            steps(row["price"], "1e-8"),
        )
        assert fill.side is (Side.SELL if row.get("side") == "SELL" else Side.BUY)


def test_recorded_exchange_infos_are_read() -> None:
    with gzip.open(DATA / "gocryptotrader/binance/http.json.gz") as file:
        routes = json.load(file)["routes"]
    for venue, path in (("binance_spot", "/api/v3/exchangeInfo"), ("binance_perp", "/fapi/v1/exchangeInfo")):
        info = routes[path]["GET"][0]["data"]
        rows = decode_exchange_info(venue, json.dumps(info).encode(), [])
        assert rows
        by_symbol = {row["symbol"]: row for row in info["symbols"]}
        for row in rows:
            filters = {item["filterType"]: item for item in by_symbol[row.symbol]["filters"]}
            assert Decimal(row.tick_size) == Decimal(filters["PRICE_FILTER"]["tickSize"])
            assert Decimal(row.lot_size) == Decimal(filters["LOT_SIZE"]["stepSize"])
            assert row.lots_min * row.lot >= Decimal(filters["LOT_SIZE"]["minQty"])
            assert Decimal(row.min_notional) > 0


def test_documented_subscription_answers_are_notices() -> None:
    market = BinanceMarket("binance_spot")
    answers = 0
    for path in fixtures("jkorf/binance/Subscriptions/**/*.txt"):
        for line in path.read_text(encoding="utf-8-sig").splitlines():
            if line.startswith("<"):
                text = re.sub(r"\|\d+\|", "1", line[1:].strip())
                if text.replace(" ", "").startswith('{"result"'):
                    event = market.decode(text)
                    assert isinstance(event, StreamNotice), text
                    assert event.kind == "subscribed"
                    answers += 1
    assert answers > 5
