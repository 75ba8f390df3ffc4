"""Volatility in ratio form, its unit and its seed."""

from __future__ import annotations

import math
import random

import pytest

from actors.quote.estimators.volatility import (
    EwmaVolatility,
    TwoScaleVolatility,
    bps_per_root_min,
    bps_per_root_s,
    kline_variance_per_s,
)
from actors.vocab.market import Kline
from actors.vocab.units import NS_PER_S

TIMES_S = [0, 0.5, 0.6, 2, 2.1, 5, 5.05]
PRICES = [100, 100.01, 100.03, 99.98, 100, 100.06, 100.05]
EXPECTED = [1.414142856e-4, 2.895415807e-4, 3.911496870e-4, 4.066487749e-4, 3.716357802e-4, 3.725724473e-4]


def test_ratio_form_on_irregular_samples() -> None:
    volatility = EwmaVolatility(theta_s=10)
    found = []
    for time_s, price in zip(TIMES_S, PRICES, strict=True):
        volatility.update(price, int(time_s * NS_PER_S))
        found.append(volatility.per_root_s)

    assert found[0] == 0.0
    assert found[1:] == pytest.approx(EXPECTED, rel=1e-9)
    assert volatility.bps == pytest.approx(3.725724473, rel=1e-9)


def test_half_life_of_thirty_seconds_is_theta_43() -> None:
    slow = EwmaVolatility.with_half_life(30)
    same = EwmaVolatility(theta_s=43.280851226668914)
    for time_s, price in zip(TIMES_S, PRICES, strict=True):
        slow.update(price, int(time_s * NS_PER_S))
        same.update(price, int(time_s * NS_PER_S))

    assert slow.per_root_s == pytest.approx(same.per_root_s, rel=1e-12)


@pytest.mark.parametrize("price", [0.0, -1.0, math.nan, math.inf])
def test_a_price_that_is_none_changes_nothing(price: float) -> None:
    volatility = EwmaVolatility(theta_s=10)
    volatility.update(100, 1)
    volatility.update(price, NS_PER_S)
    volatility.update(101, 2 * NS_PER_S)

    assert volatility.per_root_s == pytest.approx(math.log(1.01) / math.sqrt(2), rel=1e-6)


def test_a_clock_that_stands_or_goes_back_is_no_sample() -> None:
    volatility = EwmaVolatility(theta_s=10)
    volatility.update(100, NS_PER_S)
    volatility.update(200, NS_PER_S)
    volatility.update(200, 0)

    assert not volatility.ready


def test_bounces_between_two_samples_are_not_seen() -> None:
    volatility = EwmaVolatility(theta_s=10, sample_ns=NS_PER_S)
    for step in range(100):
        volatility.update(100 + step % 2, step * NS_PER_S // 10)

    assert volatility.per_root_s == 0.0


def test_the_jump_over_a_hole_is_no_sample() -> None:
    volatility = EwmaVolatility(theta_s=10)
    volatility.update(100, 0)
    volatility.update(100, NS_PER_S)
    volatility.skip_gap()
    volatility.update(150, 2 * NS_PER_S)
    volatility.update(150, 3 * NS_PER_S)

    assert volatility.per_root_s == 0.0


def test_a_seed_counts_until_own_samples_outweigh_it() -> None:
    volatility = EwmaVolatility(theta_s=10)
    volatility.seed(1e-8)
    assert volatility.bps == pytest.approx(1.0)

    for second in range(200):
        volatility.update(100.0, second * NS_PER_S)
    assert volatility.bps < 0.01

    volatility.seed(1e-4)  # too late: own samples know better
    assert volatility.bps < 0.01


def candle(minute: int, close_ticks: int) -> Kline:
    opened_ms = minute * 60_000
    return Kline(opened_ms, opened_ms + 59_999, close_ticks, close_ticks, close_ticks, close_ticks, 1, 1)


def test_candles_give_variance_per_second() -> None:
    """Returns of +1 % and -1 % (log) over a minute each: variance per second is 0.01^2 / 60."""
    klines = [candle(0, 1_000_000), candle(1, round(1_000_000 * math.exp(0.01))), candle(2, 1_000_000)]

    variance = kline_variance_per_s(klines)

    assert variance == pytest.approx(1e-4 / 60, rel=1e-4)


def test_candles_over_a_hole_are_not_compared() -> None:
    assert kline_variance_per_s([candle(0, 100), candle(5, 200)]) is None
    assert kline_variance_per_s([candle(0, 100)]) is None
    assert kline_variance_per_s([]) is None
    assert kline_variance_per_s([candle(0, 0), candle(1, 100)]) is None


def test_units_of_a_yearly_volatility() -> None:
    assert bps_per_root_s(0.6) == pytest.approx(1.068434608, rel=1e-9)
    assert bps_per_root_min(bps_per_root_s(0.6)) == pytest.approx(8.276059, rel=1e-6)


def walk(volatility: TwoScaleVolatility | EwmaVolatility, *, step: float, bounce: float, seed: int = 5) -> None:
    """A minute and a half of samples every 50 ms: a walk of `step` a sample seen through a `bounce`."""
    rng, level = random.Random(seed), math.log(100.0)
    for sample in range(20_000):
        level += rng.gauss(0, step)
        volatility.update(math.exp(level + rng.choice((-bounce, bounce))), sample * NS_PER_S // 20)


def test_two_scales_see_the_walk_and_not_the_bounce() -> None:
    """The bounce is three steps: the plain form reads more than four times too much."""
    truth = 1e-5 * math.sqrt(20)
    plain, two_scale = EwmaVolatility(theta_s=200), TwoScaleVolatility(theta_s=200, scale=20)

    walk(plain, step=1e-5, bounce=3e-5)
    walk(two_scale, step=1e-5, bounce=3e-5)

    assert plain.per_root_s > 4 * truth
    assert two_scale.per_root_s == pytest.approx(truth, rel=0.15)


def test_two_scales_agree_with_one_where_there_is_no_bounce() -> None:
    plain, two_scale = EwmaVolatility(theta_s=200), TwoScaleVolatility(theta_s=200, scale=5)
    walk(plain, step=1e-5, bounce=0.0)
    walk(two_scale, step=1e-5, bounce=0.0)

    assert two_scale.per_root_s == pytest.approx(plain.per_root_s, rel=0.05)


def test_nothing_but_bounce_is_no_volatility() -> None:
    volatility = TwoScaleVolatility(theta_s=10, scale=4)
    for sample in range(2_000):
        volatility.update(100 + sample % 2, sample * NS_PER_S // 20)

    assert volatility.per_root_s < 0.3 * 0.01


def test_two_scales_keep_the_rules_of_one() -> None:
    """Seed, gap, prices that are none."""
    volatility = TwoScaleVolatility(theta_s=10, scale=3)
    volatility.seed(1e-8)
    assert volatility.bps == pytest.approx(1.0)

    for second, price in enumerate([100, 100, 100, math.nan, 0.0, 100]):
        volatility.update(price, second * NS_PER_S)
    volatility.skip_gap()
    for second in range(10, 60):
        volatility.update(150.0, second * NS_PER_S)
    assert volatility.bps < 0.1
