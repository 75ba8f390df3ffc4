"""The studies of recordings on a small one: they run, say the right numbers, and write a page that needs no network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from actors.vocab.errors import ConfigError
from pipelines.study.__main__ import app
from pipelines.study.tape import read_tapes
from tests.pipelines.recorded import SYMBOL, write_recording


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
