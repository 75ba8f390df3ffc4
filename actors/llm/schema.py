"""What an answer must look like, and how much of a damaged one can be saved.

A completion answers many symbols: `{"items": [...]}`. Items are checked one by one, so a bad one costs itself only.
Bounds are those of the relay's interface; anything outside is invalid, not clamped: a model that leaves its bounds
has not understood the question.
"""

from __future__ import annotations

import json
import re
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

# Longer content is refused unread: an honest answer of 200 items is a tenth of it.
CONTENT_BYTES_MAX = 400_000
_FENCE = re.compile(r"^\s*```(?:json)?\s*(.*?)\s*```\s*$", re.DOTALL)


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class SignalAnswer(_Answer):
    """One symbol's signal."""

    symbol: str = Field(max_length=40)
    action: Literal["bid", "ask", "hold"]
    spread_bps: float = Field(ge=20, le=200)
    quantity_factor: float = Field(ge=0.3, le=2.5)
    confidence: float = Field(ge=0, le=1)
    reasoning: str = Field("", max_length=500)
    risk_adjustment: Literal["tighten", "widen", "neutral"] = "neutral"


class RiskAnswer(_Answer):
    """The whole book's verdict."""

    risk_score: float = Field(ge=0, le=1)
    max_position_usd: float = Field(ge=0)
    spread_adjustment_bps: float = Field(ge=-50, le=100)
    toxic_flow_probability: float = Field(ge=0, le=1)
    recommendations: list[str] = Field(default_factory=list, max_length=20)
    circuit_breaker: bool


def parse_signals(content: str, symbols: set[str]) -> tuple[dict[str, SignalAnswer], int]:
    """Return the valid answers about `symbols`, and how many items were dropped (invalid, unasked or repeated)."""
    data = _json(content)
    items = data.get("items") if isinstance(data, dict) else data
    if not isinstance(items, list):
        return {}, 1
    good: dict[str, SignalAnswer] = {}
    dropped = 0
    for item in items:
        try:
            answer = SignalAnswer.model_validate(item)
        except ValidationError:
            dropped += 1
            continue
        if answer.symbol not in symbols or answer.symbol in good:
            dropped += 1
            continue
        good[answer.symbol] = answer
    return good, dropped


def parse_risk(content: str) -> RiskAnswer | None:
    """The verdict, or None when it is not one."""
    try:
        return RiskAnswer.model_validate(_json(content))
    except ValidationError:
        return None


def _json(content: str) -> Any:
    """The JSON in `content`, a code fence around it forgiven; None when there is none."""
    if len(content) > CONTENT_BYTES_MAX:
        return None
    fenced = _FENCE.match(content)
    try:
        return json.loads(fenced.group(1) if fenced else content)
    except (ValueError, RecursionError):
        return None
