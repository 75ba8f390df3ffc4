"""`pipelines.backtest` as typed: its folder, the same bytes twice, and what it says of bad input and bad markets."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest

from actors.quote.figures import figures
from actors.transport.venue_recording import merge_frames, survey_file
from pipelines import backtest
from pipelines.chain import Chain
from pipelines.settings import load_settings
from tests.pipelines.wrong_input import Refused, refusal_of
from tests.system.test_lock_step import write_recording


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Refused:
    monkeypatch.chdir(tmp_path)
    write_recording(tmp_path / "made.gz", seconds=0.3)
    (tmp_path / "cut.gz").write_bytes((tmp_path / "made.gz").read_bytes()[:-200])
    (tmp_path / "words").write_text("no recording\n")
    return refusal_of(backtest.app, "pipelines.backtest", monkeypatch, capsys)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "--data is missing"),
        (("--data", "nowhere.gz"), "nowhere.gz: no such recording"),
        (("--data", "."), "is a folder"),
        (("--data", "words"), "words line 1: expected `<receive time> <JSON>`"),
        (("--data", "cut.gz"), "the gzip data is truncated or damaged"),
        (("--data", "made.gz", "--data", "./made.gz"), "given twice"),
        (("--data", "made.gz", "--model", "oracle"), "--model oracle: choose one of "),
        (("--data", "made.gz", "--symbols", "ETHUSDT"), "the recordings hold BTCUSDT, not ETHUSDT"),
        (("--data", "made.gz", "--set", "quote.gama=1"), "did you mean gamma?"),
        (("--data", "made.gz", "--set", "sim.faults=rough"), "a backtest has no connections"),
        (("--data", "made.gz", "--set", "sim.queue_model=hope"), "sim.queue_model"),
        (("--data", "made.gz", "--duration", "soon"), "--duration soon"),
        (("--data", "made.gz", "--seed", "-1"), "seed"),
    ],
)
def test_what_cannot_be_played_is_refused_in_one_line(refused: Refused, arguments: tuple[str, ...], said: str) -> None:
    assert said in refused(*arguments)


def played(recording: Path, folder: Path, *options: str) -> dict[str, Any]:
    with pytest.raises(SystemExit) as end:
        backtest.app(
            ["--data", str(recording), "--run-dir", str(folder), "--model", "fixed", *options], standalone_mode=False
        )
    assert end.value.code == 0
    summary: dict[str, Any] = json.loads((folder / "summary.json").read_text())
    return summary


def test_the_folder_is_the_same_twice_and_the_parts_add_up(tmp_path: Path) -> None:
    write_recording(tmp_path / "made.gz", seconds=10)

    first = played(tmp_path / "made.gz", tmp_path / "first")
    second = played(tmp_path / "made.gz", tmp_path / "second")

    for name in ("orders.jsonl", "summary.json"):
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()
    assert first == second
    assert first["fills_count"] > 0
    assert first["pnl"]["residual_usd"] == 0.0
    assert first["orders_alive"] == []
    assert list(first["markout_bps"]) == ["1s", "5s", "30s"]
    why = first["reasons"]["BTCUSDT"]
    assert why["venue"] == "binance_perp"
    assert why["bid"]["QUOTING"] > 0.5
    assert sum(why["ask"].values()) == pytest.approx(1, abs=1e-3)
    assert first["mode"] == "replay"
    assert "<html" in (tmp_path / "first" / "report.html").read_text()


def chained(recording: Path, *overrides: str) -> Chain:
    chain = Chain([survey_file(recording)], load_settings(overrides=overrides), seed=1)
    chain.run(merge_frames([recording]))
    return chain


def reasons(chain: Chain) -> str:
    row = figures(chain.quotes[0].engines["BTCUSDT"]["binance_perp"], chain.now_ns)
    return f"{row['bid_reason']}; {row['ask_reason']}"


def rewritten(source: Path, target: Path, change: Any) -> Path:
    """Each line's (stamp, JSON) through `change`; None drops it."""
    lines = []
    for line in gzip.decompress(source.read_bytes()).splitlines():
        stamp, _, body = line.partition(b" ")
        made = change(int(stamp), json.loads(body))
        if made is not None:
            lines.append(stamp + b" " + json.dumps(made, separators=(",", ":")).encode())
    target.write_bytes(gzip.compress(b"\n".join(lines) + b"\n"))
    return target


def test_a_gap_in_a_recording_is_counted_and_quoted_after(tmp_path: Path) -> None:
    write_recording(tmp_path / "made.gz", seconds=6)
    first_ns = int(gzip.decompress((tmp_path / "made.gz").read_bytes()).split(b" ", 1)[0])

    # A snapshot is asked for again after the gap, and that there is none is learnt then.
    options = ("quote.model=fixed", "feed.resync_backoff_max_ms=500")

    def hole(at_ns: int, frame: Any) -> Any:
        return None if 2e9 < at_ns - first_ns < 3e9 else frame

    chain = chained(rewritten(tmp_path / "made.gz", tmp_path / "hole.gz", hole), *options)

    assert chain.feeds[0].engine.health.gaps == 1
    placed_ns = [json.loads(line)["at_ns"] - first_ns for line in chain.order_lines()]
    assert min(placed_ns) < 2e9
    assert max(placed_ns) > 3.2e9


def test_a_recording_of_bids_alone_is_never_quoted(tmp_path: Path) -> None:
    write_recording(tmp_path / "made.gz", seconds=3)

    def bids_alone(_at_ns: int, frame: Any) -> Any:
        if "depth" in frame["stream"]:
            frame["data"]["a"] = []
            return frame
        return None

    chain = chained(rewritten(tmp_path / "made.gz", tmp_path / "bids.gz", bids_alone))

    assert chain.order_lines() == []
    assert reasons(chain)


def test_a_halt_that_nobody_announced_gives_refusals_and_no_order(tmp_path: Path) -> None:
    """The venue halts the symbol before the first order; its answers are all that we hear of it."""
    write_recording(tmp_path / "made.gz", seconds=5)
    chain = Chain([survey_file(tmp_path / "made.gz")], load_settings(overrides=["quote.model=fixed"]), seed=1)
    exchange = chain.venues["perp"].exchange
    exchange.change_instrument(msgspec.structs.replace(exchange.instruments()[0], trading=False), chain.now_ns)

    chain.run(merge_frames([tmp_path / "made.gz"]))

    events = Counter(json.loads(line)["event"] for line in chain.order_lines())
    assert set(events) == {"REFUSED"}
    assert events["REFUSED"] < 40  # it waits longer after each
