"""Paper trading as a user starts it: it listens to other venues, and trades at its own."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

from actors.sim.actor import VenueEndpoint
from pipelines.endpoints import Endpoints, write_endpoints
from tests.system.driver import ROOT, START_S, Venues, until


def started(endpoints: Path, folder: Path) -> tuple[subprocess.Popen[bytes], Path]:
    """A paper run in `folder`, and what it prints."""
    log = folder / "paper.txt"
    with log.open("w") as out:
        run = subprocess.Popen(
            [
                *(sys.executable, "-m", "pipelines.mm", "--mode", "paper", "--symbols", "BTCUSDT,ETHUSDT"),
                *("--no-llm", "--venue-endpoints", str(endpoints), "--run-dir", str(folder / "run")),
            ],
            cwd=ROOT,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return run, log


def test_paper_run_quotes_on_the_upstreams_market_and_never_trades_there(tmp_path: Path) -> None:
    venues = Venues(tmp_path, ("BTCUSDT", "ETHUSDT"))
    try:
        run, log = started(venues.file, tmp_path)
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


def test_an_upstream_that_does_not_answer_is_waited_for_until_the_user_has_enough(tmp_path: Path) -> None:
    nobody = VenueEndpoint(
        venue="binance_perp",
        dialect="binance",
        market="perp",
        rest_url="http://127.0.0.1:1",
        stream_url="ws://127.0.0.1:1",
        order_url="",
        key_file="",
        account_id="",
        symbols=("BTCUSDT", "ETHUSDT"),
    )
    write_endpoints(tmp_path / "endpoints.json", Endpoints((nobody,)))

    run, log = started(tmp_path / "endpoints.json", tmp_path)
    until(lambda: "waits for binance_perp: http://127.0.0.1:1" in log.read_text(), timeout_s=START_S, what="the reason")
    run.send_signal(signal.SIGINT)

    assert run.wait(90) == 130, log.read_text()
