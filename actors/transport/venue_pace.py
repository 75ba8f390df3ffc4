"""When the next recorded moment may be sent: at the recording's own pace, or when everybody has finished the last."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from actors.vocab.clock import Clock
from actors.vocab.units import NS_PER_S

# (step, recorded unix ns, frames sent so far by "host:port" of each listening connection) -> returns when all of the
# fleet has finished this step. A receiver knows it has everything when its own socket has counted as many frames.
Barrier = Callable[[int, int, Mapping[str, int]], Awaitable[None]]


class Pace(Protocol):
    """Asked by the replay around each recorded moment. `recorded_ns` never goes backwards."""

    async def before(self, recorded_ns: int) -> None:
        """Return when the frames of this moment may be sent."""

    async def after(self, recorded_ns: int, frames_sent: Mapping[str, int]) -> None:
        """All frames of this moment have been written to their sockets."""


class RealTimePace:
    """The recording's own pace, `speed` times faster. A late loop catches up without waiting, never skips."""

    def __init__(self, clock: Clock, *, speed: float = 1.0) -> None:
        self._clock = clock
        self._speed = speed
        self._started: tuple[int, int] | None = None  # (recorded, ours) at the first moment

    async def before(self, recorded_ns: int) -> None:
        now_ns = self._clock.now_ns()
        if self._started is None:
            self._started = (recorded_ns, now_ns)
        first_recorded_ns, first_ns = self._started
        wait_ns = first_ns + (recorded_ns - first_recorded_ns) / self._speed - now_ns
        # Even when late the loop gets its turn: orders and snapshot requests must not starve behind old frames.
        await asyncio.sleep(max(0.0, wait_ns / NS_PER_S))

    async def after(self, recorded_ns: int, frames_sent: Mapping[str, int]) -> None:
        return None


class BarrierPace:
    """Lock-step: the next moment leaves when `barrier` has returned for the last one."""

    def __init__(self, barrier: Barrier) -> None:
        self._barrier = barrier
        self._step = 0

    async def before(self, recorded_ns: int) -> None:
        return None

    async def after(self, recorded_ns: int, frames_sent: Mapping[str, int]) -> None:
        self._step += 1
        await self._barrier(self._step, recorded_ns, frames_sent)
