"""A simulated venue's ledger as a file, and the exchange that serves it again to whoever asks what happened.

The file is one MessagePack document (`SavedVenue`): the venue's clock, its instruments, and every account with all
orders, their transitions and amendments, trades, balance changes and refusals. No key is in it.
"""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal

import msgspec

from actors.sim.ledger import Ledger, Rejection, Transition
from actors.sim.messages import ClientRequest, Exchange, Reply, SimCommand
from actors.sim.orders import SimOrder
from actors.venues.ledger import LedgerAccount, LedgerAmendment, LedgerIncome, LedgerOrder, LedgerTrade
from actors.vocab.errors import ConfigError
from actors.vocab.instruments import Instrument
from actors.vocab.market import Kline
from actors.vocab.units import NS_PER_MS
from actors.vocab.venue_io import (
    DepthSnapshot,
    FaultKind,
    MarkPrice,
    PublicTrade,
    RateUsage,
    TopOfBook,
    VenueReject,
)

FORMAT = 1
# Nothing of a saved venue is ever due.
_NEVER_NS = 1 << 62


class SavedAccount(msgspec.Struct, frozen=True):
    """One account's rows, oldest first."""

    account: str
    state: LedgerAccount
    equity: str
    orders: tuple[LedgerOrder, ...]
    transitions: dict[int, tuple[Transition, ...]]  # order id -> its life
    amendments: dict[int, tuple[LedgerAmendment, ...]]
    trades: dict[str, tuple[LedgerTrade, ...]]  # by symbol
    income: tuple[LedgerIncome, ...]
    rejections: tuple[Rejection, ...]


class SavedVenue(msgspec.Struct, frozen=True):
    format: int
    venue: str
    market: str
    saved_ns: int  # venue's clock
    instruments: tuple[Instrument, ...]
    marks: dict[str, float]  # symbol -> mark in ticks
    accounts: tuple[SavedAccount, ...]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(SavedVenue)


def file_name(venue: str) -> str:
    """Name inside the run folder."""
    return f"venue_ledger.{venue}.msgpack"


def save_venue(exchange: Exchange, *, market: str, now_ns: int) -> bytes:
    """Everything that happened on `exchange`, as a file's content."""
    instruments = exchange.instruments()
    return _encoder.encode(
        SavedVenue(
            format=FORMAT,
            venue=exchange.venue,
            market=market,
            saved_ns=now_ns,
            instruments=instruments,
            marks={row.symbol: exchange.mark(row.symbol).mark_ticks for row in instruments},
            accounts=tuple(_save_account(exchange, account) for account in exchange.ledger.accounts()),
        )
    )


def load_venue(data: bytes, where: str) -> SavedVenue:
    """`ConfigError` when `data`, read from `where`, is no ledger of this format."""
    try:
        saved = _decoder.decode(data)
    except msgspec.MsgspecError as error:
        raise ConfigError(f"{where}: not a saved venue ledger ({error}); it may be cut off") from None
    if saved.format != FORMAT:
        raise ConfigError(
            f"{where}: ledger format {saved.format}, this build reads {FORMAT}; run the audit it came with"
        )
    return saved


class SavedExchange(Exchange):
    """Read-only: answers what the ledger knows, refuses every order."""

    def __init__(self, saved: SavedVenue) -> None:
        self.venue = saved.venue
        self.ledger = Ledger()
        self._saved = saved
        self._accounts = {row.account: row for row in saved.accounts}
        for row in saved.accounts:
            self.ledger.restore(
                row.account,
                orders=[_sim_order(row.account, order) for order in row.orders],
                transitions=row.transitions,
                trades=row.trades,
                income=row.income,
                amendments=row.amendments,
                rejections=row.rejections,
            )

    def instruments(self) -> tuple[Instrument, ...]:
        return self._saved.instruments

    def change_instrument(self, instrument: Instrument, now_ns: int) -> list[SimCommand]:
        return []

    def handle(self, request: ClientRequest, now_ns: int) -> list[SimCommand]:
        told = VenueReject(
            request_no=request.request.request_no,
            kind=FaultKind.REJECTED,
            code=-2015,
            text="this venue is a saved ledger: read-only",
        )
        return [Reply(request.connection, request.request.request_no, told)]

    def advance(self, now_ns: int) -> list[SimCommand]:
        return []

    def next_due_ns(self) -> int:
        return _NEVER_NS

    def open_account(self, account: str, now_ns: int, balances: dict[str, Decimal] | None = None) -> None:
        raise ConfigError(f"{self.venue}: a saved ledger opens no account")

    def depth(self, symbol: str, levels: int) -> DepthSnapshot:
        return DepthSnapshot(symbol=symbol, last_seq=0, bids=[], asks=[])

    def top(self, symbol: str) -> TopOfBook:
        return TopOfBook(symbol, 0, self._saved.saved_ns, 0, 0, 0, 0)

    def mark(self, symbol: str) -> MarkPrice:
        mark = self._saved.marks[symbol]
        return MarkPrice(symbol, self._saved.saved_ns, mark, mark, 0.0, 0)

    def fundings(self, symbol: str) -> list[MarkPrice]:
        return []

    def recent_trades(self, symbol: str, count: int) -> list[PublicTrade]:
        return []

    def klines(self, symbol: str, interval_ms: int, count: int) -> list[Kline]:
        return []

    def running_kline(self, symbol: str, interval_ms: int) -> Kline | None:
        return None

    def account_state(self, account: str) -> LedgerAccount:
        return self._accounts[account].state

    def equity(self, account: str) -> Decimal:
        return Decimal(self._accounts[account].equity)

    def usage(self, account: str, now_ns: int) -> RateUsage:
        return RateUsage(orders_10s=0, orders_1m=0)


def _save_account(exchange: Exchange, account: str) -> SavedAccount:
    ledger = exchange.ledger
    orders = tuple(ledger.orders(account))
    amendments: defaultdict[int, list[LedgerAmendment]] = defaultdict(list)
    for symbol in dict.fromkeys(order.symbol for order in orders):
        for change in ledger.amendments(account, symbol):
            amendments[int(change.venue_order_id)].append(change)
    return SavedAccount(
        account=account,
        state=exchange.account_state(account),
        equity=str(exchange.equity(account)),
        orders=orders,
        transitions={
            int(order.venue_order_id): tuple(ledger.transitions(account, order.venue_order_id)) for order in orders
        },
        amendments={order_id: tuple(rows) for order_id, rows in amendments.items()},
        trades={symbol: tuple(ledger.trades(account, symbol)) for symbol in ledger.symbols_traded(account)},
        income=tuple(ledger.income(account)),
        rejections=tuple(ledger.rejections(account)),
    )


def _sim_order(account: str, row: LedgerOrder) -> SimOrder:
    return SimOrder(
        account=account,
        symbol=row.symbol,
        order_id=int(row.venue_order_id),
        client_id=row.client_id,
        side=row.side,
        price_ticks=row.price_ticks,
        lots=row.lots,
        created_ns=row.created_ms * NS_PER_MS,
        post_only=row.post_only,
        reduce_only=row.reduce_only,
        market=row.market,
        state=row.state,
        filled_lots=row.filled_lots,
        told_lots=row.filled_lots,
        filled_quote=Decimal(row.filled_quote),
        updated_ns=row.updated_ms * NS_PER_MS,
    )
