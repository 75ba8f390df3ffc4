"""What one tradable thing is: its names, steps, filters and fees."""

from __future__ import annotations

from decimal import Decimal
from functools import cached_property
from typing import Literal

import msgspec

from actors.vocab.units import decimal_text, steps

Market = Literal["perp", "spot"]


class Instrument(msgspec.Struct, frozen=True, array_like=True, dict=True):
    """One instrument of one venue account. Steps are decimal text so that no float ever defines money.

    `symbol` is our name (BTCUSDT), `venue_symbol` the venue's. `venue` is dialect plus market ("binance_perp").
    A price is `ticks * tick_size` quote currency, a size `lots * lot_size` base currency times `multiplier`.
    """

    symbol: str
    venue: str
    market: Market
    venue_symbol: str
    base: str
    quote: str
    tick_size: str
    lot_size: str
    lots_min: int = 1
    lots_max: int = 1_000_000_000
    min_notional: str = "0"
    multiplier: int = 1
    maker_fee_bps: float = 0.0
    taker_fee_bps: float = 0.0
    orders_open_max: int = 200
    trading: bool = True
    version: int = 1

    @cached_property
    def tick(self) -> Decimal:
        return Decimal(self.tick_size)

    @cached_property
    def lot(self) -> Decimal:
        return Decimal(self.lot_size)

    @cached_property
    def steps(self) -> str:
        """What ticks and lots count: two that agree on it mean the same by a price and a size."""
        return f"{self.tick_size}/{self.lot_size}x{self.multiplier}"

    @cached_property
    def tick_float(self) -> float:
        return float(self.tick_size)

    @cached_property
    def lot_float(self) -> float:
        return float(self.lot_size) * self.multiplier

    @cached_property
    def usd_per_tick_lot(self) -> float:
        """Value in quote currency of one tick on one lot; notional = ticks * lots * this."""
        return self.tick_float * self.lot_float

    @cached_property
    def usd_per_tick_lot_exact(self) -> Decimal:
        """The same, exact, for ledgers."""
        return self.tick * self.lot * self.multiplier

    def price_text(self, ticks: int) -> str:
        return decimal_text(ticks, self.tick)

    def size_text(self, lots: int) -> str:
        return decimal_text(lots, self.lot)

    def ticks(self, price: str | float) -> int:
        """Exact ticks of a venue price; ValueError when off the grid."""
        return steps(price, self.tick)

    def lots(self, size: str | float) -> int:
        """Exact lots of a venue size; ValueError when off the grid."""
        return steps(size, self.lot)

    def notional_usd(self, ticks: float, lots: float) -> float:
        return ticks * lots * self.usd_per_tick_lot

    def lots_for_notional(self, price_ticks: int) -> int:
        """Fewest lots that satisfy both the minimum size and the minimum notional at this price."""
        need = Decimal(self.min_notional)
        each = price_ticks * self.usd_per_tick_lot_exact
        return max(self.lots_min, int(-(-need // each)) if each else self.lots_min)
