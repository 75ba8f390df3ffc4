"""`pipelines.opinions` on a run's folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from actors.journal.opinions import OpinionStore, opinions_path
from pipelines import opinions
from pipelines.run_folder import write_run
from tests.fakes import run_description
from tests.treasury.test_review import CALL, ROW


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    run = run_description(tmp_path, journal_url=f"sqlite:///{tmp_path}/journal.sqlite", run_dir=str(tmp_path))
    write_run(tmp_path, run)
    return tmp_path


def journal(run_dir: Path) -> None:
    store = OpinionStore(opinions_path(f"sqlite:///{run_dir}/journal.sqlite"))
    store.write([CALL], [ROW])
    store.close()


def test_report_shows_cost_and_what_was_earned(run_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    journal(run_dir)
    opinions.report(run_dir)
    text = " ".join(capsys.readouterr().out.split())
    assert "1970-01-02 m signal 1 2 9 5 700" in text
    # A quarter of 100 USD of sales was left out before a rise of 10 bps, less 2 bps of spread.
    assert "m: 1 opinions in 0 rounds would have spared 0.0200 USD of losing fills" in text
    assert "too little to say more" in text


def test_replay_reads_the_answers_again(run_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    journal(run_dir)
    opinions.replay(run_dir)
    assert "1 opinions: 0 would act differently today, 0 would be none" in capsys.readouterr().out


def test_a_run_without_opinions_says_so(run_dir: Path) -> None:
    with pytest.raises(opinions.ConfigError, match="no opinions were journalled"):
        opinions.report(run_dir)
