"""The limits of one model, or of the whole account: requests and tokens a minute, calls at once, money a day."""

from __future__ import annotations

import math

import msgspec

from actors.treasury.prices import NUSD
from actors.treasury.quota import CALLS_BURST_SHARE, TOKENS_BURST_SHARE, Entry, Quota


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """inf where there is none."""

    requests_per_min: float = math.inf
    tokens_per_min: float = math.inf
    concurrent_max: float = math.inf
    usd_per_day_max: float = math.inf


class Hold(msgspec.Struct):
    """What one call has reserved in one scope."""

    request: Entry | None
    tokens: Entry | None
    nusd: int


class Scope:
    """Reserve, then settle. The caller asks `admits` and `affords` first."""

    def __init__(
        self,
        name: str,
        limits: Limits,
        *,
        now_ns: int,
        earlier_life: bool = False,
        call_tokens_max: float = 0.0,
        spent_nusd: int = 0,
    ) -> None:
        """`earlier_life`: there was one, whose calls reserved up to `call_tokens_max` each."""
        self.name = name  # a model, or "" for the account
        self.limits = limits
        self.spent_nusd = spent_nusd  # today, settled
        self.held_nusd = 0  # reserved and not settled
        self.open_count = 0
        self._requests = _quota(limits.requests_per_min, CALLS_BURST_SHARE, now_ns, earlier_life, 1.0)
        self._tokens = _quota(limits.tokens_per_min, TOKENS_BURST_SHARE, now_ns, earlier_life, call_tokens_max)

    @property
    def budget_nusd(self) -> float:
        return self.limits.usd_per_day_max * NUSD

    def affords(self, nusd: int) -> bool:
        """Whether the day's money reaches for a call of `nusd`."""
        return self.spent_nusd + self.held_nusd + nusd <= self.budget_nusd

    def admits(self, tokens: int, now_ns: int) -> bool:
        """Whether such a call may start now, money aside."""
        return (
            self.open_count < self.limits.concurrent_max
            and (self._requests is None or self._requests.admits(1.0, now_ns))
            and (self._tokens is None or self._tokens.admits(tokens, now_ns))
        )

    def reserve(self, tokens: int, nusd: int, now_ns: int) -> Hold:
        self.open_count += 1
        self.held_nusd += nusd
        return Hold(
            self._requests.reserve(1.0, now_ns) if self._requests is not None else None,
            self._tokens.reserve(tokens, now_ns) if self._tokens is not None else None,
            nusd,
        )

    def settle(self, hold: Hold, *, sent: bool, tokens: int, nusd: int, now_ns: int) -> None:
        """The call has ended and used this; what was not `sent` gives its request back as well."""
        self.open_count -= 1
        self.held_nusd -= hold.nusd
        self.spent_nusd += nusd
        if self._requests is not None and hold.request is not None and not sent:
            self._requests.settle(hold.request, 0.0, now_ns)
        if self._tokens is not None and hold.tokens is not None:
            self._tokens.settle(hold.tokens, tokens, now_ns)


def _quota(per_min: float, burst_share: float, now_ns: int, earlier_life: bool, amount_max: float) -> Quota | None:
    if not math.isfinite(per_min):
        return None
    return Quota(per_min, burst_share=burst_share, now_ns=now_ns, earlier_life=earlier_life, amount_max=amount_max)
