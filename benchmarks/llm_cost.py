"""Tokens and USD a day: batched, one call a symbol, two calls on each 100 ms cycle as some articles do. Prints JSON.

Ten minutes of the simulated pool, times 144; the two calls a cycle are multiplied out from one call of each kind, since
no account would let them through (1 000 calls a second for 50 symbols).
"""

from __future__ import annotations

import json
from random import Random
from typing import Any

from actors.llm.actor import CONF, read_prompt, read_purposes
from actors.sim.pool import SimPool
from actors.sim.relay import SimRelay
from actors.sim.relay_limits import RelayLimits
from actors.treasury.actor import read_models
from actors.treasury.prices import NUSD
from actors.vocab.config import LlmSettings
from actors.vocab.opinions import RegimeView, SignalInputs

RUN_S = 600
DAY_S = 86_400
CYCLES_PER_S = 10
ANYTHING = RelayLimits(10**6, 10**4, 10**9)


def pool_day(symbols_count: int, *, limits: RelayLimits | None = None, **change: Any) -> dict[str, float]:
    """Ten simulated minutes, as a day."""
    chance = Random(1)
    settings = LlmSettings(usd_per_day_max=1e6, opinions="on", **change)
    relay = SimRelay(key="k", chance=chance, limits=limits)
    prices, _ = read_models(CONF / "models.yaml")
    symbols = [f"S{number}USDT" for number in range(symbols_count)]
    pool = SimPool(
        settings=settings,
        prices=prices,
        prompts={"signal": read_prompt("signal.v1"), "risk": read_prompt("risk.v1")},
        purposes=read_purposes(CONF / "models.yaml"),
        relay=relay,
        key="k",
        members_count=2,
        symbols=symbols,
        inputs=lambda symbol, now_ns: SignalInputs(symbol, chance.uniform(1, 1e5), 0.8, 10.0, 0.1, 50),
        chance=chance,
    )
    pool.run_until(RUN_S)
    assert pool.treasury is not None
    opinions = sum(isinstance(view, RegimeView) for _, view in pool.views)
    return {
        "calls_per_min": round(len(pool.calls) / RUN_S * 60, 1),
        "opinion_every_s": round(symbols_count * RUN_S / max(1, opinions), 1),
        "million_tokens_per_day": round(relay.tokens_count * DAY_S / RUN_S / 1e6, 2),
        "usd_per_day": round(pool.treasury.spent_nusd()[""] / NUSD * DAY_S / RUN_S, 2),
        "refused_429": relay.refused_429_count,
    }


def two_calls_a_cycle(symbols_count: int) -> dict[str, float]:
    """A signal and a risk call for each symbol on each cycle."""
    relay = SimRelay(key="k", chance=Random(1), limits=ANYTHING)
    prices, _ = read_models(CONF / "models.yaml")
    tokens = usd = 0.0
    for model, prompt, user in (
        ("deepseek/v3-2", "signal.v1", "BTCUSDT,60000,0.80,10.0,0.10,50,normal"),
        (
            "anthropic/claude-sonnet-4.5",
            "risk.v1",
            json.dumps({"gross_usd": 5000.0, "net_usd": -1.5, "orders_open": 4}),
        ),
    ):
        messages = [{"role": "system", "content": read_prompt(prompt).text}, {"role": "user", "content": user}]
        body = json.dumps({"model": model, "messages": messages, "max_tokens": 512}).encode()
        answer = relay.handle(method="POST", path="/v1/chat/completions", authorization="Bearer k", body=body, now_ns=0)
        usage = json.loads(answer.body)["usage"]
        tokens += usage["total_tokens"]
        usd += prices.of(model).nusd(usage["prompt_tokens"], usage["completion_tokens"]) / NUSD
    calls_per_day = symbols_count * CYCLES_PER_S * DAY_S
    return {
        "calls_per_min": 2.0 * symbols_count * CYCLES_PER_S * 60,
        "million_tokens_per_day": round(calls_per_day * tokens / 1e6),
        "usd_per_day": round(calls_per_day * usd),
    }


def main() -> None:
    single: dict[str, Any] = {"batch_items_max": 1, "requests_per_min": 6000, "tokens_per_min": 10**8}
    result = {
        "50 symbols, batched": pool_day(50),
        "50 symbols, one call a symbol": pool_day(50, limits=ANYTHING, concurrent_max=1000, **single),
        "50 symbols, two calls each 100 ms": two_calls_a_cycle(50),
        "500 symbols, batched, 60 requests a minute": pool_day(500),
        "500 symbols, batched by 100, 60 requests a minute": pool_day(
            500,
            batch_items_max=100,
            batch_tokens_max=20_000,
            tokens_per_min=400_000,
            limits=RelayLimits(60, 10, 400_000),
        ),
    }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
