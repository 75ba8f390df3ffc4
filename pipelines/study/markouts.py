"""`study markouts`: what a maker's fills are worth after a while, from recorded trades.

Every public trade had a maker; it is taken as a fill of ours at its price. That is what a queue's average member
earns, not what a quote of ours would have: ours may be deeper or further back.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import plotly.graph_objects as go
import typer
from numpy.typing import NDArray
from rich.console import Console

from actors.quote.studies.markout_curve import Mean, block_mean, markouts_bps
from actors.vocab.units import NS_PER_S
from pipelines.study.options import Data, Symbols, chosen
from pipelines.study.page import Page
from pipelines.study.tape import Floats, Ints, Tape, read_tapes

Bools = NDArray[np.bool_]

BLOCKS_MIN = 5  # the spread of fewer says nothing about the next one
HORIZONS_S = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
SHOWN_S = (1.0, 5.0, 30.0)
BUCKETS = ((-1.0, -0.6), (-0.6, -0.2), (-0.2, 0.2), (0.2, 0.6), (0.6, 1.0))


def markouts(
    data: Data,
    symbols: Symbols = "",
    html: Annotated[Path, typer.Option(help="page to write")] = Path("markouts.html"),
    block_s: Annotated[float, typer.Option(min=1, help="length of the blocks that errors are taken from")] = 60.0,
) -> None:
    """Markout curves of recorded fills, by side and by imbalance, with block errors."""
    page = Page("Markouts of recorded fills", html, Console())
    tapes = read_tapes(data, chosen(symbols))
    page.text(
        "A fill is the maker's side of a public trade; above 0 is good for the maker. At 0 s stands the effective half "
        "spread, what is lost from there is adverse selection, what is left the realised half spread. Weighted by "
        "notional, mids are the last at or before each moment, bars are two standard errors over blocks of "
        f"{block_s:g} s; fewer than {BLOCKS_MIN} blocks give none (--block-s)."
    )
    for tape in tapes:
        _show(page, tape, int(block_s * NS_PER_S))
    page.write()


def _show(page: Page, tape: Tape, block_ns: int) -> None:
    known = tape.trade_top >= 0
    fills = Fills.of(tape, known, block_ns)
    title = f"{tape.row.symbol}, {tape.name}"
    groups = {"all": np.ones(len(fills.side), bool), "our buys": fills.side > 0, "our sells": fills.side < 0}
    curves = {name: [fills.mean(horizon, chosen) for horizon in (0.0, *HORIZONS_S)] for name, chosen in groups.items()}
    page.table(
        f"{title}: markout, bps ± standard error",
        ("after", *curves),
        [
            ("fills", *(f"{curve[0].fills:,}" for curve in curves.values())),
            *(
                (f"{horizon:g} s", *(spelled(curve[index]) for curve in curves.values()))
                for index, horizon in enumerate((0.0, *HORIZONS_S))
            ),
        ],
    )
    wrong = float(np.mean(fills.mean_0_bps <= 0)) if len(fills.side) else 0.0
    page.text(
        f"{tape.seconds:,.0f} s on the {tape.clock} clock, {len(fills.side):,} of {len(known):,} trades. {wrong:.1%} "
        "of them lie on the wrong side of the mid of their moment: its top was received first, or was old."
    )
    page.figure(_curves(curves), f"{title}: markout after a fill", x="seconds after the fill", y="bps")
    page.figure(
        _buckets(fills),
        f"{title}: markout by the book's imbalance toward our side",
        x="imbalance (bid - ask) / sum, signed for us: above 0 the queue behind us is the longer one",
        y="bps",
    )


@dataclass(frozen=True)
class Fills:
    """Makers' fills of a tape, those with a known top."""

    tape: Tape
    when_ns: Ints
    side: Ints  # the maker's
    price: Floats
    notional: Floats
    block: Ints
    imbalance: Floats  # signed for the maker
    mean_0_bps: Floats

    @classmethod
    def of(cls, tape: Tape, known: Bools, block_ns: int) -> Fills:
        top = tape.trade_top[known]
        side, price, when_ns = -tape.trade_side[known], tape.trade_ticks[known], tape.trade_ns[known]
        bid, ask = tape.bid_lots[top], tape.ask_lots[top]
        with np.errstate(invalid="ignore", divide="ignore"):
            imbalance = side * (bid - ask) / (bid + ask)
        return cls(
            tape=tape,
            when_ns=when_ns,
            side=side,
            price=price,
            notional=price * tape.trade_lots[known],
            block=(when_ns // block_ns).astype(np.int64),
            imbalance=imbalance,
            mean_0_bps=markouts_bps(side, price, tape.mid_ticks[top]),
        )

    def mean(self, horizon_s: float, chosen: Bools) -> Mean:
        values = self.mean_0_bps
        if horizon_s > 0:
            mids = self.tape.mid_at(self.when_ns + int(horizon_s * NS_PER_S))
            values = markouts_bps(self.side, self.price, mids)
        found = block_mean(values[chosen], self.notional[chosen], self.block[chosen])
        blocks_count = len(np.unique(self.block[chosen & np.isfinite(values)]))
        return found if blocks_count >= BLOCKS_MIN else found._replace(error=float("nan"))


def spelled(mean: Mean) -> str:
    """0.123 ± 0.045, one standard error; a dash where nothing was observed."""
    if not mean.fills:
        return "-"
    return f"{mean.value:+.3f}" + (f" ± {mean.error:.3f}" if np.isfinite(mean.error) else "")


def _curves(curves: dict[str, list[Mean]]) -> go.Figure:
    figure = go.Figure()
    # 0 s has no place on a logarithmic axis; it stands where the first horizon's third would.
    places = [HORIZONS_S[0] / 3, *HORIZONS_S]
    for name, curve in curves.items():
        figure.add_scatter(
            x=places,
            y=[mean.value for mean in curve],
            error_y={"array": [2 * mean.error for mean in curve], "thickness": 1},
            name=name,
            mode="lines+markers",
        )
    figure.add_hline(y=0, line_width=1)
    figure.update_xaxes(type="log", tickvals=places, ticktext=["0", *(f"{horizon:g}" for horizon in HORIZONS_S)])
    return figure


def _buckets(fills: Fills) -> go.Figure:
    figure = go.Figure()
    names = [f"{low:+.1f} … {high:+.1f}" for low, high in BUCKETS]
    for horizon in (0.0, *SHOWN_S):
        # The last bucket includes its end: a side may be all there is.
        means = [
            fills.mean(horizon, (fills.imbalance >= low) & ((fills.imbalance < high) | (high >= 1.0)))
            for low, high in BUCKETS
        ]
        figure.add_bar(
            x=names,
            y=[mean.value for mean in means],
            error_y={"array": [2 * mean.error for mean in means], "thickness": 1},
            name=f"{horizon:g} s",
        )
    return figure
