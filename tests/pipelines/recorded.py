"""A small recording of a made-up perpetual, as hftbacktest's collector would have written it."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path

SYMBOL = "BTCUSDT"
START_MS = 1_723_000_000_000


def write_recording(path: Path, *, seconds: int = 240, seed: int = 1) -> Path:
    """Every quarter second the top moves by chance toward its thinner side, and half of the time somebody trades, at
    the best price or a few ticks beyond it."""
    rng, update = random.Random(seed), 1
    lines: list[tuple[int, dict[str, object]]] = []
    mid = 600_000  # ticks of 0.1
    # A level far off on each side never changes: the book is never empty. The snapshot comes, as in life, after the
    # first change.
    levels = [[f"{(mid - 5_000) / 10:.1f}", "9.000"]], [[f"{(mid + 5_000) / 10:.1f}", "9.000"]]
    held: tuple[str, str] | None = None
    for step in range(4 * seconds):
        at_ms = START_MS + 250 * (step + 1)
        bid_lots, ask_lots = rng.randrange(1, 5_000), rng.randrange(1, 5_000)
        mid += (rng.random() < bid_lots / (bid_lots + ask_lots)) * 20 - 10
        bid, ask = f"{(mid - 1) / 10:.1f}", f"{(mid + 1) / 10:.1f}"
        if rng.random() < 0.5:
            bought = rng.random() < 0.5
            deep = rng.choice((0, 0, 3, 8, 30, 100))
            price = (mid + 1 + deep) / 10 if bought else (mid - 1 - deep) / 10
            trade = {"e": "trade", "E": at_ms, "T": at_ms, "s": SYMBOL, "t": step, "p": f"{price:.1f}", "q": "0.010"}
            lines.append((at_ms * 1_000_000, _frame("trade", trade | {"X": "MARKET", "m": not bought})))
        bids, asks = [[bid, f"{bid_lots / 1000:.3f}"]], [[ask, f"{ask_lots / 1000:.3f}"]]
        gone_bids, gone_asks = ([[held[0], "0.000"]], [[held[1], "0.000"]]) if held else ([], [])
        held = bid, ask
        depth = {"e": "depthUpdate", "E": at_ms, "T": at_ms, "s": SYMBOL, "b": gone_bids + bids, "a": gone_asks + asks}
        numbers = {"U": update, "u": update + 1, "pu": update}
        lines.append((at_ms * 1_000_000 + 1, _frame("depth@0ms", depth | numbers)))
        update += 1
        if step == 0:
            snapshot = {"lastUpdateId": update, "E": at_ms, "T": at_ms}
            both = {"bids": bids + levels[0], "asks": asks + levels[1]}
            lines.append((at_ms * 1_000_000 + 2, snapshot | both))
    with gzip.open(path, "wt") as file:
        file.writelines(f"{at_ns} {json.dumps(body)}\n" for at_ns, body in lines)
    return path


def _frame(stream: str, data: dict[str, object]) -> dict[str, object]:
    return {"stream": f"{SYMBOL.lower()}@{stream}", "data": data}
