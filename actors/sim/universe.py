"""The symbols that a simulated venue lists: typed rows of `conf/universe/*.yaml`, and the instruments made of them.

Pure: the file is read by `pipelines/universe.py`, and rows travel as values from there on.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated

import msgspec
from msgspec import Meta

from actors.vocab.errors import ConfigError
from actors.vocab.instruments import Instrument, Market

_Positive = Annotated[float, Meta(gt=0)]
_Step = Annotated[str, Meta(pattern=r"^\d+(\.\d+)?$")]
# Orders that one symbol of an account may rest: MAX_NUM_ORDERS of the venue's exchangeInfo, 2025.
_ORDERS_OPEN_MAX = 200


class Listing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One symbol on one market. Steps are decimal text; `price` in quote currency starts a simulated path."""

    symbol: str
    base: str
    price: _Positive
    tick_size: _Step
    lot_size: _Step
    min_notional: _Step


class UniverseRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One coin; `symbol` is its name on the perpetual market.

    `volatility` is an annualised fraction, `depth_usd` rests within 10 bps of mid, both sides together.
    """

    symbol: str
    volatility: _Positive
    depth_usd: _Positive
    perp: Listing
    spot: Listing

    def listing(self, market: Market) -> Listing:
        return self.perp if market == "perp" else self.spot


class Universe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A dated list of symbols, most traded first. `as_of` is an ISO date."""

    as_of: str
    quote: str
    symbols: tuple[UniverseRow, ...]

    def names(self, market: Market) -> tuple[str, ...]:
        return tuple(row.listing(market).symbol for row in self.symbols)

    def choose(self, symbols: Sequence[str], market: Market) -> tuple[UniverseRow, ...]:
        """Rows of the wanted symbols in their order; `ConfigError` names the first one that is not listed.

        A symbol may be written as either market's name: 1000PEPEUSDT also finds spot's PEPEUSDT.
        """
        by_symbol = {row.spot.symbol: row for row in self.symbols} | {row.perp.symbol: row for row in self.symbols}
        for symbol in symbols:
            if symbol not in by_symbol:
                raise ConfigError(
                    f"unknown symbol {symbol}: not listed by the simulated {market} venue; "
                    f"choose from {', '.join(self.names(market)[:5])}, … or add it to conf/universe"
                )
        return tuple(dict.fromkeys(by_symbol[symbol] for symbol in symbols))


def instruments(
    rows: Sequence[UniverseRow], *, venue: str, market: Market, quote: str, maker_fee_bps: float, taker_fee_bps: float
) -> tuple[Instrument, ...]:
    """What the venue lists, in the order of `rows`."""
    return tuple(
        Instrument(
            symbol=listing.symbol,
            venue=venue,
            market=market,
            venue_symbol=listing.symbol,
            base=listing.base,
            quote=quote,
            tick_size=listing.tick_size,
            lot_size=listing.lot_size,
            lots_max=_lots_max(listing),
            min_notional=listing.min_notional,
            maker_fee_bps=maker_fee_bps,
            taker_fee_bps=taker_fee_bps,
            orders_open_max=_ORDERS_OPEN_MAX,
        )
        for listing in (row.listing(market) for row in rows)
    )


def prices(rows: Sequence[UniverseRow], market: Market) -> dict[str, float]:
    """Reference price by symbol, in quote currency."""
    return {listing.symbol: listing.price for listing in (row.listing(market) for row in rows)}


def _lots_max(listing: Listing) -> int:
    """Largest order: about 50 million quote currency, as the venue's LOT_SIZE.maxQty is in practice."""
    return max(1, int(Decimal(50_000_000) / (Decimal(str(listing.price)) * Decimal(listing.lot_size))))
