"""The fast book against a slow, obvious one, and the few words it says about itself."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.feed.book import HOT_LEVELS, Book, Ladder
from actors.vocab.errors import OurFault
from actors.vocab.market import Level

LEVELS = st.lists(st.tuples(st.integers(1, 700), st.integers(0, 3)), max_size=40)
# A few whole sweeps of a side, so that the hot levels run out and are filled again.
SWEEPS = st.one_of(
    LEVELS,
    st.tuples(st.integers(1, 700), st.integers(1, 700), st.integers(0, 2)).map(
        lambda sweep: [(price, sweep[2]) for price in range(min(sweep[:2]), max(sweep[:2]))]
    ),
)


class SlowBook:
    """Every question answered by looking at everything."""

    def __init__(self, sign: int) -> None:
        self.sign = sign
        self.sizes: dict[int, int] = {}

    def apply(self, levels: list[Level]) -> None:
        for price, lots in levels:
            self.sizes[price] = lots
        self.sizes = {price: lots for price, lots in self.sizes.items() if lots}

    def top(self, count: int) -> tuple[Level, ...]:
        return tuple(sorted(self.sizes.items(), key=lambda level: -self.sign * level[0])[:count])

    def behind(self, price: int, count: int) -> tuple[Level, ...]:
        return tuple([level for level in self.top(len(self.sizes)) if self.sign * level[0] < self.sign * price][:count])


@settings(max_examples=60)
@given(st.sampled_from([1, -1]), LEVELS, st.lists(SWEEPS, max_size=12))
def test_ladder_equals_the_slow_book_after_every_delta(
    sign: int, start: list[Level], deltas: list[list[Level]]
) -> None:
    slow, ladder = SlowBook(sign), Ladder(sign, levels_min=10)
    slow.apply(start)
    ladder.replace(start if len({price for price, _ in start}) == len(start) else slow.sizes.items())
    for levels in [[], *deltas]:
        slow.apply(levels)
        ladder.apply(levels)
        ladder.check()
        assert ladder.top(10) == slow.top(10)
        assert ladder.best() == (slow.top(1)[0][0] if slow.sizes else None)
        assert list(ladder) == list(slow.top(len(slow.sizes)))
        for _ in range(2):  # the second answer is the first one, kept
            for price, _ in slow.top(4):
                assert ladder.behind(price, 5) == slow.behind(price, 5)


@settings(max_examples=50)
@given(st.sampled_from([1, -1]), LEVELS, st.integers(1, 700))
def test_levels_behind_a_price_are_strictly_worse_and_best_first(sign: int, start: list[Level], price: int) -> None:
    slow, ladder = SlowBook(sign), Ladder(sign)
    slow.apply(start)
    ladder.apply(start)
    assert ladder.behind(price, 5) == slow.behind(price, 5)


def test_deep_book_keeps_few_hot_levels_and_refills_them_when_they_are_swept() -> None:
    ladder = Ladder(1, levels_min=10)
    ladder.replace((price, 1) for price in range(1, 5_001))
    assert len(ladder._hot) == HOT_LEVELS

    ladder.apply([(price, 0) for price in range(4_700, 5_001)])

    ladder.check()
    assert ladder.top(2) == ((4_699, 1), (4_698, 1))
    assert len(ladder) == 4_699


def test_hot_levels_stay_bounded_when_new_best_prices_keep_coming() -> None:
    ladder = Ladder(-1, levels_min=10)
    ladder.replace((price, 1) for price in range(10_000, 10_500))
    for price in range(9_999, 8_000, -1):
        ladder.apply([(price, 1)])
    ladder.check()
    assert len(ladder._hot) <= 2 * HOT_LEVELS
    assert ladder.best() == 8_001


def test_removing_a_level_that_is_not_there_changes_nothing() -> None:
    ladder = Ladder(1)
    ladder.apply([(5, 0), (4, 2), (3, 0)])
    assert list(ladder) == [(4, 2)]


def test_crossed_is_a_word_and_an_empty_side_crosses_nothing() -> None:
    book = Book()
    book.apply([(100, 1)], [], last_seq=1, event_ns=0)
    assert not book.is_crossed
    book.apply([], [(100, 1)], last_seq=2, event_ns=0)
    assert book.is_crossed
    book.apply([], [(100, 0), (101, 1)], last_seq=3, event_ns=0)
    assert not book.is_crossed


def test_check_names_a_broken_ladder() -> None:
    book = Book()
    book.apply([(100, 1)], [(101, 1)], last_seq=1, event_ns=0)
    book.check()
    book.bids.sizes[99] = 4
    with pytest.raises(OurFault, match="hot prices differ"):
        book.check()
