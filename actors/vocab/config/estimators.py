"""Settings of the quote engine's estimators: which of its inputs are fixed and which are measured while it quotes.

Everything here is a key of the `quote` section. By default nothing is measured but volatility, so that a run depends on
its settings alone.
"""

from __future__ import annotations

import math
from decimal import Decimal, InvalidOperation
from typing import Literal

from pydantic import Field, model_validator

from actors.vocab.config.base import Settings


class MicropriceTable(Settings):
    """`ticks[s][b]`: micro-price less mid in ticks, for a spread of s + 1 ticks (the last row: or wider) and the b-th
    bucket of bid size / both sizes. Made by `pipelines.study microprice`."""

    tick_size: str
    ticks: tuple[tuple[float, ...], ...]

    @model_validator(mode="after")
    def _rectangle(self) -> MicropriceTable:
        try:
            fine = Decimal(self.tick_size) > 0
        except InvalidOperation:
            fine = False
        if not fine:
            raise ValueError(f"tick_size must be a positive decimal, found {self.tick_size!r}")
        widths = {len(row) for row in self.ticks}
        if len(widths) != 1 or 0 in widths:
            raise ValueError("ticks must hold rows of one length, one row a spread")
        return self


class EstimatorSettings(Settings):
    intensity: Literal["fixed", "live"] = Field(
        "fixed", description="A and k as set, or estimated per side from trades, beginning from candles or from those"
    )
    intensity_interval_ms: int = Field(
        1_000, ge=50, le=60_000, description="live: life of a quote; its deepest trade is counted, at most one a side"
    )
    intensity_half_life_s: float = Field(900.0, ge=1, le=86_400, description="live: how fast counts are forgotten")
    intensity_k_bps_min: float = Field(0.02, gt=0, le=100, description="live: k is kept above")
    intensity_k_bps_max: float = Field(20.0, gt=0, le=1_000, description="live: k is kept below")
    adverse: Literal["fixed", "live"] = Field(
        "fixed", description="adverse_bps as set, or measured from the markouts of our own fills, beginning from it"
    )
    adverse_horizon_s: Literal[1, 5, 30] = Field(5, description="live: the markout that is paid for")
    adverse_bps_max: float = Field(20.0, ge=0, le=100, description="all that widens for adverse flow together, a side")
    toxic_widening_bps: float = Field(
        0.0, ge=0, le=100, description="added to the adverse markout a side at fully one-sided flow, less in proportion"
    )
    thin_widening_bps: float = Field(0.0, ge=0, le=100, description="the same while liquidity is thin or broken")
    wild_widening_bps: float = Field(0.0, ge=0, le=100, description="the same while volatility is wild")
    flow_drift_bps_per_s: float = Field(
        0.0, ge=0, le=10, description="drift told to the model at an order-flow imbalance of 1, less in proportion"
    )
    fair_value: Literal["weighted", "table"] = Field(
        "weighted", description="mid and microprice by microprice_weight, or the fitted table of the symbol"
    )
    microprice_tables: dict[str, MicropriceTable] = Field(
        {}, description="symbol to its table; a symbol without one, or of another tick size, is weighted"
    )
    volatility_estimator: Literal["ewma", "two_scale"] = Field(
        "ewma", description="EWMA of squared returns, or that corrected for bid-ask bounce"
    )
    volatility_scale: int = Field(5, ge=2, le=100, description="two_scale: samples of the slow scale")
    volatility_seed: Literal["close", "parkinson", "garman_klass", "rogers_satchell", "yang_zhang"] = Field(
        "close", description="what of the candles at the start gives the first volatility"
    )

    @model_validator(mode="after")
    def _estimators_agree(self) -> EstimatorSettings:
        if self.intensity_k_bps_min > self.intensity_k_bps_max:
            raise ValueError("intensity_k_bps_min must not exceed intensity_k_bps_max")
        if self.fair_value == "table" and not self.microprice_tables:
            raise ValueError("fair_value table needs microprice_tables; pipelines.study microprice writes them")
        return self

    @property
    def adverse_is_moving(self) -> bool:
        """True when anything but the setting itself decides about the adverse markout."""
        widenings = (self.toxic_widening_bps, self.thin_widening_bps, self.wild_widening_bps)
        return self.adverse == "live" or math.fsum(widenings) > 0.0
