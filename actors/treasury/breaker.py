"""A breaker per model: above an error share it opens, after a while one probe decides."""

from __future__ import annotations

from collections import deque

from actors.vocab.units import NS_PER_S

# Fewer calls than this say nothing about a model.
CALLS_MIN = 5


class Breaker:
    """CLOSED lets through, OPEN refuses, HALF-OPEN lets one probe through."""

    def __init__(self, *, error_share: float, window_s: float, open_s: float) -> None:
        self._error_share = error_share
        self._window_ns = int(window_s * NS_PER_S)
        self._open_ns = int(open_s * NS_PER_S)
        self._calls: deque[tuple[int, bool]] = deque(maxlen=1000)  # (ended at, good)
        self._opened_ns: int | None = None
        self._probing = False
        self.stopped = ""  # a reason that no retry can mend (key, model name)
        self.opens_count = 0

    def allows(self, now_ns: int) -> bool:
        if self.stopped:
            return False
        if self._opened_ns is None:
            return True
        return not self._probing and now_ns >= self._opened_ns + self._open_ns

    def started(self) -> None:
        """A call was let through; in HALF-OPEN it is the probe."""
        self._probing = self._opened_ns is not None

    def ended(self, *, good: bool, now_ns: int) -> None:
        if self._opened_ns is not None:
            self._probing = False
            if good:
                self._opened_ns = None
                self._calls.clear()
            else:
                self._opened_ns = now_ns
            return
        self._calls.append((now_ns, good))
        while self._calls and self._calls[0][0] < now_ns - self._window_ns:
            self._calls.popleft()
        errors = sum(not ok for _, ok in self._calls)
        if len(self._calls) >= CALLS_MIN and errors / len(self._calls) > self._error_share:
            self._opened_ns = now_ns
            self.opens_count += 1

    def unused(self) -> None:
        """A call that was let through said nothing about the model: a probe may be tried again at once."""
        self._probing = False

    def stop(self, reason: str) -> None:
        self.stopped = reason
