"""When a delta may be applied: the venues' own rules for keeping a local book, spot and USD-M apart.

Steps and numbers follow the manuals, read 2026-07-21:
spot   https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams#how-to-manage-a-local-order-book-correctly
USD-M  https://developers.binance.com/docs/derivatives/usds-margined-futures/websocket-market-streams/How-to-manage-a-local-order-book-correctly

    IDLE ──delta──> BUFFERING ──snapshot──> BRIDGING ──first event that bridges──> LIVE
                       ^  │ no snapshot can be had                                  │
                       │  └──────────> UNANCHORED (levels of deltas alone)          │
                       └────────────────── gap, for this symbol alone ──────────────┘

A sequence gap, a snapshot that is too old and a full buffer are values (`Step`), never exceptions.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Final, Protocol

from actors.feed.book import Book
from actors.vocab.errors import ConfigError
from actors.vocab.venue_io import DepthDelta, DepthSnapshot, PartialDepth


class SequenceRules(Protocol):
    """What one venue's manual says about numbers. `last_seq` is that of the local book or of the snapshot."""

    def step_2_snapshot_too_old(self, snapshot_seq: int, first: DepthDelta) -> bool: ...

    def step_3_is_old(self, delta: DepthDelta, snapshot_seq: int) -> bool: ...

    def step_4_bridges(self, delta: DepthDelta, snapshot_seq: int) -> bool: ...

    def step_5_follows(self, delta: DepthDelta, last_seq: int) -> bool: ...

    def is_repeated(self, delta: DepthDelta, last_seq: int) -> bool: ...


class SpotRules:
    """Spot: events carry `U` (first) and `u` (last); without a hole `U` is the previous `u` + 1."""

    def step_2_snapshot_too_old(self, snapshot_seq: int, first: DepthDelta) -> bool:
        """Fetch again when `lastUpdateId` is below the first `U`; one below it is enough, as nothing lies between."""
        return snapshot_seq < first.first_seq - 1

    def step_3_is_old(self, delta: DepthDelta, snapshot_seq: int) -> bool:
        """Drop buffered events with `u <= lastUpdateId`."""
        return delta.last_seq <= snapshot_seq

    def step_4_bridges(self, delta: DepthDelta, snapshot_seq: int) -> bool:
        """The first event left must hold `lastUpdateId` within [U, u]; `U == lastUpdateId + 1` misses nothing."""
        return delta.first_seq <= snapshot_seq + 1 <= delta.last_seq

    def step_5_follows(self, delta: DepthDelta, last_seq: int) -> bool:
        """`U > B + 1` is a gap. A `U` further back overlaps what we have: sizes are absolute, so it may be applied."""
        return delta.first_seq <= last_seq + 1 <= delta.last_seq

    def is_repeated(self, delta: DepthDelta, last_seq: int) -> bool:
        """`u <= B` says nothing new: the overlap of two connections sends everything twice."""
        return delta.last_seq <= last_seq


class UsdmRules:
    """USD-M: events also carry `pu`, the previous event's `u`; `U` is not the previous `u` + 1."""

    def step_2_snapshot_too_old(self, snapshot_seq: int, first: DepthDelta) -> bool:
        """Fetch again when the first event begins after the snapshot, unless its `pu` is the snapshot itself."""
        return first.first_seq > snapshot_seq and first.prev_seq != snapshot_seq

    def step_3_is_old(self, delta: DepthDelta, snapshot_seq: int) -> bool:
        """Drop events with `u < lastUpdateId`."""
        return delta.last_seq < snapshot_seq

    def step_4_bridges(self, delta: DepthDelta, snapshot_seq: int) -> bool:
        """The first event applied needs `U <= lastUpdateId <= u`; `pu == lastUpdateId` misses nothing either."""
        return delta.first_seq <= snapshot_seq <= delta.last_seq or delta.prev_seq == snapshot_seq

    def step_5_follows(self, delta: DepthDelta, last_seq: int) -> bool:
        """Every later event needs `pu == previous u`."""
        return delta.prev_seq == last_seq

    def is_repeated(self, delta: DepthDelta, last_seq: int) -> bool:
        return delta.last_seq <= last_seq


RULES: Final[dict[str, type[SequenceRules]]] = {"binance_spot": SpotRules, "binance_perp": UsdmRules}


def rules_of(venue: str) -> SequenceRules:
    """`ConfigError` for a venue whose rules nobody wrote down."""
    try:
        return RULES[venue]()
    except KeyError:
        raise ConfigError(f"venue {venue!r} has no sequence rules; known are {', '.join(RULES)}") from None


class Phase(enum.Enum):
    IDLE = "idle"  # nothing heard since the (re)start
    BUFFERING = "buffering"  # deltas are kept, a snapshot is wanted
    BRIDGING = "bridging"  # the snapshot is newer than every delta so far
    LIVE = "live"
    UNANCHORED = "unanchored"  # no snapshot to be had: levels are known as far as deltas named them
    SELF_CONTAINED = "self-contained"  # a partial-depth stream alone: each frame is the whole truth


class Step(enum.Enum):
    """What one input did to the book."""

    BUFFERED = "buffered"
    APPLIED = "applied"
    IGNORED = "ignored"
    SYNCED = "synced"  # the book has just become live
    GAP = "gap"  # a number is missing: the book is void and begins again with this delta
    TOO_OLD = "snapshot too old"
    FULL = "buffer full"


READABLE: Final = frozenset({Phase.LIVE, Phase.UNANCHORED, Phase.SELF_CONTAINED})


class BookSync:
    """Keeps one `Book` in step with one symbol's deltas and snapshots."""

    __slots__ = ("_buffer", "_buffer_max", "_rules", "_snapshot_seq", "book", "deltas_count", "phase")

    def __init__(self, rules: SequenceRules, *, buffer_max: int, levels_min: int = 20) -> None:
        self._rules = rules
        # Deltas since the gap or start that no snapshot has bridged yet, without a hole among them. At `buffer_max`
        # all are dropped (`Step.FULL`): the snapshot, which did not come in that time, must be asked for again.
        self._buffer: list[DepthDelta] = []
        self._buffer_max = buffer_max
        self._snapshot_seq = -1
        self.book = Book(levels_min=levels_min)
        self.phase = Phase.IDLE
        self.deltas_count = 0  # since the last restart

    def restart(self) -> None:
        """Begin at step 1: after a reconnect nothing of before may be trusted."""
        self.phase = Phase.IDLE
        self.deltas_count = 0
        self._buffer.clear()
        self.book.clear()

    def expect_snapshot(self) -> None:
        """Called when a snapshot is asked for while the book lives on deltas alone: keep them from now on."""
        if self.phase is Phase.UNANCHORED:
            self._buffer.clear()

    @property
    def wants_snapshot(self) -> bool:
        return self.phase is Phase.BUFFERING

    def on_delta(self, delta: DepthDelta) -> Step:
        """Apply, keep or refuse one diff-depth event. The caller asks for a snapshot while `wants_snapshot`."""
        self.deltas_count += 1
        phase = self.phase
        if phase is Phase.LIVE:
            return self._on_live(delta)
        if phase is Phase.UNANCHORED:
            return self._on_unanchored(delta)
        if phase is Phase.BRIDGING:
            return self._step_4_bridge([delta])
        self.phase = Phase.BUFFERING
        return self._step_1_buffer(delta)

    def on_snapshot(self, snapshot: DepthSnapshot) -> Step:
        """Steps 2 to 4 with what is buffered. An answer that nobody waits for any more is ignored."""
        if self.phase not in (Phase.BUFFERING, Phase.UNANCHORED):
            return Step.IGNORED
        if self._buffer and self._rules.step_2_snapshot_too_old(snapshot.last_seq, self._buffer[0]):
            return Step.TOO_OLD
        buffered, self._buffer = self._buffer, []
        self.book.replace(snapshot.bids, snapshot.asks, last_seq=snapshot.last_seq)
        self._snapshot_seq = snapshot.last_seq
        self.phase = Phase.BRIDGING
        return self._step_4_bridge(buffered)

    def on_no_snapshot(self) -> None:
        """None can be had (a recording without one): build from the deltas so far, and say so by the phase."""
        if self.phase is not Phase.BUFFERING:
            return
        buffered, self._buffer = self._buffer, []
        self.phase = Phase.UNANCHORED
        self.book.clear()
        for delta in buffered:
            self._apply(delta)

    def on_partial(self, partial: PartialDepth) -> Step:
        """A self-contained top N. Never merged into a book that deltas build; numbers must not go back."""
        if self.phase is Phase.IDLE:
            self.phase = Phase.SELF_CONTAINED
        elif self.phase is not Phase.SELF_CONTAINED or partial.last_seq < self.book.last_seq:
            return Step.IGNORED
        self.book.replace(partial.bids, partial.asks, last_seq=partial.last_seq)
        self.book.event_ns = partial.event_ns
        return Step.APPLIED

    def _on_live(self, delta: DepthDelta) -> Step:
        book = self.book
        if self._rules.step_5_follows(delta, book.last_seq):
            book.apply(delta.bids, delta.asks, last_seq=delta.last_seq, event_ns=delta.event_ns)
            return Step.APPLIED
        if self._rules.is_repeated(delta, book.last_seq):
            return Step.IGNORED
        return self._gap(delta)

    def _on_unanchored(self, delta: DepthDelta) -> Step:
        last_seq = self.book.last_seq
        if last_seq >= 0 and not self._rules.step_5_follows(delta, last_seq):
            return Step.IGNORED if self._rules.is_repeated(delta, last_seq) else self._gap(delta)
        self._apply(delta)
        self._buffer.append(delta)
        if len(self._buffer) > self._buffer_max:
            self._buffer.clear()
        return Step.APPLIED

    def _gap(self, delta: DepthDelta) -> Step:
        self.book.clear()
        self._buffer = [delta]
        self.phase = Phase.BUFFERING
        return Step.GAP

    def _step_1_buffer(self, delta: DepthDelta) -> Step:
        """Keep deltas until the snapshot comes; what lies before a hole among them can never be bridged."""
        buffer = self._buffer
        if buffer:
            last_seq = buffer[-1].last_seq
            if self._rules.is_repeated(delta, last_seq):
                return Step.IGNORED
            if not self._rules.step_5_follows(delta, last_seq):
                return self._gap(delta)
            if len(buffer) >= self._buffer_max:
                self._buffer = [delta]
                return Step.FULL
        buffer.append(delta)
        return Step.BUFFERED

    def _step_4_bridge(self, deltas: Sequence[DepthDelta]) -> Step:
        """Drop what the snapshot already holds (step 3), then the first event left must join on to it."""
        for at, delta in enumerate(deltas):
            if self._rules.step_3_is_old(delta, self._snapshot_seq):
                continue
            if not self._rules.step_4_bridges(delta, self._snapshot_seq):
                step = self._gap(delta)
                self._buffer.extend(deltas[at + 1 :])
                return step
            self.phase = Phase.LIVE
            for later in deltas[at:]:
                self._apply(later)
            return Step.SYNCED
        return Step.BUFFERED

    def _apply(self, delta: DepthDelta) -> None:
        self.book.apply(delta.bids, delta.asks, last_seq=delta.last_seq, event_ns=delta.event_ns)
