"""The summary's `llm` part: what the pool's members counted, and what it cost by the treasury's book; and what of it an
operator should hear at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from actors.console.summary import merge_counts
from actors.treasury.engine import BUDGET_SPENT, RISK, SIGNAL

Status = Mapping[str, Any]
MEMBER_COUNTS = ("requests", "items", "http_429", "errors", "fallbacks", "cache_hits", "retries")
PURPOSES = (SIGNAL, RISK)
# Of a model, added up over the treasury's lives; the others are as its last life says.
MODEL_COUNTS = ("calls", "answered", "opinions", "applied", "breaker_opens", "paid_usd", "earned_usd", "opinions_usd")


def model_figures(members: Sequence[Status], treasuries: Sequence[Status], relay: Status) -> dict[str, Any]:
    """`members` and `treasuries`: the last status of each of their lives, oldest first. `relay`: the simulated one's.

    What a life counted between its last status and its kill is missing here; money never is.
    """
    last: Status = treasuries[-1] if treasuries else {}
    total = merge_counts([_numbers(status) for status in members])
    figures: dict[str, Any] = {name: total.get(name, 0) for name in MEMBER_COUNTS}
    for name in ("tokens_in", "tokens_out"):  # as the treasury believes them
        figures[name] = sum(int(status.get(name, 0)) for status in treasuries)
    figures["items_per_request_mean"] = round(total["items"] / total["requests"], 2) if total.get("requests") else 0.0
    figures["cost_usd"] = round(float(last.get("cost_usd", 0.0)), 6)
    figures["breaker_opens"] = sum(int(status.get("breaker_opens", 0)) for status in treasuries)
    figures["outcomes"] = _added(treasuries, "outcomes")
    figures["forecast_usd"] = round(float(last.get("forecast_usd", 0.0)), 6)
    for name in ("budget_usd", "stake_usd", "interval_s", "interval_stretch", "interval_now_s"):
        figures[name] = last.get(name, 0.0)
    idle = [status.get("idle_s", {}) for status in treasuries]
    figures["idle_s"] = {
        purpose: {why: round(waited_s, 1) for why, waited_s in _added(idle, purpose).items()} for purpose in PURPOSES
    }
    figures["models"] = models = {name: _model(name, treasuries) for name in last.get("models", {})}
    # Of this run, as settled; `cost_usd` is the day's, with what a crash left reserved.
    figures["paid_usd"] = round(sum(row["paid_usd"] for row in models.values()), 6)
    figures["faults"] = _added(list(models.values()), "faults")
    figures["refused"] = next((str(status["refused"]) for status in members if status.get("refused")), "")
    figures["relay_faults"] = dict(relay.get("faults", {}))
    figures["scorecard"] = dict(last.get("scorecard", {}))
    return figures


def operator_lines(members: Sequence[Status], treasury: Status) -> list[str]:
    """Why models are asked no more, for an operator to hear once."""
    lines = [f"no model is asked: {status['refused']}" for status in members[:1] if status.get("refused")]
    for name, row in treasury.get("models", {}).items():
        if row["stopped"]:
            lines.append(f"{name} is asked no more: {row['stopped']}")
    for purpose, waits in treasury.get("idle_s", {}).items():
        if BUDGET_SPENT in waits:
            lines.append(f"the day's money does not reach for another {purpose} call; quotes go on without its answer")
    return lines


def _model(name: str, treasuries: Sequence[Status]) -> dict[str, Any]:
    rows = [status["models"][name] for status in treasuries if name in status.get("models", {})]
    return {
        **rows[-1],
        **{count: sum(row[count] for row in rows) for count in MODEL_COUNTS},
        "faults": {fault: int(count) for fault, count in _added(rows, "faults").items()},
    }


def _added(rows: Sequence[Status], name: str) -> dict[str, float]:
    return merge_counts([row.get(name, {}) for row in rows])


def _numbers(row: Status) -> dict[str, float]:
    return {name: value for name, value in row.items() if isinstance(value, int | float)}
