"""The feed's brain: frames in, books kept, the newest state of each symbol out.

    frame ─ dialect ─> delta   ─ sync ─> book ─┐
                       ticker  ────────────────┼─> pending ─ flush ─> Publish(BookUpdate)
                       trade   ────────────────┘
                       mark    ─────────────────── Timer ──────────> PublishMarks

A shell calls `on_frame` for each frame and `flush` once after it has drained its socket: a burst of frames then gives
one update a symbol. `handle` takes everything else. Nothing here waits, reads a clock or draws chance of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, Protocol

import msgspec

from actors.feed.fingerprint import BookFingerprint, fingerprint
from actors.feed.messages import (
    ConnectionDown,
    ConnectionUp,
    FeedCommand,
    FeedEvent,
    FeedHealth,
    FetchSnapshot,
    FrameReceived,
    InstrumentsChanged,
    Notice,
    Publish,
    PublishMarks,
    Reconnect,
    RefreshInstruments,
    SnapshotAnswer,
    Timer,
)
from actors.feed.symbol import SymbolFeed
from actors.feed.sync import READABLE, Phase, Step, rules_of
from actors.venues.dialect import MarketDialect
from actors.vocab.config.feed import FeedSettings
from actors.vocab.errors import OurFault, VenueFault
from actors.vocab.instruments import Instrument
from actors.vocab.market import BookState, Marks
from actors.vocab.units import NS_PER_MS, NS_PER_S
from actors.vocab.venue_io import (
    DepthDelta,
    MarketEvent,
    MarkPrice,
    PartialDepth,
    PublicTrade,
    StreamNotice,
    TopOfBook,
)

# A venue may cross its own book between two frames; for longer than this it is a book that lost a removal.
CROSSED_DELTAS_MAX: Final = 5
CROSSED_NS_MAX: Final = 500 * NS_PER_MS
# Comparisons in a row in which ticker and synced book differed. None did in six minutes of three busy recordings.
DIFFERED_MAX: Final = 20
# Two sockets of one connection live side by side for a few seconds; afterwards nothing can be repeated.
OVERLAP_NS: Final = 30 * NS_PER_S
REFRESH_INTERVAL_NS: Final = 60 * NS_PER_S  # instruments asked for out of turn at most this often
REPLACE_INTERVAL_NS: Final = 60 * NS_PER_S  # silent connections are replaced at most this often
CHECK_DELTAS: Final = 4_096  # the whole book is checked against its invariants every so many deltas
NOTHING: Final[tuple[FeedCommand, ...]] = ()


class Chance(Protocol):
    """A seeded generator; only jitter needs it."""

    def random(self) -> float: ...


class FeedEngine:
    """Books of the symbols of one venue and shard. Bounded: each symbol holds a book, `buffer_deltas_max` deltas at
    most while a snapshot is on its way, and one pending update.
    """

    def __init__(
        self,
        *,
        venue: str,
        dialect: MarketDialect,
        instruments: Iterable[Instrument],
        settings: FeedSettings,
        rng: Chance,
    ) -> None:
        """`dialect` is used by this engine alone from now on: it is told of changed instruments here."""
        self.venue = venue
        self.health = FeedHealth()
        self.wall_offset_ns = 0  # wall clock minus monotonic clock of this host; set by the shell for `lag_us`
        self._settings = settings
        self._rng = rng
        self._dialect = dialect
        self._decode = dialect.decode
        self._instruments = {row.symbol: row for row in instruments}
        dialect.use(tuple(self._instruments.values()))
        rules = rules_of(venue)
        # symbol -> its feed; fixed for the engine's life.
        self._feeds = {
            symbol: SymbolFeed(
                venue, symbol, rules=rules, buffer_max=settings.buffer_deltas_max, levels=settings.depth_levels
            )
            for symbol in self._instruments
        }
        # Feeds whose `is_dirty` is set, in the order in which they became so.
        self._dirty: list[SymbolFeed] = []
        # connection -> (up since, symbols not all of whose streams have spoken yet); removed once reported.
        self._first_data: dict[str, tuple[int, tuple[str, ...]]] = {}
        self._overlap_until_ns = 0
        self._marks_seq = 0
        self._marks_due_ns = 0
        self._refresh_due_ns = 0
        self._replace_due_ns = 0
        self._handlers: dict[type, Callable[[SymbolFeed, Any, int, str], Sequence[FeedCommand]]] = {
            TopOfBook: self._on_top,
            DepthDelta: self._on_delta,
            PublicTrade: self._on_trade,
            PartialDepth: self._on_partial,
            MarkPrice: self._on_mark,
        }
        self._beat_due_ns = settings.beat_interval_ms * NS_PER_MS * 4 // 5  # timers come every fifth: never later

    # --- events --------------------------------------------------------------------------------------------------

    def on_frame(self, connection: str, frame: bytes | str, recv_ns: int) -> Sequence[FeedCommand]:
        """Take one frame; the updates it causes come out of `flush`. Never raises on what a venue sends."""
        try:
            event = self._decode(frame)
        except VenueFault as fault:
            self.health.frames += 1
            return self._on_unparsed(fault, recv_ns)
        return self.on_event(event, recv_ns, connection)

    def on_event(self, event: MarketEvent | None, recv_ns: int, connection: str = "") -> Sequence[FeedCommand]:
        """The same for a frame that somebody else has decoded (in-process runs)."""
        self.health.frames += 1
        if event is None:
            self.health.ignored += 1
            return NOTHING
        if isinstance(event, StreamNotice):
            return self._on_notice(event, connection)
        feed = self._feeds.get(event.symbol)
        if feed is None:
            self.health.ignored += 1
            return NOTHING
        if not feed.other_recv_ns:
            feed.other_recv_ns = recv_ns  # a frame of the book takes it back
        handler = self._handlers.get(type(event))
        # None: proof that the symbol lives; nobody downstream reads more of it.
        return handler(feed, event, recv_ns, connection) if handler is not None else NOTHING

    def handle(self, event: FeedEvent, now_ns: int) -> list[FeedCommand]:
        """Take any event; `Timer` also flushes."""
        match event:
            case Timer():
                return self._on_timer(now_ns)
            case FrameReceived():
                return list(self.on_frame(event.connection, event.frame, event.recv_ns))
            case SnapshotAnswer():
                return self._on_snapshot(event, now_ns)
            case ConnectionUp():
                return self._on_up(event, now_ns)
            case ConnectionDown():
                return self._on_down(event, now_ns)
            case InstrumentsChanged():
                return self._on_instruments(event, now_ns)
        raise OurFault(f"feed engine of {self.venue} was given {type(event).__name__}, which is no event of its")

    def flush(self, now_ns: int) -> list[Publish]:
        """One update for each symbol that changed since the last flush, in the order of first change."""
        if not self._dirty:
            return []
        dirty, self._dirty = self._dirty, []
        published = []
        for feed in dirty:
            feed.is_dirty = False
            update = feed.update(now_ns, self.wall_offset_ns)
            if update is not None:
                self.health.updates += 1
                self.health.conflated += update.conflated_count
                published.append(Publish(update))
        return published

    def resend(self, symbol: str, now_ns: int) -> Publish | None:
        """The newest state of one symbol, for somebody who has just subscribed; None for a symbol not of this shard."""
        feed = self._feeds.get(symbol)
        if feed is None:
            return None
        self.health.beats += 1
        return Publish(feed.beat(now_ns))

    # --- reading -------------------------------------------------------------------------------------------------

    @property
    def symbols(self) -> tuple[str, ...]:
        return tuple(self._feeds)

    @property
    def instruments(self) -> tuple[Instrument, ...]:
        return tuple(self._instruments.values())

    def feed(self, symbol: str) -> SymbolFeed:
        """For status, tests and benchmarks: look, do not touch."""
        return self._feeds[symbol]

    def fingerprints(self) -> list[BookFingerprint]:
        """Of every book that is readable."""
        return [
            fingerprint(feed.sync.book, self._instruments[symbol], frames_count=self.health.frames)
            for symbol, feed in self._feeds.items()
            if feed.sync.phase in READABLE
        ]

    def states(self) -> dict[str, BookState]:
        return {symbol: feed.state for symbol, feed in self._feeds.items()}

    def in_sync_count(self) -> int:
        return sum(feed.state is BookState.OK for feed in self._feeds.values())

    def marks(self, now_ns: int) -> Marks:
        self._marks_seq += 1
        return Marks(self.venue, self._marks_seq, tuple([feed.as_mark(now_ns) for feed in self._feeds.values()]))

    # --- frames --------------------------------------------------------------------------------------------------

    def _on_top(self, feed: SymbolFeed, top: TopOfBook, recv_ns: int, connection: str) -> Sequence[FeedCommand]:
        feed.heard(recv_ns)
        before, seq = feed.top, top.seq
        if before is not None and seq <= before.seq:
            self.health.duplicates += 1
            return NOTHING
        feed.top = top
        book = feed.sync.book
        feed.witness.on_top(top, book)
        if seq > book.last_seq:
            feed.pending.frame(recv_ns, top.event_ns)
            if not feed.is_dirty:
                self._mark_dirty(feed)
        return NOTHING

    def _on_delta(self, feed: SymbolFeed, delta: DepthDelta, recv_ns: int, connection: str) -> Sequence[FeedCommand]:
        feed.heard(recv_ns)
        feed.depth_connection = connection
        feed.is_down = False
        sync, witness = feed.sync, feed.witness
        if delta.last_seq > sync.book.last_seq:
            witness.before_delta(sync.book)
        step = sync.on_delta(delta)
        if step is Step.APPLIED or step is Step.SYNCED:
            if step is Step.SYNCED:
                self._synced(feed, recv_ns)
            witness.after_delta(sync.book)
            feed.pending.frame(recv_ns, delta.event_ns)
            self._mark_dirty(feed)
            return self._judge(feed, recv_ns)
        if step is Step.IGNORED:
            self.health.duplicates += 1
            return NOTHING
        if step is Step.GAP:
            return self._on_gap(feed, recv_ns, f"gap before {delta.first_seq}")
        if step is Step.FULL:
            self.health.buffers_full += 1
        return self._ask_snapshot(feed, recv_ns)

    def _on_trade(self, feed: SymbolFeed, trade: PublicTrade, recv_ns: int, connection: str) -> Sequence[FeedCommand]:
        if recv_ns < self._overlap_until_ns and trade.trade_id in feed.trade_ids:
            self.health.duplicates += 1
            return NOTHING
        feed.trade_ids.append(trade.trade_id)
        feed.traded(trade.price_ticks, recv_ns)
        feed.pending.trade(trade.side, trade.price_ticks, trade.lots)
        feed.pending.frame(recv_ns, trade.event_ns)
        self._mark_dirty(feed)
        return NOTHING

    def _on_partial(
        self, feed: SymbolFeed, partial: PartialDepth, recv_ns: int, connection: str
    ) -> Sequence[FeedCommand]:
        feed.heard(recv_ns)
        if feed.sync.on_partial(partial) is Step.IGNORED:
            self.health.ignored += 1
            return NOTHING
        feed.depth_connection = connection
        feed.is_down = False
        feed.pending.frame(recv_ns, partial.event_ns)
        self._mark_dirty(feed)
        return self._judge(feed, recv_ns)

    def _on_mark(self, feed: SymbolFeed, mark: MarkPrice, recv_ns: int, connection: str) -> Sequence[FeedCommand]:
        feed.mark = mark
        return NOTHING

    def _on_notice(self, notice: StreamNotice, connection: str) -> Sequence[FeedCommand]:
        if notice.kind == "shutdown":
            return [Reconnect(connection, notice.text or "the venue announced its shutdown")]
        if notice.kind == "error":
            return [Notice(f"{connection}: the venue refused request {notice.request_no}: {notice.text}")]
        return NOTHING

    def _on_unparsed(self, fault: VenueFault, now_ns: int) -> Sequence[FeedCommand]:
        """Tell at the 1st, 2nd, 4th, 8th … such frame, so that a venue that changed its format cannot flood the log."""
        self.health.unparsed += 1
        commands: list[FeedCommand] = []
        count = self.health.unparsed
        if count & (count - 1) == 0:
            commands.append(Notice(f"frame {count} that cannot be read: {fault}"))
        if now_ns >= self._refresh_due_ns:
            self._refresh_due_ns = now_ns + REFRESH_INTERVAL_NS
            commands.append(RefreshInstruments(str(fault)))
        return commands

    # --- books ---------------------------------------------------------------------------------------------------

    def _mark_dirty(self, feed: SymbolFeed) -> None:
        """There may be something to publish."""
        if not feed.is_dirty:
            feed.is_dirty = True
            self._dirty.append(feed)

    def _judge(self, feed: SymbolFeed, now_ns: int) -> Sequence[FeedCommand]:
        """After each change of a book: is it still believable?"""
        sync = feed.sync
        if sync.deltas_count % CHECK_DELTAS == 0:
            sync.book.check()
        if sync.book.is_crossed:
            if not feed.crossed_since_ns:
                self.health.crossed += 1
                feed.crossed_since_ns = now_ns
                feed.crossed_deltas = 0
            feed.crossed_deltas += 1
            if feed.crossed_deltas > CROSSED_DELTAS_MAX or now_ns - feed.crossed_since_ns > CROSSED_NS_MAX:
                return self._resync(feed, now_ns, "book stayed crossed")
        elif feed.crossed_since_ns:
            feed.crossed_since_ns = 0
        if feed.witness.differed >= DIFFERED_MAX and sync.phase is Phase.LIVE:
            self.health.disagreements += 1
            return self._resync(feed, now_ns, f"book ticker differed {feed.witness.differed} times in a row")
        return NOTHING

    def _on_gap(self, feed: SymbolFeed, now_ns: int, why: str) -> Sequence[FeedCommand]:
        """The sync has begun again by itself, with the newest delta as its first."""
        self.health.gaps += 1
        self.health.resyncs += 1
        feed.witness.restart()
        feed.crossed_since_ns = 0
        feed.readable_since_ns = 0
        self._mark_dirty(feed)
        return [Notice(f"book resyncs: {why}", feed.symbol), *self._ask_snapshot(feed, now_ns)]

    def _resync(self, feed: SymbolFeed, now_ns: int, why: str) -> Sequence[FeedCommand]:
        """Void the book; the next delta begins it again. Other symbols are not touched."""
        self.health.resyncs += 1
        feed.restart()
        self._mark_dirty(feed)
        return [Notice(f"book resyncs: {why}", feed.symbol)]

    def _synced(self, feed: SymbolFeed, now_ns: int) -> None:
        feed.readable_since_ns = now_ns
        feed.witness.restart()
        if feed.top is not None:  # a ticker from before may be newer than the book still
            feed.witness.on_top(feed.top, feed.sync.book)

    def _ask_snapshot(self, feed: SymbolFeed, now_ns: int) -> Sequence[FeedCommand]:
        """At most one fetch at a time; the first at once, each further one after a longer, jittered wait."""
        if feed.is_snapshot_out or now_ns < feed.snapshot_due_ns:
            return NOTHING
        if not feed.sync.wants_snapshot and feed.sync.phase is not Phase.UNANCHORED:
            return NOTHING
        feed.sync.expect_snapshot()
        feed.is_snapshot_out = True
        feed.snapshot_due_ns = now_ns + self._backoff_ns(feed.attempts)
        feed.attempts += 1
        self.health.snapshots_asked += 1
        return [FetchSnapshot(feed.symbol, self._settings.snapshot_levels)]

    def _backoff_ns(self, attempts: int) -> int:
        """Doubles from `resync_backoff_ms` to its maximum; half of it is chance, so that symbols do not march."""
        settings = self._settings
        most_ms = min(settings.resync_backoff_max_ms, settings.resync_backoff_ms * 2 ** min(attempts, 16))
        return int(most_ms * NS_PER_MS * (0.5 + 0.5 * self._rng.random()))

    def _on_snapshot(self, answer: SnapshotAnswer, now_ns: int) -> list[FeedCommand]:
        feed = self._feeds.get(answer.symbol)
        if feed is None:
            return []
        feed.is_snapshot_out = False
        if answer.snapshot is None:
            return self._on_snapshot_failed(feed, answer, now_ns)
        step = feed.sync.on_snapshot(answer.snapshot)
        if step is Step.SYNCED:
            self._synced(feed, now_ns)
            feed.witness.after_delta(feed.sync.book)
            feed.pending.frame(feed.book_recv_ns or now_ns, 0)
            self._mark_dirty(feed)
            return list(self._judge(feed, now_ns))
        if step is Step.TOO_OLD:
            self.health.snapshots_too_old += 1
        elif step is Step.GAP:
            return list(self._on_gap(feed, now_ns, "the snapshot does not join on to the deltas"))
        self._mark_dirty(feed)
        return list(self._ask_snapshot(feed, now_ns))

    def _on_snapshot_failed(self, feed: SymbolFeed, answer: SnapshotAnswer, now_ns: int) -> list[FeedCommand]:
        self.health.snapshots_failed += 1
        commands: list[FeedCommand] = []
        if answer.unavailable and feed.sync.wants_snapshot:
            feed.sync.on_no_snapshot()
            feed.witness.restart()
            feed.readable_since_ns = now_ns
            # Ask again, but seldom: a later answer turns the book into a whole one.
            feed.snapshot_due_ns = now_ns + self._backoff_ns(16)
            feed.attempts = 16
            commands.append(Notice("book is built from deltas alone: no snapshot can be had", feed.symbol))
            self._mark_dirty(feed)
        elif not answer.unavailable:
            commands.append(Notice(f"snapshot failed: {answer.reason}", feed.symbol))
        return commands

    # --- connections and time ------------------------------------------------------------------------------------

    def _on_up(self, event: ConnectionUp, now_ns: int) -> list[FeedCommand]:
        self._overlap_until_ns = now_ns + OVERLAP_NS
        if event.overlap:
            return []
        self._first_data[event.connection] = (now_ns, event.symbols)
        for feed in self._carried_by(event):
            if feed.sync.deltas_count:
                self.health.resyncs += 1
            feed.restart()
            feed.is_down = False
            feed.snapshot_due_ns = 0
            feed.attempts = 0
            self._mark_dirty(feed)
        return list(self.flush(now_ns))

    def _on_down(self, event: ConnectionDown, now_ns: int) -> list[FeedCommand]:
        """Quotes are pulled at the disconnect, not at the reconnect: the state goes out at once."""
        self.health.reconnects += 1
        self._first_data.pop(event.connection, None)
        for feed in self._carried_by(event):
            feed.is_down = True
            self._mark_dirty(feed)
        return list(self.flush(now_ns))

    def _carried_by(self, event: ConnectionUp | ConnectionDown) -> list[SymbolFeed]:
        """Feeds whose deltas come over this connection, or may do so: no delta has come yet."""
        feeds = [self._feeds[symbol] for symbol in event.symbols if symbol in self._feeds]
        return [feed for feed in feeds if feed.depth_connection in ("", event.connection)]

    def _on_instruments(self, event: InstrumentsChanged, now_ns: int) -> list[FeedCommand]:
        changed = [row for row in event.rows if row.symbol in self._feeds and row != self._instruments[row.symbol]]
        if changed:
            self._dialect.use(changed)
        commands: list[FeedCommand] = []
        for row in changed:
            before = self._instruments[row.symbol]
            self._instruments[row.symbol] = row
            if (row.tick_size, row.lot_size) != (before.tick_size, before.lot_size):
                feed = self._feeds[row.symbol]
                was_down = feed.is_down
                commands += self._resync(feed, now_ns, f"tick or lot changed to {row.tick_size} and {row.lot_size}")
                feed.is_down = was_down
        return commands

    def _on_timer(self, now_ns: int) -> list[FeedCommand]:
        commands: list[FeedCommand] = []
        for feed in self._feeds.values():
            commands += self._look_after(feed, now_ns)
        commands += self._replace_frozen(now_ns)
        commands += self._report_silent(now_ns)
        commands += self.flush(now_ns)
        for feed in self._feeds.values():
            if now_ns - feed.last_sent_ns >= self._beat_due_ns or feed.last is None:
                self.health.beats += 1
                commands.append(Publish(feed.beat(now_ns)))
        if now_ns >= self._marks_due_ns:
            self._marks_due_ns = now_ns + self._beat_due_ns
            commands.append(PublishMarks(self.marks(now_ns)))
        return commands

    def _look_after(self, feed: SymbolFeed, now_ns: int) -> Sequence[FeedCommand]:
        """What time alone does to one symbol."""
        if feed.is_down:
            return NOTHING
        quiet = feed.is_silent(now_ns, self._settings.stale_after_ms)
        if quiet != feed.is_stale:
            feed.is_stale = quiet
            self.health.stale += quiet
            self._mark_dirty(feed)
        if feed.crossed_since_ns and now_ns - feed.crossed_since_ns > CROSSED_NS_MAX:
            return self._resync(feed, now_ns, "book stayed crossed")
        if feed.sync.phase is Phase.LIVE:
            if feed.attempts and now_ns - feed.readable_since_ns > self._settings.resync_backoff_max_ms * NS_PER_MS:
                feed.attempts = 0
            return NOTHING
        return self._ask_snapshot(feed, now_ns)

    def _replace_frozen(self, now_ns: int) -> list[FeedCommand]:
        """A socket may answer pings while none of its books speaks any more; other news of their symbols tells that
        the venue is up. What was missed is a gap before the new socket's first delta.
        """
        stale = [feed for feed in self._feeds.values() if feed.is_stale and not feed.is_down]
        if not stale or now_ns < self._replace_due_ns:
            return []
        alive = {feed.depth_connection for feed in self._feeds.values() if feed.frames_count and not feed.is_stale}
        least_ns = self._settings.stale_after_ms * NS_PER_MS
        frozen = {
            feed.depth_connection for feed in stale if feed.other_recv_ns and now_ns - feed.other_recv_ns > least_ns
        }
        names = sorted(frozen - alive - {""})
        if names:
            self._replace_due_ns = now_ns + REPLACE_INTERVAL_NS
        return [Reconnect(name, "its books are silent while other streams speak") for name in names]

    def _report_silent(self, now_ns: int) -> list[FeedCommand]:
        """An unknown symbol is acknowledged by some venues and then stays silent for ever."""
        commands: list[FeedCommand] = []
        timeout_ns = self._settings.first_data_timeout_ms * NS_PER_MS
        for connection, (since_ns, symbols) in list(self._first_data.items()):
            if now_ns - since_ns < timeout_ns:
                continue
            del self._first_data[connection]
            for symbol in symbols:
                feed = self._feeds.get(symbol)
                if feed is not None and feed.sync.phase is Phase.IDLE:
                    self.health.silent_streams += 1
                    what = "no depth" if feed.frames_count or feed.other_recv_ns else "nothing"
                    commands.append(Notice(f"{connection} has sent {what} since it was subscribed", symbol))
        return commands

    def health_row(self) -> dict[str, int]:
        return msgspec.structs.asdict(self.health)

    def readable(self) -> frozenset[str]:
        """Symbols with a book to look at, believed or not."""
        return frozenset(symbol for symbol, feed in self._feeds.items() if feed.sync.phase in READABLE)
