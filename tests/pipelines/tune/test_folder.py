"""A tuning's folder goes on where it ended, and its conf file is one that `--conf` takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from actors.vocab.config import FleetSettings
from actors.vocab.errors import ConfigError
from pipelines.settings import load_settings
from pipelines.tune.folder import OUTCOMES, Outcomes, conf_text, evidence_lines, write_table
from pipelines.tune.folds import Fold, Outcome, Walk
from pipelines.tune.space import settings_of, values_in

QUESTION: dict[str, Any] = {
    "data": ["made.gz: 100 frames, 60 s from 2024-08-08 23:54:15 UTC"],
    "symbols": ["BTCUSDT"],
    "search": ["quote.gamma=0.02:0.5:log"],
    "folds": 1,
    "window_s": 25.0,
    "warm_up_s": 10.0,
    "duration_s": None,
    "seed": 3,
}
ONE = Outcome(0.5, 1.25, 0.5, 1000.0, 3)


def test_finished_trials_are_found_again(tmp_path: Path) -> None:
    first = Outcomes(tmp_path, QUESTION)
    first.add({"quote.gamma": 0.2, "quote.levels_count": 2}, 0, [msgspec.to_builtins(ONE)])

    again = Outcomes(tmp_path, QUESTION)

    assert again.of({"quote.levels_count": 2, "quote.gamma": 0.2}, 0) == [ONE]
    assert again.of({"quote.levels_count": 2, "quote.gamma": 0.2}, 1) is None
    assert again.of({}, 0) is None


def test_a_line_that_was_cut_off_is_played_again(tmp_path: Path) -> None:
    first = Outcomes(tmp_path, QUESTION)
    first.add({}, 0, [msgspec.to_builtins(ONE)])
    with (tmp_path / OUTCOMES).open("a") as file:
        file.write('{"trial": {"quote.gam')

    again = Outcomes(tmp_path, QUESTION)
    again.add({"quote.gamma": 0.3}, 0, [msgspec.to_builtins(ONE)])

    assert Outcomes(tmp_path, QUESTION).of({}, 0) == [ONE]
    assert Outcomes(tmp_path, QUESTION).of({"quote.gamma": 0.3}, 0) == [ONE]


def test_another_question_is_refused(tmp_path: Path) -> None:
    Outcomes(tmp_path, QUESTION)
    with pytest.raises(ConfigError, match="a tuning with other folds, seed; choose a new folder"):
        Outcomes(tmp_path, QUESTION | {"folds": 2, "seed": 4})


def walk(*, best: int, out_of_sample: float, fills_count: int = 30) -> Walk:
    return Walk((Fold(1, best, 2.0, out_of_sample, -1.0),), best, 1.5, fills_count, 0.5, out_of_sample, -1.0)


def evidence(one: Walk) -> list[str]:
    return evidence_lines(
        QUESTION, one, trials_count=8, fills_min=1, score_text="net_usd_per_h, USD an hour", day="2026-01-02"
    )


def test_the_conf_file_gives_the_settings_back_under_its_evidence(tmp_path: Path) -> None:
    chosen = settings_of(FleetSettings(), {"quote.model": "glft", "quote.gamma": 2e-05, "quote.order_usd": 500.0})
    text = conf_text(chosen, ["quote.gamma", "quote.levels_count"], evidence(walk(best=4, out_of_sample=0.5)))
    path = tmp_path / "best.yaml"
    path.write_text(text)

    assert load_settings([path]) == chosen
    assert "levels_count: 1" in text  # searched, and the default was best
    head = [line for line in text.splitlines() if line.startswith("#")]
    for said in ("2026-01-02", "seed 3", "made.gz", "trial 4 of 8", "quote.gamma=0.02:0.5:log", "+0.5000"):
        assert any(said in line for line in head), said
    assert "WARNING" not in text


def test_the_conf_file_warns_where_choosing_was_worse_than_not() -> None:
    assert any(line.startswith("WARNING") for line in evidence(walk(best=4, out_of_sample=-1.5)))
    assert not any(line.startswith("WARNING") for line in evidence(walk(best=0, out_of_sample=-1.0)))


def test_the_conf_file_warns_of_a_choice_that_has_hardly_traded() -> None:
    thin = evidence(walk(best=4, out_of_sample=0.5, fills_count=29))
    assert [line for line in thin if line.startswith("WARNING")] == [
        "WARNING: 29 fills say little: take longer recordings, or a larger --fills-min."
    ]


def test_the_conf_file_warns_where_nothing_that_was_searched_is_used() -> None:
    flat = evidence(msgspec.structs.replace(walk(best=0, out_of_sample=-1.0), is_flat=True))
    assert any(line.startswith("WARNING: every trial did the same") for line in flat)


def test_a_row_for_each_trial_and_window(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    values = [values_in(FleetSettings(), ["quote.gamma"]), {"quote.gamma": 0.3}]
    write_table(tmp_path / "trials.parquet", values, {0: [ONE, ONE], 1: [ONE, Outcome(0.5)]})

    rows = pq.read_table(tmp_path / "trials.parquet").to_pylist()
    assert [(row["trial"], row["window"], row["quote.gamma"]) for row in rows] == [
        (0, 0, 0.08),
        (0, 1, 0.08),
        (1, 0, 0.3),
        (1, 1, 0.3),
    ]
    assert rows[0]["net_usd"] == 1.25
