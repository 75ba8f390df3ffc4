"""What gateways ask of a venue and what venues answer, free of any dialect.

`venues/<name>.py` turns a `VenueRequest` into bytes and bytes into `VenueEvent`s (client role), and for the
simulator bytes into `VenueRequest`s and `VenueEvent`s into bytes (server role). One `request_no` ties them.
"""

from __future__ import annotations

import enum

from actors.vocab.market import Kline, Level, Side
from actors.vocab.message import Message, Record
from actors.vocab.orders import OpenOrder, OrderState

# --- gateway -> venue --------------------------------------------------------------------------------------


class VenuePlace(Message, frozen=True):
    request_no: int
    symbol: str
    client_id: str
    side: Side
    price_ticks: int
    lots: int
    post_only: bool = True
    reduce_only: bool = False
    market: bool = False  # a market order; price ignored. Only `flatten` uses it


class VenueReplace(Message, frozen=True):
    """Change price and total size. Venues that cannot amend in place cancel and place under `new_client_id`."""

    request_no: int
    symbol: str
    client_id: str
    new_client_id: str
    venue_order_id: str
    side: Side
    price_ticks: int
    lots: int  # new total, filled part included
    filled_lots: int = 0  # part of it known to be filled: where the venue cannot amend, only the rest is placed anew


class VenueCancel(Message, frozen=True):
    request_no: int
    symbol: str
    client_id: str
    venue_order_id: str = ""


class VenueCancelAll(Message, frozen=True):
    """Cancels foreign orders as well: used by `kill` and tests only, never by an ordinary stop."""

    request_no: int
    symbol: str


class VenueQueryOrder(Message, frozen=True):
    request_no: int
    symbol: str
    client_id: str
    venue_order_id: str = ""  # counts where `client_id` is empty


class VenueOpenOrdersQuery(Message, frozen=True):
    request_no: int
    symbol: str = ""  # empty: all


class VenueTradesQuery(Message, frozen=True):
    """Our own executions with trade id >= from_trade_id (0: since `since_ms`). With `venue_order_id` that order's."""

    request_no: int
    symbol: str
    from_trade_id: int = 0
    since_ms: int = 0
    venue_order_id: str = ""


class VenuePositionsQuery(Message, frozen=True):
    request_no: int


class VenueFundingQuery(Message, frozen=True):
    """Perpetuals: every funding payment from `since_ms` on, by the venue's clock."""

    request_no: int
    since_ms: int


class VenueBalancesQuery(Message, frozen=True):
    request_no: int


class VenueCountdown(Message, frozen=True):
    """Venue-side dead man's switch of one symbol; 0 switches it off."""

    request_no: int
    symbol: str
    countdown_ms: int


class VenueTimeQuery(Message, frozen=True):
    request_no: int


VenueRequest = (
    VenuePlace
    | VenueReplace
    | VenueCancel
    | VenueCancelAll
    | VenueQueryOrder
    | VenueOpenOrdersQuery
    | VenueTradesQuery
    | VenuePositionsQuery
    | VenueFundingQuery
    | VenueBalancesQuery
    | VenueCountdown
    | VenueTimeQuery
)

# --- venue -> gateway --------------------------------------------------------------------------------------


class FaultKind(enum.IntEnum):
    """What a refusal means for the one who asked; the dialect maps the venue's codes to it."""

    REJECTED = 0  # the order does not exist and never did
    POST_ONLY = 1  # it would have taken: expected, requote
    UNKNOWN_OUTCOME = 2  # time-out, 5xx, -1006 …: may or may not exist; query by client id
    UNKNOWN_ORDER = 3  # cancel or query of an order the venue does not know: usually terminal already
    RATE_LIMIT = 4  # stop; `retry_after_ms` says how long
    BANNED = 5
    CLOCK = 6  # timestamp outside the window: resync time, retry once
    FILTER = 7  # tick, lot, notional: refresh instruments
    FUNDS = 8
    AUTH = 9  # key, signature, permission: stop the account
    BUSY = 10  # throttled by the venue, surely not executed
    DUPLICATE_ID = 11
    UNCHANGED = 12  # "already so": treat as success
    BAD_REQUEST = 13  # a bug of ours


class VenueAck(Message, frozen=True):
    """The venue took a place, replace or cancel."""

    request_no: int
    symbol: str
    client_id: str
    venue_order_id: str
    state: OrderState
    price_ticks: int
    lots: int
    filled_lots: int
    event_ns: int


class VenueReject(Message, frozen=True):
    request_no: int
    kind: FaultKind
    code: int
    text: str
    symbol: str = ""
    client_id: str = ""
    retry_after_ms: int = 0


class VenueOrder(Message, frozen=True):
    """State of one order, from the private stream (request_no 0) or a query."""

    request_no: int
    symbol: str
    client_id: str
    venue_order_id: str
    side: Side
    state: OrderState
    price_ticks: int
    lots: int
    filled_lots: int
    event_ns: int
    reason: str = ""


class VenueFill(Message, frozen=True):
    """One execution of ours, from the private stream (request_no 0) or a trades query."""

    request_no: int
    symbol: str
    client_id: str  # empty when the venue's trade list does not carry it
    venue_order_id: str
    trade_id: int
    side: Side
    price_ticks: int
    lots: int
    maker: bool
    fee: str
    fee_asset: str
    event_ns: int
    system: bool = False  # liquidation, ADL, settlement


class VenueOpenOrders(Message, frozen=True):
    request_no: int
    symbol: str
    orders: tuple[OpenOrder, ...]


class VenueTrades(Message, frozen=True):
    """Answer to a trades query, oldest first; `complete` False when the venue's page was full."""

    request_no: int
    symbol: str
    fills: tuple[VenueFill, ...]
    complete: bool = True


class Position(Record, frozen=True):
    symbol: str
    position_lots: int
    entry_ticks: float


class VenuePositions(Message, frozen=True):
    """Perpetuals: all positions. Spot: derived from balances by the dialect, one per instrument's base asset."""

    request_no: int
    positions: tuple[Position, ...]


class Balance(Record, frozen=True):
    asset: str
    total: str  # decimal text, free and locked
    locked: str = "0"


class VenueBalances(Message, frozen=True):
    request_no: int
    balances: tuple[Balance, ...]


class VenueFunding(Message, frozen=True):
    """Funding or another balance change outside trades."""

    symbol: str
    asset: str
    amount: str  # decimal text, + received
    reason: str
    event_ns: int
    tran_id: int = 0  # the venue's number in its list of balance changes; the private stream does not tell it


class VenueFundings(Message, frozen=True):
    """Oldest first. Not `complete`: the page was full, there is more from the last one's time on."""

    request_no: int
    rows: tuple[VenueFunding, ...]
    complete: bool = True


class VenueCountdownAck(Message, frozen=True):
    request_no: int
    symbol: str
    countdown_ms: int


class VenueTime(Message, frozen=True):
    request_no: int
    server_ms: int


class RateUsage(Message, frozen=True):
    """The venue's own count of what we used, from headers or answers."""

    orders_10s: int = -1
    orders_1m: int = -1
    orders_1d: int = -1
    weight_1m: int = -1


class StreamKind(enum.IntEnum):
    PRIVATE = 0  # order and account events
    ORDER = 1  # websocket order entry
    PUBLIC = 2


class StreamUp(Message, frozen=True):
    stream: StreamKind
    connection_no: int


class StreamDown(Message, frozen=True):
    stream: StreamKind
    reason: str


VenueEvent = (
    VenueAck
    | VenueReject
    | VenueOrder
    | VenueFill
    | VenueOpenOrders
    | VenueTrades
    | VenuePositions
    | VenueBalances
    | VenueFunding
    | VenueFundings
    | VenueCountdownAck
    | VenueTime
    | RateUsage
    | StreamUp
    | StreamDown
)

# --- public market data, before it becomes a book ------------------------------------------------------------


class DepthDelta(Record, frozen=True):
    """One diff-depth event; sizes absolute, zero removes. `prev_seq` is -1 where the venue has none (spot)."""

    symbol: str
    first_seq: int
    last_seq: int
    prev_seq: int
    event_ns: int
    bids: list[Level]
    asks: list[Level]


class DepthSnapshot(Record, frozen=True):
    """A REST snapshot."""

    symbol: str
    last_seq: int
    bids: list[Level]
    asks: list[Level]


class PartialDepth(Record, frozen=True):
    """A self-contained top N."""

    symbol: str
    last_seq: int
    event_ns: int
    bids: list[Level]
    asks: list[Level]


class TopOfBook(Record, frozen=True):
    """The venue's own best bid and ask (book ticker)."""

    symbol: str
    seq: int
    event_ns: int
    bid_ticks: int
    bid_lots: int
    ask_ticks: int
    ask_lots: int


class MarkPrice(Record, frozen=True):
    symbol: str
    event_ns: int
    mark_ticks: float
    index_ticks: float
    funding_rate: float
    next_funding_ms: int


class Liquidation(Record, frozen=True):
    symbol: str
    event_ns: int
    side: Side
    price_ticks: int
    lots: int


class KlineEvent(Record, frozen=True):
    symbol: str
    event_ns: int
    closed: bool
    kline: Kline


class StreamNotice(Record, frozen=True):
    """A frame that is about the connection: subscription answer, error, shutdown announcement."""

    kind: str  # "subscribed" | "error" | "shutdown" | "other"
    request_no: int
    text: str


class PublicTrade(Record, frozen=True):
    symbol: str
    trade_id: int
    event_ns: int
    side: Side
    price_ticks: int
    lots: int


MarketEvent = DepthDelta | PartialDepth | TopOfBook | PublicTrade | MarkPrice | Liquidation | KlineEvent | StreamNotice
