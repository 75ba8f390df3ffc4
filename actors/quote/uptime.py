"""Share of the time in which both sides were live, since the first moment they were."""

from __future__ import annotations


class TwoSided:
    __slots__ = ("_live", "_live_ns", "_since_ns", "first_ns")

    def __init__(self) -> None:
        self.first_ns = 0  # 0: never two-sided so far
        self._live = False
        self._live_ns = 0
        self._since_ns = 0

    def set(self, *, live: bool, now_ns: int) -> None:
        if live is self._live:
            return
        if live:
            self.first_ns = self.first_ns or now_ns
        else:
            self._live_ns += now_ns - self._since_ns
        self._live = live
        self._since_ns = now_ns

    @property
    def live(self) -> bool:
        return self._live

    def live_ns(self, now_ns: int) -> int:
        return self._live_ns + (now_ns - self._since_ns if self._live else 0)

    def share(self, now_ns: int) -> float:
        """0 before the first two-sided moment."""
        if self.first_ns == 0 or now_ns <= self.first_ns:
            return 1.0 if self._live else 0.0
        return self.live_ns(now_ns) / (now_ns - self.first_ns)
