"""Latencies of a recorded venue, from its settings.

Of orders: constant, or read from a file of measured orders. Of market data: constant, or what the two stamps of each
recorded frame say, the venue's and the recorder's. Their clocks need not agree, so the fastest frame is given a latency
and the others are so much slower than it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from actors.sim.queue_models import ConstantLatency, InterpolatedLatency, LatencyModel, LatencyRow
from actors.sim.recording import RecordedFrame, RecordingFacts
from actors.transport.step_times import FeedLatency
from actors.vocab.config.sim import SimSettings
from actors.vocab.errors import ConfigError
from actors.vocab.units import NS_PER_MS

_STAMP = re.compile(rb'"E":(\d+)')
COLUMNS = ("request_ns", "exchange_ns", "response_ns")


def order_latency(settings: SimSettings) -> LatencyModel:
    """`ConfigError` names file, line and remedy."""
    if settings.order_latency_file:
        return InterpolatedLatency(read_rows(Path(settings.order_latency_file)))
    return ConstantLatency(int(settings.order_latency_ms * NS_PER_MS), int(settings.response_latency_ms * NS_PER_MS))


def feed_latency(settings: SimSettings, facts: Sequence[RecordingFacts]) -> FeedLatency | None:
    """None for none at all. `ConfigError` where the recordings hold no stamp of the venue."""
    base_ns = int(settings.feed_latency_ms * NS_PER_MS)
    if not settings.feed_latency_recorded:
        return ConstantFeed(base_ns) if base_ns else None
    for each in facts:
        if not each.fastest_ns and not each.slowest_ns:
            raise ConfigError(f"sim.feed_latency_recorded: {each.name} holds no stamp of the venue")
    return RecordedFeed(
        base_ns, fastest_ns=min(each.fastest_ns for each in facts), slowest_ns=max(each.slowest_ns for each in facts)
    )


class ConstantFeed:
    """The same for each frame."""

    def __init__(self, slowest_ns: int) -> None:
        self.slowest_ns = slowest_ns

    def of(self, frame: RecordedFrame) -> int:
        return self.slowest_ns


class RecordedFeed:
    """As the stamps say; a frame without one (spot's book ticker) is as slow as the last one that had one."""

    def __init__(self, base_ns: int, *, fastest_ns: int, slowest_ns: int) -> None:
        self._offset_ns = base_ns - fastest_ns
        self.slowest_ns = slowest_ns + self._offset_ns
        self._last_ns = base_ns

    def of(self, frame: RecordedFrame) -> int:
        found = _STAMP.search(frame.data)
        if found is not None:
            self._last_ns = frame.recv_ns - int(found.group(1)) * NS_PER_MS + self._offset_ns
        return self._last_ns


def read_rows(path: Path) -> list[LatencyRow]:
    """CSV lines `request_ns,exchange_ns,response_ns` by request, unix ns; exchange 0 or less: refused then."""
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        why = (error.strerror or str(error)) if isinstance(error, OSError) else "it is not text"
        raise ConfigError(f"sim.order_latency_file={path}: cannot be read ({why})") from None
    rows: list[LatencyRow] = []
    for line_no, line in enumerate(lines, start=1):
        cells = [cell.strip() for cell in line.split(",")]
        if line.startswith("#") or not line.strip() or (line_no == 1 and tuple(cells) == COLUMNS):
            continue
        rows.append(_row(path, line_no, cells))
        if len(rows) > 1 and rows[-1].request_ns < rows[-2].request_ns:
            raise _unusable(path, line_no, "requests must not go back in time")
    if not rows:
        raise ConfigError(f"sim.order_latency_file={path}: holds no row; write {','.join(COLUMNS)}")
    return rows


def _row(path: Path, line_no: int, cells: list[str]) -> LatencyRow:
    try:
        request_ns, exchange_ns, response_ns = (int(cell) for cell in cells)
    except ValueError:
        raise _unusable(path, line_no, f"expected {','.join(COLUMNS)} as whole numbers") from None
    if response_ns < request_ns or 0 < exchange_ns < request_ns or exchange_ns > response_ns:
        raise _unusable(path, line_no, "a request must come before its arrival, and that before its answer")
    return LatencyRow(request_ns, exchange_ns, response_ns)


def _unusable(path: Path, line_no: int, what: str) -> ConfigError:
    return ConfigError(f"sim.order_latency_file={path} line {line_no}: {what}")
