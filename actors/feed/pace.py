"""How fast REST may be asked: request weight spread so that fifty snapshots at once stay within the venue's minute."""

from __future__ import annotations

from typing import Final

from actors.vocab.errors import ConfigError
from actors.vocab.units import NS_PER_S

# Weight a minute and address; rest-api.md § LIMITS and the USD-M "rateLimits" of exchangeInfo, read 2026-07.
WEIGHT_PER_MIN: Final = {"binance_spot": 6_000, "binance_perp": 2_400}
# Any minute sees at most burst + refill: 0.8 of the limit. The rest is for gateways on the same address.
BURST_SHARE: Final = 0.55
REFILL_SHARE: Final = 0.25


class WeightBudget:
    """A bucket of request weight, told the time. Callers wait as long as `take` says; order of asking is kept."""

    def __init__(self, weight_per_min: float, *, shards_count: int = 1) -> None:
        """Shards share the address, so each takes its part of the limit."""
        self._ns_per_weight = 60 * NS_PER_S * shards_count / (weight_per_min * REFILL_SHARE)
        self._burst_ns = weight_per_min * BURST_SHARE / shards_count * self._ns_per_weight
        self._full_at_ns = 0.0  # when the bucket would be full again if nobody asked any more

    def take(self, weight: int, now_ns: int) -> int:
        """Reserve `weight`; return how many ns to wait before it may be spent. 0 while the burst lasts."""
        self._full_at_ns = max(self._full_at_ns, float(now_ns)) + weight * self._ns_per_weight
        return max(0, int(self._full_at_ns - self._burst_ns - now_ns))


def weight_per_min(venue: str) -> int:
    """`ConfigError` for a venue whose limit nobody wrote down."""
    try:
        return WEIGHT_PER_MIN[venue]
    except KeyError:
        raise ConfigError(f"venue {venue!r} has no request limits; known are {', '.join(WEIGHT_PER_MIN)}") from None
