"""Server and client: messages that must not be lost silently (orders, fills, leases).

A session is: the client connects under a routing id made of its incarnation, both sides send a `Greeting` that
names both incarnations, then messages flow. Whoever is idle sends a `Beat` five times per silence. A peer that is
silent, or whose connection breaks, is down; the client then dials again on its own, with a new session, so no
message of an old session is ever read in a new one.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from functools import partial

import zmq

from actors.transport.link_hub import Hub
from actors.transport.link_life import Backoff, Pulse
from actors.transport.link_wire import Frames, Wire
from actors.vocab import codec
from actors.vocab.control import Beat, FrameToken, Greeting, Member
from actors.vocab.message import Message
from actors.vocab.units import NS_PER_MS

PROTOCOL = 1  # +1 whenever two builds of this repository cannot talk to each other

# Per peer and direction. A venue takes a few thousand orders a minute, so a living peer never lets so many wait.
# Full: `send` returns False, counted; the caller's state stays, and its next decision tries again.
PEER_QUEUE_MAX = 20_000
SILENCE_MS = 1_500
# First wait covers a peer that restarts its socket; a second between later dials is slow enough for fifty diallers.
REDIAL_FIRST_S = 0.05
REDIAL_MAX_S = 1.0


class _Peer:
    """One session at the server."""

    __slots__ = ("greeting", "pulse", "routing_id")

    def __init__(self, routing_id: bytes, greeting: Greeting, pulse: Pulse) -> None:
        self.routing_id = routing_id
        self.greeting = greeting
        self.pulse = pulse


class Server:
    """ROUTER with mandatory routing: a send to somebody who is not there says so."""

    def __init__(
        self,
        hub: Hub,
        channel: str,
        *,
        on_message: Callable[[str, Message], None],
        on_peer: Callable[[Greeting, bool], None],
        silence_ms: int,
        stepped: bool = True,
    ) -> None:
        self._hub = hub
        self._gate = hub.gate if stepped else None
        self._on_message = on_message
        self._on_peer = on_peer
        self.silence_ns = silence_ms * NS_PER_MS
        # Both hold exactly the sessions that are up: by the routing id of the connection and by incarnation.
        self._by_id: dict[bytes, _Peer] = {}
        self._by_incarnation: dict[str, _Peer] = {}
        self._wire = hub.wire(zmq.ROUTER, self._on_frames, queue_max=PEER_QUEUE_MAX)
        self._wire.socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
        hub.bind(self._wire, channel)

    def send(self, peer_incarnation: str, message: Message) -> bool:
        """Queue `message` for a peer that is up. False: no such peer, or its queue is full; nothing was queued."""
        peer = self._by_incarnation.get(peer_incarnation)
        if peer is None:
            self._hub.counters.unroutable += 1
            return False
        sent = self._send(peer, message)
        if sent and self._gate is not None:
            self._gate.sent(peer.greeting.name)
        return sent

    @property
    def peers(self) -> list[Greeting]:
        """Who is up now."""
        return [peer.greeting for peer in self._by_incarnation.values()]

    def close(self) -> None:
        self._wire.close()

    def tick(self, now_ns: int, *, forgive: bool) -> None:
        """Beat to the idle, drop the silent."""
        for peer in list(self._by_id.values()):
            if forgive:
                peer.pulse.forgive(now_ns)
            if peer.pulse.is_silent(now_ns):
                self._lose(peer)
            elif peer.pulse.beat_due(now_ns):
                self._send(peer, Beat(*peer.pulse.next_beat()))

    def _send(self, peer: _Peer, message: Message) -> bool:
        try:
            self._wire.send([peer.routing_id, codec.encode(message)])
        except zmq.Again:
            self._hub.counters.full += 1
            return False
        except zmq.ZMQError as error:
            if error.errno != zmq.EHOSTUNREACH:
                raise
            # The connection is gone. Told later, so that no caller finds its peer list changed inside a send.
            self._hub.counters.unroutable += 1
            asyncio.get_running_loop().call_soon(self._lose_soon, peer)
            return False
        peer.pulse.sent(time.monotonic_ns())
        return True

    def _on_frames(self, frames: Frames) -> None:
        if len(frames) != 2:
            self._hub.counters.undecodable += 1
            return
        routing_id, payload = frames
        message = self._hub.decode(payload)
        if message is None:
            return
        if isinstance(message, Greeting):
            self._greet(routing_id, message)
            return
        peer = self._by_id.get(routing_id)
        if peer is None:
            self._hub.counters.refused += 1
            return
        peer.pulse.heard(time.monotonic_ns())
        if isinstance(message, Beat):
            peer.pulse.echo(message.beat_no)
        elif self._gate is None:
            self._on_message(peer.greeting.incarnation, message)
        else:
            greeting = peer.greeting
            self._gate.peer(greeting.name, message, partial(self._on_message, greeting.incarnation, message))

    def _greet(self, routing_id: bytes, greeting: Greeting) -> None:
        """Open a session if the greeting is meant for this life of ours; answer in any case, so the other knows."""
        own = routing_id.rpartition(b"#")[0] == greeting.incarnation.encode()
        if not own or greeting.to not in ("", self._hub.incarnation) or greeting.protocol != PROTOCOL:
            self._hub.counters.refused += 1
            self._answer(routing_id, greeting)
            return
        if not self._answer(routing_id, greeting):
            return
        before = self._by_incarnation.get(greeting.incarnation)
        if before is not None:
            self._lose(before)
        peer = _Peer(routing_id, greeting, Pulse(self.silence_ns, time.monotonic_ns()))
        self._by_id[routing_id] = peer
        self._by_incarnation[greeting.incarnation] = peer
        self._tell(greeting, came=True)

    def _answer(self, routing_id: bytes, greeting: Greeting) -> bool:
        hub = self._hub
        answer = Greeting(hub.name, hub.incarnation, hub.host, greeting.incarnation, PROTOCOL)
        try:
            self._wire.send([routing_id, codec.encode(answer)])
        except zmq.ZMQError as error:
            if error.errno not in (zmq.EHOSTUNREACH, zmq.EAGAIN):
                raise
            return False
        return True

    def _lose_soon(self, peer: _Peer) -> None:
        try:
            if not self._wire.closed:
                self._lose(peer)
        except Exception as error:
            self._hub.on_fault(error)

    def _lose(self, peer: _Peer) -> None:
        if self._by_id.pop(peer.routing_id, None) is None:
            return
        if self._by_incarnation.get(peer.greeting.incarnation) is peer:
            del self._by_incarnation[peer.greeting.incarnation]
        self._hub.counters.lost += 1
        self._tell(peer.greeting, came=False)

    def _tell(self, greeting: Greeting, *, came: bool) -> None:
        if self._gate is None:
            self._on_peer(greeting, came)
        else:
            self._gate.link(greeting.name, came, partial(self._on_peer, greeting, came))


class Client:
    """DEALER to one server at a time. Keeps dialling the member it was given until told otherwise."""

    def __init__(
        self,
        hub: Hub,
        *,
        on_message: Callable[[Message], None],
        on_state: Callable[[bool], None],
        silence_ms: int,
        stepped: bool = True,
    ) -> None:
        self._hub = hub
        self._gate = hub.gate if stepped else None
        self._name = ""  # of whom we dial
        self._on_message = on_message
        self._on_state = on_state
        self.silence_ns = silence_ms * NS_PER_MS
        self._loop = asyncio.get_running_loop()
        self._backoff = Backoff(REDIAL_FIRST_S, REDIAL_MAX_S)
        self._target: tuple[Member, str] | None = None
        self._dial: _Dial | None = None  # the attempt or session of now
        self._redial: asyncio.TimerHandle | None = None
        self.is_up = False
        self.peer: Greeting | None = None

    def dial(self, member: Member, channel: str) -> None:
        """Connect to this life of `member`, again and again until it answers; no-op when already doing so.

        A session with another peer is hung up first. `on_state(True)` comes once both greetings have passed.
        """
        if (
            self._target is not None
            and self._target[0].incarnation == member.incarnation
            and self._target[1] == channel
        ):
            self._target = (member, channel)
            return
        self.hang_up()
        self._target = (member, channel)
        self._name = member.name
        self._backoff.reset()
        self._attempt()

    def hang_up(self) -> None:
        """Stop dialling; `on_state(False)` is called before this returns if the link was up."""
        self._target = None
        if self._redial is not None:
            self._redial.cancel()
            self._redial = None
        self._drop()

    def send(self, message: Message) -> bool:
        """Queue `message`. False: the link is down or its queue is full; nothing was queued."""
        if not self.is_up or self._dial is None:
            return False
        sent = self._write(self._dial, message)
        if sent and self._gate is not None:
            self._gate.sent(self._name)
        return sent

    def send_token(self, token: FrameToken, kind: str) -> None:
        """As `send`, uncounted; no-op for other kinds of peers and where callbacks do not come in steps."""
        if self._gate is not None and self._name.startswith(kind) and self._dial is not None:
            self._write(self._dial, token)

    def close(self) -> None:
        """End without telling anybody."""
        self._target = None
        self.is_up = False
        if self._redial is not None:
            self._redial.cancel()
        if self._dial is not None:
            self._dial.close()
            self._dial = None

    def tick(self, now_ns: int, *, forgive: bool) -> None:
        """Beat when idle; redial when the peer is silent or an attempt takes too long."""
        dial = self._dial
        if dial is None:
            return
        if forgive:
            dial.pulse.forgive(now_ns)
        if dial.pulse.is_silent(now_ns):
            self.lose(dial)
        elif self.is_up and dial.pulse.beat_due(now_ns):
            self._write(dial, Beat(*dial.pulse.next_beat()))

    def lose(self, dial: _Dial) -> None:
        """The session or attempt `dial` is over: tell, and dial again after a wait."""
        if dial is not self._dial:
            return
        if self.is_up:
            self._hub.counters.lost += 1
        self._drop()
        if self._target is not None and self._redial is None:  # on_state may have hung up or dialled another
            self._redial = self._loop.call_later(self._backoff.next_s(random.random()), self._attempt_again)

    def _attempt_again(self) -> None:
        self._redial = None
        try:
            self._attempt()
        except Exception as error:
            self._hub.on_fault(error)

    def _attempt(self) -> None:
        if self._target is None or self._dial is not None:
            return
        member, channel = self._target
        address = self._hub.address_of(member, channel)
        self._hub.counters.dials += 1
        self._dial = _Dial(self._hub, self, member)
        if not (address and self._dial.connect(address)):
            self.lose(self._dial)

    def _drop(self) -> None:
        if self._dial is not None:
            self._dial.close()
            self._dial = None
        if self.is_up:
            self.is_up = False
            self.peer = None
            self._tell(up=False)

    def _write(self, dial: _Dial, message: Message) -> bool:
        try:
            dial.wire.send([codec.encode(message)])
        except zmq.Again:
            self._hub.counters.full += 1
            return False
        dial.pulse.sent(time.monotonic_ns())
        return True

    def received(self, dial: _Dial, message: Message) -> None:
        """One message of `dial`, greetings and beats included."""
        if dial is not self._dial:
            return
        if isinstance(message, Greeting):
            self._greeted(dial, message)
        elif not self.is_up:
            self._hub.counters.refused += 1
        elif isinstance(message, Beat):
            dial.pulse.echo(message.beat_no)
        elif self._gate is None:
            self._on_message(message)
        else:
            self._gate.peer(self._name, message, partial(self._on_message, message))

    def _tell(self, *, up: bool) -> None:
        if self._gate is None:
            self._on_state(up)
        else:
            self._gate.link(self._name, up, partial(self._on_state, up))

    def _greeted(self, dial: _Dial, greeting: Greeting) -> None:
        hub = self._hub
        if (
            greeting.incarnation != dial.member.incarnation
            or greeting.to != hub.incarnation
            or greeting.protocol != PROTOCOL
        ):
            hub.counters.refused += 1
            self.lose(dial)
            return
        if not self.is_up:
            self._backoff.reset()
            self.is_up = True
            self.peer = greeting
            self._tell(up=True)


class _Dial:
    """One attempt, and the session it becomes: a socket of its own and a monitor that sees the connection break."""

    def __init__(self, hub: Hub, owner: Client, member: Member) -> None:
        self._hub = hub
        self._owner = owner
        self.member = member
        self.pulse = Pulse(owner.silence_ns, time.monotonic_ns())
        self.wire = hub.wire(zmq.DEALER, self._on_frames, queue_max=PEER_QUEUE_MAX)
        socket = self.wire.socket
        socket.setsockopt(zmq.ROUTING_ID, hub.next_routing_id())
        socket.setsockopt(zmq.IMMEDIATE, 1)  # nothing is queued for a peer that is not connected
        socket.setsockopt(zmq.RECONNECT_IVL, -1)  # a reconnect is a new session, and ours to begin
        watched = f"inproc://monitor-{id(self):x}"
        socket.monitor(watched, zmq.EVENT_DISCONNECTED | zmq.EVENT_CLOSED | zmq.EVENT_HANDSHAKE_FAILED_AUTH)
        self._monitor = Wire(hub.context, zmq.PAIR, on_frames=self._on_event, on_fault=hub.on_fault)
        self._monitor.socket.connect(watched)

    def connect(self, address: str) -> bool:
        """Begin; the greeting leaves when the connection stands. False when the address is unusable."""
        self._hub.guard_dial(self.wire.socket, address, self.member.public_key)
        self.wire.on_writable = self._greet
        try:
            self.wire.socket.connect(address)
        except zmq.ZMQError:
            return False
        self.wire.look()
        self._monitor.look()
        return True

    def close(self) -> None:
        if not self.wire.closed:
            self.wire.socket.disable_monitor()
        self._monitor.close()
        self.wire.close()

    def _greet(self) -> None:
        self.wire.on_writable = None
        hub = self._hub
        greeting = Greeting(hub.name, hub.incarnation, hub.host, self.member.incarnation, PROTOCOL)
        self.wire.send([codec.encode(greeting)])

    def _on_frames(self, frames: Frames) -> None:
        if len(frames) != 1:
            self._hub.counters.undecodable += 1
            return
        message = self._hub.decode(frames[0])
        if message is not None:
            self.pulse.heard(time.monotonic_ns())
            self._owner.received(self, message)

    def _on_event(self, frames: Frames) -> None:
        """Connection refused, broken or rejected: over at once, without waiting for silence.

        One turn later, so that what the peer sent before it went is read first.
        """
        asyncio.get_running_loop().call_soon(self._end)

    def _end(self) -> None:
        try:
            self.wire.drain()
            self._owner.lose(self)
        except Exception as error:
            self._hub.on_fault(error)
