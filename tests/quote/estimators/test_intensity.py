"""A and k: the reference cases, a market of known intensity, and markets that say nothing."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.quote.estimators.intensity import (
    Bounds,
    Fit,
    IntensityWatch,
    exceedances,
    fit_glm,
    fit_klines,
    fit_mle,
    geometric_decay,
)
from actors.vocab.market import Kline, TradeFlow
from actors.vocab.units import NS_PER_S

LEVELS = [0.5, 1.5, 2.5, 3.5, 4.5]
COUNTS = [412, 301, 225, 160, 118]
BOUNDS = Bounds(0.01, 50.0)
HALF = Fit(0.5, 1.0)


def fit_ols(distances: Sequence[float], counts: Sequence[float], seconds: float) -> Fit:
    """The line through log counts that many programs use; here only to show that the case is the same one."""
    ys = [math.log(count / seconds) for count in counts]
    mean_x, mean_y = sum(distances) / len(distances), sum(ys) / len(ys)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in zip(distances, ys, strict=True)) / sum(
        (x - mean_x) ** 2 for x in distances
    )
    return Fit(math.exp(mean_y - slope * mean_x), -slope)


def test_reference_counts() -> None:
    assert fit_ols(LEVELS, COUNTS, 600) == pytest.approx((0.805930564, 0.313261390), rel=1e-8)
    assert fit_glm(LEVELS, COUNTS, 600) == pytest.approx((0.804129393, 0.312219548), rel=1e-8)


def test_reference_depths() -> None:
    depths = [0.3, 1.2, 0.8, 2.5, 0.4, 0.1, 1.9, 0.6]

    found = fit_mle(arrivals=len(depths), depth_sum=sum(depths), seconds=4)

    assert found == pytest.approx((2.0, 1.025641026), rel=1e-9)


def test_levels_are_passed_strictly() -> None:
    """hftbacktest's counting case, whose levels are half ticks: a depth on a level is not beyond it."""
    depths = [0.5, 1, 1.5, 2, 2, 3.5, -0.5, -math.inf]

    assert exceedances(depths, [0.5, 1, 1.5, 2, 2.5, 3]) == [5, 4, 3, 1, 1, 1]


def test_k_is_per_unit_of_the_distances() -> None:
    """The same counts on half the distances: k doubles, A stays. Reading half ticks as ticks halves k."""
    ticks, half_ticks = fit_glm(LEVELS, COUNTS, 600), fit_glm([2 * at for at in LEVELS], COUNTS, 600)

    assert ticks is not None
    assert half_ticks == pytest.approx((ticks.a_per_s, ticks.k / 2), rel=1e-9)


@given(st.floats(0.05, 5), st.floats(0.05, 3))
def test_a_true_exponential_is_found_exactly(a_per_s: float, k: float) -> None:
    truth = Fit(a_per_s, k)
    counts = [600 * truth.rate_per_s(at) for at in LEVELS]

    assert fit_glm(LEVELS, counts, 600) == pytest.approx(truth, rel=1e-6)


@pytest.mark.parametrize(
    ("distances", "counts"),
    [
        ([], []),
        ([1.0], [5]),
        ([1.0, 2.0], [0, 0]),
        ([1.0, 2.0], [5, 0]),  # k would be infinite
        ([1.0, 2.0], [5, 5]),
        ([1.0, 2.0], [5, 9]),  # rises: no k above 0
    ],
)
def test_counts_that_give_no_decay(distances: list[float], counts: list[float]) -> None:
    assert fit_glm(distances, counts, 60) is None


def test_empty_deep_levels_do_not_matter_much() -> None:
    """Where the line through logs cannot be drawn at all."""
    found = fit_glm([*LEVELS, 50.0, 60.0], [*COUNTS, 0, 0], 600)

    assert found == pytest.approx((0.804, 0.312), rel=0.01)


@given(st.lists(st.tuples(st.floats(-10, 1e4), st.floats(0, 1e7)), max_size=12), st.floats(1e-3, 1e6))
def test_a_glm_is_finite_or_none(points: list[tuple[float, float]], seconds: float) -> None:
    found = fit_glm([at for at, _ in points], [count for _, count in points], seconds)

    assert found is None or (0.0 < found.a_per_s < math.inf and 0.0 < found.k < math.inf)


@pytest.mark.parametrize(
    ("distances", "counts", "seconds"),
    [([1.0], [1, 2], 1), ([1.0, math.nan], [1, 2], 1), ([1.0, 2.0], [1, -2], 1), ([1.0, 2.0], [1, 2], 0)],
)
def test_what_is_no_count_is_refused(distances: list[float], counts: list[float], seconds: float) -> None:
    with pytest.raises(ValueError):
        fit_glm(distances, counts, seconds)


def watch(prior: Fit = HALF, half_life_s: float = 300.0) -> IntensityWatch:
    return IntensityWatch(
        prior=prior, interval_ns=NS_PER_S, half_life_s=half_life_s, prior_arrivals=60 * prior.a_per_s, bounds=BOUNDS
    )


def market(found: IntensityWatch, *, bid: Fit, ask: Fit, seconds: int, seed: int = 1) -> None:
    """Each second one sell and one buy at most, as often and as deep as the fits say, around a mid of 1 000 000 ticks
    (a tick is a hundredth of a bp) with a spread of 2; and a trade at each best price, which must not count."""
    rng, mid = random.Random(seed), 1_000_000
    found.on_top(mid - 1, mid + 1, 0)
    for second in range(1, seconds + 1):
        low, high = mid - 1, mid + 1
        if rng.random() < bid.rate_per_s(0.01):
            low -= math.ceil(100 * rng.expovariate(bid.k))
        if rng.random() < ask.rate_per_s(0.01):
            high += math.ceil(100 * rng.expovariate(ask.k))
        found.on_trades(TradeFlow(1, 1, low_ticks=low, high_ticks=high))
        found.on_top(mid - 1, mid + 1, second * NS_PER_S)


def test_both_sides_of_a_known_market_are_found() -> None:
    found = watch(half_life_s=3600)

    market(found, bid=Fit(0.7, 2.0), ask=Fit(0.3, 0.5), seconds=20_000)

    assert found.bid == pytest.approx((0.7, 2.0), rel=0.1)
    assert found.ask == pytest.approx((0.3, 0.5), rel=0.1)


def test_coarse_ticks_are_no_bias() -> None:
    """A tick of 10 bps and k 0.2: depths are 1, 2, 3 ticks, whose mean of 1.16 would give k 0.086 by N / Σδ."""
    rng, found = random.Random(2), watch(Fit(0.1, 0.1), half_life_s=1e6)
    found.on_top(1_000, 1_001, 0)
    for second in range(1, 20_001):
        if rng.random() < 0.1:
            high = 1_001 + math.ceil(rng.expovariate(0.2) / 10)
            found.on_trades(TradeFlow(buys_count=1, high_ticks=high))
        found.on_top(1_000, 1_001, second * NS_PER_S)

    assert found.ask.k == pytest.approx(0.2, rel=0.1)
    assert found.ask.rate_per_s(5.0) == pytest.approx(0.1, rel=0.05)


def test_depths_of_whole_ticks() -> None:
    assert geometric_decay(arrivals=10, steps_sum=20) == pytest.approx(math.log(2))
    assert geometric_decay(arrivals=10, steps_sum=10) == math.inf
    assert geometric_decay(arrivals=10, steps_sum=1e6) == pytest.approx(1e-5, rel=1e-4)


def test_before_the_first_interval_the_prior_is_the_answer() -> None:
    found = watch(Fit(0.2, 0.7))
    assert found.bid == found.ask == pytest.approx((0.2, 0.7))

    found.on_top(9_999, 10_001, 1)
    found.on_trades(TradeFlow(buys_count=1, high_ticks=10_009))
    assert found.ask == pytest.approx((0.2, 0.7))


def test_the_prior_weighs_its_seconds() -> None:
    """60 s watched without a trade beside a prior of 60 s: A is half of it, k stays."""
    found = watch(half_life_s=1e9)
    for second in range(61):
        found.on_top(9_999, 10_001, second * NS_PER_S)

    assert found.bid == pytest.approx((0.25, 1.0))


def test_an_estimate_that_is_not_fed_returns_to_the_prior() -> None:
    found = watch()
    market(found, bid=Fit(0.9, 5.0), ask=Fit(0.9, 5.0), seconds=1_000)
    assert found.bid.k > 2.5

    found.skip_gap()
    found.on_top(999_999, 1_000_001, 100_000 * NS_PER_S)

    assert found.bid == pytest.approx((0.5, 1.0), rel=1e-6)


def test_the_interval_around_a_gap_is_not_counted() -> None:
    found = watch(half_life_s=1e9)
    found.on_top(9_999, 10_001, 0)
    found.on_trades(TradeFlow(buys_count=1, high_ticks=20_000))
    found.skip_gap()
    found.on_top(9_999, 10_001, 2 * NS_PER_S)
    found.on_top(9_999, 10_001, 62 * NS_PER_S)

    assert found.ask == pytest.approx((0.25, 1.0))


@pytest.mark.parametrize("high_ticks", [9_990, 10_000, 10_001])
def test_a_trade_that_does_not_pass_the_best_ask_of_the_start_is_no_arrival(high_ticks: int) -> None:
    found, other = watch(), watch()
    for one in (found, other):
        one.on_top(9_999, 10_001, 0)
    found.on_trades(TradeFlow(buys_count=1, high_ticks=high_ticks))
    for one in (found, other):
        one.on_top(9_980, 9_982, NS_PER_S)

    assert found.ask == other.ask


def test_k_stays_inside_its_bounds() -> None:
    found = IntensityWatch(prior=Fit(0.5, 9.0), interval_ns=NS_PER_S, half_life_s=300, bounds=Bounds(0.5, 3.0))
    assert found.bid.k == 3.0

    market(found, bid=Fit(0.9, 20.0), ask=Fit(0.9, 0.1), seconds=1_000)

    assert found.bid.k == 3.0
    assert found.ask.k == 0.5


@given(st.lists(st.tuples(*[st.integers(-5, 400)] * 4, st.integers(0, 9)), max_size=40))
def test_no_book_makes_it_not_finite(steps: list[tuple[int, int, int, int, int]]) -> None:
    found, now_ns = watch(), 0
    for bid, ask, low, high, gap_s in steps:
        now_ns += gap_s * NS_PER_S
        found.on_trades(TradeFlow(buys_count=1, sells_count=1, low_ticks=low, high_ticks=high))
        found.on_top(bid, ask, now_ns)
        for fit in (found.bid, found.ask):
            assert 0.0 < fit.a_per_s <= 10_000
            assert BOUNDS.k_min <= fit.k <= BOUNDS.k_max


def test_candles_give_a_first_guess() -> None:
    """A minute that ranges 4 bps reaches 2 bps a side, so sqrt(1/60) of it in a second; 60 trades are one a second,
    half of them on a side."""
    klines = [Kline(0, 59_999, 100_000, 100_020, 99_980, 100_000, 9, 60), Kline(60_000, 119_999, 0, 0, 0, 0, 0, 0)]

    found = fit_klines(klines, interval_s=1.0)

    assert found == pytest.approx(((1 - math.exp(-0.5)) / 2, math.sqrt(60) / 2), rel=1e-9)
    assert fit_klines([], interval_s=1.0) is None
    assert fit_klines(klines[1:], interval_s=1.0) is None


def test_candles_of_coarse_ticks_reach_at_least_one() -> None:
    """A range of one tick of 10 bps a minute is no reach of 0.6 bps a second."""
    found = fit_klines([Kline(0, 59_999, 1_000, 1_001, 1_000, 1_000, 9, 6)], interval_s=1.0)

    assert found is not None
    assert found.k == pytest.approx(0.1)
