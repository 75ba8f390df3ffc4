"""The summary adds up, and a line that must be zero is noticed."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from actors.console.summary import RunFacts, build_summary, failures

GOOD = RunFacts(
    run_id="r",
    mode="sim",
    venues=("binance_perp",),
    symbols=("A", "B", "C"),
    seed=1,
    duration_s=60.0,
    startup={"ray_ready_s": 4.0, "first_quote_s": 8.0, "all_quoting_s": 20.0},
    two_sided_share={"A": 0.99, "B": 0.91, "C": 0.5},
    orders={"placed": 10, "acked": 9},
    fills_by_symbol={"A": 2, "B": 0},
    pnl={
        "net": Decimal("0.5"),
        "spread_capture": Decimal("2"),
        "inventory": Decimal("-1"),
        "fees": Decimal("0.4"),
        "funding": Decimal("-0.1"),
    },
    risk={"state": "NORMAL", "lease_overrun_usd_max": 0.0},
    latency_us={"frame_to_order": {"p50": 700, "p90": 900, "p99": 2000, "max": 9000, "count": 100}},
    cpu_share={"total": 0.5},
    feed={"gaps_unexplained": 0, "unparsed": 0},
    llm={},
    reconcile={"position_mismatch_count": 0, "orphan_orders_count": 0, "lost_fills_count": 0},
    markout_bps={"5s": -0.4},
    memory_mb={"total_pss": 100.0},
    restarts={},
)


def test_parts_of_pnl_sum_to_net() -> None:
    summary = build_summary(GOOD)
    assert summary["pnl"] == {
        "net_usd": 0.5,
        "spread_capture_usd": 2.0,
        "inventory_usd": -1.0,
        "fees_usd": 0.4,
        "funding_usd": -0.1,
        "residual_usd": 0.0,
        "stock_usd": 0.0,
    }
    assert failures(summary) == []


def test_every_markout_is_there_with_null_where_nothing_was_measured() -> None:
    assert build_summary(GOOD)["markout_bps"] == {"1s": None, "5s": -0.4, "30s": None}


def test_quoting_means_both_sides_nine_tenths_of_the_time() -> None:
    summary = build_summary(GOOD)
    assert (summary["symbols_count"], summary["symbols_quoting_count"]) == (3, 2)
    assert summary["two_sided_share"] == {"min": 0.5, "median": 0.91}
    assert (summary["fills_count"], summary["symbols_filled_count"]) == (2, 1)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"risk": {"lease_overrun_usd_max": 0.01}}, "risk.lease_overrun_usd_max = 0.01"),
        ({"feed": {"gaps_unexplained": 1}}, "feed.gaps_unexplained = 1"),
        ({"reconcile": {"lost_fills_count": 2}}, "reconcile.lost_fills_count = 2"),
        ({"pnl": {"net": Decimal("0.02")}}, "pnl.residual_usd = 0.02"),
        ({"orders_alive": ("mnt-1",)}, "orders possibly alive: mnt-1"),
    ],
)
def test_what_must_be_zero_is_noticed(change: dict[str, Any], said: str) -> None:
    assert failures(build_summary(msgspec.structs.replace(GOOD, **change))) == [said]
