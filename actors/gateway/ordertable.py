"""Orders that this gateway wrote or found: what each may still do to a position, and how to find it again."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from math import ceil, floor

from actors.gateway.lifecycle import LifeEvent, transition
from actors.vocab.market import Side
from actors.vocab.orders import OPEN_STATES, OrderState

# Events kept per order for the message of a broken rule; a quiet order sees about six.
HISTORY_MAX = 64
# Orders remembered after their end, so that late fills and acks still find them.
DONE_MAX = 5_000


class TrackedOrder:
    """One order, from the first write until its fills are booked. `holder` is empty for one of an older life."""

    __slots__ = (
        "absorb_lots",
        "cancel_next_ns",
        "cancel_tries",
        "cancel_why",
        "carried_lots",
        "client_id",
        "event_ns",
        "filled_lots",
        "grant_no",
        "history",
        "holder",
        "lots",
        "pending_grant",
        "pending_lots",
        "pending_price_ticks",
        "post_only",
        "price_ticks",
        "query_next_ns",
        "reason",
        "reduce_only",
        "ref",
        "resized_ns",
        "settle_ns",
        "settle_tries",
        "side",
        "slot",
        "state",
        "successor",
        "symbol",
        "term",
        "uncertain_until_ns",
        "venue_filled_lots",
        "venue_order_id",
        "written_ns",
    )

    def __init__(
        self,
        *,
        symbol: str,
        client_id: str,
        holder: str,
        ref: int,
        slot: int,
        side: Side,
        price_ticks: int,
        lots: int,
        term: int,
        grant_no: int,
        written_ns: int,
        uncertain_until_ns: int,
        state: OrderState = OrderState.PENDING,
    ) -> None:
        self.symbol = symbol
        self.client_id = client_id
        self.venue_order_id = ""
        self.holder = holder
        self.ref = ref
        self.slot = slot
        self.side = side
        self.price_ticks = price_ticks
        self.lots = lots
        self.post_only = True
        self.reduce_only = False
        self.state = state
        self.filled_lots = 0  # booked from trades: the part that is in the position
        self.venue_filled_lots = 0  # highest the venue has told; what is not booked yet still counts as live
        self.absorb_lots = 0  # filled before we adopted it: trades read afterwards that are in filled_lots already
        self.carried_lots = 0  # filled by predecessors of the same ref, where a venue cannot amend
        self.pending_lots = -1  # a replace is on its way to this total and price; -1: none
        self.pending_price_ticks = -1
        self.pending_grant = (0, -1)  # (term, grant_no) it will be under once that replace is acked
        self.term = term
        self.grant_no = grant_no
        self.written_ns = written_ns
        # Until then the venue may still carry out what we wrote, so "does not exist" proves nothing.
        self.uncertain_until_ns = uncertain_until_ns
        self.cancel_why = ""  # not empty: cancel until the end is known
        self.cancel_tries = 0
        self.cancel_next_ns = 0
        self.query_next_ns = 0
        self.settle_ns = 0  # end told, fills missing: when to ask for trades
        self.settle_tries = 0
        self.successor: object | None = None  # the replace to place once this leg is over
        self.reason = ""  # of the newest event, in the venue's words or ours
        self.resized_ns = 0  # our clock when the venue last acknowledged another size; 0: never
        self.event_ns = 0  # venue's clock at the last news
        self.history: list[tuple[int, LifeEvent, OrderState]] = []

    @property
    def is_open(self) -> bool:
        return self.state in OPEN_STATES

    @property
    def live_lots(self) -> int:
        """Lots that may still change the position: unfilled while open, filled but not booked after the end."""
        if self.state not in OPEN_STATES and not self.holder:
            return 0  # an adopted order may have been booked in an earlier life; positions are compared instead
        if self.state in OPEN_STATES:
            return max(0, max(self.lots, self.pending_lots, self.venue_filled_lots) - self.filled_lots)
        return max(0, self.venue_filled_lots - self.filled_lots)

    @property
    def executed_lots(self) -> int:
        """Lots that are filled as far as anybody has told: the venue in an answer, or a booked trade."""
        return max(self.filled_lots, self.venue_filled_lots)

    def rescale(self, ticks: Fraction, lots: Fraction) -> None:
        """Count in new steps, `ticks` and `lots` of them to an old one; what is not whole is rounded up.

        Too much counted as live is safe, and an order of old steps does not live long.
        """
        self.price_ticks = ceil(self.price_ticks * ticks)
        self.lots = ceil(self.lots * lots)
        self.filled_lots = floor(self.filled_lots * lots)
        self.venue_filled_lots = ceil(self.venue_filled_lots * lots)
        self.absorb_lots = floor(self.absorb_lots * lots)
        self.carried_lots = floor(self.carried_lots * lots)
        if self.pending_lots >= 0:
            self.pending_price_ticks = ceil(self.pending_price_ticks * ticks)
            self.pending_lots = ceil(self.pending_lots * lots)

    def apply(self, event: LifeEvent, now_ns: int) -> bool:
        """Move along the table; return whether the state changed. `OurFault` on a move that it does not have."""
        after = transition(self.state, event, filled=self.filled_lots > 0, name=self.client_id, history=self.history)
        if len(self.history) < HISTORY_MAX:
            self.history.append((now_ns, event, after))
        changed = after is not self.state
        self.state = after
        return changed

    def __repr__(self) -> str:
        return (
            f"{self.client_id} {self.symbol} {self.side.name} {self.lots}@{self.price_ticks} "
            f"filled {self.filled_lots} {self.state.name}"
        )


class OrderTable:
    """All orders of one account that are ours. Foreign ones are only counted, see `reconcile.py`."""

    def __init__(self) -> None:
        # symbol -> client id -> order with live_lots or in OPEN_STATES, oldest first
        self._live: dict[str, dict[str, TrackedOrder]] = {}
        # client id -> order, live ones and the last DONE_MAX others
        self._by_client: dict[str, TrackedOrder] = {}
        # (symbol, venue order id) -> order, the same orders as far as the id is known
        self._by_venue: dict[tuple[str, str], TrackedOrder] = {}
        # (holder, ref) -> newest leg of that reference, the same orders
        self._by_ref: dict[tuple[str, int], TrackedOrder] = {}
        self._done: deque[TrackedOrder] = deque()

    def add(self, order: TrackedOrder) -> None:
        self._by_client[order.client_id] = order
        self._live.setdefault(order.symbol, {})[order.client_id] = order
        if order.holder:
            self._by_ref[(order.holder, order.ref)] = order

    def name(self, order: TrackedOrder, venue_order_id: str) -> None:
        """Learn the venue's own id."""
        if venue_order_id and order.venue_order_id != venue_order_id:
            order.venue_order_id = venue_order_id
            self._by_venue[(order.symbol, venue_order_id)] = order

    def touch(self, order: TrackedOrder) -> None:
        """Keep the index of live orders true after any change of `order`."""
        live = self._live.setdefault(order.symbol, {})
        if order.is_open or order.live_lots:
            live[order.client_id] = order
        elif live.pop(order.client_id, None) is not None:
            self._done.append(order)
            while len(self._done) > DONE_MAX:
                self._forget(self._done.popleft())

    def find(self, symbol: str, client_id: str, venue_order_id: str = "") -> TrackedOrder | None:
        order = self._by_client.get(client_id) if client_id else None
        return order or (self._by_venue.get((symbol, venue_order_id)) if venue_order_id else None)

    def of_ref(self, holder: str, ref: int) -> TrackedOrder | None:
        return self._by_ref.get((holder, ref))

    def live(self, symbol: str = "") -> Iterator[TrackedOrder]:
        """Orders that may still matter; a copy, so that callers may change them."""
        if symbol:
            return iter(list(self._live.get(symbol, {}).values()))
        return iter([order for orders in self._live.values() for order in orders.values()])

    def live_count(self, symbol: str = "") -> int:
        if symbol:
            return len(self._live.get(symbol, ()))
        return sum(map(len, self._live.values()))

    def worst(self, symbol: str, *, without: TrackedOrder | None = None) -> tuple[int, int]:
        """Return (buy lots, sell lots) that may still be filled."""
        buys = sells = 0
        for order in self._live.get(symbol, {}).values():
            if order is without:
                continue
            if order.side is Side.BUY:
                buys += order.live_lots
            else:
                sells += order.live_lots
        return buys, sells

    def _forget(self, order: TrackedOrder) -> None:
        if order.is_open or order.live_lots:
            return  # it came back to life; it is in `_live` and will be appended again at its next end
        if self._by_client.get(order.client_id) is order:
            del self._by_client[order.client_id]
        self._by_venue.pop((order.symbol, order.venue_order_id), None)
        if self._by_ref.get((order.holder, order.ref)) is order:
            del self._by_ref[(order.holder, order.ref)]
