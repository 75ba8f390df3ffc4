"""A relay gateway's own limits, counted its own way: nothing here is shared with our treasury.

Refused with 429: more than the account's calls in any 60 seconds, more than twice that rate in any 5 seconds, more
calls at once, more tokens in any 60 seconds. A call is under way until its answer is out or its client has hung up.
"""

from __future__ import annotations

from collections import deque

import msgspec

from actors.vocab.units import NS_PER_S

WINDOW_S = 60
BURST_S = 5
BURST_TIMES = 2


class RelayLimits(msgspec.Struct, frozen=True):
    """The interface's examples."""

    requests_per_min: int = 60
    concurrent_max: int = 10
    tokens_per_min: int = 200_000


class _Sliding:
    """What happened in the last `window_ns`."""

    def __init__(self, window_s: int) -> None:
        self._window_ns = window_s * NS_PER_S
        self._taken: deque[tuple[int, int]] = deque()
        self.sum = 0

    def at(self, now_ns: int) -> int:
        while self._taken and self._taken[0][0] <= now_ns - self._window_ns:
            self.sum -= self._taken.popleft()[1]
        return self.sum

    def add(self, now_ns: int, amount: int) -> None:
        self._taken.append((now_ns, amount))
        self.sum += amount


class RelayGate:
    """`refuses` names the limit that is full; else the call is under way until `ended`."""

    def __init__(self, limits: RelayLimits) -> None:
        self.limits = limits
        self._minute = _Sliding(WINDOW_S)
        self._burst = _Sliding(BURST_S)
        self._tokens = _Sliding(WINDOW_S)
        self._busy: set[int] = set()

    def refuses(self, now_ns: int) -> str:
        limits = self.limits
        burst_max = max(1, limits.requests_per_min * BURST_TIMES * BURST_S // WINDOW_S)
        if self._minute.at(now_ns) >= limits.requests_per_min:
            return "requests per minute"
        if self._burst.at(now_ns) >= burst_max:
            return "burst"
        if len(self._busy) >= limits.concurrent_max:
            return "concurrent calls"
        if self._tokens.at(now_ns) >= limits.tokens_per_min:
            return "tokens per minute"
        return ""

    def begun(self, call_no: int, now_ns: int) -> None:
        self._minute.add(now_ns, 1)
        self._burst.add(now_ns, 1)
        self._busy.add(call_no)

    def used(self, tokens: int, now_ns: int) -> None:
        """Counted when the call begins: the simulation knows its answer by then."""
        self._tokens.add(now_ns, tokens)

    def ended(self, call_no: int) -> None:
        self._busy.discard(call_no)
