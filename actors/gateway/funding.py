"""Funding payments booked exactly once, though the venue tells of them twice: on the private stream and in a list.

The stream names no number, so a listed payment is taken for one the stream told when asset and amount are the same and
the times are near. What the stream missed while it was down, or while no gateway lived, is found in the list after
each reconnect and start.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from decimal import Decimal

from actors.vocab.leases import FundingPaid
from actors.vocab.units import NS_PER_MS, NS_PER_S
from actors.vocab.venue_io import VenueFunding

MATCH_NS = 60 * NS_PER_S  # the stream stamps when it was booked, the list when it was due
KEPT_MAX = 5_000  # payments of either side that wait for their twin; full: the oldest is forgotten

_Payment = tuple[str, Decimal, int]  # asset, amount, event_ns


class Fundings:
    """What was booked, by where we heard of it."""

    def __init__(self, since_ms: int) -> None:
        """`since_ms`: what was paid before belongs to an earlier life."""
        self.since_ms = since_ms  # time of the newest listed payment: the list is asked from there
        self._told: deque[_Payment] = deque(maxlen=KEPT_MAX)  # by the stream, not seen in a list yet
        self._listed: deque[_Payment] = deque(maxlen=KEPT_MAX)  # booked from a list; the stream may still come with it
        self._numbers: deque[int] = deque(maxlen=KEPT_MAX)  # of listed payments

    def journalled(self, paid: Iterable[FundingPaid], since_ms: int) -> None:
        """An earlier life, begun at `since_ms`, booked these: the list is asked from the newest of them on."""
        times = [since_ms]
        for row in paid:
            self._told.append((row.asset, Decimal(row.amount), row.event_ns))
            times.append((row.event_ns - MATCH_NS) // NS_PER_MS)
        self.since_ms = max(times)

    def is_new_on_stream(self, m: VenueFunding) -> bool:
        payment = (m.asset, Decimal(m.amount), m.event_ns)
        if _take_twin(self._listed, payment):
            return False
        self._told.append(payment)
        return True

    def is_new_in_list(self, m: VenueFunding) -> bool:
        if m.tran_id in self._numbers:
            return False
        self._numbers.append(m.tran_id)
        self.since_ms = max(self.since_ms, m.event_ns // NS_PER_MS)
        payment = (m.asset, Decimal(m.amount), m.event_ns)
        if _take_twin(self._told, payment):
            return False
        self._listed.append(payment)
        return True


def _take_twin(waiting: deque[_Payment], payment: _Payment) -> bool:
    asset, amount, at_ns = payment
    for other in waiting:
        if other[0] == asset and other[1] == amount and abs(other[2] - at_ns) <= MATCH_NS:
            waiting.remove(other)
            return True
    return False
