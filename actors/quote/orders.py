"""What this holder has out at a gateway, as far as it knows; the gateway's list is the truth, this is a copy.

Exposure is always counted at its worst: an order being replaced counts with the greater of both sizes, and a fill
that the order's state already tells of counts as live until the fill itself has moved the position.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator

from actors.vocab.market import Side
from actors.vocab.orders import DONE_STATES, OrderState, OrderUpdate

# More than any level holds.
AHEAD_UNKNOWN = 1 << 62

_SETTLED = frozenset({OrderState.OPEN, OrderState.PARTLY_FILLED})
_LIVE = frozenset({OrderState.OPEN, OrderState.PARTLY_FILLED, OrderState.REPLACING})


class Pending(enum.IntEnum):
    """The command about an order that has no answer yet."""

    NONE = 0
    PLACE = 1
    REPLACE = 2
    CANCEL = 3


class OwnOrder:
    """One order of ours. Mutable, never leaves the engine."""

    __slots__ = (
        "ahead_lots",
        "booked_lots",
        "changed_ns",
        "filled_lots",
        "hangs_until_ns",
        "known",
        "lots",
        "pending",
        "price_ticks",
        "queue_place",
        "ref",
        "refused",
        "sent_ns",
        "side",
        "slot",
        "state",
        "target_lots",
        "target_ticks",
    )

    def __init__(self, *, ref: int, slot: int, side: Side, price_ticks: int, lots: int, now_ns: int) -> None:
        self.ref = ref
        self.slot = slot
        self.side = side
        self.price_ticks = price_ticks
        self.lots = lots  # total, filled part included
        self.filled_lots = 0  # as the gateway's states tell
        self.booked_lots = 0  # as fills have moved the position
        self.state = OrderState.PENDING
        self.pending = Pending.PLACE
        self.refused = False  # the last replace was answered and changed nothing
        self.known = False  # the gateway has answered about it at least once
        self.target_ticks = price_ticks  # where a replace on its way wants it
        self.target_lots = lots
        self.sent_ns = now_ns  # last command
        self.changed_ns = now_ns  # placed, or a change of it was answered
        self.ahead_lots = AHEAD_UNKNOWN  # most that can be before it in its queue
        self.queue_place = 0.0  # what that place is worth, 0..1; see `queue_place.py`
        self.hangs_until_ns = 0  # its partner was filled: it is left where it is until then

    @property
    def rest_lots(self) -> int:
        """Unfilled size, as we believe."""
        return self.lots - max(self.filled_lots, self.booked_lots)

    @property
    def exposed_lots(self) -> int:
        """Unfilled size at its worst, counted from booked fills."""
        return max(0, max(self.lots, self.target_lots) - self.booked_lots)

    @property
    def live(self) -> bool:
        """On the venue's book for all we know: answered, not ended, not being withdrawn."""
        return self.known and self.state in _LIVE and self.pending is not Pending.CANCEL


class OwnOrders:
    """All of them, by number and by ladder slot. At most one command a slot is out at a time."""

    def __init__(self, refs: Iterator[int]) -> None:
        """`refs` gives order numbers, above 0 and ascending; engines of one actor share it."""
        self.by_ref: dict[int, OwnOrder] = {}  # ref -> order; everything not known to have ended
        self.by_slot: dict[int, OwnOrder] = {}  # slot -> the same orders; one a slot
        # ref -> ended order whose fills have not all moved the position yet
        self._owed: dict[int, OwnOrder] = {}
        self._refs = refs
        self.last_ref = 0
        self.version = 0  # +1 at each change, so that others can cache what they derive
        self.hanging_ns = 0  # how long the partner of a filled order is left where it is; 0: not at all

    def next_ref(self) -> int:
        self.last_ref = next(self._refs)
        return self.last_ref

    @property
    def unanswered_count(self) -> int:
        return sum(1 for order in self.by_ref.values() if order.pending)

    def exposed_lots(self, side: Side) -> int:
        """Every lot of this side that may still become position."""
        total = 0
        for order in self.by_ref.values():
            if order.side == side:
                total += order.exposed_lots
        for order in self._owed.values():
            if order.side == side:
                total += order.filled_lots - order.booked_lots
        return total

    def side_live(self, side: Side) -> bool:
        return any(order.side == side and order.live for order in self.by_ref.values())

    def lots_by_price(self, side: Side) -> dict[int, int]:
        """Our lots that the public book may contain."""
        found: dict[int, int] = {}
        for order in self.by_ref.values():
            if order.side == side and order.known:
                found[order.price_ticks] = found.get(order.price_ticks, 0) + max(0, order.rest_lots)
        return found

    def nearest_ticks(self, side: Side) -> int | None:
        """Our most aggressive price on a side, replaces on their way included; None without an order."""
        prices = [
            price
            for order in self.by_ref.values()
            if order.side == side
            for price in (order.price_ticks, order.target_ticks)
        ]
        if not prices:
            return None
        return max(prices) if side is Side.BUY else min(prices)

    # --- commands on their way ----------------------------------------------------------------------------

    def placed(self, *, ref: int, slot: int, side: Side, price_ticks: int, lots: int, now_ns: int) -> None:
        order = OwnOrder(ref=ref, slot=slot, side=side, price_ticks=price_ticks, lots=lots, now_ns=now_ns)
        self.by_ref[ref] = order
        self.by_slot[slot] = order
        self.version += 1

    def replaced(self, order: OwnOrder, *, price_ticks: int, lots: int, now_ns: int) -> None:
        order.pending = Pending.REPLACE
        order.target_ticks, order.target_lots = price_ticks, lots
        order.sent_ns = now_ns
        order.ahead_lots, order.queue_place = AHEAD_UNKNOWN, 0.0  # a change of price goes to the end of the queue
        order.hangs_until_ns = 0
        self.version += 1

    def cancelled(self, order: OwnOrder, *, now_ns: int) -> None:
        order.pending = Pending.CANCEL
        order.sent_ns = now_ns
        self.version += 1

    # --- answers ---------------------------------------------------------------------------------------------

    def on_update(self, update: OrderUpdate, now_ns: int) -> OwnOrder | None:
        """Take over what the gateway says; None when the order is not ours (any more).

        REPLACING, CANCELLING, PENDING and UNKNOWN answer nothing. `refused` of the order then tells whether this
        update refused a replace.
        """
        order = self.by_ref.get(update.ref)
        if order is None:
            return None
        self.version += 1
        order.refused = False
        order.known = order.known or update.state is not OrderState.PENDING
        order.state = update.state
        order.filled_lots = max(order.filled_lots, update.filled_lots)
        if update.state in DONE_STATES:
            order.changed_ns = now_ns
            self._end(order)
            if update.state is OrderState.FILLED:
                self._hang_partner(order, now_ns)
        elif update.state in _SETTLED:
            self._settle(order, update, now_ns)
        return order

    def _settle(self, order: OwnOrder, update: OrderUpdate, now_ns: int) -> None:
        """The order rests, at this price and size. Does that answer the command that is out?"""
        order.price_ticks, order.lots = update.price_ticks, update.lots
        if order.pending is Pending.CANCEL:
            return  # the gateway pursues a cancel to its end
        done = (order.price_ticks, order.lots) == (order.target_ticks, order.target_lots)
        if order.pending is Pending.REPLACE:
            if done:
                order.changed_ns = now_ns
            elif update.reason or update.ack_us >= 0:
                order.refused = True
            else:
                return  # a fill that was on its way to us while the replace was on its way there
        order.target_ticks, order.target_lots = order.price_ticks, order.lots
        order.pending = Pending.NONE

    def on_fill(self, ref: int, lots: int, now_ns: int) -> OwnOrder | None:
        """Book a fill that has moved the position; returns its order."""
        order = self.by_ref.get(ref)
        if order is not None:
            self.version += 1
            order.booked_lots += lots
            if order.booked_lots >= max(order.lots, order.target_lots):
                self._end(order)
                self._hang_partner(order, now_ns)
            return order
        order = self._owed.get(ref)
        if order is not None:
            self.version += 1
            order.booked_lots += lots
            if order.booked_lots >= order.filled_lots:
                del self._owed[ref]
        return order

    def settle(self) -> None:
        """The position has just been told whole: no fill is owed any more."""
        if self._owed:
            self._owed.clear()
            self.version += 1
        for order in self.by_ref.values():
            order.booked_lots = max(order.booked_lots, order.filled_lots)

    @property
    def owed_since_ns(self) -> int:
        """When the oldest order with a fill still missing ended; 0 when none is missing."""
        return min((order.changed_ns for order in self._owed.values()), default=0)

    def forget_all_but(self, open_refs: Iterable[int], *, up_to_ref: int, sent_before_ns: int) -> None:
        """Drop orders the gateway does not list. One it has not answered about may have crossed the list on its
        way, so it is dropped only if it went out before the question (`up_to_ref`) or very long ago."""
        listed = set(open_refs)
        gone = [
            order
            for order in self.by_ref.values()
            if order.ref not in listed and (order.known or order.ref <= up_to_ref or order.sent_ns < sent_before_ns)
        ]
        for order in gone:
            del self.by_ref[order.ref]
            del self.by_slot[order.slot]
        if gone:
            self.version += 1

    def _hang_partner(self, filled: OwnOrder, now_ns: int) -> None:
        """Leave the order of the same level on the other side alone for a while."""
        partner = self.by_slot.get(filled.slot ^ 1)
        if self.hanging_ns and partner is not None:
            partner.hangs_until_ns = now_ns + self.hanging_ns

    def _end(self, order: OwnOrder) -> None:
        del self.by_ref[order.ref]
        del self.by_slot[order.slot]
        if order.filled_lots > order.booked_lots:
            self._owed[order.ref] = order
