"""The whole chain of brains in one process on a recording: feed → quote → gateway → venue → fills → risk.

No Ray, no socket, no clock but the recording's: the fastest way to ask "what would it have done", and always the same
answer for a seed. Messages between brains arrive at once; order latency is the simulated venue's.
"""

from __future__ import annotations

import itertools
import random
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from actors.feed.engine import FeedEngine
from actors.feed.messages import ConnectionUp, FetchSnapshot, Publish, PublishMarks, SnapshotAnswer
from actors.feed.messages import Timer as FeedTimer
from actors.gateway.commands import FromHolder, FromRisk, HolderLink, Tick, ToHolder, ToRisk, ToVenue
from actors.gateway.commands import RiskLink as GatewayRiskLink
from actors.gateway.engine import GatewayEngine
from actors.gateway.limits import limits_of
from actors.journal.rows import Loaded
from actors.quote.engine import QuoteEngine
from actors.quote.events import FeedLink, GatewayLink, InstrumentRow, RiskLink
from actors.quote.events import Timer as QuoteTimer
from actors.risk.engine import RiskEngine
from actors.risk.events import Journalled, JournalRows, PeerUp, Received, Send
from actors.risk.events import Timer as RiskTimer
from actors.sim.messages import ClientRequest, Private, Reply
from actors.sim.recorded import RecordedExchange
from actors.sim.recording import SNAPSHOT, RecordedFrame
from actors.venues.catalog import market_dialect
from actors.vocab.config import FleetSettings
from actors.vocab.control import Instruments
from actors.vocab.instruments import Instrument
from actors.vocab.leases import LeaseRelease, LeaseRequest
from actors.vocab.market import BookUpdate, Marks
from actors.vocab.message import Message
from actors.vocab.opinions import SignalInputs
from actors.vocab.units import NS_PER_MS
from actors.vocab.venue_io import StreamKind, StreamUp, VenueEvent

ACCOUNT = "sim"
CONNECTION = "recording"
GATEWAY = "gateway"
# How often each brain hears that time has passed, as its shell would tell it.
FEED_TIMER_MS, GATEWAY_TICK_MS, QUOTE_TIMER_MS, RISK_TIMER_MS = 50, 25, 100, 100


class Chain:
    """One venue account of one recording. `run` feeds the frames; the counters and `exchange.ledger` tell the rest."""

    def __init__(
        self,
        *,
        venue: str,
        instruments: Sequence[Instrument],
        settings: FleetSettings,
        seed: int,
        start_ns: int,
        has_snapshot: bool = True,
        first_prices: Mapping[str, float] | None = None,
    ) -> None:
        """`has_snapshot` False: the recording holds none; books are built from deltas and confirmed by the ticker.

        `first_prices` by symbol: a spot account starts with coins of those.
        """
        self.venue = venue
        self.now_ns = start_ns
        self._has_snapshot = has_snapshot
        self.frames_count = 0
        self.decisions_count = 0  # updates that a quote engine looked at
        symbols = tuple(row.symbol for row in instruments)
        self.exchange = RecordedExchange(
            venue=venue,
            instruments=instruments,
            settings=settings.sim,
            seed=seed,
            start_ms=start_ns // NS_PER_MS,
            first_prices=first_prices,
        )
        self.exchange.open_account(ACCOUNT, start_ns)
        # Reads frames for the venue; the feed has a reader of its own, as in life.
        self._reader = market_dialect(venue, instruments)
        self.feed = FeedEngine(
            venue=venue,
            dialect=market_dialect(venue, instruments),
            instruments=instruments,
            settings=settings.feed,
            rng=random.Random(seed),
        )
        refs = itertools.count(1)
        self.quotes = {
            symbol: QuoteEngine(
                venue=venue,
                symbol=symbol,
                holder=f"quote:{symbol}",
                settings=settings,
                own_in_book=False,
                refs=refs,
            )
            for symbol in symbols
        }
        self.risk = RiskEngine(settings.risk, Loaded(), run_id="chain", symbols=frozenset(symbols))
        self.gateway = GatewayEngine(
            venue=venue,
            incarnation=GATEWAY,
            settings=settings.gateway,
            risk=settings.risk,
            limits=limits_of(venue),
            instruments=tuple(instruments),
            started_ms=start_ns // NS_PER_MS,
        )
        self._requests = itertools.count(1)
        # (who, what) still to be delivered, in order; empty between frames
        self._waiting: deque[tuple[str, Any]] = deque()
        self._next_timer_ns = dict.fromkeys(("feed", "gateway", "quote", "risk"), start_ns)
        self._begin(tuple(instruments))

    # --- running ---------------------------------------------------------------------------------------------

    def run(self, frames: Iterable[RecordedFrame]) -> None:
        """Feed every frame at its recorded time."""
        exchange, feed, reader = self.exchange, self.feed, self._reader
        for frame in frames:
            now_ns = self.now_ns = frame.recv_ns
            self.frames_count += 1
            self._timers(now_ns)
            if frame.channel == SNAPSHOT:
                self._take_snapshot(frame, now_ns)
                continue
            event = reader.decode(frame.combined)
            if event is not None:
                self._take_venue(exchange.on_market(event, now_ns))
                # Decoded once for both: the benchmark of decoding alone is benchmarks/feed_throughput.py.
                self._take_feed(feed.on_event(event, now_ns, CONNECTION))
            for published in feed.flush(now_ns):
                self._publish(published.update, now_ns)
            if self._waiting:
                self._deliver(now_ns)

    def _take_snapshot(self, frame: RecordedFrame, now_ns: int) -> None:
        """A REST snapshot in the recording; one that names no symbol is the only symbol's, or nobody's."""
        symbol = frame.symbol or (next(iter(self.quotes)) if len(self.quotes) == 1 else "")
        if not symbol:
            return
        snapshot = self._reader.decode_snapshot(symbol, frame.data)
        self.exchange.on_market(snapshot, now_ns)
        self._take_feed(self.feed.handle(SnapshotAnswer(symbol, snapshot), now_ns))

    def _begin(self, instruments: tuple[Instrument, ...]) -> None:
        """Everybody learns of everybody, in the order of a live start."""
        now_ns = self.now_ns
        listed = Instruments(self.venue, 1, instruments)
        self._take_risk(self.risk.start(wall_ns=now_ns, now_ns=now_ns))
        self._take_risk(self.risk.handle(listed, now_ns))
        self._take_risk(self.risk.handle(PeerUp(GATEWAY, f"gateway:{self.venue}"), now_ns))
        self._to_gateway(listed)
        for kind in (StreamKind.PRIVATE, StreamKind.ORDER):
            self._to_gateway(StreamUp(kind, 1))
        self._to_gateway(GatewayRiskLink(True))
        for row in instruments:
            engine = self.quotes[row.symbol]
            self._take_risk(self.risk.handle(PeerUp(engine.holder, engine.holder), now_ns))
            self._to_gateway(HolderLink(engine.holder, up=True))
            for event in (
                InstrumentRow(row),
                FeedLink(self.venue, up=True),
                RiskLink(True),
                GatewayLink(True, GATEWAY),
            ):
                self._take_quote(engine, engine.handle(event, now_ns))
        symbols = tuple(self.quotes)
        self._take_feed(self.feed.handle(ConnectionUp(CONNECTION, symbols), now_ns))
        self._deliver(now_ns)

    def _timers(self, now_ns: int) -> None:
        """Time has passed for whoever is due; the venue's own work comes out of its `advance`."""
        due = self._next_timer_ns
        if now_ns >= due["gateway"]:
            due["gateway"] = now_ns + GATEWAY_TICK_MS * NS_PER_MS
            self._take_venue(self.exchange.advance(now_ns))
            self._to_gateway(Tick())
        if now_ns >= due["feed"]:
            due["feed"] = now_ns + FEED_TIMER_MS * NS_PER_MS
            self._take_feed(self.feed.handle(FeedTimer(), now_ns))
        if now_ns >= due["risk"]:
            due["risk"] = now_ns + RISK_TIMER_MS * NS_PER_MS
            self._take_risk(self.risk.handle(RiskTimer(now_ns), now_ns))
        if now_ns >= due["quote"]:
            due["quote"] = now_ns + QUOTE_TIMER_MS * NS_PER_MS
            for engine in self.quotes.values():
                self._take_quote(engine, engine.handle(QuoteTimer(), now_ns))
        if self._waiting:
            self._deliver(now_ns)

    # --- carrying --------------------------------------------------------------------------------------------

    def _deliver(self, now_ns: int) -> None:
        """Hand on what waits until nobody has anything more to say."""
        waiting = self._waiting
        while waiting:
            who, message = waiting.popleft()
            if who == "gateway":
                self._take_gateway(self.gateway.handle(message, now_ns))
            elif who == "risk":
                self._take_risk(self.risk.handle(message, now_ns))
            elif who == "venue":
                self._take_venue(self.exchange.handle(ClientRequest(1, ACCOUNT, message), now_ns))
            else:
                engine = self.quotes[message.symbol]
                self._take_quote(engine, engine.handle(message, now_ns))

    def _publish(self, update: BookUpdate, now_ns: int) -> None:
        self.decisions_count += 1
        engine = self.quotes[update.symbol]
        commands = engine.handle(update, now_ns)
        if commands:
            self._take_quote(engine, commands)

    def _take_feed(self, commands: Iterable[Any]) -> None:
        for command in commands:
            match command:
                case Publish(update):
                    self._publish(update, self.now_ns)
                case PublishMarks(marks):
                    self._marks(marks)
                case FetchSnapshot(symbol) if not self._has_snapshot:
                    answer = SnapshotAnswer(symbol, None, "none was recorded", unavailable=True)
                    self._take_feed(self.feed.handle(answer, self.now_ns))

    def _marks(self, marks: Marks) -> None:
        self._take_risk(self.risk.handle(marks, self.now_ns))
        self._to_gateway(marks)

    def _take_quote(self, engine: QuoteEngine, commands: Iterable[Message]) -> None:
        for command in commands:
            if isinstance(command, LeaseRequest | LeaseRelease):
                self._waiting.append(("risk", Received(engine.holder, command)))
            elif not isinstance(command, SignalInputs):
                self._waiting.append(("gateway", FromHolder(engine.holder, command)))

    def _take_gateway(self, commands: Iterable[Any]) -> None:
        for command in commands:
            match command:
                case ToVenue(request=request):
                    self._waiting.append(("venue", request))
                case ToHolder(message=message):
                    self._waiting.append(("quote", message))
                case ToRisk(message):
                    self._waiting.append(("risk", Received(GATEWAY, message)))

    def _take_risk(self, commands: Iterable[Any]) -> None:
        for command in commands:
            match command:
                case Send(peer, message):
                    target = ("gateway", FromRisk(message)) if peer == GATEWAY else ("quote", message)
                    self._waiting.append(target)
                case JournalRows(sequence):
                    # Nothing to be lost here: the journal is the ledger that the caller reads afterwards.
                    self._waiting.append(("risk", Journalled(sequence)))

    def _take_venue(self, commands: Iterable[Any]) -> None:
        for command in commands:
            if isinstance(command, Reply | Private):
                event: VenueEvent = command.event
                self._waiting.append(("gateway", event))

    def _to_gateway(self, event: Any) -> None:
        self._waiting.append(("gateway", event))
