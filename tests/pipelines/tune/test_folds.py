"""Windows of recorded time, what a meter reads in them, and what may be chosen by which."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.vocab.errors import ConfigError
from pipelines.tune.folds import (
    SCORES,
    Meter,
    Outcome,
    Reading,
    Span,
    added,
    by_window,
    choose,
    cut_windows,
    net_bps,
    net_less_drawdown,
    net_usd_per_h,
    walk_forward,
)

S = 1_000_000_000


def test_windows_are_equal_and_begin_after_the_warm_up() -> None:
    assert cut_windows([(0, 100 * S)], folds_count=2, warm_up_s=10) == [
        Span(0, 0, 10 * S, 40 * S),
        Span(1, 0, 40 * S, 70 * S),
        Span(2, 0, 70 * S, 100 * S),
    ]


def test_a_window_reaches_over_the_end_of_a_session() -> None:
    assert cut_windows([(0, 40 * S), (1000 * S, 1030 * S)], folds_count=1, warm_up_s=5) == [
        Span(0, 0, 5 * S, 35 * S),
        Span(1, 0, 35 * S, 40 * S),
        Span(1, 1, 1005 * S, 1030 * S),
    ]


def test_a_session_shorter_than_its_warm_up_counts_for_nothing() -> None:
    spans = cut_windows([(0, 3 * S), (1000 * S, 1030 * S)], folds_count=1, warm_up_s=10)
    assert {span.session for span in spans} == {1}


def test_windows_too_short_to_judge_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"--folds 9: 30 s after the warm-up give 10 windows of 3.0 s"):
        cut_windows([(0, 60 * S)], folds_count=9, warm_up_s=30)


@given(
    lengths=st.lists(st.integers(1, 500), min_size=1, max_size=5),
    folds_count=st.integers(1, 6),
)
def test_windows_neither_overlap_nor_leave_a_gap(lengths: list[int], folds_count: int) -> None:
    at, sessions = 0, []
    for length in lengths:
        sessions.append((at, at + length * S))
        at += (length + 5_000) * S
    try:
        spans = cut_windows(sessions, folds_count=folds_count, warm_up_s=2.0)
    except ConfigError:
        return
    sums = [sum(span.end_ns - span.begin_ns for span in spans if span.window == n) for n in range(folds_count + 1)]
    assert len(set(sums)) == 1
    assert all(span.end_ns > span.begin_ns for span in spans)
    for before, after in itertools.pairwise(spans):
        assert before.end_ns <= after.begin_ns
        if before.session == after.session:
            assert before.end_ns == after.begin_ns
        assert after.window in (before.window, before.window + 1)


def metered(spans: list[Span], looks: list[tuple[int, float, float, int]]) -> list[Outcome]:
    now = Reading(0.0, 0.0, 0)

    def read() -> Reading:
        return now

    meter = Meter(spans, read)
    for at_s, net, turnover, fills in looks:
        now = Reading(net, turnover, fills)
        meter.look(at_s * S, net)
    return meter.finish()


def test_a_meter_counts_nothing_before_the_warm_up_is_over() -> None:
    spans = [Span(0, 0, 10 * S, 20 * S), Span(1, 0, 20 * S, 30 * S)]
    looks = [
        (1, 0.0, 0.0, 0),
        (5, -9.0, 500.0, 2),  # before the first window
        (10, -8.0, 600.0, 3),
        (14, -5.0, 700.0, 4),
        (16, -7.5, 700.0, 4),
        (20, -6.0, 800.0, 5),
        (28, -4.0, 900.0, 7),
    ]
    hours = 10 / 3600

    assert metered(spans, looks) == [Outcome(hours, 2.0, 2.5, 200.0, 2), Outcome(hours, 2.0, 0.0, 100.0, 2)]


def test_windows_that_a_recording_does_not_reach_hold_nothing() -> None:
    spans = [Span(0, 0, 0, 10 * S), Span(1, 0, 10 * S, 20 * S)]
    assert metered(spans, [(1, 0.0, 0.0, 0), (5, 3.0, 10.0, 1)])[1] == Outcome(10 / 3600)


@given(nets=st.lists(st.integers(-1000, 1000), min_size=2, max_size=40), cut=st.integers(1, 39))
def test_the_parts_of_a_run_add_up_to_it(nets: list[int], cut: int) -> None:
    end = len(nets)
    cut = min(cut, end - 1)
    spans = [Span(0, 0, 0, cut * S), Span(1, 0, cut * S, end * S)]
    outcomes = metered(spans, [(at, float(net), float(at), at) for at, net in enumerate(nets)])
    whole = metered([Span(0, 0, 0, end * S)], [(at, float(net), float(at), at) for at, net in enumerate(nets)])
    total = added(outcomes)
    assert total.net_usd == whole[0].net_usd == nets[-1] - nets[0]
    assert total.fills_count == whole[0].fills_count
    assert max(one.drawdown_usd for one in outcomes) <= whole[0].drawdown_usd


def test_spans_of_one_window_are_added() -> None:
    spans = [Span(0, 0, 0, 1), Span(1, 0, 1, 2), Span(1, 1, 5, 6)]
    ones = [Outcome(1, 1.0, 0.5, 10, 1), Outcome(1, 2.0, 0.5, 10, 1), Outcome(1, -4.0, 5.0, 30, 2)]
    assert by_window(spans, ones) == [ones[0], Outcome(2, -2.0, 5.5, 40, 3)]


def test_scores() -> None:
    one = Outcome(hours=0.5, net_usd=3.0, drawdown_usd=2.0, turnover_usd=10_000.0, fills_count=4)
    assert net_less_drawdown(one) == 4.0
    assert net_usd_per_h(one) == 6.0
    assert net_bps(one) == pytest.approx(3.0)
    assert net_bps(Outcome(hours=0.5)) == 0.0
    assert set(SCORES) == {"net_less_drawdown", "net_usd_per_h", "net_bps"}


def hour(net_usd: float, fills_count: int = 1) -> Outcome:
    return Outcome(1.0, net_usd, 0.0, 100.0, fills_count)


def test_each_fold_chooses_by_what_came_before_it_alone() -> None:
    trials = {
        0: [hour(1), hour(1), hour(1)],
        1: [hour(5), hour(-3), hour(0)],  # best before window 1
        2: [hour(0), hour(9), hour(-4)],  # best before window 2
        3: [hour(-9), hour(-9), hour(90)],  # best in the end, when nobody can choose it any more
    }

    walk = walk_forward(trials, net_usd_per_h)

    assert walk is not None
    assert [(fold.chosen, fold.in_sample, fold.out_of_sample) for fold in walk.folds] == [
        (1, 5.0, -3.0),
        (2, 4.5, -4.0),
    ]
    assert [fold.default_out_of_sample for fold in walk.folds] == [1.0, 1.0]
    assert walk.best == 3
    assert (walk.out_of_sample, walk.default_out_of_sample) == (-3.5, 1.0)
    assert walk.is_worse


def test_what_comes_later_cannot_change_a_fold() -> None:
    trials = {0: [hour(1), hour(2), hour(3)], 1: [hour(2), hour(1), hour(0)]}
    changed = {0: [hour(1), hour(2), hour(-70)], 1: [hour(2), hour(1), hour(800)]}

    first, second = (walk_forward(each, net_usd_per_h) for each in (trials, changed))

    assert first is not None
    assert second is not None
    assert first.folds[0] == second.folds[0]
    assert first.folds[1].chosen == second.folds[1].chosen


def test_a_trial_without_a_fill_is_not_chosen_for_losing_nothing() -> None:
    trials = {0: [hour(-2), hour(-2)], 1: [hour(0, 0), hour(0, 0)]}
    assert choose(trials, range(2), net_usd_per_h) == 0
    assert walk_forward({0: [hour(0, 0), hour(0, 0)]}, net_usd_per_h) is None


def test_trials_that_all_did_the_same_are_told_apart_from_a_choice() -> None:
    same, other = [hour(-2, 9), hour(-2, 9)], [hour(-1, 9), hour(-2, 9)]

    for trials, is_flat in (({0: same, 1: same}, True), ({0: same, 1: other}, False), ({0: same}, False)):
        walk = walk_forward(trials, net_usd_per_h)
        assert walk is not None
        assert walk.is_flat is is_flat


def test_a_trial_with_too_few_fills_is_not_chosen() -> None:
    trials = {0: [hour(-2, 9), hour(-2, 9)], 1: [hour(5, 2), hour(5, 7)], 2: [hour(1, 5), hour(1, 5)]}

    walk = walk_forward(trials, net_usd_per_h, fills_min=4)

    assert walk is not None
    assert walk.folds[0].chosen == 2
    assert (walk.best, walk.best_fills_count, walk.is_thin) == (1, 9, True)
    assert walk_forward(trials, net_usd_per_h, fills_min=20) is None


def test_a_fold_without_any_fill_before_it_keeps_the_defaults() -> None:
    walk = walk_forward({0: [hour(0, 0), hour(-1)], 1: [hour(0, 0), hour(4)]}, net_usd_per_h)
    assert walk is not None
    assert walk.folds[0].chosen == 0
    assert walk.best == 1


def test_of_equals_the_first_is_chosen() -> None:
    assert choose({0: [hour(1)], 1: [hour(1)], 2: [hour(1)]}, range(1), net_usd_per_h) == 0
