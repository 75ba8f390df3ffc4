"""`report.html`: pages a reader can open without a network, of one run or of several side by side."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import plotly.graph_objects as go

from actors.console import report_charts as charts
from actors.console.performance import MarkoutRow, adverse_usd, half_life, markout_rows, max_drawdown, sharpe
from actors.console.report_charts import Sample
from actors.console.report_models import model_sections
from actors.console.report_tables import rows_table
from actors.console.series import SymbolSample, all_stats, interval_s
from actors.risk.markouts import HORIZONS_S, FillTrace

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 1180px; padding: 0 1rem; color: #1c2330 }
h1 { font-size: 1.5rem; margin-bottom: 0 } h2 { font-size: 1.1rem; margin: 2rem 0 .4rem }
h3 { font-size: 1rem; margin: 1.2rem 0 .3rem }
table { border-collapse: collapse; font-variant-numeric: tabular-nums } th { text-align: left; font-weight: 600 }
td, th { padding: .15rem .9rem .15rem 0; border-bottom: 1px solid #e5e8ee } td.n { text-align: right }
.tiles { display: flex; flex-wrap: wrap; gap: .8rem; margin: 1rem 0 } .wide { overflow-x: auto }
.tile { background: #f4f6fa; border-radius: .5rem; padding: .6rem 1rem } .tile b { display: block; font-size: 1.25rem }
.bad { color: #b3261e } .muted { color: #667 }
"""
MONEY_CENTS = ("turnover_usd", "position_usd", "position_usd_max", "markout_5s_bps", "half_life_s")
ADVERSE_HORIZON_S = 5  # capture is split at this horizon: what is kept, and what the mid took back
SHARPE_S_MIN = 3_600  # a yearly ratio of a minute says nothing


class RunRecord(msgspec.Struct, frozen=True):
    """All that a report is made of."""

    summary: Mapping[str, Any]
    samples: Sequence[Sample]
    symbols: Sequence[Mapping[str, Any]]  # rows of name, fills, net and its parts
    fills: Sequence[FillTrace] = ()
    series: Sequence[SymbolSample] = ()
    folder: str = ""  # what its owner calls it

    @property
    def name(self) -> str:
        return self.folder or str(self.summary["run_id"])


def render_report(run: RunRecord, failed: Sequence[str] = ()) -> str:
    """Return the page of one run; `failed` are the lines that should be zero and are not."""
    summary, marks = run.summary, markout_rows(run.fills)
    sections = [
        _head(summary, failed),
        _tiles(_facts(run)),
        _figure(charts.equity(run.samples), first=True),
        "<h2>Where the money came from</h2>",
        _pnl_table(run),
        _figure(charts.exposure(run.samples, summary)),
        _figure(charts.positions(run.series)) if run.series else "",
        _figure(charts.spread_and_latency(run.samples)),
    ]
    if run.fills:
        sections += [
            _figure(charts.markouts(marks)),
            "<h2>Fills by side, and by where the book leaned</h2>",
            _markouts_table(marks),
        ]
    sections += [
        "<h2>Symbols, by contribution</h2>",
        f"<div class=wide>{rows_table(_symbol_rows(run), cents=MONEY_CENTS)}</div>",
        "<h2>Language models</h2>",
        *model_sections(summary["llm"], net_usd=summary["pnl"]["net_usd"]),
        "<h2>All figures</h2><pre class=muted>",
        html.escape(msgspec.json.format(msgspec.json.encode(dict(summary))).decode()),
        "</pre>",
    ]
    return _page(f"Manta run {run.name}", sections)


def render_comparison(runs: Sequence[RunRecord]) -> str:
    """Return one page with several runs side by side, in the order given."""
    table = compare(runs)
    head = "".join(f"<th>{html.escape(run.name)}" for run in runs)
    body = "".join(
        f"<tr><td>{html.escape(name)}" + "".join(f"<td class=n>{html.escape(text)}" for text in texts)
        for name, texts in table
    )
    sections = [
        "<h1>Runs side by side</h1>",
        f"<div class=wide><table><tr><th>{head}{body}</table></div>",
        _figure(charts.equities({run.name: run.samples for run in runs}), first=True),
    ]
    for run in runs:
        if run.fills:
            figure = charts.markouts(markout_rows(run.fills))
            figure.update_layout(title=f"{run.name}: {figure.layout.title.text}")
            sections.append(_figure(figure))
    return _page("Manta runs", sections)


def compare(runs: Sequence[RunRecord]) -> list[tuple[str, list[str]]]:
    """Lines of (name, one text a run): what a reader compares first."""
    columns = [
        {
            "mode": str(run.summary["mode"]),
            "symbols": f"{run.summary['symbols_count']}",
            "seconds": f"{run.summary['duration_s']:,.0f}",
            **{f"{name}, USD": f"{value:+,.4f}" for name, value in _parts(run)},
            **dict(_facts(run)),
        }
        for run in runs
    ]
    names = list(dict.fromkeys(name for column in columns for name in column))
    return [(name, [column.get(name, "–") for column in columns]) for name in names]


# --- one run -----------------------------------------------------------------------------------------------------


def _head(summary: Mapping[str, Any], failed: Sequence[str]) -> str:
    alarm = "".join(f"<p class=bad>must be zero: {html.escape(line)}</p>" for line in failed)
    restarts = ", ".join(f"{role} {count}×" for role, count in summary["restarts"].items())
    if restarts:
        alarm += f"<p class=muted>Restarted on the way: {html.escape(restarts)}</p>"
    if summary["saturated"]:
        alarm += "<p class=muted>The machine was above 80 % CPU: latencies are not the software's alone.</p>"
    return (
        f"<h1>Run {html.escape(str(summary['run_id']))}</h1>"
        f"<p class=muted>{html.escape(summary['mode'])} on {html.escape(', '.join(summary['venues']))}, "
        f"{summary['duration_s']:.0f} s, seed {summary['seed']}</p>{alarm}"
    )


def _facts(run: RunRecord) -> list[tuple[str, str]]:
    """The figures at the top, as (name, text)."""
    summary = run.summary
    orders, latency = summary["orders"], summary["latency_us"]["frame_to_order"]
    measured = f"{latency['p50'] / 1000:.2f} / {latency['p99'] / 1000:.1f} ms" if latency["count"] else "–"
    kept = summary["pnl"]["spread_capture_usd"] + adverse_usd(run.fills, ADVERSE_HORIZON_S)
    spacing = interval_s([one.at_s for one in run.samples])
    curve = [one.net_usd for one in run.samples]
    ratio = sharpe(curve, interval_s=spacing) if spacing * len(curve) >= SHARPE_S_MIN else None
    held = half_life([one.net_exposure_usd for one in run.samples], interval_s=spacing)
    return [
        ("net", f"{summary['pnl']['net_usd']:+.2f} USD"),
        ("largest drawdown", f"{max_drawdown(curve):.2f} USD"),
        (f"Sharpe a year, from {spacing:.0f} s samples", "– (needs an hour)" if ratio is None else f"{ratio:,.1f}"),
        ("half-life of the net position", "–" if held is None else f"{held:,.0f} s"),
        ("quoting", f"{summary['symbols_quoting_count']} of {summary['symbols_count']}"),
        ("two-sided, median", f"{summary['two_sided_share']['median']:.1%}"),
        ("fills", f"{summary['fills_count']} in {summary['symbols_filled_count']} symbols"),
        ("orders placed / replaced", f"{orders['placed']} / {orders['replaced']}"),
        (f"capture left after {ADVERSE_HORIZON_S} s, before fees", f"{kept:+,.2f} USD" if run.fills else "–"),
        ("fills an order placed", f"{summary['fills_count'] / orders['placed']:.2f}" if orders["placed"] else "–"),
        ("frame → order, p50 / p99", measured),
        ("risk", str(summary["risk"].get("state", ""))),
    ]


def _tiles(facts: Sequence[tuple[str, str]]) -> str:
    body = "".join(f"<div class=tile>{html.escape(name)}<b>{html.escape(text)}</b></div>" for name, text in facts)
    return f"<div class=tiles>{body}</div>"


def _parts(run: RunRecord) -> list[tuple[str, float]]:
    """Net and what it is made of; the lines that begin with "of it" are inside the one above."""
    pnl = run.summary["pnl"]
    taken, stock = adverse_usd(run.fills, ADVERSE_HORIZON_S), pnl.get("stock_usd", 0.0)
    return [
        ("spread capture", pnl["spread_capture_usd"]),
        ("inventory", pnl["inventory_usd"]),
        (f"of it, taken back by the mid within {ADVERSE_HORIZON_S} s of a fill", taken),
        ("of it, positions held longer", pnl["inventory_usd"] - taken - stock),
        ("of it, price moves of starting coins", stock),
        ("fees", -pnl["fees_usd"]),
        ("funding", pnl["funding_usd"]),
        ("residual", pnl["residual_usd"]),
        ("net = change of the venue's equity at mark", pnl["net_usd"]),
    ]


def _pnl_table(run: RunRecord) -> str:
    body = "".join(f"<tr><td>{html.escape(name)}<td class=n>{value:+,.4f}" for name, value in _parts(run))
    note = (
        "<p class=muted>Capture is measured at the fill against the mid; what the mid takes back afterwards is adverse "
        'selection. Lines that begin with "of it" add up to the inventory.</p>'
    )
    return f"<table><tr><th>part<th>USD{body}</table>{note if run.fills else ''}"


def _markouts_table(rows: Sequence[MarkoutRow]) -> str:
    head = "".join(f"<th>{horizon} s" for horizon in HORIZONS_S)
    body = "".join(
        f"<tr><td>{row.side}<td>{row.bucket}<td class=n>{row.fills_count:,}<td class=n>{row.notional_usd:,.0f}"
        + _bps(row.edge_bps)
        + "".join(_bps(after) for after in row.after_bps)
        + "".join(_bps(kept) for kept in row.kept_bps)
        for row in rows
    )
    return (
        f"<table><tr><th>side<th>book<th>fills<th>USD<th>edge, bps<th colspan={len(HORIZONS_S)}>mid since, bps"
        f"<th colspan={len(HORIZONS_S)}>kept, bps<tr><th><th><th><th><th>{head}{head}{body}</table>"
    )


def _bps(value: float | None) -> str:
    return "<td class=n>–" if value is None else f"<td class=n>{value:+.2f}"


def _symbol_rows(run: RunRecord) -> list[dict[str, Any]]:
    """Rows by contribution, with what the series knows of each symbol."""
    known = all_stats(run.series)
    rows = []
    for row in sorted(run.symbols, key=lambda row: -float(row.get("net_usd", 0.0))):
        one = known.get(str(row["symbol"]))
        more = {} if one is None else msgspec.structs.asdict(one)
        rows.append({**row, **{name: "" if value is None else value for name, value in more.items()}})
    return rows


# --- pages -------------------------------------------------------------------------------------------------------


def _page(title: str, sections: Sequence[str]) -> str:
    head = f"<!doctype html><html lang=en><meta charset=utf-8><title>{html.escape(title)}</title><style>{STYLE}</style>"
    return "\n".join([head, *sections, "</html>"])


def _figure(figure: go.Figure, *, first: bool = False) -> str:
    """A chart as a fragment; the first carries the library, so that the page needs no network."""
    config = {"displaylogo": False, "displayModeBar": "hover", "responsive": True}
    return str(figure.to_html(full_html=False, include_plotlyjs="inline" if first else False, config=config))
