"""One limit a minute, reserved before it is used and settled with what was used.

A token bucket: in any window w at most `burst + rate_per_s * w` is let through, counting reservations at their
estimate and taking off what settlements gave back. The rate alone is 95.5 % of the limit, so that under backlog no
more is left unused. On top, no 61 seconds ever count more than a minute's limit (an open reservation at its estimate),
wherever a server's windows begin, and with a second for a grant that travels.

What an earlier life used is not known, only that it kept to the same rule: this one begins as if that had used all it
may, as late as it may.
"""

from __future__ import annotations

from collections import deque

from actors.vocab.units import NS_PER_S

WINDOW_NS = 61 * NS_PER_S
RATE_SHARE = 0.955
# A call is one call: a small burst loses nothing and leaves a server with stricter windows no reason to refuse.
CALLS_BURST_SHARE = 0.02
# Answers use about half of what is reserved for them; what they give back must find room in the bucket.
TOKENS_BURST_SHARE = 0.1


class Entry:
    """One reservation, counted from its start."""

    __slots__ = ("amount", "at_ns", "counted")

    def __init__(self, amount: float, at_ns: int) -> None:
        self.amount = amount
        self.at_ns = at_ns
        self.counted = True  # False once its minute is over


class Quota:
    """`per_min` of something. An amount above the burst waits for a full bucket and is then paid off."""

    def __init__(
        self, per_min: float, *, burst_share: float, now_ns: int, earlier_life: bool = False, amount_max: float = 1.0
    ) -> None:
        """`earlier_life`: there was one, a moment ago for all we know, that reserved up to `amount_max` at once."""
        self.per_min = per_min
        self.burst = max(1.0, per_min * burst_share)  # less than one would never let a call through
        self.rate_per_s = per_min * RATE_SHARE / 60
        self._level = self.burst
        self._refilled_ns = now_ns
        self._entries: deque[Entry] = deque()  # those of the last 61 seconds, oldest first
        self._sum = 0.0  # of the entries' amounts
        if earlier_life:
            self._inherit(max(0.0, amount_max - self.burst), now_ns)

    def admits(self, amount: float, now_ns: int) -> bool:
        """Whether `amount` can be reserved now."""
        self._advance(now_ns)
        within = self._sum + amount <= self.per_min or not self._entries
        return within and self._level >= min(amount, self.burst)

    def reserve(self, amount: float, now_ns: int) -> Entry:
        """Take it; the caller has just seen `admits`."""
        self._advance(now_ns)
        self._level -= amount
        self._sum += amount
        entry = Entry(amount, now_ns)
        self._entries.append(entry)
        return entry

    def settle(self, entry: Entry, amount: float, now_ns: int) -> None:
        """What the reservation really used; more than reserved is paid back by waiting."""
        self._advance(now_ns)
        self._level = min(self.burst, self._level + entry.amount - amount)
        if entry.counted:
            self._sum += amount - entry.amount
        entry.amount = amount

    def _inherit(self, debt: float, now_ns: int) -> None:
        """Assume the worst life before: burst and debt taken just now, and in each second what had come back in it."""
        self._level = -debt
        left = self.per_min
        for ago_s in range(WINDOW_NS // NS_PER_S):
            most = self.rate_per_s + (self.burst + debt if ago_s == 0 else 0.0)
            amount = min(left, most)
            left -= amount
            if amount > 0.0:
                self._entries.appendleft(Entry(amount, now_ns - ago_s * NS_PER_S))
                self._sum += amount

    def _advance(self, now_ns: int) -> None:
        gained = (now_ns - self._refilled_ns) / NS_PER_S * self.rate_per_s
        self._level = min(self.burst, self._level + gained)
        self._refilled_ns = now_ns
        while self._entries and self._entries[0].at_ns <= now_ns - WINDOW_NS:
            entry = self._entries.popleft()
            entry.counted = False
            self._sum -= entry.amount
        if not self._entries:
            self._sum = 0.0  # floats drift
