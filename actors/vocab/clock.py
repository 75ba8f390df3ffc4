"""Time is an argument. Only shells hold a clock; brains are told `now_ns`."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """Monotonic for decisions, wall for the venue's stamps and for days."""

    def now_ns(self) -> int:
        """Monotonic nanoseconds; comparable on one host only."""

    def wall_ns(self) -> int:
        """Unix nanoseconds, UTC."""


class ManualClock:
    """A clock that a test, a backtest or a lock-step replay moves."""

    def __init__(self, now_ns: int = 0, wall_ns: int = 0) -> None:
        self._now_ns = now_ns
        self._wall_offset_ns = wall_ns - now_ns

    def now_ns(self) -> int:
        return self._now_ns

    def wall_ns(self) -> int:
        return self._now_ns + self._wall_offset_ns

    def set(self, now_ns: int) -> None:
        """Move to `now_ns`; never backwards."""
        self._now_ns = max(self._now_ns, now_ns)
