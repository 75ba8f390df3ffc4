"""One public websocket connection kept alive for as long as its actor lives.

    dial ─> open ─> subscribe ─> frames … ─> lost ─> wait (jittered, capped, never shorter than Retry-After) ─> dial …
                       │
                       └ before the venue's maximum age, or when asked to: dial a second socket, let both deliver for a
                         few seconds, close the first. Frames come twice then; whoever reads them drops repetitions.

Never gives up. Every frame is handed over synchronously, so nothing is queued here: memory is one message.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final, cast

from websockets.exceptions import InvalidHandshake

from actors.transport.backoff import VenueBackoff
from actors.transport.step_gate import StepGate
from actors.transport.step_plan import PEER_HEADER
from actors.transport.ws_socket import PING_PAYLOAD, Refused, WsSocket, open_socket
from actors.venues.dialect import StreamPlan
from actors.vocab import codec
from actors.vocab.clock import Clock
from actors.vocab.control import FrameToken
from actors.vocab.errors import OurFault, check
from actors.vocab.units import NS_PER_S

# `on_state(True, OVERLAP)`: a second socket took over while the first still delivered, so nothing is missing.
OVERLAP: Final = "overlap"

FIRST_WAIT_S: Final = 0.25
# A venue that cannot be reached costs it nothing: short waits, so that quotes are back within 3 s of its return.
UNREACHABLE_WAIT_S: Final = 2.0
# One that answers counts the attempt: Binance allows 300 in five minutes and address. Two connections at a mean wait
# of 3 s make 200.
REFUSED_WAIT_S: Final = 4.0
# A connection that lived this long ends a row of failures.
STABLE_S: Final = 30.0
OPEN_TIMEOUT_S: Final = 10.0
# Nothing at all for this long, not even the answer to our pings: the connection is dead.
IDLE_TIMEOUT_S: Final = 20.0
PING_INTERVAL_S: Final = 6.0  # three unanswered pings make a dead connection
OVERLAP_S: Final = 5.0  # long enough for every stream of the new socket to have spoken
AGE_JITTER: Final = 0.05  # share of the maximum age, so that connections opened together do not renew together


class WsSession:
    """One `StreamPlan` kept connected.

    `on_frame(frame, recv_ns)` is called synchronously for each message, `on_state(up, reason)` at each change; a
    handover between two sockets is `on_state(True, OVERLAP)`. Both run on the loop; what they raise ends `run`.
    """

    def __init__(
        self,
        *,
        plan: StreamPlan,
        on_frame: Callable[[str | bytes, int], None],
        on_state: Callable[[bool, str], None],
        clock: Clock,
        rng: random.Random,
        open_timeout_s: float = OPEN_TIMEOUT_S,
        idle_timeout_s: float = IDLE_TIMEOUT_S,
        ping_interval_s: float = PING_INTERVAL_S,
        overlap_s: float = OVERLAP_S,
        stable_s: float = STABLE_S,
        sleep: Callable[[float], Awaitable[None]] | None = None,
        gate: StepGate | None = None,
    ) -> None:
        """`sleep` is a seam for tests: all waits go through it. By default a wait ends early at `close`.

        With `gate` (lock-step) frames and states are handed over in their step, frames with its time; the connection
        itself is looked after by the machine's clock.
        """
        self.plan = plan
        self.connects_count = 0
        self.overlaps_count = 0
        self.reason = "not connected yet"  # why there is no connection; empty while there is one
        self._gate = gate
        self._gated_frame, self._gated_state = on_frame, on_state
        self._on_frame = on_frame if gate is None else self._frame_in_step
        self._on_state = on_state if gate is None else self._state_in_step
        self._clock = clock if gate is None else gate.machine
        self._rng = rng
        self._open_timeout_s = open_timeout_s
        self._idle_timeout_s = idle_timeout_s
        self._ping_interval_s = ping_interval_s
        self._overlap_s = overlap_s
        self._stable_s = stable_s
        self._sleep = sleep or self._pause
        self._backoff = VenueBackoff(first_s=FIRST_WAIT_S, max_s=UNREACHABLE_WAIT_S, rng=rng)
        self._socket: WsSocket | None = None
        self._newest: WsSocket | None = None  # during a handover, once it is open: the socket that takes over
        self._refused_until_ns = 0  # the venue refused the last dial and named a time
        self._renew = asyncio.Event()
        self._renew_reason = ""
        self._closing = asyncio.Event()
        self._send_lock = asyncio.Lock()
        self._next_send_ns = 0

    # --- ours ----------------------------------------------------------------------------------------------------

    @property
    def is_up(self) -> bool:
        return self._socket is not None and self._socket.is_open

    async def run(self) -> None:
        """Stay connected until `close`. Raises only what `on_frame` or `on_state` raised."""
        try:
            while not self._closing.is_set():
                socket = await self._dial_until_open(self._closing.is_set)
                if socket is None:
                    return
                opened_ns = self._clock.now_ns()
                self._socket, self.reason = socket, ""
                self._on_state(True, "")
                self.reason = await self._serve(socket)
                self._socket = None
                self._on_state(False, self.reason)
                if self._clock.now_ns() - opened_ns > self._stable_s * NS_PER_S:
                    self._backoff.reset()
                if not self._closing.is_set():
                    # Named to a handover that was given up, it holds for the next dial as well.
                    refused_s = max(0.0, (self._refused_until_ns - self._clock.now_ns()) / NS_PER_S)
                    await self._sleep(self._backoff.next_s(at_least_s=refused_s))
        finally:
            for left in (self._newest, self._socket):
                if left is not None:
                    left.abort("session ended")
            self._newest = self._socket = None

    async def send(self, text: str) -> None:
        """Write one frame, at least `frame_interval_ms` after the previous one; dropped while not connected."""
        await self._send_on(self._socket, text)

    def reconnect(self, reason: str) -> None:
        """Replace the connection by a new one, the old one serving until the new one does."""
        self._renew_reason = reason
        self._renew.set()

    async def close(self) -> None:
        """End `run`, with a closing handshake where there is a connection."""
        self._closing.set()
        # The newest first: a handover that found the old one gone would go on with it.
        for socket in (self._newest, self._socket):
            if socket is not None:
                await socket.close("closed by us")

    # --- lock-step -----------------------------------------------------------------------------------------------

    def _frame_in_step(self, frame: str | bytes, recv_ns: int) -> None:
        gate = self._gate
        if gate is not None:
            gate.frame(self.plan.name, lambda: self._gated_frame(frame, gate.clock.now_ns()))

    def _pong_in_step(self, payload: bytes) -> None:
        """The venue's token comes behind its frames as a pong that nobody asked for."""
        gate = self._gate
        if gate is not None and payload != PING_PAYLOAD:
            token = codec.decode(payload)
            check(isinstance(token, FrameToken), f"{gate.role}: a pong of {self.plan.name} is no token")
            gate.token(cast("FrameToken", token))

    def _state_in_step(self, up: bool, reason: str) -> None:
        gate = self._gate
        if gate is None:
            return
        if not up and gate.stepping and not self._closing.is_set():
            raise OurFault(f"{gate.role}: lost {self.plan.name} in lock-step, step {gate.step}: {reason}")
        gate.note(self.plan.name, partial(self._gated_state, up, reason))

    # --- inside --------------------------------------------------------------------------------------------------

    async def _dial_until_open(self, give_up: Callable[[], bool]) -> WsSocket | None:
        with self._gate.busy() if self._gate is not None else contextlib.nullcontext():
            return await self._dial(give_up)

    async def _dial(self, give_up: Callable[[], bool]) -> WsSocket | None:
        headers = {PEER_HEADER: self._gate.role} if self._gate is not None else None
        while not give_up():
            at_least_s = max_s = 0.0
            try:
                socket = await open_socket(
                    self.plan.url,
                    on_message=self._on_frame,
                    clock=self._clock,
                    timeout_s=self._open_timeout_s,
                    headers=headers,
                    on_pong=self._pong_in_step if self._gate is not None else None,
                )
            except Refused as error:
                self.reason = f"{self.plan.url}: {error}"
                at_least_s, max_s = error.retry_after_s, REFUSED_WAIT_S
                self._refused_until_ns = self._clock.now_ns() + int(at_least_s * NS_PER_S)
            except (OSError, TimeoutError, InvalidHandshake) as error:
                self.reason = f"{self.plan.url}: {error or type(error).__name__}"
            else:
                self.connects_count += 1
                self._refused_until_ns = 0
                if not give_up():
                    return socket
                socket.abort("not needed any more")
                return None
            await self._sleep(self._backoff.next_s(at_least_s=at_least_s, max_s=max_s))
        return None

    async def _serve(self, socket: WsSocket) -> str:
        """Subscribe and stay until the connection is lost for good; return why."""
        async with asyncio.TaskGroup() as tasks:
            subscribing = tasks.create_task(self._subscribe(socket))
            renew_at_ns = self._renew_at_ns()
            while True:
                renewing = tasks.create_task(self._renew.wait())
                ends: set[asyncio.Future[Any]] = {socket.closed, renewing}
                await asyncio.wait(
                    ends, timeout=self._seconds_to_next_look(renew_at_ns), return_when=asyncio.FIRST_COMPLETED
                )
                renewing.cancel()
                if socket.closed.done():
                    subscribing.cancel()
                    break
                self._look_after(socket)
                if self._renew.is_set() or (renew_at_ns and self._clock.now_ns() >= renew_at_ns):
                    socket = await self._hand_over(socket)
                    renew_at_ns = self._renew_at_ns()
        return socket.closed.result()

    def _look_after(self, socket: WsSocket) -> None:
        silent_ns = self._clock.now_ns() - socket.last_recv_ns
        if silent_ns > self._idle_timeout_s * NS_PER_S:
            socket.abort(f"silent for {silent_ns / NS_PER_S:.0f} s, pings unanswered")
        elif silent_ns > self._ping_interval_s * NS_PER_S * 0.9:
            socket.ping()

    def _seconds_to_next_look(self, renew_at_ns: int) -> float:
        wait_s = self._ping_interval_s
        if renew_at_ns:
            wait_s = min(wait_s, max(0.0, (renew_at_ns - self._clock.now_ns()) / NS_PER_S))
        return wait_s

    def _renew_at_ns(self) -> int:
        """When to replace the connection before the venue ends it; 0: never."""
        self._renew.clear()
        if not self.plan.max_age_s:
            return 0
        age_s = self.plan.max_age_s * (1 - AGE_JITTER * self._rng.random())
        return self._clock.now_ns() + int(age_s * NS_PER_S)

    async def _hand_over(self, old: WsSocket) -> WsSocket:
        """Make before break. Returns the socket that serves from now on: the old one if no other could be had."""
        new = await self._dial_beside(old)
        if new is None:
            return old  # lost meanwhile: a plain reconnect follows, which resyncs
        self._newest = new
        try:
            return await self._overlap(old, new)
        finally:
            self._newest = None

    async def _dial_beside(self, old: WsSocket) -> WsSocket | None:
        """Dial while the old socket serves and is looked after; None once it is gone, however long the venue refuses
        another one."""
        dialling = asyncio.ensure_future(self._dial_until_open(lambda: self._closing.is_set() or old.closed.done()))
        try:
            while not (dialling.done() or old.closed.done()):
                ends: set[asyncio.Future[Any]] = {dialling, old.closed}
                await asyncio.wait(ends, timeout=self._ping_interval_s, return_when=asyncio.FIRST_COMPLETED)
                self._look_after(old)
            return dialling.result() if dialling.done() else None
        finally:
            if dialling.cancel():
                await asyncio.wait({dialling})

    async def _overlap(self, old: WsSocket, new: WsSocket) -> WsSocket:
        self._on_state(True, OVERLAP)
        self.reason = ""
        await self._subscribe(new)
        await asyncio.wait({old.closed, new.closed}, timeout=self._overlap_s, return_when=asyncio.FIRST_COMPLETED)
        if new.closed.done():
            new.closed.result()  # raises what the reader of frames raised
            return old
        self._socket = new
        if old.closed.done():
            # Lost before the new one had time to speak on every stream: that may have cost frames.
            self._on_state(False, old.closed.result())
            self._on_state(True, "")
        self.overlaps_count += 1
        await old.close(self._renew_reason or "maximum age")
        self._renew_reason = ""
        return new

    async def _pause(self, wait_s: float) -> None:
        """Sleep, but not past `close`: a venue may have told us to stay away for days."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._closing.wait(), wait_s)

    async def _subscribe(self, socket: WsSocket) -> None:
        for frame in self.plan.subscribe_frames:
            await self._send_on(socket, frame)

    async def _send_on(self, socket: WsSocket | None, text: str) -> None:
        if socket is None:
            return
        async with self._send_lock:
            wait_ns = self._next_send_ns - self._clock.now_ns()
            if wait_ns > 0:
                await self._sleep(wait_ns / NS_PER_S)
            socket.send(text)
            self._next_send_ns = self._clock.now_ns() + self.plan.frame_interval_ms * 1_000_000
