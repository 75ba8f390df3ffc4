"""The day's money lasts the day."""

from __future__ import annotations

import pytest

from actors.treasury.pace import STRETCH_MAX, Pace, stretch
from actors.vocab.units import NS_PER_S

DAY_S = 86_400


@pytest.mark.parametrize(
    ("left_usd", "usd_per_s", "left_s", "times"),
    [
        (5.0, 0.0, DAY_S, 1.0),
        (5.0, 5.0 / DAY_S, DAY_S, 1.0),
        (5.0, 10.0 / DAY_S, DAY_S, 2.0),
        (2.5, 10.0 / DAY_S, DAY_S / 2, 2.0),
        (0.001, 1.0, DAY_S, STRETCH_MAX),
        (0.0, 1.0, DAY_S, STRETCH_MAX),
    ],
)
def test_the_interval_is_stretched_by_what_is_needed_over_what_is_left(
    left_usd: float, usd_per_s: float, left_s: float, times: float
) -> None:
    assert stretch(left_usd=left_usd, usd_per_s=usd_per_s, left_s=left_s) == pytest.approx(times)


@pytest.mark.parametrize("need_times", [0.5, 3.0, 12.0])
def test_the_money_lasts_until_midnight_and_is_used(need_times: float) -> None:
    """At the configured interval the day would cost `need_times` the budget of 1 USD."""
    pace = Pace(budget_usd=1.0, now_ns=0)
    spent_usd = 0.0
    for second in range(10, DAY_S + 1, 10):
        cost_usd = 10 * need_times / DAY_S / pace.stretch
        if spent_usd + cost_usd <= 1.0:
            spent_usd += cost_usd
            last_s = second
        pace.note(spent_usd=spent_usd, left_s=DAY_S - second, now_ns=second * NS_PER_S)
    assert min(0.9, need_times) <= spent_usd + 1e-6
    assert last_s > DAY_S - 1800
    assert pace.forecast_usd(0.0) == pytest.approx(spent_usd)
