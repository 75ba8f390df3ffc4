"""Does the book ticker say the same as the book? The only witness for a book that was built without a snapshot.

Both streams number the same changes, but come at different moments: a ticker is compared with the book at the same
number, not at the same time. After a delta up to number s the book's top is that of the last ticker numbered at or
below s, and that ticker is known to be the last one as soon as a higher number, or the next delta, has come.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from actors.feed.book import Book
from actors.vocab.venue_io import TopOfBook

# Tickers newer than the book. A venue that sends more of them between two deltas is not compared for that delta.
NEWER_MAX: Final = 256


class TopWitness:
    """Counts how often in a row ticker and book agreed (`agreed`) or not (`differed`) on both sides, with sizes."""

    __slots__ = ("_newer", "_settled", "_undecided", "agreed", "differed", "differed_total")

    def __init__(self) -> None:
        # Tickers with numbers above the book's, oldest first.
        self._newer: deque[TopOfBook] = deque(maxlen=NEWER_MAX)
        self._settled: TopOfBook | None = None  # last ticker at or below the book's number
        self._undecided = False  # the book moved since the last comparison
        self.agreed = 0
        self.differed = 0
        self.differed_total = 0

    def restart(self) -> None:
        self._newer.clear()
        self._settled = None
        self._undecided = False
        self.agreed = self.differed = 0

    def on_top(self, top: TopOfBook, book: Book) -> None:
        if top.seq <= book.last_seq:
            self._settled = top
            return
        if self._undecided:
            self._decide(book)
        newer = self._newer
        if len(newer) == NEWER_MAX:
            self._settled = None  # what falls out could have been the one to compare with
        newer.append(top)

    def before_delta(self, book: Book) -> None:
        """The book is about to move: what was to come about its present number has come by now."""
        if self._undecided:
            self._decide(book)

    def after_delta(self, book: Book) -> None:
        newer, last_seq = self._newer, book.last_seq
        while newer and newer[0].seq <= last_seq:
            self._settled = newer.popleft()
        self._undecided = True
        if newer:
            self._decide(book)

    def _decide(self, book: Book) -> None:
        self._undecided = False
        top = self._settled
        if top is None:
            return
        if _same(top.bid_ticks, top.bid_lots, book.bids.best(), book.bids.sizes) and _same(
            top.ask_ticks, top.ask_lots, book.asks.best(), book.asks.sizes
        ):
            self.agreed += 1
            self.differed = 0
        else:
            self.agreed = 0
            self.differed += 1
            self.differed_total += 1


def _same(price: int, lots: int, best: int | None, sizes: dict[int, int]) -> bool:
    return (best is None and not lots) or (best == price and sizes.get(price) == lots)
