"""What a run and each of its symbols looked like: rows of moments, thinned as the run grows.

Rows come about once a second. A day of fifty symbols would be millions, so a series keeps at most ROWS_MAX: when it
is full, every second moment is forgotten and only every second one is taken from then on. Charts and half-lives stay
right for their interval; nothing that must add up is computed from here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Generic, TypeVar

import msgspec

from actors.console.performance import half_life, max_drawdown

ROWS_MAX = 200_000

Row = TypeVar("Row")


class SymbolSample(msgspec.Struct, frozen=True, gc=False):
    """One symbol at one moment."""

    at_s: float  # since all symbols quote
    symbol: str
    fair: float  # our fair price, quote currency
    position_usd: float
    net_usd: float
    spread_bps: float  # between our quotes; 0 while a side is missing
    market_spread_bps: float  # between the book's best prices; 0 while a side is empty


class SymbolStats(msgspec.Struct, frozen=True):
    """One symbol over the run. Means are over the moments that had a value; None where none had."""

    spread_bps_mean: float | None
    market_spread_bps_mean: float | None
    position_usd_max: float  # of its size
    half_life_s: float | None  # of the position
    drawdown_usd: float


class Series(Generic[Row]):
    """Grows with `add`; `rows` are evenly spaced as long as the moments added are."""

    def __init__(self, rows_max: int = ROWS_MAX) -> None:
        self._rows_max = rows_max
        self._moments: list[tuple[Row, ...]] = []
        self._rows_count = 0
        self._stride = 1  # every how many-th moment is kept
        self._seen = 0

    def add(self, moment: Iterable[Row]) -> None:
        """All rows of one moment, later than the last."""
        self._seen += 1
        if (self._seen - 1) % self._stride:
            return
        rows = tuple(moment)
        self._moments.append(rows)
        self._rows_count += len(rows)
        if self._rows_count > self._rows_max and len(self._moments) > 2:
            self._moments = self._moments[::2]
            self._stride *= 2
            self._rows_count = sum(map(len, self._moments))

    @property
    def rows(self) -> list[Row]:
        return [row for moment in self._moments for row in moment]


def by_symbol(rows: Iterable[SymbolSample]) -> dict[str, list[SymbolSample]]:
    """symbol -> its rows in order of time."""
    found: dict[str, list[SymbolSample]] = {}
    for row in rows:
        found.setdefault(row.symbol, []).append(row)
    return found


def stats(rows: Sequence[SymbolSample]) -> SymbolStats:
    """Figures of one symbol's rows."""
    return SymbolStats(
        spread_bps_mean=_mean([row.spread_bps for row in rows]),
        market_spread_bps_mean=_mean([row.market_spread_bps for row in rows]),
        position_usd_max=max((abs(row.position_usd) for row in rows), default=0.0),
        half_life_s=half_life([row.position_usd for row in rows], interval_s=interval_s([row.at_s for row in rows])),
        drawdown_usd=max_drawdown([row.net_usd for row in rows]),
    )


def all_stats(rows: Iterable[SymbolSample]) -> Mapping[str, SymbolStats]:
    return {symbol: stats(own) for symbol, own in by_symbol(rows).items()}


def interval_s(times_s: Sequence[float]) -> float:
    """Mean spacing of moments; 1 where there are not two."""
    return (times_s[-1] - times_s[0]) / (len(times_s) - 1) if len(times_s) > 1 and times_s[-1] > times_s[0] else 1.0


def _mean(values: Sequence[float]) -> float | None:
    present = [value for value in values if value > 0.0]
    return sum(present) / len(present) if present else None
