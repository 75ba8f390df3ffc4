"""CURVE keys of one incarnation, and the door that lets in only keys the directory knows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import zmq
from zmq.utils import z85

ZAP_ENDPOINT = "inproc://zeromq.zap.01"  # ZMTP RFC 27: one handler per context, at this name
ZAP_DOMAIN = b"manta"


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
    """Answers ZAP requests of one context; pure apart from the counters it keeps.

    An unknown key is answered 300 ("try later"), not 400: a newcomer may dial a moment before the directory that
    names it has arrived here, and after 400 libzmq would never try again.
    """

    def __init__(self, own_key: str) -> None:
        self._own_key = own_key
        self._allowed = frozenset({own_key})
        self.refused_count = 0

    def allow(self, keys: Iterable[str]) -> None:
        """Replace the list: `keys` and our own, nobody else."""
        self._allowed = frozenset({self._own_key, *(key for key in keys if key)})

    def answer(self, frames: list[bytes]) -> list[bytes]:
        """Turn one ZAP request (RFC 27) into its reply; a malformed one into []."""
        try:
            split = frames.index(b"")
            version, request, _domain, _address, _identity, mechanism, *credentials = frames[split + 1 :]
        except ValueError:
            return []
        head = [*frames[: split + 1], version, request]
        if mechanism == b"CURVE" and len(credentials) == 1 and len(credentials[0]) == 32:
            key = z85.encode(credentials[0]).decode()
            if key in self._allowed:
                return [*head, b"200", b"OK", key.encode(), b""]
        self.refused_count += 1
        return [*head, b"300", b"key not in the directory", b"", b""]
