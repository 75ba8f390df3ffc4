"""How many recorded frames a second the feed's chain takes on one core: decode, sequence, book, top of book.

    python benchmarks/feed_throughput.py RECORDING [--runs 5]

Prints JSON. `with_top` reads best bid and ask with sizes after every frame, `without_top` never, `with_updates` also
makes the BookUpdate of ten levels that subscribers would get after every frame. Where cryptofeed is installed its own
books take the same frames in the same run, without and with reading the top. Times are this process's own, and the
runs take turns, so that what else the machine does falls on all alike; `with_top_over_cryptofeed` is the median of the
turns' ratios to cryptofeed without the top.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import importlib.util
import json
import platform
import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from actors.feed.engine import FeedEngine
from actors.feed.messages import ConnectionUp, SnapshotAnswer
from actors.sim.recording import recorded_instrument, survey
from actors.transport.venue_recording import read_frames
from actors.venues.catalog import market_dialect
from actors.vocab.config.feed import FeedSettings
from actors.vocab.instruments import Instrument
from actors.vocab.market import BookState


def load(path: Path) -> tuple[list[tuple[int, bytes, bool]], Instrument]:
    """(receive time, frame or snapshot body, is it a snapshot) of a whole file, and its instrument."""
    frames = list(read_frames(path))
    facts = survey(frames, name=str(path))
    instrument = recorded_instrument(
        facts.symbols[0], venue=f"binance_{facts.market}", market=facts.market, maker_fee_bps=0.0, taker_fee_bps=0.0
    )
    return [(f.recv_ns, f.combined or f.data, not f.stream) for f in frames], instrument


def run_ours(frames: list[tuple[int, bytes, bool]], instrument: Instrument, mode: str) -> tuple[float, FeedEngine]:
    """Seconds for all frames with a fresh engine."""
    dialect = market_dialect(instrument.venue)
    engine = FeedEngine(
        venue=instrument.venue,
        dialect=dialect,
        instruments=[instrument],
        settings=FeedSettings(),
        rng=random.Random(1),
    )
    symbol = instrument.symbol
    engine.handle(ConnectionUp("recorded", (symbol,)), frames[0][0])
    feed = engine.feed(symbol)
    on_frame, flush, best = engine.on_frame, engine.flush, feed.best
    gc.collect()
    began_s = time.process_time()
    if mode == "with_top":
        for recv_ns, body, is_snapshot in frames:
            if is_snapshot:
                engine.handle(SnapshotAnswer(symbol, dialect.decode_snapshot(symbol, body)), recv_ns)
            else:
                on_frame("recorded", body, recv_ns)
                best()
    elif mode == "without_top":
        for recv_ns, body, is_snapshot in frames:
            if is_snapshot:
                engine.handle(SnapshotAnswer(symbol, dialect.decode_snapshot(symbol, body)), recv_ns)
            else:
                on_frame("recorded", body, recv_ns)
    else:
        for recv_ns, body, is_snapshot in frames:
            if is_snapshot:
                engine.handle(SnapshotAnswer(symbol, dialect.decode_snapshot(symbol, body)), recv_ns)
            else:
                on_frame("recorded", body, recv_ns)
                flush(recv_ns)
    return time.process_time() - began_s, engine


def summary(rates: list[float]) -> dict[str, float]:
    return {
        "frames_per_s_median": round(statistics.median(rates)),
        "frames_per_s_min": round(min(rates)),
        "frames_per_s_max": round(max(rates)),
    }


def cryptofeed_run(path: Path, instrument: Instrument) -> Callable[[bool], float] | str:
    """Frames a second of cryptofeed's own Binance futures handlers on the same bytes; a sentence where it cannot run.

    The recorded snapshot answers its REST call. It knows no raw `trade` stream, so those frames are renamed to the
    aggregate trades that it does know: the same work, and no log line each.
    """
    if importlib.util.find_spec("cryptofeed") is None:
        return "cryptofeed is not installed"
    if instrument.market != "perp":
        return "compared on USD-M recordings only"
    from cryptofeed.defines import L2_BOOK, TICKER, TRADES
    from cryptofeed.exchanges import BinanceFutures
    from cryptofeed.symbols import Symbols

    recorded = list(read_frames(path))
    snapshot = next((frame.data for frame in recorded if not frame.stream), None)
    if snapshot is None:
        return "the recording holds no snapshot, without which cryptofeed makes no book"
    frames = [
        frame.combined.replace(b'"e":"trade"', b'"e":"aggTrade"').replace(b'"t":', b'"a":')
        if frame.channel == "trade"
        else frame.combined
        for frame in recorded
        if frame.stream
    ]
    name = f"{instrument.base}-{instrument.quote}-PERP"
    Symbols.set(BinanceFutures.id, {name: instrument.venue_symbol}, {"instrument_type": {name: "perpetual"}})

    class Recorded:
        async def read(self, *_: object) -> str:
            return snapshot.decode()

    async def ignore(*_: object) -> None:
        return None

    async def play(*, read_top: bool) -> float:
        feed = BinanceFutures(
            symbols=[name],
            channels=[L2_BOOK, TICKER, TRADES],
            callbacks={L2_BOOK: ignore, TICKER: ignore, TRADES: ignore},
        )
        feed.http_conn = Recorded()
        books, handle = feed._l2_book, feed.message_handler
        gc.collect()
        began_s = time.process_time()
        for frame in frames:
            await handle(frame, None, 0.0)
            if read_top and name in books:
                book = books[name].book
                book.bids.index(0)
                book.asks.index(0)
        return time.process_time() - began_s

    return lambda read_top: len(frames) / asyncio.run(play(read_top=read_top))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("recording", type=Path)
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    if not arguments.recording.exists():
        print(json.dumps({"skipped": f"{arguments.recording} is not here; give a recording"}))
        return
    frames, instrument = load(arguments.recording)
    _, engine = run_ours(frames, instrument, "with_top")
    state = engine.feed(instrument.symbol).state
    if state is not BookState.OK or engine.health.gaps or engine.health.unparsed:
        raise SystemExit(f"the book ended as {state.name} with {engine.health}: the figures would mean nothing")
    theirs = cryptofeed_run(arguments.recording, instrument)
    modes = ("with_top", "without_top", "with_updates")
    ours: dict[str, list[float]] = {mode: [] for mode in modes}
    without_top: list[float] = []
    for _ in range(arguments.runs):
        for mode in modes:
            ours[mode].append(len(frames) / run_ours(frames, instrument, mode)[0])
        if not isinstance(theirs, str):
            without_top.append(theirs(False))
    result: dict[str, Any] = {
        "recording": arguments.recording.name,
        "frames": len(frames),
        "machine": platform.processor() or platform.machine(),
        "python": platform.python_version(),
        "runs": arguments.runs,
        "manta": {mode: summary(rates) for mode, rates in ours.items()},
    }
    if isinstance(theirs, str):
        result["cryptofeed"] = theirs
    else:
        result["cryptofeed"] = {"without_top": summary(without_top), "with_top": summary([theirs(True)])}
        result["with_top_over_cryptofeed"] = round(
            statistics.median(a / b for a, b in zip(ours["with_top"], without_top, strict=True)), 2
        )
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
