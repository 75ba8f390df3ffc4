"""Charts of the report: each takes samples or rows and returns a Plotly figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from actors.console.performance import MarkoutRow
from actors.console.series import SymbolSample, by_symbol
from actors.risk.markouts import HORIZONS_S

LINE = {"width": 1.5}
# A limit this far above what was used would flatten every curve below it; then it is said, not drawn.
LIMIT_DRAWN_SHARE = 0.25
SYMBOLS_DRAWN = 8  # of the inventory chart: the largest positions
S_PER_H = 3_600.0
HOURS_FROM_S = 2 * S_PER_H  # longer runs are drawn in hours


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


def equity(samples: Sequence[Sample]) -> go.Figure:
    """Net and its parts over the run."""
    figure = go.Figure()
    for name, title in (
        ("net_usd", "net"),
        ("spread_capture_usd", "spread capture"),
        ("inventory_usd", "inventory"),
        ("fees_usd", "fees (paid)"),
    ):
        figure.add_scatter(x=_times(samples), y=[getattr(one, name) for one in samples], name=title, line=LINE)
    return _over_time(figure, "Equity and its parts", "USD")


def equities(runs: Mapping[str, Sequence[Sample]]) -> go.Figure:
    """Net of several runs side by side."""
    figure = go.Figure()
    for name, samples in runs.items():
        figure.add_scatter(x=_times(samples), y=[one.net_usd for one in samples], name=name, line=LINE)
    return _over_time(figure, "Net", "USD")


def exposure(samples: Sequence[Sample], summary: Mapping[str, Any]) -> go.Figure:
    """Gross worst case and net position, with the limit where it is near."""
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
    return _over_time(figure, title, "USD")


def positions(series: Sequence[SymbolSample]) -> go.Figure:
    """Positions of the symbols that held most; the others can't be told apart on paper anyway."""
    rows = by_symbol(series)
    largest = sorted(rows, key=lambda symbol: -max(abs(row.position_usd) for row in rows[symbol]))[:SYMBOLS_DRAWN]
    figure = go.Figure()
    for symbol in largest:
        figure.add_scatter(
            x=[row.at_s for row in rows[symbol]],
            y=[row.position_usd for row in rows[symbol]],
            name=symbol,
            line=LINE | {"shape": "hv"},
        )
    title = "Positions" if len(rows) <= SYMBOLS_DRAWN else f"Positions, the {SYMBOLS_DRAWN} largest of {len(rows)}"
    return _over_time(figure, title, "USD")


def spread_and_latency(samples: Sequence[Sample]) -> go.Figure:
    """Our quoted spread, and how long a frame takes to become an order where that was measured."""
    times = _times(samples)
    spread = go.Scatter(x=times, y=[one.spread_bps for one in samples], name="spread", line=LINE, showlegend=False)
    if not any(one.frame_to_order_p50_us for one in samples):
        return _over_time(go.Figure(spread), "Quoted spread, median of the symbols", "bps")
    figure = make_subplots(rows=1, cols=2, subplot_titles=("Quoted spread, median, bps", "Frame → order, µs"))
    figure.add_trace(spread, row=1, col=1)
    for name, title in (("frame_to_order_p50_us", "p50"), ("frame_to_order_p99_us", "p99")):
        figure.add_scatter(x=times, y=[getattr(one, name) for one in samples], name=title, line=LINE, row=1, col=2)
    ticks = [digit * 10**power for power in range(1, 7) for digit in (1, 2, 5)]
    figure.update_yaxes(type="log", tickvals=ticks, ticktext=[f"{tick:,}" for tick in ticks], row=1, col=2)
    return _over_time(figure, "", "")


def markouts(rows: Sequence[MarkoutRow]) -> go.Figure:
    """What a fill was still worth after each horizon, before fees; the first row is all of them."""
    figure = go.Figure()
    for row in rows:
        both = row.side == "both"
        figure.add_scatter(
            x=["fill", *(f"{horizon} s" for horizon in HORIZONS_S)],
            y=[row.edge_bps, *row.kept_bps],
            name="all fills" if both else f"{row.side}, {row.bucket} ({row.fills_count})",
            line={"width": 3} if both else LINE,
            mode="lines+markers",
        )
    figure.add_hline(y=0, line_width=1)
    return titled(figure, "What a fill was worth against the mid, before fees", "bps", "after the fill")


def _over_time(figure: go.Figure, title: str, unit: str) -> go.Figure:
    """Seconds from the start, or hours where a reader would have to divide."""
    if max((trace.x[-1] for trace in figure.data if trace.x), default=0.0) < HOURS_FROM_S:
        return titled(figure, title, unit, "seconds")
    for trace in figure.data:
        trace.x = [at_s / S_PER_H for at_s in trace.x]
    return titled(figure, title, unit, "hours")


def titled(figure: go.Figure, title: str, unit: str, below: str) -> go.Figure:
    """One look for all."""
    figure.update_layout(
        title=title, yaxis_title=unit, template="plotly_white", height=340, margin={"l": 60, "r": 20, "t": 50, "b": 40}
    )
    figure.update_xaxes(title=below)
    return figure


def _times(samples: Sequence[Sample]) -> list[float]:
    return [one.at_s for one in samples]
