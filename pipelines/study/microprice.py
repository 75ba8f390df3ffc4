"""`study microprice`: Stoikov's micro-price fitted to a recording, tested on the part it was not fitted to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import plotly.graph_objects as go
import typer
import yaml
from rich.console import Console

from actors.quote.estimators.microprice_fit import MicropriceFit, Tops, fit
from actors.quote.studies.prediction import rms_error
from actors.vocab.errors import ConfigError
from actors.vocab.units import NS_PER_S
from pipelines.study.options import Data, Symbols, chosen
from pipelines.study.page import Page, refuse_unwritable
from pipelines.study.tape import Floats, Ints, Tape, read_tapes

HORIZONS_S = (0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0)
COUNT_MIN = 30  # fewer observations of a cell are not drawn


def microprice(
    data: Data,
    symbols: Symbols = "",
    html: Annotated[Path, typer.Option(help="page to write")] = Path("microprice.html"),
    conf: Annotated[Path | None, typer.Option(help="settings file to write: the tables, for --conf")] = None,
    buckets: Annotated[int, typer.Option(min=2, max=100, help="buckets of the imbalance")] = 10,
    spreads: Annotated[int, typer.Option(min=1, max=20, help="spreads in ticks kept apart; the last is or wider")] = 4,
    share: Annotated[float, typer.Option(min=0.1, max=0.9, help="first part of the recording, fitted to")] = 0.6,
) -> None:
    """Fit the micro-price, test it out of sample against mid and weighted mid, write it as settings."""
    page = Page("Micro-price", html, Console())
    if conf is not None:
        refuse_unwritable(conf, option="--conf")
    tapes = read_tapes(data, chosen(symbols))
    page.text(
        f"Fitted to the first {share:.0%} of each recording, tested on the rest: error against the mid some seconds "
        "later, in ticks, less is better. The written table is fitted to all of it."
    )
    tables: dict[str, Any] = {}
    for tape in tapes:
        cut = int(len(tape.at_ns) * share)
        learnt = _fit(tape, slice(0, cut), buckets, spreads)
        _show(page, tape, learnt, cut)
        whole = _fit(tape, slice(None), buckets, spreads)
        rows = [[round(float(value), 4) for value in row] for row in whole.ticks]
        if tape.row.symbol in tables:
            raise ConfigError(f"{tape.row.symbol} is in two of the recordings; fit it to one")
        tables[tape.row.symbol] = {"tick_size": tape.row.tick_size, "ticks": rows}
    page.write()
    if conf is not None:
        _write(conf, tables, [path.name for path in data])
        Console().print(f"settings: {conf} (use it with --conf {conf})", highlight=False)


def _fit(tape: Tape, part: slice, buckets: int, spreads: int) -> MicropriceFit:
    tops = Tops(tape.bid_ticks[part], tape.bid_lots[part], tape.ask_ticks[part], tape.ask_lots[part])
    try:
        return fit(tops, buckets_count=buckets, spreads_count=spreads)
    except ValueError as error:
        raise ConfigError(f"{tape.name} {tape.row.symbol}: {error}") from None


def _write(path: Path, tables: dict[str, Any], names: Sequence[str]) -> None:
    text = yaml.safe_dump({"quote": {"fair_value": "table", "microprice_tables": tables}}, width=120)
    try:
        path.write_text(f"# Micro-price tables fitted by `pipelines.study microprice` to {', '.join(names)}.\n{text}")
    except OSError as error:
        raise ConfigError(f"--conf {path}: cannot be written ({error.strerror or error})") from None


def _show(page: Page, tape: Tape, learnt: MicropriceFit, cut: int) -> None:
    title = f"{tape.row.symbol}, {tape.name}"
    rows = np.arange(cut, len(tape.at_ns))
    mids, weighted, micro = _prices(tape, rows, learnt.ticks)
    table = []
    for horizon in HORIZONS_S:
        later = tape.mid_at(tape.at_ns[rows] + int(horizon * NS_PER_S))
        errors = [rms_error(price, later) for price in (mids, weighted, micro)]
        cells = [f"{error:.4f}" if np.isfinite(error) else "-" for error in errors]
        gain = f"{1 - (errors[2] / errors[0]) ** 2:+.2%}" if errors[0] > 0 else "-"
        table.append((f"{horizon:g} s", *cells, gain))
    page.table(
        f"{title}: error against the mid later, ticks, {len(rows):,} tops out of sample",
        ("after", "mid", "weighted mid", "micro-price", "variance explained"),
        table,
    )
    page.figure(
        _figure(learnt), f"{title}: micro-price less mid", x="imbalance: bid size / both sizes", y="ticks", height=420
    )
    seen = learnt.counts.sum(axis=1)
    page.text(
        "Share of the tops by spread in ticks: "
        + ", ".join(
            f"{index + 1}{' or more' if index == len(seen) - 1 else ''} {count / max(1, seen.sum()):.1%}"
            for index, count in enumerate(seen)
        )
        + "."
    )


def _prices(tape: Tape, rows: Ints, ticks: Floats) -> tuple[Floats, Floats, Floats]:
    """Mid, weighted mid and micro-price at each row."""
    bid, ask = tape.bid_ticks[rows], tape.ask_ticks[rows]
    with np.errstate(invalid="ignore", divide="ignore"):
        share = tape.bid_lots[rows] / (tape.bid_lots[rows] + tape.ask_lots[rows])
    mids, spread = (bid + ask) / 2, ask - bid
    known = np.isfinite(share) & np.isfinite(spread) & (spread > 0)
    row = np.clip(np.rint(np.where(known, spread, 1.0)), 1, len(ticks)).astype(int) - 1
    column = np.minimum((np.where(known, share, 0.0) * ticks.shape[1]).astype(int), ticks.shape[1] - 1)
    micro = mids + np.where(known, ticks[row, column], 0.0)
    return mids, mids + np.where(known, spread * (share - 0.5), 0.0), micro


def _figure(learnt: MicropriceFit) -> go.Figure:
    figure = go.Figure()
    spreads, buckets = learnt.ticks.shape
    middles = (np.arange(buckets) + 0.5) / buckets
    for index in range(spreads):
        drawn = np.where(learnt.counts[index] >= COUNT_MIN, learnt.ticks[index], np.nan)
        if np.isfinite(drawn).any():
            wider = " or more" if index == spreads - 1 else ""
            figure.add_scatter(x=middles, y=drawn, mode="lines+markers", name=f"spread {index + 1}{wider}")
    figure.add_scatter(
        x=[0, 1], y=[-0.5, 0.5], mode="lines", line={"dash": "dot", "color": "#888"}, name="weighted mid, spread 1"
    )
    figure.add_hline(y=0, line_width=1)
    return figure
