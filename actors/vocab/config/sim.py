"""Settings of the simulated venues and relay."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from actors.vocab.config.base import Settings


class SimSettings(Settings):
    frames_per_s: float = Field(1_500.0, gt=0, description="public frames the venue sends over all symbols")
    informed_share: float = Field(0.6, ge=0, le=1, description="takers that know where the price goes next")
    taker_rate_per_s: float = Field(1.0, ge=0, description="market orders per symbol and second")
    correlation: float = Field(0.6, ge=0, lt=1, description="of the price paths")
    order_latency_ms: float = Field(1.0, ge=0, description="receipt of an order to its place in the queue")
    maker_fee_bps: float = Field(2.0, ge=-5, le=100)
    taker_fee_bps: float = Field(5.0, ge=-5, le=100)
    balance_usd: float = Field(1_000_000.0, gt=0)
    spot_coins_usd: float = Field(
        2_500.0,
        ge=0,
        description="value of each coin that a spot account starts with; below quote.position_usd_max its asks end "
        "before its bids do",
    )
    funding_interval_s: float = Field(28_800.0, gt=0)
    faults: str = Field("none", description="a named mix of `sim/faults.py`")
    relay_faults: Literal["none", "rough", "drill"] = Field(
        "none", description="how the simulated relay fails; drill: in every way in turn, see `sim/relay_faults.py`"
    )
    relay_fault_s: float = Field(30.0, gt=0, le=3_600, description="drill: how long each way of failing lasts")
    queue_model: str = Field(
        "power1:2",
        pattern=r"^(risk_averse|log1|log2|power[123](:\d+(\.\d+)?)?)$",
        description="recorded books: share of cancels behind our orders, see `sim/queue_models.py`",
    )
    response_latency_ms: float = Field(1.0, ge=0, description="recorded books: the venue's answer back to us")
    order_latency_file: str = Field(
        "",
        description="recorded books: CSV of measured orders to interpolate between, see `venue_latency.py`",
    )
    feed_latency_ms: float = Field(
        0.0, ge=0, le=10_000, description="lock-step and backtest: the venue's book knows a frame so much before us"
    )
    feed_latency_recorded: bool = Field(
        False,
        description="vary it as the two stamps of each recorded frame do; feed_latency_ms is then the fastest frame's",
    )
    moment_us: float = Field(
        0.0,
        ge=0,
        le=1_000_000,
        description="lock-step replay: frames recorded within this time of the first are one step, as one read of a "
        "socket brings them; 0: a step for each recorded time",
    )
