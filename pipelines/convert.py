"""Write recordings or Tardis CSV for hftbacktest: `python -m pipelines.convert --data FILE --out FILE.npz`."""

from __future__ import annotations

import csv
import gzip
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from actors.sim.recording import RecordedFrame
from actors.transport.venue_recording import read_frames
from actors.vocab.errors import ConfigError
from actors.vocab.units import NS_PER_MS
from pipelines.exits import run
from pipelines.hft_events import Row, event_array, rows_of_recording, rows_of_tardis
from pipelines.replay import refuse_repeated

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    out: Annotated[Path, typer.Option(help="the .npz file to write")],
    data: Annotated[list[Path] | None, typer.Option(help="a recording or a Tardis CSV; may be repeated")] = None,
    symbol: Annotated[str, typer.Option(help="of a recording that holds several")] = "",
    stamps: Annotated[str, typer.Option(help="receive | venue: when the exchange knows a recorded frame")] = "receive",
    base_latency_ms: Annotated[
        float,
        typer.Option(help="of the fastest message, where the venue's clock runs ahead of ours", min=0, max=60_000),
    ] = 0.0,
) -> None:
    """Depth and trades of one symbol, in hftbacktest's order of both clocks."""
    if stamps not in ("receive", "venue"):
        raise ConfigError(f"--stamps {stamps}: choose receive or venue")
    if not data:
        raise ConfigError("--data is missing: give a recording, or Tardis' incremental_book_L2 and trades")
    refuse_repeated(data, option="--data")
    if out.suffix != ".npz" or out.is_dir() or not out.parent.is_dir():
        raise ConfigError(f"--out {out}: name a file that ends in .npz, in a folder that is there")
    parts = [_Part.of(path, symbol) for path in data]
    for part in parts:
        if part.symbol != parts[0].symbol or len(markets := {*parts[0].markets, *part.markets}) > 1:
            held = " and ".join(sorted(markets)) if part.symbol == parts[0].symbol else part.symbol
            raise ConfigError(
                f"--data {part.path}: with {parts[0].path} that is more than one book ({held}); one at a time"
            )
    rows = chain.from_iterable(part.rows(venue_time=stamps == "venue") for part in parts)
    events = event_array(rows, base_latency_ns=int(base_latency_ms * NS_PER_MS))
    if not len(events):
        raise ConfigError(f"--data {data[0]}: holds no depth and no trade")
    try:
        np.savez_compressed(out, data=events)
    except OSError as error:
        raise ConfigError(f"--out {out}: cannot be written ({error.strerror})") from None
    print(f"{out}: {len(events)} events", file=sys.stderr)


@dataclass(frozen=True)
class _Part:
    """One file's share of the book that is asked for."""

    path: Path
    symbol: str
    markets: tuple[str, ...]  # spot or perp, as its frames say; Tardis' exchange; none where nothing tells
    is_alone: bool = True  # no other symbol there: what names none is this one's

    @classmethod
    def of(cls, path: Path, symbol: str) -> _Part:
        if ".csv" in path.suffixes:
            exchange, name, *_ = [*next(csv.reader(islice(_text(path), 1, None)), []), "", ""]
            return cls(path, name, (exchange,))
        found: dict[str, set[str]] = {}
        for frame in read_frames(path):
            if frame.symbol:
                found.setdefault(frame.symbol, set()).add(_market_of(frame))
        if not found:
            raise ConfigError(f"--data {path}: holds no frame of a symbol")
        if not symbol and len(found) != 1:
            raise ConfigError(f"--symbol is missing: {path} holds {', '.join(found)}")
        if symbol and symbol not in found:
            raise ConfigError(f"--symbol {symbol}: {path} holds {', '.join(found)}")
        name = symbol or next(iter(found))
        return cls(path, name, tuple(sorted(found[name] - {""})), is_alone=len(found) == 1)

    def rows(self, *, venue_time: bool) -> Iterator[Row]:
        if ".csv" in self.path.suffixes:
            return rows_of_tardis(_text(self.path), name=str(self.path))
        frames = (frame for frame in read_frames(self.path) if frame.symbol or self.is_alone)
        return rows_of_recording(frames, symbol=self.symbol, venue_time=venue_time)


def _market_of(frame: RecordedFrame) -> str:
    """By keys that only one market has; empty where nothing tells."""
    if frame.channel == "depth":
        return "perp" if b'"pu"' in frame.data else "spot"
    if frame.channel in ("trade", "aggTrade"):
        return "perp" if b'"X"' in frame.data else "spot" if b'"M"' in frame.data else ""
    return ""


def _text(path: Path) -> Iterator[str]:
    try:
        with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
            yield from file
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise ConfigError(f"--data {path}: cannot be read ({error})") from None


if __name__ == "__main__":
    run(app, "pipelines.convert")
