"""One venue whose market is not its own: which snapshot a replay answers with, how one frame is matched and sent."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Protocol

from actors.sim.messages import Exchange, SimCommand
from actors.sim.recording import SNAPSHOT, RecordedFrame
from actors.transport.venue_desk import VenueClock
from actors.transport.venue_server import VenueServer
from actors.venues.binance.market import BinanceMarket
from actors.vocab.venue_io import DepthDelta, DepthSnapshot, MarketEvent

# A depth stream is recorded at one speed; clients may have subscribed to another.
_DIFF_DEPTH = re.compile(r"(.+@depth)(@\d+ms)?")
_DEPTH_SPEEDS = ("", "@0ms", "@100ms", "@250ms", "@500ms")


class Follower(Exchange, Protocol):
    """What a replay needs of `RecordedExchange` beyond `Exchange`."""

    def on_market(self, event: MarketEvent | DepthSnapshot, now_ns: int) -> list[SimCommand]: ...

    def join(self, whole: DepthSnapshot, now_ns: int) -> list[SimCommand]: ...


class RecordedBooks:
    """Which snapshot answers a depth request while a recording runs.

    The recorded body as long as the stream has not passed it; after that the exchange's own book, which the same
    deltas have kept, as a real venue would. Nothing where none was recorded: the feed then builds from deltas.
    """

    def __init__(self, snapshots: Sequence[tuple[RecordedFrame, int]]) -> None:
        """(frame, last update id) pairs."""
        self._first: dict[str, tuple[RecordedFrame, int]] = {}
        for frame, last_seq in snapshots:
            self._first.setdefault(frame.symbol, (frame, last_seq))
        self._passed: set[str] = set()  # symbols whose first delta beyond the snapshot has been sent

    def delta_sent(self, symbol: str, last_seq: int) -> None:
        first = self._first.get(symbol)
        if first is not None and last_seq > first[1]:
            self._passed.add(symbol)

    def body(self, symbol: str) -> bytes | None:
        """As `VenueAnswers` wants it: recorded bytes, b"" for none, None for the exchange's book."""
        first = self._first.get(symbol)
        if first is None:
            return b""
        return None if symbol in self._passed else first[0].data


class Stage:
    """One venue of a replay, or on paper: its server, its exchange, and what tells the exchange what frames mean."""

    def __init__(
        self, *, server: VenueServer, exchange: Follower, market: BinanceMarket, books: RecordedBooks, clock: VenueClock
    ) -> None:
        self.server = server
        self.exchange = exchange
        self.market = market
        self.books = books
        self.clock = clock
        self._aliases: dict[str, tuple[str, ...]] = {}

    def match(self, frame: RecordedFrame, *, snapshot_of: str) -> None:
        """Our orders meet what a frame means, before anybody can react to it."""
        now_ns = self.clock.now_ns()
        if frame.channel == SNAPSHOT:
            if snapshot_of:
                snapshot = self.market.decode_snapshot(snapshot_of, frame.data)
                self.server.desk.carry(self.exchange.on_market(snapshot, now_ns))
            return
        event = self.market.decode(frame.combined)
        if event is not None:
            self.meet(event)
        if isinstance(event, DepthDelta):
            self.books.delta_sent(event.symbol, event.last_seq)

    def meet(self, event: MarketEvent) -> None:
        """Our orders meet one event."""
        self.server.desk.carry(self.exchange.on_market(event, self.clock.now_ns()))

    def join(self, whole: DepthSnapshot) -> None:
        """The exchange's book of one symbol is this one from now on."""
        self.server.desk.carry(self.exchange.join(whole, self.clock.now_ns()))

    def send(self, frame: RecordedFrame) -> None:
        """Nobody has subscribed to a snapshot; everything else goes out as it was recorded."""
        if frame.channel != SNAPSHOT:
            for stream in self._streams(frame.stream):
                self.server.hub.publish(stream, frame.data, wrapped=frame.combined)

    def _streams(self, recorded: str) -> tuple[str, ...]:
        """Stream names under which a recorded frame is delivered: its own, and for diff depth every speed of it."""
        names = self._aliases.get(recorded)
        if names is None:
            diff = _DIFF_DEPTH.fullmatch(recorded)
            names = tuple(diff.group(1) + speed for speed in _DEPTH_SPEEDS) if diff else (recorded,)
            self._aliases[recorded] = names
        return names

    def wants(self, streams: Sequence[str]) -> bool:
        """Is every one of these recorded streams listened to?"""
        return all(self.server.hub.wanted(self._streams(stream)) for stream in streams)
