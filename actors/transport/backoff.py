"""How long to wait before the next attempt at a venue: doubling, capped, jittered, and never shorter than asked."""

from __future__ import annotations

import random


class VenueBackoff:
    """Waits between attempts, in seconds. Never gives up: the last wait repeats.

    Half of each wait is chance: fifty connections that lost one venue do not come back in one millisecond.
    """

    def __init__(self, *, first_s: float, max_s: float, rng: random.Random) -> None:
        self._first_s = first_s
        self._max_s = max_s
        self._rng = rng
        self._attempts = 0

    def reset(self) -> None:
        """It worked, and for long enough."""
        self._attempts = 0

    def next_s(self, *, at_least_s: float = 0.0, max_s: float = 0.0) -> float:
        """The next wait. `at_least_s` is the venue's Retry-After; `max_s` replaces the usual cap where given."""
        most_s = min(max_s or self._max_s, self._first_s * 2.0 ** min(self._attempts, 30))
        self._attempts += 1
        return max(at_least_s, most_s * (0.5 + self._rng.random() / 2))
