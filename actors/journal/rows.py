"""What is written to the journal and what comes back at a start: plain values, kept by `store.py`."""

from __future__ import annotations

import msgspec

from actors.vocab.leases import FundingPaid
from actors.vocab.orders import Fill, OrderRow, PositionAdjust

SINCE_KEY = "since_ms"


class MetaRow(msgspec.Struct, frozen=True):
    """One durable fact of the account; the newest value of a key counts. Keys: see `Loaded`; SINCE_KEY:<venue>."""

    key: str
    value: str


class BlockRow(msgspec.Struct, frozen=True):
    """Client ids `first <= n < first + size` of a venue account are used up from now on."""

    venue: str
    gateway: str
    first: int
    size: int
    wall_ms: int


class StateRow(msgspec.Struct, frozen=True):
    """A scope's risk state changed, or what of it only an operator lifts. `scope`: "fleet", "venue:…", "symbol:…:…"."""

    scope: str
    state: int
    reason: str
    latched: int  # the state that only an operator lifts, 0: none; 1: all of `state`, as older journals say it
    wall_ms: int


class BookingRow(msgspec.Struct, frozen=True):
    """Worst case of one symbol that grants may reach from now on, and the price of a lot it is valued at."""

    venue: str
    symbol: str
    base: str
    long_lots: int
    short_lots: int
    price_nusd: int


class LedgerRow(msgspec.Struct, frozen=True):
    """One symbol's ledger after its newest fill or adjustment. `state_json`: `risk.ledger.LedgerState`."""

    venue: str
    symbol: str
    run_id: str
    position_lots: int
    average_ticks: float
    trade_id: int  # highest seen
    state_json: str


class FillNoRow(msgspec.Struct, frozen=True):
    """Highest number up to which all fills of a venue account are journalled."""

    venue: str
    fill_no: int


class RunRow(msgspec.Struct, frozen=True):
    """A run began on this account; equity counts on from `start_equity_usd`."""

    run_id: str
    term: int
    start_equity_usd: str
    wall_ms: int


class GrantRow(msgspec.Struct, frozen=True):
    """An envelope was granted, or its price was frozen anew. For audits: nothing is restored from it."""

    venue: str
    symbol: str
    holder: str  # empty: nobody's any more
    term: int
    grant_no: int
    long_lots: int
    short_lots: int
    price_nusd: int  # of one lot, as the sums against the limits use it from `wall_ms` on
    wall_ms: int  # risk's clock


class HolderRow(msgspec.Struct, frozen=True):
    """When risk heard from a holder of a symbol's lease, in one term. For audits: nothing is restored from it."""

    venue: str
    symbol: str
    holder: str
    term: int
    first_ms: int  # risk's clock
    last_ms: int
    ended: str  # released | expired | replaced; empty while it renews, and then `last_ms` may be late


Row = (
    MetaRow
    | BlockRow
    | StateRow
    | BookingRow
    | LedgerRow
    | FillNoRow
    | RunRow
    | GrantRow
    | HolderRow
    | Fill
    | PositionAdjust
    | OrderRow
)


class Loaded(msgspec.Struct, frozen=True):
    """The journal as a new life of risk finds it."""

    term: int = 0
    equity_usd: str = ""  # account equity when last written; empty on a new account
    high_water_usd: str = ""
    day: int = -1  # UTC day number of day_start_usd; -1: none yet
    day_start_usd: str = ""
    runs: tuple[RunRow, ...] = ()  # at most the newest one
    next_ids: tuple[tuple[str, int], ...] = ()  # venue -> first client id never given out
    last_lives: tuple[tuple[str, str, int], ...] = ()  # (venue, newest gateway with a block, wall ms of its first)
    since_ms: tuple[tuple[str, int], ...] = ()  # venue -> start of the oldest life that may have left fills untold
    fill_nos: tuple[tuple[str, int], ...] = ()  # venue -> highest journalled fill number
    # (venue, symbol, trade_id, side) of the newest fills, oldest first
    trade_keys: tuple[tuple[str, str, int, int], ...] = ()
    bookings: tuple[BookingRow, ...] = ()
    ledgers: tuple[LedgerRow, ...] = ()
    states: tuple[StateRow, ...] = ()  # newest of each scope that is not NORMAL
    fundings: tuple[tuple[str, FundingPaid], ...] = ()  # (venue, payment), the newest, oldest first
