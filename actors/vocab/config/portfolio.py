"""Of `quote.model=portfolio` alone: how risk estimates what moves together, and how long its numbers are believed."""

from __future__ import annotations

from pydantic import Field, model_validator

from actors.vocab.config.base import Settings


class PortfolioSettings(Settings):
    sample_ms: int = Field(
        2_000, ge=1_000, le=60_000, description="spacing of the samples of all mids; nearer ones hide correlation"
    )
    samples_count: int = Field(300, ge=10, le=5_000, description="window of the covariance")
    samples_min: int = Field(30, ge=5, description="a symbol seen less often, or in less than half of it, waits")
    recompute_interval_s: float = Field(10.0, ge=1, le=3_600, description="how often covariance and skews are renewed")
    publish_bps_min: float = Field(0.02, ge=0, le=10, description="a skew that moved less waits for the interval")
    publish_interval_ms: int = Field(1_000, ge=100, description="each symbol's numbers are sent at least this often")
    view_age_ms_max: int = Field(3_000, ge=100, description="older numbers: the symbol quotes by itself, as glft")
    covariance_age_s_max: float = Field(120.0, ge=1, description="older ones: risk sends no numbers any more")

    @model_validator(mode="after")
    def _relations(self) -> PortfolioSettings:
        if self.samples_min > self.samples_count:
            raise ValueError("samples_min must not exceed samples_count")
        if self.view_age_ms_max < 2 * self.publish_interval_ms:
            raise ValueError("view_age_ms_max must be at least twice publish_interval_ms")
        if self.covariance_age_s_max < 2 * self.recompute_interval_s:
            raise ValueError("covariance_age_s_max must be at least twice recompute_interval_s")
        return self
