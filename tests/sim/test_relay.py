"""The simulated relay refuses what a gateway refuses, and tells what an account is asked."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import pytest

from actors.sim.relay import MODELS, Manner, RelayAnswer, SimRelay
from actors.sim.relay_faults import RelayDrill, RelayFaults
from actors.sim.relay_limits import RelayLimits
from actors.vocab.units import NS_PER_S

ROWS = "BTCUSDT,60000,0.8,10.0,0.10,50,normal\nETHUSDT,4000,0.2,10.0,0.90,50,thin"


def call(relay: SimRelay, now_s: float = 0.0, *, path: str = "/v1/chat/completions", **change: Any) -> RelayAnswer:
    body: dict[str, Any] = {
        "model": "deepseek/v3-2",
        "messages": [{"role": "system", "content": "rows"}, {"role": "user", "content": ROWS}],
    }
    authorization, raw = change.pop("authorization", "Bearer k"), change.pop("raw", None)
    return relay.handle(
        method="GET" if path != "/v1/chat/completions" else "POST",
        path=path,
        authorization=authorization,
        body=json.dumps(body | change).encode() if raw is None else raw,
        now_ns=int(now_s * NS_PER_S),
    )


def relay(faults: RelayFaults | None = None, limits: RelayLimits | None = None) -> SimRelay:
    return SimRelay(key="k", chance=Random(5), faults=faults, limits=limits)


def test_rows_are_answered_one_by_one_by_the_prompts_rules() -> None:
    answer = call(relay())
    items = json.loads(json.loads(answer.body)["choices"][0]["message"]["content"])["items"]
    assert [item["symbol"] for item in items] == ["BTCUSDT", "ETHUSDT"]
    assert items[1]["action"] == "hold"  # toxic flow above 0.7
    assert items[1]["spread_bps"] >= 150


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"authorization": "Bearer wrong"}, 401),
        ({"model": "deepseek-v3"}, 400),  # no vendor prefix
        ({"raw": b"{"}, 400),
        ({"raw": b'{"model": "deepseek/v3-2", "messages": 7}'}, 400),
        ({"path": "/v1/nothing"}, 404),
    ],
)
def test_wrong_calls_are_refused(change: dict[str, Any], status: int) -> None:
    assert call(relay(), **change).status == status


def test_models_and_account_status_are_told() -> None:
    models = json.loads(call(relay(), path="/v1/models").body)
    assert {row["id"]: row["context_length"] for row in models["data"]} == {
        name: model.context_length for name, model in MODELS.items()
    }
    assert set(json.loads(call(relay(), path="/v1/account/status").body)) == {
        "email",
        "credits_remaining",
        "plan_name",
    }


def test_calls_at_once_are_counted_until_they_end() -> None:
    one = relay(limits=RelayLimits(6000, 2, 10**9))
    first, second = call(one), call(one)
    assert (second.status, call(one).status) == (200, 429)
    one.ended(first.call_no)
    assert call(one).status == 200


def test_a_minute_and_a_burst_are_limited_and_retry_after_is_named() -> None:
    one = relay(limits=RelayLimits(60, 100, 10**9))
    answers = [call(one) for _ in range(11)]
    assert [answer.status for answer in answers].count(200) == 10  # twice the rate for five seconds
    assert dict(answers[-1].headers)["Retry-After"] == "2"
    later = [call(one, 6.0 + 0.75 * n) for n in range(70)]
    assert [answer.status for answer in later].count(429) > 0
    assert set(one.refused_why) == {"burst", "requests per minute"}


@pytest.mark.parametrize(
    ("fault", "manner"), [("never", Manner.NEVER), ("trickle", Manner.TRICKLE), ("cut", Manner.CUT)]
)
def test_a_misbehaving_server_is_a_manner_of_sending(fault: str, manner: Manner) -> None:
    assert call(relay(RelayFaults(**{fault: 1.0}))).manner is manner


def test_it_counts_what_it_did_by_fault() -> None:
    one = relay(RelayFaults(nonsense=1.0, latency_times=9.0))
    call(one)
    one.faults = RelayFaults(down=True)
    call(one)
    one.faults = RelayFaults(key_revoked=True)
    call(one)
    one.faults = RelayFaults(rule_breaking=1.0)
    call(one)
    assert one.status()["faults"] == {"nonsense": 1, "slow": 1, "down": 1, "key_revoked": 1, "rule_breaking": 2}


def test_in_a_drill_the_moment_decides() -> None:
    one = SimRelay(key="k", chance=Random(5), drill=RelayDrill(fault_s=10.0))
    assert call(one, 0.0).status == 200
    assert dict(call(one, 6.0).headers) == {}  # slow
    assert {call(one, 20.5 + 0.5 * n).status for n in range(10)} == {429}
    assert call(one, 31.0).status >= 500
    assert one.status()["stage"] == "error_5xx"


def test_a_lie_about_usage_is_enormous() -> None:
    usage = json.loads(call(relay(RelayFaults(lying_usage=1.0))).body)["usage"]
    assert usage["prompt_tokens"] > 10**6


def test_the_same_seed_gives_the_same_answers() -> None:
    faults = RelayFaults(nonsense=0.3, truncated=0.3, error_5xx=0.2)
    assert [call(relay(faults)) for _ in range(1)] == [call(relay(faults)) for _ in range(1)]
