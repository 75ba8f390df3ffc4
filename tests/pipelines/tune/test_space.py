"""`--search`: what it may say, what a seed draws, and what is refused."""

from __future__ import annotations

import pytest

from actors.vocab.config import FleetSettings
from actors.vocab.errors import ConfigError
from pipelines.tune.space import Choices, Range, draw_trials, parse_searches, settings_of, values_in

BASE = FleetSettings()


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("quote.gamma=0.02:0.5:log", Range("quote.gamma", 0.02, 0.5, is_log=True)),
        ("quote.gamma=0.02:0.5", Range("quote.gamma", 0.02, 0.5)),
        ("quote.gamma=0.02:0.5:linear", Range("quote.gamma", 0.02, 0.5)),
        ("quote.gamma=1e-5:1e-3:log", Range("quote.gamma", 1e-5, 1e-3, is_log=True)),
        ("quote.levels_count=1:3", Range("quote.levels_count", 1, 3, is_whole=True)),
        ("quote.levels_count=1,2,3", Choices("quote.levels_count", (1, 2, 3))),
        ("quote.model=glft,fixed", Choices("quote.model", ("glft", "fixed"))),
    ],
)
def test_ranges_and_lists(text: str, read: Range | Choices) -> None:
    assert parse_searches([text], BASE) == [read]


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        ([], "--search is missing"),
        (["quote.gamma=2020-13-45"], "quote.gamma=2020-13-45: quote.gamma"),
        (["quote.gamma=!!timestamp 2020-13-45"], "--search quote.gamma"),
        (["quote.gamma=" + "[" * 5000], "--search quote.gamma: nested too deeply"),
        (["quote.levels_count=1,true"], "no switch"),
        (["quote.gamma"], "write quote.gamma=0.02:0.5:log"),
        (["quote.gamma="], "write quote.gamma=0.02:0.5:log"),
        (["gamma=1:2"], "write quote.gamma=0.02:0.5:log"),
        (["quote.gama=1:2"], "did you mean gamma?"),
        (["quotes.gamma=1:2"], "did you mean quote?"),
        (["quote.gamma=0:1"], "quote.gamma=0:1: quote.gamma: Input should be greater than or equal to 0.0"),
        (["quote.gamma=0:1:log"], "starts above 0"),
        (["quote.gamma=2:1"], "the lower end comes first"),
        (["quote.gamma=1:inf"], "both are finite"),
        (["quote.gamma=1:2:cube"], "log, linear or nothing"),
        (["quote.gamma=a:b"], "write quote.gamma"),
        (["quote.levels_count=1:11"], "less than or equal to 10"),
        (["quote.levels_count=1.5:3"], "whole numbers"),
        (["quote.levels_count=1,2.5"], "quote.levels_count"),
        (["quote.levels_count=1,,3"], "a value is missing"),
        (["quote.levels_count=1,2,1"], "twice"),
        (["quote.model=glft,oracle"], "quote.model"),
        (["quote.model=a:b"], "is no number"),
        (["quote.gamma=1,2", "quote.gamma=3,4"], "searched twice"),
        (["sim.maker_fee_bps=0,2"], "is given, not chosen"),
    ],
)
def test_what_cannot_be_searched_is_refused(texts: list[str], said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse_searches(texts, BASE)
    assert said in str(refused.value)


def test_a_seed_draws_the_same_points_and_more_of_them_continue_fewer() -> None:
    searches = parse_searches(["quote.gamma=0.02:0.5:log", "quote.levels_count=1:3"], BASE)

    few, many = (draw_trials(searches, trials_count=count, seed=7) for count in (5, 40))

    assert few == many[:6]
    assert many[0] == {}
    assert len({repr(trial) for trial in many}) == 41
    assert draw_trials(searches, trials_count=5, seed=8) != few
    for trial in many[1:]:
        assert 0.02 <= trial["quote.gamma"] <= 0.5
        assert trial["quote.levels_count"] in (1, 2, 3)
        assert isinstance(trial["quote.levels_count"], int)
        settings_of(BASE, trial)
    below = sum(trial["quote.gamma"] < 0.1 for trial in many[1:])
    assert 12 <= below <= 28  # 0.1 is the middle of 0.02 … 0.5 in the logarithm


def test_lists_that_are_shorter_than_the_trials_are_tried_whole() -> None:
    searches = parse_searches(["quote.levels_count=1,2", "quote.model=glft,fixed"], BASE)

    trials = draw_trials(searches, trials_count=20, seed=1)

    assert trials[0] == {}
    assert [tuple(trial.values()) for trial in trials[1:]] == [(1, "glft"), (1, "fixed"), (2, "glft"), (2, "fixed")]
    assert len(draw_trials(searches, trials_count=3, seed=1)) == 4


def test_a_trial_changes_its_keys_alone_and_small_numbers_stay_numbers() -> None:
    base = settings_of(BASE, {"quote.model": "glft"})

    settings = settings_of(base, {"quote.gamma": 1.5e-05})

    assert settings.quote.gamma == 1.5e-05
    assert settings.quote.model == "glft"
    assert settings.quote.model_copy(update={"gamma": BASE.quote.gamma}) == base.quote
    assert values_in(settings, ["quote.gamma", "quote.model"]) == {"quote.gamma": 1.5e-05, "quote.model": "glft"}
