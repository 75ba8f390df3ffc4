"""The volatility regime: hysteresis, warm-up, and numbers that are none."""

from __future__ import annotations

import math

import pytest

from actors.quote.estimators.volatility_regime import VolatilityRegime, next_regime
from actors.vocab.units import NS_PER_S


@pytest.mark.parametrize(
    ("before", "ratio", "after"),
    [
        ("normal", 1.0, "normal"),
        ("normal", 2.1, "wild"),
        ("wild", 1.6, "wild"),  # not far enough back
        ("wild", 1.4, "normal"),
        ("normal", 1.6, "normal"),
        ("normal", 0.4, "calm"),
        ("calm", 0.6, "calm"),
        ("calm", 0.8, "normal"),
        ("calm", 2.5, "wild"),
        ("wild", math.nan, "wild"),
        ("calm", math.inf, "calm"),
    ],
)
def test_regime_has_hysteresis(before: str, ratio: float, after: str) -> None:
    assert next_regime(before, ratio) == after


def fed(regime: VolatilityRegime, volatility: float, *, since_s: int, until_s: int) -> str:
    for second in range(since_s, until_s):
        regime.note(volatility, second * NS_PER_S)
    return regime.regime


def test_a_burst_is_wild_until_it_is_over() -> None:
    regime = VolatilityRegime()
    assert fed(regime, 1.0, since_s=1, until_s=600) == "normal"
    assert fed(regime, 3.0, since_s=600, until_s=630) == "wild"
    assert fed(regime, 1.0, since_s=630, until_s=640) == "normal"
    assert fed(regime, 0.1, since_s=640, until_s=650) == "calm"


def test_nothing_is_said_within_the_warm_up() -> None:
    regime = VolatilityRegime()
    fed(regime, 1.0, since_s=1, until_s=30)

    assert fed(regime, 9.0, since_s=30, until_s=50) == "normal"
    assert regime.ratio == 1.0


@pytest.mark.parametrize("volatility", [0.0, -1.0, math.nan, math.inf])
def test_what_is_no_volatility_changes_nothing(volatility: float) -> None:
    regime = VolatilityRegime()
    fed(regime, 1.0, since_s=1, until_s=600)
    before = regime.ratio

    assert fed(regime, volatility, since_s=600, until_s=700) == "normal"
    assert regime.ratio == before
