"""Rate limits of a simulated venue: fixed windows, counted and enforced as Binance documents them.

Source: binance-spot-api-docs `rest-api.md` § LIMITS and the USD-M general info, read 2026-07: weight counts per
address, orders per account; passing a limit is 429 with `Retry-After`, going on after 429 is 418, a ban that grows.
"""

from __future__ import annotations

from collections import deque

import msgspec

from actors.vocab.units import NS_PER_S

# After this many calls into a closed window the address is banned; the venue only says "repeatedly".
STRIKES_MAX = 20
BAN_S = 120  # the venue's shortest ban
BAN_MAX_S = 3 * 86_400


class Window(msgspec.Struct):
    """One limit: at most `limit` within each `interval_s`, windows aligned to the clock."""

    name: str  # as in the response header: "1M", "10S"
    interval_s: int
    limit: int
    used: int = 0
    slot: int = -1

    def add(self, amount: int, now_ns: int) -> bool:
        """Count `amount`; False when the window is then over its limit."""
        slot = now_ns // (self.interval_s * NS_PER_S)
        if slot != self.slot:
            self.slot = slot
            self.used = 0
        self.used += amount
        return self.used <= self.limit

    def left_s(self, now_ns: int) -> int:
        """Whole seconds until the window ends, at least one."""
        end_ns = (now_ns // (self.interval_s * NS_PER_S) + 1) * self.interval_s * NS_PER_S
        return max(1, -(-(end_ns - now_ns) // NS_PER_S))


class Refusal(msgspec.Struct, frozen=True):
    """Why a call is not even read. `status` 429 or 418, `code` the venue's."""

    status: int
    code: int
    text: str
    retry_after_s: int


class WeightLimiter:
    """Request weight of one client address."""

    def __init__(self, *, weight_1m_max: int) -> None:
        self._weight = Window("1M", 60, weight_1m_max)
        self._strikes_count = 0
        self._bans_count = 0
        self._banned_until_ns = 0

    @property
    def used(self) -> int:
        return self._weight.used

    def take(self, weight: int, now_ns: int) -> Refusal | None:
        """Count one call; None lets it in."""
        if now_ns < self._banned_until_ns:
            left_s = max(1, -(-(self._banned_until_ns - now_ns) // NS_PER_S))
            return Refusal(418, -1003, f"Way too many requests; IP banned for {left_s} s.", left_s)
        if self._weight.add(weight, now_ns):
            self._strikes_count = 0
            return None
        self._strikes_count += 1
        if self._strikes_count > STRIKES_MAX:
            ban_s = min(BAN_S * 2**self._bans_count, BAN_MAX_S)
            self._bans_count += 1
            self._strikes_count = 0
            self._banned_until_ns = now_ns + ban_s * NS_PER_S
            return Refusal(418, -1003, f"Way too many requests; IP banned for {ban_s} s.", ban_s)
        left_s = self._weight.left_s(now_ns)
        return Refusal(
            429, -1003, f"Too many requests; current limit is {self._weight.limit} weight per MINUTE.", left_s
        )


class MessageLimiter:
    """Incoming messages of one websocket in a sliding second; pings and pongs count as well."""

    def __init__(self, per_s_max: int) -> None:
        self._per_s_max = per_s_max
        self._times_ns: deque[int] = deque()  # of the last second only, so at most per_s_max + 1 long

    def take(self, now_ns: int) -> bool:
        """Count one message; False means: hang up."""
        self._times_ns.append(now_ns)
        while self._times_ns[0] <= now_ns - NS_PER_S:
            self._times_ns.popleft()
        return len(self._times_ns) <= self._per_s_max
