"""Links: the data plane between actors. ZeroMQ on the running asyncio or uvloop loop; no thread, no queue of ours.

    links = Links(name="feed:binance_perp:0", incarnation=..., host=..., runtime_dir=Path("/tmp/manta-x"))
    market = links.publisher("market", on_subscribe=engine_resends)        # states: newest matters
    orders = links.server("orders", on_message=..., on_peer=...)           # messages: each one matters

Market data goes by `publisher`/`subscriber` (`link_market.py`), orders, fills and leases by `server`/`client`
(`link_peers.py`). Every message is one of `vocab`, encoded by `vocab/codec.py`; bytes that are not are counted and
dropped. On one host links are ipc sockets in a 0700 folder; between hosts tcp with CURVE, open only to keys that
`learn` was told. All methods must be called on the loop's thread; all callbacks run on it, and one that raises
reaches `on_fault` and nothing else.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import zmq

from actors.transport.link_hub import Hub, LinkCounters
from actors.transport.link_keys import ZAP_ENDPOINT, Door, LinkKeys
from actors.transport.link_life import BEATS_PER_SILENCE
from actors.transport.link_market import Publisher, Subscriber
from actors.transport.link_peers import SILENCE_MS, Client, Server
from actors.transport.link_wire import Frames, Wire
from actors.transport.step_gate import StepGate
from actors.transport.step_plan import STEPS_SILENCE_MS
from actors.vocab.control import FrameToken, Greeting, Member
from actors.vocab.message import Message

__all__ = ["Client", "LinkCounters", "LinkKeys", "Links", "Publisher", "Server", "Subscriber"]


_Closable = Publisher | Subscriber | Server | Client


class Links:
    """All links of one actor. Must be made while its loop runs."""

    def __init__(
        self,
        *,
        name: str,
        incarnation: str,
        host: str,
        runtime_dir: Path,
        tcp_host: str = "",
        keys: LinkKeys | None = None,
        on_fault: Callable[[BaseException], None] | None = None,
        gate: StepGate | None = None,
    ) -> None:
        """`tcp_host` non-empty also binds tcp there, guarded by `keys`. `on_fault` gets what a callback raised; by
        default the loop's exception handler, which only logs, so an actor passes its own. With `gate` (lock-step)
        callbacks are called in steps, except those of links made with `stepped` False.
        """
        self._loop = asyncio.get_running_loop()
        self._hub = Hub(
            name=name,
            incarnation=incarnation,
            host=host,
            runtime_dir=runtime_dir,
            tcp_host=tcp_host,
            keys=keys,
            on_fault=on_fault or self._report,
            gate=gate,
        )
        self._publishers: list[Publisher] = []
        self._subscribers: list[Subscriber] = []
        self._servers: list[Server] = []
        self._clients: list[Client] = []
        self._tick: asyncio.TimerHandle | None = None
        self._tick_ns = 0
        self._closed = False
        self._door: Door | None = None
        self._door_wire: Wire | None = None
        if tcp_host and keys is not None:
            # Bound before anything else: without a handler libzmq would let every key in.
            self._door = Door(keys.public)
            self._door_wire = Wire(self._hub.context, zmq.ROUTER, on_frames=self._knock, on_fault=self._hub.on_fault)
            self._door_wire.socket.bind(ZAP_ENDPOINT)

    def publisher(self, channel: str, *, on_subscribe: Callable[[bytes], None] | None = None) -> Publisher:
        """Bind `channel` for sending; `on_subscribe(topic)` is called for each subscriber and topic that comes."""
        publisher = Publisher(self._hub, channel, on_subscribe)
        self._publishers.append(publisher)
        return publisher

    def subscriber(
        self, on_messages: Callable[[list[tuple[bytes, Message]]], None], *, stepped: bool = True
    ) -> Subscriber:
        """Return a subscriber; `on_messages` gets all that waited as one list of (topic, message)."""
        subscriber = Subscriber(self._hub, on_messages, stepped=stepped)
        self._subscribers.append(subscriber)
        return subscriber

    def server(
        self,
        channel: str,
        *,
        on_message: Callable[[str, Message], None],
        on_peer: Callable[[Greeting, bool], None],
        silence_ms: int = SILENCE_MS,
        stepped: bool = True,
    ) -> Server:
        """Bind `channel` for peers. `on_message(incarnation, message)`; `on_peer(greeting, came)`.

        A peer that dials again while its old session is still up is told as gone, then as come.
        """
        silence_ms = self._silence_ms(silence_ms, stepped)
        server = Server(
            self._hub, channel, on_message=on_message, on_peer=on_peer, silence_ms=silence_ms, stepped=stepped
        )
        self._servers.append(server)
        self._start_ticking()
        return server

    def client(
        self,
        *,
        on_message: Callable[[Message], None],
        on_state: Callable[[bool], None],
        silence_ms: int = SILENCE_MS,
        stepped: bool = True,
    ) -> Client:
        """Return a client, not yet dialling. One per server and channel: a second one would push out the first."""
        silence_ms = self._silence_ms(silence_ms, stepped)
        client = Client(self._hub, on_message=on_message, on_state=on_state, silence_ms=silence_ms, stepped=stepped)
        self._clients.append(client)
        self._start_ticking()
        return client

    # --- lock-step -------------------------------------------------------------------------------------------

    def publish_token(self, token: FrameToken) -> None:
        """Send `token` with everything that its step published."""
        for publisher in self._publishers:
            publisher.end_step(token)

    def send_token(self, token: FrameToken, kind: str) -> None:
        """Send `token` behind everything that was sent before to the servers of members whose name begins so."""
        for client in self._clients:
            client.send_token(token, kind)

    def names_up(self) -> list[str]:
        """Roles of all peers that are up."""
        names = [greeting.name for server in self._servers for greeting in server.peers]
        return names + [client.peer.name for client in self._clients if client.peer is not None]

    @property
    def step_readers_count(self) -> int:
        """How many subscribers listen to our tokens."""
        return sum(publisher.step_readers_count for publisher in self._publishers)

    def member(self) -> Member:
        """Return who we are and everything bound so far."""
        hub = self._hub
        public_key = hub.keys.public if hub.keys is not None else ""
        return Member(hub.name, hub.incarnation, hub.host, tuple(hub.endpoints), public_key)

    def address_of(self, member: Member, channel: str) -> str:
        """Return how to reach `channel` of `member` from here: ipc on the same host, else tcp; "" if not at all."""
        return self._hub.address_of(member, channel)

    def learn(self, members: Iterable[Member]) -> None:
        """Take over the directory: only these keys (and our own) may connect by tcp from now on."""
        members = list(members)
        if self._door is not None and self._door_wire is not None:
            for reply in self._door.allow(member.public_key for member in members):
                self._door_wire.send(reply)
        self._hub.key_of_address = {
            address: member.public_key
            for member in members
            for _channel, address in member.endpoints
            if member.public_key
        }

    @property
    def counters(self) -> LinkCounters:
        return self._hub.counters

    @property
    def keys_refused_count(self) -> int:
        """Handshakes begun with a key that was not in the directory then."""
        return self._door.refused_count if self._door is not None else 0

    def close(self) -> None:
        """Close every socket at once, unsent messages dropped, no callback called. May be called twice."""
        if self._closed:
            return
        self._closed = True
        if self._tick is not None:
            self._tick.cancel()
        links: list[_Closable] = [*self._publishers, *self._subscribers, *self._servers, *self._clients]
        for link in links:
            link.close()
        if self._door_wire is not None:
            self._door_wire.close()
        self._hub.context.destroy(linger=0)

    def _silence_ms(self, silence_ms: int, stepped: bool) -> int:
        return max(silence_ms, STEPS_SILENCE_MS) if stepped and self._hub.gate is not None else silence_ms

    # --- beats ---------------------------------------------------------------------------------------------

    def _interval_ns(self) -> int:
        return min(link.silence_ns for link in self._beating()) // BEATS_PER_SILENCE

    def _beating(self) -> list[Server | Client]:
        return [*self._servers, *self._clients]

    def _start_ticking(self) -> None:
        if self._tick is not None:
            self._tick.cancel()
        self._tick_ns = time.monotonic_ns()
        self._tick = self._loop.call_later(self._interval_ns() / 1e9, self._on_tick)

    def _on_tick(self) -> None:
        now_ns = time.monotonic_ns()
        interval_ns = self._interval_ns()
        # We came two intervals late or more (a pause, a suspended machine): then it was us who did not listen.
        forgive = now_ns - self._tick_ns > 3 * interval_ns
        self._tick_ns = now_ns
        self._tick = self._loop.call_later(interval_ns / 1e9, self._on_tick)
        try:
            for link in self._beating():
                link.tick(now_ns, forgive=forgive)
        except Exception as error:
            self._hub.on_fault(error)

    # --- keys ----------------------------------------------------------------------------------------------

    def _knock(self, frames: Frames) -> None:
        if self._door is not None and self._door_wire is not None:
            reply = self._door.answer(frames)
            if reply:
                self._door_wire.send(reply)

    def _report(self, error: BaseException) -> None:
        self._loop.call_exception_handler({"message": "a link's callback failed", "exception": error})
