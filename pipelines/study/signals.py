"""`study signals`: what the live estimators say over a recording, and how much of the price they explain.

The same `SignalWatch` that an engine has is fed with the same updates, everything in it switched on, and read once a
second; the mid moves are those of the tape.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import plotly.graph_objects as go
import typer
from plotly.subplots import make_subplots
from rich.console import Console

from actors.quote.estimators.order_flow import OrderFlowImbalance
from actors.quote.estimators.trade_flow import Vpin, bulk_vpin
from actors.quote.inputs import SignalWatch
from actors.quote.models.catalogue import estimates_of
from actors.quote.signals import imbalance
from actors.quote.studies.prediction import line, means_by_quantile
from actors.vocab.config import QuoteSettings
from actors.vocab.errors import ConfigError
from actors.vocab.instruments import Instrument
from actors.vocab.market import BookState, BookUpdate
from actors.vocab.units import BPS, NS_PER_S
from pipelines.study.options import Data, Symbols, chosen
from pipelines.study.page import Page
from pipelines.study.tape import Floats, recorded_rows, updates

HORIZONS_S = (1, 5, 30)
FLOW_WINDOW_S = 10  # of the contemporaneous regression, as in the paper
SECONDS_MIN = 2 * FLOW_WINDOW_S
SIGNALS = ("imbalance", "order flow", "signed trades")
GROUPS = 10
VPIN_BUCKETS = 50


class Second(NamedTuple):
    """One symbol as an engine would see it at the end of a second."""

    at_ns: int
    mid_ticks: float
    imbalance: float
    order_flow: float  # share, -1..1
    flow_lots: float  # order-flow imbalance of this second
    buy_lots: float
    sell_lots: float
    toxic_flow: float
    depth_score: float
    volatility_bps: float
    liquidity: str
    volatility: str


def signals(
    data: Data,
    symbols: Symbols = "",
    html: Annotated[Path, typer.Option(help="page to write")] = Path("signals.html"),
) -> None:
    """What imbalance, order flow and trades say of the next seconds; regimes, depth and toxicity through time."""
    page = Page("Signals", html, Console())
    wanted = chosen(symbols)
    surveyed = recorded_rows(data, wanted)
    if not any(rows for _path, _facts, rows in surveyed):
        raise ConfigError(f"--symbols {symbols}: none of the recordings holds it")
    page.text(
        "Once a second. R² of the mid's move over the next 1, 5 and 30 s on each signal, its sign by the slope, t with "
        "errors that allow for overlap; and of the move over the same ten seconds on their order-flow imbalance, which "
        "explains and does not predict."
    )
    shown = 0
    for path, facts, rows in surveyed:
        found = {row.symbol: _Watched(row) for row in rows}
        if rows:
            for recv_ns, event in updates(path, facts, rows):
                if isinstance(event, BookUpdate):
                    found[event.symbol].take(event, recv_ns)
        for watched in found.values():
            title, seconds_count = f"{watched.row.symbol}, {path.name}", len(watched.seconds)
            if seconds_count < SECONDS_MIN:
                page.text(f"{title}: {seconds_count} seconds with a good book are fewer than {SECONDS_MIN}.")
                continue
            _show(page, title, watched)
            shown += 1
    if not shown:
        raise ConfigError(
            f"no symbol has {SECONDS_MIN} seconds with a good book; take a longer recording with both sides of it"
        )
    page.write()


class _Watched:
    def __init__(self, row: Instrument) -> None:
        self.row = row
        self.seconds: list[Second] = []
        self._watch = SignalWatch(QuoteSettings(flow_drift_bps_per_s=0.1, toxic_widening_bps=1.0))
        self._estimates = estimates_of(QuoteSettings())
        self.last_ns = 0
        self._flow = OrderFlowImbalance()
        self._buys = self._sells = 0.0
        self._next_ns = 0
        # Every change of the mid: (ns, ticks).
        self.mids: list[tuple[int, float]] = []

    def take(self, update: BookUpdate, now_ns: int) -> None:
        watch, trades = self._watch, update.trades
        if trades.buys_count or trades.sells_count:
            watch.on_trades(trades, now_ns)
            self._buys += trades.buy_lots
            self._sells += trades.sell_lots
        if update.state is not BookState.OK or not update.bids or not update.asks:
            watch.skip_gap()
            return
        (bid, bid_lots), (ask, ask_lots) = update.bids[0], update.asks[0]
        watch.on_top(update.bids[0], update.asks[0], now_ns, now_ns)
        self._flow.update(bid, bid_lots, ask, ask_lots)
        mid = (bid + ask) / 2
        if not self.mids or self.mids[-1][1] != mid:
            self.mids.append((now_ns, mid))
        self.last_ns = now_ns
        if now_ns < self._next_ns:
            return
        # The next whole second, so that seconds do not drift; a quiet one is skipped.
        self._next_ns = (now_ns // NS_PER_S + 1) * NS_PER_S
        self._estimates = watch.refresh(self.row, update.bids, update.asks, self._estimates, now_ns)
        shown = watch.figures(self._estimates, now_ns)
        self.seconds.append(
            Second(
                at_ns=now_ns,
                mid_ticks=mid,
                imbalance=imbalance(bid_lots, ask_lots),
                order_flow=shown["order_flow"],
                flow_lots=self._flow.take(),
                buy_lots=self._buys,
                sell_lots=self._sells,
                toxic_flow=shown["toxic_flow"],
                depth_score=shown["depth_score"],
                volatility_bps=watch.volatility.bps,
                liquidity=shown["liquidity_regime"],
                volatility=shown["volatility_regime"],
            )
        )
        self._buys = self._sells = 0.0


def _show(page: Page, title: str, watched: _Watched) -> None:
    seconds = watched.seconds
    mids = _column(seconds, "mid_ticks")
    buys, sells = _column(seconds, "buy_lots"), _column(seconds, "sell_lots")
    with np.errstate(invalid="ignore", divide="ignore"):
        signed = np.where(buys + sells > 0, (buys - sells) / (buys + sells), 0.0)
    values = dict(zip(SIGNALS, (_column(seconds, "imbalance"), _column(seconds, "order_flow"), signed), strict=True))
    moves = {horizon: _moves_bps(watched, horizon) for horizon in HORIZONS_S}
    rows = []
    for name, signal in values.items():
        cells = []
        for horizon in HORIZONS_S:
            found = line(signal, moves[horizon], lags=2 * horizon)
            cells.append(f"{found.slope:+.2f} R² {found.r2:.1%} t {found.t:.1f}" if found.pairs else "-")
        rows.append((name, *cells))
    page.table(
        f"{title}: bps in the next seconds per unit of the signal", ("", *(f"{each} s" for each in HORIZONS_S)), rows
    )
    # Whole windows, one after the other: their moves do not overlap.
    whole = len(mids) // FLOW_WINDOW_S * FLOW_WINDOW_S
    flow = _column(seconds, "flow_lots")[:whole].reshape(-1, FLOW_WINDOW_S).sum(axis=1)
    ends = mids[:whole].reshape(-1, FLOW_WINDOW_S)[:, -1]
    same = line(flow[1:], np.diff(ends))
    page.text(
        f"Move of {FLOW_WINDOW_S} seconds on the order-flow imbalance of the same: R² {same.r2:.0%} over {same.pairs} "
        "windows (Cont, Kukanov and Stoikov 2014 report 65 % on US stocks)."
    )
    page.text(_vpins(mids, buys, sells))
    for which in ("liquidity", "volatility"):
        shares = Counter(getattr(one, which) for one in seconds)
        told = ", ".join(f"{name} {count / len(seconds):.1%}" for name, count in shares.most_common())
        page.text(f"{which} regime: {told}.")
    page.figure(
        _groups(values, moves), f"{title}: mean move by the signal's size", x="signal", y="bps in the next seconds"
    )
    page.figure(_through_time(seconds), f"{title}: through time", x="seconds", y="", height=620)


def _column(seconds: Sequence[Second], name: str) -> Floats:
    return np.array([getattr(one, name) for one in seconds], dtype=float)


def _moves_bps(watched: _Watched, horizon_s: int) -> Floats:
    """From each second to the last mid at or before the horizon; NaN where the recording ends before it."""
    changed_ns = np.array([at_ns for at_ns, _ in watched.mids], dtype=np.int64)
    mids = np.array([mid for _, mid in watched.mids])
    now_ns = np.array([one.at_ns for one in watched.seconds], dtype=np.int64)
    later_ns = now_ns + horizon_s * NS_PER_S
    later = mids[np.searchsorted(changed_ns, later_ns, side="right") - 1]
    moves = (later / _column(watched.seconds, "mid_ticks") - 1) / BPS
    moves[later_ns > watched.last_ns] = np.nan
    return moves


def _vpins(mids: Floats, buys: Floats, sells: Floats) -> str:
    """Both forms on the same buckets: a fiftieth of the recording's volume each."""
    total = float((buys + sells).sum())
    if total <= 0:
        return "No trades: no VPIN."
    vpin = Vpin(bucket_lots=total / VPIN_BUCKETS, buckets_count=VPIN_BUCKETS)
    moves, start, filled = [], float(mids[0]), 0
    for mid, bought, sold in zip(mids, buys, sells, strict=True):
        vpin.note(float(bought), float(sold))
        if vpin.buckets_count > filled:
            filled = vpin.buckets_count
            moves.append(float(mid) - start)
            start = float(mid)
    return f"VPIN over {VPIN_BUCKETS} buckets: {vpin.value():.3f} by aggressor, {bulk_vpin(moves):.3f} by bulk moves."


def _groups(values: dict[str, Floats], moves: dict[int, Floats]) -> go.Figure:
    figure = make_subplots(rows=1, cols=len(values), subplot_titles=list(values))
    for column, signal in enumerate(values.values(), start=1):
        for horizon, colour in zip(HORIZONS_S, ("#2a6f97", "#c1554e", "#7a9e4f"), strict=True):
            x, y = means_by_quantile(signal, moves[horizon], GROUPS)
            figure.add_scatter(
                x=x,
                y=y,
                mode="lines+markers",
                line={"color": colour},
                name=f"{horizon} s",
                showlegend=column == 1,
                row=1,
                col=column,
            )
    return figure


def _through_time(seconds: Sequence[Second]) -> go.Figure:
    figure = make_subplots(
        rows=2,
        cols=2,
        subplot_titles=("mid, ticks", "volatility, bps per root second", "depth score, 0.5 is usual", "toxic flow"),
    )
    step = max(1, len(seconds) // 2_000)
    kept = seconds[::step]
    at_s = (_column(kept, "at_ns") - seconds[0].at_ns) / NS_PER_S
    for index, name in enumerate(("mid_ticks", "volatility_bps", "depth_score", "toxic_flow")):
        figure.add_scatter(
            x=at_s,
            y=_column(kept, name),
            line={"width": 1.2},
            showlegend=False,
            row=index // 2 + 1,
            col=index % 2 + 1,
        )
    return figure
