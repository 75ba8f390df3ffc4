"""Whatever the model says, the result only reduces risk."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.llm.effects import regime_view, risk_view
from actors.llm.schema import RiskAnswer, SignalAnswer
from actors.vocab.opinions import RegimeView, SignalInputs


def inputs(**change: float) -> SignalInputs:
    values = {"depth_score": 0.8, "volatility_bps": 10.0, "toxic_flow": 0.1} | change
    return SignalInputs("BTCUSDT", 60_000.0, ms_since_trade=50, **values)  # type: ignore[arg-type]  # floats by name


def answer(**change: object) -> SignalAnswer:
    values: dict[str, object] = {
        "symbol": "BTCUSDT",
        "action": "bid",
        "spread_bps": 25,
        "quantity_factor": 1.0,
        "confidence": 0.8,
    }
    return SignalAnswer.model_validate(values | change)


def view(said: SignalAnswer | None, given_inputs: SignalInputs) -> RegimeView:
    return regime_view(inputs=given_inputs, answer=said, ttl_s=30.0, model="m", prompt_hash="h")


@pytest.mark.parametrize(
    ("said", "given_inputs", "bid", "ask", "floor"),
    [
        (answer(), inputs(), 1.0, 0.6, 0.0),  # bid shrinks the ask side
        (answer(action="ask"), inputs(), 0.6, 1.0, 0.0),
        (answer(action="hold"), inputs(), 0.0, 0.0, 0.0),
        (answer(confidence=0.39), inputs(), 1.0, 1.0, 0.0),  # no opinion
        (answer(quantity_factor=2.5), inputs(), 1.0, 0.6, 0.0),  # never above one
        (answer(quantity_factor=2.5), inputs(depth_score=0.2), 0.5, 0.3, 0.0),
        (answer(), inputs(toxic_flow=0.71), 0.0, 0.0, 150.0),  # ours, even when the model says bid
        (None, inputs(toxic_flow=0.71), 0.0, 0.0, 150.0),
        (answer(), inputs(volatility_bps=101), 1.0, 0.6, 37.5),
        (answer(risk_adjustment="widen", spread_bps=40), inputs(), 1.0, 0.6, 40.0),
        (answer(risk_adjustment="tighten"), inputs(), 1.0, 0.6, 0.0),
    ],
)
def test_rules_hold_whatever_the_model_says(
    said: SignalAnswer | None, given_inputs: SignalInputs, bid: float, ask: float, floor: float
) -> None:
    got = view(said, given_inputs)
    assert (got.bid_factor, got.ask_factor, got.spread_bps_min) == pytest.approx((bid, ask, floor))


@given(
    action=st.sampled_from(["bid", "ask", "hold"]),
    spread=st.floats(20, 200),
    factor=st.floats(0.3, 2.5),
    confidence=st.floats(0, 1),
    depth=st.floats(0, 1),
    volatility=st.floats(0, 1000),
    toxic=st.floats(0, 1),
)
def test_no_answer_ever_raises_a_size(
    action: str, spread: float, factor: float, confidence: float, depth: float, volatility: float, toxic: float
) -> None:
    said = answer(action=action, spread_bps=spread, quantity_factor=factor, confidence=confidence)
    got = view(said, inputs(depth_score=depth, volatility_bps=volatility, toxic_flow=toxic))
    assert 0.0 <= got.bid_factor <= 1.0
    assert 0.0 <= got.ask_factor <= 1.0
    assert 0.0 <= got.spread_bps_min <= 200.0


def risk_answer(**change: object) -> RiskAnswer:
    values: dict[str, object] = {
        "risk_score": 0.1,
        "max_position_usd": 0,
        "spread_adjustment_bps": -50,
        "toxic_flow_probability": 0.1,
        "circuit_breaker": False,
    }
    return RiskAnswer.model_validate(values | change)


@pytest.mark.parametrize(
    ("said", "drawdown_pct", "breaker", "cap", "widen"),
    [
        (risk_answer(), 0.0, False, 1000.0, 0.0),  # a negative adjustment tightens nothing
        (risk_answer(risk_score=0.81), 0.0, True, 1000.0, 0.0),
        (risk_answer(max_position_usd=9e9), 0.0, False, 1000.0, 0.0),  # never above ours
        (risk_answer(max_position_usd=300), 0.0, False, 300.0, 0.0),
        (risk_answer(toxic_flow_probability=0.61), 0.0, False, 500.0, 0.0),
        (risk_answer(), 5.1, False, 1000.0, 10.0),
    ],
)
def test_a_verdict_only_tightens(
    said: RiskAnswer, drawdown_pct: float, breaker: bool, cap: float, widen: float
) -> None:
    got = risk_view(
        scope="fleet",
        answer=said,
        limit_usd=1000.0,
        drawdown_pct=drawdown_pct,
        ttl_s=90.0,
        model="m",
        prompt_hash="h",
    )
    assert (got.circuit_breaker, got.max_position_usd, got.spread_bps_add) == (breaker, cap, widen)
