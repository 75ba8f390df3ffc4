"""What an answer must look like, and how much of a damaged one can be saved.

A completion answers many symbols: `{"items": [...]}`. Items are checked one by one, so a bad one costs itself only.
Bounds are those of the relay's interface; anything outside is invalid, not clamped: a model that leaves its bounds
has not understood the question.
"""

from __future__ import annotations

import json
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from actors.llm.completion import loads
from actors.vocab.spending import Fault

# Longer content is refused unread: an honest answer of 200 items, the most of a batch, is half of it.
CONTENT_CHARS_MAX = 200_000
# Objects that a repair takes; a batch has at most 200 items.
OBJECTS_MAX = 250
# Broken objects that a repair passes over. Each may cost a walk to the content's end; many would stop the loop.
BROKEN_MAX = 10
FENCE = "```"
REASONING_CHARS_MAX = 500
_decoder = json.JSONDecoder()


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class SignalAnswer(_Answer):
    """One symbol's signal."""

    symbol: str = Field(max_length=40)
    action: Literal["bid", "ask", "hold"]
    spread_bps: float = Field(ge=20, le=200)
    quantity_factor: float = Field(ge=0.3, le=2.5)
    confidence: float = Field(ge=0, le=1)
    reasoning: str = Field("", max_length=REASONING_CHARS_MAX)
    risk_adjustment: Literal["tighten", "widen", "neutral"] = "neutral"


class RiskAnswer(_Answer):
    """The whole book's verdict."""

    risk_score: float = Field(ge=0, le=1)
    max_position_usd: float = Field(ge=0)
    spread_adjustment_bps: float = Field(ge=-50, le=100)
    toxic_flow_probability: float = Field(ge=0, le=1)
    recommendations: list[str] = Field(default_factory=list, max_length=20)
    circuit_breaker: bool


def parse_signals(content: str, symbols: set[str]) -> tuple[dict[str, SignalAnswer], Fault | None]:
    """Return the valid answers about `symbols`, and what was wrong with the others (invalid, unasked, repeated)."""
    data, fault = _json(content)
    items = data.get("items") if isinstance(data, dict) else data
    if data is None and (saved := _salvage(content)):
        items, fault = saved, Fault.CUT_OFF
    if not isinstance(items, list) or not items:
        return {}, fault or Fault.NOT_SCHEMA
    good: dict[str, SignalAnswer] = {}
    for item in items:
        try:
            answer = SignalAnswer.model_validate(item)
        except ValidationError:
            fault = fault or Fault.OUT_OF_BOUNDS
            continue
        if answer.symbol not in symbols or answer.symbol in good:
            fault = fault or Fault.OUT_OF_BOUNDS
            continue
        good[answer.symbol] = answer
    return good, fault or (Fault.INCOMPLETE if len(good) < len(symbols) else None)


def parse_risk(content: str) -> tuple[RiskAnswer | None, Fault | None]:
    """The verdict, or None and what is wrong with it."""
    data, fault = _json(content)
    if not isinstance(data, dict):
        return None, fault or Fault.NOT_SCHEMA
    try:
        return RiskAnswer.model_validate(data), None
    except ValidationError:
        return None, Fault.OUT_OF_BOUNDS


def _json(content: str) -> tuple[Any, Fault | None]:
    """The JSON in `content`, a code fence around it forgiven; None, and why, when there is none."""
    if len(content) > CONTENT_CHARS_MAX:
        return None, Fault.TOO_LONG
    return loads(_unfenced(content))


def _unfenced(content: str) -> str:
    """Without a code fence around all of it. No regular expression: blanks after a lone fence made one cubic."""
    text = content.strip()
    if len(text) >= 2 * len(FENCE) and text.startswith(FENCE) and text.endswith(FENCE):
        text = text[len(FENCE) : -len(FENCE)].removeprefix("json").strip()
    return text


def _salvage(content: str) -> list[Any]:
    """The one repair that is tried on broken JSON: whole objects of the list, as of an answer that was cut off."""
    if len(content) > CONTENT_CHARS_MAX:
        return []
    found: list[Any] = []
    broken_count = 0
    at = content.find("{", content.find("[") + 1)
    while at >= 0 and len(found) < OBJECTS_MAX and broken_count < BROKEN_MAX:
        try:
            item, end = _decoder.raw_decode(content, at)
            found.append(item)
        except (ValueError, RecursionError):
            broken_count += 1
            end = at + 1
        at = content.find("{", end)
    return found
