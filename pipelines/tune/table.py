"""The table that a tuning ends with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.table import Table

from pipelines.tune.folds import FILLS_FEW, Outcome, Score, Walk, added
from pipelines.tune.space import Trial

ROWS_MAX = 10


def trials_table(
    values: Sequence[Trial], windows: Mapping[int, Sequence[Outcome]], walk: Walk, score: Score, *, name: str
) -> Table:
    """The best trials on all windows, the defaults and those that a fold chose, with both scores of every fold."""
    ranked = sorted(windows, key=lambda number: (-score(added(windows[number])), number))
    chosen = {fold.chosen for fold in walk.folds} | {walk.best, 0}
    shown = [number for at, number in enumerate(ranked) if at < ROWS_MAX or number in chosen]
    legend = f"in sample | out of sample of each fold, * where it was chosen; ? fewer than {FILLS_FEW} fills say little"
    table = Table(title=f"{name}\n{legend}", title_justify="left")
    table.add_column("trial", justify="right")
    for key in values[0]:
        table.add_column(key.partition(".")[2], justify="right")
    for fold in walk.folds:
        table.add_column(f"fold {fold.window}", justify="right")
    for title in ("all time", "net USD", "drawdown", "fills"):
        table.add_column(title, justify="right")
    for number in shown:
        outcomes = windows[number]
        total = added(outcomes)
        table.add_row(
            str(number) if number else "defaults",
            *(_value(value) for value in values[number].values()),
            *(
                f"{score(added(outcomes[: fold.window])):+.2f} | {score(outcomes[fold.window]):+.2f}"
                + ("*" if fold.chosen == number else " ")
                for fold in walk.folds
            ),
            f"{score(total):+.2f}",
            f"{total.net_usd:+.2f}",
            f"{total.drawdown_usd:.2f}",
            f"{total.fills_count}{'?' if total.fills_count < FILLS_FEW else ' '}",
            style="bold" if number == walk.best else "",
        )
    return table


def _value(value: object) -> str:
    return f"{value:g}" if isinstance(value, int | float) and not isinstance(value, bool) else str(value)
