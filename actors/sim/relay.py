"""The simulated relay: OpenAI-compatible answers about whatever rows it is asked, with a real gateway's limits.

What it does: checks the key, the model's name, its limits (`relay_limits.py`); answers after a latency of the model's
own distribution; obeys the prompt's rules for most answers and, by seed, breaks them, talks nonsense, or misbehaves as
a server (`relay_faults.py`), and counts what it did. What it leaves out: language. It reads the rows of the prompt, not
the prose.
"""

from __future__ import annotations

import enum
import json
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

import msgspec

from actors.sim.relay_faults import EXCLUSIVE, RelayDrill, RelayFaults
from actors.sim.relay_limits import RelayGate, RelayLimits
from actors.vocab.units import NS_PER_S


class SimModel(msgspec.Struct, frozen=True):
    """One model: lognormal latency of `latency_s` (median) and `latency_sigma`, plus writing time by answer length."""

    context_length: int
    latency_s: float
    latency_sigma: float = 0.4
    chars_per_s: float = 4_000.0


MODELS = {
    "deepseek/v3-2": SimModel(128_000, 0.6),
    "google/gemini-2.5-flash": SimModel(1_000_000, 0.4),
    "openai/gpt-4.1": SimModel(1_000_000, 0.8),
    "anthropic/claude-sonnet-4.5": SimModel(200_000, 1.0),
}
ENORMOUS_BYTES = 5_000_000
NESTED_DEPTH = 50_000
RETRY_AFTER_S = 2.0

# (symbol, now_ns) -> how the price will move, in bps: what a planted model is allowed to know.
Oracle = Callable[[str, int], float]


class Manner(enum.Enum):
    """How an answer leaves the socket."""

    WHOLE = "whole"
    NEVER = "never"  # accepted and never answered
    TRICKLE = "trickle"  # a few bytes a second
    CUT = "cut"  # the connection closes in the middle of the body


class RelayAnswer(msgspec.Struct, frozen=True):
    """What to send back, when and how; `call_no` is for `SimRelay.ended`."""

    status: int
    body: bytes
    delay_s: float = 0.0
    headers: tuple[tuple[str, str], ...] = ()
    manner: Manner = Manner.WHOLE
    call_no: int = 0


class SimRelay:
    """`handle(...) -> RelayAnswer`; the server around it waits, sends, and says when the call has `ended`."""

    def __init__(
        self,
        *,
        key: str,
        chance: Random,
        faults: RelayFaults | None = None,
        limits: RelayLimits | None = None,
        oracles: dict[str, Oracle] | None = None,
        drill: RelayDrill | None = None,
    ) -> None:
        """`oracles`: by model, for models that are planted to know something; the others lean at random. `drill`
        decides the faults of each moment."""
        self._key = key
        self._random = chance
        self.faults = faults or RelayFaults()
        self._drill = drill
        self.stage = ""  # of the drill
        self.faults_counts: Counter[str] = Counter()  # fault -> calls that it met; `rule_breaking` counts items
        self._gate = RelayGate(limits or RelayLimits())
        self._oracles = oracles or {}
        self.credits_usd = 100.0
        self.requests_count = 0
        self.refused_429_count = 0
        self.refused_why: list[str] = []
        self.tokens_count = 0

    def handle(self, *, method: str, path: str, authorization: str, body: bytes, now_ns: int) -> RelayAnswer:
        """Answer one HTTP call below `/v1`."""
        self.requests_count += 1
        if self._drill is not None:
            stage = self._drill.at(now_ns)
            self.stage, self.faults = stage.name, stage.faults
        if self.faults.down:
            self.faults_counts["down"] += 1
            return _error(503, "service unavailable")
        if self.faults.key_revoked:
            self.faults_counts["key_revoked"] += 1
        if authorization != f"Bearer {self._key}" or self.faults.key_revoked:
            return _error(401, "invalid api key")
        if method == "GET" and path == "/v1/models":
            rows = [
                {"id": name, "object": "model", "context_length": model.context_length}
                for name, model in MODELS.items()
            ]
            return _answer(200, {"object": "list", "data": rows})
        if method == "GET" and path == "/v1/account/status":
            account = {"email": "sim@example.invalid", "credits_remaining": self.credits_usd, "plan_name": "sim"}
            return _answer(200, account)
        if method == "POST" and path == "/v1/chat/completions":
            return self._chat(body, now_ns)
        return _error(404, f"no such path {path}")

    def ended(self, call_no: int) -> None:
        """The answer is out, or its client has hung up."""
        self._gate.ended(call_no)

    def status(self) -> dict[str, Any]:
        """What it was asked and how it failed, as plain JSON."""
        return {
            "requests": self.requests_count,
            "tokens": self.tokens_count,
            "refused_429": self.refused_429_count,
            "stage": self.stage,
            "faults": dict(self.faults_counts),
        }

    def _chat(self, body: bytes, now_ns: int) -> RelayAnswer:
        try:
            request = json.loads(body)
            name, messages = request["model"], request["messages"]
            system = "".join(one["content"] for one in messages if one["role"] == "system")
            user = "".join(one["content"] for one in messages if one["role"] != "system")
            tokens_max = int(request.get("max_tokens") or 4096)
            rows = [line.split(",") for line in user.splitlines() if line.count(",") >= 6]
        except (ValueError, KeyError, TypeError):
            return _error(400, "malformed request")
        model = MODELS.get(name)
        if model is None:
            return _error(400, f"unknown model {name}")
        if full := self._gate.refuses(now_ns):
            self.refused_429_count += 1
            self.refused_why.append(full)
            return _limited(full)
        fault = self._draw()
        if fault:
            self.faults_counts[fault] += 1
        if fault == "limited":
            return _limited("drill")
        if self.faults.latency_times > 1.0:
            self.faults_counts["slow"] += 1
        call_no = self.requests_count
        self._gate.begun(call_no, now_ns)
        content = self._content(system, name, rows, now_ns, fault)
        cut = content[: min(len(content), tokens_max * 4)]  # max_tokens cuts the answer, as a real model's would be
        if fault == "truncated":
            cut = cut[: len(cut) // 2]
        tokens_in, tokens_out = (len(system) + len(user)) // 4, len(cut) // 4
        self.tokens_count += tokens_in + tokens_out
        self._gate.used(tokens_in + tokens_out, now_ns)
        latency_s = model.latency_s * self._random.lognormvariate(0.0, model.latency_sigma)
        delay_s = (latency_s + len(cut) / model.chars_per_s) * self.faults.latency_times
        times = {"lying_usage": 1_000_000}.get(fault, 1)
        answer = {
            "id": f"chatcmpl-{call_no}",
            "object": "chat.completion",
            "created": now_ns // NS_PER_S,
            "model": name,
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": cut},
                    "finish_reason": "length" if len(cut) < len(content) else "stop",
                }
            ],
            "usage": {
                "prompt_tokens": tokens_in * times,
                "completion_tokens": tokens_out * times,
                "total_tokens": (tokens_in + tokens_out) * times,
            },
        }
        return self._spoilt(fault, json.dumps(answer).encode(), delay_s, call_no)

    def _draw(self) -> str:
        """Which fault this completion has; empty for none."""
        draw = self._random.random()
        for name in EXCLUSIVE:
            draw -= getattr(self.faults, name)
            if draw < 0:
                return name
        return ""

    def _spoilt(self, fault: str, body: bytes, delay_s: float, call_no: int) -> RelayAnswer:
        manner = {"never": Manner.NEVER, "trickle": Manner.TRICKLE, "cut": Manner.CUT}.get(fault, Manner.WHOLE)
        match fault:
            case "error_5xx":
                status = self._random.choice([500, 502, 503])
                error = _error(status, "upstream failed")
                return RelayAnswer(status, error.body, delay_s, call_no=call_no)
            case "empty":
                body = b""
            case "enormous":
                body = b'{"choices": [{"message": {"content": "' + b"x" * ENORMOUS_BYTES
            case "not_utf8":
                body = body.replace(b"assistant", b"\xff\xfe\x80").replace(b"spread", b"\xc3\x28")
            case "nested":
                body = b'{"choices":' + b"[" * NESTED_DEPTH
        return RelayAnswer(200, body, delay_s, manner=manner, call_no=call_no)

    def _content(self, system: str, model: str, rows: list[list[str]], now_ns: int, fault: str) -> str:
        if fault == "nonsense":
            return self._random.choice(["I cannot help with that.", "{]", "null", '{"items": 7}', "[" * 500, ""])
        if "risk_score" in system:
            return json.dumps(self._risk_answer())
        return json.dumps({"items": [self._signal_answer(row, model, now_ns) for row in rows]})

    def _signal_answer(self, row: list[str], model: str, now_ns: int) -> dict[str, Any]:
        chance = self._random
        symbol, depth, volatility, toxic = row[0], float(row[2]), float(row[3]), float(row[4])
        oracle = self._oracles.get(model)
        lean = oracle(symbol, now_ns) if oracle is not None else chance.uniform(-1.0, 1.0)
        action = "hold" if toxic > 0.7 else "bid" if lean > 0 else "ask"
        spread = chance.uniform(20, 40) * (1.5 if volatility > 100 else 1.0)
        factor = chance.uniform(0.7, 1.5) * (0.5 if depth < 0.3 else 1.0)
        if chance.random() < self.faults.rule_breaking:
            self.faults_counts["rule_breaking"] += 1
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
        if self.faults.rule_breaking and self._random.random() < self.faults.rule_breaking:
            self.faults_counts["rule_breaking"] += 1
            return {"risk_score": 7, "max_position_usd": 1e12, "spread_adjustment_bps": -400, "circuit_breaker": "no"}
        return {
            "risk_score": round(self._random.uniform(0.05, 0.4), 2),
            "max_position_usd": 1_000_000,
            "spread_adjustment_bps": 0,
            "toxic_flow_probability": round(self._random.uniform(0.05, 0.4), 2),
            "recommendations": ["keep sizes"],
            "circuit_breaker": False,
        }


def _limited(text: str) -> RelayAnswer:
    return _error(429, f"rate limit: {text}", headers=(("Retry-After", f"{RETRY_AFTER_S:g}"),))


def _error(status: int, text: str, *, headers: tuple[tuple[str, str], ...] = ()) -> RelayAnswer:
    return _answer(status, {"error": {"message": text, "type": "error", "code": status}}, headers)


def _answer(status: int, data: dict[str, Any], headers: tuple[tuple[str, str], ...] = ()) -> RelayAnswer:
    return RelayAnswer(status, json.dumps(data).encode(), headers=headers)
