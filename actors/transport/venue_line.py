"""A gateway's line to one venue account: signing, the order websocket, the private stream, HTTP, the venue's clock.

Requests go in by `send`, one callback from the socket write; events come out by `on_event`. Which way a request
takes is decided here, whether it may be written at all is the gateway engine's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from actors.gateway.limits import limits_of
from actors.transport.host import ActorHost
from actors.transport.http import HttpAnswer, HttpClient, HttpUnanswered
from actors.transport.session import OVERLAP, WsSession
from actors.transport.ws_socket import WsSocket
from actors.venues.catalog import market_dialect
from actors.venues.dialect import HttpRequest, StreamPlan, TradingDialect, WsCall
from actors.vocab.clock import Clock
from actors.vocab.control import VenueAccount
from actors.vocab.errors import OurFault, VenueFault
from actors.vocab.instruments import Instrument
from actors.vocab.units import NS_PER_MS, NS_PER_S
from actors.vocab.venue_io import (
    FaultKind,
    StreamDown,
    StreamKind,
    StreamUp,
    VenueCancel,
    VenueEvent,
    VenueReject,
    VenueRequest,
    VenueTime,
    VenueTimeQuery,
)

# The venue's clock drifts against ours by parts in a million: once a minute keeps the error below a millisecond.
CLOCK_SYNC_S = 60.0
CLOCK_SAMPLES = 3
# Venues hang up after 24 hours: take a new connection an hour before.
MAX_AGE_S = 23 * 3_600.0
# Wait before another try at a private stream; doubles, with jitter.
PRIVATE_WAIT_S = 0.25
PRIVATE_WAIT_MAX_S = 15.0
# Wait before another try at prolonging its key; the key has half of its life left at the first.
KEEPALIVE_RETRY_S = 60.0
# A subscription without an answer for so long is asked for again.
PRIVATE_ANSWER_S = 4.0
# Calls over the websocket without an answer; more than this many means that answers no longer come.
CALLS_MAX = 10_000


class _OrderSession(WsSession):
    """A session whose frames can be written without a task: there is no least time between two orders."""

    def send_now(self, text: str) -> bool:
        """Write one frame; False while there is no connection."""
        return self._write(self._socket, text)

    def send_newest(self, text: str) -> bool:
        """Write one frame that must outlive a handover under way, on the connection that takes over."""
        return self._write(self._newest or self._socket, text)

    def _write(self, socket: WsSocket | None, text: str) -> bool:
        if socket is None or not socket.is_open:
            return False
        if self._gate is not None:
            self._gate.request()
        socket.send(text)
        return True


class VenueLine:
    """Everything between the engine's requests and the venue: signing, two websockets, HTTP, the venue's clock."""

    def __init__(
        self,
        *,
        account: VenueAccount,
        dialect: TradingDialect,
        rest_dialect: TradingDialect,
        http: HttpClient,
        host: ActorHost,
        on_event: Callable[[VenueEvent, int], None],
    ) -> None:
        """`rest_dialect` speaks HTTP only: cancels still leave while the order connection is down."""
        self._account = account
        self._dialect = dialect
        self._rest_dialect = rest_dialect
        self._http = http
        self._host = host
        self._clock: Clock = host.clock
        self._on_event = on_event
        self._spawn = host.spawn
        self._rng = host.rng
        self._orders: _OrderSession | None = None
        # call id -> request that left over the order websocket and has no answer, oldest first
        self._calls: dict[str, VenueRequest] = {}
        self._offset_ms = 0
        self._syncing = False
        self._connection_no = 0
        self._private_up = False
        self._private_call_id = ""
        self._private_asked = False  # a subscription on the order connection has no answer yet
        self._private_moves = False  # the order connection is being replaced: subscribe on the new one at once
        self._private_lost = asyncio.Event()
        self._order_up = asyncio.Event()
        self.unparsed_count = 0

    # --- out --------------------------------------------------------------------------------------------------

    def send(self, request: VenueRequest) -> None:
        """Sign and write now. What cannot be written is answered at once by a refusal."""
        dialect = self._dialect
        if isinstance(request, VenueCancel) and self._orders is not None and not self._orders.is_up:
            dialect = self._rest_dialect
        call = dialect.encode(request, timestamp_ms=self._timestamp_ms())
        if isinstance(call, WsCall):
            self._calls[call.call_id] = request
            if len(self._calls) > CALLS_MAX:
                del self._calls[next(iter(self._calls))]
            if self._orders is None or not self._orders.send_now(call.frame):
                del self._calls[call.call_id]
                self._refuse(request, FaultKind.BUSY, "order connection down")
            return
        self._spawn(self._call(dialect, request, call), name="http")

    async def _call(self, dialect: TradingDialect, request: VenueRequest, call: HttpRequest) -> None:
        def is_partial(answer: HttpAnswer) -> bool:
            """Are the order counts alone full? Cancels over the same client must go on."""
            code = limits_of(self._account.venue).orders_full_code
            events = dialect.decode_http(request, answer.status, answer.headers, answer.body)
            return any(isinstance(event, VenueReject) and event.code == code for event in events)

        try:
            answer = await self._http.call(call, is_partial=is_partial)
        except HttpUnanswered as error:
            if error.sent:
                self._refuse(request, FaultKind.UNKNOWN_OUTCOME, str(error))
            elif error.wait_s:
                self._refuse(request, FaultKind.RATE_LIMIT, str(error), int(error.wait_s * 1000))
            else:
                self._refuse(request, FaultKind.BUSY, str(error))
            return
        recv_ns = self._clock.now_ns()
        for event in dialect.decode_http(request, answer.status, answer.headers, answer.body):
            self._on_event(event, recv_ns)

    def _refuse(self, request: VenueRequest, kind: FaultKind, text: str, wait_ms: int = 0) -> None:
        reject = VenueReject(
            request.request_no,
            kind,
            0,
            text,
            getattr(request, "symbol", ""),
            getattr(request, "client_id", ""),
            wait_ms,
        )
        self._on_event(reject, self._clock.now_ns())

    def _timestamp_ms(self) -> int:
        return self._clock.wall_ns() // NS_PER_MS + self._offset_ms

    # --- life -------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Measure the venue's clock, then connect; returns once the connections are being kept up."""
        await self.sync_clock()
        if self._account.order_url:
            plan = StreamPlan("orders", self._account.order_url, (), (), max_age_s=MAX_AGE_S)
            self._orders = _OrderSession(
                plan=plan,
                on_frame=self._order_frame,
                on_state=self._order_state,
                clock=self._clock,
                rng=self._rng,
                gate=self._host.gate,
            )
            self._on_event(StreamDown(StreamKind.ORDER, "connecting"), self._clock.now_ns())
            self._spawn(self._orders.run(), name="orders")
        self._spawn(self._keep_private(), name="private")
        self._spawn(self._keep_clock(), name="clock")

    async def close(self) -> None:
        if self._orders is not None:
            await self._orders.close()
        await self._http.close()

    async def instruments(self) -> list[Instrument]:
        """What the venue trades now, of this run's symbols. `HttpUnanswered` or `VenueFault` where it does not tell."""
        dialect = market_dialect(self._account.venue)
        answer = await self._http.call(dialect.instruments_request())
        if not answer.is_ok:
            raise HttpUnanswered(f"HTTP {answer.status}: {answer.body[:200].decode(errors='replace')}", sent=True)
        return dialect.decode_instruments(answer.body, self._host.run.symbols)

    @property
    def offset_ms(self) -> int:
        """Venue's clock less ours."""
        return self._offset_ms

    async def sync_clock(self) -> None:
        """Measure the venue's clock; the sample with the shortest way counts. A failure keeps the old offset."""
        if self._syncing:
            return
        self._syncing = True
        best_ns = 0
        try:
            for _ in range(CLOCK_SAMPLES):
                query = VenueTimeQuery(0)
                call = self._rest_dialect.encode(query, timestamp_ms=self._timestamp_ms())
                if not isinstance(call, HttpRequest):
                    raise OurFault(f"{self._account.venue}: the time is asked over HTTP")
                began_ns, began_wall_ns = self._clock.now_ns(), self._clock.wall_ns()
                try:
                    answer = await self._http.call(call)
                except HttpUnanswered:
                    continue
                took_ns = self._clock.now_ns() - began_ns
                for event in self._rest_dialect.decode_http(query, answer.status, answer.headers, answer.body):
                    if isinstance(event, VenueTime) and (not best_ns or took_ns < best_ns):
                        best_ns = took_ns
                        # Half the way: the stamp may be early by that much, which the venue accepts; late it does not.
                        self._offset_ms = event.server_ms - (began_wall_ns + took_ns // 2) // NS_PER_MS
        finally:
            self._syncing = False

    async def _keep_clock(self) -> None:
        while True:
            await self._host.sleep(CLOCK_SYNC_S)
            await self.sync_clock()

    # --- order connection ---------------------------------------------------------------------------------------

    def _order_state(self, up: bool, reason: str) -> None:
        now_ns = self._clock.now_ns()
        if up:
            self._connection_no += 1
            self._on_event(StreamUp(StreamKind.ORDER, self._connection_no), now_ns)
            self._order_up.set()
            if reason == OVERLAP and self._private_call_id:
                # Private events hang on this connection: subscribe on the new one before the old one goes.
                self._private_moves = True
                self._private_lost.set()
            return
        self._order_up.clear()
        self._on_event(StreamDown(StreamKind.ORDER, reason), now_ns)
        lost, self._calls = self._calls, {}
        for request in lost.values():
            self._refuse(request, FaultKind.UNKNOWN_OUTCOME, f"order connection lost: {reason}")
        if self._private_call_id:
            self._private_down(reason)

    def _order_frame(self, frame: str | bytes, recv_ns: int) -> None:
        try:
            call_id = self._dialect.reply_call_id(frame)
            if call_id is None:
                self._private_events(frame, recv_ns)
                return
            if call_id == self._private_call_id and call_id not in self._calls:
                self._private_asked = False
                self._dialect.private_url(200, frame)
                self._private_is_up(recv_ns)
                return
            request = self._calls.pop(call_id, None)
            if request is None:
                return  # answered twice, or after its connection was given up
            for event in self._dialect.decode_reply(request, frame):
                self._on_event(event, recv_ns)
        except VenueFault as error:
            self.unparsed_count += 1
            if "user stream" in str(error):
                self._private_down(str(error))

    # --- private stream -------------------------------------------------------------------------------------------

    async def _keep_private(self) -> None:
        """Open the private stream, again and again: a key or a connection that ends is replaced."""
        wait_s = PRIVATE_WAIT_S
        while True:
            self._private_lost.clear()
            self._private_moves = False
            began_ns = self._clock.now_ns()
            session = None
            try:
                session = await self._open_private()
            except (HttpUnanswered, VenueFault) as error:
                self._private_down(str(error))
            else:
                await self._until_private_lost()
            if session is not None:
                await session.close()
            if self._private_moves:
                continue  # the old connection goes in a few seconds
            if self._clock.now_ns() - began_ns > 30 * NS_PER_S:
                wait_s = PRIVATE_WAIT_S
            await self._host.sleep(wait_s * (0.5 + self._rng.random() / 2))
            wait_s = min(PRIVATE_WAIT_MAX_S, wait_s * 2)

    async def _open_private(self) -> WsSession | None:
        call = self._dialect.private_open(timestamp_ms=self._timestamp_ms())
        if isinstance(call, WsCall):
            await self._order_up.wait()
            self._private_call_id = call.call_id
            call = self._dialect.private_open(timestamp_ms=self._timestamp_ms())  # with a stamp of now
            if self._orders is None or not isinstance(call, WsCall) or not self._orders.send_newest(call.frame):
                raise VenueFault(f"{self._account.venue}: user stream: no order connection to subscribe on")
            self._private_asked = True
            return None
        answer = await self._http.call(call)
        url = self._dialect.private_url(answer.status, answer.body)
        if url is None:
            raise VenueFault(f"{self._account.venue}: user stream: the venue named no address")
        session = WsSession(
            plan=StreamPlan("private", url, (), (), max_age_s=MAX_AGE_S),
            on_frame=self._private_frame,
            on_state=self._private_state,
            clock=self._clock,
            rng=self._rng,
            gate=self._host.gate,
        )
        self._spawn(session.run(), name="private_session")
        return session

    async def _until_private_lost(self) -> None:
        """Keep the stream alive until it ends or the venue refuses to prolong it."""
        if self._private_asked and self._host.gate is None:  # in lock-step every request is answered
            if await self._host.wait(self._private_lost, PRIVATE_ANSWER_S):
                return
            if self._private_asked:
                self._private_down("user stream: no answer to the subscription")
                return
        interval_s = wait_s = self._dialect.private_keepalive_ms / 1000 or None
        while True:
            if await self._host.wait(self._private_lost, wait_s):
                return
            wait_s = interval_s
            call = self._dialect.private_keepalive(timestamp_ms=self._timestamp_ms())
            if call is None:
                continue
            try:
                answer: HttpAnswer = await self._http.call(call)
            except HttpUnanswered:
                wait_s = KEEPALIVE_RETRY_S
                continue
            if _is_final(answer.status):
                self._private_down(f"keep-alive refused with status {answer.status}")
                return
            if not answer.is_ok:
                wait_s = KEEPALIVE_RETRY_S

    def _private_state(self, up: bool, reason: str) -> None:
        if up and reason == OVERLAP:
            return
        if up:
            self._private_is_up(self._clock.now_ns())
        else:
            self._private_down(reason)

    def _private_frame(self, frame: str | bytes, recv_ns: int) -> None:
        try:
            self._private_events(frame, recv_ns)
        except VenueFault:
            self.unparsed_count += 1

    def _private_events(self, frame: str | bytes, recv_ns: int) -> None:
        for event in self._dialect.decode_private(frame):
            if not isinstance(event, StreamDown):
                self._on_event(event, recv_ns)
            elif event.stream is not StreamKind.ORDER:
                self._private_down(event.reason)
            elif self._orders is not None:
                # Told ahead of a restart: the old connection serves until the new one does, spot's user stream moves.
                self._orders.reconnect(event.reason)

    def _private_is_up(self, recv_ns: int) -> None:
        self._private_up = True
        self._connection_no += 1
        self._on_event(StreamUp(StreamKind.PRIVATE, self._connection_no), recv_ns)

    def _private_down(self, reason: str) -> None:
        self._private_lost.set()
        if self._private_up:
            self._private_up = False
            self._on_event(StreamDown(StreamKind.PRIVATE, reason), self._clock.now_ns())


def _is_final(status: int) -> bool:
    """Whether a refused keep-alive says that the key is gone; a venue that is busy or limits us says nothing of it."""
    return 400 <= status < 500 and status not in (408, 418, 429)
