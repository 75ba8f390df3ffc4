"""What risk's brain is told and what it asks for, beside the messages of the vocabulary."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from actors.journal.rows import Row
from actors.vocab.control import Instruments
from actors.vocab.leases import RiskState
from actors.vocab.market import Marks
from actors.vocab.message import Message
from actors.vocab.opinions import RiskView

if TYPE_CHECKING:
    from actors.risk.joint_solver import Joint, Unsolved  # numpy: for the one model that computes with it

# --- events --------------------------------------------------------------------------------------------------


class Received(msgspec.Struct, frozen=True, gc=False):
    """A message over the "risk" link. `peer` is the sender's incarnation."""

    peer: str
    message: Message


class PeerUp(msgspec.Struct, frozen=True):
    peer: str
    name: str  # role: "quote:BTCUSDT", "gateway:binance_perp"


class PeerDown(msgspec.Struct, frozen=True):
    """The link ended. Leases are not shortened by it: they run out."""

    peer: str


class Timer(msgspec.Struct, frozen=True):
    """About every 100 ms. `wall_ns` (UTC) decides days and stamps rows; nothing else."""

    wall_ns: int


class Journalled(msgspec.Struct, frozen=True):
    """Every batch up to this sequence is on disk."""

    up_to: int


class JournalFailed(msgspec.Struct, frozen=True):
    """The database refuses. Rows wait; `Journalled` is the sign of recovery."""

    text: str


class OperatorCommand(msgspec.Struct, frozen=True):
    """`verb`: pause | resume | reduce | kill. No venue and no symbol: the fleet."""

    verb: str
    venue: str = ""
    symbol: str = ""
    reason: str = ""


class Computed(msgspec.Struct, frozen=True):
    """What a `Compute` has come to."""

    result: Joint | Unsolved


Event = (
    Received
    | PeerUp
    | PeerDown
    | Timer
    | Journalled
    | JournalFailed
    | OperatorCommand
    | Computed
    | Marks
    | RiskView
    | Instruments
)

# --- commands ------------------------------------------------------------------------------------------------


class Send(msgspec.Struct, frozen=True, gc=False):
    peer: str
    message: Message


class JournalRows(msgspec.Struct, frozen=True):
    """Append one batch. `sequence` counts batches from 1; `Journalled` answers it."""

    sequence: int
    rows: tuple[Row, ...]


class Announce(msgspec.Struct, frozen=True):
    """Tell the operator: a scope's state changed, or something was adopted."""

    scope: str
    state: RiskState
    text: str


class Answer(msgspec.Struct, frozen=True):
    """To the operator who commanded."""

    text: str


class Compute(msgspec.Struct, frozen=True):
    """Do `work` beside the loop, which it would hold up, and hand its answer to the brain. It is pure: in lock-step
    and in one process it is done on the spot."""

    work: Callable[[], Computed]


Command = Send | JournalRows | Announce | Answer | Compute
