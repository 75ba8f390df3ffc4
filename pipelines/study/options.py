"""Options that the studies of recordings have in common."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Data = Annotated[
    list[Path], typer.Option("--data", metavar="PATH", help="recording of a venue's public streams; may be repeated")
]
Symbols = Annotated[str, typer.Option(help="BTCUSDT,ETHUSDT; default: all that the recordings hold")]


def chosen(symbols: str) -> tuple[str, ...]:
    """The names in `--symbols`; none means all."""
    return tuple(name.strip().upper() for name in symbols.split(",") if name.strip())
