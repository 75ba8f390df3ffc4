"""Ticker and book are compared at the same number, not at the same time."""

from __future__ import annotations

from actors.feed.book import Book
from actors.feed.confirm import NEWER_MAX, TopWitness
from tests.feed.kit import top


def moved(witness: TopWitness, book: Book, seq: int, bid: int, ask: int) -> None:
    witness.before_delta(book)
    book.replace([(bid, 5)], [(ask, 5)], last_seq=seq)
    witness.after_delta(book)


def test_ticker_ahead_of_the_book_is_compared_when_the_book_gets_there() -> None:
    witness, book = TopWitness(), Book()
    moved(witness, book, 10, 100, 110)
    witness.on_top(top(15, (101, 5)), book)  # newer than the book: says nothing about it yet
    assert (witness.agreed, witness.differed) == (0, 0)
    moved(witness, book, 20, 101, 110)
    assert (witness.agreed, witness.differed) == (0, 0)  # another ticker up to 20 could still come
    witness.on_top(top(21, (102, 5)), book)
    assert (witness.agreed, witness.differed) == (1, 0)


def test_next_delta_decides_where_no_ticker_comes() -> None:
    witness, book = TopWitness(), Book()
    witness.on_top(top(5), book)
    moved(witness, book, 10, 100, 110)
    moved(witness, book, 11, 100, 110)
    moved(witness, book, 12, 100, 110)
    assert witness.agreed == 2


def test_other_price_or_size_differs_and_ends_the_row() -> None:
    witness, book = TopWitness(), Book()
    witness.on_top(top(5), book)
    moved(witness, book, 10, 100, 110)
    moved(witness, book, 11, 99, 110)
    moved(witness, book, 12, 99, 110)
    assert (witness.agreed, witness.differed) == (0, 1)
    witness.on_top(top(12, (99, 4)), book)
    witness.on_top(top(13), book)
    assert (witness.agreed, witness.differed, witness.differed_total) == (0, 2, 2)


def test_more_tickers_than_are_kept_are_not_compared() -> None:
    witness, book = TopWitness(), Book()
    for seq in range(NEWER_MAX + 10):
        witness.on_top(top(seq), book)
    moved(witness, book, 5, 1, 2)
    assert (witness.agreed, witness.differed) == (0, 0)
