"""One venue's newest book as a quote engine sees it: how old, how complete, may it be quoted on."""

from __future__ import annotations

from actors.vocab.market import BookState, BookUpdate, Level
from actors.vocab.reasons import Reason
from actors.vocab.units import NS_PER_MS, NS_PER_S

# Feeds re-send every `beat_interval_ms`; two missed beats are a dead feed. The half is for a late loop on either side.
BEATS_MISSED = 2.5

_STATE_REASONS = {
    BookState.SYNCING: Reason.BOOK_SYNCING,
    BookState.STALE: Reason.BOOK_STALE,
    BookState.CROSSED: Reason.BOOK_CROSSED,
    BookState.PARTIAL: Reason.BOOK_PARTIAL,
    BookState.DOWN: Reason.FEED_DOWN,
}


class BookView:
    """Newest update of one venue and what is known about its way to us."""

    __slots__ = (
        "_age_ns_max",
        "_beats_ns",
        "asks",
        "bids",
        "feed_up",
        "fresh_ns",
        "heard_ns",
        "holes_count",
        "lag_us",
        "pending_recv_ns",
        "same_host",
        "seq",
        "since_ns",
        "state",
        "updates_count",
    )

    def __init__(self, *, beat_interval_ms: int, age_ms_max: int) -> None:
        self._beats_ns = int(beat_interval_ms * BEATS_MISSED * NS_PER_MS)
        self._age_ns_max = age_ms_max * NS_PER_MS
        self.feed_up = True  # until told otherwise: in one process there is no link to go down
        self.same_host = True
        self.seq = 0
        self.holes_count = 0  # updates lost on the link; the state itself is never lost, each update is whole
        self.updates_count = 0  # updates of a good book since it was last bad: warm-up counts them
        self.state: BookState | None = None
        self.since_ns = 0  # when the state began
        self.bids: tuple[Level, ...] = ()
        self.asks: tuple[Level, ...] = ()
        self.fresh_ns = 0  # moment for which the content is known to hold
        self.heard_ns = 0  # last message of any kind
        self.lag_us = 0
        # Receipt of the oldest frame not yet decided on; 0 when all are.
        self.pending_recv_ns = 0

    def note(self, update: BookUpdate, now_ns: int) -> bool:
        """Take an update over; False when it repeats one already seen (a re-send at subscription)."""
        seq = update.seq
        last = self.seq
        if seq == last and not update.beat:
            return False
        # A lower number is a new life of the publisher, not a hole.
        if last and seq > last + 1:
            self.holes_count += seq - last - 1
        self.seq = seq
        self.heard_ns = now_ns
        recv_ns = update.recv_ns if self.same_host else now_ns - update.age_us * 1000
        if update.beat:
            self.fresh_ns = now_ns
        else:
            self.fresh_ns = recv_ns
            if not self.pending_recv_ns or recv_ns < self.pending_recv_ns:
                self.pending_recv_ns = recv_ns
        if update.state is not self.state:
            self.state = update.state
            self.since_ns = now_ns
        self.bids, self.asks = update.bids, update.asks
        self.lag_us = update.lag_us
        if update.state is BookState.OK:
            self.updates_count += 1
        return True

    def forget(self) -> None:
        """Its ticks no longer mean the same: wait for a new one and warm up again."""
        self.state = None
        self.bids = self.asks = ()
        self.updates_count = 0
        self.pending_recv_ns = 0

    def problem(self, now_ns: int) -> tuple[Reason, str] | None:
        """Why it may not be quoted on, with figures; None when it may."""
        if not self.feed_up:
            return Reason.FEED_DOWN, "no feed of this venue is known"
        if self.state is not BookState.OK:
            if self.state is None:
                return Reason.NO_BOOK, "nothing received yet"
            return _STATE_REASONS[self.state], f"for {(now_ns - self.since_ns) / NS_PER_S:.1f} s"
        silent_ns = now_ns - self.heard_ns
        if silent_ns > self._beats_ns:
            return Reason.BOOK_STALE, f"feed silent for {silent_ns / NS_PER_S:.1f} s"
        age_ns = now_ns - self.fresh_ns
        if age_ns > self._age_ns_max:
            return Reason.BOOK_STALE, f"frame {age_ns / NS_PER_S:.1f} s old"
        if not self.bids or not self.asks:
            return Reason.NO_BOOK, "one side is empty"
        if self.bids[0][1] <= 0 or self.asks[0][1] <= 0:
            return Reason.NO_BOOK, "best level without size"
        if self.bids[0][0] >= self.asks[0][0]:
            return Reason.BOOK_CROSSED, f"bid {self.bids[0][0]} at or above ask {self.asks[0][0]} ticks"
        return None
