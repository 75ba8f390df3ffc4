"""Websocket frames of a server, spelled once and written as the same bytes to every listener.

RFC 6455 §5.2: a server's frame is not masked, so it does not depend on who reads it. Compression stays off: at loopback
speed it would cost more than the bytes it saves, and would make every connection's bytes its own.
"""

from __future__ import annotations

_TEXT = 0x81  # FIN and opcode 1
_PONG = 0x8A  # FIN and opcode 10
CONTROL_BYTES_MAX = 125  # RFC 6455 §5.5


def text_frame(payload: bytes) -> bytes:
    """One whole text message."""
    size = len(payload)
    if size < 126:
        return bytes((_TEXT, size)) + payload
    if size < 65_536:
        return bytes((_TEXT, 126)) + size.to_bytes(2, "big") + payload
    return bytes((_TEXT, 127)) + size.to_bytes(8, "big") + payload


def pong_frame(payload: bytes) -> bytes:
    """A pong that nobody asked for, at most `CONTROL_BYTES_MAX` long: no message, and needs no answer (§5.5.3)."""
    return bytes((_PONG, len(payload))) + payload


def combined(stream: str, data: bytes) -> bytes:
    """The form in which a combined connection receives `data`."""
    return b'{"stream":"%s","data":%s}' % (stream.encode(), data)
