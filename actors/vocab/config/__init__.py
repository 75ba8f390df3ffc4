"""Settings of the whole fleet; defaults live here and nowhere else, files in `conf/` override them."""

from __future__ import annotations

from pydantic import Field

from actors.vocab.config.base import Settings
from actors.vocab.config.feed import FeedSettings
from actors.vocab.config.gateway import GatewaySettings
from actors.vocab.config.llm import LlmSettings
from actors.vocab.config.portfolio import PortfolioSettings
from actors.vocab.config.quote import QuoteSettings
from actors.vocab.config.risk import RiskSettings
from actors.vocab.config.sim import SimSettings

__all__ = [
    "FeedSettings",
    "FeesSettings",
    "FleetSettings",
    "GatewaySettings",
    "LlmSettings",
    "PortfolioSettings",
    "QuoteSettings",
    "RiskSettings",
    "Settings",
    "SimSettings",
]


class FeesSettings(Settings):
    """What the account pays, where the venue does not tell."""

    maker_bps: float | None = Field(None, ge=-10, le=100, description="overrides the venue's maker fee")
    taker_bps: float | None = Field(None, ge=-10, le=100, description="overrides the venue's taker fee")


class FleetSettings(Settings):
    """One run's settings."""

    feed: FeedSettings = FeedSettings()
    quote: QuoteSettings = QuoteSettings()
    risk: RiskSettings = RiskSettings()
    portfolio: PortfolioSettings = PortfolioSettings()
    gateway: GatewaySettings = GatewaySettings()
    llm: LlmSettings = LlmSettings()
    sim: SimSettings = SimSettings()
    fees: FeesSettings = FeesSettings()
