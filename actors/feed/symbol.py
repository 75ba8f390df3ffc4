"""Everything a feed knows of one symbol, and the one view of its book that is shown.

Two sources tell the top: the diff book (complete, every 100 ms) and the book ticker (top only, at once). Both number
the same changes, so the newer one wins, and the view is always that of one moment:

    ticker number >  book number    the ticker's bid and ask with its sizes, then the book's levels behind those;
                                    book levels at or better than the ticker's price are gone by now and not shown
    ticker number <= book number    the book alone

The book itself is never changed by a ticker; only the view is.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from actors.feed.book import Ladder
from actors.feed.confirm import TopWitness
from actors.feed.conflate import Pending
from actors.feed.sync import READABLE, BookSync, Phase, SequenceRules
from actors.vocab.market import NO_TRADES, BookState, BookUpdate, Level, Mark
from actors.vocab.units import NS_PER_MS, NS_PER_S
from actors.vocab.venue_io import MarkPrice, TopOfBook

# A book without a snapshot is believed after this many comparisons in a row in which ticker and book agreed. On 24 h
# of a quiet pair the wrong tops all fell into the first minute, and none came after the first agreement.
CONFIRMATIONS_MIN: Final = 20
# Ids of recent trades; two connections that overlap repeat at most what one sends within their distance.
TRADE_IDS_KEPT: Final = 256
# Silence is a matter of habit: a book that speaks once a second is not dead after five, one that speaks every few
# milliseconds is. On 24 h of a quiet pair (mean distance 0.9 s) the longest silence was 43 s.
QUIET_FACTOR: Final = 50
QUIET_MAX_NS: Final = 60 * NS_PER_S
HABIT_NS: Final = 3_600 * NS_PER_S  # habits are of the last hours: by night a book is slower than by day
# A trade and the change of the book that it caused come within this of each other, in either order. Of the 834 trades
# of that pair which came later than this after its book's last frame, each was answered within 10 ms.
ANSWER_NS: Final = 1 * NS_PER_S


class SymbolFeed:
    """One symbol's book, witness, pending update and clocks. Changed by its engine alone."""

    __slots__ = (
        "attempts",
        "book_recv_ns",
        "crossed_deltas",
        "crossed_since_ns",
        "depth_connection",
        "first_recv_ns",
        "frames_count",
        "is_dirty",
        "is_down",
        "is_snapshot_out",
        "is_stale",
        "last",
        "last_sent_ns",
        "levels",
        "mark",
        "other_recv_ns",
        "pending",
        "readable_since_ns",
        "seq",
        "snapshot_due_ns",
        "symbol",
        "sync",
        "top",
        "trade_ids",
        "unanswered_ns",
        "venue",
        "witness",
    )

    def __init__(self, venue: str, symbol: str, *, rules: SequenceRules, buffer_max: int, levels: int) -> None:
        self.venue = venue
        self.symbol = symbol
        self.levels = levels
        # Four times what is shown: a ticker may be far ahead of the book and hide as many levels as it jumped over.
        self.sync = BookSync(rules, buffer_max=buffer_max, levels_min=4 * levels)
        self.witness = TopWitness()
        self.pending = Pending()
        self.top: TopOfBook | None = None
        self.mark: MarkPrice | None = None
        self.trade_ids: deque[int] = deque(maxlen=TRADE_IDS_KEPT)
        self.depth_connection = ""  # which connection carries the deltas; "" until one came
        self.is_dirty = False  # in the engine's list of feeds to publish
        self.is_down = True
        self.is_stale = False
        self.crossed_since_ns = 0  # 0: not crossed
        self.crossed_deltas = 0
        # Snapshot being fetched; at most one at a time. `attempts` since the book was last stable sets the back-off.
        self.is_snapshot_out = False
        self.snapshot_due_ns = 0
        self.attempts = 0
        self.readable_since_ns = 0
        # Frames of the book's own streams, depth and ticker. Marks and trades may come over another connection: they
        # go on while the book stands still, and say nothing of its age.
        self.frames_count = 0  # since `first_recv_ns`
        self.first_recv_ns = 0
        self.book_recv_ns = 0
        self.other_recv_ns = 0  # first frame of another stream after which the book has said nothing; 0: none
        self.unanswered_ns = 0  # first trade outside the book after which the book has said nothing; 0: none
        self.seq = 0
        self.last: BookUpdate | None = None
        self.last_sent_ns = 0

    def restart(self) -> None:
        """Forget the book and everything that was compared with it; a fetch under way stays under way."""
        self.sync.restart()
        self.witness.restart()
        self.top = None
        self.crossed_since_ns = 0
        self.is_stale = False
        self.frames_count = 0
        self.first_recv_ns = 0
        self.other_recv_ns = 0
        self.unanswered_ns = 0
        self.readable_since_ns = 0

    def heard(self, recv_ns: int) -> None:
        """A frame of depth or ticker came, whatever it said."""
        if not self.frames_count:
            self.first_recv_ns = recv_ns
        self.frames_count += 1
        self.book_recv_ns = recv_ns
        self.other_recv_ns = self.unanswered_ns = 0
        if recv_ns - self.first_recv_ns > HABIT_NS:  # forget half: the mean stays, its weight is halved
            self.first_recv_ns = (self.first_recv_ns + recv_ns) // 2
            self.frames_count //= 2

    def traded(self, price_ticks: int, recv_ns: int) -> None:
        """A trade outside a book that is silent: the book must have moved, and is frozen unless it soon says so.

        One between bid and ask proves nothing, as hidden orders trade there.
        """
        if recv_ns - self.book_recv_ns > ANSWER_NS and not self.unanswered_ns:
            bid, _, ask, _ = self.best()
            if price_ticks < bid or 0 < ask < price_ticks:
                self.unanswered_ns = recv_ns

    def is_silent(self, now_ns: int, stale_after_ms: int) -> bool:
        """Its book has said nothing for longer than is its habit, or for `stale_after_ms` after a trade outside it."""
        if not self.frames_count:
            return False
        if self.unanswered_ns and now_ns - self.unanswered_ns > stale_after_ms * NS_PER_MS:
            return True
        return now_ns - self.book_recv_ns > self.quiet_limit_ns(stale_after_ms)

    def quiet_limit_ns(self, stale_after_ms: int) -> int:
        """How long this book may be silent before it counts as stale, as long as nothing proves it wrong."""
        limit_ns = stale_after_ms * NS_PER_MS
        if self.frames_count < 2:
            return max(limit_ns, QUIET_MAX_NS)
        mean_ns = (self.book_recv_ns - self.first_recv_ns) // (self.frames_count - 1)
        return max(limit_ns, min(QUIET_FACTOR * mean_ns, QUIET_MAX_NS))

    @property
    def state(self) -> BookState:
        if self.is_down:
            return BookState.DOWN
        phase = self.sync.phase
        if phase not in READABLE:
            return BookState.SYNCING
        if self.is_stale:
            return BookState.STALE
        if self.crossed_since_ns:
            return BookState.CROSSED
        if phase is Phase.UNANCHORED and self.witness.agreed < CONFIRMATIONS_MIN:
            return BookState.PARTIAL
        return BookState.OK

    def best(self) -> tuple[int, int, int, int]:
        """(bid ticks, bid lots, ask ticks, ask lots) of the newest source; zeros for an empty side.

        While the book is being synced this is the ticker's top alone, good enough to value a position.
        """
        book, top = self.sync.book, self.top
        if top is not None and top.seq > book.last_seq:
            return top.bid_ticks, top.bid_lots, top.ask_ticks, top.ask_lots
        bids, asks = book.bids, book.asks
        bid, ask = bids.best() or 0, asks.best() or 0
        return bid, bids.sizes.get(bid, 0), ask, asks.sizes.get(ask, 0)

    def view(self) -> tuple[tuple[Level, ...], tuple[Level, ...]]:
        """(bids, asks), best first, at most `levels` each; empty until the book is readable."""
        sync = self.sync
        if self.is_down or sync.phase not in READABLE:
            return (), ()
        book, top = sync.book, self.top
        if top is None or top.seq <= book.last_seq:
            return book.bids.top(self.levels), book.asks.top(self.levels)
        return (
            _overlay(book.bids, top.bid_ticks, top.bid_lots, self.levels),
            _overlay(book.asks, top.ask_ticks, top.ask_lots, self.levels),
        )

    def update(self, now_ns: int, wall_offset_ns: int) -> BookUpdate | None:
        """The newest state as the next message; None when it says nothing new. Empties what was pending."""
        pending, last = self.pending, self.last
        bids, asks = self.view()
        state, trades = self.state, pending.trades
        if last is not None and trades is NO_TRADES and state is last.state and bids == last.bids and asks == last.asks:
            pending.clear()
            return None
        recv_ns = pending.oldest_recv_ns or self.book_recv_ns or now_ns
        self.seq += 1
        self.last_sent_ns = now_ns
        # By position: names cost as much again as the object.
        self.last = update = BookUpdate(
            self.venue,
            self.symbol,
            self.seq,
            state,
            pending.event_ns,
            recv_ns,
            max(0, now_ns - recv_ns) // 1_000,
            pending.lag_us(wall_offset_ns),
            bids,
            asks,
            trades,
            max(0, pending.frames_count - 1),
        )
        pending.clear()
        return update

    def beat(self, now_ns: int) -> BookUpdate:
        """The last state once more, with its present age: that of the newest frame it rests on."""
        last = self.last
        recv_ns = self.book_recv_ns or now_ns
        self.seq += 1
        self.last_sent_ns = now_ns
        self.last = update = BookUpdate(
            venue=self.venue,
            symbol=self.symbol,
            seq=self.seq,
            state=self.state,
            event_ns=self.pending.event_ns,
            recv_ns=recv_ns,
            age_us=max(0, now_ns - recv_ns) // 1_000,
            lag_us=0,
            bids=last.bids if last is not None else (),
            asks=last.asks if last is not None else (),
            beat=True,
        )
        return update

    def as_mark(self, now_ns: int) -> Mark:
        bid, bid_lots, ask, ask_lots = self.best()
        mark = self.mark
        return Mark(
            symbol=self.symbol,
            state=self.state,
            bid_ticks=bid,
            ask_ticks=ask,
            mark_ticks=mark.mark_ticks if mark is not None else 0.0,
            index_ticks=mark.index_ticks if mark is not None else 0.0,
            funding_rate=mark.funding_rate if mark is not None else 0.0,
            next_funding_ms=mark.next_funding_ms if mark is not None else 0,
            age_us=max(0, now_ns - (self.book_recv_ns or now_ns)) // 1_000,
            imbalance=(bid_lots - ask_lots) / (bid_lots + ask_lots) if bid_lots and ask_lots else 0.0,
        )


def _overlay(ladder: Ladder, ticks: int, lots: int, count: int) -> tuple[Level, ...]:
    """The ticker's level, then the book's levels behind it. A side that the ticker calls empty is empty."""
    if not lots:
        return ()
    return ((ticks, lots), *ladder.behind(ticks, count - 1))
