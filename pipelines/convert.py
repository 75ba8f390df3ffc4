"""Write recordings or Tardis CSV for hftbacktest: `python -m pipelines.convert --data FILE --out FILE.npz`."""

from __future__ import annotations

import gzip
import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from actors.transport.venue_recording import read_frames
from actors.vocab.errors import ConfigError
from actors.vocab.units import NS_PER_MS
from pipelines.exits import run
from pipelines.hft_events import Row, event_array, rows_of_recording, rows_of_tardis

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    out: Annotated[Path, typer.Option(help="the .npz file to write")],
    data: Annotated[list[Path] | None, typer.Option(help="a recording or a Tardis CSV; may be repeated")] = None,
    symbol: Annotated[str, typer.Option(help="of a recording that holds several")] = "",
    stamps: Annotated[str, typer.Option(help="receive | venue: when the exchange knows a recorded frame")] = "receive",
    base_latency_ms: Annotated[
        float, typer.Option(help="of the fastest message, where the venue's clock runs ahead of ours", min=0)
    ] = 0.0,
) -> None:
    """Depth and trades of one symbol, in hftbacktest's order of both clocks."""
    if stamps not in ("receive", "venue"):
        raise ConfigError(f"--stamps {stamps}: choose receive or venue")
    if not data:
        raise ConfigError("--data is missing: give a recording, or Tardis' incremental_book_L2 and trades")
    rows = chain.from_iterable(_rows(path, symbol=symbol, venue_time=stamps == "venue") for path in data)
    events = event_array(rows, base_latency_ns=int(base_latency_ms * NS_PER_MS))
    if not len(events):
        raise ConfigError(f"--data {data[0]}: holds no depth and no trade")
    try:
        np.savez_compressed(out, data=events)
    except OSError as error:
        raise ConfigError(f"--out {out}: cannot be written ({error.strerror})") from None
    print(f"{out}: {len(events)} events", file=sys.stderr)


def _rows(path: Path, *, symbol: str, venue_time: bool) -> Iterator[Row]:
    if ".csv" in path.suffixes:
        return rows_of_tardis(_text(path), name=str(path))
    held = tuple(dict.fromkeys(frame.symbol for frame in read_frames(path) if frame.symbol))
    if not symbol and len(held) != 1:
        raise ConfigError(f"--symbol is missing: {path} holds {', '.join(held) or 'none'}")
    if symbol and symbol not in held:
        raise ConfigError(f"--symbol {symbol}: {path} holds {', '.join(held)}")
    return rows_of_recording(
        (frame for frame in read_frames(path) if frame.symbol or len(held) == 1),
        symbol=symbol or held[0],
        venue_time=venue_time,
    )


def _text(path: Path) -> Iterator[str]:
    try:
        with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
            yield from file
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise ConfigError(f"--data {path}: cannot be read ({error})") from None


if __name__ == "__main__":
    run(app, "pipelines.convert")
