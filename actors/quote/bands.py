"""Prices outside of which nothing of ours may stand, whatever the model says.

Two bands, the narrower holds: absolute prices an operator gives for a symbol, and so many bps around a slow mean of
the fair price. The second refuses to follow a market that runs away, or a book that is wrong, faster than the mean.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from actors.vocab.config import QuoteSettings
from actors.vocab.instruments import Instrument
from actors.vocab.units import BPS, NS_PER_S


class Band(NamedTuple):
    """Lowest and highest price, unrounded ticks."""

    low_ticks: float = 0.0
    high_ticks: float = math.inf


NO_BAND = Band()


class PriceBands:
    """Keeps the slow mean; `at` is asked once a decision."""

    __slots__ = ("_absolute", "_mean_ns", "_mean_ticks", "_share", "_theta_ns", "fixed", "settings")

    def __init__(self, settings: QuoteSettings) -> None:
        self.settings = settings
        self._share = settings.band_bps * BPS
        self._theta_ns = settings.band_half_life_s / math.log(2) * NS_PER_S
        self._mean_ticks = 0.0
        self._mean_ns = 0
        self._absolute = NO_BAND
        self.fixed = not self._share  # nothing moves: `use` has said all there is to say

    def use(self, row: Instrument) -> None:
        """The steps of the instrument are these from now on."""
        low, high = self.settings.price_bands.get(row.symbol, (0.0, math.inf))
        self._absolute = Band(low / row.tick_float, high / row.tick_float)
        self._mean_ticks = 0.0

    def at(self, fair_ticks: float, now_ns: int) -> Band:
        """The band of now. The first price seen is its own mean."""
        if self.fixed:
            return self._absolute
        if self._mean_ticks == 0.0:
            self._mean_ticks = fair_ticks
        else:
            # First order of 1 - exp(-dt/θ), never above 1: exact where it matters, between two updates.
            self._mean_ticks += min(1.0, (now_ns - self._mean_ns) / self._theta_ns) * (fair_ticks - self._mean_ticks)
        self._mean_ns = now_ns
        low, high = self._mean_ticks * (1 - self._share), self._mean_ticks * (1 + self._share)
        return Band(max(low, self._absolute.low_ticks), min(high, self._absolute.high_ticks))
