"""Wrong things typed at `pipelines.sim`: one line, exit code 2, and nothing left behind."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from pipelines import sim
from tests.pipelines.recorded import write_recording
from tests.pipelines.wrong_input import Refused, refusal_of


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Refused:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    write_recording(tmp_path / "made.gz", seconds=2)
    return refusal_of(sim.app, "pipelines.sim", monkeypatch, capsys)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--replay", "made.gz", "--symbols", "BTCUSDT"), "--symbols BTCUSDT: a --replay serves what was recorded"),
        (("--replay", "made.gz", "--market", "spot"), "--market spot: the recordings are of perp; leave it out"),
        (("--replay", "made.gz", "--market", "both"), "--market both: the recordings are of perp"),
        (("--replay", "made.gz", "--replay", "./made.gz"), "given twice"),
        (("--replay", "none.gz"), "no such recording"),
        (("--market", "moon"), "choose perp, spot or both"),
        (("--endpoints-file", "/proc/x"), "--endpoints-file /proc/x: cannot be written"),
        (("--endpoints-file", "."), "--endpoints-file .: cannot be written (Is a directory)"),
        (("--endpoints-file", "no/x"), "--endpoints-file no/x: cannot be written"),
        (("--symbols", "NOPE"), "NOPE"),
        (("--set", "risk.capital_usd=100"), "risk.day_loss_usd_max: 2000 is more than capital_usd, 100"),
    ],
)
def test_one_line_says_what_is_wrong(refused: Refused, arguments: tuple[str, ...], said: str, tmp_path: Path) -> None:
    assert said in refused(*arguments)
    assert [*(tmp_path / "temporary").iterdir()] == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["made.gz", "temporary"]


def test_private_keys_end_with_the_venues_and_the_operator_s_folder_stays(refused: Refused, tmp_path: Path) -> None:
    with sim._keys(None) as folder:
        assert folder.stat().st_mode & 0o777 == 0o700
    assert not folder.exists()
    with sim._keys(tmp_path / "mine") as folder:
        pass
    assert folder == tmp_path / "mine"
    assert folder.exists()
