"""The base of everything that crosses a room."""

from __future__ import annotations

import msgspec


class Message(msgspec.Struct, frozen=True, array_like=True, tag=True, gc=False):
    """What was true when it was sent. Encoded as a MessagePack array that starts with the class name."""


class Record(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A part of a message that never travels alone."""
