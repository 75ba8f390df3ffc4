"""The page: complete without a network, honest about what must be zero, and safe against names with markup."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from actors.console.report import RunRecord, compare, render_comparison, render_report
from actors.console.report_charts import Sample, equity, spread_and_latency
from actors.console.series import SymbolSample
from actors.console.summary import RunFacts, build_summary
from actors.risk.markouts import FillTrace


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


def record(
    *gross_usd: float,
    restarts: dict[str, int] | None = None,
    fills: Sequence[FillTrace] = (),
    series: Sequence[SymbolSample] = (),
) -> RunRecord:
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
    return RunRecord(build_summary(facts), samples(*gross_usd), rows, fills, series)


def page(*gross_usd: float, failed: tuple[str, ...] = (), restarts: dict[str, int] | None = None) -> str:
    return render_report(record(*gross_usd, restarts=restarts), failed)


def bought(**changes: float) -> FillTrace:
    """Two at 99.98 with the mid at 100; after five seconds it had come down by three bps."""
    fields = {"price": 99.98, "size": 2.0, "mid": 100.0, "imbalance": -0.9, "position": 2.0, "fee_usd": 0.04}
    return FillTrace("v", "BTCUSDT", 0, 1, maker=True, markout_5s_bps=-3.0, **(fields | changes))


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


def test_capture_is_split_into_what_was_kept_and_what_the_mid_took_back() -> None:
    text = render_report(record(10.0, fills=[bought()]))

    assert "taken back by the mid within 5 s of a fill<td class=n>-0.0600" in text
    assert "positions held longer<td class=n>+0.0600" in text  # all of inventory is 0
    assert "capture left after 5 s, before fees<b>+0.44 USD" in text  # of 0.5 captured
    assert "book against us" in text
    assert "+2.00" in text


def test_a_symbol_shows_how_it_was_quoted_beside_the_market() -> None:
    series = [SymbolSample(float(at), "BTCUSDT", 100.0, 50.0, 0.0, 5.5, 0.4) for at in range(3)]

    text = render_report(record(10.0, series=series))

    assert "<th>spread bps mean<th>market spread bps mean" in text
    assert "5.5000" in text
    assert '"name":"BTCUSDT"' in text


def test_a_long_run_is_drawn_in_hours() -> None:
    day = [msgspec.structs.replace(one, at_s=43_200.0 * one.at_s) for one in samples(10.0, 20.0, 30.0)]

    assert [list(equity(run).data[0].x) for run in (samples(10.0, 20.0), day)] == [[0.0, 1.0], [0.0, 12.0, 24.0]]
    assert [equity(run).layout.xaxis.title.text for run in (samples(10.0), day)] == ["seconds", "hours"]


def test_latency_is_not_drawn_where_none_was_measured() -> None:
    played = [msgspec.structs.replace(one, frame_to_order_p50_us=0.0) for one in samples(10.0, 20.0)]

    assert [len(spread_and_latency(run).data) for run in (samples(10.0, 20.0), played)] == [3, 1]


def test_runs_are_compared_line_by_line() -> None:
    runs = [record(10.0), record(10.0, 20.0, fills=[bought()])]

    lines = dict(compare(runs))

    assert lines["net = change of the venue's equity at mark, USD"] == ["+0.5000", "+0.5000"]
    assert lines["capture left after 5 s, before fees"] == ["–", "+0.44 USD"]
    assert "Runs side by side" in render_comparison(runs)
