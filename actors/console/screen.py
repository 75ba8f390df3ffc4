"""Where the operator looks: progress bars while starting, then the live table; plain lines without a terminal.

A terminal may close and a pipe's reader end (Ctrl-C ends `tee` too) at any moment, and the run's orders must still be
cancelled: nothing that is shown here, and no `say`, ever fails. What nobody can read goes nowhere.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence
from types import TracebackType
from typing import IO, Any, cast

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from actors.console.table import FleetLine, SymbolRow, fleet_text, machine_text, plain_line, symbol_table

# Every how many updates a plain log line is printed; updates come about once a second.
PLAIN_EVERY = 5


def say(text: str) -> None:
    """Print a line, to whoever still reads."""
    with contextlib.suppress(ValueError):  # a closed stream
        try:
            print(text, flush=True)
        except OSError:
            write_nowhere(sys.stdout)


def write_nowhere(*files: IO[str]) -> None:
    """Their reader is gone: what is written from now on, and what waits in their buffers, is dropped."""
    for file in files:
        with contextlib.suppress(OSError, ValueError):  # a stream without a descriptor cannot lose its reader
            sink = os.open(os.devnull, os.O_WRONLY)
            try:
                os.dup2(sink, file.fileno())
            finally:
                os.close(sink)


class _Lasting:
    """A stream that goes quiet where another would raise; rich itself would leave the program (`on_broken_pipe`)."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file

    def write(self, text: str) -> int:
        try:
            return self._file.write(text)
        except OSError:
            write_nowhere(self._file)
            return len(text)

    def flush(self) -> None:
        try:
            self._file.flush()
        except OSError:
            write_nowhere(self._file)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


class Screen:
    """Context manager around the terminal. `quiet` keeps stdout free for `--json`; progress then goes to stderr."""

    def __init__(self, *, quiet: bool, symbols_count: int, console: Console | None = None) -> None:
        self._console = console or Console(stderr=quiet)
        self._console.file = cast("IO[str]", _Lasting(self._console.file))
        self._symbols_count = symbols_count
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self._console,
        )
        self._tasks: dict[str, TaskID] = {}
        self._done: dict[str, int] = {}
        self._live: Live | None = None
        self._updates = 0

    def __enter__(self) -> Screen:
        if self._console.is_terminal:
            self._live = Live(self._progress, console=self._console, refresh_per_second=4, transient=False)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    # --- starting --------------------------------------------------------------------------------------------

    def stage(self, key: str, text: str, *, total: int = 1) -> None:
        """Begin a stage; asking again for a known one changes its text."""
        if key in self._tasks:
            self._progress.update(self._tasks[key], description=text, total=total)
            return
        self._tasks[key] = self._progress.add_task(text, total=total)
        self._done[key] = 0
        self._say(f"{text} …")

    def total(self, key: str, total: int) -> None:
        self._progress.update(self._tasks[key], total=total)

    def advance(self, key: str, count: int) -> None:
        self.reached(key, self._done[key] + count)

    def reached(self, key: str, count: int) -> None:
        """Set how far a stage is; a plain line is printed when that changed."""
        if count == self._done[key]:
            return
        self._done[key] = count
        self._progress.update(self._tasks[key], completed=count)
        task = self._progress.tasks[self._tasks[key]]
        self._say(f"{task.description}: {count}/{task.total:.0f}")

    def done(self, key: str, text: str) -> None:
        self._progress.update(
            self._tasks[key], description=text, completed=self._progress.tasks[self._tasks[key]].total
        )
        self._say(text)

    def note(self, text: str) -> None:
        """One line that stays above whatever is shown."""
        self._console.print(text, highlight=False, soft_wrap=True)

    # --- running ---------------------------------------------------------------------------------------------

    def show(self, line: FleetLine, rows: Sequence[SymbolRow]) -> None:
        """Newest state of everything."""
        if self._live is not None:
            self._live.update(self._page(line, rows))
            return
        if self._updates % PLAIN_EVERY == 0:
            worst = {row.symbol: row.reason for row in rows if not row.two_sided}
            self._console.print(plain_line(line, dict(list(worst.items())[:3])), highlight=False, soft_wrap=True)
        self._updates += 1

    def _page(self, line: FleetLine, rows: Sequence[SymbolRow]) -> RenderableType:
        height = max(5, self._console.size.height - 6)
        return Group(fleet_text(line), machine_text(line), "", symbol_table(rows, height=height))

    def _say(self, text: str) -> None:
        if self._live is None:
            self._console.print(text, highlight=False, soft_wrap=True)
