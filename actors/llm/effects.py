"""From an answer to an effect. Whatever the model says, the result only reduces risk.

Rules of the relay's interface, enforced here whatever the model obeyed: toxic flow above 0.7 holds and asks for
150 bps; volatility above 100 bps widens by half; a depth score below 0.3 halves the size; a confidence below 0.4
is no opinion. `hold` stops both sides, `bid` shrinks the ask side and `ask` the bid side; a factor above 1 counts
as 1; `tighten` does nothing; a spread is a floor under the model's own, never a cap. Of a verdict on the whole book: a
score above 0.8 is a breaker, toxic flow above 0.6 halves the position cap, a drawdown above 5 % widens by 10 bps or
more.
"""

from __future__ import annotations

from actors.llm.completion import shown
from actors.llm.schema import REASONING_CHARS_MAX, RiskAnswer, SignalAnswer
from actors.vocab.opinions import RegimeView, RiskView, SignalInputs

TOXIC_HOLD = 0.7
TOXIC_SPREAD_BPS = 150.0
VOLATILE_BPS = 100.0
VOLATILE_FACTOR = 1.5
SHALLOW_DEPTH = 0.3
SHALLOW_FACTOR = 0.5
CONFIDENCE_MIN = 0.4
# How far the side that the model leans against is cut at full confidence.
LEAN_CUT = 0.5
SPREAD_BPS_MAX = 200.0
RISK_BREAKER = 0.8
DRAWDOWN_WIDEN_PCT = 5.0
DRAWDOWN_WIDEN_BPS = 10.0
TOXIC_REDUCE = 0.6
TOXIC_POSITION_FACTOR = 0.5
SHOWN_CHARS_MAX = 200


def neutral(symbol: str) -> RegimeView:
    return RegimeView(symbol=symbol)


def regime_view(
    *, inputs: SignalInputs, answer: SignalAnswer | None, ttl_s: float, model: str, prompt_hash: str
) -> RegimeView:
    """The bounded view of one symbol. Our own inputs' rules hold even without an opinion."""
    toxic = inputs.toxic_flow > TOXIC_HOLD
    confident = answer is not None and answer.confidence >= CONFIDENCE_MIN
    bid_factor = ask_factor = 1.0
    spread_bps = 0.0
    if answer is not None and confident:
        size = min(1.0, answer.quantity_factor)
        if inputs.depth_score < SHALLOW_DEPTH:
            size = min(size, answer.quantity_factor * SHALLOW_FACTOR, SHALLOW_FACTOR)
        lean = size * (1.0 - LEAN_CUT * answer.confidence)
        bid_factor = {"bid": size, "ask": lean, "hold": 0.0}[answer.action]
        ask_factor = {"bid": lean, "ask": size, "hold": 0.0}[answer.action]
        spread_bps = _widened(answer, inputs)
    if toxic:
        bid_factor = ask_factor = 0.0
        spread_bps = max(spread_bps, TOXIC_SPREAD_BPS)
    return RegimeView(
        symbol=inputs.symbol,
        bid_factor=bid_factor,
        ask_factor=ask_factor,
        spread_bps_min=min(spread_bps, SPREAD_BPS_MAX),
        confidence=answer.confidence if answer is not None and confident else 0.0,
        ttl_s=ttl_s,
        model=model,
        prompt_hash=prompt_hash,
        reasoning=shown(answer.reasoning, REASONING_CHARS_MAX) if answer is not None else "",
    )


def _widened(answer: SignalAnswer, inputs: SignalInputs) -> float:
    """A floor only when the model asks for more room: its 20 bps minimum is no reason to leave the market."""
    volatile = inputs.volatility_bps > VOLATILE_BPS
    if answer.risk_adjustment != "widen" and not volatile:
        return 0.0
    return answer.spread_bps * (VOLATILE_FACTOR if volatile else 1.0)


def risk_view(
    *, scope: str, answer: RiskAnswer, limit_usd: float, drawdown_pct: float, ttl_s: float, model: str, prompt_hash: str
) -> RiskView:
    """The bounded verdict: a breaker, a lower cap, a wider spread; recommendations are shown, never executed."""
    cap = min(answer.max_position_usd, limit_usd) if answer.max_position_usd > 0 else limit_usd
    if answer.toxic_flow_probability > TOXIC_REDUCE:
        cap = min(cap, limit_usd * TOXIC_POSITION_FACTOR)
    widen = max(0.0, answer.spread_adjustment_bps)
    if drawdown_pct > DRAWDOWN_WIDEN_PCT:
        widen = max(widen, DRAWDOWN_WIDEN_BPS)
    return RiskView(
        scope=scope,
        risk_score=answer.risk_score,
        circuit_breaker=answer.circuit_breaker or answer.risk_score > RISK_BREAKER,
        max_position_usd=cap,
        spread_bps_add=widen,
        ttl_s=ttl_s,
        model=model,
        prompt_hash=prompt_hash,
        recommendations=tuple(shown(text, SHOWN_CHARS_MAX) for text in answer.recommendations[:20]),
    )
