"""Asking risk for room: what the ladder would like, and when to ask.

A request goes out at every renewal interval, and at once when more is wished than was asked for. Wishes go down
slowly: each lowered envelope makes the gateway fence older orders, and a position that swings to and fro would pay
for that at every swing.
"""

from __future__ import annotations

from actors.quote.budget import OrderBudget
from actors.quote.sizes import Sizes
from actors.risk.leases import Wallet
from actors.vocab.leases import LeaseRequest
from actors.vocab.units import NS_PER_MS, NS_PER_S

# Least time between two requests that a changed wish causes.
WISH_GAP_NS = 20 * NS_PER_MS
# The same while orders are short: there may be none to be had, so it is not asked at every turn.
SHORT_GAP_NS = 200 * NS_PER_MS
# A wish that became smaller is kept this long.
WISH_KEEP_NS = 10 * NS_PER_S
# The lease asked for leaves this many whole ladders on top of the position: a fill can be answered at once.
LADDERS_WANTED = 2


class LeaseKeeper:
    """Counts requests and remembers what was asked for."""

    def __init__(self, wallet: Wallet, *, renew_interval_ns: int) -> None:
        self._wallet = wallet
        self._renew_ns = renew_interval_ns
        self._request_no = 0
        self._requested_ns = 0
        # What the last request asked for, and when a side last wished at least that much.
        self._asked = [0, 0]
        self._needed_ns = [0, 0]

    def forget(self) -> None:
        """Lots have another size now: neither what was granted nor what was asked for means anything."""
        self._wallet.revoke()
        self._asked = [0, 0]

    def due(self, now_ns: int) -> bool:
        return now_ns - self._requested_ns >= self._renew_ns

    def wishes_more(self, wants: tuple[int, int], now_ns: int, *, short: bool = False) -> bool:
        """True when an answer to the last request would not be enough; `short` of orders included."""
        if short and now_ns - self._requested_ns >= SHORT_GAP_NS:
            return True
        more = wants[0] > self._asked[0] or wants[1] > self._asked[1]
        return more and now_ns - self._requested_ns >= WISH_GAP_NS

    def request(
        self,
        wants: tuple[int, int],
        *,
        position_lots: int,
        last_fill_no: int,
        mid_ticks: float,
        budget: OrderBudget,
        now_ns: int,
        steps: str = "",
    ) -> LeaseRequest:
        """The next request; from this moment the ttl of its answer runs."""
        for side, want in enumerate(wants):
            if want >= self._asked[side] or now_ns - self._needed_ns[side] >= WISH_KEEP_NS:
                self._asked[side] = want
                self._needed_ns[side] = now_ns
        self._request_no += 1
        self._requested_ns = now_ns
        wallet = self._wallet
        wallet.on_request_sent(self._request_no, now_ns)
        short, budget.short = budget.short, False
        return LeaseRequest(
            venue=wallet.venue,
            symbol=wallet.symbol,
            holder=wallet.holder,
            request_no=self._request_no,
            position_lots=position_lots,
            want_long_lots=self._asked[0],
            want_short_lots=self._asked[1],
            last_fill_no=last_fill_no,
            mid_ticks=mid_ticks,
            orders_needed=budget.needed_count(now_ns),
            orders_short=short,
            orders_held=budget.orders_per_min,
            steps=steps,
        )


def wanted_lots(*, position_lots: int, sizes: Sizes, short_lots_max: int | None, closing: bool) -> tuple[int, int]:
    """Worst-case (long, short) that the ladder would like, position included.

    In whole ladders, so that a partial fill changes nothing, and up to the own cap; the position itself is always
    in it. Spot can't go shorter than the stock that it started with, `short_lots_max`; None: no such bound.
    """
    ladder = sizes.ladder_lots
    long_lots = short_lots = 0
    if not closing and ladder > 0:
        long_lots = min(sizes.cap_lots, _up_to_multiple(position_lots, ladder) + LADDERS_WANTED * ladder)
        short_lots = min(sizes.cap_lots, _up_to_multiple(-position_lots, ladder) + LADDERS_WANTED * ladder)
        if short_lots_max is not None:
            short_lots = min(short_lots, short_lots_max)
    return max(0, position_lots, long_lots), max(0, -position_lots, short_lots)


def _up_to_multiple(lots: int, step: int) -> int:
    return -(-lots // step) * step
