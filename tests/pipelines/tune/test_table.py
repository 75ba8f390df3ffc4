"""The table that a tuning ends with."""

from __future__ import annotations

from io import StringIO

from rich.console import Console

from pipelines.tune.folds import Outcome, net_usd_per_h, walk_forward
from pipelines.tune.table import trials_table


def test_trials_with_few_fills_are_marked() -> None:
    windows = {
        0: [Outcome(1.0, -1.0, fills_count=40), Outcome(1.0, -1.0, fills_count=40)],
        1: [Outcome(1.0, 2.0, fills_count=1), Outcome(1.0, 2.0, fills_count=2)],
    }
    walk = walk_forward(windows, net_usd_per_h)
    assert walk is not None
    values = [{"quote.gamma": 0.1}, {"quote.gamma": 0.2}]
    shown = StringIO()

    Console(file=shown, width=120).print(trials_table(values, windows, walk, net_usd_per_h, name="net"))

    rows = {line.split()[1]: line for line in shown.getvalue().splitlines() if line.startswith("│")}
    assert rows["1"].split()[-2] == "3?"
    assert rows["defaults"].split()[-2] == "80"
