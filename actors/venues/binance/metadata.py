"""exchangeInfo, both roles: the venue's rows to `Instrument`s and back.

Source: rest-api.md § Exchange information, filters.md; USD-M "Exchange Information" (read 2026-07). Steps come from the
filters; `pricePrecision` and `quantityPrecision` are display digits and may be finer than the grid.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec

from actors.venues.binance.common import UNREADABLE, market_of, plain
from actors.vocab.errors import VenueFault
from actors.vocab.instruments import Instrument, Market

PERPETUALS: Final = frozenset({"PERPETUAL", "TRADIFI_PERPETUAL"})
# USD-M quotes cheap coins by the thousand or million. Price times size is the notional without any multiplier, so
# only the name is reduced: `PEPE` on spot and `1000PEPE` as a perpetual then share one net limit in usd.
THOUSANDS: Final = ("1000000", "1000", "1M")
# Coins that spot lists under the multiplied name as well; reducing them would part what belongs together.
MULTIPLIED_ON_SPOT: Final = frozenset({"1000SATS", "1000CAT", "1000CHEEMS", "1MBABYDOGE"})

OPEN_ORDERS_DEFAULT: Final = 200  # MAX_NUM_ORDERS of nearly every symbol, should a row lack the filter


class Filter(msgspec.Struct):
    filterType: str
    tickSize: str = "0"
    stepSize: str = "0"
    minQty: str = "0"
    maxQty: str = "0"
    minNotional: str = "0"
    notional: str = "0"
    maxNumOrders: int = 0
    limit: int = 0


class SymbolRow(msgspec.Struct):
    symbol: str
    baseAsset: str
    quoteAsset: str
    filters: list[Filter]
    status: str = ""
    contractStatus: str = ""
    contractType: str = ""
    isSpotTradingAllowed: bool = True


class ExchangeInfo(msgspec.Struct):
    symbols: list[SymbolRow]


_exchange_info = msgspec.json.Decoder(ExchangeInfo)


def decode_exchange_info(venue: str, body: bytes, symbols: Sequence[str]) -> list[Instrument]:
    """Instruments of `symbols` (all when empty) in the venue's order; those without a grid are left out.

    `VenueFault` when the body is not readable.
    """
    market = market_of(venue)
    try:
        rows = _exchange_info.decode(body).symbols
    except UNREADABLE as error:
        raise VenueFault(f"{venue} exchangeInfo is not readable: {error}") from error
    wanted = set(symbols)
    found = [
        _instrument(venue, market, row)
        for row in rows
        if (not wanted or row.symbol in wanted) and (market == "spot" or row.contractType in PERPETUALS)
    ]
    return [instrument for instrument in found if instrument is not None]


def _instrument(venue: str, market: Market, row: SymbolRow) -> Instrument | None:
    """None where the filters give no step: filters.md lets 0 switch a bound off, and without a grid there is nothing to
    quote on. The other symbols of the list are none the worse for it."""
    by_type = {item.filterType: item for item in row.filters}
    tick, lot = _step(by_type, "PRICE_FILTER"), _step(by_type, "LOT_SIZE")
    if tick <= 0 or lot <= 0:
        return None
    sizes = by_type["LOT_SIZE"]
    orders = by_type.get("MAX_NUM_ORDERS")
    return Instrument(
        symbol=row.symbol,
        venue=venue,
        market=market,
        venue_symbol=row.symbol,
        base=row.baseAsset if market == "spot" else base_of(row.baseAsset),
        quote=row.quoteAsset,
        tick_size=plain(tick),
        lot_size=plain(lot),
        lots_min=max(1, -int(-Decimal(sizes.minQty) // lot)),
        lots_max=int(Decimal(sizes.maxQty) // lot),
        min_notional=plain(_min_notional(by_type)),
        orders_open_max=(orders.maxNumOrders or orders.limit if orders else 0) or OPEN_ORDERS_DEFAULT,
        trading=(row.status or row.contractStatus) == "TRADING" and row.isSpotTradingAllowed,
    )


def base_of(base_asset: str) -> str:
    """The coin behind a perpetual's multiplied name: 1000PEPE → PEPE."""
    if base_asset in MULTIPLIED_ON_SPOT:
        return base_asset
    for prefix in THOUSANDS:
        rest = base_asset.removeprefix(prefix)
        if rest != base_asset and rest[:1].isalpha():
            return rest
    return base_asset


def _step(by_type: dict[str, Filter], kind: str) -> Decimal:
    """0 where there is none."""
    found = by_type.get(kind)
    return Decimal(found.tickSize if kind == "PRICE_FILTER" else found.stepSize) if found else Decimal(0)


def _min_notional(by_type: dict[str, Filter]) -> Decimal:
    """NOTIONAL (spot), MIN_NOTIONAL (older spot rows say minNotional, USD-M says notional); 0 without a filter."""
    found = by_type.get("NOTIONAL") or by_type.get("MIN_NOTIONAL")
    return max(Decimal(found.minNotional), Decimal(found.notional)) if found else Decimal(0)


# --- server role ---------------------------------------------------------------------------------------------

RATE_LIMITS: Final[dict[Market, list[dict[str, Any]]]] = {
    "perp": [
        {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 2400},
        {"rateLimitType": "ORDERS", "interval": "MINUTE", "intervalNum": 1, "limit": 1200},
        {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 300},
    ],
    "spot": [
        {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 6000},
        {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 50},
        {"rateLimitType": "ORDERS", "interval": "DAY", "intervalNum": 1, "limit": 160000},
        {"rateLimitType": "RAW_REQUESTS", "interval": "MINUTE", "intervalNum": 5, "limit": 300000},
    ],
}


def encode_exchange_info(venue: str, instruments: Iterable[Instrument], now_ms: int) -> bytes:
    """The whole answer, with the fields that clients of either market read."""
    market = market_of(venue)
    spell = _perp_row if market == "perp" else _spot_row
    rows = list(instruments)
    info: dict[str, Any] = {
        "timezone": "UTC",
        "serverTime": now_ms,
        "rateLimits": RATE_LIMITS[market],
        "exchangeFilters": [],
    }
    if market == "perp":
        info["futuresType"] = "U_MARGINED"
        quotes = sorted({row.quote for row in rows})
        info["assets"] = [{"asset": quote, "marginAvailable": True, "autoAssetExchange": "0"} for quote in quotes]
    info["symbols"] = [spell(row) for row in rows]
    return msgspec.json.encode(info)


def _digits(step: str) -> int:
    return len(step.partition(".")[2])


PRICE_TICKS_MAX: Final = 10**9
SPOT_NOTIONAL_MAX: Final = "9000000.00000000"  # of limit orders
# PERCENT_PRICE_BY_SIDE of nearly every spot symbol; `sim/filters.py` keeps to it.
_SPOT_BAND: Final = {
    "bidMultiplierUp": "5",
    "bidMultiplierDown": "0.2",
    "askMultiplierUp": "5",
    "askMultiplierDown": "0.2",
}


def _filters(row: Instrument) -> list[dict[str, Any]]:
    price_max = plain(row.tick * PRICE_TICKS_MAX)
    sizes = {
        "minQty": plain(row.lot * row.lots_min),
        "maxQty": plain(row.lot * row.lots_max),
        "stepSize": row.lot_size,
    }
    return [
        {"filterType": "PRICE_FILTER", "minPrice": row.tick_size, "maxPrice": price_max, "tickSize": row.tick_size},
        {"filterType": "LOT_SIZE", **sizes},
        {"filterType": "MARKET_LOT_SIZE", **sizes},
    ]


def _perp_row(row: Instrument) -> dict[str, Any]:
    return {
        "symbol": row.venue_symbol,
        "pair": row.venue_symbol,
        "contractType": "PERPETUAL",
        "deliveryDate": 4133404800000,
        "onboardDate": 1569398400000,
        "status": "TRADING" if row.trading else "SETTLING",
        "maintMarginPercent": "2.5000",
        "requiredMarginPercent": "5.0000",
        "baseAsset": row.venue_symbol.removesuffix(row.quote),
        "quoteAsset": row.quote,
        "marginAsset": row.quote,
        "pricePrecision": _digits(row.tick_size),
        "quantityPrecision": _digits(row.lot_size),
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "underlyingType": "COIN",
        "underlyingSubType": [],
        "triggerProtect": "0.0500",
        "liquidationFee": "0.015000",
        "marketTakeBound": "0.05",
        "maxMoveOrderLimit": 10000,
        "filters": [
            *_filters(row),
            {"filterType": "MAX_NUM_ORDERS", "limit": row.orders_open_max},
            {"filterType": "MAX_NUM_ALGO_ORDERS", "limit": 10},
            {"filterType": "MIN_NOTIONAL", "notional": row.min_notional},
            {
                "filterType": "PERCENT_PRICE",
                "multiplierUp": "1.0500",
                "multiplierDown": "0.9500",
                "multiplierDecimal": "4",
            },
        ],
        "orderTypes": ["LIMIT", "MARKET"],
        "timeInForce": ["GTC", "GTX"],  # what this venue takes, not what Binance does
    }


def _spot_row(row: Instrument) -> dict[str, Any]:
    return {
        "symbol": row.venue_symbol,
        "status": "TRADING" if row.trading else "BREAK",
        "baseAsset": row.base,
        "baseAssetPrecision": 8,
        "quoteAsset": row.quote,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "baseCommissionPrecision": 8,
        "quoteCommissionPrecision": 8,
        "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET"],
        "icebergAllowed": False,
        "ocoAllowed": False,
        "otoAllowed": False,
        "opoAllowed": False,
        "quoteOrderQtyMarketAllowed": False,
        "allowTrailingStop": False,
        "cancelReplaceAllowed": True,
        "amendAllowed": False,
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "filters": [
            *_filters(row),
            {
                "filterType": "NOTIONAL",
                "minNotional": row.min_notional,
                "applyMinToMarket": True,
                "maxNotional": SPOT_NOTIONAL_MAX,
                "applyMaxToMarket": False,
                "avgPriceMins": 5,
            },
            {"filterType": "PERCENT_PRICE_BY_SIDE", **_SPOT_BAND, "avgPriceMins": 5},
            {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": row.orders_open_max},
        ],
        "permissions": [],
        "permissionSets": [["SPOT"]],
        "defaultSelfTradePreventionMode": "EXPIRE_MAKER",
        "allowedSelfTradePreventionModes": ["NONE", "EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH"],
    }
