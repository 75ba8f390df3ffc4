"""A book's fingerprint: every level counts, how it came about does not."""

from __future__ import annotations

from hashlib import blake2s

from actors.feed.book import Book
from actors.feed.fingerprint import fingerprint
from tests.feed.kit import instrument

ROW = instrument()


def test_it_is_the_digest_of_all_levels_best_first() -> None:
    book = Book()
    book.replace([(99, 5), (100, 2)], [(102, 1), (101, 7)], last_seq=4)

    found = fingerprint(book, ROW, frames_count=3_000)

    assert found.digest == blake2s(b"100:2\n99:5\n101:7\n102:1\n").hexdigest()
    assert (found.symbol, found.frames_count, found.last_seq) == ("BTCUSDT", 3_000, 4)
    assert (found.bids_count, found.asks_count, found.tick_size, found.lot_size) == (2, 2, "0.1", "0.001")


def test_books_with_the_same_levels_are_alike_and_one_lot_makes_them_differ() -> None:
    straight, changed, other = Book(), Book(), Book()
    straight.replace([(100, 2)], [(101, 7)], last_seq=4)
    changed.replace([(100, 1), (90, 3)], [], last_seq=3)
    changed.apply([(100, 2), (90, 0)], [(101, 7)], last_seq=4, event_ns=1)
    other.replace([(100, 2)], [(101, 8)], last_seq=4)

    digests = [fingerprint(book, ROW, frames_count=1).digest for book in (straight, changed, other)]

    assert digests[0] == digests[1] != digests[2]
