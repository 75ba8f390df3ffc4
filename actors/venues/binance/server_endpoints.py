"""Which path and which websocket method of a simulated Binance is which operation, what proof it asks, what it weighs.

Source: rest-api.md, web-socket-api.md (2026-07-21); USD-M manual pages, read 2026-07.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Final

import msgspec

from actors.venues.binance.common import (
    AMENDMENTS_PATH,
    BALANCE_PATH,
    CANCEL_REPLACE_PATH,
    COUNTDOWN_PATH,
    INCOME_PATH,
    LISTEN_KEY_PATH,
    PATHS,
    POSITIONS_PATH,
)
from actors.vocab.instruments import Market


class Security(enum.Enum):
    """Which proof an endpoint asks for."""

    NONE = 0
    KEY = 1
    SIGNED = 2
    SESSION = 3  # websocket API: what `session.logon` has proved, nothing else


class Operation(msgspec.Struct, frozen=True):
    name: str
    security: Security


def _open(name: str) -> Operation:
    return Operation(name, Security.NONE)


def _key(name: str) -> Operation:
    return Operation(name, Security.KEY)


def _signed(name: str) -> Operation:
    return Operation(name, Security.SIGNED)


def _http_common(market: Market) -> dict[tuple[str, str], Operation]:
    paths, prefix = PATHS[market], "/fapi/v1" if market == "perp" else "/api/v3"
    return {
        ("GET", paths.ping): _open("ping"),
        ("GET", paths.time): _open("time"),
        ("GET", paths.exchange_info): _open("exchangeInfo"),
        ("GET", paths.depth): _open("depth"),
        ("GET", paths.klines): _open("klines"),
        ("GET", paths.trades): _open("trades"),
        ("GET", paths.agg_trades): _open("aggTrades"),
        ("GET", f"{prefix}/ticker/bookTicker"): _open("bookTicker"),
        ("GET", f"{prefix}/ticker/price"): _open("price"),
        ("GET", f"{prefix}/ticker/24hr"): _open("ticker24hr"),
        ("POST", paths.order): _signed("order.place"),
        ("POST", f"{paths.order}/test"): _signed("order.test"),
        ("DELETE", paths.order): _signed("order.cancel"),
        ("GET", paths.order): _signed("order.status"),
        ("DELETE", paths.cancel_all): _signed("openOrders.cancelAll"),
        ("GET", paths.open_orders): _signed("openOrders.status"),
        ("GET", paths.all_orders): _signed("allOrders"),
        ("GET", paths.own_trades): _signed("myTrades"),
        ("GET", paths.account): _signed("account.status"),
        ("GET", AMENDMENTS_PATH[market]): _signed("amendments"),
        # Clients ask for these when they load markets: nothing can be withdrawn or borrowed here.
        ("GET", "/sapi/v1/capital/config/getall"): _signed("coins"),
        ("GET", "/sapi/v1/margin/allPairs"): _key("marginPairs"),
        ("GET", "/sapi/v1/margin/isolated/allPairs"): _key("marginPairs"),
    }


HTTP_OPERATIONS: Final[Mapping[Market, Mapping[tuple[str, str], Operation]]] = {
    "spot": _http_common("spot")
    | {
        ("POST", CANCEL_REPLACE_PATH): _signed("order.cancelReplace"),
        ("GET", "/api/v3/rateLimit/order"): _signed("rateLimits"),
        ("GET", "/api/v3/account/commission"): _signed("commission"),
        ("GET", "/sapi/v1/asset/tradeFee"): _signed("commission"),
    },
    "perp": _http_common("perp")
    | {
        ("GET", "/dapi/v1/exchangeInfo"): _open("coinMargined"),
        ("GET", "/fapi/v2/ticker/price"): _open("price"),
        ("GET", "/fapi/v1/premiumIndex"): _open("premiumIndex"),
        ("GET", "/fapi/v1/fundingRate"): _open("fundingRate"),
        ("GET", "/fapi/v1/fundingInfo"): _open("fundingInfo"),
        ("PUT", "/fapi/v1/order"): _signed("order.modify"),
        ("GET", "/fapi/v1/openOrder"): _signed("order.status"),
        ("GET", "/fapi/v2/account"): _signed("account.status"),
        ("GET", BALANCE_PATH): _signed("account.balance"),
        ("GET", "/fapi/v2/balance"): _signed("account.balance"),
        ("GET", POSITIONS_PATH): _signed("account.position"),
        ("GET", "/fapi/v2/positionRisk"): _signed("account.position"),
        ("GET", INCOME_PATH): _signed("income"),
        ("POST", COUNTDOWN_PATH): _signed("countdown"),
        ("GET", "/fapi/v1/leverageBracket"): _signed("leverageBracket"),
        ("GET", "/fapi/v1/commissionRate"): _signed("commission"),
        ("GET", "/fapi/v1/accountConfig"): _signed("accountConfig"),
        ("GET", "/fapi/v1/symbolConfig"): _signed("symbolConfig"),
        ("GET", "/fapi/v1/positionSide/dual"): _signed("positionMode"),
        ("POST", "/fapi/v1/positionSide/dual"): _signed("positionMode.set"),
        ("GET", "/fapi/v1/multiAssetsMargin"): _signed("multiAssets"),
        ("POST", "/fapi/v1/multiAssetsMargin"): _signed("multiAssets.set"),
        ("POST", "/fapi/v1/leverage"): _signed("leverage.set"),
        ("POST", "/fapi/v1/marginType"): _signed("marginType.set"),
        ("GET", "/fapi/v1/rateLimit/order"): _signed("rateLimits"),
        ("POST", LISTEN_KEY_PATH): _key("userDataStream.start"),
        ("PUT", LISTEN_KEY_PATH): _key("userDataStream.ping"),
        ("DELETE", LISTEN_KEY_PATH): _key("userDataStream.stop"),
    },
}

_WS_COMMON: Final = {
    "ping": _open("ping"),
    "time": _open("time"),
    "exchangeInfo": _open("exchangeInfo"),
    "depth": _open("depth"),
    "ticker.book": _open("bookTicker"),
    "ticker.price": _open("price"),
    "order.place": _signed("order.place"),
    "order.cancel": _signed("order.cancel"),
    "order.status": _signed("order.status"),
    "session.logon": _signed("session.logon"),
    "session.status": _open("session.status"),
    "session.logout": _open("session.logout"),
    "account.status": _signed("account.status"),
}
WS_OPERATIONS: Final[Mapping[Market, Mapping[str, Operation]]] = {
    "spot": _WS_COMMON
    | {
        "klines": _open("klines"),
        "trades.recent": _open("trades"),
        "trades.aggregate": _open("aggTrades"),
        "ticker.24hr": _open("ticker24hr"),
        "order.test": _signed("order.test"),
        "order.cancelReplace": _signed("order.cancelReplace"),
        "openOrders.status": _signed("openOrders.status"),
        "openOrders.cancelAll": _signed("openOrders.cancelAll"),
        "allOrders": _signed("allOrders"),
        "myTrades": _signed("myTrades"),
        "order.amendments": _signed("amendments"),
        "account.commission": _signed("commission"),
        "account.rateLimits.orders": _signed("rateLimits"),
        "session.subscriptions": _open("session.subscriptions"),
        "userDataStream.subscribe": Operation("userDataStream.subscribe", Security.SESSION),
        "userDataStream.subscribe.signature": _signed("userDataStream.subscribe"),
        "userDataStream.unsubscribe": _open("userDataStream.unsubscribe"),
    },
    "perp": _WS_COMMON
    | {
        "order.modify": _signed("order.modify"),
        "v2/account.status": _signed("account.status"),
        "account.balance": _signed("account.balance"),
        "v2/account.balance": _signed("account.balance"),
        "account.position": _signed("account.position"),
        "v2/account.position": _signed("account.position"),
        "userDataStream.start": _key("userDataStream.start"),
        "userDataStream.ping": _key("userDataStream.ping"),
        "userDataStream.stop": _key("userDataStream.stop"),
    },
}

# operation -> request weight; what is missing costs 1 (rest-api.md, "Weight" of each endpoint; USD-M likewise).
WEIGHTS: Final[Mapping[Market, Mapping[str, int]]] = {
    "spot": {
        "exchangeInfo": 20,
        "trades": 25,
        "aggTrades": 4,
        "klines": 2,
        "bookTicker": 4,
        "price": 4,
        "ticker24hr": 80,
        "order.place": 0,
        "order.cancel": 0,
        "order.status": 4,
        "openOrders.status": 6,
        "allOrders": 20,
        "myTrades": 20,
        "account.status": 20,
        "commission": 20,
        "rateLimits": 40,
        "userDataStream.subscribe": 2,
        "coins": 10,
    },
    "perp": {
        "trades": 5,
        "aggTrades": 20,
        "klines": 5,
        "bookTicker": 5,
        "price": 2,
        "ticker24hr": 40,
        "premiumIndex": 10,
        "order.place": 0,
        "openOrders.status": 1,
        "allOrders": 5,
        "myTrades": 5,
        "account.status": 5,
        "account.balance": 5,
        "account.position": 5,
        "income": 30,
        "countdown": 10,
        "commission": 20,
    },
}
OPEN_ORDERS_WEIGHTS: Final = {"spot": 80, "perp": 40}
