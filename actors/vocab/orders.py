"""Orders, fills and positions between quote engines, gateways and risk."""

from __future__ import annotations

import enum

from actors.vocab.leases import Token
from actors.vocab.market import Side
from actors.vocab.message import Message, Record


class Cause(enum.IntEnum):
    """Why a decision was made; latency is kept per cause, BOOK being the one that is promised."""

    BOOK = 0
    FILL = 1
    TIMER = 2
    LEASE = 3
    OPERATOR = 4


class OrderState(enum.IntEnum):
    """See `gateway/lifecycle.py` for the transition table."""

    PENDING = 0  # written or about to be; no answer yet
    OPEN = 1
    PARTLY_FILLED = 2
    REPLACING = 3
    CANCELLING = 4
    UNKNOWN = 5  # outcome unknown: counted as live until a query tells
    FILLED = 6
    CANCELLED = 7
    REJECTED = 8
    EXPIRED = 9


OPEN_STATES = frozenset(
    {
        OrderState.PENDING,
        OrderState.OPEN,
        OrderState.PARTLY_FILLED,
        OrderState.REPLACING,
        OrderState.CANCELLING,
        OrderState.UNKNOWN,
    }
)
DONE_STATES = frozenset(OrderState) - OPEN_STATES


class LeasedOrder(Message, frozen=True):
    """quote -> gateway. Only `risk/leases.py` makes one, so what reaches a gateway has passed a wallet.

    `ref` is the holder's number for the order, unique within its incarnation, never 0. `slot` is its place in the
    ladder: side and level; the gateway's pacer keeps the newest intent per slot and ranks by `value_usd`.
    """

    venue: str
    symbol: str
    ref: int
    slot: int
    side: Side
    price_ticks: int
    lots: int
    post_only: bool
    reduce_only: bool
    token: Token
    long_lots: int  # the envelope it was checked against: the gateway checks again
    short_lots: int
    lease_left_ms: int
    value_usd: float
    cause: Cause
    recv_ns: int  # oldest frame of the decision, on the holder's host; 0 when no frame caused it
    age_us: int  # the same as an age, for another host


class LeasedReplace(Message, frozen=True):
    """quote -> gateway: change price and total size of order `ref`, queue position lost. `lots` is the new total."""

    venue: str
    symbol: str
    ref: int
    slot: int
    side: Side
    price_ticks: int
    lots: int
    token: Token
    long_lots: int
    short_lots: int
    lease_left_ms: int
    value_usd: float
    cause: Cause
    recv_ns: int
    age_us: int


class CancelOrder(Message, frozen=True):
    """quote -> gateway. Needs no lease: lowering risk is always allowed."""

    venue: str
    symbol: str
    holder: str
    ref: int
    cause: Cause = Cause.BOOK
    recv_ns: int = 0


class CancelAll(Message, frozen=True):
    """quote -> gateway: every order of this holder and symbol."""

    venue: str
    symbol: str
    holder: str
    reason: str = ""


class HolderHello(Message, frozen=True):
    """quote -> gateway: a new incarnation is here (or dialled again). Orders of older incarnations are cancelled.

    Answered by one `HolderState`, and again whenever the position changes without a fill of ours.
    """

    venue: str
    symbol: str
    holder: str
    gateway: str  # incarnation it believes it talks to; a mismatch is refused
    steps: str = ""  # `Instrument.steps` that it counts in, a mismatch is refused; empty while it knows none


class HolderState(Message, frozen=True):
    """gateway -> quote: the truth to start from. `complete` once the account is reconciled with the venue."""

    venue: str
    symbol: str
    gateway: str
    position_lots: int
    avg_price_ticks: float
    last_fill_no: int
    dying_buy_lots: int  # orders of older incarnations still being cancelled: they count against the envelope
    dying_sell_lots: int
    complete: bool
    open_refs: tuple[int, ...] = ()  # this holder's orders that live here; any other it believes in is gone
    stock_lots: int = 0  # spot: coins held at position 0, so the most that may be sold below it


# `reason` of an update that refused a change, though nothing is wrong with it: another one may fit soon.
CHANGES_FULL = "the account's orders that are left are for missing quotes"


class OrderUpdate(Message, frozen=True):
    """gateway -> quote, at each change of state."""

    venue: str
    symbol: str
    holder: str
    ref: int
    state: OrderState
    price_ticks: int
    lots: int
    filled_lots: int
    reason: str = ""  # why rejected or refused, as an operator would read it
    ack_us: int = -1  # order written to first answer, when this update is that answer


class Fill(Message, frozen=True):
    """gateway -> quote and risk. `fill_no` is +1 per gateway account over all lives: a hole means ask again."""

    venue: str
    symbol: str
    fill_no: int
    trade_id: int
    client_id: str
    holder: str
    ref: int
    token_grant_no: int
    side: Side
    price_ticks: int
    lots: int
    maker: bool
    fee: str  # decimal text, positive = paid
    fee_asset: str
    event_ns: int  # venue's clock
    position_lots: int  # after this fill, by the gateway's count
    foreign: bool = False  # not an order of ours: liquidation, ADL, manual trade
    prev_no: int = -1  # number of this symbol's fill or adjustment before: a holder of one symbol sees a hole by it


class FillsAgain(Message, frozen=True):
    """quote or risk -> gateway: send fills from `from_no` again."""

    venue: str
    from_no: int


STARTING_BALANCE = "starting balance"  # reason of a `PositionAdjust`: coins a spot account held before we traded


class PositionAdjust(Message, frozen=True):
    """gateway -> quote and risk: a position or balance changed without a fill (fee in base, transfer, funding)."""

    venue: str
    symbol: str
    fill_no: int  # shares the fills' numbering
    position_lots: int
    amount: str  # decimal text, change of `asset`
    asset: str
    reason: str
    event_ns: int
    prev_no: int = -1  # as in `Fill`


class OrderRow(Message, frozen=True):
    """gateway -> risk's journal: one order reached a state worth keeping (written, acked, terminal)."""

    venue: str
    symbol: str
    client_id: str
    holder: str
    ref: int
    state: OrderState
    side: Side
    price_ticks: int
    lots: int
    filled_lots: int
    term: int
    grant_no: int
    reason: str
    event_ns: int


class OpenOrder(Record, frozen=True):
    """One order the venue says is live."""

    client_id: str
    venue_order_id: str
    symbol: str
    side: Side
    price_ticks: int
    lots: int
    filled_lots: int
    created_ms: int
