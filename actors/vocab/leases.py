"""Permission to be exposed: what risk grants, holders spend and gateways check.

A grant is an *envelope* on the worst-case position of one symbol at one venue account:

    position + every buy that may still be live   <=  long_lots
    position - every sell that may still be live  >= -short_lots

On spot a position is what is held beyond the account's *stock*, the coins it started with; a lack of them is short.
Fills move size from "live" to "position", so an envelope survives them. Raising an envelope takes effect at
once; lowering it returns size to the pool only after the gateway has *fenced*: refused all older tokens for
ever and confirmed every order under them terminal or within the new envelope.
"""

from __future__ import annotations

import enum

from actors.vocab.message import Message, Record


class RiskState(enum.IntEnum):
    """Ordered by severity; the worst of symbol, venue and fleet applies."""

    NORMAL = 0
    WARNING = 1  # a limit is 80 % used: sizes are cut
    REDUCE_ONLY = 2  # only orders that shrink the position
    CIRCUIT_BREAKER = 3  # nothing new; back through WARNING after a cool-down
    FULL_STOP = 4  # nothing new; only an operator lifts it


class Token(Record, frozen=True):
    """Fencing token. Compared field by field; a higher term beats any grant of a lower one."""

    term: int  # +1 at each start of risk, journalled before use
    grant_no: int  # +1 at each change of envelope, over all symbols of the term
    holder: str  # incarnation of the quote actor


class LeaseRequest(Message, frozen=True):
    """quote -> risk, every `renew_interval_ms` and at once when the wish changes."""

    venue: str
    symbol: str
    holder: str
    request_no: int  # +1 each; the answer names it, and the ttl runs from when this was sent
    position_lots: int
    want_long_lots: int  # worst-case long the ladder would like, position included; never negative
    want_short_lots: int
    last_fill_no: int  # last gateway fill number seen; risk uses the worse of both views
    mid_ticks: float  # 0.0 while there is no book
    orders_needed: int = 0  # of the last minute: every one but those that only moved a quote back
    orders_short: bool = False  # since the last request one was held back although its side stood empty
    orders_held: int = 0  # rate a minute in force here
    steps: str = ""  # `Instrument.steps` that lots and ticks are counted in; empty: not told


class LeaseGrant(Message, frozen=True):
    """risk -> quote. Answers `request_no`; also sent unasked, with request_no 0, to tighten: then no ttl is gained."""

    venue: str
    symbol: str
    token: Token
    request_no: int
    long_lots: int
    short_lots: int
    state: RiskState
    reason: str  # empty in NORMAL; else what an operator would read
    ttl_ms: int
    orders_per_min: int
    quantity_factor: float = 1.0  # cut of sizes by WARNING or by a regime view; in (0, 1]
    steps: str = ""  # as above


class LeaseRelease(Message, frozen=True):
    """quote -> risk at an orderly stop: no order of mine lives, take the size back after the gateway confirms."""

    venue: str
    symbol: str
    holder: str


class AccountLeaseRequest(Message, frozen=True):
    """gateway -> risk, every `renew_interval_ms`. Without an answer inside the ttl the gateway closes."""

    venue: str
    gateway: str  # incarnation
    request_no: int
    last_fill_no: int  # highest fill number the gateway has given out
    symbols: tuple[SymbolExposure, ...]
    orders_per_min: int = 0  # most that it would write in a minute; 0: not told


class SymbolExposure(Record, frozen=True):
    """What the gateway knows of one symbol: the truth leases are settled against."""

    symbol: str
    position_lots: int
    open_buy_lots: int  # every order not known to be terminal, in flight and unknown ones included
    open_sell_lots: int
    fenced_no: int  # all grants below this are refused for ever and have no live order outside the envelope
    foreign_buy_lots: int = 0  # orders on the account that are not ours
    foreign_sell_lots: int = 0
    steps: str = ""  # as above


class AccountLease(Message, frozen=True):
    """risk -> gateway. Opens it, keeps it open, carries the states."""

    venue: str
    term: int
    request_no: int  # 0 when announced unasked (tightening, kill)
    state: RiskState  # of the venue or the fleet, the worse
    ttl_ms: int
    acked_fill_no: int  # all fills up to here are journalled; the gateway may forget them
    client_block: int  # current block for client ids, journalled before it was given out
    fences: tuple[Fence, ...] = ()
    halted_symbols: tuple[str, ...] = ()  # symbols in CIRCUIT_BREAKER or FULL_STOP: cancel, refuse


class Fence(Record, frozen=True):
    """Order to a gateway: refuse grants of `symbol` below `min_grant_no`, cancel what does not fit the envelope."""

    symbol: str
    min_grant_no: int
    long_lots: int
    short_lots: int


class BlockRequest(Message, frozen=True):
    """gateway -> risk: my client-id block runs low (or I have just started)."""

    venue: str
    gateway: str


class BlockGrant(Message, frozen=True):
    """risk -> gateway: ids `first <= n < first + size` are yours, journalled as used."""

    venue: str
    gateway: str
    first: int
    size: int
    # What the journal knows, so that a new life of the gateway misses no fill and numbers on without a repeat.
    last_fill_no: int = -1  # highest journalled fill number; -1: not told, `AccountLease.acked_fill_no` counts
    since_ms: int = 0  # start of the last life on this account (unix ms); 0: there was none. Fills are fetched from it
    journalled: tuple[JournalledSymbol, ...] = ()
    fundings: tuple[FundingPaid, ...] | None = None  # newest journalled payments, oldest first; None: not told


TRADE_IDS_TOLD = 50  # of each symbol, to a new life of its gateway: the fills of about two minutes of a busy one


class FundingPaid(Record, frozen=True):
    """A funding payment, as far as stream and list tell the same of it."""

    asset: str
    amount: str  # decimal text, + received
    event_ns: int


class JournalledSymbol(Record, frozen=True):
    """Where the journal stands with one symbol: fills that it lacks are asked of the venue again.

    Those are above the highest trade id; and, as trades may be missed out of order, shortly before it those that are
    not among `trade_ids`.
    """

    symbol: str
    trade_id: int
    position_lots: int
    avg_price_ticks: float = 0.0
    stock_lots: int = 0  # spot: what the account started with; positions are counted from it
    trade_ids: tuple[int, ...] = ()  # newest journalled ones, ascending; empty: not told


class Kill(Message, frozen=True):
    """risk -> gateway: cancel everything of ours now, from the reserved part of the rate budget, and close.

    `symbol` empty means all. Latches by term: an older term cannot lift it.
    """

    venue: str
    term: int
    symbol: str = ""
    reason: str = ""
