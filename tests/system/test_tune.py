"""`python -m pipelines.tune` on a real Ray: two trials of a made recording, and the same command once more."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.settings import load_settings
from tests.system.driver import ROOT
from tests.system.test_lock_step import write_recording

pytest.importorskip("pandas", reason="needs the `tune` extra")


def tune(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    words = ["--data", str(folder / "made.gz"), "--model", "fixed", "--search", "quote.fixed_half_spread_bps=0.3:3"]
    more = ["--folds", "1", "--warm-up", "1s", "--run-dir", str(folder / "tuning"), *options]
    return subprocess.run(
        [sys.executable, "-m", "pipelines.tune", *words, *more], cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_two_trials_are_played_by_ray_and_not_again(tmp_path: Path) -> None:
    write_recording(tmp_path / "made.gz", seconds=13)

    first = tune(tmp_path, "--trials", "2")

    assert first.returncode == 0, first.stderr
    assert "Traceback" not in first.stderr
    outcomes = (tmp_path / "tuning" / "outcomes.jsonl").read_bytes()
    assert outcomes.count(b"\n") == 3  # two and the defaults
    result = json.loads((tmp_path / "tuning" / "tune.json").read_text())
    assert len(result["walk"]["folds"]) == 1
    chosen = load_settings([tmp_path / "tuning" / "best.yaml"])
    assert chosen.quote.model == "fixed"
    assert chosen.quote.fixed_half_spread_bps == result["best"]["quote.fixed_half_spread_bps"]

    again = tune(tmp_path, "--trials", "2")

    assert (again.returncode, again.stdout) == (0, first.stdout)
    assert (tmp_path / "tuning" / "outcomes.jsonl").read_bytes() == outcomes


FAILING = """
import sys
from pathlib import Path
from actors.transport.venue_recording import survey_file
from pipelines.settings import load_settings
from pipelines.tune.play import Session
from pipelines.tune.ray_trials import run_trials

path = Path(sys.argv[1]) / "gone.gz"
session = Session((str(path),), (survey_file(path),), ("BTCUSDT",), (), 1)
path.unlink()
job = {"trial": 0, "session": 0, "settings": load_settings().model_dump_json()}
print(run_trials([job], [session], folder=path.parent, address=None, finished=lambda *_: None))
"""


def test_a_play_that_fails_says_why_in_one_line(tmp_path: Path) -> None:
    write_recording(tmp_path / "gone.gz", seconds=1)
    ended = subprocess.run(
        [sys.executable, "-c", FAILING, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    [line] = ast.literal_eval(ended.stdout.splitlines()[-1])
    assert line.startswith("trial 0, session 0: ")
    assert "gone.gz" in line
    assert "Traceback" not in ended.stderr
