"""What the shells do around their brains, without loop and sockets: one seat for each actor of a lock-step fleet.

A seat is handed everything by its `StepTurn`, as a shell is by its step gate, and says the same things at the same
steps: greetings, questions to the venue at the start, timers. `tests/system/test_backtest.py` compares the two, order
by order. Left out: what no brain sees (beats, histograms, keep-alives, reconnects).
"""

from __future__ import annotations

import itertools
import random
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, Protocol

from actors.feed.actor import (
    CALLS_AT_ONCE,
    INSTRUMENTS_INTERVAL_S,
    TIMERS_PER_BEAT,
    WARM_UP_COUNT,
    WARM_UP_INTERVAL,
    WARM_UP_LOOK_S,
)
from actors.feed.engine import FeedEngine
from actors.feed.messages import (
    ConnectionUp,
    FeedCommand,
    FetchSnapshot,
    InstrumentsChanged,
    Publish,
    PublishMarks,
    RefreshInstruments,
)
from actors.feed.messages import Timer as FeedTimer
from actors.feed.pace import WeightBudget, weight_per_min
from actors.feed.rest import read_snapshot
from actors.gateway.commands import (
    Command,
    Event,
    FromHolder,
    FromRisk,
    HolderLink,
    Measured,
    SyncClock,
    Tick,
    ToHolder,
    ToRisk,
    ToVenue,
    WakeAt,
)
from actors.gateway.commands import RiskLink as GatewayRiskLink
from actors.gateway.engine import TICK_MS as GATEWAY_TICK_MS
from actors.gateway.engine import GatewayEngine
from actors.gateway.limits import limits_of
from actors.journal.rows import Loaded, Row
from actors.quote.actor import TICK_MS as QUOTE_TICK_MS
from actors.quote.engine import QuoteEngine
from actors.quote.events import Backlog, FeedLink, GatewayLink, InstrumentRow, RiskLink
from actors.quote.events import Timer as QuoteTimer
from actors.quote.neighbours import OwnPrices
from actors.risk.actor import TIMER_MS as RISK_TIMER_MS
from actors.risk.engine import RiskEngine
from actors.risk.events import Compute, Journalled, JournalRows, PeerUp, Received, Send
from actors.risk.events import Timer as RiskTimer
from actors.sim.recording import RecordedFrame
from actors.transport.alarm import Alarm
from actors.transport.http import HttpAnswer
from actors.transport.meters import Histogram
from actors.transport.step_turn import ANSWER, QUIET, StepTurn
from actors.transport.venue_line import CLOCK_SAMPLES, CLOCK_SYNC_S
from actors.venues.catalog import market_dialect, trading_dialect
from actors.venues.dialect import HttpRequest, StreamPlan, WsCall
from actors.vocab.config import FleetSettings
from actors.vocab.control import Instruments, QuoteGroup, Stop
from actors.vocab.instruments import Instrument
from actors.vocab.leases import LeaseRelease, LeaseRequest
from actors.vocab.market import BookState, BookUpdate, Marks, WarmUp
from actors.vocab.message import Message
from actors.vocab.opinions import SignalInputs
from actors.vocab.portfolio import FillCurve
from actors.vocab.units import NS_PER_MS, NS_PER_S
from actors.vocab.venue_io import (
    MarketEvent,
    StreamDown,
    StreamKind,
    StreamUp,
    VenueEvent,
    VenueRequest,
    VenueTimeQuery,
)
from pipelines.chain_venue import CREDENTIALS, LocalVenue

RISK = "risk"
ORDERS, PRIVATE = "orders", "private"  # the gateway's connections, as its shell names them


class Fleet(Protocol):
    """What a seat needs of the chain."""

    now_ns: int

    def later(self, role: str, sender: str, message: Any) -> None:
        """A message against the flow of market data: the receiver takes it in the next step."""
        ...

    def to_gateway(self, venue: str, sender: str, message: Message) -> None: ...

    def publish(self, message: BookUpdate | WarmUp) -> None: ...

    def publish_marks(self, marks: Marks) -> None: ...


class Seat:
    """A role, its turn, and its tasks: what an awaited answer or sleep goes on with, at the end of the step."""

    def __init__(self, role: str, fleet: Fleet, peers: Iterable[str]) -> None:
        self.role = role
        self.turn = StepTurn(peers)
        self._fleet = fleet
        self._tasks: deque[Callable[[], object]] = deque()
        self._requests_no = 0

    def run(self, now_ns: int, *, first_ending: bool = False) -> None:
        """Take the step."""
        turn = self.turn
        turn.deliver()
        if first_ending:
            self.on_end()
        turn.end_turn()
        if turn.due_ns <= now_ns:
            turn.run_timers(now_ns)
        while self._tasks:
            self._tasks.popleft()()
            if not self._tasks:
                turn.end_turn()

    def on_end(self) -> None:
        """The recording has ended."""

    def task(self, call: Callable[[], object]) -> None:
        self._tasks.append(call)

    def sleep(self, wait_ns: int, call: Callable[[], object]) -> None:
        """Go on with `call` when so much recorded time has passed."""
        self.turn.at(self._fleet.now_ns + wait_ns, partial(self.task, call))

    def http(self, venue: LocalVenue, request: HttpRequest, then: Callable[[HttpAnswer], object]) -> None:
        """Ask the venue; `then` goes on in the step that knows the answer."""
        self._requests_no += 1
        source = f"{self._requests_no:012d}"

        def answered(answer: HttpAnswer) -> None:
            self.turn.note(source, partial(self.task, partial(then, answer)), rank=ANSWER)

        venue.http(self.role, self._requests_no, request, answered)


class FeedSeat(Seat):
    """`FeedActor` of one venue and shard."""

    def __init__(
        self, role: str, fleet: Fleet, venue: LocalVenue, settings: FleetSettings, symbols: Sequence[str], *, seed: int
    ) -> None:
        """`symbols` are all of the run; the shard is in the role."""
        super().__init__(role, fleet, ())
        shard_no = int(role.rsplit(":", 1)[1])
        shards_count = -(-len(symbols) // settings.feed.symbols_per_shard)
        self.venue = venue.venue
        self._venue = venue
        self._symbols = tuple(symbols)
        mine = self._symbols[shard_no::shards_count]
        rng = random.Random(f"{seed} {role}")
        self._dialect = market_dialect(venue.venue, streams=venue.streams or None)
        self._budget = WeightBudget(weight_per_min(venue.venue), shards_count=shards_count)
        self.instruments = self._listed(venue.http_now(self._dialect.instruments_request()))
        self._dialect.use(self.instruments)
        rows = [row for row in self.instruments if row.symbol in mine]
        self.engine = FeedEngine(
            venue=venue.venue, dialect=self._dialect, instruments=rows, settings=settings.feed, rng=rng
        )
        self._connections: dict[tuple[str, str], str] = {}  # (route, symbol) -> name of its connection
        self._connection_of: dict[str, str] = {}  # stream -> the same, of those that have spoken
        self._calls_count = 0
        self._calls_waiting: deque[Callable[[], None]] = deque()
        self._warm_wanted: dict[str, None] = {}
        self._refreshing = False
        self.turn.every(fleet.now_ns, int(settings.feed.beat_interval_ms / TIMERS_PER_BEAT * NS_PER_MS), self._on_timer)
        self._rng = rng
        self._keep_instruments()
        self._keep_warm_up()
        for plan in self._dialect.plan([row.symbol for row in rows], "ws://chain") if rows else []:
            self._open(plan)
        for symbol in mine:
            self.turn.note(f"subscribed {symbol.encode()!r}", partial(self._on_subscribe, symbol))

    def play(self, event: MarketEvent | None, frame: RecordedFrame) -> None:
        """One frame of a stream that we listen to; `event` is what it means."""
        connection = self._connection_of.get(frame.stream)
        if connection is None:
            route = self._venue.route_of(frame.stream) or "stream"
            connection = self._connection_of[frame.stream] = self._connections.get((route, frame.symbol), route)
        self.turn.note(connection, partial(self._on_frame, connection, event), rank=QUIET)

    # --- as the shell --------------------------------------------------------------------------------------------

    def _open(self, plan: StreamPlan) -> None:
        if plan.max_age_s:
            self._rng.random()  # the session's own jitter, drawn when it opens
        route = plan.name.split(":")[1]
        for symbol in plan.symbols:
            self._connections[route, symbol] = plan.name
        event = ConnectionUp(plan.name, plan.symbols)
        self.turn.note(plan.name, lambda: self._carry_out(self.engine.handle(event, self._fleet.now_ns)))

    def _on_frame(self, connection: str, event: MarketEvent | None) -> None:
        engine = self.engine
        if event is None:
            engine.health.frames += 1
            engine.health.ignored += 1
        else:
            commands = engine.on_event(event, self._fleet.now_ns, connection)
            if commands:
                self._carry_out(commands)
        self.turn.soon(self._flush)

    def _flush(self) -> None:
        published = self.engine.flush(self._fleet.now_ns)
        for command in published:
            self._fleet.publish(command.update)

    def _on_timer(self) -> None:
        self._carry_out(self.engine.handle(FeedTimer(), self._fleet.now_ns))

    def _on_subscribe(self, symbol: str) -> None:
        self._warm_wanted[symbol] = None
        again = self.engine.resend(symbol, self._fleet.now_ns)
        if again is not None:
            self._carry_out((again,))

    def _carry_out(self, commands: Iterable[FeedCommand]) -> None:
        for command in commands:
            match command:
                case Publish(update):
                    self._fleet.publish(update)
                case PublishMarks(marks):
                    self._fleet.publish_marks(marks)
                case FetchSnapshot():
                    self.task(partial(self._fetch_snapshot, command))
                case RefreshInstruments():
                    self.task(self._refresh)

    # --- questions -----------------------------------------------------------------------------------------------

    def _call(self, request: HttpRequest, then: Callable[[HttpAnswer], object]) -> None:
        """Paced by weight, a few at a time."""
        wait_ns = self._budget.take(request.weight, self._fleet.now_ns)
        start = partial(self._start_call, request, then)
        if wait_ns:
            self.sleep(wait_ns, start)
        else:
            start()

    def _start_call(self, request: HttpRequest, then: Callable[[HttpAnswer], object]) -> None:
        if self._calls_count >= CALLS_AT_ONCE:
            self._calls_waiting.append(partial(self._start_call, request, then))
            return
        self._calls_count += 1

        def answered(answer: HttpAnswer) -> None:
            self._calls_count -= 1
            if self._calls_waiting:
                self.task(self._calls_waiting.popleft())
            then(answer)

        self.http(self._venue, request, answered)

    def _fetch_snapshot(self, command: FetchSnapshot) -> None:
        symbol = command.symbol

        def read(answer: HttpAnswer) -> None:
            event = read_snapshot(self._dialect, symbol, answer.status, answer.body)
            self._carry_out(self.engine.handle(event, self._fleet.now_ns))
            self._flush()

        self._call(self._dialect.snapshot_request(symbol, command.levels), read)

    def _listed(self, answer: HttpAnswer) -> list[Instrument]:
        return self._dialect.decode_instruments(answer.body, self._symbols)

    def _keep_instruments(self) -> None:
        wait_s = INSTRUMENTS_INTERVAL_S * (0.9 + 0.2 * self._rng.random())
        self.sleep(int(wait_s * NS_PER_S), lambda: self._refresh(then=self._keep_instruments))

    def _refresh(self, then: Callable[[], None] = lambda: None) -> None:
        if self._refreshing:
            then()
            return
        self._refreshing = True

        def read(answer: HttpAnswer) -> None:
            self._refreshing = False
            rows = tuple(self._listed(answer))
            self._carry_out(self.engine.handle(InstrumentsChanged(rows), self._fleet.now_ns))
            then()

        self._call(self._dialect.instruments_request(), read)

    def _keep_warm_up(self) -> None:
        self.sleep(int(WARM_UP_LOOK_S * NS_PER_S), self._look_for_warm_up)

    def _look_for_warm_up(self) -> None:
        """The next look comes when everybody found now has been served."""
        if not self._warm_wanted:
            self._keep_warm_up()
            return
        readable = self.engine.readable()
        ready = [symbol for symbol in self._warm_wanted if symbol in readable]
        left = len(ready)

        def served() -> None:
            nonlocal left
            left -= 1
            if not left:
                self._keep_warm_up()

        for symbol in ready:
            del self._warm_wanted[symbol]
            self.task(partial(self._send_warm_up, symbol, served))
        if not ready:
            self._keep_warm_up()

    def _send_warm_up(self, symbol: str, then: Callable[[], None]) -> None:
        def read(answer: HttpAnswer) -> None:
            if answer.is_ok:
                klines = self._dialect.decode_klines(symbol, answer.body)
                self._fleet.publish(WarmUp(self._venue.venue, symbol, tuple(klines)))
            then()

        self._call(self._dialect.klines_request(symbol, WARM_UP_INTERVAL, WARM_UP_COUNT), read)


class QuoteSeat(Seat):
    """`QuoteActor` of a few symbols."""

    def __init__(
        self,
        group: QuoteGroup,
        fleet: Fleet,
        peers: Sequence[str],
        venues: Sequence[str],
        settings: FleetSettings,
        rows: dict[str, Sequence[Instrument]],
        *,
        feeds_count: int,
    ) -> None:
        """`rows`: venue -> what its feed says that it lists."""
        super().__init__(group.name, fleet, peers)
        refs = itertools.count(1)
        # symbol -> venue -> engine
        self.engines: dict[str, dict[str, QuoteEngine]] = {
            symbol: {
                venue: QuoteEngine(
                    venue=venue,
                    symbol=symbol,
                    holder=group.name,
                    settings=settings,
                    own_in_book=False,
                    refs=refs,
                    own_prices=own_prices,
                )
                for venue in venues
            }
            for symbol, own_prices in ((symbol, OwnPrices()) for symbol in group.symbols)
        }
        self._all = [engine for by_venue in self.engines.values() for engine in by_venue.values()]
        self.decisions_count = 0  # updates that an engine looked at
        self._batch: list[BookUpdate | WarmUp] = []
        for venue in venues:
            for up in (False, *itertools.repeat(True, feeds_count)):
                self._tell_venue(venue, FeedLink(venue, up=up))
            self.turn.note(f"instruments {venue}", partial(self._on_instruments, rows[venue]))
            gateway = f"gateway:{venue}"
            self.turn.note(f"link {gateway}", partial(self._tell_venue, venue, GatewayLink(True, gateway)))
        self.turn.note(f"link {RISK}", lambda: self._tell_all(RiskLink(True)))
        self.turn.market(self._release)
        self.turn.every(fleet.now_ns, QUOTE_TICK_MS * NS_PER_MS, lambda: self._tell_all(QuoteTimer()))

    def market(self, message: BookUpdate | WarmUp) -> None:
        self._batch.append(message)
        self.turn.waiting = True

    def on_end(self) -> None:
        self._tell_all(Stop("the recording has ended"))

    def on_message(self, message: Any) -> None:
        """From a gateway or from risk."""
        engine = self.engines.get(message.symbol, {}).get(message.venue)
        if engine is not None:
            self._tell(engine, message)

    def _release(self) -> None:
        if not self._batch:
            return
        batch, self._batch = self._batch, []
        if len(batch) == 1:
            self._on_market(batch[0])
            return
        batch.sort(key=lambda message: (message.venue, message.symbol))
        waiting: dict[tuple[str, str], list[BookUpdate]] = {}
        for message in batch:
            if isinstance(message, BookUpdate):
                waiting.setdefault((message.symbol, message.venue), []).append(message)
            else:
                self._on_market(message)
        for updates in waiting.values():
            self._on_market(updates[0] if len(updates) == 1 else Backlog(tuple(updates)))

    def _on_market(self, event: BookUpdate | Backlog | WarmUp) -> None:
        newest = event.updates[-1] if isinstance(event, Backlog) else event
        engine = self.engines.get(newest.symbol, {}).get(newest.venue)
        if engine is None:
            return
        if type(newest) is BookUpdate and newest.state is BookState.OK:
            self.decisions_count += 1
        self._tell(engine, event)

    def _on_instruments(self, rows: Sequence[Instrument]) -> None:
        for row in rows:
            engine = self.engines.get(row.symbol, {}).get(row.venue)
            if engine is not None:
                self._tell(engine, InstrumentRow(row))

    def _tell_venue(self, venue: str, event: Any) -> None:
        for engine in self._all:
            if engine.venue == venue:
                self._tell(engine, event)

    def _tell_all(self, event: Any) -> None:
        for engine in self._all:
            self._tell(engine, event)

    def _tell(self, engine: QuoteEngine, event: Any) -> None:
        for command in engine.handle(event, self._fleet.now_ns):
            if isinstance(command, LeaseRequest | LeaseRelease | FillCurve):
                self._fleet.later(RISK, self.role, Received(self.role, command))
            elif not isinstance(command, SignalInputs):
                self._fleet.to_gateway(command.venue, self.role, command)


class RiskSeat(Seat):
    """`RiskActor`; its journal is a list."""

    def __init__(
        self,
        fleet: Fleet,
        peers: Sequence[str],
        settings: FleetSettings,
        listed: Sequence[Instruments],
        symbols: Sequence[str],
        *,
        run_id: str,
    ) -> None:
        super().__init__(RISK, fleet, peers)
        self.engine = RiskEngine(
            settings.risk,
            Loaded(),
            run_id=run_id,
            symbols=frozenset(symbols),
            id_block_size=settings.gateway.id_block_size,
            quote=settings.quote,
            portfolio=settings.portfolio,
        )
        self.rows: list[Row] = []  # what a journal would hold
        self._batch: list[Marks] = []
        for one in listed:
            self.turn.note(f"instruments {one.venue}", partial(self.handle, one))
        for peer in peers:
            self.turn.note(f"link {peer}", partial(self.handle, PeerUp(peer, peer)))
        self.turn.market(self._release)
        self.turn.every(fleet.now_ns, RISK_TIMER_MS * NS_PER_MS, lambda: self.handle(RiskTimer(self._fleet.now_ns)))
        self._carry(self.engine.start(wall_ns=fleet.now_ns, now_ns=fleet.now_ns))

    def marks(self, marks: Marks) -> None:
        self._batch.append(marks)
        self.turn.waiting = True

    def handle(self, event: Any) -> None:
        self._carry(self.engine.handle(event, self._fleet.now_ns))

    def _release(self) -> None:
        if not self._batch:
            return
        batch, self._batch = self._batch, []
        batch.sort(key=lambda marks: marks.venue)
        for marks in {(one.venue, one.marks[0].symbol): one for one in batch if one.marks}.values():
            self.handle(marks)

    def _carry(self, commands: Iterable[Any]) -> None:
        for command in commands:
            match command:
                case Send(peer, message):
                    self._fleet.later(peer, RISK, message)
                case JournalRows(sequence, rows):
                    self.rows += rows
                    self.turn.note("journal", partial(self.handle, Journalled(sequence)), rank=QUIET)
                case Compute(work):
                    self.turn.note("computed", partial(self.handle, work()), rank=QUIET)


class GatewaySeat(Seat):
    """`GatewayActor` and its line to one venue."""

    def __init__(
        self, fleet: Fleet, peers: Sequence[str], venue: LocalVenue, settings: FleetSettings, listed: Instruments
    ) -> None:
        super().__init__(f"gateway:{venue.venue}", fleet, peers)
        self._venue = venue
        self.engine = GatewayEngine(
            venue=venue.venue,
            incarnation=self.role,
            settings=settings.gateway,
            risk=settings.risk,
            limits=limits_of(venue.venue),
            started_ms=fleet.now_ns // NS_PER_MS,
        )
        self._dialect, self._rest_dialect = (
            trading_dialect(
                venue.venue,
                CREDENTIALS,
                listed.rows,
                order_url=order_url,
                stream_url="ws://chain",
                recv_window_ms=settings.gateway.recv_window_ms,
            )
            for order_url in ("ws://chain", "")
        )
        self.histograms = {name: Histogram() for name in ("order_to_ack", "pacer_wait")}  # recorded time
        self._events: deque[Event] = deque()
        self._busy = False
        self._calls: dict[str, VenueRequest] = {}
        self._private_call_id = ""
        self._connection_no = 0
        self._wake = Alarm(lambda: self.feed(Tick()), now_ns=lambda: fleet.now_ns, at=self.turn.at)
        self._syncing = False
        self._marks: list[Marks] = []
        self.turn.note(f"instruments {venue.venue}", partial(self._on_instruments, listed))
        for peer in peers:
            up = GatewayRiskLink(True) if peer == RISK else HolderLink(peer, up=True)
            self.turn.note(f"link {peer}", partial(self.feed, up))
        self.turn.market(self._release)
        self.turn.every(fleet.now_ns, GATEWAY_TICK_MS * NS_PER_MS, lambda: self.feed(Tick()))

    def marks(self, marks: Marks) -> None:
        self._marks.append(marks)
        self.turn.waiting = True

    def feed(self, event: Event) -> None:
        """Give one event to the engine and carry out what it says; what that brings waits its turn."""
        self._events.append(event)
        if self._busy:
            return
        self._busy = True
        while self._events:
            for command in self.engine.handle(self._events.popleft(), self._fleet.now_ns):
                self._carry_out(command)
        self._busy = False

    # --- as the shell --------------------------------------------------------------------------------------------

    def _release(self) -> None:
        if self._marks:
            batch, self._marks = self._marks, []
            for marks in batch:
                self.feed(marks)

    def _on_instruments(self, listed: Instruments) -> None:
        self.feed(listed)
        self.task(self._start_line)

    def _carry_out(self, command: Command) -> None:
        match command:
            case ToVenue(request=request):
                self._send(request)
            case ToHolder(holder, message):
                self._fleet.later(holder, self.role, message)
            case ToRisk(message):
                self._fleet.later(RISK, self.role, Received(self.role, message))
            case WakeAt(at_ns):
                self._wake.set(at_ns)
            case SyncClock():
                self.task(self._sync_clock)
            case Measured(name, _symbol, span_us):
                self.histograms[name].record(span_us)

    # --- the line ------------------------------------------------------------------------------------------------

    def _start_line(self) -> None:
        """Measure the clock, then connect: orders first, the account's stream when they are up."""
        self._sync_clock(then=self._connect)

    def _connect(self) -> None:
        self.feed(StreamDown(StreamKind.ORDER, "connecting"))
        self.turn.note(ORDERS, self._orders_up)
        call = self._dialect.private_open(timestamp_ms=self._timestamp_ms())
        if isinstance(call, HttpRequest):
            self.http(self._venue, call, self._private_dialled)
        self.sleep(int(CLOCK_SYNC_S * NS_PER_S), self._keep_clock)

    def _orders_up(self) -> None:
        self._up(StreamKind.ORDER)
        call = self._dialect.private_open(timestamp_ms=self._timestamp_ms())
        if isinstance(call, WsCall):
            self._private_call_id = call.call_id
            self.task(partial(self._write, call))

    def _private_dialled(self, answer: HttpAnswer) -> None:
        self._dialect.private_url(answer.status, answer.body)
        self._venue.on_private = lambda frame: self.turn.note(PRIVATE, partial(self._private, frame), rank=QUIET)
        self.turn.note(PRIVATE, partial(self._up, StreamKind.PRIVATE))

    def _up(self, kind: StreamKind) -> None:
        self._connection_no += 1
        self.feed(StreamUp(kind, self._connection_no))

    def _private(self, frame: bytes) -> None:
        for event in self._dialect.decode_private(frame):
            self.feed(event)

    def _order_frame(self, frame: bytes) -> None:
        call_id = self._dialect.reply_call_id(frame)
        if call_id == self._private_call_id and call_id not in self._calls:
            self._up(StreamKind.PRIVATE)
            return
        request = self._calls.pop(call_id or "", None)
        if request is not None:
            for event in self._dialect.decode_reply(request, frame):
                self.feed(event)

    def _send(self, request: VenueRequest) -> None:
        call = self._dialect.encode(request, timestamp_ms=self._timestamp_ms())
        if isinstance(call, WsCall):
            self._calls[call.call_id] = request
            self._write(call)
        else:
            self.task(partial(self._ask, request, call))

    def _write(self, call: WsCall) -> None:
        def answered(frame: bytes) -> None:
            if call.call_id == self._private_call_id:
                # Spot: private events come on this connection from here on.
                self._venue.on_private = lambda told: self.turn.note(ORDERS, partial(self._private, told), rank=QUIET)
            self.turn.note(ORDERS, partial(self._order_frame, frame), rank=QUIET)

        self._venue.ws(self.role, call.frame, answered)

    def _ask(self, request: VenueRequest, call: HttpRequest) -> None:
        def read(answer: HttpAnswer) -> None:
            events: list[VenueEvent] = self._dialect.decode_http(request, answer.status, answer.headers, answer.body)
            for event in events:
                self.feed(event)

        self.http(self._venue, call, read)

    def _timestamp_ms(self) -> int:
        return self._fleet.now_ns // NS_PER_MS

    def _keep_clock(self) -> None:
        self._sync_clock(then=lambda: self.sleep(int(CLOCK_SYNC_S * NS_PER_S), self._keep_clock))

    def _sync_clock(self, then: Callable[[], object] = lambda: None, left: int = CLOCK_SAMPLES) -> None:
        """The venue's clock is ours; what is asked counts against its limits all the same."""
        if not left:
            self._syncing = False
            then()
            return
        if left == CLOCK_SAMPLES:
            if self._syncing:
                then()
                return
            self._syncing = True
        call = self._rest_dialect.encode(VenueTimeQuery(0), timestamp_ms=self._timestamp_ms())
        assert isinstance(call, HttpRequest)
        self.http(self._venue, call, lambda _answer: self._sync_clock(then, left - 1))

    def from_holder(self, peer: str, message: Message) -> None:
        self.feed(FromHolder(peer, message))

    def from_risk(self, message: Message) -> None:
        self.feed(FromRisk(message))
