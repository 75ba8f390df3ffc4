"""Histograms, shares and memory."""

from __future__ import annotations

import pytest
from hdrh.histogram import HdrHistogram
from hypothesis import given
from hypothesis import strategies as st

from actors.transport.meters import CpuShare, Histogram, LoopLag, machine_cpu_share, pss_mb
from tests.fakes import run_on, until


def test_histogram_knows_its_percentiles_to_a_percent() -> None:
    histogram = Histogram()
    for value_us in range(1, 10_001):
        histogram.record(value_us)
    assert histogram.count == 10_000
    assert histogram.p50 == pytest.approx(5_000, rel=1e-2)
    assert histogram.p90 == pytest.approx(9_000, rel=1e-2)
    assert histogram.p99 == pytest.approx(9_900, rel=1e-2)
    assert histogram.max == pytest.approx(10_000, rel=1e-2)


@given(st.lists(st.integers(1, 60_000_000), min_size=1, max_size=50), st.floats(0.1, 100))
def test_a_percentile_is_the_library_s_own(values_us: list[int], percent: float) -> None:
    histogram, library = Histogram(), HdrHistogram(1, 60_000_000, 2)
    for value_us in values_us:
        histogram.record(value_us)
        library.record_value(value_us)
    assert histogram.percentile(percent) == library.get_value_at_percentile(percent)


@pytest.mark.parametrize(
    ("value_us", "kept_us"), [(-5, 1), (0, 1), (0.7, 1), (59_000_000, 59_000_000), (10**12, 60_000_000)]
)
def test_values_out_of_range_are_kept_at_the_edge(value_us: float, kept_us: int) -> None:
    histogram = Histogram()
    histogram.record(value_us)
    assert histogram.max == pytest.approx(kept_us, rel=1e-2)
    assert histogram.count == 1


def test_an_empty_histogram_is_all_zero() -> None:
    assert Histogram().summary() == {"p50": 0, "p90": 0, "p99": 0, "max": 0, "count": 0}


def test_merged_histograms_equal_one_that_saw_everything() -> None:
    first, second, whole = Histogram(), Histogram(), Histogram()
    for value_us in (3, 50, 700, 9_000):
        first.record(value_us)
        whole.record(value_us)
    for value_us in (1, 60, 800, 12_000_000):
        second.record(value_us)
        whole.record(value_us)
    first.merge(second.encode())
    assert first.summary() == whole.summary()


def test_what_came_since_a_former_state_is_told_apart() -> None:
    former, now, later = Histogram(), Histogram(), Histogram()
    for value_us in (7, 800, 90_000):
        former.record(value_us)
        now.record(value_us)
    for value_us in (9, 800, 100):
        now.record(value_us)
        later.record(value_us)
    assert now.since(former).summary() == later.summary()
    assert now.since(now).count == 0


def test_cpu_share_is_the_busy_part_of_the_time_between_two_reads() -> None:
    cpu, wall = iter([0, 500_000_000, 500_000_000, 500_000_001]), iter([0, 2_000_000_000, 3_000_000_000, 3_000_000_001])
    share = CpuShare(cpu_ns=lambda: next(cpu), wall_ns=lambda: next(wall))
    assert share.read() == 0.25
    assert share.read() == 0.0
    assert share.read() == 0.0  # one ns later: no figure to divide


def test_loop_lag_sees_a_loop_that_was_blocked() -> None:
    async def main() -> None:
        import asyncio

        loop = asyncio.get_running_loop()
        lag = LoopLag(loop)
        lag._due_s = loop.time() - 0.5  # as if the loop had been busy for half a second past the due moment
        lag._look()
        assert 490_000 < lag.histogram.max < 700_000
        await until(lambda: lag.histogram.count == 2)
        lag.stop()

    run_on("asyncio", main())


def test_memory_and_machine_share_are_plausible() -> None:
    assert 5 < pss_mb() < 10_000
    assert 0 <= machine_cpu_share() <= 1
