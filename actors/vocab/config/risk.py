"""Limits and lease timing. Limits are on by default."""

from __future__ import annotations

from pydantic import Field, model_validator

from actors.vocab.config.base import Settings


class RiskSettings(Settings):
    capital_usd: float = Field(100_000.0, gt=0)
    gross_usd_max: float = Field(100_000.0, gt=0, description="sum over symbols of the worst-case side")
    net_base_usd_max: float = Field(10_000.0, gt=0, description="worst case per base asset, over venues and markets")
    symbol_usd_max: float = Field(5_000.0, gt=0, description="worst case per symbol and venue account")
    venue_usd_max: float = Field(100_000.0, gt=0)
    day_loss_usd_max: float = Field(2_000.0, gt=0, description="mark-to-market with fees and funding; FULL_STOP")
    drawdown_pct_max: float = Field(5.0, gt=0, le=100, description="from the high-water mark, of capital; breaker")
    price_move_pct_max: float = Field(5.0, gt=0, le=100, description="over the window; breaker of that symbol")
    price_move_window_s: float = Field(60.0, gt=0)
    orders_per_min_max: int = Field(1_100, ge=1, description="per venue account, kept by its gateway in every minute")
    orders_open_max: int = Field(1_000, ge=1)
    rejects_per_min_max: int = Field(60, ge=1, description="reject storm; breaker of that venue")
    warning_share: float = Field(0.8, gt=0, lt=1, description="share of a limit that means WARNING")
    warning_size_factor: float = Field(0.5, gt=0, le=1, description="sizes are cut by this in WARNING")
    cool_down_s: float = Field(300.0, gt=0, description="CIRCUIT_BREAKER to WARNING")
    data_cool_down_s: float = Field(2.0, gt=0, description="the same after stale or crossed data: nothing was lost")
    openings_per_s: float = Field(100.0, gt=0, description="leases opened per second, so that re-entry is staggered")
    lease_ttl_ms: int = Field(2_000, ge=100)
    renew_interval_ms: int = Field(500, ge=20)
    clock_drift_pct: float = Field(1.0, ge=0, le=10, description="added to risk's own count of a ttl")
    stale_marks_ms: int = Field(5_000, ge=100, description="marks older than this: breaker of that symbol")

    @model_validator(mode="after")
    def _relations(self) -> RiskSettings:
        if self.lease_ttl_ms < 2 * self.renew_interval_ms:
            raise ValueError("lease_ttl_ms must be at least twice renew_interval_ms")
        return self
