"""A terminal that closes, or a pipe whose reader has ended, stops nothing."""

from __future__ import annotations

import os
import pty
from collections.abc import Callable

import pytest
from rich.console import Console

from actors.console.screen import Screen, say
from actors.console.table import FleetLine

LINE = FleetLine(
    elapsed_s=1.0,
    symbols_count=1,
    quoting_count=1,
    net_usd=0.0,
    gross_usd=0.0,
    gross_limit_usd=1.0,
    state="NORMAL",
    frames_per_s=0.0,
    orders_open=0,
    fills_count=0,
    cpu_share=0.0,
    dashboard="",
)


@pytest.mark.parametrize("ends", [os.pipe, pty.openpty])
def test_nothing_that_is_shown_fails_when_nobody_reads(ends: Callable[[], tuple[int, int]]) -> None:
    reader, writer = ends()
    with os.fdopen(writer, "w") as file, Screen(quiet=False, symbols_count=1, console=Console(file=file)) as screen:
        screen.note("somebody reads this")
        os.close(reader)
        screen.note("stopping: cancelling all orders")
        screen.stage("books", "books in sync", total=2)
        screen.advance("books", 1)
        screen.done("books", "books in sync")
        screen.show(LINE, ())
        screen.note("and the line after")


def test_a_last_line_does_not_fail_either(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    with os.fdopen(writer, "w") as file:
        os.close(reader)
        monkeypatch.setattr("sys.stdout", file)
        say("run folder: nobody reads this")
        say("nor this")
