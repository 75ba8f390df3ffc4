"""Sockets of one simulated venue: REST, stream websockets, websocket API, on one port of 127.0.0.1.

Path of a request: bytes → dialect (`http`, `ws_api`) → `VenueAnswers` → exchange or ledger → dialect → bytes. Path of a
public event: exchange → `Desk` → `StreamWriter` → `StreamHub` → the same bytes to every listener.
Connection rules follow the venue's: streams per connection, incoming messages a second, pings that want a pong, a
stream only on its own route; see the constants.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Protocol

from aiohttp import WSCloseCode, WSMsgType, web

from actors.sim.messages import Disconnect, Exchange, Private, Scope
from actors.transport.step_plan import CALL_HEADER, PEER_HEADER
from actors.transport.venue_answers import VenueAnswers
from actors.transport.venue_desk import Desk, VenueClock
from actors.transport.venue_frames import text_frame
from actors.transport.venue_hub import Listener, StreamHub
from actors.transport.venue_limits import MessageLimiter, Refusal, WeightLimiter
from actors.transport.venue_pulse import BEAT_MS, VenuePulse
from actors.transport.venue_steps import StepDoor, inside
from actors.transport.venue_users import UserStreams
from actors.venues.binance.calls import Call, Done, MarketQuery, Reply, StreamCommand
from actors.venues.binance.server import BinanceServer, wrap_private
from actors.vocab.errors import ConfigError
from actors.vocab.instruments import Market
from actors.vocab.units import NS_PER_MS, NS_PER_S
from actors.vocab.venue_io import FaultKind, MarketEvent, StreamDown, StreamKind

log = logging.getLogger(__name__)

# web-socket-streams.md "General information" and the USD-M "Connect" page, read 2026-07.
STREAMS_PER_CONNECTION_MAX = 1024
MESSAGES_PER_S_MAX = {"spot": 5, "perp": 10}
# The websocket API has no such limit (weights rule there); this one only stops a runaway loop.
API_MESSAGES_PER_S_MAX = 1_000
PING_INTERVAL_S = {"spot": 20.0, "perp": 180.0}
PONG_TIMEOUT_S = {"spot": 60.0, "perp": 600.0}
WEIGHT_1M_MAX = {"spot": 6_000, "perp": 2_400}
CONNECTION_AGE_MAX_S = 24 * 3_600.0
MESSAGE_BYTES_MAX = 256 * 1024
KEEP_INTERVAL_S = 1.0
# `/stream.binance.com:9443/ws` is read as `/ws`: some clients tell the venue's services apart by parts of the real host
# name, which may so be kept in an address of ours.
_HOST_PREFIX = re.compile(r"/[a-z0-9-]+\.[a-z0-9.:-]+(?=/)")
_SESSION = '"session.'
PRIVATE_ROUTE = "private"
API_PATHS = ("/ws-api/", "/ws-fapi/")


class _Socket:
    """One websocket of the venue, streams or API."""

    def __init__(self, ws: web.WebSocketResponse, listener: Listener, messages: MessageLimiter, now_s: float) -> None:
        self.ws = ws
        self.listener = listener
        self.messages = messages
        self.opened_s = now_s
        self.pinged_s = now_s
        self.heard_s = now_s  # last pong, or the opening; the connection ends when that is too long ago
        self.logon = ""  # account of `session.logon`, API only


class Source(Protocol):
    """The venue that this one repeats (paper trading)."""

    @property
    def is_up(self) -> bool:
        """Do its streams come? Without them this venue takes no stream connection either."""
        ...

    def is_ready(self, symbol: str) -> bool:
        """Has its book been joined?"""
        ...

    async def ask(self, path_query: str, weight: int) -> Reply | None:
        """Public data; None where it cannot be had now."""
        ...


class VenueServer:
    """One venue market on one port. `start` binds, `stop` hangs up on everybody."""

    def __init__(
        self,
        *,
        dialect: BinanceServer,
        exchange: Exchange,
        clock: VenueClock,
        market: Market,
        recorded_depth: Callable[[str], bytes | None] | None = None,
        door: StepDoor | None = None,
        weight_1m_max: int = 0,
        source: Source | None = None,
    ) -> None:
        """`door`: where requests wait for their step, in lock-step. `weight_1m_max` 0: the venue's own limit. `source`
        answers what the exchange does not know."""
        self.venue = exchange.venue
        self.exchange = exchange
        self.dialect = dialect
        self.hub = StreamHub(dialect.route_of)
        self.users = UserStreams(wrap_private)
        self.desk = Desk(
            exchange,
            clock,
            on_public=self._publish,
            on_private=self._tell,
            on_disconnect=self.disconnect,
            on_turn_end=self.flush,
        )
        self._source = source
        self.answers = VenueAnswers(
            dialect=dialect,
            desk=self.desk,
            users=self.users,
            recorded_depth=recorded_depth,
            is_ready=source.is_ready if source is not None else None,
        )
        self.counters: Counter[str] = Counter()
        self._clock = clock
        self._market: Market = market
        self._weight_1m_max = weight_1m_max or WEIGHT_1M_MAX[market]
        self._weights: dict[str, WeightLimiter] = {}  # client address -> its weight
        self._sockets: dict[int, _Socket] = {}  # connection number -> socket, streams and API alike
        self._connection_no = 0
        self.door = door
        self._frames_retired: Counter[str] = Counter()  # role -> frames of its closed connections
        self._runner: web.ServerRunner | None = None
        self._keeper: asyncio.Task[None] | None = None
        # What is recorded or repeated shows itself; a venue that makes its market shows how it stands.
        own = recorded_depth is None and source is None and door is None
        self._pulse = (
            VenuePulse(exchange=exchange, dialect=dialect, hub=self.hub, ticker=self.answers.ticker) if own else None
        )
        self._pulser: asyncio.Task[None] | None = None

    async def start(self, *, host: str = "127.0.0.1", port: int = 0) -> int:
        """Bind and serve; returns the port. ConfigError when it is taken."""
        self._runner = web.ServerRunner(web.Server(self._serve, access_log=None), shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port)
        try:
            await site.start()
        except OSError as error:
            await self._runner.cleanup()
            taken = error.errno in (errno.EADDRINUSE, errno.EACCES)
            why = "is in use" if error.errno == errno.EADDRINUSE else (error.strerror or "cannot be bound")
            raise ConfigError(
                f"port {port} on {host} {why}; choose another with --port{', or 0 for a free one' if taken else ''}"
            ) from None
        self.desk.start()
        self._keeper = asyncio.get_running_loop().create_task(self._keep(), name=f"keeper:{self.venue}")
        if self._pulse is not None:
            self._pulser = asyncio.get_running_loop().create_task(self._beat(self._pulse), name=f"pulse:{self.venue}")
        bound = self._runner.addresses[0]
        return int(bound[1])

    async def stop(self) -> None:
        self.desk.stop()
        for task in (self._keeper, self._pulser):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        for socket in list(self._sockets.values()):
            await socket.ws.close(code=WSCloseCode.GOING_AWAY, message=b"venue stops")
        if self._runner is not None:
            await self._runner.cleanup()

    def listeners(self) -> list[Listener]:
        """Every open websocket."""
        return [socket.listener for socket in self._sockets.values()]

    def frames_count(self, role: str) -> int:
        """Websocket messages sent so far to the connections of `role`, closed ones included. Lock-step only."""
        count = self._frames_retired[role]
        for socket in self._sockets.values():
            if socket.listener.role == role:
                count += socket.listener.frames_count
        return count

    def send_token(self, role: str, payload: bytes) -> bool:
        """Lock-step: queue a token behind the frames of `role`; `flush` sends it. False where nothing of it listens."""
        return self.hub.send_token(role, payload)

    @property
    def unanswered_count(self) -> int:
        return self.desk.unanswered_count

    def expire_keys(self) -> None:
        """End the private streams whose listen key has run out."""
        for account in self.users.expired(self._clock.now_ns()):
            self._tell(Private(account, StreamDown(stream=StreamKind.PRIVATE, reason="listenKeyExpired")))

    def status(self) -> dict[str, Any]:
        """Counters, JSON-able."""
        return {
            "venue": self.venue,
            "connections_count": len(self._sockets),
            "frames_sent_count": self.hub.frames_sent_count,
            "private_frames_count": self.users.frames_count,
            "slow_dropped_count": self.hub.slow_dropped_count,
            **{f"{name}_count": count for name, count in sorted(self.counters.items())},
        }

    # --- what the exchange says ----------------------------------------------------------------------------------

    def _publish(self, events: Sequence[MarketEvent]) -> None:
        dialect, hub = self.dialect, self.hub
        self.counters["public_events"] += len(events)
        for event in events:
            for stream in hub.wanted(dialect.streams_of(event)):
                hub.publish(stream, dialect.frame_of(event, stream))

    def _tell(self, told: Private) -> None:
        if self.users.listeners(told.account):
            self.users.send(told.account, self.answers.private_frames(told))

    def disconnect(self, fault: Disconnect) -> None:
        """Hang up without a goodbye: an injected fault."""
        if fault.scope is Scope.PUBLIC:
            listeners = list(self.hub.listeners)
        elif fault.scope is Scope.PRIVATE:
            listeners = self.users.listeners(fault.account)
        else:
            streams = set(self.hub.listeners)
            listeners = [listener for listener in self.listeners() if listener not in streams]
        for listener in listeners:
            self.counters["disconnects_injected"] += 1
            listener.transport.abort()

    def hang_up(self) -> None:
        """End all connections of public streams."""
        for listener in self.hub.listeners:
            if listener.route != PRIVATE_ROUTE:
                listener.transport.abort()

    def flush(self) -> None:
        """Write everything that waits for public listeners."""
        for listener in self.hub.flush():
            if listener.too_slow:
                log.warning("dropped a slow listener", extra={"venue": self.venue, "peer": listener.peer})

    # --- requests ------------------------------------------------------------------------------------------------

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        path, _, query = request.raw_path.partition("?")
        path = _HOST_PREFIX.sub("", path, count=1)
        if request.headers.get("Upgrade", "").lower() == "websocket":
            if path.startswith(API_PATHS):
                return await self._serve_api(request)
            return await self._serve_streams(request, path, query)
        return await self._serve_http(request, path, query)

    async def _serve_http(self, request: web.BaseRequest, path: str, query: str) -> web.StreamResponse:
        body = await request.read()
        role = request.headers.get(PEER_HEADER, "")
        if self.door is not None:
            await self.door.enter_http(role, request.headers.get(CALL_HEADER, ""))
        with inside(self.door, role, http=True):
            return await self._answer_http(request, path, query, body)

    async def _answer_http(self, request: web.BaseRequest, path: str, query: str, body: bytes) -> web.StreamResponse:
        now_ns = self._clock.now_ns()
        self.counters["http_requests"] += 1
        call = self.dialect.http(
            request.method,
            path,
            query,
            {name.lower(): value for name, value in request.headers.items()},
            body,
            now_ms=now_ns // NS_PER_MS,
            request_no=self.desk.next_request_no(),
        )
        limiter = self._limiter(request.remote or "")
        refusal = limiter.take(self.dialect.weight_of(call), now_ns)
        if refusal:
            reply = self._refused(call, refusal)
        elif self._source is not None and isinstance(call, MarketQuery) and call.kind != "depth":
            found = await self._source.ask(f"{path}?{query}" if query else path, self.dialect.weight_of(call))
            reply = found or self.dialect.refuse(call, FaultKind.BUSY)
        else:
            reply = await self.answers.answer(call, connection=0)
        headers = {"Content-Type": "application/json", **dict(reply.headers)}
        headers["X-MBX-USED-WEIGHT-1M"] = str(limiter.used)
        return web.Response(status=reply.status, body=reply.body, headers=headers)

    def _refused(self, call: Call, refusal: Refusal) -> Reply:
        self.counters[f"refused_{refusal.status}"] += 1
        kind = FaultKind.BANNED if refusal.status == 418 else FaultKind.RATE_LIMIT
        return self.dialect.refuse(
            call, kind, refusal.code, refusal.text, retry_after_s=refusal.retry_after_s, status=refusal.status
        )

    def _limiter(self, address: str) -> WeightLimiter:
        return self._weights.setdefault(address, WeightLimiter(weight_1m_max=self._weight_1m_max))

    # --- streams -------------------------------------------------------------------------------------------------

    async def _serve_streams(self, request: web.BaseRequest, path: str, query: str) -> web.StreamResponse:
        dial = self.dialect.stream_dial(path, query)
        if dial is None:
            return web.Response(status=404, text="no such stream path, or a timeUnit that is not served")
        if self._source is not None and not self._source.is_up and dial.route != PRIVATE_ROUTE:
            return web.Response(status=503, text="the venue behind this one is not connected")
        socket = await self._open(
            request, route=dial.route, combined=dial.combined, per_s=MESSAGES_PER_S_MAX[self._market]
        )
        listener = socket.listener
        self.hub.attach(listener)
        try:
            if dial.listen_key:
                account = self.users.owner(dial.listen_key, self._clock.now_ns())
                if not account:
                    await socket.ws.close(code=WSCloseCode.POLICY_VIOLATION, message=b"invalid listenKey")
                    return socket.ws
                self.users.attach(listener, account)
            if not self._may_add(listener, dial.streams):
                await socket.ws.close(code=WSCloseCode.POLICY_VIOLATION, message=b"too many streams")
                return socket.ws
            self.hub.subscribe(listener, dial.streams)
            async for text in self._messages(socket):
                if not self._obey(listener, self.dialect.stream_command(text)):
                    await socket.ws.close(code=WSCloseCode.POLICY_VIOLATION, message=b"too many streams")
        finally:
            self.hub.detach(listener)
            self._closed(socket)
        return socket.ws

    def _obey(self, listener: Listener, command: StreamCommand) -> bool:
        """Carry out one SUBSCRIBE, UNSUBSCRIBE, LIST … ; False when the connection must be closed."""
        if command.method == "SUBSCRIBE":
            if not self._may_add(listener, command.streams):
                return False
            self.hub.subscribe(listener, command.streams)
        elif command.method == "UNSUBSCRIBE":
            self.hub.unsubscribe(listener, command.streams)
        elif command.combined is not None:
            listener.combined = command.combined
        ack = command.ack or self.dialect.stream_list_ack(command, tuple(listener.streams), combined=listener.combined)
        self.hub.send(listener, ack)
        self.flush()
        return True

    def _may_add(self, listener: Listener, streams: Sequence[str]) -> bool:
        return len(listener.streams.keys() | set(streams)) <= STREAMS_PER_CONNECTION_MAX

    # --- websocket API -------------------------------------------------------------------------------------------

    async def _serve_api(self, request: web.BaseRequest) -> web.StreamResponse:
        if not self.dialect.time_unit_ok(request.query.get("timeUnit", "")):
            return web.Response(status=404, text="a timeUnit that is not served")
        socket = await self._open(request, route="", combined=False, per_s=API_MESSAGES_PER_S_MAX)
        # Requests of one connection are carried out as they come and answered as they finish, as at the venue.
        tasks: set[asyncio.Task[None]] = set()
        address = request.remote or ""
        try:
            async for text in self._messages(socket):
                task = asyncio.get_running_loop().create_task(self._answer_api(socket, text, address))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
        finally:
            for task in tasks:
                task.cancel()
            self._closed(socket)
        return socket.ws

    async def _answer_api(self, socket: _Socket, text: str, address: str) -> None:
        if self.door is not None:
            await self.door.enter_ws(socket.listener.role)
        with inside(self.door, socket.listener.role, http=False):
            await self._answer_api_now(socket, text, address)

    async def _answer_api_now(self, socket: _Socket, text: str, address: str) -> None:
        now_ns = self._clock.now_ns()
        self.counters["api_requests"] += 1
        call = self.dialect.ws_api(
            text,
            now_ms=now_ns // NS_PER_MS,
            request_no=self.desk.next_request_no(),
            logon=socket.logon,
        )
        limiter = self._limiter(address)
        if isinstance(call, Done) and _SESSION in text:  # other ready answers say nothing about who is logged on
            socket.logon = call.logon
        refusal = limiter.take(self.dialect.weight_of(call), now_ns)
        reply = (
            self._refused(call, refusal)
            if refusal
            else await self.answers.answer(call, connection=socket.listener.number, listener=socket.listener)
        )
        reply = self.dialect.with_weight(reply, limiter.used)
        socket.listener.queue(text_frame(reply.body))
        socket.listener.flush()

    # --- websockets of both kinds --------------------------------------------------------------------------------

    async def _open(self, request: web.BaseRequest, *, route: str, combined: bool, per_s: int) -> _Socket:
        ws = web.WebSocketResponse(autoping=False, compress=False, max_msg_size=MESSAGE_BYTES_MAX)
        await ws.prepare(request)
        transport = request.transport
        if transport is None:  # hung up during the handshake
            raise ConnectionResetError("client hung up during the websocket handshake")
        self._connection_no += 1
        self.counters["connections_opened"] += 1
        listener = Listener(
            number=self._connection_no,
            transport=transport,
            route=route,
            combined=combined,
            role=request.headers.get(PEER_HEADER, ""),
        )
        socket = _Socket(ws, listener, MessageLimiter(per_s), asyncio.get_running_loop().time())
        self._sockets[listener.number] = socket
        return socket

    def _closed(self, socket: _Socket) -> None:
        self.users.unsubscribe(socket.listener)
        if self._sockets.pop(socket.listener.number, None) is not None:
            self._frames_retired[socket.listener.role] += socket.listener.frames_count

    async def _messages(self, socket: _Socket) -> AsyncIterator[str]:
        """Text messages until the connection ends; pings are answered, too many messages end it."""
        async for message in socket.ws:
            if message.type in (WSMsgType.TEXT, WSMsgType.PING, WSMsgType.PONG):
                # By the loop's time: a venue whose clock a recording holds would see them all at one moment.
                if not socket.messages.take(int(asyncio.get_running_loop().time() * NS_PER_S)):
                    self.counters["too_many_messages"] += 1
                    await socket.ws.close(code=WSCloseCode.POLICY_VIOLATION, message=b"Too many requests")
                    return
                if message.type is WSMsgType.TEXT:
                    yield message.data
                elif message.type is WSMsgType.PING:
                    await socket.ws.pong(message.data)
                else:
                    socket.heard_s = asyncio.get_running_loop().time()
            elif message.type is WSMsgType.BINARY:
                await socket.ws.close(code=WSCloseCode.UNSUPPORTED_DATA, message=b"text only")
                return

    async def _beat(self, pulse: VenuePulse) -> None:
        """Send the streams that go by the clock, at whole beats of it."""
        while True:
            late_ms = self._clock.now_ns() / NS_PER_MS % BEAT_MS
            await asyncio.sleep((BEAT_MS - late_ms) / 1000)
            try:
                if pulse.beat(self._clock.now_ns()):
                    self.flush()
            except Exception as error:
                if self.desk.on_failure is None:
                    raise
                self.desk.on_failure(error)
                return

    async def _keep(self) -> None:
        """Ping, and close connections that do not answer, are too old, or whose listen key ran out."""
        ping_s, timeout_s = PING_INTERVAL_S[self._market], PONG_TIMEOUT_S[self._market]
        while True:
            await asyncio.sleep(KEEP_INTERVAL_S)
            now_s = asyncio.get_running_loop().time()
            if self.door is None or not self.door.shut:
                self.expire_keys()
            for socket in list(self._sockets.values()):
                if now_s - socket.heard_s > timeout_s or now_s - socket.opened_s > CONNECTION_AGE_MAX_S:
                    self.counters["connections_expired"] += 1
                    socket.listener.transport.abort()
                elif now_s - socket.pinged_s > ping_s:
                    socket.pinged_s = now_s
                    with contextlib.suppress(ConnectionError):
                        await socket.ws.ping(str(self._clock.now_ns() // NS_PER_MS).encode())
