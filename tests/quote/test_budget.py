"""The order budget: never more than the rate in any minute, and alive at every rate."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.quote.budget import OrderBudget
from actors.vocab.units import NS_PER_MS, NS_PER_S


def test_a_new_budget_starts_full_and_refills_evenly() -> None:
    budget = OrderBudget()
    budget.set_rate(22, 0)
    assert budget.tokens == budget.capacity == pytest.approx(4.4)

    for _ in range(4):
        budget.take()
    assert budget.refill(10 * NS_PER_S) == pytest.approx(0.4 + 17.6 / 6)
    assert budget.refill(1_000 * NS_PER_S) == pytest.approx(4.4)


def test_a_changed_rate_does_not_fill_the_bucket() -> None:
    budget = OrderBudget()
    budget.set_rate(22, 0)
    for _ in range(4):
        budget.take()

    budget.set_rate(600, 0)

    assert budget.tokens == pytest.approx(0.4)


def test_nothing_granted_means_nothing_to_send() -> None:
    budget = OrderBudget()
    budget.set_rate(0, 0)

    assert budget.refill(100 * NS_PER_S) == 0.0
    assert budget.scarcity == 1.0


def test_improvements_must_be_worth_more_as_the_bucket_empties() -> None:
    budget = OrderBudget()
    budget.set_rate(22, 0)
    assert budget.scarcity == 1.0
    budget.take()
    budget.take()
    assert budget.scarcity == pytest.approx(4.4 / 2.4)


@given(rate=st.integers(1, 300), gaps_ms=st.lists(st.integers(0, 5_000), min_size=1, max_size=300))
def test_no_minute_holds_more_than_the_rate(rate: int, gaps_ms: list[int]) -> None:
    """Whoever sends whenever it may: any sixty seconds hold at most the granted number of orders."""
    budget = OrderBudget()
    budget.set_rate(rate, 0)
    now_ns, sent = 0, []
    for gap_ms in gaps_ms:
        now_ns += gap_ms * NS_PER_MS
        budget.refill(now_ns)
        while budget.tokens >= 1.0:
            budget.take()
            sent.append(now_ns)

    assert sent
    for last, moment in enumerate(sent):
        first = last - rate
        assert first < 0 or moment - sent[first] >= 60 * NS_PER_S - NS_PER_MS
