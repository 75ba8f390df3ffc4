"""`study as2008`: tables of Avellaneda and Stoikov 2008 by Monte Carlo and exact moments, beside the printed ones."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from actors.quote.studies.as2008 import (
    CERTAIN_BOUND,
    FINE_STEPS,
    HORIZON,
    MARKET,
    PUBLISHED,
    STEPS,
    Published,
    bound_certain,
    moments,
    policies,
    policy,
    quality,
)
from actors.quote.studies.poisson_market import FillRule, Moments, monte_carlo

GAMMA = 0.1
# The widest table; a narrower terminal would cut numbers.
WIDTH = 92
# The paper's step, and finer ones toward continuous time.
STEPS_TRIED = (STEPS, 400, 1_000, 10_000)


def as2008(
    paths: Annotated[int, typer.Option(min=2, max=1_000_000, help="drawn for each row; the paper drew 1000")] = 20_000,
    seed: Annotated[int, typer.Option(min=0, help="of the draws")] = 7,
) -> None:
    """Reprint the tables of Avellaneda and Stoikov 2008, and compare policies by certainty equivalent."""
    console = Console(width=WIDTH)
    rng = np.random.default_rng(seed)
    for rule in FillRule:
        console.print(_tables(rule, paths, rng))
    console.print(_schemes())
    console.print(_policies())
    console.print(
        f"A policy without skew has no certainty equivalent of its own: positions are held to {CERTAIN_BOUND} lots for "
        "that column, and with the bound its value falls without end.",
        style="dim",
    )


def _tables(rule: FillRule, paths: int, rng: np.random.Generator) -> Table:
    found = Table(
        title=f"Tables 1 and 2, fill probability {rule.value}, dt {HORIZON / STEPS:g}, {paths} paths", box=SIMPLE
    )
    for name in ("γ", "strategy", "", "spread", "profit", "±", "std", "q", "std q", "fills"):
        found.add_column(name, justify="left" if name in {"strategy", ""} else "right")
    for row in PUBLISHED:
        chosen = policy(row.gamma, skewed=row.skewed)
        drawn = monte_carlo(chosen, MARKET, horizon=HORIZON, gamma=row.gamma, rule=rule, paths=paths, rng=rng)
        exact = moments(row.gamma, skewed=row.skewed, rule=rule)
        spread = policy(row.gamma, skewed=True).mean_spread()
        _published(found, row)
        found.add_row("", "", "exact", f"{spread:.4f}", *_cells(exact))
        error = 1.96 * drawn.std / paths**0.5
        found.add_row("", "", "drawn", "", *_cells(drawn, f"{error:.2f}"), end_section=True)
    return found


def _published(found: Table, row: Published) -> None:
    found.add_row(
        f"{row.gamma:g}",
        "inventory" if row.skewed else "symmetric",
        "paper",
        f"{row.spread}",
        f"{row.profit}",
        "",
        f"{row.std}",
        f"{row.position}",
        f"{row.position_std}",
        "",
    )


def _cells(of: Moments, error: str = "") -> tuple[str, ...]:
    return f"{of.profit:.4f}", error, f"{of.std:.4f}", f"{of.position:.2f}", f"{of.position_std:.4f}", f"{of.fills:.2f}"


def _schemes() -> Table:
    found = Table(
        title=f"The scheme decides: exact moments at γ {GAMMA:g} by fill rule and step",
        box=SIMPLE,
        collapse_padding=True,
        pad_edge=False,
    )
    for name in ("fill rule", "dt", "inventory", "std", "std q", "symmetric", "std", "std q"):
        found.add_column(name, justify="right")
    for rule in FillRule:
        for steps in STEPS_TRIED:
            cells: list[str] = []
            for skewed in (True, False):
                of = moments(GAMMA, skewed=skewed, rule=rule, steps=steps)
                cells += [f"{of.profit:.2f}", f"{of.std:.2f}", f"{of.position_std:.2f}"]
            found.add_row(rule.value, f"{HORIZON / steps:g}", *cells, end_section=steps == STEPS_TRIED[-1])
    return found


def _policies() -> Table:
    found = Table(
        title=f"Policies on that market, γ {GAMMA:g}: certainty equivalent against the best possible", box=SIMPLE
    )
    for name in ("policy", "CE", "profit", "std", "std q", f"dt {HORIZON / STEPS:g}", "std", "std q"):
        found.add_column(name, justify="left" if name == "policy" else "right")
    found.add_row("upper bound", f"{bound_certain(GAMMA):.4f}", end_section=True)
    for name, quoting in policies(GAMMA).items():
        row = quality(GAMMA, name, quoting)
        found.add_row(name, f"{row.certain:.4f}", *_three(row.fine), *_three(row.paper))
    found.caption = (
        f"CE in continuous time; profit and deviations at dt {HORIZON / FINE_STEPS:g}, and at the paper's step"
    )
    return found


def _three(of: Moments) -> tuple[str, str, str]:
    return f"{of.profit:.2f}", f"{of.std:.2f}", f"{of.position_std:.2f}"
