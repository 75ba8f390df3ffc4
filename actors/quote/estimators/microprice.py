"""The micro-price live: mid plus what a fitted table says for this imbalance and spread.

Source: Stoikov 2018; `microprice_fit.py` makes the table from a recording. It is looked up here, never fitted.
Warm-up and staleness: none, only the present top counts. Neutral: the mid, for a top without sizes, a spread that is
none, or a cell that the recording never showed.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from actors.vocab.config import QuoteSettings
from actors.vocab.instruments import Instrument
from actors.vocab.units import BPS

# No top of a book says more than this of the price: a table that does was fitted to an accident.
SHIFT_BPS_MAX = 5.0


class FairTable:
    """`ticks[s][b]` is the micro-price less the mid, in ticks: row s for a spread of s + 1 ticks, the last row for all
    wider ones; column b for bid size / both sizes in [b/n, (b+1)/n)."""

    __slots__ = ("_columns", "_rows", "_ticks")

    def __init__(self, ticks: Sequence[Sequence[float]]) -> None:
        self._ticks = tuple(tuple(row) for row in ticks)
        self._rows = len(self._ticks)
        self._columns = len(self._ticks[0])

    def fair_ticks(self, bid_ticks: float, bid_lots: float, ask_ticks: float, ask_lots: float) -> float:
        """Within half the spread of the mid or `SHIFT_BPS_MAX`, whatever the table says.

        Where a tick is small against a move, the micro-price lies ticks outside the spread, and held inside it would
        lose nearly all it knows; the ladder keeps quotes from crossing by itself.
        """
        mid = (bid_ticks + ask_ticks) / 2
        total = bid_lots + ask_lots
        spread = ask_ticks - bid_ticks
        if total <= 0 or spread <= 0:
            return mid
        columns = self._columns
        row = self._ticks[min(int(spread + 0.5), self._rows) - 1]
        shift = row[min(int(bid_lots / total * columns), columns - 1)]
        bound = max(spread / 2, mid * SHIFT_BPS_MAX * BPS)
        return mid + max(-bound, min(bound, shift))


def fair_table(settings: QuoteSettings, row: Instrument) -> FairTable | None:
    """The table that the settings hold for this instrument; None where fair prices are weighted: as set, for a symbol
    without a table, and for a table of another tick size, whose rows would mean other spreads."""
    if settings.fair_value != "table":
        return None
    found = settings.microprice_tables.get(row.symbol)
    if found is None or Decimal(found.tick_size) != row.tick:
        return None
    return FairTable(found.ticks)
