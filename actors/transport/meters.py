"""What an actor measures about itself: latencies, loop lag, its share of a core, its memory."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from hdrh.histogram import HdrHistogram

HIGHEST_US = 60_000_000  # a minute; anything longer is recorded as a minute
SIGNIFICANT_DIGITS = 2  # a percent
UNSETTLED_MAX = 500
LAG_INTERVAL_S = 0.25  # four looks a second see every pause that a p99 is made of and cost nothing
SMAPS_ROLLUP = Path("/proc/self/smaps_rollup")


class Histogram:
    """Microseconds from 1 to a minute in high-dynamic-range buckets, exact to a percent. Mergeable by `encode`."""

    def __init__(self) -> None:
        self._settled = HdrHistogram(1, HIGHEST_US, SIGNIFICANT_DIGITS)
        # Values that no bucket counts yet: finding one takes a microsecond, which a message need not wait for.
        self._unsettled: list[float] = []

    def record(self, value_us: float) -> None:
        """Add one value; below 1 counts as 1 (0 has no bucket), above a minute as a minute."""
        self._unsettled.append(value_us)
        if len(self._unsettled) >= UNSETTLED_MAX:
            self._settle()

    def _settle(self) -> None:
        for value_us in self._unsettled:
            self._settled.record_value(min(max(int(value_us), 1), HIGHEST_US))
        self._unsettled.clear()

    @property
    def _buckets(self) -> HdrHistogram:
        if self._unsettled:
            self._settle()
        return self._settled

    @property
    def count(self) -> int:
        return int(self._buckets.get_total_count())

    @property
    def p50(self) -> int:
        return self.percentile(50)

    @property
    def p90(self) -> int:
        return self.percentile(90)

    @property
    def p99(self) -> int:
        return self.percentile(99)

    @property
    def max(self) -> int:
        return int(self._buckets.get_max_value()) if self.count else 0

    def percentile(self, percent: float) -> int:
        """Return the value that `percent` % of all are at or below; 0 while empty."""
        return self._percentiles(percent)[0]

    def summary(self) -> dict[str, int]:
        """Return the form used in status, metrics and `summary.json`."""
        p50, p90, p99 = self._percentiles(50, 90, 99)
        return {"p50": p50, "p90": p90, "p99": p99, "max": self.max, "count": self.count}

    def _percentiles(self, *percents: float) -> list[int]:
        # The library walks over two thousand buckets in Python, a fifth of a millisecond that a running loop is asked
        # to wait for; the same walk in numpy takes a twentieth of it.
        buckets = self._buckets
        if not buckets.get_total_count():
            return [0] * len(percents)
        running = np.frombuffer(buckets.counts, np.int64).cumsum()
        targets = [buckets.get_target_count_at_percentile(percent) for percent in percents]
        at = running.searchsorted(targets)
        return [int(buckets.get_highest_equivalent_value(buckets.get_value_from_index(int(i)))) for i in at]

    def encode(self) -> bytes:
        """Return everything recorded as text bytes (HdrHistogram V2, base64), for `merge` in another process."""
        return bytes(self._buckets.encode())

    def merge(self, encoded: bytes) -> None:
        """Add what another histogram's `encode` returned."""
        self._buckets.decode_and_add(encoded)

    def since(self, earlier: Histogram) -> Histogram:
        """Return what was recorded after `earlier`, a former state of this one."""
        now, then = self._buckets, earlier._buckets
        counts = np.frombuffer(now.counts, np.int64) - np.frombuffer(then.counts, np.int64)
        later = Histogram()
        for index in counts.nonzero()[0].tolist():
            later._settled.record_value(now.get_value_from_index(index), int(counts[index]))
        return later

    def reset(self) -> None:
        self._buckets.reset()


class LoopLag:
    """How late the event loop runs its timers. A late loop makes every other stamp too kind."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.histogram = Histogram()
        self._loop = loop
        self._due_s = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        self._due_s = self._loop.time() + LAG_INTERVAL_S
        self._timer = self._loop.call_at(self._due_s, self._look)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self.histogram.record((self._loop.time() - self._due_s) * 1e6)
        self.start()


class CpuShare:
    """CPU time of this process, all threads, per wall time since the previous look: 1.0 is one whole core."""

    def __init__(
        self,
        *,
        cpu_ns: Callable[[], int] = time.process_time_ns,
        wall_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._cpu_ns, self._wall_ns = cpu_ns, wall_ns
        self._cpu_then_ns, self._wall_then_ns = cpu_ns(), wall_ns()
        self._share = 0.0

    def read(self) -> float:
        """Return the share since the previous read; a read within a millisecond repeats the last answer."""
        cpu_ns, wall_ns = self._cpu_ns(), self._wall_ns()
        if wall_ns - self._wall_then_ns >= 1_000_000:
            self._share = (cpu_ns - self._cpu_then_ns) / (wall_ns - self._wall_then_ns)
            self._cpu_then_ns, self._wall_then_ns = cpu_ns, wall_ns
        return self._share


def machine_cpu_share() -> float:
    """Return the busy share of all cores since the previous call, 0 to 1. Above 0.8 latencies count as saturated."""
    import psutil  # here, since most actors never ask and all would pay

    return float(psutil.cpu_percent(interval=None)) / 100


def pss_mb() -> float:
    """Return our proportional memory in MB: shared pages divided among their users. Resident size where unknown."""
    try:
        for line in SMAPS_ROLLUP.read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass  # not Linux, or /proc is hidden: the resident size below is an upper bound
    import psutil

    return float(psutil.Process(os.getpid()).memory_info().rss) / 2**20
