"""Lock-step replay of a whole fleet: the same recording and seed give the same orders, byte for byte."""

from __future__ import annotations

import asyncio
import gzip
import json
import random
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
import uvloop

from tests.system.driver import ROOT, START_S, until
from tests.system.in_process import replay_in_lock_step

DATA = Path(__file__).parents[3] / "shared" / "data" / "hftbacktest"
START_NS = 1_723_161_255_030_314_667
MS = 1_000_000


def write_recording(path: Path, *, seconds: float, seed: int = 5) -> int:
    """A perpetual whose price wanders, with trades on both sides; returns its number of frames."""
    rng = random.Random(seed)
    mid, update_id, trade_id = 617_000, 1_000, 1
    at_ns = START_NS
    lines: list[bytes] = []

    def add(stream: str, body: dict[str, Any]) -> None:
        text = json.dumps({"stream": f"btcusdt@{stream}", "data": body}, separators=(",", ":"))
        lines.append(b"%d %s\n" % (at_ns, text.encode()))

    def price(ticks: int) -> str:
        return f"{ticks / 10:.2f}"

    shown: dict[str, set[str]] = {"b": set(), "a": set()}  # levels that the book holds

    def side(name: str, ticks: list[int]) -> list[list[str]]:
        now = {price(each) for each in ticks}
        rows = [[each, "0.000"] for each in sorted(shown[name] - now)] + [[each, "1.000"] for each in sorted(now)]
        shown[name] = now
        return rows

    while at_ns < START_NS + seconds * 1_000 * MS:
        at_ns += rng.randrange(2 * MS, 30 * MS)
        ms = at_ns // MS
        mid += rng.choice((-25, -5, 0, 0, 5, 25))
        bid, ask = mid, mid + 1
        before, update_id = update_id, update_id + 2
        depth = {"e": "depthUpdate", "E": ms, "T": ms, "s": "BTCUSDT", "U": before + 1, "u": update_id, "pu": before}
        depth["b"] = side("b", [bid - each for each in range(12)])
        depth["a"] = side("a", [ask + each for each in range(12)])
        add("depth@0ms", depth)
        at_ns += 1_000
        top = {"b": price(bid), "B": "1.000", "a": price(ask), "A": "1.000"}
        add("bookTicker", {"e": "bookTicker", "u": update_id, "s": "BTCUSDT", **top, "T": ms, "E": ms})
        if rng.random() < 0.5:
            at_ns += 1_000
            trade_id += 1
            sells = rng.random() < 0.5
            # Now and then one far through the book, so that even wide quotes are filled.
            far = 600 if rng.random() < 0.02 else 0
            trade = {
                "t": trade_id,
                "p": price(bid - far if sells else ask + far),
                "q": f"{rng.randrange(1, 3000) / 1000:.3f}",
            }
            add("trade", {"e": "trade", "E": ms, "T": ms, "s": "BTCUSDT", **trade, "X": "MARKET", "m": sells})
    path.write_bytes(gzip.compress(b"".join(lines)))
    return len(lines)


def replay(recordings: list[Path], orders: Path, **options: Any) -> dict[str, dict[str, Any]]:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(replay_in_lock_step(recordings, orders, **options))


@pytest.mark.slow
def test_two_replays_of_one_recording_give_the_same_orders_byte_for_byte(tmp_path: Path) -> None:
    frames_count = write_recording(tmp_path / "made.gz", seconds=20)

    statuses = [replay([tmp_path / "made.gz"], tmp_path / f"{run}.jsonl") for run in range(2)]

    first, second = ((tmp_path / f"{run}.jsonl").read_bytes() for run in range(2))
    assert first == second
    rows = [json.loads(line) for line in first.splitlines()]
    events = Counter(row["event"] for row in rows)
    assert events["NEW"] >= 2, events
    assert events["FILL"] >= 1, events
    # The recording's clock is the only one: nothing happened before its lead or after the time for cancels.
    assert min(row["at_ns"] for row in rows) >= START_NS - 2_000 * MS
    assert max(row["at_ns"] for row in rows) <= START_NS + 23_000 * MS
    for status in statuses:
        assert status["sim:binance"]["replay"]["frames_count"] == frames_count
        # Acks of subscriptions are frames too.
        assert status["feed:binance_perp:0"]["counters"]["frames"] - frames_count in (1, 2)
        assert status["gateway:binance_perp"]["orders_open_count"] == 0
        assert len({status[role]["step"] for role in status if role != "sim:binance"}) == 1
    last = {row["order_id"]: row["state"] for row in rows if row["event"] not in ("FILL", "REFUSED")}
    assert set(last.values()) <= {"FILLED", "CANCELLED"}


@pytest.mark.slow
@pytest.mark.recordings
@pytest.mark.skipif(not DATA.exists(), reason="the recordings in ../shared/data are not here")
@pytest.mark.parametrize(
    "names",
    [("binance_spot/btcusdt_20240808.gz",), ("binance_usdm/btcusdt_20240808.gz", "binance_usdm/ethusdt_20240808.gz")],
    ids=["spot", "two perpetuals"],
)
def test_slices_of_real_recordings_replay_alike(tmp_path: Path, names: tuple[str, ...]) -> None:
    paths = [DATA / name for name in names]

    for run in range(2):
        replay(paths, tmp_path / f"{run}.jsonl", length_s=8.0)

    first, second = ((tmp_path / f"{run}.jsonl").read_bytes() for run in range(2))
    assert first == second
    assert b'"event":"NEW"' in first


@pytest.mark.slow
def test_a_death_ends_the_run_by_name_instead_of_leaving_it_waiting(tmp_path: Path) -> None:
    """Nobody is replaced in lock-step: what the dead one would have said is missing."""
    write_recording(tmp_path / "made.gz", seconds=200)
    output = tmp_path / "output.txt"
    command = [sys.executable, "-m", "pipelines.mm", "--replay", str(tmp_path / "made.gz"), "--speed", "max"]
    with output.open("w") as log:
        run = psutil.Popen(
            [*command, "--no-llm", "--run-dir", str(tmp_path / "run")], cwd=ROOT, stdout=log, stderr=subprocess.STDOUT
        )
    try:
        until(lambda: "1/1 quoting" in output.read_text(), timeout_s=START_S, what="quoting")
        quote = next(each for each in run.children(recursive=True) if each.name().startswith("ray::QuoteActor"))
        quote.kill()

        assert run.wait(120) == 1
        assert "quote:BTCUSDT is given up: it died" in output.read_text()
    finally:
        for each in (*run.children(recursive=True), run) if run.is_running() else ():
            with suppress(psutil.NoSuchProcess):
                each.kill()
