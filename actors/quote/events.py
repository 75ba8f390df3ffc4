"""What an engine is told besides messages of other rooms: its own timer and the state of its links."""

from __future__ import annotations

import msgspec

from actors.vocab.instruments import Instrument
from actors.vocab.market import BookUpdate


class Timer(msgspec.Struct, frozen=True):
    """Time passed; every 50 to 100 ms."""


class Backlog(msgspec.Struct, frozen=True):
    """All updates of one symbol that waited, oldest first. Each is counted, the newest alone is acted on."""

    updates: tuple[BookUpdate, ...]


class GatewayLink(msgspec.Struct, frozen=True):
    """The order link came up to this gateway incarnation, or went down."""

    up: bool
    gateway: str = ""


class RiskLink(msgspec.Struct, frozen=True):
    up: bool


class FeedLink(msgspec.Struct, frozen=True):
    """A feed of `venue` appeared or went. `same_host`: its monotonic stamps may be compared with our clock."""

    venue: str
    up: bool
    same_host: bool = True


class InstrumentRow(msgspec.Struct, frozen=True):
    """The row of our symbol changed or came for the first time."""

    row: Instrument
