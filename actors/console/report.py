"""`report.html`: one page a reader can open without a network, made of a run's summary and its samples."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import plotly.graph_objects as go
from plotly.subplots import make_subplots

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 1180px; padding: 0 1rem; color: #1c2330 }
h1 { font-size: 1.5rem; margin-bottom: 0 } h2 { font-size: 1.1rem; margin: 2rem 0 .4rem }
table { border-collapse: collapse; font-variant-numeric: tabular-nums } th { text-align: left; font-weight: 600 }
td, th { padding: .15rem .9rem .15rem 0; border-bottom: 1px solid #e5e8ee } td.n { text-align: right }
.tiles { display: flex; flex-wrap: wrap; gap: .8rem; margin: 1rem 0 }
.tile { background: #f4f6fa; border-radius: .5rem; padding: .6rem 1rem } .tile b { display: block; font-size: 1.25rem }
.bad { color: #b3261e } .muted { color: #667 }
"""
LINE = {"width": 1.5}
# A limit this far above what was used would flatten every curve below it; then it is said, not drawn.
LIMIT_DRAWN_SHARE = 0.25
MONEY_CENTS = ("turnover_usd", "position_usd", "markout_5s_bps")  # columns that need no hundredths of a cent


class Sample(msgspec.Struct, frozen=True):
    """The fleet at one moment, every second or two."""

    at_s: float
    net_usd: float
    spread_capture_usd: float
    inventory_usd: float
    fees_usd: float
    gross_usd: float
    net_exposure_usd: float
    quoting_count: int
    spread_bps: float  # median over symbols of our quoted spread
    frame_to_order_p50_us: float
    frame_to_order_p99_us: float
    orders_open: int


def render_report(
    summary: Mapping[str, Any], samples: Sequence[Sample], symbols: Sequence[Mapping[str, Any]], failed: Sequence[str]
) -> str:
    """Return the page. `symbols` are rows of name, fills, net and its parts; `failed` the lines that are not zero."""
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8>",
        f"<title>Manta run {html.escape(str(summary['run_id']))}</title><style>{STYLE}</style>",
        _head(summary, failed),
        _figure(_equity(samples), first=True),
        _figure(_exposure(samples, summary)),
        _figure(_spread_and_latency(samples)),
        _figure(_markouts(summary)),
        "<h2>Where the money came from</h2>",
        _pnl_table(summary),
        "<h2>Symbols, by contribution</h2>",
        _symbols_table(symbols),
        "<h2>All figures</h2><pre class=muted>",
        html.escape(msgspec.json.format(msgspec.json.encode(dict(summary))).decode()),
        "</pre></html>",
    ]
    return "\n".join(parts)


def _head(summary: Mapping[str, Any], failed: Sequence[str]) -> str:
    orders, latency = summary["orders"], summary["latency_us"]["frame_to_order"]
    tiles = [
        ("net", f"{summary['pnl']['net_usd']:+.2f} USD"),
        ("quoting", f"{summary['symbols_quoting_count']} of {summary['symbols_count']}"),
        ("two-sided, median", f"{summary['two_sided_share']['median']:.1%}"),
        ("fills", f"{summary['fills_count']} in {summary['symbols_filled_count']} symbols"),
        ("orders placed / replaced", f"{orders['placed']} / {orders['replaced']}"),
        ("frame → order, p50 / p99", f"{latency['p50'] / 1000:.2f} / {latency['p99'] / 1000:.1f} ms"),
        ("risk", str(summary["risk"].get("state", ""))),
    ]
    body = "".join(f"<div class=tile>{html.escape(name)}<b>{html.escape(text)}</b></div>" for name, text in tiles)
    alarm = "".join(f"<p class=bad>must be zero: {html.escape(line)}</p>" for line in failed)
    restarts = ", ".join(f"{role} {count}×" for role, count in summary["restarts"].items())
    if restarts:
        alarm += f"<p class=muted>Restarted on the way: {html.escape(restarts)}</p>"
    note = "<p class=muted>The machine was above 80 % CPU: latencies are not the software's alone.</p>"
    return (
        f"<h1>Run {html.escape(str(summary['run_id']))}</h1>"
        f"<p class=muted>{html.escape(summary['mode'])} on {html.escape(', '.join(summary['venues']))}, "
        f"{summary['duration_s']:.0f} s, seed {summary['seed']}</p>{alarm}"
        f"<div class=tiles>{body}</div>{note if summary['saturated'] else ''}"
    )


def _equity(samples: Sequence[Sample]) -> go.Figure:
    figure = go.Figure()
    for name, title in (
        ("net_usd", "net"),
        ("spread_capture_usd", "spread capture"),
        ("inventory_usd", "inventory"),
        ("fees_usd", "fees (paid)"),
    ):
        figure.add_scatter(x=_times(samples), y=[getattr(one, name) for one in samples], name=title, line=LINE)
    return _titled(figure, "Equity and its parts", "USD")


def _exposure(samples: Sequence[Sample], summary: Mapping[str, Any]) -> go.Figure:
    figure = go.Figure()
    figure.add_scatter(x=_times(samples), y=[one.gross_usd for one in samples], name="gross, worst case", line=LINE)
    figure.add_scatter(x=_times(samples), y=[one.net_exposure_usd for one in samples], name="net position", line=LINE)
    title = "Exposure"
    limit = float(summary["risk"].get("gross_limit_usd") or 0.0)
    if limit:
        most = max((one.gross_usd for one in samples), default=0.0)
        title += f" (limit {limit:,.0f} USD gross, at most {most / limit:.0%} used)"
        if most >= LIMIT_DRAWN_SHARE * limit:
            figure.add_hline(y=limit, line_dash="dot", annotation_text="gross limit")
    return _titled(figure, title, "USD")


def _spread_and_latency(samples: Sequence[Sample]) -> go.Figure:
    figure = make_subplots(rows=1, cols=2, subplot_titles=("Quoted spread, median, bps", "Frame → order, µs"))
    times = _times(samples)
    figure.add_scatter(x=times, y=[one.spread_bps for one in samples], name="spread", line=LINE, row=1, col=1)
    for name, title in (("frame_to_order_p50_us", "p50"), ("frame_to_order_p99_us", "p99")):
        figure.add_scatter(x=times, y=[getattr(one, name) for one in samples], name=title, line=LINE, row=1, col=2)
    ticks = [digit * 10**power for power in range(1, 7) for digit in (1, 2, 5)]
    figure.update_yaxes(type="log", tickvals=ticks, ticktext=[f"{tick:,}" for tick in ticks], row=1, col=2)
    return _titled(figure, "", "")


def _markouts(summary: Mapping[str, Any]) -> go.Figure:
    rows = summary["markout_bps"]
    figure = go.Figure()
    figure.add_bar(x=list(rows), y=list(rows.values()), width=0.3, texttemplate="%{y:.2f}")
    return _titled(figure, "Markout after a fill (negative: the market moved against us)", "bps", "after the fill")


def _pnl_table(summary: Mapping[str, Any]) -> str:
    pnl = summary["pnl"]
    rows = [
        ("spread capture", pnl["spread_capture_usd"]),
        ("inventory", pnl["inventory_usd"]),
        ("of it, price moves of starting coins", pnl.get("stock_usd", 0.0)),
        ("fees", -pnl["fees_usd"]),
        ("funding", pnl["funding_usd"]),
        ("residual", pnl["residual_usd"]),
        ("net = change of the venue's equity at mark", pnl["net_usd"]),
    ]
    body = "".join(f"<tr><td>{name}<td class=n>{value:+,.4f}" for name, value in rows)
    return f"<table><tr><th>part<th>USD{body}</table>"


def _symbols_table(symbols: Sequence[Mapping[str, Any]]) -> str:
    if not symbols:
        return "<p class=muted>none</p>"
    names = list(symbols[0])
    ordered = sorted(symbols, key=lambda row: -float(row.get("net_usd", 0.0)))
    head = "".join(f"<th>{html.escape(name.replace('_', ' '))}" for name in names)
    body = "".join(
        "<tr>" + "".join(_cell(row.get(name, ""), 2 if name in MONEY_CENTS else 4) for name in names) for row in ordered
    )
    return f"<table><tr>{head}{body}</table>"


def _cell(value: object, digits: int) -> str:
    if isinstance(value, float):
        return f"<td class=n>{value:,.{digits}f}"
    if isinstance(value, int):
        return f"<td class=n>{value:,}"
    return f"<td>{html.escape(str(value))}"


def _times(samples: Sequence[Sample]) -> list[float]:
    return [one.at_s for one in samples]


def _titled(figure: go.Figure, title: str, unit: str, below: str = "seconds") -> go.Figure:
    figure.update_layout(
        title=title, yaxis_title=unit, template="plotly_white", height=340, margin={"l": 60, "r": 20, "t": 50, "b": 40}
    )
    figure.update_xaxes(title=below)
    return figure


def _figure(figure: go.Figure, *, first: bool = False) -> str:
    """A chart as a fragment; the first carries the library, so that the page needs no network."""
    config = {"displaylogo": False, "displayModeBar": "hover", "responsive": True}
    return str(figure.to_html(full_html=False, include_plotlyjs="inline" if first else False, config=config))
