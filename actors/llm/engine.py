"""One pool member: many symbols' questions in few calls, never over a limit, never in anybody's way.

Askers never wait: a quote engine states its inputs and goes on; an opinion comes back beside the loop or not at
all, and expires. The newest inputs of a symbol replace older ones; a symbol is asked about once an interval.
"""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Mapping

import msgspec

from actors.llm.breaker import Breaker
from actors.llm.effects import regime_view, risk_view
from actors.llm.limiter import Limiter
from actors.llm.prompts import Pricing, Prompt, chat_body, estimate_tokens, signal_rows
from actors.llm.schema import parse_risk, parse_signals
from actors.vocab.config import LlmSettings
from actors.vocab.opinions import RegimeView, RiskView, SignalInputs
from actors.vocab.units import NS_PER_MS, NS_PER_S

TOKENS_PER_ITEM = 90
TOKENS_FIXED = 60
SIGNAL_TEMPERATURE = 0.3
RISK_TOKENS = 512
RISK_TEMPERATURE = 0.1
# A refusal without Retry-After: the interface's own pause after a refusal.
RETRY_AFTER_DEFAULT_S = 5.0
# Inputs older than this are not worth a token.
INPUTS_AGE_MAX_S = 30.0
RISK_INTERVAL_FACTOR = 3.0


class Ask(msgspec.Struct, frozen=True):
    """Newest inputs of one symbol."""

    inputs: SignalInputs


class AskRisk(msgspec.Struct, frozen=True):
    """Newest figures of the whole book; numbers only."""

    figures: Mapping[str, float]
    limit_usd: float
    drawdown_pct: float


class Answered(msgspec.Struct, frozen=True):
    """The relay answered; `status` is HTTP's."""

    call_no: int
    status: int
    body: bytes
    retry_after_s: float = 0.0


class Unanswered(msgspec.Struct, frozen=True):
    """Time-out or a broken connection."""

    call_no: int
    reason: str


class Timer(msgspec.Struct, frozen=True):
    """Time has passed."""


class Call(msgspec.Struct, frozen=True):
    """Send this completion; give up at the deadline."""

    call_no: int
    body: bytes
    deadline_s: float


class Publish(msgspec.Struct, frozen=True):
    """An opinion for whom it concerns."""

    view: RegimeView | RiskView


LlmEvent = Ask | AskRisk | Answered | Unanswered | Timer
LlmCommand = Call | Publish


class _Flight(msgspec.Struct, frozen=True):
    model: str
    purpose: str
    items: tuple[SignalInputs, ...]
    risk: AskRisk | None
    started_ns: int
    tokens_estimate: int


class LlmEngine:
    """`handle(event, now_ns) -> commands`; see the module's docstring. Limits given here are this member's share."""

    def __init__(
        self,
        *,
        settings: LlmSettings,
        pricing: Pricing,
        signal_prompt: Prompt,
        risk_prompt: Prompt,
        members_count: int,
        now_ns: int,
    ) -> None:
        self._settings = settings
        self._pricing = pricing
        self._signal_prompt = signal_prompt
        self._risk_prompt = risk_prompt
        self._limiter = Limiter(
            requests_per_min=settings.requests_per_min / members_count,
            tokens_per_min=settings.tokens_per_min / members_count,
            concurrent_max=max(1, settings.concurrent_max // members_count),
            usd_per_day=settings.usd_per_day_max / members_count,
            now_ns=now_ns,
        )
        self._breakers = {model: self._breaker() for model in {settings.signal_model, settings.risk_model}}
        self._waiting: dict[str, tuple[SignalInputs, int]] = {}  # symbol -> newest inputs and when they came
        self._asked_ns: dict[str, int] = {}  # symbol -> when it was last sent
        self._risk: AskRisk | None = None
        self._risk_asked_ns: int | None = None
        self._flights: dict[int, _Flight] = {}  # call_no -> what is on its way; same keys as the limiter's
        self._next_call_no = 1
        self.counts: Counter[str] = Counter()
        self.usd = 0.0
        self.faults: deque[str] = deque(maxlen=20)  # newest reasons, for the operator

    def handle(self, event: LlmEvent, now_ns: int) -> list[LlmCommand]:
        commands: list[LlmCommand] = []
        match event:
            case Ask(inputs):
                if inputs.symbol in self._waiting:
                    self.counts["replaced"] += 1
                self._waiting[inputs.symbol] = (inputs, now_ns)
            case AskRisk():
                self._risk = event
            case Answered():
                commands += self._answered(event, now_ns)
            case Unanswered(call_no, reason):
                self._failed(call_no, reason, now_ns)
            case Timer():
                pass
        return commands + self._start_calls(now_ns)

    # --- starting --------------------------------------------------------------------------------------------

    def _start_calls(self, now_ns: int) -> list[LlmCommand]:
        commands: list[LlmCommand] = []
        while (batch := self._due_batch(now_ns)) and (call := self._start_signal(batch, now_ns)):
            commands.append(call)
        if self._risk_due(now_ns) and (call := self._start_risk(now_ns)):
            commands.append(call)
        return commands

    def _due_batch(self, now_ns: int) -> tuple[SignalInputs, ...]:
        """Symbols whose interval is over, longest unasked first; empty while more may still join."""
        interval_ns = int(self._settings.opinion_interval_s * NS_PER_S)
        stale_ns = now_ns - int(INPUTS_AGE_MAX_S * NS_PER_S)
        for symbol in [symbol for symbol, (_, came_ns) in self._waiting.items() if came_ns < stale_ns]:
            del self._waiting[symbol]
        due = [
            (self._asked_ns.get(symbol, 0), symbol)
            for symbol in self._waiting
            if symbol not in self._asked_ns or now_ns - self._asked_ns[symbol] >= interval_ns
        ]
        if not due:
            return ()
        due.sort()
        oldest_wait_ns = max(now_ns - self._waiting[symbol][1] for _, symbol in due)
        if len(due) < self._settings.batch_items_max and oldest_wait_ns < self._settings.batch_wait_ms * NS_PER_MS:
            return ()
        return tuple(self._waiting[symbol][0] for _, symbol in due[: self._settings.batch_items_max])

    def _start_signal(self, batch: tuple[SignalInputs, ...], now_ns: int) -> Call | None:
        call = self._start(
            model=self._settings.signal_model,
            purpose="signal",
            system=self._signal_prompt.text,
            user=signal_rows(batch),
            tokens_max=TOKENS_FIXED + TOKENS_PER_ITEM * len(batch),
            temperature=SIGNAL_TEMPERATURE,
            items=batch,
            risk=None,
            now_ns=now_ns,
        )
        if call is not None:
            for one in batch:
                del self._waiting[one.symbol]
                self._asked_ns[one.symbol] = now_ns
        return call

    def _risk_due(self, now_ns: int) -> bool:
        interval_ns = int(self._settings.opinion_interval_s * RISK_INTERVAL_FACTOR * NS_PER_S)
        return self._risk is not None and (self._risk_asked_ns is None or now_ns - self._risk_asked_ns >= interval_ns)

    def _start_risk(self, now_ns: int) -> Call | None:
        assert self._risk is not None
        call = self._start(
            model=self._settings.risk_model,
            purpose="risk",
            system=self._risk_prompt.text,
            user=json.dumps({key: round(value, 6) for key, value in self._risk.figures.items()}),
            tokens_max=RISK_TOKENS,
            temperature=RISK_TEMPERATURE,
            items=(),
            risk=self._risk,
            now_ns=now_ns,
        )
        if call is not None:
            self._risk_asked_ns = now_ns
        return call

    def _start(
        self,
        *,
        model: str,
        purpose: str,
        system: str,
        user: str,
        tokens_max: int,
        temperature: float,
        items: tuple[SignalInputs, ...],
        risk: AskRisk | None,
        now_ns: int,
    ) -> Call | None:
        """Reserve and send, or None when a limit or the breaker says not now."""
        breaker = self._breakers[model]
        tokens = estimate_tokens(system + user) + tokens_max
        usd = self._pricing.usd(model, tokens)
        if not breaker.allows(now_ns):
            return None
        if self._limiter.wait_s(tokens=tokens, usd=usd, now_ns=now_ns) > 0:
            return None
        call_no = self._next_call_no
        self._next_call_no += 1
        self._limiter.reserve(call_no, tokens=tokens, usd=usd, now_ns=now_ns)
        breaker.started()
        self._flights[call_no] = _Flight(model, purpose, items, risk, now_ns, tokens)
        self.counts["requests"] += 1
        self.counts["items"] += len(items) or 1
        body = chat_body(model=model, system=system, user=user, tokens_max=tokens_max, temperature=temperature)
        return Call(call_no, body, self._settings.deadline_s)

    # --- ending ----------------------------------------------------------------------------------------------

    def _answered(self, event: Answered, now_ns: int) -> list[LlmCommand]:
        if event.status == 429:
            self.counts["http_429"] += 1
            self._limiter.close_until(now_ns, event.retry_after_s or RETRY_AFTER_DEFAULT_S)
            self._failed(event.call_no, "HTTP 429", now_ns)
            return []
        if event.status != 200:
            self._failed(event.call_no, f"HTTP {event.status}", now_ns)
            return []
        flight = self._flights[event.call_no]
        content, tokens_in, tokens_out = _completion(event.body)
        views, bad = self._views(flight, content)
        if not views:
            self._failed(event.call_no, "answer is not the schema", now_ns, tokens=tokens_in + tokens_out)
            return []
        self.counts["fallbacks"] += bad
        self.counts["tokens_in"] += tokens_in
        self.counts["tokens_out"] += tokens_out
        self._end(event.call_no, good=True, tokens=tokens_in + tokens_out, now_ns=now_ns)
        return [Publish(view) for view in views]

    def _views(self, flight: _Flight, content: str) -> tuple[list[RegimeView | RiskView], int]:
        """Opinions in the content, and how many of the asked symbols go without one."""
        ttl_s = self._settings.opinion_ttl_s
        if flight.risk is not None:
            answer = parse_risk(content)
            if answer is None:
                return [], 1
            view = risk_view(
                scope="fleet",
                answer=answer,
                limit_usd=flight.risk.limit_usd,
                drawdown_pct=flight.risk.drawdown_pct,
                ttl_s=ttl_s * RISK_INTERVAL_FACTOR,
                model=flight.model,
                prompt_hash=self._risk_prompt.hash,
            )
            return [view], 0
        answers, _ = parse_signals(content, {one.symbol for one in flight.items})
        views: list[RegimeView | RiskView] = [
            regime_view(
                inputs=one,
                answer=answers[one.symbol],
                ttl_s=ttl_s,
                model=flight.model,
                prompt_hash=self._signal_prompt.hash,
            )
            for one in flight.items
            if one.symbol in answers
        ]
        return views, len(flight.items) - len(views)

    def _failed(self, call_no: int, reason: str, now_ns: int, *, tokens: int = 0) -> None:
        """No opinion from this call; the symbols are asked about again when their interval is over."""
        flight = self._flights[call_no]
        self.counts["errors"] += 1
        self.counts["fallbacks"] += len(flight.items) or 1
        self.faults.append(f"{flight.model}: {reason}")
        if reason in ("HTTP 401", "HTTP 403"):
            self._breakers[flight.model].stop("key refused: check the key and its file or variable, then restart")
        elif reason in ("HTTP 400", "HTTP 404"):
            self._breakers[flight.model].stop(f"{flight.model} is not known to the relay: compare with GET /models")
        self._end(call_no, good=False, tokens=tokens, now_ns=now_ns)

    def _end(self, call_no: int, *, good: bool, tokens: int, now_ns: int) -> None:
        flight = self._flights.pop(call_no)
        usd = self._pricing.usd(flight.model, tokens)
        self.usd += usd
        self._limiter.settle(call_no, tokens=tokens, usd=usd)
        self._breakers[flight.model].ended(good=good, now_ns=now_ns)

    def _breaker(self) -> Breaker:
        settings = self._settings
        return Breaker(
            error_share=settings.breaker_error_share, window_s=settings.breaker_window_s, open_s=settings.breaker_open_s
        )

    def new_day(self) -> None:
        self._limiter.new_day()

    def figures(self) -> dict[str, float | int | list[str]]:
        """Counters of the summary's `llm` part."""
        names = ("requests", "items", "tokens_in", "tokens_out", "http_429", "errors", "fallbacks", "replaced")
        return {
            **{name: self.counts[name] for name in names},
            "cost_usd": self.usd,
            "breaker_opens": sum(one.opens_count for one in self._breakers.values()),
            "in_flight": len(self._flights),
            "faults": [*self.faults, *(one.stopped for one in self._breakers.values() if one.stopped)],
        }


def _completion(body: bytes) -> tuple[str, int, int]:
    """Content and real usage; a lying or missing usage counts at least what the content weighs."""
    try:
        data = json.loads(body)
        content = data["choices"][0]["message"]["content"]
        usage = data.get("usage") or {}
        tokens_in, tokens_out = int(usage.get("prompt_tokens", 0)), int(usage.get("completion_tokens", 0))
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError):
        return "", 0, 0
    if not isinstance(content, str):
        return "", max(0, tokens_in), max(0, tokens_out)
    return content, max(0, tokens_in), max(tokens_out, len(content) // 8)
