"""What the four kinds of links share: who we are, keys, counters, the fault hook."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import msgspec
import zmq

from actors.transport.link_address import choose_address, ipc_address, prepare_runtime_dir
from actors.transport.link_keys import LinkKeys
from actors.transport.link_wire import Frames, Wire
from actors.transport.step_gate import StepGate
from actors.vocab import codec
from actors.vocab.control import Member
from actors.vocab.errors import ConfigError
from actors.vocab.message import Message

# tcp only: a node that loses power closes nothing, so libzmq itself asks every second and hangs up after three.
TCP_HEARTBEAT_MS = 1_000
TCP_HEARTBEAT_TIMEOUT_MS = 3_000
# tcp only: how long a client with a key that no directory names yet may wait at the door before it has to dial
# again. A handshake itself takes 2 ms, longer only while the other loop is busy.
TCP_HANDSHAKE_MS = 1_000


@dataclass
class LinkCounters:
    """Everything that links drop or refuse is counted here; nothing is dropped uncounted but by a full publisher."""

    undecodable: int = 0  # bytes that are no message of the vocabulary
    refused: int = 0  # greetings or messages for another incarnation, or before a greeting
    full: int = 0  # sends refused because the peer's queue was full
    unroutable: int = 0  # sends to a peer that was gone
    lost: int = 0  # peers that were up and went silent or hung up
    dials: int = 0

    def as_dict(self) -> dict[str, int]:
        return asdict(self)


class Hub:
    """Shared by all links of one actor. Changed only by `Links`."""

    def __init__(
        self,
        *,
        name: str,
        incarnation: str,
        host: str,
        runtime_dir: Path,
        tcp_host: str,
        keys: LinkKeys | None,
        on_fault: Callable[[BaseException], None],
        gate: StepGate | None = None,
    ) -> None:
        self.name = name
        self.incarnation = incarnation
        self.host = host
        self.runtime_dir = runtime_dir
        self.tcp_host = tcp_host
        self.keys = keys
        self.on_fault = on_fault
        self.gate = gate  # lock-step: what arrives waits there for its step
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.counters = LinkCounters()
        # (channel, address) of everything bound, ipc before tcp of the same channel
        self.endpoints: list[tuple[str, str]] = []
        # address -> CURVE key of its owner; replaced by each directory
        self.key_of_address: dict[str, str] = {}
        self._dial_no = 0

    def wire(
        self,
        kind: int,
        on_frames: Callable[[Frames], None],
        *,
        queue_max: int,
        on_drained: Callable[[], None] | None = None,
    ) -> Wire:
        """Return a socket with its bounded queues and, where tcp is used, its heartbeats."""
        wire = Wire(self.context, kind, on_frames=on_frames, on_drained=on_drained, on_fault=self.on_fault)
        wire.socket.setsockopt(zmq.SNDHWM, queue_max)
        wire.socket.setsockopt(zmq.RCVHWM, queue_max)
        if self.tcp_host:
            wire.socket.setsockopt(zmq.HEARTBEAT_IVL, TCP_HEARTBEAT_MS)
            wire.socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, TCP_HEARTBEAT_TIMEOUT_MS)
            wire.socket.setsockopt(zmq.HANDSHAKE_IVL, TCP_HANDSHAKE_MS)
        return wire

    def bind(self, wire: Wire, channel: str) -> None:
        """Bind `channel` at ipc and, where links cross nodes, at tcp with keys; both become endpoints."""
        prepare_runtime_dir(self.runtime_dir)
        address = ipc_address(self.runtime_dir, self.incarnation, channel)
        wire.socket.bind(address)
        self.endpoints.append((channel, address))
        if self.tcp_host:
            # After ipc: socket options hold for later binds only, so ipc stays plain inside its 0700 folder.
            if self.keys is not None:
                self.keys.guard_server(wire.socket)
            try:
                wire.socket.bind(f"tcp://{self.tcp_host}:*")
            except zmq.ZMQError as error:
                raise ConfigError(
                    f"links cannot bind tcp://{self.tcp_host}: {error.strerror}; name an address of this node"
                ) from error
            last = wire.socket.getsockopt(zmq.LAST_ENDPOINT)
            self.endpoints.append((channel, _text(last)))
        wire.look()

    def guard_dial(self, socket: zmq.Socket[bytes], address: str, server_key: str) -> None:
        """Make the next connect of `socket` prove itself, where `address` leaves the host."""
        if address.startswith("tcp://") and self.keys is not None and server_key:
            self.keys.guard_client(socket, server_key)

    def address_of(self, member: Member, channel: str) -> str:
        return choose_address(member, channel, host=self.host)

    def next_routing_id(self) -> bytes:
        """Return a name for one dial: our incarnation, and a number so that an old dial cannot pass for a new one."""
        self._dial_no += 1
        return f"{self.incarnation}#{self._dial_no}".encode()

    def decode(self, payload: bytes) -> Message | None:
        """Return the message, or None (counted) for bytes that are none."""
        try:
            return codec.decode(payload)
        except (msgspec.MsgspecError, ValueError, RecursionError):  # ValueError: text that is not UTF-8
            self.counters.undecodable += 1
            return None


def _text(value: bytes | int | str) -> str:
    return value.decode().rstrip("\0") if isinstance(value, bytes) else str(value)
