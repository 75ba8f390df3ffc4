"""Money that must last the day: first opinions become rarer, then they stop.

The cost of a second at the configured interval is measured over the last quarter of an hour, whatever the interval was
meanwhile; the interval is stretched so that what is left lasts until midnight UTC. Nothing is asked beyond the day's
limit: that is the reservation's business, not ours.
"""

from __future__ import annotations

import math

from actors.vocab.units import NS_PER_S

MEMORY_S = 900.0
# Longer than this, opinions are older than they live; better none.
STRETCH_MAX = 16.0
# Before so much has been seen, the rate is chance.
SEEN_MIN_S = 60.0


def stretch(*, left_usd: float, usd_per_s: float, left_s: float) -> float:
    """By how much the interval is lengthened; 1 while the money lasts anyway."""
    needed_usd = usd_per_s * left_s
    if needed_usd <= left_usd:
        return 1.0
    return min(STRETCH_MAX, needed_usd / left_usd) if left_usd > 0 else STRETCH_MAX


class Pace:
    """`note` what has been spent, once a second or so."""

    def __init__(self, *, budget_usd: float, now_ns: int, spent_usd: float = 0.0) -> None:
        self._budget_usd = budget_usd
        self._spent_usd = spent_usd
        self._at_ns = now_ns
        self._faded_usd = 0.0  # spent, fading with `MEMORY_S`
        self._faded_s = 0.0  # seconds at the configured interval that it stands for, fading alike
        self._seen_s = 0.0
        self.stretch = 1.0

    @property
    def usd_per_s(self) -> float:
        """Cost of a second at the configured interval."""
        return self._faded_usd / self._faded_s if self._seen_s >= SEEN_MIN_S and self._faded_s > 0 else 0.0

    def note(self, *, spent_usd: float, left_s: float, now_ns: int) -> None:
        """`spent_usd` of this day, of which `left_s` are left."""
        passed_s = (now_ns - self._at_ns) / NS_PER_S
        fade = math.exp(-passed_s / MEMORY_S)
        self._faded_usd = self._faded_usd * fade + max(0.0, spent_usd - self._spent_usd)
        self._faded_s = self._faded_s * fade + passed_s / self.stretch
        self._spent_usd, self._at_ns = spent_usd, now_ns
        self._seen_s += passed_s
        # In tenths: each change is told to all members.
        wanted = stretch(left_usd=self._budget_usd - spent_usd, usd_per_s=self.usd_per_s, left_s=left_s)
        self.stretch = math.ceil(wanted * 10) / 10

    def forecast_usd(self, left_s: float) -> float:
        """What the day will have cost."""
        return min(self._budget_usd, self._spent_usd + self.usd_per_s / self.stretch * left_s)
