"""Names, paths and weights of both Binance markets, and the caches that turn decimal text into ticks and lots.

Source: binance-spot-api-docs `rest-api.md`, `web-socket-api.md`, `filters.md` (2026-07-21) and the USD-M pages of
developers.binance.com; the differences between the two markets live here so that other files read alike for both.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal, InvalidOperation
from typing import Final

import msgspec

from actors.vocab.errors import ConfigError, VenueFault
from actors.vocab.instruments import Instrument, Market
from actors.vocab.units import NS_PER_MS

PERP: Final = "binance_perp"
SPOT: Final = "binance_spot"
VENUES: Final = (PERP, SPOT)

# What decoding somebody else's bytes raises: msgspec tells text that is no UTF-8 by an error of its own kind.
UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError)

# fix-api.md and the USD-M "New Order" page, read 2026-07.
CLIENT_ID: Final = {
    "perp": re.compile(r"[\.A-Z\:/a-z0-9_-]{1,36}"),
    "spot": re.compile(r"[a-zA-Z0-9-_]{1,36}"),
}

# Distinct price and size texts that a dialect keeps for all its symbols together, about 150 bytes each. A liquid book
# shows 30 000 in five minutes; a cache that is full starts again empty, which costs one exact division per text. With
# fifty symbols each cache has 4 000 and three look-ups of four still hit, on the busiest recordings.
TEXTS_ALL: Final = 400_000
TEXTS_MIN: Final = 1_000

KLINE_INTERVALS_MS: Final = {
    "1s": 1_000,
    "1m": 60_000,
    "3m": 180_000,
    "5m": 300_000,
    "15m": 900_000,
    "30m": 1_800_000,
    "1h": 3_600_000,
    "2h": 7_200_000,
    "4h": 14_400_000,
    "6h": 21_600_000,
    "8h": 28_800_000,
    "12h": 43_200_000,
    "1d": 86_400_000,
    "3d": 259_200_000,
    "1w": 604_800_000,
}


class Paths(msgspec.Struct, frozen=True):
    """REST paths of one market, client and server role alike."""

    ping: str
    time: str
    exchange_info: str
    depth: str
    klines: str
    trades: str
    agg_trades: str
    order: str
    open_orders: str
    cancel_all: str
    all_orders: str
    own_trades: str
    account: str


PATHS: Final = {
    "perp": Paths(
        ping="/fapi/v1/ping",
        time="/fapi/v1/time",
        exchange_info="/fapi/v1/exchangeInfo",
        depth="/fapi/v1/depth",
        klines="/fapi/v1/klines",
        trades="/fapi/v1/trades",
        agg_trades="/fapi/v1/aggTrades",
        order="/fapi/v1/order",
        open_orders="/fapi/v1/openOrders",
        cancel_all="/fapi/v1/allOpenOrders",
        all_orders="/fapi/v1/allOrders",
        own_trades="/fapi/v1/userTrades",
        account="/fapi/v3/account",
    ),
    "spot": Paths(
        ping="/api/v3/ping",
        time="/api/v3/time",
        exchange_info="/api/v3/exchangeInfo",
        depth="/api/v3/depth",
        klines="/api/v3/klines",
        trades="/api/v3/trades",
        agg_trades="/api/v3/aggTrades",
        order="/api/v3/order",
        open_orders="/api/v3/openOrders",
        cancel_all="/api/v3/openOrders",
        all_orders="/api/v3/allOrders",
        own_trades="/api/v3/myTrades",
        account="/api/v3/account",
    ),
}

LISTEN_KEY_PATH: Final = "/fapi/v1/listenKey"
BALANCE_PATH: Final = "/fapi/v3/balance"
POSITIONS_PATH: Final = "/fapi/v3/positionRisk"
COUNTDOWN_PATH: Final = "/fapi/v1/countdownCancelAll"
INCOME_PATH: Final = "/fapi/v1/income"
AMENDMENTS_PATH: Final = {"perp": "/fapi/v1/orderAmendment", "spot": "/api/v3/order/amendments"}
CANCEL_REPLACE_PATH: Final = "/api/v3/order/cancelReplace"

# limit -> weight, smallest limit that suffices first (rest-api.md "Order book"; USD-M "Order Book").
DEPTH_WEIGHTS: Final = {
    "spot": ((100, 5), (500, 25), (1000, 50), (5000, 250)),
    "perp": ((5, 2), (10, 2), (20, 2), (50, 2), (100, 5), (500, 10), (1000, 20)),
}


def market_of(venue: str) -> Market:
    """`ConfigError` for a venue that this dialect does not speak."""
    if venue == PERP:
        return "perp"
    if venue == SPOT:
        return "spot"
    raise ConfigError(f"venue {venue!r} is not one of {', '.join(VENUES)}")


def depth_limit(market: Market, levels: int) -> tuple[int, int]:
    """The limit to ask for, and its weight. USD-M knows only the listed limits, spot any number."""
    for limit, weight in DEPTH_WEIGHTS[market]:
        if levels <= limit:
            return (levels if market == "spot" else limit), weight
    return DEPTH_WEIGHTS[market][-1]


def interval_ms(interval: str) -> int:
    """`ConfigError` for an interval that the venue does not have (months have no fixed length)."""
    try:
        return KLINE_INTERVALS_MS[interval]
    except KeyError:
        known = ", ".join(KLINE_INTERVALS_MS)
        raise ConfigError(f"kline interval {interval!r} is unknown; use one of {known}") from None


class TextRoom:
    """How many texts each cache of a dialect may hold."""

    __slots__ = ("texts_max",)

    def __init__(self, symbols_count: int = 1) -> None:
        self.share(symbols_count)

    def share(self, symbols_count: int) -> None:
        """Divide the room: two caches a symbol, prices and sizes."""
        self.texts_max = max(TEXTS_MIN, TEXTS_ALL // (2 * max(1, symbols_count)))


class StepCache(dict[str, int]):
    """Decimal text -> whole steps, exact. A text seen before costs one dict look-up, the hot path's usual case.

    Bounded by its `room`. A text that is off the grid, negative or no number raises `VenueFault` each time.
    """

    __slots__ = ("_room", "_step", "_what")

    def __init__(self, step: Decimal, what: str, room: TextRoom) -> None:
        super().__init__()
        self._step = step
        self._what = what
        self._room = room

    def __missing__(self, text: str) -> int:
        try:
            quotient = Decimal(text) / self._step
            whole = int(quotient)
        except (InvalidOperation, ValueError, OverflowError):
            raise VenueFault(f"{self._what}: {text!r} is not a decimal number") from None
        if quotient < 0:
            raise VenueFault(f"{self._what}: {text} is negative")
        count = whole if whole == quotient else self._between(text, whole)
        if len(self) >= self._room.texts_max:
            self.clear()
        self[text] = count
        return count

    def _between(self, text: str, whole: int) -> int:
        raise VenueFault(f"{self._what}: {text} is not a whole number of steps of {self._step}")


class PublicSizes(StepCache):
    """Sizes of public levels and trades, in whole lots rounded down, but at least one where there is anything.

    Orders placed before a venue coarsened its lot still rest with their old digits (BTCUSDT on spot shows some at any
    time), so parts of a lot are no fault; and a level of less than one lot is there: zero would say that it is gone.
    """

    __slots__ = ()

    def _between(self, text: str, whole: int) -> int:
        return max(1, whole)


class Book(msgspec.Struct, frozen=True):
    """One instrument as the hot path needs it."""

    symbol: str
    instrument: Instrument
    ticks: StepCache
    lots: StepCache  # of orders, fills and positions: exact
    public_lots: PublicSizes
    inv_tick: float
    inv_lot: float

    def nearest_ticks(self, text: str) -> int:
        """For prices that may lie off today's grid: averages, liquidations, old candles."""
        return int((_decimal(text) / self.instrument.tick).to_integral_value())

    def whole_lots(self, text: str) -> int:
        """For volumes and positions that may hold parts of today's lot; rounds toward zero."""
        return int(_decimal(text) / self.instrument.lot)


def _decimal(text: str) -> Decimal:
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite():
        raise VenueFault(f"{text!r} is not a decimal number")
    return value


class SymbolMap:
    """Instruments by the venue's name and by ours."""

    def __init__(self, venue: str, instruments: Iterable[Instrument] = ()) -> None:
        self.venue = venue
        # venue_symbol -> Book and symbol -> Instrument; both hold the same instruments. Changed by `use` alone.
        self.books: dict[str, Book] = {}
        self.by_symbol: dict[str, Instrument] = {}
        self._room = TextRoom()
        self.use(instruments)

    def use(self, instruments: Iterable[Instrument]) -> None:
        """Replace what was known of these symbols; others stay."""
        for row in instruments:
            if row.venue != self.venue:
                continue
            where = f"{row.venue} {row.symbol}"
            self.by_symbol[row.symbol] = row
            self.books[row.venue_symbol] = Book(
                symbol=row.symbol,
                instrument=row,
                ticks=StepCache(row.tick, f"{where} price", self._room),
                lots=StepCache(row.lot, f"{where} size", self._room),
                public_lots=PublicSizes(row.lot, f"{where} size", self._room),
                inv_tick=1 / row.tick_float,
                inv_lot=1 / float(row.lot_size),
            )
        self._room.share(len(self.books))

    def instrument(self, symbol: str) -> Instrument:
        try:
            return self.by_symbol[symbol]
        except KeyError:
            raise ConfigError(f"{self.venue} has no instrument {symbol!r}; was `use` called with it?") from None

    def book(self, venue_symbol: str) -> Book:
        """`VenueFault` where the venue speaks of a symbol that we never asked about."""
        try:
            return self.books[venue_symbol]
        except KeyError:
            raise VenueFault(f"{self.venue} speaks of {venue_symbol!r}, which is none of our instruments") from None


def ns(ms: int) -> int:
    return ms * NS_PER_MS


def plain(value: Decimal) -> str:
    """Decimal text without exponent and without needless zeros."""
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") or "0" if "." in text else text
