"""Settings of gateways: pacing, collar, time-outs."""

from __future__ import annotations

from pydantic import Field

from actors.vocab.config.base import Settings


class GatewaySettings(Settings):
    client_prefix: str = Field("mnt", pattern=r"^[a-z0-9]{1,8}$", description="only orders with it are ours")
    ack_timeout_ms: int = Field(2_000, ge=50, description="no answer: outcome unknown, query by client id")
    holder_silence_ms: int = Field(1_500, ge=100, description="a silent quote actor's orders are cancelled")
    collar_bps: float = Field(500.0, gt=0, description="largest distance of an order from the reference price")
    order_usd_max: float = Field(5_000.0, gt=0)
    fills_per_side_max: int = Field(50, ge=1, description="fills of one symbol and side in the window; then halted")
    fills_window_s: float = Field(10.0, gt=0)
    marks_age_ms_max: int = Field(3_000, ge=100, description="no younger reference price: nothing new is placed")
    budget_share: float = Field(0.9, gt=0, le=1, description="share of the venue's order limits that may be used")
    cancel_reserve_share: float = Field(0.1, ge=0, lt=1, description="share kept back for cancels and kill")
    places_share: float = Field(
        0.35,
        ge=0,
        lt=1,
        description="share of the shortest order limit, and twice as many of the longer ones, kept for missing "
        "orders: changes of live ones wait",
    )
    change_wait_ms: int = Field(500, ge=1, description="a change that waits longer for the order limits is refused")
    intents_max: int = Field(2_000, ge=1, description="slots waiting in the pacer; full: the least valuable is refused")
    countdown_ms: int = Field(10_000, ge=0, description="venue dead man's switch where it has one; 0 = off")
    reconcile_interval_s: float = Field(30.0, gt=0, description="open orders and positions compared this often")
    id_block_size: int = Field(100_000, ge=100)
    recv_window_ms: int = Field(5_000, ge=1, le=60_000)
