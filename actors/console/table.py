"""The live table: one row a symbol, as an operator would want to read it. Pure: rows in, renderable out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from rich.table import Table
from rich.text import Text

STATE_STYLES = {
    "NORMAL": "green",
    "WARNING": "yellow",
    "REDUCE_ONLY": "dark_orange",
    "CIRCUIT_BREAKER": "red",
    "FULL_STOP": "bold white on red",
}

CPU_BUSY = 0.8  # above it latencies are not the software's alone


class SymbolRow(msgspec.Struct, frozen=True):
    """What one line shows; prices as text on the instrument's own grid, money in usd."""

    symbol: str
    venue: str
    bid: str = ""
    ask: str = ""
    spread_bps: float = 0.0
    position_usd: float = 0.0
    pnl_usd: float = 0.0
    fills_count: int = 0
    state: str = "NORMAL"
    reason: str = ""
    latency_us: float = 0.0  # frame to decision, p50
    two_sided: bool = False


def symbol_row(
    symbol: str, quote: Mapping[str, Any], money: Mapping[str, Any], *, latency_us: float = 0.0
) -> SymbolRow:
    """From what the quote actor and risk say of a symbol in their status; `money` may be empty."""
    reasons = dict.fromkeys((str(quote["bid_reason"]), str(quote["ask_reason"])))
    return SymbolRow(
        symbol=symbol,
        venue=str(quote["venue"]),
        bid=str(quote["bid"]),
        ask=str(quote["ask"]),
        spread_bps=float(quote["spread_bps"]),
        position_usd=float(quote["position_usd"]),
        pnl_usd=float(money.get("net_usd", 0.0)),
        fills_count=int(money.get("fills_count", 0)),
        state=str(quote["state"]),
        reason="; ".join(reasons),
        latency_us=latency_us,
        two_sided=bool(quote["two_sided"]),
    )


class FleetLine(msgspec.Struct, frozen=True):
    """The line above the table."""

    elapsed_s: float
    symbols_count: int
    quoting_count: int
    net_usd: float
    gross_usd: float
    gross_limit_usd: float
    state: str
    frames_per_s: float
    orders_open: int
    fills_count: int
    cpu_share: float
    dashboard: str = ""


def fleet_text(line: FleetLine) -> Text:
    """One line that answers: is it quoting, is it safe, does it earn. Fits 80 columns up to millions."""
    text = Text()
    text.append(f"{line.quoting_count}/{line.symbols_count} quoting", style="bold")
    text.append("  ")
    text.append(line.state, style=STATE_STYLES.get(line.state, ""))
    text.append(f"  net {line.net_usd:+,.2f} USD", style="green" if line.net_usd >= 0 else "red")
    share = line.gross_usd / line.gross_limit_usd if line.gross_limit_usd else 0.0
    text.append(f"  gross {line.gross_usd:,.0f} of {line.gross_limit_usd:,.0f} ({share:.0%})")
    text.append(f"  {line.orders_open} open orders  {line.fills_count} fills")
    return text


def machine_text(line: FleetLine) -> Text:
    """The second line: how long, how fast, how hard the machine works."""
    text = Text(f"{_clock(line.elapsed_s)}  {line.frames_per_s:,.0f} frames/s", style="dim")
    text.append(f"  CPU {line.cpu_share:.0%}", style="yellow" if line.cpu_share > CPU_BUSY else "")
    if line.dashboard:
        text.append(f"  {line.dashboard}")
    return text


def symbol_table(rows: Sequence[SymbolRow], *, height: int) -> Table:
    """All rows in their given order where they fit; else as many as do, those not quoting first, then by position."""
    table = Table(box=None, pad_edge=False, header_style="bold", expand=True)
    for name in ("symbol", "bid", "ask", "spread bps", "position USD", "pnl USD", "fills", "us p50", "state", "why"):
        right = name not in ("symbol", "state", "why")
        table.add_column(name, justify="right" if right else "left", no_wrap=True, ratio=3 if name == "why" else None)
    shown = list(rows)
    if len(rows) > height:
        # A row that jumps about cannot be read: only what must be left out decides about the order.
        kept = sorted(rows, key=lambda row: (row.two_sided, -abs(row.position_usd), row.symbol))[: max(1, height - 1)]
        shown = [row for row in rows if row in kept]
    for row in shown:
        table.add_row(*_cells(row))
    if len(shown) < len(rows):
        table.add_row(Text(f"… {len(rows) - len(shown)} more", style="dim"))
    return table


def _cells(row: SymbolRow) -> list[Text | str]:
    pnl_style = "green" if row.pnl_usd > 0 else "red" if row.pnl_usd < 0 else "dim"
    return [
        Text(row.symbol, style="bold" if row.two_sided else "dim"),
        row.bid or "–",
        row.ask or "–",
        f"{row.spread_bps:.2f}" if row.spread_bps else "–",
        f"{row.position_usd:+,.0f}" if row.position_usd else "0",
        Text(f"{row.pnl_usd:+.2f}", style=pnl_style),
        str(row.fills_count),
        f"{row.latency_us:,.0f}" if row.latency_us else "–",
        Text(row.state, style=STATE_STYLES.get(row.state, "")),
        Text(row.reason, style="dim" if row.two_sided else "yellow"),
    ]


def plain_line(line: FleetLine, worst: Mapping[str, Any] | None = None) -> str:
    """The same for a log file; the dashboard's address was said at the start."""
    why = "".join(f"; {symbol}: {reason}" for symbol, reason in (worst or {}).items())
    machine = f"{line.frames_per_s:,.0f} frames/s  CPU {line.cpu_share:.0%}"
    return f"{_clock(line.elapsed_s)}  {fleet_text(line).plain}  {machine}{why}"


def _clock(seconds: float) -> str:
    whole = int(seconds)
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}"
