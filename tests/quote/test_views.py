"""A view's weight over its life."""

from __future__ import annotations

import math

import pytest

from actors.quote.views import NEUTRAL, Effect, effect, weight, widening_bps
from actors.vocab.opinions import RegimeView, RiskView


@pytest.mark.parametrize(
    ("age", "ttl", "expected"),
    [
        (0.0, 30.0, 1.0),
        (15.0, 30.0, 1.0),
        (22.5, 30.0, 0.5),
        (30.0, 30.0, 0.0),
        (99.0, 30.0, 0.0),
        (0.0, 0.0, 0.0),
        (0.0, math.nan, 0.0),
        (0.0, math.inf, 0.0),
    ],
)
def test_view_counts_in_full_for_half_its_life(age: float, ttl: float, expected: float) -> None:
    assert weight(age, ttl) == pytest.approx(expected)


def test_view_fades_toward_neutral() -> None:
    view = RegimeView("BTCUSDT", bid_factor=0.0, ask_factor=0.5, spread_bps_min=40.0, ttl_s=30.0)

    assert effect(view, 0.0) == Effect(0.0, 0.5, 40.0)
    assert effect(view, 22.5) == Effect(0.5, 0.75, 20.0)
    assert effect(view, 30.0) is NEUTRAL
    assert effect(None, 0.0) is NEUTRAL


@pytest.mark.parametrize(
    ("add", "age", "ttl", "expected"),
    [
        (10.0, 0.0, 90.0, 10.0),
        (10.0, 45.0, 90.0, 10.0),
        (10.0, 67.5, 90.0, 5.0),
        (10.0, 90.0, 90.0, 0.0),
        (10.0, -5.0, 90.0, 10.0),  # a clock that stepped back
        (100.1, 0.0, 90.0, 100.0),
        (-50.0, 0.0, 90.0, 0.0),
        (math.nan, 0.0, 90.0, 0.0),
        (math.inf, 0.0, 90.0, 0.0),
        (10.0, 0.0, math.inf, 0.0),
    ],
)
def test_a_verdict_widens_within_the_interfaces_bound_and_fades(
    add: float, age: float, ttl: float, expected: float
) -> None:
    assert widening_bps(RiskView("fleet", 0.1, False, 0.0, add, ttl), age) == pytest.approx(expected)
