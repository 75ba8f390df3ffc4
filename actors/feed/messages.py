"""What goes into a feed engine and what comes out. Records of one process: nothing here crosses a link."""

from __future__ import annotations

import msgspec

from actors.vocab.instruments import Instrument
from actors.vocab.market import BookUpdate, Marks
from actors.vocab.venue_io import DepthSnapshot

# --- events ------------------------------------------------------------------------------------------------------


class FrameReceived(msgspec.Struct, frozen=True):
    """One frame of a connection, as it came. Shells call `FeedEngine.on_frame` directly: same thing, no object."""

    connection: str
    frame: bytes | str
    recv_ns: int


class ConnectionUp(msgspec.Struct, frozen=True):
    """Subscribed. `overlap`: a second socket took over before the first was closed, so nothing can be missing."""

    connection: str
    symbols: tuple[str, ...]
    overlap: bool = False


class ConnectionDown(msgspec.Struct, frozen=True):
    connection: str
    symbols: tuple[str, ...]
    reason: str


class SnapshotAnswer(msgspec.Struct, frozen=True):
    """Every `FetchSnapshot` gets exactly one. `snapshot` None: it failed for `reason`; `unavailable`: for good."""

    symbol: str
    snapshot: DepthSnapshot | None
    reason: str = ""
    unavailable: bool = False


class InstrumentsChanged(msgspec.Struct, frozen=True):
    """The venue's newest list. Books whose tick or lot changed begin again: their integers mean something else now."""

    rows: tuple[Instrument, ...]


class Timer(msgspec.Struct, frozen=True):
    """Time alone: beats, staleness, retries. At least every fifth of `beat_interval_ms`."""


FeedEvent = FrameReceived | ConnectionUp | ConnectionDown | SnapshotAnswer | InstrumentsChanged | Timer

# --- commands ----------------------------------------------------------------------------------------------------


class FetchSnapshot(msgspec.Struct, frozen=True):
    symbol: str
    levels: int


class Publish(msgspec.Struct, frozen=True):
    update: BookUpdate


class PublishMarks(msgspec.Struct, frozen=True):
    marks: Marks


class Reconnect(msgspec.Struct, frozen=True):
    """This connection is of no use any more, or soon will not be."""

    connection: str
    reason: str


class RefreshInstruments(msgspec.Struct, frozen=True):
    """A price or size was off the grid that we know: ask for the instruments out of turn."""

    reason: str


class Notice(msgspec.Struct, frozen=True):
    """Something that an operator would tell a colleague. The shell logs it."""

    sentence: str
    symbol: str = ""


FeedCommand = FetchSnapshot | Publish | PublishMarks | Reconnect | RefreshInstruments | Notice

# --- counters ----------------------------------------------------------------------------------------------------


class FeedHealth(msgspec.Struct):
    """Counts since the start of this life; read by status, changed by the engine alone."""

    frames: int = 0
    ignored: int = 0  # readable, but of no symbol or kind that we asked for
    unparsed: int = 0  # the venue's fault, or a price off the grid
    gaps: int = 0
    resyncs: int = 0  # books begun again for any reason but the first start
    reconnects: int = 0
    conflated: int = 0  # frames merged into an update beyond its first
    duplicates: int = 0  # trades and deltas that the overlap of two connections repeated
    snapshots_asked: int = 0
    snapshots_failed: int = 0
    snapshots_too_old: int = 0
    buffers_full: int = 0
    crossed: int = 0  # times a book crossed
    stale: int = 0  # times a symbol fell silent
    disagreements: int = 0  # resyncs because the book ticker said otherwise
    silent_streams: int = 0  # streams without a first frame in time
    updates: int = 0
    beats: int = 0
