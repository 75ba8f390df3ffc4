"""What every part of a venue's desk shares: its books' protocol, its state, what waits for its time, and the words in
which orders and refusals are told.
"""

from __future__ import annotations

import heapq
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Sequence
from decimal import Decimal
from typing import Protocol

import msgspec

from actors.sim.accounts import PerpAccount, SpotAccount
from actors.sim.faults import FaultPlan, RequestFate
from actors.sim.filters import Refusal
from actors.sim.ledger import Ledger, Rejection
from actors.sim.limits import OrderLimits
from actors.sim.matching import BookEvent
from actors.sim.messages import ClientRequest, Execution, Private, Reply, SimCommand
from actors.sim.orders import SimOrder
from actors.sim.queue_models import LatencyModel
from actors.vocab.config.sim import SimSettings
from actors.vocab.errors import ConfigError
from actors.vocab.instruments import Instrument
from actors.vocab.market import Side
from actors.vocab.units import NS_PER_MS, NS_PER_S
from actors.vocab.venue_io import MarketEvent, MarkPrice, PublicTrade, VenueAck, VenueOrder, VenueReject

NEVER_NS = 1 << 62
RECENT_TRADES_MAX = 1000
FUNDINGS_MAX = 1000
ORDER_IDS_FROM = 1_000_000


class OrderBook(Protocol):
    """What the desk asks of a book; `matching.Book` and `recorded.RecordedBook` are ones."""

    def best_bid(self) -> int: ...

    def best_ask(self) -> int: ...

    def crosses(self, side: Side, price_ticks: int) -> bool: ...

    def place(self, order: SimOrder) -> list[BookEvent]: ...

    def remove(self, order: SimOrder) -> None: ...

    def shrink(self, order: SimOrder, lots: int) -> None: ...


class Waiting(msgspec.Struct, eq=False):
    """A request on its way to the book, or a command on its way out; `number` keeps equal times in order."""

    due_ns: int
    number: int
    request: ClientRequest | None = None
    fate: RequestFate | None = None
    command: SimCommand | None = None

    def __lt__(self, other: Waiting) -> bool:
        return (self.due_ns, self.number) < (other.due_ns, other.number)


class DeskState(ABC):
    """The parts above it: `desk_orders.py`, `desk_queries.py`, `desk_requests.py`, and `desk.py` on top."""

    def __init__(
        self,
        *,
        venue: str,
        instruments: Sequence[Instrument],
        settings: SimSettings,
        seed: int,
        start_ms: int,
        latency: LatencyModel,
    ) -> None:
        if not instruments:
            raise ConfigError(f"{venue}: no instruments to trade")
        self.venue = venue
        self.ledger = Ledger()
        self.settings = settings
        self.faults = FaultPlan.named(settings.faults, seed)
        self.market = instruments[0].market
        self.now_ns = start_ms * NS_PER_MS
        self._latency = latency
        self._quote = instruments[0].quote
        self._maker_bps = Decimal(str(settings.maker_fee_bps))
        self._taker_bps = Decimal(str(settings.taker_fee_bps))
        self._instruments: dict[str, Instrument] = {each.symbol: each for each in instruments}
        self._accounts: dict[str, PerpAccount | SpotAccount] = {}
        self._limits: dict[str, OrderLimits] = {}
        # (account, symbol) -> order_id -> order; holds exactly the orders that rest in a book
        self._open: dict[tuple[str, str], dict[int, SimOrder]] = {}
        self._open_by_client_id: dict[tuple[str, str, str], SimOrder] = {}  # (account, symbol, client_id), as _open
        self._countdowns: dict[tuple[str, str], int] = {}  # (account, symbol) -> when its orders are cancelled
        self._countdown_ns = NEVER_NS  # the earliest of them
        self._recent: dict[str, deque[PublicTrade]] = {
            symbol: deque(maxlen=RECENT_TRADES_MAX) for symbol in self._instruments
        }
        # symbol -> what it paid funding by, oldest first
        self._fundings: dict[str, deque[MarkPrice]] = {
            symbol: deque(maxlen=FUNDINGS_MAX) for symbol in self._instruments
        }
        self._waiting: list[Waiting] = []  # heap
        self._number = 0
        self._order_id = ORDER_IDS_FROM
        interval_ns = int(settings.funding_interval_s * NS_PER_S)
        self._funding_ns = (self.now_ns // interval_ns + 1) * interval_ns if self.market == "perp" else NEVER_NS

    # --- what a subclass gives -----------------------------------------------------------------------------------

    @abstractmethod
    def _book(self, symbol: str) -> OrderBook: ...

    @abstractmethod
    def mark_ticks(self, symbol: str) -> float:
        """What positions are valued at."""

    @abstractmethod
    def funding_rate(self, symbol: str) -> float:
        """Of the current interval, as a fraction; longs pay a positive one."""

    @abstractmethod
    def _after_book_change(self, symbol: str, now_ns: int, out: list[SimCommand]) -> None:
        """Orders of ours changed a book: say what the public streams say."""

    @abstractmethod
    def _restep(self, instrument: Instrument, now_ns: int) -> None:
        """The steps of a symbol without open orders change."""

    @abstractmethod
    def _public(self, event: MarketEvent, now_ns: int, out: list[SimCommand]) -> None:
        """Send one public event; a recorded venue sends what was recorded instead."""

    # --- what waits for its time ---------------------------------------------------------------------------------

    def _later(
        self,
        due_ns: int,
        *,
        request: ClientRequest | None = None,
        fate: RequestFate | None = None,
        command: SimCommand | None = None,
    ) -> None:
        self._number += 1
        heapq.heappush(self._waiting, Waiting(due_ns, self._number, request, fate, command))

    # --- words ---------------------------------------------------------------------------------------------------

    def _tell(self, order: SimOrder, execution: Execution, reason: str, now_ns: int, out: list[SimCommand]) -> None:
        """Write a transition that is no trade to the ledger and to the owner."""
        self.ledger.record(order, execution, now_ns)
        account = self._accounts[order.account]
        spot = isinstance(account, SpotAccount)
        private = Private(
            account=order.account,
            event=self._order_event(order, 0, reason),
            execution=execution,
            order=self.ledger.row(order),
            # Spot locks and frees balances with every order; perpetual wallets change by trades and funding alone.
            balances=account.balances(account.touched_assets(self._instruments[order.symbol])) if spot else (),
        )
        self._private(private, now_ns, out)

    def _private(self, private: Private, now_ns: int, out: list[SimCommand], late_ms: int = 0) -> None:
        delay_ns = late_ms * NS_PER_MS + self._latency.response_ns(now_ns)
        if delay_ns:
            self._later(now_ns + delay_ns, command=private)
        else:
            out.append(private)

    def _order_event(self, order: SimOrder, request_no: int, reason: str) -> VenueOrder:
        return VenueOrder(
            request_no=request_no,
            symbol=order.symbol,
            client_id=order.client_id,
            venue_order_id=str(order.order_id),
            side=order.side,
            state=order.state,
            price_ticks=order.price_ticks,
            lots=order.lots,
            filled_lots=order.told_lots,
            event_ns=order.updated_ns,
            reason=reason,
        )

    def _ack(self, request: ClientRequest, order: SimOrder, now_ns: int) -> Reply:
        ack = VenueAck(
            request_no=request.request.request_no,
            symbol=order.symbol,
            client_id=order.client_id,
            venue_order_id=str(order.order_id),
            state=order.state,
            price_ticks=order.price_ticks,
            lots=order.lots,
            filled_lots=order.filled_lots,
            event_ns=now_ns,
        )
        return Reply(request.connection, ack.request_no, ack, order=self.ledger.row(order))

    def _refuse(self, request: ClientRequest, refusal: Refusal, symbol: str, client_id: str, now_ns: int) -> Reply:
        """Refuse a place or replace; the ledger keeps that it was asked."""
        self.ledger.record_rejection(request.account, Rejection(now_ns, symbol, client_id, refusal.code, refusal.text))
        return self._reject(request, refusal, client_id=client_id)

    def _reject(
        self, request: ClientRequest, refusal: Refusal, *, client_id: str = "", retry_after_ms: int = 0, status: int = 0
    ) -> Reply:
        event = VenueReject(
            request_no=request.request.request_no,
            kind=refusal.kind,
            code=refusal.code,
            text=refusal.text,
            symbol=getattr(request.request, "symbol", ""),
            client_id=client_id,
            retry_after_ms=retry_after_ms,
        )
        return Reply(request.connection, event.request_no, event, status=status)
