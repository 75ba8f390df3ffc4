"""The one view of a book: the newer of ticker and diff book wins, and the view is that of one moment."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.feed.symbol import SymbolFeed
from actors.feed.sync import rules_of
from actors.vocab.market import BookState, Level
from tests.feed.kit import SYMBOL, delta, snapshot, top

BIDS, ASKS = [(100, 5), (99, 4), (98, 3)], [(101, 6), (102, 7), (104, 8)]


def synced(bids: list[Level] = BIDS, asks: list[Level] = ASKS, *, levels: int = 3) -> SymbolFeed:
    feed = SymbolFeed("binance_spot", SYMBOL, rules=rules_of("binance_spot"), buffer_max=10, levels=levels)
    feed.is_down = False
    feed.sync.on_delta(delta(9, 9))
    feed.sync.on_snapshot(snapshot(9, bids, asks))
    feed.sync.on_delta(delta(10, 10))
    return feed


@pytest.mark.parametrize(
    ("seq", "bid", "ask", "bids", "asks"),
    [
        (10, (50, 1), (200, 1), ((100, 5), (99, 4), (98, 3)), ((101, 6), (102, 7), (104, 8))),  # not newer
        (11, (100, 2), (101, 6), ((100, 2), (99, 4), (98, 3)), ((101, 6), (102, 7), (104, 8))),  # size alone
        (11, (99, 9), (101, 6), ((99, 9), (98, 3)), ((101, 6), (102, 7), (104, 8))),  # better bid is gone
        (11, (101, 1), (102, 7), ((101, 1), (100, 5), (99, 4)), ((102, 7), (104, 8))),  # moved up: the old ask is gone
        (11, (100, 5), (103, 2), ((100, 5), (99, 4), (98, 3)), ((103, 2), (104, 8))),  # between two known levels
        (11, (0, 0), (101, 6), (), ((101, 6), (102, 7), (104, 8))),  # nobody bids
    ],
)
def test_newer_ticker_is_laid_over_the_book(
    seq: int, bid: Level, ask: Level, bids: tuple[Level, ...], asks: tuple[Level, ...]
) -> None:
    feed = synced()
    feed.top = top(seq, bid, ask)
    assert feed.view() == (bids, asks)
    if seq > 10:
        assert feed.best() == (*bid, *ask)
    assert list(feed.sync.book.bids) == BIDS  # the book itself is not touched


@given(
    st.dictionaries(st.integers(1, 50), st.integers(1, 9), min_size=1),
    st.dictionaries(st.integers(51, 100), st.integers(1, 9), min_size=1),
    st.integers(1, 99),
    st.integers(1, 20),
)
def test_view_is_sorted_not_crossed_and_begins_with_the_ticker(
    bids: dict[int, int], asks: dict[int, int], bid: int, spread: int
) -> None:
    feed = synced(list(bids.items()), list(asks.items()), levels=10)
    feed.top = top(11, (bid, 3), (bid + spread, 4))
    shown_bids, shown_asks = feed.view()
    prices = [price for price, _ in [*shown_bids[::-1], *shown_asks]]
    assert prices == sorted(set(prices))
    assert (shown_bids[0], shown_asks[0]) == ((bid, 3), (bid + spread, 4))


def test_book_that_is_not_readable_shows_nothing_but_still_values_a_position() -> None:
    feed = SymbolFeed("binance_spot", SYMBOL, rules=rules_of("binance_spot"), buffer_max=10, levels=3)
    feed.is_down = False
    feed.top = top(4, (7, 1), (9, 2))
    assert feed.state is BookState.SYNCING
    assert feed.view() == ((), ())
    mark = feed.as_mark(0)
    assert (mark.bid_ticks, mark.ask_ticks, mark.state) == (7, 9, BookState.SYNCING)


def test_update_that_says_nothing_new_is_not_made() -> None:
    feed = synced()
    feed.pending.frame(5, 0)
    first = feed.update(10_000, 0)
    assert first is not None
    assert (first.seq, first.recv_ns, first.age_us) == (1, 5, 9)
    feed.pending.frame(20_000, 0)
    assert feed.update(30_000, 0) is None
    assert feed.pending.frames_count == 0


def test_quiet_limit_follows_the_habit_of_the_symbol() -> None:
    feed = synced()
    for ms in range(0, 100, 10):
        feed.heard(ms * 1_000_000)
    assert feed.quiet_limit_ns(5_000) == 5_000_000_000
    feed.restart()
    for second in range(10):
        feed.heard(second * 1_000_000_000)
    assert feed.quiet_limit_ns(5_000) == 50_000_000_000


def test_habit_is_that_of_the_last_hours() -> None:
    feed = synced()
    now_ns = 0
    for frames, distance_ms in ((144_000, 50), (7_200, 1_000)):  # two hours of a busy day, two of a quiet night
        for _ in range(frames):
            now_ns += distance_ms * 1_000_000
            feed.heard(now_ns)
    assert feed.quiet_limit_ns(5_000) > 20_000_000_000  # its own mean alone would give 50 s, that of all its life 5
