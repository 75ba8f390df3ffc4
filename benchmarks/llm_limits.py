"""An hour of backlog under a simulated clock: how much of the limits is used, what the worst windows hold. Prints JSON.

Four members, 500 symbols that would like an opinion every second, limits of 60 requests and 200 000 tokens a minute;
one member is killed at minute 20 and the treasury at minute 40. The relay counts the same limits in its own way.
"""

from __future__ import annotations

import json
import time
from random import Random

from actors.llm.actor import CONF, read_prompt, read_purposes
from actors.sim.pool import SimPool
from actors.sim.relay import SimRelay
from actors.treasury.actor import read_models
from actors.vocab.config import LlmSettings
from actors.vocab.opinions import SignalInputs

HOUR_S = 3600
WINDOWS_S = (1, 5, 10, 60)


def main() -> None:
    chance = Random(1)
    settings = LlmSettings(opinion_interval_s=1.0, usd_per_day_max=1e6, opinions="on", cache_s=0.0)
    relay = SimRelay(key="k", chance=chance)
    prices, _ = read_models(CONF / "models.yaml")
    pool = SimPool(
        settings=settings,
        prices=prices,
        prompts={"signal": read_prompt("signal.v1"), "risk": read_prompt("risk.v1")},
        purposes=read_purposes(CONF / "models.yaml"),
        relay=relay,
        key="k",
        members_count=4,
        symbols=[f"S{number}USDT" for number in range(500)],
        inputs=lambda symbol, now_ns: SignalInputs(symbol, chance.uniform(1, 1e5), 0.8, 10.0, 0.1, 50),
        chance=chance,
        ask_interval_s=5.0,
    )
    pool.at(20 * 60, lambda: pool.kill_member(1, back_after_s=5.0))
    pool.at(40 * 60, lambda: pool.kill_treasury(back_after_s=2.0))
    began_s = time.process_time()
    pool.run_until(HOUR_S)
    starts_s = [at_ns / 1e9 for at_ns, _ in pool.calls]
    worst = {window_s: worst_window(starts_s, window_s) for window_s in WINDOWS_S}
    print(
        json.dumps(
            {
                "requests": len(starts_s),
                "requests_limit": settings.requests_per_min * 60,
                "efficiency": round(len(starts_s) / (settings.requests_per_min * 60), 4),
                "efficiency_without_the_treasurys_death": round(
                    sum(not 2400 <= at_s < 2460 for at_s in starts_s) / (settings.requests_per_min * 59), 4
                ),
                "refused_429": relay.refused_429_count,
                "worst_window": {f"{window_s}s": count for window_s, count in worst.items()},
                "allowed_by_burst_and_rate": {
                    f"{window_s}s": round(1.2 + 0.955 * window_s, 2) for window_s in WINDOWS_S
                },
                "views": len(pool.views),
                "cpu_s": round(time.process_time() - began_s, 1),
            },
            indent=1,
        )
    )


def worst_window(starts_s: list[float], window_s: float) -> int:
    """Most calls in any half-open window of this length."""
    worst = first = 0
    for last, at_s in enumerate(starts_s):
        while starts_s[first] <= at_s - window_s:
            first += 1
        worst = max(worst, last - first + 1)
    return worst


if __name__ == "__main__":
    main()
