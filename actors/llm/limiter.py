"""Reserve before spending: requests and tokens a minute, calls at once, money a day.

A token bucket of rate r and burst b never lets more than b + r * w through in any window w. Tokens are reserved by
estimate and settled with the real usage, so an answer longer than expected is paid back by waiting.
"""

from __future__ import annotations

import msgspec

from actors.vocab.errors import check
from actors.vocab.units import NS_PER_S

# 5 %: at least 95 % of a limit is used under backlog.
REQUESTS_BURST_SHARE = 0.05
# A call of 25 symbols is some 4 000 tokens; a twentieth of the usual 200 000 a minute lets two start at once.
TOKENS_BURST_SHARE = 0.05


class Bucket:
    """`level` may fall below zero by a settlement; nothing is taken until it is back."""

    def __init__(self, *, per_s: float, burst: float, now_ns: int) -> None:
        self._per_s = per_s
        self._burst = burst
        self.level = burst
        self._at_ns = now_ns

    def refill(self, now_ns: int) -> None:
        self.level = min(self._burst, self.level + (now_ns - self._at_ns) / NS_PER_S * self._per_s)
        self._at_ns = max(self._at_ns, now_ns)

    def wait_s(self, amount: float) -> float:
        """Seconds until `amount` can be taken; 0 when now. An amount above the burst waits for a full bucket."""
        short = min(amount, self._burst) - self.level
        return max(0.0, short / self._per_s)


class Reservation(msgspec.Struct, frozen=True):
    """What one call may cost until its usage is known."""

    call_no: int
    tokens: float
    usd: float


class Limiter:
    """One pool member's share of the account's limits."""

    def __init__(
        self, *, requests_per_min: float, tokens_per_min: float, concurrent_max: int, usd_per_day: float, now_ns: int
    ) -> None:
        # Burst plus a minute's refill must stay within the limit of a minute, however a server counts its windows.
        requests_burst = max(1.0, requests_per_min * REQUESTS_BURST_SHARE)
        tokens_burst = tokens_per_min * TOKENS_BURST_SHARE
        self._requests = Bucket(per_s=(requests_per_min - requests_burst) / 60, burst=requests_burst, now_ns=now_ns)
        self._tokens = Bucket(per_s=(tokens_per_min - tokens_burst) / 60, burst=tokens_burst, now_ns=now_ns)
        self._concurrent_max = concurrent_max
        self._usd_per_day = usd_per_day
        self._closed_until_ns = 0
        self.open: dict[int, Reservation] = {}  # call_no -> reservation; holds exactly the calls in flight
        self.usd_today = 0.0  # settled

    def wait_s(self, *, tokens: float, usd: float, now_ns: int) -> float:
        """Seconds until such a call may start; inf when the day's money is spent."""
        if self.usd_today + sum(one.usd for one in self.open.values()) + usd > self._usd_per_day:
            return float("inf")
        self._requests.refill(now_ns)
        self._tokens.refill(now_ns)
        waits = [self._requests.wait_s(1), self._tokens.wait_s(tokens), (self._closed_until_ns - now_ns) / NS_PER_S]
        if len(self.open) >= self._concurrent_max:
            waits.append(0.05)
        return max(0.0, *waits)

    def reserve(self, call_no: int, *, tokens: float, usd: float, now_ns: int) -> Reservation:
        """Take it. The caller has seen `wait_s` return 0 at this very time."""
        check(self.wait_s(tokens=tokens, usd=usd, now_ns=now_ns) == 0.0, f"call {call_no} reserved without room")
        self._requests.level -= 1
        self._tokens.level -= tokens
        self.open[call_no] = Reservation(call_no, tokens, usd)
        return self.open[call_no]

    def settle(self, call_no: int, *, tokens: float, usd: float) -> None:
        """The call has ended; what it really used replaces the estimate."""
        reserved = self.open.pop(call_no)
        self._tokens.level += reserved.tokens - tokens
        self.usd_today += usd

    def close_until(self, now_ns: int, retry_after_s: float) -> None:
        """A 429: nothing before its Retry-After is over."""
        self._closed_until_ns = max(self._closed_until_ns, now_ns + int(retry_after_s * NS_PER_S))

    def new_day(self) -> None:
        self.usd_today = 0.0
