"""Where our order stands in the queue of a recorded book, from nothing but level sizes and trades; and order latency.

Formulas: hftbacktest `queue.rs`, `latency.rs` and its docs "order fill", as read in 2026. One rule per function:

    accept              front = size of the level
    trade at our price  front -= size, cum += size
    level prev -> new   change = prev - new - cum, cum = 0
        change < 0      front = min(front, new)
        else            back = prev - front, p = P(a cancel is behind us | front, back)
                        front = min(front - (1 - p) change + min(back - p change, 0), new)
    filled              round(-front) whole lots when front < 0
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Protocol

from actors.vocab.errors import ConfigError
from actors.vocab.message import Record

# (front, back) -> share of cancels that happen behind us
BehindShare = Callable[[float, float], float]


def power1(front: float, back: float, *, n: float) -> float:
    """f(back) / (f(back) + f(front)) with f = x^n."""
    return _share(back**n, back**n + front**n)


def power2(front: float, back: float, *, n: float) -> float:
    """f(back) / f(back + front) with f = x^n."""
    return _share(back**n, (back + front) ** n)


def power3(front: float, back: float, *, n: float) -> float:
    """1 - f(front / (front + back)) with f = x^n."""
    return 1.0 - (front / (front + back)) ** n if front + back > 0 else 1.0


def log1(front: float, back: float) -> float:
    """As power1 with f = ln(1 + x)."""
    return _share(math.log1p(back), math.log1p(back) + math.log1p(front))


def log2(front: float, back: float) -> float:
    """As power2 with f = ln(1 + x)."""
    return _share(math.log1p(back), math.log1p(back + front))


def _share(part: float, whole: float) -> float:
    # An empty level has nobody to cancel: everything counts as behind us.
    return part / whole if whole > 0 else 1.0


def front_after_depth(*, front: float, prev: float, new: float, traded: float, behind: BehindShare | None) -> float:
    """Queue in front of us after the level went from `prev` to `new`, of which `traded` was known from trades.

    `behind` None is the risk-averse model: only trades move us, and the level cannot be smaller than what is ahead.
    """
    if behind is None:
        return min(front, new)
    change = prev - new - traded
    if change < 0:
        return min(front, new)
    # What trades took is ours to subtract already, so `front` may be negative here: nobody is ahead then.
    ahead = max(front, 0.0)
    back = max(prev - ahead, 0.0)
    share = behind(ahead, back)
    return min(front - (1.0 - share) * change + min(back - share * change, 0.0), new)


def filled_lots(front: float) -> int:
    """Whole lots that traded past the queue in front of us."""
    return math.floor(-front + 0.5) if front < 0 else 0


def queue_model(name: str) -> BehindShare | None:
    """`risk_averse`, `log1`, `log2`, or `power1:n`, `power2:n`, `power3:n` (n defaults to 2)."""
    kind, _, exponent = name.partition(":")
    plain: dict[str, BehindShare | None] = {"risk_averse": None, "log1": log1, "log2": log2}
    if kind in plain and not exponent:
        return plain[kind]
    powers = {"power1": power1, "power2": power2, "power3": power3}
    if kind not in powers:
        raise ConfigError(f"no queue model named {name!r}; choose from {', '.join([*plain, *powers])}")
    try:
        n = float(exponent or 2)
    except ValueError:
        raise ConfigError(f"queue model {name!r}: the exponent is not a number") from None
    power = powers[kind]
    return lambda front, back: power(front, back, n=n)


class LatencyModel(Protocol):
    """How long an order is on its way. `entry_ns` below zero: the venue refused it after that long."""

    def entry_ns(self, request_ns: int) -> int: ...

    def response_ns(self, exchange_ns: int) -> int: ...


class ConstantLatency(Record, frozen=True):
    """The same each time."""

    entry: int
    response: int

    def entry_ns(self, request_ns: int) -> int:
        return self.entry

    def response_ns(self, exchange_ns: int) -> int:
        return self.response


class LatencyRow(Record, frozen=True):
    """One measured order: when it was sent, when the venue had it (0 or less: refused), when the answer came."""

    request_ns: int
    exchange_ns: int
    response_ns: int


class InterpolatedLatency:
    """Between measured rows, linear and truncated to whole ns; the first and last row beyond them."""

    def __init__(self, rows: Sequence[LatencyRow]) -> None:
        if not rows:
            raise ConfigError("a latency model needs at least one measured row")
        self._requests = [row.request_ns for row in rows]
        # A refused row: the time to the answer, negative.
        self._entries = [
            row.exchange_ns - row.request_ns if row.exchange_ns > 0 else row.request_ns - row.response_ns
            for row in rows
        ]
        accepted = [row for row in rows if row.exchange_ns > 0]
        self._exchanges = [row.exchange_ns for row in accepted]
        self._responses = [row.response_ns - row.exchange_ns for row in accepted]

    def entry_ns(self, request_ns: int) -> int:
        return _interpolate(self._requests, self._entries, request_ns)

    def response_ns(self, exchange_ns: int) -> int:
        return _interpolate(self._exchanges, self._responses, exchange_ns)


def _interpolate(times: Sequence[int], values: Sequence[int], at: int) -> int:
    if not times:
        return 0
    right = bisect_right(times, at)
    if right == 0:
        return values[0]
    if right == len(times):
        return values[-1]
    left = right - 1
    # A refusal is an event, not a distance: nothing is interpolated between an answer and a refusal.
    if (values[left] < 0) != (values[right] < 0):
        return values[left]
    # Whole numbers throughout: a double loses nanoseconds of unix time. Truncated toward zero.
    rise = (values[right] - values[left]) * (at - times[left])
    span = times[right] - times[left]
    return values[left] + (abs(rise) // span) * (1 if rise >= 0 else -1)
