"""Price-time queues of one simulated symbol, in ticks and lots.

Fill rules
 1. The best price trades first; within a price the queue trades front to back.
 2. Orders of accounts are single objects. Synthetic makers are one number per price: what stands in front of an
    order of ours is a count of maker lots (`SimOrder.ahead_lots`), fixed when the order joins and only ever reduced.
 3. A new order, and new maker size, join at the back. A replace that moves the price or raises the size loses its
    place; a pure decrease keeps it.
 4. When makers cancel part of a price, the share in front of each of our orders shrinks in proportion to what stands
    in front of it, rounded down (to our disadvantage): cancelling d of m lots moves an order with a lots ahead to
    a - floor(d * a / m).
 5. A taker (ours or synthetic) trades at the resting order's price, level after level, up to its limit price. What an
    order of ours cannot trade rests; the rest of a market order expires.
 6. A post-only order that would trade at all is refused. Nothing is re-priced.
 7. Two orders of one account never trade: the resting one expires and the taker goes on (EXPIRE_MAKER). Two accounts
    trade with each other.
 8. Makers that move their price through an order of ours trade with it first (they are the takers).

Left out: hidden and iceberg orders, auctions, stop orders, FOK and IOC of accounts, venue-side matching delays
other than `order_latency_ms`, self-trade groups over accounts, and any reaction of makers to our orders: they do not
step in front of us nor fade when we show size.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterator

from actors.sim.orders import SimOrder
from actors.vocab.errors import check
from actors.vocab.market import Level, Side
from actors.vocab.message import Record

NOTHING_TO_REDUCE = "nothing left to reduce"


class Match(Record, frozen=True):
    """One trade. `maker` and `taker` are orders of accounts; None is the synthetic world on that side."""

    trade_id: int
    price_ticks: int
    lots: int
    taker_side: Side
    maker: SimOrder | None
    taker: SimOrder | None


class Expiry(Record, frozen=True):
    """An order that left the book without its owner asking: rule 7, or the unfilled rest of a market order."""

    order: SimOrder
    reason: str


BookEvent = Match | Expiry
Room = Callable[[SimOrder], int]


class HalfBook:
    """One side. Keys are `side * price`, so that the best one is always the largest."""

    def __init__(self, side: Side) -> None:
        self.side = int(side)
        self.keys: list[int] = []  # ascending; exactly the keys that have makers or orders of ours
        self.makers: dict[int, int] = {}  # key -> maker lots, > 0
        self.ours: dict[int, list[SimOrder]] = {}  # key -> queue, front first, never empty
        self.dirty: set[int] = set()  # keys changed since the last depth event

    def total(self, key: int) -> int:
        lots = self.makers.get(key, 0)
        queue = self.ours.get(key)
        if queue:
            for order in queue:
                lots += order.lots - order.filled_lots
        return lots

    def set_makers(self, key: int, lots: int) -> None:
        """Maker size at `key` becomes `lots`: more joins at the back, less are cancels by rule 4."""
        before = self.makers.get(key, 0)
        if lots == before:
            return
        self.dirty.add(key)
        if lots > 0:
            if not before and key not in self.ours:
                insort(self.keys, key)
            self.makers[key] = lots
        else:
            del self.makers[key]
        queue = self.ours.get(key)
        if queue is not None:
            if lots < before:
                for order in queue:
                    order.ahead_lots -= (before - lots) * int(order.ahead_lots) // before
        elif lots <= 0:
            self._drop(key)

    def join(self, order: SimOrder) -> None:
        key = self.side * order.price_ticks
        order.ahead_lots = self.makers.get(key, 0)
        queue = self.ours.get(key)
        if queue is None:
            if key not in self.makers:
                insort(self.keys, key)
            self.ours[key] = [order]
        else:
            queue.append(order)
        self.dirty.add(key)

    def leave(self, order: SimOrder) -> None:
        key = self.side * order.price_ticks
        queue = self.ours[key]
        queue.remove(order)
        self.dirty.add(key)
        if not queue:
            del self.ours[key]
            if key not in self.makers:
                self._drop(key)

    def levels(self, count: int) -> list[Level]:
        return [(self.side * key, self.total(key)) for key in self.keys[: -count - 1 : -1]]

    def take_dirty(self) -> list[Level]:
        """Absolute sizes of the levels changed since the last call, best first."""
        if not self.dirty:
            return []
        side = self.side
        changed = [(side * key, self.total(key)) for key in sorted(self.dirty, reverse=True)]
        self.dirty.clear()
        return changed

    def _drop(self, key: int) -> None:
        del self.keys[bisect_left(self.keys, key)]


class Book:
    """Both sides of one symbol. Not crossed after any call returns."""

    def __init__(self, symbol: str, room_to_reduce: Room | None = None) -> None:
        """`room_to_reduce` tells how many lots a reduce-only order may still trade; without it, all of them."""
        self.symbol = symbol
        self._room = room_to_reduce
        self.bids = HalfBook(Side.BUY)
        self.asks = HalfBook(Side.SELL)
        self.trade_id = 0

    # --- reading -------------------------------------------------------------------------------------------------

    def best_bid(self) -> int:
        """0 when the side is empty."""
        return self.bids.keys[-1] if self.bids.keys else 0

    def best_ask(self) -> int:
        """0 when the side is empty."""
        return -self.asks.keys[-1] if self.asks.keys else 0

    def top(self) -> tuple[int, int, int, int]:
        """Best bid and its lots, best ask and its lots; zeros for an empty side."""
        bids, asks = self.bids, self.asks
        bid = bids.keys[-1] if bids.keys else 0
        ask = asks.keys[-1] if asks.keys else 0
        return bid, bids.total(bid) if bid else 0, -ask, asks.total(ask) if ask else 0

    def half(self, side: Side) -> HalfBook:
        return self.bids if side > 0 else self.asks

    def crosses(self, side: Side, price_ticks: int) -> bool:
        """Whether an order at this price would trade now."""
        if side > 0:
            return bool(self.asks.keys) and -self.asks.keys[-1] <= price_ticks
        return bool(self.bids.keys) and self.bids.keys[-1] >= price_ticks

    def orders(self) -> Iterator[SimOrder]:
        for half in (self.bids, self.asks):
            for queue in half.ours.values():
                yield from queue

    # --- orders of accounts --------------------------------------------------------------------------------------

    def place(self, order: SimOrder) -> list[BookEvent]:
        """Trade what crosses, rest what is left. Post-only and filters are the desk's business."""
        limit = None if order.market else order.price_ticks
        events = self.take(order.side, self._tradable(order), limit, order)
        if order.left_lots > 0:
            if order.market:
                events.append(Expiry(order, "no more size to trade with"))
            elif not self._tradable(order):
                events.append(Expiry(order, NOTHING_TO_REDUCE))
            else:
                self.half(order.side).join(order)
        return events

    def remove(self, order: SimOrder) -> None:
        self.half(order.side).leave(order)

    def shrink(self, order: SimOrder, lots: int) -> None:
        """A pure decrease to `lots` in total: the place in the queue is kept."""
        check(order.filled_lots < lots <= order.lots, f"{self.symbol}: shrink of {order.lots} to {lots} lots")
        order.lots = lots
        half = self.half(order.side)
        half.dirty.add(half.side * order.price_ticks)

    # --- the synthetic world -------------------------------------------------------------------------------------

    def make(self, side: Side, price_ticks: int, lots: int) -> list[BookEvent]:
        """Maker size at a price becomes `lots`; what crosses orders of ours trades first (rule 8)."""
        half = self.half(side)
        key = half.side * price_ticks
        if lots > half.makers.get(key, 0) and self.crosses(side, price_ticks):
            events = self.take(side, lots, price_ticks, None)
            for event in events:
                if isinstance(event, Match):
                    lots -= event.lots
            if lots > 0 and not self.crosses(side, price_ticks):
                half.set_makers(key, lots)
            return events
        half.set_makers(key, lots)
        return []

    def take(
        self, side: Side, lots: int, limit_ticks: int | None = None, taker: SimOrder | None = None
    ) -> list[BookEvent]:
        """Trade up to `lots` against the other side, not beyond `limit_ticks`."""
        half = self.asks if side > 0 else self.bids
        events: list[BookEvent] = []
        limit_key = None if limit_ticks is None else half.side * limit_ticks
        while lots > 0 and half.keys:
            key = half.keys[-1]
            if limit_key is not None and key < limit_key:
                break
            lots = self._take_level(half, key, lots, side, taker, events)
        return events

    def _take_level(
        self, half: HalfBook, key: int, lots: int, side: Side, taker: SimOrder | None, events: list[BookEvent]
    ) -> int:
        """Trade with one price, front to back; returns what is left of `lots`."""
        price_ticks = half.side * key
        half.dirty.add(key)
        makers = half.makers.get(key, 0)
        eaten = 0  # maker lots traded so far; those in front of an order go first
        queue = half.ours.get(key, ())
        for order in tuple(queue):
            eaten_now = min(lots, max(0, int(order.ahead_lots) - eaten))
            if eaten_now:
                self._match(events, price_ticks, eaten_now, side, None, taker)
                eaten += eaten_now
                lots -= eaten_now
            if not lots:
                break
            if taker is not None and order.account == taker.account:
                half.leave(order)
                events.append(Expiry(order, "self-trade prevention"))
                continue
            traded = min(lots, self._tradable(order))
            if traded:
                lots -= traded
                self._match(events, price_ticks, traded, side, order, taker)
            if not order.left_lots:
                half.leave(order)
            elif not self._tradable(order):
                half.leave(order)
                events.append(Expiry(order, NOTHING_TO_REDUCE))
        if lots and eaten < makers:
            behind = min(lots, makers - eaten)
            self._match(events, price_ticks, behind, side, None, taker)
            eaten += behind
            lots -= behind
        if eaten:
            self._eat(half, key, makers - eaten, eaten)
        return lots

    def _tradable(self, order: SimOrder) -> int:
        if not order.reduce_only or self._room is None:
            return order.left_lots
        return min(order.left_lots, self._room(order))

    def _eat(self, half: HalfBook, key: int, left: int, eaten: int) -> None:
        """Maker size falls by trades: everybody behind moves up by all of it."""
        queue = half.ours.get(key)
        if left:
            half.makers[key] = left
        else:
            del half.makers[key]
            if queue is None:
                half._drop(key)
        for order in queue or ():
            order.ahead_lots = max(0, order.ahead_lots - eaten)

    def _match(
        self,
        events: list[BookEvent],
        price_ticks: int,
        lots: int,
        side: Side,
        maker: SimOrder | None,
        taker: SimOrder | None,
    ) -> None:
        self.trade_id += 1
        for order in (maker, taker):
            if order is not None:
                order.filled_lots += lots
        events.append(Match(self.trade_id, price_ticks, lots, side, maker, taker))
