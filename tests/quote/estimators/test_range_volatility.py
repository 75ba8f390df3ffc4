"""Range estimators against a table, and candles that are none."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import pytest

from actors.quote.estimators.range_volatility import (
    close_to_close,
    garman_klass,
    parkinson,
    rogers_satchell,
    variance_per_s,
    yang_zhang,
)
from actors.vocab.market import Kline

Estimator = Callable[[Sequence[Kline]], float | None]


def candle(minute: int, opened: int, high: int, low: int, closed: int) -> Kline:
    return Kline(minute * 60_000, minute * 60_000 + 59_999, opened, high, low, closed, 1, 1)


KLINES = [
    candle(0, 1000, 1015, 996, 1010),
    candle(1, 1010, 1018, 1002, 1004),
    candle(2, 1005, 1024, 1001, 1021),
    candle(3, 1020, 1026, 1009, 1011),
    candle(4, 1012, 1019, 1003, 1017),
]
EXPECTED: list[tuple[Estimator, float]] = [
    (parkinson, 0.010922092847),
    (garman_klass, 0.011303186448),
    (rogers_satchell, 0.011257420833),
    (close_to_close, 0.012074584366),
    (yang_zhang, 0.011268254347),
]
each_estimator = pytest.mark.parametrize(("estimator", "expected"), EXPECTED, ids=[one.__name__ for one, _ in EXPECTED])


@each_estimator
def test_five_candles(estimator: Estimator, expected: float) -> None:
    assert estimator(KLINES) == pytest.approx(expected, rel=1e-9)


@each_estimator
def test_candles_without_prices_are_left_out(estimator: Estimator, expected: float) -> None:
    """An exchange gives zeros for a minute without trades; a broken one may give a high below its low."""
    broken = [candle(5, 0, 0, 0, 0), candle(6, 1000, 990, 1010, 1000)]

    assert estimator([*KLINES, *broken]) == pytest.approx(expected, rel=1e-9)
    assert estimator([]) is None
    assert estimator(broken) is None


@each_estimator
def test_a_price_that_stands_has_no_volatility(estimator: Estimator, expected: float) -> None:
    found = estimator([candle(minute, 1000, 1000, 1000, 1000) for minute in range(5)])

    assert found == 0.0
    assert not math.copysign(1, found) < 0


def test_variance_per_second_of_minute_candles() -> None:
    assert variance_per_s(KLINES, "parkinson") == pytest.approx(0.010922092847**2 / 60, rel=1e-9)
    assert variance_per_s(KLINES[:1], "yang_zhang") is None
    assert variance_per_s([], "parkinson") is None
