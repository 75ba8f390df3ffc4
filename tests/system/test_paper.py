"""Paper trading as a user starts it: it listens to other venues, and trades at its own."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

from tests.system.driver import ROOT, START_S, Venues, until


def test_paper_run_quotes_on_the_upstreams_market_and_never_trades_there(tmp_path: Path) -> None:
    venues = Venues(tmp_path, ("BTCUSDT", "ETHUSDT"))
    log = tmp_path / "paper.txt"
    try:
        with log.open("w") as out:
            run = subprocess.Popen(
                [
                    *(sys.executable, "-m", "pipelines.mm", "--mode", "paper", "--symbols", "BTCUSDT,ETHUSDT"),
                    *("--no-llm", "--venue-endpoints", str(venues.file), "--run-dir", str(tmp_path / "run")),
                ],
                cwd=ROOT,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        until(lambda: run.poll() is not None or "2/2 quoting" in log.read_text(), timeout_s=START_S, what="quotes")
        assert run.poll() is None, log.read_text()
        run.send_signal(signal.SIGINT)
        assert run.wait(90) == 130, log.read_text()
        assert venues.orders() == []
    finally:
        venues.stop()
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["mode"] == "paper"
    assert (tmp_path / "run" / "orders.jsonl").read_text()
