"""Settings of quote engines."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from actors.vocab.config.base import Settings

ModelName = Literal["avellaneda_stoikov", "fixed"]


class QuoteSettings(Settings):
    model: ModelName = Field("avellaneda_stoikov", description="pricing model by name")
    gamma: float = Field(
        0.1, gt=0, le=1000, description="risk aversion, per unit of volatility and order (see pricing)"
    )
    horizon_s: float = Field(30.0, gt=0, le=86_400, description="T - t, held constant: a rolling horizon")
    intensity_k_bps: float = Field(0.7, gt=0, le=100, description="decay of fill intensity per bp of distance")
    order_usd: float = Field(250.0, gt=0, description="size of one order at the first level")
    levels_count: int = Field(1, ge=1, le=10)
    level_step_bps: float = Field(2.0, gt=0, le=500)
    spread_bps_min: float = Field(1.0, ge=0, le=1000, description="floor on the total spread besides the fee floor")
    spread_bps_max: float = Field(200.0, gt=0, le=2000)
    adverse_bps: float = Field(0.5, ge=0, le=100, description="expected adverse markout a side; part of the fee floor")
    skew_bps_max: float = Field(50.0, ge=0, le=500, description="largest shift of the centre by the position")
    microprice_weight: float = Field(1.0, ge=0, le=1, description="0 quotes around the mid, 1 around the microprice")
    volatility_half_life_s: float = Field(30.0, gt=0, le=3600)
    volatility_bps_min: float = Field(0.05, gt=0, description="floor of the volatility, bps per root second")
    warm_up_updates: int = Field(20, ge=1, description="book updates before the first quote")
    refresh_tolerance_bps: float = Field(0.6, ge=0, le=100, description="a quote this near to its wish is left alone")
    refresh_interval_ms: int = Field(1000, ge=1, description="least time between two changes of one slot")
    book_age_ms_max: int = Field(1500, ge=50, description="an older book is not quoted on")
    position_usd_max: float = Field(2_000.0, gt=0, description="the ladder's own cap a symbol; leases may be smaller")
    unanswered_max: int = Field(4, ge=1, description="commands out without an answer before a symbol waits")
    symbols_per_actor: int = Field(1, ge=1, le=1000)
    fixed_half_spread_bps: float = Field(0.5, gt=0, le=500, description="model `fixed`: half spread")
    fixed_skew_bps: float = Field(0.5, ge=0, le=500, description="model `fixed`: shift at the full position")

    @model_validator(mode="after")
    def _relations(self) -> QuoteSettings:
        if self.spread_bps_min > self.spread_bps_max:
            raise ValueError("spread_bps_min must not exceed spread_bps_max")
        if self.order_usd > self.position_usd_max:
            raise ValueError("order_usd must not exceed position_usd_max")
        return self
