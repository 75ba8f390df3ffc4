"""Markouts and the width that they ask for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.quote.estimators.adverse import AdverseWatch, markout_bps
from actors.vocab.market import Side
from actors.vocab.units import NS_PER_S


@pytest.mark.parametrize(("mid", "expected"), [(100, 2.0004), (99.99, 1.0002), (99.95, -3.0006)])
def test_markouts_of_a_buy_at_99_98(mid: float, expected: float) -> None:
    assert markout_bps(Side.BUY, 99.98, mid) == pytest.approx(expected, abs=5e-5)
    assert markout_bps(Side.SELL, 99.98, mid) == pytest.approx(-expected, abs=5e-5)


def filled(watch: AdverseWatch, count: int, *, move_bps: float) -> None:
    """Buys, after each of which the mid of 10 000 moves by so many bps."""
    for fill in range(count):
        at_ns = fill * 100 * NS_PER_S
        watch.on_fill(Side.BUY, 10_000.0, at_ns)
        for horizon in (1, 5, 30):
            watch.settle(10_000.0 + move_bps, at_ns + horizon * NS_PER_S)


def test_before_any_fill_the_neutral_value_holds() -> None:
    watch = AdverseWatch(neutral_bps=0.5)

    assert watch.width_bps == pytest.approx(0.5)
    assert watch.mean_bps(5) is None


def test_losses_widen_slowly_and_then_fully() -> None:
    watch = AdverseWatch(neutral_bps=0.5)
    filled(watch, 1, move_bps=-3.0)
    assert watch.mean_bps(5) == pytest.approx(-3.0)
    assert watch.width_bps == pytest.approx((20 * 0.5 + 3.0) / 21)

    filled(watch, 500, move_bps=-3.0)
    weight = 1 / (1 - 0.5 ** (1 / 50))
    assert watch.width_bps == pytest.approx((20 * 0.5 + 3.0 * weight) / (20 + weight), rel=1e-3)


def test_flow_that_pays_narrows_to_nothing_and_not_below() -> None:
    watch = AdverseWatch(neutral_bps=0.5)
    filled(watch, 500, move_bps=9.0)

    assert watch.width_bps == 0.0


def test_width_has_a_bound() -> None:
    watch = AdverseWatch(neutral_bps=0.5, width_bps_max=4.0)
    filled(watch, 500, move_bps=-900.0)

    assert watch.width_bps == 4.0


def test_a_fill_is_settled_at_its_own_horizon_once() -> None:
    watch = AdverseWatch(neutral_bps=0.0)
    watch.on_fill(Side.SELL, 10_000.0, 0)
    assert not watch.settle(10_010.0, NS_PER_S - 1)
    assert watch.settle(10_001.0, NS_PER_S)
    assert watch.settle(10_005.0, 5 * NS_PER_S)
    assert not watch.settle(10_900.0, 6 * NS_PER_S)

    assert [watch.mean_bps(horizon) for horizon in (1, 5, 30)] == [pytest.approx(-1.0), pytest.approx(-5.0), None]


@pytest.mark.parametrize(("mid", "late_s"), [(0.0, 0), (10_100.0, 2)])
def test_a_horizon_in_a_gap_is_left_out(mid: float, late_s: int) -> None:
    watch = AdverseWatch(neutral_bps=0.5)
    watch.on_fill(Side.BUY, 10_000.0, 0)
    watch.on_fill(Side.BUY, 0.0, 0)  # no mid known at the fill

    assert not watch.settle(mid, (30 + late_s) * NS_PER_S)
    assert watch.width_bps == pytest.approx(0.5)
    assert watch.mean_bps(30) is None


def test_fills_from_before_a_gap_are_forgotten() -> None:
    """After new steps a mid is another number and no price move."""
    watch = AdverseWatch(neutral_bps=0.5)
    watch.on_fill(Side.BUY, 10_000.0, 0)
    watch.skip_gap()

    assert not watch.settle(1_000.0, 5 * NS_PER_S)


def test_only_the_measured_horizons_exist() -> None:
    with pytest.raises(ValueError, match="horizon_s"):
        AdverseWatch(neutral_bps=0.5, horizon_s=7)


@given(st.lists(st.tuples(st.sampled_from(Side), st.floats(0, 1e9), st.integers(0, 40)), max_size=40))
def test_width_is_always_in_its_bounds(steps: list[tuple[Side, float, int]]) -> None:
    watch, now_ns = AdverseWatch(neutral_bps=0.5), 0
    for side, mid, wait_s in steps:
        now_ns += wait_s * NS_PER_S
        watch.settle(mid, now_ns)
        watch.on_fill(side, mid, now_ns)

        assert 0.0 <= watch.width_bps <= 20.0
