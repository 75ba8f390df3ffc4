"""Prompts are versioned templates with numbers filled in; no text from outside enters them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import msgspec

from actors.vocab.opinions import SignalInputs


class Prompt(msgspec.Struct, frozen=True):
    """One template; its hash goes into every opinion made with it."""

    name: str  # "signal.v1"
    text: str

    @property
    def hash(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()[:12]


class Purpose(msgspec.Struct, frozen=True):
    """How a purpose's questions are asked; rows of `purposes` in `conf/models.yaml`."""

    temperature: float
    tokens_fixed: int  # of the answer, whatever the number of items
    tokens_per_item: int

    def tokens_max(self, items_count: int) -> int:
        """The longest answer that is paid for."""
        return self.tokens_fixed + self.tokens_per_item * items_count


def signal_rows(items: Sequence[SignalInputs]) -> str:
    """One compact row a symbol; numbers only besides the symbol and the regime's word."""
    return "\n".join(
        f"{one.symbol},{one.mid_price:.8g},{one.depth_score:.2f},{one.volatility_bps:.1f},"
        f"{one.toxic_flow:.2f},{one.ms_since_trade},{one.liquidity_regime}"
        for one in items
    )


def read_rows(user: str) -> list[SignalInputs]:
    """Back from `signal_rows`, with its rounding; lines that are no such row are left out."""
    found: list[SignalInputs] = []
    for line in user.splitlines():
        cells = line.split(",")
        if len(cells) == 7:
            symbol, mid, depth, volatility, toxic, since_ms, regime = cells
            numbers = (float(mid), float(depth), float(volatility), float(toxic))
            found.append(SignalInputs(symbol, *numbers, int(since_ms), regime))
    return found


def chat_body(*, model: str, system: str, user: str, tokens_max: int, temperature: float) -> bytes:
    """A chat completion in the OpenAI form."""
    body: dict[str, Any] = {
        "model": model,
        "messages": [{"role": "system", "content": system}, {"role": "user", "content": user}],
        "max_tokens": tokens_max,
        "temperature": temperature,
        "response_format": {"type": "json_object"},
    }
    return json.dumps(body, separators=(",", ":")).encode()


def estimate_tokens(text: str) -> int:
    """About three characters a token for figures, which tokenisers split finely; settled by real usage later."""
    return len(text) // 3 + 8
