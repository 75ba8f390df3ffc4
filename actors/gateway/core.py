"""What the parts of the gateway's machine share: the moment, the commands so far, requests out, budgets, counters."""

from __future__ import annotations

import itertools
from collections import Counter

from actors.gateway.accounts import Ledger
from actors.gateway.commands import Command, Note, ToHolder, ToRisk, ToVenue
from actors.gateway.limits import VenueLimits, Window, cost_of
from actors.gateway.ordertable import OrderTable, TrackedOrder
from actors.gateway.pacer import Budget, Urgency
from actors.gateway.reconcile import Ask
from actors.vocab.config.gateway import GatewaySettings
from actors.vocab.instruments import Instrument
from actors.vocab.message import Message
from actors.vocab.orders import Cause
from actors.vocab.units import NS_PER_MS
from actors.vocab.venue_io import VenueCancel, VenuePlace, VenueReplace, VenueRequest

# A late answer still finds its request; more than this many unanswered ones means the venue is gone for good.
FLIGHTS_MAX = 10_000
# Bound on rows waiting for risk to come back; full: the oldest goes, counted. Fills are kept apart and never dropped.
RISK_ROWS_MAX = 20_000


class Flight:
    """One request without an answer."""

    __slots__ = ("ask", "order", "received_ns", "request", "timed_out", "written_ns")

    def __init__(self, request: VenueRequest, written_ns: int, order: TrackedOrder | None, ask: Ask | None) -> None:
        self.request = request
        self.written_ns = written_ns
        self.order = order
        self.ask = ask
        self.timed_out = False


class Core:
    """Shared state of one `handle` call and of the account; the parts write commands through it."""

    def __init__(
        self,
        *,
        venue: str,
        incarnation: str,
        settings: GatewaySettings,
        limits: VenueLimits,
        orders_per_min_max: int = 1_000_000,
        unix_ahead_ns: int = 0,
    ) -> None:
        self.venue = venue
        self.incarnation = incarnation
        self.settings = settings
        self.limits = limits
        self.table = OrderTable()
        self.ledger = Ledger(venue)
        self.budget = Budget(
            limits.windows,
            budget_share=settings.budget_share,
            cancel_reserve_share=settings.cancel_reserve_share,
            cancels_cost=frozenset(name for name, _cost in limits.costs.get(VenueCancel, ())),
            places_share=settings.places_share,
        )
        if Window.ORDERS_1M in self.budget.windows:
            self.budget.windows[Window.ORDERS_1M].keep_to(orders_per_min_max)
        self.instruments: dict[str, Instrument] = {}
        self.counters: Counter[str] = Counter()
        self.now_ns = 0
        self._unix_ahead_ns = unix_ahead_ns
        self.out: list[Command] = []
        # request_no -> request without an answer, oldest first; timed-out ones wait here for a late answer
        self.flights: dict[int, Flight] = {}
        # symbols whose orders or position changed in this call, in order
        self.touched: dict[str, None] = {}
        self.rows_waiting: list[Message] = []
        self.risk_up = False
        self._request_nos = itertools.count(1)

    @property
    def unix_ns(self) -> int:
        """Now, by the clock that venues count by."""
        return self.now_ns + self._unix_ahead_ns

    def spot_of(self, coin: str) -> Instrument | None:
        """The spot symbol that trades `coin`; no two of an account do."""
        return next((row for row in self.instruments.values() if row.market == "spot" and row.base == coin), None)

    def next_request_no(self) -> int:
        return next(self._request_nos)

    def can_write(self, request: VenueRequest, urgency: Urgency) -> bool:
        return self.budget.fits(cost_of(self.limits, request), urgency, self.now_ns)

    def write(
        self,
        request: VenueRequest,
        *,
        order: TrackedOrder | None = None,
        ask: Ask | None = None,
        cause: Cause | None = None,
        frame_ns: int = 0,
        received_ns: int = 0,
        waited: bool = False,
    ) -> None:
        """Take the budget and send. Whoever calls has asked `can_write` or must write whatever it costs."""
        self.budget.take(cost_of(self.limits, request), self.now_ns)
        self.flights[request.request_no] = Flight(request, self.now_ns, order, ask)
        if len(self.flights) > FLIGHTS_MAX:
            del self.flights[next(iter(self.flights))]
        if isinstance(request, VenuePlace | VenueReplace) and order is not None:
            # The venue refuses what reaches it later than this; until then "does not exist" proves nothing.
            order.uncertain_until_ns = self.now_ns + self.uncertain_ns
        self.out.append(ToVenue(request, cause, frame_ns, received_ns, waited))

    @property
    def uncertain_ns(self) -> int:
        """How long after its writing a request may still be carried out: its stamp's window and half a second."""
        return (self.settings.recv_window_ms + 500) * NS_PER_MS

    def touch(self, symbol: str) -> None:
        self.touched[symbol] = None

    def tell(self, holder: str, message: Message) -> None:
        self.out.append(ToHolder(holder, message))

    def report(self, message: Message) -> None:
        """To risk, or kept until risk is back."""
        if self.risk_up:
            self.out.append(ToRisk(message))
            return
        self.rows_waiting.append(message)
        if len(self.rows_waiting) > RISK_ROWS_MAX:
            del self.rows_waiting[0]
            self.counters["rows_dropped"] += 1

    def note(self, level: str, text: str) -> None:
        self.out.append(Note(level, text))
