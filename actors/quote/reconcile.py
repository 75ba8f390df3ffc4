"""Wanted ladder against live orders: the fewest, most useful commands. Pure.

A quote near enough to its wish is left alone: a change costs one order of the budget and the place in the queue.
A replace is preferred to cancel and place (one order, no moment without a quote). What a move is worth, in USD:

    place      what the missing side would earn:             notional * spread / 2
    too tight  what an informed taker would gain from us:    notional * gap, doubled
    too wide   what we miss by standing back:                notional * gap, halved; more than half a spread behind,
               a quote is out of the market and hardly more than a missing one

What a place in the queue is worth widens the tolerance (`queue_place.py`), so that a price error must be larger to give
up a good one; a replace keeps no queue, so a quote whose place is worth nothing is simply moved. An order whose
partner was filled may hang: it stays where it is for a while, inside its bounds, to earn the spread of the pair.

The emptier the order budget, the larger a gap must be; and each kind of move leaves a share of it for the more urgent
ones (`HOLD_BACK_*`), so that a filled side can always be quoted again: first of all, before the other is re-priced.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import NamedTuple

from actors.quote.ladder import Wish
from actors.quote.orders import OwnOrder, Pending
from actors.vocab.market import Side
from actors.vocab.units import BPS


class Kind(enum.IntEnum):
    CANCEL = 0
    PLACE = 1
    REPLACE = 2


class Move(NamedTuple):
    """One command that would bring us nearer to the wish."""

    kind: Kind
    side: Side
    slot: int
    order: OwnOrder | None  # of a replace or cancel
    price_ticks: int
    rest_lots: int  # unfilled size afterwards
    value_usd: float
    hold_back: float  # share of the order budget that must be left after it
    severe: bool = False  # the live quote is beyond the fair price: withdrawn when the budget cannot move it

    @property
    def needed(self) -> bool:
        """More than a cosmetic move: what the symbol's rate of orders follows."""
        return self.hold_back < HOLD_BACK_WIDE


# Share of a minute's orders left untouched by a move: a missing side may take the last one, a quote that is too tight
# or out of the market leaves a quarter, a cosmetic move half.
HOLD_BACK_PLACE, HOLD_BACK_TIGHT, HOLD_BACK_WIDE = 0.0, 0.25, 0.5
# A gap this many tolerances wide does not wait for the refresh interval.
IMPATIENT_TOLERANCES = 4.0
# A quote this much larger than wished is cut at once, one this much smaller is topped up.
OVERSIZE, UNDERSIZE = 1.25, 0.5


class Terms(NamedTuple):
    """What the comparison needs to know besides wishes and orders."""

    fair_ticks: float
    spread_ticks: float
    tolerance_ticks: float
    severe_ticks: float  # a quote this far beyond the fair price gives money away
    usd_per_tick_lot: float
    refresh_interval_ns: int
    scarcity: float  # `OrderBudget.scarcity`
    now_ns: int
    queue_keep: float = 0.0  # tolerances that the best place in a queue adds
    hang_ticks: float = 0.0  # a hanging order may be this far from the fair price


def slot_of(side: Side, level: int) -> int:
    """Buys on even slots, sells on odd ones."""
    return 2 * level + (0 if side is Side.BUY else 1)


def moves(
    side: Side,
    wishes: Sequence[Wish],
    by_slot: dict[int, OwnOrder],
    levels_count: int,
    room_lots: int,
    terms: Terms,
) -> list[Move]:
    """Moves of one side, unordered. `room_lots` is what envelope and cap leave for all orders of the side."""
    found: list[Move] = []
    slot = 0 if side is Side.BUY else 1
    wished = len(wishes)
    for level in range(levels_count):
        order = by_slot.get(slot)
        if level >= wished:
            if order is not None and order.pending is not Pending.CANCEL:
                found.append(Move(Kind.CANCEL, side, slot, order, order.price_ticks, 0, 0.0, 0.0))
        elif order is None:
            price, lots = wishes[level]
            worth = lots * terms.usd_per_tick_lot * terms.spread_ticks / 2
            found.append(Move(Kind.PLACE, side, slot, None, price, lots, worth, HOLD_BACK_PLACE))
        elif order.pending is Pending.NONE and not (
            order.hangs_until_ns > terms.now_ns and _may_hang(order, room_lots, terms)
        ):
            move = _change(side, wishes[level], order, room_lots, terms)
            if move is not None:
                found.append(move)
        slot += 2
    return found


def _change(side: Side, wish: Wish, order: OwnOrder, room_lots: int, terms: Terms) -> Move | None:
    """The replace that this order deserves, or None: near enough, or too early."""
    price, lots = wish
    gap = (order.price_ticks - price) * side  # above 0: tighter than wished
    rest = order.rest_lots
    oversize = rest > room_lots or rest > lots * OVERSIZE
    tolerance = terms.tolerance_ticks
    patience = 1.0 + (terms.scarcity - 1.0) / 2 if gap > 0 else terms.scarcity
    severe = (order.price_ticks - terms.fair_ticks) * side > terms.severe_ticks
    if order.queue_place and not severe:
        patience *= 1.0 + terms.queue_keep * order.queue_place
    far = abs(gap) > tolerance * patience
    if not (oversize or far or rest < lots * UNDERSIZE):
        return None
    waited_ns = terms.now_ns - order.changed_ns
    if waited_ns < terms.refresh_interval_ns and not (oversize or severe or gap > tolerance * IMPATIENT_TOLERANCES):
        return None
    worth = abs(gap) * max(rest, lots) * terms.usd_per_tick_lot
    behind = -2 * gap > terms.spread_ticks
    hold_back = HOLD_BACK_TIGHT if gap > 0 or behind else HOLD_BACK_WIDE
    if oversize:
        # Size beyond what we may hold is worth as much as it could lose: the whole spread on all of it.
        worth += rest * terms.usd_per_tick_lot * terms.spread_ticks
    else:
        worth *= 2.0 if gap > 0 else 0.5
    if oversize or severe:
        hold_back = HOLD_BACK_PLACE
    return Move(Kind.REPLACE, side, order.slot, order, price, lots, worth, hold_back, severe)


def _may_hang(order: OwnOrder, room_lots: int, terms: Terms) -> bool:
    """Not beyond the fair price, not too far behind it, not more than may be held."""
    behind = (terms.fair_ticks - order.price_ticks) * order.side
    return 0.0 <= behind <= terms.hang_ticks and order.rest_lots <= room_lots


def ranked(found: list[Move]) -> list[Move]:
    """Cancels first, then missing orders, then changes; each by what they are worth."""
    if len(found) > 1:
        found.sort(key=lambda move: (move.kind, -move.value_usd))
    return found


def tolerance_ticks(fair_ticks: float, tolerance_bps: float, tolerance_share: float, spread_bps: float) -> float:
    """How far a live quote may be from its wish: the larger of an absolute and a relative allowance."""
    return fair_ticks * max(tolerance_bps, tolerance_share * spread_bps) * BPS
