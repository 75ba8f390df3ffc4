"""Whole recordings through the whole fleet, twice each, as typed: `make replays`. Takes an hour; run it alone.

One of them: `python -m pytest -s -m full tests/system/test_replays.py -k nexo`.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.feed.test_recordings import DATA, RECORDINGS
from tests.system.driver import ROOT
from tests.system.replay_judge import check_books, check_summary, summary_of

HOURS = 3 * 3_600


def replay(recording: Path, run: Path, *options: str) -> float:
    """Play it to its end; seconds that the whole command took."""
    command = [sys.executable, "-m", "pipelines.mm", "--replay", str(recording), "--speed", "max", "--seed", "1"]
    began_s = time.monotonic()
    done = subprocess.run([*command, "--run-dir", str(run), *options], cwd=ROOT, capture_output=True, text=True)
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


@pytest.mark.full
@pytest.mark.recordings
@pytest.mark.timeout(HOURS)
@pytest.mark.parametrize("name", RECORDINGS)
def test_a_whole_recording_gives_right_books_and_the_same_orders_twice(name: str, tmp_path: Path) -> None:
    recording, venue = DATA / name, RECORDINGS[name][1]
    if not recording.exists():
        pytest.skip(f"the recording {name} is not in ../shared/data")
    runs = [tmp_path / "first", tmp_path / "second"]
    for run in runs:
        took_s = replay(recording, run, "--no-llm")
        check_summary(run)
        compared = check_books(run, recording, venue)
        print(row(recording, run, took_s, compared), flush=True)
        assert compared >= summary_of(run)["feed"]["frames"] // 1_000

    first, second = runs
    assert (first / "orders.jsonl").read_bytes() == (second / "orders.jsonl").read_bytes()
    for books in first.glob("books_*.jsonl"):
        assert books.read_bytes() == (second / books.name).read_bytes()
