"""What a whole book is at one moment, small enough to write down: whoever rebuilds it elsewhere can compare.

In a lock-step replay the feed writes one line a book and thousand frames, and one at the end, to
`books_<feed>.jsonl` in the run folder.
"""

from __future__ import annotations

from hashlib import blake2s
from typing import Final

import msgspec

from actors.feed.book import Book
from actors.vocab.instruments import Instrument

FRAMES_BETWEEN: Final = 1_000


class BookFingerprint(msgspec.Struct, frozen=True):
    """`digest` is the BLAKE2s of `<price in ticks>:<size in lots>` and a line feed for each level, bids before asks,
    the best of a side first."""

    symbol: str
    frames_count: int  # that the feed has read
    last_seq: int  # the venue's number of the newest delta or snapshot in the book
    tick_size: str
    lot_size: str
    bids_count: int
    asks_count: int
    digest: str


def fingerprint(book: Book, row: Instrument, *, frames_count: int) -> BookFingerprint:
    """Read every level: about a millisecond for a thousand of them."""
    sides = sorted(book.bids.sizes.items(), reverse=True), sorted(book.asks.sizes.items())
    text = "".join(f"{price}:{lots}\n" for side in sides for price, lots in side)
    return BookFingerprint(
        symbol=row.symbol,
        frames_count=frames_count,
        last_seq=book.last_seq,
        tick_size=row.tick_size,
        lot_size=row.lot_size,
        bids_count=len(sides[0]),
        asks_count=len(sides[1]),
        digest=blake2s(text.encode()).hexdigest(),
    )
