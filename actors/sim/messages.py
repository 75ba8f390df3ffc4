"""What goes into a simulated exchange and what comes out; `actors/sim/actor.py` carries both over sockets.

`now_ns` everywhere in this room is the *venue's clock*: unix nanoseconds, never going backwards. In a lock-step
replay it is the recording's time.
"""

from __future__ import annotations

import enum
from decimal import Decimal
from typing import Protocol

from actors.sim.ledger import Ledger
from actors.venues.ledger import LedgerAccount, LedgerBalance, LedgerOrder, LedgerPosition
from actors.vocab.instruments import Instrument
from actors.vocab.market import Kline
from actors.vocab.message import Record
from actors.vocab.venue_io import (
    DepthSnapshot,
    MarketEvent,
    MarkPrice,
    PublicTrade,
    RateUsage,
    TopOfBook,
    VenueEvent,
    VenueReject,
    VenueRequest,
)


class ClientRequest(Record, frozen=True):
    """One request of an account that the server has authenticated; `connection` is the server's number for it."""

    connection: int
    account: str
    request: VenueRequest


class Reply(Record, frozen=True):
    """Answer to a request. `order` is the order's row after it, where there is one, with fields the event lacks."""

    connection: int
    request_no: int
    event: VenueEvent
    order: LedgerOrder | None = None
    replaced: LedgerOrder | None = None  # row of the order that a cancel-replace has ended
    uncancelled: VenueReject | None = None  # why it could not be ended, where the new order was tried all the same
    cancelled: tuple[LedgerOrder, ...] = ()  # rows of the orders that a cancel of all has ended
    status: int = 0  # HTTP status an injected fault asks for; 0: the usual one of the event


class Execution(enum.StrEnum):
    """What happened to an order: the venue's `x`."""

    NEW = "NEW"
    TRADE = "TRADE"
    CANCELED = "CANCELED"
    REPLACED = "REPLACED"  # spot cancelReplace
    AMENDMENT = "AMENDMENT"
    EXPIRED = "EXPIRED"
    NONE = ""  # not about an order: funding, a transfer


class Private(Record, frozen=True):
    """One private event of an account, in the venue's order.

    `event` is a `VenueOrder` (no trade), a `VenueFill` (execution TRADE) or a `VenueFunding`. `order` is the row after
    the event. `balances` and `positions` are the entries that it changed, as they are now; empty when none.
    """

    account: str
    event: VenueEvent
    execution: Execution = Execution.NONE
    order: LedgerOrder | None = None
    realized_pnl: str = "0"
    balances: tuple[LedgerBalance, ...] = ()
    positions: tuple[LedgerPosition, ...] = ()
    reason: str = "ORDER"  # of the balance change: ORDER | FUNDING_FEE | DEPOSIT


class Public(Record, frozen=True):
    """One event of the public streams."""

    event: MarketEvent


class Scope(enum.StrEnum):
    PUBLIC = "public"
    PRIVATE = "private"
    ORDER = "order"


class Disconnect(Record, frozen=True):
    """An injected fault: hang up every connection of this kind, of this account ("" for all) without a goodbye."""

    scope: Scope
    account: str = ""


SimCommand = Reply | Private | Public | Disconnect


class Exchange(Protocol):
    """One simulated venue. `SimExchange` makes its market itself, `RecordedExchange` is told a recorded one.

    Pure: no clock, no I/O; the same calls with the same times and seed give the same commands.
    """

    venue: str
    ledger: Ledger

    def instruments(self) -> tuple[Instrument, ...]: ...

    def change_instrument(self, instrument: Instrument, now_ns: int) -> list[SimCommand]:
        """Halt or re-step a listed symbol (version is raised). New steps cancel its open orders first."""
        ...

    def handle(self, request: ClientRequest, now_ns: int) -> list[SimCommand]:
        """Take one request. Refusals that need no book (rate limit) come back at once, the rest out of `advance`."""
        ...

    def advance(self, now_ns: int) -> list[SimCommand]:
        """Do everything that is due up to `now_ns`, in time order."""
        ...

    def next_due_ns(self) -> int:
        """When `advance` has something to do next."""
        ...

    def open_account(self, account: str, now_ns: int, balances: dict[str, Decimal] | None = None) -> None:
        """Fund an account; one that was never opened opens itself at its first request with the default balance."""
        ...

    def depth(self, symbol: str, levels: int) -> DepthSnapshot: ...

    def top(self, symbol: str) -> TopOfBook: ...

    def mark(self, symbol: str) -> MarkPrice: ...

    def fundings(self, symbol: str) -> list[MarkPrice]:
        """Marks and rates at which funding was paid so far, oldest first; at most the last 1000."""
        ...

    def recent_trades(self, symbol: str, count: int) -> list[PublicTrade]:
        """Newest last; at most the last 1000 are kept."""
        ...

    def klines(self, symbol: str, interval_ms: int, count: int) -> list[Kline]:
        """Closed candles, oldest first; `interval_ms` is a multiple of a minute, else ValueError."""
        ...

    def running_kline(self, symbol: str, interval_ms: int) -> Kline | None:
        """The candle that is not closed yet, as in `klines`; None where the market is not made here."""
        ...

    def account_state(self, account: str) -> LedgerAccount:
        """Balances, positions, fee rates as they are now."""
        ...

    def equity(self, account: str) -> Decimal:
        """Everything of the account valued at mark, in quote currency."""
        ...

    def usage(self, account: str, now_ns: int) -> RateUsage:
        """Order counts of the current windows, for response headers."""
        ...
