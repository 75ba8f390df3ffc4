"""Who listens to which stream of one simulated venue, and the cheap way to tell them all.

Each event is encoded once per form (raw, combined), each form framed once, and the same bytes object goes into every
listener's outbox; `flush` joins an outbox into one socket write. Nothing is awaited on this path.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence

from actors.transport.venue_frames import combined, pong_frame, text_frame

# Bytes that may wait for one listener, in our outbox and in its transport. A listener that reads slower than this for
# long would see an ever older market: it is dropped, as the venue does. About ten seconds of fifty busy symbols.
SEND_BUFFER_MAX = 8 * 1024 * 1024


class Listener:
    """One websocket connection that receives streams. `route` is "" where the venue does not split them."""

    def __init__(
        self, *, number: int, transport: asyncio.Transport, route: str, combined: bool, role: str = ""
    ) -> None:
        self.number = number
        self.role = role  # lock-step: whose connection it is
        self.transport = transport
        self.route = route
        self.combined = combined
        self.streams: dict[str, None] = {}  # in order of subscription; changed by the hub only
        self.frames_count = 0  # text messages of any kind, control frames not
        name = transport.get_extra_info("peername")
        # `host:port` of the other end: the one name of a connection that both ends know.
        self.peer = f"{name[0]}:{name[1]}" if name else ""
        self.too_slow = False
        self._outbox: list[bytes] = []
        self._outbox_bytes = 0

    def queue(self, frame: bytes) -> None:
        """Put one framed message into the outbox; `flush` sends it."""
        self._outbox.append(frame)
        self._outbox_bytes += len(frame)
        self.frames_count += 1

    def queue_control(self, frame: bytes) -> None:
        """As `queue`, for what is no message."""
        self._outbox.append(frame)
        self._outbox_bytes += len(frame)

    def flush(self) -> bool:
        """Write what waits. False when the listener is too slow or gone; it is then aborted and must be forgotten."""
        if not self._outbox:
            return True
        if self.transport.is_closing():
            return False
        if self.transport.get_write_buffer_size() + self._outbox_bytes > SEND_BUFFER_MAX:
            self.too_slow = True
            self.transport.abort()
            return False
        self.transport.write(self._outbox[0] if len(self._outbox) == 1 else b"".join(self._outbox))
        self._outbox.clear()
        self._outbox_bytes = 0
        return True


class StreamHub:
    """Fan-out of one venue. `route_of` says on which route a stream lives ("" for every stream of a venue without)."""

    def __init__(self, route_of: Callable[[str], str]) -> None:
        self._route_of = route_of
        # stream -> number -> listener; holds exactly the pairs in `Listener.streams` whose route fits
        self._by_stream: dict[str, dict[int, Listener]] = {}
        self._listeners: dict[int, Listener] = {}
        self._dirty: dict[int, Listener] = {}
        self.changes_count = 0  # of who listens to what
        self.frames_sent_count = 0
        self.slow_dropped_count = 0

    @property
    def listeners(self) -> tuple[Listener, ...]:
        return tuple(self._listeners.values())

    @property
    def streams(self) -> tuple[str, ...]:
        """Every stream that somebody listens to."""
        return tuple(self._by_stream)

    def attach(self, listener: Listener) -> None:
        self._listeners[listener.number] = listener

    def detach(self, listener: Listener) -> None:
        self.unsubscribe(listener, tuple(listener.streams))
        self._listeners.pop(listener.number, None)
        self._dirty.pop(listener.number, None)

    def subscribe(self, listener: Listener, streams: Iterable[str]) -> None:
        """Deliver `streams` from now on. One of another route is kept in the list and stays silent, as at the venue."""
        self.changes_count += 1
        for stream in streams:
            listener.streams[stream] = None
            if self._route_of(stream) == listener.route:
                self._by_stream.setdefault(stream, {})[listener.number] = listener

    def unsubscribe(self, listener: Listener, streams: Iterable[str]) -> None:
        self.changes_count += 1
        for stream in streams:
            listener.streams.pop(stream, None)
            readers = self._by_stream.get(stream)
            if readers is not None:
                readers.pop(listener.number, None)
                if not readers:
                    del self._by_stream[stream]

    def wanted(self, streams: Sequence[str]) -> list[str]:
        """Those of `streams` that have a listener; empty means: do not even encode."""
        return [stream for stream in streams if stream in self._by_stream]

    def publish(self, stream: str, data: bytes, *, wrapped: bytes = b"") -> int:
        """Queue `data` for every listener of `stream`; returns how many. `wrapped` is a ready combined form."""
        readers = self._by_stream.get(stream)
        if not readers:
            return 0
        raw_frame = combined_frame = b""
        for number, listener in readers.items():
            if listener.combined:
                if not combined_frame:
                    combined_frame = text_frame(wrapped or combined(stream, data))
                listener.queue(combined_frame)
            else:
                if not raw_frame:
                    raw_frame = text_frame(data)
                listener.queue(raw_frame)
            self._dirty[number] = listener
        self.frames_sent_count += len(readers)
        return len(readers)

    def send(self, listener: Listener, data: bytes) -> None:
        """Queue one message for one listener (acks, private events, notices)."""
        listener.queue(text_frame(data))
        self._dirty[listener.number] = listener

    def send_token(self, role: str, payload: bytes) -> bool:
        """Lock-step: queue a token behind the frames of a listener of `role`, as a pong. False where there is none."""
        own = [listener for listener in self._listeners.values() if listener.role == role]
        if not own:
            return False
        # With frames that wait, so that one write carries both; which connection it is decides nothing.
        listener = next((each for each in own if each.number in self._dirty), own[0])
        listener.queue_control(pong_frame(payload))
        self._dirty[listener.number] = listener
        return True

    def flush(self) -> list[Listener]:
        """Write all outboxes; returns listeners that were dropped for being slow or are gone."""
        lost = []
        for listener in self._dirty.values():
            if not listener.flush():
                self.slow_dropped_count += listener.too_slow
                lost.append(listener)
        self._dirty.clear()
        for listener in lost:
            self.detach(listener)
        return lost
