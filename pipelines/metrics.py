"""The project's figures beside Ray's own: gauges of `ray.util.metrics`, for the dashboard, Prometheus and Grafana.

Set by the supervisor at each poll from what the actors say of themselves: nothing is measured twice, nothing is sent
per tick.
"""

from __future__ import annotations

from collections.abc import Mapping

from ray.util.metrics import Gauge

from actors.console.report_charts import Sample
from actors.console.table import FleetLine, SymbolRow

FLEET_GAUGES = {
    "quoting_count": "symbols with both sides live",
    "net_usd": "profit since the start, mark to market",
    "gross_usd": "worst-case exposure reserved by leases",
    "orders_open": "live orders",
    "fills_count": "fills since the start",
    "frames_per_s": "public frames received",
    "cpu_share": "of this machine",
}
SYMBOL_GAUGES = {
    "spread_bps": "our quoted spread",
    "position_usd": "position at mid",
    "pnl_usd": "profit of the symbol",
    "fills_count": "fills of the symbol",
    "two_sided": "1 while both sides are live",
}
LATENCY_GAUGES = {
    "frame_to_order_p50_us": "oldest frame of a decision to the order's write, median",
    "frame_to_order_p99_us": "the same, 99th percentile",
}


class Metrics:
    """Made once, after Ray is up; names are `manta_<name>`, per symbol `manta_symbol_<name>`."""

    def __init__(self) -> None:
        self._fleet = {name: Gauge(f"manta_{name}", text) for name, text in (FLEET_GAUGES | LATENCY_GAUGES).items()}
        self._symbols = {
            name: Gauge(f"manta_symbol_{name}", text, tag_keys=("symbol", "venue"))
            for name, text in SYMBOL_GAUGES.items()
        }

        self._reason = Gauge(
            "manta_symbol_reason", "1 at the reason that a side has now", tag_keys=("symbol", "venue", "side", "code")
        )
        self._codes: dict[tuple[str, str, str], str] = {}

    def show_reasons(self, codes: Mapping[tuple[str, str, str], str]) -> None:
        """`codes`: (symbol, venue, side) -> code. What a side had before goes back to 0."""
        for key, code in codes.items():
            tags = dict(zip(("symbol", "venue", "side"), key, strict=True))
            before = self._codes.get(key, code)
            if before != code:
                self._reason.set(0.0, tags=tags | {"code": before})
            self._reason.set(1.0, tags=tags | {"code": code})
        self._codes = dict(codes)

    def show(self, line: FleetLine, rows: list[SymbolRow], sample: Sample) -> None:
        for name in FLEET_GAUGES:
            self._fleet[name].set(float(getattr(line, name)))
        for name in LATENCY_GAUGES:
            self._fleet[name].set(float(getattr(sample, name)))
        for row in rows:
            tags = {"symbol": row.symbol, "venue": row.venue}
            for name, gauge in self._symbols.items():
                gauge.set(float(getattr(row, name)), tags=tags)
