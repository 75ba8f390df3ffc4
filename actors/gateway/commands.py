"""What goes into the gateway's machine and what comes out.

In: messages of quote engines and risk (wrapped with who sent them), marks, instruments, every `VenueEvent`, and the
events below. Out: the commands below, in the order in which they must be carried out.
"""

from __future__ import annotations

import msgspec

from actors.vocab.control import Instruments
from actors.vocab.market import Marks
from actors.vocab.message import Message
from actors.vocab.orders import Cause
from actors.vocab.venue_io import VenueEvent, VenueRequest

# --- in -----------------------------------------------------------------------------------------------------


class FromHolder(msgspec.Struct, frozen=True, gc=False):
    """A message of the quote actor whose incarnation is `peer`."""

    peer: str
    message: Message


class HolderLink(msgspec.Struct, frozen=True, gc=False):
    """The link to a quote actor came up or went silent; `same_host`: its monotonic stamps are ours."""

    peer: str
    up: bool
    same_host: bool = True


class FromRisk(msgspec.Struct, frozen=True, gc=False):
    message: Message


class RiskLink(msgspec.Struct, frozen=True, gc=False):
    up: bool


class Tick(msgspec.Struct, frozen=True, gc=False):
    """Time has passed. The shell sends one every `TICK_MS` and whenever a `WakeAt` is due."""


class StopAsked(msgspec.Struct, frozen=True, gc=False):
    """Cancel everything of ours, from the kill reserve where `kill`; then `Stopped` is answered."""

    reason: str
    kill: bool = False


Event = FromHolder | HolderLink | FromRisk | RiskLink | Tick | StopAsked | Marks | Instruments | VenueEvent

# --- out ----------------------------------------------------------------------------------------------------


class ToVenue(msgspec.Struct, frozen=True, gc=False):
    """Write this request now. The stamps are for latency figures and mean nothing to the venue."""

    request: VenueRequest
    cause: Cause | None = None  # of a placed or replaced order
    frame_ns: int = 0  # oldest frame of the decision on our clock; 0: no frame caused it
    received_ns: int = 0  # when the order reached this gateway
    waited: bool = False  # it did not pass the pacer at once


class ToHolder(msgspec.Struct, frozen=True, gc=False):
    holder: str
    message: Message


class ToRisk(msgspec.Struct, frozen=True, gc=False):
    message: Message


class WakeAt(msgspec.Struct, frozen=True, gc=False):
    """Something waits for budget until then."""

    at_ns: int


class Measured(msgspec.Struct, frozen=True, gc=False):
    """One latency for the histograms: "order_to_ack" or "pacer_wait"."""

    name: str
    symbol: str
    span_us: int


class Note(msgspec.Struct, frozen=True, gc=False):
    """What an operator would tell a colleague. `level`: INFO, WARNING or ERROR."""

    level: str
    text: str


class SyncClock(msgspec.Struct, frozen=True, gc=False):
    """The venue refused a stamp: measure its clock again."""


class RefreshInstruments(msgspec.Struct, frozen=True, gc=False):
    """The venue refused a price or size by a filter that we think we keep: its list of instruments has changed."""


class Stopped(msgspec.Struct, frozen=True, gc=False):
    """After `StopAsked`: no order of ours lives any more."""


Command = ToVenue | ToHolder | ToRisk | WakeAt | Measured | Note | SyncClock | RefreshInstruments | Stopped
