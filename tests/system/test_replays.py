"""Whole recordings through the whole fleet, twice each, and as a backtest, as typed: `make replays`. Takes an hour;
run it alone.

One of them: `python -m pytest -s -m full tests/system/test_replays.py -k nexo`.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet
import pytest

from tests.feed.test_recordings import DATA, RECORDINGS
from tests.system.driver import ROOT
from tests.system.replay_judge import check_books, check_summary, summary_of

HOURS = 3 * 3_600


def play(run: Path, *words: str) -> float:
    """Run one command to its end; seconds that it took."""
    began_s = time.monotonic()
    command = [sys.executable, "-m", *words, "--seed", "1", "--run-dir", str(run)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-4_000:] + done.stderr[-4_000:]
    return time.monotonic() - began_s


def row(recording: Path, run: Path, took_s: float, compared: int) -> str:
    """What a run was, for whoever reads along (`-s`)."""
    summary = summary_of(run)
    return json.dumps(
        {
            "recording": recording.name,
            "took_s": round(took_s),
            "frames": summary["feed"]["frames"],
            "books_compared": compared,
            "orders": summary["orders"],
            "fills": summary["fills_count"],
            "two_sided_median": summary["two_sided_share"]["median"],
            "net_usd": summary["pnl"]["net_usd"],
            "memory_mb": summary["memory_mb"]["total_pss"],
            "orders_blake2s": hashlib.blake2s((run / "orders.jsonl").read_bytes()).hexdigest()[:16],
        }
    )


def fills(run: Path) -> list[dict[str, object]]:
    """Every fill that risk booked."""
    columns = ["venue", "symbol", "event_ns", "side", "price", "size", "position", "fee_usd", "maker"]
    rows = pyarrow.parquet.read_table(run / "tables" / "fills.parquet", columns=columns).to_pylist()
    assert rows
    return rows


@pytest.mark.full
@pytest.mark.recordings
@pytest.mark.timeout(HOURS)
@pytest.mark.parametrize("name", RECORDINGS)
def test_a_whole_recording_gives_right_books_and_the_same_orders_twice_and_in_a_backtest(
    name: str, tmp_path: Path
) -> None:
    recording, venue = DATA / name, RECORDINGS[name][1]
    if not recording.exists():
        pytest.skip(f"the recording {name} is not in ../shared/data")
    runs = [tmp_path / "first", tmp_path / "second"]
    for run in runs:
        took_s = play(run, "pipelines.mm", "--replay", str(recording), "--speed", "max", "--no-llm")
        check_summary(run)
        compared = check_books(run, recording, venue)
        print(row(recording, run, took_s, compared), flush=True)
        assert compared >= summary_of(run)["feed"]["frames"] // 1_000

    first, second = runs
    assert (first / "orders.jsonl").read_bytes() == (second / "orders.jsonl").read_bytes()
    backtest = tmp_path / "backtest"
    took_s = play(backtest, "pipelines.backtest", "--data", str(recording))
    print(row(recording, backtest, took_s, 0), flush=True)
    assert (first / "orders.jsonl").read_bytes() == (backtest / "orders.jsonl").read_bytes()
    assert fills(first) == fills(backtest)
    for books in first.glob("books_*.jsonl"):
        assert books.read_bytes() == (second / books.name).read_bytes()
