"""Small parts that the pool's tests share."""

from __future__ import annotations

from random import Random
from typing import Any

from actors.llm.prompts import Prompt, Purpose
from actors.sim.pool import SimPool
from actors.sim.relay import Oracle, SimRelay
from actors.sim.relay_faults import RelayDrill, RelayFaults
from actors.sim.relay_limits import RelayLimits
from actors.treasury.prices import Price, PriceList
from actors.vocab.config import LlmSettings
from actors.vocab.opinions import SignalInputs
from actors.vocab.spending import Fault

DEEPSEEK, GEMINI = "deepseek/v3-2", "google/gemini-2.5-flash"
PRICES = PriceList(
    {
        DEEPSEEK: Price.per_mtok(0.42, 0.42),
        GEMINI: Price.per_mtok(2.5, 2.5),
        "openai/gpt-4.1": Price.per_mtok(8, 8),
        "anthropic/claude-sonnet-4.5": Price.per_mtok(15, 15),
    }
)
PROMPTS = {"signal": Prompt("signal.v1", "rows"), "risk": Prompt("risk.v1", "risk_score")}
PURPOSES = {"signal": Purpose(0.3, 60, 90), "risk": Purpose(0.1, 512, 0)}
# Each way of failing of the simulated relay -> how it is counted here.
COUNTED = {
    "slow": {Fault.NO_ANSWER},
    "limited": {Fault.LIMITED},
    "error_5xx": {Fault.SERVER_ERROR, Fault.UNAVAILABLE},
    "down": {Fault.UNAVAILABLE},
    "never": {Fault.NO_ANSWER},
    "trickle": {Fault.NOT_FINISHED},
    "cut": {Fault.BROKE_OFF},
    "empty": {Fault.EMPTY},
    "enormous": {Fault.TOO_LONG},
    "not_utf8": {Fault.NOT_UTF8},
    "nested": {Fault.TOO_DEEP},
    "truncated": {Fault.CUT_OFF, Fault.NOT_JSON},
    "nonsense": {Fault.NOT_JSON, Fault.NOT_SCHEMA, Fault.EMPTY},
    "rule_breaking": {Fault.OUT_OF_BOUNDS},
    "lying_usage": {Fault.USAGE},
    "key_revoked": {Fault.KEY_REFUSED},
}


def inputs(symbol: str, *, toxic_flow: float = 0.1, mid_price: float = 1.0) -> SignalInputs:
    return SignalInputs(symbol, mid_price, 0.8, 10.0, toxic_flow, 50)


def restless(chance: Random) -> Any:
    """Inputs that are never the same twice, so that no cache answers."""
    return lambda symbol, now_ns: inputs(symbol, mid_price=chance.uniform(1, 1e6))


def sim_pool(
    *,
    seed: int = 1,
    members_count: int = 4,
    symbols_count: int = 50,
    faults: RelayFaults | None = None,
    relay_limits: RelayLimits | None = None,
    ask_interval_s: float | None = None,
    oracles: dict[str, Oracle] | None = None,
    drill: RelayDrill | None = None,
    clocks_ahead_s: float = 0.0,
    **settings: Any,
) -> SimPool:
    chance = Random(seed)
    relay = SimRelay(key="k", chance=chance, faults=faults, limits=relay_limits, oracles=oracles, drill=drill)
    return SimPool(
        # Money is no matter unless a test says so: it would stretch the interval.
        settings=LlmSettings.model_validate({"usd_per_day_max": 1000.0} | settings),
        prices=PRICES,
        prompts=PROMPTS,
        purposes=PURPOSES,
        relay=relay,
        key="k",
        members_count=members_count,
        symbols=[f"S{n}" for n in range(symbols_count)],
        inputs=restless(chance),
        chance=chance,
        ask_interval_s=ask_interval_s,
        clocks_ahead_s=clocks_ahead_s,
    )
