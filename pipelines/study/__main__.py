"""`python -m pipelines.study NAME`: one subcommand a study, each in a file of its own beside this one."""

from __future__ import annotations

import typer

from pipelines.exits import run as run_command
from pipelines.study.as2008 import as2008
from pipelines.study.intensity import intensity
from pipelines.study.markouts import markouts
from pipelines.study.microprice import microprice
from pipelines.study.signals import signals

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
for each in (as2008, markouts, intensity, microprice, signals):
    app.command()(each)


@app.callback()
def study() -> None:
    """Reprint papers' tables, and fit and test signals on recordings."""


if __name__ == "__main__":
    run_command(app, "pipelines.study")
