from __future__ import annotations

from itertools import pairwise

import pytest

from actors.console.series import Series, SymbolSample, all_stats, interval_s


def moment(at_s: float, **positions: float) -> list[SymbolSample]:
    return [
        SymbolSample(at_s, symbol, 100.0, position, at_s, 2.0 if position else 0.0, 1.0)
        for symbol, position in positions.items()
    ]


def test_a_long_run_is_thinned_and_stays_evenly_spaced() -> None:
    series: Series[SymbolSample] = Series(rows_max=100)
    for second in range(1_000):
        series.add(moment(float(second), A=1.0, B=2.0))

    times = [row.at_s for row in series.rows if row.symbol == "A"]
    assert len(series.rows) <= 102
    assert times[0] == 0.0
    assert {later - earlier for earlier, later in pairwise(times)} == {times[1]}


def test_a_short_run_is_kept_whole() -> None:
    series: Series[SymbolSample] = Series()
    series.add(moment(0.0, A=1.0))
    series.add(moment(1.0, A=1.0, B=0.0))

    assert [(row.at_s, row.symbol) for row in series.rows] == [(0.0, "A"), (1.0, "A"), (1.0, "B")]


def test_figures_of_a_symbol_leave_out_what_was_not_there() -> None:
    series: Series[SymbolSample] = Series()
    for second, position in enumerate((8.0, 4.0, 2.0, 0.0)):
        series.add(moment(2.0 * second, A=position))

    found = all_stats(series.rows)["A"]

    assert found.spread_bps_mean == 2.0  # three of four moments
    assert found.market_spread_bps_mean == 1.0
    assert found.position_usd_max == 8.0
    assert found.half_life_s == pytest.approx(2.0 * 0.934240, abs=1e-5)  # phi = 40 / 84
    assert found.drawdown_usd == 0.0


@pytest.mark.parametrize(("times", "expected"), [((), 1.0), ((3.0,), 1.0), ((0.0, 2.0, 4.0), 2.0), ((1.0, 1.0), 1.0)])
def test_spacing(times: tuple[float, ...], expected: float) -> None:
    assert interval_s(times) == expected
