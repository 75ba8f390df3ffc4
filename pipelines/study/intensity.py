"""`study intensity`: arrival intensity A·e^(-kδ) of recordings, per side, beside what the live estimator would say."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Annotated

import numpy as np
import plotly.graph_objects as go
import typer
from plotly.subplots import make_subplots
from rich.console import Console

from actors.quote.estimators.intensity import Bounds, Fit, IntensityWatch, fit_klines
from actors.quote.studies.arrivals import Best, SideFit, beyond_ticks, fit_side
from actors.vocab.config import QuoteSettings
from actors.vocab.errors import ConfigError
from actors.vocab.market import Kline, TradeFlow
from actors.vocab.units import BPS, NS_PER_MS, NS_PER_S
from pipelines.study.options import Data, Symbols, chosen
from pipelines.study.page import Page
from pipelines.study.tape import Floats, Ints, Tape, read_tapes

WINDOWS_COUNT = 12
SIDES = ("our bids", "our asks")
COLOURS = ("#2a6f97", "#c1554e")


def intensity(
    data: Data,
    symbols: Symbols = "",
    html: Annotated[Path, typer.Option(help="page to write")] = Path("intensity.html"),
    interval_ms: Annotated[
        int, typer.Option(min=10, max=60_000, help="life of a quote: its deepest trade is what is counted")
    ] = 1_000,
) -> None:
    """Fit A and k per side by maximum likelihood and by Poisson regression, and through time."""
    page = Page("Arrival intensity", html, Console())
    tapes = read_tapes(data, chosen(symbols))
    for tape in tapes:
        if tape.seconds * 1_000 < WINDOWS_COUNT * interval_ms:
            raise ConfigError(
                f"{tape.name}: {tape.seconds:.1f} s of {tape.row.symbol} are fewer than {WINDOWS_COUNT} intervals of "
                f"{interval_ms} ms; take a longer recording, or a smaller --interval-ms"
            )
    page.text(
        f"λ(δ) = A exp(-k δ), δ from the mid in bps. Each interval of {interval_ms} ms counts once a side, if its "
        "deepest trade went beyond the best price at its start. 1/k is the distance from the mid that earns most where "
        "nothing else matters."
    )
    for tape in tapes:
        _show(page, tape, interval_ms * NS_PER_MS)
    page.write()


def _show(page: Page, tape: Tape, interval_ns: int) -> None:
    interval_s = interval_ns / NS_PER_S
    starts = np.arange(tape.at_ns[0], tape.at_ns[-1] - interval_ns, interval_ns)
    rows = np.searchsorted(tape.at_ns, starts, side="right") - 1
    best = Best(tape.bid_ticks[rows], tape.ask_ticks[rows])
    mids = tape.mid_ticks[rows]
    found = beyond_ticks(best, (tape.trade_ns - tape.at_ns[0]) // interval_ns, tape.trade_side, tape.trade_ticks)
    fits = [fit_side(side, best, interval_s) for side in found]
    tick_bps = 1.0 / float(np.nanmedian(mids)) / BPS
    half_bps = float(np.nanmedian(tape.ask_ticks - tape.bid_ticks)) / 2 * tick_bps
    seed = fit_klines(_klines(tape), interval_s=interval_s)
    title = f"{tape.row.symbol}, {tape.name}"
    page.table(
        f"{title}: A per second, k per bp",
        ("", *SIDES),
        [
            ("intervals with one", *(f"{fit.arrivals:,} of {len(starts):,}" for fit in fits)),
            ("likelihood", *(_spelled(fit.mle, fit.arrivals) for fit in fits)),
            ("regression", *(_spelled(fit.glm) for fit in fits)),
            ("1/k by likelihood, bps", *(f"{1 / fit.mle.k:.3f}" if fit.mle else "-" for fit in fits)),
            ("k by likelihood, per tick", *(f"{fit.mle.k * tick_bps:.4f}" if fit.mle else "-" for fit in fits)),
            ("guess from minute candles", *[_spelled(seed)] * 2),
        ],
    )
    page.text(
        f"A tick is {tick_bps:.4g} bps, half of the median spread {half_bps:.4g} bps: nearer to the mid the curve is "
        "drawn on, not measured. ± is one standard error, as if intervals were independent."
    )
    page.figure(
        _curve(fits, half_bps), f"{title}: how often a quote is reached", x="distance from the mid, bps", y="per second"
    )
    figure = _through_time(tape, found, best, starts, interval_ns)
    page.figure(figure, f"{title}: through time", x="seconds", y="", height=420)


def _spelled(fit: Fit | None, arrivals: int = 0) -> str:
    if fit is None:
        return "-"
    return f"A {fit.a_per_s:.4f}, k {fit.k:.4f}" + (f" ± {fit.k / arrivals**0.5:.4f}" if arrivals else "")


def _curve(fits: list[SideFit], half_bps: float) -> go.Figure:
    figure = go.Figure()
    for name, colour, fit in zip(SIDES, COLOURS, fits, strict=True):
        figure.add_scatter(
            x=fit.levels_bps, y=fit.rates_per_s, name=f"{name}, measured", mode="markers", marker={"color": colour}
        )
        for dash, how, line in (("solid", "likelihood", fit.mle), ("dot", "regression", fit.glm)):
            if line is not None:
                rates = [line.rate_per_s(float(level)) for level in fit.levels_bps]
                figure.add_scatter(
                    x=fit.levels_bps, y=rates, name=f"{name}, {how}", mode="lines", line={"color": colour, "dash": dash}
                )
    figure.add_vline(
        x=half_bps,
        line_dash="dash",
        line_width=1,
        annotation_text="half the median spread",
        annotation_position="bottom right",
    )
    ticks = [digit * 10.0**power for power in range(-5, 3) for digit in (1, 2, 5)]
    figure.update_yaxes(type="log", tickvals=ticks, ticktext=[f"{tick:g}" for tick in ticks])
    return figure


def _through_time(tape: Tape, found: tuple[Floats, Floats], best: Best, starts: Ints, interval_ns: int) -> go.Figure:
    """A and k of windows one by one, and of the estimator that quotes would live by."""
    figure = make_subplots(rows=1, cols=2, subplot_titles=("A per second", "k per bp"))
    edges = np.linspace(0, len(starts), WINDOWS_COUNT + 1).astype(int)
    origin_ns = starts[0]
    live_s, live = _live(tape, interval_ns)
    for side, (name, colour) in enumerate(zip(SIDES, COLOURS, strict=True)):
        middle, fits = [], []
        for low, high in itertools.pairwise(edges):
            inside = slice(low, high)
            fit = fit_side(
                found[side][inside], Best(best.bid_ticks[inside], best.ask_ticks[inside]), interval_ns / NS_PER_S
            ).mle
            if fit is not None:
                middle.append(float(starts[(low + high) // 2] - origin_ns) / NS_PER_S)
                fits.append(fit)
        for column in (0, 1):
            figure.add_scatter(
                x=middle,
                y=[fit[column] for fit in fits],
                mode="markers",
                marker={"color": colour, "size": 9},
                name=f"{name}, windows",
                showlegend=not column,
                row=1,
                col=column + 1,
            )
            figure.add_scatter(
                x=live_s,
                y=[pair[side][column] for pair in live],
                line={"color": colour, "width": 1.5},
                name=f"{name}, live",
                showlegend=not column,
                row=1,
                col=column + 1,
            )
    return figure


def _live(tape: Tape, interval_ns: int) -> tuple[list[float], list[tuple[Fit, Fit]]]:
    """The live estimator with its default settings over the tape, begun without candles."""
    quote = QuoteSettings()
    watch = IntensityWatch(
        prior=Fit(quote.intensity_a_per_s, quote.intensity_k_bps),
        interval_ns=interval_ns,
        half_life_s=quote.intensity_half_life_s,
        bounds=Bounds(quote.intensity_k_bps_min, quote.intensity_k_bps_max),
    )
    events = sorted(
        [(int(at), 1, row) for row, at in enumerate(tape.at_ns)]
        + [(int(at), 0, row) for row, at in enumerate(tape.trade_ns)]
    )
    origin_ns = int(tape.at_ns[0])
    every_ns = max(interval_ns, (int(tape.at_ns[-1]) - origin_ns) // 400)
    next_ns, times, fits = origin_ns, [], []
    for at_ns, is_top, row in events:
        if is_top:
            if np.isnan(tape.bid_ticks[row]):
                watch.skip_gap()
            else:
                watch.on_top(int(tape.bid_ticks[row]), int(tape.ask_ticks[row]), at_ns)
        else:
            ticks, bought = int(tape.trade_ticks[row]), int(tape.trade_side[row] > 0)
            watch.on_trades(TradeFlow(bought, 1 - bought, low_ticks=ticks, high_ticks=ticks))
        if at_ns >= next_ns:
            next_ns = at_ns + every_ns
            times.append((at_ns - origin_ns) / NS_PER_S)
            fits.append((watch.bid, watch.ask))
    return times, fits


def _klines(tape: Tape) -> list[Kline]:
    """Minute candles of the tape's own trades, as a venue would tell them."""
    minute_ms = 60_000
    minutes = tape.trade_ns // (minute_ms * NS_PER_MS)
    found = []
    for minute in np.unique(minutes):
        inside = minutes == minute
        ticks, lots = tape.trade_ticks[inside].astype(int), tape.trade_lots[inside]
        opened = int(minute) * minute_ms
        found.append(
            Kline(
                opened,
                opened + minute_ms - 1,
                int(ticks[0]),
                int(ticks.max()),
                int(ticks.min()),
                int(ticks[-1]),
                int(lots.sum()),
                len(ticks),
            )
        )
    return found
