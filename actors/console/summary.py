"""`summary.json`: what a run was, in figures a script can rely on. Names are a contract: extend, never rename."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec

# Figures that must be zero after every run; anything else makes the run a failure (exit code 1).
ZERO_LINES = (
    "risk.lease_overrun_usd_max",
    "feed.gaps_unexplained",
    "feed.unparsed",
    "reconcile.position_mismatch_count",
    "reconcile.orphan_orders_count",
    "reconcile.lost_fills_count",
)
# The identity of pnl closes to the cent; below that it is the rounding of this file.
RESIDUAL_USD_MAX = 0.005
LATENCIES = ("frame_to_quote", "frame_to_order", "feed_lag", "pacer_wait", "order_to_ack", "ray_call")
# A symbol counts as quoting when both sides stood this share of the time.
TWO_SIDED_SHARE = 0.9


class RunFacts(msgspec.Struct, frozen=True):
    """What the supervisor collected; `build_summary` only arranges and adds up."""

    run_id: str
    mode: str
    venues: tuple[str, ...]
    symbols: tuple[str, ...]
    seed: int
    duration_s: float
    startup: Mapping[str, float]
    two_sided_share: Mapping[str, float]  # per symbol, after all quote
    orders: Mapping[str, int]
    fills_by_symbol: Mapping[str, int]
    pnl: Mapping[str, Decimal]  # net, spread_capture, inventory, fees, funding; stock, a part of inventory
    risk: Mapping[str, Any]
    latency_us: Mapping[str, Mapping[str, float]]
    cpu_share: Mapping[str, Any]
    feed: Mapping[str, float]
    llm: Mapping[str, Any]
    reconcile: Mapping[str, int]
    markout_bps: Mapping[str, float]  # None in the summary where no fill is old enough
    memory_mb: Mapping[str, float]
    restarts: Mapping[str, int]
    reasons: Mapping[str, Any] = {}  # symbol -> venue, and for each side the share of looks at each reason's code
    saturated: bool = False  # the machine was above 80 % CPU: latencies are not the software's alone
    orders_alive: tuple[str, ...] = ()  # possibly still live after the stop; must be empty
    audit: Mapping[str, str] = {}  # result: equal | differs | not read; why: of what was not read


def build_summary(facts: RunFacts) -> dict[str, Any]:
    """Return the contract's dictionary. Money is rounded to a hundredth of a cent, shares to four digits."""
    shares = [facts.two_sided_share.get(symbol, 0.0) for symbol in facts.symbols]
    parts = ("spread_capture", "inventory", "fees", "funding")
    pnl = {name: facts.pnl.get(name, Decimal(0)) for name in ("net", *parts)}
    residual = pnl["net"] - (pnl["spread_capture"] + pnl["inventory"] - pnl["fees"] + pnl["funding"])
    return {
        "run_id": facts.run_id,
        "mode": facts.mode,
        "venues": list(facts.venues),
        "symbols_count": len(facts.symbols),
        "symbols_quoting_count": sum(share >= TWO_SIDED_SHARE for share in shares),
        "two_sided_share": {
            "min": round(min(shares, default=0.0), 4),
            "median": round(statistics.median(shares), 4) if shares else 0.0,
        },
        "duration_s": round(facts.duration_s, 3),
        "seed": facts.seed,
        "startup": {name: facts.startup.get(name) for name in ("ray_ready_s", "first_quote_s", "all_quoting_s")},
        "orders": {
            name: facts.orders.get(name, 0)
            for name in ("placed", "acked", "replaced", "cancelled", "rejected", "filled")
        },
        "fills_count": sum(facts.fills_by_symbol.values()),
        "symbols_filled_count": sum(count > 0 for count in facts.fills_by_symbol.values()),
        "pnl": {
            **{f"{name}_usd": _usd(value) for name, value in pnl.items()},
            "residual_usd": _usd(residual),
            "stock_usd": _usd(facts.pnl.get("stock", Decimal(0))),  # of inventory: price moves of starting coins
        },
        "risk": dict(facts.risk),
        "latency_us": {name: _latency(facts.latency_us.get(name)) for name in LATENCIES},
        "saturated": facts.saturated,
        "cpu_share": dict(facts.cpu_share),
        "feed": dict(facts.feed),
        "llm": dict(facts.llm),
        "reconcile": dict(facts.reconcile),
        "markout_bps": {
            name: None if (value := facts.markout_bps.get(name)) is None else round(value, 4)
            for name in ("1s", "5s", "30s")
        },
        "reasons": dict(facts.reasons),
        "memory_mb": {name: round(value, 1) for name, value in facts.memory_mb.items()},
        "restarts": dict(facts.restarts),
        "orders_alive": list(facts.orders_alive),
        "audit": dict(facts.audit),
    }


def failures(summary: Mapping[str, Any]) -> list[str]:
    """Every line that must be zero and is not, as an operator would read it; empty for a good run."""
    found = [f"{path} = {value}" for path in ZERO_LINES if (value := _at(summary, path))]
    residual = _at(summary, "pnl.residual_usd")
    if residual is not None and abs(residual) > RESIDUAL_USD_MAX:
        found.append(f"pnl.residual_usd = {residual}")
    if summary["orders_alive"]:
        found.append(f"orders possibly alive: {', '.join(summary['orders_alive'])}")
    return found


def merge_counts(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Add up dictionaries of counters."""
    total: dict[str, float] = {}
    for row in rows:
        for name, value in row.items():
            total[name] = total.get(name, 0) + value
    return total


def _latency(figures: Mapping[str, float] | None) -> dict[str, float]:
    return {name: (figures or {}).get(name, 0) for name in ("p50", "p90", "p99", "max", "count")}


def _usd(value: Decimal) -> float:
    return float(round(value, 4))


def _at(summary: Mapping[str, Any], path: str) -> Any:
    value: Any = summary
    for part in path.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value
