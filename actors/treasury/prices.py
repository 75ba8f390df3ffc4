"""What a model costs, in whole nano-USD a token so that a day's sum is exact."""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal

import msgspec

NUSD = 1_000_000_000  # nano-USD in one USD
_TOKENS = 1_000_000  # prices are published per million


class Price(msgspec.Struct, frozen=True):
    """nano-USD a token, each way."""

    nusd_in: int
    nusd_out: int

    @classmethod
    def per_mtok(cls, usd_in: float | str, usd_out: float | str) -> Price:
        """From USD per million tokens, rounded up: never under-counted."""
        return cls(*(math.ceil(Decimal(str(usd)) * NUSD / _TOKENS) for usd in (usd_in, usd_out)))

    def nusd(self, tokens_in: int, tokens_out: int) -> int:
        return tokens_in * self.nusd_in + tokens_out * self.nusd_out

    @property
    def nusd_max(self) -> int:
        """For a token of unknown direction."""
        return max(self.nusd_in, self.nusd_out)


class PriceList(msgspec.Struct, frozen=True):
    """Prices by model; an unlisted one is charged like the dearest listed: never under-counted."""

    prices: Mapping[str, Price]

    def of(self, model: str) -> Price:
        listed = self.prices.get(model)
        if listed is not None:
            return listed
        rows = self.prices.values()
        return Price(max((row.nusd_in for row in rows), default=0), max((row.nusd_out for row in rows), default=0))
