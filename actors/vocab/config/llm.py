"""Settings of the model pool. Keys are never here: see `key_env` and `key_file`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from actors.vocab.config.base import Settings


class LlmSettings(Settings):
    enabled: bool = True
    opinions: Literal["on", "off", "shadow", "auto"] = Field(
        "auto",
        description="auto: a tenth is held out to measure by, a model that has not earned its cost is muted;"
        " shadow: asked and measured, never applied",
    )
    mute_confidence: float = Field(0.95, gt=0.5, lt=1, description="how sure a muting must be")
    stake_usd: float = Field(
        100.0, gt=0, description="fills of one side within 30 s that an opinion may spare; turnover of a symbol / 2"
    )
    opinions_days: int = Field(
        7, ge=1, le=3_650, description="calls and opinions older than this leave the journal at a start"
    )
    base_url: str = Field("", description="empty: the simulated relay")
    key_env: str = Field("HOLYSHEEP_API_KEY", description="environment variable that holds the key")
    key_file: str = Field("", description="or a file only its owner can read (0600)")
    pool_size: int = Field(2, ge=1, le=64)
    signal_model: str = "deepseek/v3-2"
    signal_fallbacks: tuple[str, ...] = Field(("google/gemini-2.5-flash",), description="asked in turn when it fails")
    risk_model: str = "anthropic/claude-sonnet-4.5"
    risk_fallbacks: tuple[str, ...] = Field(("openai/gpt-4.1",), description="asked in turn when it fails")
    opinion_interval_s: float = Field(10.0, gt=0)
    opinion_ttl_s: float = Field(30.0, gt=0)
    batch_wait_ms: int = Field(100, ge=0)
    batch_items_max: int = Field(25, ge=1, le=200)
    batch_tokens_max: int = Field(4_000, ge=200, description="prompt and longest answer of one call")
    cache_s: float = Field(20.0, ge=0, description="unchanged inputs keep their answer so long; 0: never")
    requests_per_min: int = Field(60, ge=1)
    tokens_per_min: int = Field(200_000, ge=100)
    concurrent_max: int = Field(10, ge=1)
    deadline_s: float = Field(8.0, gt=0, le=50, description="answers later than this are of no use")
    usd_per_day_max: float = Field(5.0, gt=0)
    breaker_error_share: float = Field(0.2, gt=0, lt=1)
    breaker_window_s: float = Field(30.0, gt=0)
    breaker_open_s: float = Field(30.0, gt=0)
