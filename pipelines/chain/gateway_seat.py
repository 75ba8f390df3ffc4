"""A gateway without sockets, and its line to one venue."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from functools import partial

from actors.gateway.commands import (
    Command,
    Event,
    FromHolder,
    FromRisk,
    HolderLink,
    Measured,
    RiskLink,
    SyncClock,
    Tick,
    ToHolder,
    ToRisk,
    ToVenue,
    WakeAt,
)
from actors.gateway.engine import TICK_MS, GatewayEngine
from actors.gateway.limits import limits_of
from actors.risk.events import Received
from actors.transport.alarm import Alarm
from actors.transport.http import HttpAnswer
from actors.transport.meters import Histogram
from actors.transport.step_turn import QUIET
from actors.transport.venue_line import CLOCK_SAMPLES, CLOCK_SYNC_S
from actors.venues.catalog import trading_dialect
from actors.venues.dialect import HttpRequest, WsCall
from actors.vocab.config import FleetSettings
from actors.vocab.control import Instruments
from actors.vocab.market import Marks
from actors.vocab.message import Message
from actors.vocab.units import NS_PER_MS, NS_PER_S
from actors.vocab.venue_io import (
    StreamDown,
    StreamKind,
    StreamUp,
    VenueEvent,
    VenueRequest,
    VenueTimeQuery,
)
from pipelines.chain.seat import RISK, Fleet, Seat
from pipelines.chain.venue import CREDENTIALS, LocalVenue

ORDERS, PRIVATE = "orders", "private"  # the connections, as the shell names them


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
            up = RiskLink(True) if peer == RISK else HolderLink(peer, up=True)
            self.turn.note(f"link {peer}", partial(self.feed, up))
        self.turn.market(self._release)
        self.turn.every(fleet.now_ns, TICK_MS * NS_PER_MS, lambda: self.feed(Tick()))

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
