"""What the summary is made of, when actors die on the way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from actors.console.summary import RunFacts
from actors.transport.meters import Histogram
from actors.vocab.config import FleetSettings
from pipelines.figures import SAMPLES_MAX, Figures
from pipelines.plan import RunPlan


@pytest.fixture
def figures() -> Figures:
    plan = RunPlan(
        run_id="run-1",
        mode="sim",
        symbols=("BTCUSDT",),
        venues=("binance_perp",),
        settings=FleetSettings(),
        run_dir=Path("/nowhere"),
        account="demo",
        seed=1,
    )
    return Figures(plan, dashboard="")


def facts_of(figures: Figures) -> RunFacts:
    return figures.facts(
        duration_s=10.0,
        startup={},
        ray_call=Histogram(),
        cpu_share=0.5,
        ray_pss_mb=0.0,
        audit=None,
        orders_alive=(),
    )


def gateway(life: int, placed: int, mismatches: int, waits_us: int) -> dict[str, Any]:
    histogram = Histogram()
    histogram.record(waits_us)
    return {
        "incarnation": f"gateway@{life}",
        "orders": {"placed": placed},
        "reconcile": {"position_mismatch_count": mismatches},
        "histograms": {"order_to_ack": histogram.encode()},
    }


def risk(life: int, lost_fills: int, **figures: float) -> dict[str, Any]:
    return {"incarnation": f"risk@{life}", "risk": figures, "reconcile": {"lost_fills_count": lost_fills}}


def test_what_a_dead_gateway_has_done_is_counted(figures: Figures) -> None:
    figures.take({"gateway:binance_perp": gateway(1, 2, 0, 100)})
    figures.take({"gateway:binance_perp": gateway(1, 7, 1, 100)})
    figures.take({"gateway:binance_perp": gateway(2, 3, 0, 100)})

    facts = facts_of(figures)
    assert facts.orders == {"placed": 10}
    assert facts.reconcile["position_mismatch_count"] == 1
    assert facts.latency_us["order_to_ack"]["count"] == 2


def test_highest_and_counted_figures_of_risk_are_of_all_its_lives(figures: Figures) -> None:
    figures.take({"risk": risk(1, 2, lease_overrun_usd_max=5.0, breaches_count=1, gross_usd_now=70.0)})
    figures.take({"risk": risk(2, 0, lease_overrun_usd_max=0.0, breaches_count=1, gross_usd_now=10.0)})

    facts = facts_of(figures)
    assert facts.risk == {"lease_overrun_usd_max": 5.0, "breaches_count": 2, "gross_usd_now": 10.0}
    assert facts.reconcile["lost_fills_count"] == 0  # what the dead one was waiting for, its heir has or waits for


def test_frames_a_second_are_of_the_time_in_which_all_quote(figures: Figures) -> None:
    figures.take({"feed:binance_perp:0": {"incarnation": "feed@1", "counters": {"frames": 50_000}}})
    figures.start_counting()
    figures.take({"feed:binance_perp:0": {"incarnation": "feed@1", "counters": {"frames": 60_000}}})
    figures.take({"feed:binance_perp:0": {"incarnation": "feed@2", "counters": {"frames": 5_000}}})
    figures.stop_counting()
    figures.take({"feed:binance_perp:0": {"incarnation": "feed@2", "counters": {"frames": 9_000}}})

    feed = facts_of(figures).feed
    assert (feed["frames"], feed["frames_per_s"]) == (69_000, 1_500.0)


def test_latencies_are_of_the_time_in_which_all_quote(figures: Figures) -> None:
    figures.take({"gateway:binance_perp": gateway(1, 1, 0, 90_000)})
    figures.start_counting()
    figures.take({"gateway:binance_perp": gateway(2, 1, 0, 100)})

    assert facts_of(figures).latency_us["order_to_ack"] == {"p50": 100, "p90": 100, "p99": 100, "max": 100, "count": 1}


def test_a_day_of_samples_is_thinned(figures: Figures) -> None:
    for second in range(SAMPLES_MAX + 2):
        figures.sample(float(second))
    samples = figures.record({}, (), 1.0).samples
    assert len(samples) <= SAMPLES_MAX / 2 + 2
    assert [one.at_s for one in samples[:3]] == [0.0, 2.0, 4.0]


def test_a_symbol_at_two_venues_is_one_symbol_and_both_its_fills(figures: Figures) -> None:
    def quote(venue: str, position_usd: float, two_sided_ns: int) -> dict[str, Any]:
        sides = {
            f"{side}_{what}": text
            for side in ("bid", "ask")
            for what, text in (("code", "QUOTING"), ("reason", ""), ("price", "1"))
        }
        return sides | {
            "venue": venue,
            "two_sided": True,
            "first_quote_ns": 1,
            "two_sided_ns": two_sided_ns,
            "position_usd": position_usd,
            "fair": 1.0,
            "spread_bps": 1.0,
            "market_spread_bps": 1.0,
        }

    def money(venue: str, fills_count: int, net_usd: float) -> dict[str, Any]:
        parts = dict.fromkeys(("spread_capture_usd", "inventory_usd", "fees_usd", "funding_usd", "turnover_usd"), 0.0)
        return parts | {
            "venue": venue,
            "symbol": "BTCUSDT",
            "fills_count": fills_count,
            "net_usd": net_usd,
            "markout_bps": {},
            "position_usd": 0.0,
        }

    for ns in (0, 10**9):
        symbols = {"BTCUSDT": quote("perp", 5.0, ns), "BTCUSDT@spot": quote("spot", -3.0, 2 * ns)}
        figures.take({"quote:BTCUSDT": {"symbols": symbols}})
        if not ns:
            figures.start_counting()
    figures.take({"risk": {"symbols": [money("perp", 2, 1.0), money("spot", 3, 7.0)]}})

    assert (figures.quoted_count(), figures.quoting_count()) == (1, 1)
    figures.sample(1.0)
    record = figures.record({}, (), 10.0)
    assert [(one.symbol, one.net_usd) for one in record.series] == [("BTCUSDT", 1.0), ("BTCUSDT@spot", 7.0)]
    assert [(row["symbol"], row["two_sided_share"]) for row in record.symbols] == [
        ("BTCUSDT", 0.1),
        ("BTCUSDT@spot", 0.2),
    ]
    told = facts_of(figures)
    assert (told.fills_by_symbol, told.two_sided_share) == ({"BTCUSDT": 5}, {"BTCUSDT": 0.1})
