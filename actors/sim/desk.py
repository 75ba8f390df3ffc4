"""The part of a venue that is the same whoever makes the market: requests, checks, accounts, ledger, private events.

Path of a request: `handle` counts it against the order limits and queues it; `order_latency_ms` later `advance` checks
and executes it against the symbol's book; what the book says happened is booked, written to the ledger and told to the
accounts concerned. All requests of a venue go through one queue, so a query sees every order sent before it.
"""

from __future__ import annotations

import heapq
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Sequence
from decimal import Decimal
from typing import Protocol

import msgspec

from actors.sim import filters
from actors.sim.accounts import PerpAccount, SpotAccount
from actors.sim.faults import Fate, FaultPlan, RequestFate
from actors.sim.filters import Refusal
from actors.sim.ledger import Ledger, Rejection
from actors.sim.limits import OrderLimits
from actors.sim.matching import BookEvent, Expiry, Match
from actors.sim.messages import ClientRequest, Execution, Private, Reply, SimCommand
from actors.sim.orders import SimOrder
from actors.sim.queue_models import LatencyModel
from actors.venues.ledger import LedgerAccount
from actors.vocab.config.sim import SimSettings
from actors.vocab.errors import ConfigError, OurFault
from actors.vocab.instruments import Instrument
from actors.vocab.market import Side
from actors.vocab.orders import DONE_STATES, OpenOrder, OrderState
from actors.vocab.units import NS_PER_MS, NS_PER_S
from actors.vocab.venue_io import (
    Balance,
    FaultKind,
    MarketEvent,
    Position,
    PublicTrade,
    RateUsage,
    VenueAck,
    VenueBalances,
    VenueBalancesQuery,
    VenueCancel,
    VenueCancelAll,
    VenueCountdown,
    VenueCountdownAck,
    VenueEvent,
    VenueFill,
    VenueFunding,
    VenueOpenOrders,
    VenueOpenOrdersQuery,
    VenueOrder,
    VenuePlace,
    VenuePositions,
    VenuePositionsQuery,
    VenueQueryOrder,
    VenueReject,
    VenueReplace,
    VenueTime,
    VenueTimeQuery,
    VenueTrades,
    VenueTradesQuery,
)

NEVER_NS = 1 << 62
TRADES_PAGE = 500
RECENT_TRADES_MAX = 1000
ORDER_IDS_FROM = 1_000_000


class OrderBook(Protocol):
    """What the desk asks of a book; `matching.Book` and `recorded.RecordedBook` are ones."""

    def best_bid(self) -> int: ...

    def best_ask(self) -> int: ...

    def crosses(self, side: Side, price_ticks: int) -> bool: ...

    def place(self, order: SimOrder) -> list[BookEvent]: ...

    def remove(self, order: SimOrder) -> None: ...

    def shrink(self, order: SimOrder, lots: int) -> None: ...


class _Waiting(msgspec.Struct, eq=False):
    """A request on its way to the book, or a command on its way out; `number` keeps equal times in order."""

    due_ns: int
    number: int
    request: ClientRequest | None = None
    fate: RequestFate | None = None
    command: SimCommand | None = None

    def __lt__(self, other: _Waiting) -> bool:
        return (self.due_ns, self.number) < (other.due_ns, other.number)


class Desk(ABC):
    """See `messages.Exchange`. Subclasses own the books, and say what the mark is."""

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
        self._waiting: list[_Waiting] = []  # heap
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

    # --- messages.Exchange ---------------------------------------------------------------------------------------

    def instruments(self) -> tuple[Instrument, ...]:
        return tuple(self._instruments.values())

    def open_account(self, account: str, now_ns: int, balances: dict[str, Decimal] | None = None) -> None:
        if account in self._accounts:
            raise OurFault(f"{self.venue}: account {account} is open already")
        funds = balances or self._starting_funds()
        if self.market == "perp":
            if set(funds) != {self._quote}:
                raise ConfigError(f"{self.venue}: a perpetual account holds {self._quote} only, not {sorted(funds)}")
            self._accounts[account] = PerpAccount(quote=self._quote, wallet=funds[self._quote], mark_of=self.mark_ticks)
        else:
            spot = SpotAccount(quote=self._quote, balances=funds, mark_of=self.mark_ticks)
            spot.know(self._instruments.values())
            self._accounts[account] = spot
        self._limits[account] = OrderLimits(self.market)
        for asset, amount in funds.items():
            self.ledger.record_income(account, symbol="", kind="TRANSFER", amount=amount, asset=asset, now_ns=now_ns)

    def _starting_funds(self) -> dict[str, Decimal]:
        """Cash, and on spot whole lots of each coin, or nobody could sell before having bought."""
        funds = {self._quote: Decimal(str(self.settings.balance_usd))}
        for symbol, instrument in self._instruments.items() if self.market == "spot" else ():
            lot_usd = self._opening_ticks(symbol) * instrument.usd_per_tick_lot
            if lot_usd > 0 and instrument.base not in funds:
                lots = round(self.settings.spot_coins_usd / lot_usd)
                funds[instrument.base] = lots * instrument.lot * instrument.multiplier
        return {asset: amount for asset, amount in funds.items() if amount}

    def _opening_ticks(self, symbol: str) -> float:
        """Price that starting coins are counted by; 0.0 when there is none yet, then there are none."""
        return self.mark_ticks(symbol)

    def handle(self, request: ClientRequest, now_ns: int) -> list[SimCommand]:
        if request.account not in self._accounts:
            self.open_account(request.account, now_ns)
        limited = self._limited(request, now_ns)
        if limited is not None:
            return [limited]
        fate = self.faults.on_request(request.request)
        if fate.fate in (Fate.REFUSE_429, Fate.REFUSE_BUSY):
            return [self._refused_by_fault(request, fate.fate)]
        entry_ns = self._latency.entry_ns(now_ns)
        if entry_ns < 0:
            # The measured venue refused at this moment: the answer came after so long, nothing was executed.
            busy = self._refused_by_fault(request, Fate.REFUSE_BUSY)
            self._later(now_ns - entry_ns, command=busy)
            return []
        self._later(now_ns + entry_ns, request=request, fate=fate)
        return []

    def account_state(self, account: str) -> LedgerAccount:
        held = self._accounts[account]
        return LedgerAccount(
            balances=held.balances(),
            positions=held.positions(self.now_ns // NS_PER_MS),
            maker_rate=format(self._maker_bps / 10_000, "f"),
            taker_rate=format(self._taker_bps / 10_000, "f"),
            updated_ms=self.now_ns // NS_PER_MS,
        )

    def equity(self, account: str) -> Decimal:
        return self._accounts[account].equity()

    def usage(self, account: str, now_ns: int) -> RateUsage:
        limits = self._limits.get(account)
        return limits.usage(now_ns) if limits else RateUsage(orders_10s=0, orders_1m=0)

    def recent_trades(self, symbol: str, count: int) -> list[PublicTrade]:
        trades = self._recent[symbol]
        return list(trades)[-count:] if count > 0 else []

    def force_close(self, account: str, symbol: str, now_ns: int) -> list[SimCommand]:
        """The venue closes a position by itself (liquidation): a market order whose id starts with `autoclose-`."""
        instrument = self._instruments[symbol]
        lots = self._accounts[account].position_lots(instrument)
        out: list[SimCommand] = []
        if not lots:
            return out
        self._order_id += 1
        order = SimOrder(
            account=account,
            symbol=symbol,
            order_id=self._order_id,
            client_id=f"autoclose-{self._order_id}",
            side=Side.SELL if lots > 0 else Side.BUY,
            price_ticks=0,
            lots=abs(lots),
            created_ns=now_ns,
            market=True,
            system=True,
        )
        self._admit(order, now_ns, out)
        self._execute(order, now_ns, out)
        return out

    def change_instrument(self, instrument: Instrument, now_ns: int) -> list[SimCommand]:
        """Halt a symbol, change its filters or its steps; the version is raised.

        A halt and new steps cancel the symbol's open orders first. `ConfigError` for a symbol that is not listed, and
        where a held position is no whole number of the new lots.
        """
        old = self._instruments.get(instrument.symbol)
        if old is None:
            raise ConfigError(f"{self.venue}: {instrument.symbol} is not listed")
        out: list[SimCommand] = []
        new = msgspec.structs.replace(instrument, version=old.version + 1)
        steps_change = (new.tick, new.lot, new.multiplier) != (old.tick, old.lot, old.multiplier)
        if steps_change or not new.trading:
            for account in self._accounts:
                self._cancel_all(account, new.symbol, now_ns, out)
        if steps_change:
            for held in self._accounts.values():
                held.rescale(new)
            self.ledger.rescale(old, new)
        self._instruments[new.symbol] = new
        if steps_change:
            self._restep(new, now_ns)
        return out

    # --- time ----------------------------------------------------------------------------------------------------

    def _next_desk_ns(self) -> int:
        """When the desk itself has something to do next. Asked at every step, so written out."""
        due_ns = self._funding_ns if self._funding_ns < self._countdown_ns else self._countdown_ns
        if self._waiting and self._waiting[0].due_ns < due_ns:
            due_ns = self._waiting[0].due_ns
        if not self.faults.quiet:
            due_ns = min(due_ns, self.faults.next_disconnect_ns(self.now_ns))
        return due_ns

    def _do_desk(self, now_ns: int, out: list[SimCommand]) -> None:
        """Do what is due at exactly `now_ns`, the earliest due time."""
        while self._waiting and self._waiting[0].due_ns <= now_ns:
            waiting = heapq.heappop(self._waiting)
            if waiting.command is not None:
                out.append(waiting.command)
            elif waiting.request is not None:
                self._receive(waiting.request, waiting.fate or RequestFate(), now_ns, out)
        if self._countdown_ns <= now_ns:
            for key in [key for key, due_ns in self._countdowns.items() if due_ns <= now_ns]:
                del self._countdowns[key]
                self._cancel_all(*key, now_ns, out)
            self._countdown_ns = min(self._countdowns.values(), default=NEVER_NS)
        if self._funding_ns <= now_ns:
            self._fund(now_ns, out)
        if not self.faults.quiet:
            out += self.faults.disconnects(now_ns)

    def _later(
        self,
        due_ns: int,
        *,
        request: ClientRequest | None = None,
        fate: RequestFate | None = None,
        command: SimCommand | None = None,
    ) -> None:
        self._number += 1
        heapq.heappush(self._waiting, _Waiting(due_ns, self._number, request, fate, command))

    # --- requests ------------------------------------------------------------------------------------------------

    def _limited(self, request: ClientRequest, now_ns: int) -> Reply | None:
        asked = request.request
        if not isinstance(asked, VenuePlace | VenueReplace):
            return None
        limits = self._limits[request.account]
        full = limits.take(now_ns)
        if full is None:
            return None
        return self._reject(
            request,
            Refusal(FaultKind.RATE_LIMIT, -1015, full.text),
            client_id=asked.client_id,
            retry_after_ms=full.retry_after_ms,
        )

    def _refused_by_fault(self, request: ClientRequest, fate: Fate) -> Reply:
        asked = request.request
        client_id = getattr(asked, "client_id", "")
        if fate is Fate.REFUSE_429:
            refusal = Refusal(FaultKind.RATE_LIMIT, -1003, "Too many requests.")
            return self._reject(request, refusal, client_id=client_id, retry_after_ms=1_000, status=429)
        refusal = Refusal(
            FaultKind.BUSY,
            -1008,
            "Server is currently overloaded with other requests. Please try again in a few minutes.",
        )
        return self._reject(request, refusal, client_id=client_id, status=503)

    def _receive(self, request: ClientRequest, fate: RequestFate, now_ns: int, out: list[SimCommand]) -> None:
        """A request has reached the matching engine."""
        if fate.fate in (Fate.ANSWER_5XX, Fate.NO_ANSWER):
            if fate.executed:
                self._perform(request, now_ns, out)
            if fate.fate is Fate.ANSWER_5XX:
                text = "Unknown error, please check your request or try again later."
                refusal = Refusal(FaultKind.UNKNOWN_OUTCOME, -1000, text)
                client_id = getattr(request.request, "client_id", "")
                self._answer(self._reject(request, refusal, client_id=client_id, status=503), 0, now_ns, out)
            return
        at = len(out)
        reply = self._perform(request, now_ns, out)
        if fate.answer_delay_ms == 0 and self._latency.response_ns(now_ns) == 0:
            out.insert(at, reply)  # before the private events that it caused
        else:
            self._answer(reply, fate.answer_delay_ms, now_ns, out)

    def _answer(self, reply: Reply, delay_ms: int, now_ns: int, out: list[SimCommand]) -> None:
        due_ns = now_ns + self._latency.response_ns(now_ns) + delay_ms * NS_PER_MS
        if due_ns <= now_ns:
            out.append(reply)
        else:
            self._later(due_ns, command=reply)

    def _perform(self, request: ClientRequest, now_ns: int, out: list[SimCommand]) -> Reply:
        asked = request.request
        symbol = getattr(asked, "symbol", "")
        if symbol and symbol not in self._instruments:
            return self._reject(request, filters.INVALID_SYMBOL, client_id=getattr(asked, "client_id", ""))
        match asked:
            case VenuePlace():
                return self._place(request, asked, now_ns, out)
            case VenueReplace():
                return self._replace(request, asked, now_ns, out)
            case VenueCancel():
                return self._cancel(request, asked, now_ns, out)
            case VenueCancelAll():
                return self._cancel_all_request(request, asked, now_ns, out)
            case VenueCountdown():
                return self._countdown(request, asked, now_ns)
            case _:
                return self._query(request, now_ns)

    def _place(self, request: ClientRequest, asked: VenuePlace, now_ns: int, out: list[SimCommand]) -> Reply:
        instrument = self._instruments[asked.symbol]
        order = SimOrder(
            account=request.account,
            symbol=asked.symbol,
            order_id=self._order_id + 1,
            client_id=asked.client_id,
            side=asked.side,
            price_ticks=0 if asked.market else asked.price_ticks,
            lots=asked.lots,
            created_ns=now_ns,
            post_only=asked.post_only and not asked.market,
            reduce_only=asked.reduce_only,
            market=asked.market,
        )
        refusal = self._refusal(instrument, order)
        if refusal is not None:
            return self._refuse(request, refusal, asked.symbol, asked.client_id, now_ns)
        self._order_id += 1
        if order.reduce_only:
            order.lots = min(order.lots, abs(self._accounts[order.account].position_lots(instrument)))
        self._admit(order, now_ns, out)
        ack = self._ack(request, order, now_ns)
        self._execute(order, now_ns, out)
        return ack if not order.market else self._ack(request, order, now_ns)

    def _refusal(self, instrument: Instrument, order: SimOrder) -> Refusal | None:
        """First reason against a new order."""
        perp = self.market == "perp"
        orders = self._open.get((order.account, order.symbol), {})
        if (order.account, order.symbol, order.client_id) in self._open_by_client_id:
            return filters.DUPLICATE_PERP if perp else filters.DUPLICATE_SPOT
        return self._terms_refusal(instrument, order, len(orders))

    def _terms_refusal(self, instrument: Instrument, order: SimOrder, open_orders_count: int) -> Refusal | None:
        """First reason against an order of this price and size: filters, direction, money, post-only."""
        perp = self.market == "perp"
        mark = self.mark_ticks(order.symbol)
        broken = filters.check_order(
            instrument,
            side=order.side,
            price_ticks=order.price_ticks,
            lots=order.lots,
            market=order.market,
            reduce_only=order.reduce_only,
            mark_ticks=mark,
            open_orders_count=open_orders_count,
        )
        if broken is not None:
            return broken
        account = self._accounts[order.account]
        if order.reduce_only:
            if not perp or account.position_lots(instrument) * order.side >= 0:
                return filters.REDUCE_ONLY
        elif not account.affords(instrument, order, int(mark * 1.01) if order.market else order.price_ticks):
            return filters.FUNDS_PERP if perp else filters.FUNDS_SPOT
        book = self._book(order.symbol)
        if order.market and not (book.best_ask() if order.side > 0 else book.best_bid()):
            return filters.NO_SIZE
        if order.post_only and book.crosses(order.side, order.price_ticks):
            return filters.POST_ONLY_PERP if perp else filters.POST_ONLY_SPOT
        return None

    def _replace(self, request: ClientRequest, asked: VenueReplace, now_ns: int, out: list[SimCommand]) -> Reply:
        order = self._find_open(request.account, asked.symbol, asked.client_id, asked.venue_order_id)
        in_place = self.market == "perp" or not asked.new_client_id
        if order is None:
            refusal = filters.UNKNOWN_QUERY if self.market == "perp" else filters.UNKNOWN_CANCEL
            return self._refuse(request, refusal, asked.symbol, asked.client_id, now_ns)
        if not in_place:
            return self._cancel_replace(request, asked, order, now_ns, out)
        return self._amend(request, asked, order, now_ns, out)

    def _amend(
        self, request: ClientRequest, asked: VenueReplace, order: SimOrder, now_ns: int, out: list[SimCommand]
    ) -> Reply:
        """Change an order where it stands; it keeps its ids, and its place in the queue only when it gets smaller."""
        instrument = self._instruments[order.symbol]
        price, lots = asked.price_ticks, asked.lots
        if (price, lots) == (order.price_ticks, order.lots):
            refusal = filters.UNCHANGED_PERP if self.market == "perp" else filters.UNCHANGED_SPOT
            return self._refuse(request, refusal, asked.symbol, asked.client_id, now_ns)
        before = (order.price_ticks, order.lots)
        if lots <= order.filled_lots and order.filled_lots:
            # Manual: a partly filled order whose new quantity is not above the executed one is cancelled.
            self._end(order, OrderState.CANCELLED, Execution.CANCELED, "amended to its filled size", now_ns, out)
            return self._ack(request, order, now_ns)
        wish = msgspec.structs.replace(order, price_ticks=price, lots=lots)
        refusal_or_none = self._terms_refusal(instrument, wish, 0)
        if refusal_or_none is not None:
            if refusal_or_none.kind is FaultKind.POST_ONLY:
                # Manual: a GTX order whose new price would take is cancelled by the amendment.
                self._end(order, OrderState.CANCELLED, Execution.CANCELED, "amendment would have taken", now_ns, out)
            return self._refuse(request, refusal_or_none, asked.symbol, asked.client_id, now_ns)
        book = self._book(order.symbol)
        order.amendments_count += 1
        shrinks = price == order.price_ticks and lots < order.lots
        if shrinks:
            book.shrink(order, lots)
        else:
            book.remove(order)
            order.price_ticks, order.lots = price, lots
        self._accounts[order.account].reserve(instrument, order, alive=True)
        self.ledger.record_amendment(order, price_ticks_before=before[0], lots_before=before[1], now_ns=now_ns)
        self._tell(order, Execution.AMENDMENT, "", now_ns, out)
        ack = self._ack(request, order, now_ns)
        if shrinks:
            self._after_book_change(order.symbol, now_ns, out)
        else:
            self._execute(order, now_ns, out)
        return ack

    def _cancel_replace(
        self, request: ClientRequest, asked: VenueReplace, order: SimOrder, now_ns: int, out: list[SimCommand]
    ) -> Reply:
        """Spot: cancel, then place under the new id with `lots` as its whole size (STOP_ON_FAILURE)."""
        self._end(order, OrderState.CANCELLED, Execution.CANCELED, "replaced", now_ns, out)
        place = VenuePlace(
            request_no=asked.request_no,
            symbol=asked.symbol,
            client_id=asked.new_client_id,
            side=order.side,
            price_ticks=asked.price_ticks,
            lots=asked.lots,
            post_only=order.post_only,
            reduce_only=order.reduce_only,
        )
        return self._place(request, place, now_ns, out)

    def _cancel(self, request: ClientRequest, asked: VenueCancel, now_ns: int, out: list[SimCommand]) -> Reply:
        order = self._find_open(request.account, asked.symbol, asked.client_id, asked.venue_order_id)
        if order is None:
            return self._reject(request, filters.UNKNOWN_CANCEL, client_id=asked.client_id)
        self._end(order, OrderState.CANCELLED, Execution.CANCELED, "", now_ns, out)
        return self._ack(request, order, now_ns)

    def _cancel_all_request(
        self, request: ClientRequest, asked: VenueCancelAll, now_ns: int, out: list[SimCommand]
    ) -> Reply:
        symbols = [asked.symbol] if asked.symbol else list(self._instruments)
        cancelled = [order for symbol in symbols for order in self._cancel_all(request.account, symbol, now_ns, out)]
        if not cancelled and self.market == "spot":
            return self._reject(request, filters.UNKNOWN_CANCEL)  # as the venue says when there was nothing
        event = VenueOpenOrders(request_no=asked.request_no, symbol=asked.symbol, orders=())
        return Reply(request.connection, asked.request_no, event)

    def _countdown(self, request: ClientRequest, asked: VenueCountdown, now_ns: int) -> Reply:
        if self.market != "perp":
            return self._reject(request, filters.NO_COUNTDOWN)
        key = (request.account, asked.symbol)
        if asked.countdown_ms > 0:
            self._countdowns[key] = now_ns + asked.countdown_ms * NS_PER_MS
        else:
            self._countdowns.pop(key, None)
        self._countdown_ns = min(self._countdowns.values(), default=NEVER_NS)
        event = VenueCountdownAck(asked.request_no, asked.symbol, asked.countdown_ms)
        return Reply(request.connection, asked.request_no, event)

    def _query(self, request: ClientRequest, now_ns: int) -> Reply:
        asked, account = request.request, request.account
        event: VenueEvent
        match asked:
            case VenueQueryOrder():
                found = self.ledger.find(
                    account, asked.symbol, client_id=asked.client_id, venue_order_id=asked.venue_order_id
                )
                if found is None:
                    return self._reject(request, filters.UNKNOWN_QUERY, client_id=asked.client_id)
                event = self._order_event(found, asked.request_no, "")
                return Reply(request.connection, asked.request_no, event, order=self.ledger.row(found))
            case VenueOpenOrdersQuery():
                event = VenueOpenOrders(asked.request_no, asked.symbol, self._open_orders(account, asked.symbol))
            case VenueTradesQuery():
                event = self._trades(account, asked)
            case VenuePositionsQuery():
                rows = self._accounts[account].positions(now_ns // NS_PER_MS)
                event = VenuePositions(
                    asked.request_no, tuple(Position(row.symbol, row.position_lots, row.entry_ticks) for row in rows)
                )
            case VenueBalancesQuery():
                assets = self._accounts[account].balances()
                event = VenueBalances(
                    asked.request_no, tuple(Balance(row.asset, row.wallet, row.locked) for row in assets)
                )
            case VenueTimeQuery():
                event = VenueTime(asked.request_no, now_ns // NS_PER_MS)
            case _:
                raise OurFault(f"{self.venue}: no handler for {type(asked).__name__}")
        return Reply(request.connection, asked.request_no, event)

    def _open_orders(self, account: str, symbol: str) -> tuple[OpenOrder, ...]:
        return tuple(
            OpenOrder(
                client_id=order.client_id,
                venue_order_id=str(order.order_id),
                symbol=order.symbol,
                side=order.side,
                price_ticks=order.price_ticks,
                lots=order.lots,
                filled_lots=order.filled_lots,
                created_ms=order.created_ns // NS_PER_MS,
            )
            for (owner, listed), orders in self._open.items()
            if owner == account and (not symbol or listed == symbol)
            for order in orders.values()
        )

    def _trades(self, account: str, asked: VenueTradesQuery) -> VenueTrades:
        rows = self.ledger.trades(
            account,
            asked.symbol,
            from_trade_id=max(asked.from_trade_id, 1) if not asked.since_ms else asked.from_trade_id,
            since_ms=asked.since_ms,
            limit=TRADES_PAGE + 1,
        )
        fills = tuple(msgspec.structs.replace(row.fill, request_no=asked.request_no) for row in rows[:TRADES_PAGE])
        return VenueTrades(asked.request_no, asked.symbol, fills, complete=len(rows) <= TRADES_PAGE)

    def _room_to_reduce(self, order: SimOrder) -> int:
        """Lots that a reduce-only order may still trade, trades of the same sweep that are not booked yet included."""
        position = self._accounts[order.account].position_lots(self._instruments[order.symbol])
        for each in self._open.get((order.account, order.symbol), {}).values():
            position += each.side * (each.filled_lots - each.told_lots)
        return max(0, -position * order.side)

    # --- the life of an order ------------------------------------------------------------------------------------

    def _admit(self, order: SimOrder, now_ns: int, out: list[SimCommand]) -> None:
        """The order exists from here on."""
        order.state = OrderState.OPEN
        self.ledger.open_order(order)
        self._open.setdefault((order.account, order.symbol), {})[order.order_id] = order
        self._open_by_client_id[order.account, order.symbol, order.client_id] = order
        self._accounts[order.account].reserve(self._instruments[order.symbol], order, alive=not order.market)
        self._tell(order, Execution.NEW, "", now_ns, out)

    def _execute(self, order: SimOrder, now_ns: int, out: list[SimCommand]) -> None:
        """Hand the order to its book and settle what comes of it."""
        self._settle(order.symbol, self._book(order.symbol).place(order), now_ns, out)
        self._after_book_change(order.symbol, now_ns, out)

    def _settle(self, symbol: str, events: Sequence[BookEvent], now_ns: int, out: list[SimCommand]) -> None:
        """Book what a book says happened, in its order."""
        shrunk: list[SimOrder] = []
        for event in events:
            if isinstance(event, Expiry):
                self._forget(event.order)
                self._finish(event.order, OrderState.EXPIRED, Execution.EXPIRED, event.reason, now_ns, out)
                continue
            self._publish_trade(symbol, event, now_ns, out)
            for order, maker in ((event.maker, True), (event.taker, False)):
                if order is not None:
                    self._fill(order, event, maker, now_ns, out)
                    shrunk.append(order)
        for order in shrunk:
            self._keep_reducing(order.account, symbol, now_ns, out)

    def _publish_trade(self, symbol: str, match: Match, now_ns: int, out: list[SimCommand]) -> None:
        """The world sees the trade."""
        trade = PublicTrade(symbol, match.trade_id, now_ns, match.taker_side, match.price_ticks, match.lots)
        self._recent[symbol].append(trade)
        self._public(trade, now_ns, out)

    def _fill(self, order: SimOrder, match: Match, maker: bool, now_ns: int, out: list[SimCommand]) -> None:
        instrument = self._instruments[order.symbol]
        account = self._accounts[order.account]
        lots = match.lots
        fee_bps = self._maker_bps if maker else self._taker_bps
        booked = account.book(instrument, order.side, match.price_ticks, lots, fee_bps)
        order.filled_quote += match.price_ticks * lots * instrument.usd_per_tick_lot_exact
        order.told_lots += lots
        done = order.told_lots == order.lots
        order.state = OrderState.FILLED if done else OrderState.PARTLY_FILLED
        if done:
            self._forget(order)
        account.reserve(instrument, order, alive=not done and not order.market)
        fill = VenueFill(
            request_no=0,
            symbol=order.symbol,
            client_id=order.client_id,
            venue_order_id=str(order.order_id),
            trade_id=match.trade_id,
            side=order.side,
            price_ticks=match.price_ticks,
            lots=lots,
            maker=maker,
            fee=format(booked.fee, "f"),
            fee_asset=booked.fee_asset,
            event_ns=now_ns,
            system=order.system,
        )
        self._book_income(order, fill, booked.realized_pnl, booked.fee, now_ns)
        self.ledger.record(order, Execution.TRADE, now_ns)
        private = Private(
            account=order.account,
            event=fill,
            execution=Execution.TRADE,
            order=self.ledger.row(order),
            realized_pnl=format(booked.realized_pnl, "f"),
            balances=account.balances(account.touched_assets(instrument)),
            positions=account.positions(now_ns // NS_PER_MS, (order.symbol,)),
        )
        self._private(private, now_ns, out, late_ms=self.faults.on_fill())

    def _book_income(self, order: SimOrder, fill: VenueFill, realized: Decimal, fee: Decimal, now_ns: int) -> None:
        self.ledger.record_trade(order.account, fill, realized)
        for kind, amount, asset in (
            ("REALIZED_PNL", realized, self._quote),
            ("COMMISSION", -fee, fill.fee_asset),
        ):
            if amount:
                self.ledger.record_income(
                    order.account,
                    symbol=order.symbol,
                    kind=kind,
                    amount=amount,
                    asset=asset,
                    now_ns=now_ns,
                    trade_id=fill.trade_id,
                )

    def _keep_reducing(self, account: str, symbol: str, now_ns: int, out: list[SimCommand]) -> None:
        """Reduce-only orders never outlive nor exceed the position they reduce."""
        orders = [order for order in self._open.get((account, symbol), {}).values() if order.reduce_only]
        for order in orders:
            lots = self._accounts[account].position_lots(self._instruments[symbol])
            if lots * order.side >= 0:
                self._end(order, OrderState.EXPIRED, Execution.EXPIRED, "nothing left to reduce", now_ns, out)
            elif order.left_lots > abs(lots):
                self._book(symbol).shrink(order, order.filled_lots + abs(lots))
                self._accounts[account].reserve(self._instruments[symbol], order, alive=True)
                self._tell(order, Execution.AMENDMENT, "no larger than the position", now_ns, out)

    def _cancel_all(self, account: str, symbol: str, now_ns: int, out: list[SimCommand]) -> list[SimOrder]:
        orders = [*self._open.get((account, symbol), {}).values()]
        for order in orders:
            self._end(order, OrderState.CANCELLED, Execution.CANCELED, "", now_ns, out)
        return orders

    def _end(
        self,
        order: SimOrder,
        state: OrderState,
        execution: Execution,
        reason: str,
        now_ns: int,
        out: list[SimCommand],
    ) -> None:
        """Take a resting order out of its book."""
        self._book(order.symbol).remove(order)
        self._forget(order)
        self._finish(order, state, execution, reason, now_ns, out)
        self._after_book_change(order.symbol, now_ns, out)

    def _finish(
        self,
        order: SimOrder,
        state: OrderState,
        execution: Execution,
        reason: str,
        now_ns: int,
        out: list[SimCommand],
    ) -> None:
        order.state = state
        self._accounts[order.account].reserve(self._instruments[order.symbol], order, alive=False)
        self._tell(order, execution, reason, now_ns, out)

    def _forget(self, order: SimOrder) -> None:
        self._open.get((order.account, order.symbol), {}).pop(order.order_id, None)
        self._open_by_client_id.pop((order.account, order.symbol, order.client_id), None)

    def _find_open(self, account: str, symbol: str, client_id: str, venue_order_id: str) -> SimOrder | None:
        found = self.ledger.find(account, symbol, client_id=client_id, venue_order_id=venue_order_id)
        return found if found is not None and found.state not in DONE_STATES else None

    # --- funding -------------------------------------------------------------------------------------------------

    def _fund(self, now_ns: int, out: list[SimCommand]) -> None:
        """Positions pay or receive at mark: longs pay a positive rate."""
        self._funding_ns += int(self.settings.funding_interval_s * NS_PER_S)
        for symbol in self._instruments:
            self._fund_symbol(symbol, self.funding_rate(symbol), now_ns, out)

    def _fund_symbol(self, symbol: str, rate: float, now_ns: int, out: list[SimCommand]) -> None:
        for name, account in self._accounts.items():
            if isinstance(account, PerpAccount):
                amount = account.fund(symbol, Decimal(repr(rate)))
                if amount:
                    self._pay_funding(name, account, symbol, amount, now_ns, out)

    def _pay_funding(
        self, name: str, account: PerpAccount, symbol: str, amount: Decimal, now_ns: int, out: list[SimCommand]
    ) -> None:
        self.ledger.record_income(
            name, symbol=symbol, kind="FUNDING_FEE", amount=amount, asset=self._quote, now_ns=now_ns
        )
        event = VenueFunding(symbol, self._quote, format(amount, "f"), "FUNDING_FEE", now_ns)
        positions = account.positions(now_ns // NS_PER_MS, (symbol,))
        private = Private(name, event, balances=account.balances(), positions=positions, reason="FUNDING_FEE")
        self._private(private, now_ns, out)

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
        self,
        request: ClientRequest,
        refusal: Refusal,
        *,
        client_id: str = "",
        retry_after_ms: int = 0,
        status: int = 0,
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
