"""The simulated relay: OpenAI-compatible answers about whatever rows it is asked, with a real gateway's limits.

What it does: checks the key, the model's name, requests a minute and calls at once; answers after a seeded latency;
obeys the prompt's rules for most answers and by seed breaks them, truncates, or talks nonsense. What it leaves out:
language. It reads the rows of the prompt, not the prose.
"""

from __future__ import annotations

import json
from collections import deque
from random import Random
from typing import Any

import msgspec

from actors.vocab.units import NS_PER_S

MODELS = {
    "deepseek/v3-2": 128_000,
    "google/gemini-2.5-flash": 1_000_000,
    "openai/gpt-4.1": 1_000_000,
    "anthropic/claude-sonnet-4.5": 200_000,
}
REQUESTS_PER_MIN = 60
CALLS_AT_ONCE = 10


class RelayFaults(msgspec.Struct, frozen=True):
    """Shares of answers that go wrong, each in its own way; all zero is a well-behaved relay."""

    nonsense: float = 0.0
    rule_breaking: float = 0.0
    truncated: float = 0.0
    error_5xx: float = 0.0
    silent: float = 0.0  # accepted and never answered
    down: bool = False
    latency_s: float = 0.6  # median
    retry_after_s: float = 2.0


class RelayAnswer(msgspec.Struct, frozen=True):
    """What to send back and when; status 0 means never."""

    status: int
    body: bytes
    delay_s: float
    headers: tuple[tuple[str, str], ...] = ()


class SimRelay:
    """`handle(method, path, key, body) -> RelayAnswer`; the server around it waits and sends."""

    def __init__(self, *, key: str, chance: Random, faults: RelayFaults | None = None) -> None:
        self._key = key
        self._random = chance
        self.faults = faults or RelayFaults()
        self._starts_ns: deque[int] = deque()
        self._busy_until_ns: list[int] = []  # ends of calls under way
        self.requests_count = 0
        self.refused_429_count = 0

    def handle(self, *, method: str, path: str, authorization: str, body: bytes, now_ns: int) -> RelayAnswer:
        """Answer one HTTP call below `/v1`."""
        self.requests_count += 1
        if self.faults.down:
            return self._error(503, "service unavailable")
        if authorization != f"Bearer {self._key}":
            return self._error(401, "invalid api key")
        if method == "GET" and path == "/v1/models":
            rows = [{"id": name, "object": "model", "context_length": size} for name, size in MODELS.items()]
            return _answer(200, {"object": "list", "data": rows})
        if method == "GET" and path == "/v1/account/status":
            return _answer(200, {"email": "sim@example.invalid", "credits_remaining": 100.0, "plan_name": "sim"})
        if method == "POST" and path == "/v1/chat/completions":
            return self._chat(body, now_ns)
        return self._error(404, f"no such path {path}")

    def _chat(self, body: bytes, now_ns: int) -> RelayAnswer:
        if refusal := self._limited(now_ns):
            return refusal
        try:
            request = json.loads(body)
            model, messages = request["model"], request["messages"]
            system = "".join(one["content"] for one in messages if one["role"] == "system")
            user = "".join(one["content"] for one in messages if one["role"] != "system")
            tokens_max = int(request.get("max_tokens") or 4096)
        except (ValueError, KeyError, TypeError):
            return self._error(400, "malformed request")
        if model not in MODELS:
            return self._error(400, f"unknown model {model}")
        faults, draw = self.faults, self._random.random()
        delay_s = faults.latency_s * self._random.lognormvariate(0.0, 0.4)
        self._busy_until_ns.append(now_ns + int(delay_s * NS_PER_S))
        if draw < faults.silent:
            return RelayAnswer(0, b"", 0.0)
        if draw < faults.silent + faults.error_5xx:
            return self._error(502, "upstream failed", delay_s=delay_s)
        content = self._content(system, user)
        length = min(len(content), tokens_max * 4)  # max_tokens cuts the answer, as a real model's would be
        if self._random.random() < faults.truncated:
            length //= 2
        reason = "length" if length < len(content) else "stop"
        content = content[:length]
        answer = {
            "id": f"chatcmpl-{self.requests_count}",
            "object": "chat.completion",
            "created": now_ns // NS_PER_S,
            "model": model,
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": content},
                    "finish_reason": reason,
                }
            ],
            "usage": {
                "prompt_tokens": (len(system) + len(user)) // 4,
                "completion_tokens": len(content) // 4,
                "total_tokens": (len(system) + len(user)) // 4 + len(content) // 4,
            },
        }
        return _answer(200, answer, delay_s=delay_s)

    def _limited(self, now_ns: int) -> RelayAnswer | None:
        while self._starts_ns and self._starts_ns[0] <= now_ns - 60 * NS_PER_S:
            self._starts_ns.popleft()
        self._busy_until_ns = [end for end in self._busy_until_ns if end > now_ns]
        if len(self._starts_ns) >= REQUESTS_PER_MIN or len(self._busy_until_ns) >= CALLS_AT_ONCE:
            self.refused_429_count += 1
            return self._error(429, "rate limit", headers=(("Retry-After", f"{self.faults.retry_after_s:g}"),))
        self._starts_ns.append(now_ns)
        return None

    def _content(self, system: str, user: str) -> str:
        if self._random.random() < self.faults.nonsense:
            return self._random.choice(["I cannot help with that.", "{]", "null", '{"items": 7}', "[" * 500, ""])
        if "risk_score" in system:
            return json.dumps(self._risk_answer())
        rows = [line.split(",") for line in user.splitlines() if line.count(",") >= 6]
        return json.dumps({"items": [self._signal_answer(row) for row in rows]})

    def _signal_answer(self, row: list[str]) -> dict[str, Any]:
        chance = self._random
        symbol, depth, volatility, toxic = row[0], float(row[2]), float(row[3]), float(row[4])
        action = "hold" if toxic > 0.7 else chance.choice(["bid", "ask"])
        spread = chance.uniform(20, 40) * (1.5 if volatility > 100 else 1.0)
        factor = chance.uniform(0.7, 1.5) * (0.5 if depth < 0.3 else 1.0)
        if chance.random() < self.faults.rule_breaking:
            spread, factor, action = chance.uniform(-50, 900), chance.uniform(-3, 30), "all in"
        return {
            "symbol": symbol,
            "action": action,
            "spread_bps": round(max(spread, 150.0) if toxic > 0.7 else spread, 1),
            "quantity_factor": round(max(0.3, factor), 2),
            "confidence": round(chance.uniform(0.2, 0.9), 2),
            "reasoning": "flow and depth as given",
            "risk_adjustment": chance.choices(["neutral", "tighten", "widen"], weights=[8, 1, 1])[0],
        }

    def _risk_answer(self) -> dict[str, Any]:
        return {
            "risk_score": round(self._random.uniform(0.05, 0.4), 2),
            "max_position_usd": 1_000_000,
            "spread_adjustment_bps": 0,
            "toxic_flow_probability": round(self._random.uniform(0.05, 0.4), 2),
            "recommendations": ["keep sizes"],
            "circuit_breaker": False,
        }

    def _error(
        self, status: int, text: str, *, delay_s: float = 0.0, headers: tuple[tuple[str, str], ...] = ()
    ) -> RelayAnswer:
        return _answer(status, {"error": {"message": text, "type": "error", "code": status}}, delay_s, headers)


def _answer(
    status: int, data: dict[str, Any], delay_s: float = 0.0, headers: tuple[tuple[str, str], ...] = ()
) -> RelayAnswer:
    return RelayAnswer(status, json.dumps(data).encode(), delay_s, headers)
