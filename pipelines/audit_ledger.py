"""Compare a run with what its venues say: `python -m pipelines.audit_ledger RUN_DIR`.

Reads the venues' own ledgers over REST, nothing else of theirs, and our journal. A run's own simulated venue leaves its
ledger in the run folder when nothing trades any more; that is served again on loopback and read by the same client: the
venue itself would make a reader wait for its rate limits. Any other venue is asked itself. Exit code: 0 all equal,
1 something differs or could not be checked, 2 nothing to read.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from actors.console.audit import compare
from actors.console.audit_views import AuditResult, Clocks, Ours
from actors.gateway.keys import read_credentials
from actors.journal.history import History, read_history
from actors.journal.store import journal_path
from actors.sim.saved import file_name
from actors.transport.http import HttpUnanswered
from actors.transport.identity import SystemClock
from actors.transport.venue_audit import LedgerReader
from actors.transport.venue_saved import serve_saved
from actors.venues.ledger import LedgerBook
from actors.vocab.config import FleetSettings
from actors.vocab.control import VenueAccount
from actors.vocab.errors import ConfigError, VenueFault
from pipelines.exits import ExitCode, refuse
from pipelines.exits import run as run_command
from pipelines.run_folder import RunFile, read_marks, read_run, read_summary

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

# A book begins this much before risk began the run. A new account has no life before it, so there is no harm in looking
# far back; any other may have one, and nothing of this run is sent before risk has begun.
NEW_MARGIN_MS = 3_600_000
OLD_MARGIN_MS = 1_000
USES_SHOWN = 12


async def audit_run(run_dir: Path) -> AuditResult:
    """Read the venues of the run in `run_dir` and compare. `ConfigError` for an unusable folder, `VenueFault` when a
    venue cannot be read. While the supervisor calls it, `summary.json` is not there yet: that line is then left out."""
    run = read_run(run_dir)
    # Both ends are work without a wait: threads, so that a supervisor's loop goes on.
    history = await asyncio.to_thread(read_history, _journal_of(run, run_dir), run.run_id)
    settings = FleetSettings.model_validate_json(run.settings_json)
    ours = Ours(
        run_id=run.run_id,
        symbols=run.symbols,
        history=history,
        settings=settings.risk,
        client_prefix=settings.gateway.client_prefix + "-",
        marks=read_marks(run_dir),
        summary=read_summary(run_dir),
    )
    books = [await _read_book(run, run_dir, account, history) for account in run.accounts]
    return await asyncio.to_thread(compare, ours, books)


# --- reading -----------------------------------------------------------------------------------------------------


def _journal_of(run: RunFile, run_dir: Path) -> Path:
    """The journal the run named; a simulated run's lies in its folder, wherever that was moved to."""
    named = journal_path(run.journal_url)
    inside = run_dir / named.name
    return inside if inside.is_file() else named


async def _read_book(run: RunFile, run_dir: Path, account: VenueAccount, history: History) -> LedgerBook:
    since_ms = _start_ms(run, account.venue, history)
    async with _reader(run, run_dir, account) as reader:
        return await reader.read(run.symbols, since_ms=since_ms, is_whole=run.accounts_are_new)


def _start_ms(run: RunFile, venue: str, history: History) -> int:
    """From when on the venue is asked, by its own clock."""
    row = next((row for row in history.runs if row.run_id == run.run_id), None)
    if row is None:
        raise ConfigError(f"the journal knows no run {run.run_id}; it belongs to another run folder")
    clocks = Clocks(history.facts)
    began_ms = clocks.to_venue(venue, clocks.of_risk(row.term, venue, row.wall_ms))
    return began_ms - (NEW_MARGIN_MS if run.accounts_are_new else OLD_MARGIN_MS)


@contextlib.asynccontextmanager
async def _reader(run: RunFile, run_dir: Path, account: VenueAccount) -> AsyncIterator[LedgerReader]:
    """A reader of the ledger that the run's own venue left; else of the venue itself, where we have its key."""
    async with contextlib.AsyncExitStack() as stack:
        saved = run_dir / file_name(account.venue)
        is_saved = await asyncio.to_thread(saved.is_file)
        reader = None if is_saved and run.accounts_are_new else await _live_reader(account)
        if reader is None:
            if not is_saved:
                raise ConfigError(
                    f"{account.venue}: {account.rest_url} does not answer and {run_dir} holds no {saved.name}"
                )
            opened = await stack.enter_async_context(serve_saved(saved))
            reader = LedgerReader(
                venue=opened.venue, rest_url=opened.rest_url, credentials=opened.credentials, clock=SystemClock()
            )
        stack.push_async_callback(reader.close)
        yield reader


async def _live_reader(account: VenueAccount) -> LedgerReader | None:
    try:
        credentials = read_credentials(account, os.environ)
    except ConfigError:
        return None  # a simulated venue's key ends with its run
    reader = LedgerReader(venue=account.venue, rest_url=account.rest_url, credentials=credentials, clock=SystemClock())
    try:
        await reader.server_ms()
    except (HttpUnanswered, VenueFault):
        await reader.close()
        return None
    return reader


# --- showing -----------------------------------------------------------------------------------------------------


@app.command()
def main(
    run_dir: Annotated[Path, typer.Argument(metavar="RUN_DIR", help="folder of a run, as its last line named it")],
    as_json: Annotated[bool, typer.Option("--json", help="print the result as JSON instead of tables")] = False,
) -> None:
    """Compare a run with its venues' own ledgers: positions, fills, fees, profit, order lives, exposure."""
    try:
        result = asyncio.run(audit_run(run_dir.absolute()))
    except ConfigError as error:
        refuse(error)
    except VenueFault as error:
        refuse(ConfigError(str(error)))
    if as_json:
        print(json.dumps(as_dict(result), indent=1))
    else:
        show(result, Console())
    sys.exit(ExitCode.FINE if result.is_good else ExitCode.FAILED)


def show(result: AuditResult, console: Console) -> None:
    """Two tables, then every difference as a sentence."""
    table = Table("check", "ours", "venue", "result", box=None, pad_edge=False)
    for one in result.verdicts:
        style = "" if one.is_good else "bold red"
        table.add_row(one.check, one.ours, one.theirs, one.result, style=style)
    console.print(table)
    if result.uses:
        uses = Table("limit", "most used", "limit", "share", box=None, pad_edge=False)
        for use in result.uses[:USES_SHOWN]:
            style = "bold red" if use.events_over_count else ""
            uses.add_row(
                use.limit, f"{use.usd_max:,.2f} USD", f"{use.limit_usd:,.2f} USD", f"{use.share:.1%}", style=style
            )
        console.print()
        console.print(uses)
        if len(result.uses) > USES_SHOWN:
            console.print(f"and {len(result.uses) - USES_SHOWN} more limits, less used", highlight=False)
    for note in result.notes:
        console.print(f"note: {note}", highlight=False)
    for one in result.verdicts:
        for finding in one.findings:
            console.print(f"{one.check}: {finding}", highlight=False, style="red")
    console.print("all equal" if result.is_good else "not equal", highlight=False)


def as_dict(result: AuditResult) -> dict[str, Any]:
    """The result as plain JSON values."""
    return {
        "is_good": result.is_good,
        "net_usd": None if result.net_usd is None else str(result.net_usd),
        **result.reconcile(),
        "overruns_count": result.overruns_count,
        "checks": [
            {
                "check": one.check,
                "ours": one.ours,
                "theirs": one.theirs,
                "is_good": one.is_good,
                "faults_count": one.faults_count,
                "findings": list(one.findings),
            }
            for one in result.verdicts
        ],
        "uses": [
            {
                "limit": use.limit,
                "usd_max": use.usd_max,
                "limit_usd": use.limit_usd,
                "share": round(use.share, 6),
                "at_ms": use.at_ms,
                "events_over_count": use.events_over_count,
            }
            for use in result.uses
        ],
        "notes": list(result.notes),
    }


if __name__ == "__main__":
    run_command(app, "pipelines.audit_ledger")
