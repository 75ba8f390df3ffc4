"""How good an order's place in its queue is, from the sizes that the book publishes.

Nobody tells where in a level an order stands. What is certain: no more can be before it than the level held at any
moment since it joined, as nobody joins in front. So the smallest size seen is what may still be before it, and what the
level holds beyond that is behind it (the cautious model of hftbacktest's queue.rs; sizes include our own).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from actors.quote.orders import AHEAD_UNKNOWN, OwnOrder, Pending
from actors.vocab.market import Level, Side


def note_queues(orders: Iterable[OwnOrder], bids: Sequence[Level], asks: Sequence[Level]) -> None:
    """Look at the published levels; of an order that is in none of them nothing is known any more."""
    for order in orders:
        if order.pending is not Pending.NONE or not order.known:
            continue
        price = order.price_ticks
        for depth, (ticks, lots) in enumerate(bids if order.side is Side.BUY else asks):
            if ticks == price:
                order.ahead_lots = min(order.ahead_lots, lots)
                order.queue_place = queue_place(ahead_lots=order.ahead_lots, level_lots=lots, depth=depth)
                break
        else:
            order.ahead_lots, order.queue_place = AHEAD_UNKNOWN, 0.0


def queue_place(*, ahead_lots: int, level_lots: int, depth: int) -> float:
    """0 (nothing to lose) to 1: the share of its level that is certainly behind it, less with each better level before
    it. A level with nobody behind is worth nothing: its like can be had again."""
    if level_lots <= 0:
        return 0.0
    return max(0, level_lots - ahead_lots) / level_lots / (1 + depth)
