"""The studies of recordings on a small one: they run, say the right numbers, and write a page that needs no network."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from actors.vocab.errors import ConfigError
from pipelines.study.__main__ import app
from pipelines.study.tape import read_tapes
from tests.pipelines.recorded import SYMBOL, write_recording
from tests.pipelines.wrong_input import Refused, refusal_of


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_recording(tmp_path_factory.mktemp("recording") / "btcusdt.gz")


def test_a_tape_holds_every_top_and_trade(recording: Path) -> None:
    (tape,) = read_tapes([recording])

    assert tape.row.symbol == SYMBOL
    assert tape.seconds == pytest.approx(240, abs=1)
    assert np.nanmin(tape.ask_ticks - tape.bid_ticks) == 2
    assert len(tape.trade_ns) > 300
    # Each trade is put against the top before it, and the mid moves ten ticks a step.
    known = tape.trade_top >= 0
    off = tape.trade_side[known] * (tape.trade_ticks[known] - tape.mid_ticks[tape.trade_top[known]])
    assert np.nanmin(off) >= 1 - 10


def test_mids_are_the_last_at_or_before(recording: Path) -> None:
    (tape,) = read_tapes([recording])
    at = tape.at_ns

    assert tape.mid_at(np.array([at[5]]))[0] == tape.mid_ticks[5]
    assert tape.mid_at(np.array([at[6] - 1]))[0] == tape.mid_ticks[5]
    assert np.isnan(tape.mid_at(np.array([at[0] - 1, at[-1] + 1]))).all()


@pytest.mark.parametrize("study", ["markouts", "intensity", "microprice", "signals"])
def test_a_study_writes_a_page_that_opens_offline(study: str, recording: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"

    result = CliRunner().invoke(app, [study, "--data", str(recording), "--symbols", SYMBOL, "--html", str(page)])

    assert result.exit_code == 0, result.output
    text = page.read_text()
    assert "Plotly.newPlot" in text
    assert 'src="http' not in text
    assert "NaN" not in text.split("Plotly.newPlot")[0].rsplit("</script>", 1)[-1]
    assert SYMBOL in result.output


def test_symbols_that_are_not_recorded_are_refused(recording: Path) -> None:
    with pytest.raises(ConfigError, match=r"ETHUSDT.*BTCUSDT"):
        read_tapes([recording], ["ETHUSDT"])


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Refused:
    monkeypatch.chdir(tmp_path)
    write_recording(tmp_path / "made.gz", seconds=2)
    lines = gzip.decompress((tmp_path / "made.gz").read_bytes()).splitlines(keepends=True)
    (tmp_path / "backwards.txt").write_bytes(b"".join(reversed(lines)))
    (tmp_path / "short.txt").write_bytes(b"".join(lines[:20]))
    (tmp_path / "cut.gz").write_bytes((tmp_path / "made.gz").read_bytes()[:-200])
    with (tmp_path / "one_side.txt").open("w") as file:
        for line in lines:
            received, _, text = line.decode().partition(" ")
            frame = json.loads(text)
            if '"bookTicker"' not in text:
                body = frame.get("data", frame)
                body.update({side: [] for side in ("a", "asks") if isinstance(body.get(side), list)})
                file.write(f"{received} {json.dumps(frame)}\n")
    return refusal_of(app, "pipelines.study", monkeypatch, capsys)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("intensity", "--data", "gone.gz"), "no such recording"),
        (("markouts", "--data", "made.gz", "--data", "./made.gz"), "given twice"),
        (("signals", "--data", "made.gz", "--data", "made.gz"), "given twice"),
        (("intensity", "--data", "backwards.txt"), "backwards.txt: its lines are all of one time, or backwards"),
        (("markouts", "--data", "cut.gz"), "keep the good part"),
        (("signals", "--data", "cut.gz"), "keep the good part"),
        (("intensity", "--data", "one_side.txt"), "is one side missing"),
        (("markouts", "--data", "one_side.txt"), "is one side missing"),
        (("microprice", "--data", "one_side.txt"), "is one side missing"),
        (("intensity", "--data", "short.txt"), "take a longer recording, or a smaller --interval-ms"),
        (("markouts", "--data", "made.gz", "--html", "nowhere/page.html"), "name a file in a folder that is there"),
        (("microprice", "--data", "made.gz", "--conf", "."), "--conf .: cannot be written"),
        ((), "Missing command"),
        (("signals", "--data", "made.gz", "--symbols", "ETHUSDT"), "none of the recordings holds it"),
    ],
)
def test_what_cannot_be_studied_is_refused_in_one_line(refused: Refused, arguments: tuple[str, ...], said: str) -> None:
    assert said in refused(*arguments)


def test_seconds_with_a_good_book_too_few_for_signals_are_said(tmp_path: Path) -> None:
    write_recording(tmp_path / "short.gz", seconds=2)

    result = CliRunner().invoke(app, ["signals", "--data", str(tmp_path / "short.gz"), "--html", str(tmp_path / "p")])

    assert isinstance(result.exception, ConfigError)
    assert "take a longer recording" in str(result.exception)


def test_no_error_is_shown_from_a_handful_of_blocks(recording: Path, tmp_path: Path) -> None:
    words = ["markouts", "--data", str(recording), "--html", str(tmp_path / "page.html"), "--block-s"]

    assert " ± 0" not in CliRunner().invoke(app, [*words, "10000"]).output
    assert " ± 0" in CliRunner().invoke(app, [*words, "1"]).output
