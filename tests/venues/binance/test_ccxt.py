"""A client that was not written here reads what our server role writes: ccxt, joined in memory, not by sockets."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pytest

from actors.venues.binance.calls import Call, Done, LedgerQuery, MarketQuery, OrderCall, Reply, ServerAccount
from actors.venues.binance.server import BinanceServer, Ticker
from actors.venues.ledger import LedgerAccount, LedgerBalance, LedgerOrder, LedgerPosition, LedgerTrade
from actors.vocab.market import Kline, Side
from actors.vocab.orders import OrderState
from actors.vocab.venue_io import (
    DepthSnapshot,
    FaultKind,
    MarkPrice,
    PublicTrade,
    TopOfBook,
    VenueAck,
    VenueCancel,
    VenueFill,
    VenueOrder,
    VenuePlace,
    VenueQueryOrder,
    VenueReject,
)
from tests.venues.binance.examples import KEYS, NOW_MS, NOW_NS, ROWS, VENUES

ccxt = pytest.importorskip("ccxt")

pytestmark = pytest.mark.clients

UNIFIED = {"binance_perp": "BTC/USDT:USDT", "binance_spot": "BTC/USDT"}
PRICE = {"binance_perp": 60_000_0, "binance_spot": 60_000_00}  # ticks of 60 000


class Venue:
    """Just enough of an exchange behind the server role: orders rest, are listed, queried and cancelled."""

    def __init__(self, venue: str) -> None:
        self.venue = venue
        self.server = BinanceServer(venue, ROWS[venue], [ServerAccount("main", KEYS)])
        self.orders: dict[str, LedgerOrder] = {}
        self.asked: list[str] = []

    def fetch(self, url: str, method: str, headers: Any, body: Any) -> Reply:
        parts = urlsplit(url)
        lowered = {name.lower(): value for name, value in (headers or {}).items()}
        self.asked.append(f"{method} {parts.path}")
        sent = (body or "").encode()
        call = self.server.http(
            method, parts.path, parts.query, lowered, sent, now_ms=NOW_MS, request_no=len(self.asked)
        )
        return self.answer(call)

    def answer(self, call: Call) -> Reply:
        server, ticks = self.server, PRICE[self.venue]
        match call:
            case Done():
                return call.reply
            case OrderCall():
                return self.order(call)
            case MarketQuery(kind="depth"):
                book = DepthSnapshot("BTCUSDT", 9, [(ticks, 5)], [(ticks + 1, 6)])
                return server.answer_depth(call, book, now_ms=NOW_MS)
            case MarketQuery(kind="trades"):
                return server.answer_trades(call, [PublicTrade("BTCUSDT", 4, NOW_NS, Side.SELL, ticks, 5)])
            case MarketQuery(kind="tickers"):
                top = TopOfBook("BTCUSDT", 9, NOW_NS, ticks, 5, ticks + 1, 6)
                day = Kline(0, 86_399_999, ticks, ticks + 9, ticks - 9, ticks, 100, 7)
                return server.answer_tickers(call, [Ticker(top, day, ticks)])
            case MarketQuery(kind="klines"):
                return server.answer_klines(call, [Kline(0, 59_999, ticks, ticks, ticks, ticks, 100, 7)])
            case MarketQuery(kind="mark_prices"):
                mark = MarkPrice("BTCUSDT", NOW_NS, ticks + 0.5, ticks, 0.0001, NOW_MS + 9)
                return server.answer_mark_prices(call, [mark], now_ms=NOW_MS)
            case LedgerQuery(kind="orders"):
                rows = [row for row in self.orders.values() if not call.open_only or row.state is OrderState.OPEN]
                return server.answer_orders(call, rows)
            case LedgerQuery(kind="own_trades"):
                fill = VenueFill(0, "BTCUSDT", "", "1", 5, Side.BUY, ticks, 7, True, "0.01", "USDT", NOW_NS)
                return server.answer_own_trades(call, [LedgerTrade(fill, "1.5")])
            case LedgerQuery(kind="account"):
                account = LedgerAccount(
                    balances=(LedgerBalance("USDT", "1000", "100"), LedgerBalance("BTC", "2", "0")),
                    positions=(LedgerPosition("BTCUSDT", 20, ticks, ticks + 10.0, "0.02"),)
                    if self.venue == "binance_perp"
                    else (),
                )
                return server.answer_account(call, account, now_ms=NOW_MS)
        raise AssertionError(call)

    def order(self, call: OrderCall) -> Reply:
        match call.request:
            case VenuePlace() as place:
                if place.price_ticks > PRICE[self.venue]:
                    event = VenueReject(place.request_no, FaultKind.POST_ONLY, 0, "", "BTCUSDT", place.client_id)
                    return self.server.answer_order(call, event, now_ms=NOW_MS)
                row = LedgerOrder(
                    place.symbol,
                    place.client_id,
                    str(len(self.orders) + 1),
                    place.side,
                    OrderState.OPEN,
                    place.price_ticks,
                    place.lots,
                    0,
                    "0",
                    NOW_MS,
                    NOW_MS,
                    place.post_only,
                )
            case VenueCancel() as cancel:
                row = self.orders[cancel.venue_order_id]
                row = LedgerOrder(*[getattr(row, name) for name in row.__struct_fields__[:4]], OrderState.CANCELLED,
                                  row.price_ticks, row.lots, 0, "0", NOW_MS, NOW_MS)  # fmt: skip
            case VenueQueryOrder() as query:
                row = self.orders[query.venue_order_id]
                seen = VenueOrder(1, row.symbol, row.client_id, row.venue_order_id, row.side, row.state,
                                  row.price_ticks, row.lots, 0, NOW_NS)  # fmt: skip
                return self.server.answer_order(call, seen, now_ms=NOW_MS, order=row)
            case other:
                raise AssertionError(other)
        self.orders[row.venue_order_id] = row
        ack = VenueAck(
            1, row.symbol, row.client_id, row.venue_order_id, row.state, row.price_ticks, row.lots, 0, NOW_NS
        )
        return self.server.answer_order(call, ack, now_ms=NOW_MS, order=row)


@pytest.fixture(params=VENUES)
def joined(request: pytest.FixtureRequest):
    venue = Venue(request.param)
    make = ccxt.binanceusdm if request.param == "binance_perp" else ccxt.binance
    client = make({"apiKey": KEYS.api_key, "secret": KEYS.secret, "options": {"fetchMarkets": {"types": ["spot"]}}}
                  if request.param == "binance_spot" else {"apiKey": KEYS.api_key, "secret": KEYS.secret})  # fmt: skip
    client.milliseconds = lambda: NOW_MS
    client.enableRateLimit = False

    def fetch(url: str, method: str = "GET", headers: Any = None, body: Any = None) -> Any:
        reply = venue.fetch(url, method, headers, body)
        text = reply.body.decode()
        parsed = client.parse_json(text)
        client.handle_errors(reply.status, "", url, method, dict(reply.headers), text, parsed, headers, body)
        return parsed

    client.fetch = fetch
    return venue, client, UNIFIED[request.param]


def test_markets_carry_our_steps(joined) -> None:
    venue, client, symbol = joined
    market = client.load_markets()[symbol]
    row = ROWS[venue.venue][0]

    assert (market["precision"]["price"], market["precision"]["amount"]) == (row.tick_float, row.lot_float)
    assert market["limits"]["cost"]["min"] == float(row.min_notional)
    assert market["active"]


def test_public_data(joined) -> None:
    _, client, symbol = joined
    book = client.fetch_order_book(symbol)
    assert (book["bids"][0][0], book["nonce"]) == (60_000.0, 9)
    trade = client.fetch_trades(symbol)[0]
    assert (trade["side"], trade["price"]) == ("sell", 60_000.0)
    assert client.fetch_ticker(symbol)["last"] == 60_000.0
    assert client.fetch_ohlcv(symbol)[0][4] == 60_000.0
    assert client.fetch_time() == NOW_MS


def test_an_order_is_placed_listed_queried_and_cancelled(joined) -> None:
    _, client, symbol = joined
    placed = client.create_order(symbol, "limit", "buy", 0.01, 59_000, {"postOnly": True})
    assert (placed["status"], placed["price"], placed["amount"], placed["postOnly"]) == ("open", 59_000.0, 0.01, True)
    assert [row["id"] for row in client.fetch_open_orders(symbol)] == [placed["id"]]
    assert client.fetch_order(placed["id"], symbol)["side"] == "buy"
    assert client.cancel_order(placed["id"], symbol)["status"] == "canceled"
    assert client.fetch_open_orders(symbol) == []
    assert len(client.fetch_orders(symbol)) == 1


def test_refusals_are_understood(joined) -> None:
    _, client, symbol = joined
    with pytest.raises(ccxt.InvalidOrder):
        client.create_order(symbol, "limit", "buy", 0.01, 61_000, {"postOnly": True})
    client.secret = "wrong"
    with pytest.raises(ccxt.AuthenticationError):
        client.fetch_open_orders(symbol)


def test_balances_trades_and_positions(joined) -> None:
    venue, client, symbol = joined
    assert client.fetch_balance()["USDT"] == {"free": 900.0, "used": 100.0, "total": 1000.0}
    trade = client.fetch_my_trades(symbol)[0]
    assert (trade["takerOrMaker"], trade["fee"]["cost"]) == ("maker", 0.01)
    if venue.venue == "binance_perp":
        (position,) = client.fetch_positions([symbol])
        assert (position["contracts"], position["side"], position["unrealizedPnl"]) == (0.02, "long", 0.02)
        assert client.fetch_funding_rate(symbol)["fundingRate"] == 0.0001
