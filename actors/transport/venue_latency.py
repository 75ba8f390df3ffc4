"""Order latency of a recorded venue, from its settings: constant, or read from a file of measured orders."""

from __future__ import annotations

from pathlib import Path

from actors.sim.queue_models import ConstantLatency, InterpolatedLatency, LatencyModel, LatencyRow
from actors.vocab.config.sim import SimSettings
from actors.vocab.errors import ConfigError
from actors.vocab.units import NS_PER_MS

COLUMNS = ("request_ns", "exchange_ns", "response_ns")


def order_latency(settings: SimSettings) -> LatencyModel:
    """`ConfigError` names file, line and remedy."""
    if settings.order_latency_file:
        return InterpolatedLatency(read_rows(Path(settings.order_latency_file)))
    return ConstantLatency(int(settings.order_latency_ms * NS_PER_MS), int(settings.response_latency_ms * NS_PER_MS))


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
