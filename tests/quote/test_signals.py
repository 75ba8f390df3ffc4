"""Signals against the cases of the papers and of their authors' code."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.quote.signals import (
    best_of_others,
    fair_ticks,
    imbalance,
    microprice_ticks,
    mid_ticks,
)


def test_weighted_mid_reproduces_the_authors_notebook() -> None:
    """Stoikov's notebook prints 14.330407 for (14.33 x 20, 14.34 x 471)."""
    assert microprice_ticks(14.33, 20, 14.34, 471) == pytest.approx(14.330407332, abs=5e-10)


@pytest.mark.parametrize(
    ("bid_lots", "ask_lots", "expected"), [(0, 0, 0.0), (5, 5, 0.0), (10, 0, 1.0), (0, 10, -1.0), (30, 10, 0.5)]
)
def test_imbalance_is_signed_toward_the_bid(bid_lots: int, ask_lots: int, expected: float) -> None:
    assert imbalance(bid_lots, ask_lots) == expected


def test_fair_price_moves_with_its_weight_from_mid_to_microprice() -> None:
    book = (100, 30, 104, 10)

    assert fair_ticks(*book, weight=0.0) == mid_ticks(100, 104) == 102
    assert fair_ticks(*book, weight=1.0) == microprice_ticks(*book) == 103
    assert fair_ticks(*book, weight=0.5) == 102.5
    assert fair_ticks(100, 0, 104, 0, weight=1.0) == 102


@given(
    bid=st.integers(1, 10**7),
    spread=st.integers(1, 1000),
    bid_lots=st.integers(0, 10**9),
    ask_lots=st.integers(0, 10**9),
    weight=st.floats(0, 1),
)
def test_fair_price_never_leaves_the_spread(bid: int, spread: int, bid_lots: int, ask_lots: int, weight: float) -> None:
    fair = fair_ticks(bid, bid_lots, bid + spread, ask_lots, weight=weight)

    assert bid - 1e-6 <= fair <= bid + spread + 1e-6


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        ({}, (100, 5)),
        ({100: 2}, (100, 3)),  # the rest of the level is others'
        ({100: 5}, (99, 7)),  # we are alone there
        ({100: 9}, (99, 7)),  # our order is known, the book is not that far yet
        ({100: 5, 99: 7}, None),
        ({101: 4}, (100, 5)),  # acked, not in the book yet
    ],
)
def test_our_own_orders_are_not_the_market(own: dict[int, int], expected: tuple[int, int] | None) -> None:
    assert best_of_others(((100, 5), (99, 7)), own) == expected
