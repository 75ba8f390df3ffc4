"""What an operator reads: the lines above the table, which rows are shown and in which order."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from actors.console.table import FleetLine, SymbolRow, fleet_text, machine_text, plain_line, symbol_table

LINE = FleetLine(
    elapsed_s=3_725.0,
    symbols_count=50,
    quoting_count=49,
    net_usd=-1_234.5,
    gross_usd=81_000.0,
    gross_limit_usd=100_000.0,
    state="WARNING",
    frames_per_s=1_512.3,
    orders_open=98,
    fills_count=1_000,
    cpu_share=0.5,
    dashboard="http://127.0.0.1:8265",
)


def shown(rows: list[SymbolRow], *, height: int, width: int = 120) -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    console.print(symbol_table(rows, height=height))
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def row(symbol: str, *, position_usd: float = 0.0, two_sided: bool = True, reason: str = "quoting") -> SymbolRow:
    return SymbolRow(
        symbol,
        "binance_perp",
        bid="116427.3",
        ask="116492.6",
        spread_bps=6.1,
        position_usd=position_usd,
        two_sided=two_sided,
        reason=reason,
    )


def test_the_fleet_in_one_line_of_a_hundred_columns() -> None:
    text = fleet_text(LINE).plain
    assert (
        text == "49/50 quoting  WARNING  net -1,234.50 USD  gross 81,000 of 100,000 (81%)  98 open orders  1000 fills"
    )
    assert machine_text(LINE).plain == "01:02:05  1,512 frames/s  CPU 50%  http://127.0.0.1:8265"


def test_a_log_line_names_who_does_not_quote_and_why() -> None:
    text = plain_line(LINE, {"BTCUSDT": "book resyncing 1.2 s"})
    assert text.startswith("01:02:05  49/50 quoting")
    assert text.endswith("CPU 50%; BTCUSDT: book resyncing 1.2 s")
    assert "http" not in text


def test_rows_that_fit_keep_their_order() -> None:
    lines = shown([row("B"), row("A", position_usd=9_000.0), row("C", two_sided=False)], height=3)
    assert [line.split()[0] for line in lines[1:]] == ["B", "A", "C"]


def test_where_rows_must_go_those_with_something_to_say_stay() -> None:
    rows = [row("A"), row("B", position_usd=-500.0), row("C"), row("D", two_sided=False, reason="no lease"), row("E")]
    lines = shown(rows, height=3)
    assert [line.split()[0] for line in lines[1:3]] == ["B", "D"]
    assert lines[3] == "… 3 more"


@pytest.mark.parametrize("width", [100, 120, 200])
def test_a_row_never_wraps(width: int) -> None:
    lines = shown([row("1000PEPEUSDT", two_sided=False, reason="price moved " * 9)], height=5, width=width)
    assert len(lines) == 2
    assert "116427.3" in lines[1]
    assert max(map(len, lines)) <= width
