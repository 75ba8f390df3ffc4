"""One call at the earliest of the times that were asked for; whoever is called asks anew."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class Cancellable(Protocol):
    """A call to come."""

    def cancel(self) -> None: ...


class Alarm:
    """At most one timer is out. A later time than the one that is set changes nothing."""

    def __init__(
        self,
        call: Callable[[], None],
        *,
        now_ns: Callable[[], int],
        at: Callable[[int, Callable[[], None]], Cancellable],
    ) -> None:
        """`at(at_ns, fn)` makes a timer of the clock that `now_ns` reads."""
        self._call = call
        self._now_ns = now_ns
        self._at = at
        self._timer: Cancellable | None = None
        self._at_ns = 0

    def set(self, at_ns: int) -> None:
        if self._timer is not None:
            if self._now_ns() < self._at_ns <= at_ns:
                return
            self._timer.cancel()
        self._at_ns = at_ns
        self._timer = self._at(at_ns, self._ring)

    def _ring(self) -> None:
        self._timer = None
        self._call()
