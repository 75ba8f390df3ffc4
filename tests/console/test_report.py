"""The page: complete without a network, honest about what must be zero, and safe against names with markup."""

from __future__ import annotations

from decimal import Decimal

from actors.console.report import Sample, render_report
from actors.console.summary import RunFacts, build_summary


def samples(*gross_usd: float) -> list[Sample]:
    return [
        Sample(
            at_s=float(at),
            net_usd=0.1 * at,
            spread_capture_usd=0.2 * at,
            inventory_usd=0.0,
            fees_usd=0.1 * at,
            gross_usd=gross,
            net_exposure_usd=0.0,
            quoting_count=1,
            spread_bps=5.0,
            frame_to_order_p50_us=800.0,
            frame_to_order_p99_us=5_000.0,
            orders_open=2,
        )
        for at, gross in enumerate(gross_usd)
    ]


def page(*gross_usd: float, failed: tuple[str, ...] = (), restarts: dict[str, int] | None = None) -> str:
    facts = RunFacts(
        run_id="20260101-000000-<b>",
        mode="sim",
        venues=("binance_perp",),
        symbols=("BTCUSDT",),
        seed=1,
        duration_s=10.0,
        startup={},
        two_sided_share={"BTCUSDT": 1.0},
        orders={},
        fills_by_symbol={"BTCUSDT": 2},
        pnl={"net": Decimal("0.5"), "spread_capture": Decimal("0.5")},
        risk={"state": "NORMAL", "gross_limit_usd": 1_000.0},
        latency_us={},
        cpu_share={},
        feed={},
        llm={},
        reconcile={},
        markout_bps={"1s": -0.5},
        memory_mb={},
        restarts=restarts or {},
    )
    rows = [{"symbol": "BTCUSDT", "fills": 2, "net_usd": 0.5, "turnover_usd": 1_234.5678}]
    return render_report(build_summary(facts), samples(*gross_usd), rows, failed)


def test_the_page_carries_its_chart_library_and_asks_no_network() -> None:
    text = page(10.0, 20.0)
    assert "Plotly.newPlot" in text
    assert "<script src=" not in text
    assert "<link" not in text


def test_a_name_with_markup_stays_text() -> None:
    assert "20260101-000000-&lt;b&gt;" in page(10.0)
    assert "-<b>" not in page(10.0)


def test_what_must_be_zero_is_said_at_the_top() -> None:
    text = page(10.0, failed=("reconcile.lost_fills_count = 1",), restarts={"risk": 2})
    assert "must be zero: reconcile.lost_fills_count = 1" in text
    assert "Restarted on the way: risk 2×" in text


def test_a_limit_is_drawn_only_where_it_does_not_flatten_the_curves() -> None:
    assert ">gross limit<" not in page(10.0)
    assert '"gross limit"' not in page(10.0)
    assert '"gross limit"' in page(900.0)
    assert "at most 90% used" in page(900.0)


def test_sums_are_shown_to_the_cent() -> None:
    assert "1,234.57" in page(10.0)


def test_a_run_that_never_quoted_still_has_a_page() -> None:
    assert "Where the money came from" in page()
