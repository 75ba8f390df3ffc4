"""exchangeInfo of both markets to instruments and back."""

from __future__ import annotations

import json

import pytest

from actors.venues.binance.metadata import base_of, decode_exchange_info, encode_exchange_info
from actors.vocab.errors import VenueFault
from tests.venues.binance.examples import NOW_MS, ROWS, VENUES


@pytest.mark.parametrize("venue", VENUES)
def test_encoded_instruments_come_back(venue: str) -> None:
    assert decode_exchange_info(venue, encode_exchange_info(venue, ROWS[venue], NOW_MS), []) == list(ROWS[venue])


def row(**changes) -> dict:
    base = {
        "symbol": "BTCUSDT",
        "status": "TRADING",
        "contractType": "PERPETUAL",
        "baseAsset": "BTC",
        "quoteAsset": "USDT",
        "pricePrecision": 2,
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": "556.80", "maxPrice": "4529764", "tickSize": "0.10"},
            {"filterType": "LOT_SIZE", "stepSize": "0.001", "maxQty": "1000", "minQty": "0.001"},
            {"filterType": "MAX_NUM_ORDERS", "limit": 200},
            {"filterType": "MIN_NOTIONAL", "notional": "100"},
        ],
    }
    return base | changes


def read(venue: str, *rows: dict, symbols=()):
    return decode_exchange_info(venue, json.dumps({"symbols": rows}).encode(), symbols)


def test_steps_come_from_filters_not_from_precisions() -> None:
    (found,) = read("binance_perp", row())

    assert (found.tick_size, found.lot_size) == ("0.1", "0.001")
    assert (found.lots_min, found.lots_max, found.min_notional, found.orders_open_max) == (1, 1_000_000, "100", 200)


def test_deliveries_and_unwanted_symbols_are_left_out() -> None:
    quarter = row(symbol="BTCUSDT_250926", contractType="CURRENT_QUARTER")
    stock = row(symbol="TSLAUSDT", contractType="TRADIFI_PERPETUAL")

    assert [item.symbol for item in read("binance_perp", row(), quarter, stock)] == ["BTCUSDT", "TSLAUSDT"]
    assert read("binance_perp", row(), symbols=["NOSUCH"]) == []


def test_spot_reads_the_old_and_the_new_notional_filter() -> None:
    filters = row()["filters"][:2]
    new = {"filterType": "NOTIONAL", "minNotional": "5.00000000", "applyMinToMarket": True}
    old = {"filterType": "MIN_NOTIONAL", "minNotional": "10.00000000", "applyToMarket": True}
    both = read("binance_spot", row(filters=[*filters, new]), row(symbol="OLD", filters=[*filters, old]))

    assert [item.min_notional for item in both] == ["5", "10"]


@pytest.mark.parametrize("change", [{"status": "HALT"}, {"status": "BREAK"}, {"isSpotTradingAllowed": False}])
def test_what_does_not_trade_is_said(change: dict) -> None:
    (found,) = read("binance_spot", row(**change))
    assert not found.trading


@pytest.mark.parametrize(
    ("asset", "base"),
    [
        ("1000PEPE", "PEPE"),
        ("1000000MOG", "MOG"),
        ("1MBABYDOGE", "1MBABYDOGE"),
        ("1000SATS", "1000SATS"),
        ("1INCH", "1INCH"),
        ("BTC", "BTC"),
    ],
)
def test_multiplied_names_share_their_coins_limit(asset: str, base: str) -> None:
    assert base_of(asset) == base


@pytest.mark.parametrize(("at", "field"), [(0, "tickSize"), (1, "stepSize")])
def test_a_symbol_without_a_grid_is_left_out(at: int, field: str) -> None:
    filters = [dict(item) for item in row()["filters"]]
    filters[at][field] = "0"
    rows = row(), row(symbol="NOGRID", filters=filters), row(symbol="BARE", filters=[])
    assert [item.symbol for item in read("binance_perp", *rows)] == ["BTCUSDT"]


def test_a_page_instead_of_the_list_is_the_venues_fault() -> None:
    with pytest.raises(VenueFault, match="not readable"):
        decode_exchange_info("binance_perp", b"<html>", [])
