"""`pipelines.tune` as typed: refusals, and what one play counts. With Ray: tests/system/test_tune.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from actors.transport.venue_recording import merge_frames, survey_file
from pipelines.chain import Chain
from pipelines.settings import load_settings
from pipelines.tune import __main__ as command
from pipelines.tune.folds import added, cut_windows
from pipelines.tune.play import Session, play
from tests.pipelines.wrong_input import Refused, refusal_of
from tests.system.test_lock_step import write_recording

GAMMA = ("--search", "quote.gamma=0.02:0.5:log")
MADE = ("--data", "made.gz")
HERE = ("--run-dir", "tuning")


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Refused:
    monkeypatch.chdir(tmp_path)
    write_recording(tmp_path / "made.gz", seconds=0.3)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter").write_text("mine")
    return refusal_of(command.app, "pipelines.tune", monkeypatch, capsys)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((*MADE, *HERE), "--search is missing"),
        ((*MADE, *HERE, "--search", "quote.gamma=0:1"), "quote.gamma: Input should be greater than"),
        ((*MADE, *HERE, "--search", "quote.gama=1,2"), "did you mean gamma?"),
        ((*MADE, *HERE, "--search", "nothing.gamma=1,2"), "--search nothing.gamma=1,2: unknown key nothing"),
        ((*GAMMA, *HERE), "--data is missing"),
        ((*MADE, *GAMMA), "--run-dir is missing"),
        ((*MADE, *GAMMA, *HERE), "take fewer folds or longer recordings"),
        ((*MADE, *GAMMA, *HERE, "--score", "luck"), "--score luck: choose one of net_less_drawdown"),
        ((*MADE, *GAMMA, *HERE, "--warm-up", "soon"), "--warm-up soon"),
        ((*MADE, *GAMMA, *HERE, "--trials", "0"), "trials"),
        ((*MADE, *GAMMA, *HERE, "--symbols", "ETHUSDT"), "the recordings hold BTCUSDT, not ETHUSDT"),
        (
            (*MADE, *HERE, "--search", "quote.spread_bps_min=1,150", "--search", "quote.spread_bps_max=100,200"),
            "narrow one of them",
        ),
    ],
)
def test_what_cannot_be_tuned_is_refused_in_one_line(refused: Refused, arguments: tuple[str, ...], said: str) -> None:
    assert said in refused(*arguments)


def test_somebody_elses_folder_is_refused(refused: Refused, tmp_path: Path) -> None:
    write_recording(tmp_path / "made.gz", seconds=12)
    said = refused(*MADE, *GAMMA, "--folds", "1", "--warm-up", "0s", "--run-dir", "full")
    assert "holds letter, which no tuning left there" in said


def test_the_windows_of_a_play_add_up_to_the_backtest(tmp_path: Path) -> None:
    path = tmp_path / "made.gz"
    write_recording(path, seconds=12)
    facts = survey_file(path)
    settings = load_settings(overrides=["quote.model=fixed"])
    spans = cut_windows([(facts.first_ns, facts.last_ns)], folds_count=1, warm_up_s=0.0)
    session = Session((str(path),), (facts,), ("BTCUSDT",), tuple(spans), 1)

    outcomes = play(session, settings)

    chain = Chain([facts], settings, seed=1)
    for step in chain.play(merge_frames([path])):
        if step.ending:
            break
    core = chain.risk.engine.core
    total = added(outcomes)
    assert len(outcomes) == 2
    assert total.fills_count == chain.risk.engine.summary()["fills_count"] > 0
    assert total.net_usd == pytest.approx(core.net_usd, abs=1e-9)
    assert outcomes == play(session, settings)
