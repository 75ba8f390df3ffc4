"""The order budget: changes never more than the rate in any minute and spread over it, missing sides twice as many."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.quote.budget import MISSING_TIMES, OrderBudget
from actors.vocab.units import NS_PER_MS, NS_PER_S


def sent(rate: int, *at_s: float, needed: bool = False) -> OrderBudget:
    budget = OrderBudget()
    budget.set_rate(rate, 0)
    for moment in at_s:
        budget.refill(int(moment * NS_PER_S))
        budget.take(needed=needed)
    return budget


def test_what_was_sent_comes_back_after_a_minute() -> None:
    budget = sent(22, 0, 0, 30)
    assert budget.left == 19
    assert budget.refill(60 * NS_PER_S) == 21
    assert budget.refill(1_000 * NS_PER_S) == 22


def test_a_changed_rate_counts_the_orders_of_the_minute() -> None:
    budget = sent(4, 0, 0, 0, 0)
    assert budget.left == 0
    budget.set_rate(6, NS_PER_S)
    assert budget.left == 2
    budget.set_rate(3, NS_PER_S)
    assert budget.left == 0


def test_nothing_granted_means_nothing_to_send() -> None:
    budget = OrderBudget()
    budget.set_rate(0, 0)

    assert budget.refill(100 * NS_PER_S) == 0
    assert budget.scarcity == 1.0


def test_improvements_must_be_worth_more_as_less_is_left() -> None:
    assert sent(22).scarcity == 1.0
    assert sent(22, 0, 0, 0, 0).scarcity == pytest.approx(22 / 18)
    assert sent(22, *[0] * 22).scarcity == 22


def test_a_spell_holds_a_fifth_of_the_minutes_changes() -> None:
    budget = sent(20, 0, 0, 0, 1)
    assert not budget.may_change
    budget.refill(10 * NS_PER_S)  # three of the four are ten seconds old
    assert budget.may_change


def test_it_is_short_as_soon_as_the_next_needed_order_would_find_nothing() -> None:
    assert not sent(2, 0, needed=True).short
    assert sent(2, 0, 1, needed=True).short
    assert not sent(2, 0, 1).short  # the last went to move a quote back
    assert sent(5, 0, 50, needed=True).needed_count(61 * NS_PER_S) == 1


def test_a_missing_side_may_go_beyond_the_rate_and_changes_wait_for_it() -> None:
    budget = sent(4, 0, 0, 0, 0)
    assert (budget.left, budget.may_place) == (0, True)
    for _ in range(4):
        budget.take(needed=True)
    assert (budget.may_place, budget.short) == (False, True)
    budget.refill(60 * NS_PER_S)
    assert (budget.left, budget.may_place) == (4, True)


@given(
    steps=st.lists(st.tuples(st.integers(0, 5_000), st.integers(1, 40)), min_size=1, max_size=300),
    times=st.sampled_from([1, MISSING_TIMES]),
)
def test_no_minute_holds_more_than_the_highest_rate_in_it(steps: list[tuple[int, int]], times: int) -> None:
    """Whoever sends whenever it may, under a rate that changes all the time: changes, or missing orders."""
    budget = OrderBudget()
    now_ns, moments, rates = 0, [], [(0, 0)]
    for gap_ms, rate in steps:
        now_ns += gap_ms * NS_PER_MS
        budget.set_rate(rate, now_ns)
        rates.append((now_ns, rate))
        while budget.left >= 1 if times == 1 else budget.may_place:
            budget.take()
            moments.append(now_ns)

    for last in moments:
        inside = [moment for moment in moments if last - 60 * NS_PER_S < moment <= last]
        highest = max(rate for at_ns, rate in rates if last - 60 * NS_PER_S < at_ns <= last)
        assert len(inside) <= times * highest
