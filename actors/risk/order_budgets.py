"""Who may send how many orders a minute: one account's limit, moved to where it is needed.

Each symbol starts with nine tenths of an equal share and keeps at least half of one; the rest goes to who needs more. A
renewal tells how many orders the holder has sent for a reason in the last minute, and whether one was held back for
want of budget; the wish follows from that: up at most once a second, down after a minute without a change. A wish is
granted as far as the sum allows; when all wishes exceed it, each gets the same level.

What is shared out holds in every minute, whatever moves: a symbol counts with the greatest rate that its holder may
have had in the last minute. So what one symbol gives up is another's a minute and a lease later; a holder's bucket
(`quote/budget.py`) never sends more changes in a minute than that greatest rate. Missing sides may go beyond it, and a
new life of a holder begins with a fresh bucket: the account's limit itself is kept by the gateway, which writes.
"""

from __future__ import annotations

import math
from collections import deque

from actors.vocab.units import NS_PER_S

MINUTE_NS = 60 * NS_PER_S
START_SHARE, LEAST_SHARE = 0.9, 0.5  # of an equal share
GROWTH_SHORT = 1.5  # an order that was needed was held back, or the next would be
GROWTH_USED = 1.25  # four fifths were used
USED_SHARE = 0.8
SPARE_SHARE = 2 / 3  # less than this used: given up, down to half as much again as was used
ROOM = 1.5
SHARES_MAX = 4.0  # nobody's wish grows beyond so many equal shares
STEP_NS = NS_PER_S  # least time between two changes of one wish; it falls only after a whole minute


class _Holder:
    """One symbol's share."""

    __slots__ = ("changed_ns", "counted", "granted", "past", "wish")

    def __init__(self, wish: int) -> None:
        self.wish = wish
        self.granted = 0
        self.counted = 0  # its part in the sum of all; never below `reserved`
        self.changed_ns = 0  # of the wish
        # (rate, until when it counts) of rates above `granted` that were in force, falling in rate, rising in time
        self.past: deque[tuple[int, int]] = deque()

    def reserved(self, now_ns: int) -> int:
        while self.past and self.past[0][1] <= now_ns:
            self.past.popleft()
        return max(self.granted, self.past[0][0]) if self.past else self.granted


class OrderBudgets:
    """The shares of one venue account. A machine without messages; `leasing.py` asks it at each renewal."""

    def __init__(self, *, account_max: int, ttl_ns: int) -> None:
        """`ttl_ns`: how long a holder that does not hear of a lower rate may go on with the older one."""
        self.account_max = account_max
        self._ttl_ns = ttl_ns
        self._holders: dict[str, _Holder] = {}  # symbol -> its share
        self._level = account_max  # nobody above it while wishes exceed the limit
        self._level_ns = 0
        self._sum = 0  # of `counted`
        self._without = 0  # how many have been granted nothing

    def join(self, symbol: str) -> None:
        """Count this symbol among those that share. Before the first `renew` of any, best."""
        if symbol not in self._holders:
            self._holders[symbol] = _Holder(0)
            self._without += 1

    def renew(self, symbol: str, *, needed: int, short: bool, held: int, now_ns: int) -> int:
        """Return the rate granted now. `needed` orders were sent for a reason in the last minute, `short`: one was
        held back; `held` is the rate the holder has from before, which a new term does not know."""
        self.join(symbol)
        at = self._holders[symbol]
        if not at.granted and held:
            at.past.append((held, now_ns + MINUTE_NS + self._ttl_ns))
        self._wish(at, needed, short, now_ns)
        if now_ns - self._level_ns >= STEP_NS:
            self._level_ns = now_ns
            self._find_level()
            self._recount(now_ns)
        target = max(1, min(at.wish, self._level))
        before = at.reserved(now_ns)
        self._count(at, before)
        # Those who have not asked yet find their start.
        coming = self._start() * (self._without - (not at.granted))
        target = min(target, before + max(0, self.account_max - self._sum - coming))
        self._grant(at, target, now_ns)
        self._count(at, at.reserved(now_ns))
        return at.granted

    def reserved(self, now_ns: int) -> int:
        """The most that all holders together can send in a minute."""
        self._recount(now_ns)
        return self._sum

    def _recount(self, now_ns: int) -> None:
        """What has left the minute is free again. In between the sum is too high, never too low."""
        for at in self._holders.values():
            self._count(at, at.reserved(now_ns))

    def _count(self, at: _Holder, rate: int) -> None:
        self._sum += rate - at.counted
        at.counted = rate

    def _start(self) -> int:
        return self._part(START_SHARE)

    def _part(self, share: float) -> int:
        return max(1, int(self.account_max * share) // max(1, len(self._holders)))

    def _wish(self, at: _Holder, needed: int, short: bool, now_ns: int) -> None:
        if not at.wish:
            at.wish, at.changed_ns = self._start(), now_ns
        waited_ns = now_ns - at.changed_ns
        if waited_ns < STEP_NS:
            return
        wish, granted = at.wish, max(at.granted, 1)
        top = self._part(SHARES_MAX)
        if short:
            wish = min(top, math.ceil(granted * GROWTH_SHORT))
        elif needed >= USED_SHARE * granted:
            wish = min(top, math.ceil(granted * GROWTH_USED))
        elif needed < SPARE_SHARE * granted and waited_ns >= MINUTE_NS:
            wish = math.ceil(needed * ROOM)
        wish = max(self._part(LEAST_SHARE), wish)
        if wish != at.wish:
            at.wish, at.changed_ns = wish, now_ns

    def _find_level(self) -> None:
        """The height to which wishes are filled when they exceed the limit together."""
        left, level = self.account_max, self.account_max
        wishes = sorted(each.wish for each in self._holders.values())
        if sum(wishes) > left:
            for number, wish in enumerate(wishes):
                level = left // (len(wishes) - number)
                if wish >= level:
                    break
                left -= wish
        self._level = level

    def _grant(self, at: _Holder, rate: int, now_ns: int) -> None:
        if rate < at.granted:
            until_ns = now_ns + MINUTE_NS + self._ttl_ns
            while at.past and at.past[-1][0] <= at.granted:
                at.past.pop()
            at.past.append((at.granted, until_ns))
        self._without += (not rate) - (not at.granted)
        at.granted = rate
