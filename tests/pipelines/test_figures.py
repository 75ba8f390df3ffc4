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

    feed = facts_of(figures).feed
    assert (feed["frames"], feed["frames_per_s"]) == (65_000, 1_500.0)


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
