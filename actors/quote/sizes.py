"""How many lots an order, the position cap and the venue's minimum are, at the price of now."""

from __future__ import annotations

import math
from collections.abc import Sequence

from actors.quote.ladder import level_lots, level_shares, lots_min_at
from actors.vocab.config import QuoteSettings
from actors.vocab.instruments import Instrument
from actors.vocab.units import BPS

# Worked out anew when the price has moved by this share: sizes that followed every tick would make every quote
# differ from its wish.
RESIZE_SHARE = 0.01


class Sizes:
    """Lots of one order, of the cap, and the fewest the venue takes; all 0 until a price is known."""

    __slots__ = ("_at_ticks", "_lots_max", "_settings", "cap_lots", "lots_min", "order_lots", "usd_per_tick_lot")

    def __init__(self, settings: QuoteSettings) -> None:
        self._settings = settings
        self._at_ticks = 0.0
        self.usd_per_tick_lot = 0.0
        self.order_lots = 0
        self.cap_lots = 0
        self.lots_min = 1
        self._lots_max = 0

    @property
    def ladder_lots(self) -> int:
        """One side's whole ladder, at its largest."""
        settings = self._settings
        if settings.levels_count == 1:
            return self.order_lots
        shares: tuple[float, ...]
        if settings.level_sizes == "model":
            shares = (1.0, *[settings.level_orders_max] * (settings.levels_count - 1))
        else:
            shares = level_shares(levels_count=settings.levels_count, ratio=settings.level_size_ratio)
        return sum(self.level_lots(self.order_lots, shares))

    def level_lots(self, first_lots: int, shares: Sequence[float]) -> list[int]:
        """Lots of each level, the first being `first_lots`."""
        return level_lots(first_lots=first_lots, shares=shares, lots_min=self.lots_min, lots_max=self._lots_max)

    def forget(self) -> None:
        """The instrument changed: the next price sizes anew, and what is asked of risk until then is no ladder."""
        self._at_ticks = 0.0
        self.order_lots = self.cap_lots = 0

    def follow(self, fair_ticks: float, row: Instrument) -> bool:
        """Work the sizes out if the price has moved far enough; True when they were."""
        if abs(fair_ticks - self._at_ticks) <= RESIZE_SHARE * fair_ticks:
            return False
        settings = self._settings
        self._at_ticks = fair_ticks
        self.usd_per_tick_lot = row.usd_per_tick_lot
        self._lots_max = row.lots_max
        lot_usd = fair_ticks * row.usd_per_tick_lot
        self.order_lots = min(math.floor(settings.order_usd / lot_usd + 1e-9), row.lots_max)
        self.cap_lots = math.floor(settings.position_usd_max / lot_usd + 1e-9)
        # Quotes stand off the fair price: a bid far below it needs more lots for the same notional.
        far = fair_ticks * (1 - (settings.skew_bps_max + settings.spread_bps_max) * BPS)
        self.lots_min = lots_min_at(
            price_ticks=max(far, fair_ticks / 2),
            lots_min=row.lots_min,
            min_notional_usd=float(row.min_notional),
            usd_per_tick_lot=row.usd_per_tick_lot,
        )
        return True
