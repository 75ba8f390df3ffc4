"""Rows of a venue's own ledger, free of any dialect: what audits read over REST and simulated venues serve.

The server role of a dialect spells these rows, the client role reads them back. Amounts are exact decimal text,
prices and sizes integer ticks and lots, times the venue's unix milliseconds.
"""

from __future__ import annotations

from actors.vocab.instruments import Instrument
from actors.vocab.market import Side
from actors.vocab.message import Record
from actors.vocab.orders import OrderState
from actors.vocab.venue_io import VenueFill


class LedgerOrder(Record, frozen=True):
    """One order of an account in its newest state. `filled_quote` is the sum of price times size of its fills."""

    symbol: str
    client_id: str
    venue_order_id: str
    side: Side
    state: OrderState
    price_ticks: int
    lots: int
    filled_lots: int
    filled_quote: str
    created_ms: int
    updated_ms: int
    post_only: bool = True
    reduce_only: bool = False
    market: bool = False


class LedgerTrade(Record, frozen=True):
    """One execution with what it realised (perpetuals; "0" on spot)."""

    fill: VenueFill
    realized_pnl: str = "0"


class LedgerIncome(Record, frozen=True):
    """One balance change of a perpetual account. `kind`: REALIZED_PNL, COMMISSION, FUNDING_FEE, TRANSFER …"""

    symbol: str
    kind: str
    amount: str  # + received
    asset: str
    time_ms: int
    tran_id: int
    trade_id: int = 0  # 0: caused by no trade


class LedgerAmendment(Record, frozen=True):
    """One change of price or total size of a resting order."""

    symbol: str
    client_id: str
    venue_order_id: str
    amendment_id: int
    time_ms: int
    price_ticks_before: int
    price_ticks: int
    lots_before: int
    lots: int
    amendments_count: int  # of this order, this one included


class LedgerBalance(Record, frozen=True):
    """One asset. Spot: `wallet` is free plus locked. Perpetuals: wallet balance without unrealised pnl."""

    asset: str
    wallet: str
    locked: str = "0"  # spot: in open orders; perpetuals: initial margin
    unrealized: str = "0"


class LedgerPosition(Record, frozen=True):
    """One perpetual position; prices are floats in ticks because averages lie off the grid."""

    symbol: str
    position_lots: int
    entry_ticks: float
    mark_ticks: float
    unrealized: str = "0"
    updated_ms: int = 0
    margin: str = "0"  # initial margin of the position and of the symbol's open orders


class LedgerAccount(Record, frozen=True):
    """What `account` queries show. Fee rates are fractions (0.0002 = 2 bps)."""

    balances: tuple[LedgerBalance, ...]
    positions: tuple[LedgerPosition, ...] = ()
    maker_rate: str = "0"
    taker_rate: str = "0"
    updated_ms: int = 0
    can_trade: bool = True
    can_withdraw: bool = False


LedgerRow = LedgerOrder | LedgerTrade | LedgerIncome | LedgerAmendment


class LedgerBook(Record, frozen=True):
    """Everything that an audit has read of one account, from `since_ms` on; rows oldest first."""

    venue: str
    since_ms: int
    read_ms: int  # the venue's clock when the reading began
    instruments: tuple[Instrument, ...]
    orders: tuple[LedgerOrder, ...]
    open_orders: tuple[LedgerOrder, ...]
    amendments: tuple[LedgerAmendment, ...]
    trades: tuple[LedgerTrade, ...]
    income: tuple[LedgerIncome, ...]  # perpetuals only
    account: LedgerAccount
    positions: tuple[LedgerPosition, ...]  # perpetuals only
    is_whole: bool = False  # the account had no life before `since_ms`
