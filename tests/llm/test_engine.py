"""Many symbols in few calls; limits, breaker and refusals by event script."""

from __future__ import annotations

import json
from random import Random

import pytest

from actors.llm.engine import Answered, Ask, AskRisk, Call, LlmCommand, LlmEngine, Publish, Timer, Unanswered
from actors.llm.prompts import Pricing, Prompt
from actors.sim.relay import RelayFaults, SimRelay
from actors.vocab.config import LlmSettings
from actors.vocab.opinions import RegimeView, RiskView, SignalInputs
from actors.vocab.units import NS_PER_MS, NS_PER_S

PRICING = Pricing({"deepseek/v3-2": 0.42, "anthropic/claude-sonnet-4.5": 15.0})
START_NS = 1_000 * NS_PER_S


def engine(**change: object) -> LlmEngine:
    return LlmEngine(
        settings=LlmSettings.model_validate(change),
        pricing=PRICING,
        signal_prompt=Prompt("signal.v1", "rows"),
        risk_prompt=Prompt("risk.v1", "risk_score"),
        members_count=1,
        now_ns=START_NS,
    )


def ask(symbol: str) -> Ask:
    return Ask(SignalInputs(symbol, 1.0, 0.8, 10.0, 0.1, 50))


def calls(commands: list[LlmCommand]) -> list[Call]:
    return [one for one in commands if isinstance(one, Call)]


def reply(symbols: list[str], *, tokens: int = 100) -> bytes:
    items = [
        {"symbol": one, "action": "bid", "spread_bps": 30, "quantity_factor": 1, "confidence": 0.5} for one in symbols
    ]
    usage = {"prompt_tokens": tokens, "completion_tokens": tokens}
    return json.dumps({"choices": [{"message": {"content": json.dumps({"items": items})}}], "usage": usage}).encode()


def test_fifty_symbols_share_two_calls() -> None:
    pool = engine()
    started = [call for n in range(50) for call in calls(pool.handle(ask(f"S{n}"), START_NS + n))]
    assert len(started) == 2
    assert pool.figures()["items"] == 50


def test_a_lonely_question_waits_for_company_then_goes() -> None:
    pool = engine(batch_wait_ms=100)
    assert calls(pool.handle(ask("A"), START_NS)) == []
    assert calls(pool.handle(Timer(), START_NS + 99 * NS_PER_MS)) == []
    assert len(calls(pool.handle(Timer(), START_NS + 100 * NS_PER_MS))) == 1


def test_the_answer_becomes_views_and_cost() -> None:
    pool = engine(batch_wait_ms=0)
    (call,) = calls(pool.handle(ask("A"), START_NS))
    (published,) = pool.handle(Answered(call.call_no, 200, reply(["A"])), START_NS + NS_PER_S)
    assert isinstance(published, Publish)
    assert isinstance(published.view, RegimeView)
    assert published.view.symbol == "A"
    assert pool.usd == pytest.approx(200 * 0.42 / 1e6)


def test_a_symbol_is_not_asked_about_twice_within_its_interval() -> None:
    pool = engine(batch_wait_ms=0, opinion_interval_s=10)
    (call,) = calls(pool.handle(ask("A"), START_NS))
    pool.handle(Answered(call.call_no, 200, reply(["A"])), START_NS + NS_PER_S)
    assert calls(pool.handle(ask("A"), START_NS + 5 * NS_PER_S)) == []
    assert len(calls(pool.handle(Timer(), START_NS + 10 * NS_PER_S))) == 1


def test_after_a_429_nothing_goes_before_retry_after() -> None:
    pool = engine(batch_wait_ms=0)
    (call,) = calls(pool.handle(ask("A"), START_NS))
    assert calls(pool.handle(Answered(call.call_no, 429, b"", 7.0), START_NS)) == []
    assert calls(pool.handle(ask("B"), START_NS + 6 * NS_PER_S)) == []
    assert len(calls(pool.handle(Timer(), START_NS + 7 * NS_PER_S))) == 1


def test_the_breaker_opens_on_errors_and_probes_later() -> None:
    pool = engine(batch_wait_ms=0)
    for n in range(5):
        (call,) = calls(pool.handle(ask(f"S{n}"), START_NS + n * NS_PER_S))
        pool.handle(Unanswered(call.call_no, "time-out"), START_NS + n * NS_PER_S)
    assert calls(pool.handle(ask("T"), START_NS + 20 * NS_PER_S)) == []
    later = START_NS + 35 * NS_PER_S
    assert len(calls(pool.handle(ask("U"), later))) == 1
    assert calls(pool.handle(ask("V"), later)) == []  # one probe only
    assert pool.figures()["breaker_opens"] == 1


@pytest.mark.parametrize(("status", "said"), [(401, "key refused"), (400, "not known to the relay")])
def test_what_no_retry_can_mend_stops_the_model(status: int, said: str) -> None:
    pool = engine(batch_wait_ms=0)
    (call,) = calls(pool.handle(ask("A"), START_NS))
    pool.handle(Answered(call.call_no, status, b"{}"), START_NS)
    assert calls(pool.handle(ask("B"), START_NS + 3600 * NS_PER_S)) == []
    assert any(said in text for text in pool.figures()["faults"])  # type: ignore[union-attr]  # a list here


def test_the_days_money_is_never_exceeded() -> None:
    pool = engine(batch_wait_ms=0, usd_per_day_max=0.0004, opinion_interval_s=0.001)
    spent = 0
    for n in range(200):
        now_ns = START_NS + n * 10 * NS_PER_S
        for call in calls(pool.handle(ask("A"), now_ns)):
            spent += 1
            pool.handle(Answered(call.call_no, 200, reply(["A"], tokens=80)), now_ns)
    assert 0 < spent < 200
    assert pool.usd <= 0.0004


def test_the_books_verdict_is_asked_and_bounded() -> None:
    pool = engine()
    (call,) = calls(pool.handle(AskRisk({"gross_usd": 5.0}, limit_usd=1000.0, drawdown_pct=0.0), START_NS))
    content = {
        "risk_score": 0.9,
        "max_position_usd": 5e9,
        "spread_adjustment_bps": -50,
        "toxic_flow_probability": 0,
        "circuit_breaker": False,
    }
    body = json.dumps({"choices": [{"message": {"content": json.dumps(content)}}]}).encode()
    (published,) = pool.handle(Answered(call.call_no, 200, body), START_NS)
    assert isinstance(published, Publish)
    assert isinstance(published.view, RiskView)
    assert (published.view.circuit_breaker, published.view.max_position_usd) == (True, 1000.0)


@pytest.mark.parametrize("seed", range(5))
def test_a_mad_relay_is_survived(seed: int) -> None:
    """Every kind of bad answer, for ten minutes of simulated time: no exception, limits kept, views bounded."""
    faults = RelayFaults(nonsense=0.3, rule_breaking=0.3, truncated=0.2, error_5xx=0.2)
    relay = SimRelay(key="k", chance=Random(seed), faults=faults)
    pool = engine(batch_wait_ms=0)
    views = 0
    for second in range(600):
        now_ns = START_NS + second * NS_PER_S
        commands = [one for n in range(50) for one in pool.handle(ask(f"S{n}"), now_ns)]
        while commands:
            match commands.pop():
                case Publish():
                    views += 1
                case Call(call_no, body):
                    answer = relay.handle(
                        method="POST", path="/v1/chat/completions", authorization="Bearer k", body=body, now_ns=now_ns
                    )
                    commands += pool.handle(Answered(call_no, answer.status, answer.body), now_ns)
    assert views > 0
    assert relay.refused_429_count == 0
    assert pool.figures()["in_flight"] == 0
