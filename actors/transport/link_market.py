"""Publisher and subscriber: state that is replaced, not queued.

A message is [topic NUL, MessagePack]. The NUL makes ZeroMQ's prefix match exact: without it BTCUSDT would also bring
BTCUSDT_250926.

In lock-step a feed's messages wait for the end of their step and go with its token, as one message of many parts:
[step topic NUL, token, topic NUL, MessagePack, topic NUL, …]. Readers take the topics that they asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import zmq

from actors.transport.link_hub import Hub
from actors.transport.link_wire import Frames, Wire
from actors.vocab import codec
from actors.vocab.control import SHORT_STEP_TOPIC, STEP_TOPIC, FrameToken
from actors.vocab.message import Message

# Per subscriber at the publisher and per publisher at the subscriber; about a second of fifty busy symbols.
# Full: the newest is dropped for that subscriber alone, and the publisher's next beat repairs it.
MARKET_QUEUE_MAX = 1_000
# A tcp connection that broke is dialled again by libzmq itself; a new incarnation has a new address anyway.
RECONNECT_FIRST_MS = 50
RECONNECT_MAX_MS = 1_000
END = b"\0"


class Publisher:
    """Sends to whoever subscribes; never waits, never fails."""

    def __init__(self, hub: Hub, channel: str, on_subscribe: Callable[[bytes], None] | None) -> None:
        self._on_subscribe = on_subscribe
        self._gate = hub.gate
        self.step_readers_count = 0  # lock-step: who listens to our tokens
        self._held: Frames = []  # what goes with the next token; one step's messages, so as bounded as these
        self._wire = hub.wire(zmq.XPUB, self._on_frames, queue_max=MARKET_QUEUE_MAX)
        # Each subscriber is announced, not only the first of a topic: the late one needs the newest state too.
        self._wire.socket.setsockopt(zmq.XPUB_VERBOSER, 1)
        hub.bind(self._wire, channel)

    def send(self, topic: bytes, message: Message, *, apart: bool = False) -> None:
        """Send to all subscribers of exactly `topic` (and of everything). One with a full queue loses it.

        `apart`: not with the token, as it is for readers who leave out short steps.
        """
        gate = self._gate
        if gate is not None and gate.publishes and gate.stepping and not apart:
            self._held += (topic + END, codec.encode(message))
            return
        if gate is not None and apart:
            gate.wake()
        self._wire.send([topic + END, codec.encode(message)])

    def end_step(self, token: FrameToken) -> None:
        """Send `token` to whoever takes its step, with all that was held for it."""
        topic = SHORT_STEP_TOPIC if token.short else STEP_TOPIC
        held, self._held = self._held, []
        self._wire.send([topic + END, codec.encode(token), *held])

    def close(self) -> None:
        self._wire.close()

    def _on_frames(self, frames: Frames) -> None:
        note = frames[0]
        topic = note[1:].removesuffix(END)
        if topic == STEP_TOPIC:
            self.step_readers_count += 1 if note[:1] == b"\x01" else -1
        elif topic != SHORT_STEP_TOPIC and note[:1] == b"\x01" and self._on_subscribe is not None:
            if self._gate is None:
                self._on_subscribe(topic)
            else:
                self._gate.note(f"subscribed {topic!r}", partial(self._on_subscribe, topic))


class Subscriber:
    """Takes from any number of publishers; hands over all that waited as one list, oldest first per publisher."""

    def __init__(
        self, hub: Hub, on_messages: Callable[[list[tuple[bytes, Message]]], None], *, stepped: bool = True
    ) -> None:
        self._hub = hub
        self._gate = hub.gate if stepped else None
        if self._gate is not None:
            self._gate.market(self._release)
        self._on_messages = on_messages
        self._batch: list[tuple[bytes, Message]] = []
        self._topics: set[bytes] = set()
        # address -> the wire it is connected by; ipc is plain, tcp carries keys, and one socket cannot go back
        self._connected: dict[str, Wire] = {}
        self._wires: dict[str, Wire] = {}

    def topic(self, topic: bytes) -> None:
        """Subscribe at every publisher, those of later `connect` too. b"" means everything."""
        if topic not in self._topics:
            self._topics.add(topic)
            for wire in self._wires.values():
                self._subscribe(wire, topic)

    def connect(self, address: str) -> None:
        """Connect to a publisher; no-op when connected. The owner's key is looked up in the newest directory."""
        if not address or address in self._connected:
            return
        wire = self._wire_for(address)
        self._hub.guard_dial(wire.socket, address, self._hub.key_of_address.get(address, ""))
        wire.socket.connect(address)
        self._connected[address] = wire
        wire.look()

    def disconnect(self, address: str) -> None:
        """Forget a publisher; what waits in its queue is lost. No-op when not connected."""
        wire = self._connected.pop(address, None)
        if wire is not None:
            wire.socket.disconnect(address)
            wire.look()

    def close(self) -> None:
        for wire in self._wires.values():
            wire.close()
        self._connected.clear()

    def _wire_for(self, address: str) -> Wire:
        scheme = address.partition("://")[0]
        if scheme not in self._wires:
            wire = self._hub.wire(zmq.SUB, self._on_frames, queue_max=MARKET_QUEUE_MAX, on_drained=self._deliver)
            wire.socket.setsockopt(zmq.RECONNECT_IVL, RECONNECT_FIRST_MS)
            wire.socket.setsockopt(zmq.RECONNECT_IVL_MAX, RECONNECT_MAX_MS)
            self._wires[scheme] = wire
            for topic in sorted(self._topics):
                self._subscribe(wire, topic)
            if self._gate is not None:
                if not self._gate.sleeps:
                    self._subscribe(wire, SHORT_STEP_TOPIC)
                # Last, so that a publisher that knows of this one knows of all.
                self._subscribe(wire, STEP_TOPIC)
        return self._wires[scheme]

    def _subscribe(self, wire: Wire, topic: bytes) -> None:
        wire.socket.setsockopt(zmq.SUBSCRIBE, topic + END if topic else b"")
        wire.look()

    def _on_frames(self, frames: Frames) -> None:
        if len(frames) != 2 and (self._gate is None or len(frames) % 2):
            self._hub.counters.undecodable += 1
            return
        message = self._hub.decode(frames[1])
        if self._gate is not None and type(message) is FrameToken:
            for at in range(2, len(frames), 2):
                self._keep(frames[at].removesuffix(END), frames[at + 1])
            self._gate.token(message)
        elif message is not None:
            self._batch.append((frames[0].removesuffix(END), message))

    def _keep(self, topic: bytes, payload: bytes) -> None:
        """A message that came with a token, if it was asked for."""
        if topic in self._topics or b"" in self._topics:
            message = self._hub.decode(payload)
            if message is not None:
                self._batch.append((topic, message))

    def _deliver(self) -> None:
        if self._batch and (self._gate is None or self._gate.open):
            batch, self._batch = self._batch, []
            self._on_messages(batch)

    def _release(self) -> None:
        """The step has come. How several publishers' messages interleaved is chance; each one's own order is not."""
        if self._batch:
            batch, self._batch = self._batch, []
            if len(batch) > 1:
                batch.sort(key=_venue_and_topic)
            self._on_messages(batch)


def _venue_and_topic(item: tuple[bytes, Message]) -> tuple[str, bytes]:
    topic, message = item
    return getattr(message, "venue", ""), topic
