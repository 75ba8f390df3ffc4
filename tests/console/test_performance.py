from __future__ import annotations

from itertools import accumulate
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.console.performance import (
    adverse_usd,
    bucket_of,
    edge_usd,
    half_life,
    markout_rows,
    max_drawdown,
    sharpe,
    sortino,
)
from actors.risk.markouts import FillTrace

EQUITY = (0.0, 1.2, 0.7, 1.9, 1.4, 2.8, 2.6, 3.5)  # every ten seconds
POSITIONS = (5, 4, 4, 3, 2, 2, 1, 0, -1, -1, 0, 1, 2, 1, 0)


def fill(**changes: Any) -> FillTrace:
    fields: dict[str, Any] = {
        "venue": "v",
        "symbol": "S",
        "event_ns": 0,
        "side": 1,
        "price": 99.98,
        "size": 2.0,
        "mid": 100.0,
        "imbalance": 0.0,
        "position": 2.0,
        "fee_usd": 0.0,
        "maker": True,
    }
    return FillTrace(**(fields | changes))


@pytest.mark.parametrize(("days", "expected"), [(252, 857.652358), (365, 1032.184773)])
def test_sharpe_depends_on_the_sampling_it_states(days: float, expected: float) -> None:
    assert sharpe(EQUITY, interval_s=10, days_per_year=days) == pytest.approx(expected, abs=1e-6)


def test_sortino_counts_losses_alone() -> None:
    assert sortino(EQUITY, interval_s=10, days_per_year=252) == pytest.approx(2656.313235, abs=1e-6)


def test_drawdown_is_the_largest_fall_from_a_peak() -> None:
    assert max_drawdown(EQUITY) == pytest.approx(0.5)
    assert max_drawdown(()) == 0.0


@given(st.lists(st.floats(-1e6, 1e6), max_size=30))
def test_a_curve_that_only_rises_has_no_drawdown(steps: list[float]) -> None:
    assert max_drawdown(list(accumulate(abs(step) for step in steps))) == 0.0


def test_half_life_of_a_position_that_reverts() -> None:
    assert half_life(POSITIONS) == pytest.approx(2.835499, abs=1e-6)
    assert half_life(POSITIONS, interval_s=10) == pytest.approx(28.35499, abs=1e-5)


@pytest.mark.parametrize("positions", [(), (1,), (0, 0, 0), (1, 2, 4), (1, -1, 1, -1)])
def test_no_half_life_where_nothing_reverts(positions: tuple[float, ...]) -> None:
    assert half_life(positions) is None


@pytest.mark.parametrize("equity", [(), (1.0,), (1.0, 2.0), (1.0, 2.0, 3.0), (5.0, 5.0, 5.0)])
def test_no_ratio_where_nothing_varies(equity: tuple[float, ...]) -> None:
    assert sharpe(equity, interval_s=1) is None


def test_capture_and_what_the_mid_took_back() -> None:
    """Bought two at 99.98 with the mid at 100; five seconds later it stands at 99.97."""
    one = fill(markout_5s_bps=-3.0)

    assert edge_usd(one) == pytest.approx(0.04)
    assert adverse_usd([one, fill()], 5) == pytest.approx(-0.06)
    (row, *_) = markout_rows([one])
    assert row.edge_bps == pytest.approx(2.0)
    assert row.after_bps == (None, pytest.approx(-3.0), None)
    assert row.kept_bps == (None, pytest.approx(-1.0), None)


def test_groups_are_weighted_and_apart_by_side_and_book() -> None:
    rows = markout_rows(
        [
            fill(imbalance=-0.9, markout_1s_bps=-4.0),
            fill(imbalance=0.9, markout_1s_bps=2.0, size=6.0),
            fill(side=-1, price=100.02, imbalance=-0.9, markout_1s_bps=1.0),
            fill(mid=0.0, markout_1s_bps=50.0),  # risk had no mid: it says nothing
        ]
    )

    found = {(row.side, row.bucket): (row.fills_count, row.after_bps[0]) for row in rows}
    assert found == {
        ("both", "all"): (3, pytest.approx((-4 * 199.96 + 2 * 599.88 + 1 * 200.04) / 999.88)),
        ("buy", "book against us"): (1, pytest.approx(-4.0)),
        ("buy", "book with us"): (1, pytest.approx(2.0)),
        ("sell", "book with us"): (1, pytest.approx(1.0)),
    }


def test_an_even_book_is_neither() -> None:
    assert bucket_of(fill(imbalance=0.3)) == bucket_of(fill(side=-1, imbalance=0.3)) == "book even"
