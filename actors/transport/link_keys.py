"""CURVE keys of one incarnation, and the door that lets in only keys the directory knows."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

import zmq
from zmq.utils import z85

from actors.transport.link_wire import Frames

ZAP_ENDPOINT = "inproc://zeromq.zap.01"  # ZMTP RFC 27: one handler per context, at this name
ZAP_DOMAIN = b"manta"
WAITING_MAX = 256


@dataclass(frozen=True)
class LinkKeys:
    """One CURVE key pair, z85 text. Made anew at each start, so a dead actor's key dies with it."""

    public: str
    secret: str = field(repr=False)

    @classmethod
    def new(cls) -> LinkKeys:
        public, secret = zmq.curve_keypair()
        return cls(public.decode(), secret.decode())

    def guard_server(self, socket: zmq.Socket[bytes]) -> None:
        """Every address bound from now on asks for CURVE; those bound before stay as they are."""
        socket.setsockopt(zmq.CURVE_SERVER, 1)
        socket.setsockopt(zmq.CURVE_SECRETKEY, self.secret.encode())
        socket.setsockopt(zmq.ZAP_DOMAIN, ZAP_DOMAIN)

    def guard_client(self, socket: zmq.Socket[bytes], server_key: str) -> None:
        """The next connect proves who we are and refuses anyone but the owner of `server_key`."""
        socket.setsockopt(zmq.CURVE_PUBLICKEY, self.public.encode())
        socket.setsockopt(zmq.CURVE_SECRETKEY, self.secret.encode())
        socket.setsockopt(zmq.CURVE_SERVERKEY, server_key.encode())


class Door:
    """Answers ZAP requests of one context; no socket, no clock.

    A newcomer may knock a moment before the directory that names it has arrived here, so an unknown key is left
    waiting: let in as soon as a directory names it, else libzmq itself hangs up when the handshake times out.
    """

    def __init__(self, own_key: str) -> None:
        self._own_key = own_key
        self._allowed = frozenset({own_key})
        # (key, request) of those outside; full: the oldest is forgotten, its handshake has long timed out
        self._waiting: deque[tuple[str, Frames]] = deque(maxlen=WAITING_MAX)
        self.refused_count = 0  # knocks with a key that was not known then

    def allow(self, keys: Iterable[str]) -> list[Frames]:
        """Replace the list: `keys` and our own, nobody else. Returns the replies to those who have waited for it."""
        self._allowed = frozenset({self._own_key, *(key for key in keys if key)})
        known = [(key, request) for key, request in self._waiting if key in self._allowed]
        for entry in known:
            self._waiting.remove(entry)
        return [_reply(request, b"200", b"OK", key.encode()) for key, request in known]

    def answer(self, request: Frames) -> Frames:
        """Return the reply to one ZAP request (RFC 27), or [] for none: malformed, or its key must wait."""
        key = _key(request)
        if key is None:
            return []
        if key in self._allowed:
            return _reply(request, b"200", b"OK", key.encode())
        self.refused_count += 1
        if not key:
            return _reply(request, b"400", b"links take CURVE only", b"")
        self._waiting.append((key, request))
        return []


def _key(request: Frames) -> str | None:
    """Return the client's key as z85, "" for another mechanism, None for what is no ZAP request."""
    if b"" not in request:
        return None
    body = request[request.index(b"") + 1 :]
    if len(body) < 6:
        return None
    _version, _request_id, _domain, _address, _identity, mechanism, *credentials = body
    if mechanism == b"CURVE" and len(credentials) == 1 and len(credentials[0]) == 32:
        return z85.encode(credentials[0]).decode()
    return ""


def _reply(request: Frames, status: bytes, text: bytes, user: bytes) -> Frames:
    split = request.index(b"")
    return [*request[: split + 3], status, text, user, b""]
