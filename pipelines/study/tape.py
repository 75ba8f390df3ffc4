"""A recording as studies read it: every change of the top, every trade, seen by the feed's own brain.

Two clocks are recorded. On a perpetual all frames carry the venue's stamp, and a trade is put against the top that the
venue had before it; spot's book ticker has no stamp, and a trade is put against the top received
`LEAD_NS` before it, since the ticker that a trade causes may arrive before the trade does.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from actors.feed.engine import FeedEngine
from actors.feed.messages import ConnectionUp, FeedCommand, FetchSnapshot, SnapshotAnswer, Timer
from actors.sim.recording import SNAPSHOT, RecordingFacts, recorded_instrument
from actors.transport.venue_recording import read_frames
from actors.venues.catalog import market_dialect
from actors.vocab.config.feed import FeedSettings
from actors.vocab.errors import ConfigError
from actors.vocab.instruments import Instrument
from actors.vocab.market import BookState, BookUpdate
from actors.vocab.units import NS_PER_MS
from actors.vocab.venue_io import PublicTrade
from pipelines.replay import surveyed

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

CONNECTION = "recording"
LEAD_NS = 10 * NS_PER_MS
TIMER_NS = 50 * NS_PER_MS


@dataclass(frozen=True)
class Tape:
    """One symbol of one recording. Times are ns of one clock, ascending; a top without a good book is NaN."""

    name: str
    row: Instrument
    clock: str  # "venue" or "receipt"
    at_ns: Ints
    bid_ticks: Floats
    bid_lots: Floats
    ask_ticks: Floats
    ask_lots: Floats
    trade_ns: Ints
    trade_side: Ints  # the taker's: +1 bought, -1 sold
    trade_ticks: Floats
    trade_lots: Floats
    trade_top: Ints  # row of the top before the trade; -1: none

    @property
    def mid_ticks(self) -> Floats:
        return (self.bid_ticks + self.ask_ticks) / 2

    @property
    def seconds(self) -> float:
        return float(self.at_ns[-1] - self.at_ns[0]) / 1e9 if len(self.at_ns) else 0.0

    def mid_at(self, when_ns: Ints) -> Floats:
        """The last mid at or before each moment; NaN before the first and after the tape's end."""
        rows = np.searchsorted(self.at_ns, when_ns, side="right") - 1
        found = self.mid_ticks[np.maximum(rows, 0)]
        found[(rows < 0) | (when_ns > self.at_ns[-1])] = np.nan
        return found


def read_tapes(paths: Sequence[Path], symbols: Sequence[str] = ()) -> list[Tape]:
    """One tape for each chosen symbol of each recording; ConfigError names what is missing."""
    tapes, held = [], set()
    for path, facts, rows in recorded_rows(paths, symbols):
        held |= {one.symbol for one in facts.symbols}
        if rows:
            tapes += _read(path, facts, rows)
    missing = sorted(set(symbols) - held)
    if missing:
        raise ConfigError(f"--symbols {', '.join(missing)}: the recordings hold {', '.join(sorted(held))}")
    if not tapes:
        raise ConfigError(
            f"{', '.join(map(str, paths))}: no moment with a good book; is one side missing, or the depth stream?"
        )
    return tapes


def updates(
    path: Path, facts: RecordingFacts, rows: Sequence[Instrument]
) -> Iterator[tuple[int, BookUpdate | PublicTrade]]:
    """(receipt, what a feed would have published), frame by frame; each trade before the update that tells of it."""
    venue = rows[0].venue
    dialect = market_dialect(venue, rows)
    feed = FeedEngine(venue=venue, dialect=dialect, instruments=rows, settings=FeedSettings(), rng=random.Random(0))
    names = tuple(row.symbol for row in rows)
    has_snapshot = bool(facts.snapshots)
    now_ns = timer_ns = facts.first_ns
    waiting: list[FeedCommand] = [*feed.handle(ConnectionUp(CONNECTION, names), now_ns)]
    for frame in read_frames(path):
        now_ns = frame.recv_ns
        if now_ns >= timer_ns:
            timer_ns = now_ns + TIMER_NS
            waiting += feed.handle(Timer(), now_ns)
        if frame.channel == SNAPSHOT:
            symbol = frame.symbol or (names[0] if len(facts.symbols) == 1 else "")
            if symbol in names:
                answer = SnapshotAnswer(symbol, dialect.decode_snapshot(symbol, frame.data))
                waiting += feed.handle(answer, now_ns)
        elif frame.symbol in names:
            event = dialect.decode(frame.combined)
            if event is not None:
                if isinstance(event, PublicTrade):
                    yield now_ns, event
                waiting += feed.on_event(event, now_ns, CONNECTION)
        for command in waiting:
            if isinstance(command, FetchSnapshot) and not has_snapshot:
                none = SnapshotAnswer(command.symbol, None, "none was recorded", unavailable=True)
                feed.handle(none, now_ns)
        waiting = []
        for published in feed.flush(now_ns):
            yield now_ns, published.update


def recorded_rows(
    paths: Sequence[Path], symbols: Sequence[str] = ()
) -> list[tuple[Path, RecordingFacts, list[Instrument]]]:
    """Each recording with its survey and its chosen instruments."""
    return [(path, facts, _rows(facts, symbols)) for path, facts in zip(paths, surveyed(paths), strict=True)]


def _rows(facts: RecordingFacts, symbols: Sequence[str]) -> list[Instrument]:
    venue = f"binance_{facts.market}"
    return [
        recorded_instrument(one, venue=venue, market=facts.market, maker_fee_bps=2.0, taker_fee_bps=5.0, known={})
        for one in facts.symbols
        if not symbols or one.symbol in symbols
    ]


class _Columns:
    def __init__(self) -> None:
        self.tops: list[tuple[int, int, float, float, float, float]] = []  # recv, event, bid, lots, ask, lots
        self.trades: list[tuple[int, int, int, float, float]] = []  # recv, event, side, ticks, lots


def _read(path: Path, facts: RecordingFacts, rows: Sequence[Instrument]) -> list[Tape]:
    columns = {row.symbol: _Columns() for row in rows}
    stamped = facts.market == "perp"
    nan = float("nan")
    for recv_ns, event in updates(path, facts, rows):
        into = columns[event.symbol]
        if isinstance(event, PublicTrade):
            into.trades.append((recv_ns, event.event_ns, int(event.side), event.price_ticks, event.lots))
            continue
        good = event.state is BookState.OK and event.bids and event.asks
        top = (*event.bids[0], *event.asks[0]) if good else (nan, nan, nan, nan)
        if not into.tops and not (good and (event.event_ns or not stamped)):
            continue  # a tape begins with its first good book; one made by a snapshot alone has no stamp yet
        if not into.tops or into.tops[-1][2:] != top:
            into.tops.append((recv_ns, event.event_ns, *top))
    return [_tape(path.name, row, columns[row.symbol], stamped) for row in rows if columns[row.symbol].tops]


def _tape(name: str, row: Instrument, columns: _Columns, stamped: bool) -> Tape:
    tops = np.array([one[2:] for one in columns.tops], dtype=float).reshape(-1, 4)
    top_ns = np.array([one[:2] for one in columns.tops], dtype=np.int64).reshape(-1, 2)
    trades = np.array([one[2:] for one in columns.trades], dtype=float).reshape(-1, 3)
    trade_ns = np.array([one[:2] for one in columns.trades], dtype=np.int64).reshape(-1, 2)
    clock = int(stamped)
    at_ns, when_ns = np.maximum.accumulate(top_ns[:, clock]), trade_ns[:, clock]
    before_ns = when_ns if stamped else when_ns - LEAD_NS
    top_row = np.searchsorted(at_ns, before_ns, side="left") - 1
    return Tape(
        name=name,
        row=row,
        clock="venue" if stamped else "receipt",
        at_ns=at_ns,
        bid_ticks=tops[:, 0],
        bid_lots=tops[:, 1],
        ask_ticks=tops[:, 2],
        ask_lots=tops[:, 3],
        trade_ns=when_ns,
        trade_side=trades[:, 0].astype(np.int64),
        trade_ticks=trades[:, 1],
        trade_lots=trades[:, 2],
        trade_top=top_row,
    )
