"""One order of an account inside a simulated exchange: the only mutable thing that books and the desk share."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from actors.vocab.market import Side
from actors.vocab.orders import OrderState


class SimOrder(msgspec.Struct, eq=False):
    """Changed by the book (fills, queue) and by the desk (state, amendments); never by anybody else.

    `ahead_lots` is what stands before it in the queue of its level: maker lots in a simulated book, the queue
    model's estimate (a float) in a recorded one. It is never negative while the order rests.
    """

    account: str
    symbol: str
    order_id: int
    client_id: str
    side: Side
    price_ticks: int
    lots: int
    created_ns: int
    post_only: bool = False
    reduce_only: bool = False
    market: bool = False
    system: bool = False  # liquidation or ADL: the venue's order, not the account's
    state: OrderState = OrderState.PENDING
    filled_lots: int = 0
    told_lots: int = 0  # filled lots that the ledger has seen; below filled_lots only while a match is settled
    filled_quote: Decimal = Decimal(0)  # sum of price times size over its fills, in quote currency
    updated_ns: int = 0
    amendments_count: int = 0
    ahead_lots: float = 0
    traded_since_depth: float = 0.0  # recorded books only: see queue_models.py

    @property
    def left_lots(self) -> int:
        return self.lots - self.filled_lots
