"""`python -m pipelines.study NAME`: one subcommand a study, each in a file of its own beside this one."""

from __future__ import annotations

import typer

from pipelines.study.as2008 import as2008

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True)
app.command()(as2008)


@app.callback()
def study() -> None:
    """Reprint papers' tables, and fit and test signals on recordings."""


if __name__ == "__main__":
    app()
